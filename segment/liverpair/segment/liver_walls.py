"""Take out of a liver mask what a wall of its own parts from the liver (gallbladder, stomach, bowel), and dark bile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver_fluid import like_a_gallbladder
from liverpair.segment.liver_grid import capped_grid, sample
from liverpair.segment.liver_morphology import BoolArray, box_of, depth, dilate, surround

__all__ = ["without_walled_parts"]

#: Walls are 2–3 mm thick: looked for on (nearly) the image's own grid, with a gradient of this scale.
FINEST_MM, GRADIENT_MM = 1.5, 1.5
#: A wall may have gaps that a ball of this radius cannot pass.
GAP_MM = 2.0
#: Steeper than this multiple of the quiet organ's own gradient (its 30th percentile, at ``QUIET_MM`` depth) is an edge.
EDGE, QUIET_PERCENTILE, QUIET_MM = 2.5, 30.0, 6.0
#: Within its edges a walled organ holds at least this much; a gallbladder of 30 mL holds 5 mL and more.
LEAST_ML = 2.0
#: Smaller parts down to this are not looked at for themselves. They go with the organ that they touch (a narrow neck
#: parts a gallbladder), unless liver lies on more than this share of their surface: a cyst or metastasis beside it.
SMALL_ML, SMALL_ENCLOSED = 0.2, 0.5
#: What lies this near (mm) to both sides is the wall: half of its thickness, the gap and the gradient's reach. The
#: liver's level is taken within ``AROUND_MM``.
WALL_MM, AROUND_MM = 7.0, 14.0
#: The wall is darker than both sides by this share of the liver's level. A lesion makes a step, no valley.
VALLEY = 0.15
#: The liver lies behind at least this share of the part's surroundings (within ``BEHIND_MM``); a narrow part of the
#: liver itself joins it at a neck.
LEAST_WALL, BEHIND_MM = 0.25, 10.0
#: What the liver surrounds on more of its surface than this is a lesion with a rim.
ENCLOSED = 0.9
#: The scale at which levels are read.
LEVEL_MM = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """The mask's surroundings on the fine grid, the edges' places, and the parts within them: which of them are large
    enough to be an organ, and the largest, the liver.
    """

    box: Grid
    mask: BoolArray
    level: NDArray[np.float32]
    edges: NDArray[np.float32]
    parts: NDArray[np.int32]
    large: tuple[int, ...]
    home: int


def _ball(radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    n = [int(radius_mm / s) for s in spacing]
    at = np.meshgrid(*(np.arange(-m, m + 1) * s for m, s in zip(n, spacing, strict=True)), indexing="ij")
    return np.asarray(sum(a**2 for a in at) <= radius_mm**2 + 1e-6)


def _scene(image: Volume, coarse: BoolArray, coarse_grid: Grid) -> _Scene | None:
    """The parts of the mask that no edge crosses; None where there is no organ to part."""
    grid = capped_grid(image.grid, FINEST_MM)
    mask = sample(Mask(coarse, coarse_grid), grid) >= 0.5
    if not mask.any():
        return None
    window = box_of(mask, 4)
    box = grid.cropped(np.asarray([w.start for w in window]), [w.stop for w in window])
    values, mask = sample(image, box, fill=None), mask[window]
    spacing = box.spacing
    deep = depth(mask, spacing) > QUIET_MM
    if not deep.any():
        return None
    low, high = np.percentile(values[mask], [1, 99])
    values = np.clip(values, 2 * low - high, 2 * high - low)
    slope = ndimage.gaussian_gradient_magnitude(values, GRADIENT_MM / spacing)
    edges = ndimage.maximum_filter(slope, footprint=_ball(GAP_MM, spacing))
    limit = EDGE * float(np.percentile(edges[deep], QUIET_PERCENTILE))
    parts, count = ndimage.label(mask & (edges < limit))
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * box.voxel_volume_mm3 / 1000
    sizes[0] = 0
    large = tuple(int(n) for n in np.flatnonzero(sizes >= LEAST_ML))
    if len(large) < 2:
        return None
    level = ndimage.gaussian_filter(values, LEVEL_MM / spacing)
    return _Scene(box, mask, level, edges, np.where((sizes >= SMALL_ML)[parts], parts, 0), large, int(sizes.argmax()))


def _walled(scene: _Scene, core: BoolArray) -> bool:
    """Whether a dark wall parts ``core`` from the liver."""
    spacing = scene.box.spacing
    home = scene.parts == scene.home
    around = dilate(core, AROUND_MM, spacing) & home
    layer = dilate(core, WALL_MM, spacing) & ~core
    between = layer & ~home & scene.mask
    wall = between & dilate(home, WALL_MM, spacing)
    behind = between & dilate(home, BEHIND_MM, spacing)
    if not around.any() or not wall.any() or int(behind.sum()) < LEAST_WALL * int(layer.sum()):
        return False
    liver = float(np.median(scene.level[around]))
    sides = min(liver, float(np.median(scene.level[core])))
    return float(np.median(scene.level[wall])) < sides - VALLEY * abs(liver)


def _regions(scene: _Scene) -> NDArray[np.int32]:
    """Each voxel of the mask with the label of the large part that it belongs to."""
    regions = np.asarray(watershed(scene.edges, scene.parts, mask=scene.mask), dtype=np.int32)
    large_only = np.asarray(
        watershed(scene.edges, np.where(np.isin(scene.parts, scene.large), scene.parts, 0), mask=scene.mask)
    )
    home = regions == scene.home
    for n in np.setdiff1d(np.unique(scene.parts), (0, *scene.large)):
        piece = regions == n
        window = box_of(piece, 2)
        enclosed = surround(piece[window], home[window]) > SMALL_ENCLOSED
        regions[piece] = scene.home if enclosed else large_only[piece]
    return regions


def without_walled_parts(image: Volume, coarse: BoolArray, coarse_grid: Grid) -> BoolArray:
    """``coarse`` (on ``coarse_grid``) of an MR image without dark bile and what lies behind a wall at its surface."""
    scene = _scene(image, coarse, coarse_grid)
    if scene is None:
        return coarse
    regions = _regions(scene)
    out = np.zeros(scene.mask.shape, dtype=bool)
    for n in scene.large:
        piece = np.asarray(regions == n)
        if n == scene.home or surround(piece, scene.mask) >= ENCLOSED:
            continue
        if _walled(scene, np.asarray(scene.parts == n)) or like_a_gallbladder(piece, scene.mask, scene.box.affine):
            out |= piece
    return np.asarray(coarse & (sample(Mask(out, scene.box), coarse_grid) < 0.5)) if out.any() else coarse
