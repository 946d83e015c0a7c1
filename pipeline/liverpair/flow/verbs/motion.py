"""Picture of a processed pair's motion: what the registration deformed, and its uncertainty, on the CT."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform, interpolate
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.nifti import read_nifti
from liverpair.evaluate.report.motion_figure import MotionPlane, draw_motion
from liverpair.flow.answer import Answer
from liverpair.flow.workspace import Workspace
from liverpair.register.resample import resample, resample_mask
from liverpair.register.transform_io import read_transform

__all__ = ["motion_field"]

_Value = TypeVar("_Value", np.float32, np.bool_)

PIXEL_MM = 2.0
MARGIN_MM = 20.0
CT_WINDOW = (-60.0, 160.0)


def _planes(liver: Mask) -> list[tuple[str, Grid]]:
    """The axial and the coronal plane through the liver's middle, one voxel thick."""
    start, stop = liver.bounds()
    corners = liver.grid.cropped(start, stop).corners()
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    shape = np.maximum(1, np.ceil((high - low) / PIXEL_MM)).astype(int)
    affine = np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0])
    affine[:3, 3] = low
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, liver.grid.frame_of_reference)
    middle = np.clip(np.rint(grid.to_index(liver.centroid())), 0, shape - 1).astype(np.int64)
    found = []
    for name, axis in (("axial", 2), ("coronal", 1)):
        first, last = np.zeros(3, dtype=np.int64), shape.astype(np.int64)
        first[axis], last[axis] = middle[axis], middle[axis] + 1
        found.append((name, grid.cropped(first, last)))
    return found


def _flat(name: str, values: NDArray[_Value]) -> NDArray[_Value]:
    """A plane's values (n0, n1, n2[, c]) as a picture: axial from the feet, coronal from the front."""
    plane = values[:, :, 0] if name == "axial" else values[:, 0, ::-1]
    return np.ascontiguousarray(np.swapaxes(plane, 0, 1))


def _plane(
    name: str, grid: Grid, ct: Volume, liver: Mask, transform: SpatialTransform, bound: Volume | None
) -> MotionPlane:
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    moved = np.zeros_like(points)
    if transform.displacement is not None and transform.grid is not None:
        moved = interpolate(transform.displacement, transform.grid, points)
    shape = (*grid.shape, 3)
    field = _flat(name, moved.reshape(shape).astype(np.float32))
    # down the picture is backwards on an axial plane and towards the feet on a coronal one
    along = field[..., [0, 1]] if name == "axial" else field[..., [0, 2]] * np.array([1, -1], dtype=np.float32)
    at = None
    if bound is not None:
        values = interpolate(bound.values, bound.grid, points).reshape(grid.shape)
        at = _flat(name, values.astype(np.float32))
    return MotionPlane(
        name, _flat(name, resample(ct, grid, fill=-1000).values), CT_WINDOW,
        _flat(name, resample_mask(liver, grid).values), along, np.linalg.norm(field, axis=-1), at, PIXEL_MM,
    )  # fmt: skip


def motion_field(ws: Path, pair_id: str, output: Path) -> Answer:
    """Draw the deformation that the registration of a processed pair found, and the bound of its error."""
    folder = Workspace.existing(ws).case(pair_id)
    needed = [folder / name for name in ("ct.nii.gz", "liver_ct.nii.gz", "transform.h5")]
    if not all(path.exists() for path in needed):
        why = "its registration failed or no liver was found" if folder.exists() else "it is not a processed pair"
        raise UsageError(f"{pair_id} has no motion to draw: {why}.")
    ct, drawn, transform = read_nifti(needed[0]), read_nifti(needed[1]), read_transform(needed[2])
    liver = Mask(drawn.values > 0, drawn.grid)
    stored = folder / "registration_uncertainty_mm.nii.gz"
    bound = read_nifti(stored) if stored.exists() else None
    planes = [_plane(name, grid, ct, liver, transform, bound) for name, grid in _planes(liver)]
    inside = liver.grid.to_world(np.argwhere(liver.values)[::23])
    length = np.zeros(len(inside))
    if transform.displacement is not None and transform.grid is not None:
        length = np.linalg.norm(interpolate(transform.displacement, transform.grid, inside), axis=1)
    linear, _, other = np.linalg.svd(transform.affine[:3, :3])
    turn = float(np.rad2deg(np.arccos(np.clip((np.trace(linear @ other) - 1) / 2, -1, 1))))
    numbers = {
        "rotation_deg": turn,
        "deformation_median_mm": float(np.median(length)),
        "deformation_p95_mm": float(np.percentile(length, 95)),
    }
    caption = (
        f"{pair_id}: rotation {turn:.1f}°, deformation beyond the affine part median "
        f"{numbers['deformation_median_mm']:.1f} mm, 95 % below {numbers['deformation_p95_mm']:.1f} mm"
    )
    draw_motion(planes, caption, output)
    return Answer(numbers, f"{output}: {caption}")
