"""Fit blurred bodies of even uptake to a piece of a PET: one ellipsoid (hollow or not), or two spheres.

An ellipsoid and two spheres have ten parameters each, so their misfits compare as they are. A blurred sphere has a
closed form (spec lesions.md, partial volume); a blurred ellipsoid has one in frequency space, where a ball's transform
is 4π(sin q − q cos q)/q³, the ellipsoid stretches q, and blur and voxel are factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf

from liverpair.core.units import FWHM_PER_SIGMA

__all__ = ["Fit", "Patch", "fit_breathing_spheres", "fit_ellipsoid", "fit_spheres", "painted", "sphere"]

Floats = NDArray[np.float64]

#: Diameters (mm) that a body may take: below, a PET sees a point; above, the image shows the shape without a model.
DIAMETERS_MM = (4.0, 60.0)
#: The background is known to this share of itself: the liver is uneven, and the fit may shift it so far.
BACKGROUND_ERROR = 0.1
#: Cores of hollow bodies are tried that take this share of the radius.
CORE_SHARES = (0.1, 0.85)
#: What breathing adds to the blur along the patient (SD, mm): 0.35 of the range of a cos⁴ course, which is 3 to 23 mm.
BREATHING_MM, BREATHING_START_MM = (1.0, 8.0), 3.0
#: So many evaluations of a model a parameter; misfits are compared to a hundredth.
EVALUATIONS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A box of a PET (n0, n1, n2): ``excess`` SUV over the ``background``, ``weight`` 1 / SD of its noise, ``mask`` of
    the voxels that count, ``spacing`` (3,) mm, ``fwhm_mm`` of the PSF. Places are mm from the first voxel's centre
    along the axes.
    """

    excess: Floats
    background: float
    weight: Floats
    mask: NDArray[np.bool_]
    spacing: Floats
    fwhm_mm: float

    @property
    def sigma(self) -> Floats:
        """SD (3,) of the blur in mm, a voxel's own width included."""
        return np.asarray(np.sqrt((self.fwhm_mm / FWHM_PER_SIGMA) ** 2 + self.spacing**2 / 12.0))

    def points(self) -> Floats:
        """Places (m, 3) of the voxels that count."""
        return np.asarray(np.argwhere(self.mask) * self.spacing)

    def waves(self) -> Floats:
        """Angular frequencies (n0, n1, n2 // 2 + 1, 3) of the box, per mm."""
        shape = self.mask.shape
        axes = [np.fft.fftfreq(n, h) for n, h in zip(shape[:2], self.spacing[:2], strict=True)]
        axes.append(np.fft.rfftfreq(shape[2], self.spacing[2]))
        return 2.0 * math.pi * np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """``centres`` (n, 3) mm and ``diameters`` (n,) mm of the bodies, and their uptake over the background (n,).

    ``model`` (m,) is that of the voxels that count, with the background's shift, in SDs of the noise; ``misfit`` the
    sum of squares that it leaves; ``breathing`` what was added to the blur's SD (3,), mm.
    """

    centres: Floats
    diameters: Floats
    heights: Floats
    model: Floats
    misfit: float
    breathing: tuple[float, float, float] = (0.0, 0.0, 0.0)


def sphere(points: Floats, centre: Floats, diameter: float, sigma: float) -> Floats:
    """A ball of uptake 1 at ``centre`` under a Gaussian of ``sigma`` mm, at ``points`` (..., 3)."""
    r = np.sqrt(np.maximum(((points - centre) ** 2).sum(axis=-1), 1e-4))
    near, far = (0.5 * diameter - r) / (math.sqrt(2) * sigma), (0.5 * diameter + r) / (math.sqrt(2) * sigma)
    tail = sigma / (r * math.sqrt(2 * math.pi)) * (np.exp(-(near**2)) - np.exp(-(far**2)))
    return np.asarray(0.5 * (erf(near) + erf(far)) - tail)


