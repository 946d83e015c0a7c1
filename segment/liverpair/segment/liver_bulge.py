"""Give back to a hepatobiliary liver the outer part of a round lesion that bulges out of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.segment.liver_capsule import BAY_MM, DARK, SAME, bulges_up
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, opened

__all__ = ["fitted_ball", "with_bulging_lesions"]

#: Smaller inner parts (mL) are vessels at the surface as often as lesions.
LEAST_ML = 3.0
#: The liver shows a ball by at least this share of the ball's surface (half of it where a lesion bulges half out; at
#: fossae, veins and fissures a quarter and less), ...
LEAST_SHOWN = 0.35
#: ... which deviates from a ball by no more than this share of its radius (rms).
MOST_UNEVEN = 0.125
#: Radii of lesions (mm).
RADII_MM = (8.0, 45.0)
#: Share of the ball's outer part that has the lesion's intensity: beyond it lie fat and lung, or the wall that it
#: pushes outwards.
LEAST_ALIKE = 0.8
#: A fit leaves out this share of the surface at most (a vein that leads in), in this many rounds.
LEFT_OUT, ROUNDS = 0.1, 6


def with_bulging_lesions(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` (work grid) with the balls whose inner part it holds as a dark lesion and whose outer part is alike.

    Where a lesion lifts the abdominal wall, muscle of its own intensity lies on it: nothing but its form tells where
    it ends.
    """
    spacing, voxel_ml = features.grid.spacing, features.grid.voxel_volume_mm3 / 1000
    unlike = features.body.tissue & (features.smooth < DARK * core.mode)
    labels, count = ndimage.label(opened(mask & unlike, BAY_MM, spacing))
    out = mask
    for n in range(1, count + 1):
        part = labels == n
        if int(part.sum()) * voxel_ml < LEAST_ML:
            continue
        part = dilate(part, BAY_MM, spacing) & mask & unlike
        outside = dilate(part, 1.5 * float(spacing.max()), spacing) & unlike & ~mask
        if outside.any():
            out = out | _outer_part(features, mask, unlike, part)
    return out


def _outer_part(features: Features, mask: BoolArray, unlike: BoolArray, part: BoolArray) -> BoolArray:
    """What the ball that ``part`` shows has outside of ``mask``; nothing where it shows none."""
    none = np.zeros(mask.shape, dtype=bool)
    grid = features.grid
    surface = np.argwhere(part & ndimage.binary_dilation(mask & ~unlike))
    fit = fitted_ball(grid.to_world(surface)) if len(surface) > 4 else None
    if fit is None:
        return none
    centre, radius, uneven = fit
    if not RADII_MM[0] <= radius <= RADII_MM[1] or uneven > MOST_UNEVEN * radius:
        return none
    ball = _ball(grid, centre, radius)
    if len(surface) < LEAST_SHOWN * int((ball & ~ndimage.binary_erosion(ball)).sum()):
        return none
    outer = ball & ~mask
    alike = outer & unlike & (features.smooth > SAME * float(np.median(features.smooth[part])))
    if int(alike.sum()) < LEAST_ALIKE * int(outer.sum()) or not bulges_up(features, part | outer, mask & ~part):
        return none  # what hangs down is a gallbladder
    return alike


def fitted_ball(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float] | None:
    """Centre (3,), radius and rms deviation (mm) of the sphere through ``points`` (n, 3; mm), outliers left out.

    Least squares of |p|² = 2 p·c + (r² − |c|²), which is linear in c and the constant. None where they show none.
    """
    kept = np.ones(len(points), dtype=bool)
    for _ in range(ROUNDS):
        near = points[kept]
        system = np.column_stack([2 * near, np.ones(len(near))])
        solved, _, rank, _ = np.linalg.lstsq(system, (near**2).sum(axis=1), rcond=None)
        square = float(solved[3] + solved[:3] @ solved[:3])
        if rank < 4 or square <= 0:
            return None
        off = np.abs(np.linalg.norm(points - solved[:3], axis=1) - np.sqrt(square))
        kept = off <= np.quantile(off, 1 - LEFT_OUT)
    return solved[:3], float(np.sqrt(square)), float(np.sqrt((off[kept] ** 2).mean()))


def _ball(grid: Grid, centre: NDArray[np.float64], radius: float) -> BoolArray:
    """The voxels of ``grid`` whose centres lie within ``radius`` (mm) of ``centre``."""
    axes = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm(grid.to_world(axes) - centre, axis=1)
    return np.asarray(distance.reshape(grid.shape) <= radius)
