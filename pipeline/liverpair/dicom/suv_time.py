"""Decide which instant the pixel values of a PET are decay-corrected to, and keep every candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.dates import Stamp
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts

__all__ = [
    "BACK_COMPUTED_SPREAD_S",
    "Candidates",
    "Reference",
    "mean_count_time",
    "middle",
    "reference_candidates",
    "resolve_reference",
    "same_factor",
    "wall_clock",
]

#: An explicit reference further from the series than this belongs to another examination (spec suv.md).
EXPLICIT_WINDOW = timedelta(days=2)
#: Clocks of series and first frame are written by different processes: they agree to this (spec suv.md).
SERIES_SLACK = timedelta(seconds=2)
#: No whole-body PET session lasts longer; a series time earlier than this before its first frame is no start.
LONGEST_SESSION = timedelta(hours=4)
#: Back-computed references of one series agree to this: header times carry whole seconds, beds do not (suv.md).
BACK_COMPUTED_SPREAD_S = 60.0
#: Frame Reference Times are written in whole milliseconds or tenths of seconds.
SAME_INSTANT_S = 0.2
#: Candidates further apart than this in e^{λΔt} are reported.
CANDIDATE_TOLERANCE = 0.01
#: Times years apart (wrong dates) make e^x overflow; beyond e^20 the number in a message says nothing more.
LARGEST_EXPONENT = 20.0


@dataclass(frozen=True, slots=True)
class Reference:
    """The instant pixel values are decay-corrected to; ``candidates`` maps every rule's name to its answer."""

    rule: str
    time: datetime
    candidates: dict[str, datetime]
    spread_s: float | None
    warnings: tuple[str, ...]


def mean_count_time(decay_constant: float, duration_s: float) -> float:
    """Seconds after a frame's start at which the activity equals its average: (1/λ)·ln(λT/(1−e^{−λT}))."""
    x = decay_constant * duration_s
    if x < 1e-9:  # the limit T/2; the formula would divide 0 by 0
        return duration_s / 2
    return math.log(x / -math.expm1(-x)) / decay_constant


def same_factor(a: datetime, b: datetime, decay_constant: float) -> bool:
    """Whether the SUV is the same to 1 % whichever of two instants is meant."""
    return decay_constant * abs((a - b).total_seconds()) <= math.log1p(CANDIDATE_TOLERANCE)


def wall_clock(stamp: Stamp, series: SeriesFacts, near: datetime | None) -> datetime:
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
        moment = wall_clock(stamp, series, series.start or first)
        if any(abs(moment - anchor) <= EXPLICIT_WINDOW for anchor in anchors):
            found[name] = moment
    return found


def _frame_start_convention(frames: Sequence[FrameFacts], series: SeriesFacts, decay_constant: float) -> bool:
    """Whether Frame Reference Time counts to the frame's start: GE's habit, or a 0 that no mean-count time can be.

    A GE series whose first frame states exactly its mean-count time follows the standard instead.
    """
    known = [f for f in frames if f.frame_reference_s is not None and f.acquired is not None]
    times = [f.frame_reference_s for f in frames if f.frame_reference_s is not None]
    if not series.is_ge:
        return bool(times) and min(times) == 0 and max(times) > 0
    if not known:
        return True
    first = min(known, key=lambda f: f.acquired or datetime.max)
    mean = mean_count_time(decay_constant, first.duration_s) if first.duration_s else 0.0
    return not mean or abs((first.frame_reference_s or 0.0) - mean) > SAME_INSTANT_S


def _back_computed(frames: Sequence[FrameFacts], series: SeriesFacts, decay_constant: float) -> list[datetime] | None:
    """Reference of each frame, t_acq + T_ave − FRT (GE: t_acq − FRT); None where a frame lacks a part of it."""
    from_start = _frame_start_convention(frames, series, decay_constant)
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
        if frame.acquired is None or not frame.duration_s or not frame.decay_factor or frame.decay_factor <= 0:
            return None
        total = math.log(frame.decay_factor) / decay_constant
        delay = total - mean_count_time(decay_constant, frame.duration_s)
        moments.append(frame.acquired - timedelta(seconds=delay))
    return moments


