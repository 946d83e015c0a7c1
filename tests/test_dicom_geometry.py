"""A box of voxels at a known place comes back exactly, however its slices were written, or is refused with its reason.

The phantom is one affine and one value per voxel; every test writes it in another of the ways that archives hold.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.volume import Volume
from liverpair.dicom.geometry import missing_ends, stack_geometry
from liverpair.dicom.load import find_stacks
from liverpair.dicom.read import read_headers, read_stack
from liverpair.dicom.records import InstanceRecord
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.dicom_phantom import make_slice, write_all

#: The affine of every phantom must come back to this; DS holds ten digits.
EXACT_MM = 1e-6


@dataclass(frozen=True)
class Box:
    """A box in LPS mm: unit ``axes`` (rows of the matrix: i, j, normal), ``pixel`` steps, ``shape`` (i, j, k)."""

    axes: NDArray[np.float64]
    origin: tuple[float, float, float] = (-31.5, 12.25, -104.75)
    pixel: tuple[float, float, float] = (1.25, 2.0, 4.0)
    shape: tuple[int, int, int] = (6, 5, 7)

    def position(self, k: float) -> NDArray[np.float64]:
        return np.asarray(self.origin) + self.axes[2] * self.pixel[2] * k

    @property
    def affine(self) -> NDArray[np.float64]:
        affine = np.eye(4)
        affine[:3, :3] = (self.axes * np.asarray(self.pixel)[:, None]).T
        affine[:3, 3] = self.origin
        return affine

    def pixels(self, k: int) -> NDArray[np.int16]:
        """[row, column]; every voxel of the box has its own value."""
        j, i = np.mgrid[: self.shape[1], : self.shape[0]]
        return np.asarray(i + self.shape[0] * (j + self.shape[1] * k), dtype=np.int16)

    @property
    def values(self) -> NDArray[np.float32]:
        return np.stack([self.pixels(k).T for k in range(self.shape[2])], axis=2).astype(np.float32)


def turned(a: float, b: float, c: float) -> NDArray[np.float64]:
    """Axes (rows) turned by three angles in rad about z, x, z."""
    z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    y = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray((z @ x @ y).T)


AXIAL = Box(np.eye(3))
OBLIQUE = Box(turned(0.4, 0.7, -0.3))


def slices(box: Box, digits: int = 10, **attributes: Any) -> list[Dataset]:
    """Classic single-frame slices; positions and cosines are written with this many decimals."""
    cosines = [round(float(v), digits) for v in box.axes[:2].ravel()]
    found = []
    for k in range(box.shape[2]):
        position = [round(float(v), digits) for v in box.position(k)]
        found.append(
            make_slice(
                box.pixels(k),
                position,
                k + 1,
                ImageOrientationPatient=cosines,
                PixelSpacing=[box.pixel[1], box.pixel[0]],
                **attributes,
            )
        )
    return found


def read(datasets: Sequence[Dataset], folder: Path) -> Volume:
    (stack,) = find_stacks(write_all(list(datasets), folder))
    return read_stack(stack)


def reason(datasets: Sequence[Dataset], folder: Path) -> str:
    with pytest.raises(GeometryRefusal) as refusal:
        read(datasets, folder)
    assert refusal.value.detail
    return refusal.value.reason


def assert_is(volume: Volume, box: Box, tolerance: float = EXACT_MM) -> None:
    """The volume is the box: the same value at the same place, whatever the direction of the slices."""
    assert volume.grid.shape == box.shape
    assert np.abs(volume.grid.affine - box.affine).max() <= tolerance
    assert np.array_equal(volume.values, box.values)


# --- ways to write one box -----------------------------------------------------------------------------------------


def groups(**attributes: Any) -> Dataset:
    """A functional group item: one sequence per keyword, of the attributes given."""
    item = Dataset()
    for keyword, content in attributes.items():
        inner = Dataset()
        for name, value in content.items():
            setattr(inner, name, value)
        setattr(item, f"{keyword}Sequence", [inner])
    return item


def enhanced(box: Box, frames: Sequence[int], flavour: str = "siemens", modality: str = "MR") -> Dataset:
    """An enhanced multi-frame object that holds the slices ``frames`` of the box in that order.

    ``flavour``: siemens keeps orientation and measures in the shared groups, ge repeats all in every frame, philips
    does so too and adds a private group with contradicting copies, legacy keeps classic attributes as unassigned.
    """
    dataset = make_slice(box.pixels(0), (0, 0, 0), Modality=modality)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = np.stack([box.pixels(k) for k in frames]).tobytes()
    plane = {"ImageOrientationPatient": [float(v) for v in box.axes[:2].ravel()]}
    measures = {"PixelSpacing": [box.pixel[1], box.pixel[0]], "SliceThickness": 9.0}
    shared = groups(PlaneOrientation=plane, PixelMeasures=measures) if flavour in ("siemens", "legacy") else Dataset()
    scale = {"RescaleSlope": 2.0, "RescaleIntercept": 0.0, "RescaleType": "US"}
    per_frame = []
    for number, k in enumerate(frames):
        item = groups(
            PlanePosition={"ImagePositionPatient": [float(v) for v in box.position(k)]},
            FrameContent={"FrameAcquisitionNumber": 1},
            PixelValueTransformation={**scale, "RescaleSlope": 1.0 + k},
        )
        if flavour in ("ge", "philips"):
            item.update(groups(PlaneOrientation=plane, PixelMeasures=measures))
            item.FrameContentSequence[0].StackID = "1"
            item.FrameContentSequence[0].InStackPositionNumber = number + 1
        if flavour == "philips":
            inner = Dataset()
            inner.RescaleSlope, inner.RescaleIntercept, inner.PixelSpacing = 77.0, 5.0, [9.0, 9.0]
            inner.ImagePositionPatient = [0.0, 0.0, 0.0]
            item.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [inner])
        if flavour == "legacy":
            item.update(groups(UnassignedPerFrameConvertedAttributes={"SliceLocation": 4.0 * k}))
        per_frame.append(item)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = per_frame
    return dataset


def scaled(box: Box) -> NDArray[np.float32]:
    """Values under the slope 1 + k of ``enhanced``."""
    return np.asarray(box.values * (1.0 + np.arange(box.shape[2], dtype=np.float32)))


@pytest.mark.parametrize("box", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_single_slices_come_back_where_they_were(box: Box, modality: str, tmp_path: Path) -> None:
    extra = {"Units": "BQML"} if modality == "PT" else {}
    assert_is(read(slices(box, Modality=modality, **extra), tmp_path), box)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("flavour", ["siemens", "ge", "philips", "legacy"])
def test_enhanced_objects_come_back_with_every_frame_at_its_place_and_scale(
    flavour: str, modality: str, tmp_path: Path
) -> None:
    order = [3, 0, 6, 1, 5, 2, 4]
    volume = read([enhanced(OBLIQUE, order, flavour, modality)], tmp_path)
    assert np.abs(volume.grid.affine - OBLIQUE.affine).max() <= EXACT_MM
    assert np.array_equal(volume.values, scaled(OBLIQUE))


def test_private_copies_in_an_enhanced_object_never_replace_the_standards_groups(tmp_path: Path) -> None:
    """The headers that the SUV is computed from keep private groups, unlike the index."""
    (stack,) = find_stacks(write_all([enhanced(AXIAL, range(7), "philips")], tmp_path))
    headers = read_headers(stack)
    assert [h.RescaleSlope for h in headers] == [1.0 + k for k in range(7)]
    assert [h.ImagePositionPatient[2] for h in headers] == [AXIAL.position(k)[2] for k in range(7)]


@pytest.mark.parametrize("parts", [([0, 1, 2], [3, 4], [5, 6]), ([6, 4, 2], [0, 1], [5, 3])])
def test_a_concatenation_over_several_objects_is_one_volume(parts: Sequence[list[int]], tmp_path: Path) -> None:
    uid, objects, offset = generate_uid(entropy_srcs=["concatenation"]), [], 0
    for number, frames in enumerate(parts, start=1):
        part = enhanced(OBLIQUE, frames)
        part.SOPInstanceUID = f"1.2.3.1.1.{number}"
        part.ConcatenationUID, part.InConcatenationNumber, part.InConcatenationTotalNumber = uid, number, len(parts)
        part.ConcatenationFrameOffsetNumber = offset
        offset += len(frames)
        objects.append(part)
    (stack,) = find_stacks(write_all(list(reversed(objects)), tmp_path))
    volume = read_stack(stack)
    assert np.abs(volume.grid.affine - OBLIQUE.affine).max() <= EXACT_MM
    assert np.array_equal(volume.values, scaled(OBLIQUE))
    assert sorted(record.get("InstanceNumber") for record in stack.instances) == [1, 2, 3, 4, 5, 6, 7]


def test_frames_never_share_a_time_or_a_number_that_the_object_also_states(tmp_path: Path) -> None:
    """An enhanced object has an acquisition date-time and an instance number of its own."""
    dataset = enhanced(AXIAL, range(7))
    dataset.AcquisitionDateTime, dataset.AcquisitionTime, dataset.EchoTime = "20240102030405", "030405", 99.0
    for k, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item.FrameContentSequence[0].FrameAcquisitionDateTime = f"2024010203041{k}"
        item.update(groups(MREcho={"EffectiveEchoTime": 10.0 * k + 1}))
    (stack,) = find_stacks(write_all([dataset], tmp_path))
    for found in (list(stack.instances), read_headers(stack)):
        assert [f.get("AcquisitionTime") for f in found] == [f"03041{k}" for k in range(7)]
        assert [f.get("InstanceNumber") for f in found] == list(range(1, 8))
        assert [f.get("EchoTime") for f in found] == [10.0 * k + 1 for k in range(7)]


def test_a_concatenation_with_its_middle_part_missing_is_refused(tmp_path: Path) -> None:
    first, last = enhanced(AXIAL, [0, 1, 2]), enhanced(AXIAL, [5, 6])
    last.SOPInstanceUID = "1.2.3.1.1.3"
    assert reason([first, last], tmp_path) == "missing_slice"


def test_a_concatenation_with_its_last_part_missing_is_refused(tmp_path: Path) -> None:
    first = enhanced(AXIAL, [0, 1, 2])
    first.ConcatenationUID, first.InConcatenationNumber, first.InConcatenationTotalNumber = "1.2.3.9", 1, 2
    first.ConcatenationFrameOffsetNumber = 0
    assert reason([first], tmp_path) == "missing_slice"


def test_an_object_of_several_frames_that_nothing_places_is_refused(tmp_path: Path) -> None:
    """Only the first frame has a place; reading that one alone would be a wrong volume in silence."""
    dataset = slices(AXIAL)[0]
    dataset.NumberOfFrames = 7
    dataset.PixelData = np.stack([AXIAL.pixels(k) for k in range(7)]).tobytes()
    assert reason([dataset], tmp_path) == "frames_without_places"


orientations = st.tuples(*[st.floats(-3.1, 3.1)] * 3).map(lambda angles: turned(*angles))
boxes = st.builds(
    Box,
    axes=orientations,
    origin=st.tuples(*[st.floats(-400, 400)] * 3),
    pixel=st.tuples(st.floats(0.4, 5), st.floats(0.4, 5), st.floats(0.6, 10)).map(
        lambda steps: (round(steps[0], 6), round(steps[1], 6), round(steps[2], 6))
    ),
    shape=st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 9)),
)


@settings(max_examples=60, deadline=None)
@given(boxes, st.randoms(use_true_random=False))
def test_any_box_in_any_order_comes_back_exactly(box: Box, shuffle: random.Random) -> None:
    datasets = slices(box)
    for dataset, number in zip(datasets, shuffle.sample(range(1, 99), len(datasets)), strict=True):
        dataset.InstanceNumber = number
        dataset.SOPInstanceUID = f"1.2.3.1.1.{number}"
    shuffle.shuffle(datasets)
    with TemporaryDirectory() as folder:
        assert_is(read(datasets, Path(folder)), box)


@settings(max_examples=80, deadline=None)
@given(boxes, st.integers(4, 7), st.floats(0, 1e-3), st.integers(0, 2**31))
def test_rounded_and_jittered_positions_move_no_voxel_by_more_than_they_were_off(
    box: Box, digits: int, jitter: float, seed: int
) -> None:
    """Cosines rounded to d digits turn the box by 10^-d: over its own size that is the tolerance."""
    noise = np.random.default_rng(seed).uniform(-jitter, jitter, (box.shape[2], 3))
    records = [
        InstanceRecord("x", None, {
            "ImagePositionPatient": [round(float(v), digits) for v in box.position(k) + noise[k]],
            "ImageOrientationPatient": [round(float(v), digits) for v in box.axes[:2].ravel()],
            "PixelSpacing": [box.pixel[1], box.pixel[0]], "Rows": box.shape[1], "Columns": box.shape[0],
        })
        for k in range(box.shape[2])
    ]  # fmt: skip
    found = stack_geometry(records)
    size = float(np.sum(np.asarray(box.pixel) * box.shape))
    allowed = 4 * jitter + 4 * 10.0**-digits * (1 + size) + EXACT_MM
    ends = (Grid(box.shape, box.affine).corners(), Grid(box.shape, found.affine).corners())
    assert np.abs(ends[0] - ends[1]).max() <= allowed + 0.1 * max(box.pixel[:2])  # drift within a tenth of a pixel
    assert list(found.order) == list(range(box.shape[2]))
    middle = found.affine[:3, 2] / np.linalg.norm(found.affine[:3, 2])
    assert middle @ box.axes[2] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_every_slice_keeps_its_own_slope(modality: str, tmp_path: Path) -> None:
    datasets = slices(OBLIQUE, Modality=modality)
    for k, dataset in enumerate(datasets):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + k, 3.0 * k
    volume = read(datasets, tmp_path)
    k = np.arange(OBLIQUE.shape[2], dtype=np.float64)
    assert np.allclose(volume.values, OBLIQUE.values * (0.5 + k) + 3 * k, rtol=1e-6)


def test_slices_written_from_the_other_end_with_columns_reversed_are_the_same_places(tmp_path: Path) -> None:
    """Rows from right to left: the normal turns over, the stack starts at the other end, each value stays."""
    box = OBLIQUE
    datasets = []
    for k in range(box.shape[2]):
        start = box.position(k) + box.axes[0] * box.pixel[0] * (box.shape[0] - 1)
        cosines = [*(-box.axes[0]), *box.axes[1]]
        datasets.append(
            make_slice(
                np.ascontiguousarray(box.pixels(k)[:, ::-1]),
                start,
                k + 1,
                ImageOrientationPatient=[float(v) for v in cosines],
                PixelSpacing=[box.pixel[1], box.pixel[0]],
            )
        )
    volume = read(datasets, tmp_path)
    for index in ((0, 0, 0), (5, 4, 6), (2, 1, 3)):
        at = np.rint(volume.grid.to_index(Grid(box.shape, box.affine).to_world(index))).astype(int)
        assert volume.values[tuple(at)] == box.values[index]


# --- the other reader -----------------------------------------------------------------------------------------------

#: Archives of the shared data without an image that both can read: contours, microscopy and reports.
NO_VOLUMES = ("SCAN_001_rtstruct.zip", "highdicom_test_files.zip", "sr-example.zip")


def corners(affine: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """The eight corner voxels' centres in RAS mm, in an order that does not depend on the direction of the axes."""
    ends = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    points = (ends @ affine.T)[:, :3]
    return np.asarray(points[np.lexsort(np.round(points, 1).T)])


