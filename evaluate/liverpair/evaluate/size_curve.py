"""Detection against size: a logistic curve on ln(size), and the sizes at which 50 % and 90 % are detected.

The covariance is the cluster sandwich without small-sample correction (as R's geepack), so that several
lesions of one patient do not count as independent. Separated data, where every lesion above some size is
found and none below, have no finite maximum-likelihood slope: Firth's penalised fit then places d50, and no
interval is given.

Sources: Firth, Biometrika 80 (1993); Fieller 1954; MASS::dose.p (Venables & Ripley) for the delta standard
error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.evaluate.distributions import normal_quantile
from liverpair.evaluate.records import LesionOutcome

__all__ = ["LogisticFit", "dose", "fit_logistic", "is_separated", "size_curve"]

FloatArray = NDArray[np.float64]
NEWTON_STEPS = 100
#: Newton stops when no coefficient moves by more than this; well below the digits anyone prints.
NEWTON_TOLERANCE = 1e-10
#: One Newton step moves no coefficient further than this, which keeps the first steps of Firth's fit from
#: overshooting.
LONGEST_STEP = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class LogisticFit:
    """Coefficients (p,), covariance (p, p), whether Newton settled, and whether Firth's penalty was used."""

    coefficients: FloatArray
    covariance: FloatArray
    converged: bool
    penalised: bool


def _score_and_information(
    X: FloatArray, y: FloatArray, trials: FloatArray, beta: FloatArray, penalised: bool
) -> tuple[FloatArray, FloatArray]:
    """Per-row residuals (their scores are residual·X) and the information matrix at ``beta``."""
    p = 1 / (1 + np.exp(-np.clip(X @ beta, -500, 500)))
    weight = trials * p * (1 - p)
    information = (X.T * weight) @ X
    residual = y - trials * p
    if penalised:
        leverage = weight * np.einsum("ij,jk,ik->i", X, np.linalg.pinv(information), X)
        residual = np.asarray(residual + leverage * (0.5 - p))
    return residual, information


def fit_logistic(
    X: FloatArray,
    y: FloatArray,
    trials: FloatArray | None = None,
    clusters: NDArray[Any] | None = None,
    penalised: bool = False,
) -> LogisticFit:
    """Maximum likelihood logistic fit of ``y`` successes in ``trials`` (default 1) on the design X, shape (n,
    p).

    With ``clusters`` (labels, shape (n,)) the covariance is the robust cluster sandwich, else the inverse
    information.
    """
    counts = np.ones(len(y)) if trials is None else np.asarray(trials, dtype=np.float64)
    beta = np.zeros(X.shape[1])
    converged = False
    for _ in range(NEWTON_STEPS):
        residual, information = _score_and_information(X, y, counts, beta, penalised)
        step = np.linalg.pinv(information) @ (X.T @ residual)
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        beta = beta + step
        if float(np.abs(step).max()) < NEWTON_TOLERANCE:
            converged = True
            break
    residual, information = _score_and_information(X, y, counts, beta, penalised)
    bread: FloatArray = np.asarray(np.linalg.pinv(information), dtype=np.float64)
    if clusters is None:
        return LogisticFit(beta, bread, converged, penalised)
    _, index = np.unique(clusters, return_inverse=True)
    scores = np.zeros((int(index.max()) + 1, X.shape[1]))
    np.add.at(scores, index, residual[:, None] * X)
    return LogisticFit(beta, bread @ (scores.T @ scores) @ bread, converged, penalised)


