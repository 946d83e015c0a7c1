"""Binary morphology with balls given in mm, by exact distance maps; the array's border is no mask's edge."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.edge_distance import edge_distance

__all__ = [
    "BoolArray",
    "box_of",
    "close",
    "depth",
    "dilate",
    "erode",
    "fill_holes",
    "fill_slices",
    "largest",
    "opened",
    "surround",
]

BoolArray = NDArray[np.bool_]

#: A ball of up to this many rows is laid over a mask row by row; a distance map serves larger ones (their times meet
#: between 400 rows and 1200).
MOST_ROWS = 300
#: A voxel whose distance is the radius belongs to the ball: so much (of the radius) is rounding.
ROUNDING = 1e-6


def depth(mask: BoolArray, spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """Distance in mm of every voxel of ``mask`` to the nearest voxel outside it (0 outside), float32.

    The array's own border does not count as outside: a liver cut by the field of view stays deep there.
    """
    out = np.zeros(mask.shape, dtype=np.float32)
    if mask.all():
        out[...] = np.inf
    elif mask.any():
        window = box_of(mask, 1)
        out[window] = edge_distance(mask[window], spacing)
    return out


@lru_cache(maxsize=64)
def _rows(radius_mm: float, spacing: tuple[float, ...]) -> tuple[tuple[int, int, int], ...]:
    """A ball as rows along the last axis: (offset along the first axis, along the second, half length), in voxels."""
    reach = radius_mm * (1 + ROUNDING)
    ni, nj = (int(reach / step) for step in spacing[:2])
    left = {(i, j): reach**2 - (i * spacing[0]) ** 2 - (j * spacing[1]) ** 2
            for i in range(-ni, ni + 1) for j in range(-nj, nj + 1)}  # fmt: skip
    return tuple((i, j, int(np.sqrt(rest) / spacing[2])) for (i, j), rest in left.items() if rest >= 0)


def _or_shifted(out: BoolArray, flat: BoolArray, by: int) -> None:
    """out[n] |= flat[n + by] wherever both are."""
    first, last = max(0, -by), len(flat) - max(0, by)
    out[first:last] |= flat[first + by : last + by]


def _within(part: BoolArray, radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    """What lies within ``radius_mm`` of ``part``, exactly."""
    rows = _rows(float(radius_mm), tuple(float(step) for step in spacing))
    if len(rows) > MOST_ROWS:
        return np.asarray(part | (edge_distance(~part, spacing) <= radius_mm))
    pad = tuple(max(row[axis] for row in rows) for axis in range(3))
    padded = np.zeros([size + 2 * n for size, n in zip(part.shape, pad, strict=True)], dtype=bool)
    inner = tuple(slice(n, n + size) for size, n in zip(part.shape, pad, strict=True))
    padded[inner] = part
    flat, out = padded.ravel(), np.zeros(padded.size, dtype=bool)  # the padding keeps rows from running into the next
    by_length = [flat]
    for n in range(1, pad[2] + 1):
        longer = by_length[-1].copy()
        _or_shifted(longer, flat, n)
        _or_shifted(longer, flat, -n)
        by_length.append(longer)
    for i, j, half in rows:
        _or_shifted(out, by_length[half], (i * padded.shape[1] + j) * padded.shape[2])
    return np.asarray(out.reshape(padded.shape)[inner])


def erode(mask: BoolArray, radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    """``mask`` without everything within ``radius_mm`` of its outside."""
    out = mask.copy()
    if mask.any() and not mask.all():
        window = box_of(mask, 1)
        out[window] = ~_within(~mask[window], radius_mm, spacing)
    return out


def dilate(mask: BoolArray, radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    """``mask`` with everything within ``radius_mm`` of it."""
    out = mask.copy()
    if mask.any() and not mask.all():
        window = box_of(mask, int(np.ceil(radius_mm / float(spacing.min()))) + 1)
        part = mask[window]
        out[window] = True if part.all() else _within(part, radius_mm, spacing)
    return out


def opened(mask: BoolArray, radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    """What a ball of ``radius_mm`` reaches inside ``mask``: bridges and tips thinner than it are gone."""
    return dilate(erode(mask, radius_mm, spacing), radius_mm, spacing) & mask


def close(mask: BoolArray, radius_mm: float, spacing: NDArray[np.float64]) -> BoolArray:
    """``mask`` with clefts and holes that a ball of ``radius_mm`` cannot enter filled."""
    grown = dilate(mask, radius_mm, spacing)
    return np.asarray(erode(grown, radius_mm, spacing) | mask)


def largest(mask: BoolArray) -> BoolArray:
    """The largest 6-connected component (empty stays empty)."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask.copy()
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()))


def fill_holes(mask: BoolArray, fewer_than: float = np.inf) -> BoolArray:
    """``mask`` with its holes of fewer than that many voxels: background that is not connected to the array's border.

    Without a limit it is ``scipy.ndimage.binary_fill_holes``, which takes ten times as long.
    """
    out = mask.copy()
    if not mask.any():
        return out
    window = box_of(mask, 1)  # what lies beyond is connected to the array's border
    labels, count = ndimage.label(~mask[window])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    hole = sizes < fewer_than
    for axis in range(3):
        for end in (0, -1):
            hole[np.unique(np.take(labels, end, axis))] = False
    hole[0] = False  # the mask itself
    out[window] |= hole[labels]
    return out


def fill_slices(mask: BoolArray, axes: tuple[int, ...] = (2,)) -> BoolArray:
    """Fill the holes of every 2-D slice perpendicular to each of ``axes``."""
    out = mask.copy()
    for axis in axes:
        view = np.moveaxis(out, axis, 0)
        for index in range(view.shape[0]):
            if view[index].any():
                view[index] = ndimage.binary_fill_holes(view[index])
    return out


def surround(piece: BoolArray, mask: BoolArray) -> float:
    """Fraction of the voxel faces of ``piece``'s surface that look onto ``mask``, within the array."""
    if not piece.any():
        return 0.0
    window = box_of(piece, 1)
    piece, mask = piece[window], mask[window]
    touching = total = 0
    for axis in range(3):
        a: list[Any] = [slice(None)] * 3
        b: list[Any] = [slice(None)] * 3
        a[axis], b[axis] = slice(1, None), slice(None, -1)
        for one, other in ((tuple(a), tuple(b)), (tuple(b), tuple(a))):
            face = piece[one] & ~piece[other]
            total += int(np.count_nonzero(face))
            touching += int(np.count_nonzero(face & mask[other]))
    return touching / total if total else 0.0


def box_of(mask: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    """Index box of a non-empty mask, widened by ``margin`` voxels and clipped to the array."""
    rows = mask.reshape(len(mask), -1).any(axis=1) if mask.flags.c_contiguous else mask.any(axis=(1, 2))
    first = np.flatnonzero(rows)
    plane = mask[first[0] : first[-1] + 1].any(axis=0)  # one pass over the rest, not one for each axis
    used = first, np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    low, high = zip(*((max(0, int(at[0]) - margin), int(at[-1]) + 1 + margin) for at in used), strict=True)
    sides = [slice(a, min(b, size)) for a, b, size in zip(low, high, mask.shape, strict=True)]
    return sides[0], sides[1], sides[2]
