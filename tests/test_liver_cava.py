"""The vena cava in a hepatobiliary image's liver mask: taken out where it is one, lesions of its darkness stay."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_cava import without_cava
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((100, 80, 70), np.diag([3.0, 3.0, 3.0, 1.0]))
#: mm from the first voxel: i to the left, j to the back, k up; the body's midline lies at x = 148.5.
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing
BODY = ((AT[..., 0] - 148.5) / 140) ** 2 + ((AT[..., 1] - 118.5) / 110) ** 2 < 1
LIVER = (((AT - (95.0, 110.0, 105.0)) / (75.0, 65.0, 60.0)) ** 2).sum(axis=-1) < 1
FLAT = {"liver": 300.0, "fat": 60.0, "blood": 130.0}
#: A cava of 22 mm that the liver wraps around on three sides, beside the midline and behind the middle.
CAVA = (130.0, 135.0, 11.0)


def tube(x: float, y: float, radius: float, lean: float = 0.0) -> BoolArray:
    """A tube along the body, through (x, y) mm at the liver's middle, that leans forwards by ``lean`` mm per mm."""
    ahead = y - lean * (AT[..., 2] - 105.0)
    return np.asarray(np.hypot(AT[..., 0] - x, AT[..., 1] - ahead) < radius)


def ball(x: float, y: float, z: float, radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(AT - (x, y, z), axis=-1) < radius)


def image(dark: BoolArray, level: float = FLAT["blood"], seed: int = 1) -> Features:
    signal = np.where(LIVER, FLAT["liver"], np.where(BODY, FLAT["fat"], 0.0))
    signal[dark & BODY] = level
    noise = 10 * np.random.default_rng(seed).standard_normal(GRID.shape)
    values: NDArray[np.float32] = (ndimage.gaussian_filter(signal, 0.5) + noise).astype(np.float32)
    body = body_of_ct(np.where(BODY, 50.0, -1000.0), GRID.spacing)
    assert body is not None
    smooth = ndimage.gaussian_filter(values, 0.6)
    whole = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, values, smooth, body, whole, (0.0, 1000.0), (0.3, 0.06, 0.15), (0.0, 0.0, 0.0))


CORE = OrganCore((32, 37, 35), 30.0, FLAT["liver"], 12.0, ball(95.0, 110.0, 105.0, 30.0))


def taken(features: Features, mask: BoolArray) -> BoolArray:
    return np.asarray(mask & ~without_cava(features, mask, CORE))


@pytest.mark.parametrize("radius", [8.0, 11.0, 15.0])
@pytest.mark.parametrize("lean", [0.0, 0.3])
def test_a_cava_that_the_liver_wraps_around_is_taken_out_to_its_wall(radius: float, lean: float) -> None:
    cava = tube(CAVA[0], CAVA[1], radius, lean)
    gone = taken(image(cava), LIVER)
    inside = cava & LIVER & (np.abs(AT[..., 2] - 105.0) < 30.0)
    assert np.count_nonzero(gone & inside) > 0.9 * np.count_nonzero(inside)
    assert not np.any(gone & ~tube(CAVA[0], CAVA[1], radius + 4.5, lean))


def test_a_hepatic_vein_that_joins_the_cava_stays() -> None:
    vein = (np.abs(AT[..., 1] - 120.0) < 4.0) & (np.abs(AT[..., 2] - 140.0) < 4.0) & (AT[..., 0] < 130.0)
    gone = taken(image(tube(*CAVA) | (vein & LIVER)), LIVER)
    assert np.any(gone)
    assert not np.any(gone & vein & ~tube(CAVA[0], CAVA[1], CAVA[2] + 9.0))


@pytest.mark.parametrize("radius", [9.0, 14.0, 20.0])
def test_a_metastasis_at_its_place_stays(radius: float) -> None:
    lesion = ball(130.0, 135.0, 100.0, radius)
    assert not np.any(taken(image(lesion), LIVER))


def test_a_row_of_metastases_that_ends_in_the_liver_stays() -> None:
    row = tube(CAVA[0], CAVA[1], 12.0) & (np.abs(AT[..., 2] - 105.0) < 24.0)
    assert not np.any(taken(image(row), LIVER))


def test_a_tube_far_from_the_spine_stays() -> None:
    assert not np.any(taken(image(tube(60.0, 110.0, 11.0)), LIVER))


def test_a_flat_sheet_of_fat_beside_the_spine_stays() -> None:
    sheet = (np.abs(AT[..., 0] - 130.0) < 6.0) & (AT[..., 1] > 60.0)
    assert not np.any(taken(image(sheet, FLAT["fat"]), LIVER))
