"""Bring both images into one isotropic working box around the fixed liver, normalised for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.register.fluid import fluid_region
from liverpair.register.gaussian import gaussian_blur
from liverpair.register.resample import covered, resample, resample_mask
from liverpair.register.settings import FluidSettings
from liverpair.register.side_by_side import both

__all__ = ["Level", "Scene", "box_around", "crop_to", "region_weights", "scene", "signed_distance"]

#: Soft tissue: fat and fluid to enhanced liver and vessels. Bone, air and metal carry no liver motion.
CT_WINDOW_HU = (-100.0, 250.0)
#: Tails of an MR histogram (flow, coil hot spots, air) cut off before scaling.
MR_PERCENTILES = (0.5, 99.5)
#: Distances to the liver's surface beyond this say nothing about the surface (registration.md).
DISTANCE_CLAMP_MM = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Both images in the working box at one resolution.

    ``fixed`` float32 (n0, n1, n2) on ``grid`` (axes along LPS, isotropic). ``moving`` float32 on a box that
    is ``pad`` voxels larger on every side, already carried by the start's affine, so that a fixed voxel (i,
    j, k) sits at (i, j, k) + pad. ``weights`` say where the comparison counts. ``fixed_distance`` and
    ``moving_distance`` are signed distances to the liver's surface in mm, clamped (None without masks).
    ``noise``: variances of pure noise in windows of each image. ``use``: 0 at voxels that no window may read
    (fluid), 1 elsewhere; None where all are read.
    """

    grid: Grid
    spacing: float
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    pad: int
    weights: NDArray[np.float32]
    fixed_distance: NDArray[np.float32] | None
    moving_distance: NDArray[np.float32] | None
    distance_weights: NDArray[np.float32]
    noise: tuple[float, float]
    use: NDArray[np.float32] | None = None


def box_around(centre_box: tuple[NDArray[np.float64], NDArray[np.float64]], spacing: float, frame: str) -> Grid:
    """An isotropic grid along LPS over the box from its lowest to its highest corner (LPS mm)."""
    low, high = centre_box
    count = np.maximum(8, np.ceil((high - low) / spacing).astype(int) + 1)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - (count - 1) * spacing / 2
    return Grid((int(count[0]), int(count[1]), int(count[2])), affine, frame)


def padded(grid: Grid, voxels: int) -> Grid:
    """``grid`` with ``voxels`` more on every side."""
    n0, n1, n2 = grid.shape
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world((-voxels, -voxels, -voxels))
    return Grid((n0 + 2 * voxels, n1 + 2 * voxels, n2 + 2 * voxels), affine, grid.frame_of_reference)


