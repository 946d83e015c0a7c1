"""PET and CT series as the three big vendors write them, each with its own way to state the activity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.simulate.objects import (
    Equipment,
    Examination,
    FileNames,
    base_dataset,
    code,
    ds,
    place_slice,
    save,
    set_pixels,
)

__all__ = [
    "NUCLIDES",
    "PET_EQUIPMENT",
    "TRACERS",
    "PetAcquisition",
    "Tracer",
    "without_attenuation_correction",
    "write_ct",
    "write_pet",
]

PET_STORAGE = "1.2.840.10008.5.1.4.1.1.128"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

#: Half-life (s), positron fraction, SCT code and its meaning.
NUCLIDES = {
    "Ga-68": (4057.74, 0.89, "35337001", "^68^Gallium"),
    "F-18": (6586.2, 0.967, "77004003", "^18^Fluorine"),
    "Cu-64": (45721.0, 0.176, "3932008", "^64^Copper"),
}


@dataclass(frozen=True, slots=True)
class Tracer:
    """A radiopharmaceutical: the text a console writes, its nuclide and a usual activity in Bq."""

    text: str
    nuclide: str
    dose_bq: float
    ssr: bool = True


TRACERS = {
    "68Ga-DOTATATE": Tracer("68Ga-DOTATATE", "Ga-68", 165e6),
    "68Ga-DOTATOC": Tracer("Ga-68 DOTATOC", "Ga-68", 148e6),
    "64Cu-DOTATATE": Tracer("Copper Cu 64 dotatate", "Cu-64", 148e6),
    "18F-SiTATE": Tracer("18F-SiFAlin-TATE", "F-18", 190e6),
    "18F-FDG": Tracer("Fluorodeoxyglucose", "F-18", 250e6, ssr=False),
}
PET_EQUIPMENT = {
    "siemens": Equipment("SIEMENS", "Biograph64_mCT"),
    "ge": Equipment("GE MEDICAL SYSTEMS", "Discovery 690", implicit_vr=True),
    "philips": Equipment("Philips Medical Systems", "Ingenuity TF PET/CT"),
}
#: Slices a bed position adds, and how long it takes.
BED_SLICES = 27
BED_SECONDS = 180.0
#: The CT leads the PET; the console states the series' start some seconds before the first bed.
SERIES_LEAD_SECONDS = 1.4


@dataclass(frozen=True, slots=True)
class PetAcquisition:
    """How one PET was acquired and what its header hides.

    ``vendor`` siemens | ge | philips; ``decay`` START | NONE; ``injected`` the true administration; ``dose_in_mbq``
    writes the dose in the wrong unit; ``time_only`` leaves the start date-time out (a midnight needs thought);
    ``late_series_time`` sets the series time to the reconstruction's; ``private_reference`` writes GE (0009,100D).
    """

    vendor: str
    tracer: Tracer
    injected: datetime
    start: datetime
    decay: str = "START"
    units: str = "BQML"
    dose_in_mbq: bool = False
    time_only: bool = False
    late_series_time: bool = False
    private_reference: bool = False

    @property
    def decay_constant(self) -> float:
        """λ in 1/s."""
        return float(np.log(2) / NUCLIDES[self.tracer.nuclide][0])


def _bed_start(acquisition: PetAcquisition, order: int) -> datetime:
    """Acquisition time of the bed that holds slice ``order`` (0 = first scanned, at the thighs)."""
    return acquisition.start + timedelta(seconds=SERIES_LEAD_SECONDS + BED_SECONDS * (order // BED_SLICES))


def _activity_per_suv(acquisition: PetAcquisition, weight_kg: float, bed: datetime) -> float:
    """What a SUV of 1 is in Bq/mL, in the convention of the header's Decay Correction (PS3.3 C.8.9.1)."""
    rate = acquisition.decay_constant
    injected = acquisition.tracer.dose_bq / (weight_kg * 1000.0)
    if acquisition.decay == "START":
        return float(injected * np.exp(-rate * (acquisition.start - acquisition.injected).total_seconds()))
    mean = (1 - np.exp(-rate * BED_SECONDS)) / (rate * BED_SECONDS)
    return float(injected * mean * np.exp(-rate * (bed - acquisition.injected).total_seconds()))


