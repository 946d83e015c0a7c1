"""Find the heart that lies on the liver in a T2 image, down to the diaphragm between the two, to take it off a mask.

Heart muscle and slow blood have about the liver's level, and the diaphragm is thinner than a slice: neither intensity
nor a neck parts them. But a heart's values are spread several times as wide as a liver's (muscle, blood that flow
darkens or brightens, fat, motion), the heart stands free in the lungs above the right dome, where its values can be
read, and the diaphragm under it is one smooth surface: in every column under the heart the border is where all values
below it are likeliest a liver's and all above it a heart's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_blood import BALL_MM, HEART_DORSAL, HEART_LATERAL, LEAST_ML, UNDER_SKIN_MM
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, erode, largest, opened
from liverpair.segment.liver_shape import LEAST_LEAK_ML, MEDIAL

__all__ = ["above_floor", "heart_over", "without_part"]

#: The right dome (between these half widths: right of any heart, inside the ribs) reaches up to the highest slice with
#: this much of the mask: a disc of 50 mm, ``SUMMIT_MM`` below the summit of a dome of 70 mm radius. The left lobe, on
#: which the heart lies, ends below the summit.
DOME_LATERAL, DOME_MM2, SUMMIT_MM = (-0.75, -0.35), 2000.0, 5.0
#: The heart's floor is sought down to this far (mm) below the right dome.
BELOW_DOME_MM = 45.0
#: Values are read so deep (mm) in the liver, and so deep in the heart above the dome.
LIVER_DEEP_MM, HEART_DEEP_MM = 8.0, 3.0
#: Darker tissue than this share of the liver says nothing: fat and lung lie beside a liver as beside a heart.
LEAST_LEVEL = 0.5
#: Histograms: bins up to this many times the liver's intensity (brighter values are in the last), the sigma (bins) they
#: are smoothed by, and the share of chance in each, which bounds what one voxel says.
BINS, HIGHEST, SMOOTH_BINS, CHANCE = 64, 2.5, 1.5, 0.05
#: Two histograms that overlap by more (Bhattacharyya's coefficient; one sd with means 0.6 sd apart, or one mean and sds
#: as 1 to 1.6) are not told apart.
MOST_OVERLAP = 0.95
#: A column hears its neighbours within this sigma (mm): the diaphragm under the heart is nearly level, one column's
#: noise is not.
BESIDE_MM = 6.0
#: The floor dips nowhere by more than a work voxel below its median within this radius (mm): a lesion under the heart
#: is like it as often as like the liver, and smaller.
SMOOTH_MM = 30.0
#: A part of the mask above the floor is heart where a ball of this radius (mm) enters it; what is thinner is the slice
#: that holds liver and diaphragm, whose border is placed later.
THICK_MM = 4.5


def heart_over(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray | None:
    """The heart above the liver (work grid: +i left, +j posterior, +k cranial), as far down as it lies on ``mask``.

    None where it is not in view or not to be told from the liver.
    """
    dome = _dome(features, mask)
    heart = None if dome is None else _free_heart(features, dome)
    if dome is None or heart is None:
        return None
    spacing = features.grid.spacing
    lowest = max(0, dome - round(BELOW_DOME_MM / spacing[2]))
    sure = erode(mask, LIVER_DEEP_MM, spacing)
    sure[:, :, lowest:] &= np.broadcast_to(features.body.lateral() < DOME_LATERAL[1], mask.shape)[:, :, lowest:]
    evidence = _evidence(features, sure, erode(heart, HEART_DEEP_MM, spacing), core)
    floor = None if evidence is None else _floor(evidence, heart, lowest, spacing)
    if floor is None:
        return None
    columns: BoolArray = np.any(heart, axis=2, keepdims=True)
    above = columns & (np.arange(mask.shape[2]) >= floor[:, :, None])
    labels: NDArray[np.int32] = ndimage.label(mask & above)[0]
    thick = erode(above & features.body.tissue, THICK_MM, spacing)
    sizes = np.bincount(labels.ravel()) * features.grid.voxel_volume_mm3 / 1000
    found = np.isin(labels, [n for n in np.unique(labels[thick]) if n > 0 and sizes[n] >= LEAST_LEAK_ML])
    if not found.any():
        return None
    leaked = dilate(np.any(found, axis=2, keepdims=True), BESIDE_MM, spacing)
    return np.asarray(above & (found | (leaked & ~mask)))


def without_part(mask: BoolArray, part: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` without ``part`` and without what hung on the organ around ``core`` by that part alone."""
    left = mask & ~part
    before, after = _home(mask, core), _home(left, core)
    return np.asarray(left & (after | ~before))


