"""Noise that differs within one liver, on phantoms whose noise is known."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.pet_unevenness import LIMITS, local_noise_ratio
from liverpair.segment.reference_region import liver_reference
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SPACING = np.array([4.0, 4.0, 4.0])
SHAPE = (56, 44, 44)


def ball() -> NDArray[np.bool_]:
    index = np.indices(SHAPE)
    radius = np.array([25, 19, 19])[:, None, None, None]
    middle = np.array([28, 22, 22])[:, None, None, None]
    return np.asarray((((index - middle) / radius) ** 2).sum(axis=0) < 1)


def white(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def rising(low: float, high: float) -> NDArray[np.float32]:
    """A factor of the noise that rises smoothly along the first axis."""
    share = np.clip((np.arange(SHAPE[0]) - 10) / 36, 0, 1)
    return np.broadcast_to((low + (high - low) * share)[:, None, None], SHAPE).astype(np.float32)


def test_noise_that_rises_across_the_liver_is_measured_where_it_is() -> None:
    truth = rising(0.8, 1.4)
    ratio = local_noise_ratio(white(1) * truth, ball(), SPACING, 0.0, 1.0)
    inner = slice(16, 40), slice(14, 30), slice(14, 30)
    assert np.abs(ratio[inner] / truth[inner] - 1).max() < 0.08


def test_even_noise_is_left_even() -> None:
    ratio = local_noise_ratio(0.1 * white(2), ball(), SPACING, 0.0, 0.1)
    assert np.abs(ratio[ball()] - 1).max() < 0.08


def test_cold_vessels_do_not_pass_for_noise() -> None:
    residual = white(3)
    residual[10:30, 20:24, ::3] -= 6
    ratio = local_noise_ratio(residual, ball(), SPACING, 0.0, 1.0)
    assert np.abs(ratio[ball()] - 1).max() < 0.08


def test_far_from_the_liver_the_mean_noise_stands() -> None:
    clean = np.zeros(SHAPE, dtype=bool)
    clean[:6, :6, :6] = True
    ratio = local_noise_ratio(2 * white(4), clean, SPACING, 0.0, 1.0)
    assert ratio[-1, -1, -1] == pytest.approx(1.0, abs=1e-3)
    assert ratio.max() <= LIMITS[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_noisy_part_of_a_clean_liver_gives_no_foci(seed: int) -> None:
    liver = ball()
    noise = gaussian_filter(white(10 + seed), 0.4)
    noise /= noise.std()
    suv = np.where(liver, 5.0, 0.5).astype(np.float32) * (1 + 0.1 * rising(0.7, 1.9) * noise)
    grid = Grid(SHAPE, np.diag([*SPACING, 1.0]), "1.2.3")
    mask, image = Mask(liver, grid), Volume(suv.astype(np.float32), grid)
    assert detect_pet(image, mask, liver_reference(image, mask)).candidates == ()
