"""Where in the liver a lesion lies, with its uncertainty: depth under the capsule, height, dome, sector and lobe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.special import ndtr

from liverpair.core.volume import Mask
from liverpair.evaluate.sectors import SECTORS, SectorSettings, is_whole, sector_probabilities

__all__ = ["LiverLocation", "LocationSettings", "locate"]

#: The liver's extent is read from percentiles: one stray voxel of the mask must not move the dome.
EXTENT_PERCENTILES = (0.5, 99.5)
#: Places in the liver are counted on a lattice along LPS with this step: about 20 000 for a liver.
LATTICE_MM = 4.0
#: A cross-section at the head or foot end of the field of view larger than this: the liver goes on beyond it.
TRUNCATED_CM2 = 10.0


@dataclass(frozen=True, slots=True)
class LocationSettings:
    """``border_sd_mm``: how well the mask's border is known. ``dome_mm``: the dome is what lies less than this below
    the diaphragm, where ``dome_from``, a share of the liver's height, is reached: there breathing blurs a PET most.
    """

    border_sd_mm: float = 3.0
    dome_mm: float = 25.0
    dome_from: float = 0.7
    sectors: SectorSettings = field(default_factory=SectorSettings)


@dataclass(frozen=True, slots=True)
class LiverLocation:
    """One place in the liver.

    ``capsule_mm``: distance to the liver's surface (0 outside), known to ``capsule_sd_mm``. ``height``: 0 at the lower
    edge, 1 at the dome, known to ``height_sd``. ``above_mm``: liver straight above the place, up to the diaphragm.
    ``dome_probability``: that it lies in the dome. ``sector``, ``lobe``: the likeliest, with their probabilities;
    ``probabilities``: of every sector in the order of ``sectors.SECTORS``. ``flags``: "outside" (of the mask),
    "fov_truncated" (the field of view cuts the liver: height, dome and sector refer to what is seen), "atypical_shape"
    (no whole liver in its usual place, such as a remnant after a resection: every sector is as likely as any other).
    """

    capsule_mm: float
    height: float
    capsule_sd_mm: float
    height_sd: float
    above_mm: float
    dome_probability: float
    sector: str
    sector_probability: float
    lobe: str
    lobe_probability: float
    probabilities: tuple[float, ...]
    flags: tuple[str, ...]


def locate(
    liver: Mask,
    points: Sequence[NDArray[np.float64]],
    point_sd_mm: float = 0.0,
    settings: LocationSettings = LocationSettings(),
) -> list[LiverLocation]:
    """The location of each LPS mm point (3,), known to ``point_sd_mm`` on each axis, in the liver.

    Refused (GeometryRefusal) for an empty mask.
    """
    depth = _signed_depth(liver, points)
    if not len(points):
        return []
    places = np.asarray(points, dtype=np.float64)
    truncated = _truncated(liver)
    inside = _lattice(liver)
    low, high = np.percentile(inside[:, 2], EXTENT_PERCENTILES)
    extent = max(float(high - low), 1e-6)
    sd = float(np.hypot(settings.border_sd_mm, point_sd_mm))
    height_sd = float(np.hypot(sd, settings.border_sd_mm)) / extent
    probabilities = sector_probabilities(inside, places, point_sd_mm, truncated, settings.sectors)
    # where the field of view cuts the liver its shape is not known; the volume shares are taken wider there
    typical = truncated or is_whole(inside, liver.volume_ml, settings.sectors)
    if not typical:
        probabilities = np.full_like(probabilities, 1 / len(SECTORS))
    shape = ("fov_truncated",) if truncated else () if typical else ("atypical_shape",)
    found = []
    for place, deep, chances in zip(places, depth, probabilities, strict=True):
        above = _above(inside, place)
        height = float(np.clip((place[2] - low) / extent, 0.0, 1.0))
        top = (place[2] + above - low) / extent
        dome = float(ndtr((settings.dome_mm - above) / sd) * ndtr((top - settings.dome_from) / height_sd))
        left = float(chances[:2].sum())
        best = int(np.argmax(chances))
        found.append(
            LiverLocation(
                capsule_mm=max(0.0, float(deep)),
                height=height,
                capsule_sd_mm=sd,
                height_sd=height_sd,
                above_mm=above,
                dome_probability=dome,
                sector=SECTORS[best],
                sector_probability=float(chances[best]),
                lobe="left" if left > 0.5 else "right",
                lobe_probability=max(left, 1 - left),
                probabilities=tuple(float(p) for p in chances),
                flags=(*(("outside",) if deep < 0 else ()), *shape),
            )
        )
    return found


def _signed_depth(liver: Mask, points: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Distance to the mask's surface at each point, negative outside, shape (n,).

    Where the field of view cuts the liver there is no surface: the cut does not count.
    """
    start, stop = liver.bounds(margin_mm=2 * float(liver.grid.spacing.max()))
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    values = np.pad(liver.values[window], 1, mode="edge")
    step = liver.grid.spacing
    half = float(step.min()) / 2  # the transform measures to the next voxel's centre, the surface lies between
    signed = distance_transform_edt(values, sampling=step) - half
    index = np.array([liver.grid.to_index(point) - start + 1 for point in points]).reshape(-1, 3)
    held = np.clip(index, 0, np.asarray(signed.shape) - 1)
    nearest = tuple(np.rint(held).astype(np.int64).T)
    if not values[nearest].all():  # the way back to the liver is asked for seldom and costs as much again
        signed -= distance_transform_edt(~values, sampling=step) - 2 * half * ~values
    at = map_coordinates(signed, held.T, order=1, mode="nearest")
    # far from the window: at least as far outside as the way to it
    away = np.linalg.norm((index - held) * step, axis=1)
    return np.asarray(np.where(away > 0, np.minimum(at, 0) - away, at), dtype=np.float64)


