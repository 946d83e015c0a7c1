"""Look for what a right hemihepatectomy leaves: a left lobe at the midline, where the image itself proves it liver.

A PET or a hepatobiliary image proves it by its level. On a CT alone it is the large homogeneous organ at the midline
that is no heart, and the place that it left under the right dome proves it: fat, bowel or kidney there, nothing solid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from liverpair.segment.liver_blood import SOFT_HU, heart_of
from liverpair.segment.liver_body import DOME_DORSAL, DOME_LATERAL, Body
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import WALL_MM, OrganCore, find_cores
from liverpair.segment.liver_morphology import BoolArray, depth, dilate, opened
from liverpair.segment.liver_quality import QualityLimits

__all__ = ["FLAG", "is_right_side_empty", "remnant_cores", "remnant_doubts", "remnant_limits"]

#: What a mask that was found so is flagged with.
FLAG = "left_sided_remnant"
#: A left lobe that has not regrown yet is thinner than a whole liver.
CORE_RADIUS_MM = 20.0
#: Vessels and lesions up to this radius are bridged: they part a small lobe where they would only dent a whole liver.
BRIDGED_MM = 9.0
#: The remnant's thickest part lies between these half widths from the midline (+ is left), in front of this depth.
RIGHTMOST, LEFTMOST, DORSAL, SOFTNESS = -0.4, 0.3, 0.35, 0.06
#: In MRI the brightest 0.5 % of the trunk bound the search, which are a good part of a small remnant: it may be
#: brighter by this factor.
HEADROOM = 1.25
#: A remnant of less than 250 mL keeps nobody alive; one that has regrown reaches 1.8 L at most. Little of it lies on
#: the right, and its stump lies where stomach or spleen do otherwise.
LEAST_ML, MOST_ML, MOST_MISPLACED, MOST_ALIKE_AROUND = 250.0, 1800.0, 0.1, 0.12
#: A remnant has this many times a whole liver's surface for its volume, and searches differ at the surface.
THINNESS = 1.6
#: The stricter search's opening (mm): a whole liver's would sever a lobe at its vessels.
TIGHT_OPENING_MM = 5.0
#: Lungs lie beside the heart on more than this share of its surface; of the liver's only the dome meets lung.
MOST_LUNG, LUNG_MM = 0.3, 12.0
#: One ball fills more than this share of a bladder or a large cyst; lobes are flat.
MOST_ROUND = 0.5
#: An adult's trunk is at least this wide (mm) on each side of the midline: no head, no limb.
LEAST_HALF_WIDTH_MM = 105.0
#: The middle of the remnant's volume lies this near to the midline (half widths): stomach and spleen do not.
MOST_LATERAL = 0.3
#: A liver fills the space under the right dome, down to this (mm). After it has gone, what a ball of this radius (mm)
#: enters there (no loop of bowel: a kidney's pole, stool in the colon) is a small share of that space.
UNDER_DOME_MM, SOLID_MM, MOST_SOLID = 60.0, 20.0, 0.25


def _place(body: Body) -> NDArray[np.float64]:
    lateral, dorsal = body.lateral(), body.dorsal()
    right = 1 / (1 + np.exp(-(lateral - RIGHTMOST) / SOFTNESS))
    left = 1 / (1 + np.exp((lateral - LEFTMOST) / SOFTNESS))
    back = 1 / (1 + np.exp((dorsal - DORSAL) / SOFTNESS))
    wall = 1 / (1 + np.exp(-(body.skin_mm - WALL_MM) / 3.0))
    return np.asarray(right * left * back * wall)


def remnant_cores(features: Features, is_ct: bool) -> list[OrganCore]:
    """Thick homogeneous organs at the midline, the likeliest first; on a CT without the heart."""
    low, high = features.window
    brighter = replace(features, window=(low, HEADROOM * high))
    place = _place(features.body)
    heart = heart_of(features) if is_ct else None
    if heart is not None:  # one ball stands for each level, and the heart may have the liver's
        place = place * ~heart
    return find_cores(brighter, place, CORE_RADIUS_MM, BRIDGED_MM)


def is_right_side_empty(features: Features) -> bool:
    """Whether a CT shows no solid organ under the right dome, where a liver lies; False without a lung in view."""
    body, spacing = features.body, features.grid.spacing
    dome = body.right_dome()
    if dome is None:
        return False
    k = np.arange(features.smooth.shape[2])
    under = (k <= dome) & (k > dome - UNDER_DOME_MM / spacing[2])
    lateral = body.lateral()
    space = (lateral > DOME_LATERAL[0]) & (lateral < DOME_LATERAL[1]) & (np.abs(body.dorsal()) < DOME_DORSAL) & under
    space &= body.inside & ~body.lung
    soft = (features.smooth > SOFT_HU[0]) & (features.smooth < SOFT_HU[1]) & body.tissue
    solid = opened(soft, SOLID_MM, spacing) & space
    return bool(space.any()) and float(solid.sum()) <= MOST_SOLID * float(space.sum())


def remnant_limits(limits: QualityLimits) -> QualityLimits:
    """The limits of a whole liver, made those of a left lobe."""
    return QualityLimits(
        smallest_ml=LEAST_ML,
        largest_ml=MOST_ML,
        smallest_truncated_ml=LEAST_ML,
        least_ball_mm=CORE_RADIUS_MM,
        least_right_fraction=0.0,
        most_misplaced=MOST_MISPLACED,
        most_far_end_cm2=limits.most_far_end_cm2,
        least_in_band=limits.least_in_band,
        most_alike_around=min(MOST_ALIKE_AROUND, limits.most_alike_around),
        least_agreement_tight=1 - THINNESS * (1 - limits.least_agreement_tight),
        least_agreement_loose=1 - THINNESS * (1 - limits.least_agreement_loose),
        most_doubtful_ml=limits.most_doubtful_ml,
        tight_opening_mm=TIGHT_OPENING_MM,
    )


def remnant_doubts(features: Features, mask: BoolArray) -> tuple[str, ...]:
    """Why a mask on the work grid at the midline is no liver: heart, bladder, stomach, another part of the body."""
    spacing = features.grid.spacing
    found = []
    shell = dilate(mask, LUNG_MM, spacing) & ~mask
    if float((shell & features.body.lung).sum()) > MOST_LUNG * max(1, int(shell.sum())):
        found.append("lung_around")
    ball_mm = float(depth(mask, spacing).max())
    if 4 / 3 * np.pi * ball_mm**3 > MOST_ROUND * int(mask.sum()) * features.grid.voxel_volume_mm3:
        found.append("round")
    if float(np.median(features.body.half_width)) * float(spacing[0]) < LEAST_HALF_WIDTH_MM:
        found.append("not_a_trunk")
    lateral = np.broadcast_to(features.body.lateral(), mask.shape)[mask]
    if abs(float(np.median(lateral))) > MOST_LATERAL:
        found.append("not_at_the_midline")
    return tuple(found)
