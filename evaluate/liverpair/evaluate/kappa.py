"""Agreement beyond chance on a nominal or ordered scale: two raters (Cohen) and several (Fleiss, Gwet).

Two raters: J. Cohen, Educ Psychol Meas 20 (1960) 37 and Psychol Bull 70 (1968) 213; large-sample errors of Fleiss,
Cohen & Everitt, Psychol Bull 72 (1969) 323. Several: J. L. Fleiss, Psychol Bull 76 (1971) 378; K. L. Gwet, Br J Math
Stat Psychol 61 (2008) 29, both with units that some raters did not rate as in Gwet's Handbook of Inter-Rater
Reliability (4th ed., §2.4 and §5.4). What the counts do not define is None, or NaN in an array of replicates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liverpair.core.errors import UsageError

__all__ = ["cohen_kappa", "linear_weights", "rater_sums", "several_raters", "two_raters"]

Array = NDArray[np.float64]


def linear_weights(categories: int) -> Array:
    """Weights (q, q) of an ordered scale: 1 on the diagonal, falling evenly to 0 between its ends.

    On absent – indeterminate – present a definite contradiction counts whole and a step to "indeterminate" half.
    Quadratic weights would let that step pass at a quarter; a reader in doubt changes what is done with a patient.
    """
    step = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories)))
    return np.asarray(1 - step / max(categories - 1, 1), dtype=np.float64)


def cohen_kappa(counts: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, float] | None:
    """Cohen's (weighted) kappa of counts (q, q), first rater in rows, and its large-sample standard error.

    ``weights`` (q, q): agreement that a cell is worth, 1 on the diagonal; None: nothing off it. None where chance
    agreement is complete, and for an empty table.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or np.any(table < 0):
        raise UsageError("kappa needs a square table of counts")
    w = np.eye(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
    n = float(table.sum())
    if n == 0:
        return None
    p = table / n
    row, column = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float((w * p).sum()), float(row @ w @ column)
    if chance >= 1:
        return None
    value = (observed - chance) / (1 - chance)
    worth = (w @ column)[:, None] + (row @ w)[None, :]
    spread = float((p * (w - worth * (1 - value)) ** 2).sum()) - (value - chance * (1 - value)) ** 2
    return value, math.sqrt(max(spread, 0.0) / n) / (1 - chance)


def two_raters(cells: ArrayLike, weights: ArrayLike) -> dict[str, Array]:
    """Coefficients of two raters from tables (..., q·q), row by row; NaN where a table does not define one.

    agreement; kappa; kappa_weighted (by ``weights``); pabak, here for any q (q·agreement − 1)/(q − 1), which is
    2·agreement − 1 for two categories (Byrt 1993; Brennan & Prediger 1981); ac1 (Gwet 2008).
    """
    w = np.asarray(weights, dtype=np.float64)
    q = len(w)
    flat = np.asarray(cells, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = flat.reshape(*flat.shape[:-1], q, q) / flat.sum(axis=-1)[..., None, None]
        row, column = p.sum(axis=-1), p.sum(axis=-2)
        agreed = np.trace(p, axis1=-2, axis2=-1)
        chance = (row * column).sum(axis=-1)
        worth, expected = (w * p).sum(axis=(-2, -1)), np.einsum("...i,ij,...j->...", row, w, column)
        both = (row + column) / 2
        found = {
            "agreement": agreed,
            "kappa": (agreed - chance) / (1 - chance),
            "kappa_weighted": (worth - expected) / (1 - expected),
            "pabak": (q * agreed - 1) / (q - 1),
            "ac1": _beyond(agreed, (both * (1 - both)).sum(axis=-1) / (q - 1)),
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in found.items()}


def _beyond(observed: Array, chance: Array) -> Array:
    return np.asarray((observed - chance) / (1 - chance), dtype=np.float64)


def rater_sums(ratings: ArrayLike, weights: ArrayLike) -> Array:
    """What each unit adds to the coefficients of several raters, shape (units, 4 + q).

    ``ratings`` (units, q): how many raters put the unit into each category; a unit nobody rated adds nothing. Columns:
    rated by two or more (1 or 0), the share of its pairs of raters that agree, the same weighted, rated at all (1 or
    0), then the shares of the categories. Sums over units add up, so patients can be drawn as whole.
    """
    r = np.asarray(ratings, dtype=np.float64)
    total = r.sum(axis=1)
    pairs = total * (total - 1)
    several = total >= 2
    alike = np.divide((r * (r - 1)).sum(axis=1), pairs, out=np.zeros(len(r)), where=several)
    near = np.divide((r * (r @ np.asarray(weights) - 1)).sum(axis=1), pairs, out=np.zeros(len(r)), where=several)
    shares = np.divide(r, total[:, None], out=np.zeros_like(r), where=total[:, None] > 0)
    return np.column_stack([several, alike, near, total > 0, shares])


def several_raters(sums: ArrayLike, weights: ArrayLike) -> dict[str, Array]:
    """Coefficients of several raters from summed `rater_sums` (..., 4 + q); NaN where not defined.

    agreement: mean share of agreeing pairs of raters; fleiss_kappa; fleiss_kappa_weighted (by ``weights``); ac1.
    """
    s, w = np.asarray(sums, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    q = len(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        agreed, near = s[..., 1] / s[..., 0], s[..., 2] / s[..., 0]
        share = s[..., 4:] / s[..., 3, None]
        found = {
            "agreement": agreed,
            "fleiss_kappa": _beyond(agreed, (share**2).sum(axis=-1)),
            "fleiss_kappa_weighted": _beyond(near, np.einsum("...i,ij,...j->...", share, w, share)),
            "ac1": _beyond(agreed, (share * (1 - share)).sum(axis=-1) / (q - 1)),
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in found.items()}
