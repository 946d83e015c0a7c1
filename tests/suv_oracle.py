"""A PET examination in physical truth, and the headers vendors write about it: the oracle of the SUV tests.

Written from spec/suv.md and PS3.3 C.8.9, C.8.22 alone, apart from the code under test. The truth is kept in
UTC: an activity, a moment of injection, frames with a start and a duration. A header is what a scanner's
clock and convention make of it, and the true factor follows from the physics, never from the header.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

#: nuclide: half-life in s, SCT code, SRT code, meaning.
NUCLIDES = {
    "Ga-68": (4057.74, "35337001", "C-131A3", "^68^Gallium"),
    "F-18": (6586.2, "77004003", "C-111A1", "^18^Fluorine"),
    "Cu-64": (45721.0, "3932008", "C-127A2", "^64^Copper"),
}
PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET_CLASS = "1.2.840.10008.5.1.4.1.1.130"


@dataclass(frozen=True)
class Exam:
    """What happened. ``injected`` in UTC; ``uptake_s`` to the first frame; beds as (offset s, duration s)."""

    injected: datetime
    uptake_s: float = 3600.0
    beds: tuple[tuple[float, float], ...] = ((0.0, 150.0), (160.0, 150.0), (320.0, 150.0))
    slices_per_bed: int = 2
    dose_bq: float = 1.5e8
    nuclide: str = "Ga-68"
    weight_kg: float = 75.0
    height_m: float = 1.8
    sex: str = "M"
    zone_minutes: int = 60

    @property
    def half_life_s(self) -> float:
        return NUCLIDES[self.nuclide][0]

    @property
    def rate(self) -> float:
        return math.log(2) / self.half_life_s

    @property
    def scan_start(self) -> datetime:
        return self.injected + timedelta(seconds=self.uptake_s)

    @property
    def frames(self) -> list[tuple[datetime, float]]:
        """Start in UTC and duration in s, one per slice; beds acquired in order, stored head first or feet first."""
        return [
            (self.scan_start + timedelta(seconds=offset), duration)
            for offset, duration in self.beds
            for _ in range(self.slices_per_bed)
        ]

    def local(self, moment: datetime) -> datetime:
        """The scanner's wall clock."""
        return (moment + timedelta(minutes=self.zone_minutes)).replace(tzinfo=None)

    def mean_time(self, duration: float) -> float:
        """The moment within a frame at which the activity is the frame's mean, in s from its start."""
        x = self.rate * duration
        return math.log(x / -math.expm1(-x)) / self.rate


def true_factors(exam: Exam, correction: str, reference: datetime | None = None) -> tuple[float, ...]:
    """g/Bq·... by which Bq/mL must be multiplied, per slice. ``reference`` (UTC) is where START corrects to."""
    per_dose = exam.weight_kg * 1000 / exam.dose_bq
    factors = []
    for start, duration in exam.frames:
        if correction == "ADMIN":
            elapsed = 0.0
        elif correction == "START":
            elapsed = ((reference or exam.scan_start) - exam.injected).total_seconds()
        else:
            elapsed = (start - exam.injected).total_seconds() + exam.mean_time(duration)
        factors.append(per_dose * math.exp(exam.rate * elapsed))
    return tuple(factors)


def dt(moment: datetime, fraction: bool = True) -> str:
    text = moment.strftime("%Y%m%d%H%M%S")
    return f"{text}.{moment.microsecond:06d}" if fraction else text


def tm(moment: datetime) -> str:
    return dt(moment)[8:]


@dataclass(frozen=True)
class Style:
    """How a vendor writes. Every switch is one that real headers differ in."""

    name: str
    manufacturer: str
    #: Frame Reference Time: "mean" (the standard), "start" (GE), "zero", "absent", "shared" (constant times).
    frame_reference: str = "mean"
    #: Series Time: "start" = the reference; "late" = the time of a later reconstruction; "absent".
    series_time: str = "start"
    #: Start of injection: "time", "datetime", "both".
    start_as: str = "time"
    #: Explicit reference: "", "standard" (0018,9701), "siemens" (0071,1022), "ge" (0009,100D).
    explicit: str = ""
    decay_factor: bool = True
    zone: bool = False
    datetimes: bool = False
    units: str = "BQML"
    codes: str = "SRT"
    correction: str = "START"
    dose_unit: float = 1.0


