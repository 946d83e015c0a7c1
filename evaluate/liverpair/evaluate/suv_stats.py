"""Statistics of voxel values in a region: maximum, mean and the 1 mL peak.

The peak is the mean in a 1 mL sphere; IBSI's local peak centres it on the region's hottest voxel, the global
peak on the voxel of the region that makes it largest. For SUVpeak the image is first upsampled to 1 mm,
because a 1 mL sphere of 4 mm voxels reads 5-10 % low (spec lesions.md). Spheres may reach outside the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from liverpair.core.volume import Mask, Volume

__all__ = ["PEAK_RADIUS_MM", "IntensityPeaks", "intensity_peaks", "suv_peak"]

#: Radius of a 1 mL sphere in mm, (3/(4π))^(1/3) cm.
PEAK_RADIUS_MM = 6.2035049
#: Step to which the image is upsampled for SUVpeak.
PEAK_STEP_MM = 1.0


@dataclass(frozen=True, slots=True)
class IntensityPeaks:
    """IBSI local and global intensity peak, in the image's unit."""

    local: float
    whole: float


def _ball(spacing: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """Index offsets (n, 3) of the voxel centres within ``radius`` mm of a voxel centre."""
    reach = np.floor(radius / spacing).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return offsets[np.linalg.norm(offsets * spacing, axis=1) <= radius + 1e-9]


def _ball_means(
    values: NDArray[np.float32], centres: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the voxels at centre + offsets that lie in the image, for each centre (n, 3)."""
    shape = np.asarray(values.shape)
    total, count = np.zeros(len(centres)), np.zeros(len(centres))
    for offset in offsets:
        at = centres + offset
        inside = np.all((at >= 0) & (at < shape), axis=1)
        kept = at[inside]
        total[inside] += values[kept[:, 0], kept[:, 1], kept[:, 2]]
        count[inside] += 1
    return total / np.maximum(count, 1)


def intensity_peaks(image: Volume, mask: Mask) -> IntensityPeaks:
    """Local and global 1 mL peak on the image's own voxels (IBSI VJGA and 0F91) of a non-empty mask."""
    centres = np.argwhere(mask.values)
    means = _ball_means(image.values, centres, _ball(image.grid.spacing, PEAK_RADIUS_MM))
    hottest = image.values[mask.values] == image.values[mask.values].max()
    return IntensityPeaks(local=float(means[hottest].max()), whole=float(means.max()))


def _upsampled_means(image: Volume, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 mL mean at fractional indices ``centres`` (n, 3), sampled every PEAK_STEP_MM by cubic
    interpolation.
    """
    offsets = _ball(np.full(3, PEAK_STEP_MM), PEAK_RADIUS_MM) * PEAK_STEP_MM
    points = centres[:, None, :] + offsets[None, :, :] / image.grid.spacing
    low = np.maximum(np.floor(points.min(axis=(0, 1))).astype(int) - 4, 0)
    high = np.minimum(np.ceil(points.max(axis=(0, 1))).astype(int) + 5, image.grid.shape)
    crop = image.values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    inside = np.all((points >= -0.5) & (points <= np.asarray(image.grid.shape) - 0.5), axis=-1)
    at = (points - low).reshape(-1, 3).T
    sampled = map_coordinates(crop.astype(np.float64), at, order=3, mode="nearest").reshape(inside.shape)
    sampled = np.clip(sampled, crop.min(), crop.max())  # a spline rings beside steep edges
    return np.where(inside, sampled, 0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)


def suv_peak(suv: Volume, mask: Mask) -> float:
    """SUVpeak: the largest 1 mL mean centred in the mask, the image upsampled to 1 mm.

    The best voxel is found on the native grid (a fast search), then the centre is refined within half a voxel
    of the three best voxels.
    """
    centres = np.argwhere(mask.values)
    spacing = suv.grid.spacing
    native = _ball_means(suv.values, centres, _ball(spacing, PEAK_RADIUS_MM))
    order = np.argsort(-native, kind="stable")[:3]
    reach = np.maximum(np.round(spacing / 2 / PEAK_STEP_MM).astype(int), 0)
    axes = [np.arange(-n, n + 1) * PEAK_STEP_MM for n in reach]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) / spacing
    trial = (centres[order][:, None, :] + shifts[None, :, :]).reshape(-1, 3)
    return float(_upsampled_means(suv, trial).max())
