"""Decide the two instants an SUV hangs on: the decay reference and the administration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.dates import Stamp
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts

__all__ = [
    "Administration",
    "Reference",
    "hard_uptake_limit_s",
    "mean_count_time",
    "resolve_administration",
    "resolve_reference",
    "usual_uptake_s",
]

#: An explicit reference further from the series than this belongs to another examination (spec suv.md).
EXPLICIT_WINDOW = timedelta(days=2)
#: Clocks of series and first frame are written by different processes: they agree to this (spec suv.md).
SERIES_SLACK = timedelta(seconds=2)
#: No whole-body PET session lasts longer; a series time earlier than this before its first frame is no start.
LONGEST_SESSION = timedelta(hours=4)
#: Back-computed references of one series agree to this: header times carry whole seconds, beds do not (suv.md).
BACK_COMPUTED_SPREAD_S = 60.0
#: Candidates further apart than this in e^{λΔt} are reported.
CANDIDATE_TOLERANCE = 0.01
#: Below this half-life nobody images on another day, so a day's gap is a shifted date (suv.md).
SHORT_LIVED_S = 12 * 3600.0
#: Beyond this many half-lives under 2 % of the activity is left: no diagnostic image, so a wrong clock.
SHORT_LIVED_LIMIT = 6.0
#: Long-lived nuclides are imaged for days (⁶⁴Cu 2 d, ¹⁷⁷Lu 3 weeks): four half-lives is past both.
LONG_LIVED_LIMIT = 4.0
#: A longer-lived nuclide (¹⁷⁷Lu) is imaged on any of several days, so a time of day without a date says nothing.
UNDATED_LIMIT_S = 2 * 86400.0
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reference:
    """The instant pixel values are decay-corrected to; ``candidates`` maps every rule's name to its answer."""

    rule: str
    time: datetime
    candidates: dict[str, datetime]
    spread_s: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Administration:
    """When the tracer was injected, in the clock of the reference, and how that was found."""

    time: datetime
    rule: str
    warnings: tuple[str, ...]


def mean_count_time(decay_constant: float, duration_s: float) -> float:
    """Seconds after a frame's start at which the activity equals its average: (1/λ)·ln(λT/(1−e^{−λT}))."""
    x = decay_constant * duration_s
    if x < 1e-9:  # the limit T/2; the formula would divide 0 by 0
        return duration_s / 2
    return math.log(x / -math.expm1(-x)) / decay_constant


def _within_tolerance(a: datetime, b: datetime, decay_constant: float) -> bool:
    return math.expm1(decay_constant * abs((a - b).total_seconds())) <= CANDIDATE_TOLERANCE


def _wall_clock(stamp: Stamp, series: SeriesFacts, near: datetime | None) -> datetime:
    """The stamp on the header's own clock; an offset nobody else carries is read whichever way lies nearer."""
    if stamp.offset is None:
        return stamp.local
    if series.offset is not None:
        return stamp.local - stamp.offset + series.offset
    as_utc = stamp.local - stamp.offset
    if near is not None and abs(as_utc - near) < abs(stamp.local - near):
        return as_utc
    return stamp.local


def _explicit(series: SeriesFacts, first: datetime | None) -> dict[str, datetime]:
    """Explicit decay references that belong to this examination, in order of trust."""
    anchors = [t for t in (series.start, first) if t is not None]
    found = {}
    for name, stamp in series.explicit_references.items():
        moment = _wall_clock(stamp, series, series.start or first)
        if any(abs(moment - anchor) <= EXPLICIT_WINDOW for anchor in anchors):
            found[name] = moment
    return found


def _frame_start_convention(frames: Sequence[FrameFacts], series: SeriesFacts) -> bool:
    """Whether Frame Reference Time counts to the frame's start: GE's habit, or a 0 that no mean-count time can be."""
    times = [f.frame_reference_s for f in frames if f.frame_reference_s is not None]
    return series.is_ge or (bool(times) and min(times) == 0 and max(times) > 0)


