"""Turn the liver's intensity band into the organ: neighbours that touch it are cut off at their necks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import (
    BoolArray,
    box_of,
    depth,
    dilate,
    erode,
    fill_holes,
    opened,
)
from liverpair.segment.liver_summits import summits

__all__ = ["elsewhere", "grow", "is_distinct", "leak_fraction", "local_mode", "unreached"]

#: Bands run from ±2 sd of the liver's core (95 % of its own voxels) to ±3 of the least credible sd of a whole liver.
STRICT_SD, GENEROUS_SD, BANDS = 2.0, 3.0, 4
#: The generous band follows the drift until the organ grows by less than 1 %, at most this many rounds.
SETTLING, SETTLED = 6, 1.01
#: Share of the tolerated drift that the first band's organ may show.
FIRST_DRIFT = 0.4
#: No liver reaches further below or above its thickest part.
BELOW_CORE_MM, ABOVE_CORE_MM = 170.0, 150.0
#: What lies medially (``MEDIAL`` half widths right of the midline) and rises over the right dome (the highest slice
#: with ``DOME_MM2`` of the mask on the right; where the liver's thickest part lies medially, the right lung's base, if
#: that is higher) by this much is heart, not left lobe.
MEDIAL, DOME_MM2, OVER_DOME_MM = -0.2, 500.0, 12.0
#: A mask with more than this share where no liver reaches has leaked.
MOST_LEAK = 0.02
#: A thick part of at least this volume there is a neighbour's end.
LEAST_LEAK_ML = 3.0
#: No liver comes nearer to the skin: skin, fat, muscle and ribs lie between.
SKIN_MM = 8.0
#: Larger than any liver that is looked for here.
LARGEST_LIVER_ML = 4000.0
#: Drift of the organ's intensity is followed over this length: longer than most metastases, shorter than a liver.
DRIFT_MM = 15.0
#: The filter that follows it ends at this many sd.
DRIFT_CUT = 2.5
#: Larger holes in the band are other organs.
LARGEST_HOLE_ML = 200.0
#: Opening that severs diaphragm, abdominal wall and vessels leaving the liver.
OPENING_MM = 5.0
#: A lump stands out by this much over the pass to its neighbour; less is a wavy surface.
LUMP_MM = 2.0
#: Two lumps joined by a neck thinner than this fraction of the smaller lump are two organs.
NECK_RATIO = 0.7
#: Step (in sd) that makes a lump another organ: at a vanishing neck, and its increase up to a neck as wide as it.
STEP_AT_NECK, STEP_PER_RATIO = 0.4, 1.2
#: Shading drifts steadily over a liver's extent, so over ``STEP_REACH_MM`` it makes only that share of its whole step.
LIVER_EXTENT_MM = 150.0
#: Where less than this share of the tissue that no liver reaches (back, left dorsal side) looks like the liver, its
#: intensity alone tells it from its neighbours, and a step within its own least credible sd parts nothing: 0.025 and
#: less on hepatobiliary images, 0.06 where vessels or spleen look alike, 0.3 and more on native CT.
DISTINCT = 0.04
#: A lump behind a neck (of this share of its own thickness) beside the spine, between these half widths and this far
#: back, whose centre lies this far (mm) below the liver's: the right kidney, which may have the liver's intensity on
#: native CT and while it excretes hepatobiliary contrast. Livers have no neck there.
KIDNEY_NECK, KIDNEY_LATERAL, KIDNEY_DORSAL, KIDNEY_BELOW_MM = 0.7, (-0.65, -0.1), 0.15, 25.0
#: The largest region up to this is a kidney, which excretes the contrast that makes an MRI's liver distinct.
KIDNEY_ML = 250.0
#: Smaller lumps are lobe tips: only a clear step (1.5 sd) removes them.
SMALL_LUMP_ML = 25.0
#: The step between two lumps is taken over this distance on both sides of their interface.
STEP_REACH_MM = 12.0


def local_mode(features: Features, mask: BoolArray, core: OrganCore, tolerance: float) -> NDArray[np.float32]:
    """The organ's intensity at every place: its median drift, smoothed over ``DRIFT_MM`` and limited.

    Outside the organ the nearest part's intensity goes on and fades into the core's.
    """
    local = np.full(mask.shape, core.mode, dtype=np.float32)
    if not mask.any():
        return local
    sigma = DRIFT_MM / features.grid.spacing
    window = box_of(mask, int(np.ceil(DRIFT_CUT * float(sigma.max()))) + 1)  # beyond it both filters give nothing
    smooth = features.smooth[window]
    trusted = mask[window] & (np.abs(smooth - core.mode) <= tolerance + 3 * core.sd)
    weight = ndimage.gaussian_filter(trusted.astype(np.float32), sigma, truncate=DRIFT_CUT)
    excess = np.where(trusted, smooth - core.mode, 0).astype(np.float32)
    drift = ndimage.gaussian_filter(excess, sigma, truncate=DRIFT_CUT) / (weight + 0.02)
    local[window] = core.mode + np.clip(drift, -tolerance, tolerance)
    return local


def _band(features: Features, local: NDArray[np.float32], reach: float) -> BoolArray:
    """Voxels of the body with the organ's local intensity, and the small holes in them."""
    near = np.abs(features.smooth - local) <= reach
    band = near & features.body.tissue & features.allowed
    # a lung or a bowel wrapped in liver-valued wall is not a hole in the liver
    small = fill_holes(band, LARGEST_HOLE_ML * 1000 / features.grid.voxel_volume_mm3)
    return np.asarray(band | (small & features.body.tissue))


