"""Tests of the liver search where it is hard: large metastases, shading, ascites, resection; and its doubts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver import refine_liver, segment_liver
from liverpair.segment.liver_border import refine_border
from liverpair.simulate import PairSettings, simulate_pair
from liverpair.simulate.disease import LiverDisease
from liverpair.simulate.lesions import LesionRequest
from liverpair.simulate.mr import MrProtocol
from numpy.typing import NDArray
from scipy import ndimage

BIG = (LesionRequest(70.0, 6.0, place="deep"), LesionRequest(45.0, 5.0))
PLAIN = MrProtocol()
SHADED = replace(PLAIN, t1=replace(PLAIN.t1, bias=0.45))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def ball(step: tuple[float, float, float], outside: float, noise: float) -> tuple[Volume, NDArray[np.float64]]:
    """A liver-like ball of 40 mm with partial volume in ``outside``, and the distance of every voxel to its centre."""
    shape = tuple(int(120 / s) for s in step)
    grid = Grid((shape[0], shape[1], shape[2]), np.diag([*step, 1.0]))
    fine = [np.arange(n * 4) / 4 - 0.375 for n in grid.shape]
    where = np.stack(np.meshgrid(*fine, indexing="ij"), axis=-1) * np.asarray(step)
    centre = np.asarray(step) * (np.asarray(grid.shape) - 1) / 2
    inside = (np.linalg.norm(where - centre, axis=-1) < 40).astype(np.float32)
    share = inside.reshape(shape[0], 4, shape[1], 4, shape[2], 4).mean(axis=(1, 3, 5))
    share = ndimage.gaussian_filter(share, 0.8 / np.asarray(step))
    values = outside + (56.0 - outside) * share + np.random.default_rng(1).normal(0, noise, shape)
    index = np.moveaxis(np.indices(shape), 0, -1) * np.asarray(step)
    return Volume(values.astype(np.float32), grid), np.linalg.norm(index - centre, axis=-1)


@pytest.mark.parametrize(("outside", "error_mm"), [(-850.0, 0.5), (-100.0, 0.25), (200.0, 0.25)])
def test_the_border_lies_at_the_half_level_whatever_lies_outside(outside: float, error_mm: float) -> None:
    image, distance = ball((2.0, 2.0, 3.0), outside, 11.0)
    start = distance < 38.0  # a start that is 2 mm too small must not matter
    found = refine_border(image, start, image.grid)
    radius = (found.sum() * image.grid.voxel_volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(40.0, abs=error_mm)


def test_without_an_edge_the_border_stays_where_the_search_put_it() -> None:
    image, distance = ball((2.0, 2.0, 3.0), 56.0, 11.0)
    start = distance < 40.0
    assert dice(refine_border(image, start, image.grid), start) > 0.92  # ± 1 mm of 40


def test_a_lobe_that_the_mri_lost_stays_in_the_ct() -> None:
    image, distance = ball((2.0, 2.0, 3.0), -100.0, 11.0)
    truth = distance < 40.0
    cut = truth.copy()
    cut[: image.grid.shape[0] // 2] = False
    better = refine_liver(image, Mask(truth, image.grid), Mask(cut, image.grid))
    assert dice(better.values, truth) > 0.97


def test_the_mris_edge_places_the_border_where_the_ct_has_none() -> None:
    """A stomach wall of liver density beside the liver: CT alone follows the rough outline, the MRI shows the edge."""
    image, distance = ball((2.0, 2.0, 3.0), -100.0, 11.0)
    x = image.grid.to_world(np.moveaxis(np.indices(image.grid.shape), 0, -1))[..., 0]
    beside = (x > 0) & (distance >= 40.0) & (distance < 60.0)
    noise = np.random.default_rng(2).normal(0.0, 11.0, image.grid.shape)
    ct = replace(image, values=np.where(beside, 55.0 + noise, image.values).astype(np.float32))
    mr = replace(image, values=np.where(distance < 40.0, 500.0 + noise, 200.0 + noise).astype(np.float32))
    rough, outline = (Mask(distance < radius, image.grid) for radius in (43.0, 38.5))
    truth = distance < 40.0
    alone = refine_liver(ct, rough, outline)
    together = refine_liver(ct, rough, outline, mr)
    assert dice(together.values, truth) > max(dice(alone.values, truth), 0.96)
    assert dice(together.values, truth) > dice(rough.values, truth)


def test_a_disease_changes_the_liver_and_nobody_elses_random_numbers() -> None:
    small = PairSettings(sequences=("mr-dwi",), lesions=())
    one, two = simulate_pair(7, small), simulate_pair(7, replace(small, disease=LiverDisease(ascites_mm=8.0)))
    assert np.array_equal(one.pet_offset, two.pet_offset)
    assert np.array_equal(one.mr_offset, two.mr_offset)
    assert not np.array_equal(one.ct_liver.values, two.ct_liver.values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "least"),
    [
        (PairSettings(lesions=BIG), 0.97),
        (PairSettings(mr_protocol=SHADED), 0.97),
        (PairSettings(disease=LiverDisease(ascites_mm=8.0)), 0.95),
        (PairSettings(disease=LiverDisease(resected="left"), liver_ml=1000.0), 0.95),
        (PairSettings(mr_protocol=replace(PLAIN, fold_mm=36.0)), 0.95),
    ],
)
def test_hard_hepatobiliary_livers_are_found(settings: PairSettings, least: float) -> None:
    pair = simulate_pair(921, replace(settings, sequences=("mr-hbp",)))
    found = segment_liver(pair.mr["mr-hbp"], "mr-hbp")
    assert found.verdict == "usable", found.reasons
    assert found.mask is not None
    assert dice(found.mask.values, pair.mr_liver.values) > least


@pytest.mark.slow
@pytest.mark.parametrize("role", ["mr-t2", "mr-dwi", "mr-arterial"])
@pytest.mark.parametrize("seed", [922, 923])
def test_no_liver_that_is_called_usable_is_wrong(role: str, seed: int) -> None:
    disease = LiverDisease(resected="right") if seed == 922 else LiverDisease()
    still = replace(PLAIN, between_sequences_mm=0.0, between_sequences_deg=0.0)
    pair = simulate_pair(seed, PairSettings(sequences=(role,), disease=disease, mr_protocol=still))
    found = segment_liver(pair.mr[role], role)
    assert found.verdict == "failed" or (
        found.mask is not None and dice(found.mask.values, pair.mr_liver.values) > 0.88
    )
