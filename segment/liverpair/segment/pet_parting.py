"""Part avid foci that are two lesions: two blurred spheres against one blurred body, weighed by the noise.

Two lesions whose centres lie closer than about twice the resolution leave no valley between them, and a warm one beside
a hot one not even a maximum. That they are two still shows in the shape of what the blur made of them: what one sphere
cannot explain is tried as a second, and the two must explain the focus better than one ellipsoid, filled or hollow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import connected_above, instance_basins, within
from liverpair.segment.pet_bodies import Fit, Patch, fit_ellipsoid, fit_spheres, sphere
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings

__all__ = ["Pair", "Parted", "part_foci"]

#: A focus is followed down to this share of its height, where its own blur ends and a warm neighbour's begins ...
FOOT = 0.05
#: ... but not into the noise: so many of its SDs.
FOOT_SD = 2.5
#: Two lesions of 20 mm and their gap, blurred, stay below; in what is larger the parts show themselves.
LARGEST_ML, REACH_MM = 40.0, 45.0
#: A second lesion is looked for where one sphere leaves this many SDs of the noise, this far from its centre: two
#: lesions of 5 mm and the gap lie no closer.
LEFT_SD, APART_MM = 3.0, 6.0
#: Diameter (mm) of a sphere from which the fits start: the median of metastases that are read as one blurred spot.
START_MM = 12.0
#: Two bodies must be better than one by this many SDs of what noise does to the comparison: one body in 40 exceeds it.
BETTER_SD = 2.0
#: Liver between two lesions; less is contact, and parts in contact are one lesion.
GAP_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two foci that share one hill: their numbers (from 0), and the uptake (SUV over the background) that each is
    modelled to have, on ``window`` of the field's grid.
    """

    numbers: tuple[int, int]
    window: tuple[slice, ...]
    uptakes: tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Parted:
    """``seeds`` (n, 3), ``spill`` and ``z`` (n,) of the foci, by falling z where any was parted, and the pairs."""

    seeds: NDArray[np.int64]
    spill: list[bool]
    z: NDArray[np.float64]
    pairs: list[Pair]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A focus cut out, the voxel of the field that is the patch's first, and the light image there."""

    patch: Patch
    low: NDArray[np.int64]
    light: NDArray[np.float32]

    @property
    def window(self) -> tuple[slice, ...]:
        return tuple(slice(int(a), int(a) + n) for a, n in zip(self.low, self.light.shape, strict=True))


def part_foci(
    field: PetField, seeds: NDArray[np.int64], spill: Sequence[bool], t: float, settings: PetDetectionSettings
) -> Parted:
    """The foci at ``seeds`` (n, 3), those that are two lesions as two; a second lesion stands ``t`` SDs over the noise.

    Foci of a neighbouring organ (``spill``) are left as they are.
    """
    light = gaussian_filter(field.suv, 0.5 * field.noise_fwhm_mm / FWHM_PER_SIGMA / field.spacing, mode="nearest")
    basins = instance_basins(light, seeds, field.domain & (field.suv > field.background))
    places = [np.asarray(seed) for seed in seeds]
    z = [float(field.z[tuple(seed)]) for seed in seeds]
    spilt, pairs = list(spill), []
    for number, seed in enumerate(seeds):
        place = None if spill[number] else _place(field, light, basins, seed, number + 1, settings)
        two = None if place is None else _two_lesions(field, place, seed, t)
        if place is None or two is None:
            continue
        first, second = (place.low + np.round(c / field.spacing).astype(int) for c in two.centres)
        places[number] = first
        places.append(second)
        z.append(_own_z(field, place.patch, two)[1])
        spilt.append(False)
        pairs.append(Pair((number, len(places) - 1), place.window, _uptakes(place.patch, two)))
    return _by_z(places, spilt, z, pairs)


