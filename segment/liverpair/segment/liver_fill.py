"""Fill what the liver encloses and its own intensity leaves out: vessels, and lesions as far as its border."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, close, dilate, erode, fill_holes, opened, surround
from liverpair.segment.liver_shape import GENEROUS_SD, OPENING_MM, local_mode

__all__ = ["LEAST_SURROUND", "fill_lesions"]

#: Vessels and lesions in the border up to this width are closed.
CLOSING_MM = 8.0
#: A bay that the liver surrounds on more than this share of its surface holds a lesion, not a neighbour.
LEAST_SURROUND = 0.6
#: Radii (mm) at which bays are parted from the clefts they run into; the last is the thinnest lesion worth it.
BAY_RADII_MM = (8.0, 6.5, 5.0, 4.0)
#: Bays are looked for in the closing with this radius (mm).
BAY_CLOSING_MM = 25.0
#: A shell of liver over a lesion is too thin for the search: twice the liver's widest band within ``SHELL_MM`` of it,
#: its cracks bridged by ``CRACK_MM``.
SHELL_BAND, SHELL_MM, CRACK_MM = 2.0, 20.0, 6.0
#: Radii (mm) at which lesions under such a shell are parted from the liver's neighbours, and what they are widened by
#: to reach the liver that was found; it must surround them on more than this share (metastases of 70 mm had 0.83 and
#: 0.92, neighbouring tissue 0.53 and less).
SHELL_RADII_MM, SHELL_REACH_MM, SHELL_SURROUND = (20.0, 14.0, 10.0, 7.0), 6.0, 0.75


def _bays(gaps: BoolArray, spacing: NDArray[np.float64]) -> Iterator[BoolArray]:
    """Roundish parts of the gaps between a mask and its closing, the thick ones first.

    A lesion that reaches the capsule lies in a bay, and the bay runs on into the cleft beside the organ: opening by
    several radii parts the two, and growing back gives the lesion its own surface, whose surroundings then count.
    """
    for radius_mm in BAY_RADII_MM:
        labels, count = ndimage.label(opened(gaps, radius_mm, spacing))
        for n in range(1, count + 1):
            yield dilate(labels == n, BAY_RADII_MM[-1], spacing) & gaps


def _under_a_shell(features: Features, mask: BoolArray, core: OrganCore, filled: BoolArray) -> BoolArray:
    """Large lesions that only a thin shell of liver parts from the outside, with that shell."""
    spacing = features.grid.spacing
    local: NDArray[np.float32] = local_mode(features, mask, core, features.drift(core.mode))
    reach = SHELL_BAND * GENEROUS_SD * max(features.least_sd(core.mode), core.sd)
    shell = (np.abs(features.smooth - local) <= reach) & features.body.tissue & dilate(mask, SHELL_MM, spacing)
    whole = mask | shell
    whole |= erode(fill_holes(dilate(whole, CRACK_MM, spacing)), CRACK_MM, spacing)
    gaps, found = whole & ~filled, np.zeros(mask.shape, dtype=bool)
    for radius_mm in SHELL_RADII_MM:
        labels, count = ndimage.label(opened(gaps, radius_mm, spacing))
        for n in range(1, count + 1):
            piece = dilate(labels == n, OPENING_MM, spacing) & gaps
            if surround(dilate(piece, SHELL_REACH_MM, spacing), filled) > SHELL_SURROUND:
                found |= piece
                gaps &= ~piece
    return found


def fill_lesions(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` with what it encloses: vessels and lesions, also those that reach its border."""
    spacing = features.grid.spacing
    body = features.body
    closed = close(mask, CLOSING_MM, spacing) & body.tissue
    closed = fill_holes(closed)
    out = opened(closed, OPENING_MM, spacing) | mask
    for piece in _bays(close(out, BAY_CLOSING_MM, spacing) & body.tissue & ~out, spacing):
        if surround(piece, out) > LEAST_SURROUND:
            out = out | piece
    if mask.any():
        out = out | _under_a_shell(features, mask, core, out)
    return np.asarray(fill_holes(out) & body.inside)
