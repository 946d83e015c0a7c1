"""Put synthetic lesions into a PET: balls of known diameter and uptake, blurred as the scanner and breathing blur.

A ball of true tumour-to-liver ratio T adds (T − 1)·L·f(r) to the image: L is the liver reference's mean and f the
closed-form profile of partial_volume.py, averaged over the breathing cycle where there is one. What a brighter
place adds to the noise goes with it: the image's own deviation from its local mean grows by (signal/mean)^p, p = 1
where the coefficient of variation stays the same (iterative reconstruction: Barrett, Wilson, Tsui, Phys Med Biol 39
(1994) 833), p = ½ where the noise is Poisson's, p = 0 where it does not depend on the signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import Volume
from liverpair.evaluate.partial_volume import breathing_displacements, profile

__all__ = ["Insert", "InsertSettings", "insert_lesions"]

#: Beyond this many σ of the blur a ball adds less than 1e-4 of its contrast.
REACH_SIGMA = 4.5
#: Radial steps per σ of the profile's table; linear interpolation is then good to 1e-3 of the contrast.
STEPS_PER_SIGMA = 25


@dataclass(frozen=True, slots=True, eq=False)
class Insert:
    """One synthetic lesion: its time-averaged centre (3,) LPS mm, diameter in mm and true ratio T to the liver."""

    centre_lps: NDArray[np.float64]
    diameter_mm: float
    ratio: float


@dataclass(frozen=True, slots=True)
class InsertSettings:
    """``fwhm_mm``: the PET's resolution without its voxels, which are added; ``breathing_mm``: the cranio-caudal
    amplitude, peak to peak, during the scan; ``noise_power``: p above; ``smooth_fwhm_mm``: the width over which the
    image's local mean is taken, wider than a noise grain and narrower than the liver's own unevenness.
    """

    fwhm_mm: float
    breathing_mm: float = 0.0
    noise_power: float = 1.0
    smooth_fwhm_mm: float = 20.0

    def __post_init__(self) -> None:
        if self.fwhm_mm <= 0 or self.breathing_mm < 0 or not 0 <= self.noise_power <= 1 or self.smooth_fwhm_mm <= 0:
            raise ConfigError("insertion: positive widths, a breathing amplitude ≥ 0, a noise power from 0 to 1")


def _shape_at(
    points: NDArray[np.float64], lesion: Insert, settings: InsertSettings, voxel_mm: float
) -> NDArray[np.float64]:
    """The blurred ball, in [0, 1], at points (n, 3) LPS mm."""
    offset = points - lesion.centre_lps
    sigma = float(np.hypot(settings.fwhm_mm / FWHM_PER_SIGMA, voxel_mm / 12**0.5))
    reach = lesion.diameter_mm / 2 + REACH_SIGMA * sigma + settings.breathing_mm
    table_at = np.linspace(0.0, reach, int(np.ceil(reach / sigma * STEPS_PER_SIGMA)) + 1)
    table = profile(table_at, lesion.diameter_mm, settings.fwhm_mm, voxel_mm)
    across = offset[:, 0] ** 2 + offset[:, 1] ** 2
    total = np.zeros(len(points))
    moves = breathing_displacements(settings.breathing_mm)
    for move in moves - moves.mean():  # the centre given is the time-averaged one
        total += np.interp(np.sqrt(across + (offset[:, 2] - move) ** 2), table_at, table, right=0.0)
    return total / len(moves)


def insert_lesions(suv: Volume, liver_mean: float, lesions: Sequence[Insert], settings: InsertSettings) -> Volume:
    """``suv`` (SUVbw) with the lesions added; ``liver_mean`` is the liver reference's mean in the same unit.

    The lesions' contributions add up where they overlap. Raises UsageError for a liver mean that is not positive.
    """
    if liver_mean <= 0:
        raise UsageError(f"the liver's mean uptake must be positive, got {liver_mean}")
    grid = suv.grid
    voxel = float(np.sqrt(np.mean(grid.spacing**2)))
    rise = np.zeros(grid.shape)  # in liver means
    reach = settings.fwhm_mm * REACH_SIGMA / FWHM_PER_SIGMA + voxel * 2 + settings.breathing_mm
    for lesion in lesions:
        at = grid.to_index(lesion.centre_lps)
        half = (lesion.diameter_mm / 2 + reach) / grid.spacing
        low = np.clip(np.floor(at - half).astype(int), 0, grid.shape)
        high = np.clip(np.ceil(at + half).astype(int) + 1, 0, grid.shape)
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        if any(s.stop <= s.start for s in window):
            continue
        index = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in window], indexing="ij"), -1)
        shape = _shape_at(grid.to_world(index.reshape(-1, 3)), lesion, settings, voxel)
        rise[window] += (lesion.ratio - 1) * shape.reshape(index.shape[:3])
    touched = np.abs(rise) > 1e-9
    values = suv.values.astype(np.float64)
    mean = _local_mean(values, grid.spacing, settings.smooth_fwhm_mm)
    signal = np.maximum(1 + rise * liver_mean / np.maximum(mean, 0.1 * liver_mean), 1e-6)
    added = rise * liver_mean + (values - mean) * (signal**settings.noise_power - 1)
    return Volume(np.where(touched, np.maximum(values + added, 0.0), values).astype(np.float32), grid, suv.unit)


def _local_mean(values: NDArray[np.float64], spacing: NDArray[np.float64], fwhm_mm: float) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(values, fwhm_mm / FWHM_PER_SIGMA / spacing, mode="nearest"))