def _back_computed(
    frames: Sequence[FrameFacts], series: SeriesFacts, decay_constant: float
) -> list[datetime] | None:
    """Reference of each frame, t_acq + T_ave − FRT (GE: t_acq − FRT); None where a frame lacks a part of it."""
    from_start = _frame_start_convention(frames, series)
    moments = []
    for frame in frames:
        if frame.acquired is None or frame.frame_reference_s is None:
            return None
        offset = -frame.frame_reference_s
        if not from_start:
            if not frame.duration_s:
                return None
            offset += mean_count_time(decay_constant, frame.duration_s)
        moments.append(frame.acquired + timedelta(seconds=offset))
    return moments


def _from_decay_factors(frames: Sequence[FrameFacts], decay_constant: float) -> list[datetime] | None:
    """Reference of each frame from Decay Factor = e^{λΔ}·λT/(1−e^{−λT}); None where a factor is absent or unset.

    A factor of exactly 1 in every frame is a placeholder: decay during the frame alone makes it larger.
    """
    if all(f.decay_factor == 1.0 for f in frames):
        return None
    moments = []
    for frame in frames:
        if (
            frame.acquired is None
            or not frame.duration_s
            or not frame.decay_factor
            or frame.decay_factor <= 0
        ):
            return None
        total = math.log(frame.decay_factor) / decay_constant
        delay = total - mean_count_time(decay_constant, frame.duration_s)
        moments.append(frame.acquired - timedelta(seconds=delay))
    return moments


def _middle(moments: Sequence[datetime]) -> datetime:
    """The median instant: one reference exists per series, the frames differ by rounding."""
    ordered = sorted(moments)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low + (high - low) / 2


def _spread_s(moments: Sequence[datetime] | None) -> float | None:
    return (max(moments) - min(moments)).total_seconds() if moments else None


def _agreed(moments: Sequence[datetime] | None, first: datetime | None) -> bool:
    """Whether per-frame references agree with each other and do not lie after the first frame began."""
    if not moments or first is None:
        return False
    spread = _spread_s(moments)
    slack = timedelta(seconds=BACK_COMPUTED_SPREAD_S)
    return spread is not None and spread <= BACK_COMPUTED_SPREAD_S and _middle(moments) <= first + slack


def resolve_reference(frames: Sequence[FrameFacts], series: SeriesFacts, decay_constant: float) -> Reference:
    """Apply the decision table of spec/suv.md; every candidate is computed and kept whichever rule wins.

    Raises SuvRefusal("reference_time_unresolved") where no rule applies. ``decay_constant`` is λ in 1/s.
    """
    acquired = [f.acquired for f in frames if f.acquired is not None]
    complete = len(acquired) == len(frames)
    first = min(acquired) if acquired else None
    back = _back_computed(frames, series, decay_constant)
    factors = _from_decay_factors(frames, decay_constant)
    explicit = _explicit(series, first)
    candidates = dict(explicit)
    if series.start is not None:
        candidates["series"] = series.start
    if back:
        candidates["back_computed"] = _middle(back)
    if first is not None:
        candidates["earliest_acquisition"] = first
    if factors and _agreed(factors, first):
        candidates["decay_factor"] = _middle(factors)

    references = [f.frame_reference_s for f in frames]
    varies = len({r for r in references if r is not None}) > 1
    unset = all(not r for r in references)
    start = series.start
    if explicit:
        rule = next(iter(explicit))
    elif start and first and complete and first - LONGEST_SESSION <= start <= first + SERIES_SLACK:
        rule = "series"
    elif not unset and _agreed(back, first):
        rule = "back_computed"
    elif complete and (unset or (varies and len(set(acquired)) == 1)):
        rule = "earliest_acquisition"
    elif "decay_factor" in candidates:
        rule = "decay_factor"
    else:
        raise SuvRefusal(
            "reference_time_unresolved",
            "no explicit decay reference, series time, frame reference time or acquisition time of this series "
            "agrees with the others on one instant; the SUV cannot be decay-corrected. Send the original series",
        )
    return Reference(
        rule, candidates[rule], candidates, _spread_s(back), _disagreements(rule, candidates, decay_constant)
    )


