"""Plan a study: how many pairs and patients give intervals of a wished width, alone or from a pilot's calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from liverpair.core.errors import UsageError
from liverpair.evaluate.clustered import ClusterSums, intracluster_correlation
from liverpair.evaluate.power import Design, Need, study_size
from liverpair.evaluate.tables import parse_calls
from liverpair.flow.answer import Answer
from liverpair.flow.user_tables import read_user_table

__all__ = ["design_of_pilot", "power"]


def design_of_pilot(path: Path, design: Design) -> Design:
    """``design`` with prevalence, pairs per patient and intracluster correlation as a table of calls shows them.

    Of the correlations of sensitivity and of specificity the larger one is taken; a negative one counts as 0.
    """
    rows = [c for c in parse_calls(read_user_table(path)) if {c.reference, c.index} <= {"present", "absent"}]
    positives = sum(row.reference == "present" for row in rows)
    if not 0 < positives < len(rows):
        raise UsageError(f"{path.name}: a pilot needs pairs with and without metastases by the reference standard.")
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


def _said(name: str, need: Need) -> str:
    low, high = need.interval
    return (
        f"{name}: {need.units} pairs of its kind, so {need.pairs} pairs of {need.patients} patients "
        f"(expected interval {100 * low:.1f}–{100 * high:.1f} %)."
    )


def power(design: Design, pilot: Path | None) -> Answer:
    """The size of a study whose intervals for sensitivity and specificity are at most ``design.width`` wide."""
    if pilot is not None:
        design = design_of_pilot(pilot, design)
    size = study_size(design)
    sentence = "\n".join(
        (
            f"{size.pairs} pairs of {size.patients} patients are needed.",
            _said("Sensitivity", size.sensitivity),
            _said("Specificity", size.specificity),
            f"Taken: {100 * design.prevalence:.1f} % of pairs positive, {design.pairs_per_patient:.2f} a patient, "
            f"intracluster correlation {design.icc:.2f} (design effect {size.design_effect:.2f}).",
        )
    )
    return Answer({"design": asdict(design), **asdict(size)}, sentence)
