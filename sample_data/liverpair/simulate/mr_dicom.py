"""MR series as the three big vendors write them: names of phases, b-values in private tags, several b in a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset

from liverpair.core.volume import Volume
from liverpair.simulate.objects import (
    Equipment,
    Examination,
    FileNames,
    base_dataset,
    ds,
    place_slice,
    save,
    set_pixels,
)

__all__ = ["DESCRIPTIONS", "MINUTES", "MR_EQUIPMENT", "b_value_images", "write_diffusion", "write_dynamic", "write_mr"]

MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
MR_EQUIPMENT = {
    "siemens": Equipment("SIEMENS", "MAGNETOM Avanto"),
    "ge": Equipment("GE MEDICAL SYSTEMS", "Optima MR450w"),
    "philips": Equipment("Philips Medical Systems", "Ingenia"),
}
#: Series descriptions by vendor and role.
DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "siemens": {
        "mr-t1-native": "t1_vibe_fs_tra_bh_nativ",
        "mr-arterial": "t1_vibe_fs_tra_bh_art",
        "mr-portal": "t1_vibe_fs_tra_bh_pv",
        "mr-hbp": "t1_vibe_fs_tra_bh_20min",
        "mr-t2": "t2_haste_fs_tra_mbh",
        "mr-dwi": "ep2d_diff_b50_400_800_tra",
        "mr-adc": "ep2d_diff_b50_400_800_tra_ADC",
    },
    "ge": {
        "mr-t1-native": "Ax LAVA Flex pre",
        "mr-arterial": "Ax LAVA Flex arterial",
        "mr-portal": "Ax LAVA Flex portal venous",
        "mr-hbp": "Ax LAVA Flex HBP delayed 20 min",
        "mr-t2": "Ax T2 FRFSE FS RTr",
        "mr-dwi": "Ax DWI b50/400/800",
        "mr-adc": "Apparent Diffusion Coefficient (mm2/s)",
    },
    "philips": {
        "mr-t1-native": "eTHRIVE nativ",
        "mr-arterial": "eTHRIVE art",
        "mr-portal": "eTHRIVE pv",
        "mr-hbp": "eTHRIVE hepatobiliaer 20min",
        "mr-t2": "T2W_TSE_SPAIR_RT",
        "mr-dwi": "DWI_3b_RT",
        "mr-adc": "dADC",
    },
}
#: Repetition, echo (ms), flip angle, sequence class.
TIMING = {
    "t1": (3.8, 1.4, 12.0, "GR"),
    "t2": (2200.0, 84.0, 150.0, "SE"),
    "dwi": (4200.0, 66.0, 90.0, ["SE", "EP"]),
}
#: Minutes after the examination's start (contrast is given at 12 min).
MINUTES = {
    "mr-t2": 4,
    "mr-t1-native": 10,
    "mr-arterial": 12.5,
    "mr-portal": 13.3,
    "mr-dwi": 18,
    "mr-adc": 18,
    "mr-hbp": 33,
}
B_VALUES = (50, 400, 800)


def b_value_images(dwi: Volume, adc: Volume) -> dict[int, Volume]:
    """The lower b-values' images implied by b 800 and the ADC (mono-exponential)."""
    rate = np.clip(adc.values, 0, 3200) * np.float32(1e-6)
    return {b: Volume(dwi.values * np.exp(np.float32(800 - b) * rate), dwi.grid) for b in B_VALUES}


def _series(exam: Examination, vendor: str, role: str, series: str, number: int, thickness: float) -> Dataset:
    when = exam.start + timedelta(minutes=MINUTES[role])
    data = base_dataset(exam, MR_STORAGE, "MR", series, number, DESCRIPTIONS[vendor][role], when)
    kind = "t2" if role == "mr-t2" else "dwi" if role in ("mr-dwi", "mr-adc") else "t1"
    tr, te, flip, scanning = TIMING[kind]
    data.RepetitionTime, data.EchoTime, data.FlipAngle, data.ScanningSequence = (
        ds(tr),
        ds(te),
        ds(flip),
        scanning,
    )
    data.SequenceVariant, data.ScanOptions, data.MRAcquisitionType = (
        "SK",
        "FS",
        "3D" if kind == "t1" else "2D",
    )
    data.MagneticFieldStrength, data.EchoTrainLength, data.SliceThickness = ds(1.5), 1, ds(thickness)
    data.ProtocolName = DESCRIPTIONS[vendor][role]
    data.ImageType = (
        ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"] if role == "mr-adc" else ["ORIGINAL", "PRIMARY", "M", "NORM"]
    )
    if vendor == "philips":
        data.ImageType = (
            ["DERIVED", "PRIMARY", "ADC", "ADC"]
            if role == "mr-adc"
            else ["ORIGINAL", "PRIMARY", "M_SE" if kind != "t1" else "M_FFE", "M"]
        )
    if role in ("mr-arterial", "mr-portal", "mr-hbp"):
        data.ContrastBolusAgent = "Primovist" if vendor != "ge" else "Eovist 10 ml"
    _stamp(data, when)
    return data


