"""Find the vena cava that a liver wraps around, and take it out of a hepatobiliary or T2 image's liver mask.

The mask's vessels and lesions are filled, and with them the cava behind the caudate lobe, which is no part of the liver
(TotalSegmentator has a label of its own for it). It is known by what no lesion has: an upright tube as wide as a cava
beside the spine, dark as blood, that goes on beyond the liver at one of its ends at least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, opened

__all__ = ["EDGE_MM", "cava_tubes", "is_cava", "without_cava"]

#: Blood is darker than this share of a liver that has taken up the contrast, or than its T2 where flow voids it: it had
#: 0.3–0.5 of the liver's level in three simulators' hepatobiliary images whose masks held a cava, 0.64–0.68 in T2 ones.
BLOOD = 0.78
#: A cava is this wide (mm, as a circle of its slices' median area): hepatic veins are thinner.
WIDTH_MM = (11.0, 36.0)
#: What a ball of this radius (mm) cannot enter is a hepatic vein that joins it.
VEIN_MM = 4.5
#: It runs beside the spine: from so far on the body's right to so far on its left (mm from the midline), and no farther
#: in front of the middle between belly and back than this (mm).
BESIDE_MM, IN_FRONT_MM = (55.0, 8.0), 25.0
#: Inside the liver it has at least this length (mm) and is longer than wide by this factor; a lesion is a ball. A sheet
#: of fat is no tube: in its slices the shorter axis is at least this share of the longer one.
LEAST_MM, LONGER, ROUND = 36.0, 1.7, 0.5
#: From slice to slice its middle moves by no more than this share of the step: it is upright.
SLOPE = 0.7
#: It goes on: beyond its end in the mask, over this length (mm), its inner half has its level within this share of
#: the liver's; fat, lung and liver have another.
GOES_ON_MM, LIKE_IT = 12.0, 0.12
#: Its own level is this percentile of its voxels.
INNER = 25
#: Its wall and the voxels that it shares with the liver (mm).
EDGE_MM = 3.5


def without_cava(features: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` (work grid: +i left, +j posterior, +k cranial) without the cava it holds."""
    spacing = features.grid.spacing
    out = mask.copy()
    blood = mask & (features.smooth < BLOOD * core.mode)
    for tube in cava_tubes(features, features.smooth, mask, blood):
        half = (float(np.median(features.smooth[tube])) + core.mode) / 2
        out &= ~(tube | (dilate(tube, EDGE_MM, spacing) & (features.smooth < half)))
    return out


def cava_tubes(
    features: Features, image: NDArray[np.float32], mask: BoolArray, blood: BoolArray, near: float | None = None
) -> list[BoolArray]:
    """The parts of ``blood`` in ``mask`` that are a cava by shape and place and go on in ``image`` within ``near`` of
    their own level (``LIKE_IT`` where None). The image is darker there than in the liver (any unit; all on the work
    grid)."""
    spacing = features.grid.spacing
    labels, count = ndimage.label(opened(blood & _beside_the_spine(features, mask), VEIN_MM, spacing))
    tubes = (_upright(labels == n, spacing) for n in range(1, count + 1))
    return [tube for tube in tubes if tube is not None and _goes_on(image, mask, tube, spacing, near)]


def is_cava(image: NDArray[np.float32], liver: BoolArray, part: BoolArray, spacing: NDArray[np.float64]) -> bool:
    """Whether ``part`` beside or in ``liver`` is a tube darker than it that goes on in ``image`` (lightly smoothed, any
    unit; all arrays on one grid: +i left, +j posterior, +k cranial): a vein, while a lesion ends."""
    dark = part & (image < BLOOD * float(np.median(image[liver])))
    labels, count = ndimage.label(opened(dark, VEIN_MM, spacing))
    tubes = (_upright(labels == n, spacing) for n in range(1, count + 1))
    return any(tube is not None and _goes_on(image, liver | part, tube, spacing) for tube in tubes)


def _beside_the_spine(features: Features, mask: BoolArray) -> BoolArray:
    """Where a cava may run, on the body's own axes; bool, mask.shape."""
    spacing = features.grid.spacing
    i = np.arange(mask.shape[0])[:, None, None]
    j = np.arange(mask.shape[1])[None, :, None]
    left = (i - features.body.midline) * spacing[0]
    behind = (j - features.body.middle) * spacing[1]
    return np.asarray((left > -BESIDE_MM[0]) & (left < BESIDE_MM[1]) & (behind > -IN_FRONT_MM))


def _upright(piece: BoolArray, spacing: NDArray[np.float64]) -> BoolArray | None:
    """The longest run of slices in which ``piece`` is as wide as a cava, where that is an upright tube; else None."""
    area = piece.sum(axis=(0, 1)) * spacing[0] * spacing[1]
    width = 2 * np.sqrt(area / np.pi)
    runs, count = ndimage.label((width >= WIDTH_MM[0]) & (width <= WIDTH_MM[1]))
    if count == 0:
        return None
    run = runs == int(np.bincount(runs)[1:].argmax()) + 1
    length = float(np.count_nonzero(run) * spacing[2])
    if length < max(LEAST_MM, LONGER * float(np.median(width[run]))):
        return None
    slices = [np.argwhere(piece[:, :, k]) * spacing[:2] for k in np.flatnonzero(run)]
    middle = np.array([points.mean(axis=0) for points in slices])
    steps = np.linalg.norm(np.diff(ndimage.uniform_filter1d(middle, 3, axis=0), axis=0), axis=1)
    spread = np.linalg.eigvalsh(np.mean([np.cov(points.T, ddof=0) for points in slices], axis=0))
    upright = float(np.median(steps)) <= SLOPE * spacing[2] and spread[0] >= ROUND**2 * spread[1]
    return piece & run if upright else None


def _goes_on(
    smooth: NDArray[np.float32],
    mask: BoolArray,
    tube: BoolArray,
    spacing: NDArray[np.float64],
    near: float | None = None,
) -> bool:
    """Whether blood of the tube's level (within ``near``) goes on beyond one of its ends, outside the mask."""
    used = np.flatnonzero(tube.any(axis=(0, 1)))
    level = float(np.percentile(smooth[tube], INNER))  # its wall's voxels are mixed with liver
    near = LIKE_IT * float(np.median(smooth[mask & ~tube])) if near is None else near
    radius = np.sqrt(float(np.median(tube.sum(axis=(0, 1))[used])) * spacing[0] * spacing[1] / np.pi) / 2
    at = np.moveaxis(np.indices(tube.shape[:2]), 0, -1) * spacing[:2]
    count = round(GOES_ON_MM / spacing[2])
    for end, step in ((used[0], -1), (used[-1], 1)):
        last = tube[:, :, min(end, end - 2 * step) : max(end, end - 2 * step) + 1].any(axis=2)
        inner = np.linalg.norm(at - at[last].mean(axis=0), axis=-1) <= radius
        beyond = [end + step * n for n in range(1, count + 1)]
        if not 0 <= beyond[-1] < tube.shape[2]:
            continue
        if all(abs(float(np.median(smooth[:, :, k][inner])) - level) <= near for k in beyond):
            return True
    return False
