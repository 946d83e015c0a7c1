"""Two lesions that a vessel joins are parted at the neck; one lesion, round or lobulated, stays whole."""

from __future__ import annotations

import numpy as np
from liverpair.segment.mr_split import split_at_neck
from numpy.typing import NDArray

SPACING = np.array([1.2, 1.2, 3.0])


def _ball(centre: tuple[float, float, float], radius: float, stretch: float = 1.0) -> NDArray[np.bool_]:
    index = np.stack(np.meshgrid(np.arange(80), np.arange(50), np.arange(24), indexing="ij"), axis=-1) * SPACING
    offset = (index - np.asarray(centre)) / np.array([stretch, 1.0, 1.0])
    return np.asarray(np.linalg.norm(offset, axis=-1) <= radius)


def _seed(*place: float) -> tuple[int, int, int]:
    i, j, k = (int(round(p / s)) for p, s in zip(place, SPACING, strict=True))
    return i, j, k


def test_two_balls_joined_by_a_vessel_are_parted() -> None:
    large, small = _ball((25, 30, 36), 15), _ball((66, 30, 36), 8)
    vessel = np.zeros_like(large)
    vessel[20:55, 23:27, 11:13] = True
    own = split_at_neck(large | small | vessel, _seed(25, 30, 36), _seed(66, 30, 36), SPACING)
    assert own is not None
    assert np.count_nonzero(own & small) >= 0.98 * np.count_nonzero(small)
    assert np.count_nonzero(own & large) <= 0.02 * np.count_nonzero(large)


def test_a_ball_has_no_neck() -> None:
    ball = _ball((40, 30, 36), 16)
    assert split_at_neck(ball, _seed(40, 30, 36), _seed(49, 30, 36), SPACING) is None


def test_a_long_lesion_has_no_neck() -> None:
    long = _ball((45, 30, 36), 10, stretch=2.5)
    assert split_at_neck(long, _seed(32, 30, 36), _seed(60, 30, 36), SPACING) is None


def test_two_overlapping_lobes_stay_one_lesion() -> None:
    lobes = _ball((36, 30, 36), 12) | _ball((48, 30, 36), 12)
    assert split_at_neck(lobes, _seed(36, 30, 36), _seed(48, 30, 36), SPACING) is None
