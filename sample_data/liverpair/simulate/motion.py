"""The true map between the examinations: breathing, local deformation, rigid motion and table offset.

Everything happens in the anatomical frame of the PET/CT (mm); the map is a closed formula, its inverse a
contraction iterated to 1e-5 mm. No displacement is steeper than 0.6 mm per mm, so the map never folds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liverpair.simulate.space import rotation_matrix

__all__ = ["Motion", "Rigid", "draw_motion"]

INVERSE_TOLERANCE_MM = 1e-5
INVERSE_ITERATIONS = 200
#: Where the breathing acts: full on the organs under the diaphragm, fading to the spine and the body wall.
BREATHING_CENTRE_MM = (-30.0, -20.0, 40.0)
BREATHING_WIDTH_MM = (120.0, 85.0, 130.0)
#: The liver also moves forward when it moves down: the anterior part of the cranio-caudal amplitude.
ANTERIOR_SHARE = 0.2

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rigid:
    """x → R (x − pivot) + pivot + shift, in mm."""

    rotation: NDArray[np.float64]
    pivot: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def turning(cls, degrees: ArrayLike, shift: ArrayLike, pivot: ArrayLike = (0.0, 0.0, 0.0)) -> Rigid:
        """By three angles (degrees about x, y, z), a shift and a pivot (mm)."""
        angles = np.asarray(degrees, dtype=np.float64)
        return cls(rotation_matrix(angles), np.asarray(pivot, dtype=np.float64), np.asarray(shift, dtype=np.float64))

    def forward(self, points: Points) -> Points:
        """Move points (n, 3)."""
        return np.asarray((points - self.pivot) @ self.rotation.T + self.pivot + self.shift)

    def backward(self, points: Points) -> Points:
        """Undo the motion of points (n, 3)."""
        return np.asarray((points - self.pivot - self.shift) @ self.rotation + self.pivot)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """PET/CT anatomy → MR anatomy: p → Rigid(p + breathing(p) + local(p)).

    ``breathing_mm`` is the cranio-caudal amplitude (positive moves the liver towards the feet); ``centres`` (n, 3),
    ``widths`` (n,) and ``vectors`` (n, 3) are the Gaussian bumps of the local deformation.
    """

    rigid: Rigid
    breathing_mm: float
    centres: NDArray[np.float64]
    widths: NDArray[np.float64]
    vectors: NDArray[np.float64]

    def displacement(self, points: Points) -> Points:
        """Non-rigid part at points (n, 3), mm."""
        scaled = (points - np.asarray(BREATHING_CENTRE_MM)) / np.asarray(BREATHING_WIDTH_MM)
        weight = np.exp(-0.5 * (scaled**2).sum(axis=1))
        moved = np.zeros_like(points)
        moved[:, 2] -= self.breathing_mm * weight
        moved[:, 1] -= ANTERIOR_SHARE * self.breathing_mm * weight
        for centre, width, vector in zip(self.centres, self.widths, self.vectors, strict=True):
            squared = ((points - centre) ** 2).sum(axis=1)
            moved += np.exp(-0.5 * squared / width**2)[:, None] * vector
        return moved

    def forward(self, points: ArrayLike) -> Points:
        """MR anatomy of PET/CT anatomy points (n, 3)."""
        start = np.atleast_2d(np.asarray(points, dtype=np.float64))
        return self.rigid.forward(start + self.displacement(start))

    def backward(self, points: ArrayLike) -> Points:
        """PET/CT anatomy of MR anatomy points (n, 3)."""
        target = self.rigid.backward(np.atleast_2d(np.asarray(points, dtype=np.float64)))
        guess = target.copy()
        for _ in range(INVERSE_ITERATIONS):
            step = target - self.displacement(guess) - guess
            guess += step
            if step.size == 0 or np.abs(step).max() < INVERSE_TOLERANCE_MM:
                break
        return guess


def draw_motion(
    rng: np.random.Generator,
    rotation_deg: float,
    shift_mm: float,
    breathing_mm: float,
    local_mm: float,
    reach: NDArray[np.float64],
) -> Motion:
    """Draw a motion of given strengths.

    ``rotation_deg`` and ``shift_mm`` are the lengths of the random rotation and shift vectors, ``local_mm`` the
    largest bump, ``reach`` (n, 3) points of the liver around which the bumps lie.
    """
    axis = rng.standard_normal(3)
    direction = rng.standard_normal(3)
    rigid = Rigid.turning(
        axis / np.linalg.norm(axis) * rotation_deg,
        direction / np.linalg.norm(direction) * shift_mm,
        reach.mean(axis=0),
    )
    count = 6
    centres = reach[rng.integers(0, len(reach), count)]
    widths = rng.uniform(35.0, 50.0, count)
    vectors = rng.standard_normal((count, 3))
    vectors *= (local_mm * rng.uniform(0.6, 1.0, count) / np.linalg.norm(vectors, axis=1))[:, None]
    return Motion(rigid, breathing_mm, centres, widths, vectors)
