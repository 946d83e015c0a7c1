"""Tests of the liver segmentation: phantoms in any orientation, failures it must admit, real images."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.load import load_image
from liverpair.segment.liver import refine_liver, segment_liver
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_mode import robust_mode
from liverpair.segment.liver_morphology import close, depth, dilate, erode, opened
from numpy.typing import NDArray
from scipy import ndimage

SPACING = np.array([3.0, 3.0, 3.0])


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def ellipsoid(where: NDArray[np.float64], centre: tuple[float, ...], half: tuple[float, ...]) -> NDArray[np.bool_]:
    return np.asarray((((where - np.array(centre)) / np.array(half)) ** 2).sum(axis=-1) < 1)


def abdomen(grid: Grid, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A trunk in HU whose right side (−x) holds a 1.4 L liver that touches the heart, with kidneys and spleen."""
    where = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    hu = np.full(grid.shape, -1000.0)
    trunk = ((where[..., 0] / 170) ** 2 + (where[..., 1] / 115) ** 2) < 1
    wall = ((where[..., 0] / 145) ** 2 + (where[..., 1] / 92) ** 2) < 1
    hu[trunk] = -100.0
    muscle = ((where[..., 0] / 155) ** 2 + (where[..., 1] / 102) ** 2) < 1
    hu[muscle & ~wall] = 50.0
    hu[wall] = -90.0
    lung = wall & (where[..., 2] > 60)
    hu[lung] = -850.0
    hu[ellipsoid(where, (0, 85, 0), (22, 22, 1e4))] = 250.0
    hu[ellipsoid(where, (30, -20, 115), (55, 45, 48))] = 38.0
    for side in (-1, 1):
        hu[ellipsoid(where, (side * 60, 55, -45), (26, 26, 50))] = 28.0
    hu[ellipsoid(where, (95, 35, 20), (35, 40, 50))] = 46.0
    right = ellipsoid(where, (-68, -5, 12), (66, 72, 88))
    left = ellipsoid(where, (5, -40, 30), (75, 34, 34))
    liver = (right | left) & wall & ~ellipsoid(where, (-60, 55, -45), (30, 30, 54))
    hu[liver] = 58.0
    hu[ellipsoid(where, (-75, -5, 30), (15, 15, 15))] = 30.0
    hu[ellipsoid(where, (-100, 10, -10), (9, 9, 9))] = 90.0
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(hu, 0.5) + rng.normal(0, 10, grid.shape), liver


def straight_grid(step: tuple[float, float, float] = (2.5, 2.5, 3.0)) -> Grid:
    shape = np.ceil(np.array([370.0, 260.0, 270.0]) / step).astype(int)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = [-184.0, -130.0, -135.0]
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


@pytest.fixture(scope="module")
def native_ct() -> tuple[Volume, NDArray[np.bool_]]:
    grid = straight_grid()
    hu, liver = abdomen(grid)
    return Volume(hu.astype(np.float32), grid, Unit.HOUNSFIELD), liver


def test_a_native_ct_gives_the_liver_with_its_lesions_and_without_its_neighbours(
    native_ct: tuple[Volume, NDArray[np.bool_]],
) -> None:
    image, truth = native_ct
    result = segment_liver(image, "ct")
    assert result.verdict == "usable", result.reasons
    assert result.mask is not None
    assert dice(result.mask.values, truth) > 0.94
    lesion = image.grid.to_index([[-75.0, -5.0, 30.0], [-100.0, 10.0, -10.0]]).round().astype(int)
    assert result.mask.values[tuple(lesion.T)].all()
    others = image.grid.to_index([[30.0, -20.0, 115.0], [-60.0, 55.0, -60.0], [95.0, 35.0, 20.0]]).round().astype(int)
    assert not result.mask.values[tuple(others.T)].any()


def test_array_order_and_direction_do_not_matter(native_ct: tuple[Volume, NDArray[np.bool_]]) -> None:
    image, truth = native_ct
    # the same image stored coronally, head first and mirrored: only the affine says so
    turned = np.transpose(image.values, (2, 0, 1))[::-1, :, ::-1]
    affine = np.eye(4)
    columns = image.grid.affine[:3, :3]
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = -columns[:, 2], columns[:, 0], -columns[:, 1]
    ni, nj, nk = image.grid.shape
    affine[:3, 3] = image.grid.to_world([0, nj - 1, nk - 1])
    assert ni == turned.shape[1]
    grid = Grid((nk, ni, nj), affine)
    result = segment_liver(Volume(turned, grid, Unit.HOUNSFIELD), "ct")
    assert result.mask is not None
    assert dice(result.mask.values, np.transpose(truth, (2, 0, 1))[::-1, :, ::-1]) > 0.94


