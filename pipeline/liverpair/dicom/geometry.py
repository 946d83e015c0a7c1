"""Turn the positions of a stack's slices into one regular grid, or say why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import GeometryRefusal
from liverpair.core.geometry import SHEAR_TOLERANCE
from liverpair.dicom.records import InstanceRecord

__all__ = ["StackGeometry", "has_plane", "missing_ends", "orientation", "slice_normal", "stack_geometry"]

#: Direction cosines are written with six digits at best, often with four; beyond this they are not unit
#: vectors.
COSINE_TOLERANCE: Final = 1e-2
#: Slices of one volume are parallel to this: half a millimetre at the edge of the largest field of view. Cosines
#: written with four digits differ by a tenth of it.
PARALLEL_TOLERANCE: Final = 1e-3
#: Slices closer than this along the normal lie at one place: no scanner reconstructs slices below 0.1 mm apart, and
#: positions are rounded to 0.01 mm by some.
SAME_POSITION_MM: Final = 0.05
#: A slice may be off its regular place by this share of a step: far below what the slice profile blurs
#: anyway.
TOLERATED_SHARE_OF_STEP: Final = 0.05
#: From the first to the last slice positions may drift sideways by this many pixels: rounding, seen in thin stacks.
TOLERATED_DRIFT_PIXELS: Final = 0.1
#: A single slice may lie beside the line of the others by this many pixels, or by what rounding to 0.1 mm does.
TOLERATED_OFFSET_PIXELS: Final = 0.1
TOLERATED_OFFSET_MM: Final = 0.15
#: A step this many times the usual one is a hole: halfway between no slice and one slice missing.
MISSING_SLICE_FACTOR: Final = 1.5
#: The usual step is the one that a quarter of the steps do not exceed: not the median, because every other slice may
#: be missing, and not the least, because one may be short.
USUAL_STEP_QUANTILE: Final = 0.25
#: A stated step or number of slices agrees with the slices' own to this share.
STATED_TOLERANCE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class StackGeometry:
    """Where a stack's slices lie.

    ``order`` sorts the frames along the slice normal. ``affine`` (4×4, LPS mm) is that of the regular grid of
    ``n_slices`` slices. ``places`` gives each sorted frame's place in units of slices of that grid. ``shift``
    is the drift of the slices' first pixel per step within the slice plane, in pixels along (i, j): not zero
    under gantry tilt. ``even`` is False where the slices must be interpolated along the normal.
    """

    order: tuple[int, ...]
    affine: NDArray[np.float64]
    n_slices: int
    places: NDArray[np.float64]
    shift: NDArray[np.float64]
    even: bool

    @property
    def tilted(self) -> bool:
        """Whether the stack is a sheared box, as a tilted gantry gives."""
        return bool(np.any(self.shift != 0))


def has_plane(record: InstanceRecord) -> bool:
    """Whether the frame says where its plane lies."""
    return len(record.get("ImagePositionPatient", ())) == 3 and len(record.get("ImageOrientationPatient", ())) == 6


def orientation(record: InstanceRecord) -> NDArray[np.float64]:
    """Unit vectors along a row (i) and down a column (j) in LPS, shape (2, 3).

    Raises GeometryRefusal("bad_orientation") unless they are two orthogonal unit vectors.
    """
    axes = np.array(record.get("ImageOrientationPatient", (0,) * 6), dtype=np.float64).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.abs(lengths - 1).max() > COSINE_TOLERANCE or abs(float(axes[0] @ axes[1])) > COSINE_TOLERANCE:
        raise GeometryRefusal(
            "bad_orientation",
            "Image Orientation (Patient) is not a pair of orthogonal unit vectors; check the export",
        )
    axes = axes / lengths[:, None]
    return np.asarray(axes)


def slice_normal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The slices' normal, row × column, shape (3,), of ``orientation``'s answer."""
    normal = np.cross(axes[0], axes[1])
    return np.asarray(normal / np.linalg.norm(normal))


