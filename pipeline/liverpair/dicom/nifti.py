"""Read and write NIfTI-1 volumes, masks and label maps; the same values give the same bytes."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal, UsageError
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.units import Unit
from liverpair.core.volume import LabelMap, Mask, Volume

__all__ = ["is_nifti", "read_nifti", "read_nifti_labels", "write_nifti"]

SUFFIXES: Final = (".nii", ".nii.gz")
STEP_BYTES: Final = 1 << 20
#: NIfTI's code for "scanner anatomical" coordinates, which is what DICOM patient coordinates are.
SCANNER_ANATOMICAL: Final = 1
#: The free-text field says the unit, so that a volume read back is what was written.
DESCRIPTION: Final = "liverpair unit="
#: Masks shrink a hundred times at any level; images gain little above this one.
COMPRESSION_LEVEL: Final = 3


def is_nifti(path: Path) -> bool:
    """Whether the path names a NIfTI file, one that exists or one to be written."""
    return path.name.lower().endswith(SUFFIXES) and not path.is_dir()


def _bytes_there(path: Path) -> int:
    """Bytes of the file, unpacked; nothing is kept, and gzip's own sum is checked."""
    if not path.name.lower().endswith(".gz"):
        return path.stat().st_size
    total = 0
    with gzip.open(path) as stream:
        while part := stream.read(STEP_BYTES):
            total += len(part)
    return total


def _refuse_cut(image: Any, path: Path) -> None:
    """Refuse a file that holds fewer bytes than its header announces, before memory is taken for them."""
    proxy = image.dataobj
    announced = int(proxy.offset) + math.prod(int(n) for n in proxy.shape) * int(np.dtype(proxy.dtype).itemsize)
    if announced > _bytes_there(path):
        raise Refusal("unreadable_nifti", "the file holds fewer voxels than its header says; write it again")


def _refuse_placeless(header: Any) -> None:
    """Refuse a header whose sform and qform codes are both 0: where left and right are would be a guess (NIfTI-1's
    method 1 knows the voxels' size only, and readers disagree on the sides)."""
    if not any(int(header[code]) for code in ("sform_code", "qform_code") if code in header):
        raise Refusal(
            "no_position",
            "the NIfTI header has neither sform nor qform (both codes are 0), so that nothing tells where left and "
            "right are; save the image again with its affine",
        )


def _load(path: Path) -> tuple[NDArray[Any], Grid, str]:
    import nibabel  # here: statistics alone never need it

    if not path.is_file():
        raise UsageError(f"{path} does not exist or is no file; check the path")
    try:
        image = nibabel.load(path)
        _refuse_cut(image, path)
        values = np.asanyarray(image.dataobj)
    except Refusal:
        raise
    except Exception as error:  # nibabel raises whatever damaged bytes provoke
        raise Refusal(
            "unreadable_nifti", f"the file cannot be read as NIfTI ({type(error).__name__}); write it again"
        ) from error
    if values.dtype.fields is not None or np.iscomplexobj(values):
        raise Refusal("colour_image", "the NIfTI file holds colours or complex numbers, not one value a voxel")
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise Refusal("not_3d", f"the NIfTI file has shape {values.shape}; extract one 3D volume")
    _refuse_placeless(image.header)
    shape = (int(values.shape[0]), int(values.shape[1]), int(values.shape[2]))
    description = (
        bytes(image.header["descrip"].tobytes()).split(b"\0")[0].decode("latin-1") if "descrip" in image.header else ""
    )
    return values, Grid(shape, lps_to_ras(image.affine)), description


def read_nifti(path: Path) -> Volume:
    """The 3D image in a .nii or .nii.gz file, its affine turned from RAS to LPS; values [i, j, k] as stored.

    Not-a-number voxels (how some tools mark "outside the field of view") become 0. The unit is known only for
    files that ``write_nifti`` wrote. Raises UsageError for a missing file; Refusal: unreadable_nifti,
    colour_image, not_3d, no_position; GeometryRefusal for an affine with shear.
    """
    values, grid, description = _load(path)
    unit = Unit.ARBITRARY
    if description.startswith(DESCRIPTION):
        stated = description.removeprefix(DESCRIPTION)
        unit = next((known for known in Unit if known.value == stated), Unit.ARBITRARY)
    finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return Volume(finite, grid, unit)


def read_nifti_labels(path: Path) -> LabelMap:
    """The label map in a .nii or .nii.gz file: whole numbers from 0 to 65535.

    Raises like ``read_nifti``, and Refusal("not_labels") for other values.
    """
    values, grid, _ = _load(path)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0)
    labels = np.rint(finite)
    if np.abs(labels - finite).max() > 1e-3 or labels.min() < 0 or labels.max() > np.iinfo(np.uint16).max:
        raise Refusal(
            "not_labels", "the file holds other values than whole numbers from 0 to 65535; it is no label map"
        )
    return LabelMap(labels.astype(np.uint16), grid)


def _stored(image: Volume | Mask | LabelMap) -> NDArray[Any]:
    """The values in a type that keeps them: uint8 masks and labels, int16 where exact, else float32."""
    if isinstance(image, Mask):
        return image.values.astype(np.uint8)
    if isinstance(image, LabelMap):
        small = int(image.values.max(initial=0)) <= np.iinfo(np.uint8).max
        return image.values.astype(np.uint8 if small else np.uint16)
    limits = np.iinfo(np.int16)
    values = image.values
    if values.min() >= limits.min and values.max() <= limits.max and np.array_equal(values, np.rint(values)):
        return values.astype(np.int16)
    return values


def write_nifti(image: Volume | Mask | LabelMap, path: Path) -> None:
    """Write ``image`` as .nii or .nii.gz by the path's suffix, whole or not at all.

    Equal input gives equal bytes. The LPS affine is written as RAS into sform and qform, both with code 1
    (scanner coordinates).
    """
    import nibabel  # here: statistics alone never need it

    if not path.name.lower().endswith(SUFFIXES):
        raise UsageError(f"{path.name}: a NIfTI file ends in .nii or .nii.gz")
    affine = lps_to_ras(image.grid.affine)
    nifti = nibabel.Nifti1Image(_stored(image), affine)
    nifti.set_sform(affine, SCANNER_ANATOMICAL)
    nifti.set_qform(affine, SCANNER_ANATOMICAL)
    nifti.header.set_xyzt_units("mm")
    if isinstance(image, Volume):
        nifti.header["descrip"] = f"{DESCRIPTION}{image.unit.value}".encode()
    content = nifti.to_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, COMPRESSION_LEVEL, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(content)
    temporary.replace(path)
