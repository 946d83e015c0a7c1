"""Write a registration's transform for other programs: there, back, and how it changes volumes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from liverpair.core.errors import GeometryRefusal
from liverpair.core.transform import SpatialTransform
from liverpair.dicom.nifti import write_nifti
from liverpair.register.inverse import inverse_transform
from liverpair.register.jacobian import jacobian_map
from liverpair.register.transform_io import write_transform

__all__ = ["TRANSFORM_FILES", "write_transform_files"]


#: Every file that describes a transform, whether it was written this time or not.
TRANSFORM_FILES = ("transform.h5", "transform_inverse.h5", "jacobian.nii.gz")


def write_transform_files(transform: SpatialTransform, folder: Path) -> None:
    """Write transform.h5, transform_inverse.h5 and, where it deforms, jacobian.nii.gz.

    A transform that folds beyond the liver has no inverse: that file is left out.
    """
    write_transform(transform, folder / "transform.h5")
    # Refused only for folds outside the liver: where the map folds inside, its affine start is handed over.
    with suppress(GeometryRefusal):
        write_transform(inverse_transform(transform), folder / "transform_inverse.h5")
    volumes = jacobian_map(transform)
    if volumes is not None:
        write_nifti(volumes, folder / "jacobian.nii.gz")
