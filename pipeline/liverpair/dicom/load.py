"""Load an image, a mask or labels from what a user points at: NIfTI, DICOM folder, file or archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from liverpair.core.errors import GeometryRefusal, Refusal, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.frames import IMAGE_MODALITIES
from liverpair.dicom.geometry import has_plane, stack_geometry
from liverpair.dicom.nifti import is_nifti, read_nifti, read_nifti_labels
from liverpair.dicom.objects import read_object
from liverpair.dicom.read import read_stack
from liverpair.dicom.records import InstanceRecord, SeriesRecord, Stack
from liverpair.dicom.regions import Labels
from liverpair.dicom.rtstruct import fill_contours, read_regions, referenced_series
from liverpair.dicom.scan import scan
from liverpair.dicom.seg import read_segmentation
from liverpair.dicom.sources import open_source, walk
from liverpair.dicom.split import split

__all__ = [
    "Labels",
    "SeveralVolumesError",
    "find_series",
    "find_stacks",
    "load_image",
    "load_labels",
    "load_mask",
    "load_stack",
]

SEGMENTATION_MODALITY: Final = "SEG"
STRUCTURE_SET_MODALITY: Final = "RTSTRUCT"


class SeveralVolumesError(UsageError):
    """One volume was asked for and several are there; the message lists them."""


def find_series(path: Path) -> list[SeriesRecord]:
    """Every series in a folder, file or archive, ordered like ``Catalogue.series``; other files do not count.

    Of objects with one SOP Instance UID the first in path order counts.
    """
    found: dict[tuple[str, str, str], list[InstanceRecord]] = {}
    seen: set[str] = set()
    for source in walk([path]):
        if source.problem:
            continue
        try:
            with open_source(source.locator) as stream:
                records = scan(source.locator, stream)
        except (Refusal, OSError):
            continue
        if str(records[0].get("SOPInstanceUID")) not in seen:
            seen.add(str(records[0].get("SOPInstanceUID")))
            first = records[0]
            key = (
                str(first.get("PatientID", "")),
                str(first.get("StudyInstanceUID")),
                str(first.get("SeriesInstanceUID")),
            )
            found.setdefault(key, []).extend(records)
    series = []
    for (patient, study, uid), records_ in sorted(found.items()):
        ordered = sorted(
            records_, key=lambda r: (r.get("InstanceNumber", 0), r.get("SOPInstanceUID", ""), r.frame or 0)
        )
        series.append(SeriesRecord(uid, study, patient, tuple(ordered)))
    return series


def find_stacks(path: Path) -> tuple[Stack, ...]:
    """Every stack of image frames (CT, MR, PT, NM with positions) at ``path``, in a stable order."""
    return tuple(
        stack
        for series in find_series(path)
        for stack in split(series)
        if all(has_plane(f) and f.get("Modality") in IMAGE_MODALITIES for f in stack.instances)
    )


def _describe(number: int, stack: Stack) -> str:
    words = [str(stack.first("Modality", "?")), f"series {stack.first('SeriesNumber', '?')}"]
    words.append(f"“{stack.first('SeriesDescription', '')}”")
    words.append(f"{len(stack.instances)} frames")
    words += [f"{key} {value}" for key, value in stack.key.items()]
    return f"  {number}: {', '.join(words)}, UID {stack.series.series_uid}"


def _matches(stack: Stack, series: str) -> bool:
    return series in (
        stack.series.series_uid,
        str(stack.first("SeriesNumber", "")),
        stack.first("SeriesDescription"),
    )


def _no_image(path: Path) -> str:
    """Why there is no image at ``path``, and what to give instead."""
    if is_nifti(path):
        return "no image with DICOM headers was found: this is a NIfTI file; give the DICOM series it was made from"
    found = Counter(str(series.first("Modality", "?")) for series in find_series(path))
    held = ", ".join(f"{n} of {name}" for name, n in sorted(found.items()))
    there = f"its DICOM series ({held}) hold none" if found else "it holds no readable DICOM object"
    return f"no image with positions (CT, MR or PET) was found: {there}. Give the folder, file or ZIP of one series."


def load_stack(path: Path, series: str | None = None, stack: int | None = None) -> Stack:
    """The one stack of images at ``path``, which may be a folder, a file or an archive of DICOM.

    Of several, ``series`` (a Series Instance UID, series number or description) and ``stack`` (the number in
    the list that the error shows) choose. Raises UsageError where none or more than one is left.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist; give a folder, a file or an archive")
    stacks = find_stacks(path)
    numbered = [(n, s) for n, s in enumerate(stacks, start=1) if series is None or _matches(s, series)]
    if stack is not None:
        numbered = [(n, s) for n, s in numbered if n == stack]
    if len(numbered) == 1:
        return numbered[0][1]
    if not numbered:
        if not stacks:
            raise UsageError(f"{path.name}: {_no_image(path)}")
        listing = "\n".join(_describe(n, s) for n, s in enumerate(stacks, start=1))
        raise UsageError(f"{path.name}: no image that was asked for was found among\n{listing}")
    listing = "\n".join(_describe(n, s) for n, s in numbered)
    raise SeveralVolumesError(
        f"{path.name} holds {len(numbered)} volumes; choose one by series or by its number:\n{listing}"
    )


