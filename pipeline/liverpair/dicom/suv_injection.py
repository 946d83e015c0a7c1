"""Decide when the tracer was injected from start time, start date-time, time zones and shifted dates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.suv_header import SeriesFacts
from liverpair.dicom.suv_time import same_factor

__all__ = ["Administration", "hard_uptake_limit_s", "resolve_administration", "stop_disagrees", "usual_uptake_s"]

#: Below this half-life nobody images on another day, so a day's gap is a shifted date (suv.md).
SHORT_LIVED_S = 12 * 3600.0
#: Beyond this many half-lives (⁶⁸Ga 4.5 h, ¹⁸F 7.3 h) 6 % of the activity is left: later than any protocol scans.
SHORT_LIVED_LIMIT = 4.0
#: Long-lived nuclides are imaged for days (⁶⁴Cu 2 d, ¹⁷⁷Lu 3 weeks): four half-lives is past both.
LONG_LIVED_LIMIT = 4.0
#: A longer-lived nuclide (¹⁷⁷Lu) is imaged on any of several days, so a time of day without a date says nothing.
UNDATED_LIMIT_S = 2 * 86400.0
DAY = timedelta(days=1)
#: A bolus takes seconds, an infusion half an hour.
LONGEST_INJECTION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Administration:
    """When the tracer was injected, in the clock of the reference, and how that was found."""

    time: datetime
    rule: str
    warnings: tuple[str, ...]


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
    return moment, (f"start_date_distant: administered {days:.1f} days before the series; taken as the header says",)


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


def _choose_start(starts: Sequence[_Start], reference: datetime, half_life_s: float, standard: bool) -> _Start:
    """The only reading there is, the one two attributes agree on, or the only one with a usual uptake time.

    ``standard``: the first reading is what PS3.3 C.12.1.1.8 prescribes, so it stands where it is usual.
    """
    decay_constant = math.log(2) / half_life_s
    distinct: list[_Start] = []
    for start in starts:
        if not any(same_factor(start.time, other.time, decay_constant) for other in distinct):
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
    return ("start_date_assumed: only a time of day is given for the administration; the day of the series was taken",)


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
    zone = _one_sided_zone(series, reference, agreed, half_life_s)
    return Administration(agreed.time, agreed.rule, (*agreed.warnings, *zone))


def stop_disagrees(series: SeriesFacts, started: datetime) -> tuple[str, ...]:
    """A warning where the administration's stop is not within an hour after its start (``started``)."""
    if series.stop_time is None:
        return ()
    stop = datetime.combine(started.date(), series.stop_time)
    lasted = ((stop - started) + DAY / 2) % DAY - DAY / 2  # midnight may lie between
    if timedelta(minutes=-1) <= lasted <= LONGEST_INJECTION:
        return ()
    minutes = lasted.total_seconds() / 60
    return (f"stop_time_differs: Radiopharmaceutical Stop Time lies {minutes:+.0f} min from the start that was used",)


def _one_sided_zone(series: SeriesFacts, reference: datetime, start: _Start, half_life_s: float) -> tuple[str, ...]:
    """An injection in a stated zone against a series in none: believed only where the waiting time is a usual one.

    Long-lived nuclides have no usual waiting time that an hour would leave, so they need both zones; for the longest
    (¹⁷⁷Lu) an hour does not matter. A time in UTC says nothing about the scanner's zone, so there no other whole hour
    may give a usual waiting time. Returns the warning.
    """
    stamp = series.start_datetime
    if stamp is None or stamp.offset is None or series.offset is not None or start.rule == "start_time":
        return ()
    hour = timedelta(hours=1)
    if same_factor(reference, reference + hour, math.log(2) / half_life_s):
        return ()
    low, high = usual_uptake_s(half_life_s)
    elapsed = (reference - start.time).total_seconds()
    hours = [elapsed + k * hour.total_seconds() for k in range(-14, 15)]
    unsure = not stamp.offset and series.start_time is None and sum(low < h < high for h in hours) > 1
    if half_life_s < SHORT_LIVED_S and low < elapsed < high and not unsure:
        return ("time_zone_one_sided: only the administration carries a time zone; its usual waiting time confirms it",)
    raise SuvRefusal(
        "start_time_contradictory",
        "the administration carries a time zone and the series none; no reading gives a surely right waiting time. "
        "Add Timezone Offset From UTC (0008,0201)",
    )


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
        if same_factor(nearest, start.time, decay_constant):
            return start
    return None
