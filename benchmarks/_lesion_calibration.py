"""The MRI confidence's reliability on simulators that its fit has not seen: refitted without each, kept on that one.

``confidence_pool.csv`` holds the raw confidence of every candidate called metastasis (none of uncertain nature) in 64
examinations of five independent simulators, and whether there was one. Each simulator counts alike.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from liverpair.segment.mr_calibration import KNOTS
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["Pool", "fitted_shares", "print_left_out", "read_pool", "share_at"]

POOL: Final = Path(__file__).with_name("confidence_pool.csv")
#: Raw confidences between which the reliability is stated.
BINS: Final = (0.0, 0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.97, 1.01)
#: Weight of the raw confidence itself in the fit, in candidates per (log-odds)²: what few candidates say is not all.
RAW_WEIGHT: Final = 0.15

#: By simulator: raw confidence (n,) and whether it was a metastasis (n,).
Pool = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def read_pool(path: Path = POOL) -> Pool:
    """The pooled candidates by simulator."""
    rows: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="") as source:
        for row in csv.DictReader(source):
            rows.setdefault(row["simulator"], []).append((float(row["raw_confidence"]), float(row["is_metastasis"])))
    return {name: (np.array([c for c, _ in found]), np.array([k for _, k in found])) for name, found in rows.items()}


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(share, 1e-3, 1 - 1e-3)
    return np.asarray(np.log(inside / (1 - inside)))


def share_at(raw: NDArray[np.float64], knots: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map through (knots, shares), linear in log-odds and going on alike beyond them (mr_calibration)."""
    odds, at, to = _log_odds(raw), _log_odds(knots), _log_odds(shares)
    beyond = np.maximum(odds - at[-1], 0) + np.minimum(odds - at[0], 0)
    return np.asarray(1 / (1 + np.exp(-(np.interp(odds, at, to) + beyond))))


def fitted_shares(pool: Pool, knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares kept at the knots: most likely monotone ones, every simulator counted alike."""
    raw = np.concatenate([c for c, _ in pool.values()])
    kept = np.concatenate([k for _, k in pool.values()])
    weight = np.concatenate([np.full(len(c), 1 / len(c)) for c, _ in pool.values()])
    weight *= len(weight) / weight.sum()
    at = _log_odds(knots)

    def values(free: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(np.r_[free[0], np.exp(free[1:])]))

    def loss(free: NDArray[np.float64]) -> float:
        shares = 1 / (1 + np.exp(-values(free)))
        p = np.clip(share_at(raw, knots, shares), 1e-4, 1 - 1e-4)
        unlikely = -np.sum(weight * (kept * np.log(p) + (1 - kept) * np.log(1 - p)))
        return float(unlikely + 0.5 * RAW_WEIGHT * np.sum((values(free) - at) ** 2))

    found = minimize(loss, np.r_[at[0], np.log(np.diff(at))])
    return np.asarray(1 / (1 + np.exp(-values(found.x))))


def print_left_out() -> None:
    """Promised against kept by raw confidence, each simulator promised what the others' fit says."""
    pool, knots = read_pool(), np.array([raw for raw, _ in KNOTS])
    promised = {
        name: share_at(raw, knots, fitted_shares({k: v for k, v in pool.items() if k != name}, knots))
        for name, (raw, _) in pool.items()
    }
    print("\nconfidence of MRI candidates, each simulator by the others' fit: promised/kept (n), and all alike")
    for low, high in pairwise(BINS):
        cells, means = [], []
        for name, (raw, kept) in pool.items():
            chosen = (raw >= low) & (raw < high)
            if chosen.any():
                means.append((promised[name][chosen].mean(), kept[chosen].mean()))
                cells.append(f"{name} {means[-1][0]:.2f}/{means[-1][1]:.2f} ({int(chosen.sum())})")
        both = np.mean(means, axis=0)
        print(f"  raw {low:.2f}-{min(high, 1):.2f}: {both[0]:.2f}/{both[1]:.2f}   " + "  ".join(cells))
