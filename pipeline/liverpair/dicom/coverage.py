"""Decide from geometry and words whether a stack shows the liver at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import GeometryRefusal
from liverpair.dicom import vocabulary as say
from liverpair.dicom.geometry import has_plane, orientation, slice_normal
from liverpair.dicom.records import Stack
from liverpair.dicom.words import described, number, says

__all__ = ["Box", "Coverage", "bounding_box", "covers_liver", "is_axial"]

#: Adult livers are 13–17 cm high; a stack below 10 cm misses a third of it or is a targeted slab.
LEAST_HEIGHT_MM = 100.0
#: The liver alone is some 20 cm wide and 15 cm deep: smaller fields of view are joints, prostates, brains' details.
LEAST_WIDTH_MM = 200.0
LEAST_DEPTH_MM = 150.0
#: Without any word for the body part only a field of view that no head or limb needs is believed.
WORDLESS_WIDTH_MM = 300.0
#: A trunk is about this high: a taller stack shows the liver whatever its words name first ("skull to thigh").
TRUNK_HEIGHT_MM = 600.0
#: |cos| of the slice normal with the body axis above which a stack counts as axial (35° of obliquity).
AXIAL_COSINE = 0.8


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether the liver is plausibly in the stack, and the sentence why."""

    covers: bool
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Axis-aligned extent of a stack: ``low`` and ``high`` (3,) LPS mm of its outermost pixel centres."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def size(self) -> NDArray[np.float64]:
        """Extent along L, P, S in mm, shape (3,)."""
        return self.high - self.low


def bounding_box(stack: Stack) -> Box | None:
    """The stack's extent in LPS mm, from its slices' positions and the first slice's plane (stacks are parallel).

    None where frames carry no plane.
    """
    placed = [instance for instance in stack.instances if has_plane(instance)]
    if not placed:
        return None
    first = placed[0]
    try:
        axes = orientation(first)
    except GeometryRefusal:
        return None
    spacing = first.get("PixelSpacing", ())
    if len(spacing) != 2:
        spacing = [1.0, 1.0]
    across = axes[0] * float(spacing[1]) * (int(first.get("Columns", 1)) - 1)
    down = axes[1] * float(spacing[0]) * (int(first.get("Rows", 1)) - 1)
    origins = np.array([instance.get("ImagePositionPatient") for instance in placed], dtype=np.float64)
    cloud = np.concatenate([origins, origins + across, origins + down, origins + across + down])
    return Box(cloud.min(axis=0), cloud.max(axis=0))


def is_axial(stack: Stack) -> bool:
    """Whether the slices are stacked along the body axis (oblique up to 35°); False where no plane is given."""
    for instance in stack.instances:
        if has_plane(instance):
            try:
                return abs(float(slice_normal(orientation(instance))[2])) >= AXIAL_COSINE
            except GeometryRefusal:
                return False
    return False


def _only_limbs(stack: Stack) -> bool:
    """Whether the series' own words name legs or arms and no trunk: an extra bed, however long."""
    own = described(stack, "SeriesDescription", "ProtocolName")
    return says(own, say.LIMBS) and not says(own, say.LIVER_REGION)


def covers_liver(stack: Stack) -> Coverage:
    """Weigh the field of view and the words of series, then of the study; where no word speaks, the size decides."""
    box = bounding_box(stack)
    if box is None:
        return Coverage(False, "the images carry no position in the patient")
    # pixel centres of the outer slices: half a slice is added on both sides
    height = float(box.size[2]) + (number(stack, "SliceThickness") or 0.0)
    width, depth = float(box.size[0]), float(box.size[1])
    if height < LEAST_HEIGHT_MM or width < LEAST_WIDTH_MM or depth < LEAST_DEPTH_MM:
        return Coverage(False, f"a field of view of {width:.0f}×{depth:.0f}×{height:.0f} mm cannot hold a liver")
    if height >= TRUNK_HEIGHT_MM and not _only_limbs(stack):
        return Coverage(True, f"{height:.0f} mm of the body hold the whole trunk")
    own = described(stack, "SeriesDescription", "ProtocolName")
    part = described(stack, "BodyPartExamined")
    whole = described(stack, "StudyDescription", "RequestedProcedureDescription")
    if says(own, say.HEPATOBILIARY):
        return Coverage(True, "the series is called hepatobiliary")
    if says(whole, say.LIVER) and not says(own + whole, say.OTHER_REGION):
        return Coverage(True, "the study is one of the liver, whatever Body Part Examined was left at")
    for where, text in (("series", own), ("body part", part), ("study", whole)):
        if says(text, say.LIVER_REGION):
            return Coverage(True, f"the {where} names the abdomen or the whole body")
        if says(text, say.OTHER_REGION):
            return Coverage(False, f"the {where} names another body part")
    if width < WORDLESS_WIDTH_MM:
        return Coverage(False, f"no body part is named and the field of view is only {width:.0f} mm wide")
    return Coverage(True, f"no body part is named; {width:.0f}×{depth:.0f}×{height:.0f} mm may hold a liver")
