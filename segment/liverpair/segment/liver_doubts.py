"""Tell what a stricter search leaves out of a liver: lesions, thin lobes, and what may be a leak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_fill import LEAST_SURROUND
from liverpair.segment.liver_left_lobe import is_lobe
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, erode, opened, surround
from liverpair.segment.liver_shape import elsewhere, is_distinct

__all__ = ["LeftOut", "left_out", "without_unlike_parts"]

#: Parts of the mask that a stricter search leaves out count where a ball of this radius (mm) fits in.
DOUBTFUL_MM = 4.0
#: A doubtful part of at least this volume is no liver where its median differs from that of the liver within
#: ``BESIDE_MM`` of it (without its outer ``MIXED_MM``) by more than this many of the least credible sd. The shading
#: being known, thin lobes of four simulators lay within 7 % of the liver beside them, kidneys, cava and aorta that
#: were taken for liver 11–13 % below.
UNLIKE_ML, BESIDE_MM, MIXED_MM, UNLIKE_SD = 8.0, 12.0, 3.0, 1.5


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Thick parts of a mask that a stricter search leaves out, on the work grid.

    ``doubtful`` may be a leak; ``sound`` are lesions, which the liver encloses, and lobes too thin for that search.
    ``tight`` is what the stricter search found.
    """

    doubtful: BoolArray
    sound: BoolArray
    tight: BoolArray


def left_out(
    features: Features, grown: BoolArray, tight: BoolArray, core: OrganCore, thin_lobes: bool = False
) -> LeftOut:
    """What ``tight`` leaves out of ``grown``; with ``thin_lobes`` a lobe is known by its intensity and its place,
    where hardly anything else has that intensity."""
    spacing = features.grid.spacing
    parts, sound = opened(grown & ~tight, DOUBTFUL_MM, spacing), np.zeros(grown.shape, dtype=bool)
    labels, count = ndimage.label(parts)
    known = thin_lobes and count > 0 and is_distinct(features, core, but_a_kidney=True)
    bad = elsewhere(features, core, tight) if known else np.zeros(grown.shape, dtype=bool)
    for n in range(1, count + 1):
        part = labels == n
        lobe = known and is_lobe(features, part, tight, bad, features.least_sd(core.mode))
        if lobe or surround(part, tight) > LEAST_SURROUND:
            sound |= part
    return LeftOut(parts & ~sound, sound, tight)


def without_unlike_parts(features: Features, mask: BoolArray, core: OrganCore, parts: LeftOut) -> BoolArray:
    """``mask`` without the doubtful parts that are not as bright as the liver beside them: they are its neighbours."""
    spacing = features.grid.spacing
    liver = erode(parts.tight, MIXED_MM, spacing)
    labels: NDArray[np.int32] = ndimage.label(parts.doubtful)[0]
    out = mask
    for n in range(1, int(labels.max()) + 1):
        part = labels == n
        beside = dilate(part, BESIDE_MM, spacing) & liver
        if int(part.sum()) * features.grid.voxel_volume_mm3 < UNLIKE_ML * 1000 or not beside.any():
            continue
        step = abs(float(np.median(features.smooth[part])) - float(np.median(features.smooth[beside])))
        if step > UNLIKE_SD * features.least_sd(core.mode):
            out = out & ~(dilate(part, DOUBTFUL_MM, spacing) & ~parts.tight)
    return out
