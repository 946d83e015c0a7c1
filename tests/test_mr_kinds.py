"""What a small lesion is: the sequences' answers against one another tell cells, blood and fluid, whatever its size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_kinds import CONTRASTS, PRIOR, Answer, kind_shares, kind_words
from liverpair.segment.mr_lesions import detect_mr

GAINS = {"mr-hbp": 30.0, "mr-t2": 12.0, "mr-dwi": 5.0}
KINDS = (Nature.METASTASIS, Nature.HAEMANGIOMA, Nature.CYST)
#: Signals against liver of small lesions of each kind.
LOOKS = {
    Nature.METASTASIS: {"mr-hbp": 0.5, "mr-t2": 2.0, "mr-dwi": 2.6},
    Nature.HAEMANGIOMA: {"mr-hbp": 0.43, "mr-t2": 3.5, "mr-dwi": 1.45},
    Nature.CYST: {"mr-hbp": 0.2, "mr-t2": 5.5, "mr-dwi": 0.95},
}
SPACING = {"mr-hbp": (1.2, 1.2, 3.0), "mr-t2": (1.4, 1.4, 5.0), "mr-dwi": (2.2, 2.2, 5.0)}
CENTRE = np.array([60.0, 48.0, 51.0])


def _answers(contrast: dict[str, float], share: float) -> dict[str, Answer]:
    return {role: Answer(share * value * GAINS[role] + 0.5, GAINS[role]) for role, value in contrast.items()}


def _of_a_typical(kind: Nature, share: float) -> dict[Nature, float]:
    typical = {role: median for role, (median, _) in CONTRASTS[kind].items()}
    return kind_shares(_answers(typical, share), 5.6 * min(share, 1.0) ** (1 / 3))


@given(share=st.floats(0.5, 1.6), kind=st.sampled_from(KINDS))
def test_a_kinds_typical_contrasts_are_told_at_any_share_of_the_ball(share: float, kind: Nature) -> None:
    shares = _of_a_typical(kind, share)
    assert max(shares, key=lambda k: shares[k]) is kind
    assert sum(shares.values()) == pytest.approx(1.0)


@given(share=st.floats(0.15, 1.6), kind=st.sampled_from(KINDS))
def test_even_three_millimetres_are_left_open_rather_than_surely_wrong(share: float, kind: Nature) -> None:
    shares = _of_a_typical(kind, share)
    assert (shares[Nature.METASTASIS] > 0.5) if kind is Nature.METASTASIS else (shares[Nature.METASTASIS] < 0.8)


def test_without_an_answer_the_share_is_what_was_known_before() -> None:
    assert kind_shares({}, 4.0) == pytest.approx(PRIOR)
    assert kind_shares({"mr-portal": Answer(7.0, 20.0)}, 4.0) == pytest.approx(PRIOR)


def test_a_core_brighter_than_cells_can_be_speaks_against_them_though_the_answers_leave_it_open() -> None:
    open_answers = _answers({"mr-hbp": 0.55, "mr-t2": 1.5, "mr-dwi": 1.0}, 1.0)
    bright = dict(open_answers)
    bright["mr-t2"] = Answer(bright["mr-t2"].z, bright["mr-t2"].gain, least=2.2)
    assert kind_shares(bright, 5.6)[Nature.METASTASIS] < kind_shares(open_answers, 5.6)[Nature.METASTASIS] - 0.1


def test_noise_alone_leaves_the_kind_open() -> None:
    weak = {role: Answer(0.5, 0.3) for role in GAINS}
    found = kind_shares(weak, 4.0)
    assert found[Nature.METASTASIS] == pytest.approx(PRIOR[Nature.METASTASIS], abs=0.1)


def test_free_diffusion_speaks_for_fluid() -> None:
    between = _answers({"mr-hbp": 0.57, "mr-t2": 1.7, "mr-dwi": 0.6}, 0.7)
    free, bound = (kind_shares(between, 5.0, (ratio, 0.3))[Nature.METASTASIS] for ratio in (2.2, 0.9))
    assert free < kind_shares(between, 5.0)[Nature.METASTASIS] < bound


def test_the_words_give_the_balance_and_nothing_where_nothing_answers() -> None:
    words = kind_words(_answers({"mr-hbp": 0.5, "mr-t2": 1.0, "mr-dwi": 1.5}, 0.5))
    assert "2.0 times that of the hepatobiliary phase" in words
    assert "1.5 times the contrast of T2" in words
    assert kind_words({}) == ""


def _phantom(role: str, looks: dict[str, float], diameter_mm: float, seed: int) -> Volume:
    """A ball in a liver of noise, every voxel the mean of 3x3x5 points."""
    step = np.array(SPACING[role])
    n = np.ceil(np.array([120.0, 96.0, 102.0]) / step).astype(int)
    grid = Grid((int(n[0]), int(n[1]), int(n[2])), np.diag([*step, 1.0]))
    places = np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))
    inside = np.all((places > 12) & (places < [108, 84, 90]), axis=-1)
    parts = [
        np.linalg.norm(places + np.array([x, y, z]) * step - CENTRE, axis=-1) < diameter_mm / 2
        for x in (-1 / 3, 0, 1 / 3)
        for y in (-1 / 3, 0, 1 / 3)
        for z in (-0.4, -0.2, 0, 0.2, 0.4)
    ]
    share = np.mean(parts, axis=0)
    noise = np.random.default_rng([seed, len(role)]).normal(
        0, {"mr-hbp": 0.04, "mr-t2": 0.07}.get(role, 0.08), grid.shape
    )
    values = np.where(inside, 1.0 + share * (looks[role] - 1.0), 0.3) + noise
    return Volume((1000 * values).astype(np.float32), grid, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("diameter_mm", [4.5, 5.5])
def test_a_small_lesion_is_a_metastasis_or_is_not_one(kind: Nature, diameter_mm: float) -> None:
    images = {role: _phantom(role, LOOKS[kind], diameter_mm, 3) for role in SPACING}
    grid = images["mr-hbp"].grid
    places = np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))
    found = detect_mr(images, Mask(np.all((places > 12) & (places < [108, 84, 90]), axis=-1), grid))
    near = [c for c in found.candidates if np.linalg.norm(c.centre_lps - CENTRE) < 5.0]
    assert len(near) == 1
    assert (near[0].nature is Nature.METASTASIS) == (kind is Nature.METASTASIS)
    assert near[0].confidence > 0.8
    assert kind is Nature.METASTASIS or "Reads as" in near[0].reason