def _radiopharmaceutical(acquisition: PetAcquisition) -> Dataset:
    half_life, fraction, sct, meaning = NUCLIDES[acquisition.tracer.nuclide]
    item = Dataset()
    item.Radiopharmaceutical = acquisition.tracer.text
    item.RadiopharmaceuticalRoute = "IV"
    dose = acquisition.tracer.dose_bq
    item.RadionuclideTotalDose = ds(dose / 1e6 if acquisition.dose_in_mbq else dose)
    item.RadionuclideHalfLife, item.RadionuclidePositronFraction = ds(half_life), ds(fraction)
    item.RadiopharmaceuticalStartTime = acquisition.injected.strftime("%H%M%S.%f")
    if not acquisition.time_only:
        item.RadiopharmaceuticalStartDateTime = acquisition.injected.strftime("%Y%m%d%H%M%S.%f")
    item.RadionuclideCodeSequence = [code(sct, "SCT", meaning)]
    return item


def _corrections(acquisition: PetAcquisition, attenuated: bool) -> list[str]:
    found = {
        "ge": ["DTIM", "SCAT", "RANSNG", "DCAL", "SLSENS", "NORM"],
        "siemens": ["NORM", "DTIM", "SCAT", "RADL", "RAN"],
        "philips": ["RADL", "SCAT", "DTIM", "RAN", "NORM"],
    }[acquisition.vendor]
    if acquisition.decay != "NONE":
        found = ["DECY", *found]
    return found if attenuated else [*found[:1], "ATTN", *found[1:]]


def _series_dataset(
    exam: Examination,
    acquisition: PetAcquisition,
    series: str,
    number: int,
    description: str,
    slices: int,
    attenuated: bool,
) -> Dataset:
    stated = acquisition.start + timedelta(minutes=24) if acquisition.late_series_time else acquisition.start
    data = base_dataset(exam, PET_STORAGE, "PT", series, number, description, stated)
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.SeriesType = ["WHOLE BODY", "IMAGE"]
    data.Units, data.CountsSource, data.DecayCorrection = acquisition.units, "EMISSION", acquisition.decay
    data.CorrectedImage = _corrections(acquisition, attenuated)
    data.RandomsCorrectionMethod, data.ScatterCorrectionMethod = "DLYD", "Model-based"
    data.AttenuationCorrectionMethod = "NONE" if attenuated else "measured,AC CT"
    data.ReconstructionMethod = {"ge": "VPFX-S", "siemens": "PSF+TOF 2i21s", "philips": "BLOB-OS-TF"}[
        acquisition.vendor
    ]
    data.ConvolutionKernel = {"ge": "Body", "siemens": "XYZ Gauss4.00", "philips": ""}[acquisition.vendor]
    data.CollimatorType, data.NumberOfSlices = "NONE", slices
    data.ActualFrameDuration = int(BED_SECONDS * 1000)
    data.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical(acquisition)]
    if acquisition.vendor == "ge" and acquisition.private_reference:
        block = data.private_block(0x0009, "GEMS_PETD_01", create=True)
        block.add_new(0x0D, "DT", acquisition.start.strftime("%Y%m%d%H%M%S.%f"))
    return data


def _slice_times(data: Dataset, acquisition: PetAcquisition, bed: datetime) -> None:
    rate = acquisition.decay_constant
    data.AcquisitionDate, data.AcquisitionTime = bed.strftime("%Y%m%d"), bed.strftime("%H%M%S.%f")
    data.ContentDate, data.ContentTime = data.AcquisitionDate, data.AcquisitionTime
    offset = (bed - acquisition.start).total_seconds()
    frame_mean = np.log(rate * BED_SECONDS / (1 - np.exp(-rate * BED_SECONDS))) / rate
    reference = offset if acquisition.vendor == "ge" else offset + frame_mean
    data.FrameReferenceTime = ds(reference * 1000)
    within = rate * BED_SECONDS / (1 - np.exp(-rate * BED_SECONDS))
    data.DecayFactor = ds(1.0 if acquisition.decay == "NONE" else float(np.exp(rate * offset) * within))


