"""Read the tables of series under tests/data/roles into whole studies of plain headers, with the roles they deserve.

A block "== name | vendor | defaults" is one study; a line "time | kind | description | roles | overrides" one series.
``kind`` names a sequence (``KINDS``), for diffusion with its b-values ("dwi:0,800"). Several roles on a line mean
several stacks in one series, told apart by ``key``. Overrides are "KEY=value" with the abbreviations of ``SHORT``;
"-" removes an attribute and a backslash separates values, as in DICOM.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.dicom.records import InstanceRecord, SeriesRecord

from tests.vendor_headers import MANUFACTURERS, ct, joined, pet, series

TABLES = Path(__file__).parent / "data" / "roles"

SHORT = {
    "TE": "EchoTime", "TR": "RepetitionTime", "FA": "FlipAngle", "TI": "InversionTime", "b": "DiffusionBValue",
    "SN": "SequenceName", "IT": "ImageType", "CA": "ContrastBolusAgent", "CS": "ContrastBolusStartTime",
    "BP": "BodyPartExamined", "SD": "StudyDescription", "PN": "ProtocolName", "SS": "ScanningSequence",
    "SV": "SequenceVariant", "AC": "AcquisitionContrast", "EP": "EchoPulseSequence", "CI": "CorrectedImage",
    "AM": "AttenuationCorrectionMethod", "K": "ConvolutionKernel", "AD": "AcquisitionDate", "ST": "SeriesType",
    "n": "slices", "MF": "MagneticFieldStrength", "ETL": "EchoTrainLength", "IC": "ImageComments",
    "TRES": "TemporalResolution", "SO": "ScanOptions", "MAT": "MRAcquisitionType", "U": "Units",
}  # fmt: skip
NUMBERS = {"TE", "TR", "FA", "TI", "b", "n", "MF", "ETL", "TRES"}
LISTS = {"IT", "SS", "SV", "CI", "ST", "SO"}
VENDORS = MANUFACTURERS | {
    "plain": None,
    "xa": "Siemens Healthineers",
    "phe": "Philips",
    "hitachi": "Hitachi Medical Corporation",
}


def _gre(vendor: str) -> dict[str, Any]:
    """A fat-suppressed 3D spoiled gradient echo."""
    timing = {
        "siemens": ("GR", ["SK", "SP"], 3.4, 1.3, 9, "*fl3d1"), "ge": ("GR", ["SS", "SP", "SK"], 4.0, 1.9, 12, None),
        "philips": ("GR", ["MP"], 3.6, 1.7, 10, None), "canon": ("GR", ["SP"], 5.4, 2.5, 12, "FFE3D_QUICK3D"),
        "toshiba": ("GR", ["SP"], 5.4, 2.5, 12, "FFE3D"), "uih": ("GR", ["SP", "SK"], 3.3, 1.5, 10, "gre_quick3d"),
        "hitachi": ("GR", ["SP"], 4.4, 2.1, 12, None), "xa": (None, None, 3.9, 1.2, 9, "*fl3d2_hh"),
        "phe": (None, None, 3.7, 1.3, 10, None),
    }[vendor]  # fmt: skip
    enhanced = {"EchoPulseSequence": "GRADIENT", "AcquisitionContrast": "T1"} if vendor in ("xa", "phe") else {}
    return {
        "ScanningSequence": [timing[0]] if timing[0] else None, "SequenceVariant": timing[1],
        "RepetitionTime": timing[2],
        "EchoTime": timing[3], "FlipAngle": timing[4], "SequenceName": timing[5], "MRAcquisitionType": "3D",
        "slices": 64, "step": 3.0, **({"InversionTime": 7.0} if vendor == "ge" else {}), **enhanced,
    }  # fmt: skip


def _spin(vendor: str, te: float, tr: float, train: int, **more: Any) -> dict[str, Any]:
    """A T2-weighted fast spin echo."""
    enhanced = vendor in ("xa", "phe")
    own: dict[str, Any] = {
        "ScanningSequence": None if enhanced else ["SE"], "SequenceVariant": None if enhanced else ["SK"],
        "RepetitionTime": tr, "EchoTime": te, "FlipAngle": 90, "EchoTrainLength": train, "MRAcquisitionType": "2D",
        "slices": 36, "step": 6.0,
    }  # fmt: skip
    if enhanced:
        own |= {"EchoPulseSequence": "SPIN", "AcquisitionContrast": "T2"}
    return own | more


def _other_gre(te: float, tr: float, fa: float, variant: list[str], **more: Any) -> dict[str, Any]:
    return {
        "ScanningSequence": ["GR"], "SequenceVariant": variant, "EchoTime": te, "RepetitionTime": tr, "FlipAngle": fa,
        "slices": 40, "step": 5.0, **more,
    }  # fmt: skip


def _diffusion(vendor: str, b: float | None) -> dict[str, Any]:
    codes = {"siemens": ["EP"], "ge": ["EP", "SE"], "philips": ["SE"], "canon": ["SE"], "uih": ["EP", "SE"]}
    types = {"siemens": ["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW", "NORM"], "ge": ["ORIGINAL", "PRIMARY", "OTHER"],
             "philips": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
             "xa": ["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"]}  # fmt: skip
    return {
        "ScanningSequence": codes.get(vendor), "RepetitionTime": 6000.0, "EchoTime": 58.0, "FlipAngle": 90,
        "DiffusionBValue": b, "ImageType": types.get(vendor, ["ORIGINAL", "PRIMARY"]), "slices": 40, "step": 6.0,
        **({"EchoPulseSequence": "SPIN", "AcquisitionContrast": "DIFFUSION"} if vendor in ("xa", "phe") else {}),
    }  # fmt: skip


def _adc(vendor: str, word: str) -> dict[str, Any]:
    types = {
        "siemens": ["DERIVED", "PRIMARY", "DIFFUSION", word],
        "xa": ["DERIVED", "PRIMARY", "DIFFUSION", word],
        "philips": ["DERIVED", "PRIMARY", word, word, "UNSPECIFIED"],
        "ge": ["DERIVED", "SECONDARY", "COMBINED"],
    }
    return _diffusion(vendor, None) | {"ImageType": types.get(vendor, ["DERIVED", "SECONDARY", word])}


def _dixon(vendor: str, part: str) -> dict[str, Any]:
    codes = {"W": "WATER", "F": "FAT", "IP": "IN_PHASE", "OP": "OPP_PHASE"}
    types = ["ORIGINAL", "PRIMARY", part, part, "DERIVED"] if vendor in ("philips", "phe") else None
    return _gre(vendor) | {"ImageType": types or ["DERIVED", "PRIMARY", "DIXON", codes[part], "NORM"]}


def _parts(vendor: str, kind: str) -> list[dict[str, Any]]:
    """The header facts of each stack of a series of this kind."""
    name, _, argument = kind.partition(":")
    if name in ("dwi", "dwiseq", "calcb"):
        parts = []
        for word in argument.split(","):
            b = None if word == "-" else float(word)
            own = _diffusion(vendor, b)
            if name == "dwiseq":
                own |= {"DiffusionBValue": None, "SequenceName": f"*ep_b{word}t"}
            if name == "calcb":
                own |= {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE", "NORM"]}
            parts.append(own)
        return parts
    if name == "dwiorder":
        return [_diffusion(vendor, None)] * int(argument)
    if name == "dwidir":
        axes = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
        types = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
        return [
            _diffusion(vendor, float(argument)) | {"DiffusionGradientOrientation": a, "ImageType": types} for a in axes
        ]
    if name == "opin":
        return [_other_gre(te, 120.0, 70, ["SP"]) for te in (2.4, 4.8)]
    if name == "ideal":
        return [_other_gre(1.2 + 1.0 * k, 12.0, 3, ["SP"], MRAcquisitionType="3D") for k in range(6)]
    if name == "mdix":
        return [_dixon(vendor, part) for part in ("W", "F", "IP", "OP")]
    if name == "qflow":
        facts = _other_gre(5.0, 15.0, 15, ["SP"])
        return [facts | {"ImageType": ["ORIGINAL", "PRIMARY", *t]} for t in (("M_FFE", "M"), ("PHASE MAP", "P"))]
    return [_single(vendor, name)]


def _single(vendor: str, name: str) -> dict[str, Any]:
    if name in ("vibe", "lava", "thrive", "quick"):
        own = _gre(vendor)
        return own | ({"ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]} if vendor == "philips" else {})
    if name.startswith("vibe"):
        return _dixon(vendor, name.removeprefix("vibe"))
    if name in ("adc", "eadc"):
        return _adc(vendor, name.upper())
    return {
        "loc": _other_gre(3.0, 7.0, 20, ["SP"], slices=9),
        "cal": _other_gre(1.0, 4.0, 5, ["SP"]),
        "haste": _spin(vendor, 92.0, 1400.0, 150), "ssfse": _spin(vendor, 90.0, 1100.0, 1),
        "tse": _spin(vendor, 84.0, 3200.0, 17), "frfse": _spin(vendor, 88.0, 9230.0, 16),
        "mrcp": _spin(vendor, 703.0, 2500.0, 120), "se": _spin(vendor, 12.0, 600.0, 1, AcquisitionContrast=None),
        "trufi": _other_gre(1.9, 4.3, 60, ["SK", "SS"]), "fiesta": _other_gre(1.6, 3.9, 50, ["SS", "SK"]),
        "btfe": _other_gre(1.5, 3.1, 60, ["SS"]), "ssfp": _other_gre(2.2, 4.4, 70, ["SS"]),
        "swi": _other_gre(20.0, 28.0, 15, ["SP"]), "b1": _other_gre(2.2, 7000.0, 8, ["SP"]),
        "tof": _other_gre(3.6, 21.0, 25, ["SP", "TOF"]), "cine": _other_gre(1.5, 40.0, 60, ["SS", "SK"]),
        "mre": _other_gre(20.0, 50.0, 20, ["SP"]),
        "map": _other_gre(2.0, 12.0, 4, ["SP"], ImageType=["DERIVED", "SECONDARY"]),
        "ssc": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "slices": 1},
        "ssfsemip": _spin(vendor, 703.0, 2500.0, 120, ImageType=["DERIVED", "SECONDARY", "MIP"]),
        "rgb": {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "ImageType": ["DERIVED", "SECONDARY"]},
        "plain": {"slices": 40},
    }[name]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One series of a study: where it stands in the table, its headers, the roles of its stacks, its coverage."""

    where: str
    record: SeriesRecord
    roles: tuple[str, ...]
    covers: str


