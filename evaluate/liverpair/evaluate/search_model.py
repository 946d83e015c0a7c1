"""The probability that a detector which searches several smoothed images finds a lesion that lies anywhere.

An image is searched as it is and behind further Gaussians; a lesion is found where one voxel of one of them exceeds its
threshold. So what decides is the largest of many correlated values: noise between voxels and images, the lesion's own
blurred profile, where it lies between the voxels' centres, how noisy its place is, and what it adds to the background
that it is held against. Given all but one common part of the noise, the chance is a normal distribution's tail in
closed form; the rest is averaged over a fixed set of draws, so that the same lesion always has the same probability,
smooth in its size and uptake. Nothing here is fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.evaluate.partial_volume import breathing_displacements, profile

__all__ = ["Place", "Search", "p_found"]

#: Voxels (or thirds of a noise grain, where voxels are finer) on either side of a lesion that are looked at.
HALF = 2
STEPS_PER_GRAIN = 3.0
#: Draws over which noise, place and voxel grid are averaged, in pairs of opposite sign: the mean is good to 0.02.
DRAWS = 128
#: Steps of an additive sequence that fills four dimensions evenly: 1/g … 1/g⁴ with g⁵ = g + 1 (Roberts' golden ratio).
EVEN_STEPS = (0.8566748838545029, 0.733891856627126, 0.6287067210378087, 0.5385972572236101)
#: Values this many SDs of the noise above the background are left out of it (the detector's own rejection).
REJECTED_SD = 2.5
#: The blurred profile is tabulated in steps of this many mm.
TABLE_MM = 0.1
#: Breathing positions taken of those in partial_volume.py.
BREATHING_STEP = 4


@dataclass(frozen=True, slots=True)
class Search:
    """One image that is searched: its extra smoothing in mm, the noise's SD over the liver's level, the noise's
    skewness s (r standard deviations count as ln(1 + s·r)/s), and the threshold there."""

    width_mm: float
    cov: float
    skew: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Place:
    """What a lesion is put into: resolution, voxel step (0: no grid), breathing and the noise's own width, all mm.

    ``noise`` and ``spread``: mean and relative SD, over the places of this liver, of (local noise ratio × local
    background / reference); the contrast counts for less where either is high. ``background_sigma_mm``: width of the
    local mean that is the background, 0 where the background does not hear the lesion.
    """

    fwhm_mm: float
    voxel_mm: float
    breathing_mm: float
    noise_fwhm_mm: float
    noise: float = 1.0
    spread: float = 0.0
    background_sigma_mm: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """``at`` (k, n, m, 3) mm from the lesion, one lattice of m points for each of k images; ``common`` (k, m) loads of
    the noise's common part; ``rest`` (k, n, m) the noise without it; ``place`` (n,) standard normal."""

    at: NDArray[np.float64]
    common: NDArray[np.float64]
    rest: NDArray[np.float64]
    place: NDArray[np.float64]


def _lattice() -> NDArray[np.float64]:
    """Points (m, 3) of a cubic lattice within HALF steps of its middle."""
    axis = np.arange(-HALF, HALF + 1, dtype=np.float64)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[np.linalg.norm(points, axis=1) <= HALF * (1 + 1e-9)]


@lru_cache(maxsize=16)
def _draws(widths: tuple[float, ...], noise_fwhm_mm: float, voxel_mm: float) -> _Draws:
    """Draws of noise that is white behind a Gaussian, around the lesion, in all images at once.

    A smoother image has its maxima further away, so its lattice is as much wider.
    """
    grains = [math.hypot(noise_fwhm_mm, width) for width in widths]
    lattice = _lattice()
    points = [lattice * max(voxel_mm, grain / STEPS_PER_GRAIN) for grain in grains]
    pairs = list(zip(points, grains, strict=True))
    covariance = np.block([[_covariance(p, q, a, b) for q, b in pairs] for p, a in pairs])
    common = covariance.sum(axis=1) / math.sqrt(covariance.sum())
    values, vectors = np.linalg.eigh(covariance - np.outer(common, common))
    real = values > 1e-8 * values[-1]
    half, count = DRAWS // 2, len(lattice)
    white = np.random.default_rng(0).standard_normal((half, int(np.count_nonzero(real))))
    rest = white @ (vectors[:, real] * np.sqrt(values[real])).T
    rest = np.vstack([rest, -rest]).reshape(DRAWS, len(widths), count).transpose(1, 0, 2)
    even = (np.arange(1, half + 1)[:, None] * np.array(EVEN_STEPS) + 0.5) % 1.0
    shift = (even[:, :3] - 0.5) * voxel_mm
    place = ndtri(np.clip(even[:, 3], 0.5 / half, 1 - 0.5 / half))
    at = np.stack(points)[:, None] + np.vstack([shift, -shift])[None, :, None]
    return _Draws(at, common.reshape(len(widths), count), np.ascontiguousarray(rest), np.concatenate([place, -place]))


def _covariance(
    one: NDArray[np.float64], other: NDArray[np.float64], one_mm: float, other_mm: float
) -> NDArray[np.float64]:
    """Correlations (m, m) of white noise behind a Gaussian of ``one_mm`` with that behind one of ``other_mm``."""
    a, b = (one_mm / FWHM_PER_SIGMA) ** 2, (other_mm / FWHM_PER_SIGMA) ** 2
    gap = np.sum((one[:, None] - other[None]) ** 2, axis=-1)
    return np.asarray((2 * math.sqrt(a * b) / (a + b)) ** 1.5 * np.exp(-gap / (2 * (a + b))))


