"""Write a registration's transform for other programs: there, back, and how it changes volumes."""

from __future__ import annotations

from pathlib import Path

from liverpair.core.errors import GeometryRefusal
from liverpair.core.transform import SpatialTransform
from liverpair.dicom.nifti import write_nifti
from liverpair.register.inverse import inverse_transform
from liverpair.register.jacobian import jacobian_map
from liverpair.register.transform_io import write_transform

__all__ = ["write_transform_files"]


def write_transform_files(transform: SpatialTransform, folder: Path) -> tuple[str, ...]:
    """Write transform.h5, transform_inverse.h5 and, where it deforms, jacobian.nii.gz; returns the names written.

    A transform that folds beyond the liver has no inverse: that file is left out.
    """
    write_transform(transform, folder / "transform.h5")
    written = ["transform.h5"]
    try:
        write_transform(inverse_transform(transform), folder / "transform_inverse.h5")
        written.append("transform_inverse.h5")
    except GeometryRefusal:
        pass  # only outside the liver: a fold inside is a verdict "failed", which has no transform at all
    volumes = jacobian_map(transform)
    if volumes is not None:
        write_nifti(volumes, folder / "jacobian.nii.gz")
        written.append("jacobian.nii.gz")
    return tuple(written)
