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

__all__ = ["StackGeometry", "has_plane", "orientation", "slice_normal", "stack_geometry"]

#: Direction cosines are written with six digits at best, often with four; beyond this they are not unit
#: vectors.
COSINE_TOLERANCE: Final = 1e-2
#: Slices closer than this along the normal lie at one place: no scanner reconstructs slices below 0.1 mm apart, and
#: positions are rounded to 0.01 mm by some.
SAME_POSITION_MM: Final = 0.05
#: A slice may be off its regular place by this share of a step: far below what the slice profile blurs
#: anyway.
TOLERATED_SHARE_OF_STEP: Final = 0.05
#: From the first to the last slice positions may drift sideways by this many pixels: rounding, seen in thin stacks.
TOLERATED_DRIFT_PIXELS: Final = 0.1
#: A step this many times the median one is a hole: halfway between no slice and one slice missing.
MISSING_SLICE_FACTOR: Final = 1.5


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
    median = float(np.median(steps))
    if steps.max() > MISSING_SLICE_FACTOR * median:
        where = int(np.argmax(steps))
        raise GeometryRefusal(
            "missing_slice",
            f"between slices {where + 1} and {where + 2} of {len(distance)} lie {steps.max():.3f} mm, "
            f"elsewhere {median:.3f} mm; fetch the missing slices from the archive",
        )
    return np.asarray(steps)


def stack_geometry(records: Sequence[InstanceRecord]) -> StackGeometry:
    """The regular grid of the frames, sorted along row × column, from their positions alone.

    Slice Thickness and Spacing Between Slices are never used (they differ from the step in most real series),
    except for a single slice. Steps that differ a little are tolerated or, above 5 % of a step, left to
    interpolation (``even`` False). Raises GeometryRefusal: no_position, bad_orientation, mixed_frames,
    no_pixel_spacing, no_slice_thickness, duplicate_positions, missing_slice, mixed_orientations.
    """
    _check_alike(records)
    axes = orientation(records[0])
    if any(np.abs(orientation(record) - axes).max() > COSINE_TOLERANCE for record in records):
        raise GeometryRefusal("mixed_orientations", "the frames are not parallel; they do not form one volume")
    normal = slice_normal(axes)
    position = np.array([record.get("ImagePositionPatient") for record in records], dtype=np.float64)
    distance = position @ normal
    order = np.argsort(distance, kind="stable")
    position, distance = position[order], distance[order]
    pixel = np.array(_spacing(records[0]))
    if len(records) == 1:
        vector = normal * _single(records[0])
        return StackGeometry((0,), _affine(axes, pixel, vector, position[0]), 1, np.zeros(1), np.zeros(2), even=True)
    _steps(distance)
    n = len(records)
    vector = (position[-1] - position[0]) / (n - 1)
    places = (distance - distance[0]) / float(vector @ normal)
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
