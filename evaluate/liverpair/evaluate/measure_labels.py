"""Measure labelled regions as they are, by the definitions of the IBSI: what `liverpair measure` answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from liverpair.core.errors import Refusal
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.shape import (
    axial_axis,
    caliper,
    mesh_area,
    mesh_of,
    mesh_volume,
    planar_axes,
    principal_axes,
)
from liverpair.evaluate.suv_stats import intensity_peaks

__all__ = ["measure_labels"]


def measure_labels(volume: Volume, labels: LabelMap) -> list[dict[str, Any]]:
    """One row per label with the keys of ``liverpair measure --json`` (IBSI definitions; lengths in mm).

    The region is taken as it is: mesh at 0.5 on the zero-padded mask, RECIST axes on its interpolated
    outline. Raises Refusal when the grids differ, no label is present or the image has no number there.
    """
    if not volume.grid.matches(labels.grid):
        raise Refusal("grid_mismatch", "the labels are not on the image's grid; resample them to the image first")
    numbers = np.unique(labels.values)
    numbers = numbers[numbers > 0]
    if len(numbers) == 0:
        raise Refusal("empty_mask", "the mask holds no region, so nothing can be measured; check the file")
    return [_label_row(volume, labels.mask(int(number)), int(number)) for number in numbers]


def _label_row(volume: Volume, mask: Mask, number: int) -> dict[str, Any]:
    grid = volume.grid
    values = volume.values[mask.values].astype(np.float64)
    if not np.all(np.isfinite(values)):
        raise Refusal("not_finite", f"region {number} holds voxels without a number; check the image")
    region = mask.values[tuple(slice(int(a), int(b)) for a, b in zip(*mask.bounds(0.0), strict=True))]
    vertices, faces = mesh_of(region, grid.spacing)
    major, minor, least = principal_axes(region, grid.spacing)
    axes = planar_axes(region, grid.spacing, axial_axis(grid))
    peaks = intensity_peaks(volume, mask)
    return {
        "label": number,
        "mesh_volume_mm3": mesh_volume(vertices, faces),
        "voxel_volume_mm3": len(values) * grid.voxel_volume_mm3,
        "surface_mm2": mesh_area(vertices, faces),
        "max_3d_diameter_mm": caliper(vertices),
        "major_axis_mm": major,
        "minor_axis_mm": minor,
        "least_axis_mm": least,
        "long_axis_mm": axes.long_mm,
        "short_axis_mm": axes.short_mm,
        "local_peak": peaks.local,
        "global_peak": peaks.whole,
        "mean": float(values.mean()),
        "max": float(values.max()),
        "min": float(values.min()),
    }
