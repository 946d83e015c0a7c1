"""Estimate how far the liver moved between the PET and the CT of one session.

The CT is taken in seconds at one breathing position, the PET over minutes of breathing: its liver lies, on average,
elsewhere, mostly above or below. The CT's liver mask, blurred as the PET is, is moved over the PET until both agree
best around the liver's surface. Uptake above the liver's (spleen, kidneys, metastases) counts as liver: such a
neighbour then has no edge and cannot pull, and the edges that do exist, the dome against the lung above all, decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.register.resample import resample_mask
from liverpair.register.settings import PetMotionSettings

__all__ = ["PetMotion", "PetMotionSettings", "pet_motion"]

#: Parts of the surface that are left out in turn; the spread of the answers is the estimate's uncertainty.
PARTS: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class PetMotion:
    """``shift`` (3,) LPS mm takes a point of the CT's liver to the same tissue in the PET; ``sd_mm`` (3,) its spread.

    ``agreement`` is the correlation of mask and PET there, ``before`` the one without any shift. ``corrected`` says
    whether the motion is large and sure enough to be undone.
    """

    shift: NDArray[np.float64]
    sd_mm: NDArray[np.float64]
    agreement: float
    before: float
    corrected: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """The comparison's places (n, 3) LPS mm, what the mask says there, and which part of the surface each is on."""

    points: NDArray[np.float64]
    expected: NDArray[np.float64]
    part: NDArray[np.int64]


def _surface(liver: Mask, settings: PetMotionSettings) -> _Surface:
    step = settings.spacing_mm
    margin = settings.shell_mm + 2 * step
    start, stop = liver.bounds()
    corners = liver.grid.cropped(start, stop).corners()
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    count = np.ceil((high - low) / step).astype(int) + 1
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = low
    grid = Grid((int(count[0]), int(count[1]), int(count[2])), affine, liver.grid.frame_of_reference)
    inside = resample_mask(liver, grid, extend=True).values
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    blurred = ndimage.gaussian_filter(inside.astype(np.float64), np.asarray(settings.blur_mm) / step)
    near = (np.abs(distance) * step <= settings.shell_mm) & liver.grid.contains(
        grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    ).reshape(grid.shape)
    points = grid.to_world(np.argwhere(near))
    away = points - liver.centroid()
    turn = np.floor((np.arctan2(away[:, 1], away[:, 0]) + np.pi) / (2 * np.pi) * (PARTS // 2)).astype(np.int64)
    part = np.minimum(turn, PARTS // 2 - 1) * 2 + (away[:, 2] > 0)
    return _Surface(points, blurred[near], part)


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _agreement(uptake: Volume, surface: _Surface, shift: NDArray[np.float64], use: NDArray[np.bool_] | None) -> float:
    points, expected = surface.points, surface.expected
    if use is not None:
        points, expected = points[use], expected[use]
    index = uptake.grid.to_index(points + shift)
    found = ndimage.map_coordinates(uptake.values, index.T, order=1, mode="nearest", output=np.float64)
    return _correlation(found, expected)


def _refined(
    uptake: Volume, surface: _Surface, start: NDArray[np.float64], use: NDArray[np.bool_] | None,
    reach: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """The best shift near ``start``, to about 0.2 mm."""
    found = optimize.minimize(
        lambda t: -_agreement(uptake, surface, t, use), start, method="Nelder-Mead",
        options={"initial_simplex": start + np.vstack([np.zeros(3), 3.0 * np.eye(3)]), "xatol": 0.2, "fatol": 1e-4},
    )  # fmt: skip
    return np.clip(found.x, -reach, reach)


def _liver_like(pet: Volume, liver: Mask) -> Volume | None:
    """The PET as a share of the liver's uptake, everything hotter set to 1; None where the liver takes up nothing."""
    index = np.rint(pet.grid.to_index(liver.grid.to_world(np.argwhere(liver.values)[::7]))).astype(np.int64)
    seen = np.all((index >= 0) & (index < pet.grid.shape), axis=1)
    if int(seen.sum()) < 100:
        return None
    level = float(np.median(pet.values[tuple(index[seen].T)]))
    if level <= 0:
        return None
    return Volume(np.clip(pet.values / np.float32(level), 0, 1), pet.grid)


def pet_motion(pet: Volume, liver: Mask, settings: PetMotionSettings = PetMotionSettings()) -> PetMotion | None:
    """The liver's shift from CT to PET, or None where the two do not show the same organ around its surface.

    ``pet`` in SUV on any grid; ``liver`` on the CT's grid, in the same frame of reference. A coarse search over all
    shifts within reach, then a simplex from the best one; each twelfth of the surface is left out in turn (jackknife)
    for the uncertainty.
    """
    uptake = _liver_like(pet, liver)
    if uptake is None:
        return None
    surface = _surface(liver, settings)
    reach = np.asarray(settings.reach_mm, dtype=np.float64)
    axes = [np.linspace(-r, r, int(r // 4) + 1 if r > 20 else 3) for r in reach]
    coarse = [np.array(t) for t in product(*axes)]
    best = max(coarse, key=lambda t: (_agreement(uptake, surface, t, None), -float(np.abs(t).sum())))
    shift = _refined(uptake, surface, best, None, reach)
    agreement = _agreement(uptake, surface, shift, None)
    if agreement < settings.least_agreement:
        return None
    parts = [_refined(uptake, surface, shift, surface.part != n, reach) for n in range(PARTS)]
    sd = np.sqrt((PARTS - 1) / PARTS * ((np.array(parts) - np.mean(parts, axis=0)) ** 2).sum(axis=0))
    length = float(np.linalg.norm(shift))
    sure = length > 2 * float(np.linalg.norm(sd * shift)) / max(length, 1e-9)
    before = _agreement(uptake, surface, np.zeros(3), None)
    return PetMotion(shift, sd, agreement, before, bool(length > settings.correct_above_mm and sure))
