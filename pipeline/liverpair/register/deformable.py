"""Deform the moving image onto the fixed one: squared local correlation, cubic B-splines, exact gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from liverpair.core.volume import Volume
from liverpair.register.bspline import BSplineSpace
from liverpair.register.local_ncc import LocalCorrelation, mismatch_forces, sample
from liverpair.register.prepare import DISTANCE_CLAMP_MM, Scene
from liverpair.register.second_channel import SecondChannel, second_channel
from liverpair.register.settings import DeformSettings

__all__ = ["Cost", "DeformSettings", "FreeForm", "bending_weight", "minimise", "spline_space"]


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """The function of a displacement field that a level minimises, and its gradient by the field."""

    scene: Scene
    correlation: LocalCorrelation
    active: NDArray[np.bool_]
    surface_share: float
    second: SecondChannel | None = None

    @classmethod
    def of(cls, scene: Scene, settings: DeformSettings, second: Volume | None = None) -> Cost:
        """Prepare a level; ``second`` is another image of the fixed examination (see second_channel)."""
        radius = window_radius(settings.window_mm, scene.spacing)
        correlation = LocalCorrelation.of(scene.fixed, scene.weights, radius, scene.noise, scene.use)
        # Only voxels that some weighted window reads need to be sampled.
        active = ndimage.maximum_filter(scene.weights, 2 * radius + 1) > 0
        share = settings.surface if scene.fixed_distance is not None and scene.moving_distance is not None else 0.0
        if second is None or settings.second is None:
            return cls(scene, correlation, active, share)
        return cls(
            scene, correlation, active, share, second_channel(second, scene, settings.second, settings.noise_share)
        )

    def __call__(self, field: NDArray[np.float32]) -> tuple[float, NDArray[np.float32], float]:
        """Cost, gradient (3, n0, n1, n2) by the field, and the first image's weighted mean squared correlation."""
        scene = self.scene
        values, slope = np.empty_like(scene.fixed), np.empty_like(field)
        offset = np.full(3, float(scene.pad))
        sample(scene.moving, offset, scene.spacing, field, self.active, values, slope)
        similarity, metric = self.correlation.evaluate(values)[:2]
        value = -similarity
        if self.second is not None:
            more, pull = self.second.evaluate(values)
            value -= self.second.share * more
            metric += np.float32(self.second.share) * pull
        if self.surface_share == 0 or scene.fixed_distance is None or scene.moving_distance is None:
            slope *= -metric
            return value, slope, similarity
        count = max(float((scene.distance_weights * self.active).sum(dtype=np.float64)), 1.0)
        mismatch = mismatch_forces(
            scene.fixed_distance, scene.moving_distance, offset, scene.spacing, field, self.active,
            scene.distance_weights, 1 / (count * DISTANCE_CLAMP_MM**2), self.surface_share, metric, slope,
        )  # fmt: skip
        return value + self.surface_share * mismatch, slope, similarity

    def correlation_map(
        self, field: NDArray[np.float32], shift: tuple[float, float, float] = (0, 0, 0)
    ) -> NDArray[np.float32]:
        """Squared correlation of every window with the field displaced by a further ``shift`` (mm)."""
        values, slope = np.empty_like(self.scene.fixed), np.empty_like(field)
        offset = self.scene.pad + np.asarray(shift, dtype=np.float64) / self.scene.spacing
        sample(self.scene.moving, offset, self.scene.spacing, field, self.active, values, slope)
        return self.correlation.score(values)[1]


@dataclass(frozen=True, slots=True, eq=False)
class FreeForm:
    """A level's result: the field (3, n0, n1, n2) in mm on its scene's grid and what it cost."""

    field: NDArray[np.float32]
    similarity: float
    bending: float
    evaluations: int


def window_radius(window_mm: float, spacing: float) -> int:
    """Window half width in voxels for ``window_mm`` of radius; at least 1."""
    return max(1, int(round(window_mm / spacing)))


def bending_weight(coarser: Sequence[FreeForm], settings: DeformSettings) -> float:
    """The bending's weight at the next level, from what the coarser ones needed.

    A Gaussian prior's weight is the inverse of the variance that it expects, and the coarser levels measure it
    (empirical Bayes). It is never raised: little bending at a coarse level does not forbid it at a finer one.
    """
    found = max((level.bending for level in coarser), default=0.0)
    share = settings.expected_bending / max(found, settings.expected_bending)
    return settings.bending * max(share, settings.least_bending_share)


def spline_space(scene: Scene, knot_mm: float) -> BSplineSpace:
    """The deformations of a level whose control points lie ``knot_mm`` apart."""
    return BSplineSpace.over(scene.grid.shape, scene.spacing, knot_mm)


def minimise(
    cost: Cost, knot_mm: float, iterations: int, bending: float, start: NDArray[np.float64] | None
) -> FreeForm:
    """Run L-BFGS-B over the control points of one level from the coefficients ``start`` (zero if None)."""
    space = spline_space(cost.scene, knot_mm)
    initial = np.zeros(space.controls) if start is None else start
    evaluations = 0

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal evaluations
        evaluations += 1
        coefficients = x.reshape(space.controls)
        value, force, _ = cost(space.displacement(coefficients))
        roughness, pull = space.bending(coefficients)
        gradient = space.transpose(force) + bending * pull
        return value + bending * roughness, gradient.ravel()

    result = optimize.minimize(
        objective, initial.ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": int(1.25 * iterations) + 5, "ftol": 1e-7, "gtol": 1e-9},
    )  # fmt: skip
    coefficients = np.asarray(result.x).reshape(space.controls)
    field = space.displacement(coefficients)
    return FreeForm(field, cost(field)[2], space.bending(coefficients)[0], evaluations)
