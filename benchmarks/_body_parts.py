"""Images in which there is no liver: a head, a pelvis, a chest, a noisy test object. Drawn on a given image's grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from liverpair.core.volume import Volume
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["body_part"]

#: HU of what is drawn, and its brightness in a T1-weighted MRI (fat-suppressed; a liver has about 1).
TISSUE: Final[dict[str, tuple[float, float]]] = {
    "air": (-1000.0, 0.02), "fat": (-100.0, 0.2), "muscle": (52.0, 0.45), "bone": (500.0, 0.1),
    "brain": (36.0, 0.55), "fluid": (8.0, 0.15), "lung": (-830.0, 0.04), "bowel": (25.0, 0.4),
}  # fmt: skip
#: Bodies, outside to inside: tissue, centre and semi-axes in mm, LPS, about the image's middle.
SHAPES: Final[dict[str, tuple[tuple[str, tuple[float, float, float], tuple[float, float, float]], ...]]] = {
    "head": (
        ("muscle", (0, 0, 0), (78, 98, 118)), ("bone", (0, 0, 5), (72, 92, 108)), ("brain", (0, 0, 5), (66, 86, 102)),
        ("fluid", (-12, 0, 15), (7, 28, 14)), ("fluid", (12, 0, 15), (7, 28, 14)), ("air", (0, -75, -60), (20, 18, 18)),
    ),
    "pelvis": (
        ("fat", (0, 0, 0), (175, 115, 400)), ("muscle", (0, 5, 0), (155, 95, 400)),
        ("bone", (-95, 20, 0), (14, 45, 70)), ("bone", (95, 20, 0), (14, 45, 70)), ("bone", (0, 75, 0), (32, 18, 400)),
        ("fat", (0, -10, 10), (75, 60, 90)),
        ("fluid", (0, -35, -40), (42, 32, 36)), ("bowel", (-35, -20, 45), (26, 22, 30)),
        ("bowel", (30, -5, 50), (30, 24, 28)), ("bowel", (0, 25, 5), (22, 20, 45)),
    ),
    "chest": (
        ("fat", (0, 0, 0), (165, 110, 400)), ("muscle", (0, 5, 0), (150, 95, 400)),
        ("lung", (-75, 5, 0), (62, 80, 400)), ("lung", (75, 5, 0), (62, 80, 400)),
        ("muscle", (20, -25, -30), (62, 50, 60)), ("bone", (0, 75, 0), (22, 18, 400)),
        ("fluid", (-5, 15, 40), (14, 14, 400)),
    ),
    "noise": (("muscle", (0, 0, 0), (150, 100, 110)),),
}  # fmt: skip
#: Noise: HU, and share of a liver's brightness; the test object has ten times as much, and blobs of tissue's size.
NOISE: Final = (12.0, 0.05)
TEXTURE_MM: Final = 8.0


def body_part(part: str, like: Volume, is_ct: bool, seed: int) -> Volume:
    """``part`` (head, pelvis, chest, noise) on the grid of ``like``, with texture and noise of its own."""
    rng = np.random.default_rng(seed)
    grid = like.grid
    middle = grid.to_world((np.asarray(grid.shape) - 1) / 2)
    away = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - middle
    which = 0 if is_ct else 1
    values = np.full(grid.shape, TISSUE["air"][which], dtype=np.float32)
    for tissue, centre, axes in SHAPES[part]:
        inside = (((away - np.asarray(centre, dtype=float)) / np.asarray(axes, dtype=float)) ** 2).sum(axis=-1) < 1
        values[inside] = TISSUE[tissue][which]
    body = values > TISSUE["air"][which]
    grain = NOISE[which] * (10.0 if part == "noise" else 1.0)
    values = ndimage.gaussian_filter(values, 0.7)
    values += body * grain * _blobs(rng, grid.shape, TEXTURE_MM / grid.spacing)
    values += grain * rng.standard_normal(grid.shape)
    if not is_ct:
        values = np.abs(values) * float(np.quantile(like.values, 0.95))
    return replace(like, values=values.astype(np.float32))


def _blobs(rng: np.random.Generator, shape: tuple[int, int, int], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return np.asarray(texture / texture.std(), dtype=np.float32)