def dose(
    intercept: float, slope: float, covariance: FloatArray, probability: float, level: float = 0.95
) -> tuple[float, float, tuple[float, float], tuple[float, float] | str]:
    """Where the curve reaches ``probability``: (x, delta SE, delta interval, Fieller interval or
    "unbounded").

    ``covariance`` (2, 2) is that of (intercept, slope). Fieller's set is the x with |b0 + b1·x − logit p|
    within z standard errors; it is no interval where the slope is not significant (A ≤ 0): "unbounded".
    """
    z = normal_quantile(0.5 + level / 2)
    offset = intercept - math.log(probability / (1 - probability))
    x = -offset / slope
    v00, v01, v11 = covariance[0, 0], covariance[0, 1], covariance[1, 1]
    se = math.sqrt(max(v00 + 2 * x * v01 + x * x * v11, 0.0)) / abs(slope)
    A = slope**2 - z**2 * v11
    B = 2 * (offset * slope - z**2 * v01)
    C = offset**2 - z**2 * v00
    discriminant = B**2 - 4 * A * C
    fieller: tuple[float, float] | str = "unbounded"
    if A > 0 and discriminant >= 0:
        root = math.sqrt(discriminant)
        fieller = ((-B - root) / (2 * A), (-B + root) / (2 * A))
    return x, se, (x - z * se, x + z * se), fieller


def is_separated(x: FloatArray, y: FloatArray) -> bool:
    """Whether one threshold on x parts detected from undetected (complete or quasi-complete separation)."""
    found, missed = x[y > 0], x[y == 0]
    return bool(missed.max() <= found.min() or found.max() <= missed.min())


def _mm(value: float) -> float | None:
    """exp(value) where it is a finite length."""
    return math.exp(value) if value < 700 else None


def _interval_mm(interval: tuple[float, float] | str) -> list[float | None] | str:
    return interval if isinstance(interval, str) else [_mm(interval[0]), _mm(interval[1])]


def _empty(n: int, reason: str) -> dict[str, Any]:
    absent = {"delta": None, "fieller": None}
    return {
        "d50_mm": None,
        "d90_mm": None,
        "d50_ci_mm": dict(absent),
        "d90_ci_mm": dict(absent),
        "coefficients": None,
        "standard_errors": None,
        "lesions": n,
        "method": None,
        "notes": {"size_curve": reason},
    }


def size_curve(lesions: Sequence[LesionOutcome], level: float = 0.95) -> dict[str, Any]:
    """The curve in the shape of concordance.json's ``size_curve``; what the data do not determine is None
    with a note.

    Lesions without a size or without a verdict do not take part.
    """
    used = [x for x in lesions if x.detected is not None and x.size_mm is not None and x.size_mm > 0]
    y = np.array([float(bool(x.detected)) for x in used])
    ln = np.log(np.array([float(x.size_mm or 0) for x in used])) if used else np.zeros(0)
    if len(used) < 3 or len(np.unique(ln)) < 2:
        return _empty(len(used), "a curve needs at least three lesions of two sizes")
    if y.min() == y.max():
        return _empty(len(used), "every lesion was detected" if y[0] else "no lesion was detected")
    X = np.column_stack([np.ones_like(ln), ln])
    patients = np.array([x.patient_id for x in used])
    separated = is_separated(ln, y)
    fit = fit_logistic(X, y, clusters=patients, penalised=separated)
    result = _empty(len(used), "")
    result["coefficients"] = [float(b) for b in fit.coefficients]
    result["clusters"] = len(np.unique(patients))
    result["method"] = "Firth" if separated else "maximum likelihood, patient-clustered covariance"
    notes: dict[str, str] = {}
    intercept, slope = (float(b) for b in fit.coefficients)
    if separated:
        notes["intervals"] = "one size parts detected from undetected lesions: Firth's fit, no interval"
    elif result["clusters"] < 2:
        notes["intervals"] = "only one patient: the variation between patients is unknown"
    else:
        result["standard_errors"] = [float(s) for s in np.sqrt(np.diag(fit.covariance))]
    if slope <= 0 or not fit.converged:
        notes["d50_mm"] = "detection does not rise with size" if slope <= 0 else "the fit did not settle"
        return result | {"notes": notes}
    for name, probability in (("d50", 0.5), ("d90", 0.9)):
        x, _, delta, fieller = dose(intercept, slope, fit.covariance, probability, level)
        result[f"{name}_mm"] = _mm(x)
        if "intervals" not in notes:
            result[f"{name}_ci_mm"] = {"delta": _interval_mm(delta), "fieller": _interval_mm(fieller)}
    return result | {"notes": notes}