def test_a_liver_on_the_left_of_the_header_is_not_called_usable(
    native_ct: tuple[Volume, NDArray[np.bool_]],
) -> None:
    image, truth = native_ct
    mirrored = segment_liver(Volume(image.values[::-1], image.grid, Unit.HOUNSFIELD), "ct")
    found = 0.0 if mirrored.mask is None else dice(mirrored.mask.values, truth[::-1])
    assert mirrored.verdict == "failed" or found < 0.5


def test_the_same_image_gives_the_same_mask_twice(native_ct: tuple[Volume, NDArray[np.bool_]]) -> None:
    image, _ = native_ct
    one, two = segment_liver(image, "ct"), segment_liver(image, "ct")
    assert one.mask is not None
    assert two.mask is not None
    assert np.array_equal(one.mask.values, two.mask.values)
    assert one.facts == two.facts


def oblique_mr() -> tuple[Volume, NDArray[np.bool_]]:
    """The same trunk as a hepatobiliary MR: tilted by 8°, shaded by a coil, fat suppressed, Rician noise."""
    angle = np.deg2rad(8)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    step = np.array([1.8, 1.8, 3.0])
    shape = np.array([200, 150, 85])
    affine = np.eye(4)
    affine[:3, :3] = turn * step
    affine[:3, 3] = -affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid((200, 150, 85), affine)
    hu, truth = abdomen(grid)
    levels = [(-2000.0, 0.0), (-500.0, 40.0), (-40.0, 60.0), (34.0, 250.0), (42.0, 200.0), (52.0, 240.0)]
    clean = ndimage.median_filter(hu, size=3)
    signal = np.zeros(grid.shape)
    for threshold, value in levels:
        signal[clean > threshold] = value
    signal[truth] = 520.0
    where = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    shade = np.exp(0.35 * where[..., 1] / 115 - 0.2 * where[..., 0] / 170)
    rng = np.random.default_rng(3)
    noisy = np.hypot(signal * shade + rng.normal(0, 15, grid.shape), rng.normal(0, 15, grid.shape))
    return Volume(noisy.astype(np.float32), grid), truth


def test_an_oblique_shaded_hepatobiliary_mr_gives_the_liver() -> None:
    image, truth = oblique_mr()
    result = segment_liver(image, "mr-hbp")
    assert result.verdict == "usable", result.reasons
    assert result.mask is not None
    assert dice(result.mask.values, truth) > 0.95


def test_kidney_and_gallbladder_that_are_brighter_than_the_liver_stay_out_of_it() -> None:
    grid = straight_grid((2.0, 2.0, 3.0))
    hu, liver = abdomen(grid, seed=5)
    where = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    gallbladder = ellipsoid(where, (-48, -55, -45), (16, 18, 30))
    kidneys = ellipsoid(where, (-60, 55, -45), (26, 26, 50)) | ellipsoid(where, (60, 55, -45), (26, 26, 50))
    signal = np.interp(ndimage.gaussian_filter(hu, 1.0), [-900, -300, -100, 40, 70], [5, 5, 120, 250, 250])
    signal[liver] = 600.0
    signal[kidneys] = 1.15 * 600.0
    signal[gallbladder] = 1.6 * 600.0
    liver = liver & ~gallbladder
    noise = np.random.default_rng(5).normal(0, 30, grid.shape)
    image = Volume((ndimage.gaussian_filter(signal, 0.5) + noise).astype(np.float32), grid, Unit.ARBITRARY)
    found = segment_liver(image, "mr-hbp")
    assert found.verdict == "usable"
    assert found.mask is not None
    assert dice(found.mask.values, liver) > 0.95
    assert found.mask.values[kidneys].mean() < 0.1
    assert found.mask.values[gallbladder].mean() < 0.1


def test_a_gallbladder_in_its_groove_stays_out_of_a_ct_and_a_cyst_inside_the_liver_stays_in() -> None:
    grid = straight_grid()
    hu, liver = abdomen(grid, seed=6)
    where = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    gallbladder = ellipsoid(where, (-70, -62, -25), (15, 17, 32))
    cyst = ellipsoid(where, (-70, 5, 30), (17, 17, 17))
    assert 0.4 < (gallbladder & liver).sum() / gallbladder.sum() < 0.9  # embedded, yet at the surface
    noise = np.random.default_rng(6).normal(0, 10, grid.shape)
    hu[gallbladder | cyst] = (8.0 + noise)[gallbladder | cyst]
    found = segment_liver(Volume(hu.astype(np.float32), grid, Unit.HOUNSFIELD), "ct")
    assert found.verdict == "usable"
    assert found.mask is not None
    assert found.mask.values[gallbladder].mean() < 0.1
    assert found.mask.values[cyst].all()
    assert dice(found.mask.values, liver & ~gallbladder) > 0.94


