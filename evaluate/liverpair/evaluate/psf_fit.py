"""Fit a blurred sphere to a small lesion: diameter, contrast, centre, and the diameter's 95 % interval.

The model is a homogeneous ball convolved with a Gaussian of its own width along each grid axis, on a locally
linear background. Contrast and background enter linearly and are solved exactly at every step (variable
projection); only the centre and the radius are searched. Below about 8 mm diameter and contrast trade against
each other: a prior on the contrast (from the patient's larger lesions) resolves that, and without one the
interval says how little is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.distributions import normal_quantile

__all__ = [
    "PsfFitSettings",
    "SphereFit",
    "blurred_sphere",
    "effective_sigma",
    "fit_sphere",
    "noise_inflation",
    "window_index",
]

#: Gauss-Legendre nodes along two axes, over the part of the ball within ±QUADRATURE_REACH σ of the point.
QUADRATURE_REACH = 4.0
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class PsfFitSettings:
    """Settings of the blurred-sphere fit.

    ``margin_mm`` of background around the lesion enter the fit; 4 mm hold enough voxels to fix the background
    and little of the neighbourhood. ``radius_grid`` radii span the profile likelihood. ``psf_relative_sd``:
    how well a point spread taken from the header or the voxel size is known; it widens the interval.
    """

    margin_mm: float = 4.0
    smallest_diameter_mm: float = 1.0
    largest_diameter_mm: float = 30.0
    radius_grid: int = 25
    confidence: float = 0.95
    psf_relative_sd: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class SphereFit:
    """The fitted ball: diameter and its interval in mm, centre (3,) LPS mm, contrast and background in image
    units.

    ``residual_sd`` is the noise left; ``contrast_known`` says whether a prior on the contrast entered;
    ``snr`` is the ball's signal-to-noise ratio over all its voxels (matched filter).
    """

    diameter_mm: float
    diameter_ci_mm: tuple[float, float]
    centre_lps: NDArray[np.float64]
    contrast: float
    background: float
    residual_sd: float
    contrast_known: bool
    snr: float


def effective_sigma(spacing: NDArray[np.float64], fwhm_mm: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian σ (3,) in mm of a PSF of ``fwhm_mm`` widened by the voxel's own box (variance h²/12 per
    axis).
    """
    sigma = np.broadcast_to(np.asarray(fwhm_mm, dtype=np.float64), (3,)) / FWHM_PER_SIGMA
    return np.sqrt(sigma**2 + np.asarray(spacing) ** 2 / 12.0)


