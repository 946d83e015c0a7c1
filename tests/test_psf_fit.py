"""The blurred sphere against a brute-force rendering, closed forms, and the fit's recovery of what was put
in.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.psf_fit import blurred_sphere, effective_sigma, fit_sphere
from scipy.ndimage import gaussian_filter


def test_the_blurred_ball_agrees_with_a_brute_force_rendering() -> None:
    step, radius, sigma = 0.2, 3.0, np.array((0.8, 0.8, 1.5))
    axis = (np.arange(121) - 60) * step
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    ball = np.clip((radius - distance) / step + 0.5, 0, 1)
    blurred = gaussian_filter(ball, sigma / step, truncate=6)
    places = np.array([(60, 60, 60), (70, 60, 60), (75, 65, 60), (60, 60, 78), (68, 60, 70)])
    ours = blurred_sphere((places - 60) * step, np.zeros(3), radius, sigma)
    assert ours == pytest.approx(blurred[tuple(places.T)], abs=0.006)


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 12.0), st.floats(0.4, 3.5))
def test_the_centre_has_the_closed_forms_recovery(radius: float, sigma: float) -> None:
    a = radius / (math.sqrt(2) * sigma)
    recovery = math.erf(a) - 2 * a / math.sqrt(math.pi) * math.exp(-a * a)
    (value,) = blurred_sphere(np.zeros((1, 3)), np.zeros(3), radius, np.full(3, sigma))
    assert value == pytest.approx(recovery, abs=0.003)


def test_the_fit_returns_what_was_put_in() -> None:
    step = np.array((1.2, 1.2, 3.0))
    grid = Grid((24, 24, 12), np.diag([*step, 1.0]))
    centre, radius, sigma = np.array((14.0, 13.1, 17.2)), 3.7, effective_sigma(step, 1.2 * step)
    index = np.indices(grid.shape).reshape(3, -1).T
    ball = blurred_sphere(index * step, centre, radius, sigma).reshape(grid.shape)
    rng = np.random.default_rng(0)
    image = Volume((80 + 55 * ball + rng.normal(0, 1.0, grid.shape)).astype(np.float32), grid)
    fit = fit_sphere(image, Mask(ball > 0.5, grid), sigma)
    assert fit is not None
    assert fit.diameter_mm == pytest.approx(2 * radius, abs=0.15)
    assert fit.contrast == pytest.approx(55, rel=0.06)
    assert fit.background == pytest.approx(80, abs=1.0)
    assert np.linalg.norm(fit.centre_lps - centre) < 0.2
    assert fit.diameter_ci_mm[0] < 2 * radius < fit.diameter_ci_mm[1]


def test_without_the_contrast_a_tiny_ball_has_a_wider_interval_than_with_it() -> None:
    step = np.full(3, 1.5)
    grid = Grid((20, 20, 20), np.diag([*step, 1.0]))
    sigma = effective_sigma(step, 1.2 * step)
    index = np.indices(grid.shape).reshape(3, -1).T
    ball = blurred_sphere(index * step, np.full(3, 14.3), 1.6, sigma).reshape(grid.shape)
    rng = np.random.default_rng(1)
    image = Volume((100 - 50 * ball + rng.normal(0, 2.0, grid.shape)).astype(np.float32), grid)
    mask = Mask(ball > 0.5 * ball.max(), grid)
    free, known = fit_sphere(image, mask, sigma), fit_sphere(image, mask, sigma, (-50.0, 5.0))
    assert free is not None
    assert known is not None
    widths = [fit.diameter_ci_mm[1] - fit.diameter_ci_mm[0] for fit in (free, known)]
    assert widths[0] > 1.3 * widths[1]
    assert known.diameter_mm == pytest.approx(3.2, abs=0.4)


def test_too_few_voxels_give_no_fit() -> None:
    grid = Grid((2, 2, 2), np.eye(4))
    mask = Mask(np.ones(grid.shape, dtype=bool), grid)
    assert fit_sphere(Volume(np.ones(grid.shape, dtype=np.float32), grid), mask, np.ones(3)) is None
