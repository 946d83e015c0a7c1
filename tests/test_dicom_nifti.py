"""NIfTI files say the same place, value and unit to us and to every other reader."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from liverpair.core.errors import Refusal, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.dicom.nifti import is_nifti, read_nifti, read_nifti_labels, write_nifti


def _grid() -> Grid:
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * (1.5, 2.0, 5.0)
    affine[:3, 3] = (-10.0, 20.0, 30.0)
    return Grid((4, 5, 6), affine)


def _values() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("unit", list(Unit))
def test_a_volume_comes_back_as_it_was(tmp_path: Path, suffix: str, unit: Unit) -> None:
    volume = Volume(_values(), _grid(), unit)
    write_nifti(volume, tmp_path / f"v{suffix}")
    again = read_nifti(tmp_path / f"v{suffix}")
    assert np.array_equal(again.values, volume.values)
    assert again.grid.matches(volume.grid)
    assert again.unit is unit


def test_the_affine_is_ras_with_scanner_codes(tmp_path: Path) -> None:
    grid = _grid()
    write_nifti(Volume(_values(), grid), tmp_path / "v.nii")
    image = nibabel.load(tmp_path / "v.nii")
    for affine, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert int(code) == 1
        ras = affine @ (1, 2, 3, 1)
        assert ras[:3] * (-1, -1, 1) == pytest.approx(grid.to_world((1, 2, 3)), abs=1e-4)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(Volume(_values(), _grid()), tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_types_are_as_small_as_exact(tmp_path: Path) -> None:
    whole = np.rint(_values() * 100).astype(np.float32)
    for image, expected in (
        (Volume(whole, _grid()), np.int16),
        (Volume(whole + 0.5, _grid()), np.float32),
        (Volume(whole * 1000, _grid()), np.float32),
        (Mask(whole > 0, _grid()), np.uint8),
        (LabelMap((whole > 0).astype(np.uint16) * 300, _grid()), np.uint16),
    ):
        write_nifti(image, tmp_path / "x.nii")
        assert nibabel.load(tmp_path / "x.nii").get_data_dtype() == expected


def test_labels_come_back_and_images_are_no_labels(tmp_path: Path) -> None:
    labels = LabelMap(np.arange(120, dtype=np.uint16).reshape(4, 5, 6), _grid())
    write_nifti(labels, tmp_path / "l.nii.gz")
    assert np.array_equal(read_nifti_labels(tmp_path / "l.nii.gz").values, labels.values)
    write_nifti(Volume(_values(), _grid()), tmp_path / "v.nii")
    with pytest.raises(Refusal, match="not_labels"):
        read_nifti_labels(tmp_path / "v.nii")


def test_scaled_integers_and_singleton_axes_are_understood(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1), np.eye(4))
    image.header.set_slope_inter(0.5, 3.0)
    nibabel.save(image, tmp_path / "s.nii")
    written = np.asarray(nibabel.load(tmp_path / "s.nii").dataobj)
    assert np.allclose(read_nifti(tmp_path / "s.nii").values, written[..., 0])


def test_not_a_number_becomes_zero(tmp_path: Path) -> None:
    values = _values()
    values[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "n.nii")
    assert read_nifti(tmp_path / "n.nii").values[0, 0, 0] == 0


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 3, 3, 2), np.float32), "not_3d"),
        (np.zeros((3, 3, 3), np.complex64), "colour_image"),
        (np.zeros((3, 3, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])), "colour_image"),
    ],
)
def test_what_is_no_single_volume_is_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:  # type: ignore[type-arg]  # structured and complex arrays alike
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(Refusal, match=reason):
        read_nifti(tmp_path / "x.nii")


def test_a_damaged_file_is_refused_and_a_missing_one_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.nii.gz").write_bytes(b"\x1f\x8b" + b"nonsense" * 30)
    with pytest.raises(Refusal, match="unreadable_nifti"):
        read_nifti(tmp_path / "x.nii.gz")
    with pytest.raises(UsageError):
        read_nifti(tmp_path / "absent.nii")
    with pytest.raises(UsageError):
        write_nifti(Volume(_values(), _grid()), tmp_path / "x.mha")


def test_a_name_says_nifti_before_the_file_exists(tmp_path: Path) -> None:
    (tmp_path / "folder.nii").mkdir()
    assert is_nifti(tmp_path / "OUT.NII.GZ")
    assert not is_nifti(tmp_path / "folder.nii")
    assert not is_nifti(tmp_path / "image.dcm")
