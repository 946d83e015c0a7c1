"""A second image of the fixed examination (PET) as evidence where the first one (a noisy CT) shows too little.

Vessels are cold and many metastases hot on PET, at its 6–7 mm; alone it aligns worse than any CT, but where noise or
a fatty liver hides the vessels of a native CT it holds the registration in place. Measured with 30 HU of noise: 95th
percentile of the error 2.9 mm without, 2.0 mm with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.volume import Volume
from liverpair.register.local_ncc import LocalCorrelation
from liverpair.register.prepare import Scene, noise_variance, region_weights
from liverpair.register.resample import covered, resample

__all__ = ["SecondSettings", "second_channel", "second_share"]

#: Lesions may be a hundred times as hot as the liver; above this many times the liver they only count as hot.
CEILING = 3.0


@dataclass(frozen=True, slots=True)
class SecondSettings:
    """When the second image is heard, and how loudly.

    ``quiet`` and ``noisy`` are variances of the first image's quietest windows as shares of its liver's whole
    variance: 0.31–0.35 on native CT with 11 HU of noise and visible vessels, 0.41 where vessels are iso-dense, 0.45
    and more with 30 HU. Below ``quiet`` the second image is left out (it would only cost time), from ``noisy`` on its
    mean squared correlation counts ``share`` times the first one's. ``window_mm``: twice PET's resolution.
    ``depth_mm``: places nearer to the capsule are left out, where breathing during the PET blurs the liver's border.
    """

    share: float = 0.5
    quiet: float = 0.36
    noisy: float = 0.40
    window_mm: float = 12.0
    depth_mm: float = 2.0


def second_share(scene: Scene, settings: SecondSettings) -> float:
    """Weight of the second image's correlation beside the first one's, from the first one's noise."""
    loud = (scene.noise[0] - settings.quiet) / (settings.noisy - settings.quiet)
    return settings.share * float(np.clip(loud, 0.0, 1.0))


def second_channel(
    second: Volume, scene: Scene, settings: SecondSettings, noise_share: float
) -> tuple[LocalCorrelation, float] | None:
    """The second image's correlation on the scene's grid and its weight; None where it is not to be heard.

    ``second`` must lie where the fixed image has its tissue (a PET displaced by breathing put back first).
    """
    share = second_share(scene, settings)
    if share == 0 or scene.fixed_distance is None:
        return None
    weights = region_weights(scene.fixed_distance, -settings.depth_mm, scene.spacing)
    weights = weights * (scene.weights > 0) * covered(second.grid, scene.grid)
    values = resample(second, scene.grid).values
    inside = values[weights > 0.5]
    if inside.size == 0 or not float(np.median(inside)) > 0:
        return None
    scaled = _scaled(values, float(np.median(inside)))
    radius = max(1, int(round(settings.window_mm / scene.spacing)))
    noise = (noise_variance(scaled, weights, radius, noise_share), scene.noise[1])
    return LocalCorrelation.of(scaled, weights.astype(np.float32), radius, noise, scene.use), share


def _scaled(values: NDArray[np.float32], liver: float) -> NDArray[np.float32]:
    return np.asarray(np.clip(values / np.float32(liver), 0, CEILING), dtype=np.float32)
