"""MR detection: curvature against tubes and sheets, balls of known place, vessels, cysts, subsets of
sequences.
"""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_regions import MrRegion, paint_order, paint_regions
from liverpair.segment.scale_space import blob_response, local_background
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

#: role → (step mm, liver level, metastasis, cyst, vessel as fractions of the liver, noise fraction)
ROLES = {
    "mr-hbp": ((1.3, 1.3, 3.0), 300.0, 0.5, 0.2, 0.6, 0.05),
    "mr-t2": ((1.5, 1.5, 5.0), 120.0, 2.0, 6.0, 0.7, 0.08),
    "mr-dwi": ((2.4, 2.4, 5.0), 60.0, 2.6, 0.7, 0.6, 0.1),
    "mr-adc": ((2.4, 2.4, 5.0), 1150.0, 0.85, 2.5, 1.1, 0.1),
}
HALF = np.array((62.0, 52.0, 42.0))
BALLS = (((-25.0, 10.0, 5.0), 8.0), ((20.0, -18.0, -8.0), 6.0), ((12.0, 20.0, 12.0), 22.0))
CYST = ((-15.0, -22.0, 10.0), 10.0)


def sequence(role: str, seed: int, lesions: bool) -> tuple[Volume, NDArray[np.bool_]]:
    """One sequence of an ellipsoid liver with two crossing vessels, a coil bias of ±20 % and (or not)
    lesions.
    """
    step, level, metastasis, cyst, vessel, noise = ROLES[role]
    rng = np.random.default_rng([seed, sorted(ROLES).index(role)])
    spacing = np.array(step)
    shape = tuple(int(n) for n in np.ceil(2 * (HALF + 12) / spacing))
    grid = Grid((shape[0], shape[1], shape[2]), np.array(np.diag([*spacing, 1.0])) + _shift(spacing))
    lps = grid.to_world(np.indices(shape).transpose(1, 2, 3, 0))
    liver = ((lps / HALF) ** 2).sum(axis=-1) < 1
    image = np.where(liver, 1.0, 0.35)
    x, y, z = np.moveaxis(lps, -1, 0)
    for radius in (np.hypot(y + 0.2 * x, z - 2), np.hypot(x - 0.3 * y, z - 3 - 0.1 * y)):
        image = np.where(liver & (radius < 3.5), vessel, image)
    for (centre, diameter), value in [(b, metastasis) for b in BALLS] + [(CYST, cyst)] if lesions else []:
        distance = np.linalg.norm(lps - np.array(centre), axis=-1)
        weight = np.clip((diameter / 2 - distance) / spacing.min() + 0.5, 0, 1)
        image = image * (1 - weight) + value * weight
    image = gaussian_filter(image, 0.5) * (1 + 0.2 * x / HALF[0])
    image += noise * rng.standard_normal(shape)
    return Volume((level * np.maximum(image, 0)).astype(np.float32), grid), liver


