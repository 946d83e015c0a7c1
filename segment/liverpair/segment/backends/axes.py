"""Turn an image's array axes to the anatomical order that a model was trained on, and a mask's back: no resampling."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid

__all__ = ["AxisOrder", "axis_order"]

#: Each letter names where an index grows to: its LPS axis and sign (L, P, S are positive in DICOM's frame).
LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class AxisOrder:
    """Which array axis of the image is each wanted axis, and whether it runs the other way."""

    source: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """The values [i, j, k] with the wanted axes (a contiguous copy)."""
        turned = values.transpose(self.source)
        return np.ascontiguousarray(turned[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)])

    def undo(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values with the wanted axes back in the image's own order (a contiguous copy)."""
        straight = values[tuple(slice(None, None, -1 if f else 1) for f in self.flipped)]
        return np.ascontiguousarray(straight.transpose(np.argsort(self.source)))

    def spacing(self, grid: Grid) -> NDArray[np.float64]:
        """Steps in mm along the wanted axes, shape (3,)."""
        return grid.spacing[list(self.source)]


def axis_order(grid: Grid, wanted: str) -> AxisOrder:
    """How to bring arrays on ``grid`` to the axes ``wanted``, such as "RAS" (indices grow to right, front, head).

    An oblique grid is taken as the nearest straight one: models see arrays and steps, no angles. Raises UsageError
    for letters that name no three axes.
    """
    code = wanted.upper()
    if len(code) != 3 or any(c not in LETTERS for c in code) or len({LETTERS[c][0] for c in code}) != 3:
        raise UsageError(f"axes {wanted!r} are no orientation; write three letters such as RAS or LPS")
    direction = grid.direction  # columns: LPS unit vectors of the array axes
    best = max(permutations(range(3)), key=lambda p: sum(abs(direction[LETTERS[code[n]][0], p[n]]) for n in range(3)))
    runs = [direction[LETTERS[code[n]][0], best[n]] * LETTERS[code[n]][1] for n in range(3)]
    return AxisOrder((best[0], best[1], best[2]), (runs[0] < 0, runs[1] < 0, runs[2] < 0))