STYLES = {
    "siemens": Style("siemens", "SIEMENS"),
    "siemens-late": Style("siemens-late", "SIEMENS", series_time="late"),
    "siemens-new": Style("siemens-new", "Siemens Healthineers", explicit="siemens", start_as="both", codes="SCT"),
    "ge": Style("ge", "GE MEDICAL SYSTEMS", frame_reference="start", explicit="ge", start_as="both"),
    "ge-plain": Style("ge-plain", "GE MEDICAL SYSTEMS", frame_reference="start"),
    "ge-late": Style("ge-late", "GE MEDICAL SYSTEMS", frame_reference="start", series_time="late"),
    "philips": Style("philips", "Philips Medical Systems", units="CNTS"),
    "philips-bqml": Style("philips-bqml", "Philips", start_as="both", decay_factor=False),
    "canon": Style("canon", "CANON_MEC", frame_reference="zero", start_as="both", decay_factor=False),
    "toshiba": Style("toshiba", "TOSHIBA", frame_reference="absent", decay_factor=False),
    "uih": Style("uih", "UIH", start_as="datetime", datetimes=True, zone=True, codes="SCT"),
    "mediso": Style("mediso", "Mediso", correction="ADMIN", start_as="datetime", explicit="standard"),
    "mediso-mbq": Style("mediso-mbq", "Mediso", correction="ADMIN", start_as="both", dose_unit=1e6),
    "uncorrected": Style("uncorrected", "SIEMENS", correction="NONE", decay_factor=False),
    "standard": Style("standard", "ACME", explicit="standard", datetimes=True, start_as="datetime"),
}


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def injection_item(exam: Exam, style: Style) -> Dataset:
    half_life, sct, srt, meaning = NUCLIDES[exam.nuclide]
    item = Dataset()
    item.Radiopharmaceutical = {"F-18": "FDG", "Ga-68": "DOTATOC", "Cu-64": "Cu-64 DOTATATE"}[exam.nuclide]
    item.RadionuclideTotalDose = repr(exam.dose_bq / style.dose_unit)
    item.RadionuclideHalfLife = half_life
    code = (sct, "SCT") if style.codes == "SCT" else (srt, "SRT")
    item.RadionuclideCodeSequence = Sequence([_code(*code, meaning)])
    local = exam.local(exam.injected)
    if style.start_as in ("time", "both"):
        item.RadiopharmaceuticalStartTime = tm(local)
    if style.start_as in ("datetime", "both"):
        item.RadiopharmaceuticalStartDateTime = dt(local)
    return item


