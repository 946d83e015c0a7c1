"""Resample an image, a mask or a label map onto another grid, through a transform where one is given."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import LabelMap, Mask, Volume

__all__ = ["covered", "resample", "resample_labels", "resample_mask"]

_NO_FIELD = np.zeros((1, 1, 1, 3), dtype=np.float32)
#: Slack, in voxels, on "inside the field of view": rounding in the affines must not blank an edge slice.
_EDGE_SLACK = 1e-4


@njit(cache=True, nogil=True)
def _field_at(field, x, y, z):  # type: ignore[no-untyped-def]  # numba infers the types of an inlined helper
    n0, n1, n2, _ = field.shape
    x = min(max(x, 0.0), n0 - 1.0)
    y = min(max(y, 0.0), n1 - 1.0)
    z = min(max(z, 0.0), n2 - 1.0)
    i, j, k = min(int(x), max(n0 - 2, 0)), min(int(y), max(n1 - 2, 0)), min(int(z), max(n2 - 2, 0))
    i1, j1, k1 = min(i + 1, n0 - 1), min(j + 1, n1 - 1), min(k + 1, n2 - 1)
    fx, fy, fz = x - i, y - j, z - k
    u0 = u1 = u2 = 0.0
    for a in range(2):
        wa, ia = (fx, i1) if a else (1.0 - fx, i)
        for b in range(2):
            wb, jb = (fy, j1) if b else (1.0 - fy, j)
            for c in range(2):
                wc, kc = (fz, k1) if c else (1.0 - fz, k)
                w = wa * wb * wc
                u0 += w * field[ia, jb, kc, 0]
                u1 += w * field[ia, jb, kc, 1]
                u2 += w * field[ia, jb, kc, 2]
    return u0, u1, u2


@njit(cache=True, nogil=True)
def _source_index(
    shape: tuple[int, int, int],
    to_world: NDArray[np.float64],
    world_to_field: NDArray[np.float64],
    field: NDArray[np.float32],
    use_field: bool,
    to_source: NDArray[np.float64],
    first: int,
    last: int,
) -> NDArray[np.float32]:
    """Source voxel indices, shape (3, last − first, n1, n2), of the target's slabs first ≤ i < last."""
    out = np.empty((3, last - first, shape[1], shape[2]), dtype=np.float32)
    for i in range(first, last):
        for j in range(shape[1]):
            for k in range(shape[2]):
                x = to_world[0, 0] * i + to_world[0, 1] * j + to_world[0, 2] * k + to_world[0, 3]
                y = to_world[1, 0] * i + to_world[1, 1] * j + to_world[1, 2] * k + to_world[1, 3]
                z = to_world[2, 0] * i + to_world[2, 1] * j + to_world[2, 2] * k + to_world[2, 3]
                if use_field:
                    w = world_to_field
                    u = _field_at(
                        field,
                        w[0, 0] * x + w[0, 1] * y + w[0, 2] * z + w[0, 3],
                        w[1, 0] * x + w[1, 1] * y + w[1, 2] * z + w[1, 3],
                        w[2, 0] * x + w[2, 1] * y + w[2, 2] * z + w[2, 3],
                    )
                    x, y, z = x + u[0], y + u[1], z + u[2]
                for d in range(3):
                    out[d, i - first, j, k] = (
                        to_source[d, 0] * x + to_source[d, 1] * y + to_source[d, 2] * z + to_source[d, 3]
                    )
    return out


@njit(cache=True, nogil=True)
def _linear(values: NDArray[np.float32], index: NDArray[np.float32], fill: float, slack: float) -> NDArray[np.float32]:
    """Trilinear values at voxel indices (3, n, n1, n2); ``fill`` beyond the outer voxels' faces."""
    n0, n1, n2 = values.shape
    _, m0, m1, m2 = index.shape
    out = np.empty((m0, m1, m2), dtype=np.float32)
    for a in range(m0):
        for b in range(m1):
            for c in range(m2):
                x, y, z = index[0, a, b, c], index[1, a, b, c], index[2, a, b, c]
                low = -0.5 - slack
                if (
                    x < low
                    or y < low
                    or z < low
                    or x > n0 - 0.5 + slack
                    or y > n1 - 0.5 + slack
                    or z > n2 - 0.5 + slack
                ):
                    out[a, b, c] = fill
                    continue
                x = min(max(x, np.float32(0)), np.float32(n0 - 1))
                y = min(max(y, np.float32(0)), np.float32(n1 - 1))
                z = min(max(z, np.float32(0)), np.float32(n2 - 1))
                i, j, k = (
                    min(int(x), max(n0 - 2, 0)),
                    min(int(y), max(n1 - 2, 0)),
                    min(int(z), max(n2 - 2, 0)),
                )
                i1, j1, k1 = min(i + 1, n0 - 1), min(j + 1, n1 - 1), min(k + 1, n2 - 1)
                fx, fy, fz = x - i, y - j, z - k
                v00 = values[i, j, k] + fz * (values[i, j, k1] - values[i, j, k])
                v01 = values[i, j1, k] + fz * (values[i, j1, k1] - values[i, j1, k])
                v10 = values[i1, j, k] + fz * (values[i1, j, k1] - values[i1, j, k])
                v11 = values[i1, j1, k] + fz * (values[i1, j1, k1] - values[i1, j1, k])
                v0 = v00 + fy * (v01 - v00)
                v1 = v10 + fy * (v11 - v10)
                out[a, b, c] = v0 + fx * (v1 - v0)
    return out


