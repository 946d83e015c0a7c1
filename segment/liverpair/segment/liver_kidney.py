"""Take the right kidney out of an MRI's liver mask, where the left one shows what a kidney looks like in this image."""

from __future__ import annotations

import numpy as np

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, erode, largest, opened, surround
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
#: It goes on into its edge, half way to the liver's level, at most this far (mm).
EDGE_MM = 10.0


def _left_kidney(features: Features, core: OrganCore) -> BoolArray | None:
    """A kidney-sized organ on the left side of the back, of nearly the liver's brightness; None where there is none."""
    reach = GENEROUS_SD * max(core.sd, features.least_sd(core.mode)) + features.drift(core.mode) / 2
    near = (np.abs(features.smooth - core.mode) <= reach) & unreached(features) & features.body.tissue
    kidney = largest(opened(near, BALL_MM, features.grid.spacing))
    volume = float(kidney.sum()) * features.grid.voxel_volume_mm3 / 1000
    return kidney if KIDNEY_ML[0] <= volume <= KIDNEY_ML[1] else None


def _mirrored(features: Features, kidney: BoolArray) -> BoolArray:
    """Where the right kidney is looked for."""
    i, j, k = np.nonzero(kidney)
    right = np.rint(2 * features.body.midline[k] - i).astype(int)
    seen = (right >= 0) & (right < kidney.shape[0])
    out = np.zeros(kidney.shape, dtype=bool)
    out[right[seen], j[seen], k[seen]] = True
    return dilate(out, MIRROR_MM, features.grid.spacing)


def without_right_kidney(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` (work grid) of a hepatobiliary image without a right kidney that was taken for liver."""
    spacing, smooth = features.grid.spacing, features.smooth
    twin = _left_kidney(features, core)
    place = None if twin is None else _mirrored(features, twin)
    if twin is None or place is None or not (place & mask).any():
        return mask
    liver = erode(mask, DEEP_MM, spacing) & dilate(place, AROUND_MM, spacing) & ~place
    if not liver.any():
        return mask
    level, other = float(np.median(smooth[twin])), float(np.median(smooth[liver]))
    if abs(other - level) < LEAST_STEP * abs(other):
        return mask
    nearer = mask & place & (np.abs(smooth - level) < np.abs(smooth - other))
    piece = largest(opened(nearer, PIECE_MM, spacing))
    if float(piece.sum()) * features.grid.voxel_volume_mm3 / 1000 < PIECE_ML:
        return mask
    whole = piece | (dilate(piece, EDGE_MM, spacing) & nearer)
    alike = abs(float(np.median(smooth[piece])) - level) <= SAME_LEVEL * abs(level)
    if not alike or surround(whole, mask & ~whole) >= SURROUNDED:
        return mask
    return largest(mask & ~whole)
