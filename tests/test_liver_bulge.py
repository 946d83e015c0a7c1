"""Lesions that bulge out of a hepatobiliary liver and lift the wall: their outer part comes back, nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_bulge import fitted_ball, with_bulging_lesions
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from scipy import ndimage

GRID = Grid((90, 80, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
#: mm from the first voxel: i to the left, j to the back, k up.
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing
LEVEL, DARK, FAT = 300.0, 110.0, 60.0


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(AT - centre, axis=-1) < radius)


BODY = ((AT[..., 0] - 134) / 125) ** 2 + ((AT[..., 1] - 118) / 105) ** 2 < 1
LIVER = (((AT - (105.0, 110.0, 90.0)) / (65.0, 65.0, 60.0)) ** 2).sum(axis=-1) < 1
CORE = OrganCore((45, 37, 30), 30.0, LEVEL, 12.0, ball((130.0, 110.0, 90.0), 20.0))


def completed(dark: BoolArray, held: BoolArray, seed: int = 2) -> BoolArray:
    """What a mask of the liver and of ``held`` gains where ``dark`` has a lesion's signal."""
    signal = np.where(LIVER, LEVEL, np.where(BODY, FAT, 0.0))
    signal[dark & BODY] = DARK
    signal += 10 * np.random.default_rng(seed).standard_normal(GRID.shape)
    smooth = ndimage.gaussian_filter(signal, 0.7).astype(np.float32)
    body = body_of_ct(np.where(BODY, 50.0, -1000.0), GRID.spacing)
    assert body is not None
    everywhere = np.ones(GRID.shape, dtype=bool)
    features = Features(GRID, smooth, smooth, body, everywhere, (0.0, 1000.0), (0.3, 0.06, 0.15), (0.0, 0.0, 0.0))
    mask = (LIVER & ~dark) | held
    out = with_bulging_lesions(features, mask, CORE)
    assert not (mask & ~out).any()
    return np.asarray(out & ~mask)


@pytest.mark.parametrize("radius", [14.0, 22.0, 30.0])
def test_the_outer_half_of_a_round_lesion_under_the_wall_comes_back_without_the_wall(radius: float) -> None:
    lesion = ball((42.0, 110.0, 90.0), radius)
    wall = BODY & ~ndimage.binary_erosion(BODY, iterations=8) | ball((42.0, 110.0, 90.0), radius + 9) & ~LIVER
    gained = completed(lesion | wall, held=lesion & LIVER)
    outer = lesion & ~LIVER
    assert (gained & outer).sum() > 0.85 * outer.sum()
    assert (gained & ~outer).sum() < 0.1 * lesion.sum()


def test_a_gallbladder_that_hangs_out_of_the_liver_below_is_no_lesion() -> None:
    gallbladder = ball((105.0, 100.0, 32.0), 17.0)
    assert not completed(gallbladder, held=gallbladder & LIVER).any()
    under_the_dome = ball((105.0, 100.0, 148.0), 17.0)
    assert completed(under_the_dome, held=under_the_dome & LIVER).any()


def test_a_vein_that_leaves_the_liver_is_no_lesion() -> None:
    vein = np.asarray(np.hypot(AT[..., 1] - 125.0, AT[..., 2] - 80.0) < 10.0) & (AT[..., 0] > 125.0)
    assert not completed(vein, held=vein & LIVER).any()


def test_a_flat_part_of_the_wall_in_the_mask_is_no_lesion() -> None:
    wall = BODY & (AT[..., 0] < 66.0)
    assert not completed(wall, held=wall & LIVER).any()


def test_a_lesion_within_the_liver_needs_nothing() -> None:
    lesion = ball((100.0, 110.0, 90.0), 20.0)
    assert not completed(lesion, held=lesion).any()


def test_a_ball_is_fitted_exactly_to_a_cap_of_its_surface_and_none_to_a_plane() -> None:
    way = np.random.default_rng(1).standard_normal((400, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    cap = np.array([10.0, -20.0, 30.0]) + 17.0 * way[way[:, 0] > 0.2]
    fit = fitted_ball(cap)
    assert fit is not None
    assert fit[0] == pytest.approx([10.0, -20.0, 30.0], abs=1e-6)
    assert fit[1:] == pytest.approx((17.0, 0.0), abs=1e-6)
    flat = np.column_stack([way[:, :2] * 30, np.zeros(len(way))])
    assert fitted_ball(flat) is None
