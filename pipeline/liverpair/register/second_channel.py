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
from liverpair.register.settings import SecondSettings

__all__ = ["SecondChannel", "SecondSettings", "at_first", "heard_with", "second_channel", "second_share"]

Array = NDArray[np.float32]


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
    # Nothing is clipped: a hot lesion's edge lies at half of its own uptake, and at three times the liver's level a
    # lesion of fifteen times would look 4 mm larger all around, and pull the map with it.
    scaled = (values / np.float32(np.median(inside))).astype(np.float32)
    radius = max(1, int(round(settings.window_mm / spacing)))
    own = tuple(slice(scene.pad, scene.pad + n) for n in scene.fixed.shape)
    moving = block_means(scene.moving[own], block)
    noise = tuple(noise_variance(image, weights, radius, noise_share) for image in (scaled, moving))
    use = None if scene.use is None else (block_means(scene.use, block) == 1).astype(np.float32)
    correlation = LocalCorrelation.of(scaled, weights.astype(np.float32), radius, (noise[0], noise[1]), use)
    return SecondChannel(correlation, share, block)
