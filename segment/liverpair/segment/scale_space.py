"""Background removal and blob responses over scales: normalised smoothing, weakest Hessian curvature, peaks.

Arrays are [i, j, k], float32; widths are in mm. Gaussian widths are floored at 0.6 voxel per axis: below that
the sampled second derivative answers to single voxels, and thick slices turn into artefacts (spec
registration.md).
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

__all__ = [
    "axis_sigma",
    "blob_response",
    "local_background",
    "local_maxima",
    "robust_sd",
    "weakest_curvature",
]

#: Narrowest Gaussian in voxels along any axis.
SIGMA_FLOOR_VOXELS = 0.6
#: Standard deviation of a normal distribution per median absolute deviation.
SD_PER_MAD = 1.4826
#: Gaussians are cut here; the lost tail is 3e-3 of their weight and does not move a maximum.
TRUNCATE = 3.0


def axis_sigma(sigma_mm: float, spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian width in voxels along each axis, floored at SIGMA_FLOOR_VOXELS."""
    return np.maximum(sigma_mm / spacing, SIGMA_FLOOR_VOXELS)


def robust_sd(values: NDArray[Any]) -> tuple[float, float]:
    """Median and 1.4826·MAD of the values; the second is 0 for fewer than two."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else 0.0), 0.0
    centre = float(np.median(values))
    return centre, SD_PER_MAD * float(np.median(np.abs(values - centre)))


def _coarse(array: NDArray[np.float32], step: tuple[int, ...]) -> NDArray[np.float32]:
    """Block means of size ``step``; the array is padded with zeros to whole blocks."""
    pad = [(0, -n % s) for n, s in zip(array.shape, step, strict=True)]
    padded = np.pad(array, pad)
    shape = [x for n, s in zip(padded.shape, step, strict=True) for x in (n // s, s)]
    return np.asarray(padded.reshape(shape).mean(axis=(1, 3, 5)), dtype=np.float32)


def local_background(
    values: NDArray[np.float32],
    region: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    sigma_mm: float,
    reject: tuple[float, float] = (2.5, 2.5),
    rounds: int = 4,
) -> NDArray[np.float32]:
    """Smooth background of ``region``: normalised Gaussian mean without foci, defined everywhere.

    Voxels further than ``reject`` = (below, above) robust standard deviations from the background are left
    out and the mean is taken again, ``rounds`` times, so that a large lesion does not become its own
    background. Where the region (or what is left of it) is far away, the region's median takes over. Worked
    on ~sigma/4 blocks, since the result is smooth.
    """
    step = tuple(int(max(1, round(sigma_mm / 4 / h))) for h in spacing)
    inside = region & np.isfinite(values)
    if not inside.any():
        return np.zeros_like(values)
    weight = inside.astype(np.float32)
    sigma = sigma_mm / (spacing * np.asarray(step))
    centre = float(np.median(values[inside]))
    background = np.full(values.shape, centre, dtype=np.float32)
    for _ in range(rounds):
        top = gaussian_filter(_coarse(values * weight, step), sigma, mode="constant", truncate=TRUNCATE)
        bottom = gaussian_filter(_coarse(weight, step), sigma, mode="constant", truncate=TRUNCATE)
        # A hundredth of full coverage is worth as much as the region's median: no division by nothing.
        smooth = (top + 0.01 * centre) / (bottom + 0.01)
        background = _expand(smooth, step, values.shape)
        residual = (values - background)[inside]
        middle, sd = robust_sd(residual)
        kept = (residual >= middle - reject[0] * sd) & (residual <= middle + reject[1] * sd)
        weight[inside] = kept
        centre = float(np.median(values[inside][kept])) if kept.any() else centre
    return background


def _expand(coarse: NDArray[np.float32], step: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Linear interpolation of block means back to voxels."""
    result = coarse
    for axis, (size, block) in enumerate(zip(shape, step, strict=True)):
        at = np.clip((np.arange(size) + 0.5) / block - 0.5, 0, result.shape[axis] - 1)
        low = np.minimum(at.astype(int), max(result.shape[axis] - 2, 0))
        high = np.minimum(low + 1, result.shape[axis] - 1)
        weight = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        result = np.take(result, low, axis=axis) * (1 - weight) + np.take(result, high, axis=axis) * weight
    return np.asarray(result, dtype=np.float32)


