"""The published ways to find and delineate avid foci, by name: the level each sets, from its own formula.

=================  ===========================================================================================
noise-adaptive     this project's: t solved from the false foci that noise may cause, background-corrected
                   fraction of the plateau (lesions.md)
fixed-suv          every voxel of the liver with SUV ≥ ``fixed_suv`` (10; SSR-PET's fixed cut-offs)
percist-like       SUV ≥ 1.5·mean + 2·SD of the liver reference (PERCIST 1.0, Wahl et al., J Nucl Med 2009;
                   there on SUL and SUVpeak, here on SUVbw voxels: "-like")
percent-max        each focus: SUV ≥ 41 % of its SUVmax, background not corrected (EANM 1.0, Boellaard et al.,
                   Eur J Nucl Med Mol Imaging 2010; 40–50 % are in use)
liver-quantile     each focus: SUV ≥ L + 0.25·(SUVmax − L), L the liver reference's mean
=================  ===========================================================================================

The first two published ones set one level for the liver and find foci by it; the last two delineate what a reader
pointed at: here the noise-adaptive search points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from liverpair.core.lesion import ReferenceRegion
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings

__all__ = ["foci_above", "focus_level", "liver_level"]


def liver_level(settings: PetDetectionSettings, reference: ReferenceRegion) -> float | None:
    """The SUV that a method sets for the whole liver; None for a method that sets none."""
    if settings.method == "fixed-suv":
        return settings.fixed_suv
    if settings.method == "percist-like":
        return settings.percist_factor * reference.mean + settings.percist_sd * reference.sd
    return None


def focus_level(settings: PetDetectionSettings, suv_max: float, reference_mean: float) -> float | None:
    """The SUV that a method sets for a focus of this maximum; None for a method that sets none."""
    if settings.method == "percent-max":
        return settings.percent_of_max / 100.0 * suv_max
    if settings.method == "liver-quantile":
        return reference_mean + settings.liver_to_max * (suv_max - reference_mean)
    return None


def foci_above(field: PetField, level: float) -> tuple[NDArray[np.int64], list[bool], NDArray[np.uint16]]:
    """Connected regions (by faces) of the liver at or over ``level``, hottest first.

    Returns their hottest voxels (n, 3), whether each grows hotter beyond the liver (a neighbour's uptake), and the
    label map (number + 1).
    """
    inside = field.liver & (field.suv >= level)
    parts, count = label(inside)
    peaks: list[tuple[float, int, tuple[int, ...]]] = []
    for number in range(1, count + 1):
        region = np.argwhere(parts == number)
        values = field.suv[tuple(region.T)]
        peaks.append((-float(values.max()), number, tuple(int(x) for x in region[int(np.argmax(values))])))
    peaks.sort()
    labels = np.zeros(field.suv.shape, dtype=np.uint16)
    spill = []
    for order, (negative, number, _) in enumerate(peaks, start=1):
        region = parts == number
        labels[region] = order
        rim = binary_dilation(region) & ~field.liver
        spill.append(bool(rim.any() and float(field.suv[rim].max()) > -negative))
    return np.array([at for _, _, at in peaks], dtype=np.int64).reshape(-1, 3), spill, labels
