"""Take the right kidney out of an MRI's liver mask, where the left one shows what a kidney looks like and where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, box_of, dilate, erode, largest, opened, surround
from liverpair.segment.liver_shape import GENEROUS_SD, unreached

__all__ = ["without_right_kidney"]

#: The left kidney: the largest thing at places that no liver reaches, nearly as bright as the liver, into which a ball
#: of this radius fits; and the volume (mL) of a kidney.
BALL_MM, KIDNEY_ML = 6.0, (60.0, 350.0)
#: The right kidney lies within this of the left one's mirror image (mm).
MIRROR_MM = 25.0
#: The liver that it is told from lies within this of that place (mm), and this deep.
AROUND_MM, DEEP_MM = 40.0, 6.0
#: Less than this share of the liver's level between the two tells nothing: form has to.
LEAST_STEP = 0.05
#: A kidney has its twin's level within this share, holds a ball of this radius and this volume, and the liver
#: surrounds it on less than this share of its surface: a metastasis lies deeper, and is darker.
SAME_LEVEL, PIECE_MM, PIECE_ML, SURROUNDED = 0.06, 8.0, 30.0, 0.6
#: Its level is read this deep (mm) in it.
INNER_MM = 3.0
#: Its edge is sought at most this far (mm) beyond what is known of it.
EDGE_MM = 10.0
#: A body has two kidneys: where less than this share of the left one's volume lies outside of the mask at the right
#: one's place, as bright as this share of the liver, the right one is in the mask (or was taken out).
OUTSIDE_SHARE, OUTSIDE_LEVEL = 0.25, 0.6
#: Then it is what thin fat parts from the liver: voxels below this share of the liver's level do, and necks that a ball
#: of this radius (mm) cannot pass. It lies at that place with this share of itself, its centre this near (mm) to the
#: mirror image's.
WALL_LEVEL, NECK_MM, AT_PLACE, CENTRE_MM = 0.82, 4.0, 0.8, 15.0


def _left_kidney(features: Features, core: OrganCore) -> BoolArray | None:
    """A kidney-sized organ on the left side of the back, of nearly the liver's brightness; None where there is none."""
    reach = GENEROUS_SD * max(core.sd, features.least_sd(core.mode)) + features.drift(core.mode) / 2
    near = (np.abs(features.smooth - core.mode) <= reach) & unreached(features) & features.body.tissue
    kidney = largest(opened(near, BALL_MM, features.grid.spacing))
    volume = float(kidney.sum()) * features.grid.voxel_volume_mm3 / 1000
    return kidney if KIDNEY_ML[0] <= volume <= KIDNEY_ML[1] else None


def _mirrored(features: Features, kidney: BoolArray) -> BoolArray:
    """The left kidney's mirror image."""
    i, j, k = np.nonzero(kidney)
    right = np.rint(2 * features.body.midline[k] - i).astype(int)
    seen = (right >= 0) & (right < kidney.shape[0])
    out = np.zeros(kidney.shape, dtype=bool)
    out[right[seen], j[seen], k[seen]] = True
    return out


def without_right_kidney(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` (work grid) of a hepatobiliary image without a right kidney that was taken for liver."""
    spacing = features.grid.spacing
    twin = _left_kidney(features, core)
    if twin is None:
        return mask
    image = _mirrored(features, twin)
    place = dilate(image, MIRROR_MM, spacing)
    liver = erode(mask, DEEP_MM, spacing) & dilate(place, AROUND_MM, spacing) & ~place
    if not (place & mask).any() or not liver.any():
        return mask
    level = float(np.median(features.smooth[liver]))
    piece = _by_its_level(features, mask, place, features.smooth[twin], level)
    if piece is None and not _outside(features, mask, place, level, int(twin.sum())):
        piece = _by_its_form(features, mask, place, image, level)
    if piece is None:
        return mask
    kidney = _to_its_edge(features, mask, piece)
    return largest(mask & ~kidney) if surround(kidney, mask & ~kidney) < SURROUNDED else mask


def _ml(features: Features, part: BoolArray) -> float:
    return float(part.sum()) * features.grid.voxel_volume_mm3 / 1000


def _by_its_level(
    features: Features, mask: BoolArray, place: BoolArray, twin: NDArray[np.float32], other: float
) -> BoolArray | None:
    """What is as bright as the left kidney (its voxels: ``twin``) rather than as the liver (``other``)."""
    spacing, smooth = features.grid.spacing, features.smooth
    level = float(np.median(twin))
    if abs(other - level) < LEAST_STEP * abs(other):
        return None
    nearer = mask & place & (np.abs(smooth - level) < np.abs(smooth - other))
    piece = largest(opened(nearer, PIECE_MM, spacing))
    # Read as the left one's: without pelvis, and without the fat that was closed between liver and kidney.
    inner = erode(piece & (smooth >= float(twin.min())), INNER_MM, spacing)
    if not inner.any() or _ml(features, piece) < PIECE_ML:
        return None
    if abs(float(np.median(smooth[inner])) - level) > SAME_LEVEL * abs(level):
        return None
    whole = piece | (dilate(piece, EDGE_MM, spacing) & nearer)
    return whole if surround(whole, mask & ~whole) < SURROUNDED else None


def _outside(features: Features, mask: BoolArray, place: BoolArray, level: float, twin: int) -> bool:
    """Whether a kidney lies beside the mask at the right one's place."""
    bright = place & ~mask & features.body.tissue & (features.smooth > OUTSIDE_LEVEL * level)
    return int(opened(bright, BALL_MM, features.grid.spacing).sum()) >= OUTSIDE_SHARE * twin


def _by_its_form(
    features: Features, mask: BoolArray, place: BoolArray, image: BoolArray, level: float
) -> BoolArray | None:
    """The kidney-sized part of the mask at that place that fat parts from the rest but for a neck."""
    spacing = features.grid.spacing
    parts, count = ndimage.label(erode(mask & (features.values > WALL_LEVEL * level), NECK_MM, spacing))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    home = int(sizes[1:].argmax()) + 1 if count else 0
    centre = np.argwhere(image).mean(axis=0)
    for n in np.argsort(-sizes[1:], kind="stable") + 1:
        if n == home:
            continue
        piece = dilate(parts == n, NECK_MM, spacing) & mask
        if _ml(features, piece) < PIECE_ML:
            return None
        off = float(np.linalg.norm((np.argwhere(piece).mean(axis=0) - centre) * spacing))
        there = int((piece & place).sum()) >= AT_PLACE * int(piece.sum())
        if off <= CENTRE_MM and there and surround(piece, mask & ~piece) < SURROUNDED:
            return piece
    return None


def _to_its_edge(features: Features, mask: BoolArray, piece: BoolArray) -> BoolArray:
    """``piece`` with the rest of its organ, up to the steepest place between it and the liver."""
    window = box_of(piece, int(np.ceil(2 * EDGE_MM / float(features.grid.spacing.min()))))
    part, there = piece[window], mask[window]
    liver = there & ~dilate(part, EDGE_MM, features.grid.spacing)
    slope = ndimage.gaussian_gradient_magnitude(features.values[window], 1.0)
    out = np.zeros(mask.shape, dtype=bool)
    out[window] = watershed(slope, np.where(part, 1, np.where(liver, 2, 0)), mask=there) == 1
    return out