def _overrides(text: str) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)


def _header(settings: dict[str, str]) -> dict[str, Any]:
    header: dict[str, Any] = {}
    for short, value in settings.items():
        if short not in SHORT:
            continue
        if value == "-":
            header[SHORT[short]] = None
        elif short in LISTS or "\\" in value:
            header[SHORT[short]] = value.split("\\")
        else:
            header[SHORT[short]] = float(value) if short in NUMBERS else value
    if isinstance(header.get("slices"), float):
        header["slices"] = int(header["slices"])
    return header


def _plus(clock: str, seconds: float) -> str:
    total = int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:6]) + seconds
    return f"{int(total // 3600):02d}{int(total % 3600 // 60):02d}{int(total % 60):02d}"


def _moments(when: str, key: str) -> list[dict[str, Any]]:
    """What tells the phases of one series apart: their clock, their trigger time, or nothing but their order."""
    clock, _, offsets = when.partition(":")
    if not offsets:
        base, _, count = when.partition(" x")
        return [{"AcquisitionTime": base, "ContentTime": base}] * int(count or 1)
    found = []
    for number, offset in enumerate(map(float, offsets.split(",")), start=1):
        later = _plus(clock, offset)
        found.append(
            {
                "time": {"AcquisitionTime": later, "ContentTime": later},
                "trigger": {"AcquisitionTime": clock, "TriggerTime": 1000 * offset},
                "temporal": {"AcquisitionTime": later, "TemporalPositionIdentifier": number},
                "content": {"AcquisitionTime": clock, "ContentTime": later},
                "tempres": {"AcquisitionTime": clock, "TemporalPositionIdentifier": number},
            }[key]
        )
    return found


