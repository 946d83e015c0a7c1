"""Voxel values on a grid: images, masks and label maps, all read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit

__all__ = ["LabelMap", "Mask", "Volume"]


def _frozen(values: NDArray[Any], grid: Grid, dtype: Any) -> NDArray[Any]:
    if values.shape != grid.shape:
        raise GeometryRefusal("shape_mismatch", f"values of shape {values.shape} do not fit a grid of {grid.shape}")
    array = np.ascontiguousarray(values, dtype=dtype)
    if array is values and values.flags.writeable:
        array = array.view()
    array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An image: float32 values [i, j, k] on a grid, with the unit they are in."""

    values: NDArray[np.float32]
    grid: Grid
    unit: Unit = Unit.ARBITRARY

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, self.grid, np.float32))

    def cropped(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Volume:
        """The part with indices start ≤ (i, j, k) < stop."""
        window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return Volume(self.values[window], self.grid.cropped(start, stop), self.unit)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A region: boolean values [i, j, k] on a grid."""

    values: NDArray[np.bool_]
    grid: Grid

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, self.grid, np.bool_))

    @property
    def volume_ml(self) -> float:
        """Volume of the region in mL, counting voxels."""
        return int(np.count_nonzero(self.values)) * self.grid.voxel_volume_mm3 / 1000.0

    @property
    def is_empty(self) -> bool:
        """Whether no voxel belongs to the region."""
        return not bool(self.values.any())

    def centroid(self) -> NDArray[np.float64]:
        """LPS mm of the centre of gravity, shape (3,); refused for an empty region."""
        if self.is_empty:
            raise GeometryRefusal("empty_mask", "an empty mask has no centroid")
        middle = []
        for axis in range(3):
            held = np.count_nonzero(self.values, axis=tuple(a for a in range(3) if a != axis))
            middle.append(float(np.arange(len(held)) @ held) / float(held.sum()))
        return self.grid.to_world(middle)

    def bounds(self, margin_mm: float = 0.0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index box (start, stop) of the region, widened by ``margin_mm`` and clipped to the grid."""
        if self.is_empty:
            raise GeometryRefusal("empty_mask", "an empty mask has no bounds")
        margin = np.ceil(margin_mm / self.grid.spacing).astype(np.int64)
        start, stop = [], []
        for axis in range(3):
            used = np.flatnonzero(self.values.any(axis=tuple(a for a in range(3) if a != axis)))
            start.append(max(0, int(used[0]) - int(margin[axis])))
            stop.append(min(self.grid.shape[axis], int(used[-1]) + 1 + int(margin[axis])))
        return np.asarray(start, dtype=np.int64), np.asarray(stop, dtype=np.int64)

    def cropped(self, start: NDArray[np.int64], stop: NDArray[np.int64]) -> Mask:
        """The part with indices start ≤ (i, j, k) < stop."""
        window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return Mask(self.values[window], self.grid.cropped(start, stop))


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Numbered regions: uint16 values [i, j, k] on a grid; 0 is background."""

    values: NDArray[np.uint16]
    grid: Grid

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, self.grid, np.uint16))

    def mask(self, label: int) -> Mask:
        """The region of one label."""
        return Mask(self.values == label, self.grid)
