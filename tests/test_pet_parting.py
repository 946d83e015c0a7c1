"""Lesions that the blur makes one focus are listed as two; one lesion of whatever shape is not."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Detection, ReferenceRegion
from liverpair.core.volume import Mask, Volume
from liverpair.segment.pet_bodies import Patch, fit_ellipsoid, fit_spheres
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.pet_settings import PetDetectionSettings
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from tests.test_pet_lesions import CENTRE, FWHM, PLACES, SHAPE, STEP, liver, phantom

Ball = tuple[tuple[float, float, float], float, float]
VOXEL = float(np.prod(STEP))
HOT: Ball = ((-40.0, 10.0, 0.0), 12.0, 12.0)
WARM: Ball = ((-23.0, 10.0, 0.0), 17.6, 2.4)


def diameter(detection: Detection, label: int) -> float:
    """Of the ball with the region's volume, mm."""
    return float((6 * np.count_nonzero(detection.labels.values == label) * VOXEL / np.pi) ** (1 / 3))


def assert_each_is_found_where_and_as_large_as_it_is(detection: Detection, balls: list[Ball]) -> None:
    assert len(detection.candidates) == len(balls)
    for centre, size, _ in balls:
        where = np.array(centre) + CENTRE * STEP
        best = min(detection.candidates, key=lambda c: float(np.linalg.norm(c.centre_lps - where)))
        assert np.linalg.norm(best.centre_lps - where) < 2.0
        assert best.confidence > 0.9
        assert diameter(detection, best.label) == pytest.approx(size, rel=0.2)


