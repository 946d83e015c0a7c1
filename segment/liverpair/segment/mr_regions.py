"""Delineate MR foci on the main grid, and judge by their shape and place whether they are vessels or
leaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, distance_transform_edt, gaussian_filter
from scipy.ndimage import label as components

from liverpair.core.geometry import Grid
from liverpair.segment.delineate import connected_above
from liverpair.segment.mr_evidence import Sequence, SequencePeak
from liverpair.segment.mr_outline import grown_to_half, outer_outline, smooth_within
from liverpair.segment.mr_split import split_at_neck

__all__ = ["DOUBTED_LOG_ODDS", "MrRegion", "paint_order", "paint_regions", "region_of"]

#: Levels between background (0) and the core (1) at which a focus may come free of a vessel that touches it.
LEVELS = (0.5, 0.6, 0.7, 0.8)
#: Second to first axis of the region: a ball has 1, a short tube 0.4; between them the log-odds fall to −3.
ROUND, TUBE, TUBE_LOG_ODDS = 0.55, 0.25, -3.0
#: Contrast at a contact, as a fraction of the core's, above which there is no valley, and how large (against
#: the region's own cross-section) the contact must be.
NO_VALLEY, CONTACT_FRACTION = 0.75, 0.5
#: A part makes the whole rounder or leaves it as round; what takes more than this of its roundness is a
#: vessel.
STAYS_ROUND = 0.9
#: Fraction of the region beyond the liver at which it is rather a neighbour or a leak of the mask.
OUTSIDE_TOLERATED, OUTSIDE_LOG_ODDS = 0.35, -3.7
#: A focus ends: this far beyond its own diameter (mm) no part of it is left. What goes on there outside the liver is
#: a neighbour of which the mask took the rim, what goes on inside is a vessel's tree: the log-odds of each fall from
#: the first share of the region to the second; a neighbour outweighs all that the sequences can say together.
BEYOND_MM = 4.0
NEIGHBOUR, NEIGHBOUR_LOG_ODDS = (0.05, 0.35), -9.5
TREE, TREE_LOG_ODDS = (0.1, 0.4), -3.0
#: No vessel in a liver is thicker than this (a dilated portal vein has 16 mm): from it on, branches are a lesion's.
THICKEST_VESSEL_MM = (16.0, 22.0)
#: A liver mask errs by one or two voxels of its 3 mm search grid: what is no thicker may be the rim of a neighbour; a
#: focus that reaches deeper into the liver and ends there is one, whatever it touches outside (from, to in mm).
RIM_MM, ENDS = (4.0, 6.0), (0.05, 0.35)
#: Shape or place speak clearly against a region from here on: two to one.
DOUBTED_LOG_ODDS = -0.7
#: What runs out of a region and is thinner than this share of the focus' diameter is a vessel or the capsule's fat, cut
#: off where the region goes on beyond the focus, where it leaves the liver (along the border lies a rim of what is
#: outside), where a part of a large one lies farther from the focus than the third share (a scale is at most 1.4 times
#: smaller than its ball), or where its centre lies off the focus by the second share. One that stays off is held within
#: the third share around the focus.
TAIL_SHARE, OFF_CENTRE, HELD_WITHIN = 0.5, 0.3, 0.75
#: In what is smaller, voxels and blur leave no core to tell from a rim.
LEAST_UNEVEN_MM = 15.0
#: Depth in the liver per diameter: a focus lies in it with half of itself or more, a neighbour with its skin.
SKIN = (0.25, 0.45)


@dataclass(frozen=True, slots=True, eq=False)
class MrRegion:
    """A focus on the main grid: its box, its voxels there, and what shape and place add to its log-odds.

    ``kind``: what it is taken for, set where it was parted from a neighbour of another kind. ``whole``: its rim was
    found around its core, so that nothing beyond it is a part of it.
    """

    low: NDArray[np.int64]
    voxels: NDArray[np.bool_]
    relative: NDArray[np.float32]
    seed: tuple[int, int, int]
    centre_lps: NDArray[np.float64]
    log_odds: float
    flags: tuple[str, ...]
    kind: str = ""
    whole: bool = False


def region_of(sequence: Sequence, grid: Grid, lead: SequencePeak) -> MrRegion | None:
    """The region above half the core's contrast around ``lead``, on the main grid; None where nothing is
    above.

    The sequence is sampled on a box of the main grid three diameters wide. At the half level a focus may be
    joined to a vessel; the lowest level at which it is compact is taken.
    """
    reach = (1.0 * lead.diameter_mm + 8.0) / grid.spacing
    centre = grid.to_index(lead.lps)
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, grid.shape)
    if np.any(high <= low):
        return None
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    lps = grid.to_world(index).reshape(-1, 3)
    shape = index.shape[:3]
    values = sequence.sample(sequence.sign * sequence.raw, lps).reshape(shape).astype(np.float32)
    liver = sequence.sample(sequence.domain.astype(np.float32), lps).reshape(shape) > 0.5
    scale = np.minimum(0.15 * lead.diameter_mm / grid.spacing, 1.5)
    smooth = gaussian_filter(values, scale)
    distance = np.linalg.norm((index - centre) * grid.spacing, axis=-1)
    near = distance <= max(0.3 * lead.diameter_mm, float(grid.spacing.max()))
    seed = np.unravel_index(int(np.argmax(np.where(near & liver, smooth, -np.inf))), shape)
    at = (int(seed[0]), int(seed[1]), int(seed[2]))
    shell = (distance > 0.8 * lead.diameter_mm) & (distance < lead.diameter_mm + 4.0) & liver
    around = float(np.median(smooth[shell])) if np.count_nonzero(shell) > 20 else 0.0
    core = _core_value(smooth, distance, at, lead)
    if core <= around:
        return None
    relative = (smooth - around) / (core - around)
    # the same without what lies outside, which would smear along the capsule and join the focus to all of it
    alone = (gaussian_filter(np.where(liver, values, 0), scale) - around) / (core - around)
    inner = connected_above(alone, LEVELS[0], at, liver)
    inside = smooth_within(values, liver, scale)
    half = (inside - around) / (core - around)
    region = _compact_region(relative, inner, at, distance, liver, low, grid, lead, half, scale)
    if region is None or lead.diameter_mm < LEAST_UNEVEN_MM:
        return region
    ends = liver & (distance <= 1.2 * lead.diameter_mm + 3.0)
    contrast = values - np.float32(around)
    whole = outer_outline(region.voxels, at, contrast, core - around, ends, sequence.noise, grid.spacing)
    return region if whole is None else replace(region, voxels=whole, whole=True)


def _core_value(
    smooth: NDArray[np.float32], distance: NDArray[np.float64], at: tuple[int, int, int], lead: SequencePeak
) -> float:
    """Median of the inner ball for a large focus, its peak for a small one."""
    inner = distance <= 0.3 * lead.diameter_mm
    if lead.diameter_mm > 12.0 and np.count_nonzero(inner) > 20:
        return float(np.median(smooth[inner]))
    return float(smooth[at])


def _axes_ratio(region: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Second to first principal axis, voxels counted as boxes; 1 for a single voxel."""
    points = np.argwhere(region) * spacing
    moments = np.diag(spacing**2 / 12.0)
    if len(points) > 1:
        moments = moments + np.cov(points, rowvar=False, ddof=0)
    eigenvalues = np.sort(np.linalg.eigvalsh(moments))
    return math.sqrt(eigenvalues[1] / eigenvalues[2])


