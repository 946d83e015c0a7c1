"""A coil's shading is what slopes inside tissues; steps between tissues stay."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.segment.liver_shading import shading
from numpy.typing import NDArray
from scipy import ndimage

SPACING = np.array([3.0, 3.0, 3.0])
SHAPE = (110, 84, 70)


def _trunk(fat: float, muscle: float) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """A trunk of fat and muscle with a liver (intensity 100), blurred as an image is; body and liver."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    body = (i / 0.9) ** 2 + (j / 0.9) ** 2 < 1
    cavity = (i / 0.78) ** 2 + (j / 0.75) ** 2 < 1
    wall = ((i / 0.84) ** 2 + (j / 0.83) ** 2 < 1) & ~cavity
    liver = ((i + 0.3) / 0.42) ** 2 + (j / 0.6) ** 2 + ((k - 0.1) / 0.7) ** 2 < 1
    values = np.select([liver, wall, body], [100.0, 100.0 * muscle, 100.0 * fat], 1.0)
    return ndimage.gaussian_filter(values.astype(np.float32), 0.7), body, liver


def _coil(strength: float) -> NDArray[np.float32]:
    """The logarithm of a field that is no polynomial: bright towards the front and the right shoulder."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(strength * (1.5 / (1.5 + i) - 0.8 * np.tanh(j) + 0.4 * np.sin(1.5 * k)), dtype=np.float32)


def _seen(fat: float, muscle: float, strength: float) -> tuple[NDArray[np.float32], ...]:
    image, body, liver = _trunk(fat, muscle)
    coil = _coil(strength)
    noise = np.random.default_rng(5).normal(0, 2.0, SHAPE).astype(np.float32)
    return np.maximum(image * np.exp(coil) + noise, 0.1), body, liver, coil - np.median(coil[body])


@pytest.mark.parametrize("fat", [0.75, 0.3, 1.8])
def test_shading_is_found_whatever_the_fat_beside_the_liver(fat: float) -> None:
    image, body, liver, coil = _seen(fat, 0.6, 0.3)
    inner = ndimage.binary_erosion(body, iterations=4)
    assert np.ptp(coil[inner]) > 0.8
    left = (shading(image, body, SPACING) - coil)[inner]
    assert np.std(left) < 0.04
    assert np.std((shading(image, body, SPACING) - coil)[liver]) < 0.025


def test_the_step_between_liver_and_fat_stays() -> None:
    image, body, liver, _ = _seen(0.75, 0.6, 0.3)
    flat = image / np.exp(shading(image, body, SPACING))
    deep = ndimage.binary_erosion(liver, iterations=3)
    around = ndimage.binary_dilation(liver, iterations=6) & ~ndimage.binary_dilation(liver, iterations=3)
    fat = around & (np.abs(_trunk(0.75, 0.6)[0] - 75) < 1)
    assert np.median(flat[fat]) / np.median(flat[deep]) == pytest.approx(0.75, abs=0.02)

    image, body, _ = _trunk(0.75, 0.6)
    assert np.abs(shading(image, body, SPACING)[body]).max() < 0.01


def test_a_few_voxels_show_no_shading() -> None:
    values = np.full((8, 8, 8), 50, dtype=np.float32)
    assert not shading(values, np.ones(values.shape, dtype=bool), SPACING).any()


def test_the_median_inside_the_body_stays() -> None:
    image, body, _, _ = _seen(0.3, 0.6, 0.3)
    field = shading(image, body, SPACING)
    assert np.median(field[body]) == pytest.approx(0, abs=1e-6)
    assert np.isfinite(field).all()
