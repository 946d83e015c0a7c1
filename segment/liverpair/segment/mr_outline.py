"""Outline a large MR focus at its outer border: half way between the liver and what lies just inside that border.

A metastasis is uneven: fluid in its middle is darker than its living rim (hepatobiliary phase), or a scar in its middle
keeps contrast medium and is brighter. Half of the middle's contrast is then no border: it runs along the middle's own
edge, or too far out. All arrays are [i, j, k] with foci bright.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, distance_transform_edt, gaussian_filter
from scipy.spatial import ConvexHull, QhullError
from scipy.special import ndtri

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import connected_above, within

__all__ = ["grown_to_half", "outer_outline", "smooth_within"]

#: Blur of an unfiltered Fourier-encoded image: FWHM in voxels.
PSF_VOXELS = 1.2
#: Smoothing (SD) in which a rim is looked for: less than a rim's thickness.
SMOOTHED_MM = 1.5
#: A ball's blurred edge falls more slowly than a plane's by up to this.
BALL_EDGE = 1.5
#: Contrast (against the core's) at which a rim is looked for: half of one that has 0.4 of the core's; and how many SDs
#: of the smoothed liver it must be above it.
LEAST_RIM, LEAST_SIGMAS = 0.2, 3.0
#: What lies between these depths (in SDs of the blur) under the border is its rim: past the blur, not yet the core.
RIM_DEPTH, RIM_VOXELS = (1.5, 3.0), 20
#: A rim with less than this share of the core's contrast is of another tissue; blur leaves an even lesion more.
FAINTER = 0.88
#: Share of the core's surface that a rim covers; a neighbour touches one side.
COVERED = 0.6
#: Share of its convex hull that one body fills: a voxelled ball has 0.95, two touching ones 0.8.
SOLID = 0.8
#: Beyond its border (from, to in SDs of the blur) a lesion is followed by liver: most contrast against the rim's.
BEYOND_SIGMAS, BEYOND_SHARE = (2.0, 4.0), 0.35


def smooth_within(
    values: NDArray[np.float32], inside: NDArray[np.bool_], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """``values`` smoothed (SDs ``scale`` in voxels) by those ``inside`` alone; 0 outside."""
    weight = gaussian_filter(inside.astype(np.float32), scale)
    smooth = gaussian_filter(np.where(inside, values, 0).astype(np.float32), scale)
    return np.asarray(np.where(inside, smooth / np.maximum(weight, 1e-3), 0), dtype=np.float32)


def _blur(scale: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """SD in voxels of an edge in an image that was smoothed by ``scale``."""
    return np.sqrt(np.square(scale) + (PSF_VOXELS / FWHM_PER_SIGMA) ** 2)


def grown_to_half(
    region: NDArray[np.bool_],
    level: float,
    relative: NDArray[np.floating],
    liver: NDArray[np.bool_],
    scale: NDArray[np.float64] | float,
) -> NDArray[np.bool_]:
    """A region that came free of its neighbours at ``level`` only, grown in the liver to half its core's contrast.

    ``relative``: contrast, 1 the core's. It grows no farther than a blurred edge falls from ``level`` to a half: what
    goes on there is the neighbour.
    """
    if level <= 0.5 or not region.any():
        return region
    reach = BALL_EDGE * float(ndtri(level))
    near = distance_transform_edt(~region, sampling=1.0 / np.broadcast_to(_blur(scale), 3)) <= reach
    return np.asarray(region | (near & liver & (relative >= 0.5)))


def outer_outline(
    region: NDArray[np.bool_],
    seed: tuple[int, int, int],
    contrast: NDArray[np.float32],
    core: float,
    allowed: NDArray[np.bool_],
    noise: float,
    spacing: NDArray[np.float64],
) -> NDArray[np.bool_] | None:
    """The region of the whole lesion of which ``region`` is the darker core; None where it is the whole already.

    ``contrast`` to the liver (0), ``core`` that of the core, ``noise`` its SD in a voxel. The rim must cover the core
    all around, be one convex body with it, and be followed by liver.
    """
    scale = SMOOTHED_MM / spacing
    sigma = _blur(scale)
    values = smooth_within(contrast, allowed, scale)
    quieter = math.sqrt(max(float(np.prod(2.0 * math.sqrt(math.pi) * scale)), 1.0))
    level = max(LEAST_RIM * core, LEAST_SIGMAS * noise / quieter)
    whole, rim = region, core
    for _ in range(4):
        if level >= 0.5 * FAINTER * core:
            return None
        whole = _opened(connected_above(values, level, seed, allowed), region, spacing)
        found = _rim(values, whole, sigma)
        if found is None:
            return None
        rim, before = found, level
        level = 0.5 * rim
        if abs(level - before) < 0.02 * core:
            break
    one = _surrounds(whole, region, allowed) and _followed(values, whole, allowed, sigma, rim)
    return whole if one and _solid(whole) else None


def _opened(whole: NDArray[np.bool_], region: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``whole`` without what is thinner than a quarter of the core: vessels that lead into it."""
    whole = np.asarray(binary_fill_holes(whole | region))
    radius = 0.5 * (3.0 * np.count_nonzero(region) * float(np.prod(spacing)) / (4.0 * np.pi)) ** (1 / 3)
    depth = distance_transform_edt(np.pad(whole, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    return np.asarray((whole & within(depth > radius, spacing, radius + float(spacing.min()) / 2)) | region)


def _rim(values: NDArray[np.float32], whole: NDArray[np.bool_], sigma: NDArray[np.float64]) -> float | None:
    """The median contrast just inside the border; None where there are too few voxels."""
    depth = distance_transform_edt(np.pad(whole, 1), sampling=1.0 / sigma)[1:-1, 1:-1, 1:-1]
    inner = values[(depth > RIM_DEPTH[0]) & (depth <= RIM_DEPTH[1])]
    return float(np.median(inner)) if len(inner) >= RIM_VOXELS else None


def _surrounds(whole: NDArray[np.bool_], region: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> bool:
    """Whether the whole lies around the region on most of its surface (as far as that is in the liver)."""
    skin = binary_dilation(region) & ~region & allowed
    return int(np.count_nonzero(skin & whole)) >= COVERED * max(int(np.count_nonzero(skin)), 1)


def _followed(
    values: NDArray[np.float32],
    whole: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    rim: float,
) -> bool:
    """Whether liver follows on the whole's border."""
    gap = distance_transform_edt(~whole, sampling=1.0 / sigma)
    around = values[(gap > BEYOND_SIGMAS[0]) & (gap <= BEYOND_SIGMAS[1]) & allowed]
    return len(around) >= RIM_VOXELS and float(np.median(around)) <= BEYOND_SHARE * rim


def _solid(whole: NDArray[np.bool_]) -> bool:
    """Whether the whole fills its convex hull as one body does; voxels are counted as boxes."""
    points = np.argwhere(whole)
    corners = np.concatenate([points + offset for offset in np.ndindex(2, 2, 2)])
    try:
        hull = ConvexHull(np.unique(corners, axis=0))
    except QhullError:
        return False
    return len(points) >= SOLID * float(hull.volume)
