"""Give back to a liver the lesions that bulge at its capsule: what a shallow bay holds and ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, box_of, close, dilate, fill_holes, opened, surround

__all__ = ["bright_bays_ml", "bulges_up", "with_capsule_lesions"]

#: Shallow bays are looked for in closings with these radii (mm): a metastasis of 60 mm drops out of a smaller one.
CLOSINGS_MM = (25.0, 50.0)
#: Darker than this share of the liver's intensity is no liver; brighter than that share of the bay's own is the same
#: tissue still (suppressed fat is not).
DARK, SAME = 0.8, 0.6
#: In T2 lesions are brighter than the liver by this factor; what lies beyond the capsule (muscle, suppressed fat, lung)
#: is not.
BRIGHT = 1.3
#: Bays are parted from clefts by this radius (mm), and lesions from what they touch by the first of these at which they
#: end: the diaphragm and the muscles that a metastasis touches are thinner than a metastasis.
BAY_MM, PARTED_MM = 4.0, (3.0, 5.0, 7.0)
#: Beside a lesion (mm).
BESIDE_MM = 6.0
#: A lesion ends this near to its bay (mm; or the bay's own diameter); a stomach, a kidney, muscle and fat go on.
REACH_MM = 18.0
#: It is not larger than this many times the part in the bay, with this margin (mL).
GROWTH, MARGIN_ML = 3.0, 3.0
#: In T2 nothing as bright as a lesion lies beyond the capsule there: one ends within that reach and growth.
BRIGHT_REACH_MM, BRIGHT_GROWTH = 60.0, 10.0
#: No metastasis (of 80 mm) is larger; bowel, spleen and kidneys together are.
LARGEST_ML = 270.0
#: The liver surrounds more than this share of it.
LEAST_CONTACT = 0.35
#: It lies on the side of ribs and diaphragm, not of gallbladder, bowel and kidney: the upward part of the direction in
#: which it bulges is not below this.
LEAST_UPWARD = -0.35


def _bays(mask: BoolArray, unlike: BoolArray, spacing: NDArray[np.float64]) -> Iterator[BoolArray]:
    for radius_mm in CLOSINGS_MM:
        labels, count = ndimage.label(opened(close(mask, radius_mm, spacing) & unlike & ~mask, BAY_MM, spacing))
        for n in range(1, count + 1):
            yield labels == n


def _grown(
    bay: BoolArray, alike: BoolArray, mask: BoolArray, spacing: NDArray[np.float64], least_reach_mm: float = REACH_MM
) -> Iterator[BoolArray]:
    """The tissue that the bay's is part of, parted ever more strictly from what it touches, wherever it ends.

    What ``alike`` and the liver enclose belongs to it: a metastasis is necrotic inside.
    """
    reach = max(least_reach_mm, float(np.cbrt(6 / np.pi * bay.sum() * np.prod(spacing))))
    window = box_of(bay, int(np.ceil(reach / float(spacing.min()))) + 2)
    part, liver = bay[window], mask[window]
    near = dilate(part, reach, spacing)
    rim = near & ~dilate(part, reach - 2 * float(spacing.max()), spacing)
    tissue = fill_holes(alike[window] | liver) & ~liver & near
    for parted_mm in PARTED_MM:
        labels, _ = ndimage.label(opened(tissue, parted_mm, spacing) | part)
        whole = np.isin(labels, np.unique(labels[part]))
        if not bool((whole & rim).any()):
            out = np.zeros(bay.shape, dtype=bool)
            out[window] = whole
            yield out


def _rounded(whole: BoolArray, tissue: BoolArray, spacing: NDArray[np.float64]) -> BoolArray:
    """A lesion with its hollows: where its necrosis comes to the surface it is a bowl."""
    radius_mm = float(np.cbrt(3 / (4 * np.pi) * whole.sum() * np.prod(spacing)))
    window = box_of(whole, int(np.ceil(radius_mm / float(spacing.min()))) + 2)
    out = whole.copy()
    out[window] |= close(whole[window], radius_mm, spacing) & tissue[window]
    return out


def bulges_up(features: Features, whole: BoolArray, mask: BoolArray) -> bool:
    """Whether the way from the liver beside it to the lesion leads up or sideways rather than down."""
    beside = dilate(whole, BESIDE_MM, features.grid.spacing) & mask
    if not beside.any():
        return False
    way = features.grid.to_world(np.argwhere(whole).mean(axis=0)) - features.grid.to_world(
        np.argwhere(beside).mean(axis=0)
    )
    return bool(way[2] >= LEAST_UPWARD * float(np.linalg.norm(way)))


def with_capsule_lesions(features: Features, mask: BoolArray, core: OrganCore, bright: bool = False) -> BoolArray:
    """``mask`` (work grid) of a hepatobiliary image with the dark lesions in its shallow bays, of a T2 image with the
    ``bright`` ones.

    A bay is a lesion's where its tissue ends with the liver's outline: beyond a metastasis at the capsule lie fat
    and lung, while a stomach, a kidney or muscle goes on.
    """
    if not mask.any():
        return mask
    spacing, voxel = features.grid.spacing, features.grid.voxel_volume_mm3 / 1000
    unlike = _unlike(features, core, bright)
    out = mask
    for bay in _bays(mask, unlike, spacing):
        bay = bay & ~out
        if not bay.any():
            continue
        alike = unlike & ~out & (features.smooth > SAME * float(np.median(features.smooth[bay])))
        most = (BRIGHT_GROWTH if bright else GROWTH) * int(bay.sum()) + MARGIN_ML / voxel
        most = min(most, LARGEST_ML / voxel) if bright else most
        grown = _grown(bay, alike, out, spacing, BRIGHT_REACH_MM if bright else REACH_MM)
        for whole in chain(grown, (bay,) if bright else ()):
            fits = int(whole.sum()) <= most and _contact(whole, out, spacing, bright) > LEAST_CONTACT
            if fits and bulges_up(features, whole, out):
                out = out | _rounded(whole, features.body.tissue, spacing)
                break
    return np.asarray(close(out, PARTED_MM[0], spacing) & (out | features.body.tissue)) if out is not mask else mask


def _unlike(features: Features, core: OrganCore, bright: bool) -> BoolArray:
    level = features.smooth / np.float32(core.mode)
    return np.asarray(features.body.tissue & features.allowed & ((level > BRIGHT) if bright else (level < DARK)))


def _contact(whole: BoolArray, mask: BoolArray, spacing: NDArray[np.float64], bright: bool) -> float:
    """Share of a lesion's surface at the liver; between a bright one and the liver lies a layer that is like neither:
    its voxels hold both."""
    reached = dilate(whole, float(spacing.max()), spacing) & ~mask if bright else whole
    return surround(reached, mask)


def bright_bays_ml(features: Features, mask: BoolArray, core: OrganCore) -> float:
    """Volume (mL) of what is bright in the shallow bays of a T2 image's ``mask`` on the side of ribs and diaphragm:
    lesions that it leaves out."""
    left = np.zeros(mask.shape, dtype=bool)
    for bay in _bays(mask, _unlike(features, core, bright=True), features.grid.spacing):
        if bulges_up(features, bay, mask):
            left |= bay
    return float(left.sum()) * features.grid.voxel_volume_mm3 / 1000