def _shift(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    offset = np.zeros((4, 4))
    offset[:3, 3] = -(HALF + 12) + spacing / 2
    return offset


def examination(seed: int, lesions: bool = True) -> tuple[dict[str, Volume], Mask]:
    made = {role: sequence(role, seed, lesions) for role in ROLES}
    images = {role: volume for role, (volume, _) in made.items()}
    return images, Mask(made["mr-hbp"][1], images["mr-hbp"].grid)


def found_near(detection, place, reach=4.0):  # type: ignore[no-untyped-def]  # a test's own helper
    near = [c for c in detection.candidates if np.linalg.norm(c.centre_lps - np.array(place)) < reach]
    return max(near, key=lambda c: c.confidence) if near else None


def test_the_weakest_curvature_answers_to_balls_and_not_to_tubes_or_sheets() -> None:
    spacing = np.full(3, 1.5)
    points = (np.indices((48, 48, 48)).transpose(1, 2, 3, 0) - 24) * spacing
    radius = {
        "ball": np.linalg.norm(points, axis=-1),
        "tube": np.linalg.norm(points[..., :2], axis=-1),
        "sheet": np.abs(points[..., 0]),
    }
    peak = {
        name: float(blob_response((r < 4).astype(np.float32), spacing, 8.0, 1)[0][12:36, 12:36, 12:36].max())
        for name, r in radius.items()
    }
    assert peak["ball"] > 0.1
    assert peak["tube"] < 0.02 * peak["ball"]
    assert peak["sheet"] < 0.02 * peak["ball"]


def test_a_large_lesion_does_not_become_its_own_background() -> None:
    points = (np.indices((60, 60, 30)).transpose(1, 2, 3, 0) - np.array((30, 30, 15))) * 3.0
    rng = np.random.default_rng(0)
    image = (100 + rng.normal(0, 3, points.shape[:3])).astype(np.float32)
    image[np.linalg.norm(points, axis=-1) < 22] = 50
    background = local_background(image, np.ones(image.shape, dtype=bool), np.full(3, 3.0), 20.0)
    assert background[30, 30, 15] == pytest.approx(100, abs=4)


@pytest.fixture(scope="module")
def full():  # type: ignore[no-untyped-def]  # a fixture of (Detection)
    images, liver = examination(1)
    return detect_mr(images, liver)


def test_every_lesion_is_found_at_its_place_and_large_ones_once(full) -> None:  # type: ignore[no-untyped-def]  # fixture
    for place, _ in BALLS:
        candidate = found_near(full, place)
        assert candidate is not None
        assert candidate.nature is Nature.METASTASIS
        assert candidate.confidence > 0.5
    inside = [c for c in full.candidates if np.linalg.norm(c.centre_lps - np.array(BALLS[2][0])) < 12]
    assert len(inside) == 1


def test_vessels_and_noise_give_at_most_one_false_candidate(full) -> None:  # type: ignore[no-untyped-def]  # fixture
    places = [np.array(place) for place, _ in (*BALLS, CYST)]
    false = [c for c in full.candidates if min(np.linalg.norm(c.centre_lps - p) for p in places) > 12]
    assert len(false) <= 1


def test_a_cyst_is_called_a_cyst_with_its_reason(full) -> None:  # type: ignore[no-untyped-def]  # fixture
    candidate = found_near(full, CYST[0])
    assert candidate is not None
    assert candidate.nature is Nature.CYST
    assert "T2" in candidate.reason


def test_every_candidate_has_its_region_around_its_centre(full) -> None:  # type: ignore[no-untyped-def]  # fixture
    for candidate in full.candidates:
        region = full.labels.values == candidate.label
        assert region.any()
        centroid = full.labels.grid.to_world(np.argwhere(region).mean(axis=0))
        assert np.linalg.norm(centroid - candidate.centre_lps) < 1e-6
        assert 0 <= candidate.confidence <= 1


def test_a_liver_without_lesions_has_no_confident_candidate() -> None:
    for seed in (11, 12, 13):
        images, liver = examination(seed, lesions=False)
        assert all(c.confidence < 0.8 for c in detect_mr(images, liver).candidates)


@pytest.mark.parametrize("roles", [("mr-hbp",), ("mr-t2", "mr-adc"), ("mr-dwi",), ("mr-hbp", "mr-t2")])
def test_any_subset_of_sequences_finds_the_lesions_of_8_mm_and_more(roles: tuple[str, ...]) -> None:
    images, liver = examination(2)
    detection = detect_mr({role: images[role] for role in roles}, liver)
    assert detection.facts["main_role"] == (roles[0] if roles[0] != "mr-adc" else "mr-t2")
    for place, diameter in BALLS:
        if diameter >= 8:
            assert found_near(detection, place, 5.0) is not None, (roles, place)


def test_without_a_sequence_that_tells_them_apart_the_nature_is_uncertain_and_a_cyst_is_no_metastasis() -> None:
    images, mask = examination(4)
    alone = detect_mr({"mr-hbp": images["mr-hbp"]}, mask)
    for place, _ in BALLS:
        found = found_near(alone, place)
        assert found is not None
        assert "uncertain_nature" in found.flags
        assert "no T2, diffusion or ADC" in found.reason
    ball, cyst = found_near(alone, BALLS[2][0]), found_near(alone, CYST[0])
    assert ball is not None
    assert cyst is None or cyst.confidence < 0.6 < 0.7 < ball.confidence
    everything = detect_mr(images, mask)
    assert all("uncertain_nature" not in c.flags for c in everything.candidates)


def test_a_vessel_that_touches_a_lesion_does_not_take_it_up() -> None:
    grid = Grid((40, 20, 20), np.eye(4))
    index = np.indices((40, 20, 20)).transpose(1, 2, 3, 0)
    tube = np.linalg.norm(index[..., 1:] - 10, axis=-1) < 3.0
    tube &= (index[..., 0] > 8) & (index[..., 0] < 38)
    ball = np.linalg.norm(index - np.array((8, 10, 10)), axis=-1) < 4.5
    ones = np.ones(tube.shape, dtype=np.float32)

    def region(voxels: NDArray[np.bool_], seed: tuple[int, int, int], odds: float) -> MrRegion:
        return MrRegion(np.zeros(3, dtype=np.int64), voxels, ones, seed, np.array(seed, float), odds, ())

    _, kept = paint_regions((40, 20, 20), grid, [region(ball, (8, 10, 10), 0.0), region(tube, (25, 10, 10), -3.0)])
    assert list(kept) == [0]
    assert paint_order([0.9, 0.8], [region(ball, (8, 10, 10), 0.0), region(tube, (25, 10, 10), -3.0)]) == [0, 1]


def test_the_same_input_gives_the_same_labels() -> None:
    images, liver = examination(3)
    first, second = (detect_mr({"mr-hbp": images["mr-hbp"]}, liver) for _ in range(2))
    assert np.array_equal(first.labels.values, second.labels.values)
    assert [c.confidence for c in first.candidates] == [c.confidence for c in second.candidates]


def test_no_sequence_and_an_empty_liver_are_refused() -> None:
    images, liver = examination(1)
    with pytest.raises(Refusal, match="no_sequence"):
        detect_mr({"ct": images["mr-hbp"]}, liver)
    with pytest.raises(Refusal, match="empty_mask"):
        detect_mr(images, Mask(np.zeros(liver.grid.shape, dtype=bool), liver.grid))
