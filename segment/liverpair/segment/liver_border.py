"""Move the liver's border onto the image's strongest edge, on (nearly) the image's own grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_grid import capped_grid, mask_onto, sample
from liverpair.segment.liver_morphology import BoolArray, box_of, depth

__all__ = ["refine_border"]

#: Certainly liver this deep inside the coarse mask, certainly not this far outside (mm): the work grid's own
#: uncertainty is one voxel (3 mm) either way.
INSIDE_MM = 4.0
OUTSIDE_MM = 5.0
#: Scale of the gradient: wide enough for the noise, below the thinnest septum between organs.
GRADIENT_MM = 1.5
#: Finest step that is worth its time; a voxel of 1.5 mm places a border to a few tenths.
FINEST_MM = 1.5


def refine_border(image: Volume, coarse: NDArray[np.bool_], coarse_grid: Grid) -> BoolArray:
    """The mask on ``image.grid`` (bool, its shape) whose border refines a coarse mask on ``coarse_grid``."""
    grid = capped_grid(image.grid, FINEST_MM)
    start = mask_onto(coarse, coarse_grid, grid, smooth_mm=float(coarse_grid.spacing.mean()) * 0.7)
    if not start.any():
        return np.zeros(image.grid.shape, dtype=bool)
    window = box_of(start, int(np.ceil(2 * OUTSIDE_MM / float(grid.spacing.min()))))
    first = np.asarray([w.start for w in window])
    box = grid.cropped(first, [w.stop for w in window])
    values = sample(image, box, fill=None)
    fine = _watershed_border(values, start[window], box.spacing)
    return mask_onto(fine, box, image.grid, smooth_mm=0.7)


def _watershed_border(values: NDArray[np.float32], start: BoolArray, spacing: NDArray[np.float64]) -> BoolArray:
    inner, outer = depth(start, spacing), depth(~start, spacing)
    # clip at what lies within reach of the border, so that bone or air do not drown the liver's own edge
    near = (inner > 0) & (inner < 15)
    if not near.any() or not (outer > OUTSIDE_MM).any():
        return start  # the mask fills the field of view: there is no border to place
    low, high = np.percentile(values[near], [2, 98])
    spread = max(float(high - low), 1e-6)
    clipped = np.clip(values, low - 1.0 * spread, high + 1.0 * spread)
    slope = ndimage.gaussian_gradient_magnitude(clipped, GRADIENT_MM / spacing * np.ones(3))
    markers = np.zeros(start.shape, dtype=np.int32)
    markers[inner > INSIDE_MM] = 1
    markers[outer > OUTSIDE_MM] = 2
    markers[(markers == 0) & start & (inner >= inner.max() - 1e-3)] = 1
    return np.asarray(watershed(slope, markers) == 1)
