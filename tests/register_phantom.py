"""A small abdomen with vessels seen by two modalities and a known smooth motion, for the registration's tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

STEP = 2.0
EXTENT = (300, 230, 230)


@dataclass(frozen=True)
class Abdomen:
    """Tissue fractions [tissue][i, j, k] on a 2 mm grid, centred on 0."""

    liver: NDArray[np.float32]
    portal: NDArray[np.float32]
    hepatic: NDArray[np.float32]
    lesions: NDArray[np.float32]
    organs: NDArray[np.float32]
    body: NDArray[np.float32]
    bone: NDArray[np.float32]
    lesion_centres: NDArray[np.float64]
    grid: Grid


def _grid() -> Grid:
    shape = tuple(int(e / STEP) for e in EXTENT)
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) * STEP / 2
    return Grid((shape[0], shape[1], shape[2]), affine)


def _tree(rng: np.random.Generator, root: NDArray[np.float64], aim: NDArray[np.float64], inside) -> NDArray[np.float64]:
    """Points (x, y, z, radius) along a randomly branching tree kept inside the liver."""
    points, queue = [], [(root, aim / np.linalg.norm(aim), 5.0, 60.0)]
    while queue:
        start, way, radius, length = queue.pop()
        x = start.copy()
        for _ in range(int(length / 1.5)):
            way = way + 0.12 * rng.normal(size=3)
            way /= np.linalg.norm(way)
            x = x + 1.5 * way
            if not inside(x):
                break
            points.append([*x, radius])
        if radius > 1.3 and len(points) < 6000:
            for _ in range(5 if radius > 3 else 3):
                turn = way + 0.9 * rng.normal(size=3)
                queue.append((x - 1.5 * way, turn / np.linalg.norm(turn), radius * 0.74, length * 0.8))
    return np.asarray(points)


def abdomen(seed: int) -> Abdomen:
    """One random patient: another seed has another liver shape and other vessels."""
    rng = np.random.default_rng(seed)
    grid = _grid()
    x = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0).astype(np.float32)
    size = rng.normal(1, 0.05, 3)

    def ellipsoid(centre, radii):
        # A signed, roughly metric distance: positive inside.
        u = [(x[a] - centre[a]) / radii[a] for a in range(3)]
        r = np.sqrt(u[0] ** 2 + u[1] ** 2 + u[2] ** 2)
        return (1 - r) * float(np.mean(radii))

    wobble = ndimage.gaussian_filter(rng.normal(size=grid.shape), 12)
    wobble *= 4 / wobble.std()
    right = ellipsoid((-45, 0, 0), np.array((70, 68, 78)) * size)
    left = ellipsoid((25 + rng.normal(0, 5), -35, 25), np.array((72, 38, 38)) * rng.normal(1, 0.08, 3))
    kidney_dent = ellipsoid((-35, 65, -45), (32, 28, 50))
    liver_field = np.minimum(np.maximum(right, left) + wobble, -kidney_dent - 2)
    soft = lambda f: np.clip(f / STEP + 0.5, 0, 1).astype(np.float32)  # noqa: E731  # a one-line ramp
    liver = soft(liver_field)

    def inside(p):
        i = np.rint(grid.to_index(p)).astype(int)
        return bool(np.all(i >= 0) and np.all(i < grid.shape) and liver_field[tuple(i)] > 4)

    near = np.argwhere(liver > 0.5)
    core_points = grid.to_world(np.argwhere(liver_field > 10))
    vessels = []
    for root, aim in (((-10, 5, -15), (-1, 0, 0.2)), ((-12, 20, 60), (-0.7, -0.3, -0.6))):
        start = core_points[np.argmin(((core_points - root - rng.normal(0, 3, 3)) ** 2).sum(axis=1))]
        tree = _tree(rng, start, np.array(aim, float), inside)
        distance, nearest = cKDTree(tree[:, :3]).query(grid.to_world(near), distance_upper_bound=15)
        radius = np.append(tree[:, 3], 0.0)[nearest]
        field = np.zeros(grid.shape, dtype=np.float32)
        field[tuple(near.T)] = np.where(np.isfinite(distance), np.clip((radius - distance) / STEP + 0.5, 0, 1), 0)
        vessels.append(field * liver)
    lesions = np.zeros(grid.shape, dtype=np.float32)
    deep = np.argwhere(liver_field > 12)
    centres = grid.to_world(deep[rng.integers(0, len(deep), 8)])
    for centre, diameter in zip(centres, rng.uniform(5, 22, 8), strict=True):
        r = np.sqrt(sum((x[a] - centre[a]) ** 2 for a in range(3)))
        lesions = np.maximum(lesions, soft(diameter / 2 - r))
    body = soft(ellipsoid((0, 0, 0), (145, 108, 400)))
    organs = np.maximum(soft(ellipsoid((95, 35, 15), (32, 42, 55))), soft(kidney_dent))
    organs = np.maximum(organs, soft(ellipsoid((55, 60, -50), (28, 25, 50)))) * (1 - liver)
    bone = soft(ellipsoid((0, 85, 0), (20, 20, 400)))
    return Abdomen(liver, vessels[0], vessels[1], lesions, organs, body, bone, centres, grid)


@dataclass(frozen=True)
class Motion:
    """Moving (MR) points to fixed (CT) points: a rotation and shift, breathing, and smooth local motion."""

    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    centres: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    widths: NDArray[np.float64]

    def to_fixed(self, q: NDArray[np.float64]) -> NDArray[np.float64]:
        p = (np.atleast_2d(q) - self.shift) @ self.rotation
        move = np.zeros_like(p)
        for c, a, w in zip(self.centres, self.amplitudes, self.widths, strict=True):
            move += a * np.exp(-((p - c) ** 2).sum(axis=1) / (2 * w**2))[:, None]
        return p + move

    def to_moving(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        q = np.atleast_2d(p) @ self.rotation.T + self.shift
        for _ in range(60):
            q = q + (p - self.to_fixed(q)) @ self.rotation.T
        return q


def motion(seed: int, shift=(3.0, -4.0, 14.0), degrees: float = 3.0, local_mm: float = 5.0) -> Motion:
    """A known smooth motion; ``local_mm`` is the largest amplitude of each local bump."""
    rng = np.random.default_rng(1000 + seed)
    angle = np.deg2rad(rng.uniform(-degrees, degrees, 3))
    cx, cy, cz = np.cos(angle)
    sx, sy, sz = np.sin(angle)
    rotation = (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )
    n = 6
    centres = rng.uniform((-110, -60, -70), (60, 60, 70), (n, 3))
    amplitudes = rng.uniform(-local_mm, local_mm, (n, 3))
    return Motion(rotation, np.asarray(shift, dtype=np.float64), centres, amplitudes, rng.uniform(28, 45, n))


def _at(field: NDArray[np.float32], grid: Grid, points: NDArray[np.float64]) -> NDArray[np.float32]:
    return ndimage.map_coordinates(field, grid.to_index(points).T, order=1, mode="nearest", output=np.float32)


def _render(a: Abdomen, points, shape, levels, sigma, noise, rng) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    f = {
        n: _at(getattr(a, n), a.grid, points)
        for n in ("liver", "portal", "hepatic", "lesions", "organs", "body", "bone")
    }
    v = levels["air"] + (levels["fat"] - levels["air"]) * f["body"]
    for name in ("organs", "bone", "liver", "portal", "hepatic", "lesions"):
        v = v + (levels[name] - v) * f[name]
    image = ndimage.gaussian_filter(v.reshape(shape), sigma)
    grain = ndimage.gaussian_filter(rng.normal(size=shape), 0.7)
    return (image + noise * grain / grain.std()).astype(np.float32), (f["liver"] > 0.5).reshape(shape)


CT_NATIVE = {
    "air": -900,
    "fat": -90,
    "organs": 35,
    "bone": 300,
    "liver": 58,
    "portal": 38,
    "hepatic": 38,
    "lesions": 44,
}
CT_PORTAL = {
    "air": -900,
    "fat": -90,
    "organs": 140,
    "bone": 350,
    "liver": 110,
    "portal": 170,
    "hepatic": 160,
    "lesions": 80,
}
MR_HBP = {"air": 5, "fat": 60, "organs": 180, "bone": 60, "liver": 420, "portal": 170, "hepatic": 150, "lesions": 190}
MR_T2 = {"air": 5, "fat": 160, "organs": 330, "bone": 90, "liver": 120, "portal": 45, "hepatic": 40, "lesions": 300}


def ct(a: Abdomen, seed: int, levels=CT_NATIVE, noise: float = 11.0) -> tuple[Volume, Mask]:
    """The CT (fixed) at 2×2×3 mm, and the true liver."""
    shape = (int(EXTENT[0] / 2), int(EXTENT[1] / 2), int(EXTENT[2] / 3))
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -(np.asarray(shape) - 1) * np.array([2, 2, 3]) / 2
    grid = Grid(shape, affine, "1.2.3")
    points = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)).reshape(-1, 3)
    values, liver = _render(a, points, shape, levels, 0.4, noise, np.random.default_rng(seed))
    return Volume(values, grid, Unit.HOUNSFIELD), Mask(liver, grid)


def mr(a: Abdomen, m: Motion, seed: int, levels=MR_HBP, oblique: float = 6.0, centre=(0.0, 0.0, 0.0),
       spacing=(1.8, 1.8, 3.0), noise: float = 14.0, extent=(300, 230, 210)) -> tuple[Volume, Mask]:  # fmt: skip
    """The MR (moving) on an oblique grid around ``centre`` + the motion's shift, with a bias field."""
    rng = np.random.default_rng(5000 + seed)
    shape = tuple(int(e / s) for e, s in zip(extent, spacing, strict=True))
    t = np.deg2rad(oblique)
    turn = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * np.asarray(spacing)
    affine[:3, 3] = np.asarray(centre) + m.shift - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    grid = Grid(shape, affine, "4.5.6")
    points = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)).reshape(-1, 3)
    values, liver = _render(a, m.to_fixed(points), shape, levels, 0.4, 0.0, rng)
    u = np.moveaxis(np.indices(shape), 0, -1) / np.asarray(shape) - 0.5
    bias = np.exp(0.5 * u[..., 0] - 0.4 * u[..., 1] ** 2 + 0.3 * u[..., 2] * u[..., 0])
    return Volume((values * bias + noise * rng.normal(size=shape)).astype(np.float32), grid), Mask(liver, grid)


def imperfect(mask: Mask, seed: int, amplitude_mm: float = 3.0) -> Mask:
    """A mask with a smooth random boundary error of about ``amplitude_mm`` (one SD)."""
    rng = np.random.default_rng(seed)
    step = mask.grid.spacing
    distance = ndimage.distance_transform_edt(mask.values, step) - ndimage.distance_transform_edt(~mask.values, step)
    wobble = ndimage.gaussian_filter(rng.normal(size=mask.grid.shape), 14 / step)
    return Mask(distance + amplitude_mm * wobble / wobble.std() > 0, mask.grid)


def liver_points(mask: Mask, count: int, seed: int) -> NDArray[np.float64]:
    """Random LPS points inside the mask, shape (count, 3)."""
    at = np.argwhere(mask.values)
    return mask.grid.to_world(at[np.random.default_rng(seed).integers(0, len(at), count)])