def mask_box(mask: Mask, margin_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest LPS corner of the region, widened by ``margin_mm``."""
    start, stop = mask.bounds()
    corners = mask.grid.cropped(start, stop).corners()
    return corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm


def crop_to(image: Volume, grid: Grid, affine: NDArray[np.float64], margin_mm: float) -> Volume | None:
    """The part of ``image`` that ``grid`` can see through ``affine``; None where they do not meet."""
    span = _span(image.grid, grid, affine, margin_mm)
    return None if span is None else image.cropped(*span)


def _span(
    source: Grid, grid: Grid, affine: NDArray[np.float64], margin_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """First and last (exclusive) voxel of ``source`` that ``grid`` can see; None where they do not meet."""
    corners = grid.corners() @ affine[:3, :3].T + affine[:3, 3]
    index = source.to_index(corners)
    margin = np.ceil(margin_mm / source.spacing)
    start = np.maximum(np.floor(index.min(axis=0) - margin), 0).astype(np.int64)
    stop = np.minimum(np.ceil(index.max(axis=0) + margin) + 1, source.shape).astype(np.int64)
    return None if np.any(stop - start < 2) else (start, stop)


def blurred(image: Volume, sigma_mm: float) -> Volume:
    """A Gaussian blur of ``sigma_mm`` on the native grid, less the voxel's own width (h²/12)."""
    spacing = image.grid.spacing
    sigma = np.sqrt(np.maximum(sigma_mm**2 - spacing**2 / 12, 0.0)) / spacing
    return Volume(gaussian_blur(image.values, sigma), image.grid)


def signed_distance(mask: Mask, grid: Grid, transform: SpatialTransform | None = None) -> NDArray[np.float32]:
    """mm inside (+) or outside (−) the region's surface at the voxels of ``grid``, clamped to ±15 mm.

    Where a field of view cuts the organ, the cut is no surface: the organ is taken to go on.
    """
    inside = resample_mask(_seen_by(mask, grid, transform), grid, transform, extend=True).values
    distance, outside = both(lambda: _distance_to(~inside, grid.spacing), lambda: _distance_to(inside, grid.spacing))
    distance -= outside
    # A voxel's centre lies on average half a step from the surface that the binary transform counts from.
    distance -= np.where(inside, np.float32(0.5), np.float32(-0.5)) * np.float32(grid.spacing.min())
    return np.clip(distance, -DISTANCE_CLAMP_MM, DISTANCE_CLAMP_MM, out=distance)


def _seen_by(mask: Mask, grid: Grid, transform: SpatialTransform | None) -> Mask:
    """The part of a mask that ``grid`` can see, one voxel more on every side: the whole would be copied as numbers."""
    if transform is not None and transform.displacement is not None:
        return mask
    span = _span(mask.grid, grid, np.eye(4) if transform is None else transform.affine, float(mask.grid.spacing.max()))
    return mask if span is None else mask.cropped(*span)


@njit(cache=True, nogil=True)
def _spread(squared: NDArray[np.float32], reach: int, step: float, far: float, out: NDArray[np.float32]) -> None:
    """Lowest of the parabolas of curvature ``step``² along the middle axis of (p, n, q), written to ``out``.

    ``out`` begins as a copy of ``squared``; a line that nothing has reached yet (all ``far``) has nothing to spread.
    """
    outer, n, inner = squared.shape
    for o in range(outer):
        for j in range(n):
            near = False
            for t in range(inner):
                near |= squared[o, j, t] < far
            if not near:
                continue
            for i in range(max(0, j - reach), min(n, j + reach + 1)):
                more = np.float32((i - j) * (i - j) * step * step)
                for t in range(inner):
                    out[o, i, t] = min(out[o, i, t], squared[o, j, t] + more)


def _distance_to(region: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """mm to the nearest voxel of the region, exact up to the clamp and larger beyond it.

    Axis by axis, and only as far as the clamp reaches: a full distance transform takes ten times the memory.
    """
    far = 4 * DISTANCE_CLAMP_MM**2
    squared = np.where(region, np.float32(0), np.float32(far))
    shape = squared.shape
    for axis, step in enumerate(spacing):
        out = squared.copy()
        flat = (int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :])))
        reach = int(np.ceil(DISTANCE_CLAMP_MM / step)) + 1
        _spread(squared.reshape(flat), reach, float(step), far, out.reshape(flat))
        squared = out
    return np.sqrt(squared, out=squared)


def region_weights(distance: NDArray[np.float32], margin_mm: float, spacing: float) -> NDArray[np.float32]:
    """1 inside the liver and up to ``margin_mm`` outside, falling to 0 over one voxel."""
    return np.clip((distance + margin_mm) / spacing + 0.5, 0, 1).astype(np.float32)


def noise_variance(image: NDArray[np.float32], weights: NDArray[np.float32], radius: int, share: float) -> float:
    """The window variance that the region's quietest windows reach (their ``share`` quantile)."""
    size = 2 * radius + 1
    mean = ndimage.uniform_filter(image, size)
    variance = image * image  # every step is written over the one before: these are arrays of a whole box
    ndimage.uniform_filter(variance, size, output=variance)
    mean *= mean
    variance -= mean
    inside = variance[weights > 0.5]
    return max(float(np.quantile(inside, share)), 1e-4) if len(inside) else 1e-3


@dataclass(frozen=True, slots=True)
class Level:
    """At what fineness two images are compared.

    Lengths in mm: ``spacing`` of the isotropic voxels; ``blur``, the Gaussian's sd for the fixed image, and
    ``moving_blur`` that share of it for the moving one; ``margin`` around the liver that counts; ``pad`` that the
    moving image is known beyond the box. ``radius``: a window's half width in voxels. ``noise_share``: the quantile of
    the windows' variances that is taken for noise. ``fluid``: what of a CT is left out (None: nothing).
    """

    spacing: float
    blur: float
    margin: float
    radius: int
    pad: float
    noise_share: float
    moving_blur: float = 0.8
    fluid: FluidSettings | None = None