@pytest.mark.parametrize("role", ["ct", "mr-hbp", "mr-t2"])
def test_pure_noise_fails(role: str) -> None:
    rng = np.random.default_rng(1)
    values = np.abs(rng.normal(0, 60, (90, 70, 60))).astype(np.float32)
    grid = Grid((90, 70, 60), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert segment_liver(Volume(values, grid, Unit.HOUNSFIELD), role).verdict == "failed"


@pytest.mark.parametrize("role", ["ct", "mr-hbp"])
def test_an_empty_image_fails(role: str) -> None:
    grid = Grid((40, 40, 20), np.diag([5.0, 5.0, 5.0, 1.0]))
    value = -1000.0 if role == "ct" else 0.0
    result = segment_liver(Volume(np.full(grid.shape, value, dtype=np.float32), grid), role)
    assert result.verdict == "failed"
    assert result.mask is None


def test_a_body_without_a_large_right_sided_organ_fails() -> None:
    grid = straight_grid((4.0, 4.0, 4.0))
    where = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    hu = np.full(grid.shape, -1000.0)
    hu[((where[..., 0] / 170) ** 2 + (where[..., 1] / 115) ** 2) < 1] = -100.0
    hu[ellipsoid(where, (90, 0, 0), (55, 60, 90))] = 55.0  # the organ is on the patient's left
    hu += np.random.default_rng(0).normal(0, 8, grid.shape)
    assert segment_liver(Volume(hu.astype(np.float32), grid, Unit.HOUNSFIELD), "ct").verdict == "failed"


def test_an_unknown_role_is_a_usage_error() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(UsageError, match="pet"):
        segment_liver(Volume(np.zeros((4, 4, 4), dtype=np.float32), grid), "pet")


def test_the_mri_restores_what_the_ct_mask_lost(native_ct: tuple[Volume, NDArray[np.bool_]]) -> None:
    image, truth = native_ct
    lost = truth.copy()
    lost[:, :, : int(np.flatnonzero(truth.any(axis=(0, 1)))[0]) + 4] = False
    rough = erode(lost, 4.0, image.grid.spacing)
    shifted = np.roll(truth, 1, axis=0)
    better = refine_liver(image, Mask(rough, image.grid), Mask(shifted, image.grid))
    assert dice(better.values, truth) > max(dice(rough, truth), dice(shifted, truth)) + 0.005


def test_real_ct_agrees_with_the_models_liver_or_says_that_it_failed(shared_data: Path) -> None:
    image = load_image(shared_data / "totalseg_ct" / "example_ct_dicom.zip")
    labels = nib.load(shared_data / "totalseg_ct" / "example_seg_dicom.nii.gz")
    values = np.asarray(labels.dataobj) == 5
    truth = Mask(values, Grid(values.shape, lps_to_ras(labels.affine)))
    result = segment_liver(image, "ct")
    assert result.verdict == "usable"
    assert result.mask is not None
    assert dice(result.mask.values, sample(truth, image.grid) >= 0.5) > 0.90


@pytest.mark.parametrize("name", ["STS_002", "STS_003"])
def test_a_real_ct_of_the_thigh_fails(shared_data: Path, name: str) -> None:
    image = load_image(shared_data / "sts" / f"{name}_CT_dicom.zip")
    assert segment_liver(image, "ct").verdict == "failed"


def test_balls_erode_dilate_and_keep_the_fields_border_open() -> None:
    where = np.moveaxis(np.indices((41, 41, 41)), 0, -1) * 3.0
    ball = np.asarray(((where - 60.0) ** 2).sum(axis=-1) <= 30.0**2)
    assert erode(ball, 9.0, SPACING).sum() == pytest.approx((4 / 3 * np.pi * 21**3) / 27, rel=0.12)
    assert dilate(ball, 9.0, SPACING).sum() == pytest.approx((4 / 3 * np.pi * 39**3) / 27, rel=0.12)
    assert not (opened(ball, 9.0, SPACING) & ~ball).any()
    assert not (ball & ~close(ball, 9.0, SPACING)).any()
    slab = np.zeros((9, 9, 9), dtype=bool)
    slab[:, :, :5] = True
    assert depth(slab, SPACING)[4, 4, 0] == pytest.approx(15.0)  # only the inner face counts


def test_the_mode_is_unmoved_by_a_third_of_tumour() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(58, 5, 6000), rng.normal(95, 10, 3000)]).astype(np.float32)
    mode, sd = robust_mode(values)
    assert mode == pytest.approx(58, abs=2.5)
    assert sd == pytest.approx(5, rel=0.3)