def _spacing(record: InstanceRecord) -> tuple[float, float]:
    """Pixel steps in mm along (i, j): DICOM lists the row step (down a column, j) first."""
    spacing = record.get("PixelSpacing", ())
    if len(spacing) != 2 or min(spacing) <= 0:
        raise GeometryRefusal("no_pixel_spacing", "Pixel Spacing is absent or not positive; sizes cannot be stated")
    return float(spacing[1]), float(spacing[0])


def _check_alike(records: Sequence[InstanceRecord]) -> None:
    if not records:
        raise GeometryRefusal("empty_stack", "the stack has no frame")
    if not all(has_plane(record) for record in records):
        raise GeometryRefusal("no_position", "a frame lacks Image Position or Orientation (Patient); it has no place")
    if any(record.frame is None and int(record.get("NumberOfFrames") or 1) > 1 for record in records):
        raise GeometryRefusal(
            "frames_without_places",
            "an object holds several frames and no functional groups that place them; export it as single slices",
        )
    for keyword in ("Rows", "Columns", "PixelSpacing"):
        if any(record.get(keyword) != records[0].get(keyword) for record in records):
            raise GeometryRefusal("mixed_frames", f"the frames differ in {keyword}; they do not form one volume")


def _single(record: InstanceRecord) -> float:
    step = record.get("SliceThickness") or record.get("SpacingBetweenSlices")
    if not step or step <= 0:
        raise GeometryRefusal(
            "no_slice_thickness", "a single slice needs a Slice Thickness to be a volume; none is given"
        )
    return float(step)


