"""Join avid foci that are parts of one lesion: one blurred body against as many spheres as there are foci.

Necrosis leaves a ring, and noise and uneven uptake give it several maxima with valleys between them. That they are one
lesion shows in the shape of the whole: one ellipsoid, filled or hollow, explains it better than separate spheres, or
as well where the spheres lie in one another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liverpair.segment.delineate import connected_above, instance_basins
from liverpair.segment.pet_bodies import Fit, fit_spheres
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings
from liverpair.segment.pet_shape import BETTER_SD, START_MM, Place, better, light_image, one_body, place_of

__all__ = ["join_foci"]

#: Foci with a valley between them that is deeper than this share of the lower one's height are not asked.
VALLEY = 0.5
#: A lesion of 60 mm holds so much, and no more parts than this.
LARGEST_ML, MOST_PARTS = 120.0, 6


def join_foci(
    field: PetField, seeds: NDArray[np.int64], spill: Sequence[bool], settings: PetDetectionSettings
) -> tuple[NDArray[np.int64], list[bool]]:
    """The ``seeds`` (n, 3) and ``spill`` of the foci, of those that are one lesion the first alone.

    Foci of a neighbouring organ (``spill``) are left as they are.
    """
    light = light_image(field)
    groups = [g for g in _hills(field, light, seeds, spill, settings) if 1 < len(g) <= MOST_PARTS]
    if not groups:
        return seeds, list(spill)
    basins = instance_basins(light, seeds, field.domain & (field.suv > field.background))
    parts: set[int] = set()
    for group in groups:
        place = place_of(field, light, basins, seeds[group[0]], tuple(n + 1 for n in group), settings, LARGEST_ML)
        if place is not None and _one_lesion(field, place, seeds[group]):
            parts.update(group[1:])
    kept = [n for n in range(len(seeds)) if n not in parts]
    return seeds[kept], [spill[n] for n in kept]


def _one_lesion(field: PetField, place: Place, seeds: NDArray[np.int64]) -> bool:
    starts = (seeds - place.low) * place.patch.spacing
    spheres = fit_spheres(place.patch, starts, np.full(len(seeds), START_MM))
    one = max(better(field, place.patch, body, spheres) for body in one_body(place))
    return one > (-BETTER_SD if _nested(spheres) else BETTER_SD)


def _nested(spheres: Fit) -> bool:
    """Whether each sphere but the largest has its centre in a larger one: spots of one body, no bodies apart."""
    order = np.argsort(-spheres.diameters, kind="stable")
    centres, radii = spheres.centres[order], 0.5 * spheres.diameters[order]
    return all(bool((np.linalg.norm(centres[:n] - centres[n], axis=1) < radii[:n]).any()) for n in range(1, len(radii)))


def _hills(
    field: PetField,
    light: NDArray[np.float32],
    seeds: NDArray[np.int64],
    spill: Sequence[bool],
    settings: PetDetectionSettings,
) -> list[list[int]]:
    """Numbers of the foci on each hill, strongest first: no valley between them is deeper than VALLEY."""
    reach = np.ceil(settings.neighbourhood_mm / field.spacing).astype(int)
    hill = list(range(len(seeds)))
    for number, seed in enumerate(seeds):
        near = [n for n in range(number) if not spill[n] and np.all(np.abs(seeds[n] - seed) <= reach)]
        if spill[number] or not near:
            continue
        low, high = np.maximum(seed - reach, 0), np.minimum(seed + reach + 1, light.shape)
        values = light[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        background = float(field.background[tuple(seed)])
        at = (int(seed[0] - low[0]), int(seed[1] - low[1]), int(seed[2] - low[2]))
        level = background + VALLEY * (float(values[at]) - background)
        same = connected_above(values, level, at, np.ones(values.shape, dtype=bool))
        for n in near:
            if same[tuple(seeds[n] - low)]:
                hill = [hill[n] if h == hill[number] else h for h in hill]
    return [[n for n, h in enumerate(hill) if h == which] for which in sorted(set(hill))]
