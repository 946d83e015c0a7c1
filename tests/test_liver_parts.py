"""Tests of the liver search's single steps: lesions under a thin shell, fluid beside the liver, the trunk's wall."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_fill import fill_lesions
from liverpair.segment.liver_fluid import without_fluid
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, opened
from liverpair.segment.liver_wall import inside_wall
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((80, 80, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0
LIVER_HU, FAT_HU = 56.0, -95.0


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(WHERE - np.asarray(centre), axis=-1) < radius)


def trunk(parts: list[tuple[BoolArray, float]]) -> NDArray[np.float32]:
    """A trunk of fat in air with 14 mm of muscle 6 mm under the skin, and the parts drawn into it in turn."""
    across = np.hypot((WHERE[..., 0] - 118.5) / 1.0, (WHERE[..., 1] - 118.5) / 1.0)
    hu = np.full(GRID.shape, -1000.0)
    hu[across < 114] = FAT_HU
    hu[across < 108] = 54.0
    hu[across < 94] = FAT_HU
    for where, value in parts:
        hu[where] = value
    return ndimage.gaussian_filter(hu, 0.5).astype(np.float32)


def features(values: NDArray[np.float32]) -> Features:
    body = body_of_ct(values, GRID.spacing)
    assert body is not None
    allowed = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, values, values, body, allowed, (-20.0, 220.0), (0.25, 0.0, 0.0), (5.0, 4.0, 18.0))


def core_of(liver: BoolArray) -> OrganCore:
    return OrganCore((30, 40, 30), 30.0, LIVER_HU, 4.0, liver)


@pytest.mark.parametrize("value", [20.0, -10.0])
def test_a_large_metastasis_under_a_thin_shell_of_liver_belongs_to_it(value: float) -> None:
    liver, lesion = ball((118.5, 118.5, 90.0), 66.0), ball((88.0, 118.5, 90.0), 29.0)
    image = features(trunk([(liver, LIVER_HU), (lesion, value)]))
    found = opened(liver & ~lesion, 8.0, GRID.spacing)  # a search that lost the shell, of which 7 mm are left
    assert (liver & ~lesion & ~found).sum() * GRID.voxel_volume_mm3 > 15e3
    whole = fill_lesions(image, found, core_of(found))
    assert whole[lesion].mean() > 0.97
    assert not whole[~ball((118.5, 118.5, 90.0), 70.0)].any()


def test_fat_in_a_groove_of_the_liver_is_no_lesion() -> None:
    liver, groove = ball((118.5, 118.5, 90.0), 66.0), ball((64.0, 118.5, 90.0), 26.0)
    image = features(trunk([(liver, LIVER_HU), (groove, FAT_HU)]))
    found = liver & ~groove
    assert fill_lesions(image, found, core_of(found))[groove].mean() < 0.3


def test_fluid_in_a_groove_goes_and_a_cyst_inside_stays() -> None:
    liver, cyst, bile = (
        ball((118.5, 118.5, 90.0), 66.0),
        ball((130.0, 118.5, 90.0), 18.0),
        ball((58.0, 118.5, 90.0), 18.0),
    )
    image = features(trunk([(liver, LIVER_HU), (cyst, 8.0), (bile, 8.0)]))
    kept = without_fluid(image, liver | bile, core_of(liver))
    assert kept[cyst].all()
    assert not kept[ball((58.0, 118.5, 90.0), 15.0)].any()
    assert kept[liver & ~ball((58.0, 118.5, 90.0), 22.0)].all()


def test_fluid_is_not_told_from_a_liver_that_is_as_fatty() -> None:
    liver, bile = ball((118.5, 118.5, 90.0), 66.0), ball((58.0, 118.5, 90.0), 18.0)
    image = features(trunk([(liver, 10.0), (bile, 8.0)]))
    core = OrganCore((30, 40, 30), 30.0, 10.0, 4.0, liver)
    assert np.array_equal(without_fluid(image, liver, core), liver)


def test_the_wall_is_left_out_and_nothing_under_it() -> None:
    values = trunk([(ball((118.5, 118.5, 90.0), 60.0), LIVER_HU)])
    body = body_of_ct(values, GRID.spacing)
    assert body is not None
    inside = inside_wall(values, body, GRID.spacing)
    across = np.hypot(WHERE[..., 0] - 118.5, WHERE[..., 1] - 118.5)
    assert not inside[across > 103.5].any()  # 8 mm at least, on a grid of 3 mm
    assert inside[across < 93].all()


def test_the_wall_is_as_thick_as_over_the_lung() -> None:
    across = np.hypot(WHERE[..., 0] - 118.5, WHERE[..., 1] - 118.5)
    values = trunk([((across < 94) & (WHERE[..., 2] > 100), -850.0)])
    body = body_of_ct(values, GRID.spacing)
    assert body is not None
    inside = inside_wall(values, body, GRID.spacing)
    assert not inside[across > 99].any()  # 14 mm, less the voxel where the lung begins and a half of the grid's
    assert inside[across < 93].all()
