"""Where in the liver a lesion lies: exact shapes, simulated livers whose fissures are known, and a real mask."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask
from liverpair.dicom.load import load_mask
from liverpair.evaluate.location import LiverLocation, LocationSettings, locate
from liverpair.evaluate.location_text import location_sentence
from liverpair.evaluate.sectors import SECTORS, sector_probabilities
from liverpair.simulate.habitus import cava_course, draw_habitus, growth_for_volume, liver_distance
from liverpair.simulate.space import Space


def ball(radius: float = 40.0) -> Mask:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-60, -60, -60)
    grid = Grid((61, 61, 41), affine)
    places = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Mask(np.linalg.norm(places, axis=-1) <= radius, grid)


def drawn(seed: int) -> tuple[Mask, Any]:
    """A simulated liver of 1.1 to 2.2 L on a 4 mm grid, and the body it was drawn in."""
    rng = np.random.default_rng(seed)
    space = Space.spanning((-180, -130, -130), (140, 130, 110), 4.0)
    habitus = draw_habitus(rng, space)
    liver = liver_distance(space, habitus, growth_for_volume(space, habitus, rng.uniform(1100, 2200))) < 0
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (space.x[0], space.y[0], space.z[0])
    return Mask(liver, Grid(space.shape, affine)), habitus


def left_of(points: Any, habitus: Any, target: Any) -> Any:
    """Whether points lie to the left of the plane from the vena cava at their height through ``target`` (x, y)."""
    course = cava_course(habitus)
    cava = np.column_stack([np.interp(points[:, 2], course[:, 2], course[:, n]) for n in (0, 1)])
    plane, away = target - cava, points[:, :2] - cava
    angles = [np.arctan2(-v[:, 1], v[:, 0]) for v in (plane, away)]
    ahead, own = (np.where(a < -np.pi / 2, a + 2 * np.pi, a) for a in angles)
    return own < ahead


@pytest.fixture(scope="module")
def predictions() -> list[tuple[Any, Any]]:
    """Of each simulated liver by turns: probability and truth of being left of Cantlie's plane, of the fissure."""
    found = []
    for seed in range(200, 208):
        liver, habitus = drawn(seed)
        rng = np.random.default_rng(seed)
        places = liver.grid.to_world(np.argwhere(liver.values))
        points = places[rng.integers(0, len(places), 200)]
        chances = np.array([place.probabilities for place in locate(liver, list(points))])
        gallbladder = habitus.gallbladder[0][:2] * [habitus.sx, habitus.sy]
        fissure = np.array([-12.0, -55.0]) * [habitus.sx, habitus.sy]
        found.append((chances[:, :2].sum(axis=1), left_of(points, habitus, gallbladder)))
        found.append((chances[:, 0], left_of(points, habitus, fissure)))
    return found


# ---- exact shapes


def test_depth_and_height_in_a_ball() -> None:
    centre, dome, edge, outside = locate(
        ball(), [np.zeros(3), np.array([0, 0, 38.0]), np.array([-34.0, 0, 0]), np.array([55.0, 0, 0])]
    )
    assert centre.capsule_mm == pytest.approx(40, abs=1.5)
    assert centre.height == pytest.approx(0.5, abs=0.03)
    assert centre.above_mm == pytest.approx(40, abs=3)
    assert dome.height > 0.9
    assert edge.capsule_mm == pytest.approx(6, abs=1.5)
    assert outside.capsule_mm == 0
    assert outside.flags == ("outside", "atypical_shape")
    assert edge.flags == ("atypical_shape",)


@settings(max_examples=30)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(0, 36))
def test_the_depth_in_a_ball_is_right_to_two_millimetres(way: tuple[float, float, float], radius: float) -> None:
    length = float(np.linalg.norm(way))
    point = np.asarray(way) / length * radius if length > 1e-3 else np.zeros(3)
    place = locate(ball(), [point])[0]
    assert place.capsule_mm == pytest.approx(40 - np.linalg.norm(point), abs=2.0)


def test_a_place_outside_beside_one_inside_changes_nothing_for_it() -> None:
    inside = np.array([10.0, 5.0, -7.0])
    alone = locate(ball(), [inside])[0]
    together = locate(ball(), [inside, np.array([500.0, 0, 0])])
    assert together[0].capsule_mm == pytest.approx(alone.capsule_mm, abs=1e-9)
    assert together[1].capsule_mm == 0


