"""Refuse a decay reference that other statements of the same header deny: several witnesses, never one alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts
from liverpair.dicom.suv_time import (
    BACK_COMPUTED_SPREAD_S,
    Candidates,
    Reference,
    middle,
    reference_candidates,
    wall_clock,
)

__all__ = ["contradicts", "refuse_contradicted", "refuse_reference_at_injection", "refuse_scan_start_as_administration"]

#: Statements that mean another factor by more than this contradict; less is the difference between a frame's start and
#: its mean-count time, which vendors mix up.
CONTRADICTION = 0.05
#: Beds must be spread over more than this for their statements to prove anything.
SHORTEST_SESSION_S = 4.0
#: Below this half-life nobody images on another day: whole days between two clocks are shifted dates (suv.md).
SHORT_LIVED_S = 12 * 3600.0
DAY = timedelta(days=1)


def strong_witness(moments: Sequence[datetime], frames: Sequence[FrameFacts]) -> datetime | None:
    """The reference that per-frame statements of several beds agree on; None where only one bed or none speaks.

    One bed's statement can be a placeholder that happens to be a time; several that fit their beds cannot.
    """
    acquired = [f.acquired for f in frames if f.acquired is not None]
    if not moments or len(acquired) < len(frames):
        return None
    spread = (max(moments) - min(moments)).total_seconds()
    session = (max(acquired) - min(acquired)).total_seconds()
    if spread > BACK_COMPUTED_SPREAD_S or session <= max(2 * spread, SHORTEST_SESSION_S):
        return None
    return middle(moments)


def contradicts(witness: datetime, chosen: datetime, frames: Sequence[FrameFacts], decay_constant: float) -> bool:
    """Whether a witness means another factor by more than 5 % and more than any convention within a frame explains."""
    apart = abs(witness - chosen)
    if math.log(2) / decay_constant < SHORT_LIVED_S:
        apart = min(apart % DAY, DAY - apart % DAY)
    longest = max((f.duration_s or 0.0 for f in frames), default=0.0)
    seconds = apart.total_seconds()
    return seconds > longest and decay_constant * seconds > math.log1p(CONTRADICTION)


def refuse_contradicted(
    reference: Reference, candidates: Candidates, frames: Sequence[FrameFacts], decay_constant: float
) -> None:
    """Refuse a stated reference that the frames' own physics denies: all strong witnesses against it, none for it.

    An explicit reference falls only to both (frame reference times and decay factors).
    """
    back = () if candidates.unset else candidates.back
    witnesses = [w for w in (strong_witness(back, frames), strong_witness(candidates.factors, frames)) if w is not None]
    needed = 1 if reference.rule in ("series", "earliest_acquisition") else 2
    against = [w for w in witnesses if contradicts(w, reference.time, frames, decay_constant)]
    if reference.rule == "back_computed" or len(witnesses) < needed or len(against) < len(witnesses):
        return
    minutes = (against[0] - reference.time).total_seconds() / 60
    raise SuvRefusal(
        "reference_time_contradictory",
        f"the {reference.rule} reference and the frames' own reference times or decay factors lie {minutes:+.1f} min "
        "apart; one of the clocks is wrong and the header does not tell which. Send the original series",
    )


def refuse_reference_at_injection(reference: Reference, elapsed_s: float, decay_constant: float) -> None:
    """A reference that is the injection while Decay Correction says START: both cannot be true."""
    acquired = reference.candidates.get("earliest_acquisition")
    if abs(elapsed_s) > 1 or acquired is None:
        return
    if decay_constant * (acquired - reference.time).total_seconds() > math.log1p(CONTRADICTION):
        raise SuvRefusal(
            "decay_correction_contradictory",
            "Decay Correction is START while the explicit reference is the injection itself; one of them is wrong",
        )


def refuse_scan_start_as_administration(
    series: SeriesFacts, frames: Sequence[FrameFacts], administered: datetime, decay_constant: float
) -> None:
    """Decay Correction ADMIN while an explicit reference or the beds' Decay Factors point elsewhere."""
    stated = {n: s for n, s in series.explicit_references.items() if n != "ge_0009_100d"}  # GE's is the scan's start
    witnesses = [wall_clock(stamp, series, administered) for stamp in stated.values()]
    factors = strong_witness(reference_candidates(frames, series, decay_constant).factors, frames)
    witnesses += [factors] if factors is not None else []
    if any(contradicts(w, administered, frames, decay_constant) for w in witnesses):
        raise SuvRefusal(
            "decay_correction_contradictory",
            "Decay Correction is ADMIN while the explicit reference or the decay factors point to another instant "
            "than the administration; one of them is wrong",
        )
