"""Liver masks from elsewhere behind one protocol: today a mask file that the user gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from liverpair.core.errors import Refusal, UsageError
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver import LiverSegmentation, LiverSettings, segment_liver
from liverpair.segment.liver_grid import sample

__all__ = ["BACKENDS", "ClassicalBackend", "GivenMaskBackend", "LiverBackend", "backend"]


class LiverBackend(Protocol):
    """Anything that finds the liver in an image; the answer's mask lies on the image's grid."""

    @property
    def name(self) -> str:
        """The backend's name in settings and provenance."""
        ...

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver in ``image`` of role "ct" or "mr-…"."""
        ...


@dataclass(frozen=True, slots=True)
class ClassicalBackend:
    """liverpair's own segmentation without learned weights."""

    settings: LiverSettings = field(default_factory=LiverSettings)
    name: str = "classical"

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver found by ``segment_liver``."""
        return segment_liver(image, role, self.settings, pet)


@dataclass(frozen=True, slots=True)
class GivenMaskBackend:
    """A mask that exists already: a NIfTI file in the image's space, on any grid.

    ``label`` picks one value of a label map (a model's label of the liver); None takes every voxel above 0.
    """

    path: Path
    label: int | None = None
    name: str = "given-mask"

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The given mask brought onto the image's grid by geometry.

        Raises Refusal("mask_unreadable" | "mask_elsewhere" | "mask_empty").
        """
        given = _read_mask(self.path, self.label)
        if given.is_empty:
            raise Refusal("mask_empty", f"the liver mask {self.path.name} holds no voxel of the label; check the label")
        values = given.values if given.grid.matches(image.grid) else sample(given, image.grid) >= 0.5
        mask = Mask(np.asarray(values, dtype=bool), image.grid)
        if mask.is_empty:
            raise Refusal(
                "mask_elsewhere",
                f"the liver mask {self.path.name} lies outside the image; give one of its own space",
            )
        inside = mask.volume_ml / given.volume_ml
        reasons = () if inside > 0.95 else ("mask_partly_outside",)
        facts = {"backend": self.name, "role": role, "inside_fraction": inside}
        return LiverSegmentation(mask, "usable", reasons, mask.volume_ml, facts)


def _read_mask(path: Path, label: int | None) -> Mask:
    try:
        image = nib.load(path)
        data = np.asarray(image.dataobj)
    except (OSError, ValueError, ImageFileError) as error:
        raise Refusal("mask_unreadable", f"{path.name} is no readable NIfTI file: {type(error).__name__}") from error
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise Refusal("mask_unreadable", f"{path.name} has {data.ndim} dimensions; a mask has 3")
    values = data > 0 if label is None else np.rint(data) == label
    shape = (int(data.shape[0]), int(data.shape[1]), int(data.shape[2]))
    return Mask(values, Grid(shape, lps_to_ras(image.affine)))


#: Backends by the name used in settings; each value builds one from keyword arguments.
BACKENDS: dict[str, Callable[..., LiverBackend]] = {
    "classical": ClassicalBackend,
    "given-mask": GivenMaskBackend,
}


def backend(name: str, **options: object) -> LiverBackend:
    """Build a backend by name; UsageError for an unknown name or option."""
    if name not in BACKENDS:
        raise UsageError(f"no liver backend {name!r}; known: {', '.join(sorted(BACKENDS))}")
    try:
        return BACKENDS[name](**options)
    except TypeError as error:
        raise UsageError(f"liver backend {name!r}: {error}") from error