def _compact_region(
    relative: NDArray[np.float32],
    inner: NDArray[np.bool_],
    at: tuple[int, int, int],
    distance: NDArray[np.float64],
    liver: NDArray[np.bool_],
    low: NDArray[np.int64],
    grid: Grid,
    lead: SequencePeak,
    half: NDArray[np.floating] | None = None,
    scale: NDArray[np.float64] | float = 0.0,
) -> MrRegion | None:
    """The region at the lowest of LEVELS at which it is compact; ``half``: ``relative`` without what lies outside."""
    everywhere = np.ones(relative.shape, dtype=bool)
    best: tuple[float, NDArray[np.bool_], bool, float] | None = None
    for level in LEVELS:
        region = connected_above(relative, level, at, everywhere)
        if not region.any():
            continue
        ratio = _axes_ratio(region, grid.spacing)
        joined = _share(region & ~liver, region) > OUTSIDE_TOLERATED
        # what has a peak of its own comes free of a neighbour outside at some level; a neighbour's slope never does
        if best is None or ratio > best[0] + 0.1 or (best[2] and not joined):
            best = (ratio, region, joined, level)
        if ratio >= ROUND and not joined:
            break
    if best is None:
        return None
    ratio, region, _, level = best
    beyond = distance >= lead.diameter_mm + BEYOND_MM
    spread = _share(inner & beyond, inner)
    outside = _share(region & ~liver, region)
    odds, flags = TREE_LOG_ODDS * _ramp(spread, TREE) * (1.0 - _ramp(lead.diameter_mm, THICKEST_VESSEL_MM)), []
    if ratio < ROUND:
        odds += TUBE_LOG_ODDS * min((ROUND - ratio) / (ROUND - TUBE), 1.0)
        flags.append("elongated")
    if outside > OUTSIDE_TOLERATED:
        depth = distance_transform_edt(liver, sampling=grid.spacing)
        thick = float(np.percentile(depth[inner], 90)) if inner.any() else 0.0
        skin = 1.0 - _ramp(thick / lead.diameter_mm, SKIN)
        goes_on = max(_ramp(_share(region & ~liver & beyond, region), NEIGHBOUR), skin)
        radius = max(lead.diameter_mm / 2, RIM_MM[1])
        goes_on *= 1.0 - _ramp(float(depth[at]), (0.7 * radius, radius))  # a whole ball of liver: a vessel leads out
        doubt = OUTSIDE_LOG_ODDS * min((outside - OUTSIDE_TOLERATED) / 0.3, 1.0) + NEIGHBOUR_LOG_ODDS * goes_on
        odds += doubt * (1.0 - _ramp(thick, RIM_MM) * (1.0 - _ramp(spread, ENDS)) * (1.0 - skin))
        flags.append("at_liver_border")
    free = region & (distance <= 1.2 * lead.diameter_mm + 3.0) & liver
    kept = binary_fill_holes(grown_to_half(free, level, relative if half is None else half, liver, scale))
    if not kept.any():
        return None
    centre = grid.to_world(np.argwhere(kept).mean(axis=0) + low)
    far = bool(np.any(kept & (distance > HELD_WITHIN * lead.diameter_mm)))
    runs_out = (far and lead.diameter_mm >= LEAST_UNEVEN_MM) or spread > TREE[0] or outside > OUTSIDE_TOLERATED
    for held in (False, True):
        off = float(np.linalg.norm(centre - lead.lps)) > OFF_CENTRE * lead.diameter_mm
        if off or (runs_out and not held):
            reach = max(HELD_WITHIN * lead.diameter_mm, float(grid.spacing.max()))  # a seed may be a slice off
            kept = kept & (distance <= reach) if held else kept
            if not kept.any():  # all that the liver holds of it lies away from its focus: a neighbour's rim
                return None
            kept = _without_tails(kept, at, grid.spacing, TAIL_SHARE * lead.diameter_mm / 2)
            centre = grid.to_world(np.argwhere(kept).mean(axis=0) + low)
    return MrRegion(low.astype(np.int64), np.asarray(kept), relative.astype(np.float32), at, centre, odds, tuple(flags))