def _zone(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def _references(dataset: Dataset, exam: Exam, style: Style, reference: datetime) -> None:
    if style.explicit == "standard":
        dataset.DecayCorrectionDateTime = dt(exam.local(reference))
    elif style.explicit == "siemens":
        dataset.private_block(0x0071, "SIEMENS MED PT", create=True).add_new(0x22, "DT", dt(exam.local(reference)))
    elif style.explicit == "ge":
        dataset.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", dt(exam.local(reference)))


def _frame_times(dataset: Dataset, exam: Exam, style: Style, start: datetime, duration: float) -> None:
    offset = (start - exam.scan_start).total_seconds()
    local = exam.local(start)
    dataset.AcquisitionDate, dataset.AcquisitionTime = dt(local)[:8], tm(local)
    if style.datetimes:
        dataset.AcquisitionDateTime = dt(local)
    dataset.ActualFrameDuration = str(round(duration * 1000))
    mean = exam.mean_time(duration)
    written = {"mean": offset + mean, "start": offset, "zero": 0.0, "shared": offset + mean}
    if style.frame_reference in written:
        dataset.FrameReferenceTime = f"{written[style.frame_reference] * 1000:.6f}"
    if style.frame_reference == "shared":
        first = exam.local(exam.scan_start)
        dataset.AcquisitionDate, dataset.AcquisitionTime = dt(first)[:8], tm(first)
    if style.decay_factor and style.correction == "START":
        dataset.DecayFactor = f"{math.exp(exam.rate * (offset + mean)):.8f}"
    elif style.correction == "NONE":
        dataset.DecayFactor = "1.0"


def classic(exam: Exam, style: Style) -> tuple[list[Dataset], tuple[float, ...]]:
    """One data set per slice and the true factor of each (that of the *stored, rescaled* value)."""
    factors = list(true_factors(exam, style.correction))
    reference = exam.injected if style.correction == "ADMIN" else exam.scan_start
    found = []
    for k, (start, duration) in enumerate(exam.frames):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.Modality, dataset.Manufacturer = PET_CLASS, "PT", style.manufacturer
        dataset.SeriesType, dataset.ImageType = ["WHOLE BODY", "IMAGE"], ["ORIGINAL", "PRIMARY"]
        dataset.Units, dataset.DecayCorrection = style.units, style.correction
        corrected = ["NORM", "DTIM", "ATTN", "SCAT", "RAN"]
        dataset.CorrectedImage = corrected if style.correction == "NONE" else [*corrected, "DECY"]
        dataset.AttenuationCorrectionMethod = "measured,AC CT"
        dataset.PatientWeight, dataset.PatientSize = exam.weight_kg, exam.height_m
        dataset.PatientSex = exam.sex
        first = exam.local(exam.scan_start)
        dataset.StudyDate, dataset.StudyTime = dt(first)[:8], tm(first)
        series = {"start": first, "late": exam.local(exam.scan_start + timedelta(hours=1.5))}.get(style.series_time)
        if series is not None:
            dataset.SeriesDate, dataset.SeriesTime = dt(series)[:8], tm(series)
        if style.zone:
            dataset.TimezoneOffsetFromUTC = _zone(exam.zone_minutes)
        _references(dataset, exam, style, reference)
        _frame_times(dataset, exam, style, start, duration)
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + 0.37 * k, 0.0
        dataset.ImagePositionPatient = [0.0, 0.0, 5.0 * k]
        dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        dataset.InstanceNumber, dataset.NumberOfSlices = k + 1, len(exam.frames)
        dataset.ImageIndex = k + 1
        dataset.RadiopharmaceuticalInformationSequence = Sequence([injection_item(exam, style)])
        if style.units == "CNTS":
            per_count = 1.7  # Bq/mL
            block = dataset.private_block(0x7053, "Philips PET Private Group", create=True)
            block.add_new(0x00, "DS", f"{per_count * factors[k]:.12g}")
            block.add_new(0x09, "DS", str(per_count))
            factors[k] *= per_count
        found.append(dataset)
    return found, tuple(factors)


def enhanced(exam: Exam, *, shared: bool = True, zone: bool = True) -> tuple[list[Dataset], tuple[float, ...]]:
    """An enhanced PET object: everything in functional groups, DT values that carry their own time zone."""
    suffix = _zone(exam.zone_minutes) if zone else ""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality, dataset.Manufacturer = ENHANCED_PET_CLASS, "PT", "ACME"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for keyword in ("DecayCorrected", "AttenuationCorrected", "ScatterCorrected", "RandomsCorrected"):
        setattr(dataset, keyword, "YES")
    dataset.DecayCorrectionDateTime = dt(exam.local(exam.scan_start)) + suffix
    dataset.AcquisitionDateTime = dt(exam.local(exam.scan_start)) + suffix
    dataset.PatientWeight, dataset.PatientSize, dataset.PatientSex = exam.weight_kg, exam.height_m, exam.sex
    first = exam.local(exam.scan_start)
    dataset.SeriesDate, dataset.SeriesTime = dt(first)[:8], tm(first)
    item = injection_item(exam, Style("enhanced", "ACME", start_as="datetime", codes="SCT"))
    item.RadiopharmaceuticalStartDateTime = dt(exam.local(exam.injected)) + suffix
    dataset.RadiopharmaceuticalInformationSequence = Sequence([item])

    def transformation(k: int) -> Dataset:
        group = Dataset()
        group.RescaleSlope, group.RescaleIntercept, group.RescaleType = 0.5 + 0.37 * k, 0.0, "US"
        return group

    units = Dataset()
    units.MeasurementUnitsCodeSequence = Sequence([_code("Bq/ml", "UCUM", "Becquerels/milliliter")])
    frames, common = [], Dataset()
    for k, (start, duration) in enumerate(exam.frames):
        groups, content, place = Dataset(), Dataset(), Dataset()
        content.FrameAcquisitionDateTime = dt(exam.local(start)) + suffix
        content.FrameAcquisitionDuration = duration * 1000
        mean = start + timedelta(seconds=exam.mean_time(duration))
        content.FrameReferenceDateTime = dt(exam.local(mean)) + suffix
        place.ImagePositionPatient = [0.0, 0.0, 5.0 * k]
        groups.FrameContentSequence, groups.PlanePositionSequence = Sequence([content]), Sequence([place])
        groups.PixelValueTransformationSequence = Sequence([transformation(k)])
        if not shared:
            own = Dataset()
            own.MeasurementUnitsCodeSequence = units.MeasurementUnitsCodeSequence
            own.RealWorldValueSlope, own.RealWorldValueIntercept = 0.5 + 0.37 * k, 0.0
            groups.RealWorldValueMappingSequence = Sequence([own])
        frames.append(groups)
    if shared:
        common.RealWorldValueMappingSequence = Sequence([units])
    dataset.SharedFunctionalGroupsSequence = Sequence([common])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.NumberOfFrames = len(frames)
    return [dataset], true_factors(exam, "START")


#: A plausible single error, and whether the header still says enough for a factor (a comment each).
Corruption = Callable[[list[Dataset], Exam], None]


def every(datasets: list[Dataset], **changes: Any) -> None:
    """Set attributes on every slice; None deletes."""
    for dataset in datasets:
        for keyword, value in changes.items():
            if value is None:
                if keyword in dataset:
                    delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)