def _stamp(data: Dataset, when: datetime) -> None:
    data.AcquisitionDate, data.AcquisitionTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    data.ContentDate, data.ContentTime = data.AcquisitionDate, data.AcquisitionTime


def _slice(data: Dataset, exam: Examination, image: Volume, k: int) -> None:
    place_slice(data, image.grid, k, exam.frame_uid)
    data.SpacingBetweenSlices = ds(image.grid.spacing[2])
    plane = np.clip(np.round(image.values[:, :, k].T), 0, 4095).astype(np.uint16)
    set_pixels(data, plane, signed=False, bits_stored=12)


def write_mr(
    exam: Examination,
    vendor: str,
    role: str,
    image: Volume,
    thickness_mm: float,
    names: FileNames,
    number: int,
) -> str:
    """Write one MR volume as one series; returns its Series Instance UID."""
    data = _series(exam, vendor, role, role, number, thickness_mm)
    for k in range(image.grid.shape[2]):
        _slice(data, exam, image, k)
        data.InstanceNumber, data.AcquisitionNumber = k + 1, 1
        save(data, names.next(role), (exam.key, role, k), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_dynamic(
    exam: Examination,
    vendor: str,
    phases: Sequence[tuple[str, Volume]],
    thickness_mm: float,
    names: FileNames,
    number: int,
) -> str:
    """Write several contrast phases into one series, told apart by time and temporal position."""
    data = _series(exam, vendor, phases[0][0], "dynamic", number, thickness_mm)
    data.SeriesDescription = {
        "siemens": "t1_vibe_fs_tra_dyn",
        "ge": "Ax LAVA Flex multiphase",
        "philips": "eTHRIVE dyn",
    }[vendor]
    instance = 0
    for phase, (role, image) in enumerate(phases):
        _stamp(data, exam.start + timedelta(minutes=MINUTES[role]))
        data.TemporalPositionIdentifier, data.NumberOfTemporalPositions = phase + 1, len(phases)
        data.AcquisitionNumber = phase + 1
        for k in range(image.grid.shape[2]):
            instance += 1
            _slice(data, exam, image, k)
            data.InstanceNumber = instance
            save(data, names.next("dynamic"), (exam.key, "dynamic", phase, k), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def _state_b_value(data: Dataset, vendor: str, b: int) -> None:
    """The b-value where the vendor keeps it; Siemens of that age has no standard attribute, GE adds 10⁹."""
    if vendor == "siemens":
        data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", str(b))
        data.SequenceName = f"*ep_b{b}t"
    elif vendor == "ge":
        block = data.private_block(0x0043, "GEMS_PARM_01", create=True)
        block.add_new(0x39, "IS", [str(1_000_000_000 + b), "8", "0", "0"])
    else:
        data.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", float(b))
        data.DiffusionBValue = float(b)


def write_diffusion(
    exam: Examination,
    vendor: str,
    images: Mapping[int, Volume],
    thickness_mm: float,
    names: FileNames,
    number: int,
) -> str:
    """Write all b-values into one series, slice by slice; returns its Series Instance UID."""
    first = next(iter(images.values()))
    data = _series(exam, vendor, "mr-dwi", "mr-dwi", number, thickness_mm)
    instance = 0
    for k in range(first.grid.shape[2]):
        for b, image in images.items():
            instance += 1
            _slice(data, exam, image, k)
            _state_b_value(data, vendor, b)
            data.InstanceNumber, data.AcquisitionNumber = instance, 1
            save(data, names.next("mr-dwi"), (exam.key, "mr-dwi", b, k), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)
