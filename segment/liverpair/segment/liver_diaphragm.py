"""Take the diaphragm off a CT's liver: it always lies between liver and lung, native as dense as liver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_morphology import BoolArray, depth

__all__ = ["DIAPHRAGM_MM", "diaphragm_mm", "without_diaphragm"]

#: Diaphragm with pleura and peritoneum, mm: no liver comes nearer to the lung than the first, and what lies further
#: than the second is no diaphragm at rest (ultrasound in the zone of apposition 1.8–3, dome on CT 2–4).
DIAPHRAGM_MM = (2.0, 4.0)
#: Half way between aerated lung and soft tissue (HU): where a voxel is half covered.
LUNG_HU = -400.0
#: Step of the work box (mm), and the sigma (voxels) that takes the staircase out of a distance map.
STEP_MM, ROUND_VOXELS = 1.5, 0.8
#: The mask's surface faces the lung within the first distance (mm) and certainly does not beyond the second.
FACING_MM, APART_MM = 3.0, 12.0
#: Outlines further apart than this (mm) are not two views of one border.
SAME_BORDER_MM = 10.0
#: Visceral fat (HU, blurred by a voxel) within this many voxels of a surface: there CT shows the liver's border, and
#: how far the MRI's outline is off is its own error and the registration's.
FAT_HU, FAT_VOXELS = (-200.0, -60.0), 3
#: Less surface (cm²) tells nothing.
LEAST_CM2 = 20.0
#: Means leave this share out at both ends: lesions and vessels that one image shows and the other does not.
TRIMMED = 0.05


def without_diaphragm(ct: Volume, mask: Mask, outline: Mask | None = None) -> Mask:
    """``mask`` (on ``ct.grid``; ``ct`` in HU) without the diaphragm between it and the lung.

    ``outline``: the liver as an MRI shows it, brought into the CT's frame (any grid). MRI parts liver and diaphragm,
    and tells how thick that is: what lies outside of it is taken off up to there. The lung's surface, which the CT
    shows exactly, is what all is measured from. Without a lung in view the mask stays as it is.
    """
    if mask.is_empty:
        return mask
    start, stop = mask.bounds(APART_MM + DIAPHRAGM_MM[1])
    near = ct.grid.cropped(start, stop)
    box = near.with_spacing([STEP_MM] * 3)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    shown = np.asarray(ct.values[window], dtype=np.float32)
    hu = sample(Volume(shown, near), box, fill=None)
    lung = _lung(hu, box)
    if not lung.any():
        return mask
    to_lung = -_signed(lung)
    layer = _onto(to_lung, box, near) < DIAPHRAGM_MM[0]
    other = None if outline is None else sample(outline, box) >= 0.5
    if other is not None and other.any():
        inside = _signed(other)
        own = sample(Mask(mask.values[window], near), box) >= 0.5
        thick = diaphragm_mm(hu, own, inside, to_lung)
        if thick is not None and thick > DIAPHRAGM_MM[0]:
            layer |= (_onto(to_lung, box, near) < min(thick, DIAPHRAGM_MM[1])) & (_onto(inside, box, near) < 0)
    values = mask.values.copy()
    values[window] &= ~layer
    return Mask(values, mask.grid)


def diaphragm_mm(
    hu: NDArray[np.float32], own: BoolArray, inside: NDArray[np.float32], to_lung: NDArray[np.float32]
) -> float | None:
    """How thick the diaphragm is, on a box of ``STEP_MM``; None where too little surface tells.

    From the lung (``to_lung``: distance, mm) to the MRI's outline (``inside``: depth in it, negative outside) where
    the CT's mask ``own`` faces the lung, less how far that outline runs inside the CT's where both border on fat: a
    mask that is too small and a registration that is off show in both, the diaphragm only at the lung.
    """
    depth_own = _signed(own)
    surface = own & (depth_own < STEP_MM) & (np.abs(inside) < SAME_BORDER_MM)
    facing, apart = surface & (to_lung < FACING_MM), surface & (to_lung > APART_MM)
    blurred = np.where(own, FAT_HU[1] + 1, ndimage.gaussian_filter(hu, 1.0))
    darkest = ndimage.minimum_filter(blurred, 2 * FAT_VOXELS + 1)
    at_fat = apart & (darkest > FAT_HU[0]) & (darkest < FAT_HU[1])
    least = LEAST_CM2 * 100 / STEP_MM**2
    if int(facing.sum()) < least or int(at_fat.sum()) < least:
        return None
    return _mean((to_lung - inside)[facing]) - _mean((depth_own - inside)[at_fat])


def _mean(values: NDArray[np.float32]) -> float:
    low, high = np.quantile(values, [TRIMMED, 1 - TRIMMED])
    return float(values[(values >= low) & (values <= high)].mean())


def _lung(hu: NDArray[np.float32], box: Grid) -> BoolArray:
    """Air that reaches the box's upper end: bowel gas lies below."""
    labels, _ = ndimage.label(hu < LUNG_HU)
    axis = int(np.argmax(np.abs(box.affine[2, :3])))
    top = np.take(labels, -1 if box.affine[2, axis] > 0 else 0, axis)
    return np.asarray(np.isin(labels, np.setdiff1d(np.unique(top), [0])))


def _signed(mask: BoolArray) -> NDArray[np.float32]:
    """Depth in the mask (mm; negative outside) on a box of ``STEP_MM``, from its surface between the voxels."""
    spacing = np.full(3, STEP_MM)
    distance = depth(mask, spacing) - depth(~mask, spacing)
    distance -= np.sign(distance) * STEP_MM / 2
    return np.asarray(ndimage.gaussian_filter(distance, ROUND_VOXELS), dtype=np.float32)


def _onto(values: NDArray[np.float32], box: Grid, grid: Grid) -> NDArray[np.float32]:
    return sample(Volume(values, box), grid, fill=None)