def _steps(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps between sorted slices, checked for duplicates and holes."""
    steps = np.diff(distance)
    if steps.min() < SAME_POSITION_MM:
        count = int(np.count_nonzero(steps < SAME_POSITION_MM))
        raise GeometryRefusal(
            "duplicate_positions",
            f"{count} of {len(distance)} slices lie where another one is, and nothing in their headers "
            "tells them apart; remove the copies or choose one series",
        )
    usual = float(np.quantile(steps, USUAL_STEP_QUANTILE))
    if steps.max() > MISSING_SLICE_FACTOR * usual:
        where = int(np.argmax(steps))
        raise GeometryRefusal(
            "missing_slice",
            f"between slices {where + 1} and {where + 2} of {len(distance)} lie {steps.max():.3f} mm, "
            f"elsewhere {usual:.3f} mm; fetch the missing slices from the archive",
        )
    return np.asarray(steps)


def _numbers(records: Sequence[InstanceRecord], keyword: str) -> NDArray[np.float64] | None:
    """An attribute of every record as a number; None where one lacks it."""
    values = [record.get(keyword) for record in records]
    if any(not isinstance(value, (int, float)) for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _every_nth(records: Sequence[InstanceRecord], keyword: str) -> int:
    """n where the sorted slices are numbered in steps of n > 1; 1 where they are not, or nobody numbered them."""
    numbers = _numbers(records, keyword)
    steps = np.unique(np.diff(numbers)) if numbers is not None and len(numbers) > 1 else np.zeros(1)
    return int(abs(steps[0])) if len(steps) == 1 and abs(steps[0]) > 1 else 1


def _refuse_every_nth(records: Sequence[InstanceRecord], steps: NDArray[np.float64]) -> None:
    """Refuse an even stack of which every second slice is missing, where the header can tell.

    Instance Numbers in steps of n alone do not prove it (phases are numbered in turns); they do where the header's own
    step (Spacing Between Slices; for PET, whose slices touch, Slice Thickness or Image Index) is an nth of the found.
    """
    pet = records[0].get("Modality") == "PT"
    n = _every_nth(records, "InstanceNumber")
    stated = [records[0].get("SpacingBetweenSlices"), records[0].get("SliceThickness") if pet else None]
    step = float(np.median(steps))
    told = n > 1 and any(s and abs(n * abs(float(s)) / step - 1) < STATED_TOLERANCE for s in stated)
    if told or (pet and n > 1 and _every_nth(records, "ImageIndex") == n):
        raise GeometryRefusal(
            "missing_slice",
            f"the slices are numbered in steps of {n} and lie {n} times as far apart as the header says; "
            "fetch the missing slices from the archive",
        )


def missing_ends(records: Sequence[InstanceRecord]) -> int:
    """How many slices PET's Number of Slices promises beyond those that are there; 0 where it cannot be told.

    Nothing inside the stack is missing then (``stack_geometry`` refuses that), so the volume is right but short.
    """
    promised = records[0].get("NumberOfSlices") if records and records[0].get("Modality") == "PT" else None
    return max(0, int(promised) - len(records)) if isinstance(promised, (int, float)) else 0


def _common_axes(records: Sequence[InstanceRecord]) -> NDArray[np.float64]:
    """The axes of all frames; their mean where rounding makes them differ, whatever the order of the files."""
    each = np.array([orientation(record) for record in records])
    if np.abs(each - each[0]).max() > PARALLEL_TOLERANCE:
        raise GeometryRefusal("mixed_orientations", "the frames are not parallel; they do not form one volume")
    if not np.ptp(each, axis=0).any():
        return np.asarray(each[0])
    mean = np.sort(each, axis=0).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean, axis=1)[:, None])


def _refuse_shifted(
    position: NDArray[np.float64], places: NDArray[np.float64], axes: NDArray[np.float64], pixel: NDArray[np.float64]
) -> None:
    """Refuse slices that lie beside the line from the first to the last one: another field of view between them."""
    line = position[0] + (position[-1] - position[0]) * (places / places[-1])[:, None]
    offset = np.abs((position - line) @ axes.T)
    if np.any(offset > np.maximum(TOLERATED_OFFSET_PIXELS * pixel, TOLERATED_OFFSET_MM)):
        raise GeometryRefusal(
            "slices_shifted",
            f"a slice lies {offset.max():.2f} mm beside the line of the others within its plane; the slices do not "
            "form one box. Check the export",
        )


def stack_geometry(records: Sequence[InstanceRecord]) -> StackGeometry:
    """The regular grid of the frames, sorted along row × column, from their positions alone.

    Slice Thickness and Spacing Between Slices are never used (they differ from the step in most real series),
    except for a single slice. Steps that differ a little are tolerated or, above 5 % of a step, left to
    interpolation (``even`` False). Raises GeometryRefusal: no_position, bad_orientation, mixed_frames,
    no_pixel_spacing, no_slice_thickness, duplicate_positions, missing_slice, mixed_orientations, slices_shifted,
    frames_without_places.
    """
    _check_alike(records)
    axes = _common_axes(records)
    normal = slice_normal(axes)
    position = np.array([record.get("ImagePositionPatient") for record in records], dtype=np.float64)
    distance = position @ normal
    order = np.argsort(distance, kind="stable")
    position, distance = position[order], distance[order]
    pixel = np.array(_spacing(records[0]))
    if len(records) == 1:
        vector = normal * _single(records[0])
        return StackGeometry((0,), _affine(axes, pixel, vector, position[0]), 1, np.zeros(1), np.zeros(2), even=True)
    _refuse_every_nth([records[k] for k in order], _steps(distance))
    n = len(records)
    vector = (position[-1] - position[0]) / (n - 1)
    places = (distance - distance[0]) / float(vector @ normal)
    _refuse_shifted(position, places, axes, pixel)
    even = bool(np.abs(places - np.arange(n)).max() <= TOLERATED_SHARE_OF_STEP)
    shift = (axes @ vector) / pixel
    if np.linalg.norm(axes @ vector) <= SHEAR_TOLERANCE * float(np.linalg.norm(vector)):
        shift = np.zeros(2)
    else:
        vector = normal * float(vector @ normal)
        if np.abs(shift).max() * (n - 1) <= TOLERATED_DRIFT_PIXELS:
            shift = np.zeros(2)
    affine = _affine(axes, pixel, vector, position[0])
    return StackGeometry(tuple(int(k) for k in order), affine, n, places, shift, even)


def _affine(
    axes: NDArray[np.float64],
    pixel: NDArray[np.float64],
    vector: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 0] = axes[0] * pixel[0]
    affine[:3, 1] = axes[1] * pixel[1]
    affine[:3, 2] = vector
    affine[:3, 3] = origin
    return affine
