"""Write a made-up archive whose headers are as long and as repetitive as those of real scanners."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

__all__ = ["ArchiveSize", "write_archive"]

STORAGE: Final = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
#: The arc of UIDs made for examples; nothing real lives below it.
UID_ROOT: Final = "1.2.826.0.1.3680043.8.498.77"
#: Private blocks: group, creator, number of elements. Together they fill a header to about 250 elements, which is what
#: the headers that the goal was measured on hold. The creators are made up: real ones would give the elements meanings.
PRIVATE_BLOCKS: Final = {
    "SIEMENS": ((0x0019, "PHANTOM CT VA0  COAD", 80), (0x0021, "PHANTOM MED", 30), (0x0051, "PHANTOM HEADER", 40)),
    "GE MEDICAL SYSTEMS": (
        (0x0009, "PHANTOM_IDEN_01", 25),
        (0x0019, "PHANTOM_ACQU_01", 70),
        (0x0043, "PHANTOM_PARM_01", 55),
    ),
    "Philips": ((0x2001, "PHANTOM Imaging DD 001", 80), (0x2005, "PHANTOM MR Imaging DD 001", 75)),
}
#: Where the vendors put the b-value of a diffusion image.
B_VALUES: Final = {
    "SIEMENS": (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 800),
    "GE MEDICAL SYSTEMS": (0x0043, "GEMS_PARM_01", 0x39, "IS", [1000000800, 8, 0, 0]),
    "Philips": (0x2001, "Philips Imaging DD 001", 0x03, "FL", 800.0),
}
VENDORS: Final = tuple(PRIVATE_BLOCKS)
DESCRIPTIONS: Final = {
    "CT": ("Abdomen 3.0 B30f", "CT WB 5.0 AC", "Thorax nativ Lunge"),
    "MR": ("t1_vibe_fs_tra_bh 20min", "t2_tse_tra_mbh", "ep2d_diff_b50_400_800"),
    "PT": ("PET WB AC 68Ga-DOTATOC", "PET WB NAC", "Ganzkörper PET 3 min/Bett"),
}


@dataclass(frozen=True, slots=True)
class ArchiveSize:
    """How much to write: files in all, files a series, and the edge of the square images in pixels.

    128 × 128 pixels of two bytes and a header of about 7 KB give files of about 39 KB.
    """

    files: int = 20_000
    files_per_series: int = 120
    edge: int = 128


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def _dose() -> Dataset:
    dose = Dataset()
    dose.Radiopharmaceutical = "68Ga-DOTATOC"
    dose.RadiopharmaceuticalStartTime, dose.RadiopharmaceuticalStartDateTime = "091500.00", "20260105091500.00"
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 1.42e8, 4062.6
    dose.RadionuclidePositronFraction = 0.8914
    dose.RadionuclideCodeSequence = [_code("C-131A3", "SRT", "^68^Gallium")]
    dose.RadiopharmaceuticalCodeSequence = [_code("C-B1301", "SRT", "DOTATOC")]
    return dose


def _identity(dataset: Dataset, modality: str, vendor: str, series: int) -> None:
    study = f"{UID_ROOT}.{series // 6}"
    day = f"2026{1 + series // 6 % 12:02d}{1 + series // 72 % 28:02d}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = STORAGE[modality]
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.InstanceCreationDate, dataset.StudyTime, dataset.SeriesTime = day, "084112.000000", "091733.250000"
    dataset.AccessionNumber, dataset.Modality, dataset.Manufacturer = f"A{series // 6:08d}", modality, vendor
    dataset.InstitutionName, dataset.InstitutionAddress = "Phantomklinik", "Beispielstrasse 1\nMusterstadt"
    dataset.ReferringPhysicianName, dataset.PerformingPhysicianName = "A^B", "C^D"
    dataset.StationName, dataset.StudyDescription = "STATION01", "PET-CT Ganzkörper"
    dataset.ProcedureCodeSequence = [_code("PETCT", "99LOCAL", "PET-CT Ganzkörper")]
    dataset.SeriesDescription = DESCRIPTIONS[modality][series // 3 % 3]
    dataset.InstitutionalDepartmentName, dataset.OperatorsName = "Nuklearmedizin", "E^F"
    dataset.ManufacturerModelName = f"Model {series % 4}"
    dataset.ReferencedStudySequence = [_reference("1.2.840.10008.3.1.2.3.1", study)]
    dataset.PatientName, dataset.PatientID = "Phantom^One", f"P{series // 12:06d}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19500101", "O", "075Y"
    dataset.PatientSize, dataset.PatientWeight = 1.74, 71.5
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{series}"
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = str(series // 6), series % 6 + 1, 1
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = f"{study}.9", ""
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = ["V1.2", "W3"], "12345"
    dataset.ProtocolName, dataset.BodyPartExamined, dataset.PatientPosition = "Abdomen^Standard", "ABDOMEN", "HFS"
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "R1", "S1"
    request.ScheduledProtocolCodeSequence = [_code("1", "99LOCAL", "Protokoll")]
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.PerformedProcedureStepStartDate, dataset.PerformedProcedureStepStartTime = day, "084112"
    dataset.PerformedProcedureStepID, dataset.PerformedProcedureStepDescription = "PPS1", "PET-CT"


def _geometry(dataset: Dataset, edge: int) -> None:
    dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    dataset.SliceThickness, dataset.PixelSpacing = 3.0, [2.734375, 2.734375]
    dataset.Rows = dataset.Columns = edge
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 1
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.LossyImageCompression = -1024.0, 1.0, "00"


def _technique(dataset: Dataset, modality: str) -> None:
    if modality == "CT":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
        dataset.KVP, dataset.DataCollectionDiameter, dataset.ReconstructionDiameter = 120.0, 500.0, 350.0
        dataset.ConvolutionKernel, dataset.FilterType, dataset.GantryDetectorTilt = "B30f", "WEDGE_3", 0.0
        dataset.ContrastBolusAgent, dataset.ScanOptions, dataset.RotationDirection = "Imeron 350", "SPI", "CW"
        dataset.TableHeight, dataset.GeneratorPower, dataset.FocalSpots = 150.0, 30, [1.2]
    elif modality == "MR":
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
        dataset.ScanningSequence, dataset.SequenceVariant = ["GR"], ["SP", "OSP"]
        dataset.ScanOptions, dataset.MRAcquisitionType, dataset.SequenceName = ["PFP", "FS"], "3D", "*fl3d1"
        dataset.RepetitionTime, dataset.EchoTime, dataset.NumberOfAverages = 3.92, 1.39, 1.0
        dataset.ImagingFrequency, dataset.ImagedNucleus, dataset.EchoNumbers = 63.678, "1H", 1
        dataset.MagneticFieldStrength, dataset.SpacingBetweenSlices, dataset.EchoTrainLength = 1.5, 3.0, 1
        dataset.PercentSampling, dataset.PercentPhaseFieldOfView, dataset.PixelBandwidth = 78.0, 81.25, 400.0
        dataset.ContrastBolusAgent, dataset.FlipAngle, dataset.SAR = "Gd-EOB-DTPA", 10.0, 0.11
        dataset.VariableFlipAngleFlag, dataset.TransmitCoilName, dataset.AcquisitionMatrix = (
            "N",
            "Body",
            [0, 256, 160, 0],
        )
    else:
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.RadiopharmaceuticalInformationSequence = [_dose()]
        dataset.Units, dataset.CountsSource, dataset.DecayCorrection = "BQML", "EMISSION", "START"
        dataset.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RANSM", "NORM"]
        dataset.SeriesType, dataset.RandomsCorrectionMethod = ["WHOLE BODY", "IMAGE"], "RANDOM"
        dataset.AttenuationCorrectionMethod, dataset.ScatterCorrectionMethod = "measured,AC_CT_CONV", "Model-based"
        dataset.ReconstructionMethod, dataset.CollimatorType = "PSF+TOF 2i21s", "NONE"
        dataset.NumberOfSlices, dataset.ActualFrameDuration, dataset.DoseCalibrationFactor = 120, 180000, 1.0
        dataset.AxialAcceptance, dataset.AxialMash, dataset.ScatterFractionFactor = 38.0, [5, 6], 0.31


def _private(dataset: Dataset, vendor: str, rng: random.Random) -> None:
    for group, creator, count in PRIVATE_BLOCKS[vendor]:
        block = dataset.private_block(group, creator, create=True)
        for number in range(count):
            kind = number % 5
            value: Any = (
                "DERIVED VALUE",
                f"{rng.uniform(0, 999):.6f}",
                rng.randrange(1000),
                rng.random(),
                b"\x01" * 60,
            )[kind]
            block.add_new(number + 0x40, ("LO", "DS", "US", "FD", "OB")[kind], value)


def _diffusion(dataset: Dataset, vendor: str) -> None:
    group, creator, element, vr, value = B_VALUES[vendor]
    dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    dataset.ScanningSequence = ["EP", "SE"]


def _vary(dataset: Dataset, modality: str, vendor: str, number: int, rng: random.Random) -> None:
    """What differs between the images of one series."""
    moment = f"09{17 + number // 60 % 40:02d}{number % 60:02d}.{rng.randrange(10**6):06d}"
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.{rng.randrange(10**12)}"
    dataset.InstanceCreationTime = dataset.AcquisitionTime = dataset.ContentTime = moment
    dataset.InstanceNumber, position = number + 1, -500.0 + 3.0 * number
    dataset.ImagePositionPatient, dataset.SliceLocation = [-175.0, -301.5, position], position
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = 0, rng.randrange(200, 3000)
    dataset.WindowCenter, dataset.WindowWidth = rng.randrange(20, 400), rng.randrange(100, 900)
    dataset.ReferencedImageSequence = [_reference(STORAGE[modality], f"{dataset.StudyInstanceUID}.1.{number}")]
    if modality == "CT":
        dataset.XRayTubeCurrent, dataset.Exposure, dataset.ExposureTime = rng.randrange(60, 300), rng.randrange(90), 500
    elif modality == "PT":
        dataset.FrameReferenceTime, dataset.DecayFactor = 1000.0 * number, round(1 + rng.random(), 6)
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.ImageIndex = round(rng.random() * 9, 6), 0.0, number + 1
    for group, creator, count in PRIVATE_BLOCKS[vendor]:
        block = dataset.private_block(group, creator)
        for chosen in range(1, count, 20):
            block[chosen + 0x40 - chosen % 5 + 1].value = f"{rng.uniform(0, 999):.6f}"


def _objects(size: ArchiveSize, rng: random.Random) -> Iterator[tuple[int, int, Dataset]]:
    for series in range(-(-size.files // size.files_per_series)):
        modality, vendor = ("CT", "PT", "MR")[series % 3], VENDORS[series // 3 % 3]
        dataset = Dataset()
        _identity(dataset, modality, vendor, series)
        _geometry(dataset, size.edge)
        _technique(dataset, modality)
        _private(dataset, vendor, rng)
        if modality == "MR" and dataset.SeriesDescription.startswith("ep2d"):
            _diffusion(dataset, vendor)
        dataset.PixelData = rng.randbytes(2 * size.edge**2)
        dataset["PixelData"].VR = "OW"
        for number in range(min(size.files_per_series, size.files - series * size.files_per_series)):
            _vary(dataset, modality, vendor, number, rng)
            yield series, number, dataset


def write_archive(folder: Path, size: ArchiveSize, seed: int = 1) -> list[Path]:
    """Write the archive below ``folder``, one folder a series; the files in the order of a walk.

    Every fourth series is stored with implicit VR, every third writes its sequences with undefined length.
    """
    written = []
    for series, number, dataset in _objects(size, random.Random(seed)):
        place = folder / f"S{series:05d}"
        place.mkdir(parents=True, exist_ok=True)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if series % 4 == 3 else ExplicitVRLittleEndian
        for element in dataset:
            element.is_undefined_length = element.VR == "SQ" and series % 3 == 2
        path = place / f"IM{number:05d}.dcm"
        dataset.save_as(path, implicit_vr=series % 4 == 3, little_endian=True, enforce_file_format=True)
        written.append(path)
    return written