def test_an_empty_liver_has_no_places_and_no_place_no_answer() -> None:
    empty = Mask(np.zeros((4, 4, 4), bool), Grid((4, 4, 4), np.eye(4)))
    with pytest.raises(GeometryRefusal):
        locate(empty, [np.zeros(3)])
    assert locate(ball(), []) == []


def test_where_the_field_of_view_cuts_the_liver_there_is_no_capsule() -> None:
    whole = ball()
    half = Mask(whole.values[:, :, :22], whole.grid.cropped([0, 0, 0], [61, 61, 22]))  # cut 4.5 mm above the centre
    place = locate(half, [np.array([0.0, 0.0, 0.0])])[0]
    assert place.flags == ("fov_truncated",)
    assert place.capsule_mm == pytest.approx(40, abs=1.5)


def test_uncertainty_grows_with_that_of_the_place() -> None:
    sharp, blurred = (locate(ball(), [np.array([0, 0, 20.0])], sd)[0] for sd in (0.0, 8.0))
    assert sharp.capsule_sd_mm == LocationSettings().border_sd_mm
    assert blurred.capsule_sd_mm == pytest.approx(np.hypot(3, 8))
    assert blurred.height_sd > sharp.height_sd
    assert abs(blurred.dome_probability - 0.5) < abs(sharp.dome_probability - 0.5)


# ---- the dome


def test_the_dome_is_under_the_diaphragm_and_not_under_the_low_left_lobe() -> None:
    liver, _ = drawn(3)
    places = liver.grid.to_world(np.argwhere(liver.values))
    top = places[np.argmax(places[:, 2])] - [0, 0, 10.0]
    bottom = places[np.argmin(places[:, 2])] + [0, 0, 4.0]
    under, over = locate(liver, [top, bottom])
    assert under.dome_probability > 0.95
    assert over.dome_probability < 0.05
    # a shallow place under an upper surface that itself lies low: near the capsule, yet no dome
    _, column = np.unique(places[:, :2], axis=0, return_inverse=True)
    tops = np.full(column.max() + 1, -np.inf)
    np.maximum.at(tops, column.ravel(), places[:, 2])
    lowest = places[(column.ravel() == np.argmin(tops)) & (places[:, 2] == tops.min())][0]
    shallow = locate(liver, [lowest - [0, 0, 4.0]])[0]
    assert shallow.above_mm < 12
    assert shallow.dome_probability < 0.05


# ---- sectors


def test_lobe_and_sector_agree_with_the_fissures_of_simulated_livers(predictions: list[tuple[Any, Any]]) -> None:
    """Gallbladder fossa, falciform fissure and vena cava are known there; the mask shows none of them directly."""
    for which, least in ((0, 0.93), (1, 0.95)):
        chance, truth = (np.concatenate(x) for x in zip(*predictions[which::2], strict=True))
        assert ((chance > 0.5) == truth).mean() > least
        share = truth.mean()
        assert ((chance - truth) ** 2).mean() < 0.25 * share * (1 - share)


def test_stated_probabilities_are_kept(predictions: list[tuple[Any, Any]]) -> None:
    """Of what is said with 80 to 100 %, at least that much is true; of what is said with 0 to 20 %, at most that."""
    chance, truth = (np.concatenate(x) for x in zip(*predictions, strict=True))
    for low, high in ((0.8, 0.95), (0.95, 1.01)):
        said = (chance >= low) & (chance < high)
        assert said.sum() > 50
        assert truth[said].mean() > chance[said].mean() - 0.05
        unsaid = (chance <= 1 - low) & (chance > 1 - high)
        assert unsaid.sum() > 50
        assert truth[unsaid].mean() < chance[unsaid].mean() + 0.05


@pytest.mark.parametrize("code", ["LPS", "LIP", "PSL", "RAS"])
def test_the_array_axes_do_not_matter(code: str) -> None:
    liver, _ = drawn(5)
    letters = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    order = [letters[c][0] for c in code]
    values = liver.values.transpose(order)
    affine = np.eye(4)
    affine[:3, 3] = liver.grid.origin
    for n, c in enumerate(code):
        axis, sign = letters[c]
        if sign < 0:
            values = np.flip(values, axis=n)
            affine[axis, 3] += 4.0 * (values.shape[n] - 1)
        affine[:3, n] = np.eye(3)[:, axis] * 4.0 * sign
    turned = Mask(values, Grid((values.shape[0], values.shape[1], values.shape[2]), affine))
    points = [liver.centroid(), liver.centroid() - [-40, 30, -10], liver.centroid() - [50, -10, 20]]
    for a, b in zip(locate(liver, points), locate(turned, points), strict=True):
        assert a.capsule_mm == pytest.approx(b.capsule_mm, abs=1e-6)
        assert a.probabilities == pytest.approx(b.probabilities, abs=0.02)
        assert a.height == pytest.approx(b.height, abs=0.02)