def test_dcm2niix_puts_every_volume_of_the_shared_data_where_we_do(shared_data: Path, tmp_path: Path) -> None:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed (apt-get install dcm2niix), so there is nothing to compare with")
    compared = 0
    for number, archive in enumerate(sorted(shared_data.rglob("*.zip"))):
        if archive.name in NO_VOLUMES:
            continue
        source, target = tmp_path / f"{number}", tmp_path / f"{number}_nii"
        target.mkdir()
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(source)
        subprocess.run([program, "-z", "n", "-b", "n", "-f", "%j_%r", "-o", target, source], capture_output=True)
        theirs = []
        for path in target.glob("*.nii"):
            image = nibabel.load(path)
            shape = (*image.shape, 1)[:3]
            theirs.append((sorted(shape), corners(image.affine, shape)))
        for stack in find_stacks(archive):
            geometry = stack_geometry(stack.instances)
            shape = (int(stack.first("Columns")), int(stack.first("Rows")), geometry.n_slices)
            ours = corners(lps_to_ras(geometry.affine), shape)
            apart = [float(np.abs(ours - other).max()) for size, other in theirs if size == sorted(shape)]
            if max(shape) == 1024:  # a planar bone scan, which is no volume
                continue
            assert apart, f"{archive.name}: dcm2niix made nothing of {shape}"
            assert min(apart) < 0.01, archive.name
            compared += 1
    assert compared >= 45


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", [[3], [1], [2, 3], [2, 4], [1, 2, 3, 4, 5]])
def test_an_inner_slice_missing_is_refused(gone: list[int], tmp_path: Path) -> None:
    datasets = [d for k, d in enumerate(slices(OBLIQUE)) if k not in gone]
    if len(datasets) == 2:
        for dataset in datasets:
            dataset.SpacingBetweenSlices = 4.0
    assert reason(datasets, tmp_path) == "missing_slice"


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize(
    ("modality", "header"),
    [
        ("MR", {"SpacingBetweenSlices": 4.0}),
        ("PT", {"SliceThickness": 4.0, "Units": "BQML"}),
        ("CT", {"SpacingBetweenSlices": -4.0}),
    ],
)
def test_every_second_or_third_slice_alone_is_refused_where_the_header_tells(
    n: int, modality: str, header: dict[str, Any], tmp_path: Path
) -> None:
    assert reason(slices(OBLIQUE, Modality=modality, **header)[::n], tmp_path) == "missing_slice"


