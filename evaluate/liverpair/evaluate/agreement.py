"""Where sources disagree: report against image verdicts, and diameters of the two examinations
(Bland–Altman).

Limits of agreement account for several lesions of one patient by a one-way analysis of variance (Bland &
Altman, Stat Methods Med Res 8 (1999) 135, §5): total variance = within-patient + between-patient component.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from liverpair.core.errors import UsageError
from liverpair.evaluate.calls import outcome
from liverpair.evaluate.distributions import normal_quantile, t_quantile
from liverpair.evaluate.intervals import Table, clopper_pearson, kappa, pabak

__all__ = ["BlandAltman", "bland_altman", "report_validation"]

EXAMINATIONS = {"MRI": ("mr_image", "mr_report", "mr_consensus"), "PET": ("pet_image", "pet_report", "pet_consensus")}


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Bias and its interval, SD of a difference (within + between patients), limits of agreement."""

    n: int
    clusters: int
    bias: float
    bias_interval: tuple[float, float] | None
    sd_within: float | None
    sd_between: float | None
    sd: float
    limits: tuple[float, float]


def bland_altman(difference: ArrayLike, cluster: ArrayLike, level: float = 0.95) -> BlandAltman | None:
    """Agreement from differences (n,) in mm and patients (n,); None below two values."""
    d, labels = np.asarray(difference, dtype=np.float64), np.asarray(cluster)
    if d.shape != labels.shape or not np.all(np.isfinite(d)):
        raise UsageError("Bland–Altman needs one finite difference and one patient for every lesion")
    if len(d) < 2:
        return None
    _, index = np.unique(labels, return_inverse=True)
    n_i = np.bincount(index).astype(np.float64)
    m, N, bias = len(n_i), len(d), float(d.mean())
    means = np.bincount(index, d) / n_i
    z = normal_quantile(0.5 + level / 2)
    within = between = None
    variance = float(d.var(ddof=1))
    interval = None
    if m >= 2:
        residual = means - bias
        se = math.sqrt(m / (m - 1) * float(np.sum((n_i * residual) ** 2))) / N
        reach = t_quantile(0.5 + level / 2, m - 1) * se
        interval = bias - reach, bias + reach
    if 2 <= m < N:
        ms_within = float(np.sum((d - means[index]) ** 2)) / (N - m)
        ms_between = float(np.sum(n_i * (means - bias) ** 2)) / (m - 1)
        average = (N - float(np.sum(n_i**2)) / N) / (m - 1)
        shared = max((ms_between - ms_within) / average, 0.0)
        within, between = math.sqrt(ms_within), math.sqrt(shared)
        variance = ms_within + shared
    sd = math.sqrt(variance)
    return BlandAltman(N, m, bias, interval, within, between, sd, (bias - z * sd, bias + z * sd))


def report_validation(calls: Sequence[Mapping[str, Any]], level: float = 0.95) -> dict[str, Any]:
    """Image against report per examination: 2×2 (report as reference), agreement, kappa, PABAK."""
    result = {}
    for examination, (image_key, report_key, _) in EXAMINATIONS.items():
        verdicts = [(str(c.get(report_key) or ""), str(c.get(image_key) or "")) for c in calls]
        cells = [outcome(r, i) for r, i in verdicts]
        table = Table(*(cells.count(cell) for cell in ("TP", "FP", "FN", "TN")))
        agree = table.tp + table.tn
        value = kappa(table)
        result[examination] = {
            "both_present": table.tp,
            "image_only": table.fp,
            "report_only": table.fn,
            "both_absent": table.tn,
            "indeterminate": cells.count("indeterminate"),
            "not_comparable": cells.count("not_evaluable"),
            "agreement": agree / table.total if table.total else None,
            "clopper_pearson": list(clopper_pearson(agree, table.total, level)) if table.total else None,
            "kappa": value[0] if value else None,
            "kappa_se": value[1] if value else None,
            "pabak": pabak(table),
        }
    return result