def _shape(at: NDArray[np.float64], diameter_mm: float, fwhm_mm: float, place: Place) -> NDArray[np.float64]:
    """Recovery at ``at`` (n, m, 3) mm from where the ball, averaged over the breathing, is brightest."""
    reach = float(np.abs(at).max()) * math.sqrt(3) + place.breathing_mm
    radii = np.linspace(0.0, reach, int(reach / TABLE_MM) + 2)
    table = profile(radii, diameter_mm, fwhm_mm, place.voxel_mm)
    if place.breathing_mm <= 0:
        return np.asarray(np.interp(np.linalg.norm(at, axis=-1), radii, table))
    moves = breathing_displacements(place.breathing_mm)[::BREATHING_STEP]
    heights = np.linspace(0.0, place.breathing_mm / 2, 33)
    mean = np.interp(np.abs(heights[:, None] - moves), radii, table).mean(axis=1)
    across = np.sum(at[..., :2] ** 2, axis=-1)
    along = at[..., 2] + heights[int(np.argmax(mean))]
    total = np.zeros(across.shape)
    for move in moves:
        total += np.interp(np.sqrt(across + (along - move) ** 2), radii, table)
    return total / len(moves)


def _sampled_width(width_mm: float, voxel_mm: float) -> float:
    """The FWHM in mm that a Gaussian has once it is sampled at voxels: below half a voxel's σ it smooths less."""
    if width_mm <= 0 or voxel_mm <= 0:
        return width_mm
    sigma = width_mm / FWHM_PER_SIGMA / voxel_mm
    at = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    weight = np.exp(-0.5 * (at / sigma) ** 2)
    return FWHM_PER_SIGMA * voxel_mm * math.sqrt(float((weight * at**2).sum() / weight.sum()))


@lru_cache(maxsize=64)
def _shapes(
    diameter_mm: float, place: Place, widths: tuple[float, ...]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """For every image its recovery, and the recovery that its noise grows with: where the lesion's noise comes from
    is weighted by the square of the smoothing, a Gaussian narrower by √2."""
    at = _draws(widths, place.noise_fwhm_mm, place.voxel_mm).at
    found = []
    for points, width in zip(at, widths, strict=True):
        smoothed = _sampled_width(width, place.voxel_mm)
        own, noisy = (math.hypot(place.fwhm_mm, w) for w in (smoothed, smoothed / math.sqrt(2)))
        shape = _shape(points, diameter_mm, own, place)
        found.append((shape, shape if noisy == own else _shape(points, diameter_mm, noisy, place)))
    return tuple(found)


def _own_background(true_ratio: float, diameter_mm: float, place: Place, cov: float) -> float:
    """By how many liver means a lesion raises the background that it is held against, without what is rejected."""
    sigma = place.background_sigma_mm
    if sigma <= 0 or true_ratio <= 1:
        return 0.0
    reach = diameter_mm / 2 + 3 * sigma
    radii = np.linspace(0.0, reach, 240)
    rise = (true_ratio - 1) * profile(radii, diameter_mm, place.fwhm_mm, place.voxel_mm)
    heard = rise * ndtr(REJECTED_SD - rise / cov) * np.exp(-(radii**2) / (2 * sigma**2))
    return float(np.trapezoid(4 * np.pi * radii**2 * heard, radii) / ((2 * np.pi) ** 1.5 * sigma**3))


def p_found(true_ratio: float, diameter_mm: float, place: Place, searches: tuple[Search, ...]) -> float:
    """The probability that a ball of this diameter (mm) and ratio to the liver exceeds one image's threshold.

    The noise on the lesion grows with its signal, as (signal/liver)^p: p is ½ where the liver's noise is not skewed
    (Poisson's), 1 where its skewness is that of purely multiplicative noise (Barrett et al., Phys Med Biol 39 (1994)
    833), in proportion between. ``searches`` begin with the image as it is.
    """
    widths = tuple(search.width_mm for search in searches)
    draws = _draws(widths, place.noise_fwhm_mm, place.voxel_mm)
    power = 0.5 + 0.5 * min(searches[0].skew / searches[0].cov, 1.0)
    harder = place.noise * np.exp(place.spread * draws.place - place.spread**2 / 2)[:, None]
    lost = _own_background(true_ratio, diameter_mm, place, searches[0].cov * place.noise)
    least = np.full(len(draws.place), np.inf)
    shapes = _shapes(diameter_mm, place, widths)
    for search, (shape, noisy), rest, loads in zip(searches, shapes, draws.rest, draws.common, strict=True):
        rise = (true_ratio - 1) * shape
        grown = np.maximum(1 + (true_ratio - 1) * noisy, 1e-3) ** power
        needed = (_linear(search.threshold, search.skew) - (rise - lost) / (search.cov * harder)) / grown
        common = (_normal(needed, search.skew) - rest) / loads
        least = np.minimum(least, common.min(axis=1))
    return float(ndtr(-least).mean())


def _linear(z: float, skew: float) -> float:
    """The residual, in SDs, that counts as ``z``: the inverse of ln(1 + s·r)/s."""
    return math.expm1(skew * z) / skew if skew > 0 else z


def _normal(residual: NDArray[np.float64], skew: float) -> NDArray[np.float64]:
    return np.log(np.maximum(1 + skew * residual, 1e-12)) / skew if skew > 0 else residual