def _attached(
    band: BoolArray, seed: BoolArray, spacing: NDArray[np.float64], opening_mm: float = OPENING_MM
) -> BoolArray:
    """The part of ``band`` that, after an opening, shares most with ``seed``."""
    parts, count = ndimage.label(erode(band, opening_mm, spacing))
    shared = np.bincount(parts[seed], minlength=count + 1)
    shared[0] = 0
    if not shared.any():
        return np.zeros(band.shape, dtype=bool)
    return dilate(parts == int(shared.argmax()), opening_mm, spacing) & band


def grow(features: Features, core: OrganCore, generosity: float = 1.0, opening_mm: float = OPENING_MM) -> BoolArray:
    """The organ around the core: the widest intensity band before it leaks.

    ``generosity`` scales the widest band: a mask that changes much with it (or with the opening) is not to be trusted.

    From strict to generous each band starts from the last one's organ and follows its slow drift; a band that
    spills to where no liver reaches ends the search at the one before.
    """
    strict = STRICT_SD * core.sd
    distinct = is_distinct(features, core)
    generous = generosity * max(GENEROUS_SD * features.least_sd(core.mode), GENEROUS_SD * core.sd)
    strict = min(strict, generous)
    reaches = np.geomspace(strict, generous, BANDS)
    local = np.full(features.smooth.shape, core.mode, dtype=np.float32)
    kept = np.zeros(features.smooth.shape, dtype=bool)
    seed = core.ball
    for step, reach in enumerate([*reaches, *[generous] * SETTLING]):
        mask = _attached(_band(features, local, float(reach)), seed, features.grid.spacing, opening_mm)
        if not mask.any():
            continue
        mask = _separate(features, mask, core, float(reach) / GENEROUS_SD, distinct)
        leak = leak_fraction(features, mask, core)
        if leak >= 1 and kept.any():  # more than any liver holds: no neck parts that
            break
        if MOST_LEAK < leak < 1:
            cut = _without_leak(features, mask, kept if kept.any() else core.ball & mask, core)
            if leak_fraction(features, cut, core) <= MOST_LEAK and int(cut.sum()) >= int(kept.sum()):
                mask = cut
            elif kept.any():
                break
        settled = step >= BANDS and int(mask.sum()) < SETTLED * int(kept.sum())
        kept = seed = mask
        if settled:
            break
        followed = min(1.0, FIRST_DRIFT + step / BANDS)
        local = local_mode(features, mask, core, followed * features.drift(core.mode))
    return kept


def _without_leak(features: Features, mask: BoolArray, kept: BoolArray, core: OrganCore) -> BoolArray:
    """``mask`` up to the narrowest place between the organ of the last band and what reaches where no liver does.

    Nothing but form parts two organs of one intensity that touch.
    """
    spacing = features.grid.spacing
    other = opened(mask & elsewhere(features, core, mask) & ~kept, OPENING_MM, spacing)
    if int(other.sum()) * features.grid.voxel_volume_mm3 < LEAST_LEAK_ML * 1000:
        return mask
    window = box_of(mask, 2)
    part = mask[window]
    inner = ndimage.gaussian_filter(np.minimum(depth(part, spacing), 1e3), 1.0)
    markers = np.where(kept[window], 1, np.where(other[window], 2, 0)).astype(np.int32)
    out = np.zeros(mask.shape, dtype=bool)
    out[window] = watershed(-inner, markers, mask=part) == 1
    return out


