"""Give back to a liver the dark lesions that bulge at its capsule: what a shallow bay holds and ends with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, box_of, close, dilate, fill_holes, opened, surround

__all__ = ["with_capsule_lesions"]

#: Shallow bays are looked for in closings with these radii (mm): a metastasis of 60 mm drops out of a smaller one.
CLOSINGS_MM = (25.0, 50.0)
#: Darker than this share of the liver's intensity is no liver; brighter than that share of the bay's own is the same
#: tissue still (suppressed fat is not).
DARK, SAME = 0.8, 0.6
#: Bays are parted from clefts by this radius (mm), and lesions from what they touch by the first of these at which they
#: end: the diaphragm and the muscles that a metastasis touches are thinner than a metastasis.
BAY_MM, PARTED_MM = 4.0, (3.0, 5.0, 7.0)
#: Beside a lesion (mm).
BESIDE_MM = 6.0
#: A lesion ends this near to its bay (mm; or the bay's own diameter); a stomach, a kidney, muscle and fat go on.
REACH_MM = 18.0
#: It is not larger than this many times the part in the bay, with this margin (mL).
GROWTH, MARGIN_ML = 3.0, 3.0
#: The liver surrounds more than this share of it.
LEAST_CONTACT = 0.35
#: It lies on the side of ribs and diaphragm, not of gallbladder, bowel and kidney: the upward part of the direction in
#: which it bulges is not below this.
LEAST_UPWARD = -0.35


def _bays(mask: BoolArray, dark: BoolArray, spacing: NDArray[np.float64]) -> Iterator[BoolArray]:
    for radius_mm in CLOSINGS_MM:
        labels, count = ndimage.label(opened(close(mask, radius_mm, spacing) & dark & ~mask, BAY_MM, spacing))
        for n in range(1, count + 1):
            yield labels == n


def _grown(bay: BoolArray, alike: BoolArray, mask: BoolArray, spacing: NDArray[np.float64]) -> Iterator[BoolArray]:
    """The tissue that the bay's is part of, parted ever more strictly from what it touches, wherever it ends.

    What ``alike`` and the liver enclose belongs to it: a metastasis is necrotic inside.
    """
    reach = max(REACH_MM, float(np.cbrt(6 / np.pi * bay.sum() * np.prod(spacing))))
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


def _bulges_up(features: Features, whole: BoolArray, mask: BoolArray) -> bool:
    """Whether the way from the liver beside it to the lesion leads up or sideways rather than down."""
    beside = dilate(whole, BESIDE_MM, features.grid.spacing) & mask
    way = features.grid.to_world(np.argwhere(whole).mean(axis=0)) - features.grid.to_world(
        np.argwhere(beside).mean(axis=0)
    )
    return bool(way[2] >= LEAST_UPWARD * float(np.linalg.norm(way)))


def with_capsule_lesions(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` (work grid) of a hepatobiliary image with the dark lesions in its shallow bays.

    A bay is a lesion's where its dark tissue ends with the liver's outline: beyond a metastasis at the capsule lie fat
    and lung, while a stomach, a kidney or muscle goes on.
    """
    if not mask.any():
        return mask
    spacing, voxel = features.grid.spacing, features.grid.voxel_volume_mm3 / 1000
    dark = features.body.tissue & (features.smooth < DARK * core.mode)
    out = mask
    for bay in _bays(mask, dark, spacing):
        bay = bay & ~out
        if not bay.any():
            continue
        alike = dark & ~out & (features.smooth > SAME * float(np.median(features.smooth[bay])))
        most = GROWTH * int(bay.sum()) + MARGIN_ML / voxel
        for whole in _grown(bay, alike, out, spacing):
            fits = int(whole.sum()) <= most and surround(whole, out) > LEAST_CONTACT
            if fits and _bulges_up(features, whole, out):
                out = out | _rounded(whole, features.body.tissue, spacing)
                break
    return np.asarray(close(out, PARTED_MM[0], spacing) & (out | features.body.tissue)) if out is not mask else mask
