"""Where a point of one examination lies in the other: an affine followed by a dense displacement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid

__all__ = ["SpatialTransform", "interpolate"]

#: The inverse is iterated until a point moves less than this; 100 times below the registration's own error.
INVERSE_TOLERANCE_MM = 0.01
INVERSE_ITERATIONS = 60


def interpolate(values: NDArray[np.float32], grid: Grid, lps: ArrayLike) -> NDArray[np.float64]:
    """Trilinear interpolation of ``values`` at points; outside the grid the edge value is kept.

    ``values`` has shape grid.shape + (c,) or grid.shape; ``lps`` (n, 3) in mm; the result is (n, c) or (n,).
    """
    index = np.clip(grid.to_index(np.atleast_2d(np.asarray(lps, dtype=np.float64))), 0, np.asarray(grid.shape) - 1)
    low = np.minimum(index.astype(np.int64), np.maximum(np.asarray(grid.shape) - 2, 0))
    weight = index - low
    high = np.minimum(low + 1, np.asarray(grid.shape) - 1)
    total = np.zeros((len(index), *values.shape[3:]), dtype=np.float64)
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        at = [np.where(bit, high[:, axis], low[:, axis]) for axis, bit in enumerate(bits)]
        w = np.prod([weight[:, axis] if bit else 1 - weight[:, axis] for axis, bit in enumerate(bits)], axis=0)
        total += values[at[0], at[1], at[2]] * w.reshape(-1, *([1] * (values.ndim - 3)))
    return total


@dataclass(frozen=True, slots=True, eq=False)
class SpatialTransform:
    """Maps FIXED (PET/CT) points to MOVING (MRI) points: ``affine @ (p + displacement(p))``.

    ``affine`` is 4×4 in LPS mm. ``displacement`` holds LPS mm vectors, float32, shape grid.shape + (3,), on
    ``grid`` (in the fixed frame); both None for a purely affine transform. Outside the grid the edge's
    displacement continues, so the map is continuous everywhere.
    """

    affine: NDArray[np.float64]
    displacement: NDArray[np.float32] | None = None
    grid: Grid | None = None

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.all(np.isfinite(affine)) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
            raise GeometryRefusal("bad_transform", "the transform's affine is not an invertible finite 4×4 matrix")
        if (self.displacement is None) != (self.grid is None):
            raise GeometryRefusal("bad_transform", "a displacement needs its grid, and a grid its displacement")
        if self.displacement is not None and self.grid is not None:
            if self.displacement.shape != (*self.grid.shape, 3):
                raise GeometryRefusal("bad_transform", "the displacement does not fit its grid")
            field = np.ascontiguousarray(self.displacement, dtype=np.float32)
            field.setflags(write=False)
            object.__setattr__(self, "displacement", field)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @classmethod
    def identity(cls) -> SpatialTransform:
        """The transform that leaves every point where it is."""
        return cls(np.eye(4))

    def _displace(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.displacement is None or self.grid is None:
            return np.zeros_like(points)
        return interpolate(self.displacement, self.grid, points)

    def to_moving(self, lps: ArrayLike) -> NDArray[np.float64]:
        """MRI points (n, 3) LPS mm of PET/CT points (n, 3) LPS mm."""
        points = np.atleast_2d(np.asarray(lps, dtype=np.float64))
        moved = points + self._displace(points)
        return moved @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_fixed(self, lps: ArrayLike) -> NDArray[np.float64]:
        """PET/CT points (n, 3) LPS mm of MRI points (n, 3) LPS mm, by fixed-point iteration.

        Raises GeometryRefusal("not_invertible") where the iteration does not settle (a folded transform).
        """
        points = np.atleast_2d(np.asarray(lps, dtype=np.float64))
        inverse = np.linalg.inv(self.affine)
        target = points @ inverse[:3, :3].T + inverse[:3, 3]
        guess = target.copy()
        for _ in range(INVERSE_ITERATIONS):
            step = target - self._displace(guess) - guess
            guess += step
            if len(step) == 0 or np.abs(step).max() < INVERSE_TOLERANCE_MM:
                return guess
        raise GeometryRefusal("not_invertible", "the transform folds: no single PET/CT point belongs to this MRI point")
