"""Axes of small lesions: exact without noise, not lengthened by it, and left to the contour where it is no ball."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.measure import measure_mr
from liverpair.evaluate.psf_fit import effective_sigma, fit_sphere
from liverpair.evaluate.shape_fit import ShapeAxes, fit_axes
from scipy.ndimage import gaussian_filter

STEP, FINE = np.array([1.2, 1.2, 3.0]), 4
GRID = Grid((28, 28, 13), np.diag([*STEP, 1.0]))
SIGMA = effective_sigma(STEP, 1.2 * STEP)


def scene(semi: tuple[float, float, float], turned: float, noise: float, seed: int = 0) -> tuple[Volume, Mask]:
    """A dark ellipsoid of these semi-axes (mm), turned in the plane (radians), blurred and sampled in thick slices."""
    rng = np.random.default_rng(seed)
    shape = np.array(GRID.shape) * FINE
    at = (np.indices(shape).transpose(1, 2, 3, 0) - (shape - 1) / 2) * STEP / FINE - rng.uniform(-0.5, 0.5, 3) * STEP
    c, s = np.cos(turned), np.sin(turned)
    along = np.stack([c * at[..., 0] + s * at[..., 1], -s * at[..., 0] + c * at[..., 1], at[..., 2]], axis=-1)
    inside = ((along / semi) ** 2).sum(axis=-1) <= 1
    blurred = gaussian_filter(inside.astype(np.float32), 1.2 * STEP / 2.3548 / (STEP / FINE))
    coarse = blurred.reshape([x for n in GRID.shape for x in (n, FINE)]).mean(axis=(1, 3, 5))
    values = 100 - 60 * coarse + noise * rng.standard_normal(GRID.shape)
    return Volume(values.astype(np.float32), GRID, Unit.ARBITRARY), Mask(coarse > 0.4, GRID)


def axes_of(semi: tuple[float, float, float], turned: float, noise: float, seed: int = 0) -> ShapeAxes | None:
    image, mask = scene(semi, turned, noise, seed)
    fit = fit_sphere(image, mask, SIGMA)
    assert fit is not None
    return fit_axes(image, mask, fit, SIGMA, 2)


@pytest.mark.parametrize("turned", [0.0, 0.6])
@pytest.mark.parametrize("semi", [(3.3, 3.3, 3.3), (3.8, 3.1, 3.3), (4.4, 3.8, 3.6)])
def test_without_noise_the_axes_are_the_ellipsoid_s(semi: tuple[float, float, float], turned: float) -> None:
    found = axes_of(semi, turned, 0.0)
    assert found is not None
    assert found.axial_long_mm == pytest.approx(2 * semi[0], abs=0.35)
    assert found.axial_short_mm == pytest.approx(2 * semi[1], abs=0.35)
    assert found.axial_long_mm - found.axial_short_mm == pytest.approx(2 * (semi[0] - semi[1]), abs=0.35)


def test_noise_does_not_lengthen_the_long_axis_of_a_ball() -> None:
    found = [axes_of((2.9, 2.9, 2.9), 0.0, 8.0, seed) for seed in range(12)]
    errors = np.array([x.axial_long_mm - 5.8 for x in found if x is not None])
    assert len(errors) >= 11
    assert abs(errors.mean()) < 0.5
    spread = np.array([x.axial_long_mm / x.axial_short_mm for x in found if x is not None])
    assert spread.mean() < 1.2  # a contour's axes differ by far more


def test_every_diameter_of_small_lesions_in_noise_is_right_to_half_a_millimetre() -> None:
    rng = np.random.default_rng(1)
    errors = []
    for seed in range(10):
        stretch = np.exp(rng.normal(0, 0.05, 3))
        semi = np.array([1, 1, 1]) * rng.uniform(2.2, 4.2) * stretch / stretch.prod() ** (1 / 3)
        long, short = max(semi[:2]), min(semi[:2])
        found = measure_mr(*scene((float(long), float(short), float(semi[2])), float(rng.uniform(0, 3)), 7.0, seed))
        assert found.long_axis_mm is not None
        assert found.short_axis_mm is not None
        assert found.max_3d_diameter_mm is not None
        assert found.short_axis_mm <= found.long_axis_mm <= found.max_3d_diameter_mm + 1e-6
        errors.append(
            (found.long_axis_mm - 2 * long, found.short_axis_mm - 2 * short, found.max_3d_diameter_mm - 2 * max(semi))
        )
    assert np.abs(errors).mean(axis=0) == pytest.approx([0.25] * 3, abs=0.25)  # at most 0.5 mm each


def test_what_is_no_small_change_of_a_ball_is_left_to_the_contour() -> None:
    image, mask = scene((6.5, 2.3, 3.0), 0.3, 0.5)
    fit = fit_sphere(image, mask, SIGMA)
    assert fit is not None
    assert fit_axes(image, mask, fit, SIGMA, 2) is None
    found = measure_mr(image, mask)
    assert found.long_axis_mm is not None
    assert found.long_axis_mm > 10.0  # a ball would say 7
