"""Collect from PET headers the facts an SUV depends on: tolerant of spelling, strict about what is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any

from pydicom.dataset import Dataset

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.dates import Stamp, parse_date, parse_datetime, parse_offset, parse_time
from liverpair.dicom.frames import frame_datasets, is_enhanced
from liverpair.dicom.header_values import (
    decoded,
    is_list,
    item_datasets,
    number,
    private_text,
    text,
    texts,
    to_number,
    value,
)

__all__ = ["FrameFacts", "SeriesFacts", "read_frames", "read_series"]

#: Explicit decay references in order of trust (spec suv.md): name, group, private creator, element.
PRIVATE_REFERENCES = (
    ("siemens_0071_1022", 0x0071, "SIEMENS MED PT", 0x22),
    ("ge_0009_100d", 0x0009, "GEMS_PETD_01", 0x0D),
)
#: Attributes of value multiplicity 1 (PS3.6) that an SUV depends on: several values contradict each other.
SINGLE = (
    "PatientWeight", "PatientSize", "PatientSex", "Units", "SUVType", "DecayCorrection", "RescaleSlope",
    "RescaleIntercept", "DecayFactor", "ActualFrameDuration", "FrameReferenceTime", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "DecayCorrectionDateTime", "TimezoneOffsetFromUTC",
)  # fmt: skip
SINGLE_OF_INJECTION = (
    "RadionuclideTotalDose", "RadionuclideHalfLife", "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime"
)  # fmt: skip
#: No frame of a static PET is shorter; a smaller number is written in seconds, or is no duration.
SHORTEST_FRAME_MS = 1000.0
#: No frame lasts and no series spans longer than a month (¹⁷⁷Lu to its latest scan); a larger number is no time.
LONGEST_TIME_MS = 30 * 86400e3
GE_NAMES = ("GE ", "GE_", "GE-", "GEMS", "GEHC", "GENERAL ELECTRIC")
#: A Decay Factor further from 1 than this changed the pixels by more than the SUV's own tolerance.
APPLIED_DECAY = 0.01
#: One series has one explicit reference; its spelling may round to the minute.
REFERENCE_SPREAD = timedelta(minutes=1)
#: Facts in which all slices of one acquisition are alike.
ALIKE = ("units", "suv_type", "decay_correction", "weight", "size", "sex", "dose", "half_life_s", "start_datetime",
         "start_time")  # fmt: skip
PHILIPS = (0x7053, "Philips PET Private Group")
#: UCUM units of an Enhanced PET's real-world values → (Units, SUV Type) of the classic object.
UCUM_UNITS = {
    "bq/ml": ("BQML", ""),
    "{counts}": ("CNTS", ""),
    "g/ml{suvbw}": ("GML", "BW"),
    "{suvbw}g/ml": ("GML", "BW"),
    "g/ml{suvlbm}": ("GML", "LBM"),
    "{suvlbm}g/ml": ("GML", "LBM"),
    "g/ml{suvlbm(james128)}": ("GML", "LBMJAMES128"),
    "{suvlbm(james128)}g/ml": ("GML", "LBMJAMES128"),
    "g/ml{suvlbm(janma)}": ("GML", "LBMJANMA"),
    "{suvlbm(janma)}g/ml": ("GML", "LBMJANMA"),
    "g/ml{suvibw}": ("GML", "IBW"),
    "{suvibw}g/ml": ("GML", "IBW"),
    "cm2/ml{suvbsa}": ("CM2ML", "BSA"),
    "{suvbsa}cm2/ml": ("CM2ML", "BSA"),
}


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What one slice says; times in seconds, ``acquired`` is its start on the header's clock.

    ``is_image``: the header belongs to an image, and is no excerpt of one.
    """

    acquired: datetime | None
    duration_s: float | None
    frame_reference_s: float | None
    decay_factor: float | None
    slope: float | None
    intercept: float
    suv_scale: float | None
    activity_scale: float | None
    position: tuple[float, ...] | None
    real_world_slope: float | None = None
    real_world_intercept: float = 0.0
    is_image: bool = False


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the series says once; ``corrected`` holds the Corrected Image values, weight in the header's own number."""

    units: str
    suv_type: str
    decay_correction: str
    corrected: frozenset[str]
    attenuation_method: str
    series_type: tuple[str, ...]
    is_ge: bool
    is_enhanced: bool
    weight: float | None
    size: float | None
    sex: str
    dose: float | None
    doses: int
    half_life_s: float | None
    nuclide_codes: tuple[tuple[str, str, str], ...]
    start: datetime | None
    start_datetime: Stamp | None
    start_time: time | None
    stop_time: time | None
    explicit_references: dict[str, Stamp]
    offset: timedelta | None
    decay_factor_is_one: bool
    decay_factor_applied: bool
    promised_slices: float | None


