"""Where in the liver a lesion lies, on a ball of known radius."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask
from liverpair.evaluate.location import locate


def ball(radius: float = 40.0) -> Mask:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-60, -60, -60)
    grid = Grid((61, 61, 41), affine)
    places = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Mask(np.linalg.norm(places, axis=-1) <= radius, grid)


def test_depth_and_height_in_a_ball() -> None:
    centre, dome, edge, outside = locate(
        ball(), [np.zeros(3), np.array([0, 0, 38.0]), np.array([-34.0, 0, 0]), np.array([55.0, 0, 0])]
    )
    assert centre.capsule_mm == pytest.approx(40, abs=3)
    assert centre.height == pytest.approx(0.5, abs=0.03)
    assert dome.height > 0.9
    assert edge.capsule_mm == pytest.approx(6, abs=2.5)
    assert outside.capsule_mm == 0


def test_an_empty_liver_has_no_places() -> None:
    empty = Mask(np.zeros((4, 4, 4), bool), Grid((4, 4, 4), np.eye(4)))
    with pytest.raises(GeometryRefusal):
        locate(empty, [np.zeros(3)])