def injections(datasets: list[Dataset], **changes: Any) -> None:
    every([d.RadiopharmaceuticalInformationSequence[0] for d in datasets], **changes)


def _dose(scale: float) -> Corruption:
    def corrupt(datasets: list[Dataset], exam: Exam) -> None:
        for item in (d.RadiopharmaceuticalInformationSequence[0] for d in datasets):
            item.RadionuclideTotalDose = repr(float(item.RadionuclideTotalDose) * scale)

    return corrupt


def _shift(seconds: float, *keywords: str) -> Corruption:
    """Shift the wall-clock date-time spelt by a date and a time keyword, on every slice."""

    def corrupt(datasets: list[Dataset], exam: Exam) -> None:
        date_key, time_key = keywords
        for dataset in datasets:
            if date_key in dataset and time_key in dataset:
                moment = datetime.strptime(f"{dataset[date_key].value}{dataset[time_key].value}", "%Y%m%d%H%M%S.%f")
                moved = moment + timedelta(seconds=seconds)
                setattr(dataset, date_key, dt(moved)[:8])
                setattr(dataset, time_key, tm(moved))

    return corrupt


def _start(seconds: float, part: str = "both") -> Corruption:
    """A wrong injection moment: a typing error, a summer-time clock, the calibration instead of the injection."""

    def corrupt(datasets: list[Dataset], exam: Exam) -> None:
        moved = exam.local(exam.injected + timedelta(seconds=seconds))
        for item in (d.RadiopharmaceuticalInformationSequence[0] for d in datasets):
            if part in ("time", "both") and "RadiopharmaceuticalStartTime" in item:
                item.RadiopharmaceuticalStartTime = tm(moved)
            if part in ("datetime", "both") and "RadiopharmaceuticalStartDateTime" in item:
                item.RadiopharmaceuticalStartDateTime = dt(moved)

    return corrupt


def _set(**changes: Any) -> Corruption:
    return lambda datasets, exam: every(datasets, **changes)


def _item(**changes: Any) -> Corruption:
    return lambda datasets, exam: injections(datasets, **changes)


def _per_exam(write: Callable[[list[Dataset], Exam], None]) -> Corruption:
    return write