def _by_z(places: list[NDArray[np.int64]], spill: list[bool], z: list[float], pairs: list[Pair]) -> Parted:
    """The foci by falling z, if any was parted."""
    order = np.argsort(-np.asarray(z), kind="stable") if pairs else np.arange(len(z))
    new = np.argsort(order)
    renumbered = [Pair((int(new[p.numbers[0]]), int(new[p.numbers[1]])), p.window, p.uptakes) for p in pairs]
    seeds = np.array([places[n] for n in order], dtype=np.int64).reshape(-1, 3)
    return Parted(seeds, [spill[n] for n in order], np.array([z[n] for n in order]), renumbered)


def _place(
    field: PetField,
    light: NDArray[np.float32],
    basins: NDArray[np.int32],
    seed: NDArray[np.int64],
    number: int,
    settings: PetDetectionSettings,
) -> _Place | None:
    """The focus whose basin is ``number``, with the liver around it and without other foci; None where it is too faint
    to have a shape, or too large.
    """
    reach = np.ceil(REACH_MM / field.spacing).astype(int)
    low, high = np.maximum(seed - reach, 0), np.minimum(seed + reach + 1, light.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    background, noise = float(field.background[tuple(seed)]), field.searched[0][1].sd
    height = float(light[tuple(seed)]) - background
    foot = max(FOOT * height, FOOT_SD * noise * background)
    if foot > 0.5 * height:
        return None
    values, basin = light[window], basins[window]
    at = (int(seed[0] - low[0]), int(seed[1] - low[1]), int(seed[2] - low[2]))
    region = connected_above(values, background + foot, at, (basin == number) & field.domain[window])
    if not 0 < np.count_nonzero(region) * float(np.prod(field.spacing)) / 1000.0 <= LARGEST_ML:
        return None
    fwhm = max(settings.resolution_fwhm_mm, field.noise_fwhm_mm)
    inner = ~within(~field.liver[window], field.spacing, 0.5 * fwhm)  # the liver's border is blurred, too
    others = (basin > 0) & (basin != number) & (values > background + foot)
    mask = within(region, field.spacing, 0.75 * fwhm) & (inner | region) & ~others
    box = np.argwhere(mask)
    # one voxel around it: a model in frequency space comes in again at the other side of its box
    first, last = np.maximum(box.min(axis=0) - 1, 0), np.minimum(box.max(axis=0) + 2, mask.shape)
    cut = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    around = field.background[window][cut].astype(np.float64)
    # noise, and what a lesion's own unevenness does to a model, grow with the uptake
    weight = 1.0 / (noise * np.maximum(np.maximum(values[cut], around), 1e-6))
    excess = field.suv[window][cut].astype(np.float64) - around
    return _Place(Patch(excess, background, weight, mask[cut], field.spacing, fwhm), low + first, values[cut])


def _two_lesions(field: PetField, place: _Place, seed: NDArray[np.int64], t: float) -> Fit | None:
    """The two lesions that explain the focus, the one at the seed first; None where one body explains it as well."""
    patch = place.patch
    top = (seed - place.low) * patch.spacing
    ball = fit_spheres(patch, top[None], np.array([START_MM]))
    second = _what_is_left(field, patch, ball)
    if second is None:
        return None
    start = np.stack((ball.centres[0], second))
    two = fit_spheres(patch, start, np.array([float(ball.diameters[0]), START_MM]))
    if not _lesions(field, place, two, t):
        return None
    centre, spread = _moments(place)
    one, found = fit_ellipsoid(patch, centre, spread)
    if _better(field, patch, two, one) < BETTER_SD:
        return None
    hollow, _ = fit_ellipsoid(patch, one.centres[0], found, hollow=True)
    if _better(field, patch, two, hollow) < BETTER_SD:
        return None
    nearer = np.argsort(np.linalg.norm(two.centres - top, axis=1), kind="stable")
    return Fit(two.centres[nearer], two.diameters[nearer], two.heights[nearer], two.model, two.misfit)


def _what_is_left(field: PetField, patch: Patch, ball: Fit) -> NDArray[np.float64] | None:
    """Where (mm) the focus has most that one sphere does not explain; None where that is noise."""
    left = np.zeros(patch.mask.shape)
    left[patch.mask] = patch.excess[patch.mask] * patch.weight[patch.mask] - ball.model
    left = gaussian_filter(left, 0.5 * field.noise_fwhm_mm / FWHM_PER_SIGMA / patch.spacing)
    points = np.indices(left.shape).transpose(1, 2, 3, 0) * patch.spacing
    left[~patch.mask | (np.linalg.norm(points - ball.centres[0], axis=-1) < APART_MM)] = -np.inf
    at = np.unravel_index(int(np.argmax(left)), left.shape)
    return np.array(at) * patch.spacing if left[at] > LEFT_SD else None


def _lesions(field: PetField, place: _Place, two: Fit, t: float) -> bool:
    """Whether two spheres can be two lesions: apart, each in the liver and over the noise."""
    apart = float(np.linalg.norm(two.centres[0] - two.centres[1])) - 0.5 * float(two.diameters.sum())
    if apart < GAP_MM or min(two.heights) <= 0 or min(_own_z(field, place.patch, two)) < t:
        return False
    places = [np.round(c / field.spacing).astype(int) for c in two.centres]
    inside = [np.all(p >= 0) and np.all(p < place.light.shape) for p in places]
    return all(inside) and all(bool(field.liver[tuple(place.low + p)]) for p in places)


def _moments(place: _Place) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (3,) mm of the focus, and the lower triangle (3, 3) mm of the ellipsoid with its second moments."""
    patch = place.patch
    points = patch.points()
    # what is over a sixth of the focus: the liver around it has no part in its shape
    high = np.maximum(place.light[patch.mask] - patch.background, 0.0)
    weight = np.maximum(high - high.max() / 6.0, 1e-9)
    centre = np.average(points, axis=0, weights=weight)
    off = points - centre
    moments = (off * weight[:, None]).T @ off / weight.sum() + np.diag(patch.spacing**2 / 12.0)
    return centre, np.asarray(np.linalg.cholesky(5.0 * moments))  # a ball's moment is a fifth of its radius squared


def _blurred(field: PetField, patch: Patch, template: NDArray[np.float64]) -> float:
    """Variance of the sum of ``template`` (m,) times noise of SD 1 and of the image's correlation."""
    box = np.zeros(patch.mask.shape)
    box[patch.mask] = template
    sigma = field.noise_fwhm_mm / FWHM_PER_SIGMA / patch.spacing  # of the noise; of its correlation √2 times that
    grain = float(np.prod(np.maximum(math.sqrt(4.0 * math.pi) * sigma, 1.0)))
    return max(float((box * gaussian_filter(box, math.sqrt(2.0) * sigma, mode="constant")).sum()) * grain, 1e-9)


def _better(field: PetField, patch: Patch, two: Fit, one: Fit) -> float:
    """How much better ``two`` explains the focus, in SDs of what noise does to the difference of both misfits."""
    return (one.misfit - two.misfit) / (2.0 * math.sqrt(_blurred(field, patch, one.model - two.model)))


def _own_z(field: PetField, patch: Patch, two: Fit) -> list[float]:
    """Each sphere's own signal in SDs of the noise."""
    points, sigma, weight = patch.points(), float(np.sqrt(np.mean(patch.sigma**2))), patch.weight[patch.mask]
    found = []
    for centre, diameter, height in zip(two.centres, two.diameters, two.heights, strict=True):
        template = height * sphere(points, centre, float(diameter), sigma) * weight
        found.append(float(template @ template) / math.sqrt(_blurred(field, patch, template)))
    return found


def _uptakes(patch: Patch, two: Fit) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    points = np.indices(patch.mask.shape).transpose(1, 2, 3, 0) * patch.spacing
    sigma = float(np.sqrt(np.mean(patch.sigma**2)))
    one, other = (
        np.float32(h) * sphere(points, c, float(d), sigma).astype(np.float32)
        for c, d, h in zip(two.centres, two.diameters, two.heights, strict=True)
    )
    return one, other
