"""The plain records evaluation works on: calls of pairs, outcomes of lesions, estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CALLS", "OUTCOMES", "Estimate", "LesionOutcome", "PairCall"]

#: What one examination can say about hepatic metastases ("" where that source is absent).
CALLS = ("present", "absent", "uncertain", "not_evaluable", "not_mentioned", "")
#: What reference and index together make of a pair, as in calls.csv.
OUTCOMES = ("TP", "FP", "FN", "TN", "indeterminate", "not_evaluable")


@dataclass(frozen=True, slots=True, eq=False)
class PairCall:
    """The verdicts of one pair: ``reference`` (MRI) and ``index`` (PET), both from ``CALLS``.

    ``attributes`` holds what subgroups are formed by: tracer, vendor, interval_days, pet_date (ISO),
    largest_mm, and any other column of the user's table.
    """

    pair_id: str
    patient_id: str
    reference: str
    index: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LesionOutcome:
    """One reference (MRI) lesion: its size in mm and whether the index test (PET) showed it.

    ``detected`` is None where that could not be judged (outside the PET, registration too uncertain).
    """

    pair_id: str
    patient_id: str
    lesion_id: str
    size_mm: float | None
    detected: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A proportion k/n with every interval that was asked for.

    An interval that the data do not determine is None and ``notes`` says why under the interval's name.
    ``clusters`` counts the patients in the denominator; ``design_effect`` is the cluster variance over the
    independent one.
    """

    k: int
    n: int
    value: float | None
    clusters: int
    design_effect: float | None
    intracluster_correlation: float | None
    intervals: Mapping[str, tuple[float, float] | None]
    notes: Mapping[str, str]
