"""How far a small lesion departs from a ball: its axes, with what noise alone would make of them taken into account.

The longest axis of a noisy contour is a maximum over angles, so noise only lengthens it. Here the blurred ball of
psf_fit.py is stretched instead: the image's derivatives by the five ways in which a ball becomes an ellipsoid are
fitted to what the ball leaves, with a prior on the stretch. The axes are means over what is then still possible:
without noise those of the image, in much noise those of a usual lesion of the ball's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.psf_fit import PsfFitSettings, SphereFit, blurred_sphere, noise_inflation, window_index

__all__ = ["ShapeAxes", "fit_axes"]

#: SD of each component of a small lesion's logarithmic stretch: before anything is seen its long axis is an eighth
#: longer than its short one in the mean, as in round to oval nodules.
STRETCH_SD: Final = 0.05
#: A stretch in the plane beyond this, by so many SDs, is no small change of a ball any more; across the plane the
#: slice's profile is in doubt.
LARGEST_STRETCH: Final = 0.3
CERTAIN: Final = 3.0
#: Points on the ball's surface; their weight is their share of it.
SURFACE_POINTS: Final = 256
#: Draws of what is still possible, in pairs of opposite sign.
DRAWS: Final = 64
#: Steps of an additive sequence that fills five dimensions evenly: 1/g … 1/g⁵ with g⁶ = g + 1 (Roberts' golden ratio).
EVEN_STEPS: Final = tuple(1.1347241384015194**-k for k in range(1, 6))
#: The five traceless stretches, orthonormal up to a factor: in the plane twice, across it, and the two tilts.
STRETCHES: Final = (
    np.diag([1.0, -1.0, 0.0]),
    np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
    np.diag([-1.0, -1.0, 2.0]) / 3**0.5,
    np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
)


@dataclass(frozen=True, slots=True)
class ShapeAxes:
    """mm: longest and perpendicular diameter in the axial plane through the centre, and the longest in space."""

    axial_long_mm: float
    axial_short_mm: float
    longest_mm: float


def _directions() -> NDArray[np.float64]:
    """SURFACE_POINTS unit vectors (n, 3) spread evenly (Fibonacci's spiral)."""
    number = np.arange(SURFACE_POINTS) + 0.5
    height, turn = 1 - 2 * number / SURFACE_POINTS, np.pi * (1 + 5**0.5) * number
    across = np.sqrt(1 - height**2)
    return np.column_stack([across * np.cos(turn), across * np.sin(turn), height])


def _surface_columns(
    points: NDArray[np.float64], radius: float, sigma: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The blurred ball's derivatives at ``points`` (n, 3) from its centre: by radius and centre (n, 4), by the
    stretches (n, 5). A surface that moves outwards by w adds w times the point spread around it."""
    normal = _directions()
    z = (points[:, None] - radius * normal) / sigma
    spread = np.exp(-0.5 * np.sum(z**2, axis=-1)) / ((2 * np.pi) ** 1.5 * np.prod(sigma))
    spread *= 4 * np.pi * radius**2 / SURFACE_POINTS
    moves = np.column_stack([np.ones(len(normal)), normal])
    stretched = np.column_stack([radius * np.einsum("ni,ij,nj->n", normal, b, normal) for b in STRETCHES])
    return spread @ moves, spread @ stretched


def fit_axes(
    image: Volume,
    mask: Mask,
    fit: SphereFit,
    sigma_mm: NDArray[np.float64],
    axis: int,
    exclude: NDArray[np.bool_] | None = None,
    settings: PsfFitSettings | None = None,
) -> ShapeAxes | None:
    """The axes of the lesion under ``mask`` that ``fit`` describes as a ball; same image, ``sigma_mm`` and ``exclude``.

    ``axis`` is the grid axis across the axial plane. None where the lesion is no slightly stretched ball, or where too
    few voxels say anything.
    """
    index = window_index(image, mask, (settings or PsfFitSettings()).margin_mm, exclude)
    if len(index) < 40:
        return None
    spacing = image.grid.spacing
    points = index * spacing - image.grid.to_index(fit.centre_lps) * spacing
    values = image.values[tuple(index.T)].astype(np.float64)
    sigma = np.asarray(sigma_mm, dtype=np.float64)
    radius = fit.diameter_mm / 2
    ball = blurred_sphere(points, np.zeros(3), radius, sigma)
    moved, stretched = _surface_columns(points, radius, sigma)
    plain = np.column_stack([ball, np.ones(len(ball)), points, fit.contrast * moved])
    left = values - fit.contrast * ball - fit.background
    # What contrast, background, radius and centre explain is theirs: the stretches are fitted to the rest.
    basis = np.linalg.qr(plain)[0]
    columns = fit.contrast * stretched
    columns = columns - basis @ (basis.T @ columns)
    left = left - basis @ (basis.T @ left)
    # The noise is what no stretch explains either, else a stretched lesion would be its own doubt.
    plainly = np.linalg.lstsq(columns, left, rcond=None)[0]
    rest = left - columns @ plainly
    free = max(len(rest) - basis.shape[1] - len(STRETCHES), 1)
    noise = max(float(np.sqrt(rest @ rest / free)) * np.sqrt(noise_inflation(rest, index)), 1e-12)
    told = columns.T @ columns / noise**2
    flat = float(np.hypot(plainly[0], plainly[1]))
    if flat > LARGEST_STRETCH and plainly[:2] @ told[:2, :2] @ plainly[:2] > CERTAIN**2:
        return None
    precision = told + np.eye(5) / STRETCH_SD**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ (columns.T @ left) / noise**2
    return _mean_axes(mean, covariance, fit.diameter_mm, axis)


def _mean_axes(mean: NDArray[np.float64], covariance: NDArray[np.float64], diameter: float, axis: int) -> ShapeAxes:
    """Means over draws of the stretch from a normal distribution of ``mean`` (5,) and ``covariance`` (5, 5)."""
    even = (np.arange(1, DRAWS // 2 + 1)[:, None] * np.array(EVEN_STEPS) + 0.5) % 1.0
    half = ndtri(even) @ np.linalg.cholesky(covariance).T
    stretches = np.einsum("nk,kij->nij", mean + np.vstack([half, -half]), np.array(STRETCHES))
    values, vectors = np.linalg.eigh(stretches)
    # Ellipsoid x'Px ≤ 1 with P = exp(−2·stretch)/R²; the section across ``axis`` drops its row and column.
    form = np.einsum("nik,nk,njk->nij", vectors, np.exp(-2 * values), vectors)
    kept = [i for i in range(3) if i != axis]
    section = np.linalg.eigvalsh(form[:, kept][:, :, kept])
    long, short = diameter / np.sqrt(section[:, 0]), diameter / np.sqrt(section[:, 1])
    return ShapeAxes(float(long.mean()), float(short.mean()), float((diameter * np.exp(values[:, -1])).mean()))
