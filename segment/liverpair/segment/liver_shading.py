"""Remove a coil's shading from an MR image: the smooth field that has the slopes of the image inside its tissues."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_morphology import BoolArray

__all__ = ["shading"]

#: Total degrees of the Legendre polynomials over the field of view, fitted in turn to what the one before left. A coil
#: that makes a fatty liver vary by 60 % takes the sixth (to 4.5 %; the fifth alone 7 %).
DEGREES = (5, 6)
#: Slopes are those of the logarithm smoothed by this sigma (voxels).
SLOPE_VOXELS = 1.0
#: Edges are where a voxel or one beside it is steeper than this share of the body is: inside a tissue only shading and
#: noise have a slope. A larger share lets the edges' feet in: fat of 0.75 times the liver's intensity came to 0.8.
QUIET_SHARE = 0.25
#: Nearer to the skin or to air than this many voxels, or darker than this share of the body, is no tissue's inside.
FROM_AIR, DARKEST = 3, 0.25
#: Every second voxel along each axis is enough for 83 coefficients.
EVERY = 2
#: Rounds of weighting: slopes far from the fitted field's are structures, however flat.
ROUNDS = 4
#: Ridge (share of the mean diagonal): what the tissues do not determine stays flat.
RIDGE = 3e-3
#: Places per block of the sums: 83 terms of so many in double precision are 3 MB.
BLOCK = 4096
#: Fewer places than this determine no field.
LEAST_PLACES = 1000
#: Shading is within e to this power of its median.
MOST_LOG = 2.0

Terms = list[tuple[int, ...]]


def _terms(degree: int) -> Terms:
    """Exponents of the three axes' polynomials; a constant has no slope."""
    return [t for t in product(range(degree + 1), repeat=3) if 0 < sum(t) <= degree]


def _legendre(x: NDArray[np.float64], degree: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Legendre polynomials 0 … degree at x in [−1, 1] and their derivatives, (n, degree + 1) each."""
    values = np.polynomial.legendre.legvander(x, degree)
    slopes = np.zeros((degree + 1, degree + 1))
    for n in range(1, degree + 1):
        column = np.polynomial.legendre.legder(np.eye(degree + 1)[n])
        slopes[: len(column), n] = column
    return np.asarray(values), np.asarray(values @ slopes)


def _designs(x: NDArray[np.float64], half: NDArray[np.float64], degree: int) -> list[NDArray[np.float32]]:
    """Per axis the slope (per mm) of every term at every place, (n, terms); ``half``: the field of view's half size."""
    tables = [_legendre(x[:, axis], degree) for axis in range(3)]
    designs = []
    for along in range(3):
        factors = [tables[a][1] / half[a] if a == along else tables[a][0] for a in range(3)]
        columns = [factors[0][:, t[0]] * factors[1][:, t[1]] * factors[2][:, t[2]] for t in _terms(degree)]
        designs.append(np.stack(columns, axis=1).astype(np.float32))
    return designs


def _normal_equations(
    designs: list[NDArray[np.float32]], slopes: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weighted normal matrix (terms, terms) and right side (terms,), summed over the three axes.

    In blocks that stay in the processor's cache, of a matrix with itself (half the products): a quarter of the time.
    """
    count = designs[0].shape[1]
    normal, right = np.zeros((count, count)), np.zeros(count)
    root = np.sqrt(weight, dtype=np.float64)
    for along, design in enumerate(designs):
        for first in range(0, len(design), BLOCK):
            block = slice(first, first + BLOCK)
            weighted = design[block] * root[block]
            normal += weighted.T @ weighted
            right += weighted.T @ (slopes[block, along] * root[block, 0])
    return normal, right


def _fitted(designs: list[NDArray[np.float32]], slopes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Coefficients (terms,) whose field has ``slopes`` (n, 3), structures weighted down (Welsch)."""
    left, count = slopes, designs[0].shape[1]
    coefficients = np.zeros(count)
    for _ in range(ROUNDS):
        off = np.linalg.norm(left, axis=1)
        weight = np.exp(-((off / max(float(np.median(off)), 1e-12)) ** 2)).astype(np.float32)[:, None]
        normal, right = _normal_equations(designs, slopes, weight)
        normal = normal + RIDGE * np.trace(normal) / count * np.eye(count)
        coefficients = np.linalg.solve(normal, right)
        left = slopes - np.stack([d @ coefficients.astype(np.float32) for d in designs], axis=1)
    return coefficients


def _field(coefficients: NDArray[np.float64], degree: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The polynomials' sum on a grid."""
    cube = np.zeros((degree + 1,) * 3)
    for term, value in zip(_terms(degree), coefficients, strict=True):
        cube[term] = value
    i, j, k = (np.polynomial.legendre.legvander(np.linspace(-1, 1, n), degree) for n in shape)
    return np.asarray(np.tensordot(np.einsum("abc,jb->ajc", np.tensordot(i, cube, 1), j), k.T, 1), dtype=np.float32)


def _slopes(log: NDArray[np.float32], spacing: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    return [ndimage.correlate1d(log, [-0.5, 0.0, 0.5], axis=a) / np.float32(spacing[a]) for a in range(3)]


def _quiet(slopes: list[NDArray[np.float32]], inner: BoolArray) -> NDArray[np.intp]:
    """Index (n, 3) of places inside tissues: not on an edge nor beside one."""
    steepest = ndimage.maximum_filter(np.sqrt(sum(s * s for s in slopes)), 3)
    flat = inner & (steepest <= np.quantile(steepest[inner], QUIET_SHARE))
    every = tuple(slice(None, None, EVERY) for _ in range(3))
    return np.argwhere(flat[every]) * EVERY


def shading(values: NDArray[np.float32], body: BoolArray, spacing: NDArray[np.float64]) -> NDArray[np.float32]:
    """The logarithm of the shading (its median in ``body`` 0) of a positive image, both of one shape; mm per voxel.

    Where two tissues meet, the image's slope says nothing of the coil and is left out, so fat of nearly the liver's
    intensity keeps its step, which N4's sharpening of one histogram levels out. Zero where too little can be seen.
    """
    floor = 1e-3 * float(values[body].mean())
    log = ndimage.gaussian_filter(np.log(np.maximum(values, floor)), SLOPE_VOXELS, truncate=3.0)
    bright = log > np.log(DARKEST * max(float(np.median(values[body])), floor))
    inner = ndimage.binary_erosion(body, iterations=FROM_AIR) & bright
    total = np.zeros(values.shape, dtype=np.float32)
    half = (np.asarray(values.shape) - 1) / 2
    for degree in DEGREES:
        if int(inner.sum()) < LEAST_PLACES or half.min() < 1:
            return total
        slopes = _slopes(log - total, spacing)
        at = _quiet(slopes, inner)
        if len(at) < LEAST_PLACES:
            return total
        designs = _designs((at - half) / half, half * spacing, degree)
        steps = np.stack([s[tuple(at.T)] for s in slopes], axis=1)
        total = total + _field(_fitted(designs, steps), degree, values.shape)
    return np.asarray(np.clip(total - np.median(total[body]), -MOST_LOG, MOST_LOG), dtype=np.float32)
