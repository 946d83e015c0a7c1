"""The inverse of a transform and its Jacobian, against maps whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  # the name every ITK user knows
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.register.inverse import inverse_transform
from liverpair.register.jacobian import jacobian_map
from liverpair.register.transform_io import write_transform


def _turned(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, 3] = shift
    return affine


def _oblique_grid(shape: tuple[int, int, int] = (24, 20, 16), step: float = 6.0) -> Grid:
    affine = _turned(20.0, (-50.0, -40.0, 10.0))
    affine[:3, :3] *= step
    return Grid(shape, affine)


def _waved(amplitude: float) -> SpatialTransform:
    grid = _oblique_grid()
    at = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))
    field = amplitude * np.stack([np.sin(at[:, (d + 1) % 3] / 25.0) for d in range(3)], axis=-1)
    return SpatialTransform(_turned(-7.0, (12.0, -3.0, 30.0)), field.reshape(*grid.shape, 3).astype(np.float32), grid)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 9.0), st.integers(0, 1000))
def test_there_and_back_returns_to_the_same_place(amplitude: float, seed: int) -> None:
    transform = _waved(amplitude)
    assert transform.grid is not None
    inner = np.random.default_rng(seed).uniform(2, np.array(transform.grid.shape) - 3, (200, 3))
    points = transform.grid.to_world(inner)
    back = inverse_transform(transform).to_moving(transform.to_moving(points))
    assert np.linalg.norm(back - points, axis=1).max() < 0.15


def test_itk_applies_the_inverse_that_was_written(tmp_path: Path) -> None:
    transform = _waved(5.0)
    assert transform.grid is not None
    write_transform(inverse_transform(transform), tmp_path / "inverse.h5")
    found = sitk.ReadTransform(str(tmp_path / "inverse.h5"))
    for index in ((5, 5, 5), (12, 10, 8), (18, 14, 11)):
        place = transform.grid.to_world(np.array(index, dtype=float))
        moved = transform.to_moving(place)[0]
        assert np.allclose(found.TransformPoint(moved.tolist()), place, atol=0.15)


def test_the_inverse_of_an_affine_is_the_inverse_affine() -> None:
    affine = _turned(33.0, (5.0, -8.0, 2.0))
    assert np.allclose(inverse_transform(SpatialTransform(affine)).affine @ affine, np.eye(4))


def test_a_folded_transform_has_no_inverse() -> None:
    grid = _oblique_grid()
    rng = np.random.default_rng(3)
    field = rng.normal(0, 30, (*grid.shape, 3)).astype(np.float32)
    with pytest.raises(GeometryRefusal, match="folds"):
        inverse_transform(SpatialTransform(np.eye(4), field, grid))


def test_the_jacobian_of_a_linear_field_is_its_determinant_on_an_oblique_grid() -> None:
    grid = _oblique_grid((6, 7, 8))
    slope = np.array([[0.1, 0.02, 0.0], [-0.03, -0.2, 0.05], [0.0, 0.04, 0.3]])
    at = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    found = jacobian_map(SpatialTransform(affine, (at @ slope.T).reshape(*grid.shape, 3).astype(np.float32), grid))
    assert found is not None
    assert np.allclose(found.values, 2 * np.linalg.det(np.eye(3) + slope), rtol=1e-4)


def test_the_jacobian_is_the_ratio_of_small_volumes() -> None:
    transform = _waved(4.0)
    found = jacobian_map(transform)
    assert found is not None
    index = np.array([12.0, 10.0, 8.0])
    place, tiny = found.grid.to_world(index), 0.5
    corners = np.vstack([place, place + tiny * np.eye(3)])
    moved = transform.to_moving(corners)
    ratio = np.linalg.det(moved[1:] - moved[0]) / tiny**3
    assert found.values[12, 10, 8] == pytest.approx(ratio, rel=0.1)


def test_an_affine_has_no_map_of_its_jacobian() -> None:
    assert jacobian_map(SpatialTransform.identity()) is None
