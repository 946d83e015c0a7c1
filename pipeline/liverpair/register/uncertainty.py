"""Bound the registration's error at every place: resolution, evidence, residual pull, spread between levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.register.deformable import Cost

__all__ = ["UncertaintySettings", "error_bound", "residual_pull", "resolution"]

#: The bound is stored on every second voxel of the first level (8 mm): it is smoother than that.
STRIDE = 2
#: Correlation is probed this far to both sides; a window's radius, where a true match has clearly decayed.
PROBE_MM = 4.0
#: Evidence is pooled over this Gaussian (1 SD), about what one control point of the finest level rules.
POOL_MM = 10.0


@dataclass(frozen=True, slots=True)
class UncertaintySettings:
    """How the parts of the bound are weighed; the three shares were calibrated on simulated pairs.

    Calibrated means: fitted to the 95 % quantile of the error at thousands of places of some pairs, ordinary ones and
    hard ones (T2 and DWI, noise, resections), and measured on others, binned by the bound stated.

    ``resolution_share`` multiplies the quantisation error of both voxel grids (the root of their summed h²/12),
    which grows where the correlation stands less than ``clear_ratio`` times above chance; ``pull_share``
    the way the correlation would still move the place against the smoothness; ``spread_share`` the way
    between the coarsest and the finest level's answers. ``outside_share`` mm are added per mm outside the
    compared region. Without any liver mask nothing smaller than ``maskless_mm`` is stated: the bodies alone are laid
    on each other, and breathing moves the liver inside them by that much.
    """

    resolution_share: float = 0.8
    clear_ratio: float = 3.8
    pull_share: float = 1.2
    spread_share: float = 1.6
    outside_share: float = 0.2
    maskless_mm: float = 25.0
    largest_mm: float = 40.0


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


def error_bound(
    cost: Cost,
    coarsest: NDArray[np.float32],
    field: NDArray[np.float32],
    resolution_mm: float,
    chance_ratio: float,
    affine_only: bool,
    settings: UncertaintySettings,
) -> Volume:
    """mm that the true place is from the stated one with 95 % probability, on an 8 mm grid in the fixed frame.

    ``cost``: the first level's; ``coarsest`` and ``field``: the first and the last level's displacement on
    its grid. ``resolution_mm``: see ``resolution``. With ``affine_only`` the displacement found is part of
    the error.
    """
    clarity = max(1.0, (settings.clear_ratio - 1) / max(chance_ratio - 1, 0.1))
    squared = (settings.pull_share * residual_pull(cost, field)) ** 2
    squared += (settings.resolution_share * resolution_mm * clarity) ** 2
    squared += settings.spread_share**2 * ((field - coarsest) ** 2).sum(axis=0)
    if affine_only:
        squared += (field**2).sum(axis=0)
    if cost.scene.fixed_distance is None and cost.scene.moving_distance is None:
        squared = np.maximum(squared, np.float32(settings.maskless_mm**2))
    compared = cost.scene.weights > 0.5
    away = ndimage.distance_transform_edt(~compared, sampling=cost.scene.spacing)
    bound = np.minimum(np.sqrt(squared) + settings.outside_share * away, settings.largest_mm)
    values = bound[::STRIDE, ::STRIDE, ::STRIDE].astype(np.float32)
    affine = cost.scene.grid.affine.copy()
    affine[:3, :3] *= STRIDE
    grid = Grid((values.shape[0], values.shape[1], values.shape[2]), affine, cost.scene.grid.frame_of_reference)
    return Volume(values, grid, Unit.MILLIMETRE)
