"""The squared local correlation of two images and its exact gradient, by sums over box windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from liverpair.register.side_by_side import both
from liverpair.register.window_sums import Rectangles, box_sum, box_sum_in_place, reach, scratch_for

__all__ = ["LocalCorrelation", "mismatch_forces", "sample"]

Array = NDArray[np.float32]

#: A window of which less than this share is used tells more about the rim of what was left out than about tissue.
MINIMAL_WINDOW = 0.3


@njit(cache=True, nogil=True)
def _statistics(
    sj: Array, sjj: Array, sij: Array, count: Array, mi: Array, vi: Array, w: Array, ei: float, ej: float,
    a: Array, am: Array, b: Array, bm: Array, cc: Array,
) -> float:  # fmt: skip
    """Squared correlation per window, and the four fields whose window sums make the gradient (flat arrays)."""
    total = 0.0
    for x in range(sj.size):
        if w[x] <= 0:
            a[x] = am[x] = b[x] = bm[x] = cc[x] = 0
            continue
        n = count[x]
        mj = sj[x] / n
        vj = max(sjj[x] / n - mj * mj, np.float32(0)) + ej
        cov = sij[x] / n - mi[x] * mj
        d = (vi[x] + ei) * vj
        c = cov * cov / d
        cc[x] = c
        total += w[x] * c
        a[x] = w[x] * 2 * cov / d / n
        am[x] = a[x] * mi[x]
        b[x] = w[x] * 2 * c / vj / n
        bm[x] = b[x] * mj
    return total


@njit(cache=True, nogil=True)
def _trilinear(
    image: Array, x: float, y: float, z: float, spacing: float
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Trilinear value of ``image`` at a voxel position, and the interpolant's own slope per mm along each axis.

    Beyond the image the edge value continues with slope 0.
    """
    top0, top1, top2 = image.shape[0] - 1.001, image.shape[1] - 1.001, image.shape[2] - 1.001
    inx, iny, inz = 0 <= x <= top0, 0 <= y <= top1, 0 <= z <= top2
    x, y, z = min(max(x, 0.0), top0), min(max(y, 0.0), top1), min(max(z, 0.0), top2)
    p, q, r = int(x), int(y), int(z)
    fx, fy, fz = np.float32(x - p), np.float32(y - q), np.float32(z - r)
    c000, c001 = image[p, q, r], image[p, q, r + 1]
    c010, c011 = image[p, q + 1, r], image[p, q + 1, r + 1]
    c100, c101 = image[p + 1, q, r], image[p + 1, q, r + 1]
    c110, c111 = image[p + 1, q + 1, r], image[p + 1, q + 1, r + 1]
    d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
    v00, v01, v10, v11 = c000 + fz * d00, c010 + fz * d01, c100 + fz * d10, c110 + fz * d11
    v0, v1 = v00 + fy * (v01 - v00), v10 + fy * (v11 - v10)
    d0, d1 = d00 + fy * (d01 - d00), d10 + fy * (d11 - d10)
    e0, e1 = v01 - v00, v11 - v10
    nothing = np.float32(0)
    return (
        v0 + fx * (v1 - v0),
        np.float32((v1 - v0) / spacing) if inx else nothing,
        np.float32((e0 + fx * (e1 - e0)) / spacing) if iny else nothing,
        np.float32((d0 + fx * (d1 - d0)) / spacing) if inz else nothing,
    )


@njit(cache=True, nogil=True)
def _sample(
    image: Array, offset: NDArray[np.float64], spacing: float, field: Array, active: NDArray[np.bool_],
    values: Array, slope: Array, first: int, last: int,
) -> None:  # fmt: skip
    """The slabs from ``first`` to before ``last`` of `sample`."""
    for i in range(first, last):
        for j in range(values.shape[1]):
            for k in range(values.shape[2]):
                if not active[i, j, k]:
                    values[i, j, k] = 0
                    slope[0, i, j, k] = slope[1, i, j, k] = slope[2, i, j, k] = 0
                    continue
                x = i + offset[0] + field[0, i, j, k] / spacing
                y = j + offset[1] + field[1, i, j, k] / spacing
                z = k + offset[2] + field[2, i, j, k] / spacing
                value, s0, s1, s2 = _trilinear(image, x, y, z, spacing)
                values[i, j, k] = value
                slope[0, i, j, k], slope[1, i, j, k], slope[2, i, j, k] = s0, s1, s2


