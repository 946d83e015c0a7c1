"""A stack becomes a volume whose every voxel lies where the headers say, with the value they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal, Refusal
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.geometry import stack_geometry
from liverpair.dicom.load import load_image, load_stack
from liverpair.dicom.read import read_headers, read_stack, stack_order
from liverpair.dicom.records import InstanceRecord
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from tests.dicom_phantom import as_bytes, axial_slices, make_slice, numbered_pixels, write, write_all
from tests.test_dicom_scan import _enhanced


def _read(datasets: list[Dataset], folder: Path) -> Volume:
    return load_image(write_all(datasets, folder))


def test_voxels_are_indexed_column_row_slice_and_lie_where_the_headers_say(tmp_path: Path) -> None:
    volume = _read(axial_slices(3), tmp_path)
    assert volume.values.shape == (5, 4, 3)
    assert volume.values[3, 2, 1] == 100 + 20 + 3
    assert volume.grid.to_world((3, 2, 1)).tolist() == [-10 + 3 * 1.5, -20 + 2 * 2.0, 35.0]
    assert volume.unit is Unit.HOUNSFIELD


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path: Path) -> None:
    datasets = axial_slices(6)
    for number, dataset in enumerate(reversed(datasets)):
        dataset.InstanceNumber = number
    volume = _read(datasets, tmp_path)
    assert (volume.values[0, 0] // 100).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_step_comes_from_positions_not_from_the_thickness(tmp_path: Path) -> None:
    volume = _read(axial_slices(4, step=8.0, SliceThickness=7.0, SpacingBetweenSlices=3.0), tmp_path)
    assert volume.grid.spacing[2] == pytest.approx(8.0)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    datasets = axial_slices(3, Modality="PT", Units="BQML")
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + k, 10.0 * k
    volume = _read(datasets, tmp_path)
    assert [volume.values[1, 1, k] for k in range(3)] == [(100 * k + 11) * (0.5 + k) + 10.0 * k for k in range(3)]
    assert volume.unit is Unit.BECQUEREL_PER_ML


def test_factors_follow_the_slices(tmp_path: Path) -> None:
    stack = load_stack(write_all(axial_slices(3, Modality="PT", Units="BQML"), tmp_path))
    assert [i.get("ImagePositionPatient")[2] for i in stack_order(stack)] == [30, 35, 40]
    volume = read_stack(stack, factors=(1.0, 2.0, 3.0), unit=Unit.SUVBW)
    assert volume.values[0, 0].tolist() == [0.0, 200.0, 600.0]
    assert volume.unit is Unit.SUVBW


def test_stored_values_without_a_scale_become_no_suv(tmp_path: Path) -> None:
    datasets = axial_slices(3, Modality="PT", Units="BQML")
    for dataset in datasets:
        if "RescaleSlope" in dataset:
            del dataset.RescaleSlope
    stack = load_stack(write_all(datasets, tmp_path))
    with pytest.raises(Refusal) as refused:
        read_stack(stack, factors=(1.0, 1.0, 1.0), unit=Unit.SUVBW)
    assert refused.value.reason == "slope_missing"


def test_signed_padding_and_monochrome1_stay_as_stored(tmp_path: Path) -> None:
    pixels = np.full((4, 5), -2000, dtype=np.int16)
    dataset = make_slice(
        pixels, (0, 0, 0), PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=-2000, RescaleIntercept=-24.0
    )
    assert np.all(load_image(write(dataset, tmp_path / "a")).values == -2024)


def test_run_length_compressed_slices_equal_plain_ones(tmp_path: Path) -> None:
    plain = _read(axial_slices(3), tmp_path / "plain")
    packed = axial_slices(3)
    for dataset in packed:
        as_bytes(dataset)  # gives it the meta information that compressing asks for
        dataset.compress(RLELossless, generate_instance_uid=False)
    folder = tmp_path / "packed"
    for number, dataset in enumerate(packed):
        folder.mkdir(exist_ok=True)
        dataset.save_as(folder / str(number), enforce_file_format=True)
    volume = load_image(folder)
    assert np.array_equal(volume.values, plain.values)
    assert volume.grid.matches(plain.grid)


def test_an_enhanced_object_is_read_like_its_classic_slices(tmp_path: Path) -> None:
    volume = load_image(write(_enhanced(), tmp_path / "enhanced"))
    assert volume.values.shape == (5, 4, 2)
    assert volume.values[3, 2].tolist() == [23, 123]
    assert volume.grid.spacing.tolist() == [1.5, 2.0, 5.0]


def test_headers_come_in_the_order_of_the_slices(tmp_path: Path) -> None:
    datasets = axial_slices(4)
    for dataset in datasets:
        dataset.add_new((0x0009, 0x0010), "LO", "VENDOR")
        dataset.add_new((0x0009, 0x1001), "LO", str(dataset.ImagePositionPatient[2]))
    headers = read_headers(load_stack(write_all(datasets, tmp_path)))
    assert [header[0x00091001].value for header in headers] == ["30.0", "35.0", "40.0", "45.0"]
    frames = read_headers(load_stack(write(_enhanced(), tmp_path / "x" / "enhanced")))
    assert [frame.ImagePositionPatient[2] for frame in frames] == [0, 5]


def test_a_real_pet_with_rounded_positions_is_read_as_it_is(tmp_path: Path) -> None:
    """261 steps of 3.27 mm, 4 of 3.29 and 1 of 3.19, as a scanner wrote them (interop.md)."""
    steps = np.full(266, 3.27)
    steps[[40, 90, 140, 190]] = 3.29
    steps[230] = 3.19
    z = np.concatenate([[0.0], np.cumsum(steps)])
    datasets = [make_slice(numbered_pixels(k), (0, 0, p), k + 1, Modality="PT", Units="BQML") for k, p in enumerate(z)]
    volume = _read(datasets, tmp_path)
    assert volume.values[0, 0].tolist() == [100.0 * k for k in range(267)]
    assert volume.grid.corners()[-1][2] == pytest.approx(z[-1])


def test_uneven_steps_are_resampled_linearly(tmp_path: Path) -> None:
    z = [0.0, 4.0, 10.0, 15.0, 20.0]
    datasets = [make_slice(np.full((4, 5), round(p * 10), np.int16), (0, 0, p), k + 1) for k, p in enumerate(z)]
    volume = _read(datasets, tmp_path)
    assert volume.grid.spacing[2] == pytest.approx(5.0)
    assert volume.values[2, 2] == pytest.approx([0, 50, 100, 150, 200])


def _refused(datasets: list[Dataset], folder: Path) -> str:
    with pytest.raises(Refusal) as refused:
        _read(datasets, folder)
    return refused.value.reason


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    datasets = axial_slices(8)
    del datasets[3]
    assert _refused(datasets, tmp_path) == "missing_slice"


def test_a_stray_copy_of_a_slice_is_refused(tmp_path: Path) -> None:
    extra = make_slice(numbered_pixels(3), (-10, -20, 45), 99)
    assert _refused([*axial_slices(8), extra], tmp_path) == "duplicate_positions"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PixelSpacing": None}, "no_pixel_spacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "bad_orientation"),
        ({"RescaleSlope": 0.0}, "bad_rescale"),
        ({"PixelData": None}, "no_pixels"),
    ],
)
def test_a_header_that_allows_no_volume_is_refused(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    assert _refused(axial_slices(3, **attributes), tmp_path) == reason


def test_colour_is_refused(tmp_path: Path) -> None:
    dataset = make_slice(np.zeros((4, 15), np.uint8), (0, 0, 0), SamplesPerPixel=3, PhotometricInterpretation="RGB")
    dataset.Columns, dataset.PlanarConfiguration = 5, 0
    assert _refused([dataset], tmp_path) == "colour_image"


def test_a_single_slice_takes_its_thickness_for_the_step_or_is_refused(tmp_path: Path) -> None:
    assert _read(axial_slices(1), tmp_path / "a").grid.spacing[2] == 7.0
    assert _refused(axial_slices(1, SliceThickness=None), tmp_path / "b") == "no_slice_thickness"


def _tilted(modality: str) -> list[Dataset]:
    """A ball of 12 mm radius seen by a gantry tilted by 15°: slices move by 5·tan 15° along y per 5 mm."""
    angle = np.deg2rad(15.0)
    normal = np.array([0.0, -np.sin(angle), np.cos(angle)])
    row, column = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(angle), np.sin(angle)])
    datasets = []
    for k in range(17):
        origin = np.array([-20.0, -20.0, -20.0 + 2.5 * k])
        i, j = np.meshgrid(np.arange(41), np.arange(41))
        points = origin + i[..., None] * row + j[..., None] * column
        pixels = np.where(np.linalg.norm(points, axis=-1) <= 12.0, 100, -1000).astype(np.int16)
        datasets.append(
            make_slice(
                pixels,
                origin,
                k + 1,
                Modality=modality,
                PixelSpacing=[1.0, 1.0],
                ImageOrientationPatient=[*row, *column],
                GantryDetectorTilt=15.0,
            )
        )
        assert np.cross(row, column) == pytest.approx(normal)
    return datasets


def test_a_tilted_gantry_is_straightened_and_a_ball_stays_where_it_is(tmp_path: Path) -> None:
    volume = _read(_tilted("CT"), tmp_path)
    inside = volume.values > -450
    centre = volume.grid.to_world(np.argwhere(inside).mean(axis=0))
    assert np.abs(centre).max() < 0.3
    assert inside.sum() * volume.grid.voxel_volume_mm3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.04)
    assert volume.values.min() == pytest.approx(-1000)


def test_a_sheared_mr_stack_is_refused(tmp_path: Path) -> None:
    assert _refused(_tilted("MR"), tmp_path) == "sheared_stack"


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_no_shear(tmp_path: Path) -> None:
    datasets = axial_slices(3, step=2.0, Modality="MR")
    datasets[-1].ImagePositionPatient = [-10.0, -19.9, 34.0]
    assert _read(datasets, tmp_path).grid.direction[:, 2].tolist() == [0.0, 0.0, 1.0]


def test_an_adc_map_is_recognised_by_its_words(tmp_path: Path) -> None:
    for name, unit in (("ep2d_diff_ADC", Unit.DIFFUSIVITY), ("cascade", Unit.ARBITRARY)):
        datasets = axial_slices(2, Modality="MR", SeriesDescription=name)
        assert _read(datasets, tmp_path / name).unit is unit


@settings(max_examples=60, deadline=None)
@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1), st.floats(0.3, 9.0), st.randoms())
def test_any_oblique_stack_maps_every_voxel_to_its_place(a: float, b: float, c: float, step: float, rng: Any) -> None:
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    axes = (turn_z @ turn_y @ turn_x).T
    records = [
        InstanceRecord(
            str(k),
            None,
            {
                "ImagePositionPatient": (np.array([7.0, -3.0, 11.0]) + k * step * axes[2]).tolist(),
                "ImageOrientationPatient": [*axes[0], *axes[1]],
                "PixelSpacing": [2.0, 1.5],
                "Rows": 4,
                "Columns": 5,
            },
        )
        for k in range(6)
    ]
    rng.shuffle(records)
    geometry = stack_geometry(records)
    for k, at in enumerate(geometry.order):
        position = np.array(records[at].get("ImagePositionPatient"))
        place = geometry.affine @ (4, 3, k, 1)
        assert np.abs(place[:3] - (position + 4 * 1.5 * axes[0] + 3 * 2.0 * axes[1])).max() < 1e-6


def test_an_empty_stack_is_refused() -> None:
    with pytest.raises(GeometryRefusal, match="empty_stack"):
        stack_geometry([])
