"""What noise alone would show: expected false clusters of a Gaussian random field, and skewed noise made
normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["NoiseModel", "equivalent_z", "expected_false_clusters", "fit_noise", "threshold_for"]

#: Quantiles of the standard normal distribution at ±1 standard deviation.
LOWER, MIDDLE, UPPER = 0.158655, 0.5, 0.841345
#: A skewness below this cannot be told from none in a liver's few thousand independent samples.
SKEW_RESOLUTION = 0.01
#: The formula counts maxima only where it falls with t; below √3 the expected count would rise again.
LOWEST_T = math.sqrt(3.0)


def expected_false_clusters(t: float, volume_mm3: float, fwhm_mm: float) -> float:
    """E[clusters over t] = (V/F³)(4 ln 2)^{3/2}(2π)^{-2}(t²-1)e^{-t²/2} (Worsley; spec lesions.md)."""
    resels = volume_mm3 / fwhm_mm**3
    return float(resels * (4 * math.log(2)) ** 1.5 / (2 * math.pi) ** 2 * (t * t - 1) * math.exp(-t * t / 2))


def threshold_for(false_foci: float, volume_mm3: float, fwhm_mm: float) -> float:
    """The t at which noise alone gives ``false_foci`` clusters in the volume; at least √3."""
    if expected_false_clusters(LOWEST_T, volume_mm3, fwhm_mm) <= false_foci:
        return LOWEST_T
    return float(brentq(lambda t: expected_false_clusters(t, volume_mm3, fwhm_mm) - false_foci, LOWEST_T, 20.0))


def equivalent_z(z: NDArray[np.float32], fwhm_mm: float, reference_fwhm_mm: float) -> NDArray[np.float32]:
    """The z of a field of one smoothness that is as rare in a field of another (smaller) one.

    A smoother field has fewer independent places, so the same z is rarer in it. From the leading term of
    expected_false_clusters: z'² = z² + 6·ln(F/F'); z below √3 keep their value.
    """
    bonus = np.float32(max(6.0 * math.log(fwhm_mm / reference_fwhm_mm), 0.0))
    return np.where(z > LOWEST_T, np.sqrt(np.maximum(z, 0) ** 2 + bonus), z).astype(np.float32)


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Centre, width and skewness of the liver's residuals.

    Iterative reconstruction gives positively skewed noise. ``skew`` s is that of a shifted log-normal, for
    which z = ln(1 + s·r)/s is standard normal; s = 0 is plain Gaussian noise.
    """

    centre: float
    sd: float
    skew: float

    def z(self, residual: NDArray[Any]) -> NDArray[np.float32]:
        """Residuals in standard deviations of equivalent normal noise."""
        scaled = (np.asarray(residual, dtype=np.float32) - np.float32(self.centre)) / np.float32(self.sd)
        if self.skew <= 0:
            return np.asarray(scaled, dtype=np.float32)
        s = np.float32(self.skew)
        return np.asarray(np.log(np.maximum(1 + s * scaled, 1e-6)) / s, dtype=np.float32)


def fit_noise(residual: NDArray[Any]) -> NoiseModel:
    """Centre, width and skewness from the ±1 SD quantiles, which foci in less than a tenth of the liver
    hardly move.
    """
    low, middle, high = (float(q) for q in np.quantile(residual, (LOWER, MIDDLE, UPPER)))
    below, above = max(middle - low, 1e-12), max(high - middle, 1e-12)
    skew = max(math.log(above / below) - SKEW_RESOLUTION, 0.0)
    if skew <= 0:
        return NoiseModel(middle, max((high - low) / 2, 1e-12), 0.0)
    # Shifted log-normal: q84 − median = sd·(e^s − 1)/s.
    return NoiseModel(middle, max(above * skew / math.expm1(skew), 1e-12), skew)
