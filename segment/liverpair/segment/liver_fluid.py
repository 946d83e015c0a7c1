"""Take bile and other fluid that lies beside the liver out of its mask; cysts inside it stay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, erode, opened, surround

__all__ = ["FLUID_HU", "like_a_gallbladder", "without_bright_bile", "without_fluid", "without_t2_fluid"]

#: Bile with hepatobiliary contrast: a ball of ``BILE_MM`` brighter than the liver by the first factor; brighter than
#: the liver around it by the second (shading makes no such step); its edge lies further out by ``BILE_EDGE_MM``, and
#: it comes this near to the liver's surface.
BILE, BILE_STEP, BILE_MM, BILE_EDGE_MM, BILE_DEEP_MM = 1.06, 1.1, 5.0, 2.0, 6.0
#: Brighter than the liver around it by this factor it is bile whatever its form.
BILE_SURE = 1.5
#: Where the shading was read inside the tissues, what is brighter by this factor is no nodule of a liver (1.14 and less
#: in a cirrhosis; bile 1.3–1.6): as long as a gallbladder that hangs out of its groove, it is one.
BILE_UNSHADED = 1.25
#: The liver around it: this layer (mm), without what lies so near to the surface that it is mixed with the outside.
BILE_AROUND_MM, BILE_MIXED_MM = (5.0, 13.0), 3.0
#: Bile, ascites, gastric juice and cysts in CT (HU, noise-reduced), whatever the contrast phase; in a fatty liver
#: fluid is what lies this far below it, too.
FLUID_HU, BELOW_LIVER_HU = (-15.0, 25.0), 15.0
#: The mean of liver and fat looks like fluid along every border: fluid is where a ball of this radius (mm) fits in.
FLUID_MM = 4.5
#: Fluid goes on into its voxels mixed with liver, up to half way between the two, at most this far (mm).
FLUID_EDGE_MM = 4.0
#: The liver surrounds a cyst on at least this share of its surface; a gallbladder lies in a groove.
ENCLOSED = 0.75
#: Bile, cysts and gastric juice in T2: brighter than the liver by this factor (bile 4.1–5.6, haemangiomas 3).
T2_FLUID = 2.5
#: In T2 the liver surrounds its cysts wholly and those that bulge on more than the first share; a gallbladder deep in
#: its groove up to the second (0.34–0.77 in eight), and is then known by its form.
T2_BULGING, T2_ENCLOSED = 0.5, 0.9
#: A gallbladder is longer than wide by this (sd along its longest over its shortest axis; 2.4–3.6 in twelve simulated
#: ones, lesions below 2).
ELONGATED = 2.2
#: One that hangs out of its groove (the liver surrounds less than this share of it) is known by less (one: 2.1).
HANGING, HANGING_ELONGATED = 0.65, 1.8
#: Fewer voxels than this have no form.
LEAST_VOXELS = 8


def _pieces(where: BoolArray) -> Iterator[BoolArray]:
    labels, count = ndimage.label(where)
    for n in range(1, count + 1):
        yield labels == n


def like_a_gallbladder(
    piece: BoolArray, mask: BoolArray, affine: NDArray[np.float64], elongated: float = ELONGATED
) -> bool:
    """Whether a part of a liver mask (same grid, LPS ``affine``) has a gallbladder's form and place: long (by
    ``elongated``, less where it hangs out of its groove), below and in front of the liver's centre."""
    at = np.argwhere(piece) @ affine[:3, :3].T  # LPS mm, up to the origin
    if len(at) < LEAST_VOXELS:
        return False
    middle = np.argwhere(mask).mean(axis=0) @ affine[:3, :3].T
    axes = np.linalg.eigvalsh(np.cov(at.T))
    in_front, below = at[:, 1].mean() < middle[1], at[:, 2].mean() < middle[2]
    least = HANGING_ELONGATED if surround(piece, mask & ~piece) < HANGING else elongated
    return bool(in_front and below and np.sqrt(axes[2] / max(axes[0], 1e-6)) > least)


def without_t2_fluid(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` of a T2 image without gallbladder, ascites and bowel; cysts stay, also those that bulge."""
    spacing = features.grid.spacing
    out = mask.copy()
    for piece in _pieces(opened(features.smooth > T2_FLUID * core.mode, FLUID_MM, spacing)):
        half = (float(np.median(features.smooth[piece])) + core.mode) / 2
        whole = piece | (dilate(piece, FLUID_EDGE_MM, spacing) & (features.smooth > half))
        if not (whole & mask).any():
            continue
        share = surround(whole, mask & ~whole)
        if share < T2_BULGING or (share < T2_ENCLOSED and like_a_gallbladder(piece, mask, features.grid.affine)):
            out &= ~whole
    return out


def without_bright_bile(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` of a hepatobiliary image without a gallbladder full of contrast: brighter than liver, at its surface."""
    spacing = features.grid.spacing
    out = mask.copy()
    bright = opened(mask & (features.smooth > BILE * core.mode), BILE_MM, spacing)
    if not bright.any():
        return out
    liver = erode(mask, BILE_MIXED_MM, spacing)
    middle = float(np.argwhere(mask)[:, 2].mean())
    for piece in _pieces(bright):
        near, far = (dilate(piece, reach, spacing) for reach in BILE_AROUND_MM)
        around = far & ~near & liver
        below = float(np.argwhere(piece)[:, 2].mean()) < middle  # a coil's shading brightens the dome, too
        if not below or not around.any() or not (dilate(piece, BILE_DEEP_MM, spacing) & ~mask).any():
            continue
        step = float(np.median(features.smooth[piece])) / float(np.median(features.smooth[around]))
        # a coil at the belly brightens the liver's front by more than contrast does bile: form tells
        elongated = HANGING_ELONGATED if features.shading is not None and step > BILE_UNSHADED else ELONGATED
        formed = like_a_gallbladder(piece, mask, features.grid.affine, elongated)
        if step > BILE_SURE or (step > BILE_STEP and formed):
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
