"""Sample spaces and signed distances: the small analytic geometry that organs are built from.

Distances are in mm, negative inside. They are first-order accurate near the surface (which is where partial volume
needs them), not far from it. All arrays are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "Space",
    "along_axes",
    "capsule",
    "coverage",
    "ellipsoid",
    "rotation_matrix",
    "smooth_max",
    "smooth_min",
    "tube",
]

Array = NDArray[np.float32]
Point = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """A regular, axis-aligned sampling of the anatomical frame (x to the left, y to the back, z to the head; mm)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]

    @classmethod
    def spanning(cls, lower: Point, upper: Point, step_mm: float) -> Space:
        """Samples from ``lower`` to ``upper`` (three numbers each) every ``step_mm``."""
        axes = [
            low + step_mm * np.arange(int(round((high - low) / step_mm)) + 1)
            for low, high in zip(lower, upper, strict=True)
        ]
        return cls(axes[0], axes[1], axes[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples along x, y, z."""
        return len(self.x), len(self.y), len(self.z)

    @property
    def step(self) -> float:
        """Sample distance in mm, the same on all axes."""
        return float(self.x[1] - self.x[0])

    def open(self) -> tuple[Array, Array, Array]:
        """Coordinates that broadcast to the full shape: (nx,1,1), (1,ny,1), (1,1,nz)."""
        x, y, z = (axis.astype(np.float32) for axis in (self.x, self.y, self.z))
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def window(self, lower: Point, upper: Point) -> tuple[slice, slice, slice]:
        """Index box of the samples between two corners (clipped; never empty)."""
        box = []
        for axis, low, high in zip((self.x, self.y, self.z), lower, upper, strict=True):
            start = int(np.clip(np.searchsorted(axis, low), 0, len(axis) - 1))
            box.append(slice(start, int(np.clip(np.searchsorted(axis, high, "right"), start + 1, len(axis)))))
        return box[0], box[1], box[2]

    def sub(self, box: tuple[slice, slice, slice]) -> Space:
        """The samples inside an index box."""
        return Space(self.x[box[0]], self.y[box[1]], self.z[box[2]])


def along_axes(values: Array, matrices: Sequence[Array]) -> Array:
    """Apply one matrix (n_out, n_in) per axis to an array (x, y, z) by plain matrix products."""
    out = values @ matrices[2].T
    out = matrices[1] @ out
    rows = matrices[0] @ out.reshape(out.shape[0], -1)
    return np.ascontiguousarray(rows.reshape(-1, *out.shape[1:]), dtype=np.float32)


def rotation_matrix(degrees: Point) -> NDArray[np.float64]:
    """Rotation about x, then y, then z, by three angles in degrees, shape (3, 3)."""
    a, b, c = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def ellipsoid(space: Space, centre: Point, radii: Point, degrees: Point = (0.0, 0.0, 0.0)) -> Array:
    """Distance to an ellipsoid, scaled by the gradient so that it is right at the surface."""
    x, y, z = space.open()
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    if any(degrees):
        turn = rotation_matrix(degrees).astype(np.float32)
        dx, dy, dz = (turn[0, n] * dx + turn[1, n] * dy + turn[2, n] * dz for n in range(3))
    a, b, c = (np.float32(r) for r in radii)
    level = np.sqrt((dx / a) ** 2 + (dy / b) ** 2 + (dz / c) ** 2) + np.float32(1e-6)
    slope = np.sqrt((dx / (a * a)) ** 2 + (dy / (b * b)) ** 2 + (dz / (c * c)) ** 2) + np.float32(1e-6)
    return level * (level - 1) / slope


def capsule(space: Space, start: Point, stop: Point, radius_start: float, radius_stop: float) -> Array:
    """Distance to a straight tube whose radius tapers from ``start`` to ``stop``."""
    x, y, z = space.open()
    origin = np.asarray(start, dtype=np.float64)
    along = np.asarray(stop, dtype=np.float64) - origin
    squared = max(float(along @ along), 1e-6)
    dx, dy, dz = x - np.float32(origin[0]), y - np.float32(origin[1]), z - np.float32(origin[2])
    vx, vy, vz = (np.float32(v) for v in along)
    position = np.clip((dx * vx + dy * vy + dz * vz) / np.float32(squared), 0, 1)
    distance = np.sqrt((dx - position * vx) ** 2 + (dy - position * vy) ** 2 + (dz - position * vz) ** 2)
    return np.asarray(distance - (radius_start + (radius_stop - radius_start) * position), dtype=np.float32)


def tube(space: Space, path: NDArray[np.float64], radius: float | NDArray[np.float64]) -> Array:
    """Distance to a bent tube along the points of ``path`` (n, 3), radius one number or (n,)."""
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(path),))
    result = np.full(space.shape, 1e3, dtype=np.float32)
    for n in range(len(path) - 1):
        reach = max(radii[n], radii[n + 1]) + 3 * space.step
        box = space.window(np.minimum(path[n], path[n + 1]) - reach, np.maximum(path[n], path[n + 1]) + reach)
        piece = capsule(space.sub(box), path[n], path[n + 1], radii[n], radii[n + 1])
        result[box] = np.minimum(result[box], piece)
    return result


def smooth_min(a: Array, b: Array, width_mm: float) -> Array:
    """Union of two shapes with a fillet of about ``width_mm``."""
    blend = np.maximum(np.float32(width_mm) - np.abs(a - b), 0) / np.float32(width_mm)
    return np.asarray(np.minimum(a, b) - blend * blend * np.float32(width_mm / 4), dtype=np.float32)


def smooth_max(a: Array, b: Array, width_mm: float) -> Array:
    """Intersection of two shapes with a rounded edge of about ``width_mm``."""
    return -smooth_min(-a, -b, width_mm)


def coverage(distance: Array, step_mm: float) -> Array:
    """Fraction of a voxel inside a surface at a signed distance: linear over one voxel width."""
    return np.clip(np.float32(0.5) - distance / np.float32(step_mm), 0, 1)