def above_floor(heart: BoolArray) -> BoolArray:
    """``heart`` without its lowest work voxel in every column: there the image's own edge decides."""
    out = np.zeros(heart.shape, dtype=bool)
    out[:, :, 1:] = heart[:, :, 1:] & heart[:, :, :-1]
    return out


def _home(mask: BoolArray, core: OrganCore) -> BoolArray:
    """The component of ``mask`` that holds most of the core's ball."""
    labels, count = ndimage.label(mask)
    held = np.bincount(labels[core.ball], minlength=count + 1)
    held[0] = 0
    return np.asarray(labels == int(held.argmax())) if held.any() else np.zeros(mask.shape, dtype=bool)


def _dome(features: Features, mask: BoolArray) -> int | None:
    """The highest slice with ``DOME_MM2`` of the mask on the right; MRI tells a lung from nothing else that is dark."""
    lateral = features.body.lateral()
    right = mask & (lateral > DOME_LATERAL[0]) & (lateral < DOME_LATERAL[1])
    there = np.flatnonzero(right.sum(axis=(0, 1)) * features.grid.spacing[0] ** 2 > DOME_MM2)
    return int(there[-1]) if len(there) else None


def _free_heart(features: Features, dome: int) -> BoolArray | None:
    """The part of the heart above the right dome; None where it is not in view."""
    spacing, body = features.grid.spacing, features.body
    lateral = body.lateral()
    there = body.tissue & (body.skin_mm > UNDER_SKIN_MM) & (body.dorsal() < HEART_DORSAL)
    there &= (lateral > MEDIAL) & (lateral < HEART_LATERAL[1])
    there[:, :, : max(0, dome + 1 - int(np.ceil(BALL_MM / spacing[2])))] = False  # the ball may reach below
    heart = opened(there, BALL_MM, spacing)
    heart[:, :, : dome + 1] = False
    heart = largest(heart)
    return heart if int(heart.sum()) * features.grid.voxel_volume_mm3 > LEAST_ML * 1000 else None


def _evidence(features: Features, liver: BoolArray, heart: BoolArray, core: OrganCore) -> NDArray[np.float32] | None:
    """The logarithm of how much likelier each voxel is a liver's than a heart's, with its neighbours' in the slice."""
    speaks = features.body.tissue & (features.smooth > LEAST_LEVEL * core.mode)
    liver, heart = liver & speaks, heart & speaks
    if not liver.any() or not heart.any():
        return None
    bins = np.clip(features.values * (BINS / HIGHEST / core.mode), 0, BINS - 1).astype(np.intp)
    chances = [_chances(bins[part]) for part in (liver, heart)]
    if float(np.sqrt(chances[0] * chances[1]).sum()) > MOST_OVERLAP:
        return None
    each = np.where(speaks, np.log(chances[0] / chances[1])[bins], 0).astype(np.float32)
    sigma = BESIDE_MM / features.grid.spacing * np.array([1.0, 1.0, 0.0])
    weight = ndimage.gaussian_filter(speaks.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(each, sigma, truncate=3.0)
    return np.asarray(total / np.maximum(weight, CHANCE), dtype=np.float32)


def _chances(bins: NDArray[np.intp]) -> NDArray[np.float64]:
    counts = ndimage.gaussian_filter1d(np.bincount(bins, minlength=BINS).astype(np.float64), SMOOTH_BINS)
    return (1 - CHANCE) * counts / counts.sum() + CHANCE / BINS


def _floor(
    evidence: NDArray[np.float32], heart: BoolArray, lowest: int, spacing: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """The heart's lowest slice in every column (ni, nj), from ``lowest`` on up to the dome's summit; None where no
    column shows liver below.

    A column's evidence is summed from ``lowest`` up: the border is where the sum is largest. Where there is no liver in
    a column its neighbours' floor goes on.
    """
    columns = heart.any(axis=2)
    highest = np.where(columns, heart.argmax(axis=2), lowest) + round(SUMMIT_MM / spacing[2])
    sums = np.cumsum(evidence[:, :, lowest:], axis=2)
    sums = np.where(np.arange(lowest, heart.shape[2]) < highest[:, :, None], sums, -np.inf)
    shown = columns & (sums.max(axis=2) > 0)
    if not shown.any():
        return None
    floor = sums.argmax(axis=2) + lowest + 1
    near = ndimage.distance_transform_edt(~shown, return_distances=False, return_indices=True)
    reach = int(SMOOTH_MM / spacing[0])
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    middle = ndimage.median_filter(floor[tuple(near)], footprint=i**2 + j**2 <= reach**2)
    return np.asarray(np.where(shown, np.maximum(floor, middle - 1), middle), dtype=np.int64)
