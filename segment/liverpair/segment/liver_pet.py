"""Let a PET narrow down where a CT's liver can be: neither cold tissue nor large hot organs beside it; and give back
the avid lesions at its surface.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.volume import Volume
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_mode import OrganCore, robust_mode
from liverpair.segment.liver_morphology import BoolArray, dilate, opened, surround

__all__ = ["pet_allows", "relative_uptake", "with_avid_lesions"]

#: Share of the liver's uptake below which muscle, blood, fat and bowel lie (SSR tracers), measured in the spec;
#: and above which kidneys, spleen and metastases lie.
COLD, HOT = 0.45, 2.2
#: Hot regions larger than this are organs unless liver surrounds them.
HOT_ORGAN_ML = 25.0
#: A metastasis lies in the liver with at least this share of its surface.
ENCLOSED = 0.5
#: Liver reaches no further than ``NEAR_LIKE_MM`` from where the uptake is this share of its own in a ball of
#: ``LIKE_MM``: the PET's point spread makes the liver's border fade to a half, but bowel, stomach and duodenum
#: (0.5–0.6) do not rise above it far from the liver.
LIKE, LIKE_MM, NEAR_LIKE_MM = 0.7, 6.0, 10.0
#: A hot spot at the surface is a lesion of the liver where its mask lies on more than this share of the spot's own
#: surface: a kidney, an adrenal or bowel touch the liver with one side.
AT_SURFACE = 0.5
#: The liver takes up more than this multiple of the body's median in every SSR-PET; less, and the PET says nothing.
LEAST_CONTRAST = 1.5


def relative_uptake(pet: Volume, features: Features, core: OrganCore) -> NDArray[np.float32] | None:
    """``pet`` (any grid of the same frame), lightly smoothed, on the work grid, in multiples of the liver's uptake;
    None where the PET tells nothing of the liver."""
    uptake = sample(pet, features.grid, fill=None)
    covered = pet.grid.contains(features.grid.to_world(core.centre))
    liver, _ = robust_mode(uptake[core.ball])
    body = float(np.median(uptake[features.body.tissue]))
    if not covered or liver <= LEAST_CONTRAST * max(body, 0) or liver <= 0:
        return None
    return np.asarray(ndimage.gaussian_filter(uptake, 1.0) / liver)


def pet_allows(ratio: NDArray[np.float32], features: Features) -> BoolArray:
    """Where the uptake (``ratio`` of ``relative_uptake``) lets the liver be, on the work grid."""
    liver_like = (ratio >= COLD) & (ratio <= HOT)
    labels, sizes = _hot_spots(ratio > HOT, features)
    organ = np.zeros(len(sizes), dtype=bool)
    for n in np.flatnonzero(sizes > HOT_ORGAN_ML):
        organ[n] = surround(labels == n, ndimage.binary_dilation(liver_like, iterations=2)) < ENCLOSED
    allowed = (ratio >= COLD) & ~organ[labels]
    spacing = features.grid.spacing
    return np.asarray(allowed & dilate(opened(allowed & (ratio >= LIKE), LIKE_MM, spacing), NEAR_LIKE_MM, spacing))


def with_avid_lesions(ratio: NDArray[np.float32], features: Features, mask: BoolArray) -> BoolArray:
    """``mask`` with the hot spots of the uptake that it surrounds: metastases at the surface, which on CT look like
    what lies beside the liver."""
    out = mask.copy()
    labels, sizes = _hot_spots((ratio > HOT) & features.body.tissue, features)
    touched = np.unique(labels[mask])
    for n in touched[(touched > 0) & (sizes[touched] <= HOT_ORGAN_ML)]:
        spot = labels == n
        if surround(spot, mask & ~spot) > AT_SURFACE:
            out |= spot
    return out


def _hot_spots(hot: BoolArray, features: Features) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Connected parts of ``hot``, numbered from 1, and their volumes in mL by number (that of 0 is 0)."""
    labels, count = ndimage.label(hot)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * features.grid.voxel_volume_mm3 / 1000
    sizes[0] = 0.0
    return labels, sizes
