"""Bound the registration's error at every place: how rough the motion is, how much the images show, and local signs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.register.deformable import Cost
from liverpair.register.settings import UncertaintySettings

__all__ = [
    "Handed",
    "UncertaintySettings",
    "error_bound",
    "local_strain",
    "residual_pull",
    "resolution",
]

#: What a verdict hands over: a deformation that is trusted, one that is not, or the start alone.
Handed = Literal["deformation", "doubtful", "affine"]
#: The bound is stored on every second voxel of the first level (8 mm): it is smoother than that.
STRIDE = 2
#: Correlation is probed this far to both sides; a window's radius, where a true match has clearly decayed.
PROBE_MM = 4.0
#: Evidence is pooled over this Gaussian (1 SD), about what one control point of the finest level rules.
POOL_MM = 10.0
#: A place is held by what lies around it within this Gaussian (1 SD): half of what a control point of the first level
#: rules. At a rim or beside the end of a field of view less than all of that is there.
SUPPORT_MM = 20.0
#: A smaller share of support than this is none: the bound would grow without end.
LEAST_SUPPORT = 0.05
#: A liver's inside that correlates less than this shows nothing; the bound would grow without end.
LEAST_INNER = 0.02
#: No liver that breathed bends by less (mm⁻²).
LEAST_BENDING = 5e-6
#: Where the bending, the inside's correlation and the local signs are of this size the bound is ``scale_mm``.
USUAL_BENDING = 1e-5
USUAL_LOCAL_MM = 2.5


def resolution(*spacings_mm: NDArray[np.float64]) -> float:
    """The quantisation error of several voxel grids together, mm: the root of their summed h²/12."""
    return float(np.sqrt(sum(float((h**2).sum()) for h in spacings_mm) / 12))


def _pooled(values: NDArray[np.float32], weights: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    sigma = POOL_MM / spacing
    total = ndimage.gaussian_filter(weights, sigma)
    return np.asarray(ndimage.gaussian_filter(values * weights, sigma) / np.maximum(total, 1e-3))


def residual_pull(cost: Cost, field: NDArray[np.float32]) -> NDArray[np.float32]:
    """mm from each place to the vertex of the parabola through the correlations beside it, (n0, n1, n2).

    Where no maximum is to be seen the distance is the probe's own.
    """
    weights, spacing = cost.scene.weights, cost.scene.spacing
    here = _pooled(cost.correlation_map(field), weights, spacing)
    squared = np.zeros_like(here)
    for axis in range(3):
        plus, minus = (
            _pooled(cost.correlation_map(field, _along(axis, sign * PROBE_MM)), weights, spacing) for sign in (1, -1)
        )
        curvature = np.maximum(2 * here - plus - minus, 0.05 * here + 1e-6)
        squared += np.clip(PROBE_MM * (plus - minus) / (2 * curvature), -PROBE_MM, PROBE_MM) ** 2
    return np.sqrt(squared)


def _along(axis: int, length: float) -> tuple[float, float, float]:
    shift = [0.0, 0.0, 0.0]
    shift[axis] = length
    return shift[0], shift[1], shift[2]


def local_strain(field: NDArray[np.float32], weights: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Norm of the displacement's gradient less its mean over the region, mm per mm, (n0, n1, n2).

    The mean gradient is an affine motion: a spline carries it exactly.
    """
    total = max(float(weights.sum(dtype=np.float64)), 1e-6)
    squared = np.zeros_like(weights)
    for component in range(3):
        for slope in np.gradient(field[component], spacing):
            squared += (slope - np.float32((slope * weights).sum(dtype=np.float64) / total)) ** 2
    return np.asarray(np.sqrt(squared))


def _drift(difference: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """Length (mm) of the region's mean of a field (3, n0, n1, n2)."""
    total = max(float(weights.sum(dtype=np.float64)), 1e-6)
    mean = [float((component * weights).sum(dtype=np.float64)) / total for component in difference]
    return float(np.linalg.norm(mean))


def _root_mean_square(field: NDArray[np.float32], weights: NDArray[np.float32]) -> float:
    """Of the region's displacements (3, n0, n1, n2), mm."""
    total = max(float(weights.sum(dtype=np.float64)), 1e-6)
    return float(np.sqrt(float(((field**2).sum(axis=0) * weights).sum(dtype=np.float64)) / total))


def _everywhere(bending: float, inner: float, settings: UncertaintySettings) -> float:
    """The bound of a pair where its local signs are the usual ones, mm."""
    rough = max(bending, LEAST_BENDING) / USUAL_BENDING
    shown = max(inner, LEAST_INNER) if np.isfinite(inner) else LEAST_INNER
    return settings.scale_mm * rough**settings.bending_power * shown**-settings.inner_power


def error_bound(
    cost: Cost,
    coarsest: NDArray[np.float32],
    field: NDArray[np.float32],
    handed: Handed,
    settings: UncertaintySettings,
    bending: float,
    inner: float,
) -> Volume:
    """mm that the true place is from the stated one with 95 % probability, on an 8 mm grid in the fixed frame.

    ``cost``: the first level's; ``coarsest`` and ``field``: the first and the last level's displacement on
    its grid. Where the "affine" alone is handed over the displacement found is part of the error, everywhere alike; a
    "doubtful" deformation's finest levels are. ``bending``: the map's, mm⁻²; ``inner``: mean squared correlation of
    the liver's inside at the first level (NaN where there is no inside: it shows nothing).
    """
    scene = cost.scene
    local = residual_pull(cost, field) ** 2 + np.float32(settings.floor_mm**2)
    local += (settings.strain_mm * local_strain(field, scene.weights, scene.spacing)) ** 2
    local += ((field - coarsest) ** 2).sum(axis=0)
    local += np.float32((settings.drift_share * _drift(field - coarsest, scene.weights)) ** 2)
    local /= np.clip(ndimage.gaussian_filter(scene.weights, SUPPORT_MM / scene.spacing), LEAST_SUPPORT, 1)
    local /= np.float32(USUAL_LOCAL_MM**2)
    squared = local ** np.float32(settings.local_power) * np.float32(_everywhere(bending, inner, settings) ** 2)
    if handed == "doubtful":
        added = settings.doubtful_share * _root_mean_square(field - coarsest, scene.weights)
        squared += np.float32(added**2)
    if handed == "affine":
        squared += np.float32((settings.untrusted_share * _root_mean_square(field, scene.weights)) ** 2)
    if scene.fixed_distance is None and scene.moving_distance is None:
        squared = np.maximum(squared, np.float32(settings.maskless_mm**2))
    compared = scene.weights > 0.5
    away = ndimage.distance_transform_edt(~compared, sampling=scene.spacing)
    bound = np.minimum(np.sqrt(squared) + settings.outside_share * away, settings.largest_mm)
    values = bound[::STRIDE, ::STRIDE, ::STRIDE].astype(np.float32)
    affine = scene.grid.affine.copy()
    affine[:3, :3] *= STRIDE
    grid = Grid((values.shape[0], values.shape[1], values.shape[2]), affine, scene.grid.frame_of_reference)
    return Volume(values, grid, Unit.MILLIMETRE)
