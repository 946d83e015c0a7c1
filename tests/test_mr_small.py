"""Small foci on MR: the matched filter's answer to known balls, vessels told from balls, sequences that agree."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_evidence import Sequence, prepare_sequence
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_matched import SMALL_MM, match_balls
from liverpair.segment.mr_small import prepare_search, small_evidence, small_foci, small_log_odds, with_shape
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

HALF = np.array((48.0, 42.0, 36.0))
#: role → (step mm, metastasis, vessel as fractions of the liver, noise fraction)
ROLES = {
    "mr-hbp": ((1.2, 1.2, 3.0), 0.45, 0.5, 0.04),
    "mr-t2": ((1.4, 1.4, 5.0), 2.1, 0.5, 0.08),
    "mr-dwi": ((2.4, 2.4, 5.0), 2.6, 0.4, 0.1),
}
SMALL = (((-20.0, 8.0, 4.0), 3.6), ((18.0, -14.0, -9.0), 4.2), ((6.0, 16.0, 13.0), 5.0))
NO_DIAMETERS = (8.0,)


def coverage(lps: NDArray[np.float64], centre: tuple[float, ...], diameter: float, width: float) -> NDArray[np.float64]:
    return np.clip((diameter / 2 - np.linalg.norm(lps - np.array(centre), axis=-1)) / width + 0.5, 0, 1)


def image_of(role: str, seed: int, balls: tuple[tuple[tuple[float, ...], float], ...]) -> tuple[Volume, Mask]:
    """An ellipsoid liver with three vessels of 2 to 4 mm and small metastases, each voxel averaged over 27 points."""
    step, metastasis, vessel, noise = ROLES[role]
    rng = np.random.default_rng([seed, sorted(ROLES).index(role)])
    spacing = np.array(step)
    shape = tuple(int(n) for n in np.ceil(2 * (HALF + 9) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(HALF + 9) + spacing / 2
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    index = np.indices(shape).transpose(1, 2, 3, 0)
    image, inside = np.zeros(shape), ((grid.to_world(index) / HALF) ** 2).sum(axis=-1) < 1
    for shift in np.ndindex(3, 3, 3):
        lps = grid.to_world(index + (np.array(shift) - 1) / 3)
        part = np.where(((lps / HALF) ** 2).sum(axis=-1) < 1, 1.0, 0.35)
        x, y, z = np.moveaxis(lps, -1, 0)
        for radius, wide in (
            (np.hypot(y + 0.2 * x, z - 2), 1.0),
            (np.hypot(x - 0.3 * y + 8, z + 9 - 0.1 * y), 1.5),
            (np.hypot(x + 10, y - 0.4 * z - 9), 2.0),
        ):
            part = np.where((part == 1) & (radius < wide), vessel, part)
        for centre, diameter in balls:
            weight = coverage(lps, centre, diameter, 0.4)
            part = part * (1 - weight) + metastasis * weight
        image += part / 27
    image = gaussian_filter(image, (0.5, 0.5, 0)) + noise * rng.standard_normal(shape)
    return Volume((300 * np.maximum(image, 0)).astype(np.float32), grid), Mask(inside, grid)


@pytest.fixture(scope="module")
def sequences() -> dict[str, Sequence]:
    """The three sequences, prepared."""
    found: dict[str, Sequence] = {}
    _, liver = image_of("mr-hbp", 3, ())
    for role in ROLES:
        prepared = prepare_sequence(role, image_of(role, 3, SMALL)[0], liver, NO_DIAMETERS, 20.0, 6.0, 12.0)
        assert prepared is not None
        found[role] = prepared
    return found


def test_a_ball_answers_with_its_contrast_times_the_gain() -> None:
    rng = np.random.default_rng(5)
    spacing, shape = np.array((1.0, 1.0, 2.0)), (64, 64, 40)
    liver = np.ones(shape, dtype=bool)
    lps = np.indices(shape).transpose(1, 2, 3, 0) * spacing
    centre = (32.0, 32.0, 40.0)
    ball = sum(coverage(lps + (np.array(s) - 1) / 3 * spacing, centre, 4.0, 0.3) / 27 for s in np.ndindex(3, 3, 3))
    blurred = gaussian_filter(ball, (1.2 / 2.3548, 1.2 / 2.3548, 0.6 / 2.3548))
    image = (0.6 * blurred + 0.05 * rng.standard_normal(shape)).astype(np.float32)
    matched = match_balls(image, liver, spacing, 0.05)
    n = SMALL_MM.index(4.0)
    expected = 0.6 * matched.gains[n]
    assert expected > 10
    assert float(matched.z[n][32, 32, 20]) == pytest.approx(expected, abs=3.0 + 0.12 * expected)
    # the bound of white noise: gain = |template| / σ
    assert matched.gains[n] == pytest.approx(math.sqrt(float(np.square(blurred).sum())) / 0.05, rel=0.15)


def test_answers_are_in_deviations_of_the_liver() -> None:
    rng = np.random.default_rng(6)
    liver = np.ones((48, 48, 30), dtype=bool)
    image = (0.07 * rng.standard_normal(liver.shape)).astype(np.float32)
    for z in match_balls(image, liver, np.array((1.2, 1.2, 3.0)), 0.07).z:
        assert np.std(z) == pytest.approx(1.0, abs=0.05)
        assert np.max(z) < 6.0


def test_an_interpolated_image_promises_no_more_than_the_image_it_came_from() -> None:
    rng = np.random.default_rng(7)
    coarse = rng.standard_normal((40, 40, 24)).astype(np.float32) * 0.05
    fine = np.asarray(zoom(coarse, (2, 2, 1), order=3), dtype=np.float32)
    as_acquired = match_balls(coarse, np.ones(coarse.shape, dtype=bool), np.array((2.0, 2.0, 3.0)), 0.05)
    blown_up = match_balls(fine, np.ones(fine.shape, dtype=bool), np.array((1.0, 1.0, 3.0)), float(fine.std()))
    for one, other in zip(as_acquired.gains, blown_up.gains, strict=True):
        assert other < 1.6 * one


def test_small_lesions_lead_and_vessels_follow(sequences: dict[str, Sequence]) -> None:
    foci = small_foci(prepare_search(sequences), -3.0)
    assert len(foci) >= len(SMALL)
    for peak, odds in foci[: len(SMALL)]:
        assert min(float(np.linalg.norm(peak.lps - np.array(c))) for c, _ in SMALL) < 2.5
        assert odds > 0
    away = [o for p, o in foci if min(float(np.linalg.norm(p.lps - np.array(c))) for c, _ in SMALL) > 6.0]
    assert all(odds < 0 for odds in away), away  # what is nearer is a part of the lesion and joins it


def test_a_vessel_goes_on_through_the_focus_and_a_ball_does_not(sequences: dict[str, Sequence]) -> None:
    search = prepare_search(sequences)
    places = np.array([SMALL[1][0], (20.0, -4.0, 2.0)])  # a lesion, a point on the first vessel
    evidence = small_evidence(search, places, np.array([1, 1]))
    assert evidence.through[0] < 0.3 < 0.6 < evidence.through[1]
    assert evidence.along[1] >= evidence.through[1]
    assert evidence.centre["mr-t2"][0] > 1.0 > evidence.centre["mr-t2"][1]


def test_silence_and_opposition_of_other_sequences_lower_the_odds(sequences: dict[str, Sequence]) -> None:
    search = prepare_search(sequences)
    evidence = small_evidence(search, np.array([SMALL[0][0]]), np.array([1]))
    together = float(small_log_odds(search, evidence)[0])
    evidence.answer["mr-t2"][0], evidence.centre["mr-t2"][0] = -2.0, -3.0
    assert float(small_log_odds(search, evidence)[0]) < together - 4.0


def test_what_is_no_darker_than_liver_is_no_lesion_however_it_answers(sequences: dict[str, Sequence]) -> None:
    search = prepare_search(sequences)
    place, scale = np.array([SMALL[0][0]]), np.array([1])
    seen = small_evidence(search, place, scale)
    between_bright_vessels = replace(search, smooth=np.zeros_like(search.smooth))
    plain = small_evidence(between_bright_vessels, place, scale)
    assert seen.answer["mr-hbp"][0] > 5.0
    assert plain.answer["mr-hbp"][0] < 0.6 * seen.answer["mr-hbp"][0]
    assert plain.answer["mr-t2"][0] == seen.answer["mr-t2"][0]


def test_a_small_regions_shape_is_heard_little_and_agreement_counts_more_than_its_sum() -> None:
    assert with_shape(-3.0, 0.0) == -3.0
    assert with_shape(0.0, 0.0) == pytest.approx(1.0)
    assert with_shape(2.0, 0.0) - with_shape(1.0, 0.0) == pytest.approx(2.0)
    assert with_shape(-3.0, -2.0) == pytest.approx(-3.5)
    assert with_shape(4.0, -50.0) == with_shape(4.0, -9.0) > 0  # a neighbour's rim is told by the depth, not by this


def test_native_t1_adds_nothing_to_a_vessel_that_the_hepatobiliary_phase_shows(sequences: dict[str, Sequence]) -> None:
    search = prepare_search(sequences)
    evidence = small_evidence(search, np.array([SMALL[0][0]]), np.array([1]))
    before = float(small_log_odds(search, evidence)[0])
    for readings in (evidence.answer, evidence.centre, evidence.gain):
        readings["mr-t1-native"] = np.array([9.0])
    assert float(small_log_odds(search, evidence)[0]) == pytest.approx(before)


def test_fluid_is_not_judged_by_diffusion(sequences: dict[str, Sequence]) -> None:
    search = prepare_search(sequences)
    evidence = small_evidence(search, np.array([SMALL[0][0]]), np.array([1]))
    fluid = float(small_log_odds(search, evidence, fluid=True)[0])
    evidence.answer["mr-dwi"][0], evidence.centre["mr-dwi"][0] = -4.0, -4.0
    assert float(small_log_odds(search, evidence, fluid=True)[0]) == fluid
    assert float(small_log_odds(search, evidence)[0]) < fluid


def test_metastases_below_six_millimetres_are_detected_and_nothing_else() -> None:
    images = {role: image_of(role, 11, SMALL)[0] for role in ROLES}
    detection = detect_mr(images, image_of("mr-hbp", 11, ())[1])
    likely = [c for c in detection.candidates if c.confidence >= 0.5 and c.nature is Nature.METASTASIS]
    assert len(likely) == len(SMALL)
    for centre, _ in SMALL:
        assert min(float(np.linalg.norm(c.centre_lps - np.array(centre))) for c in likely) < 3.0
