"""Balls, summits and floods of the liver search: the same results as the general tools', sooner."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.segment import liver_morphology
from liverpair.segment.liver_border import _flooded
from liverpair.segment.liver_morphology import BoolArray, depth, dilate, erode
from liverpair.segment.liver_summits import summits
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

WORK = np.array([3.0, 3.0, 3.0])


def blobs(seed: int, framed: bool, shape: tuple[int, int, int] = (30, 26, 22)) -> BoolArray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.5)
    mask = np.asarray(noise > 0.005)
    return np.pad(mask[2:-2, 2:-2, 2:-2], 2) if framed else mask


@pytest.mark.parametrize("spacing", [WORK, np.array([1.25, 1.4, 2.0])], ids=["work grid", "an image's"])
@pytest.mark.parametrize("radius_mm", [2.0, 3.0, 5.0, 8.0, 13.0])
def test_a_ball_laid_row_by_row_is_the_distance_maps(
    radius_mm: float, spacing: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        mask = blobs(seed, framed=bool(seed % 2))
        rows = dilate(mask, radius_mm, spacing), erode(mask, radius_mm, spacing)
        with monkeypatch.context() as patched:
            patched.setattr(liver_morphology, "MOST_ROWS", 0)
            assert np.array_equal(rows[0], dilate(mask, radius_mm, spacing))
        assert np.array_equal(rows[1], depth(mask, spacing) > radius_mm)


def test_a_voxel_at_the_radius_belongs_to_the_ball() -> None:
    spacing = np.array([1.2, 1.2, 3.0])  # five steps are 6 mm, in floating point a little more
    mask = np.zeros((15, 15, 9), dtype=bool)
    mask[7, 7, 4] = True
    ball = dilate(mask, 6.0, spacing)
    assert ball[2, 7, 4]
    assert ball[7, 12, 4]
    assert ball[7, 7, 6]
    assert not ball[1, 7, 4]
    assert not ball[2, 8, 4]
    assert not ball[8, 7, 6]


@pytest.mark.parametrize("stand_out", [0.7, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_summits_are_those_of_the_general_tool(seed: int, stand_out: float) -> None:
    mask = blobs(seed, framed=bool(seed % 2))
    height = np.round(np.where(mask, ndimage.gaussian_filter(depth(mask, WORK), 1.0), 0), 1)
    expected = h_maxima(height, stand_out) > 0
    assert expected.any()
    assert np.array_equal(summits(height, stand_out), expected)


def test_two_places_of_one_height_are_both_summits() -> None:
    height = np.zeros((9, 5, 5), dtype=np.float32)
    height[1:8, 2, 2] = [5.0, 4.0, 3.0, 2.0, 3.0, 4.0, 5.0]
    assert np.argwhere(summits(height, 2.0))[:, 0].tolist() == [1, 7]
    height[6:8, 2, 2] = 3.9  # less than the way down between them
    assert np.argwhere(summits(height, 2.0))[:, 0].tolist() == [1]


def test_what_lies_deep_in_a_marker_need_not_be_flooded() -> None:
    rng = np.random.default_rng(3)
    inside = blobs(5, framed=True)
    slope = ndimage.gaussian_filter(rng.standard_normal(inside.shape), 1.0).astype(np.float32)
    markers = np.where(erode(inside, 4.0, WORK), 1, np.where(erode(~inside, 4.0, WORK), 2, 0)).astype(np.int32)
    assert (markers == 0).any()
    assert (markers == 1).any()
    assert np.array_equal(_flooded(slope, markers), watershed(slope, markers))