def test_phases_numbered_in_turns_are_no_missing_slices(tmp_path: Path) -> None:
    """Instance Numbers 1, 3, 5 … of one echo: the step is what the header says."""
    datasets = slices(OBLIQUE, Modality="MR", SpacingBetweenSlices=4.0)
    for k, dataset in enumerate(datasets):
        dataset.InstanceNumber = 2 * k + 1
    assert_is(read(datasets, tmp_path), OBLIQUE)


def test_the_ends_that_pet_promises_and_are_not_there_can_be_told(tmp_path: Path) -> None:
    datasets = slices(OBLIQUE, Modality="PT", Units="BQML", NumberOfSlices=7)
    (stack,) = find_stacks(write_all(datasets[2:], tmp_path))
    assert missing_ends(stack.instances) == 2
    assert read_stack(stack).grid.shape == (6, 5, 5)
    (whole,) = find_stacks(write_all(datasets, tmp_path / "whole"))
    assert missing_ends(whole.instances) == 0


def test_a_slice_in_place_of_another_is_refused(tmp_path: Path) -> None:
    datasets = slices(OBLIQUE)
    datasets[3].ImagePositionPatient = datasets[2].ImagePositionPatient
    for dataset in datasets:
        dataset.InstanceNumber = 1
    assert reason(datasets, tmp_path) in ("duplicate_positions", "missing_slice")


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_slice_shifted_within_its_plane_is_refused(modality: str, tmp_path: Path) -> None:
    datasets = slices(OBLIQUE, Modality=modality)
    datasets[3].ImagePositionPatient = [float(v) for v in OBLIQUE.position(3) + 2.0 * OBLIQUE.axes[0]]
    assert reason(datasets, tmp_path) == "slices_shifted"


