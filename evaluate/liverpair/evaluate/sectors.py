"""In which sector of the liver a place lies, as probabilities, from nothing but the liver's shape.

The sectors are bounded by planes that fan out from the inferior vena cava along the hepatic veins: the umbilical
fissure (left lateral | left medial), Cantlie's plane through the gallbladder fossa (left | right) and the right hepatic
vein (right anterior | right posterior). A mask shows none of these. Two things are known of them without it: how much
of a liver each sector holds, and about which way each plane points. Each gives an estimate of the plane's angle with a
spread; both are joined, and where they disagree the spread grows. The caudate lobe, a few per cent around the vena
cava, is not told apart: near the cava every angle is uncertain and the probabilities say so.

Frame: LPS mm. Angles about the vertical through the vena cava: 0° to the left, 90° forward, 180° right, 270° back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["SECTORS", "SectorSettings", "is_whole", "sector_probabilities"]

#: Sectors from the left to the right; the first two are the left lobe.
SECTORS = ("left_lateral", "left_medial", "right_anterior", "right_posterior")
#: Three-point Gauss–Hermite rule for a normal spread: places in standard deviations, weights.
NODES = ((-np.sqrt(3.0), 1 / 6), (0.0, 2 / 3), (np.sqrt(3.0), 1 / 6))
#: A volume share and its spread stay within these, so that they can be turned into an angle.
SHARE_LIMITS = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class SectorSettings:
    """What is known of the three planes in people, left to right.

    ``shares``: part of the liver's volume to the left of each plane, mean and spread between people: 16 ± 5 % left
    lateral and 34 ± 7 % left of Cantlie's plane (CT volumetry of normal livers: Abdalla, Surgery 2004; half the caudate
    lobe counted left), about 37 % more for the right anterior sector. ``angles``: the way each plane points, degrees:
    the umbilical fissure straight ahead, the gallbladder fossa a quarter of a right angle to the right of it, the right
    hepatic vein to the right and a little forward. ``cava_offset``: the vena cava from the centroid in standard
    deviations of the liver's extent along x and y, with its spread. ``tilt_deg``: the planes are neither vertical nor
    flat. ``truncated_factor``: how much wider the volume shares are where the field of view cuts the liver.

    A whole liver in its usual place is a bulk on the right that thins out to the left and forward: along x its places
    are skewed by at least ``least_skew`` and spread at least ``least_breadth`` times as far as along y, its left goes
    with its front (their correlation is at most ``largest_slant``), and it holds ``least_ml``. The limits lie half-way
    between the whole livers of three simulators (skew 0.5–1.0, breadth 1.1–1.8, slant -0.2–-0.5, 1100–2300 mL) and
    what is left of them after a removal of the left lobe (skew 0.1, breadth 0.75–0.9) or of the right one (slant 0–0.2,
    300–600 mL), or in situs inversus (skew -0.7).
    """

    shares: tuple[tuple[float, float], ...] = ((0.16, 0.05), (0.34, 0.07), (0.71, 0.07))
    angles: tuple[tuple[float, float], ...] = ((87.0, 12.0), (112.0, 12.0), (160.0, 15.0))
    cava_offset: tuple[tuple[float, float], ...] = ((1.0, 0.2), (0.75, 0.35))
    tilt_deg: float = 8.0
    truncated_factor: float = 3.0
    least_skew: float = 0.33
    least_breadth: float = 1.0
    largest_slant: float = -0.08
    least_ml: float = 600.0


def sector_probabilities(
    liver: NDArray[np.float64],
    points: NDArray[np.float64],
    point_sd_mm: float = 0.0,
    truncated: bool = False,
    settings: SectorSettings = SectorSettings(),
) -> NDArray[np.float64]:
    """Probability of each of SECTORS for each point, shape (n, 4), rows adding up to 1.

    ``liver``: LPS mm of evenly spaced places in the liver (m, 3), a few thousand or more. ``points``: LPS mm (n, 3),
    known to ``point_sd_mm`` on each axis. ``truncated``: the field of view cuts the liver.
    """
    centre, extent = liver.mean(axis=0)[:2], liver.std(axis=0)[:2]
    offset = np.asarray(settings.cava_offset)
    cava, spread = centre + offset[:, 0] * extent, offset[:, 1] * extent
    total = np.zeros((len(points), len(SECTORS)))
    for x, weight_x in NODES:
        for y, weight_y in NODES:
            axis = cava + np.array([x, y]) * spread
            total += weight_x * weight_y * _about(axis, liver, points, point_sd_mm, truncated, settings)
    return total


def is_whole(liver: NDArray[np.float64], volume_ml: float, settings: SectorSettings = SectorSettings()) -> bool:
    """Whether these evenly spaced places (LPS mm, (m, 3)) are shaped like a whole liver in its usual place.

    A remnant after a resection and a mirrored liver are not: what is known of people's sectors does not hold there.
    """
    away = liver - liver.mean(axis=0)
    extent = np.maximum(away.std(axis=0), 1e-6)
    skew = float((away[:, 0] ** 3).mean() / extent[0] ** 3)
    slant = float((away[:, 0] * away[:, 1]).mean() / (extent[0] * extent[1]))
    return (
        skew >= settings.least_skew
        and extent[0] >= settings.least_breadth * extent[1]
        and slant <= settings.largest_slant
        and volume_ml >= settings.least_ml
    )


def _angles(places: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees from -90 (straight back, on the left side) to 270 (the same on the right side)."""
    away = places[:, :2] - axis
    degrees = np.rad2deg(np.arctan2(-away[:, 1], away[:, 0]))
    return np.where(degrees < -90, degrees + 360, degrees)


