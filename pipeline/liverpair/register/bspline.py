"""Uniform cubic B-spline displacement fields: separable bases, their transposes and exact bending energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BSplineSpace"]

#: Share of the bending in a fit: enough to settle what no voxel sees, too little to move what one sees by
#: 0.01 mm.
RIM_SMOOTHING = 1e-5


def _cubic(t: NDArray[np.floating[Any]], derivative: int) -> NDArray[np.float64]:
    """The centred cubic B-spline of unit knot spacing, or its first or second derivative, at t."""
    a = np.abs(t)
    near, far = a < 1, (a >= 1) & (a < 2)
    if derivative == 0:
        return np.where(near, 2 / 3 - a**2 + a**3 / 2, np.where(far, (2 - a) ** 3 / 6, 0.0))
    if derivative == 1:
        return np.sign(t) * np.where(near, -2 * a + 1.5 * a**2, np.where(far, -((2 - a) ** 2) / 2, 0.0))
    return np.where(near, -2 + 3 * a, np.where(far, 2 - a, 0.0))


def _basis(samples: int, step: float, knot: float) -> NDArray[np.float64]:
    """Values, shape (samples, controls), of each control's spline at the samples; controls start at −knot."""
    position = np.arange(samples) * step / knot
    controls = int(np.ceil(position[-1])) + 3 if samples > 1 else 4
    return _cubic(position[:, None] - (np.arange(controls)[None, :] - 1), 0)


def _gram(extent: float, knot: float, controls: int, derivative: int) -> NDArray[np.float64]:
    """Mean over [0, extent] of the products of the splines' derivatives (per mm), (controls, controls)."""
    nodes, weights = np.polynomial.legendre.leggauss(4)  # exact for degree 7; cubic² is of degree 6
    edges = np.append(np.arange(0.0, extent, knot), extent)
    width = np.diff(edges)
    t = np.asarray(edges[:-1, None] + width[:, None] * (nodes + 1) / 2, dtype=np.float64).ravel()
    w = (width[:, None] * weights / 2).ravel() / extent
    values = _cubic(t[:, None] / knot - (np.arange(controls)[None, :] - 1), derivative) / knot**derivative
    return values.T @ (w[:, None] * values)


@dataclass(frozen=True, slots=True, eq=False)
class BSplineSpace:
    """Displacements over an isotropic voxel box as tensor products of cubic B-splines.

    ``bases``: per axis the (voxels, controls) values, float32. ``grams``: per axis the mean products of the
    splines' 0th, 1st and 2nd derivatives. Coefficients have shape (c0, c1, c2, 3), in mm.
    """

    bases: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    grams: tuple[tuple[NDArray[np.float64], ...], ...]

    @classmethod
    def over(cls, shape: tuple[int, int, int], spacing: float, knot: float) -> BSplineSpace:
        """The space over ``shape`` voxels of ``spacing`` mm with controls every ``knot`` mm."""
        bases = [_basis(n, spacing, knot) for n in shape]
        grams = tuple(
            tuple(_gram(max((n - 1) * spacing, spacing), knot, b.shape[1], order) for order in range(3))
            for n, b in zip(shape, bases, strict=True)
        )
        b0, b1, b2 = (np.ascontiguousarray(b, dtype=np.float32) for b in bases)
        return cls((b0, b1, b2), grams)

    @property
    def controls(self) -> tuple[int, int, int, int]:
        """Shape of the coefficients."""
        b0, b1, b2 = self.bases
        return b0.shape[1], b1.shape[1], b2.shape[1], 3

    def displacement(self, coefficients: NDArray[np.float64]) -> NDArray[np.float32]:
        """The field in mm at every voxel, shape (3, n0, n1, n2), by three matrix products."""
        b0, b1, b2 = self.bases
        c = np.ascontiguousarray(np.moveaxis(coefficients, 3, 0), dtype=np.float32)
        c = np.matmul(b1, c)  # (3, c0, n1, c2)
        c = np.matmul(b0, c.reshape(3, c.shape[1], -1)).reshape(3, b0.shape[0], b1.shape[0], -1)
        return np.matmul(c, b2.T)

    def transpose(self, force: NDArray[np.float32]) -> NDArray[np.float64]:
        """The adjoint of ``displacement``: (3, n0, n1, n2) voxel gradients to coefficients' gradients."""
        b0, b1, b2 = self.bases
        g = np.matmul(force, b2)  # (3, n0, n1, c2)
        g = np.matmul(b0.T, g.reshape(3, g.shape[1], -1)).reshape(3, b0.shape[1], b1.shape[0], -1)
        g = np.matmul(b1.T, g)  # (3, c0, c1, c2)
        return np.ascontiguousarray(np.moveaxis(g, 0, 3), dtype=np.float64)

    def bending(self, coefficients: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Mean of the squared second derivatives over the box (mm⁻²), and its gradient; exact integrals."""
        product = np.zeros_like(coefficients)
        for orders, count in (
            ((2, 0, 0), 1), ((0, 2, 0), 1), ((0, 0, 2), 1), ((1, 1, 0), 2), ((1, 0, 1), 2), ((0, 1, 1), 2),
        ):  # fmt: skip
            term = coefficients
            for axis, order in enumerate(orders):
                term = np.moveaxis(np.tensordot(self.grams[axis][order], term, axes=(1, axis)), 0, axis)
            product += count * term
        return float((coefficients * product).sum()), 2 * product

    def fit(self, field: NDArray[np.float32]) -> NDArray[np.float64]:
        """Coefficients of the least-squares fit to a field (3, n0, n1, n2).

        Controls at the rim that hardly any voxel sees are settled by the smallest bending along their axis.
        """
        parts = [self._fit_one(component) for component in field]  # one by one: in double precision they are large
        return np.ascontiguousarray(np.stack(parts, axis=-1))

    def _fit_one(self, component: NDArray[np.float32]) -> NDArray[np.float64]:
        """Coefficients (c0, c1, c2) of one component (n0, n1, n2)."""
        c = component.astype(np.float64)
        for axis, (basis32, grams) in enumerate(zip(self.bases, self.grams, strict=True)):
            basis, bend = basis32.astype(np.float64), grams[2]
            normal = basis.T @ basis
            smooth = RIM_SMOOTHING * np.trace(normal) / np.trace(bend) * bend
            inverse = np.linalg.solve(normal + smooth, basis.T)
            c = np.moveaxis(np.tensordot(inverse, c, axes=(1, axis)), 0, axis)
        return c