@numba.njit(cache=True)
def _ball_kernel(
    points: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: float,
    sigma: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fill ``out`` (n,) with the blurred ball: numeric over axes 0 and 2, closed form (erf) over axis 1."""
    root = math.sqrt(2.0) * sigma[1]
    norm_x = 1.0 / (math.sqrt(2.0 * math.pi) * sigma[0])
    norm_z = 1.0 / (math.sqrt(2.0 * math.pi) * sigma[2])
    for index in range(points.shape[0]):
        x0 = points[index, 0] - centre[0]
        y0 = points[index, 1] - centre[1]
        z0 = points[index, 2] - centre[2]
        low = max(-radius, x0 - QUADRATURE_REACH * sigma[0])
        high = min(radius, x0 + QUADRATURE_REACH * sigma[0])
        value = 0.0
        if low < high:
            for a in range(NODES.shape[0]):
                x = 0.5 * (low + high) + 0.5 * (high - low) * NODES[a]
                chord = math.sqrt(max(radius * radius - x * x, 0.0))
                bottom = max(-chord, z0 - QUADRATURE_REACH * sigma[2])
                top = min(chord, z0 + QUADRATURE_REACH * sigma[2])
                if bottom >= top:
                    continue
                row = 0.0
                for b in range(NODES.shape[0]):
                    z = 0.5 * (bottom + top) + 0.5 * (top - bottom) * NODES[b]
                    c = math.sqrt(max(chord * chord - z * z, 0.0))
                    inside = 0.5 * (math.erf((c - y0) / root) + math.erf((c + y0) / root))
                    row += NODE_WEIGHTS[b] * math.exp(-0.5 * ((z - z0) / sigma[2]) ** 2) * inside
                row *= 0.5 * (top - bottom) * norm_z
                value += NODE_WEIGHTS[a] * math.exp(-0.5 * ((x - x0) / sigma[0]) ** 2) * row
            value *= 0.5 * (high - low) * norm_x
        out[index] = value


def blurred_sphere(
    points: NDArray[np.float64], centre: NDArray[np.float64], radius: float, sigma: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values in [0, 1] of a unit ball of ``radius`` mm blurred by a Gaussian σ (3,) mm, at points (n, 3)
    mm.
    """
    out = np.empty(len(points))
    _ball_kernel(
        np.ascontiguousarray(points, dtype=np.float64),
        np.asarray(centre, dtype=np.float64),
        float(radius),
        np.asarray(sigma, dtype=np.float64),
        out,
    )
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """Voxels that enter the fit: ``points`` (n, 3) mm along the grid axes, ``values`` (n,), and what is
    known.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]
    sigma: NDArray[np.float64]
    noise: float
    prior: tuple[float, float] | None
    limits: tuple[float, float]

    def solve(self, centre: NDArray[np.float64], radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Residuals (in units of the noise, prior appended) and the linear coefficients (contrast,
        plane...).
        """
        ball = blurred_sphere(self.points, centre, radius, self.sigma)
        offset = self.points - centre
        design = np.column_stack([ball, np.ones(len(ball)), offset])
        rows, target = design, self.values
        if self.prior is not None:
            weight = self.noise / self.prior[1]
            rows = np.vstack([design, [weight, 0, 0, 0, 0]])
            target = np.append(self.values, weight * self.prior[0])
        coefficients = np.linalg.lstsq(rows, target, rcond=None)[0]
        bounded = float(np.clip(coefficients[0], *self.limits))
        if bounded != coefficients[0]:
            rest = np.linalg.lstsq(rows[:, 1:], target - bounded * rows[:, 0], rcond=None)[0]
            coefficients = np.append(bounded, rest)
        return np.asarray((target - rows @ coefficients) / self.noise), np.asarray(coefficients)


def noise_inflation(residual: NDArray[np.float64], index: NDArray[np.int64]) -> float:
    """How many correlated residuals carry the information of one: ∏(1+ρ)/(1-ρ) over the axes' lag-1
    correlations.
    """
    low = index.min(axis=0)
    grid = np.full(tuple(index.max(axis=0) - low + 1), np.nan)
    grid[tuple((index - low).T)] = residual - residual.mean()
    factor = 1.0
    for axis in range(3):
        a = np.delete(grid, -1, axis=axis)
        b = np.delete(grid, 0, axis=axis)
        both = np.isfinite(a) & np.isfinite(b)
        if np.count_nonzero(both) < 10:
            continue
        rho = float(np.clip((a[both] * b[both]).mean() / max(np.var(residual), 1e-30), 0.0, 0.9))
        factor *= (1 + rho) / (1 - rho)
    return factor


def window_index(image: Volume, mask: Mask, margin_mm: float, exclude: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Indices (n, 3) of the voxels within ``margin_mm`` of the mask's equivalent sphere and not excluded."""
    spacing = image.grid.spacing
    centre = np.argwhere(mask.values).mean(axis=0)
    radius = (3.0 * mask.volume_ml * 1000.0 / (4.0 * np.pi)) ** (1 / 3)
    reach = radius + margin_mm + spacing / 2
    low = np.maximum(np.floor(centre - reach / spacing).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach / spacing).astype(int) + 1, image.grid.shape)
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    kept = np.all(np.abs(index - centre) * spacing <= reach, axis=1)
    kept &= np.linalg.norm((index - centre) * spacing / reach, axis=1) <= 1.0
    index = index[kept]
    if exclude is not None:
        index = index[~exclude[tuple(index.T)]]
    return index


def fit_sphere(
    image: Volume,
    mask: Mask,
    sigma_mm: NDArray[np.float64],
    contrast: tuple[float, float] | None = None,
    exclude: NDArray[np.bool_] | None = None,
    settings: PsfFitSettings = PsfFitSettings(),
) -> SphereFit | None:
    """Fit a blurred sphere to the lesion under ``mask``.

    ``sigma_mm`` (3,) is the effective Gaussian σ along the grid axes (see effective_sigma). ``contrast`` is a
    prior (mean, SD) in image units. ``exclude`` [i, j, k] marks voxels that belong to something else. None
    where fewer than 20 voxels can be used.
    """
    index = window_index(image, mask, settings.margin_mm, exclude)
    if len(index) < 20:
        return None
    values = image.values[tuple(index.T)].astype(np.float64)
    spacing = image.grid.spacing
    origin = np.argwhere(mask.values).mean(axis=0) * spacing
    points = index * spacing - origin
    inside = mask.values[tuple(index.T)]
    background = float(np.median(values[~inside])) if np.any(~inside) else float(np.median(values))
    sign = 1.0 if values[inside].mean() >= background else -1.0
    # A magnitude image cannot fall below zero: a dark lesion's contrast is at most the background itself.
    floor = -abs(background) if image.values.min() >= 0 else -np.inf
    limits = (0.0, np.inf) if sign > 0 else (floor, 0.0)
    start_radius = max(float((3.0 * mask.volume_ml * 1000.0 / (4.0 * np.pi)) ** (1 / 3)), 1.5)
    noise = max(float(np.std(values)) * 1e-3, 1e-9)
    problem = _Problem(points, values, np.asarray(sigma_mm, dtype=np.float64), noise, None, limits)
    best = _search(problem, start_radius, settings)
    residual, _ = problem.solve(best[:3], math.exp(best[3]))
    noise = max(float(np.sqrt(np.sum((residual * noise) ** 2) / max(len(values) - 9, 1))), noise)
    inflation = noise_inflation(residual, index)
    problem = _Problem(points, values, problem.sigma, noise * math.sqrt(inflation), contrast, limits)
    best = _search(problem, math.exp(best[3]), settings, best[:3])
    return _report(problem, best, image, origin, noise, settings)


def _search(
    problem: _Problem, radius: float, settings: PsfFitSettings, centre: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Centre (3) and log radius of the best fit."""
    low = math.log(settings.smallest_diameter_mm / 2)
    high = math.log(settings.largest_diameter_mm / 2)
    start = np.zeros(4) if centre is None else np.append(centre, 0.0)
    start[3] = np.clip(math.log(radius), low + 0.01, high - 0.01)
    reach = np.maximum(radius, 2.0 * problem.sigma)
    bounds = (
        np.append(np.minimum(start[:3], 0) - reach, low),
        np.append(np.maximum(start[:3], 0) + reach, high),
    )
    result = least_squares(
        lambda p: problem.solve(p[:3], math.exp(p[3]))[0],
        start,
        bounds=bounds,
        xtol=1e-4,
        ftol=1e-5,
        diff_step=1e-3,
        x_scale=[1, 1, 1, 0.2],
        max_nfev=25,
    )
    return np.asarray(result.x)


def _cost(problem: _Problem, centre: NDArray[np.float64], radius: float) -> float:
    return float(np.sum(problem.solve(centre, radius)[0] ** 2))


def _best_radius(problem: _Problem, centre: NDArray[np.float64], radii: NDArray[np.float64]) -> float:
    """Radius of least cost at a fixed centre: the best of ``radii``, refined by a parabola in log radius."""
    cost = np.array([_cost(problem, centre, radius) for radius in radii])
    at = int(np.clip(np.argmin(cost), 1, len(radii) - 2))
    before, here, after = cost[at - 1 : at + 2]
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature > 0 else 0.0
    return float(radii[at] * (radii[1] / radii[0]) ** np.clip(shift, -1, 1))


def _interval(
    problem: _Problem, centre: NDArray[np.float64], radius: float, radii: NDArray[np.float64], limit: float
) -> tuple[float, float]:
    """Where the profile likelihood crosses ``limit`` on both sides of ``radius``, by bisection; clipped to
    radii.
    """

    def crossing(outer: float) -> float:
        if _cost(problem, centre, outer) <= limit:
            return outer
        inner, far = radius, outer
        for _ in range(10):
            middle = math.sqrt(inner * far)
            if _cost(problem, centre, middle) <= limit:
                inner = middle
            else:
                far = middle
        return inner

    return crossing(float(min(radii[0], radius))), crossing(float(max(radii[-1], radius)))


def _report(
    problem: _Problem,
    best: NDArray[np.float64],
    image: Volume,
    origin: NDArray[np.float64],
    noise: float,
    settings: PsfFitSettings,
) -> SphereFit:
    """Turn the best fit into numbers, with the interval from the profile likelihood over the radius."""
    centre, radius = best[:3], math.exp(best[3])
    residual, coefficients = problem.solve(centre, radius)
    least = float(residual @ residual)
    lowest, highest = settings.smallest_diameter_mm / 2, settings.largest_diameter_mm / 2
    radii = np.geomspace(max(lowest, radius / 3), min(highest, radius * 2.5), settings.radius_grid)
    limit = least + normal_quantile(0.5 + settings.confidence / 2) ** 2  # of χ² with one degree
    low, high = _interval(problem, centre, radius, radii, limit)
    wider = replace(problem, sigma=problem.sigma * (1 + settings.psf_relative_sd))
    near = np.geomspace(radius / 1.35, radius * 1.35, 9)
    shift = abs(_best_radius(wider, centre, near) - radius)
    half = normal_quantile(0.5 + settings.confidence / 2) * shift
    low, high = radius - math.hypot(radius - low, half), radius + math.hypot(high - radius, half)
    ball = blurred_sphere(problem.points, centre, radius, problem.sigma)
    return SphereFit(
        diameter_mm=2 * radius,
        diameter_ci_mm=(max(2 * low, 0.0), 2 * high),
        centre_lps=image.grid.to_world((centre + origin) / image.grid.spacing),
        contrast=float(coefficients[0]),
        background=float(coefficients[1]),
        residual_sd=noise,
        contrast_known=problem.prior is not None,
        snr=abs(float(coefficients[0])) * float(np.linalg.norm(ball - ball.mean())) / problem.noise,
    )