def load_image(path: Path, series: str | None = None, stack: int | None = None) -> Volume:
    """The image at ``path``: a NIfTI file, or the one volume of DICOM there (``load_stack``).

    PET is in the unit of its header; the conversion to SUV is another step. Raises UsageError and Refusal.
    """
    if is_nifti(path):
        return read_nifti(path)
    return read_stack(load_stack(path, series, stack))


def _objects(path: Path, modality: str) -> list[Dataset]:
    """Complete data sets of every object of a modality at ``path``."""
    found: list[Dataset] = []
    for record in (r for s in find_series(path) if s.first("Modality") == modality for r in s.instances):
        with open_source(record.locator) as stream:
            found.append(read_object(stream))
    return found


def _nearest(values: NDArray[np.bool_], grid: Grid, like: Grid) -> NDArray[np.bool_]:
    """Values at the voxel of ``grid`` that holds each voxel centre of ``like``; False outside."""
    result = np.zeros(like.shape, dtype=values.dtype)
    i, j = np.meshgrid(np.arange(like.shape[0]), np.arange(like.shape[1]), indexing="ij")
    limits = np.asarray(grid.shape)
    for k in range(like.shape[2]):
        world = like.to_world(np.stack([i, j, np.full_like(i, k)], axis=-1))
        index = np.floor(grid.to_index(world) + 0.5).astype(np.int64)
        inside = np.all((index >= 0) & (index < limits), axis=-1)
        at = index[inside]
        result[:, :, k][inside] = values[at[:, 0], at[:, 1], at[:, 2]]
    return result


def _on(labels: Labels, like: Grid | None) -> Labels:
    """The labels on ``like``, by nearest neighbour where the grids differ."""
    if like is None or labels.grid.matches(like):
        return labels
    frames = {labels.grid.frame_of_reference, like.frame_of_reference}
    if len(frames) == 2 and "" not in frames:
        raise GeometryRefusal(
            "other_frame_of_reference",
            "the mask and the image lie in different frames of reference; register them first",
        )
    masks = {n: Mask(_nearest(mask.values, labels.grid, like), like) for n, mask in labels.masks.items()}
    return Labels(like, masks, labels.names)


def _grid_of(path: Path, series: Sequence[str]) -> Grid:
    """The grid of the image a structure set was drawn on, if it lies beside it."""
    stacks = find_stacks(path)
    drawn_on = [stack for stack in stacks if stack.series.series_uid in series]
    chosen = drawn_on or list(stacks)
    if len(chosen) != 1:
        raise UsageError(f"{path.name}: contours need the image they were drawn on; name it too")
    geometry = stack_geometry(chosen[0].instances)
    first = chosen[0].instances[0]
    shape = (int(first.get("Columns") or 0), int(first.get("Rows") or 0), geometry.n_slices)
    return Grid(shape, geometry.affine, str(first.get("FrameOfReferenceUID", "")))


def _from_structure_set(dataset: Dataset, path: Path, like: Grid | None) -> Labels:
    regions = read_regions(dataset)
    grid = like or _grid_of(path, referenced_series(dataset))
    masks = {region.number: fill_contours(region, grid) for region in regions}
    return Labels(grid, masks, {region.number: region.name for region in regions})


def _from_nifti(path: Path) -> Labels:
    labels = read_nifti_labels(path)
    numbers = [int(n) for n in np.unique(labels.values) if n != 0]
    return Labels(labels.grid, {n: labels.mask(n) for n in numbers}, {n: str(n) for n in numbers})


def load_labels(path: Path, like: Grid | None = None) -> Labels:
    """The regions at ``path``: a NIfTI label map, or the one DICOM SEG or RT Structure Set there.

    Without ``like`` a SEG and a NIfTI file stay on their own grid, and a structure set needs the image it was
    drawn on beside it. With ``like`` everything comes on that grid: contours are filled there, label maps are
    resampled by nearest neighbour, which different frames of reference forbid. Raises UsageError and Refusal.
    """
    if is_nifti(path):
        return _on(_from_nifti(path), like)
    if not path.exists():
        raise UsageError(f"{path} does not exist; give a NIfTI file, a DICOM SEG or an RT Structure Set")
    segmentations = _objects(path, SEGMENTATION_MODALITY)
    structure_sets = _objects(path, STRUCTURE_SET_MODALITY)
    if len(segmentations) + len(structure_sets) != 1:
        found = f"{len(segmentations)} DICOM SEG and {len(structure_sets)} RT Structure Sets"
        raise UsageError(f"{path.name} holds {found}; exactly one is needed, name its file")
    if segmentations:
        return _on(read_segmentation(segmentations[0]), like)
    return _from_structure_set(structure_sets[0], path, like)


def load_mask(path: Path, like: Grid | None = None, label: int | None = None) -> Mask:
    """One region at ``path`` (``load_labels``): the one numbered ``label``, else all of them together."""
    labels = load_labels(path, like)
    if label is not None:
        if label not in labels.masks:
            raise UsageError(f"{path.name} has no label {label}; it has {', '.join(map(str, labels.masks)) or 'none'}")
        return labels.masks[label]
    values = np.zeros(labels.grid.shape, dtype=np.bool_)
    for mask in labels.masks.values():
        values |= mask.values
    return Mask(values, labels.grid)