def _without_tails(
    region: NDArray[np.bool_], seed: tuple[int, int, int], spacing: NDArray[np.float64], radius_mm: float
) -> NDArray[np.bool_]:
    """The opening of the region by a ball of ``radius_mm``, as far as it is joined to the seed's part of it.

    The region itself where its seed lies in no part that is so thick: a small focus, or one that is all tail.
    """
    depth = distance_transform_edt(np.pad(region, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    thick, _ = components(depth >= radius_mm)
    near = distance_transform_edt(thick == 0, sampling=spacing, return_distances=False, return_indices=True)
    nearest = tuple(int(axis[seed]) for axis in near)
    gap = float(np.linalg.norm((np.asarray(nearest) - np.asarray(seed)) * spacing))
    if thick[nearest] == 0 or gap > radius_mm:
        return region
    core = thick == thick[nearest]
    reach = radius_mm + float(spacing.min())  # a voxel more than was taken off: a lobe keeps its surface
    return np.asarray(region & (distance_transform_edt(~core, sampling=spacing) <= reach))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    """The share of ``whole``'s voxels that ``part`` has; 0 for an empty whole."""
    return int(np.count_nonzero(part)) / max(int(np.count_nonzero(whole)), 1)


def _ramp(value: float, between: tuple[float, float]) -> float:
    """0 up to the first bound, 1 from the second, linear between them."""
    return float(np.clip((value - between[0]) / (between[1] - between[0]), 0.0, 1.0))


def paint_order(confidences: list[float], regions: list[MrRegion]) -> list[int]:
    """The order in which regions are painted: likely ones, then unlikely ones.

    Among each, what its shape or place speaks against comes after the others, so that a vessel takes up no lesion
    that it touches; then large before small: parts join the whole, not the whole a part.
    """
    return sorted(
        range(len(regions)),
        key=lambda n: (
            confidences[n] < 0.5,
            regions[n].log_odds < DOUBTED_LOG_ODDS,
            -int(np.count_nonzero(regions[n].voxels)),
            -confidences[n],
        ),
    )


def paint_regions(
    shape: tuple[int, int, int], grid: Grid, regions: list[MrRegion]
) -> tuple[NDArray[np.uint16], dict[int, int]]:
    """Label map of the regions, the earlier keeping contested voxels; {region number: label} of those that
    remain.

    A region that touches an earlier one without a valley between them joins it, if the whole stays round: parts of
    one heterogeneous lesion. If it does not, a tube is a vessel and left out, a round region a lesion of its own.
    A region whose seed lies in an earlier one is parted from it where a neck joins the two, and kept where the two make
    no round whole (their seeds lie in what both claim). One that is covered by
    earlier ones to more than half is the same focus seen twice and gets no label.
    """
    labels = np.zeros(shape, dtype=np.uint16)
    survivors: dict[int, int] = {}
    seeds: dict[int, tuple[int, int, int]] = {}
    kinds: dict[int, str] = {}
    complete: set[int] = set()
    for number, region in enumerate(regions):
        window = tuple(slice(int(a), int(a) + n) for a, n in zip(region.low, region.voxels.shape, strict=True))
        target = labels[window]
        free = region.voxels & (target == 0)
        whole = _part_of(region, target, kinds)
        if whole > 0 and whole in complete and np.count_nonzero(free) < 0.5 * np.count_nonzero(region.voxels):
            continue
        if whole > 0:
            before = _axes_ratio(labels == whole, grid.spacing)
            target[free] = whole
            if _axes_ratio(labels == whole, grid.spacing) >= STAYS_ROUND * before:
                continue
            target[free] = 0  # not a part of it but a vessel that runs into it, or a lesion that a vessel joins to it
            if _axes_ratio(free, grid.spacing) < (ROUND + TUBE) / 2:
                continue
        here = tuple(int(a) + n for a, n in zip(region.low, region.seed, strict=True))
        place = (here[0], here[1], here[2])
        if labels[place] > 0:
            own = split_at_neck(labels == labels[place], seeds[int(labels[place])], place, grid.spacing)
            if own is not None and _axes_ratio(own, grid.spacing) >= (ROUND + TUBE) / 2:
                survivors[number] = len(survivors) + 1
                labels[own] = survivors[number]
                seeds[survivors[number]] = place
                continue
            if own is not None or whole != labels[place]:
                continue  # else the two make no one body: what is free is a lesion of its own
        if np.count_nonzero(free) < 0.5 * np.count_nonzero(region.voxels):
            continue
        survivors[number] = len(survivors) + 1
        kinds[survivors[number]] = region.kind
        if region.whole:
            complete.add(survivors[number])
        target[free] = survivors[number]
        seeds[survivors[number]] = place
    return labels, survivors


def _part_of(region: MrRegion, painted: NDArray[np.uint16], kinds: dict[int, str]) -> int:
    """The painted label that ``region`` touches without a valley between them; 0 where there is none.

    At the contact of two lesions the contrast falls to about half of the core's; inside one it does not. What was
    parted as of two ``kinds`` is not joined again.
    """
    for label in np.unique(painted[painted > 0]):
        if region.kind and kinds.get(int(label), "") not in ("", region.kind):
            continue
        contact = binary_dilation(painted == label, iterations=2) & region.voxels
        enough = CONTACT_FRACTION * np.count_nonzero(region.voxels) ** (2 / 3)
        if np.count_nonzero(contact) >= enough and float(np.median(region.relative[contact])) >= NO_VALLEY:
            return int(label)
    return 0
