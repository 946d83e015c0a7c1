"""Prepare a CT for the liver search: noise-reduced HU and where liver can be at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.volume import Volume
from liverpair.segment.liver_body import AIR_MM, Body, body_of_ct
from liverpair.segment.liver_features import Features, smooth_within
from liverpair.segment.liver_grid import anatomical_grid, part_of, sample
from liverpair.segment.liver_morphology import BoolArray
from liverpair.segment.liver_wall import inside_wall

__all__ = ["prepare_ct"]

#: Livers from severe steatosis (about −10 HU native) to the strongest portal enhancement.
PHYSIOLOGIC_HU = (-20.0, 220.0)
#: Beam hardening between the arms shifts a liver by 20–30 % of its HU front to back; steatosis and perfusion
#: make normal liver vary by 4 HU even without noise; beyond 18 HU (noise-reduced) it is not one organ.
DRIFT_FRACTION = 0.25
TOLERANCES_HU = (5.0, 4.0, 18.0)
#: Soft tissue, blood and contrast, without fat, lung and cortical bone.
SOFT_HU = (-50.0, 300.0)
#: Median of 3 voxels and a Gaussian of this sigma: together they quarter the noise, 5 mm organs stay.
SMOOTH_MM = 2.0
#: The liver's dome lies under the right lung: nothing of it is further than this below the lung's lowest part
#: nor above the lung's middle (mm); a lung in view limits a whole-body scan to the upper abdomen.
BELOW_LUNG_MM = 260.0
ABOVE_BASE_MM = 160.0
#: Both lungs end within this of each other (mm); other air lies lower.
SAME_TOP_MM = 60.0


def _lung_base(body: Body, spacing: NDArray[np.float64]) -> float | None:
    """The lowest slice of the right lung; None where none is in view. Bowel may hold as much gas, but lies lower."""
    labels, count = ndimage.label(body.lung)
    tops = [int(np.flatnonzero((labels == n).any(axis=(0, 1)))[-1]) for n in range(1, count + 1)]
    lungs = [n for n, top in enumerate(tops, 1) if (max(tops) - top) * spacing[2] <= SAME_TOP_MM]
    right = np.isin(labels, lungs) & (body.lateral() < 0)
    area = right.sum(axis=(0, 1)) * spacing[0] * spacing[1] / 100  # cm²
    seen = np.flatnonzero(area > 20)
    if len(seen) == 0:
        return None
    runs = np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1)
    return float(max(runs, key=lambda run: float(area[run].sum()))[0])


def _near_lung(body: Body, spacing: NDArray[np.float64]) -> BoolArray:
    """Slices (nk,) where the liver can be, judged by the right lung; all where no lung is in view."""
    k = np.arange(body.inside.shape[2])
    base = _lung_base(body, spacing)
    if base is None:
        return np.ones(len(k), dtype=bool)
    return np.asarray((k >= base - BELOW_LUNG_MM / spacing[2]) & (k <= base + ABOVE_BASE_MM / spacing[2]))


def _searched(body: Body, near: BoolArray, spacing: NDArray[np.float64]) -> tuple[slice, slice, slice]:
    """The index box of all that a search looks at: of a whole body the slices near the lung, with what lies around."""
    i, j, _ = body.window(spacing)
    used = np.flatnonzero(near)
    margin = int(np.ceil(AIR_MM / float(spacing[2])))
    return i, j, slice(max(0, int(used[0]) - margin), min(len(near), int(used[-1]) + 1 + margin))


def prepare_ct(image: Volume, spacing_mm: float) -> Features | None:
    """Features of a CT in HU on the work grid; None where there is no body."""
    grid = anatomical_grid(image.grid, spacing_mm)
    hu = sample(image, grid, fill=None)
    body = body_of_ct(hu, grid.spacing)
    if body is None:
        return None
    near = _near_lung(body, grid.spacing)
    window = _searched(body, near, grid.spacing)
    grid, body, near = part_of(grid, window), body.cropped(window), near[window[2]]
    clipped = np.clip(hu[window], -200.0, 400.0)
    quiet = ndimage.median_filter(clipped, size=3)
    soft = (quiet > SOFT_HU[0]) & (quiet < SOFT_HU[1])
    smooth = smooth_within(quiet, soft, SMOOTH_MM, grid.spacing)
    allowed = near & inside_wall(smooth, body, grid.spacing)
    return Features(grid, clipped, smooth, body, allowed, PHYSIOLOGIC_HU, (DRIFT_FRACTION, 0.0, 0.0), TOLERANCES_HU)