def _about(
    axis: NDArray[np.float64],
    liver: NDArray[np.float64],
    points: NDArray[np.float64],
    point_sd_mm: float,
    truncated: bool,
    settings: SectorSettings,
) -> NDArray[np.float64]:
    """The probabilities where the vena cava is at ``axis``, shape (n, 4)."""
    ordered = np.sort(_angles(liver, axis))
    at = _angles(points, axis)
    radius = np.maximum(np.linalg.norm(points[:, :2] - axis, axis=1), 1.0)
    own = np.rad2deg(np.arctan(point_sd_mm / radius))
    left_of = np.zeros((len(SECTORS) + 1, len(points)))
    left_of[-1] = 1.0
    for n, (share, angle) in enumerate(zip(settings.shares, settings.angles, strict=True)):
        wider = settings.truncated_factor if truncated else 1.0
        middle, sd = _plane(ordered, (share[0], share[1] * wider), angle)
        left_of[n + 1] = ndtr((middle - at) / np.sqrt(sd**2 + settings.tilt_deg**2 + own**2))
    left_of = np.maximum.accumulate(left_of, axis=0)  # planes do not cross
    return np.diff(left_of, axis=0).T


def _plane(ordered: NDArray[np.float64], share: tuple[float, float], angle: tuple[float, float]) -> tuple[float, float]:
    """Angle and spread (degrees) of one plane from its volume share and its usual direction.

    The two are weighted by their precision; a disagreement beyond their spreads widens the result (Birge's ratio).
    """
    low, middle, high = np.quantile(
        ordered, np.clip([share[0] - share[1], share[0], share[0] + share[1]], *SHARE_LIMITS)
    )
    estimates = np.array([middle, angle[0]])
    spreads = np.array([max((high - low) / 2, 1.0), angle[1]])
    weights = 1 / spreads**2
    joined = float((weights * estimates).sum() / weights.sum())
    disagreement = float((weights * (estimates - joined) ** 2).sum())  # chi square with one degree of freedom
    return joined, float(np.sqrt(max(1.0, disagreement) / weights.sum()))