def _offset(dataset: Dataset) -> timedelta | None:
    """The zone of the header's clock: Timezone Offset From UTC, else the one its acquisition date-time carries."""
    stated = parse_offset(text(dataset, "TimezoneOffsetFromUTC"))
    if stated is not None:
        return stated
    for keyword in ("FrameAcquisitionDateTime", "AcquisitionDateTime"):
        stamp = parse_datetime(text(dataset, keyword))
        if stamp is not None and stamp.offset is not None and _same_clock(dataset, stamp):
            return stamp.offset
    return None


def _same_clock(dataset: Dataset, stamp: Stamp) -> bool:
    """Whether the stamp's clock is the one that dates and times of the header are written in."""
    clock = parse_time(text(dataset, "AcquisitionTime"))
    return clock is None or (clock.hour, clock.minute) == (stamp.local.hour, stamp.local.minute)


def _moment(dataset: Dataset, keyword: str, day: str, clock: str, offset: timedelta | None) -> datetime | None:
    """A date-time attribute, or its date and time pair, on the header's clock."""
    stamp = parse_datetime(text(dataset, keyword)) if keyword else None
    if stamp is not None:
        both = stamp.offset is not None and offset is not None
        return stamp.local - stamp.offset + offset if both else stamp.local  # type: ignore[operator] # both: neither is None
    date_, time_ = parse_date(text(dataset, day)), parse_time(text(dataset, clock))
    return datetime.combine(date_, time_) if date_ and time_ else None


