"""One body's random numbers and the surfaces that follow from them: skin, diaphragm, vena cava, liver.

Frame: x to the patient's left, y to the back, z to the head, mm, origin at the middle of the abdomen about
the level of the porta hepatis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.simulate.disease import HEALTHY, LiverDisease
from liverpair.simulate.space import Array, Space, capsule, ellipsoid, smooth_max, smooth_min, tube
from liverpair.simulate.texture import SmoothField

__all__ = [
    "GALLBLADDER_TILT",
    "Habitus",
    "cava_course",
    "diaphragm_height",
    "draw_habitus",
    "growth_for_volume",
    "liver_distance",
    "skin_distance",
]

#: Step of the coarse lattice on which the liver is scaled to its volume.
SIZING_STEP_MM = 5.0
#: The gallbladder points forward and down, degrees about x, y, z.
GALLBLADDER_TILT = (-28.0, 20.0, 0.0)
#: A cirrhotic right lobe shrinks and the left one grows by these shares of their radii.
RIGHT_SHRINKS, LEFT_GROWS = 0.18, 0.25
#: Regenerative nodules raise the surface by up to this much (mm).
NODULE_MM = 2.0
#: The plane of a hemihepatectomy (x, mm): from the gallbladder's bed to the vena cava, slightly tilted.
RESECTION_X_MM, RESECTION_TILT = -22.0, 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Habitus:
    """The random numbers of one body: half widths (a, b), wall layers and the liver's wobble."""

    a: float
    b: float
    fat: float
    muscle: float
    right_dome: float
    left_dome: float
    ribs_from: float
    liver_shift: NDArray[np.float64]
    liver_scale: NDArray[np.float64]
    left_lobe: NDArray[np.float64]
    right_kidney: NDArray[np.float64]
    gallbladder: tuple[NDArray[np.float64], NDArray[np.float64]]
    wobble: SmoothField
    disease: LiverDisease = HEALTHY
    nodules: SmoothField | None = None

    @property
    def sx(self) -> float:
        """Organ positions scale with the body: left-right."""
        return self.a / 165.0

    @property
    def sy(self) -> float:
        """Organ positions scale with the body: front-back."""
        return self.b / 110.0


def skin_distance(space: Space, habitus: Habitus) -> Array:
    """Radial distance to the skin (negative inside): a superellipse, the same on every slice."""
    x, y, _ = space.open()
    rho = np.sqrt(x * x + y * y) + np.float32(1e-3)
    level = (np.abs(x / habitus.a) ** 2.4 + np.abs((y - 4) / habitus.b) ** 2.4) ** np.float32(1 / 2.4)
    return np.asarray(rho - rho / (level + np.float32(1e-4)), dtype=np.float32)


def diaphragm_height(space: Space, habitus: Habitus) -> Array:
    """Height z of the diaphragm over (x, y), shape (nx, ny, 1)."""
    x, y, _ = space.open()
    y = y / habitus.sy
    steep = np.where(y > 0, np.float32(95.0) * (y / 92) ** 4, np.float32(48.0) * (y / 88) ** 2)
    right = habitus.right_dome - 62 * ((x / habitus.sx + 68) / 92) ** 2 - steep
    left = habitus.left_dome - 62 * ((x / habitus.sx - 72) / 92) ** 2 - steep
    tendon = habitus.right_dome - 20 - 70 * (x / habitus.sx / 92) ** 2 - steep
    domes = smooth_max(right.astype(np.float32), left.astype(np.float32), 10.0)
    return smooth_max(domes, tendon.astype(np.float32), 12.0)


