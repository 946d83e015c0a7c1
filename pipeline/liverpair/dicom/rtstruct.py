"""Turn the contours of an RT Structure Set into masks on an image's grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from liverpair.core.errors import GeometryRefusal, Refusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask

__all__ = ["Region", "fill_contours", "is_structure_set", "read_regions", "referenced_series"]

STORAGE_CLASS: Final = "1.2.840.10008.5.1.4.1.1.481.3"
#: A contour's points may leave its slice plane by this share of the slice step (rounding); more is another
#: plane.
OFF_PLANE_SHARE: Final = 0.5
#: Contours closer than this along the normal were drawn on one slice.
SAME_PLANE_MM: Final = 0.05
#: No scanner's coordinates reach this far from its origin; beyond lies only damage.
FARTHEST_MM: Final = 1e5
CLOSED: Final = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region of interest: number, name, frame of reference and closed contours, each (n, 3) in LPS mm."""

    number: int
    name: str
    frame_of_reference: str
    contours: tuple[NDArray[np.float64], ...]


def is_structure_set(dataset: Dataset) -> bool:
    """Whether the object is an RT Structure Set."""
    return dataset.get("SOPClassUID") == STORAGE_CLASS


def referenced_series(dataset: Dataset) -> tuple[str, ...]:
    """Series Instance UIDs of the images the contours were drawn on, in order of appearance."""
    found: dict[str, None] = {}
    try:
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or Sequence():
            for study in frame.get("RTReferencedStudySequence") or Sequence():
                for series in study.get("RTReferencedSeriesSequence") or Sequence():
                    if series.get("SeriesInstanceUID"):
                        found[str(series.SeriesInstanceUID)] = None
    except Exception as error:  # a damaged object surfaces anywhere in its nested sequences
        raise Refusal(
            "bad_structure_set",
            f"the structure set's references cannot be understood ({type(error).__name__}); export it again",
        ) from error
    return tuple(found)


def _contours(item: Dataset) -> tuple[NDArray[np.float64], ...]:
    contours = []
    for contour in item.get("ContourSequence") or Sequence():
        if contour.get("ContourGeometricType") in CLOSED and contour.get("ContourData"):
            points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            if not np.all(np.abs(points) <= FARTHEST_MM):
                raise Refusal(
                    "bad_structure_set",
                    f"a contour has points beyond {FARTHEST_MM:.0f} mm or no numbers; export it again",
                )
            if len(points) >= 3:
                contours.append(points)
    return tuple(contours)


def read_regions(dataset: Dataset) -> tuple[Region, ...]:
    """Every region with closed contours, by ROI number. Raises Refusal: bad_structure_set, no_contours."""
    try:
        described = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or Sequence()}
        regions = []
        for item in dataset.get("ROIContourSequence") or Sequence():
            number = int(item.ReferencedROINumber)
            roi = described.get(number, Dataset())
            contours = _contours(item)
            if contours:
                name = str(roi.get("ROIName") or f"ROI {number}")
                regions.append(Region(number, name, str(roi.get("ReferencedFrameOfReferenceUID") or ""), contours))
    except Refusal:
        raise
    except Exception as error:  # a damaged object surfaces anywhere in its nested sequences
        raise Refusal(
            "bad_structure_set",
            f"the structure set cannot be understood ({type(error).__name__}); export it again",
        ) from error
    if not regions:
        raise Refusal("no_contours", "the structure set holds no closed contour, so there is no region")
    return tuple(sorted(regions, key=lambda region: region.number))


def _filled(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels [i, j] whose centre lies inside the polygon (n, 2) in index units: even-odd rule, row by row.

    An edge belongs to the row j when it starts at or below and ends above it, so shared vertices count once.
    """
    inside = np.zeros(shape, dtype=np.bool_)
    start, end = polygon, np.roll(polygon, -1, axis=0)
    low = max(0, int(np.ceil(polygon[:, 1].min())))
    high = min(shape[1] - 1, int(np.floor(polygon[:, 1].max())))
    for j in range(low, high + 1):
        crossing = (start[:, 1] <= j) != (end[:, 1] <= j)
        a, b = start[crossing], end[crossing]
        where = np.sort(a[:, 0] + (j - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1]))
        for left, right in zip(where[0::2], where[1::2], strict=True):
            first, stop = max(0, int(np.ceil(left))), min(shape[0], max(0, int(np.ceil(right))))
            inside[first:stop, j] ^= True
    return inside


def _planes(contours: tuple[NDArray[np.float64], ...], grid: Grid) -> list[tuple[float, list[NDArray[np.float64]]]]:
    """Contours in index units, gathered by the slice place k they were drawn at, ascending."""
    step = float(grid.spacing[2])
    indexed = []
    for points in contours:
        index = grid.to_index(points)
        if np.ptp(index[:, 2]) > OFF_PLANE_SHARE:
            raise GeometryRefusal(
                "contours_not_in_plane",
                "contours are not parallel to the image's slices; give the image they were drawn on",
            )
        indexed.append((float(index[:, 2].mean()), index[:, :2]))
    planes: list[tuple[float, list[NDArray[np.float64]]]] = []
    for place, polygon in sorted(indexed, key=lambda pair: pair[0]):
        if planes and (place - planes[-1][0]) * step <= SAME_PLANE_MM:
            planes[-1][1].append(polygon)
        else:
            planes.append((place, [polygon]))
    return planes


def fill_contours(region: Region, grid: Grid) -> Mask:
    """The region on ``grid``: voxels whose centre lies inside an odd number of contours (a hole is one too).

    A slice takes the contours of the nearest drawn plane within half a plane distance, so contours drawn on
    thicker slices fill a finer grid without gaps. Raises GeometryRefusal: other_frame_of_reference,
    contours_not_in_plane.
    """
    if region.frame_of_reference and grid.frame_of_reference and region.frame_of_reference != grid.frame_of_reference:
        raise GeometryRefusal(
            "other_frame_of_reference",
            "the contours were drawn in another frame of reference than the image's",
        )
    planes = _planes(region.contours, grid)
    places = np.array([place for place, _ in planes])
    reach = max(0.5, float(np.diff(places).min()) / 2 if len(places) > 1 else 0.5)
    values = np.zeros(grid.shape, dtype=np.bool_)
    for k in range(grid.shape[2]):
        nearest = int(np.argmin(np.abs(places - k)))
        if abs(places[nearest] - k) <= reach:
            for polygon in planes[nearest][1]:
                values[:, :, k] ^= _filled(polygon, grid.shape[:2])
    return Mask(values, grid)


def masks_by_number(regions: tuple[Region, ...], grid: Grid) -> Mapping[int, Mask]:
    """Every region's mask on ``grid`` by ROI number."""
    return {region.number: fill_contours(region, grid) for region in regions}