def _disagreements(rule: str, candidates: dict[str, datetime], decay_constant: float) -> tuple[str, ...]:
    """One warning per candidate that would change the SUV by more than 1 %."""
    chosen = candidates[rule]
    warnings = []
    for name, moment in candidates.items():
        if not _within_tolerance(moment, chosen, decay_constant):
            percent = 100 * math.expm1(decay_constant * (moment - chosen).total_seconds())
            warnings.append(
                f"reference_times_differ: taking {name} instead of {rule} would change the decay factor by {percent:+.1f} %"
            )
    return tuple(warnings)


def usual_uptake_s(half_life_s: float) -> tuple[float, float]:
    """The waiting time that protocols prescribe, in s: where a doubtful clock is believed, not where it is refused.

    ⁶⁸Ga 30–120 min (spec suv.md), ¹⁸F 30–180 min; longer-lived nuclides half an hour to two half-lives.
    """
    if half_life_s < 5000:
        return 1800.0, 7200.0
    if half_life_s < SHORT_LIVED_S:
        return 1800.0, 10800.0
    return 1800.0, 2 * half_life_s


def hard_uptake_limit_s(half_life_s: float) -> float:
    """The longest waiting time that is still believed, in s."""
    return half_life_s * (SHORT_LIVED_LIMIT if half_life_s < SHORT_LIVED_S else LONG_LIVED_LIMIT)


def _day_before_if_later(clock: time, reference: datetime) -> datetime:
    """The last time before the reference that the clock showed this: its own date, or the day before."""
    moment = datetime.combine(reference.date(), clock)
    return moment if moment <= reference else moment - DAY


def _redated(moment: datetime, reference: datetime, half_life_s: float) -> tuple[datetime, tuple[str, ...]]:
    """Undo a date that de-identification shifted: possible only where no one images on another day."""
    gap = (reference - moment).total_seconds()
    if 0 <= gap <= DAY.total_seconds():
        return moment, ()
    if half_life_s < SHORT_LIVED_S:
        warning = (
            "start_date_replaced: the administration's date does not fit the series (shifted by de-identification?); "
            "its time of day was kept and the series' date taken"
        )
        return _day_before_if_later(moment.time(), reference), (warning,)
    if gap < 0:
        return moment, ()
    days = gap / DAY.total_seconds()
    return moment, (
        f"start_date_distant: administered {days:.1f} days before the series; taken as the header says",
    )


@dataclass(frozen=True, slots=True)
class _Start:
    time: datetime
    rule: str
    warnings: tuple[str, ...]


def _starts_from_datetime(series: SeriesFacts, reference: datetime, half_life_s: float) -> list[_Start]:
    """Readings of Radiopharmaceutical Start DateTime, the standard's first."""
    stamp = series.start_datetime
    if stamp is None:
        return []
    readings: list[tuple[datetime, str]] = []
    if stamp.offset is not None and series.offset is not None:
        readings.append((stamp.local - stamp.offset + series.offset, "start_datetime"))
    elif stamp.offset is not None:
        readings.append((stamp.local, "start_datetime"))
        readings.append((stamp.local - stamp.offset, "start_datetime_series_in_utc"))
    else:
        readings.append((stamp.local, "start_datetime"))
        if series.offset is not None:
            readings.append((stamp.local + series.offset, "start_datetime_in_utc"))
    starts = []
    for moment, rule in readings:
        dated, warnings = _redated(moment, reference, half_life_s)
        starts.append(_Start(dated, rule, warnings))
    return starts


