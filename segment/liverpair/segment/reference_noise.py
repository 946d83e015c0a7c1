"""Estimate the sd and the smoothness of image noise inside a region by fitting its variogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.liver_morphology import BoolArray

__all__ = ["NoiseFit", "fit_noise"]

#: Differences are taken up to this distance: twice the resolution of any clinical PET or SPECT in use.
LONGEST_LAG_MM = 16.0
#: Fewer voxels than this carry too few independent noise grains for a smoothness.
LEAST_VOXELS = 60


@dataclass(frozen=True, slots=True)
class NoiseFit:
    """``sd`` of voxel values and ``fwhm_mm`` (geometric mean over the axes) of the noise's point spread."""

    sd: float
    fwhm_mm: float
    flags: tuple[str, ...] = ()


def _detrended(values: NDArray[np.float64], region: BoolArray, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """``values`` minus the plane that fits the region best (uptake drifts across the liver); 0 outside."""
    index = np.argwhere(region) * spacing
    centred = index - index.mean(axis=0)
    basis = np.column_stack([np.ones(len(centred)), centred])
    data = values[region]
    coefficients, *_ = np.linalg.lstsq(basis, data, rcond=None)
    out = np.zeros(values.shape)
    out[region] = data - basis @ coefficients
    return out


def _variogram(
    residual: NDArray[np.float64], region: BoolArray, spacing: NDArray[np.float64]
) -> list[tuple[int, float, float, int]]:
    """(axis, lag in mm, half mean squared difference, number of pairs) for lags along each axis."""
    rows = []
    for axis in range(3):
        steps = max(2, int(LONGEST_LAG_MM / spacing[axis]))
        a, r = np.moveaxis(residual, axis, 0), np.moveaxis(region, axis, 0)
        for step in range(1, min(steps, a.shape[0] - 1) + 1):
            both = r[step:] & r[:-step]
            pairs = int(both.sum())
            if pairs >= 10:
                difference = (a[step:] - a[:-step])[both]
                rows.append((axis, step * float(spacing[axis]), float(np.mean(difference**2)) / 2, pairs))
    return rows


def fit_noise(values: NDArray[np.float64], region: BoolArray, spacing: NDArray[np.float64]) -> NoiseFit:
    """Fit γ(h) = σ²·(1 − exp(−h²/4s²)) with a common σ² and an s per axis: white noise through a Gaussian.

    ``values`` and ``region`` have the same shape, ``spacing`` is (3,) in mm. The FWHM is that of the Gaussian
    that made the noise, s·2.3548; white noise gives less than one voxel.
    """
    data = values[region]
    plain = float(data.std(ddof=1)) if len(data) > 1 else 0.0
    if len(data) < LEAST_VOXELS or not plain > 0:
        return NoiseFit(max(plain, 1e-6), float(spacing.prod() ** (1 / 3)) * 2, ("small_noise_sample",))
    residual = _detrended(values, region, spacing)
    rows = _variogram(residual, region, spacing)
    axis = np.asarray([row[0] for row in rows])
    lag, half = np.asarray([row[1] for row in rows]), np.asarray([row[2] for row in rows])
    weight = np.sqrt(np.asarray([row[3] for row in rows], dtype=np.float64)) / np.maximum(half, 1e-12)
    present = sorted(set(axis.tolist()))

    def misfit(p: NDArray[np.float64]) -> NDArray[np.float64]:
        s = np.exp(p[1:])[axis]
        return (np.exp(p[0]) * (1 - np.exp(-((lag / (2 * s)) ** 2))) - half) * weight

    start = np.concatenate([[np.log(residual[region].var())], np.log(np.full(3, 2.5))])
    bounds = ([start[0] - 1.0, *np.log([0.3] * 3)], [start[0] + 1.0, *np.log([8.0] * 3)])
    fit = least_squares(misfit, start, bounds=bounds)
    sigma = np.exp(fit.x[1:])[present]
    return NoiseFit(float(np.exp(fit.x[0] / 2)), float(np.exp(np.log(sigma).mean())) * FWHM_PER_SIGMA)
