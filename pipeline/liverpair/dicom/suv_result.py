"""What a series' SUV came to: the factors or the refusal, with everything that was found on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts
from liverpair.dicom.suv_injection import Administration
from liverpair.dicom.suv_time import Candidates, Reference
from liverpair.dicom.suv_units import Body
from liverpair.dicom.tracer import TracerDecision

__all__ = ["Notes", "SuvResult", "outcome"]


@dataclass(frozen=True, slots=True)
class SuvResult:
    """The outcome for one series: SUVbw = (m·P + b)·``factor[slice]``, slices in the order given.

    ``status`` is ok | refused; ``reason`` a stable code, ``detail`` its sentence, both "" when ok. ``reference_time``
    holds the rule and every candidate as ISO date-times of the header's own clock.
    """

    status: str
    reason: str
    detail: str
    factor: tuple[float, ...]
    units: str
    decay_correction: str
    reference_time: dict[str, Any]
    uptake_minutes: float | None
    half_life_s: float | None
    tracer: str
    warnings: tuple[str, ...]
    facts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The answer of ``liverpair suv --json``."""
        return {
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
            "factor": list(self.factor),
            "units": self.units,
            "decay_correction": self.decay_correction,
            "reference_time": self.reference_time,
            "uptake_minutes": self.uptake_minutes,
            "half_life_s": self.half_life_s,
            "tracer": self.tracer,
            "warnings": list(self.warnings),
            **self.facts,
        }


@dataclass(slots=True)
class Notes:
    """What has been found so far, so that a refusal reports it too."""

    series: SeriesFacts | None = None
    frames: tuple[FrameFacts, ...] = ()
    tracer: TracerDecision | None = None
    candidates: Candidates | None = None
    reference: Reference | None = None
    administration: Administration | None = None
    half_life_s: float | None = None
    dose_bq: float | None = None
    body: Body | None = None
    warnings: tuple[str, ...] = ()

    def warn(self, *sentences: str) -> None:
        self.warnings = tuple(dict.fromkeys((*self.warnings, *sentences)))


def outcome(notes: Notes, factor: tuple[float, ...] = (), refusal: SuvRefusal | None = None) -> SuvResult:
    """The answer of what was noted on the way: a ``factor`` (SUVbw per stored unit) for each slice, or the refusal."""
    series, reference, start = notes.series, notes.reference, notes.administration
    times: dict[str, Any] = {}
    uptake = None
    if reference is not None:
        times = {
            "rule": reference.rule,
            "time": reference.time.isoformat(),
            "candidates": {name: moment.isoformat() for name, moment in reference.candidates.items()},
            "back_computed_spread_s": reference.spread_s,
        }
        scanned = reference.candidates.get("earliest_acquisition", reference.time)
        begin = scanned if reference.rule == "administration" else reference.time
        uptake = (begin - start.time).total_seconds() / 60 if start else None
    return SuvResult(
        status="refused" if refusal else "ok",
        reason=refusal.reason if refusal else "",
        detail=refusal.detail if refusal else "",
        factor=() if refusal else factor,
        units=series.units if series else "",
        decay_correction=series.decay_correction if series else "",
        reference_time=times or _unresolved(notes.candidates),
        uptake_minutes=uptake,
        half_life_s=notes.half_life_s,
        tracer=notes.tracer.name if notes.tracer else "",
        warnings=notes.warnings,
        facts={
            "administration_rule": start.rule if start else "",
            "dose_bq": notes.dose_bq,
            "weight_kg": notes.body.weight_kg if notes.body else None,
            "suv_type": series.suv_type if series else "",
        },
    )


def _unresolved(candidates: Candidates | None) -> dict[str, Any]:
    """The provenance where no rule chose a reference: none was needed, or every candidate is kept all the same."""
    if candidates is None:
        return {"rule": "not_needed", "candidates": {}}
    found = {name: moment.isoformat() for name, moment in candidates.moments.items()}
    return {"rule": "unresolved", "candidates": found}