def leak_fraction(features: Features, mask: BoolArray, core: OrganCore) -> float:
    """Share of ``mask`` at places that no liver reaches (1 for an empty mask or more than any liver holds)."""
    total = int(mask.sum())
    if total == 0 or total * features.grid.voxel_volume_mm3 / 1000 > LARGEST_LIVER_ML:
        return 1.0
    return float((mask & elsewhere(features, core, mask)).sum()) / total


def unreached(features: Features) -> BoolArray:
    """Left dorsal places, the left flank and the back: no liver reaches them, wherever its core lies."""
    lateral, dorsal = features.body.lateral(), features.body.dorsal()
    return np.asarray(((lateral > 0.15) & (dorsal > 0.1)) | (lateral > 0.75) | ((dorsal > 0.75) & (lateral > -0.35)))


def elsewhere(features: Features, core: OrganCore, mask: BoolArray) -> BoolArray:
    """Where no liver reaches: near the skin, left dorsal, back, heart, far below."""
    lateral = features.body.lateral()
    bad = unreached(features)
    height = (np.arange(features.smooth.shape[2]) - core.centre[2]) * features.grid.spacing[2]
    far = (height < -BELOW_CORE_MM) | (height > ABOVE_CORE_MM)
    k = np.arange(mask.shape[2])
    right = np.flatnonzero((mask & (lateral <= MEDIAL)).sum(axis=(0, 1)) * features.grid.spacing[0] ** 2 > DOME_MM2)
    dome = int(right[-1]) if len(right) else mask.shape[2]
    under_lung = features.body.right_dome() if float(lateral[core.centre[0], 0, core.centre[2]]) > MEDIAL else None
    if under_lung is not None:  # a remnant's stump ends below the dome
        dome = max(dome, under_lung) if len(right) else under_lung
    heart = (lateral > MEDIAL) & ((k - dome) * features.grid.spacing[2] > OVER_DOME_MM)
    return np.asarray(bad | heart | (features.body.skin_mm < SKIN_MM) | far[None, None, :])


