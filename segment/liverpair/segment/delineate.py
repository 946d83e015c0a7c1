"""Delineate foci: regions above a fraction between local background and core, instances kept apart.

All arrays are [i, j, k] with foci bright (contrast > 0); the caller flips the sign for dark lesions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, label, maximum_filter
from scipy.special import ndtr
from skimage.segmentation import watershed

from liverpair.core.units import FWHM_PER_SIGMA

__all__ = [
    "SHELL_MM",
    "ball_fraction",
    "brt_fraction",
    "connected_above",
    "instance_basins",
    "plateau_of",
    "shell_background",
    "with_cooler_parts",
    "within",
]

#: Background-corrected threshold that returns the true volume of a sphere, against D/FWHM (spec lesions.md).
BRT_RATIO = (0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
BRT_FRACTION = (0.691, 0.594, 0.517, 0.438, 0.383, 0.377, 0.389, 0.415, 0.444)
#: The local background is taken in this shell around a region (spec lesions.md).
SHELL_MM = (5.0, 10.0)
#: From this depth (in FWHM) a blurred plane edge is within 4 % of its plateau; fewer voxels are noise's, not a core's.
CORE_DEPTH, CORE_VOXELS = 0.75, 8
#: A part's own level is looked for so deep (in FWHM) behind its voxels, where a plane edge has reached most of it.
PART_DEPTH = 0.5
#: Half of the least thickness (in FWHM) of a part of its own: what is thinner around an even lesion is its edge's blur.
PART_HALF = 0.25
#: Shares of the whole's plateau: a part below the first has an edge of its own, one over the second has the whole's.
COOLER, ALIKE = 0.75, 0.9
#: No level below the lowest published one is taken (a quarter of the way from liver to maximum).
LEAST_LEVEL = 0.25


def brt_fraction(diameter_mm: float, fwhm_mm: float) -> float:
    """Threshold fraction for a sphere of this diameter at this resolution; held constant outside the
    table.
    """
    return float(np.interp(diameter_mm / fwhm_mm, BRT_RATIO, BRT_FRACTION))


def within(region: NDArray[np.bool_], spacing: NDArray[np.float64], distance_mm: float) -> NDArray[np.bool_]:
    """Voxels within ``distance_mm`` of the region (the region itself included); none for an empty region."""
    if not region.any():
        return np.zeros_like(region)
    return np.asarray(distance_transform_edt(~region, sampling=spacing) <= distance_mm)


def connected_above(
    values: NDArray[np.floating], level: float, seed: tuple[int, int, int], allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The voxels over ``level`` in ``allowed`` that are face-connected to ``seed``; empty where the seed is
    not.
    """
    components, _ = label((values >= level) & allowed)
    number = components[seed]
    if number == 0:
        return np.zeros(values.shape, dtype=bool)
    return np.asarray(components == number)


def shell_background(
    values: NDArray[np.floating],
    region: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    usable: NDArray[np.bool_],
    shell_mm: tuple[float, float] = SHELL_MM,
) -> float | None:
    """Median of the usable voxels 5-10 mm outside the region; None where fewer than 20 are left."""
    distance = distance_transform_edt(~region, sampling=spacing)
    shell = (distance > shell_mm[0]) & (distance <= shell_mm[1]) & usable
    if np.count_nonzero(shell) < 20:
        return None
    return float(np.median(values[shell]))


