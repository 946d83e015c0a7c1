"""What lies at the liver's border and what branches through it: neighbours, rims and vessels are no lesions."""

from __future__ import annotations

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_evidence import SequencePeak
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_regions import _compact_region, _without_tails
from numpy.typing import NDArray

GRID = Grid((84, 64, 36), np.diag([1.5, 1.5, 3.0, 1.0]))
#: Signal of liver, of what lies around it, of an organ beside it, and of a metastasis.
LOOKS = {"mr-hbp": (1.0, 0.3, 0.35, 0.45), "mr-t2": (1.0, 1.0, 2.4, 2.0), "mr-dwi": (1.0, 0.2, 2.2, 2.3)}


def _places() -> NDArray[np.float64]:
    return GRID.to_world(np.argwhere(np.ones(GRID.shape, dtype=bool))).reshape(*GRID.shape, 3)


PLACES = _places()
#: A liver of 72 × 72 × 72 mm.
LIVER = np.all((PLACES > [42, 12, 18]) & (PLACES < [114, 84, 90]), axis=-1)
#: An organ that begins right at its right side.
NEIGHBOUR = (PLACES[..., 0] <= 42) & (np.linalg.norm((PLACES - [18, 48, 54]) / [30, 30, 30], axis=-1) < 1)


def _image(role: str, seed: int, lesion: NDArray[np.bool_], vessel: NDArray[np.bool_]) -> Volume:
    liver, around, organ, metastasis = LOOKS[role]
    values = np.full(GRID.shape, around)
    values[LIVER] = liver
    values[NEIGHBOUR] = organ
    values[vessel] = 0.5
    values[lesion] = metastasis
    noise = np.random.default_rng(seed).normal(0, 0.05, GRID.shape)
    return Volume((1000 * (values + noise)).astype(np.float32), GRID, "")


NOTHING = np.zeros(GRID.shape, dtype=bool)


def test_the_rim_of_a_neighbour_that_the_mask_took_is_no_lesion() -> None:
    images = {role: _image(role, n, NOTHING, NOTHING) for n, role in enumerate(LOOKS)}
    generous = LIVER | (NEIGHBOUR & (PLACES[..., 0] > 39))
    found = detect_mr(images, Mask(generous, GRID))
    assert [c for c in found.candidates if c.confidence >= 0.5] == []


def test_a_lesion_at_the_capsule_is_found_though_all_around_is_as_dark() -> None:
    lesion = LIVER & (np.linalg.norm(PLACES - [106.5, 48, 54], axis=-1) < 9)
    found = detect_mr({"mr-hbp": _image("mr-hbp", 3, lesion, NOTHING)}, Mask(LIVER, GRID))
    confident = [c for c in found.candidates if c.confidence >= 0.5]
    assert len(confident) == 1
    assert np.linalg.norm(confident[0].centre_lps - [106, 48, 54]) < 5


def test_a_lesion_at_the_capsule_keeps_its_size_where_the_mask_took_a_rim_of_what_is_outside() -> None:
    lesion = LIVER & (np.linalg.norm(PLACES - [103.5, 48, 54], axis=-1) < 10)
    generous = np.all((PLACES > [42, 12, 18]) & (PLACES < [115.5, 84, 90]), axis=-1)
    found = detect_mr({"mr-hbp": _image("mr-hbp", 4, lesion, NOTHING)}, Mask(generous, GRID))
    best = min(found.candidates, key=lambda c: float(np.linalg.norm(c.centre_lps - [103.5, 48, 54])))
    extent = np.ptp(GRID.to_world(np.argwhere(found.labels.values == best.label)), axis=0)
    assert np.all(extent < 27), extent


def test_a_small_lesion_at_the_capsule_is_found_though_the_mask_leaves_half_of_it_out() -> None:
    lesion = LIVER & (np.linalg.norm(PLACES - [109.5, 48, 54], axis=-1) < 4)
    tight = np.all((PLACES > [42, 12, 18]) & (PLACES < [110, 84, 90]), axis=-1)
    images = {role: _image(role, 5 + n, lesion, NOTHING) for n, role in enumerate(LOOKS)}
    found = detect_mr(images, Mask(tight, GRID))
    confident = [c for c in found.candidates if c.confidence >= 0.5]
    assert [float(np.linalg.norm(c.centre_lps - [109.5, 48, 54])) < 4 for c in confident] == [True]


def test_where_vessels_branch_there_is_no_lesion() -> None:
    vessel = NOTHING.copy()
    for direction in ([1, 0, 0], [-0.6, 0.7, 0.4], [-0.6, -0.7, -0.4]):
        to = (PLACES - [78, 48, 54]) @ direction
        away = np.linalg.norm(PLACES - [78, 48, 54] - to[..., None] * np.asarray(direction), axis=-1)
        vessel |= LIVER & (to > 0) & (away < 4.0)
    found = detect_mr({"mr-hbp": _image("mr-hbp", 4, NOTHING, vessel)}, Mask(LIVER, GRID))
    assert [c for c in found.candidates if c.confidence >= 0.5] == []


def test_a_vessel_that_runs_out_of_a_lesion_is_cut_off_and_a_thick_lobe_is_not() -> None:
    spacing = np.array((1.2, 1.2, 3.0))
    x, y, z = np.moveaxis((np.indices((60, 50, 20)).transpose(1, 2, 3, 0) - (20, 25, 10)) * spacing, -1, 0)
    ball = x**2 + y**2 + z**2 < 8.0**2
    vessel = (x > 0) & (np.hypot(y, z) < 2.5)
    cut = _without_tails(ball | vessel, (20, 25, 10), spacing, 4.0)
    assert np.count_nonzero(cut & ~ball) < 0.1 * np.count_nonzero(vessel & ~ball)
    assert np.count_nonzero(cut & ball) > 0.85 * np.count_nonzero(ball)
    lobe = (x - 12) ** 2 + y**2 + z**2 < 7.0**2
    assert np.count_nonzero(_without_tails(ball | lobe, (20, 25, 10), spacing, 4.0) & lobe) > 0.9 * np.count_nonzero(
        lobe
    )
    thin = np.hypot(y, z) < 2.5
    assert np.array_equal(_without_tails(thin, (20, 25, 10), spacing, 4.0), thin)


def test_a_focus_whose_part_in_the_liver_lies_away_from_it_is_none() -> None:
    grid = Grid((30, 30, 30), np.eye(4))
    relative = np.zeros(grid.shape, dtype=np.float32)
    relative[9:22, 14:17, 14:17] = 1.0
    liver = np.zeros(grid.shape, dtype=bool)
    liver[:12] = True
    at = (15, 15, 15)
    distance = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - np.array(at), axis=-1)
    lead = SequencePeak("mr-hbp", np.array(at, dtype=float), 4.0, 6.0, 0.5)
    low = np.zeros(3, dtype=np.int64)
    assert _compact_region(relative, relative > 0.5, at, distance, liver, low, grid, lead) is None
    everywhere = np.ones(grid.shape, dtype=bool)
    whole = _compact_region(relative, relative > 0.5, at, distance, everywhere, low, grid, lead)
    assert whole is not None
    assert whole.voxels[at]