def sample(
    image: Array, offset: NDArray[np.float64], spacing: float, field: Array, active: NDArray[np.bool_],
    values: Array, slope: Array,
) -> None:  # fmt: skip
    """Trilinear values of ``image`` at voxel + offset + field/spacing, and the interpolant's own slope per mm.

    ``field`` (3, n0, n1, n2) in mm; ``values`` (n0, n1, n2) and ``slope`` (3, n0, n1, n2) are written where
    ``active``, zero elsewhere.
    """
    given = image, offset, spacing, field, active, values, slope
    middle, end = len(values) // 2, len(values)
    both(lambda: _sample(*given, 0, middle), lambda: _sample(*given, middle, end))


@njit(cache=True, nogil=True)
def _mismatch_forces(
    fixed: Array, moving: Array, offset: NDArray[np.float64], spacing: float, field: Array,
    active: NDArray[np.bool_], weights: Array, scale: float, share: float, metric: Array, slope: Array,
    first: int, last: int,
) -> float:  # fmt: skip
    """The slabs from ``first`` to before ``last`` of `mismatch_forces`."""
    total = 0.0
    for i in range(first, last):
        for j in range(fixed.shape[1]):
            for k in range(fixed.shape[2]):
                if not active[i, j, k]:
                    slope[0, i, j, k] = slope[1, i, j, k] = slope[2, i, j, k] = 0
                    continue
                x = i + offset[0] + field[0, i, j, k] / spacing
                y = j + offset[1] + field[1, i, j, k] / spacing
                z = k + offset[2] + field[2, i, j, k] / spacing
                value, s0, s1, s2 = _trilinear(moving, x, y, z, spacing)
                d = (value - fixed[i, j, k]) * weights[i, j, k]
                total += d * d
                pull = share * np.float32(2 * scale * d * weights[i, j, k])
                slope[0, i, j, k] = -metric[i, j, k] * slope[0, i, j, k] + pull * s0
                slope[1, i, j, k] = -metric[i, j, k] * slope[1, i, j, k] + pull * s1
                slope[2, i, j, k] = -metric[i, j, k] * slope[2, i, j, k] + pull * s2
    return total * scale


def mismatch_forces(
    fixed: Array, moving: Array, offset: NDArray[np.float64], spacing: float, field: Array,
    active: NDArray[np.bool_], weights: Array, scale: float, share: float, metric: Array, slope: Array,
) -> float:  # fmt: skip
    """``scale`` × the weighted squared difference of ``fixed`` and the displaced ``moving``, and all forces.

    Written over ``slope`` (3, n0, n1, n2), the first image's: −``metric`` · slope + ``share`` · the difference's own
    gradient by the displacement. One pass: the maps' values and slopes side by side would be the peak of the memory.
    """
    given = fixed, moving, offset, spacing, field, active, weights, scale, share, metric, slope
    middle, end = len(fixed) // 2, len(fixed)
    one, other = both(
        lambda: float(_mismatch_forces(*given, 0, middle)), lambda: float(_mismatch_forces(*given, middle, end))
    )
    return one + other


@njit(cache=True, nogil=True)
def _voxel_gradient(fixed: Array, moved: Array, a: Array, am: Array, b: Array, bm: Array, scale: float) -> None:
    """d(loss)/d(moved) per voxel, written over ``a`` (flat arrays)."""
    for x in range(a.size):
        a[x] = scale * (fixed[x] * a[x] - am[x] - moved[x] * b[x] + bm[x])


