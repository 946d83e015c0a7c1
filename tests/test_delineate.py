"""Threshold fractions, shells, basins and regions on analytic images."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.segment.delineate import (
    ball_fraction,
    brt_fraction,
    connected_above,
    instance_basins,
    shell_background,
    with_cooler_parts,
    within,
)
from scipy.ndimage import gaussian_filter

STEP = np.array((2.0, 2.0, 2.0))


def blurred_ball(diameter: float, fwhm: float, n: int = 41) -> np.ndarray:
    distance = np.linalg.norm((np.indices((n, n, n)).transpose(1, 2, 3, 0) - n // 2) * STEP, axis=-1)
    ball = np.clip((diameter / 2 - distance) / STEP[0] + 0.5, 0, 1)
    return gaussian_filter(ball, fwhm / 2.3548 / STEP)


@pytest.mark.parametrize(("ratio", "fraction"), [(0.8, 0.691), (1.2, 0.517), (2.0, 0.383), (6.0, 0.444)])
def test_the_threshold_fraction_is_that_of_the_table(ratio: float, fraction: float) -> None:
    assert brt_fraction(7.0 * ratio, 7.0) == pytest.approx(fraction)


@pytest.mark.parametrize("diameter", [12.0, 18.0, 28.0])
def test_the_iterated_threshold_returns_the_balls_volume_at_low_contrast(diameter: float) -> None:
    image = 4.0 + 4.0 * blurred_ball(diameter, 7.0)  # tumour-to-liver ratio 2: an uncorrected 41 % floods the liver
    everywhere = np.ones(image.shape, dtype=bool)
    region, _ = ball_fraction(image, (20, 20, 20), 4.0, everywhere, np.full(3, 2.0), 7.0)
    equivalent = (6 * np.count_nonzero(region) * 8.0 / np.pi) ** (1 / 3)
    assert equivalent == pytest.approx(diameter, abs=1.5)


@pytest.mark.parametrize(("diameter", "fwhm"), [(12.0, 7.0), (20.0, 7.0), (28.0, 7.0), (40.0, 12.0)])
@pytest.mark.parametrize("noise", [0.0, 0.06])
def test_an_even_ball_keeps_its_region_when_cooler_parts_are_sought(diameter: float, fwhm: float, noise: float) -> None:
    rng = np.random.default_rng(4)
    grain = gaussian_filter(rng.standard_normal((41, 41, 41)), 1.0)
    image = 1.0 + blurred_ball(diameter, fwhm) + noise * grain / grain.std()  # a sixteenth of its height, or none
    everywhere = np.ones(image.shape, dtype=bool)
    region, fraction = ball_fraction(image, (20, 20, 20), 1.0, everywhere, STEP, fwhm)
    whole = with_cooler_parts(image, region, (20, 20, 20), 1.0, fraction, everywhere, STEP, fwhm)
    assert np.all(whole[region])
    assert np.count_nonzero(whole) <= 1.04 * np.count_nonzero(region)


def test_a_lesion_of_two_levels_is_cut_at_each_parts_own() -> None:
    index = (np.indices((61, 41, 41)).transpose(1, 2, 3, 0) - 20) * STEP
    hot = np.linalg.norm(index, axis=-1) < 15
    cool = (np.linalg.norm(index - np.array((26.0, 0, 0)), axis=-1) < 13) & ~hot
    image = 2.0 + gaussian_filter(20.0 * hot + 7.0 * cool, 8.0 / 2.3548 / STEP)
    everywhere = np.ones(image.shape, dtype=bool)
    region, fraction = ball_fraction(image, (20, 20, 20), 2.0, everywhere, STEP, 8.0)
    whole = with_cooler_parts(image, region, (20, 20, 20), 2.0, fraction, everywhere, STEP, 8.0)
    truth = hot | cool

    def overlap(found: np.ndarray) -> float:
        return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))

    assert np.mean(region[cool]) < 0.1  # one level for all loses the cooler part
    assert np.mean(whole[cool]) > 0.5
    assert overlap(whole) > 0.88 > overlap(region) + 0.1
    assert np.count_nonzero(whole & ~truth) < 0.1 * np.count_nonzero(truth)


def test_the_shell_ignores_what_is_not_usable() -> None:
    region = np.zeros((30, 30, 30), dtype=bool)
    region[13:17, 13:17, 13:17] = True
    image = np.full(region.shape, 2.0)
    usable = np.ones(region.shape, dtype=bool)
    image[:12], usable[:12] = 50.0, False
    assert shell_background(image, region, STEP, usable) == 2.0
    assert shell_background(image, region, STEP, np.zeros_like(usable)) is None


def test_two_touching_balls_get_a_basin_each() -> None:
    image = blurred_ball(16.0, 6.0)
    image = np.maximum(np.roll(image, -5, axis=0), np.roll(image, 5, axis=0))
    seeds = np.array([(15, 20, 20), (25, 20, 20)])
    basins = instance_basins(image, seeds, image > 0.2)
    assert set(np.unique(basins)) == {0, 1, 2}
    assert np.count_nonzero(basins == 1) == pytest.approx(np.count_nonzero(basins == 2), rel=0.05)


def test_a_region_is_connected_to_its_seed_and_distance_is_in_millimetres() -> None:
    image = np.zeros((20, 20, 20))
    image[2:5, 2:5, 2:5] = image[12:15, 12:15, 12:15] = 1.0
    region = connected_above(image, 0.5, (3, 3, 3), np.ones(image.shape, dtype=bool))
    assert np.count_nonzero(region) == 27
    point = np.zeros(image.shape, dtype=bool)
    point[10, 10, 10] = True
    near = within(point, np.array((1.0, 2.0, 4.0)), 4.0)
    assert [int(near.any(axis=(1, 2)).sum()), int(near.any(axis=(0, 2)).sum()), int(near.any(axis=(0, 1)).sum())] == [
        9,
        5,
        3,
    ]
