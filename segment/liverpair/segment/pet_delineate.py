"""Delineate PET foci around their seeds: watershed basins, then a threshold between local background and plateau."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.segment.delineate import (
    SHELL_MM,
    ball_fraction,
    connected_above,
    instance_basins,
    plateau_of,
    shell_background,
    with_cooler_parts,
    within,
)
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_methods import focus_level
from liverpair.segment.pet_parting import Pair
from liverpair.segment.pet_resolution import LEAST_SNR, edge_fwhm, image_fwhm, sharpest_fwhm
from liverpair.segment.pet_settings import PetDetectionSettings

__all__ = ["Delineation", "delineate_foci"]

#: Nothing further than this from a seed is its focus: the largest metastases reach about so far.
REACH_MM = 60.0
#: The voxel that leads a focus lies this near to its seed.
TOP_MM = 6.0
#: The resolution for which the shell of the background is 5 to 10 mm wide (lesions.md).
SHELL_FWHM_MM = 7.0


@dataclass(frozen=True, slots=True, eq=False)
class Delineation:
    """``labels``: number of the focus + 1 on the field's grid; ``fractions``: the threshold of each between its
    background (0) and its plateau (1); ``fwhm_mm``: the resolution that was used; ``sharp_mm``: the one that strong
    foci show not to be exceeded, None where there are too few.
    """

    labels: NDArray[np.uint16]
    fractions: list[float]
    fwhm_mm: float
    sharp_mm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """One focus cut out: where, its values, basin, usable background, leading voxel and first background."""

    window: tuple[slice, ...]
    values: NDArray[np.float32]
    basin: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    top: tuple[int, int, int]
    background: float


def delineate_foci(
    field: PetField,
    seeds: NDArray[np.int64],
    spill: Sequence[bool],
    settings: PetDetectionSettings,
    reference_mean: float,
    pairs: Sequence[Pair] = (),
) -> Delineation:
    """Regions of the foci at ``seeds`` (n, 3), by the background-corrected fraction or a published level per focus.

    Those that are another organ's (``spill``) say nothing of the resolution: the search's border cuts their edges. Nor
    do ``pairs``, which are parted by a model: each of two is outlined where it takes up more than the other, and, but
    for a published level, after the other's blur is taken off.
    """
    labels = np.zeros(field.suv.shape, dtype=np.uint16)
    if len(seeds) == 0:
        return Delineation(labels, [], settings.resolution_fwhm_mm)
    places = _places(field, seeds, settings, pairs)
    paired = {number for pair in pairs for number in pair.numbers}
    strong = 1.0 / max(field.noise.sd, 1e-9)
    widths = [
        (edge_fwhm(p.values, p.top, p.background, p.basin, field.spacing), (p.values[p.top] - p.background) * strong)
        for number, (p, foreign) in enumerate(zip(places, spill, strict=True))
        if not foreign and number not in paired
    ]
    fwhm = image_fwhm(widths, settings.resolution_fwhm_mm)
    fractions: list[float] = []
    for number, place in enumerate(places, start=1):
        region, fraction = _region(field, place, settings, fwhm, reference_mean)
        target = labels[place.window]
        target[region & (target == 0)] = number
        fractions.append(fraction)
    return Delineation(labels, fractions, fwhm, sharpest_fwhm(widths))


def _places(
    field: PetField, seeds: NDArray[np.int64], settings: PetDetectionSettings, pairs: Sequence[Pair]
) -> list[_Place]:
    near = within(field.liver, field.spacing, settings.border_mm + settings.resolution_fwhm_mm)
    allowed = near
    if settings.method != "percent-max":  # a share of the maximum alone knows no background: it may flood the liver
        allowed = near & (field.suv > field.background + 0.25 * field.noise.sd)
    for seed in seeds:
        allowed[tuple(seed)] = True
    basins = instance_basins(field.suv, seeds, allowed)
    partners = _parted(basins, pairs)
    usable = field.liver & (field.z < 3.0)
    reach = np.ceil(REACH_MM / field.spacing).astype(int)
    places = []
    for number, seed in enumerate(seeds, start=1):
        low, high = np.maximum(seed - reach, 0), np.minimum(seed + reach + 1, field.suv.shape)
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        values, basin = field.suv[window], basins[window] == number
        if number - 1 in partners and settings.method == "noise-adaptive":
            values = _without(values, window, *partners[number - 1])
        point = np.zeros(values.shape, dtype=bool)
        point[tuple(seed - low)] = True
        best = np.where(basin & within(point, field.spacing, TOP_MM), values, -np.inf)
        at = np.unravel_index(int(np.argmax(best)), best.shape)
        top = (int(at[0]), int(at[1]), int(at[2]))
        places.append(_Place(window, values, basin, usable[window], top, float(field.background[tuple(seed)])))
    return places


def _parted(
    basins: NDArray[np.int32], pairs: Sequence[Pair]
) -> dict[int, tuple[tuple[slice, ...], NDArray[np.float32]]]:
    """Give each focus of a pair the voxels of their common basin where it takes up more (``basins`` is changed).

    Returns where, and what, the other of the pair takes up, by number.
    """
    partners = {}
    for pair in pairs:
        first, second = pair.numbers
        there = basins[pair.window]
        common = (there == first + 1) | (there == second + 1)
        there[common] = np.where(pair.uptakes[0] >= pair.uptakes[1], first + 1, second + 1)[common]
        partners[first], partners[second] = (pair.window, pair.uptakes[1]), (pair.window, pair.uptakes[0])
    return partners


def _without(
    values: NDArray[np.float32], window: tuple[slice, ...], there: tuple[slice, ...], other: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``values``, which lie on ``window`` of the field, without the uptake ``other``, which lies on ``there`` of it."""
    low = [max(a.start, b.start) for a, b in zip(window, there, strict=True)]
    high = [min(a.stop, b.stop) for a, b in zip(window, there, strict=True)]
    mine = tuple(slice(p - a.start, q - a.start) for a, p, q in zip(window, low, high, strict=True))
    its = tuple(slice(p - b.start, q - b.start) for b, p, q in zip(there, low, high, strict=True))
    left = values.copy()
    left[mine] -= other[its]
    return left


def _region(
    field: PetField, place: _Place, settings: PetDetectionSettings, fwhm_mm: float, reference_mean: float
) -> tuple[NDArray[np.bool_], float]:
    background, peak = place.background, float(place.values[place.top])
    level = focus_level(settings, peak, reference_mean)
    if level is not None:
        region = connected_above(place.values, level, place.top, place.basin)
        return region, (level - background) / max(peak - background, 1e-9)
    region, fraction = ball_fraction(place.values, place.top, background, place.basin, field.spacing, fwhm_mm)
    outwards = max(fwhm_mm / SHELL_FWHM_MM, 1.0)  # the focus' own blur reaches further at a coarser resolution
    shell = shell_background(
        place.values, region, field.spacing, place.usable, (SHELL_MM[0] * outwards, SHELL_MM[1] * outwards)
    )
    around = reference_mean if shell is None else shell  # a burdened liver has no shell; its reference stands in
    region, fraction = ball_fraction(place.values, place.top, around, place.basin, field.spacing, fwhm_mm)
    if plateau_of(place.values, region, place.top, field.spacing, fwhm_mm) - around >= LEAST_SNR * field.noise.sd:
        region = with_cooler_parts(
            place.values, region, place.top, around, fraction, place.basin, field.spacing, fwhm_mm
        )
    return region, fraction
