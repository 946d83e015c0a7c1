"""Tests of bile and cysts in MR livers, of the steps that made the search faster, and of lesions as no doubt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_border import FINEST_MM, FINEST_MR_MM, BorderReach, refine_border
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_fluid import without_bright_bile, without_t2_fluid
from liverpair.segment.liver_mode import OrganCore, peaks_of
from liverpair.segment.liver_morphology import BoolArray, erode, fill_holes
from liverpair.segment.liver_quality import DOUBT, Judgement, QualityLimits, judge
from liverpair.segment.liver_shape import grow
from liverpair.segment.liver_walls import without_walled_parts
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import find_peaks

GRID = Grid((80, 80, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
FINE = Grid((120, 100, 60), np.diag([1.5, 1.5, 3.0, 1.0]))
CENTRE = (118.5, 118.5, 90.0)


def ellipsoid(grid: Grid, centre: tuple[float, float, float], half: tuple[float, float, float]) -> BoolArray:
    at = np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing
    return np.asarray((((at - np.asarray(centre)) / np.asarray(half)) ** 2).sum(axis=-1) < 1)


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return ellipsoid(GRID, centre, (radius, radius, radius))


LIVER = ball(CENTRE, 66.0)
#: Long, in front (−j) and below (−k) of the liver's centre, half out of it.
GALLBLADDER = ellipsoid(GRID, (118.5, 60.0, 55.0), (12.0, 14.0, 34.0))


def features(image: NDArray[np.float32], relative: tuple[float, float, float]) -> Features:
    inside = body_of_ct(np.where(ball(CENTRE, 112.0), 50.0, -1000.0), GRID.spacing)
    assert inside is not None
    allowed = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, image, image, inside, allowed, (0.0, 5000.0), relative, (0.0, 0.0, 0.0))


def mr(parts: list[tuple[BoolArray, float]]) -> Features:
    signal = np.full(GRID.shape, 30.0)
    for where, value in parts:
        signal[where] = value
    return features(ndimage.gaussian_filter(signal, 0.5).astype(np.float32), (0.3, 0.06, 0.15))


def core(mode: float, sd: float) -> OrganCore:
    return OrganCore((40, 40, 30), 30.0, mode, sd, ball(CENTRE, 30.0))


def test_bright_bile_leaves_a_t2_liver_and_cysts_stay_also_one_that_bulges() -> None:
    inside, bulging = ball((130.0, 118.5, 100.0), 12.0), ball((118.5, 118.5, 152.0), 15.0)
    image = mr([(LIVER, 100.0), (inside, 450.0), (bulging, 450.0), (GALLBLADDER, 500.0)])
    kept = without_t2_fluid(image, LIVER | bulging | GALLBLADDER, core(100.0, 4.0))
    assert not kept[erode(GALLBLADDER, 3.0, GRID.spacing)].any()
    assert kept[inside].all()
    assert kept[bulging].all()
    assert kept[LIVER & ~ball((118.5, 60.0, 55.0), 45.0)].all()


def test_fluid_beside_a_t2_liver_goes_whatever_its_form() -> None:
    stomach = ball((190.0, 118.5, 90.0), 20.0)
    image = mr([(LIVER, 100.0), (stomach, 500.0)])
    assert not without_t2_fluid(image, LIVER | stomach, core(100.0, 4.0))[stomach].any()


def test_bile_brighter_than_a_hepatobiliary_liver_goes_and_a_bright_dome_stays() -> None:
    dome = ball((118.5, 118.5, 140.0), 14.0)
    image = mr([(LIVER, 600.0), (dome, 680.0), (GALLBLADDER, 900.0)])
    kept = without_bright_bile(image, LIVER | GALLBLADDER, core(600.0, 10.0))
    assert kept[dome].all()
    assert kept[erode(GALLBLADDER, 3.0, GRID.spacing)].mean() < 0.05


def test_a_cyst_beside_a_dark_gallbladder_stays_when_the_gallbladder_goes() -> None:
    liver = ellipsoid(FINE, (90, 75, 90), (70, 60, 75))
    bile, cyst = ellipsoid(FINE, (95, 30, 50), (11, 14, 34)), ellipsoid(FINE, (95, 58, 66), (10, 10, 10))
    signal = np.where(liver, 600.0, 200.0)
    signal[bile], signal[cyst] = 150.0, 110.0
    rng = np.random.default_rng(4)
    noisy = (ndimage.gaussian_filter(signal, 0.5) + rng.normal(0, 15.0, FINE.shape)).astype(np.float32)
    kept = without_walled_parts(Volume(noisy, FINE), liver | bile, FINE)
    assert kept[bile].mean() < 0.15
    assert kept[cyst].mean() > 0.95


#: A liver for a search, a lesion inside it, and bowel that touches it.
ORGAN = ellipsoid(GRID, (95.0, 118.5, 90.0), (60.0, 66.0, 70.0))
LESION = ball((95.0, 118.5, 90.0), 22.0)
BOWEL = ellipsoid(GRID, (150.0, 90.0, 90.0), (30.0, 24.0, 24.0)) & ~ORGAN


def judged(part: BoolArray, limits: QualityLimits) -> Judgement:
    """The liver with a part that is nearly as dense."""
    hu = np.full(GRID.shape, -95.0)
    hu[ORGAN] = 56.0
    hu[part] = 45.5
    image = ndimage.gaussian_filter(hu, 0.3).astype(np.float32)
    body = body_of_ct(np.where(ball(CENTRE, 112.0), 50.0, -1000.0), GRID.spacing)
    assert body is not None
    allowed = np.ones(GRID.shape, dtype=bool)
    scene = Features(GRID, image, image, body, allowed, (-20.0, 220.0), (0.0, 0.0, 0.0), (5.0, 4.0, 18.0))
    liver = OrganCore((20, 40, 30), 40.0, 56.0, 2.0, ball((50.0, 118.5, 90.0), 12.0))
    grown = grow(scene, liver)
    return judge(scene, grown, liver, limits, grown)


def test_a_lesion_that_a_stricter_search_leaves_out_is_no_doubt_and_a_leak_is() -> None:
    inside, outside = judged(LESION, QualityLimits()).facts, judged(BOWEL, QualityLimits()).facts
    assert inside["doubtful_ml"] < 1.0
    assert inside["agreement_tight"] > 0.95
    assert outside["doubtful_ml"] > 10.0


def test_a_doubt_fails_a_mask_where_it_is_told_to_and_flags_it_elsewhere() -> None:
    limits = QualityLimits(most_doubtful_ml=10.0)
    flagged, failed = judged(BOWEL, limits), judged(BOWEL, replace(limits, doubt_fails=True))
    assert DOUBT in flagged.reasons
    assert DOUBT in failed.reasons
    assert (flagged.verdict, failed.verdict) == ("usable", "failed")
    assert judged(LESION, replace(limits, doubt_fails=True)).verdict == "usable"


def test_an_mr_border_on_its_own_grid_is_nearer_than_on_a_coarser_one() -> None:
    grid = Grid((90, 90, 38), np.diag([1.2, 1.2, 3.0, 1.0]))
    at = np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing
    depth = 42.0 - np.linalg.norm(at - np.asarray([54.0, 54.0, 55.0]), axis=-1)
    lobed = depth + 2.5 * np.sin(at[..., 0] / 3.0) * np.sin(at[..., 1] / 3.0)
    signal = 200.0 + 400.0 * np.clip(0.5 + lobed / 1.5, 0, 1)
    image = Volume((signal + np.random.default_rng(1).normal(0, 20, grid.shape)).astype(np.float32), grid)
    truth = lobed > 0
    coarse = ndimage.binary_opening(depth > 0, iterations=2)
    errors = [
        float((refine_border(image, coarse, grid, BorderReach(finest_mm=step)) ^ truth).sum())
        for step in (FINEST_MR_MM, FINEST_MM)
    ]
    assert errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize("seed", range(4))
def test_holes_and_peaks_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.random((30, 25, 20)), 1.0) > 0.5
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)
    small = (np.bincount(labels.ravel(), minlength=count + 1) < 5)[labels] & (labels > 0)
    assert np.array_equal(fill_holes(mask, 5), mask | small)
    for digits in (1, 2, 6):
        profile = np.round(rng.random(60), digits)
        theirs, _ = find_peaks(np.pad(profile, 1), prominence=0.2)
        assert peaks_of(profile, 0.2) == list(theirs - 1)
