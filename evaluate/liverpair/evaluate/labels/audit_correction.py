"""What label errors do to sensitivity and specificity: estimates corrected by the audit (matrix method).

The Rogan–Gladen estimator (Am J Epidemiol 1978;107:71) for both tests of a 2×2 table at once (Barron, Biometrics
1977;33:414): observed = M(reference) · true · M(index)ᵀ, solved for the true table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.evaluate.bootstrap import resample_cells
from liverpair.evaluate.intervals import Interval
from liverpair.evaluate.labels.audit import LabelAudit

__all__ = ["ASSUMPTIONS", "CorrectedAccuracy", "LabelError", "correct_accuracy", "label_error"]

ASSUMPTIONS = (
    "The adjudicated status is the truth of the report (not of the patient).",
    "Labels of MRI and PET/CT reports err independently of each other, given what the reports say.",
    "The error rates are the same in all pairs of a modality (non-differential misclassification).",
    "Only reports labelled present or absent are in the 2×2 table; reports adjudicated uncertain or not mentioned are "
    "left out of the error rates.",
)
#: Below this Youden index (sensitivity + specificity − 1) the correction blows sampling noise up more than tenfold.
LEAST_YOUDEN = 0.1
#: Share of bootstrap replicates that must allow a correction for an interval to be stated.
DEFINED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class LabelError:
    """Audit counts of one modality: of reports labelled present (absent), how many are present in truth.

    ``share_present``: share labelled present among those labelled present or absent.
    """

    present_right: int
    present_audited: int
    absent_wrong: int
    absent_audited: int
    share_present: float

    def rates(self, ppv: float | None = None, missed: float | None = None) -> tuple[float, float]:
        """Sensitivity and specificity of the label for the truth of the report, by Bayes from its predictive values."""
        ppv = self.present_right / self.present_audited if ppv is None else ppv
        missed = self.absent_wrong / self.absent_audited if missed is None else missed
        w = self.share_present
        positive, negative = w * ppv + (1 - w) * missed, w * (1 - ppv) + (1 - w) * (1 - missed)
        return (w * ppv / positive if positive else 1.0), ((1 - w) * (1 - missed) / negative if negative else 1.0)


@dataclass(frozen=True, slots=True)
class CorrectedAccuracy:
    """Observed and corrected values. ``note`` says why an interval or a value is missing."""

    sensitivity: float | None
    sensitivity_interval: Interval | None
    specificity: float | None
    specificity_interval: Interval | None
    observed_sensitivity: float | None
    observed_specificity: float | None
    assumptions: tuple[str, ...] = ASSUMPTIONS
    note: str = ""


def label_error(audit: LabelAudit, modality: str) -> LabelError:
    """The errors of one modality's labels (MR, PT) in an audit. UsageError if a label of it was not adjudicated."""
    found = {s.label: s for s in audit.strata if s.modality == modality and s.label in ("present", "absent")}
    pairs = {}
    for label in ("present", "absent"):
        stratum = found.get(label)
        known = (stratum.truth.get("present", 0), stratum.truth.get("absent", 0)) if stratum else (0, 0)
        if not sum(known):
            raise UsageError(f"no {modality} report labelled {label} was adjudicated; draw a larger audit.")
        pairs[label] = known
    present, absent = found["present"].size, found["absent"].size
    return LabelError(
        present_right=pairs["present"][0],
        present_audited=sum(pairs["present"]),
        absent_wrong=pairs["absent"][0],
        absent_audited=sum(pairs["absent"]),
        share_present=present / (present + absent),
    )


def correct_accuracy(
    cells: Sequence[tuple[int, int, int, int]],
    reference: LabelError | None,
    index: LabelError | None,
    replicates: int = 2000,
    seed: int = 20230101,
    level: float = 0.95,
) -> CorrectedAccuracy:
    """Sensitivity and specificity without the labels' errors; a test that needs no correction is None.

    ``cells``: (tp, fp, fn, tn) of each patient. The interval is the percentile one of a seeded bootstrap that resamples
    patients and draws each audited proportion from its Jeffreys posterior Beta(k + ½, n − k + ½).
    """
    counts = np.asarray(cells, dtype=np.int64).reshape(-1, 4)
    observed = counts.sum(axis=0).astype(np.float64)
    errors = [(error.rates() if error else (1.0, 1.0)) for error in (reference, index)]
    seen = _ratios(_table(observed[None]))[0]
    if min(sum(rates) - 1 for rates in errors) < LEAST_YOUDEN:
        note = "the labels are hardly better than chance: no correction is possible"
        return CorrectedAccuracy(None, None, None, None, _known(seen[0]), _known(seen[1]), note=note)
    point = _ratios(_solve(_table(observed[None]), np.array([errors[0]]), np.array([errors[1]])))[0]
    rng = np.random.default_rng(seed)
    draws = [_draw(error, replicates, rng) for error in (reference, index)]
    tables = _table(resample_cells(counts, replicates, seed).astype(np.float64))
    usable = np.all([draw.sum(axis=1) - 1 >= LEAST_YOUDEN for draw in draws], axis=0)
    values = _ratios(_solve(tables[usable], draws[0][usable], draws[1][usable]))
    intervals = [_percentiles(values[:, k], replicates, level) for k in (0, 1)]
    note = "" if all(intervals) else "an interval is withheld: too few bootstrap replicates allow the correction"
    return CorrectedAccuracy(
        _known(point[0]), intervals[0], _known(point[1]), intervals[1], _known(seen[0]), _known(seen[1]), note=note
    )


def _table(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tables (..., 2, 2), rows reference present and absent, columns index, from cells (..., tp, fp, fn, tn)."""
    tp, fp, fn, tn = np.moveaxis(cells, -1, 0)
    return np.stack([np.stack([tp, fn], axis=-1), np.stack([fp, tn], axis=-1)], axis=-2)


def _solve(
    tables: NDArray[np.float64], reference: NDArray[np.float64], index: NDArray[np.float64]
) -> NDArray[np.float64]:
    """True tables; what sampling noise makes negative is 0."""
    left, right = np.linalg.inv(_matrix(reference)), np.linalg.inv(_matrix(index))
    return np.clip(left @ tables @ np.swapaxes(right, -1, -2), 0.0, None)


def _matrix(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(label | truth), shape (..., 2, 2): columns are the truth, rows the label."""
    sensitivity, specificity = rates[..., 0], rates[..., 1]
    rows = [np.stack([sensitivity, 1 - specificity], axis=-1), np.stack([1 - sensitivity, specificity], axis=-1)]
    return np.stack(rows, axis=-2)


def _ratios(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sensitivity and specificity of tables (..., 2, 2), NaN where not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity = tables[..., 0, 0] / tables[..., 0, :].sum(axis=-1)
        specificity = tables[..., 1, 1] / tables[..., 1, :].sum(axis=-1)
    return np.stack([sensitivity, specificity], axis=-1)


def _draw(error: LabelError | None, replicates: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if error is None:
        return np.ones((replicates, 2))
    ppv = rng.beta(error.present_right + 0.5, error.present_audited - error.present_right + 0.5, replicates)
    missed = rng.beta(error.absent_wrong + 0.5, error.absent_audited - error.absent_wrong + 0.5, replicates)
    return np.array([error.rates(float(a), float(b)) for a, b in zip(ppv, missed, strict=True)])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _percentiles(values: NDArray[np.float64], replicates: int, level: float) -> Interval | None:
    defined = values[np.isfinite(values)]
    if len(defined) < DEFINED_SHARE * replicates:
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, (tail, 100 - tail))
    return float(low), float(high)
