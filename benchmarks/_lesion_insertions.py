"""Is P(detect) true? Lesions inserted into PETs of many kinds, promised by the model, searched by ours.

Livers of noise differ in size, voxels (2–5 mm), resolution, noise (6–22 %, 3.5–7.5 mm wide, Gaussian ~ √activity or
log-normal ~ activity), breathing and 3 % unevenness; those of a simulated pair have vessels, neighbours and lesions of
their own. The noise that the model is given is what the product measured, the resolution and breathing are the true
ones. Lesions are drawn so that every tenth of P(detect) gets its share.
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
from liverpair.register.resample import resample_mask
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference
from liverpair.simulate import simulate_pair
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

__all__ = ["insertion_trials", "pair_trials"]

#: Voxels of PET in clinical use, mm.
VOXELS = ((2.0, 2.0, 2.0), (4.0, 4.0, 3.0), (3.0, 3.0, 3.0), (4.07, 4.07, 5.0), (2.73, 2.73, 3.27))
BREATHING_MM = (0.0, 0.0, 8.0, 15.0)
LIVER_SUV = 5.0
#: Inserted lesions an image, images a liver, and how far apart they lie.
PER_IMAGE, IMAGES, APART_MM = 8, 3, 40.0
DIAMETERS_MM = (3.5, 16.0)
#: SDs over the threshold that are asked of an inserted lesion: every tenth of P(detect) gets its lesions; no T beyond.
MARGINS, LARGEST_RATIO = (-2.3, 2.3), 12.0
REACH_MM = 8.0
#: Inserted lesions lie this far from those that a simulated pair has by itself (beyond their radius), and this deep.
CLEAR_MM, DEPTH_MM = 18.0, 6.0
#: Growth of the simulator's PET noise with activity.
PAIR_POWER = 0.5


@dataclass(frozen=True)
class _Host:
    """One PET that lesions are put into, and how it was made; ``taken``: its own lesions as (LPS mm, diameter mm)."""

    suv: Volume
    liver: Mask
    fwhm_mm: float
    noise_power: float
    breathing_mm: float
    taken: tuple[tuple[NDArray[np.float64], float], ...] = ()


def _noise_pet(rng: np.random.Generator) -> _Host:
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
    return _Host(suv, Mask(inside, grid), float(fwhm), float(power), breathing)


def _ratio_for(margin: float, diameter: float, scanner: Scanner) -> float | None:
    """The ratio at which a lesion of this diameter lies ``margin`` over the threshold; None beyond LARGEST_RATIO."""
    low, high = 1.0, LARGEST_RATIO
    if detection_margin(high, diameter, scanner) < margin:
        return None
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if detection_margin(middle, diameter, scanner) < margin else (low, middle)
    return high


def _inserts(
    host: _Host,
    points: NDArray[np.float64],
    own: NDArray[np.float64],
    scanner: Scanner,
    rng: np.random.Generator,
) -> list[Insert]:
    """Lesions far from one another, from the host's own and from the foci (n, 3) that it shows by itself."""
    found: list[Insert] = []
    for place in points[rng.integers(len(points), size=200)]:
        at = place + rng.uniform(-0.5, 0.5, 3) * host.suv.grid.spacing
        diameter, margin = float(rng.uniform(*DIAMETERS_MM)), float(rng.uniform(*MARGINS))
        if len(found) == PER_IMAGE or any(np.linalg.norm(at - x.centre_lps) <= APART_MM for x in found):
            continue
        if len(own) and np.linalg.norm(own - at, axis=1).min() < 2 * REACH_MM:
            continue
        if any(np.linalg.norm(at - centre) < CLEAR_MM + mm / 2 for centre, mm in host.taken):
            continue
        ratio = _ratio_for(margin, diameter, scanner)
        if ratio is not None:
            found.append(Insert(at, diameter, ratio))
    return found


def insertion_trials(seed: int) -> Iterator[tuple[float, bool]]:
    """(P(detect) promised, whether found) of every lesion inserted into one noise PET."""
    rng = np.random.default_rng(seed)
    yield from _trials(_noise_pet(rng), rng)


def pair_trials(seed: int) -> Iterator[tuple[float, bool]]:
    """The same in the PET of a simulated pair, which has vessels, neighbours and lesions of its own."""
    pair = simulate_pair(seed)
    taken = tuple((lesion.pet_lps, lesion.diameter_mm) for lesion in pair.lesions)
    liver = resample_mask(pair.ct_liver, pair.pet.grid)
    host = _Host(pair.pet, liver, pair.pet_fwhm_mm, PAIR_POWER, pair.pet_respiration_mm, taken)
    yield from _trials(host, np.random.default_rng(seed))


def _trials(host: _Host, rng: np.random.Generator) -> Iterator[tuple[float, bool]]:
    grid = host.suv.grid
    reference = liver_reference(host.suv, host.liver)
    empty = detect_pet(host.suv, host.liver, reference)
    own = np.array([c.centre_lps for c in empty.candidates]).reshape(-1, 3)
    facts = empty.facts
    scanner = Scanner(
        host.fwhm_mm, reference.cov, facts["threshold_z"], "simulation",
        math.sqrt(float(np.mean(grid.spacing**2))), host.breathing_mm,
        facts["noise_fwhm_mm"], facts["search_fwhm_mm"][1:], facts["search_cov"], facts["search_skew"],
        facts["place_noise"], facts["place_spread"], facts["background_sigma_mm"],
    )  # fmt: skip
    depth = distance_transform_edt(np.pad(host.liver.values, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    points = grid.to_world(np.argwhere(depth > DEPTH_MM))
    for _ in range(IMAGES):
        inserts = _inserts(host, points, own, scanner, rng)
        blur = InsertSettings(host.fwhm_mm, host.breathing_mm, host.noise_power)
        image = insert_lesions(host.suv, reference.mean, inserts, blur)
        foci = np.array([c.centre_lps for c in detect_pet(image, host.liver, reference).candidates]).reshape(-1, 3)
        for lesion in inserts:
            near = np.linalg.norm(foci - lesion.centre_lps, axis=1) < max(REACH_MM, lesion.diameter_mm / 2)
            yield p_detect(detection_margin(lesion.ratio, lesion.diameter_mm, scanner), 0.0), bool(near.any())