def scene(
    fixed: Volume,
    moving: Volume,
    fixed_liver: Mask | None,
    moving_liver: Mask | None,
    affine: NDArray[np.float64],
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
    level: Level,
) -> Scene | None:
    """The two images at a level, the moving one carried by ``affine`` (4, 4: fixed to moving LPS mm), within the
    ``box`` (lowest and highest corner, LPS mm of the fixed image); None if they never overlap.
    """
    spacing, radius = level.spacing, level.radius
    grid = box_around(box, spacing, fixed.grid.frame_of_reference)
    pad = int(np.ceil(level.pad / spacing))
    wide = padded(grid, pad)
    here, there = both(
        lambda: _side(fixed, fixed_liver, grid, None, level.blur, level.blur),
        lambda: _side(moving, moving_liver, wide, affine, level.moving_blur * level.blur, level.blur),
    )
    if here is None or there is None:
        return None
    (fixed_values, fixed_seen, fixed_distance), (moving_values, moving_seen, moving_distance) = here, there
    inner = tuple(slice(pad, n - pad) for n in wide.shape)
    seen = fixed_seen & moving_seen[inner]
    guide = fixed_distance
    if guide is None:
        guide = moving_distance[inner] if moving_distance is not None else np.full(grid.shape, 15, dtype=np.float32)
    # A window that reaches beyond either field of view compares tissue with nothing: erode what both see.
    clear = ndimage.binary_erosion(seen, iterations=radius, border_value=1)
    weights = region_weights(guide, level.margin, spacing) * clear
    use = None
    liver_known = fixed_liver is not None or moving_liver is not None
    if level.fluid is not None and fixed.unit is Unit.HOUNSFIELD and liver_known:
        wet = fluid_region(fixed_values, guide, spacing, level.fluid)
        use = (~wet).astype(np.float32) if wet.any() else None
    region = np.zeros(wide.shape, dtype=np.bool_)
    region[inner] = guide > 0
    a, b = both(partial(_tidy, fixed_values, guide > 0, fixed.unit), partial(_tidy, moving_values, region, moving.unit))
    del here, there, fixed_values, moving_values, region  # what follows would otherwise be the peak of the memory
    noise = both(
        lambda: noise_variance(a, weights, radius, level.noise_share),
        lambda: noise_variance(b[inner], weights, radius, level.noise_share),
    )
    return Scene(
        grid, spacing, a, b, pad, weights, fixed_distance, moving_distance, seen.astype(np.float32), noise, use
    )  # fmt: skip


def _side(
    image: Volume, liver: Mask | None, grid: Grid, affine: NDArray[np.float64] | None, blur: float, margin: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32] | None] | None:
    """One image on ``grid``, carried by ``affine``: its values (NaN beyond it), what it covers, its liver's distance.

    ``blur``: the Gaussian's sd in mm; three times ``margin`` mm around the grid enter it. None if they do not overlap.
    """
    near = crop_to(image, grid, np.eye(4) if affine is None else affine, 3 * margin)
    if near is None:
        return None
    carry = None if affine is None else SpatialTransform(affine)
    values = resample(blurred(near, blur), grid, carry, fill=np.nan).values
    seen = covered(image.grid, grid) if affine is None else covered(image.grid, grid, affine)
    return values, seen, None if liver is None else signed_distance(liver, grid, carry)


def _tidy(values: NDArray[np.float32], region: NDArray[np.bool_], unit: Unit) -> NDArray[np.float32]:
    """Normalise by what lies in the region and set what no image covers to the region's middle."""
    known = np.isfinite(values)
    inside = values[known & region] if bool((known & region).any()) else values[known]
    if len(inside) == 0:
        return np.zeros_like(values)
    low, high = CT_WINDOW_HU if unit is Unit.HOUNSFIELD else np.percentile(values[known], MR_PERCENTILES)
    centre = float(np.median(inside))
    spread = 1.4826 * float(np.median(np.abs(inside - centre)))
    spread = spread if spread > 0 else max(float(np.std(inside)), 1e-6)
    out = np.clip(values, np.float32(low), np.float32(high))
    out -= np.float32(centre)
    out /= np.float32(spread)
    out[~known] = 0
    return out
