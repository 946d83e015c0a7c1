"""Where voxels are: regular grids in the DICOM patient frame (LPS, mm) and small pure helpers on affines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liverpair.core.errors import GeometryRefusal

__all__ = ["AFFINE_TOLERANCE_MM", "FloatArray", "Grid", "lps_to_ras"]

FloatArray = NDArray[np.floating[Any]]

#: Two grids are the same when every corner agrees to this: ten times below what any reader could see.
AFFINE_TOLERANCE_MM = 0.01
#: |cos| between two axes of a grid; more is a gantry tilt or shear, which must be resampled before.
SHEAR_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular voxel grid.

    ``shape`` counts voxels along (i, j, k). ``affine`` (4×4, float64) maps a voxel index (i, j, k, 1) of the
    voxel's *centre* to LPS mm. Arrays on the grid are indexed ``values[i, j, k]``. For an axial DICOM stack
    i runs along a row (columns), j down the column (rows), k along the slice normal. ``frame_of_reference``
    is the DICOM Frame of Reference UID, or "" where unknown.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    frame_of_reference: str = ""

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if affine.shape != (4, 4) or not np.all(np.isfinite(affine)):
            raise GeometryRefusal("bad_affine", "the affine is not a finite 4×4 matrix; check the header's geometry")
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryRefusal("bad_shape", f"a grid needs three positive sizes, found {shape}")
        if not np.allclose(affine[3], (0, 0, 0, 1)):
            raise GeometryRefusal("bad_affine", "the affine's last row is not 0 0 0 1")
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if np.any(steps < 1e-6):
            raise GeometryRefusal("bad_affine", f"a voxel step is zero: {steps.tolist()} mm")
        unit = affine[:3, :3] / steps
        cosines = np.abs(unit.T @ unit - np.eye(3)).max()
        if cosines > SHEAR_TOLERANCE:
            raise GeometryRefusal("sheared_grid", f"grid axes are not orthogonal (|cos| {cosines:.4f}); resample first")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Step between voxel centres along (i, j, k) in mm, shape (3,)."""
        steps: NDArray[np.float64] = np.linalg.norm(self.affine[:3, :3], axis=0)
        return steps

    @property
    def direction(self) -> NDArray[np.float64]:
        """Unit vectors of the axes in LPS as columns, shape (3, 3)."""
        return self.affine[:3, :3] / self.spacing

    @property
    def origin(self) -> NDArray[np.float64]:
        """LPS mm of the centre of voxel (0, 0, 0), shape (3,)."""
        return self.affine[:3, 3].copy()

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def to_world(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """LPS mm, shape (..., 3), of (fractional) voxel indices, shape (..., 3)."""
        index = np.asarray(ijk, dtype=np.float64)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, lps: ArrayLike) -> NDArray[np.float64]:
        """Fractional voxel indices, shape (..., 3), of LPS mm points, shape (..., 3)."""
        point = np.asarray(lps, dtype=np.float64)
        return (point - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def contains(self, lps: ArrayLike, margin_mm: float = 0.0) -> NDArray[np.bool_]:
        """Whether each LPS point, shape (..., 3), lies at least ``margin_mm`` inside the field of view."""
        index = self.to_index(lps)
        margin = margin_mm / self.spacing
        upper = np.asarray(self.shape) - 0.5 - margin
        return np.asarray(np.all((index >= -0.5 + margin) & (index <= upper), axis=-1))

    def corners(self) -> NDArray[np.float64]:
        """LPS mm of the eight corner voxels' centres, shape (8, 3)."""
        last = np.asarray(self.shape) - 1
        return self.to_world([[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])])

    def cropped(self, start: ArrayLike, stop: ArrayLike) -> Grid:
        """The sub-grid of indices start ≤ (i, j, k) < stop."""
        first = np.asarray(start, dtype=np.int64)
        size = np.asarray(stop, dtype=np.int64) - first
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(first)
        return Grid((int(size[0]), int(size[1]), int(size[2])), affine, self.frame_of_reference)

    def with_spacing(self, spacing_mm: ArrayLike) -> Grid:
        """A grid over the same field of view (outer voxel edges kept at the first corner) with another step."""
        step = np.broadcast_to(np.asarray(spacing_mm, dtype=np.float64), (3,))
        extent = np.asarray(self.shape) * self.spacing
        shape = np.maximum(1, np.ceil(extent / step - 1e-6)).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = self.direction * step
        affine[:3, 3] = self.to_world((step / self.spacing - 1) / 2)
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, self.frame_of_reference)

    def matches(self, other: Grid, tolerance_mm: float = AFFINE_TOLERANCE_MM) -> bool:
        """Whether both grids have the same shape and their corners agree within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners() - other.corners()).max() <= tolerance_mm)


def lps_to_ras(affine: ArrayLike) -> NDArray[np.float64]:
    """Turn an LPS affine (DICOM, ITK) into a RAS one (NIfTI), or back: the operation is its own inverse."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, dtype=np.float64)
