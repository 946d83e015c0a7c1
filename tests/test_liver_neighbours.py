"""Tests of what parts the liver from its neighbours: walls, necks, thin fat; and of the lobe that a resection left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.segment.liver import segment_liver
from liverpair.segment.liver_body import Body, body_of_ct
from liverpair.segment.liver_border import BorderReach, refine_border
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, erode
from liverpair.segment.liver_remnant import FLAG, remnant_doubts
from liverpair.segment.liver_shape import grow, is_distinct
from liverpair.segment.liver_walls import without_walled_parts
from liverpair.simulate import PairSettings, simulate_pair
from liverpair.simulate.disease import LiverDisease
from numpy.typing import NDArray
from scipy import ndimage

WORK = Grid((90, 80, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
FINE = Grid((120, 100, 60), np.diag([1.5, 1.5, 3.0, 1.0]))


def where(grid: Grid) -> NDArray[np.float64]:
    return np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing


def ellipsoid(grid: Grid, centre: tuple[float, float, float], half: tuple[float, float, float]) -> BoolArray:
    return np.asarray((((where(grid) - np.asarray(centre)) / np.asarray(half)) ** 2).sum(axis=-1) < 1)


def noisy(signal: NDArray[np.float64], noise: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(4)
    return (ndimage.gaussian_filter(signal, 0.5) + rng.normal(0, noise, signal.shape)).astype(np.float32)


def dice(a: BoolArray, b: BoolArray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


LIVER = ellipsoid(FINE, (90, 75, 90), (70, 60, 75))
#: A gallbladder that runs from within the liver to its front and lower surface, and its wall of 3 mm.
BILE = ellipsoid(FINE, (95, 32, 52), (15, 20, 38))
OUTER_WALL = ellipsoid(FINE, (95, 32, 52), (18, 23, 41))


@pytest.mark.parametrize("bile", [600.0, 560.0])
def test_a_gallbladder_as_bright_as_the_liver_leaves_its_mask_for_its_wall(bile: float) -> None:
    signal = np.where(LIVER, 600.0, 200.0)
    signal[OUTER_WALL] = 250.0
    signal[BILE] = bile
    kept = without_walled_parts(Volume(noisy(signal, 25.0), FINE), LIVER | OUTER_WALL, FINE)
    assert kept[BILE].mean() < 0.1
    assert kept[LIVER & ~OUTER_WALL].mean() > 0.97


def test_a_lesion_at_the_surface_and_a_lesion_with_a_rim_inside_stay() -> None:
    surface = ellipsoid(FINE, (38, 75, 90), (20, 20, 20)) & LIVER
    rim, inside = ellipsoid(FINE, (100, 80, 100), (21, 21, 21)), ellipsoid(FINE, (100, 80, 100), (18, 18, 18))
    signal = np.where(LIVER, 600.0, 200.0)
    signal[surface] = 300.0
    signal[rim] = 300.0
    signal[inside] = 560.0
    kept = without_walled_parts(Volume(noisy(signal, 25.0), FINE), LIVER, FINE)
    assert np.array_equal(kept, LIVER)


def test_two_lobes_joined_at_a_narrow_bridge_both_stay() -> None:
    lobes = ellipsoid(FINE, (55, 75, 90), (45, 50, 60)) | ellipsoid(FINE, (140, 75, 90), (30, 30, 30))
    liver = lobes | ellipsoid(FINE, (105, 75, 90), (30, 8, 8))
    signal = np.where(liver, 600.0, 200.0)
    kept = without_walled_parts(Volume(noisy(signal, 25.0), FINE), liver, FINE)
    assert np.array_equal(kept, liver)


def trunk(parts: list[tuple[BoolArray, float]]) -> Features:
    """A trunk of fat and its parts in HU, without noise."""
    at = where(WORK)
    hu = np.full(WORK.shape, -1000.0)
    hu[((at[..., 0] - 133.5) / 130) ** 2 + ((at[..., 1] - 118.5) / 115) ** 2 < 1] = -95.0
    for part, value in parts:
        hu[part] = value
    values = ndimage.gaussian_filter(hu, 0.5).astype(np.float32)
    body = body_of_ct(values, WORK.spacing)
    assert body is not None
    allowed = np.ones(WORK.shape, dtype=bool)
    return Features(WORK, values, values, body, allowed, (-20.0, 220.0), (0.25, 0.0, 0.0), (5.0, 4.0, 18.0))


RIGHT = ellipsoid(WORK, (90, 110, 90), (58, 62, 75))
SPLEEN = ellipsoid(WORK, (196, 150, 90), (45, 38, 50))


def test_a_spleen_of_the_livers_intensity_that_touches_it_is_cut_off_at_the_narrowest_place() -> None:
    bridge = ellipsoid(WORK, (150, 130, 90), (30, 18, 24))
    image = trunk([(RIGHT | SPLEEN | bridge, 56.0)])
    core = OrganCore((30, 37, 30), 50.0, 56.0, 3.0, ellipsoid(WORK, (90, 110, 90), (30, 30, 30)))
    found = grow(image, core)
    assert found[SPLEEN & (where(WORK)[..., 0] > 180)].mean() < 0.1
    assert found[erode(RIGHT, 4.0, WORK.spacing)].mean() > 0.98  # the outermost layer is half fat


def test_an_intensity_is_distinct_where_nothing_on_the_left_and_in_the_back_has_it() -> None:
    core = OrganCore((30, 37, 30), 50.0, 56.0, 3.0, RIGHT)
    assert is_distinct(trunk([(RIGHT, 56.0)]), core)
    assert not is_distinct(trunk([(RIGHT, 56.0), (SPLEEN, 55.0)]), core)


def test_a_cts_border_stops_at_thin_fat_before_the_muscle() -> None:
    at = where(FINE)
    liver = at[..., 0] < 100
    hu = np.where(liver, 56.0, 54.0)
    hu[(at[..., 0] >= 100) & (at[..., 0] < 103)] = -60.0
    start = at[..., 0] < 103.5  # the coarse search did not see the fat
    image = Volume(noisy(hu, 10.0), FINE, Unit.HOUNSFIELD)
    found = refine_border(image, start, FINE, BorderReach(clefts=True))
    assert not found[at[..., 0] > 103].any()
    assert found[at[..., 0] < 97].all()


def _standing(half_width: float, lung: BoolArray) -> Features:
    """Features whose body is ``half_width`` voxels wide to each side and holds ``lung``."""
    base = trunk([])
    n = WORK.shape[2]
    ones: NDArray[np.float64] = np.ones(n)
    body: Body = replace(base.body, lung=lung, midline=44.5 * ones, half_width=half_width * ones)
    return replace(base, body=body)


def test_heart_bladder_limb_and_stomach_are_no_remnant() -> None:
    nothing = np.zeros(WORK.shape, dtype=bool)
    lobe = ellipsoid(WORK, (133, 100, 90), (35, 45, 60)) & ~ellipsoid(WORK, (155, 125, 90), (40, 40, 70))
    assert remnant_doubts(_standing(43.0, nothing), lobe) == ()
    lung = ~ellipsoid(WORK, (133, 100, 90), (40, 50, 64))
    assert "lung_around" in remnant_doubts(_standing(43.0, lung), lobe)
    assert "round" in remnant_doubts(_standing(43.0, nothing), ellipsoid(WORK, (133, 100, 90), (40, 40, 40)))
    assert "not_a_trunk" in remnant_doubts(_standing(30.0, nothing), lobe)
    assert "not_at_the_midline" in remnant_doubts(_standing(43.0, nothing), np.roll(lobe, 20, axis=0))


@pytest.mark.slow
def test_the_left_lobe_after_a_right_hemihepatectomy_is_found_and_flagged() -> None:
    resected = PairSettings(disease=LiverDisease(resected="right"), liver_ml=750.0, sequences=("mr-hbp",))
    pair = simulate_pair(9203, resected)
    for image, role, pet, truth in (
        (pair.mr["mr-hbp"], "mr-hbp", None, pair.mr_liver),
        (pair.ct, "ct", pair.pet, pair.ct_liver),
    ):
        found = segment_liver(image, role, pet=pet)
        assert found.verdict == "usable", found.reasons
        assert FLAG in found.reasons
        assert found.mask is not None
        assert dice(found.mask.values, truth.values) > 0.94
    alone = segment_liver(pair.ct, "ct")  # the empty space on the right proves it
    assert alone.verdict == "usable", alone.reasons
    assert FLAG in alone.reasons
    assert alone.mask is not None
    assert dice(alone.mask.values, pair.ct_liver.values) > 0.94


@pytest.mark.slow
@pytest.mark.parametrize("seed", [9301, 9303])
def test_a_ct_alone_shows_a_remnant_where_nothing_solid_is_left_on_the_right(seed: int) -> None:
    """9301 is steatotic: heart and liver have one level, and the heart is the thicker of the two."""
    resected = LiverDisease(resected="right")
    pair = simulate_pair(seed, PairSettings(disease=resected, liver_ml=1100.0, sequences=("mr-hbp",)))
    found = segment_liver(pair.ct, "ct")
    assert found.verdict == "usable", found.reasons
    assert FLAG in found.reasons
    assert found.mask is not None
    assert dice(found.mask.values, pair.ct_liver.values) > 0.93