def _choose_start(
    starts: Sequence[_Start], reference: datetime, half_life_s: float, standard: bool
) -> _Start:
    """The only reading there is, the one two attributes agree on, or the only one with a usual uptake time.

    ``standard``: the first reading is what PS3.3 C.12.1.1.8 prescribes, so it stands where it is usual.
    """
    decay_constant = math.log(2) / half_life_s
    distinct: list[_Start] = []
    for start in starts:
        if not any(_within_tolerance(start.time, other.time, decay_constant) for other in distinct):
            distinct.append(start)
    if len(distinct) == 1:
        return distinct[0]
    low, high = usual_uptake_s(half_life_s)
    usual = [s for s in distinct if low < (reference - s.time).total_seconds() < high]
    if len(usual) == 1 or (usual and standard and usual[0] is starts[0]):
        chosen = usual[0]
        warning = (
            f"start_time_readings_differ: {len(distinct)} readings of the administration time are possible; "
            f"{chosen.rule} gives a usual uptake time and was taken"
        )
        return _Start(chosen.time, chosen.rule, (*chosen.warnings, warning))
    raise SuvRefusal(
        "start_time_contradictory",
        f"the header allows {len(distinct)} administration times (time zone, or start time against start date-time) "
        f"and {len(usual)} of them give a usual uptake time; state the right one in the settings or correct the header",
    )


def _undated(dated_readings: int, half_life_s: float) -> tuple[str, ...]:
    """What a start time without a date means: for short-lived nuclides nothing, for others an open question."""
    if dated_readings or half_life_s < SHORT_LIVED_S:
        return ()
    if half_life_s > UNDATED_LIMIT_S:
        raise SuvRefusal(
            "start_time_missing",
            "only a time of day is given for the administration of a nuclide that is imaged for days; the day is "
            "unknown. Restore Radiopharmaceutical Start DateTime (0018,1078)",
        )
    return (
        "start_date_assumed: only a time of day is given for the administration; the day of the series was taken",
    )


def resolve_administration(series: SeriesFacts, reference: datetime, half_life_s: float) -> Administration:
    """When the tracer was injected, on the clock of ``reference``.

    Raises SuvRefusal: start_time_missing, start_time_contradictory, uptake_implausible.
    """
    starts = _starts_from_datetime(series, reference, half_life_s)
    from_datetime = len(starts)
    if series.start_time is not None:
        moment = _day_before_if_later(series.start_time, reference)
        starts.append(_Start(moment, "start_time", _undated(from_datetime, half_life_s)))
    if not starts:
        raise SuvRefusal(
            "start_time_missing",
            "neither Radiopharmaceutical Start DateTime nor Start Time is present; the decay between injection and "
            "acquisition is unknown. Restore (0018,1078) or (0018,1072)",
        )
    agreed = _confirmed_by_clock(starts[:from_datetime], series.start_time, reference, half_life_s)
    if agreed is None:
        has_offset = series.start_datetime is not None and series.start_datetime.offset is not None
        only_zone = from_datetime == len(starts)
        agreed = _choose_start(starts, reference, half_life_s, standard=not has_offset and only_zone)
    uptake = (reference - agreed.time).total_seconds()
    if not 0 <= uptake <= hard_uptake_limit_s(half_life_s):
        raise SuvRefusal(
            "uptake_implausible",
            f"the header puts {uptake / 60:.0f} min between injection and decay reference (half-life "
            f"{half_life_s / 60:.0f} min); one of its clocks is wrong. Correct the header",
        )
    return Administration(agreed.time, agreed.rule, agreed.warnings)


def _confirmed_by_clock(
    starts: Sequence[_Start], clock: time | None, reference: datetime, half_life_s: float
) -> _Start | None:
    """The believable reading of the date-time whose time of day the separate start time repeats, if any."""
    if clock is None:
        return None
    limit = hard_uptake_limit_s(half_life_s)
    decay_constant = math.log(2) / half_life_s
    for start in starts:
        if not 0 <= (reference - start.time).total_seconds() <= limit:
            continue
        same_day = datetime.combine(start.time.date(), clock)
        nearest = min((same_day + k * DAY for k in (-1, 0, 1)), key=lambda t: abs(t - start.time))
        if _within_tolerance(nearest, start.time, decay_constant):
            return start
    return None