def _truncated(liver: Mask) -> bool:
    """Whether the field of view cuts the liver at its head or foot end."""
    axis = int(np.argmax(np.abs(liver.grid.direction[2])))
    area = liver.grid.voxel_volume_mm3 / float(liver.grid.spacing[axis]) / 100
    ends = [float(np.take(liver.values, end, axis=axis).sum()) * area for end in (0, -1)]
    return max(ends) > TRUNCATED_CM2


def _lattice(liver: Mask) -> NDArray[np.float64]:
    """LPS mm of the lattice places (along LPS, LATTICE_MM apart) that lie in the mask, shape (n, 3)."""
    start, stop = liver.bounds()
    ends = np.array([[a, b] for a, b in zip(start - 0.5, stop - 0.5, strict=True)])
    corners = liver.grid.to_world([[i, j, k] for i in ends[0] for j in ends[1] for k in ends[2]])
    axes = [
        np.arange(low + LATTICE_MM / 2, high, LATTICE_MM)
        for low, high in zip(corners.min(0), corners.max(0), strict=True)
    ]
    axes = [axis if len(axis) else np.array([0.0]) for axis in axes]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    index = np.rint(liver.grid.to_index(places)).astype(np.int64)
    seen = np.all((index >= 0) & (index < np.asarray(liver.grid.shape)), axis=1)
    places, index = places[seen], index[seen]
    hit = places[liver.values[index[:, 0], index[:, 1], index[:, 2]]]
    return hit if len(hit) else liver.grid.to_world(np.argwhere(liver.values))


def _above(inside: NDArray[np.float64], place: NDArray[np.float64]) -> float:
    """Millimetres of liver straight above a place (0 where none is)."""
    near = np.abs(inside[:, :2] - place[:2]).max(axis=1) <= LATTICE_MM / 2
    column = inside[near & (inside[:, 2] > place[2]), 2]
    return float(np.clip(column.max() + LATTICE_MM / 2 - place[2], 0, None)) if len(column) else 0.0
