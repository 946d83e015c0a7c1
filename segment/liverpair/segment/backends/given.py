"""A liver mask that exists already as a backend: drawn by a reader or made by any other program."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from liverpair.core.errors import GeometryRefusal, Refusal
from liverpair.core.volume import Mask, Volume
from liverpair.segment.backends.protocol import implausible
from liverpair.segment.liver import LiverSegmentation
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_quality import QualityLimits

__all__ = ["GivenMaskBackend"]

#: A given mask of which the image shows less than this is flagged.
LEAST_INSIDE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class GivenMaskBackend:
    """A mask in the image's space, on any grid; the dicom room reads it (NIfTI, DICOM SEG, RT Structure Set).

    What a reader drew is used as it is: doubts about its size become flags, never a failure.
    """

    mask: Mask
    quality: QualityLimits = field(default_factory=QualityLimits)
    name: str = "given"

    def prepare(self, role: str) -> None:
        """Nothing is needed beyond the mask.

        Raises Refusal("mask_empty").
        """
        if self.mask.is_empty:
            raise Refusal("mask_empty", "the given liver mask holds no voxel in this image; check its label and space")

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The given mask brought onto the image's grid by geometry.

        Raises Refusal("mask_empty" | "mask_elsewhere") and GeometryRefusal("other_frame_of_reference").
        """
        self.prepare(role)
        frames = {self.mask.grid.frame_of_reference, image.grid.frame_of_reference} - {""}
        if len(frames) > 1:
            raise GeometryRefusal(
                "other_frame_of_reference",
                "the given liver mask and the image lie in different frames of reference; give one drawn on this image",
            )
        same = self.mask.grid.matches(image.grid)
        values = self.mask.values if same else sample(self.mask, image.grid) >= 0.5
        mask = Mask(np.asarray(values, dtype=bool), image.grid)
        if mask.is_empty:
            raise Refusal("mask_elsewhere", "the given liver mask lies outside the image; give one of its own space")
        inside = mask.volume_ml / self.mask.volume_ml
        failures, flags = implausible(mask, self.quality)
        partly = () if inside > LEAST_INSIDE else ("mask_partly_outside",)
        facts = {"backend": self.name, "role": role, "inside_fraction": inside}
        return LiverSegmentation(mask, "usable", (*failures, *flags, *partly), mask.volume_ml, facts)
