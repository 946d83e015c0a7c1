"""The benchmark's true sizes are those of the continuous ellipsoid, carried to the MRI by the simulated motion."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.simulate.lesions import LesionRequest, PlacedLesion, lesion_distance
from scipy.spatial.transform import Rotation

from benchmarks._lesion_truth import sizes_of_ellipsoid


def test_an_upright_ellipsoid_reads_its_own_axes() -> None:
    sizes = sizes_of_ellipsoid(np.diag([4.0, 3.0, 6.0]))
    assert sizes.axial_mm == pytest.approx(8.0)
    assert sizes.feret_mm == pytest.approx(12.0)
    assert sizes.sphere_mm == pytest.approx(2 * 72 ** (1 / 3))


def test_a_tilted_ellipsoid_reads_what_its_surface_does() -> None:
    axes = Rotation.from_euler("xyz", [35, 50, 20], degrees=True).as_matrix() @ np.diag([4.0, 3.0, 6.0])
    sizes = sizes_of_ellipsoid(axes)
    turn = np.linspace(0, np.pi, 20001)
    plane = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)])
    radius = 1 / np.linalg.norm(np.linalg.inv(axes) @ plane, axis=0)
    assert sizes.axial_mm == pytest.approx(2 * radius.max(), rel=1e-6)
    assert sizes.feret_mm == pytest.approx(12.0)
    assert sizes.axial_mm < sizes.feret_mm


def test_the_semi_axes_that_the_truth_states_end_on_the_surface_that_is_rendered() -> None:
    turn = Rotation.from_euler("xyz", [35, 50, 20], degrees=True).as_matrix()
    lesion = PlacedLesion(LesionRequest(8.0, 3.0), np.array([5.0, -3.0, 2.0]), np.array([4.0, 3.0, 6.0]), turn)
    ends = lesion.centre[:, None] + turn * lesion.radii  # as TrueLesion.semi_axes
    distance = lesion_distance(lesion, tuple(ends[axis].astype(np.float32) for axis in range(3)))
    assert np.abs(distance).max() < 1e-4
