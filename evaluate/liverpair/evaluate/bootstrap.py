"""Patient-level bootstrap of everything that is a function of sums over patients, as of the four cells of a 2×2 table.

Patients with the same sums are exchangeable, so drawing m patients with replacement is drawing
how often each *pattern* occurs from a multinomial: the same distribution as resampling patients one by one,
at a fraction of the cost, and independent of the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFINED_SHARE", "cell_measures", "percentile_intervals", "resample_cells"]

_Number = TypeVar("_Number", np.int64, np.float64)

#: An interval is withheld where fewer replicates than this share define the quantity: it would describe a
#: selection.
DEFINED_SHARE = 0.9
#: Replicates that differ by less differ by rounding.
NO_WIDTH = 1e-12


def resample_cells(cells: NDArray[_Number], replicates: int, seed: int) -> NDArray[_Number]:
    """Cells of the pooled table in each bootstrap replicate, shape (replicates, columns), in the type of ``cells``.

    ``cells`` holds each patient's counts, as (tp, fp, fn, tn), or other sums, shape (patients, columns).
    """
    if len(cells) == 0:
        return np.zeros((replicates, cells.shape[1]), dtype=cells.dtype)
    patterns, often = np.unique(cells, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(cells), often / len(cells), size=replicates)
    return np.asarray(drawn @ patterns, dtype=cells.dtype)


def cell_measures(cells: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Accuracy measures of tables (..., 4) in the order tp, fp, fn, tn; NaN where not defined."""
    tp, fp, fn, tn = np.moveaxis(np.asarray(cells, dtype=np.float64), -1, 0)
    total = tp + fp + fn + tn
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = ((tp + fn) * (tp + fp) + (fp + tn) * (fn + tn)) / total**2
        measures = {
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "ppv": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "accuracy": (tp + tn) / total,
            "lr_positive": (tp / (tp + fn)) / (fp / (fp + tn)),
            "lr_negative": (fn / (tp + fn)) / (tn / (fp + tn)),
            "diagnostic_odds_ratio": (tp * tn) / (fp * fn),
            "kappa": ((tp + tn) / total - chance) / (1 - chance),
            "pabak": 2 * (tp + tn) / total - 1,
            "prevalence": (tp + fn) / total,
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in measures.items()}


def percentile_intervals(
    cells: NDArray[Any],
    replicates: int,
    seed: int,
    level: float = 0.95,
    measures: Callable[[NDArray[Any]], Mapping[str, NDArray[np.float64]]] = cell_measures,
) -> tuple[Mapping[str, tuple[float, float] | None], Mapping[str, str]]:
    """Percentile interval of every measure, and the reason for each one that is None.

    ``cells`` (patients, columns) are what each patient adds; ``measures`` takes pooled tables (..., columns).
    """
    if len(cells) < 2:
        reason = "only one patient: nothing to resample" if len(cells) else "no patients"
        names = measures(np.zeros((1, cells.shape[1]), dtype=np.int64))
        return dict.fromkeys(names), dict.fromkeys(names, reason)
    tail = 100 * (1 - level) / 2
    intervals: dict[str, tuple[float, float] | None] = {}
    notes: dict[str, str] = {}
    for name, values in measures(resample_cells(cells, replicates, seed)).items():
        defined = values[np.isfinite(values)]
        if len(defined) < DEFINED_SHARE * replicates:
            intervals[name] = None
            notes[name] = f"defined in {len(defined)} of {replicates} bootstrap replicates only"
            continue
        low, high = np.percentile(defined, (tail, 100 - tail))
        intervals[name] = float(low), float(high)
        if high - low < NO_WIDTH:  # a width of 0 is not certainty
            intervals[name] = None
            notes[name] = "every bootstrap replicate gives the same value"
        elif len(defined) < replicates:
            notes[name] = f"{replicates - len(defined)} replicates without this quantity left out"
    return intervals, notes
