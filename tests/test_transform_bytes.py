"""The stored transform holds no time: writing it again later gives the same bytes, and the same points."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.register.hdf5_times import lookup3
from liverpair.register.transform_io import read_transform, write_transform


def test_a_transform_written_twice_has_the_same_bytes(tmp_path: Path) -> None:
    grid = Grid((9, 8, 7), np.diag([10.0, 10.0, 10.0, 1.0]))
    field = np.random.default_rng(3).normal(0, 3, (9, 8, 7, 3)).astype(np.float32)
    transform = SpatialTransform(np.eye(4), field, grid)
    write_transform(transform, tmp_path / "a.h5")
    time.sleep(1.1)
    write_transform(transform, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    points = np.array([[20.0, 30.0, 40.0], [55.0, 41.0, 22.0]])
    assert np.allclose(read_transform(tmp_path / "a.h5").to_moving(points), transform.to_moving(points), atol=1e-3)


def test_the_checksum_is_the_one_that_its_author_published() -> None:
    assert lookup3(b"Four score and seven years ago") == 0x17770551