def _lumps(part: BoolArray, spacing: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Watershed of the depth into lumps; maxima closer than 2 mm in height to their pass are one lump."""
    inner = np.where(part, ndimage.gaussian_filter(np.minimum(depth(part, spacing), 1e3), 1.0), 0)
    markers, _ = ndimage.label(summits(np.asarray(np.round(inner, 1), dtype=np.float32), LUMP_MM), np.ones((3, 3, 3)))
    return watershed(-inner, markers, mask=part).astype(np.int32), inner.astype(np.float32)


def is_distinct(features: Features, core: OrganCore, but_a_kidney: bool = False, most: float = DISTINCT) -> bool:
    """Whether hardly any tissue at places that no liver reaches has the core's intensity (a kidney may)."""
    where = unreached(features) & features.body.tissue & (features.body.skin_mm > SKIN_MM)
    near = np.abs(features.smooth - core.mode) <= GENEROUS_SD * max(core.sd, features.least_sd(core.mode))
    alike = int((near & where).sum())
    if but_a_kidney:
        labels, count = ndimage.label(near & where)
        largest = int(np.bincount(labels.ravel(), minlength=count + 1)[1:].max(initial=0))
        alike -= largest if largest * features.grid.voxel_volume_mm3 <= KIDNEY_ML * 1000 else 0
    return alike < most * max(1, int(where.sum()))


def _separate(features: Features, mask: BoolArray, core: OrganCore, sd: float, distinct: bool) -> BoolArray:
    """``mask`` without neighbouring organs that touch it: by neck, intensity or place."""
    window = box_of(mask, 2)
    lumps, inner = _lumps(mask[window], features.grid.spacing)
    count = int(lumps.max())
    home = int(np.bincount(lumps[core.ball[window]], minlength=count + 1)[1:].argmax()) + 1 if count else 0
    if count < 2 or home == 0:
        return mask
    inside = lumps > 0
    peak = np.zeros(count + 1, dtype=np.float32)
    np.maximum.at(peak, lumps[inside], inner[inside])
    necks = _passes(lumps, inner, count)
    voxels = np.bincount(lumps[inside], minlength=count + 1)
    volume = voxels * features.grid.voxel_volume_mm3 / 1000
    away = np.bincount(lumps[elsewhere(features, core, mask)[window] & inside], minlength=count + 1)
    place = away / np.maximum(voxels, 1)
    centres = _centres(lumps, window, voxels)
    shading = features.drift(core.mode) * STEP_REACH_MM / LIVER_EXTENT_MM
    sd = min(sd, max(float(np.hypot(core.sd, shading)), features.least_sd(core.mode) if distinct else 0.0))
    kept = {home}
    waiting = set(range(1, count + 1)) - kept
    liver, smooth = lumps == home, features.smooth[window]
    while waiting:
        best = max(((necks.get((min(a, b), max(a, b)), 0.0), -b, b) for a in kept for b in waiting), default=None)
        if best is None or best[0] <= 0:
            break
        neck, _, lump = best
        waiting.discard(lump)
        ratio = neck / max(float(peak[lump]), 1.0)
        this = lumps == lump
        differs = _step_across(smooth, liver, this, features.grid.spacing) / sd
        # the thinner the neck behind which a lump swells, the smaller a step says that it is another organ
        limit = STEP_AT_NECK + STEP_PER_RATIO * min(ratio, 1.0) if volume[lump] > SMALL_LUMP_ML else 1.5
        wrong = differs > limit or place[lump] > (0.3 if ratio < NECK_RATIO else 0.8)
        large = volume[lump] > SMALL_LUMP_ML
        wrong |= ratio < KIDNEY_NECK and large and _at_kidney(features, centres[lump], centres[home])
        if not wrong:
            kept.add(lump)
            liver |= this
    out = np.zeros(mask.shape, dtype=bool)
    out[window] = liver
    return out


def _centres(
    lumps: NDArray[np.int32], window: tuple[slice, slice, slice], voxels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean index (number + 1, 3) of every lump on the work grid, of which ``lumps`` fills ``window``."""
    at = np.nonzero(lumps)
    numbers = lumps[at]
    sums = [np.bincount(numbers, along + part.start, len(voxels)) for along, part in zip(at, window, strict=True)]
    return np.asarray(np.stack(sums, axis=1) / np.maximum(voxels, 1)[:, None])


def _at_kidney(features: Features, lump: NDArray[np.float64], home: NDArray[np.float64]) -> bool:
    """Whether a lump's centre (3,) lies where the right kidney does, seen from the liver's thickest part's."""
    i, j, k = (float(at) for at in lump)
    lateral = (i - features.body.midline[int(k)]) / features.body.half_width[int(k)]
    dorsal = (j - features.body.middle[int(k)]) / features.body.half_depth[int(k)]
    below = (float(home[2]) - k) * features.grid.spacing[2] > KIDNEY_BELOW_MM
    return bool(KIDNEY_LATERAL[0] < lateral < KIDNEY_LATERAL[1] and dorsal > KIDNEY_DORSAL and below)


def _step_across(smooth: NDArray[np.float32], liver: BoolArray, lump: BoolArray, spacing: NDArray[np.float64]) -> float:
    """Difference in intensity between a lump and the liver that it touches, on both sides of their interface.

    One organ's drift makes no step there, however far the lumps' means lie apart; two organs make one.
    """
    window = box_of(lump, int(np.ceil(STEP_REACH_MM / float(spacing.min()))) + 1)
    a, b, values = liver[window], lump[window], smooth[window]
    near_a = a & dilate(b & ndimage.binary_dilation(a), STEP_REACH_MM, spacing)
    near_b = b & dilate(a & ndimage.binary_dilation(b), STEP_REACH_MM, spacing)
    if not near_a.any() or not near_b.any():
        return 0.0
    return abs(float(np.median(values[near_a])) - float(np.median(values[near_b])))


def _passes(lumps: NDArray[np.int32], inner: NDArray[np.float32], count: int) -> dict[tuple[int, int], float]:
    """Radius of the widest passage between every two touching lumps."""
    result: dict[tuple[int, int], float] = {}
    for axis in range(3):
        a = np.moveaxis(lumps, axis, 0)
        d = np.moveaxis(inner, axis, 0)
        touch = (a[1:] != a[:-1]) & (a[1:] > 0) & (a[:-1] > 0)
        one, two = a[1:][touch], a[:-1][touch]
        width = np.minimum(d[1:][touch], d[:-1][touch])
        code = np.minimum(one, two).astype(np.int64) * (count + 1) + np.maximum(one, two)
        pairs, which = np.unique(code, return_inverse=True)
        widest = np.zeros(len(pairs), dtype=np.float32)
        np.maximum.at(widest, which, width)
        for pair, passage in zip(pairs.tolist(), widest.tolist(), strict=True):
            key = divmod(pair, count + 1)
            result[key] = max(result.get(key, 0.0), passage)
    return result