@numba.njit(cache=True)
def _eigen3(a: float, b: float, c: float, d: float, e: float, f: float) -> tuple[float, float, float]:
    """Ascending eigenvalues of [[a, d, e], [d, b, f], [e, f, c]] in closed form (trigonometric)."""
    off = d * d + e * e + f * f
    mean = (a + b + c) / 3.0
    spread = (a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2 + 2.0 * off
    if spread < 1e-30:
        return mean, mean, mean
    p = math.sqrt(spread / 6.0)
    aa, bb, cc = (a - mean) / p, (b - mean) / p, (c - mean) / p
    dd, ee, ff = d / p, e / p, f / p
    half = (aa * (bb * cc - ff * ff) - dd * (dd * cc - ff * ee) + ee * (dd * ff - bb * ee)) / 2.0
    angle = math.acos(min(1.0, max(-1.0, half))) / 3.0
    high = mean + 2.0 * p * math.cos(angle)
    low = mean + 2.0 * p * math.cos(angle + 2.0943951023931953)
    return low, 3.0 * mean - high - low, high


@numba.njit(cache=True)
def _curvature(
    image: NDArray[np.float32],
    scale: NDArray[np.float64],
    sign: float,
    weakest: NDArray[np.float32],
    blobness: NDArray[np.float32],
) -> None:
    """Fill the weakest scale-normalised curvature (> 0 in blobs of the sign) and λ₁/√(λ₂λ₃) of the inner
    voxels.
    """
    n0, n1, n2 = image.shape
    for i in range(1, n0 - 1):
        for j in range(1, n1 - 1):
            for k in range(1, n2 - 1):
                v = image[i, j, k]
                a = (image[i + 1, j, k] - 2 * v + image[i - 1, j, k]) * scale[0] * scale[0]
                b = (image[i, j + 1, k] - 2 * v + image[i, j - 1, k]) * scale[1] * scale[1]
                c = (image[i, j, k + 1] - 2 * v + image[i, j, k - 1]) * scale[2] * scale[2]
                d = image[i + 1, j + 1, k] - image[i + 1, j - 1, k] - image[i - 1, j + 1, k] + image[i - 1, j - 1, k]
                e = image[i + 1, j, k + 1] - image[i + 1, j, k - 1] - image[i - 1, j, k + 1] + image[i - 1, j, k - 1]
                f = image[i, j + 1, k + 1] - image[i, j + 1, k - 1] - image[i, j - 1, k + 1] + image[i, j - 1, k - 1]
                d *= 0.25 * scale[0] * scale[1]
                e *= 0.25 * scale[0] * scale[2]
                f *= 0.25 * scale[1] * scale[2]
                low, middle, high = _eigen3(-sign * a, -sign * b, -sign * c, -sign * d, -sign * e, -sign * f)
                weakest[i, j, k] = low
                if low > 0.0 and middle * high > 0.0:
                    blobness[i, j, k] = min(1.0, low / math.sqrt(middle * high))


def weakest_curvature(
    smoothed: NDArray[np.float32], sigma_voxels: NDArray[np.float64], sign: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weakest scale-normalised curvature and blobness λ₁/√(λ₂λ₃) ∈ [0, 1] of a smoothed image.

    ``sign`` +1 answers to bright blobs, −1 to dark ones; the response is positive only where all three
    curvatures have the blob's sign, so tubes (one curvature near 0) and sheets (two) stay silent.
    """
    image = np.ascontiguousarray(np.pad(smoothed, 1, mode="edge"), dtype=np.float32)
    weakest, blobness = np.zeros_like(image), np.zeros_like(image)
    _curvature(image, np.asarray(sigma_voxels, dtype=np.float64), float(sign), weakest, blobness)
    inner = (slice(1, -1),) * 3
    return weakest[inner], blobness[inner]


def blob_response(
    values: NDArray[np.float32], spacing: NDArray[np.float64], diameter_mm: float, sign: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """weakest_curvature at the scale that a ball of ``diameter_mm`` answers best to, σ = d/(2√3)."""
    sigma = axis_sigma(diameter_mm / (2.0 * math.sqrt(3.0)), spacing)
    smoothed = gaussian_filter(values, sigma, mode="nearest", truncate=TRUNCATE)
    return weakest_curvature(smoothed, sigma, sign)


def local_maxima(
    response: NDArray[np.float32],
    region: NDArray[np.bool_],
    threshold: float,
    reach: tuple[int, int, int] = (1, 1, 1),
) -> NDArray[np.int64]:
    """Indices (n, 3) of the region's voxels over ``threshold`` that no neighbour within ``reach`` exceeds.

    Strongest first; equals are kept once, the first in memory order, so the result never depends on threads.
    """
    over = region & (response > threshold)
    if not over.any():
        return np.zeros((0, 3), dtype=np.int64)
    size = tuple(2 * r + 1 for r in reach)
    peaks = np.argwhere(over & (response >= maximum_filter(response, size=size, mode="nearest")))
    order = np.argsort(-response[tuple(peaks.T)], kind="stable")
    return peaks[order]
