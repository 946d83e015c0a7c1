"""The liver's motion between the PET and the CT of one session."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.register.pet_motion import PetMotionSettings, pet_motion
from numpy.typing import NDArray
from scipy import ndimage

CT_GRID = Grid((96, 80, 60), np.diag([3.0, 3.0, 4.0, 1.0]))
PET_GRID = Grid((72, 60, 80), np.diag([4.0, 4.0, 3.0, 1.0]))
#: Centre and half axes of the organs (LPS mm), and uptake over the liver's.
LIVER = ((130.0, 120.0, 120.0), (75.0, 60.0, 55.0))
KIDNEY = ((100.0, 165.0, 60.0), (25.0, 25.0, 45.0))
SPLEEN = ((240.0, 140.0, 130.0), (28.0, 35.0, 45.0))
METASTASIS = ((110.0, 110.0, 150.0), (12.0, 12.0, 12.0))


def _inside(
    grid: Grid, organ: tuple[tuple[float, ...], tuple[float, ...]], shift: NDArray[np.float64]
) -> NDArray[np.bool_]:
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - (np.array(organ[0]) + shift)
    return np.asarray(((points / np.array(organ[1])) ** 2).sum(axis=-1) <= 1)


def _pet(shift: NDArray[np.float64], seed: int = 1) -> Volume:
    """Liver 5, spleen 12, kidney 25, metastasis 30, elsewhere 1; 7 mm of blur and 10 % of noise."""
    suv = np.ones(PET_GRID.shape)
    for organ, uptake in ((LIVER, 5.0), (SPLEEN, 12.0), (KIDNEY, 25.0), (METASTASIS, 30.0)):
        suv[_inside(PET_GRID, organ, shift)] = uptake
    suv = ndimage.gaussian_filter(suv, 3.0 / PET_GRID.spacing)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=suv.shape), 0.8)
    suv += 0.1 * suv * noise / noise.std()
    return Volume(np.maximum(suv, 0).astype(np.float32), PET_GRID, Unit.SUVBW)


@pytest.fixture(scope="module")
def liver() -> Mask:
    """The liver as the CT shows it."""
    return Mask(_inside(CT_GRID, LIVER, np.zeros(3)), CT_GRID)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 12.0), (3.0, -4.0, -18.0), (0.0, 0.0, 27.0), (6.0, 0.0, 5.0)])
def test_a_moved_liver_is_found_within_its_stated_uncertainty(shift: tuple[float, ...], liver: Mask) -> None:
    truth = np.array(shift)
    found = pet_motion(_pet(truth), liver)
    assert found is not None
    assert found.corrected
    assert np.all(np.abs(found.shift - truth) <= np.maximum(1.5, 2.5 * found.sd_mm))
    assert found.agreement > found.before


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.0, 0.0, 3.0)])
def test_a_motion_that_breathing_blurs_anyway_is_left_alone(shift: tuple[float, ...], liver: Mask) -> None:
    found = pet_motion(_pet(np.array(shift)), liver)
    assert found is not None
    assert not found.corrected
    assert np.linalg.norm(found.shift - np.array(shift)) < 1.5


def test_the_limit_of_correction_is_a_setting(liver: Mask) -> None:
    found = pet_motion(_pet(np.array([0.0, 0.0, 4.0])), liver, PetMotionSettings(correct_above_mm=2.0))
    assert found is not None
    assert found.corrected


def test_a_pet_without_a_liver_there_says_nothing(liver: Mask) -> None:
    noise = np.random.default_rng(2).uniform(0.5, 1.5, PET_GRID.shape).astype(np.float32)
    assert pet_motion(Volume(noise, PET_GRID, Unit.SUVBW), liver) is None


def test_a_pet_beside_the_liver_says_nothing(liver: Mask) -> None:
    far = np.diag([4.0, 4.0, 3.0, 1.0])
    far[:3, 3] = 2000.0
    assert pet_motion(Volume(_pet(np.zeros(3)).values, Grid(PET_GRID.shape, far), Unit.SUVBW), liver) is None
