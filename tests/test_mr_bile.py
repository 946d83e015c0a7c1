"""Tests of the bile beside a focus: a gallbladder's neck at the border, thin ducts, bright noise."""

from __future__ import annotations

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_bile import BESIDE_BILE, lies_beside_bile
from liverpair.segment.mr_evidence import Sequence
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_prepare import prepare_examination
from liverpair.segment.mr_settings import MrDetectionSettings
from numpy.typing import NDArray

SHAPE, SPACING = (72, 72, 40), np.array([1.25, 1.25, 2.5])
GRID = Grid(SHAPE, np.diag([*SPACING, 1.0]))
CENTRE = np.array([45.0, 45.0, 50.0])


def distance(point: NDArray[np.float64]) -> NDArray[np.float64]:
    where = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING
    return np.asarray(np.linalg.norm(where - point, axis=-1))


def examination(duct_mm: float, level: float, noise: float = 2.0) -> dict[str, Volume]:
    """A liver of 100 with a focus of 6 mm, and a straight duct of that thickness and level that touches it."""
    random = np.random.default_rng(5)
    where = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING
    duct = np.linalg.norm((where - CENTRE - [5.5, 0, 0])[..., :2], axis=-1) <= duct_mm / 2
    focus, images = distance(CENTRE) <= 3.0, {}
    for role, here, bile in (("mr-hbp", 50.0, level), ("mr-t2", 200.0, 100.0), ("mr-dwi", 180.0, 100.0)):
        values = np.where(LIVER.values, 100.0, 40.0) + random.normal(0, noise, SHAPE)
        values[duct], values[focus] = bile, here
        images[role] = Volume(values.astype(np.float32), GRID)
    return images


def prepared(images: dict[str, Volume]) -> dict[str, Sequence]:
    return prepare_examination(images, LIVER, MrDetectionSettings()).sequences


LIVER = Mask(distance(CENTRE) < 42.0, GRID)


def test_a_focus_beside_bile_as_thick_as_a_gallbladders_neck_touches_bile() -> None:
    assert lies_beside_bile(prepared(examination(5.0, 200.0)), CENTRE, 6.0)


def test_a_thin_duct_and_bright_noise_are_no_bile() -> None:
    assert not lies_beside_bile(prepared(examination(0.5, 200.0)), CENTRE, 6.0)
    assert not lies_beside_bile(prepared(examination(5.0, 135.0)), CENTRE, 6.0)
    assert not lies_beside_bile(prepared(examination(0.0, 100.0, noise=12.0)), CENTRE, 6.0)


def test_large_foci_and_examinations_without_a_hepatobiliary_phase_have_none() -> None:
    images = examination(5.0, 200.0)
    assert not lies_beside_bile(prepared(images), CENTRE, 12.0)
    del images["mr-hbp"]
    assert not lies_beside_bile(prepared(images), CENTRE, 6.0)


def test_a_metastasis_beside_bile_keeps_half_of_its_confidence_and_says_so() -> None:
    found = {}
    for level in (100.0, 200.0):
        near = [
            c for c in detect_mr(examination(5.0, level), LIVER).candidates if np.linalg.norm(c.centre_lps - CENTRE) < 4
        ]
        assert len(near) == 1
        found[level] = near[0]
    assert BESIDE_BILE not in found[100.0].flags
    assert found[100.0].confidence > 0.9
    assert BESIDE_BILE in found[200.0].flags
    assert found[200.0].confidence < 0.5