def write_pet(
    exam: Examination,
    acquisition: PetAcquisition,
    suv: Volume,
    weight_kg: float,
    names: FileNames,
    series: str,
    number: int,
    description: str,
    philips_suv_factor: bool = False,
    attenuated: bool = False,
) -> str:
    """Write a PET series; returns its Series Instance UID.

    ``suv`` is in g/mL for the true ``weight_kg``. Slopes differ per slice. Philips CNTS images carry the activity
    factor (7053,1009), and with ``philips_suv_factor`` also (7053,1000). ``attenuated`` marks a NAC series.
    """
    count = suv.grid.shape[2]
    data = _series_dataset(exam, acquisition, series, number, description, count, attenuated)
    counts_per_activity = 1 / 1.602563 if acquisition.units == "CNTS" else 1.0
    if acquisition.units == "CNTS":
        block = data.private_block(0x7053, "Philips PET Private Group", create=True)
        factor = counts_per_activity * _activity_per_suv(acquisition, weight_kg, acquisition.start)
        block.add_new(0x00, "DS", f"{1 / factor:.9g}" if philips_suv_factor else "0")
        block.add_new(0x09, "DS", f"{1 / counts_per_activity:.6f}")
    for k in range(count):
        bed = _bed_start(acquisition, k)
        plane = suv.values[:, :, k].T * (_activity_per_suv(acquisition, weight_kg, bed) * counts_per_activity)
        slope = float(ds(max(float(plane.max()), 1.0) / 32000.0))
        place_slice(data, suv.grid, k, exam.frame_uid)
        _slice_times(data, acquisition, bed)
        data.SliceThickness = ds(suv.grid.spacing[2])
        data.InstanceNumber, data.ImageIndex = count - k, count - k
        data.RescaleSlope, data.RescaleIntercept = ds(slope), ds(0)
        set_pixels(data, np.round(plane / slope).astype(np.int16), signed=True)
        save(data, names.next(series), (exam.key, series, k), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_ct(
    exam: Examination,
    ct: Volume,
    when: datetime,
    names: FileNames,
    series: str,
    number: int,
    description: str,
) -> str:
    """Write the low-dose CT of a PET/CT; returns its Series Instance UID."""
    data = base_dataset(exam, CT_STORAGE, "CT", series, number, description, when)
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.AcquisitionDate, data.AcquisitionTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    data.KVP, data.ConvolutionKernel, data.RescaleType = ds(120), "B30f", "HU"
    data.RescaleIntercept, data.RescaleSlope = ds(-1024), ds(1)
    data.SliceThickness = ds(ct.grid.spacing[2])
    count = ct.grid.shape[2]
    for k in range(count):
        place_slice(data, ct.grid, k, exam.frame_uid)
        data.InstanceNumber = count - k
        stored: NDArray[np.uint16] = np.clip(np.round(ct.values[:, :, k].T + 1024), 0, 4095).astype(np.uint16)
        set_pixels(data, stored, signed=False, bits_stored=12)
        save(data, names.next(series), (exam.key, series, k), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def without_attenuation_correction(suv: Volume) -> Volume:
    """What a PET without attenuation correction looks like: the deep liver fades, the skin shines."""
    depth = np.minimum(np.arange(suv.grid.shape[1]), np.arange(suv.grid.shape[1])[::-1]) * suv.grid.spacing[1]
    fade = np.exp(-np.clip(depth, 0, 100) / 60.0).astype(np.float32)
    return Volume(suv.values * fade[None, :, None], suv.grid, Unit.SUVBW)