def _acquired(dataset: Dataset, offset: timedelta | None, start: datetime | None) -> datetime | None:
    """Start of the frame; without Acquisition Date the series' date, or the day after where midnight passed."""
    pair = _moment(dataset, "", "AcquisitionDate", "AcquisitionTime", offset)
    if pair is not None and value(dataset, "FrameAcquisitionDateTime") is None:
        return pair
    moment = _moment(dataset, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", offset)
    clock = parse_time(text(dataset, "AcquisitionTime"))
    if moment is not None or clock is None or start is None:
        return moment
    moment = datetime.combine(start.date(), clock)
    return moment + timedelta(days=1) if moment < start - timedelta(hours=12) else moment


def _frames_of(dataset: Dataset) -> list[Dataset]:
    """The header of each frame; a classic single-frame object is its own only frame."""
    return frame_datasets(dataset) if is_enhanced(dataset) else [dataset]


def read_frames(datasets: Sequence[Dataset]) -> tuple[FrameFacts, ...]:
    """Facts of every slice, in the order given; the frames of an enhanced object count one by one."""
    return tuple(_frame(frame) for dataset in datasets for frame in _frames_of(dataset))


def _refuse_several(dataset: Dataset, keywords: Sequence[str]) -> None:
    """Refuse an attribute that may have one value only and has several different ones."""
    for keyword in keywords:
        found = value(dataset, keyword)
        if is_list(found) and len({decoded(item) for item in found}) > 1:
            raise SuvRefusal("value_ambiguous", f"{keyword} holds {len(found)} values where one is allowed; correct it")


def _frame(frame: Dataset) -> FrameFacts:
    offset = _offset(frame)
    start = _moment(frame, "", "SeriesDate", "SeriesTime", offset)
    duration, reference = number(frame, "ActualFrameDuration"), number(frame, "FrameReferenceTime")
    mapping = _mapping(frame)
    _refuse_several(frame, SINGLE)
    return FrameFacts(
        acquired=_acquired(frame, offset, start),
        duration_s=duration / 1000
        if duration is not None and SHORTEST_FRAME_MS <= duration <= LONGEST_TIME_MS
        else None,
        frame_reference_s=reference / 1000 if reference is not None and 0 <= reference <= LONGEST_TIME_MS else None,
        decay_factor=number(frame, "DecayFactor"),
        slope=number(frame, "RescaleSlope"),
        intercept=number(frame, "RescaleIntercept") or 0.0,
        suv_scale=to_number(private_text(frame, *PHILIPS, 0x00)),
        activity_scale=to_number(private_text(frame, *PHILIPS, 0x09)),
        position=_position(frame),
        real_world_slope=number(mapping, "RealWorldValueSlope"),
        real_world_intercept=number(mapping, "RealWorldValueIntercept") or 0.0,
        is_image=value(frame, "Rows") is not None,
    )


def _mapping(frame: Dataset) -> Dataset:
    """The real-world value mapping that gives an enhanced PET its unit; empty for classic objects, which have Units."""
    if value(frame, "DecayCorrected") is None:
        return Dataset()
    for mapping in item_datasets(frame, "RealWorldValueMappingSequence"):
        for code in item_datasets(mapping, "MeasurementUnitsCodeSequence"):
            if _ucum(code) is not None:
                return mapping
    return Dataset()


def _ucum(code: Dataset) -> tuple[str, str] | None:
    return UCUM_UNITS.get(text(code, "CodeValue").lower().replace(" ", ""))


def _position(frame: Dataset) -> tuple[float, ...] | None:
    found = texts(frame, "ImagePositionPatient")
    numbers = [to_number(item) for item in found]
    return tuple(round(n, 2) for n in numbers if n is not None) if len(numbers) == 3 and None not in numbers else None


def read_series(datasets: Sequence[Dataset]) -> SeriesFacts:
    """Facts that must hold for every slice.

    Raises SuvRefusal("series_inconsistent") where slices contradict each other.
    """
    heads = [_frames_of(dataset)[0] for dataset in datasets]
    facts = [_series(head) for head in heads]
    for name in ALIKE:
        if len({getattr(f, name) for f in facts}) > 1:
            raise SuvRefusal(
                "series_inconsistent",
                f"the slices disagree on {name}; they do not belong to one acquisition. Split the series first",
            )
    first = facts[0]
    for name in first.explicit_references:
        stamps = [f.explicit_references[name].local for f in facts if name in f.explicit_references]
        if max(stamps) - min(stamps) > REFERENCE_SPREAD:
            raise SuvRefusal(
                "series_inconsistent",
                f"the slices state different decay references ({name}); each bed may have its own. Split the series",
            )
    starts = [f.start for f in facts if f.start is not None]
    corrected = frozenset.intersection(*(f.corrected for f in facts))
    return replace(
        first,
        start=min(starts) if starts else None,
        corrected=corrected,
        decay_factor_is_one=all(f.decay_factor_is_one for f in facts),
        decay_factor_applied=any(f.decay_factor_applied for f in facts),
    )


def _series(head: Dataset) -> SeriesFacts:
    offset = _offset(head)
    injections = item_datasets(head, "RadiopharmaceuticalInformationSequence") or [head]
    injection = injections[0]
    _refuse_several(injection, SINGLE_OF_INJECTION)
    units, suv_type = _units(head)
    enhanced = value(head, "DecayCorrected") is not None
    return SeriesFacts(
        units=units,
        suv_type=suv_type,
        decay_correction=_decay_correction(head),
        corrected=frozenset((*texts(head, "CorrectedImage"), *_enhanced_corrections(head))),
        attenuation_method=text(head, "AttenuationCorrectionMethod"),
        series_type=texts(head, "SeriesType"),
        is_ge=text(head, "Manufacturer").upper().startswith(GE_NAMES) or text(head, "Manufacturer").upper() == "GE",
        is_enhanced=enhanced,
        weight=number(head, "PatientWeight"),
        size=number(head, "PatientSize"),
        sex=text(head, "PatientSex").upper(),
        dose=number(injection, "RadionuclideTotalDose"),
        doses=len({_injection_key(item) for item in injections}),
        half_life_s=number(injection, "RadionuclideHalfLife"),
        nuclide_codes=tuple(
            (text(code, "CodeValue"), text(code, "CodingSchemeDesignator"), text(code, "CodeMeaning"))
            for code in item_datasets(injection, "RadionuclideCodeSequence")
        ),
        start=_moment(head, "", "SeriesDate", "SeriesTime", offset),
        start_datetime=parse_datetime(text(injection, "RadiopharmaceuticalStartDateTime")),
        start_time=parse_time(text(injection, "RadiopharmaceuticalStartTime")),
        stop_time=_stop_time(injection),
        explicit_references=dict(_explicit_references(head)),
        offset=offset,
        decay_factor_is_one=number(head, "DecayFactor") == 1.0,
        promised_slices=number(head, "NumberOfSlices"),
        decay_factor_applied=abs((number(head, "DecayFactor") or 1.0) - 1.0) > APPLIED_DECAY,
    )


def _stop_time(injection: Dataset) -> time | None:
    """Radiopharmaceutical Stop Time, or the clock of the Stop DateTime where that is in no other zone."""
    stamp = parse_datetime(text(injection, "RadiopharmaceuticalStopDateTime"))
    moment = parse_time(text(injection, "RadiopharmaceuticalStopTime"))
    return moment or (stamp.local.time() if stamp is not None and stamp.offset is None else None)


def _injection_key(item: Dataset) -> tuple[Any, ...]:
    keywords = ("RadionuclideTotalDose", "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime")
    return tuple(text(item, keyword) for keyword in keywords)


def _units(head: Dataset) -> tuple[str, str]:
    """Units and SUV Type; those of an enhanced object come from its real-world value mapping."""
    units, suv_type = text(head, "Units").upper(), text(head, "SUVType").upper()
    if units:
        return units, suv_type
    for mapping in item_datasets(head, "RealWorldValueMappingSequence"):
        for code in item_datasets(mapping, "MeasurementUnitsCodeSequence"):
            known = _ucum(code)
            if known:
                return known
    return "", suv_type


def _decay_correction(head: Dataset) -> str:
    """Decay Correction; an enhanced object states YES (to its Decay Correction DateTime: as START) or NO."""
    stated = text(head, "DecayCorrection").upper()
    return stated or {"YES": "START", "NO": "NONE"}.get(text(head, "DecayCorrected").upper(), "")


def _enhanced_corrections(head: Dataset) -> Iterator[str]:
    for keyword, term in (("AttenuationCorrected", "ATTN"), ("DecayCorrected", "DECY")):
        if text(head, keyword).upper() == "YES":
            yield term


def _explicit_references(head: Dataset) -> Iterator[tuple[str, Stamp]]:
    stamp = parse_datetime(text(head, "DecayCorrectionDateTime"))
    if stamp is not None:
        yield "decay_correction_datetime", stamp
    for name, group, creator, element in PRIVATE_REFERENCES:
        stamp = parse_datetime(private_text(head, group, creator, element))
        if stamp is not None:
            yield name, stamp