def _lobes(space: Space, habitus: Habitus, growth: float) -> Array:
    """Distance to the liver at a given growth factor: two lobes, cut by its neighbours, wobbling."""
    x, y, z = space.open()
    sx, sy = habitus.sx, habitus.sy
    shift, scale = habitus.liver_shift, habitus.liver_scale * growth
    right = ellipsoid(
        space,
        (-66 * sx + shift[0], 2 * sy + shift[1], 4 + shift[2]),
        tuple(np.array([72 * sx, 74 * sy, 88]) * scale * (1 - RIGHT_SHRINKS * habitus.disease.cirrhosis)),
        (0, 8, -6),
    )
    left = ellipsoid(
        space,
        (12 * sx + shift[0], -36 * sy + shift[1], 42 + shift[2]),
        tuple(habitus.left_lobe * growth * (1 + LEFT_GROWS * habitus.disease.cirrhosis)),
        (0, -14, 8),
    )
    body = smooth_min(right, left, 16.0)
    body = body + np.float32(3.5) * habitus.wobble.on(space)
    if habitus.nodules is not None:
        body = body + np.float32(NODULE_MM * habitus.disease.cirrhosis) * habitus.nodules.on(space)
    if habitus.disease.resected:
        plane = x / sx - RESECTION_X_MM - RESECTION_TILT * z
        body = smooth_max(body, (plane if habitus.disease.resected == "left" else -plane).astype(np.float32), 8.0)
    visceral = (-34 + shift[2] + np.float32(0.72) * (x / sx + 20) - z) * np.float32(0.8)
    posterior = (y / sy - (30 - np.float32(0.55) * x / sx)) * np.float32(0.88)
    body = smooth_max(body, visceral.astype(np.float32), 14.0)
    body = smooth_max(body, posterior.astype(np.float32), 10.0)
    cavity = skin_distance(space, habitus) + np.float32(habitus.fat + habitus.muscle + 1.5 + habitus.disease.ascites_mm)
    body = smooth_max(body, np.broadcast_to(cavity, space.shape), 6.0)
    below_dome = z - diaphragm_height(space, habitus) + np.float32(2.5 + habitus.disease.ascites_mm)
    body = smooth_max(body, below_dome.astype(np.float32), 6.0)
    fissure = capsule(space, (-14 * sx, -75 * sy, -5), (-8 * sx, -20 * sy, 12), 4.5, 2.0)
    return np.asarray(smooth_max(body, -fissure, 5.0), dtype=np.float32)


def liver_distance(space: Space, habitus: Habitus, growth: float) -> Array:
    """The liver less what presses into it: right kidney, vena cava, gallbladder."""
    sx, sy = habitus.sx, habitus.sy
    liver = _lobes(space, habitus, growth)
    kidney = ellipsoid(space, habitus.right_kidney, (33, 31, 60), (6, 10, -25))
    groove = tube(space, cava_course(habitus), 11.5)
    centre, radii = habitus.gallbladder
    bile = ellipsoid(space, centre * [sx, sy, 1], radii + 1.5, GALLBLADDER_TILT)
    for neighbour in (kidney, groove, bile):
        liver = np.maximum(liver, -neighbour)
    return liver


def cava_course(habitus: Habitus) -> NDArray[np.float64]:
    """Course of the inferior vena cava, (n, 3) mm."""
    path = [[-18, 34, -140], [-20, 33, -40], [-24, 32, 10], [-20, 30, 60], [-8, 10, 100]]
    return np.array(path, dtype=np.float64) * [habitus.sx, habitus.sy, 1]


def growth_for_volume(space: Space, habitus: Habitus, volume_ml: float) -> float:
    """The growth factor that gives the liver its volume, within what the cavity allows."""
    coarse = Space.spanning(
        (space.x[0], space.y[0], space.z[0]), (space.x[-1], space.y[-1], space.z[-1]), SIZING_STEP_MM
    )
    low, high = 0.7, 1.6
    for _ in range(8):
        middle = (low + high) / 2
        liver = liver_distance(coarse, habitus, middle)
        size = np.count_nonzero(liver < 0) * SIZING_STEP_MM**3 / 1000
        low, high = (middle, high) if size < volume_ml else (low, middle)
    return (low + high) / 2


def draw_habitus(rng: np.random.Generator, space: Space) -> Habitus:
    """Draw a body's proportions; lengths in mm on the canonical ``space``. The draws' order is part of every seed."""
    a, b = rng.uniform(152, 172), rng.uniform(102, 120)
    return Habitus(
        a=a,
        b=b,
        fat=rng.uniform(9, 24),
        muscle=rng.uniform(11, 15),
        right_dome=rng.uniform(76, 90),
        left_dome=rng.uniform(62, 76),
        ribs_from=rng.uniform(0, 30),
        liver_shift=rng.uniform(-6, 6, 3),
        liver_scale=rng.uniform(0.95, 1.05, 3),
        left_lobe=rng.uniform((54, 30, 28), (82, 40, 38)),
        right_kidney=np.array([-58 * a / 165, 50 * b / 110, -52 + rng.uniform(-8, 8)]),
        gallbladder=(np.array([-48, -34, -34 + rng.uniform(-6, 6)]), np.array([14, 17, 33]) * rng.uniform(0.8, 1.15)),
        wobble=SmoothField.drawn(rng, space, 38.0),
    )
