"""How many pairs a study needs for intervals of a wished width, when several pairs come from one patient.

Pairs of one patient resemble each other, so n of them inform like n / deff independent ones, with the design effect
deff = 1 + ((1 + cv²)·m − 1)·ρ for clusters of mean size m, coefficient of variation cv and intracluster correlation ρ
(Eldridge, Ashby & Kerry, Int J Epidemiol 35 (2006) 1292). The interval is the one that the report states: Clopper and
Pearson's at the effective sample size, Korn & Graubard's t correction for the number of patients included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from liverpair.core.errors import UsageError
from liverpair.evaluate.distributions import t_quantile
from liverpair.evaluate.intervals import Interval, clopper_pearson

__all__ = ["Design", "Need", "StudySize", "design_effect_of", "expected_interval", "study_size", "units_needed"]

#: A study of more pairs than this is no plan.
MOST_UNITS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Design:
    """What is expected of the study.

    ``sensitivity``, ``specificity``: the truth one expects. ``prevalence``: share of pairs with metastases by the
    reference. ``pairs_per_patient``: mean, and ``size_cv`` the standard deviation of that number over its mean.
    ``icc``: correlation of two pairs of one patient (0 independent, 1 copies). ``width``: of the whole interval.
    """

    sensitivity: float = 0.95
    specificity: float = 0.95
    prevalence: float = 0.7
    pairs_per_patient: float = 1.0
    size_cv: float = 0.0
    icc: float = 0.0
    width: float = 0.05
    level: float = 0.95

    def __post_init__(self) -> None:
        for name in ("sensitivity", "specificity", "prevalence", "width", "level"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')} is a share between 0 and 1, not {getattr(self, name)}")
        if not 0 <= self.icc <= 1:
            raise UsageError(f"the intracluster correlation lies between 0 and 1, not at {self.icc}")
        if self.pairs_per_patient < 1 or self.size_cv < 0:
            raise UsageError("a patient has at least one pair, and a coefficient of variation is not negative")


@dataclass(frozen=True, slots=True)
class Need:
    """What one estimate needs.

    ``units``: pairs of its kind (reference positive for sensitivity, negative for specificity); ``pairs`` of any kind
    and ``patients`` that bring these units; ``interval``: what is then to be expected.
    """

    units: int
    pairs: int
    patients: int
    interval: Interval


@dataclass(frozen=True, slots=True)
class StudySize:
    """The needs of both estimates and what satisfies both."""

    sensitivity: Need
    specificity: Need
    design_effect: float
    pairs: int
    patients: int


def design_effect_of(mean_size: float, size_cv: float, icc: float) -> float:
    """By how much clustering multiplies the variance of a proportion (at least 1)."""
    return max(1.0, 1.0 + ((1.0 + size_cv**2) * mean_size - 1.0) * icc)


def expected_interval(proportion: float, units: int, design: Design) -> Interval:
    """The interval to be expected when ``units`` of clustered pairs show exactly ``proportion`` successes."""
    effect = design_effect_of(design.pairs_per_patient, design.size_cv, design.icc)
    patients = max(2.0, units / design.pairs_per_patient)
    tail = (1 + design.level) / 2
    correction = (t_quantile(tail, max(units - 1, 1)) / t_quantile(tail, patients - 1)) ** 2
    effective = units / effect * float(correction)
    return clopper_pearson(proportion * effective, effective, design.level)


def units_needed(proportion: float, design: Design) -> int:
    """The smallest number of units whose expected interval is not wider than ``design.width``.

    Raises UsageError where no study of a thinkable size reaches it.
    """

    def too_wide(units: int) -> bool:
        low, high = expected_interval(proportion, units, design)
        return high - low > design.width

    high = 2
    while too_wide(high):
        high *= 2
        if high > MOST_UNITS:
            raise UsageError(f"an interval of {design.width:g} needs more than {MOST_UNITS} pairs; ask for a wider one")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_wide(middle) else (low, middle)
    return high


def _need(proportion: float, share: float, design: Design) -> Need:
    units = units_needed(proportion, design)
    pairs = math.ceil(units / share)
    return Need(units, pairs, math.ceil(pairs / design.pairs_per_patient), expected_interval(proportion, units, design))


def study_size(design: Design) -> StudySize:
    """How many pairs and patients give both sensitivity and specificity an interval of the wished width.

    Metastases stay with their patient, so the pairs of one patient are taken to be of one kind: cautious, as then
    all of them fall into one estimate.
    """
    sensitivity = _need(design.sensitivity, design.prevalence, design)
    specificity = _need(design.specificity, 1 - design.prevalence, design)
    effect = design_effect_of(design.pairs_per_patient, design.size_cv, design.icc)
    return StudySize(
        sensitivity, specificity, effect,
        max(sensitivity.pairs, specificity.pairs), max(sensitivity.patients, specificity.patients),
    )  # fmt: skip
