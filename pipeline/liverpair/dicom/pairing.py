"""Pair the PET and MRI examinations of one patient so that the total interval is smallest."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["Dated", "pair_nearest"]

#: More days than any two dates lie apart: leaving an examination alone is dearer than any interval.
UNPAIRED_DAYS = 10_000_000


@dataclass(frozen=True, slots=True)
class Dated:
    """An examination to pair: its day, and its rank among examinations of one day (smaller is preferred)."""

    key: Hashable
    day: date
    rank: int = 0


def pair_nearest(pets: Sequence[Dated], mris: Sequence[Dated], window_days: int, reuse: bool) -> list[tuple[int, int]]:
    """Index pairs (pet, mri) with |interval| ≤ ``window_days``, in the order of the PETs.

    ``reuse`` False: every examination serves once; as many pairs as possible, then the smallest total of
    |interval|, then the smallest ranks, then the earlier examinations. ``reuse`` True: every PET takes its nearest
    MRI, ties broken by rank, then by the earlier MRI.
    """
    if not pets or not mris:
        return []
    days = np.array([[abs((m.day - p.day).days) for m in mris] for p in pets], dtype=np.int64)
    order = {
        j: n
        for n, j in enumerate(sorted(range(len(mris)), key=lambda j: (mris[j].rank, mris[j].day, str(mris[j].key))))
    }
    preference = np.array([order[j] for j in range(len(mris))], dtype=np.int64)
    allowed = days <= window_days
    if reuse:
        chosen = []
        for i in range(len(pets)):
            options = np.flatnonzero(allowed[i])
            if len(options):
                chosen.append((i, int(min(options, key=lambda j: (days[i, j], preference[j])))))
        return chosen
    # ties within the total interval: each pair's preference weighs less than one day in total
    weight = len(mris) * (min(len(pets), len(mris)) + 1)
    cost = np.where(allowed, days * weight + preference[None, :], UNPAIRED_DAYS * weight).astype(np.float64)
    rows, columns = linear_sum_assignment(cost)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if allowed[i, j]]
