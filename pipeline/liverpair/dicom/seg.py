"""Read a DICOM Segmentation: binary, fractional or label map, whatever frames were left out."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from liverpair.core.errors import GeometryRefusal, Refusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask
from liverpair.dicom.geometry import COSINE_TOLERANCE, SAME_POSITION_MM, slice_normal
from liverpair.dicom.pixels import decode
from liverpair.dicom.regions import Labels

__all__ = ["is_segmentation", "read_segmentation"]

#: Segmentation Storage and Label Map Segmentation Storage.
STORAGE_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
#: A frame may be off a whole number of steps by this share; positions are rounded to 0.01 mm or so.
OFF_GRID_SHARE: Final = 0.05
#: A body scanned at 0.5 mm; more slices are a damaged position, not a patient.
MAX_SLICES: Final = 4096
#: A voxel of a FRACTIONAL segmentation belongs to the segment when at least half of it does.
FRACTION_INSIDE: Final = 0.5


def is_segmentation(dataset: Dataset) -> bool:
    """Whether the object is a DICOM Segmentation."""
    return dataset.get("SOPClassUID") in STORAGE_CLASSES


def _group(frame: Dataset, shared: Dataset, name: str) -> Dataset | None:
    """The item of a functional group: the frame's own or the shared one."""
    for item in (frame, shared):
        found = item.get(name)
        if found:
            return found[0]
    return None


def _plane(frame: Dataset, shared: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64], Dataset]:
    position = _group(frame, shared, "PlanePositionSequence")
    direction = _group(frame, shared, "PlaneOrientationSequence")
    measures = _group(frame, shared, "PixelMeasuresSequence")
    if position is None or direction is None or measures is None or not measures.get("PixelSpacing"):
        raise GeometryRefusal(
            "no_position", "a frame of the segmentation lacks its position, orientation or pixel size"
        )
    axes = np.array(direction.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    place = np.array(position.ImagePositionPatient, dtype=np.float64).reshape(3)
    if not np.all(np.isfinite(place)) or np.abs(axes @ axes.T - np.eye(2)).max() > COSINE_TOLERANCE:
        raise GeometryRefusal(
            "bad_orientation", "a frame's position or orientation is no number or no pair of unit vectors"
        )
    return place, axes, measures


def _step(distance: NDArray[np.float64], measures: Dataset) -> float:
    """The step between slices in mm; empty frames are often left out, so gaps may hide it."""
    unique = np.unique(np.round(distance / SAME_POSITION_MM) * SAME_POSITION_MM)
    gaps = np.diff(unique)
    candidates = [float(measures.get("SpacingBetweenSlices") or 0), float(gaps.min()) if len(gaps) else 0.0]
    if not len(gaps):
        candidates.append(float(measures.get("SliceThickness") or 0))
    for step in candidates:
        offsets = (distance - distance.min()) / step if step > 0 else np.array([0.5])
        if np.abs(offsets - np.rint(offsets)).max() <= OFF_GRID_SHARE:
            return step
    raise GeometryRefusal("uneven_steps", "the frames of the segmentation do not lie on a regular grid")


def _grid(dataset: Dataset, frames: list[Dataset], shared: Dataset) -> tuple[Grid, NDArray[np.int64]]:
    """The grid that spans the frames, and each frame's slice."""
    planes = [_plane(frame, shared) for frame in frames]
    axes, measures = planes[0][1], planes[0][2]
    if any(np.abs(other - axes).max() > 1e-3 for _, other, _ in planes):
        raise GeometryRefusal("mixed_orientations", "the frames of the segmentation are not parallel")
    normal = slice_normal(axes)
    position = np.array([plane[0] for plane in planes])
    distance = position @ normal
    step = _step(distance, measures)
    if not (distance.max() - distance.min()) / step < MAX_SLICES:
        raise GeometryRefusal("uneven_steps", f"the frames span more than {MAX_SLICES} slices; check their positions")
    slices = np.rint((distance - distance.min()) / step).astype(np.int64)
    last = float(distance.max() - distance.min())
    if slices.max() > 0:
        step = last / float(slices.max())
    affine = np.eye(4)
    affine[:3, 0] = axes[0] * float(measures.PixelSpacing[1])
    affine[:3, 1] = axes[1] * float(measures.PixelSpacing[0])
    affine[:3, 2] = normal * step
    affine[:3, 3] = position[int(np.argmin(distance))]
    shape = (int(dataset.Columns), int(dataset.Rows), int(slices.max()) + 1)
    return Grid(shape, affine, str(dataset.get("FrameOfReferenceUID", ""))), slices


def _inside(pixels: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    if dataset.get("SegmentationType") == "FRACTIONAL":
        full = float(dataset.get("MaximumFractionalValue") or 255)
        return np.asarray(pixels >= FRACTION_INSIDE * full)
    return np.asarray(pixels != 0)


def _names(dataset: Dataset) -> dict[int, str]:
    """Segment labels by number, in the order of the numbers."""
    items = dataset.get("SegmentSequence") or Sequence()
    names = {
        int(item.SegmentNumber): str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}") for item in items
    }
    return dict(sorted(names.items()))


def read_segmentation(dataset: Dataset) -> Labels:
    """Masks [i, j, k] of every segment on the segmentation's own grid (LPS mm), frames left out being empty.

    The slice step comes from the frames' positions (and Spacing Between Slices where they agree with it),
    never from Slice Thickness unless there is a single slice. Raises Refusal: bad_segmentation, no_pixels,
    no_decoder, undecodable_pixels; GeometryRefusal: no_position, mixed_orientations, uneven_steps.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return _read(dataset)
    except Refusal:
        raise
    except Exception as error:  # a damaged object surfaces anywhere in its nested sequences
        raise Refusal(
            "bad_segmentation",
            f"the segmentation cannot be understood ({type(error).__name__}); export it again",
        ) from error


def _read(dataset: Dataset) -> Labels:
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    shared_groups = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    shared = shared_groups[0]
    grid, slices = _grid(dataset, frames, shared)
    names = _names(dataset)
    pixels = decode(dataset)
    arrays = {number: np.zeros(grid.shape, dtype=np.bool_) for number in names}
    labelled = dataset.get("SegmentationType") == "LABELMAP"
    for frame, content, k in zip(frames, pixels, slices, strict=True):
        if labelled:
            present = [(int(number), content == number) for number in np.unique(content)]
        else:
            identity = _group(frame, shared, "SegmentIdentificationSequence")
            if identity is None:
                raise Refusal("bad_segmentation", "a frame does not say to which segment it belongs")
            present = [(int(identity.ReferencedSegmentNumber), _inside(content, dataset))]
        for number, inside in present:
            if number in arrays:
                arrays[number][:, :, k] |= inside.T
    if labelled:
        names.pop(0, None)
        arrays.pop(0, None)
    return Labels(grid, {number: Mask(array, grid) for number, array in arrays.items()}, names)
