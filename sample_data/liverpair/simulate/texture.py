"""Smooth random fields: organ wobble, tissue texture and correlated image noise, all from an explicit generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.simulate.space import Array, Space, along_axes

__all__ = ["SmoothField", "correlated_noise"]


@dataclass(frozen=True, slots=True, eq=False)
class SmoothField:
    """A unit-variance random field: Gaussian bumps of width ``scale_mm`` on a lattice, evaluable on any Space."""

    centres: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    weights: Array
    scale_mm: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, space: Space, scale_mm: float) -> SmoothField:
        """Draw a field whose correlation length is about ``scale_mm`` over the extent of ``space``."""
        centres = tuple(
            np.arange(axis[0] - 2 * scale_mm, axis[-1] + 2 * scale_mm, scale_mm) for axis in (space.x, space.y, space.z)
        )
        weights = rng.standard_normal(tuple(len(c) for c in centres), dtype=np.float32)
        return cls((centres[0], centres[1], centres[2]), weights, scale_mm)

    def on(self, space: Space) -> Array:
        """The field on a space's samples, shape ``space.shape``; mean 0, sd about 1."""
        basis = []
        for axis, centre in zip((space.x, space.y, space.z), self.centres, strict=True):
            bump = np.exp(-0.5 * ((axis[:, None] - centre[None, :]) / (0.7 * self.scale_mm)) ** 2)
            basis.append((bump / np.sqrt((bump**2).sum(axis=1, keepdims=True))).astype(np.float32))
        return along_axes(self.weights, basis)


def correlated_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    fwhm_mm: tuple[float, float, float],
    spacing_mm: NDArray[np.float64],
) -> Array:
    """White Gaussian noise smoothed to a width per axis (mm), rescaled to standard deviation 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    for axis in range(3):
        sigma = fwhm_mm[axis] / FWHM_PER_SIGMA / float(spacing_mm[axis])
        if sigma > 0.05:
            noise = ndimage.gaussian_filter1d(noise, sigma, axis=axis, truncate=3.0, mode="wrap")
    return noise / noise.std()
