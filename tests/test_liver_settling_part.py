"""Only the part of a whole body's CT around both livers is compared and corrected; the mask returns to the whole."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.flow.liver_settling import NEAR_MM, Livers, _part

BODY = Grid((60, 50, 300), np.diag([4.0, 4.0, 5.0, 1.0]))
UPSIDE_DOWN = Grid((60, 50, 300), np.array([[4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, -5.0, 1495.0], [0, 0, 0, 1.0]]))


def _ball(grid: Grid, centre: tuple[float, float, float], radius_mm: float) -> Mask:
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Mask(np.linalg.norm(points - centre, axis=-1) <= radius_mm, grid)


@pytest.mark.parametrize("grid", [BODY, UPSIDE_DOWN])
def test_the_part_holds_both_livers_with_room_around_and_their_mask_comes_back(grid: Grid) -> None:
    ct = Volume(np.random.default_rng(1).normal(size=grid.shape).astype(np.float32), grid, Unit.HOUNSFIELD)
    own = _ball(grid, (110.0, 100.0, 900.0), 60.0)
    other = _ball(Grid((40, 40, 40), np.diag([5.0, 5.0, 5.0, 1.0])), (100.0, 100.0, 100.0), 60.0)
    up = np.eye(4)
    up[2, 3] = -860.0
    part = _part(ct, Livers(own, other), SpatialTransform(up))
    assert part.ct.values.size < 0.4 * ct.values.size
    assert np.array_equal(part.ct.values, ct.values[part.window])
    corner = part.ct.grid.to_world((0, 0, 0))
    assert np.allclose(corner, grid.to_world([w.start for w in part.window]))
    heights = part.ct.grid.corners()[:, 2]
    assert heights.min() <= 840.0 - NEAR_MM
    assert heights.max() >= 1020.0 + NEAR_MM
    assert heights.max() - heights.min() < 180.0 + 2 * NEAR_MM + 60.0
    assert part.livers.ct is not None
    assert part.whole(part.livers.ct) is own
    again = part.whole(Mask(part.livers.ct.values.copy(), part.ct.grid))
    assert again is not None
    assert again.grid is grid
    assert np.array_equal(again.values, own.values)
    assert part.whole(None) is None


def test_without_any_liver_the_part_is_the_whole() -> None:
    ct = Volume(np.zeros(BODY.shape, dtype=np.float32), BODY, Unit.HOUNSFIELD)
    part = _part(ct, Livers(None, None), SpatialTransform.identity())
    assert part.ct.grid.shape == BODY.shape
    assert part.whole(None) is None
