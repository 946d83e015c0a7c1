"""Fluid on CT is found, and no window reads what was left out."""

import numpy as np
import pytest
from liverpair.register.fluid import FluidSettings, fluid_region
from liverpair.register.local_ncc import LocalCorrelation
from scipy import ndimage

STEP = 2.0


def _abdomen(liver_hu: float, bile_hu: float, radius_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A liver of 50 mm in fat with a sphere of bile at its lower border: HU, depth (mm), where the bile is."""
    i, j, k = (np.indices((70, 70, 70)) - 35) * STEP
    depth = 50 - np.sqrt(i**2 + j**2 + k**2)
    bile = np.sqrt(i**2 + j**2 + (k + 40) ** 2) < radius_mm
    hu = np.where(depth > 0, liver_hu, -100.0)
    hu[bile] = bile_hu
    noise = np.random.default_rng(1).normal(0, 10, hu.shape)
    return ndimage.gaussian_filter(hu + noise, 0.75).astype(np.float32), depth.astype(np.float32), bile


@pytest.mark.parametrize("liver_hu", [45.0, 60.0, 110.0])
def test_a_gallbladder_is_found_whole_and_little_else(liver_hu: float) -> None:
    hu, depth, bile = _abdomen(liver_hu, 8.0, 16.0)
    found = fluid_region(hu, depth, STEP, FluidSettings())
    assert (found & bile).sum() > 0.97 * bile.sum()
    near = ndimage.binary_dilation(bile, iterations=4)
    assert not (found & ~near).any()


def test_the_shell_between_liver_and_fat_is_no_fluid() -> None:
    hu, depth, _ = _abdomen(60.0, 60.0, 16.0)
    assert not fluid_region(hu, depth, STEP, FluidSettings()).any()


def test_a_fatty_liver_is_no_fluid() -> None:
    hu, depth, _ = _abdomen(15.0, 15.0, 16.0)
    assert not fluid_region(hu, depth, STEP, FluidSettings()).any()


def test_a_small_cyst_stays_in_the_comparison() -> None:
    hu, depth, _ = _abdomen(60.0, 5.0, 6.0)
    assert not fluid_region(hu, depth, STEP, FluidSettings()).any()


def test_what_no_image_covers_is_neither_fluid_nor_an_error() -> None:
    hu, depth, _ = _abdomen(60.0, 5.0, 16.0)
    assert not fluid_region(np.full_like(hu, np.nan), depth, STEP, FluidSettings()).any()
    hu[:, :, 40:] = np.nan
    assert fluid_region(hu, depth, STEP, FluidSettings()).any()


def _pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    fixed, moved = (ndimage.gaussian_filter(rng.normal(size=(14, 13, 12)), 1).astype(np.float32) for _ in range(2))
    use = np.ones_like(fixed)
    use[4:8, 3:9, 2:7] = 0
    return fixed, moved, use


def test_voxels_that_are_left_out_change_nothing_and_get_no_gradient() -> None:
    fixed, moved, use = _pair()
    weights = np.ones_like(fixed)
    plain = LocalCorrelation.of(fixed, weights, 2, (0.01, 0.01), use).evaluate(moved)
    other = np.where(use > 0, moved, 50.0).astype(np.float32)
    spoilt = np.where(use > 0, fixed, -30.0).astype(np.float32)
    again = LocalCorrelation.of(spoilt, weights, 2, (0.01, 0.01), use).evaluate(other)
    assert again[0] == pytest.approx(plain[0], abs=1e-6)
    assert not plain[1][use == 0].any()
    assert not again[1][use == 0].any()


def test_a_window_that_leaves_voxels_out_is_the_definition_over_the_rest() -> None:
    fixed, moved, use = _pair()
    correlation = LocalCorrelation.of(fixed, np.ones_like(fixed), 2, (0.0, 0.0), use)
    cc = correlation.evaluate(moved)[2]
    for i, j, k in ((3, 3, 3), (8, 6, 8), (9, 9, 5)):
        part = (slice(i - 2, i + 3), slice(j - 2, j + 3), slice(k - 2, k + 3))
        kept = use[part] > 0
        assert 0.3 < kept.mean() < 1
        assert cc[i, j, k] == pytest.approx(np.corrcoef(fixed[part][kept], moved[part][kept])[0, 1] ** 2, abs=1e-3)
    assert correlation.score(moved)[0] == pytest.approx(correlation.evaluate(moved)[0], abs=1e-5)


def test_the_gradient_with_voxels_left_out_agrees_with_finite_differences() -> None:
    fixed, moved, use = _pair()
    weights = np.random.default_rng(3).random(fixed.shape).astype(np.float32)
    correlation = LocalCorrelation.of(fixed, weights, 2, (0.05, 0.05), use)
    gradient = correlation.evaluate(moved)[1]
    direction = np.random.default_rng(4).normal(size=fixed.shape).astype(np.float32)
    h = np.float32(0.01)
    difference = (correlation.evaluate(moved + h * direction)[0] - correlation.evaluate(moved - h * direction)[0]) / (
        2 * float(h)
    )
    assert float((gradient * direction).sum()) == pytest.approx(difference, rel=0.02)