@pytest.mark.parametrize("seed", range(3))
def test_a_warm_lesion_in_the_slope_of_a_hot_one_is_found(seed: int) -> None:
    detection = detect_pet(*phantom([HOT, WARM], seed, cov=0.1))
    assert_each_is_found_where_and_as_large_as_it_is(detection, [HOT, WARM])
    zs = [c.z for c in detection.candidates]
    assert zs == sorted(zs, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_two_lesions_without_a_valley_between_them_are_two(seed: int) -> None:
    balls: list[Ball] = [((-40.0, 10.0, 0.0), 14.0, 8.0), ((-26.5, 10.0, 0.0), 9.0, 7.0)]
    detection = detect_pet(*phantom(balls, seed, cov=0.1))
    assert detection.facts["parted_foci"] == 1
    assert_each_is_found_where_and_as_large_as_it_is(detection, balls)


def body(kind: str, size: float, ratio: float, seed: int) -> tuple[Volume, Mask, ReferenceRegion]:
    """A liver of SUV 5 with one body of ``size`` mm and ``ratio``, painted on thirds of voxels; noise of COV 10 %."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    inside, near = np.zeros(SHAPE), (slice(10, 34), slice(11, 35), slice(9, 39))
    for corner in np.ndindex(3, 3, 3):
        place = (PLACES[near] + ((np.array(corner) + 0.5) / 3 - 0.5) * STEP + np.array((30.0, 0.0, 5.0))) @ turn
        r = np.linalg.norm(place, axis=-1)
        if kind == "long":
            part = np.linalg.norm(place / np.array((0.7, 0.8, 1.8)), axis=-1) < size / 2
        elif kind == "hollow":
            part = (r < size / 2) & (np.linalg.norm(place - np.array((2.0, 0.0, 0.0)), axis=-1) > 0.3 * size)
        else:  # bent: a bean
            part = (r < size / 2) & (np.linalg.norm(place - np.array((0.8 * size, 0.0, 0.0)), axis=-1) > 0.6 * size)
        inside[near] += part / 27
    mask = liver()
    activity = np.where(mask, 5.0, 1.0) * (1 + (ratio - 1) * inside)
    sigma = FWHM / 2.3548 / STEP
    noise = gaussian_filter(rng.standard_normal(SHAPE), sigma, mode="wrap")
    image = gaussian_filter(activity, sigma) * (1 + 0.1 * noise / noise.std())
    grid = Grid(SHAPE, np.diag([*STEP, 1.0]))
    return Volume(image.astype(np.float32), grid), Mask(mask, grid), ReferenceRegion(np.zeros(3), 15, 5, 0.5, FWHM, "")


@pytest.mark.parametrize(
    ("kind", "size", "ratio"),
    [("long", 16.0, 3.0), ("long", 20.0, 10.0), ("hollow", 22.0, 6.0), ("bent", 20.0, 4.0), ("bent", 24.0, 12.0)],
)
def test_one_lesion_that_is_no_ball_stays_one(kind: str, size: float, ratio: float) -> None:
    for seed in range(3):
        detection = detect_pet(*body(kind, size, ratio, seed))
        assert len(detection.candidates) == 1, seed
        assert detection.facts["parted_foci"] == 0


def test_a_ring_with_several_maxima_is_one_lesion() -> None:
    for seed in (5, 7, 8):  # three or four maxima each
        detection = detect_pet(*body("hollow", 36.0, 3.0, seed))
        assert len(detection.candidates) == 1, seed
        assert diameter(detection, 1) == pytest.approx(36.0, rel=0.15)


def test_what_a_hot_organ_spills_in_beside_a_lesion_is_no_lesion() -> None:
    lesion: Ball = ((0.0, 50.0, 0.0), 14.0, 5.0)
    kidney: Ball = ((0.0, 88.0, 0.0), 50.0, 6.0)
    for seed in range(3):
        found = detect_pet(*phantom([lesion, kidney], seed, cov=0.1)).candidates
        assert len([c for c in found if c.confidence > 0.5]) == 1


def test_a_published_level_is_taken_of_the_image_as_it_is() -> None:
    balls: list[Ball] = [((-40.0, 10.0, 0.0), 14.0, 8.0), ((-26.5, 10.0, 0.0), 9.0, 7.0)]
    image, mask, reference = phantom(balls, 0, cov=0.1)
    detection = detect_pet(image, mask, reference, PetDetectionSettings(method="percent-max"))
    assert len(detection.candidates) == 2
    for candidate in detection.candidates:
        region = image.values[detection.labels.values == candidate.label]
        assert region.min() >= 0.41 * region.max()
        assert region.max() == pytest.approx(region.min() / 0.41, rel=0.1)


def breathing(balls: list[Ball], seed: int) -> tuple[Volume, Mask, ReferenceRegion]:
    """``phantom`` as it is seen when the liver moves 11 mm along the patient (third axis), long at one end."""
    still, mask, reference = phantom(balls, seed, cov=1e-6)
    phases = -11.0 * np.cos((np.arange(48) + 0.5) / 48 * np.pi) ** 4
    moved = np.mean([shift(still.values, (0, 0, float(p - phases.mean()) / STEP[2]), order=1) for p in phases], axis=0)
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), FWHM / 2.3548 / STEP, mode="wrap")
    return Volume((moved * (1 + 0.06 * noise / noise.std())).astype(np.float32), still.grid), mask, reference


def test_two_lesions_that_breathing_blurs_are_two_and_one_is_one() -> None:
    pair: list[Ball] = [((-40.0, 10.0, 0.0), 14.0, 8.0), ((-23.5, 10.0, 0.0), 11.0, 4.0)]
    for seed in range(3):
        assert len(detect_pet(*breathing(pair, seed)).candidates) == 2, seed
        assert len(detect_pet(*breathing(pair[:1], seed)).candidates) == 1, seed


def blurred(inside: NDArray[np.bool_], spacing: NDArray[np.float64], fine: int, fwhm: float) -> NDArray[np.float64]:
    """A body painted on ``fine``-fold voxels of ``spacing``, blurred and averaged over the voxels."""
    image = gaussian_filter(inside.astype(np.float64), fwhm / 2.3548 / spacing * fine)
    n = np.array(inside.shape) // fine
    return np.asarray(image.reshape(n[0], fine, n[1], fine, n[2], fine).mean(axis=(1, 3, 5)))


@pytest.mark.parametrize("step", [(2.5, 2.5, 3.0), (4.5, 4.5, 4.0)])
def test_the_fits_give_back_bodies_that_were_painted(step: tuple[float, float, float]) -> None:
    spacing, fine, fwhm = np.array(step), 6, 6.0
    shape = np.round(60.0 / spacing / 2).astype(int) * 2
    at = (np.indices(shape * fine).transpose(1, 2, 3, 0) + 0.5) / fine * spacing - 0.5 * spacing
    centre = np.array((28.0, 30.0, 29.0))
    spread = np.array(((6.0, 0.0, 0.0), (3.0, 10.0, 0.0), (1.0, 2.0, 7.0)))
    ellipsoid = blurred(np.linalg.norm((at - centre) @ np.linalg.inv(spread).T, axis=-1) < 1, spacing, fine, fwhm)
    other = centre + np.array((0.0, -14.0, 0.0))
    large, small = np.linalg.norm(at - centre, axis=-1) < 7, np.linalg.norm(at - other, axis=-1) < 4.5
    balls = 3.0 * blurred(large, spacing, fine, fwhm) + 5.0 * blurred(small, spacing, fine, fwhm)
    everywhere = np.ones(tuple(shape), dtype=bool)
    weight = np.full(tuple(shape), 10.0)
    patch = Patch(3.0 * ellipsoid, 1.0, weight, everywhere, spacing, fwhm)
    fit, found = fit_ellipsoid(patch, centre + 1, 6 * np.eye(3))
    np.testing.assert_allclose(fit.centres[0], centre, atol=0.1)
    np.testing.assert_allclose(found, spread, atol=0.2)
    assert fit.heights[0] == pytest.approx(3.0, rel=0.03)
    patch = Patch(balls, 1.0, weight, everywhere, spacing, fwhm)
    two = fit_spheres(patch, np.stack((centre + 2, other + 2)), np.array((12.0, 12.0)))
    np.testing.assert_allclose(two.centres, (centre, other), atol=0.1)
    np.testing.assert_allclose(two.diameters, (14.0, 9.0), rtol=0.04)
    np.testing.assert_allclose(two.heights, (3.0, 5.0), rtol=0.08)


def test_a_body_of_no_uptake_is_given_none_and_not_less() -> None:
    at = np.indices((12, 12, 12)).transpose(1, 2, 3, 0) * 3.0
    spot = np.exp(-0.5 * (np.linalg.norm(at - 15.0, axis=-1) / 4.0) ** 2)
    hole = -0.8 * np.exp(-0.5 * (np.linalg.norm(at - np.array((15.0, 15.0, 27.0)), axis=-1) / 4.0) ** 2)
    patch = Patch(spot + hole, 1.0, np.full(spot.shape, 10.0), np.ones(spot.shape, dtype=bool), np.full(3, 3.0), 6.0)
    two = fit_spheres(patch, np.array(((15.0, 15.0, 15.0), (15.0, 15.0, 27.0))), np.array((10.0, 10.0)))
    assert (two.heights >= 0).all()
    assert two.heights[0] > 0.5
