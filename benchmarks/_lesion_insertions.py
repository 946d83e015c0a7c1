"""Is P(detect) true? Lesions inserted into noise PETs of many kinds, promised by the closed form, searched by ours.

Livers differ in size, voxels (2–5 mm), resolution, noise (6–22 %, 3.5–7.5 mm wide, Gaussian ~ √activity or log-normal ~
activity), breathing and 3 % unevenness; the noise that the closed form is given is what the product measured, the
resolution and breathing are the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import Scanner, detection_margin, p_detect
from liverpair.evaluate.insertion import Insert, InsertSettings, insert_lesions
from liverpair.evaluate.partial_volume import rc_max_breathing
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

__all__ = ["insertion_trials"]

#: Voxels of PET in clinical use, mm.
VOXELS = ((2.0, 2.0, 2.0), (4.0, 4.0, 3.0), (3.0, 3.0, 3.0), (4.07, 4.07, 5.0), (2.73, 2.73, 3.27))
BREATHING_MM = (0.0, 0.0, 8.0, 15.0)
LIVER_SUV = 5.0
#: Inserted lesions an image, images a liver, and how far apart they lie.
PER_IMAGE, IMAGES, APART_MM = 8, 3, 40.0
DIAMETERS_MM = (3.5, 16.0)
#: Expected voxel CNR over the threshold, so that every tenth of P(detect) gets its lesions; no T beyond this.
CNR_SHARE, LARGEST_RATIO = (0.3, 1.7), 12.0
REACH_MM = 8.0


@dataclass(frozen=True)
class _NoisePet:
    """One liver without disease, and how it was made."""

    suv: Volume
    liver: Mask
    fwhm_mm: float
    cov: float
    noise_power: float
    breathing_mm: float


def _noise_pet(rng: np.random.Generator) -> _NoisePet:
    step = np.array(VOXELS[rng.integers(len(VOXELS))])
    semi = np.array((90.0, 66.0, 58.0)) * rng.uniform(0.85, 1.1)
    n = (2 * (semi + 25) / step).astype(int)
    shape = (int(n[0]), int(n[1]), int(n[2]))
    places = (np.indices(shape).transpose(1, 2, 3, 0) - (n - 1) / 2) * step
    inside = ((places / semi) ** 2).sum(axis=-1) < 1
    fwhm, grain, cov, power = rng.uniform(5, 8), rng.uniform(3.5, 7.5), rng.uniform(0.06, 0.22), rng.choice([0.5, 1.0])
    uneven = gaussian_filter(rng.standard_normal(shape), 30 / step)
    activity = np.where(inside, 1.0, 0.25) * (1 + 0.03 * uneven / uneven.std())
    image = gaussian_filter(activity, fwhm / FWHM_PER_SIGMA / step)
    noise = gaussian_filter(rng.standard_normal(shape), grain / FWHM_PER_SIGMA / step, mode="wrap")
    noise /= noise.std()
    if power == 1.0:
        noise = np.expm1(cov * noise) / cov
    image += cov * noise * image**power
    grid = Grid(shape, np.diag([*step, 1.0]))
    suv = Volume((LIVER_SUV * image).astype(np.float32), grid, Unit.SUVBW)
    breathing = float(rng.choice(BREATHING_MM))
    return _NoisePet(suv, Mask(inside, grid), float(fwhm), float(cov), float(power), breathing)


def _inserts(
    pet: _NoisePet, points: NDArray[np.float64], threshold: float, voxel_mm: float, rng: np.random.Generator
) -> list[Insert]:
    found: list[Insert] = []
    for place in points[rng.integers(len(points), size=200)]:
        at = place + rng.uniform(-0.5, 0.5, 3) * pet.suv.grid.spacing
        if len(found) < PER_IMAGE and all(np.linalg.norm(at - x.centre_lps) > APART_MM for x in found):
            diameter, share = rng.uniform(*DIAMETERS_MM), rng.uniform(*CNR_SHARE)
            kept = rc_max_breathing(diameter, pet.fwhm_mm, pet.breathing_mm, voxel_mm)
            ratio = 1 + share * threshold * pet.cov / kept
            if ratio < LARGEST_RATIO:
                found.append(Insert(at, float(diameter), float(ratio)))
    return found


def insertion_trials(seed: int) -> Iterator[tuple[float, bool]]:
    """(P(detect) promised, whether found) of every lesion inserted into one noise PET."""
    rng = np.random.default_rng(seed)
    pet = _noise_pet(rng)
    grid = pet.suv.grid
    reference = liver_reference(pet.suv, pet.liver)
    empty = detect_pet(pet.suv, pet.liver, reference)
    own = np.array([c.centre_lps for c in empty.candidates]).reshape(-1, 3)
    voxel = math.sqrt(float(np.mean(grid.spacing**2)))
    facts = empty.facts
    scanner = Scanner(
        pet.fwhm_mm, reference.cov, facts["threshold_z"], "simulation", voxel, pet.breathing_mm,
        facts["noise_fwhm_mm"], facts["search_fwhm_mm"][1:], facts["search_cov"], facts["search_skew"],
    )  # fmt: skip
    depth = distance_transform_edt(np.pad(pet.liver.values, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    points = grid.to_world(np.argwhere(depth > 6.0))
    for _ in range(IMAGES):
        inserts = _inserts(pet, points, scanner.threshold, voxel, rng)
        blur = InsertSettings(pet.fwhm_mm, pet.breathing_mm, pet.noise_power)
        image = insert_lesions(pet.suv, LIVER_SUV, inserts, blur)
        foci = np.array([c.centre_lps for c in detect_pet(image, pet.liver, reference).candidates]).reshape(-1, 3)
        for lesion in inserts:
            if len(own) and np.linalg.norm(own - lesion.centre_lps, axis=1).min() < 2 * REACH_MM:
                continue
            near = np.linalg.norm(foci - lesion.centre_lps, axis=1) < max(REACH_MM, lesion.diameter_mm / 2)
            yield p_detect(detection_margin(lesion.ratio, lesion.diameter_mm, scanner), 0.0), bool(near.any())
