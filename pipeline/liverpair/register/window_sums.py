"""Sum volumes over cubic windows, only where somebody reads the sums.

A liver fills about two fifths of its box. The sums are therefore made slab by slab within the rectangle that the slab
needs; along every axis but the last they are running sums, and every inner loop is one over contiguous numbers.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["box_sum", "box_sum_in_place", "everywhere", "reach", "scratch_for"]

Array = NDArray[np.float32]
#: Per slab of the first axis: from, to (second axis), from, to (third axis); nothing where from = to.
Rectangles = NDArray[np.int64]


def everywhere(shape: tuple[int, ...]) -> Rectangles:
    """The rectangles that leave nothing out."""
    return np.tile(np.array([0, shape[1], 0, shape[2]], dtype=np.int64), (shape[0], 1))


def reach(region: NDArray[np.bool_], r: int) -> Rectangles:
    """The smallest rectangles that hold every place within ``r`` voxels (along each axis) of the region."""
    n0, n1, n2 = region.shape
    own = np.tile(np.array([n1, 0, n2, 0], dtype=np.int64), (n0, 1))
    for axis in (1, 2):
        line = np.asarray(region.any(axis=3 - axis))
        filled = line.any(axis=1)
        own[filled, 2 * axis - 2] = line[filled].argmax(axis=1)
        own[filled, 2 * axis - 1] = line.shape[1] - line[filled, ::-1].argmax(axis=1)
    out = np.zeros((n0, 4), dtype=np.int64)
    for i in range(n0):
        near = own[max(0, i - r) : i + r + 1]
        near = near[near[:, 1] > 0]
        if len(near):
            low, high = near.min(axis=0), near.max(axis=0)
            out[i] = max(low[0] - r, 0), min(high[1] + r, n1), max(low[2] - r, 0), min(high[3] + r, n2)
    return out


@njit(cache=True, nogil=True)
def _add(out: Array, more: Array) -> None:
    for k in range(out.size):
        out[k] += more[k]


@njit(cache=True, nogil=True)
def _subtract(out: Array, less: Array) -> None:
    for k in range(out.size):
        out[k] -= less[k]


@njit(cache=True, nogil=True)
def _step(out: Array, before: Array, new: Array, old: Array) -> None:
    for k in range(out.size):
        out[k] = before[k] + (new[k] - old[k])


@njit(cache=True, nogil=True)
def _line(line: Array, r: int, first: int, last: int, out: Array) -> None:
    """Window sums of one line at [first, last); each window is summed afresh (it vectorises)."""
    n = line.size
    for k in range(first, last):
        if k < r or k >= n - r:
            s = np.float32(0)
            for d in range(max(k - r, 0), min(k + r + 1, n)):
                s += line[d]
            out[k] = s
    low, high = max(first, r), min(last, n - r)
    if high > low:
        whole = out[low:high]
        whole[:] = line[low - r : high - r]
        for d in range(1, 2 * r + 1):
            _add(whole, line[low - r + d : high - r + d])


@njit(cache=True, nogil=True)
def _slab(slab: Array, r: int, j0: int, j1: int, k0: int, k1: int, row: Array, out: Array) -> None:
    """Window sums over the last two axes within a rectangle; ``row`` is scratch of the slab's shape."""
    for j in range(j0, j1):
        _line(slab[j], r, k0, k1, row[j])
    out[j0, k0:k1] = row[j0, k0:k1]
    for j in range(j0 + 1, min(j0 + r + 1, j1)):
        _add(out[j0, k0:k1], row[j, k0:k1])
    for j in range(j0 + 1, j1):
        new, old = j + r, j - r - 1
        if new < j1 and old >= j0:
            _step(out[j, k0:k1], out[j - 1, k0:k1], row[new, k0:k1], row[old, k0:k1])
            continue
        out[j, k0:k1] = out[j - 1, k0:k1]
        if new < j1:
            _add(out[j, k0:k1], row[new, k0:k1])
        if old >= j0:
            _subtract(out[j, k0:k1], row[old, k0:k1])


@njit(cache=True, nogil=True)
def _sums(a: Array, r: int, where: Rectangles, flat: Array, row: Array, total: Array) -> None:
    """Window sums written over ``a``; the rest is scratch: ``flat`` like ``a``, ``row`` and ``total`` like a slab."""
    n0 = a.shape[0]
    for i in range(n0):
        if where[i, 1] > where[i, 0]:
            _slab(a[i], r, where[i, 0], where[i, 1], where[i, 2], where[i, 3], row, flat[i])
    total[:] = 0
    for i in range(-r, n0):
        new, old = i + r, i - r - 1
        if new < n0:
            for j in range(where[new, 0], where[new, 1]):
                _add(total[j, where[new, 2] : where[new, 3]], flat[new, j, where[new, 2] : where[new, 3]])
        if old >= 0:
            for j in range(where[old, 0], where[old, 1]):
                _subtract(total[j, where[old, 2] : where[old, 3]], flat[old, j, where[old, 2] : where[old, 3]])
        if i >= 0:
            for j in range(where[i, 0], where[i, 1]):
                a[i, j, where[i, 2] : where[i, 3]] = total[j, where[i, 2] : where[i, 3]]


def scratch_for(shape: tuple[int, ...]) -> Array:
    """What ``box_sum_in_place`` needs beside an array of that shape; new memory for every sum costs as much as it."""
    return np.empty((shape[0] + 2, *shape[1:]), dtype=np.float32)


def box_sum_in_place(a: Array, r: int, where: Rectangles, scratch: Array | None = None) -> None:
    """Write over ``a`` (n0, n1, n2) its sums over (2r+1)³ windows, truncated at the array's faces.

    Right where the whole window lies within ``where``, or where ``a`` is zero outside of it; outside of ``where``
    the array keeps what it held. ``scratch``: see `scratch_for`; no other sum may use it at the same time.
    """
    scratch = scratch_for(a.shape) if scratch is None else scratch
    _sums(a, r, where, scratch[2:], scratch[0], scratch[1])


def box_sum(a: Array, r: int) -> Array:
    """Sums over (2r+1)³ windows everywhere, truncated at the array's faces; shape of ``a`` (n0, n1, n2)."""
    out = a.copy()
    box_sum_in_place(out, r, everywhere(a.shape))
    return out
