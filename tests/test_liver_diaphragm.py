"""The diaphragm between a CT's liver and the lung, on phantoms of exact geometry."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver_diaphragm import DIAPHRAGM_MM, without_diaphragm
from numpy.typing import NDArray

LIVER_MM, LUNG_FROM_MM = 60.0, 10.0
AIR, FAT, TISSUE = -850.0, -100.0, 55.0


def _grid(step: tuple[float, float, float] = (1.5, 1.5, 2.0), upside_down: bool = False) -> Grid:
    shape = tuple(round(200 / s) for s in step)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = [-100.0, -100.0, -100.0]
    if upside_down:
        affine[2, 2], affine[2, 3] = -step[2], 100.0 - step[2]
    return Grid((shape[0], shape[1], shape[2]), affine)


def _radius(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance from the liver's centre and height over it, mm."""
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return np.linalg.norm(points, axis=-1), points[..., 2]


def _scene(thickness_mm: float, grid: Grid, air: float = AIR) -> tuple[Volume, Mask, Mask]:
    """A ball of liver in fat, its dome under a lung with a diaphragm as dense as the liver between the two; the ball
    with that diaphragm, as CT shows it; and the ball alone."""
    radius, height = _radius(grid)
    above = height > LUNG_FROM_MM
    ball, with_it = radius <= LIVER_MM, radius <= LIVER_MM + np.where(above, thickness_mm, 0)
    values = np.where(above, air, FAT)
    values[with_it] = TISSUE
    return Volume(values.astype(np.float32), grid, Unit.HOUNSFIELD), Mask(with_it, grid), Mask(ball, grid)


def _off_ml(a: Mask, b: Mask) -> float:
    return float((a.values ^ b.values).sum()) * a.grid.voxel_volume_mm3 / 1000


def _ball(grid: Grid, radius_mm: float, up_mm: float = 0.0) -> Mask:
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - [0.0, 0.0, up_mm]
    return Mask(np.linalg.norm(points, axis=-1) <= radius_mm, grid)


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("thickness_mm", [2.5, 3.5])
def test_the_mri_shows_how_thick_the_diaphragm_is(thickness_mm: float, upside_down: bool) -> None:
    ct, shown, liver = _scene(thickness_mm, _grid(upside_down=upside_down))
    found = without_diaphragm(ct, shown, liver)
    assert _off_ml(found, liver) < 0.25 * _off_ml(shown, liver)


def test_a_thick_slice_shows_it_too() -> None:
    ct, shown, liver = _scene(3.5, _grid((0.8, 0.8, 5.0)))
    found = without_diaphragm(ct, shown, liver)
    assert _off_ml(found, liver) < 0.4 * _off_ml(shown, liver)


def test_a_mask_of_the_mri_that_is_too_small_all_around_makes_no_thicker_diaphragm() -> None:
    grid = _grid()
    ct, shown, liver = _scene(2.5, grid)
    right, small = (without_diaphragm(ct, shown, _ball(grid, LIVER_MM - less)) for less in (0.0, 2.0))
    assert _off_ml(right, small) < 0.15 * _off_ml(shown, liver)


def test_without_an_mri_what_no_human_lacks_is_taken_off() -> None:
    grid = _grid()
    ct, shown, _ = _scene(4.0, grid)
    found = without_diaphragm(ct, shown)
    radius, height = _radius(grid)
    lost = shown.values & ~found.values
    assert lost.any()
    assert height[lost].min() > LUNG_FROM_MM - DIAPHRAGM_MM[0] - 2.0
    deep = LIVER_MM + 4.0 - radius[lost & (height > 2 * LUNG_FROM_MM)]
    assert deep.max() < DIAPHRAGM_MM[0] + 1.0
    assert deep.mean() == pytest.approx(DIAPHRAGM_MM[0] / 2, abs=0.5)


def test_where_fat_or_bowel_gas_lies_beside_the_liver_its_mask_stays() -> None:
    grid = _grid()
    radius, height = _radius(grid)
    values = np.where(radius <= LIVER_MM, TISSUE, FAT)
    gas = (height < -LUNG_FROM_MM) & (radius > LIVER_MM) & (radius < LIVER_MM + 20)
    values[gas] = AIR
    ct = Volume(values.astype(np.float32), grid, Unit.HOUNSFIELD)
    mask = _ball(grid, LIVER_MM)
    assert np.array_equal(without_diaphragm(ct, mask).values, mask.values)
    assert np.array_equal(without_diaphragm(ct, mask, _ball(grid, LIVER_MM - 4)).values, mask.values)


def test_a_metastasis_at_the_dome_that_the_mri_left_out_is_not_taken_for_diaphragm() -> None:
    grid = _grid()
    ct, shown, liver = _scene(3.0, grid)
    hole = _ball(grid, 15.0, up_mm=LIVER_MM)
    without = Mask(liver.values & ~hole.values, grid)
    found = without_diaphragm(ct, shown, without)
    lost = hole.values & liver.values & ~found.values
    assert lost.sum() < 0.15 * (hole.values & liver.values).sum()


def test_an_empty_mask_and_an_mri_elsewhere_are_no_reason_to_fail() -> None:
    grid = _grid()
    ct, shown, _ = _scene(3.0, grid)
    nothing = Mask(np.zeros(grid.shape, dtype=bool), grid)
    assert without_diaphragm(ct, nothing).is_empty
    alone = without_diaphragm(ct, shown)
    assert np.array_equal(without_diaphragm(ct, shown, nothing).values, alone.values)
    assert np.array_equal(without_diaphragm(ct, shown, _ball(grid, 20.0, up_mm=-75.0)).values, alone.values)


def test_it_is_the_same_twice() -> None:
    ct, shown, liver = _scene(3.0, _grid())
    one, two = (without_diaphragm(ct, shown, liver).values for _ in range(2))
    assert one.tobytes() == two.tobytes()