@given(st.integers(0, 3), st.floats(0, 30), st.booleans(), st.tuples(*[st.floats(-200, 200)] * 3))
@settings(max_examples=40)
def test_probabilities_are_probabilities_wherever_one_asks(
    seed: int, sd: float, truncated: bool, point: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    places = rng.normal([-60, 0, 0], [50, 35, 40], (3000, 3))
    chances = sector_probabilities(places, np.array([point]), sd, truncated)
    assert chances.shape == (1, len(SECTORS))
    assert chances.sum() == pytest.approx(1, abs=1e-9)
    assert chances.min() >= 0


def test_from_left_to_right_the_sectors_follow_each_other_and_doubt_peaks_between_them() -> None:
    liver, _ = drawn(7)
    centre = liver.centroid() - [-38, -25, 0]
    arc = [centre + 70 * np.array([np.cos(a), -np.sin(a), 0]) for a in np.deg2rad(np.arange(20, 230, 2.0))]
    found = locate(liver, arc)
    order = [SECTORS.index(place.sector) for place in found]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2, 3}
    change = [n for n in range(1, len(order)) if order[n] != order[n - 1]]
    assert all(found[n].sector_probability < 0.65 for n in change)
    assert found[0].sector_probability > 0.95
    assert found[0].lobe == "left"
    assert found[-1].lobe == "right"


def test_a_cut_liver_and_a_blurred_place_are_said_with_less_certainty() -> None:
    liver, _ = drawn(11)
    places = liver.grid.to_world(np.argwhere(liver.values))
    certain = sector_probabilities(places, places[::50])
    cut = sector_probabilities(places, places[::50], truncated=True)
    blurred = sector_probabilities(places, places[::50], point_sd_mm=20.0)
    assert cut.max(axis=1).mean() < certain.max(axis=1).mean() - 0.01
    assert blurred.max(axis=1).mean() < certain.max(axis=1).mean() - 0.03


def test_a_remnant_and_a_mirrored_liver_are_told_from_a_whole_one_and_no_lobe_is_claimed() -> None:
    for seed in (12, 13, 14):
        liver, habitus = drawn(seed)
        left = np.zeros(liver.values.shape, dtype=bool)
        gallbladder = habitus.gallbladder[0][:2] * [habitus.sx, habitus.sy]
        left[liver.values] = left_of(liver.grid.to_world(np.argwhere(liver.values)), habitus, gallbladder)
        assert locate(liver, [liver.centroid()])[0].flags == ()
        for values in (liver.values & left, liver.values & ~left, liver.values[::-1]):
            remnant = Mask(np.ascontiguousarray(values), liver.grid)
            place = locate(remnant, [remnant.centroid()])[0]
            assert "atypical_shape" in place.flags
            assert place.lobe_probability == pytest.approx(0.5)
            assert "lobe unknown" in location_sentence(asdict(place))


def test_a_liver_turned_on_the_table_is_still_a_whole_one() -> None:
    liver, _ = drawn(15)
    for axes in ((0, 1), (0, 2), (1, 2)):
        for degrees in (-12, 12):
            turn = np.eye(4)
            a = np.deg2rad(degrees)
            turn[np.ix_(axes, axes)] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
            turned = Mask(liver.values, Grid(liver.grid.shape, turn @ liver.grid.affine))
            assert locate(turned, [turned.centroid()])[0].flags == ()


def test_a_real_partial_liver_is_flagged_and_its_ends_lie_in_their_lobes(shared_data: Path) -> None:
    """Slices of a real CT with a model's label map: label 5 is the liver; nothing else is used."""
    path = shared_data / "totalseg_ct" / "example_seg_dicom.nii.gz"
    liver = load_mask(path, label=5)
    places = liver.grid.to_world(np.argwhere(liver.values)[::500])
    leftmost, rightmost = places[np.argmax(places[:, 0])], places[np.argmin(places[:, 0])]
    back = places[np.argmax(places[:, 1])]
    found: list[LiverLocation] = locate(liver, [leftmost, rightmost, back])
    assert [place.lobe for place in found] == ["left", "right", "right"]
    assert all(place.lobe_probability > 0.8 for place in found)
    assert found[2].sector == "right_posterior"
    assert all("fov_truncated" in place.flags for place in found)
