"""One proportion with all its intervals, from per-patient sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from liverpair.evaluate.clustered import (
    FEW_CLUSTERS,
    ClusterSums,
    NotEstimable,
    design_effect,
    gee_independence,
    intracluster_correlation,
    korn_graubard,
    ratio_logit,
)
from liverpair.evaluate.intervals import Interval, clopper_pearson
from liverpair.evaluate.records import Estimate

__all__ = ["as_json", "estimate"]


def estimate(
    sums: ClusterSums,
    level: float = 0.95,
    bootstrap: Interval | None = None,
    bootstrap_note: str = "",
) -> Estimate:
    """The pooled proportion with every closed-form interval and the given bootstrap one."""
    k, n = round(sums.k), round(sums.total)
    notes: dict[str, str] = {}
    methods: dict[str, Callable[[], Interval]] = {
        "ratio_logit": lambda: ratio_logit(sums, level),
        "korn_graubard": lambda: korn_graubard(sums, level),
        "gee": lambda: gee_independence(sums, level),
    }
    if 1 < sums.m < FEW_CLUSTERS:
        methods["gee_bias_reduced"] = lambda: gee_independence(sums, level, bias_reduced=True)
    intervals: dict[str, Interval | None] = {"clopper_pearson": clopper_pearson(k, n, level) if n else None}
    if n == 0:
        notes["clopper_pearson"] = "no units in the denominator"
    for name, method in methods.items():
        try:
            intervals[name] = method()
        except NotEstimable as reason:
            intervals[name] = None
            notes[name] = str(reason)
    if n and k in (0, n):
        notes["korn_graubard"] = "all units agree: Clopper–Pearson instead"
    intervals["bootstrap"] = bootstrap if n else None
    if bootstrap_note or n == 0:
        notes["bootstrap"] = bootstrap_note or "no units in the denominator"
    return Estimate(
        k,
        n,
        k / n if n else None,
        sums.m,
        design_effect(sums) if n else None,
        intracluster_correlation(sums) if n else None,
        intervals,
        notes,
    )


def as_json(value: Estimate) -> Mapping[str, Any]:
    """The estimate in the shape of concordance.json."""
    return {
        "k": value.k,
        "n": value.n,
        "value": value.value,
        "clusters": value.clusters,
        "design_effect": value.design_effect,
        "intracluster_correlation": value.intracluster_correlation,
        "intervals": {name: None if i is None else list(i) for name, i in value.intervals.items()},
        "notes": dict(value.notes),
    }
