"""The PET/CT: sampling of the canonical anatomy, point spread, respiratory blur and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.simulate.anatomy import Anatomy
from liverpair.simulate.lesions import PlacedLesion
from liverpair.simulate.motion import BREATHING_CENTRE_MM, BREATHING_WIDTH_MM
from liverpair.simulate.render import compose, paint_lesions, sampling_matrix
from liverpair.simulate.space import Space, along_axes
from liverpair.simulate.texture import correlated_noise

__all__ = ["acquire_ct", "acquire_pet"]

#: In-plane resolution of a soft CT kernel and of the noise it leaves.
CT_FWHM_MM = 1.6
CT_NOISE_FWHM_MM = (2.6, 2.6, 2.0)
#: Relative sd of the liver's low-frequency texture on CT (see `compose`), about 1 HU: half of PET's and MRI's default.
CT_HETEROGENEITY = 0.015
#: PET noise is smoother than a voxel: the reconstruction's post-filter.
PET_NOISE_FWHM_MM = 5.0
#: Uptake below which the noise no longer falls, relative to liver: scatter and randoms.
PET_NOISE_FLOOR = 0.05

Lesions = Sequence[tuple[PlacedLesion, float]]


def _grid(
    extent_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    offset: NDArray[np.float64],
    frame: str,
) -> Grid:
    """An axial grid centred on the anatomy's origin, slices from feet to head."""
    shape = tuple(int(e // s) for e, s in zip(extent_mm, spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = np.asarray(offset) - (np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm)
    return Grid((shape[0], shape[1], shape[2]), affine, frame)


def _axes(grid: Grid, offset: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [grid.origin[n] - offset[n] + grid.spacing[n] * np.arange(grid.shape[n]) for n in range(3)]


def _canonical_grid(space: Space) -> Grid:
    affine = np.diag([space.step, space.step, space.step, 1.0])
    affine[:3, 3] = (space.x[0], space.y[0], space.z[0])
    return Grid(space.shape, affine)


def _drawn(
    anatomy: Anatomy, values: Mapping[str, float], lesions: Lesions, outside: float, heterogeneity: float
) -> NDArray[np.float32]:
    """Tissues and lesions with their values on the canonical grid (n0, n1, n2), before any scanner blurs them."""
    image = compose(anatomy, values, outside, heterogeneity)
    placed = [(lesion, lesion.centre, value) for lesion, value in lesions]
    paint_lesions(image, _canonical_grid(anatomy.space), lambda p: p, placed)
    return image


def acquire_ct(
    rng: np.random.Generator,
    anatomy: Anatomy,
    values: Mapping[str, float],
    lesions: Lesions,
    offset: NDArray[np.float64],
    frame: str,
    extent_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    noise_hu: float,
) -> tuple[Volume, Mask]:
    """The CT in HU and the liver's true mask on its grid; ``offset`` takes anatomy to LPS."""
    grid = _grid(extent_mm, spacing_mm, offset, frame)
    space = anatomy.space
    targets = _axes(grid, offset)
    sources = (space.x, space.y, space.z)
    psf = [
        sampling_matrix(s, t, w, f)
        for s, t, w, f in zip(sources, targets, spacing_mm, (CT_FWHM_MM, CT_FWHM_MM, 0.0), strict=True)
    ]
    image = _drawn(anatomy, values, lesions, values["air"], CT_HETEROGENEITY)
    hu = along_axes(image, (psf[0], psf[1], psf[2]))
    hu += np.float32(noise_hu) * correlated_noise(rng, grid.shape, CT_NOISE_FWHM_MM, grid.spacing)
    liver = along_axes(anatomy.liver, (psf[0], psf[1], psf[2])) >= 0.5
    return Volume(np.clip(hu, -1024, 3000), grid, Unit.HOUNSFIELD), Mask(liver, grid)


def respiratory_shifts(amplitude_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offsets (mm) and weights of free breathing: long at end-expiration, short inspirations (cos⁴ law).

    The offsets' mean is 0, so that a lesion's true centre is its time-averaged one.
    """
    phase = (np.arange(48) + 0.5) / 48 * np.pi
    position = -amplitude_mm * np.cos(phase) ** 4  # negative: towards the feet
    offsets, which = np.unique(np.round(position, 1), return_inverse=True)
    weights = np.bincount(which) / len(phase)
    return offsets - (offsets * weights).sum(), weights


def acquire_pet(
    rng: np.random.Generator,
    anatomy: Anatomy,
    values: Mapping[str, float],
    lesions: Lesions,
    offset: NDArray[np.float64],
    frame: str,
    extent_mm: tuple[float, float, float],
    spacing_mm: tuple[float, float, float],
    fwhm_mm: float,
    cov: float,
    respiration_mm: float,
    heterogeneity: float,
    drift_mm: float = 0.0,
) -> Volume:
    """The PET in SUVbw. ``cov`` is the liver's voxel noise (sd / mean), ``respiration_mm`` peak to peak.

    ``drift_mm``: how much higher the liver and what breathes with it lie, on average, than in the CT.
    """
    grid = _grid(extent_mm, spacing_mm, offset, frame)
    space = anatomy.space
    image = _drawn(anatomy, values, lesions, 0.0, heterogeneity)
    targets = _axes(grid, offset)
    sources = (space.x, space.y, space.z)
    x, y, still = (sampling_matrix(s, t, w, fwhm_mm) for s, t, w in zip(sources, targets, spacing_mm, strict=True))
    offsets, shares = respiratory_shifts(respiration_mm)
    moving = sampling_matrix(sources[2], targets[2], spacing_mm[2], fwhm_mm, (offsets + drift_mm, shares))
    weight = np.ones(grid.shape, dtype=np.float32)
    for axis in range(3):
        bump = np.exp(-0.5 * ((targets[axis] - BREATHING_CENTRE_MM[axis]) / BREATHING_WIDTH_MM[axis]) ** 2)
        weight *= bump.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    weight = np.minimum(weight * np.float32(1.25), 1)
    quiet, blurred = along_axes(image, (x, y, still)), along_axes(image, (x, y, moving))
    suv = quiet + weight * (blurred - quiet)
    liver = np.float32(values["liver"])
    noise = correlated_noise(rng, grid.shape, (PET_NOISE_FWHM_MM,) * 3, grid.spacing)
    suv += np.float32(cov) * liver * np.sqrt(np.maximum(suv / liver, PET_NOISE_FLOOR)) * noise
    return Volume(np.maximum(suv, 0), grid, Unit.SUVBW)
