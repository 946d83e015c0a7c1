"""From painted anatomy to images: composition, lesions, point spread, sampling and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.simulate.anatomy import Anatomy
from liverpair.simulate.lesions import PlacedLesion, inside_fraction_distance
from liverpair.simulate.space import Array

__all__ = ["compose", "paint_lesions", "sample_axes", "sample_points", "sampling_matrix"]

#: A voxel is divided into this many points along each axis where a lesion's edge crosses it.
SUPERSAMPLING = 3

ToAnatomy = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def compose(anatomy: Anatomy, values: Mapping[str, float], background: float, heterogeneity: float) -> Array:
    """Paint every part with its tissue's value on the canonical samples.

    ``heterogeneity`` is the relative sd of the liver's low-frequency texture (two scales share it).
    """
    image = np.full(anatomy.space.shape, background, dtype=np.float32)
    for part in anatomy.parts:
        window = image[part.box]
        window += part.fraction * (np.float32(values[part.tissue]) - window)
        if part.tissue == "liver" and heterogeneity > 0:
            sub = anatomy.space.sub(part.box)
            texture = np.float32(0.8) * anatomy.liver_texture[0].on(sub) + np.float32(
                0.6
            ) * anatomy.liver_texture[1].on(sub)
            window += part.fraction * texture * np.float32(heterogeneity * abs(values["liver"]))
    return image


def paint_lesions(
    image: Array,
    grid: Grid,
    to_anatomy: ToAnatomy,
    lesions: Sequence[tuple[PlacedLesion, NDArray[np.float64], float]],
) -> None:
    """Draw lesions into ``image`` (in place) at the image's own resolution, supersampled.

    Each lesion comes with its centre in the image's frame (LPS mm) and its value; ``to_anatomy`` maps LPS points
    (n, 3) of the image to the anatomical frame in which the lesion's shape is defined.
    """
    half = (np.arange(SUPERSAMPLING) + 0.5) / SUPERSAMPLING - 0.5
    offsets = np.stack(np.meshgrid(half, half, half, indexing="ij"), axis=-1).reshape(-1, 3)
    for lesion, centre, value in lesions:
        reach = (lesion.reach * 1.15 + 1.0) / grid.spacing + 1
        middle = grid.to_index(centre)
        start = np.maximum(np.floor(middle - reach).astype(int), 0)
        stop = np.minimum(np.ceil(middle + reach).astype(int) + 1, grid.shape)
        if np.any(stop <= start):
            continue
        axes = [np.arange(a, b) for a, b in zip(start, stop, strict=True)]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 3) + offsets
        points = to_anatomy(grid.to_world(index.reshape(-1, 3)))
        edge = float(grid.spacing.min()) / SUPERSAMPLING
        inside = np.clip(0.5 - inside_fraction_distance(lesion, points) / edge, 0, 1)
        shape = tuple(int(n) for n in stop - start)
        fraction = inside.reshape(-1, len(offsets)).mean(axis=1).reshape(shape).astype(np.float32)
        window = image[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        window += fraction * (np.float32(value) - window)


def sampling_matrix(
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    width_mm: float,
    fwhm_mm: float,
    shifts: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Array:
    """Weights (n_target, n_source) that average source samples over a box of ``width_mm`` and a Gaussian PSF.

    ``shifts`` = (offsets mm, weights) adds a motion blur along this axis: the mean over shifted copies.
    """
    offsets, weights = shifts if shifts is not None else (np.zeros(1), np.ones(1))
    step = source[1] - source[0]
    sigma = np.hypot(fwhm_mm / FWHM_PER_SIGMA, 0.25 * step)
    total = np.zeros((len(target), len(source)))
    box = (np.arange(7) + 0.5) / 7 - 0.5
    for offset, weight in zip(offsets, weights, strict=True):
        for part in box:
            distance = (target[:, None] + part * width_mm - offset) - source[None, :]
            total += weight * np.exp(-0.5 * (distance / sigma) ** 2)
    return (total / total.sum(axis=1, keepdims=True)).astype(np.float32)


def sample_axes(image: Array, matrices: tuple[Array, Array, Array]) -> Array:
    """Apply one weight matrix per axis to a canonical image."""
    out = np.tensordot(matrices[2], image, axes=(1, 2))  # (k, x, y)
    out = np.tensordot(matrices[0], out, axes=(1, 1))  # (i, k, y)
    out = np.tensordot(out, matrices[1], axes=(2, 1))  # (i, k, j)
    return np.ascontiguousarray(out.transpose(0, 2, 1))


def sample_points(
    image: Array, anatomy: Anatomy, points: tuple[Array, Array, Array], background: float
) -> Array:
    """Trilinear samples of a canonical image at anatomical points given as three coordinate arrays."""
    index = [
        (p - np.float32(axis[0])) / np.float32(anatomy.space.step)
        for p, axis in zip(points, (anatomy.space.x, anatomy.space.y, anatomy.space.z), strict=True)
    ]
    return ndimage.map_coordinates(image, index, order=1, mode="nearest", cval=background, prefilter=False)
