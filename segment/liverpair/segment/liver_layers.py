"""Take off a liver's border, in T2, the thin layer of fat that muscle or lung behind it makes look like the liver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_mode import OrganCore, peaks_of
from liverpair.segment.liver_morphology import BoolArray, box_of, depth

__all__ = ["darker_tissue", "without_thin_layers"]

#: A layer of fat thinner than the border's own levels are taken from (mm) is inside of the half level between liver
#: and what lies behind the fat. Deeper than this it is a part of its own.
LAYER_MM = 3.0
#: Bins of the tissue histogram up to twice the liver, and the sigma (bins) it is smoothed by.
BINS, SMOOTH_BINS = 200, 2.0
#: A tissue's peak rises over the histogram's passes by this share of the highest one.
LEAST_PEAK = 0.05
#: A peak nearer to the liver than this many of its sd is the liver's own flank.
APART_SD = 2.0
#: Fat darker than this share of the liver is darker than the half level between liver and air, too: no layer of it can
#: look like liver, whatever lies behind (taken off all the same, livers of two simulators lost 0.002 of the Dice).
LEAST_ALIKE = 0.5
#: The image is blurred by this many voxels, which makes its noise so many times less; half of the step between liver
#: and fat must be this many times that noise.
QUIET_VOXELS, QUIETER, LEAST_STEP = 0.8, 3.5, 2.0
#: Deeper than this (mm) the liver's noise is its own.
DEEP_MM = 6.0


def darker_tissue(features: Features, mask: BoolArray, core: OrganCore) -> float | None:
    """The intensity of the commonest kind of tissue next below the liver's; None where none is told from it."""
    outside = features.smooth[features.body.tissue & ~mask]
    counts, edges = np.histogram(outside, bins=BINS, range=(0.0, 2 * core.mode))
    profile = ndimage.gaussian_filter1d(counts.astype(np.float64), SMOOTH_BINS, mode="constant")
    middle = (edges[1:] + edges[:-1]) / 2
    apart = core.mode - APART_SD * max(core.sd, features.least_sd(core.mode))
    levels = [float(middle[n]) for n in peaks_of(profile, LEAST_PEAK * float(profile.max())) if middle[n] < apart]
    return max(levels, default=None)


def without_thin_layers(
    image: Volume, mask: BoolArray, coarse: BoolArray, features: Features, core: OrganCore
) -> BoolArray:
    """``mask`` (on ``image.grid``) without what lies within ``LAYER_MM`` of its outside and is nearer to the next
    darker tissue than to the liver; ``coarse`` is the liver on the work grid, whose shading is taken out first."""
    level = darker_tissue(features, coarse, core)
    if level is None or level < LEAST_ALIKE * core.mode or features.shading is None or not mask.any():
        return mask
    window = box_of(mask, 3)
    box = image.grid.cropped(np.asarray([w.start for w in window]), [w.stop for w in window])
    flat = _unshaded(np.asarray(image.values[window], dtype=np.float32), Volume(features.shading, features.grid), box)
    part = mask[window]
    inner = depth(part, box.spacing)
    half = (core.mode - level) / 2
    if half < LEAST_STEP * _noise(flat, inner > DEEP_MM) / QUIETER:
        return mask
    dark = ndimage.gaussian_filter(flat, QUIET_VOXELS, truncate=3.0) < level + half
    open_ = ~part | (dark & (inner <= LAYER_MM))
    labels, _ = ndimage.label(open_)
    reached = np.isin(labels, np.unique(labels[~part]))
    out = mask.copy()
    out[window] = part & ~(reached & open_)
    return out


def _unshaded(values: NDArray[np.float32], field: Volume, box: Grid) -> NDArray[np.float32]:
    return np.asarray(values / np.exp(sample(field, box, fill=None)), dtype=np.float32)


def _noise(values: NDArray[np.float32], where: BoolArray) -> float:
    """The sd of what a median of 27 voxels takes away, unmoved by structures."""
    if not where.any():
        return np.inf
    return 1.4826 * float(np.median(np.abs(values - ndimage.median_filter(values, size=3))[where]))
