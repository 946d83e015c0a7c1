"""How precise this study is and how large the next one must be; predictive values at other prevalences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from liverpair.core.errors import UsageError
from liverpair.evaluate.clustered import ClusterSums, intracluster_correlation
from liverpair.evaluate.power import Design, study_size
from liverpair.evaluate.records import PairCall

__all__ = ["design_of_calls", "precision", "predictive_values"]

#: Widths of the whole interval that studies plan for.
WIDTHS = (0.10, 0.05, 0.03)
PREVALENCES = (0.1, 0.3, 0.5, 0.7, 0.9)


def design_of_calls(calls: Sequence[PairCall], design: Design) -> Design:
    """``design`` with prevalence, pairs per patient and intracluster correlation as the calls show them.

    Of the correlations of sensitivity and of specificity the larger one is taken; a negative one counts as 0. Raises
    UsageError where the calls hold no pair of one kind.
    """
    rows = [c for c in calls if {c.reference, c.index} <= {"present", "absent"}]
    positives = sum(row.reference == "present" for row in rows)
    if not 0 < positives < len(rows):
        raise UsageError("a pilot needs pairs with and without metastases by the reference standard.")
    sizes = np.array(list(Counter(row.patient_id for row in rows).values()), dtype=np.float64)
    correlations = [0.0]
    for kind in ("present", "absent"):
        own = [row for row in rows if row.reference == kind]
        patients = sorted({row.patient_id for row in own})
        right = Counter(row.patient_id for row in own if row.index == kind)
        total = Counter(row.patient_id for row in own)
        sums = ClusterSums(np.array([right[p] for p in patients]), np.array([total[p] for p in patients]))
        correlations.append(intracluster_correlation(sums) or 0.0)
    return replace(
        design,
        prevalence=positives / len(rows),
        pairs_per_patient=float(sizes.mean()),
        size_cv=float(sizes.std() / sizes.mean()),
        icc=min(1.0, max(correlations)),
    )


def precision(calls: Sequence[PairCall], estimates: Mapping[str, Any], level: float = 0.95) -> dict[str, Any] | None:
    """The design that the study shows, and how many pairs and patients intervals of several widths need.

    None where sensitivity and specificity do not both lie between 0 and 1, for then no width can be planned from them.
    """
    values = [estimates[name]["value"] for name in ("sensitivity", "specificity")]
    if any(v is None or not 0 < v < 1 for v in values):
        return None
    expected = Design(sensitivity=values[0], specificity=values[1], level=level)
    seen = design_of_calls(calls, expected)
    rows = []
    for width in WIDTHS:
        size = study_size(replace(seen, width=width))
        rows.append(
            {
                "width": width,
                "pairs": size.pairs,
                "patients": size.patients,
                "pairs_for_sensitivity": size.sensitivity.pairs,
                "pairs_for_specificity": size.specificity.pairs,
            }
        )
    return {
        "pairs_per_patient": seen.pairs_per_patient,
        "intracluster_correlation": seen.icc,
        "prevalence": seen.prevalence,
        "needed": rows,
    }


def predictive_values(estimates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """PPV and NPV that this sensitivity and specificity give at other prevalences (Bayes); empty without both."""
    se, sp = (estimates[name]["value"] for name in ("sensitivity", "specificity"))
    if se is None or sp is None:
        return []
    rows = []
    for share in PREVALENCES:
        positive, negative = se * share + (1 - sp) * (1 - share), sp * (1 - share) + (1 - se) * share
        rows.append(
            {
                "prevalence": share,
                "ppv": se * share / positive if positive else None,
                "npv": sp * (1 - share) / negative if negative else None,
            }
        )
    return rows
