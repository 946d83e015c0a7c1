"""What the liver search works on, whatever the modality: the image on the work grid, the body, the limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import Body
from liverpair.segment.liver_morphology import BoolArray

__all__ = ["Features", "smooth_within"]


def smooth_within(
    values: NDArray[np.float32], soft: BoolArray, sigma_mm: float, spacing: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Gaussian mean over the ``soft`` voxels only (normalised convolution): organs next to lung, fat or bone
    keep their intensity up to their border. Voxels without soft neighbours keep their own value."""
    sigma = sigma_mm / spacing
    weight = ndimage.gaussian_filter(soft.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(np.where(soft, values, 0).astype(np.float32), sigma, truncate=3.0)
    mean = total / np.maximum(weight, 1e-6)
    return np.where(soft & (weight > 0.05), mean, values).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One image ready for the search.

    ``values`` and ``smooth`` (float32, grid.shape) are the image on the axis-aligned work grid, in HU or in
    bias-corrected arbitrary units, as sampled and noise-reduced. ``allowed`` says where liver may be,
    ``window`` (low, high) which intensities are physiological. ``relative`` and ``absolute`` hold the
    slope and offset of the three tolerances below (drift, least sd, most sd) over an organ's intensity.
    ``shading`` (float32, grid.shape): the logarithm of what ``values`` were divided by, where that is known.
    """

    grid: Grid
    values: NDArray[np.float32]
    smooth: NDArray[np.float32]
    body: Body
    allowed: BoolArray
    window: tuple[float, float]
    relative: tuple[float, float, float]
    absolute: tuple[float, float, float]
    shading: NDArray[np.float32] | None = None

    def drift(self, x: float) -> float:
        """How far the intensity x of one organ may drift over its extent."""
        return self.relative[0] * abs(x) + self.absolute[0]

    def least_sd(self, x: float) -> float:
        """The smallest credible sd of normal liver of intensity x in ``smooth``."""
        return self.relative[1] * abs(x) + self.absolute[1]

    def most_sd(self, x: float) -> float:
        """The largest credible sd of normal liver of intensity x in ``smooth``."""
        return self.relative[2] * abs(x) + self.absolute[2]

    def stricter(self, share: float) -> Features:
        """The same image, in which an organ's intensity may drift and vary by that share of what it may here."""

        def less(limits: tuple[float, float, float]) -> tuple[float, float, float]:
            return share * limits[0], share * limits[1], limits[2]

        return replace(self, relative=less(self.relative), absolute=less(self.absolute))
