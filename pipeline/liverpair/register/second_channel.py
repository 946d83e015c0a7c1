"""A second image of the fixed examination (PET) as evidence where the first one (a noisy CT) shows too little.

Vessels are cold and many metastases hot on PET, at its 6–7 mm; alone it aligns worse than any CT, but where noise or
a fatty liver hides the vessels of a native CT it holds the registration in place (95th percentile of the error 3.1 mm
without and 1.9 mm with it). Where the CT shows them for all its noise it adds nothing, and its breathing misleads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.register.local_ncc import LocalCorrelation
from liverpair.register.prepare import Scene, noise_variance, region_weights
from liverpair.register.resample import covered, resample

__all__ = ["SecondChannel", "SecondSettings", "at_first", "heard_with", "second_channel", "second_share"]

Array = NDArray[np.float32]

#: Lesions may be a hundred times as hot as the liver; above this many times the liver they only count as hot.
CEILING = 3.0


@dataclass(frozen=True, slots=True)
class SecondSettings:
    """When the second image is heard, and how loudly.

    Two things must hold: the first image is noisy, and what it shows is not like the moving image all the same.
    ``quiet`` and ``noisy`` are variances of the first image's quietest windows as shares of its liver's whole
    variance: 0.31–0.35 on native CT with 11 HU of noise and visible vessels, 0.41 where vessels are iso-dense, 0.45
    and more with 30 HU. Below ``quiet`` the second image is left out (it would only cost time), from ``noisy`` on its
    mean squared correlation counts ``share`` times the first one's. How like the first image is to the moving one is
    known after the first level (QualitySettings): at a likeness of ``alike`` or more the second image is silent on the
    finer levels, at ``unlike`` or less it counts in full, and on the first level itself by half. A PET is an average
    over breathing, and its dome lies elsewhere than its base: on a simulator with that, a PET in full voice beside a
    CT of 14–17 HU of noise that shows the vessels (likeness 1.0–1.2) made the error's 95th percentile 4.5 mm where the
    CT alone gave 2.6; beside a CT that hardly shows them (0.8) it made 3.1 mm 1.9. ``window_mm``: the windows' half
    width, PET's resolution (8 mm is as right as 12 mm on six noisy pairs, and better where the CT shows nothing).
    ``depth_mm``: places nearer to the capsule are left out, where breathing during the PET blurs the liver's border. On
    scenes finer than ``step_mm`` whole blocks of voxels of about that size are compared: a PET shows nothing smaller.
    """

    share: float = 0.5
    quiet: float = 0.36
    noisy: float = 0.40
    unlike: float = 0.8
    alike: float = 1.1
    window_mm: float = 8.0
    depth_mm: float = 2.0
    step_mm: float = 4.0


def at_first(settings: SecondSettings) -> SecondSettings:
    """The settings while it is not yet known how like the first image is to the moving one: half as loud."""
    return replace(settings, share=settings.share / 2)


def heard_with(likeness: float, settings: SecondSettings) -> SecondSettings:
    """The settings for the levels after one at which the first image was that like the moving one (NaN: unlike)."""
    if np.isnan(likeness):
        return settings
    unsure = (settings.alike - likeness) / (settings.alike - settings.unlike)
    return replace(settings, share=settings.share * float(np.clip(unsure, 0.0, 1.0)))


def second_share(scene: Scene, settings: SecondSettings) -> float:
    """Weight of the second image's correlation beside the first one's, from the first one's noise."""
    loud = (scene.noise[0] - settings.quiet) / (settings.noisy - settings.quiet)
    return settings.share * float(np.clip(loud, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class SecondChannel:
    """The second image's correlation with means of ``block``³ voxels of the moved image, and its ``share``."""

    correlation: LocalCorrelation
    share: float
    block: int

    def evaluate(self, moved: Array) -> tuple[float, Array]:
        """Weighted mean of the squared correlation, and its gradient by every voxel of ``moved``."""
        similarity, coarse = self.correlation.evaluate(block_means(moved, self.block))[:2]
        if self.block == 1:
            return similarity, coarse
        coarse /= self.block**3
        gradient = np.zeros_like(moved)
        for part in _parts(gradient, self.block):
            part[...] = coarse
        return similarity, gradient


def _parts(values: Array, block: int) -> list[Array]:
    """The views of ``values`` that hold the first, second ... voxel of every whole block."""
    n0, n1, n2 = (n // block * block for n in values.shape)
    steps = range(block)
    return [values[i:n0:block, j:n1:block, k:n2:block] for i in steps for j in steps for k in steps]


def block_means(values: Array, block: int) -> Array:
    """Means of whole blocks of ``block``³ voxels; what is left over at the ends is not used."""
    if block == 1:
        return values
    parts = _parts(values, block)
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return np.asarray(total / np.float32(block**3))


def _block_grid(grid: Grid, block: int) -> Grid:
    """The grid of the blocks' centres."""
    affine = grid.affine.copy()
    affine[:3, :3] *= block
    affine[:3, 3] = grid.to_world(np.full(3, (block - 1) / 2))
    n0, n1, n2 = (n // block for n in grid.shape)
    return Grid((n0, n1, n2), affine, grid.frame_of_reference)


def second_channel(second: Volume, scene: Scene, settings: SecondSettings, noise_share: float) -> SecondChannel | None:
    """The second image's correlation with what the scene's moving image becomes; None where it is not to be heard.

    ``second`` must lie where the fixed image has its tissue (a PET displaced by breathing put back first).
    """
    share = second_share(scene, settings)
    if share == 0 or scene.fixed_distance is None:
        return None
    block = max(1, int(round(settings.step_mm / scene.spacing)))
    grid, spacing = _block_grid(scene.grid, block), scene.spacing * block
    weights = region_weights(block_means(scene.fixed_distance, block), -settings.depth_mm, spacing)
    weights = weights * (block_means(scene.weights, block) > 0) * covered(second.grid, grid)
    values = resample(second, grid).values
    inside = values[weights > 0.5]
    if inside.size == 0 or not float(np.median(inside)) > 0:
        return None
    scaled = _scaled(values, float(np.median(inside)))
    radius = max(1, int(round(settings.window_mm / spacing)))
    own = tuple(slice(scene.pad, scene.pad + n) for n in scene.fixed.shape)
    moving = block_means(scene.moving[own], block)
    noise = tuple(noise_variance(image, weights, radius, noise_share) for image in (scaled, moving))
    use = None if scene.use is None else (block_means(scene.use, block) == 1).astype(np.float32)
    correlation = LocalCorrelation.of(scaled, weights.astype(np.float32), radius, (noise[0], noise[1]), use)
    return SecondChannel(correlation, share, block)


def _scaled(values: Array, liver: float) -> Array:
    return np.asarray(np.clip(values / np.float32(liver), 0, CEILING), dtype=np.float32)
