"""Measurement: IBSI's digital phantom, analytic spheres, refusals, and the contoured lesions of a real
patient.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.lesion import ReferenceRegion
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.measure import measure_mr, measure_mr_lesions, measure_pet
from liverpair.evaluate.measure_labels import measure_labels
from liverpair.flow.cli import app
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

MR_STEP = np.array((1.2, 1.2, 3.0))


def sphere_phantom(
    diameter: float,
    rng: np.random.Generator,
    cnr: float = 20.0,
    step: NDArray[np.float64] = MR_STEP,
    shape: tuple[int, int, int] = (34, 34, 16),
) -> tuple[Volume, Mask]:
    """A dark ball (contrast −40 on 100) at a random sub-voxel place, PSF of 1.2 voxels, box voxels, white
    noise.
    """
    fine = np.array((4, 4, 8))
    small = step / fine
    centre = (np.array(shape) / 2 - 0.5 + rng.uniform(-0.5, 0.5, 3)) * step
    axes = [
        (np.arange(n * f) + 0.5) * s - h / 2 - c for n, f, s, h, c in zip(shape, fine, small, step, centre, strict=True)
    ]
    distance = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2] ** 2)
    ball = np.clip((diameter / 2 - distance) / small.mean() + 0.5, 0, 1).astype(np.float32)
    ball = gaussian_filter(ball, 1.2 * fine / FWHM_PER_SIGMA)
    blocks = [x for n, f in zip(shape, fine, strict=True) for x in (n, f)]
    ball = ball.reshape(blocks).mean(axis=(1, 3, 5))
    grid = Grid(shape, np.diag([*step, 1.0]))
    image = 100 - 40 * ball + rng.normal(0, 40 / cnr, shape)
    return Volume(image.astype(np.float32), grid), Mask(ball > 0.5 * ball.max(), grid)


def ibsi(shared_data: Path, folder: Path) -> tuple[Volume, LabelMap]:
    with zipfile.ZipFile(shared_data / "ibsi" / "ibsi_1_digital_phantom.zip") as archive:
        archive.extractall(folder)
    image = nib.load(next(folder.rglob("phantom.nii.gz")))
    mask = nib.load(next(folder.rglob("mask.nii.gz")))
    grid = Grid(image.shape, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
    values = np.asarray(image.dataobj, dtype=np.float32)
    return Volume(values, grid), LabelMap(np.asarray(mask.dataobj).astype(np.uint16), grid)


def test_the_ibsi_digital_phantom_is_measured_within_the_consensus_tolerance(shared_data: Path, tmp_path: Path) -> None:
    (row,) = measure_labels(*ibsi(shared_data, tmp_path))
    expected = {
        "mesh_volume_mm3": (556, 4),
        "voxel_volume_mm3": (592, 4),
        "surface_mm2": (388, 3),
        "max_3d_diameter_mm": (13.1, 0.1),
        "major_axis_mm": (11.4, 0.1),
        "minor_axis_mm": (9.31, 0.06),
        "least_axis_mm": (8.54, 0.05),
        "local_peak": (2.6, 0.05),
        "global_peak": (3.1, 0.05),
        "mean": (2.15, 0.005),
        "max": (6, 0),
        "min": (1, 0),
    }
    for key, (value, tolerance) in expected.items():
        assert row[key] == pytest.approx(value, abs=tolerance + 1e-9), key


def test_the_diameter_of_balls_of_3_to_10_mm_is_right_to_half_a_millimetre() -> None:
    rng = np.random.default_rng(7)
    errors = []
    for diameter in (3.0, 4.0, 5.0, 6.0, 8.0, 9.5):
        for _ in range(3):
            image, mask = sphere_phantom(diameter, rng, cnr=15)
            result = measure_mr(image, mask)
            assert result.diameter_mm is not None
            errors.append(abs(result.diameter_mm - diameter))
    assert np.mean(errors) <= 0.5


def test_noise_does_not_lengthen_the_longest_axis_of_a_small_ball() -> None:
    rng = np.random.default_rng(17)
    errors = []
    for diameter in (4.0, 6.0, 8.0):
        for _ in range(4):
            image, mask = sphere_phantom(diameter, rng, cnr=8)
            errors.append((measure_mr(image, mask, contrast=(-40.0, 4.0)).long_axis_mm or 0.0) - diameter)
    assert abs(np.mean(errors)) <= 0.5
    assert np.mean(np.abs(errors)) <= 0.5


def test_the_patients_contrast_makes_a_3_mm_ball_measurable() -> None:
    rng = np.random.default_rng(8)
    known = []
    for _ in range(6):
        image, mask = sphere_phantom(3.0, rng, cnr=15)
        result = measure_mr(image, mask, contrast=(-40.0, 4.0))
        assert result.diameter_mm is not None
        known.append(result.diameter_mm - 3.0)
    assert np.mean(np.abs(known)) <= 0.3


def test_the_interval_covers_the_true_diameter_most_of_the_time() -> None:
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(10):
        image, mask = sphere_phantom(6.0, rng, cnr=12)
        low, high = measure_mr(image, mask).diameter_ci_mm or (0.0, 0.0)
        covered += low <= 6.0 <= high
    assert covered >= 8


def test_a_20_mm_ball_has_20_mm_on_every_axis() -> None:
    image, mask = sphere_phantom(20.0, np.random.default_rng(3), cnr=40)
    result = measure_mr(image, mask)
    assert result.long_axis_mm == pytest.approx(20.0, abs=0.6)
    assert result.short_axis_mm == pytest.approx(20.0, abs=0.6)
    assert result.equivalent_diameter_mm == pytest.approx(20.0, abs=0.6)
    assert result.max_3d_diameter_mm == pytest.approx(20.0, abs=1.2)


def test_a_larger_lesion_lends_its_contrast_to_a_small_one() -> None:
    rng = np.random.default_rng(5)
    small, small_mask = sphere_phantom(3.0, rng, cnr=15)
    large, large_mask = sphere_phantom(14.0, rng, cnr=15)
    values = np.concatenate([small.values, large.values], axis=0)
    labels = np.concatenate([small_mask.values * 1, large_mask.values * 2], axis=0).astype(np.uint16)
    grid = Grid((68, 34, 16), small.grid.affine)
    results = measure_mr_lesions(Volume(values, grid), LabelMap(labels, grid))
    assert "psf_fit" in results[1].flags
    assert results[1].diameter_mm == pytest.approx(3.0, abs=0.5)
    assert results[2].long_axis_mm == pytest.approx(14.0, abs=1.0)


def test_the_long_axis_of_an_oblique_ellipse_is_found_in_its_plane() -> None:
    x, y, z = np.meshgrid(*(np.arange(60) - 29.5,) * 2, np.arange(20) - 9.5, indexing="ij")
    u, v = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    mask = (u / 20) ** 2 + (v / 10) ** 2 + (z / 6) ** 2 <= 1
    grid = Grid((60, 60, 20), np.eye(4))
    (row,) = measure_labels(Volume(mask.astype(np.float32), grid), LabelMap(mask.astype(np.uint16), grid))
    assert row["long_axis_mm"] == pytest.approx(40.0, abs=1.2)
    assert row["short_axis_mm"] == pytest.approx(20.0, abs=1.2)


def test_uptake_of_a_uniform_region_is_its_value() -> None:
    grid = Grid((40, 40, 30), np.diag([3.0, 3.0, 3.0, 1.0]))
    x = np.indices(grid.shape).transpose(1, 2, 3, 0) - np.array((20, 20, 15))
    ball = np.linalg.norm(x * 3.0, axis=-1) <= 18
    suv = Volume(np.where(ball, 12.0, 3.0).astype(np.float32), grid)
    reference = ReferenceRegion(np.zeros(3), 15.0, 3.0, 0.3, 7.0, "right_lobe")
    result = measure_pet(suv, Mask(ball, grid), reference)
    assert result.suv_max == pytest.approx(12.0)
    assert result.suv_mean == pytest.approx(12.0)
    assert result.suv_peak == pytest.approx(12.0, abs=0.05)
    assert result.tlr == pytest.approx(4.0)
    assert result.equivalent_diameter_mm == pytest.approx(36.0, abs=1.0)


def test_a_region_at_the_edge_of_the_image_is_flagged_as_cut() -> None:
    grid = Grid((20, 20, 10), np.diag([3.0, 3.0, 3.0, 1.0]))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[5:10, 5:10, 0:4] = True
    suv = Volume(np.where(mask, 8.0, 2.0).astype(np.float32), grid)
    assert "cut_by_field_of_view" in measure_pet(suv, Mask(mask, grid), None).flags
    assert measure_pet(suv, Mask(mask, grid), None).tlr is None


def test_an_empty_mask_and_a_foreign_grid_are_refused() -> None:
    grid = Grid((10, 10, 10), np.eye(4))
    image = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    with pytest.raises(Refusal, match="empty_mask"):
        measure_pet(image, Mask(np.zeros(grid.shape, dtype=bool), grid), None)
    other = Grid((9, 10, 10), np.eye(4))
    with pytest.raises(Refusal, match="grid_mismatch"):
        measure_labels(image, LabelMap(np.ones(other.shape, dtype=np.uint16), other))


def test_the_ibsi_phantom_is_measured_within_tolerance_through_the_command(shared_data: Path, tmp_path: Path) -> None:
    ibsi(shared_data, tmp_path)
    image, mask = (str(next(tmp_path.rglob(name))) for name in ("phantom.nii.gz", "mask.nii.gz"))
    found = CliRunner().invoke(app, ["measure", image, mask, "--json"])
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)["labels"]
    for key, value, tolerance in (
        ("mesh_volume_mm3", 556, 4),
        ("voxel_volume_mm3", 592, 4),
        ("surface_mm2", 388, 3),
        ("max_3d_diameter_mm", 13.1, 0.1),
        ("major_axis_mm", 11.4, 0.1),
        ("minor_axis_mm", 9.31, 0.06),
        ("least_axis_mm", 8.54, 0.05),
        ("local_peak", 2.6, 0.05),
        ("global_peak", 3.1, 0.05),
        ("mean", 2.15, 0.005),
        ("max", 6, 1e-9),
    ):
        assert row[key] == pytest.approx(value, abs=tolerance), key


def test_two_balls_that_touch_are_measured_apart() -> None:
    rng = np.random.default_rng(21)
    shape, centres, sizes = (48, 34, 24), ((20.0, 20.0, 18.0), (28.5, 20.0, 18.0)), (9.0, 8.0)
    step = np.array((1.2, 1.2, 1.5))
    places = (np.indices(np.array(shape) * 3).transpose(1, 2, 3, 0) + 0.5) / 3 - 0.5
    balls = [np.linalg.norm(places * step - c, axis=-1) <= d / 2 for c, d in zip(centres, sizes, strict=True)]
    fine = gaussian_filter((balls[0] | balls[1]).astype(np.float32), 1.2 * 3 / FWHM_PER_SIGMA)
    image = 100 - 40 * fine.reshape(48, 3, 34, 3, 24, 3).mean(axis=(1, 3, 5)) + rng.normal(0, 2, shape)
    inside = [b.reshape(48, 3, 34, 3, 24, 3).mean(axis=(1, 3, 5)) > 0.5 for b in balls]
    labels = np.where(inside[0], 1, np.where(inside[1], 2, 0)).astype(np.uint16)
    grid = Grid(shape, np.diag([*step, 1.0]))
    found = measure_mr_lesions(Volume(image.astype(np.float32), grid), LabelMap(labels, grid))
    assert [found[n].diameter_mm for n in (1, 2)] == pytest.approx(sizes, abs=0.6)
    assert [found[n].short_axis_mm for n in (1, 2)] == pytest.approx(sizes, abs=0.8)