CORRUPTIONS: dict[str, Corruption] = {
    "dose in MBq": _dose(1e-6),
    "dose in kBq": _dose(1e-3),
    "dose in mCi": _dose(1 / 3.7e7),
    "dose in uCi": _dose(1 / 3.7e4),
    "dose in Ci": _dose(1 / 3.7e10),
    "dose in GBq": _dose(1e-9),
    "dose ten times": _dose(10.0),
    "dose a tenth": _dose(0.1),
    "dose thousandfold": _dose(1e3),
    "dose negative": _dose(-1.0),
    "dose zero": _item(RadionuclideTotalDose=0),
    "dose missing": _item(RadionuclideTotalDose=None),
    "weight in g": _per_exam(lambda d, e: every(d, PatientWeight=e.weight_kg * 1000)),
    "weight in lb": _per_exam(lambda d, e: every(d, PatientWeight=e.weight_kg * 2.20462)),
    "weight missing": _set(PatientWeight=None),
    "weight zero": _set(PatientWeight=0),
    "weight one": _set(PatientWeight=1),
    "weight and size swapped": _per_exam(lambda d, e: every(d, PatientWeight=e.height_m, PatientSize=e.weight_kg)),
    "weight and size in cm swapped": _per_exam(
        lambda d, e: every(d, PatientWeight=e.height_m * 100, PatientSize=e.weight_kg)
    ),
    "weight holds size in cm": _per_exam(lambda d, e: every(d, PatientWeight=e.height_m * 100)),
    "weight ten times": _per_exam(lambda d, e: every(d, PatientWeight=e.weight_kg * 10)),
    "weight a tenth": _per_exam(lambda d, e: every(d, PatientWeight=e.weight_kg / 10)),
    "size in cm": _per_exam(lambda d, e: every(d, PatientSize=e.height_m * 100)),
    "size in mm": _per_exam(lambda d, e: every(d, PatientSize=e.height_m * 1000)),
    "size missing": _set(PatientSize=None),
    "size zero": _set(PatientSize=0),
    "sex missing": _set(PatientSex=None),
    "half-life in minutes": _per_exam(lambda d, e: injections(d, RadionuclideHalfLife=e.half_life_s / 60)),
    "half-life in hours": _per_exam(lambda d, e: injections(d, RadionuclideHalfLife=e.half_life_s / 3600)),
    "half-life of F-18": _item(RadionuclideHalfLife=6586.2),
    "half-life of Ga-68": _item(RadionuclideHalfLife=4057.74),
    "half-life of Ga-67": _item(RadionuclideHalfLife=281811.0),
    "half-life missing": _item(RadionuclideHalfLife=None),
    "half-life zero": _item(RadionuclideHalfLife=0),
    "half-life 10 % off": _per_exam(lambda d, e: injections(d, RadionuclideHalfLife=e.half_life_s * 1.1)),
    "half-life 0.2 % off": _per_exam(lambda d, e: injections(d, RadionuclideHalfLife=e.half_life_s * 1.002)),
    "nuclide F-18": _item(RadionuclideCodeSequence=Sequence([_code("77004003", "SCT", "F^18^")])),
    "nuclide Ga-68": _item(RadionuclideCodeSequence=Sequence([_code("35337001", "SCT", "Ga^68^")])),
    "nuclide missing": _item(RadionuclideCodeSequence=None),
    "nuclide and half-life missing": _item(RadionuclideCodeSequence=None, RadionuclideHalfLife=None),
    "injection an hour early": _start(-3600),
    "injection an hour late": _start(3600),
    "injection two hours early": _start(-7200),
    "injection twelve hours early": _start(-43200),
    "injection twelve hours late": _start(43200),
    "injection a day early": _start(-86400),
    "injection a day late": _start(86400),
    "injection a year early": _start(-365 * 86400),
    "injection time an hour off its date-time": _start(3600, "time"),
    "injection date-time an hour off its time": _start(3600, "datetime"),
    "injection date-time a day off": _start(-86400, "datetime"),
    "injection at scan start": _per_exam(lambda d, e: _start(e.uptake_s)(d, e)),
    "injection missing": _item(RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime=None),
    "injection at midnight": _per_exam(
        lambda d, e: injections(d, RadiopharmaceuticalStartTime="000000", RadiopharmaceuticalStartDateTime=None)
    ),
    "series an hour early": _shift(-3600, "SeriesDate", "SeriesTime"),
    "series ten minutes early": _shift(-600, "SeriesDate", "SeriesTime"),
    "series an hour late": _shift(3600, "SeriesDate", "SeriesTime"),
    "series a day late": _shift(86400, "SeriesDate", "SeriesTime"),
    "series a day early": _shift(-86400, "SeriesDate", "SeriesTime"),
    "series a year late": _shift(365 * 86400, "SeriesDate", "SeriesTime"),
    "series time missing": _set(SeriesTime=None),
    "series date missing": _set(SeriesDate=None),
    "series date-time missing": _set(SeriesDate=None, SeriesTime=None),
    "acquisition an hour early": _shift(-3600, "AcquisitionDate", "AcquisitionTime"),
    "acquisition an hour late": _shift(3600, "AcquisitionDate", "AcquisitionTime"),
    "acquisition a day late": _shift(86400, "AcquisitionDate", "AcquisitionTime"),
    "acquisition a day early": _shift(-86400, "AcquisitionDate", "AcquisitionTime"),
    "acquisition time missing": _set(AcquisitionTime=None, AcquisitionDateTime=None),
    "acquisition date missing": _set(AcquisitionDate=None, AcquisitionDateTime=None),
    "acquisition all missing": _set(AcquisitionDate=None, AcquisitionTime=None, AcquisitionDateTime=None),
    "all dates missing": _set(
        SeriesDate=None, AcquisitionDate=None, AcquisitionDateTime=None, StudyDate=None, ContentDate=None
    ),
    "frame reference missing": _set(FrameReferenceTime=None),
    "frame reference zero": _set(FrameReferenceTime=0),
    "frame reference in s": _per_exam(
        lambda d, e: (
            [
                setattr(x, "FrameReferenceTime", f"{float(x.FrameReferenceTime) / 1000:.6f}")
                for x in d
                if "FrameReferenceTime" in x
            ]
            and None
        )
    ),
    "frame duration missing": _set(ActualFrameDuration=None),
    "frame duration zero": _set(ActualFrameDuration=0),
    "frame duration in s": _per_exam(
        lambda d, e: [setattr(x, "ActualFrameDuration", str(int(x.ActualFrameDuration) // 1000)) for x in d] and None
    ),
    "decay factor missing": _set(DecayFactor=None),
    "decay factor one": _set(DecayFactor=1.0),
    "decay factor to injection": _per_exam(
        lambda d, e: (
            [
                setattr(x, "DecayFactor", f"{float(x.DecayFactor) * math.exp(e.rate * e.uptake_s):.8f}")
                for x in d
                if "DecayFactor" in x
            ]
            and None
        )
    ),
    "correction START": _set(DecayCorrection="START"),
    "correction ADMIN": _set(DecayCorrection="ADMIN"),
    "correction NONE": _set(DecayCorrection="NONE"),
    "correction missing": _set(DecayCorrection=None),
    "correction unknown": _set(DecayCorrection="YES"),
    "corrected image missing": _set(CorrectedImage=None),
    "no attenuation correction": _set(CorrectedImage=["NORM", "DTIM", "SCAT", "RAN", "DECY"]),
    "decay not listed as corrected": _set(CorrectedImage=["NORM", "DTIM", "ATTN", "SCAT", "RAN"]),
    "attenuation method none": _set(AttenuationCorrectionMethod="NONE"),
    "units BQML": _set(Units="BQML"),
    "units CNTS": _set(Units="CNTS"),
    "units GML": _set(Units="GML"),
    "units CPS": _set(Units="CPS"),
    "units missing": _set(Units=None),
    "units lower case": _per_exam(lambda d, e: every(d, Units=str(d[0].Units).lower())),
    "units Bq/ml": _set(Units="Bq/ml"),
    "intercept": _set(RescaleIntercept=-1024.0),
    "slope zero": _set(RescaleSlope=0),
    "slope missing": _set(RescaleSlope=None),
    "zone added": _set(TimezoneOffsetFromUTC="+0100"),
    "zone wrong": _set(TimezoneOffsetFromUTC="-0500"),
    "injection in UTC": _per_exam(
        lambda d, e: injections(
            d,
            RadiopharmaceuticalStartTime=None,
            RadiopharmaceuticalStartDateTime=dt(e.injected.replace(tzinfo=None)) + "+0000",
        )
    ),
    "injection in UTC unsaid": _per_exam(
        lambda d, e: injections(
            d, RadiopharmaceuticalStartTime=None, RadiopharmaceuticalStartDateTime=dt(e.injected.replace(tzinfo=None))
        )
    ),
    "dynamic": _set(SeriesType=["DYNAMIC", "IMAGE"]),
    "gated": _set(SeriesType=["GATED", "IMAGE"]),
    "secondary": _set(ImageType=["DERIVED", "SECONDARY"]),
}


def an_exam(**changes: Any) -> Exam:
    return replace(Exam(datetime(2024, 3, 10, 9, 12, 31, tzinfo=UTC)), **changes)