@dataclass(frozen=True, slots=True, eq=False)
class LocalCorrelation:
    """Everything about the fixed image that does not change while the moving one is deformed.

    ``fixed`` and ``weights`` have shape (n0, n1, n2); windows are (2·radius+1)³ voxels. ``noise`` = (fixed,
    moving) variances added to the windows' own, so that a window of pure noise does not count as structure.
    ``where`` holds every window that a given weight reads.
    ``use`` (1 or 0 per voxel) leaves voxels out of every window; None uses all.
    """

    fixed: Array
    weights: Array
    use: Array | None
    radius: int
    noise: tuple[float, float]
    count: Array
    mean: Array
    variance: Array
    total_weight: float
    where: Rectangles
    scratch: tuple[Array, Array]  # one for each thread

    @classmethod
    def of(
        cls, fixed: Array, weights: Array, radius: int, noise: tuple[float, float], use: Array | None = None
    ) -> LocalCorrelation:
        """Prepare the fixed image's window statistics."""
        count = box_sum(np.ones_like(fixed), radius)
        where = reach(weights > 0, radius)
        if use is not None:
            used = box_sum(use, radius)
            fixed = fixed * use
            weights = weights * use * (used > MINIMAL_WINDOW * count)
            count = np.maximum(used, 1)  # windows without a single voxel have no weight
        mean = box_sum(fixed, radius) / count
        variance = np.maximum(box_sum(fixed * fixed, radius) / count - mean * mean, 0)
        total = max(float(weights.sum(dtype=np.float64)), 1e-6)
        scratch = scratch_for(fixed.shape), scratch_for(fixed.shape)
        return cls(fixed, weights, use, radius, noise, count, mean, variance, total, where, scratch)

    def evaluate(self, moved: Array) -> tuple[float, Array, Array]:
        """Weighted mean of the squared correlation, its gradient by ``moved``, and the map of the windows'."""
        a, am, b = self._sums(moved)
        bm, cc = np.empty_like(moved), np.empty_like(moved)
        # Each window's sums are read before the same place is written: three arrays serve as input and output.
        fields = a, am, b, self.count, self.mean, self.variance, self.weights, a, am, b, bm, cc
        half = moved.size // 2
        totals = both(
            lambda: self._statistics([field.ravel()[:half] for field in fields]),
            lambda: self._statistics([field.ravel()[half:] for field in fields]),
        )
        both(lambda: self._sum_windows(0, a, am), lambda: self._sum_windows(1, b, bm))
        _voxel_gradient(
            self.fixed.ravel(), moved.ravel(), a.ravel(), am.ravel(), b.ravel(), bm.ravel(), 1 / self.total_weight
        )
        if self.use is not None:
            a *= self.use
        return sum(totals) / self.total_weight, a, cc

    def _statistics(self, fields: list[Array]) -> float:
        """Of a part of the windows (flat arrays): what goes in, then what is written."""
        return float(_statistics(*fields[:7], *self.noise, *fields[7:]))

    def _sum_windows(self, thread: int, *fields: Array) -> None:
        for field in fields:
            box_sum_in_place(field, self.radius, self.where, self.scratch[thread])

    def _sums(self, moved: Array) -> tuple[Array, Array, Array]:
        """Window sums of the moved image, its square, and its product with the fixed one."""
        used = moved.copy() if self.use is None else moved * self.use
        square, product = used * moved, self.fixed * moved
        both(lambda: self._sum_windows(0, used, square), lambda: self._sum_windows(1, product))
        return used, square, product

    def score(self, moved: Array) -> tuple[float, Array]:
        """Weighted mean of the squared correlation and the map of the windows' (meaningless where no weight was)."""
        mean, square, product = self._sums(moved)
        mean /= self.count
        variance = np.maximum(square / self.count - mean * mean, 0) + np.float32(self.noise[1])
        covariance = product / self.count - self.mean * mean
        cc = covariance * covariance / ((self.variance + np.float32(self.noise[0])) * variance)
        return float((cc * self.weights).sum(dtype=np.float64)) / self.total_weight, cc
