"""Whatever a user points at is loaded if it holds exactly one answer, and listed if it holds several."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal, Refusal, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.volume import LabelMap
from liverpair.dicom.load import load_image, load_labels, load_mask, load_stack
from liverpair.dicom.nifti import write_nifti
from liverpair.dicom.rtstruct import Region, fill_contours
from pydicom.dataset import Dataset

from tests.dicom_phantom import as_bytes, axial_slices, make_slice, numbered_pixels, write, write_all


def test_a_folder_a_file_and_a_zip_give_the_same_image(tmp_path: Path) -> None:
    folder = write_all(axial_slices(4), tmp_path / "a" / "deep" / "er")
    (tmp_path / "a" / "readme.txt").write_text("litter")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"x/{path.name}")
    for path in (tmp_path / "a", folder, tmp_path / "z.zip"):
        assert load_image(path).values.shape == (5, 4, 4)
    assert load_image(next(folder.iterdir())).values.shape == (5, 4, 1)


def test_a_nifti_file_is_an_image_too(tmp_path: Path) -> None:
    volume = load_image(write_all(axial_slices(4), tmp_path / "a"))
    write_nifti(volume, tmp_path / "v.nii.gz")
    again = load_image(tmp_path / "v.nii.gz")
    assert np.array_equal(again.values, volume.values)
    assert again.grid.matches(volume.grid)


def test_several_volumes_are_listed_with_the_way_to_choose(tmp_path: Path) -> None:
    write_all(axial_slices(4), tmp_path / "ct")
    write_all(
        axial_slices(3, first=50, Modality="MR", SeriesInstanceUID="1.2.77", SeriesNumber=7, SeriesDescription="t2"),
        tmp_path / "mr",
    )
    with pytest.raises(UsageError, match="2 volumes") as several:
        load_image(tmp_path)
    assert "1.2.77" in str(several.value)
    assert "P1" not in str(several.value).replace("SERIES", "")
    for series in ("1.2.77", "7", "t2"):
        assert load_image(tmp_path, series=series).values.shape[2] == 3
    assert load_image(tmp_path, stack=1).values.shape[2] == 4
    with pytest.raises(UsageError, match="no image that was asked for"):
        load_image(tmp_path, series="8")


def test_b_values_of_one_series_are_chosen_by_number(tmp_path: Path) -> None:
    for n, b in enumerate((0.0, 800.0)):
        write_all(axial_slices(3, first=1 + 10 * n, Modality="MR", DiffusionBValue=b), tmp_path / str(n))
    assert load_stack(tmp_path, stack=2).key == {"DiffusionBValue": 800.0}
    with pytest.raises(UsageError, match="DiffusionBValue"):
        load_stack(tmp_path)


def test_nothing_to_load_is_a_mistake_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image"):
        load_image(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        load_image(tmp_path / "absent")
    with pytest.raises(UsageError, match="exactly one"):
        load_labels(tmp_path)


def _grid(shape: tuple[int, int, int] = (40, 36, 10), step: float = 4.0) -> Grid:
    affine = np.diag([1.5, 1.5, step, 1.0])
    affine[:3, 3] = (-20.0, -15.0, 5.0)
    return Grid(shape, affine, "1.2.3.9")


def _circle(
    centre: tuple[float, float], radius: float, z: float, n: int = 200
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(n, z)], axis=-1)


def test_contours_are_filled_on_their_slices_and_a_hole_is_cut_out() -> None:
    contours = tuple(
        contour for k in (3, 4, 5) for contour in (_circle((8, 10), 14, 5 + 4.0 * k), _circle((8, 10), 6, 5 + 4.0 * k))
    )
    mask = fill_contours(Region(1, "ring", "1.2.3.9", contours), _grid())
    assert np.flatnonzero(mask.values.any(axis=(0, 1))).tolist() == [3, 4, 5]
    assert mask.volume_ml == pytest.approx(np.pi * (14**2 - 6**2) * 12 / 1000, rel=0.02)
    assert mask.centroid() == pytest.approx((8, 10, 21), abs=0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-8, 60), st.integers(-8, 60)), min_size=3, max_size=9))
def test_filling_agrees_with_counting_crossings_voxel_by_voxel(corners: list[tuple[int, int]]) -> None:
    """The naive oracle: a ray from each voxel centre along −i, crossings counted one by one (no vertex on a ray)."""
    grid = Grid((13, 12, 1), np.diag([1.0, 1.0, 3.0, 1.0]))
    points = np.array([(x / 4 + 0.0101, y / 4 + 0.0137, 0.0) for x, y in corners])
    filled = fill_contours(Region(1, "", "", (points,)), grid).values[:, :, 0]
    for j in range(12):
        edges = zip(points, np.roll(points, -1, axis=0), strict=True)
        crossed = [(a, b) for a, b in edges if (a[1] <= j) != (b[1] <= j)]
        places = np.array([a[0] + (j - a[1]) * (b[0] - a[0]) / (b[1] - a[1]) for a, b in crossed])
        for i in range(13):
            if not np.any(np.abs(places - i) < 1e-9):  # a centre on the contour itself may fall to either side
                assert filled[i, j] == bool(np.count_nonzero(places < i) % 2)


def test_regions_that_share_an_edge_share_no_voxel_and_leave_none_out() -> None:
    left = np.array([(0, 0, 0), (5, 0, 0), (5, 8, 0), (0, 8, 0)], dtype=np.float64)
    right = np.add(left, (5.0, 0.0, 0.0))
    grid = Grid((13, 12, 1), np.diag([1.0, 1.0, 3.0, 1.0]))
    both = [fill_contours(Region(1, "", "", (points,)), grid).values for points in (left, right)]
    assert [int(values.sum()) for values in both] == [40, 40]
    assert not np.any(both[0] & both[1])


def test_contours_of_thick_slices_fill_a_finer_grid_without_gaps() -> None:
    contours = tuple(_circle((8, 10), 10, 5 + 8.0 * k) for k in range(1, 4))
    mask = fill_contours(Region(1, "", "", contours), _grid((40, 36, 40), step=1.0))
    assert mask.volume_ml == pytest.approx(np.pi * 100 * 24 / 1000, rel=0.06)
    used = np.flatnonzero(mask.values.any(axis=(0, 1)))
    assert np.all(np.diff(used) == 1)


def test_contours_across_slices_or_in_another_frame_are_refused() -> None:
    across = _circle((8, 10), 10, 0)[:, [0, 2, 1]]
    with pytest.raises(GeometryRefusal, match="contours_not_in_plane"):
        fill_contours(Region(1, "", "", (across,)), _grid())
    with pytest.raises(GeometryRefusal, match="other_frame_of_reference"):
        fill_contours(Region(1, "", "9.9", (_circle((8, 10), 10, 5),)), _grid())


def _structure_set(*regions: tuple[str, list[float]]) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.9.1", "1.9.2", "1.2.3.1"
    dataset.Modality = "RTSTRUCT"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, points) in enumerate(regions, start=3):
        roi, contours, contour = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, "1.2.3.9"
        contour.ContourGeometricType, contour.ContourData = "CLOSED_PLANAR", [float(f"{p:.4f}") for p in points]
        contour.NumberOfContourPoints = len(points) // 3
        contours.ReferencedROINumber, contours.ContourSequence = number, [contour]
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(contours)
    return dataset


def test_a_structure_set_beside_its_image_needs_no_other_word(tmp_path: Path) -> None:
    write_all([make_slice(np.zeros((30, 40), np.int16), (-30, -30, 5.0 * k), k + 1) for k in range(6)], tmp_path)
    left = _circle((-10, 0), 8, 10).ravel().tolist()
    right = _circle((12, 0), 6, 15).ravel().tolist()
    write(_structure_set(("left", left), ("right", right)), tmp_path / "rs")
    labels = load_labels(tmp_path)
    assert labels.names == {3: "left", 4: "right"}
    assert labels.masks[3].volume_ml == pytest.approx(np.pi * 64 * 5 / 1000, rel=0.08)
    assert sorted(np.unique(labels.label_map().values).tolist()) == [0, 3, 4]
    assert load_mask(tmp_path, label=4).centroid() == pytest.approx((12, 0, 15), abs=0.5)
    with pytest.raises(UsageError, match="no label 9"):
        load_mask(tmp_path, label=9)
    with pytest.raises(UsageError, match="need the image"):
        load_labels(tmp_path / "rs")


def _segmentation(kind: str, kept: list[int]) -> Dataset:
    """Segment 1: a 6×8 box on slices ``kept`` of a stack 5 mm apart, stated to be 7 mm thick."""
    box = np.zeros((16, 24), dtype=bool)
    box[4:10, 8:16] = True
    pixels = {"FRACTIONAL": box * np.uint8(200), "LABELMAP": box.astype(np.uint8)}.get(kind, box)
    dataset = make_slice(np.zeros((16, 24), np.uint8), (0, 0, 0), Modality="CT")
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "PixelData"):
        delattr(dataset, keyword)
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66." + ("7" if kind == "LABELMAP" else "4")
    dataset.MaximumFractionalValue = 255
    dataset.NumberOfFrames = len(kept)
    segment, shared, orientation, measures = (Dataset() for _ in range(4))
    segment.SegmentNumber, segment.SegmentLabel = 1, "Liver"
    dataset.SegmentSequence = [segment]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [2.0, 1.5], 7.0, 5.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for k in kept:
        frame, position, identity = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-10.0, -20.0, 30.0 + 5.0 * k]
        frame.PlanePositionSequence = [position]
        if kind != "LABELMAP":
            identity.ReferencedSegmentNumber = 1
            frame.SegmentIdentificationSequence = [identity]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    if kind == "BINARY":
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        bits = np.packbits(np.tile(pixels.ravel(), len(kept)), bitorder="little").tobytes()
        dataset.PixelData = bits + b"\0" * (len(bits) % 2)
    else:
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes() * len(kept)
    return dataset


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_with_gaps_keeps_its_step_and_place(tmp_path: Path, kind: str) -> None:
    labels = load_labels(write(_segmentation(kind, [4, 0, 2]), tmp_path / "seg"))
    assert labels.grid.shape == (24, 16, 5)
    assert labels.grid.spacing.tolist() == [1.5, 2.0, 5.0]
    assert labels.names == {1: "Liver"}
    mask = labels.masks[1]
    assert np.count_nonzero(mask.values, axis=(0, 1)).tolist() == [48, 0, 48, 0, 48]
    assert mask.volume_ml == pytest.approx(3 * 48 * 15 / 1000)
    assert mask.centroid() == pytest.approx((-10 + 11.5 * 1.5, -20 + 6.5 * 2.0, 40.0))


def test_a_mask_goes_onto_another_grid_only_within_its_frame_of_reference(tmp_path: Path) -> None:
    path = write(_segmentation("BINARY", [0, 1, 2]), tmp_path / "seg")
    finer = Grid((60, 50, 30), np.array([[1, 0, 0, -20], [0, 1, 0, -30], [0, 0, 1, 25], [0, 0, 0, 1.0]]), "1.2.3.9")
    mask = load_mask(path, like=finer)
    assert mask.grid is finer
    assert mask.volume_ml == pytest.approx(3 * 48 * 15 / 1000, rel=0.02)
    assert mask.centroid() == pytest.approx((-10 + 11.5 * 1.5, -20 + 6.5 * 2.0, 35.0), abs=0.6)
    with pytest.raises(GeometryRefusal, match="other_frame_of_reference"):
        load_mask(path, like=Grid(finer.shape, finer.affine, "9.9"))


def test_overlapping_regions_are_kept_apart_but_make_no_label_map(tmp_path: Path) -> None:
    write_all([make_slice(np.zeros((30, 40), np.int16), (-30, -30, 5.0 * k), k + 1) for k in range(6)], tmp_path)
    points = [_circle((x, 0), 8, 10).ravel().tolist() for x in (0, 4)]
    write(_structure_set(("a", points[0]), ("b", points[1])), tmp_path / "rs")
    labels = load_labels(tmp_path)
    assert set(labels.masks) == {3, 4}
    with pytest.raises(Refusal, match="overlapping_regions"):
        labels.label_map()


def test_a_nifti_label_map_gives_its_labels(tmp_path: Path) -> None:
    grid = _grid((6, 5, 4))
    values = np.zeros(grid.shape, np.uint16)
    values[1:3, 1:3, 1:3], values[4, 4, 3] = 2, 5
    write_nifti(LabelMap(values, grid), tmp_path / "l.nii.gz")
    assert {n: int(m.values.sum()) for n, m in load_labels(tmp_path / "l.nii.gz").masks.items()} == {2: 8, 5: 1}
    assert load_mask(tmp_path / "l.nii.gz").values.sum() == 9


def test_an_unreadable_neighbour_does_not_stop_loading(tmp_path: Path) -> None:
    write_all(axial_slices(3), tmp_path)
    content = as_bytes(make_slice(numbered_pixels(0), (0, 0, 0), 77))
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    assert load_image(tmp_path).values.shape[2] == 3
