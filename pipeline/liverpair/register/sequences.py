"""Correct the small rigid motion between two MR sequences of one examination."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume
from liverpair.register.deformable import Cost, DeformSettings, window_radius
from liverpair.register.prepare import Level, mask_box, scene
from liverpair.register.start import about, linear_field, linear_gradient, weighted_centre

__all__ = ["SequenceSettings", "align_sequence"]


@dataclass(frozen=True, slots=True)
class SequenceSettings:
    """Limits of what a patient moves between two breath-holds of one examination, and how it is looked for.

    A motion below ``smallest_mm`` on average is no motion: resampling for it would only blur. A larger one is
    used only if the local correlation improves by more than ``minimal_z`` standard errors
    over the region's blocks: otherwise the scanner's own geometry is the better estimate.
    """

    spacing_mm: float = 4.0
    blur_mm: float = 2.0
    window_mm: float = 8.0
    margin_mm: float = 6.0
    largest_shift_mm: float = 10.0
    largest_angle_deg: float = 5.0
    iterations: int = 25
    smallest_mm: float = 0.3
    minimal_z: float = 3.0


#: Length by which a rotation is scaled so that it moves the liver as much as a shift of the same number.
_REACH_MM = 80.0
#: Edge of the blocks whose gains are taken as independent: wider than a comparison window.
_BLOCK_MM = 24.0


def _rotation(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_rotvec(x[:3] / _REACH_MM).as_matrix())


def _rigid(cost: Cost, settings: SequenceSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Best rotation vector × reach and shift (6,), and the centre of rotation."""
    grid = cost.scene.grid
    centre = weighted_centre(cost)
    step = 1e-4 * _REACH_MM

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, force, _ = cost(linear_field(grid, centre, _rotation(x) - np.eye(3), x[3:]))
        by_linear, by_shift = linear_gradient(grid, centre, force)
        gradient = np.concatenate([np.empty(3), by_shift])
        for n in range(3):
            d = np.zeros(6)
            d[n] = step
            gradient[n] = float((by_linear * (_rotation(x + d) - _rotation(x - d))).sum()) / (2 * step)
        return value, gradient

    turn = np.deg2rad(settings.largest_angle_deg) * _REACH_MM
    bounds = [(-turn, turn)] * 3 + [(-settings.largest_shift_mm, settings.largest_shift_mm)] * 3
    result = optimize.minimize(
        objective, np.zeros(6), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": settings.iterations, "maxfun": settings.iterations + 10, "ftol": 1e-6},
    )  # fmt: skip
    return np.asarray(result.x), centre


def _gain_z(cost: Cost, moved: NDArray[np.float32]) -> float:
    """Mean gain in squared correlation by the motion, in standard errors over blocks of the region."""
    gain = (cost.correlation_map(moved) - cost.correlation_map(np.zeros_like(moved))) * cost.scene.weights
    edge = max(1, int(round(_BLOCK_MM / cost.scene.spacing)))
    blocks = np.ravel_multi_index(np.indices(gain.shape) // edge, [n // edge + 1 for n in gain.shape])
    count = int(blocks.max()) + 1
    weight = np.bincount(blocks.ravel(), cost.scene.weights.ravel(), count)
    total = np.bincount(blocks.ravel(), gain.ravel(), count)
    full = weight > 0.25 * edge**3
    if full.sum() < 3:
        return 0.0
    means = total[full] / weight[full]
    return float(means.mean() / max(means.std(ddof=1) / np.sqrt(full.sum()), 1e-9))


def align_sequence(
    fixed: Volume, moving: Volume, region: Mask | None, settings: SequenceSettings = SequenceSettings()
) -> SpatialTransform:  # fmt: skip
    """The small rigid motion that lays ``moving`` on ``fixed`` (two sequences of one examination).

    ``region`` is where it is judged (the liver, in the fixed frame); None judges all that both show.
    Returns the map from fixed LPS mm to moving LPS mm; the identity where no motion is proven, where the
    best motion lies at the limits (then it was not found), or where the sequences share too little.
    """
    box = mask_box(region, 16.0) if region is not None else _common_box(fixed, moving)
    deform = DeformSettings(window_mm=settings.window_mm, surface=0.0)
    level = Level(
        spacing=settings.spacing_mm,
        blur=settings.blur_mm,
        margin=settings.margin_mm,
        radius=window_radius(settings.window_mm, settings.spacing_mm),
        pad=settings.largest_shift_mm + settings.spacing_mm,
        noise_share=deform.noise_share,
        moving_blur=1.0,
    )
    with threadpool_limits(limits=1):
        view = scene(fixed, moving, region, None, np.eye(4), box, level)
        if view is None or float(ndimage.sum(view.weights)) * settings.spacing_mm**3 < 50_000.0:
            return SpatialTransform.identity()  # less than 50 mL in common proves nothing
        cost = Cost.of(view, deform)
        x, centre = _rigid(cost, settings)
        turn = np.rad2deg(np.linalg.norm(x[:3]) / _REACH_MM)
        at_limit = turn > 0.98 * settings.largest_angle_deg or np.abs(x[3:]).max() > 0.98 * settings.largest_shift_mm
        moved = linear_field(view.grid, centre, _rotation(x) - np.eye(3), x[3:])
        size = np.sqrt((moved**2).sum(axis=0))[view.weights > 0.5]
        if at_limit or float(size.mean()) < settings.smallest_mm or _gain_z(cost, moved) < settings.minimal_z:
            return SpatialTransform.identity()
    return SpatialTransform(about(centre, _rotation(x), x[3:]))


def _common_box(fixed: Volume, moving: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = fixed.grid.corners(), moving.grid.corners()
    low = np.maximum(a.min(axis=0), b.min(axis=0))
    return low, np.maximum(np.minimum(a.max(axis=0), b.max(axis=0)), low + 16.0)