def instance_basins(
    values: NDArray[np.floating], seeds: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Watershed of the inverted image from ``seeds`` (n, 3): basin n+1 belongs to seed n; 0 outside
    ``allowed``.
    """
    markers = np.zeros(values.shape, dtype=np.int32)
    for number, seed in enumerate(seeds, start=1):
        markers[tuple(seed)] = number
    return np.asarray(watershed(-values, markers, mask=allowed), dtype=np.int32)


def ball_fraction(
    values: NDArray[np.floating],
    seed: tuple[int, int, int],
    background: float,
    basin: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    fwhm_mm: float,
    rounds: int = 8,
) -> tuple[NDArray[np.bool_], float]:
    """Background-corrected threshold region of one PET focus, its fraction iterated with the measured
    diameter.

    The fraction is that between the background and the plateau (``plateau_of``). Returns the region and the last
    fraction. The region always holds the seed.
    """
    voxel = float(np.prod(spacing))
    plateau = float(values[seed])
    diameter, fraction = fwhm_mm, brt_fraction(fwhm_mm, fwhm_mm)
    region = np.zeros(values.shape, dtype=bool)
    region[seed] = True
    for _ in range(rounds):
        before = fraction, plateau
        region = connected_above(values, background + fraction * (plateau - background), seed, basin)
        # Averaging two rounds keeps the iteration from jumping between two voxel counts.
        diameter = 0.5 * (diameter + (6.0 * np.count_nonzero(region) * voxel / np.pi) ** (1 / 3))
        fraction = brt_fraction(diameter, fwhm_mm)
        plateau = 0.5 * (plateau + plateau_of(values, region, seed, spacing, fwhm_mm))
        if abs(fraction - before[0]) < 1e-3 and abs(plateau - before[1]) < 1e-2 * abs(plateau - background):
            break
    region = np.asarray(binary_fill_holes(region))
    region[seed] = True
    return region, fraction


def plateau_of(
    values: NDArray[np.floating],
    region: NDArray[np.bool_],
    seed: tuple[int, int, int],
    spacing: NDArray[np.float64],
    fwhm_mm: float,
) -> float:
    """The level that a focus has where the blur of its border does not reach: what its edge is half of.

    The median of the region deeper than CORE_DEPTH resolution widths; the seed's value where nothing (or too
    little) is so deep. A large lesion is uneven: its hottest spot says nothing of where its edge is.
    """
    core = _core(values, region, spacing, fwhm_mm)
    return float(np.median(core)) if len(core) >= CORE_VOXELS else float(values[seed])


def _core(
    values: NDArray[np.floating], region: NDArray[np.bool_], spacing: NDArray[np.float64], fwhm_mm: float
) -> NDArray[np.floating]:
    """The values of the region deeper than CORE_DEPTH resolution widths."""
    inside = np.argwhere(region)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(inside.min(axis=0), inside.max(axis=0), strict=True))
    depth = distance_transform_edt(np.pad(region[box], 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    return np.asarray(values[box][depth > CORE_DEPTH * fwhm_mm])


def with_cooler_parts(
    values: NDArray[np.floating],
    region: NDArray[np.bool_],
    seed: tuple[int, int, int],
    background: float,
    fraction: float,
    basin: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    fwhm_mm: float,
) -> NDArray[np.bool_]:
    """The region of a large uneven focus with its cooler parts, each cut at ``fraction`` of its own level.

    A level of the whole's plateau cuts into parts that take up less: their edge lies at a share of their own plateau.
    That is the largest value within PART_DEPTH resolution widths, corrected for the blur there, and never over the
    whole's; an even ball keeps its region. The region itself where it has no core (``plateau_of``). The caller sees to
    it that LEAST_LEVEL of the plateau is above the noise.
    """
    core = _core(values, region, spacing, fwhm_mm)
    if len(core) < CORE_VOXELS:
        return region
    plateau = float(np.median(core)) - background
    coarsest = float(spacing.max())
    radius = coarsest * max(round(PART_DEPTH * fwhm_mm / coarsest), 1)
    axes = [np.arange(-int(radius / h), int(radius / h) + 1) * h for h in spacing]
    ball = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")) <= radius**2
    reached = float(ndtr(radius / fwhm_mm * FWHM_PER_SIGMA))
    own = (maximum_filter(values, footprint=ball) - background) / (reached * plateau)
    own = np.where(own < COOLER, own, np.minimum(COOLER + (own - COOLER) * (1 - COOLER) / (ALIKE - COOLER), 1.0))
    level = background + plateau * np.maximum(fraction * own, min(LEAST_LEVEL, fraction))
    added = connected_above(values - level, 0.0, seed, basin) & ~region
    depth = distance_transform_edt(np.pad(added, 1), sampling=spacing)[1:-1, 1:-1, 1:-1] - coarsest / 2
    parts = added & within(depth >= PART_HALF * fwhm_mm, spacing, PART_HALF * fwhm_mm + coarsest)
    return np.asarray(binary_fill_holes(region | parts))
