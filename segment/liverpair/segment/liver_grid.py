"""Bring images onto the liver's work grid (axis-aligned, isotropic) and masks back onto the image's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume

__all__ = ["anatomical_grid", "capped_grid", "mask_onto", "part_of", "reached", "sample"]


def anatomical_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The grid with axes along LPS (+i to the patient's left, +j posterior, +k cranial) that covers ``grid``.

    Its box lies centred in the field of view's bounding box in LPS; an oblique image leaves corners empty.
    """
    last = np.asarray(grid.shape) - 0.5
    ends = [[i, j, k] for i in (-0.5, last[0]) for j in (-0.5, last[1]) for k in (-0.5, last[2])]
    corners = grid.to_world(ends)
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.maximum(1, np.floor((high - low) / spacing_mm + 1e-6)).astype(int)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (low + high) / 2 - (shape - 1) / 2 * spacing_mm
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, grid.frame_of_reference)


def part_of(grid: Grid, window: tuple[slice, slice, slice]) -> Grid:
    """The part of ``grid`` inside an index window."""
    return grid.cropped(np.asarray([w.start for w in window]), [w.stop for w in window])


def reached(grid: Grid, other: Grid, margin: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last (exclusive) indices of ``grid`` that ``other``'s field of view and so many voxels beyond reach."""
    at = grid.to_index(other.corners())
    half = np.abs(np.linalg.inv(grid.affine)[:3, :3] @ other.affine[:3, :3]).sum(axis=1) / 2  # a voxel's half extent
    size = np.asarray(grid.shape)
    first = np.clip(np.floor(at.min(axis=0) - half).astype(np.int64) - margin, 0, size - 1)
    last = np.clip(np.ceil(at.max(axis=0) + half).astype(np.int64) + 1 + margin, first + 1, size)
    return first, last


def capped_grid(grid: Grid, finest_mm: float) -> Grid:
    """``grid`` with every step finer than ``finest_mm`` coarsened to it; coarser steps stay."""
    step = np.maximum(grid.spacing, finest_mm)
    return grid if np.allclose(step, grid.spacing) else grid.with_spacing(step)


def _block_mean(values: NDArray[Any], factors: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean over blocks of factors (fi, fj, fk) voxels; a remainder at the far end is dropped."""
    out: NDArray[np.float32] = np.asarray(values, dtype=np.float32)
    for axis, factor in enumerate(factors):
        n = out.shape[axis] // factor
        if factor == 1 or n == 0:
            continue
        head = np.moveaxis(out, axis, 0)[: n * factor]
        out = np.moveaxis(head.reshape(n, factor, *head.shape[1:]).mean(axis=1, dtype=np.float32), 0, axis)
    return out


def _read(
    to_image: NDArray[np.float64], target: tuple[int, ...], factors: NDArray[np.int64], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last (exclusive) indices of an image of ``size`` that a target reads, in whole blocks of ``factors``.

    A whole body's CT, of which a liver takes a tenth, is not copied.
    """
    ends = np.asarray([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (np.asarray(target) - 1)
    at = ends @ to_image[:3, :3].T + to_image[:3, 3]
    whole = size // factors  # a remainder at the far end makes no block
    first = np.clip(np.floor(at.min(axis=0) / factors).astype(np.int64) - 2, 0, whole - 1)
    last = np.clip(np.ceil(at.max(axis=0) / factors).astype(np.int64) + 3, first + 1, whole)
    return first * factors, np.where(last == whole, size, last * factors)


def sample(image: Volume | Mask, grid: Grid, fill: float | None = 0.0) -> NDArray[np.float32]:
    """``image`` on ``grid`` by anti-aliased linear interpolation, float32 of grid.shape.

    Outside the image: ``fill``, or its edge's value where None.

    Where the target's steps are much coarser than the image's, whole blocks are averaged first, so that noise
    and thin structures are not aliased. A mask gives the fraction of the voxel that it covers.
    """
    to_image = np.linalg.inv(image.grid.affine) @ grid.affine
    reach = np.abs(to_image[:3, :3]).max(axis=1)  # image voxels stepped over per target voxel
    factors = np.maximum(1, np.floor(reach + 0.25)).astype(np.int64)
    factors = np.minimum(factors, np.asarray(image.grid.shape))
    first, last = _read(to_image, grid.shape, factors, np.asarray(image.grid.shape))
    blocks = _block_mean(image.values[tuple(slice(a, b) for a, b in zip(first, last, strict=True))], factors)
    matrix = to_image[:3, :3] / factors[:, None]
    offset = (to_image[:3, 3] - first - (factors - 1) / 2) / factors
    # Up to half a voxel beyond the outer centres still lies in the field of view: hold the edge value there.
    padded = np.pad(blocks, 1, mode="edge")
    offset = offset + 1
    diagonal = np.allclose(matrix, np.diag(np.diagonal(matrix)), atol=1e-9)
    result = ndimage.affine_transform(
        padded,
        np.diagonal(matrix) if diagonal else matrix,
        offset,
        output_shape=grid.shape,
        output=np.float32,
        order=1,
        mode="nearest" if fill is None else "constant",
        cval=0.0 if fill is None else fill,
        prefilter=False,
    )
    return np.asarray(result, dtype=np.float32)


def mask_onto(mask: NDArray[np.bool_], source: Grid, target: Grid, smooth_mm: float = 0.0) -> NDArray[np.bool_]:
    """A mask of ``source`` on ``target`` (bool, target.shape): where interpolation covers at least half.

    ``smooth_mm`` is the sigma of a Gaussian applied first, which rounds the staircase of a coarse grid.
    """
    values = mask.astype(np.float32)
    if smooth_mm > 0:
        values = ndimage.gaussian_filter(values, smooth_mm / source.spacing)
    coverage = Volume(values, source)
    to_source = np.linalg.inv(source.affine) @ target.affine
    if np.allclose(to_source, np.eye(4), atol=1e-6) and source.shape == target.shape:
        return np.asarray(values >= 0.5)
    return np.asarray(sample(coverage, target) >= 0.5)