def test_slices_that_are_almost_parallel_are_refused(tmp_path: Path) -> None:
    """A quarter of a degree moves the edge of a 500 mm field of view by two millimetres."""
    datasets = slices(AXIAL, Modality="MR")
    tilt = turned(0.0, 0.004, 0.0)
    datasets[3].ImageOrientationPatient = [float(v) for v in tilt[:2].ravel()]
    assert reason(datasets, tmp_path) == "mixed_orientations"


def test_localizers_of_three_orientations_are_three_stacks(tmp_path: Path) -> None:
    boxes_ = [AXIAL, Box(turned(0, np.pi / 2, 0)), Box(turned(np.pi / 2, np.pi / 2, 0))]
    datasets = [d for box in boxes_ for d in slices(box, Modality="MR")]
    for number, dataset in enumerate(datasets, start=1):
        dataset.InstanceNumber, dataset.SOPInstanceUID = number, f"1.2.3.1.1.{number}"
    volumes = [read_stack(stack) for stack in find_stacks(write_all(datasets, tmp_path))]
    assert len(volumes) == 3
    for box in boxes_:
        assert any(np.abs(v.grid.affine - box.affine).max() <= EXACT_MM for v in volumes)


def test_frames_of_another_matrix_are_another_stack_and_never_mixed(tmp_path: Path) -> None:
    datasets = slices(AXIAL)
    for dataset in datasets[3:]:
        dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    stacks = find_stacks(write_all(datasets, tmp_path))
    assert sorted(len(stack.instances) for stack in stacks) == [3, 4]
    with pytest.raises(GeometryRefusal, match="mixed_frames"):
        stack_geometry([record for stack in stacks for record in stack.instances])


@settings(max_examples=40, deadline=None)
@given(orientations, st.floats(0.06, 0.45), st.integers(1, 5))
def test_one_slice_off_its_place_is_interpolated_to_it(axes: NDArray[np.float64], share: float, which: int) -> None:
    """A linear ramp along the normal is the same ramp wherever its slices were taken."""
    box = Box(axes)
    datasets = slices(box)
    for k, dataset in enumerate(datasets):
        place = k + (share if k == which else 0.0)
        dataset.ImagePositionPatient = [round(float(v), 9) for v in box.position(place)]
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.0001, 100.0 * place
        dataset.PixelData = np.zeros_like(box.pixels(k)).tobytes()
    with TemporaryDirectory() as folder:
        volume = read(datasets, Path(folder))
    assert np.abs(volume.grid.affine - box.affine).max() <= 1e-5
    assert np.allclose(volume.values, 100.0 * np.arange(7), atol=1e-2)
