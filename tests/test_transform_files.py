"""The files that a registration leaves: none of an earlier run beside a new verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.nifti import write_nifti
from liverpair.flow.config import Settings
from liverpair.flow.transform_files import TRANSFORM_FILES, write_transform_files
from liverpair.flow.verbs.registration import register

GRID = Grid((24, 24, 12), np.diag([5.0, 5.0, 8.0, 1.0]))


def test_a_deforming_transform_leaves_every_file_and_an_affine_no_jacobian_map(tmp_path: Path) -> None:
    waves = np.zeros((*GRID.shape, 3), dtype=np.float32)
    waves[..., 0] = np.sin(np.arange(12) / 3.0)
    write_transform_files(SpatialTransform(np.eye(4), waves, GRID), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(TRANSFORM_FILES)
    (tmp_path / "affine").mkdir()
    write_transform_files(SpatialTransform.identity(), tmp_path / "affine")
    assert {path.name for path in (tmp_path / "affine").iterdir()} == {"transform.h5", "transform_inverse.h5"}


def test_a_failed_registration_leaves_no_transform_of_an_earlier_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    masks = np.zeros(GRID.shape, dtype=bool)
    masks[6:18, 6:18, 3:9] = True
    for name in ("fixed", "moving"):
        noise = rng.normal(0, 100, GRID.shape).astype(np.float32)
        write_nifti(Volume(noise, GRID, Unit.ARBITRARY), tmp_path / f"{name}.nii.gz")
    write_nifti(Mask(masks, GRID), tmp_path / "liver.nii.gz")
    out = tmp_path / "out"
    out.mkdir()
    for name in (*TRANSFORM_FILES, "moved.nii.gz", "points_moving.csv"):
        (out / name).write_bytes(b"old")
    liver = tmp_path / "liver.nii.gz"
    answer = register(
        tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", out, (liver, liver), None, "mr-hbp", Settings()
    )
    assert answer.value["verdict"] == "failed"
    assert [path.name for path in out.iterdir()] == ["quality.json"]