def _ball_transform(q: Floats) -> Floats:
    return np.asarray(4.0 * math.pi * (np.sin(q) - q * np.cos(q)) / q**3)


def _solve(patch: Patch, columns: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Heights of the bodies (never negative), the model and what it misses, weighted; the last of these is how far the
    background had to be shifted, in its own SDs.
    """
    weight = patch.weight[patch.mask]
    data = patch.excess[patch.mask] * weight
    columns = [c * weight for c in columns]
    shift = 1.0 / (BACKGROUND_ERROR * max(patch.background, 1e-6))
    used = list(range(len(columns)))
    while True:
        design = np.stack([columns[n] for n in used] + [weight], axis=1)
        normal = design.T @ design
        normal[-1, -1] += shift**2
        normal[np.diag_indices(len(normal))] += 1e-9 * float(np.max(np.diag(normal)))
        found = np.linalg.solve(normal, design.T @ data)
        lowest = int(np.argmin(found[:-1])) if used else 0
        if not used or found[lowest] >= 0:
            break
        used.pop(lowest)
    heights = np.zeros(len(columns))
    heights[used] = found[:-1]
    model = design @ found
    return heights, model, np.append(model - data, found[-1] * shift)


def _fit(
    patch: Patch, columns: Callable[[Floats], list[Floats]], start: Floats
) -> tuple[Floats, Floats, Floats, float]:
    """The parameters that leave least; heights, model and sum of squares with them."""

    def left(p: Floats) -> Floats:
        return _solve(patch, columns(p))[2]

    best = least_squares(left, start, method="lm", max_nfev=EVALUATIONS * (len(start) + 1), ftol=1e-3, xtol=1e-3)
    heights, model, misfit = _solve(patch, columns(best.x))
    return np.asarray(best.x), heights, model, float(misfit @ misfit)


def _bounded(p: Floats | float, low: float, high: float) -> Floats:
    return np.asarray(low * (high / low) ** (1.0 / (1.0 + np.exp(-np.clip(p, -30.0, 30.0)))))


def _free(value: Floats | float, low: float, high: float) -> Floats:
    share = np.clip(np.log(np.asarray(value) / low) / math.log(high / low), 0.02, 0.98)
    return np.asarray(np.log(share / (1.0 - share)))


def fit_spheres(patch: Patch, centres: Floats, diameters: Floats) -> Fit:
    """Blurred spheres, as many as ``centres`` (n, 3) mm to start from, with ``diameters`` (n,) mm."""
    points, sigma, n = patch.points(), float(np.sqrt(np.mean(patch.sigma**2))), len(centres)

    def columns(p: Floats) -> list[Floats]:
        places, sizes = p[: 3 * n].reshape(n, 3), _bounded(p[3 * n :], *DIAMETERS_MM)
        return [sphere(points, places[i], float(sizes[i]), sigma) for i in range(n)]

    p, heights, model, misfit = _fit(patch, columns, np.append(centres.ravel(), _free(diameters, *DIAMETERS_MM)))
    return Fit(p[: 3 * n].reshape(n, 3), _bounded(p[3 * n :], *DIAMETERS_MM), heights, model, misfit)


class _Waves:
    """Blurred spheres in frequency space, for a blur that differs between the axes."""

    def __init__(self, patch: Patch) -> None:
        self.patch, self.waves = patch, patch.waves()
        self.length = np.sqrt((self.waves**2).sum(axis=-1))
        self.length[0, 0, 0] = 1e-3

    def spheres(self, centres: Floats, diameters: Floats, breathing: Floats) -> list[Floats]:
        """Spheres of uptake 1 on the whole box, the SD of their blur widened by ``breathing`` (3,) mm."""
        sigma = np.sqrt(self.patch.sigma**2 + breathing**2)
        blur = np.exp(-0.5 * ((self.waves * sigma) ** 2).sum(axis=-1)) / float(np.prod(self.patch.spacing))
        return [
            np.fft.irfftn(
                blur * r**3 * _ball_transform(r * self.length) * np.exp(-1j * (self.waves @ centre)),
                self.patch.mask.shape,
                axes=(0, 1, 2),
            )
            for centre, r in zip(centres, 0.5 * diameters, strict=True)
        ]


def painted(patch: Patch, fit: Fit) -> list[Floats]:
    """The spheres of a fit on the whole box, uptake 1 each."""
    if any(fit.breathing):
        return _Waves(patch).spheres(fit.centres, fit.diameters, np.asarray(fit.breathing))
    points = np.indices(patch.mask.shape).transpose(1, 2, 3, 0) * patch.spacing
    sigma = float(np.sqrt(np.mean(patch.sigma**2)))
    return [sphere(points, c, float(d), sigma) for c, d in zip(fit.centres, fit.diameters, strict=True)]


def fit_breathing_spheres(patch: Patch, centres: Floats, diameters: Floats, along: int) -> Fit:
    """As ``fit_spheres``, with a blur along axis ``along`` that the fit widens by one amount for all of them."""
    waves, n = _Waves(patch), len(centres)
    way = np.eye(3)[along]

    def columns(p: Floats) -> list[Floats]:
        sizes, wider = _bounded(p[3 * n : 4 * n], *DIAMETERS_MM), float(_bounded(p[-1], *BREATHING_MM))
        return [body[patch.mask] for body in waves.spheres(p[: 3 * n].reshape(n, 3), sizes, wider * way)]

    wider = _free(np.array([BREATHING_START_MM]), *BREATHING_MM)
    p, heights, model, misfit = _fit(
        patch, columns, np.concatenate((centres.ravel(), _free(diameters, *DIAMETERS_MM), wider))
    )
    x, y, z = (float(v) for v in float(_bounded(p[-1], *BREATHING_MM)) * way)
    sizes = _bounded(p[3 * n : 4 * n], *DIAMETERS_MM)
    return Fit(p[: 3 * n].reshape(n, 3), sizes, heights, model, misfit, (x, y, z))


def fit_ellipsoid(patch: Patch, centre: Floats, spread: Floats, hollow: bool = False) -> tuple[Fit, Floats]:
    """One blurred ellipsoid, from ``centre`` (3,) mm and ``spread`` (3, 3) mm, a lower triangle that takes the unit
    ball to it; ``hollow``: with a concentric core of its own uptake. Returns the fit and its own triangle.
    """
    waves, shape, corner = patch.waves(), patch.mask.shape, np.tril_indices(3, -1)
    blur = np.exp(-0.5 * ((waves * patch.sigma) ** 2).sum(axis=-1)) / float(np.prod(patch.spacing))
    radii = DIAMETERS_MM[0] / 2, DIAMETERS_MM[1] / 2

    def triangle(p: Floats) -> Floats:
        found = np.diag(_bounded(p[3:6], *radii))
        found[corner] = p[6:9]
        return found

    def columns(p: Floats) -> list[Floats]:
        a = triangle(p)
        q = np.sqrt(((waves @ a) ** 2).sum(axis=-1))
        q[0, 0, 0] = 1e-2
        there = blur * np.exp(-1j * (waves @ p[:3])) * float(np.prod(np.diag(a)))
        bodies = [_ball_transform(q)]
        if hollow:
            share = float(_bounded(p[9], *CORE_SHARES))
            core = share**3 * _ball_transform(share * q)
            bodies = [bodies[0] - core, core]
        return [np.fft.irfftn(body * there, shape, axes=(0, 1, 2))[patch.mask] for body in bodies]

    start = np.concatenate((centre, _free(np.diag(spread), *radii), spread[corner]))
    p, heights, model, misfit = _fit(patch, columns, np.append(start, 0.0) if hollow else start)
    a = triangle(p)
    size = 2.0 * float(np.prod(np.diag(a))) ** (1 / 3)
    return Fit(p[None, :3], np.array([size]), heights[:1], model, misfit), a
