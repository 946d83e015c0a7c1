"""Find hot organs beside the liver on PET and the zone into which blur and breathing carry their uptake.

A neighbour is recognised by its uptake outside the liver with a maximum of its own there; its name is a guess from
where it lies against the liver's box. What lies in its zone is flagged by the caller, never deleted (lesions.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import within

__all__ = ["HotNeighbour", "hot_neighbours", "organ_name"]

#: What takes up less than this many times the liver cannot make a spot in it.
HOT_RATIO = 1.3
#: A neighbour holds this much hot tissue; less is noise or a vessel.
LEAST_ML = 0.5
#: Spill-in reaches one resolution width in the plane, at least this far (lesions.md) ...
LEAST_REACH_MM = 7.0
#: ... and this far cranio-caudally, for breathing (lesions.md: 10–15 mm).
CRANIO_CAUDAL_MM = 12.5
#: An adrenal with its blur holds no more than this.
ADRENAL_ML = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class HotNeighbour:
    """``name`` of the organ (a guess from its place), its ``zone`` on the image's grid, its hot volume in mL."""

    name: str
    zone: NDArray[np.bool_]
    volume_ml: float


def organ_name(place: NDArray[np.float64], volume_ml: float) -> str:
    """The organ that lies at ``place`` (3,), shares of the liver's box: 0 right, front, feet; 1 left, back, head."""
    x, y, z = (float(v) for v in place)
    if x > 0.8 and y > 0.45:
        return "spleen"
    if y > 0.6:
        return "adrenal" if volume_ml < ADRENAL_ML and z > 0.3 else "kidney"
    if z > 0.95:
        return "heart"
    if x >= 0.6 and z > 0.3:
        return "stomach"
    if z > 0.45:
        return "neighbour"
    if 0.25 <= x <= 0.55 and z > 0.1:
        return "gallbladder"
    return "colon" if x < 0.4 else "duodenum"


def _zone(organ: NDArray[np.bool_], grid: Grid, fwhm_mm: float) -> NDArray[np.bool_]:
    """The organ dilated by the reach of its blur, further along the patient's axis."""
    reach = max(fwhm_mm, LEAST_REACH_MM)
    along = int(np.argmax(np.abs(grid.direction[2])))
    scaled = grid.spacing / reach
    scaled[along] = grid.spacing[along] / max(CRANIO_CAUDAL_MM, reach)
    return np.asarray(distance_transform_edt(~organ, sampling=scaled) <= 1.0)


def hot_neighbours(
    suv: NDArray[np.float32],
    liver: NDArray[np.bool_],
    domain: NDArray[np.bool_],
    grid: Grid,
    liver_mean: float,
    noise_sd: float,
    fwhm_mm: float,
) -> list[HotNeighbour]:
    """Hot organs outside the liver, largest first; arrays on ``grid``, SUV; ``domain`` is the liver with its border.

    A tail of uptake whose maximum touches the domain belongs to a focus of the liver and is no neighbour.
    """
    smooth = gaussian_filter(suv, 0.5 * fwhm_mm / FWHM_PER_SIGMA / grid.spacing, mode="nearest")
    hot = (smooth > HOT_RATIO * liver_mean + 2.0 * noise_sd) & ~liver
    parts, count = label(hot)
    inside = grid.to_world(np.argwhere(liver))
    low, extent = inside.min(axis=0), np.maximum(np.ptp(inside, axis=0), 1.0)
    rim = within(domain, grid.spacing, float(grid.spacing.max()) * 1.01)
    found = []
    for number in range(1, count + 1):
        organ = parts == number
        volume = int(np.count_nonzero(organ)) * grid.voxel_volume_mm3 / 1000.0
        if volume < LEAST_ML:
            continue
        at = np.argwhere(organ)
        if rim[tuple(at[int(np.argmax(smooth[organ]))])]:
            continue
        place = (grid.to_world(at).mean(axis=0) - low) / extent
        found.append(HotNeighbour(organ_name(place, volume), _zone(organ, grid, fwhm_mm), volume))
    return sorted(found, key=lambda n: (-n.volume_ml, n.name))