def _pull(
    values: NDArray[np.float32],
    source: Grid,
    grid: Grid,
    transform: SpatialTransform | None,
    order: int,
    fill: float,
    slack: float = _EDGE_SLACK,
) -> NDArray[np.float32]:
    """Values of an array on ``source`` at the voxels of ``grid``, slab by slab to bound the memory."""
    out = np.empty(grid.shape, dtype=np.float32)
    to_source = np.linalg.inv(source.affine) @ (np.eye(4) if transform is None else transform.affine)
    field, world_to_field, use_field = _NO_FIELD, np.eye(4), False
    if transform is not None and transform.displacement is not None and transform.grid is not None:
        field, world_to_field, use_field = (
            transform.displacement,
            np.asarray(np.linalg.inv(transform.grid.affine)),
            True,
        )
    if order > 1:
        values = ndimage.spline_filter(values, order=order, output=np.float32, mode="nearest")
    slab = max(1, 2_000_000 // max(1, grid.shape[1] * grid.shape[2]))
    limit = np.asarray(source.shape, dtype=np.float32).reshape(3, 1, 1, 1) - 0.5 + _EDGE_SLACK
    for first in range(0, grid.shape[0], slab):
        last = min(first + slab, grid.shape[0])
        index = _source_index(grid.shape, grid.affine, world_to_field, field, use_field, to_source, first, last)
        if order == 1:
            out[first:last] = _linear(values, index, fill, slack)
            continue
        part = ndimage.map_coordinates(values, index, order=order, mode="nearest", prefilter=False, output=np.float32)
        outside = ((index < -0.5 - _EDGE_SLACK) | (index > limit)).any(axis=0)
        part[outside] = fill
        out[first:last] = part
    return out


def resample(
    image: Volume, grid: Grid, transform: SpatialTransform | None = None, order: int = 1, fill: float = 0.0
) -> Volume:
    """``image`` on ``grid``; ``transform`` maps points of the grid's frame to the image's (identity if None).

    ``order``: 0 nearest, 1 trilinear, 3 cubic B-spline. Voxels outside the image's field of view (beyond the
    faces of its outer voxels) get ``fill``. No smoothing: a much coarser grid needs a blurred image.
    """
    return Volume(_pull(image.values, image.grid, grid, transform, order, fill), grid, image.unit)


def resample_mask(mask: Mask, grid: Grid, transform: SpatialTransform | None = None, extend: bool = False) -> Mask:
    """``mask`` on ``grid``: where the linearly interpolated region is at least one half.

    Outside the mask's field of view there is no region; with ``extend`` its edge voxels go on for ever, so
    that the end of a field of view does not look like the end of an organ.
    """
    slack = np.inf if extend else _EDGE_SLACK
    part = _pull(mask.values.astype(np.float32), mask.grid, grid, transform, 1, 0.0, slack)
    return Mask(part >= 0.5, grid)


def resample_labels(labels: LabelMap, grid: Grid, transform: SpatialTransform | None = None) -> LabelMap:
    """``labels`` on ``grid`` by nearest neighbour, so that no new label appears; outside is 0."""
    part = _pull(labels.values.astype(np.float32), labels.grid, grid, transform, 0, 0.0)
    return LabelMap(np.rint(part).astype(np.uint16), grid)


def covered(source: Grid, grid: Grid, affine: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
    """Which voxels of ``grid`` fall inside the field of view of ``source``; shape grid.shape.

    ``affine`` (4×4) takes points of the grid's frame to the source's (identity if None).
    """
    to_source = np.linalg.inv(source.affine) @ (np.eye(4) if affine is None else affine) @ grid.affine
    out = np.ones(grid.shape, dtype=np.bool_)
    steps = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    for axis, count in enumerate(source.shape):
        row = to_source[axis]
        index = row[0] * steps[0] + row[1] * steps[1] + row[2] * steps[2] + row[3]
        out &= (index >= -0.5 - _EDGE_SLACK) & (index <= count - 0.5 + _EDGE_SLACK)
    return out
