"""The picture of a pair's motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.nifti import write_nifti
from liverpair.flow.config import Settings, dump_settings
from liverpair.flow.verbs.motion import motion_field
from liverpair.flow.workspace import Workspace
from liverpair.register.transform_io import write_transform

GRID = Grid((40, 36, 30), np.diag([4.0, 4.0, 5.0, 1.0]))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A processed pair whose MRI is turned by 3° and deformed by 2 mm everywhere."""
    folder = tmp_path / "ws" / "cases" / "Ptest"
    folder.mkdir(parents=True)
    made = Workspace.create(tmp_path / "ws")
    made.settings_file.write_text(dump_settings(Settings()), encoding="utf-8")
    liver = np.zeros(GRID.shape, dtype=np.bool_)
    liver[8:30, 8:28, 6:24] = True
    write_nifti(Volume(np.where(liver, 60, -100).astype(np.float32), GRID, Unit.HOUNSFIELD), folder / "ct.nii.gz")
    write_nifti(Mask(liver, GRID), folder / "liver_ct.nii.gz")
    write_nifti(
        Volume(np.full(GRID.shape, 1.5, np.float32), GRID, Unit.MILLIMETRE),
        folder / "registration_uncertainty_mm.nii.gz",
    )
    angle = np.deg2rad(3.0)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    field = np.zeros((*GRID.shape, 3), dtype=np.float32)
    field[..., 2] = 2.0
    write_transform(SpatialTransform(affine, field, GRID), folder / "transform.h5")
    return tmp_path / "ws"


def test_the_numbers_beside_the_picture_are_the_transforms(workspace: Path, tmp_path: Path) -> None:
    answer = motion_field(workspace, "Ptest", tmp_path / "a.png")
    assert answer.value["rotation_deg"] == pytest.approx(3.0, abs=1e-6)
    assert answer.value["deformation_median_mm"] == pytest.approx(2.0, abs=1e-5)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_pair_gives_the_same_picture(workspace: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        motion_field(workspace, "Ptest", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_pair_without_a_transform_says_why(workspace: Path, tmp_path: Path) -> None:
    (workspace / "cases" / "Ptest" / "transform.h5").unlink()
    with pytest.raises(UsageError, match="registration failed"):
        motion_field(workspace, "Ptest", tmp_path / "a.png")
    with pytest.raises(UsageError, match="not a processed pair"):
        motion_field(workspace, "Pother", tmp_path / "a.png")
