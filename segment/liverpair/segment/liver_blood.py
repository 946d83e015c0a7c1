"""Take heart and vena cava off a CT's liver: both hold the same blood, whose level the heart above the diaphragm shows.

The heart lies on the liver over ten centimetres and the liver wraps around the cava: no neck parts them, and on CT
their step (10 HU native) drowns in what the search must tolerate. Averaged over millimetres it does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.volume import Mask
from liverpair.segment.liver_cava import EDGE_MM, cava_tubes
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_grid import reached, sample
from liverpair.segment.liver_mode import robust_mode
from liverpair.segment.liver_morphology import BoolArray, box_of, dilate, erode, largest, opened

__all__ = ["SOFT_HU", "heart_of", "without_blood", "without_heart"]

#: Blood and liver without fat, lung and dense bone (HU); what lies within ``MIXED_MM`` of those is mixed with them.
SOFT_HU, MIXED_MM = (-20.0, 250.0), 3.5
#: The noise is averaged over this sigma: a cava is at least 11 mm wide.
CALM_MM = 3.5
#: The heart: between these half widths, in front of this half depth (behind it lie aorta and spine) and this far (mm)
#: under the skin (breastbone and breasts); from this far above the right dome on, it is all that a ball of so many mm
#: enters, and no smaller than this where it is in view.
HEART_LATERAL, HEART_DORSAL, UNDER_SKIN_MM, ABOVE_DOME_MM, BALL_MM, LEAST_ML = (-0.4, 0.7), 0.35, 25.0, 15.0, 15.0, 40.0
#: It reaches no further below the right dome (mm). What a ball of this radius (mm) cannot enter there is a vein or
#: noise, but for the corners between liver, heart and lung, within so many mm of it.
BELOW_DOME_MM, THICK_MM, CORNER_MM = 30.0, 12.0, 6.0
#: Blood and liver are told apart where their levels differ by so many sd of the liver's own (averaged) voxels: then
#: 16 % of a liver's voxels lie on blood's side, scattered, and no ball of millimetres fits into those.
LEAST_STEP_SD = 2.0
#: Beyond blood's level by more than this share of the step lies something else: fluid, fat, bone.
BEYOND = 1.0
#: The liver's level is read this deep in it (mm); a border's search goes no further (mm) into its neighbours.
DEEP_MM, BESIDE_MM = 8.0, 12.0


def without_blood(features: Features, mask: BoolArray) -> BoolArray:
    """``mask`` (work grid) without heart and cava; as it is where the CT shows no heart or does not tell them apart."""
    levels = _levels(features, mask)
    if levels is None:
        return mask
    out = mask & ~_heart_down(features, levels)
    like_blood = levels.like_blood
    for tube in cava_tubes(features, levels.darker_blood, out, out & like_blood, levels.step / 2):
        out &= ~(tube | (dilate(tube, EDGE_MM, features.grid.spacing) & like_blood))
    return out


def without_heart(mask: Mask, features: Features, coarse: BoolArray) -> Mask:
    """``mask`` (any grid) without the heart, as far as ``coarse``, the same liver on the work grid, tells it.

    A border that follows the strongest edge may go back into the heart where noise is stronger than their step.
    """
    levels = _levels(features, coarse)
    if levels is None:
        return mask
    beside = _heart_down(features, levels) & dilate(coarse, BESIDE_MM, features.grid.spacing)
    if not beside.any():
        return mask
    box = box_of(beside, 1)
    near = features.grid.cropped(np.asarray([b.start for b in box]), [b.stop for b in box])
    first, last = reached(mask.grid, near, 0)
    window = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    values = mask.values.copy()
    values[window] &= sample(Mask(beside[box], near), mask.grid.cropped(first, last)) < 0.5
    return Mask(values, mask.grid)


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """The heart, what has its level, the averaged CT, turned over where blood is brighter than liver, and the step
    between blood and liver (HU)."""

    heart: BoolArray
    like_blood: BoolArray
    darker_blood: NDArray[np.float32]
    step: float


def _levels(features: Features, mask: BoolArray) -> _Levels | None:
    """None where the CT shows no heart, or a liver ``mask`` that cannot be told from it."""
    heart = heart_of(features)
    deep = erode(mask, DEEP_MM, features.grid.spacing)
    if heart is None or not deep.any():
        return None
    calm = _calm(features)
    blood = float(np.median(calm[heart]))
    liver, sd = robust_mode(calm[deep])
    step = blood - liver
    if abs(step) < LEAST_STEP_SD * sd:
        return None
    over = (calm - (liver + blood) / 2) * np.sign(step)
    like_blood = (over > 0) & (over < (0.5 + BEYOND) * abs(step)) & features.body.tissue
    return _Levels(heart, like_blood, calm if step < 0 else -calm, abs(step))


def heart_of(features: Features) -> BoolArray | None:
    """The part of the heart above the right dome (work grid); None where it is not in view."""
    dome = features.body.right_dome()
    if dome is None:
        return None
    spacing = features.grid.spacing
    body, (low, high) = features.body, SOFT_HU
    there = (features.smooth > low) & (features.smooth < high) & body.tissue & (body.skin_mm > UNDER_SKIN_MM)
    lateral = body.lateral()
    there &= (lateral > HEART_LATERAL[0]) & (lateral < HEART_LATERAL[1]) & (body.dorsal() < HEART_DORSAL)
    there[:, :, : dome + int(np.ceil(ABOVE_DOME_MM / spacing[2]))] = False
    heart = largest(opened(there, BALL_MM, spacing))
    return heart if int(heart.sum()) * features.grid.voxel_volume_mm3 > LEAST_ML * 1000 else None


def _calm(features: Features) -> NDArray[np.float32]:
    """The CT averaged over ``CALM_MM``, from unmixed soft tissue alone; as it is where none is near."""
    spacing = features.grid.spacing
    pure = erode((features.values > SOFT_HU[0]) & (features.values < SOFT_HU[1]), MIXED_MM, spacing)
    sigma = CALM_MM / spacing
    weight = ndimage.gaussian_filter(pure.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(np.where(pure, features.values, 0).astype(np.float32), sigma, truncate=3.0)
    return np.where(weight > 1e-4, total / np.maximum(weight, 1e-6), features.smooth).astype(np.float32)


def _heart_down(features: Features, levels: _Levels) -> BoolArray:
    """The heart with what has its level below it, down to where no heart reaches."""
    spacing = features.grid.spacing
    first = int(np.flatnonzero(levels.heart.any(axis=(0, 1)))[0]) - int((ABOVE_DOME_MM + BELOW_DOME_MM) / spacing[2])
    reach = levels.like_blood.copy()
    reach[:, :, : max(0, first)] = False
    labels = ndimage.label(opened(reach | levels.heart, THICK_MM, spacing))[0]
    found = np.isin(labels, np.setdiff1d(np.unique(labels[levels.heart]), [0]))
    return found | (dilate(found, CORNER_MM, spacing) & reach)
