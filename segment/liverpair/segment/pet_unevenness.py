"""How much noisier a PET is in one part of the liver than in another.

Counts are attenuated most on the way from the body's middle, beds meet where both are weak, and reconstruction spreads
noise unevenly: in one liver its standard deviation differs by a third and more. A threshold from the liver's mean
noise then finds too much where the noise is high, and too little where it is low.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["local_noise_ratio"]

#: Wide enough for some thousand grains of noise (an error of 2 %), narrower than the part of a liver that differs.
WIDTH_MM = 20.0
#: Residuals beyond this many SDs are foci or vessels, not noise; what a normal distribution has there is put back.
CLIP_SD = 2.5
#: E[r²] of a normal distribution clipped at CLIP_SD.
CLIPPED_SQUARE = 0.9776
#: What the liver's mean counts for beside a full window: it takes over where little of the liver is near.
PRIOR = 0.05
#: No reconstruction makes noise differ by more within one liver; beyond it is structure.
LIMITS = (0.67, 1.6)


def local_noise_ratio(
    residual: NDArray[np.float32], clean: NDArray[np.bool_], spacing: NDArray[np.float64], centre: float, sd: float
) -> NDArray[np.float32]:
    """SD of the noise near each voxel, in units of ``sd``; shape of ``residual`` (n0, n1, n2).

    ``clean``: liver without its rim and likely foci. Only what lies above ``centre`` is read: vessels, bile ducts and
    the partial volume of fissures are cold, and would pass for noise.
    """
    above = clean & (residual > centre)
    square = np.minimum((residual - np.float32(centre)) / np.float32(sd), np.float32(CLIP_SD)) ** 2
    sigma = WIDTH_MM / spacing
    weight = gaussian_filter(above.astype(np.float32), sigma, mode="constant")
    mean = gaussian_filter(np.where(above, square, np.float32(0)), sigma, mode="constant")
    full = np.float32(0.5 * PRIOR)  # half of a window's voxels lie above the centre
    ratio = np.sqrt((mean / np.float32(CLIPPED_SQUARE) + full) / (weight + full))
    return np.asarray(np.clip(ratio, *LIMITS), dtype=np.float32)
