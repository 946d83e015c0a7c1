"""Pair the PET and MRI examinations of one patient: the closest in time first, ties by stated ranks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date

__all__ = ["Dated", "Window", "pair_nearest"]


@dataclass(frozen=True, slots=True)
class Window:
    """Days an MRI may lie ``before`` and ``after`` the PET; both bounds are inside."""

    before: int
    after: int

    def holds(self, interval_days: int) -> bool:
        """Whether an interval (MRI minus PET) lies inside."""
        return -self.before <= interval_days <= self.after


@dataclass(frozen=True, slots=True)
class Dated:
    """An examination to pair: its day, and its rank among examinations equally near (smaller is preferred)."""

    key: Hashable
    day: date
    rank: tuple[int, ...] = ()


def pair_nearest(
    pets: Sequence[Dated],
    mris: Sequence[Dated],
    window: Window,
    reuse: bool,
    compatible: Callable[[int, int], bool] = lambda pet, mri: True,
) -> list[tuple[int, int]]:
    """Index pairs (pet, mri) inside the window, in the order of the PETs.

    The closest PET and MRI are paired first, then the closest of what is left, as a reader would do it: no PET and MRI
    stay apart that lie closer to each other than to their partners. Ties are decided by the MRI's rank, the PET's rank,
    the earlier MRI, the earlier PET, then the keys. ``reuse`` False: every examination serves once. True: every PET
    takes its nearest MRI, whoever else took it. ``compatible`` may forbid a pair (indices).
    """
    candidates = []
    for i, pet in enumerate(pets):
        for j, mri in enumerate(mris):
            interval = (mri.day - pet.day).days
            if window.holds(interval) and compatible(i, j):
                order = (abs(interval), mri.rank, pet.rank, mri.day, pet.day, str(mri.key), str(pet.key))
                candidates.append((order, i, j))
    taken: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(candidates):
        if i not in taken and (reuse or j not in used):
            taken[i] = j
            used.add(j)
    return sorted(taken.items())
