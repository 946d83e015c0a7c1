"""The true sizes of a simulated lesion on the MRI: what its continuous shape reads by each measure, without voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from liverpair.simulate import SimulatedPair, TrueLesion
from numpy.typing import NDArray

__all__ = ["TrueSizes", "sizes_of_ellipsoid", "true_sizes"]

#: Step (mm) of the motion's derivative: less than a lesion, more than its rounding.
STEP_MM = 0.5


@dataclass(frozen=True, slots=True)
class TrueSizes:
    """Equivalent sphere, longest diameter on any axial plane (RECIST), the longest in space (Feret); mm."""

    sphere_mm: float
    axial_mm: float
    feret_mm: float


def sizes_of_ellipsoid(semi_axes: NDArray[np.float64]) -> TrueSizes:
    """The sizes of the ellipsoid whose semi-axes (mm) are the columns of a (3, 3) matrix, z being the patient's axis.

    Its shadow is bounded by M Mᵀ; its section by the plane z = 0 through the centre, the largest of all axial ones, by
    the inverse's upper left block.
    """
    spread = semi_axes @ semi_axes.T
    section = np.linalg.inv(spread)[:2, :2]
    return TrueSizes(
        2.0 * float(np.cbrt(abs(np.linalg.det(semi_axes)))),
        2.0 / float(np.sqrt(np.linalg.eigvalsh(section)[0])),
        2.0 * float(np.sqrt(np.linalg.eigvalsh(spread)[-1])),
    )


def true_sizes(pair: SimulatedPair, lesion: TrueLesion) -> TrueSizes:
    """A lesion's sizes on the MRI, to which the motion's derivative at its centre carries its ellipsoid."""
    steps = STEP_MM * np.eye(3)
    after, before = pair.to_moving(lesion.pet_lps + steps), pair.to_moving(lesion.pet_lps - steps)
    return sizes_of_ellipsoid(((after - before) / (2 * STEP_MM)).T @ lesion.semi_axes)
