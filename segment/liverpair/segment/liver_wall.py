"""Part the trunk's wall (muscles and ribs under the skin's fat) from what lies inside it, in a CT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import convex_hull_image

from liverpair.segment.liver_body import Body
from liverpair.segment.liver_morphology import BoolArray, depth, opened

__all__ = ["inside_wall"]

#: Fat lies below, muscle and bone above (HU); a ball of ``SKIN_BALL_MM`` fits into muscle, but not into skin.
FAT_HU, SKIN_BALL_MM = -30.0, 4.0
#: Ribs and muscles over the liver are as thick as over the lung above it: the thin quarter of what the rays from the
#: right cross before they meet lung, less half the voxel in which the lung begins. An adult's wall lies in these limits
#: (mm); without a lung in view the lower one holds.
THIN_SHARE, WALL_MM = 25, (8.0, 16.0)
#: Fewer rays than this tell nothing.
LEAST_RAYS = 200


def _trunk(smooth: NDArray[np.float32], body: Body, spacing: NDArray[np.float64]) -> BoolArray:
    """The convex hull of muscles, bones and organs, slice by slice.

    The muscular wall is nearly convex. A hull has no gaps where the wall is thin, and where the wall is hollow the hull
    lies outside of it: the wall is then taken for thinner than it is, which never costs liver.
    """
    firm = opened((smooth > FAT_HU) & body.tissue, SKIN_BALL_MM, spacing)
    out = np.zeros(firm.shape, dtype=bool)
    for k in np.flatnonzero(firm.any(axis=(0, 1))):
        out[:, :, k] = convex_hull_image(firm[:, :, k])
    return out & body.inside


def _wall_mm(under: NDArray[np.float32], lung: BoolArray, spacing: NDArray[np.float64]) -> float:
    """The wall's thickness over the right lung (+i is left); ``under`` is the depth below the trunk's surface."""
    first = lung.argmax(axis=0)
    rays = lung.any(axis=0)
    if int(rays.sum()) < LEAST_RAYS:
        return WALL_MM[0]
    j, k = np.nonzero(rays)
    thin = float(np.percentile(under[first[j, k], j, k], THIN_SHARE)) - float(spacing[0]) / 2
    return float(np.clip(thin, *WALL_MM))


def inside_wall(smooth: NDArray[np.float32], body: Body, spacing: NDArray[np.float64]) -> BoolArray:
    """Where organs can be: inside the trunk's muscular wall, on the work grid of ``smooth`` (HU, noise-reduced)."""
    trunk = _trunk(smooth, body, spacing)
    under = depth(trunk, spacing)
    right = body.lung & (body.lateral() < 0)
    return np.asarray(under >= _wall_mm(under, right, spacing))
