"""In a liver that iron has darkened, metastases, blood and fluid keep their names; an ordinary liver is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_dark import USUAL, read_darkness, surroundings
from liverpair.segment.mr_evidence import prepare_sequence
from liverpair.segment.mr_lesions import detect_mr
from scipy.ndimage import gaussian_filter

SPACING = {"mr-hbp": (1.2, 1.2, 3.0), "mr-t2": (1.4, 1.4, 4.0), "mr-dwi": (2.2, 2.2, 4.0), "mr-adc": (2.2, 2.2, 4.0)}
#: Signals where an ordinary liver has 1; the surroundings 0.33 everywhere.
METASTASIS = {"mr-hbp": 0.45, "mr-t2": 2.1, "mr-dwi": 2.6, "mr-adc": 1.0}
HAEMANGIOMA = {"mr-hbp": 0.45, "mr-t2": 4.8, "mr-dwi": 2.2, "mr-adc": 1.7}
CYST = {"mr-hbp": 0.2, "mr-t2": 7.0, "mr-dwi": 0.4, "mr-adc": 2.6}
IRON = {"mr-hbp": 0.42, "mr-t2": 0.25, "mr-dwi": 0.25, "mr-adc": 1.0}
PLACES = {"metastasis": (32.0, 48.0, 50.0), "haemangioma": (58.0, 48.0, 50.0), "cyst": (86.0, 48.0, 50.0)}
KINDS = {"metastasis": METASTASIS, "haemangioma": HAEMANGIOMA, "cyst": CYST}


def _places(grid: Grid) -> np.ndarray:
    return np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))


def _inside(places: np.ndarray) -> np.ndarray:
    return np.all((places > 14) & (places < [106, 82, 88]), axis=-1)


def _image(role: str, liver: float) -> Volume:
    step = np.array(SPACING[role])
    n = np.ceil(np.array([120.0, 96.0, 102.0]) / step).astype(int)
    grid = Grid((int(n[0]), int(n[1]), int(n[2])), np.diag([*step, 1.0]))
    places = _places(grid)
    values = np.where(_inside(places), liver, 0.33)
    for kind, at in PLACES.items():
        values[np.linalg.norm(places - np.array(at), axis=-1) < 6.0] = KINDS[kind][role]
    noise = np.random.default_rng(7).normal(0, 0.05, grid.shape)
    return Volume((1000 * (gaussian_filter(values, 0.5) + noise)).astype(np.float32), grid, "")  # 1.2 voxels wide


def _images(signal: dict[str, float], roles: tuple[str, ...] = ("mr-hbp", "mr-t2", "mr-dwi")) -> dict[str, Volume]:
    return {role: _image(role, signal[role]) for role in roles}


def _liver(images: dict[str, Volume]) -> Mask:
    grid = next(iter(images.values())).grid
    return Mask(_inside(_places(grid)), grid)


ORDINARY = dict.fromkeys(SPACING, 1.0)


@pytest.mark.parametrize("signal", [ORDINARY, IRON], ids=["ordinary", "iron"])
def test_all_three_kinds_keep_their_names_in_an_ordinary_and_in_a_dark_liver(signal: dict[str, float]) -> None:
    images = _images(signal)
    found = detect_mr(images, _liver(images))
    likely = [c for c in found.candidates if c.confidence > 0.5]
    assert len(likely) == 3
    for kind, at in PLACES.items():
        nearest = min(likely, key=lambda c: float(np.linalg.norm(c.centre_lps - np.array(at))))
        assert np.linalg.norm(nearest.centre_lps - np.array(at)) < 2.0
        assert nearest.nature is Nature(kind)
    darkness = 1.0 if signal is ORDINARY else 0.25
    assert found.facts["liver_darkness"] == pytest.approx(darkness, rel=0.1)


def _sequences(images: dict[str, Volume]) -> dict[str, object]:
    liver = _liver(images)
    return {role: prepare_sequence(role, image, liver, (8.0,), 20.0, 6.0, 12.0) for role, image in images.items()}


def test_an_ordinary_liver_s_sequences_come_back_untouched() -> None:
    sequences = _sequences(_images(ORDINARY))
    assert read_darkness(sequences) is sequences
    assert surroundings(sequences["mr-dwi"]) == pytest.approx(USUAL, rel=0.05)


def test_in_a_dark_liver_the_hepatobiliary_phase_is_not_heard_and_the_quotient_not_changed() -> None:
    sequences = read_darkness(_sequences(_images(IRON, tuple(SPACING))))
    assert list(sequences) == ["mr-t2", "mr-dwi", "mr-adc"]
    assert sequences["mr-t2"].darkness == sequences["mr-dwi"].darkness == pytest.approx(0.25, rel=0.1)
    assert sequences["mr-adc"].darkness == 1.0


def test_one_sequence_alone_never_makes_a_liver_dark() -> None:
    floor = _sequences(_images(ORDINARY | {"mr-dwi": 0.25}))  # a noise floor, or fat not suppressed
    assert read_darkness(floor) is floor
    alone = _sequences(_images(IRON, ("mr-dwi",)))
    assert read_darkness(alone) is alone


def test_a_liver_somewhat_darker_than_usual_changes_nothing_at_once() -> None:
    """From 1.4 to 2 times the usual surroundings the correction grows from none to whole."""
    factors = []
    for share in (0.8, 0.68, 0.6, 0.5, 0.4):
        signal = {"mr-hbp": 0.5, "mr-t2": share, "mr-dwi": share}
        factors.append(read_darkness(_sequences(_images(signal)))["mr-dwi"].darkness)
    assert factors[0] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-2:] == pytest.approx([0.5, 0.4], rel=0.1)
