"""Sound files to damage: real samples where they are present, pydicom's own test files, and objects made in memory."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
import pydicom
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

__all__ = ["Seed", "all_seeds"]

SHARED_DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Larger samples only make the damage thinner and the run longer.
MAX_SEED_BYTES: Final = 210_000
#: Files taken of one delivered archive: the slices of one series are alike.
PER_ARCHIVE: Final = 3
#: Archives whose every member differs from the others.
VARIED: Final = ("transfer_syntaxes", "seg")
PIXEL_TAG: Final = 0x7FE00008
UNDEFINED: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Seed:
    """A sound file.

    ``kind`` is image | header | regions | nifti | archive. ``pixel_start`` and ``pixel_end`` bound the pixel data
    element (0: none, or deflated); a file cut before ``pixel_end`` must never yield a volume.
    """

    name: str
    kind: str
    content: bytes
    pixel_start: int = 0
    pixel_end: int = 0


def _pixel_bounds(content: bytes) -> tuple[int, int]:
    """Where the pixel data element starts, and where its last pixel ends."""
    stream = io.BytesIO(content)
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    start = stream.tell()
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian or start >= len(content):
        return 0, 0
    implicit, little = dataset.original_encoding
    width = 8 if implicit else 12
    length = int.from_bytes(content[start + width - 4 : start + width], "little" if little else "big")
    if length != UNDEFINED:
        return start, start + width + length
    end = content.rfind(b"\xfe\xff\xdd\xe0")
    # A compressed frame may be followed by padding, which a decoder does not miss.
    return start, len(content[:end].rstrip(b"\0")) - 2


def _dicom_seeds(name: str, content: bytes) -> Iterator[Seed]:
    """The object itself, and its header without pixels."""
    try:
        modality = str(pydicom.dcmread(io.BytesIO(content), specific_tags=["Modality"], force=True).get("Modality"))
        start, end = _pixel_bounds(content)
    except Exception:  # noqa: BLE001 - pydicom's test files hold broken ones on purpose: they are seeds as they are
        yield Seed(name, "image", content[:MAX_SEED_BYTES])
        return
    if modality in ("SEG", "RTSTRUCT"):
        yield Seed(name, "regions", content, start, end)
    elif len(content) <= MAX_SEED_BYTES:
        yield Seed(name, "image", content, start, end)
    if 0 < start <= MAX_SEED_BYTES:
        yield Seed(f"{name} (header)", "header", content[:start])


def _shared_seeds() -> Iterator[Seed]:
    for path in sorted(SHARED_DATA.rglob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            names = [n for n in sorted(archive.namelist()) if not n.endswith(("/", ".md", ".png", ".jpg", ".nrrd"))]
            for name in names if path.parent.name in VARIED else names[:: max(1, len(names) // PER_ARCHIVE)]:
                content = archive.read(name)
                if name.endswith((".nii", ".nii.gz")):
                    if len(content) <= MAX_SEED_BYTES:
                        yield Seed(f"{path.name}!{name}", "nifti", content)
                elif content[128:132] == b"DICM":
                    yield from _dicom_seeds(f"{path.name}!{name}", content)


def _pydicom_seeds() -> Iterator[Seed]:
    for path in sorted(Path(name) for name in get_testdata_files()):
        if path.is_file() and path.suffix not in (".json", ".py", ".txt") and path.stat().st_size <= MAX_SEED_BYTES:
            yield from _dicom_seeds(f"pydicom {path.name}", path.read_bytes())


def _image(modality: str = "CT", number: int = 1) -> Dataset:
    """A classic slice of 32 × 36 pixels."""
    storage = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
    dataset = Dataset()
    dataset.SOPClassUID = storage.get(modality, "1.2.840.10008.5.1.4.1.1.128")
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"2.25.9.{number}", "2.25.8", "2.25.7"
    dataset.Modality, dataset.PatientID, dataset.InstanceNumber = modality, "FUZZ", number
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20260102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "101500"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesDescription = "abdomen"
    dataset.FrameOfReferenceUID = "2.25.6"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-10, -20, 5.0 * number], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [2.0, 1.5], 5.0
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 32, 36, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1.0, 0.0
    pixels = np.arange(1152, dtype=np.int16).reshape(32, 36) * 13 % 1009
    dataset.PixelData = pixels.astype("<i2").tobytes()
    return dataset


def _pet() -> Dataset:
    dataset = _image("PT")
    dataset.Units, dataset.DecayCorrection, dataset.CorrectedImage = "BQML", "START", ["DECY", "ATTN", "SCAT"]
    dataset.PatientWeight, dataset.FrameReferenceTime, dataset.ActualFrameDuration = 71.0, 0.0, 120000
    dose, code = Dataset(), Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 1.5e8, 4062.6
    dose.RadiopharmaceuticalStartTime, dose.Radiopharmaceutical = "091500", "68Ga-DOTATATE"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-131A3", "SRT", "^68^Gallium"
    dose.RadionuclideCodeSequence = [code]
    dataset.RadiopharmaceuticalInformationSequence = [dose]
    return dataset


def _functional_groups(dataset: Dataset, frames: int, segment: bool) -> Dataset:
    """Move the plane of an image into functional groups."""
    for word in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, word)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [2.0, 1.5], 5.0, 5.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.NumberOfFrames = frames
    groups = []
    for k in range(frames):
        frame, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-10.0, -20.0, 5.0 * k]
        content.FrameAcquisitionDateTime, content.TemporalPositionIndex = "20260102101500.5", 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        own = Dataset()
        if segment:
            own.ReferencedSegmentNumber = 1 + k % 2
            frame.SegmentIdentificationSequence = [own]
        else:
            own.EffectiveEchoTime = 60.0
            frame.MREchoSequence = [own]
        groups.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def _enhanced() -> Dataset:
    dataset = _image("MR")
    pixels = dataset.PixelData
    dataset.PixelData = pixels * 3
    return _functional_groups(dataset, 3, segment=False)


def _segmentation(kind: str) -> Dataset:
    dataset = _image("SEG")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66." + ("7" if kind == "LABELMAP" else "4")
    dataset.SegmentationType, dataset.MaximumFractionalValue = kind, 255
    bits = 1 if kind == "BINARY" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    one = np.tile(np.array([0, 1, 1, 0], np.uint8), 288)
    dataset.PixelData = np.packbits(np.tile(one, 3), bitorder="little").tobytes() if bits == 1 else one.tobytes() * 3
    dataset.SegmentSequence = []
    for number, label in enumerate(("liver", "lesion"), start=1):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, label
        dataset.SegmentSequence.append(segment)
    return _functional_groups(dataset, 3, segment=True)


def _structure_set() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "2.25.5"
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID, dataset.Modality = "2.25.51", "2.25.7", "RTSTRUCT"
    roi, contours, contour = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 3, "liver", "2.25.6"
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    contour.ContourData = [-8.0, -15, 10, 9, -15, 10, 9, 12, 10, -8, 12, 10]
    contours.ReferencedROINumber, contours.ContourSequence = 3, [contour]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [contours]
    return dataset


def encoded(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The object as a file's content; the data set must not be used afterwards."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _made_seeds() -> Iterator[Seed]:
    syntaxes: dict[str, str] = {
        "explicit": ExplicitVRLittleEndian,
        "implicit": ImplicitVRLittleEndian,
        "big endian": ExplicitVRBigEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
        "RLE": RLELossless,
        "JPEG-LS": JPEGLSLossless,
        "JPEG 2000": JPEG2000Lossless,
    }
    for name, syntax in syntaxes.items():
        yield from _dicom_seeds(f"made CT {name}", encoded(_image(), syntax))
    yield from _dicom_seeds("made PET", encoded(_pet()))
    yield from _dicom_seeds("made enhanced MR", encoded(_enhanced()))
    yield from _dicom_seeds("made enhanced MR RLE", encoded(_enhanced(), RLELossless))
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        yield from _dicom_seeds(f"made SEG {kind}", encoded(_segmentation(kind)))
    yield from _dicom_seeds("made RTSTRUCT", encoded(_structure_set()))


def _nifti_seeds() -> Iterator[Seed]:
    values = np.arange(360, dtype=np.int16).reshape(10, 9, 4) % 5
    for kind in (np.int16, np.float32, np.uint8):
        content = nibabel.Nifti1Image(values.astype(kind), np.diag([1.5, 1.5, 4.0, 1.0])).to_bytes()
        yield Seed(f"made {kind.__name__}.nii", "nifti", content)
        yield Seed(f"made {kind.__name__}.nii.gz", "nifti", gzip.compress(content, mtime=0))


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def _tar(members: dict[str, bytes], mode: Any) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _archive_seeds() -> Iterator[Seed]:
    members = {f"a/{n}.dcm": encoded(_image(number=n)) for n in range(1, 4)} | {"readme.txt": b"exported by nobody"}
    yield Seed("made.zip", "archive", _zip(members))
    yield Seed("made stored.zip", "archive", _zip(members, zipfile.ZIP_STORED))
    yield Seed("made lzma.zip", "archive", _zip(members, zipfile.ZIP_LZMA))
    yield Seed("made bz2.zip", "archive", _zip(members, zipfile.ZIP_BZIP2))
    yield Seed("nested.zip", "archive", _zip({"inner.zip": _zip(members), "b.tar": _tar(members, "w")}))
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        yield Seed(f"made.tar {mode}", "archive", _tar(members, mode))


def all_seeds(*, shared: bool = True) -> tuple[Seed, ...]:
    """Every seed, in a stable order; without ``shared`` only what every machine has."""
    found = [*_made_seeds(), *_nifti_seeds(), *_archive_seeds(), *_pydicom_seeds()]
    if shared and SHARED_DATA.is_dir():
        found += _shared_seeds()
    return tuple(found)
