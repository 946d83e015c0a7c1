"""Jacobian of a transform: how much each place of the PET/CT grows or shrinks on its way to the MRI."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Volume

__all__ = ["jacobian_map"]


def jacobian_map(transform: SpatialTransform) -> Volume | None:
    """Determinant of the map FIXED → MOVING on the displacement's grid; None for an affine (one value for all places).

    1 keeps volumes, 2 doubles them, ≤ 0 is a fold. Central differences, one-sided on the faces; without a unit.
    """
    if transform.displacement is None or transform.grid is None:
        return None
    to_index = np.asarray(np.linalg.inv(transform.grid.affine[:3, :3]), dtype=np.float64)
    determinants = _determinants(transform.displacement, to_index) * np.linalg.det(transform.affine[:3, :3])
    return Volume(determinants.astype(np.float32), transform.grid, Unit.ARBITRARY)


def _determinants(field: NDArray[np.float32], to_index: NDArray[np.float64]) -> NDArray[np.float64]:
    """det(I + ∂u/∂x) of vectors (n0, n1, n2, 3) whose voxel axes relate to LPS mm by ``to_index`` (3, 3)."""
    by_index = np.stack([_slope(field, axis) for axis in range(3)], axis=-1)  # ∂u/∂index, (..., component, axis)
    return np.asarray(np.linalg.det(np.eye(3) + by_index @ to_index))


def _slope(field: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    if field.shape[axis] < 2:
        return np.zeros(field.shape, dtype=np.float64)
    return np.asarray(np.gradient(field.astype(np.float64), axis=axis))