def _record(uid: str, when: str, kind: str, description: str, vendor: str, settings: dict[str, str]) -> SeriesRecord:
    header = {"SeriesDescription": description or None, "Manufacturer": VENDORS[vendor], "BodyPartExamined": "LIVER"}
    header |= {"AcquisitionDate": "20240310", "SeriesNumber": int(uid) + 1} | _header(settings)
    if kind in ("pet", "ct"):
        header |= {"AcquisitionTime": when}
        if settings.get("cor"):
            header["ImageOrientationPatient"] = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
            header["ImagePositionPatient"] = lambda k: [-400.0, -400.0 + 4.0 * k, 500.0]
        header.pop("BodyPartExamined")
        build = pet if kind == "pet" else ct
        parts = [build(uid, study="S", **header)]
        if settings.get("key") == "slot":
            parts = [build(uid, study="S", **header, TriggerTime=100.0 * k) for k in range(2)]
        return joined(*parts) if len(parts) > 1 else parts[0]
    if settings.get("cor"):
        header["ImageOrientationPatient"] = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
        header["ImagePositionPatient"] = lambda k: [-200.0, -90.0 + 3.0 * k, 200.0]
    if "fov" in settings:
        header["PixelSpacing"] = [float(settings["fov"]) / 256] * 2
    moments = [{}] if settings.get("noclock") else _moments(when, settings.get("key", ""))
    volumes = [series(uid, **(facts | moment | header)) for moment in moments for facts in _parts(vendor, kind)]
    return joined(*volumes) if len(volumes) > 1 else volumes[0]


def _shuffled(record: SeriesRecord, seed: int) -> SeriesRecord:
    """The frames of a series in another order, as an archive would deliver them."""
    order = sorted(range(len(record.instances)), key=lambda k: (k * 7919 + seed * 104729) % 1009)
    frames: tuple[InstanceRecord, ...] = tuple(record.instances[k] for k in order)
    return SeriesRecord(record.series_uid, record.study_uid, record.patient_id, frames)


def studies(table: str) -> Iterator[tuple[str, list[Row]]]:
    """The name and the series of every study of a table."""
    name, vendor, defaults = "", "", {}
    rows: list[Row] = []
    for line in (TABLES / table).read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            if rows:
                yield name, rows
            name, vendor, settings = (part.strip() for part in line[3:].split("|"))
            defaults, rows = _overrides(settings), []
        elif "|" in line and not line.startswith("#"):
            when, kind, description, roles, own = (part.strip() for part in line.split("|"))
            settings = defaults | _overrides(own)
            record = _record(str(len(rows)), when, kind, description, vendor, settings)
            expected = tuple(roles.split())
            where = f"{name}: {kind} {description!r} at {when}"
            rows.append(Row(where, _shuffled(record, len(rows)), expected, settings.get("COV", "")))
    if rows:
        yield name, rows
