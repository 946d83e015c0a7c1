"""Peaks of distinct avid foci: local maxima over t, those without a valley between them merged, spill told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import connected_above
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings
from liverpair.segment.scale_space import local_maxima

__all__ = ["find_seeds", "light_noise"]

#: Peaks and valleys are read in the image smoothed by this share of the noise's width.
LIGHT_WIDTH = 0.5


def light_noise(sigma: NDArray[np.float64]) -> float:
    """What the light smoothing leaves of the SD of noise that a Gaussian of ``sigma`` (3,) voxels made."""
    left = 1.0
    for width in sigma:
        point = np.zeros(2 * int(np.ceil(6 * width)) + 1)
        point[len(point) // 2] = 1.0
        made = gaussian_filter(point, float(width))
        left *= float(np.linalg.norm(gaussian_filter(made, LIGHT_WIDTH * float(width))) / np.linalg.norm(made))
    return left


def find_seeds(field: PetField, t: float, settings: PetDetectionSettings) -> tuple[NDArray[np.int64], list[bool]]:
    """Peaks (n, 3) of distinct foci, strongest first, and whether each belongs to a hot neighbour."""
    reach = np.maximum(np.round(0.5 * settings.resolution_fwhm_mm / field.spacing).astype(int), 1)
    peaks = local_maxima(field.z, field.domain, t, (int(reach[0]), int(reach[1]), int(reach[2])))
    sigma = field.noise_fwhm_mm / FWHM_PER_SIGMA / field.spacing
    light = gaussian_filter(field.suv, LIGHT_WIDTH * sigma, mode="nearest")
    noise = light_noise(sigma) * field.noise.sd
    kept: list[NDArray[np.int64]] = []
    spill: list[bool] = []
    over = field.domain & (field.z >= t)
    for peak in peaks:
        top = _climb(light, peak, over, reach)
        verdict = _verdict(field, light, noise, top, np.array(kept, dtype=np.int64).reshape(-1, 3), settings)
        if verdict == "part":
            continue
        kept.append(top)
        spill.append(verdict == "spill_in")
    return np.array(kept, dtype=np.int64).reshape(-1, 3), spill


def _climb(
    values: NDArray[np.float32], peak: NDArray[np.int64], allowed: NDArray[np.bool_], reach: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The highest allowed voxel within ``reach`` voxels of ``peak``: where a focus found in a smoothed image is."""
    low, high = np.maximum(peak - reach, 0), np.minimum(peak + reach + 1, values.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    inside = np.where(allowed[window], values[window], -np.inf)
    return low + np.asarray(np.unravel_index(int(np.argmax(inside)), inside.shape))


def _verdict(
    field: PetField,
    light: NDArray[np.float32],
    noise: float,
    peak: NDArray[np.int64],
    kept: NDArray[np.int64],
    settings: PetDetectionSettings,
) -> str:
    """ "focus", "part" of a stronger maximum (no valley between), or "spill_in" of something outside the
    liver; ``noise`` is the SD (SUV) of that in ``light``.
    """
    reach = np.ceil(settings.neighbourhood_mm / field.spacing).astype(int)
    low, high = np.maximum(peak - reach, 0), np.minimum(peak + reach + 1, light.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values = light[window]
    here = (int(peak[0] - low[0]), int(peak[1] - low[1]), int(peak[2] - low[2]))
    background = float(field.background[tuple(peak)])
    height = float(values[here]) - background
    depth = max(settings.valley * height, min(settings.valley_sd * noise, 0.5 * height))
    hill = connected_above(values, float(values[here]) - depth, here, np.ones(values.shape, dtype=bool))
    domain = field.domain[window]
    hotter_outside = hill & ~domain & (values > values[here])
    if hotter_outside.any():
        return "part"  # the way uphill leaves the liver: the slope of a hot neighbour, not a focus of its own
    for other in kept:
        at = other - low
        if np.all(at >= 0) and np.all(at < values.shape) and hill[tuple(at)]:
            return "part"
    # Half-height region: what lies mostly outside the liver belongs to a neighbour.
    body = connected_above(values, background + 0.5 * height, here, np.ones(values.shape, dtype=bool))
    inside = int(np.count_nonzero(body & field.liver[window])) / max(int(np.count_nonzero(body)), 1)
    return "spill_in" if inside < 0.5 else "focus"
