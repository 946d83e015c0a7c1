"""Part avid foci that are two lesions: two blurred spheres against one blurred body, weighed by the noise.

Two lesions whose centres lie closer than about twice the resolution leave no valley between them, and a warm one beside
a hot one not even a maximum. That they are two still shows in the shape of what the blur made of them: what one sphere
cannot explain is tried as a second, and the two must explain the focus better than one ellipsoid, filled or hollow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import instance_basins
from liverpair.segment.noise import threshold_for
from liverpair.segment.pet_bodies import Fit, Patch, fit_breathing_spheres, fit_spheres, painted
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings
from liverpair.segment.pet_shape import BETTER_SD, START_MM, Place, better, light_image, one_body, own_z, place_of

__all__ = ["Pair", "Parted", "part_foci"]

#: Two lesions of 20 mm and their gap, blurred, stay below; in what is larger the parts show themselves.
LARGEST_ML = 40.0
#: A second lesion is looked for where one sphere leaves this many SDs of the noise, this far from its centre: two
#: lesions of 5 mm and the gap lie no closer.
LEFT_SD, APART_MM = 3.0, 6.0
#: Liver between two lesions; less is contact, and parts in contact are one lesion.
GAP_MM = 1.0


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


def part_foci(
    field: PetField, seeds: NDArray[np.int64], spill: Sequence[bool], along: int, settings: PetDetectionSettings
) -> Parted:
    """The foci at ``seeds`` (n, 3), those that are two lesions as two; ``along`` is the axis of the patient's length.

    Foci of a neighbouring organ (``spill``) are left as they are.
    """
    light = light_image(field)
    basins = instance_basins(light, seeds, field.domain & (field.suv > field.background))
    places, spilt, pairs = [np.asarray(seed) for seed in seeds], list(spill), []
    z = [float(field.z[tuple(seed)]) for seed in seeds]
    for number, seed in enumerate(seeds):
        place = None if spill[number] else place_of(field, light, basins, seed, (number + 1,), settings, LARGEST_ML)
        if place is None:
            continue
        # breathing is asked only of a focus alone: another one's blur would pass for it
        alone = not any(place.holds(other) for n, other in enumerate(seeds) if n != number)
        two = _two_lesions(field, place, seed, along if alone else None, settings)
        if two is None:
            continue
        first, second = (place.low + np.round(c / field.spacing).astype(int) for c in two.centres)
        places[number] = first
        places.append(second)
        z.append(own_z(field, place.patch, two)[1])
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


def _two_lesions(
    field: PetField, place: Place, seed: NDArray[np.int64], along: int | None, settings: PetDetectionSettings
) -> Fit | None:
    """The two lesions that explain the focus, the one at the seed first; None where one body explains it as well.

    They are tried as the scanner blurs them, and then as breathing along axis ``along`` blurs them, too.
    """
    patch = place.patch
    top = (seed - place.low) * patch.spacing
    ball = fit_spheres(patch, top[None], np.array([START_MM]))
    second = _what_is_left(field, patch, ball)
    if second is None:
        return None
    start, sizes = np.stack((ball.centres[0], second)), np.array([float(ball.diameters[0]), START_MM])
    bodies: tuple[Fit, ...] = ()
    for way in (None, along) if along is not None else (None,):
        two = fit_spheres(patch, start, sizes) if way is None else fit_breathing_spheres(patch, start, sizes, way)
        if not _lesions(field, place, two, settings):
            continue
        bodies = bodies or one_body(place)
        if min(better(field, patch, two, one) for one in bodies) >= BETTER_SD:
            first = int(np.argmin(np.linalg.norm(two.centres - top, axis=1)))
            order = [first, 1 - first]
            return replace(two, centres=two.centres[order], diameters=two.diameters[order], heights=two.heights[order])
    return None


def _what_is_left(field: PetField, patch: Patch, ball: Fit) -> NDArray[np.float64] | None:
    """Where (mm) the focus has most that one sphere does not explain; None where that is noise."""
    left = np.zeros(patch.mask.shape)
    left[patch.mask] = patch.excess[patch.mask] * patch.weight[patch.mask] - ball.model
    left = gaussian_filter(left, 0.5 * field.noise_fwhm_mm / FWHM_PER_SIGMA / patch.spacing)
    points = np.indices(left.shape).transpose(1, 2, 3, 0) * patch.spacing
    left[~patch.mask | (np.linalg.norm(points - ball.centres[0], axis=-1) < APART_MM)] = -np.inf
    at = np.unravel_index(int(np.argmax(left)), left.shape)
    return np.array(at) * patch.spacing if left[at] > LEFT_SD else None


def _lesions(field: PetField, place: Place, two: Fit, settings: PetDetectionSettings) -> bool:
    """Whether two spheres can be two lesions: apart, each in the liver and over the noise.

    Noise is searched around one focus, not in a whole liver: the same false foci ask for less height there.
    """
    apart = float(np.linalg.norm(two.centres[0] - two.centres[1])) - 0.5 * float(two.diameters.sum())
    if apart < GAP_MM or min(two.heights) <= 0:
        return False
    searched = np.count_nonzero(place.patch.mask) * float(np.prod(field.spacing))
    if min(own_z(field, place.patch, two)) < threshold_for(settings.false_foci, searched, field.noise_fwhm_mm):
        return False
    places = [np.round(c / field.spacing).astype(int) for c in two.centres]
    inside = [np.all(p >= 0) and np.all(p < place.light.shape) for p in places]
    return all(inside) and all(bool(field.liver[tuple(place.low + p)]) for p in places)


def _uptakes(patch: Patch, two: Fit) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    one, other = (np.float32(h) * b.astype(np.float32) for h, b in zip(two.heights, painted(patch, two), strict=True))
    return one, other
