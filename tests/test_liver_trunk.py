"""Tests of the liver search's frame: thin chests, bowel gas that is no lung, kidneys behind a neck, thick slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_border import BorderReach, refine_border
from liverpair.segment.liver_ct import _lung_base
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_kidney import without_right_kidney
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, erode
from liverpair.segment.liver_quality import QualityLimits, judge
from liverpair.segment.liver_shape import grow, is_distinct
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((80, 80, 90), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0
MIDDLE = 118.5
ACROSS = np.hypot(WHERE[..., 0] - MIDDLE, WHERE[..., 1] - MIDDLE)


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(WHERE - np.asarray(centre), axis=-1) < radius)


def trunk(wall_mm: float, lung_from_mm: float | None) -> NDArray[np.float32]:
    """A round trunk of fat under a wall of muscle; lungs fill it from that height on."""
    hu = np.full(GRID.shape, -1000.0)
    hu[ACROSS < 110] = 50.0
    hu[110 - wall_mm > ACROSS] = -100.0
    if lung_from_mm is not None:
        hu[(110 - wall_mm > ACROSS) & (WHERE[..., 2] > lung_from_mm)] = -840.0
    return hu.astype(np.float32)


@pytest.mark.parametrize("wall_mm", [9.0, 15.0, 30.0])
def test_a_lung_is_found_under_a_chest_of_any_thickness(wall_mm: float) -> None:
    body = body_of_ct(trunk(wall_mm, 150.0), GRID.spacing)
    assert body is not None
    lung = (108 - wall_mm > ACROSS) & (WHERE[..., 2] > 153)
    assert body.lung[lung].all()
    assert body.inside[(ACROSS < 108)].all()


def test_room_air_under_a_strap_is_no_lung() -> None:
    hu = trunk(30.0, None)
    strap = (ACROSS > 112) & (WHERE[..., 1] < 60)  # 3 mm of cloth over 20 mm of room air before the belly
    hu[strap] = -1000.0
    hu[(np.abs(ACROSS - 116) < 3) & (WHERE[..., 1] < 60)] = 0.0
    body = body_of_ct(hu, GRID.spacing)
    assert body is not None
    assert not body.lung.any()


def test_gas_in_the_bowel_is_not_taken_for_the_lungs_base() -> None:
    hu = trunk(30.0, 210.0)
    hu[ball((70.0, 110.0, 45.0), 36.0)] = -990.0  # 195 mL of gas on the right, far below
    body = body_of_ct(hu, GRID.spacing)
    assert body is not None
    assert body.lung[ball((70.0, 110.0, 45.0), 30.0)].all()
    base = _lung_base(body, GRID.spacing)
    assert base is not None
    assert abs(base * 3.0 - 210.0) <= 6.0


def features(values: NDArray[np.float32], allowed: BoolArray | None = None) -> Features:
    body = body_of_ct(values, GRID.spacing)
    assert body is not None
    where = np.ones(GRID.shape, dtype=bool) if allowed is None else allowed
    return Features(GRID, values, values, body, where, (-20.0, 220.0), (0.25, 0.0, 0.0), (5.0, 4.0, 18.0))


def organs(kidney: tuple[float, float, float]) -> tuple[Features, BoolArray, BoolArray, OrganCore]:
    """A liver and, touching it, a kidney of exactly its intensity."""
    liver = ball((80.0, 110.0, 150.0), 55.0)
    beside = ball(kidney, 26.0) & ~liver
    hu = trunk(15.0, None)
    hu[liver | beside] = 55.0
    core = OrganCore((27, 37, 50), 55.0, 55.0, 3.0, ball((80.0, 110.0, 150.0), 30.0))
    return features(ndimage.gaussian_filter(hu, 0.4)), liver, beside, core


def test_a_kidney_of_the_livers_intensity_is_cut_off_at_its_neck() -> None:
    image, liver, kidney, core = organs((80.0, 158.0, 92.0))
    found = grow(image, core)
    assert found[kidney].mean() < 0.1
    assert found[liver].mean() > 0.85


def test_a_lobe_behind_a_neck_in_front_stays() -> None:
    image, liver, lobe, core = organs((80.0, 66.0, 92.0))
    found = grow(image, core)
    assert found[lobe].mean() > 0.7
    assert found[liver].mean() > 0.85


def test_a_mask_that_ends_where_the_search_was_cut_fails() -> None:
    liver = ball((80.0, 110.0, 150.0), 62.0)
    hu = trunk(15.0, None)
    hu[liver] = 55.0
    core = OrganCore((27, 37, 50), 55.0, 55.0, 3.0, ball((80.0, 110.0, 150.0), 30.0))
    cut = np.broadcast_to(WHERE[..., 2] < 180.0, GRID.shape)
    whole = judge(features(hu), liver, core, QualityLimits(), liver)
    half = judge(features(hu, cut), liver & cut, core, QualityLimits(), liver & cut)
    assert "cut_off" not in whole.reasons
    assert "cut_off" in half.reasons
    assert half.verdict == "failed"


def test_a_kidney_of_the_livers_brightness_does_not_make_it_indistinct() -> None:
    liver, kidney = ball((80.0, 110.0, 150.0), 55.0), ball((175.0, 160.0, 120.0), 30.0)
    hu = trunk(15.0, None)
    hu[liver | kidney] = 60.0
    hu[hu == 50.0] = 20.0
    core = OrganCore((27, 37, 50), 55.0, 60.0, 3.0, ball((80.0, 110.0, 150.0), 30.0))
    image = features(hu)
    assert not is_distinct(image, core)
    assert is_distinct(image, core, but_a_kidney=True)


def excreting(kidney: float, left: float) -> tuple[Features, BoolArray, BoolArray, OrganCore]:
    """A liver of 100 with a right kidney pressed into it without a neck, and a left kidney."""
    liver, right = ball((80.0, 110.0, 150.0), 55.0), ball((72.0, 150.0, 128.0), 28.0)
    hu = trunk(15.0, None)
    hu[hu > 0] = 30.0
    hu[liver] = 100.0
    hu[right] = kidney
    hu[ball((165.0, 150.0, 128.0), 28.0)] = left
    core = OrganCore((27, 37, 50), 55.0, 100.0, 3.0, ball((80.0, 110.0, 150.0), 30.0))
    smooth = ndimage.gaussian_filter(hu, 0.5)
    body = body_of_ct(hu, GRID.spacing)
    assert body is not None
    where = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, smooth, smooth, body, where, (20.0, 200.0), (0.3, 0.06, 0.15), (0, 0, 0)), liver, right, core


def test_a_right_kidney_that_looks_like_the_left_one_leaves_the_liver() -> None:
    image, liver, right, core = excreting(86.0, 86.0)
    kept = without_right_kidney(image, liver | right, core)
    assert kept[ndimage.binary_erosion(right)].mean() < 0.05
    assert kept[ndimage.binary_erosion(liver) & ~ball((72.0, 150.0, 128.0), 34.0)].all()


def test_a_right_kidney_leaves_the_liver_with_the_fat_that_was_closed_in_between_them() -> None:
    image, liver, right, core = excreting(86.0, 86.0)
    fat = right & ~erode(right, 7.0, image.grid.spacing)
    values = np.where(fat, 25.0, image.values).astype(np.float32)
    image = replace(image, values=values, smooth=values)
    assert np.median(values[right]) < 0.9 * 86.0, "read over all that is darker than the liver, it would be no kidney"
    kept = without_right_kidney(image, liver | right, core)
    assert kept[right & ~fat].mean() < 0.05
    assert kept[liver & ~right].mean() > 0.97


@pytest.mark.parametrize(("kidney", "left"), [(100.0, 100.0), (86.0, 30.0), (60.0, 86.0)])
def test_without_a_twin_nothing_leaves_the_liver(kidney: float, left: float) -> None:
    """A kidney that only form could tell, no left kidney, and a lesion darker than the left kidney."""
    image, liver, right, core = excreting(kidney, left)
    assert np.array_equal(without_right_kidney(image, liver | right, core), liver | right)


def behind_a_wall(beside: bool) -> tuple[Features, BoolArray, BoolArray, OrganCore]:
    """A right kidney exactly as bright as the liver, thin fat between them but for a neck; ``beside``: the kidney lies
    behind, and what fat parts from the liver is a lobe of its own."""
    liver, right = ball((80.0, 110.0, 150.0), 55.0), ball((72.0, 150.0, 128.0), 26.0)
    hu = trunk(15.0, None)
    hu[hu > 0] = 30.0
    hu[liver | right] = 100.0
    wall = ball((72.0, 150.0, 128.0), 31.0) & ~right & liver & ~ball((72.0, 122.0, 128.0), 3.5)
    hu[wall] = 30.0
    hu[ball((168.0, 150.0, 128.0), 26.0)] = 100.0
    if beside:
        hu[ball((72.0, 176.0, 100.0), 22.0) & ~ball((72.0, 150.0, 128.0), 32.0)] = 90.0
    core = OrganCore((27, 37, 50), 55.0, 100.0, 3.0, ball((80.0, 110.0, 150.0), 30.0))
    smooth = ndimage.gaussian_filter(hu, 0.5)
    body = body_of_ct(hu, GRID.spacing)
    assert body is not None
    where = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, hu, smooth, body, where, (20.0, 200.0), (0.3, 0.06, 0.15), (0, 0, 0)), liver, right, core


def test_a_kidney_as_bright_as_the_liver_leaves_it_where_thin_fat_parts_the_two_but_for_a_neck() -> None:
    image, liver, right, core = behind_a_wall(beside=False)
    kept = without_right_kidney(image, liver | right, core)
    assert kept[right].mean() < 0.05
    assert kept[liver & ~ball((72.0, 150.0, 128.0), 37.0)].all()


def test_a_lobe_behind_a_neck_stays_where_the_right_kidney_lies_beside_the_liver() -> None:
    image, liver, right, core = behind_a_wall(beside=True)
    assert np.array_equal(without_right_kidney(image, liver | right, core), liver | right)


@pytest.mark.parametrize("step_mm", [3.0, 6.0])
def test_the_border_is_placed_as_well_on_thick_slices(step_mm: float) -> None:
    """A ball seen through voxels of 2 × 2 × ``step_mm`` with noise: Dice against its own half coverage."""
    fine = Grid((80, 80, 72), np.diag([2.0, 2.0, 2.0, 1.0]))
    where = np.moveaxis(np.indices(fine.shape), 0, -1) * 2.0
    inside = (
        np.linalg.norm((where - np.asarray([80.0, 80.0, 72.0])) / np.asarray([1.0, 0.8, 0.7]), axis=-1) < 60
    ) * 1.0
    per = round(step_mm)
    cover = np.repeat(inside, 2, axis=2).reshape(80, 80, -1, per).mean(axis=3)

    grid = Grid((80, 80, cover.shape[2]), np.diag([2.0, 2.0, step_mm, 1.0]))
    noise = np.random.default_rng(3).normal(0, 8.0, cover.shape)
    image = Volume((20.0 + 60.0 * ndimage.gaussian_filter(cover, (0.5, 0.5, 0.0)) + noise).astype(np.float32), grid)
    truth = cover >= 0.5
    start = ndimage.binary_erosion(truth, iterations=1)
    found = refine_border(image, start, grid, BorderReach())
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice > 0.965  # 0.939 on 6 mm with levels read as near to the border as on thin slices
