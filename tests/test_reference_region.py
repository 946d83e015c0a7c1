"""Tests of the liver reference region: level, noise and smoothness of Gaussian random fields known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.segment.reference_region import liver_reference
from numpy.typing import NDArray
from scipy import ndimage

CENTRE = np.array([-80.0, 0.0, 100.0])
HALF_AXES = np.array([90.0, 70.0, 75.0])
LEVEL = 5.0
NOISE = 0.6


def grid_of(spacing: tuple[float, float, float]) -> Grid:
    shape = np.ceil(np.array([240.0, 180.0, 190.0]) / spacing).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-200.0, -90.0, 5.0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def points_of(grid: Grid) -> NDArray[np.float64]:
    return grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))


def noise_of(grid: Grid, fwhm_mm: float, seed: int) -> NDArray[np.float64]:
    """White noise of a grid 2.5 times finer than the FWHM, smoothed, sampled on ``grid``, of unit sd."""
    fine = grid.with_spacing(np.minimum(grid.spacing, fwhm_mm / 2.5))
    rng = np.random.default_rng(seed)
    field = rng.standard_normal(fine.shape, dtype=np.float32)
    field = ndimage.gaussian_filter(field, fwhm_mm / FWHM_PER_SIGMA / fine.spacing, mode="wrap")
    index = fine.to_index(points_of(grid))
    sampled = ndimage.map_coordinates(field / field.std(), np.moveaxis(index, -1, 0), order=3, mode="nearest")
    return np.asarray(sampled, dtype=np.float64)


def phantom(
    fwhm_mm: float, seed: int, spacing: tuple[float, float, float] = (4.07, 4.07, 3.0)
) -> tuple[NDArray[np.float64], Mask, NDArray[np.float64]]:
    grid = grid_of(spacing)
    where = points_of(grid)
    liver = np.asarray((((where - CENTRE) / HALF_AXES) ** 2).sum(axis=-1) < 1)
    values = np.where(liver, LEVEL, 1.0) + NOISE * noise_of(grid, fwhm_mm, seed) * np.where(liver, 1.0, 0.3)
    return values, Mask(liver, grid), where


def suv(values: NDArray[np.float64], grid: Grid) -> Volume:
    return Volume(values.astype(np.float32), grid, Unit.SUVBW)


@pytest.mark.parametrize("spacing", [(4.07, 4.07, 3.0), (3.0, 3.0, 5.0)])
@pytest.mark.parametrize("fwhm_mm", [5.0, 7.0, 9.0])
def test_noise_sd_and_smoothness_of_a_random_field_are_recovered(
    fwhm_mm: float, spacing: tuple[float, float, float]
) -> None:
    found = []
    for seed in range(3):
        values, liver, _ = phantom(fwhm_mm, seed, spacing)
        found.append(liver_reference(suv(values, liver.grid), liver))
    assert np.mean([r.sd for r in found]) == pytest.approx(NOISE, rel=0.12)
    assert np.mean([r.noise_fwhm_mm for r in found]) == pytest.approx(fwhm_mm, rel=0.12)
    assert all(r.method == "right_lobe" for r in found)
    # a 30 mm ball holds V / (4πs²)^{3/2} independent noise grains: its mean scatters by NOISE/√grains
    grains = (4 / 3 * np.pi * 15.0**3) / (4 * np.pi * (fwhm_mm / FWHM_PER_SIGMA) ** 2) ** 1.5
    assert all(abs(r.mean - LEVEL) < 3 * NOISE / np.sqrt(grains) for r in found)


def test_hot_lesions_inside_the_liver_move_neither_level_nor_noise() -> None:
    rng = np.random.default_rng(5)
    values, liver, where = phantom(7.0, 3)
    for _ in range(10):
        at = CENTRE + rng.uniform(-45, 45, 3)
        values = values + 20 * np.exp(-((where - at) ** 2).sum(axis=-1) / (2 * 7.0**2))
    region = liver_reference(suv(values, liver.grid), liver)
    assert region.mean == pytest.approx(LEVEL, abs=0.6)
    assert region.sd == pytest.approx(NOISE, rel=0.25)
    assert "high_tumour_burden" not in region.flags


def test_the_voi_lies_in_the_right_lobe_and_inside_the_liver() -> None:
    values, liver, _ = phantom(7.0, 1)
    region = liver_reference(suv(values, liver.grid), liver)
    assert region.centre_lps[0] < CENTRE[0] + 40
    depth = 1 - np.sqrt((((region.centre_lps - CENTRE) / HALF_AXES) ** 2).sum())
    assert depth * HALF_AXES.min() > 8


def test_a_right_lobe_full_of_tumour_moves_the_voi_to_the_left_lobe() -> None:
    values, liver, where = phantom(7.0, 2)
    values = np.where(liver.values & (where[..., 0] < CENTRE[0] + 25), values * 3, values)
    region = liver_reference(suv(values, liver.grid), liver)
    assert region.method == "left_lobe"
    assert region.mean == pytest.approx(LEVEL, abs=0.8)
    assert "high_tumour_burden" in region.flags


def test_a_liver_that_is_mostly_tumour_is_flagged_and_its_background_found() -> None:
    values, liver, where = phantom(7.0, 4)
    tumour = liver.values & ((where[..., 2] > CENTRE[2] - 25) | (where[..., 0] > CENTRE[0] + 20))
    values = np.where(tumour, values * 4, values)
    region = liver_reference(suv(values, liver.grid), liver)
    assert "high_tumour_burden" in region.flags
    assert region.mean == pytest.approx(LEVEL, rel=0.2)


def test_the_reference_does_not_depend_on_the_unit_of_uptake() -> None:
    values, liver, _ = phantom(7.0, 6)
    one = liver_reference(suv(values, liver.grid), liver)
    ten = liver_reference(suv(values * 10, liver.grid), liver)
    assert ten.mean == pytest.approx(10 * one.mean, rel=1e-4)
    assert ten.sd == pytest.approx(10 * one.sd, rel=1e-3)
    assert ten.noise_fwhm_mm == pytest.approx(one.noise_fwhm_mm, rel=1e-3)


def test_excluded_voxels_keep_the_voi_away() -> None:
    values, liver, where = phantom(7.0, 7)
    free = liver_reference(suv(values, liver.grid), liver)
    ball = np.asarray(((where - free.centre_lps) ** 2).sum(axis=-1) < 20**2)
    region = liver_reference(suv(values, liver.grid), liver, exclude=Mask(ball, liver.grid))
    assert np.linalg.norm(region.centre_lps - free.centre_lps) > 20


def test_a_liver_outside_the_pet_is_refused() -> None:
    values, liver, _ = phantom(7.0, 8)
    moved = liver.grid.affine.copy()
    moved[2, 3] += 1000
    with pytest.raises(Refusal, match="no_liver_in_pet"):
        liver_reference(suv(values, liver.grid), Mask(liver.values, Grid(liver.grid.shape, moved)))
