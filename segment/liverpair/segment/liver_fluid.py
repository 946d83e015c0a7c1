"""Take bile and other fluid that lies beside the liver out of its mask; cysts inside it stay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, opened, surround

__all__ = ["FLUID_HU", "without_bright_bile", "without_fluid"]

#: Bile with hepatobiliary contrast: a ball of ``BILE_MM`` brighter than the liver by the first factor; brighter than
#: the liver around it by the second (shading makes no such step); its edge lies further out by ``BILE_EDGE_MM``, and
#: it comes this near to the liver's surface.
BILE, BILE_STEP, BILE_MM, BILE_EDGE_MM, BILE_DEEP_MM = 1.06, 1.1, 5.0, 2.0, 6.0
#: The liver around it: this layer (mm).
BILE_AROUND_MM = (5.0, 13.0)
#: Bile, ascites, gastric juice and cysts in CT (HU, noise-reduced), whatever the contrast phase; in a fatty liver
#: fluid is what lies this far below it, too.
FLUID_HU, BELOW_LIVER_HU = (-15.0, 25.0), 15.0
#: The mean of liver and fat looks like fluid along every border: fluid is where a ball of this radius (mm) fits in.
FLUID_MM = 4.5
#: Fluid goes on into its voxels mixed with liver, up to half way between the two, at most this far (mm).
FLUID_EDGE_MM = 4.0
#: The liver surrounds a cyst on at least this share of its surface; a gallbladder lies in a groove.
ENCLOSED = 0.75


def _pieces(where: BoolArray) -> Iterator[BoolArray]:
    labels, count = ndimage.label(where)
    for n in range(1, count + 1):
        yield labels == n


def without_bright_bile(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` of a hepatobiliary image without a gallbladder full of contrast: brighter than liver, at its surface."""
    spacing = features.grid.spacing
    out = mask.copy()
    for piece in _pieces(opened(mask & (features.smooth > BILE * core.mode), BILE_MM, spacing)):
        near, far = (dilate(piece, reach, spacing) for reach in BILE_AROUND_MM)
        around = far & ~near & mask
        if not around.any() or not (dilate(piece, BILE_DEEP_MM, spacing) & ~mask).any():
            continue
        if np.median(features.smooth[piece]) > BILE_STEP * np.median(features.smooth[around]):
            out &= ~dilate(piece, BILE_EDGE_MM, spacing)
    return out


def without_fluid(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` of a CT without gallbladder, ascites and the stomach's content: fluid that liver does not surround."""
    spacing = features.grid.spacing
    highest = min(FLUID_HU[1], core.mode - BELOW_LIVER_HU)
    fluid = opened((features.smooth > FLUID_HU[0]) & (features.smooth < highest), FLUID_MM, spacing)
    out = mask.copy()
    for piece in _pieces(fluid):
        if not (piece & mask).any():
            continue
        half = (float(np.median(features.smooth[piece])) + core.mode) / 2
        whole = piece | (dilate(piece, FLUID_EDGE_MM, spacing) & (features.smooth < half))
        if surround(whole, mask & ~whole) < ENCLOSED:
            out &= ~whole
    return out
