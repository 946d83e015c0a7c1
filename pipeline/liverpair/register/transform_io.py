"""Write and read a transform as an ITK composite (displacement field first, then affine)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  # the name every ITK user knows

from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.register.hdf5_times import without_times

__all__ = ["as_itk", "from_itk", "read_transform", "write_transform"]

#: ITK's text format holds no displacement field of useful size; HDF5 does.
SUFFIXES = (".h5", ".hdf5", ".tfm", ".txt")
HDF5_SUFFIXES = (".h5", ".hdf5")


def as_itk(transform: SpatialTransform) -> sitk.CompositeTransform:
    """The ITK composite that maps fixed LPS mm to moving LPS mm (ITK applies the last added part first).

    Inside the displacement's grid both give the same points; beyond it ITK has no displacement where ours
    continues the edge's.
    """
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(transform.affine[:3, :3].ravel().tolist())
    affine.SetTranslation(transform.affine[:3, 3].tolist())
    composite = sitk.CompositeTransform(3)
    composite.AddTransform(affine)
    if transform.displacement is not None and transform.grid is not None:
        # SimpleITK's arrays run [k, j, i].
        values = np.ascontiguousarray(transform.displacement.transpose(2, 1, 0, 3), dtype=np.float64)
        image = sitk.GetImageFromArray(values, isVector=True)
        image.SetOrigin(transform.grid.origin.tolist())
        image.SetSpacing(transform.grid.spacing.tolist())
        image.SetDirection(transform.grid.direction.ravel().tolist())
        composite.AddTransform(sitk.DisplacementFieldTransform(image))
    return composite


def from_itk(transform: sitk.Transform) -> SpatialTransform:
    """Ours from an ITK transform: linear ones, or a composite of a displacement field followed by linear ones.

    Raises UsageError for any other composition, which one affine and one field cannot express.
    """
    parts = _flat(transform)
    affine, field, grid = np.eye(4), None, None
    for position, part in enumerate(reversed(parts)):  # in the order of application
        if part.GetTransformEnum() == sitk.sitkDisplacementField:
            if position != 0:
                raise UsageError("this ITK transform displaces after another part; it cannot be used")
            image = sitk.DisplacementFieldTransform(part).GetDisplacementField()
            matrix = np.eye(4)
            matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
            matrix[:3, 3] = image.GetOrigin()
            field = sitk.GetArrayFromImage(image).transpose(2, 1, 0, 3).astype(np.float32)
            grid = Grid((field.shape[0], field.shape[1], field.shape[2]), matrix)
        else:
            affine = _matrix(part) @ affine
    return SpatialTransform(affine, field, grid)


def _flat(transform: sitk.Transform) -> list[sitk.Transform]:
    if transform.GetTransformEnum() != sitk.sitkComposite:
        return [transform]
    composite = sitk.CompositeTransform(transform)
    nested = [composite.GetNthTransform(n) for n in range(composite.GetNumberOfTransforms())]
    return [part for transform in nested for part in _flat(transform)]


def _matrix(part: sitk.Transform) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The 4×4 matrix of a linear ITK transform, read from where it sends four points."""
    if not part.IsLinear():
        raise UsageError(f"the ITK transform holds a {part.GetName()}; only linear parts and a field are read")
    origin = np.asarray(part.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    for axis in range(3):
        matrix[:3, axis] = np.asarray(part.TransformPoint(np.eye(3)[axis].tolist())) - origin
    return matrix


def write_transform(transform: SpatialTransform, path: Path) -> None:
    """Write to ``path`` (.h5, or .tfm for an affine alone) so that ``SimpleITK.ReadTransform`` reads it."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"a transform is written as one of {', '.join(SUFFIXES)}, not as {path.suffix!r}")
    sitk.WriteTransform(as_itk(transform), str(path))
    if path.suffix in HDF5_SUFFIXES:
        path.write_bytes(without_times(path.read_bytes()))


def read_transform(path: Path) -> SpatialTransform:
    """Read what ``write_transform`` or another ITK program wrote."""
    if not path.is_file():
        raise UsageError(f"there is no transform at {path.name}")
    try:
        found = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise UsageError(f"{path.name} is not a readable ITK transform") from error
    return from_itk(found)