def middle(moments: Sequence[datetime]) -> datetime:
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
    return spread is not None and spread <= BACK_COMPUTED_SPREAD_S and middle(moments) <= first + slack


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every rule's answer by name (``moments``), and the per-frame references behind two of them.

    ``unset``: no frame states a Frame Reference Time but 0. ``constant``: all frames state one acquisition time
    although their Frame Reference Times vary. ``complete``: every frame has an acquisition time.
    """

    moments: dict[str, datetime]
    explicit: tuple[str, ...]
    back: tuple[datetime, ...]
    factors: tuple[datetime, ...]
    unset: bool
    constant: bool
    complete: bool

    @property
    def spread_s(self) -> float | None:
        """How far the back-computed references of the frames lie apart, in s."""
        return _spread_s(self.back)


def reference_candidates(frames: Sequence[FrameFacts], series: SeriesFacts, decay_constant: float) -> Candidates:
    """Every candidate of spec/suv.md, whichever rule will win; ``decay_constant`` is λ in 1/s."""
    acquired = [f.acquired for f in frames if f.acquired is not None]
    first = min(acquired) if acquired else None
    back = _back_computed(frames, series, decay_constant) or ()
    factors = _from_decay_factors(frames, decay_constant) or ()
    references = [f.frame_reference_s for f in frames]
    unset = all(not r for r in references)
    explicit = _explicit(series, first)
    moments = dict(explicit)
    if series.start is not None:
        moments["series"] = series.start
    if back and not unset:
        moments["back_computed"] = middle(back)
    if first is not None:
        moments["earliest_acquisition"] = first
    if _agreed(factors, first):
        moments["decay_factor"] = middle(factors)
    return Candidates(
        moments=moments,
        explicit=tuple(explicit),
        back=tuple(back),
        factors=tuple(factors),
        unset=unset,
        constant=len({r for r in references if r is not None}) > 1 and len(set(acquired)) == 1,
        complete=len(acquired) == len(frames),
    )


def resolve_reference(candidates: Candidates, decay_constant: float) -> Reference:
    """Apply the decision table of spec/suv.md to the candidates.

    Raises SuvRefusal("reference_time_unresolved") where no rule applies.
    """
    moments = candidates.moments
    start, first = moments.get("series"), moments.get("earliest_acquisition")
    if candidates.explicit:
        rule = candidates.explicit[0]
    elif start and first and candidates.complete and first - LONGEST_SESSION <= start <= first + SERIES_SLACK:
        rule = "series"
    elif not candidates.unset and _agreed(candidates.back, first):
        rule = "back_computed"
    elif candidates.complete and (candidates.unset or candidates.constant):
        rule = "earliest_acquisition"
    elif "decay_factor" in moments:
        rule = "decay_factor"
    else:
        raise SuvRefusal(
            "reference_time_unresolved",
            "no explicit decay reference, series time, frame reference time or acquisition time of this series "
            "agrees with the others on one instant; the SUV cannot be decay-corrected. Send the original series",
        )
    return Reference(rule, moments[rule], moments, candidates.spread_s, _disagreements(rule, moments, decay_constant))


def _disagreements(rule: str, candidates: dict[str, datetime], decay_constant: float) -> tuple[str, ...]:
    """One warning per candidate that would change the SUV by more than 1 %."""
    chosen = candidates[rule]
    warnings = []
    for name, moment in candidates.items():
        if not same_factor(moment, chosen, decay_constant):
            exponent = decay_constant * (moment - chosen).total_seconds()
            percent = 100 * math.expm1(min(exponent, LARGEST_EXPONENT))
            warnings.append(
                f"reference_times_differ: {name} instead of {rule} would change the decay factor by {percent:+.1f} %"
            )
    return tuple(warnings)
