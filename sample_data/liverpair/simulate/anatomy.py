"""An upper abdomen drawn at random: wall, lungs, liver, vessels and neighbours as painted parts.

Frame: x to the patient's left, y to the back, z to the head, mm, origin at the middle of the abdomen about
the level of the porta hepatis. Parts are painted in order, a later part covers an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.simulate.space import Array, Space, capsule, coverage, ellipsoid, smooth_max, smooth_min, tube
from liverpair.simulate.texture import SmoothField
from liverpair.simulate.vessels import Segment, grow_tree, tree_distance

__all__ = ["CANONICAL_STEP_MM", "EXTENT_MM", "Anatomy", "Part", "draw_anatomy"]

#: Sample distance of the canonical anatomy: finer than every PET and CT voxel, near the MRI's in-plane PSF.
CANONICAL_STEP_MM = 1.6
#: Half extent of the canonical anatomy: the PET/CT's field of view and a margin for the motion.
EXTENT_MM = (184.0, 144.0, 136.0)
#: Step of the coarse lattice on which the liver is scaled to its volume.
SIZING_STEP_MM = 5.0
#: Territories a vessel tree supplies; enough to reach calibres that no modality resolves.
VESSEL_TARGETS = 90
#: Where a liver can be; organs outside this box never touch it.
LIVER_LOWER_MM = (-172.0, -118.0, -118.0)
LIVER_UPPER_MM = (128.0, 118.0, 100.0)
GALLBLADDER_TILT = (-28.0, 20.0, 0.0)
#: The liver's texture has a part that follows segments and one that follows sectors of perfusion.
TEXTURE_SCALES_MM = (45.0, 14.0)

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One painted tissue: the flat indices of the samples it touches and the fraction it covers of each.

    A tissue that is the same on every slice has ``index`` None and a fraction of shape (nx, ny, 1).
    """

    tissue: str
    index: NDArray[np.int64] | None
    fraction: Array


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Everything of one patient that does not depend on the modality.

    ``liver`` is the liver's coverage (with its lesions and inner vessels) on ``space``, ``depth`` the distance
    in mm below the capsule there (0 outside), ``vessel_distance`` the distance to the nearest vessel inside the
    liver's index box ``liver_box``, ``texture`` a unit-variance field at the liver part's samples.
    """

    space: Space
    parts: tuple[Part, ...]
    liver: Array
    depth: Array
    liver_box: Box
    vessel_distance: Array
    texture: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Habitus:
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

    @property
    def sx(self) -> float:
        """Organ positions scale with the body: left-right."""
        return self.a / 165.0

    @property
    def sy(self) -> float:
        """Organ positions scale with the body: front-back."""
        return self.b / 110.0


def _ring(space: Space, habitus: _Habitus) -> Array:
    """Radial distance to the skin (negative inside): a superellipse, the same on every slice."""
    x, y, _ = space.open()
    rho = np.sqrt(x * x + y * y) + np.float32(1e-3)
    level = (np.abs(x / habitus.a) ** 2.4 + np.abs((y - 4) / habitus.b) ** 2.4) ** np.float32(1 / 2.4)
    return np.asarray(rho - rho / (level + np.float32(1e-4)), dtype=np.float32)


def _diaphragm(space: Space, habitus: _Habitus) -> Array:
    """Height z of the diaphragm over (x, y), shape (nx, ny, 1)."""
    x, y, _ = space.open()
    y = y / habitus.sy
    steep = np.where(y > 0, np.float32(95.0) * (y / 92) ** 4, np.float32(48.0) * (y / 88) ** 2)
    right = habitus.right_dome - 62 * ((x / habitus.sx + 68) / 92) ** 2 - steep
    left = habitus.left_dome - 62 * ((x / habitus.sx - 72) / 92) ** 2 - steep
    tendon = habitus.right_dome - 20 - 70 * (x / habitus.sx / 92) ** 2 - steep
    domes = smooth_max(right.astype(np.float32), left.astype(np.float32), 10.0)
    return smooth_max(domes, tendon.astype(np.float32), 12.0)


def _liver(space: Space, habitus: _Habitus, growth: float) -> Array:
    """Distance to the liver at a given growth factor: two lobes, cut by its neighbours, wobbling."""
    x, y, z = space.open()
    sx, sy = habitus.sx, habitus.sy
    shift, scale = habitus.liver_shift, habitus.liver_scale * growth
    right = ellipsoid(
        space,
        (-66 * sx + shift[0], 2 * sy + shift[1], 4 + shift[2]),
        (72 * sx * scale[0], 74 * sy * scale[1], 88 * scale[2]),
        (0, 8, -6),
    )
    left = ellipsoid(
        space,
        (12 * sx + shift[0], -36 * sy + shift[1], 42 + shift[2]),
        tuple(habitus.left_lobe * growth),
        (0, -14, 8),
    )
    body = smooth_min(right, left, 16.0)
    body = body + np.float32(3.5) * habitus.wobble.on(space)
    visceral = (-34 + shift[2] + np.float32(0.72) * (x / sx + 20) - z) * np.float32(0.8)
    posterior = (y / sy - (30 - np.float32(0.55) * x / sx)) * np.float32(0.88)
    body = smooth_max(body, visceral.astype(np.float32), 14.0)
    body = smooth_max(body, posterior.astype(np.float32), 10.0)
    cavity = _ring(space, habitus) + np.float32(habitus.fat + habitus.muscle + 1.5)
    body = smooth_max(body, np.broadcast_to(cavity, space.shape), 6.0)
    body = smooth_max(body, (z - _diaphragm(space, habitus) + 2.5).astype(np.float32), 6.0)
    fissure = capsule(space, (-14 * sx, -75 * sy, -5), (-8 * sx, -20 * sy, 12), 4.5, 2.0)
    return np.asarray(smooth_max(body, -fissure, 5.0), dtype=np.float32)


def _liver_without_neighbours(space: Space, habitus: _Habitus, growth: float) -> Array:
    """The liver less what presses into it: right kidney, vena cava, gallbladder."""
    sx, sy = habitus.sx, habitus.sy
    liver = _liver(space, habitus, growth)
    kidney = ellipsoid(space, habitus.right_kidney, (33, 31, 60), (6, 10, -25))
    groove = tube(space, _cava(habitus), 11.5)
    centre, radii = habitus.gallbladder
    bile = ellipsoid(space, centre * [sx, sy, 1], radii + 1.5, GALLBLADDER_TILT)
    for neighbour in (kidney, groove, bile):
        liver = np.maximum(liver, -neighbour)
    return liver


def _cava(habitus: _Habitus) -> NDArray[np.float64]:
    """Course of the inferior vena cava, (n, 3) mm."""
    path = [[-18, 34, -140], [-20, 33, -40], [-24, 32, 10], [-20, 30, 60], [-8, 10, 100]]
    return np.array(path, dtype=np.float64) * [habitus.sx, habitus.sy, 1]


def _growth(space: Space, habitus: _Habitus, volume_ml: float) -> float:
    """The growth factor that gives the liver its volume, within what the cavity allows."""
    coarse = Space.spanning(
        (space.x[0], space.y[0], space.z[0]), (space.x[-1], space.y[-1], space.z[-1]), SIZING_STEP_MM
    )
    low, high = 0.7, 1.6
    for _ in range(8):
        middle = (low + high) / 2
        liver = _liver_without_neighbours(coarse, habitus, middle)
        size = np.count_nonzero(liver < 0) * SIZING_STEP_MM**3 / 1000
        low, high = (middle, high) if size < volume_ml else (low, middle)
    return (low + high) / 2


class _Painter:
    """Collects parts; each is drawn only in the index box where its organ can be."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.parts: list[Part] = []

    def paint(self, tissue: str, distance: Array, box: Box | None = None) -> None:
        """Add a tissue by its distance on the whole space or on an index box."""
        fraction = coverage(distance, self.space.step)
        if box is None and distance.shape[2] == 1:
            self.parts.append(Part(tissue, None, fraction))
            return
        starts = (0, 0, 0) if box is None else tuple(b.start for b in box)
        local = np.nonzero(fraction)
        where = [n + start for n, start in zip(local, starts, strict=True)]
        index = np.ravel_multi_index((where[0], where[1], where[2]), self.space.shape)
        self.parts.append(Part(tissue, index, fraction[local]))

    def ellipsoid(
        self,
        tissue: str,
        centre: NDArray[np.float64],
        radii: NDArray[np.float64],
        degrees: tuple[float, float, float] = (0, 0, 0),
        limit: Array | None = None,
        wobble: SmoothField | None = None,
    ) -> None:
        """Add an ellipsoid, kept inside ``limit`` (a distance), optionally wobbling by 2 mm."""
        reach = float(np.max(radii)) + 6
        box = self.space.window(centre - reach, centre + reach)
        sub = self.space.sub(box)
        distance = ellipsoid(sub, centre, radii, degrees)
        if wobble is not None:
            distance = distance + np.float32(2.0) * wobble.on(sub)
        if limit is not None:
            inside = limit[tuple(b if n > 1 else slice(None) for b, n in zip(box, limit.shape, strict=True))]
            distance = np.maximum(distance, inside)
        self.paint(tissue, distance, box)

    def tube(self, tissue: str, path: NDArray[np.float64], radius: float, limit: Array | None = None) -> None:
        """Add a bent tube along ``path`` (n, 3)."""
        box = self.space.window(path.min(axis=0) - radius - 4, path.max(axis=0) + radius + 4)
        distance = tube(self.space.sub(box), path, radius)
        if limit is not None:
            inside = limit[tuple(b if n > 1 else slice(None) for b, n in zip(box, limit.shape, strict=True))]
            distance = np.maximum(distance, inside)
        self.paint(tissue, distance, box)


def _habitus(rng: np.random.Generator, space: Space) -> _Habitus:
    a, b = rng.uniform(152, 172), rng.uniform(102, 120)
    return _Habitus(
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


def _paint_wall(painter: _Painter, habitus: _Habitus, ring: Array, diaphragm: Array) -> Array:
    """Fat, muscle, ribs, visceral fat, lungs; returns the distance to the inner cavity (nx, ny, 1)."""
    space = painter.space
    x, y, z = space.open()
    couch = np.abs(y - np.float32(habitus.b + 11) + (x / 62) ** 2) - np.float32(2.0)
    painter.paint("couch", np.maximum(couch, np.abs(x) - 170))
    painter.paint("fat", ring)
    thickness = habitus.fat * (1 + 0.25 * np.cos(2 * np.arctan2(y, x))).astype(np.float32)
    painter.paint("muscle", ring + thickness)
    cavity = np.asarray(ring + np.float32(habitus.fat + habitus.muscle), dtype=np.float32)
    spacing, slope = np.float32(31.0), np.float32(0.95)
    height = (z - habitus.ribs_from - slope * y + 15) % spacing - 15
    rib = np.sqrt(((cavity - 4.5) / np.float32(0.75)) ** 2 + (height / np.float32(1.9)) ** 2) - np.float32(4.6)
    arch = (-70 - np.float32(0.75) * y - z) * np.float32(0.8)  # no ribs below the costal arch
    front = np.float32(18) - np.abs(x) - np.maximum(y + 40, 0)  # the sternum's gap
    painter.paint("bone", np.maximum(np.maximum(rib, arch), front))
    painter.paint("visceral_fat", cavity)
    lungs = np.maximum(cavity + 1.5, diaphragm - z)
    painter.paint("lung", lungs)
    return cavity


def _paint_spine(painter: _Painter, rng: np.random.Generator, habitus: _Habitus) -> None:
    sx, sy = habitus.sx, habitus.sy
    space = painter.space
    for side in (-1, 1):
        painter.ellipsoid("muscle", np.array([side * 34 * sx, 84 * sy, 0]), np.array([26 * sx, 17 * sy, 400]))
        painter.ellipsoid("muscle", np.array([side * 38 * sx, 56 * sy, -130]), np.array([17, 15, 90]))
        painter.ellipsoid("muscle", np.array([side * 17 * sx, 40 * sy, 20]), np.array([7, 14, 70]), (0, side * 8, 0))
    centre = np.array([0.0, 58 * sy])
    first = rng.uniform(-30, 0)
    box = space.window((-60, centre[1] - 30, -200), (60, centre[1] + 50, 200))
    sub = space.sub(box)
    x, y, z = sub.open()
    radius = np.sqrt((x / 22) ** 2 + ((y - centre[1]) / 17) ** 2)
    level = np.abs((z - first + 15) % 31 - 15)
    waist = np.float32(1.0) + np.float32(0.002) * level**2 * np.float32(0.25)
    column = np.asarray((radius / waist - 1) * 17, dtype=np.float32)
    column = np.broadcast_to(column, sub.shape)
    painter.paint("bone", column, box)
    painter.paint("marrow", column + np.float32(2.2), box)
    painter.paint("disc", np.maximum(column, level * -1 + np.float32(12.5)), box)
    arch = np.sqrt(x**2 + (y - centre[1] - 25) ** 2) - np.float32(13.0)
    painter.paint("bone", np.broadcast_to(arch, sub.shape).astype(np.float32), box)
    spinous = np.maximum(np.abs(x) - 4, np.abs(y - centre[1] - 38) - 14) + np.maximum(level - 9, 0)
    painter.paint("bone", spinous.astype(np.float32), box)
    canal = np.sqrt((x / 1.15) ** 2 + (y - centre[1] - 24) ** 2) - np.float32(8.5)
    painter.paint("csf", np.broadcast_to(canal, sub.shape).astype(np.float32), box)
    cord = np.sqrt(x**2 + (y - centre[1] - 24) ** 2) - np.float32(4.5)
    painter.paint("cord", np.broadcast_to(cord, sub.shape).astype(np.float32), box)


def _paint_bowel(painter: _Painter, rng: np.random.Generator, habitus: _Habitus, limit: Array) -> None:
    """Colon and small bowel below the liver, with stool, fluid or gas inside."""
    sx, sy = habitus.sx, habitus.sy
    colon = np.array(
        [
            [-98, 18, -136],
            [-100, 8, -112],
            [-88, -22, -98],
            [-52, -56, -92],
            [-10, -66, -84],
            [35, -62, -70],
            [78, -38, -38],
            [102, 8, -24],
            [108, 26, -70],
            [106, 30, -136],
        ],
        dtype=float,
    )
    colon = colon * [sx, sy, 1] + rng.normal(0, 4, colon.shape)
    painter.tube("bowel_wall", colon, 19.0, limit)
    for n in range(len(colon) - 1):
        content = rng.choice(["stool", "gas", "stool", "fluid"])
        piece = colon[n : n + 2]
        painter.tube(content, piece, float(rng.uniform(11, 16.5)), limit)
    for _ in range(9):
        start = np.array([rng.uniform(-60, 70) * sx, rng.uniform(-50, 25) * sy, rng.uniform(-135, -80)])
        steps = np.cumsum(rng.normal(0, 17, (4, 3)), axis=0)
        steps[:, 2] = np.minimum(steps[:, 2], -78 - start[2] + 0 * steps[:, 2])
        loop = np.vstack([start, start + steps])
        painter.tube("bowel_wall", loop, 12.5, limit)
        painter.tube(rng.choice(["fluid", "chyme", "chyme", "gas"]), loop, float(rng.uniform(7.5, 10.0)), limit)


def _paint_stomach(painter: _Painter, rng: np.random.Generator, habitus: _Habitus, limit: Array) -> None:
    sx, sy = habitus.sx, habitus.sy
    space = painter.space
    box = space.window((-30, -110, -80), (150, 90, 110))
    sub = space.sub(box)
    fundus = ellipsoid(sub, (68 * sx, 6 * sy, 36), (36 * sx, 40 * sy, 32), (15, 0, 0))
    corpus = ellipsoid(sub, (60 * sx, -34 * sy, 2), (30 * sx, 28 * sy, 42), (25, -18, 0))
    antrum = ellipsoid(sub, (20 * sx, -42 * sy, -34), (42 * sx, 19 * sy, 18), (0, -22, 0))
    stomach = smooth_min(smooth_min(fundus, corpus, 20.0), antrum, 14.0)
    stomach = np.maximum(stomach, limit[box])
    painter.paint("stomach_wall", stomach, box)
    inside = stomach + np.float32(rng.uniform(4.0, 6.0))
    painter.paint("stomach_content", inside, box)
    y = sub.open()[1]
    surface = np.float32(rng.uniform(-58, -30) * sy)
    painter.paint("gas", np.maximum(inside, np.broadcast_to(y - surface, sub.shape)).astype(np.float32), box)


def _paint_kidney(painter: _Painter, side: str, centre: NDArray[np.float64], rng: np.random.Generator) -> None:
    sign = 1.0 if side == "left" else -1.0
    radii = np.array([28.0, 26.0, 54.0]) * rng.uniform(0.92, 1.06)
    tilt = (6.0, sign * -10.0, sign * 25.0)
    painter.ellipsoid("kidney", centre, radii, tilt)
    painter.ellipsoid("medulla", centre - np.array([sign * 3, 0, 0]), radii * [0.68, 0.62, 0.78], tilt)
    painter.ellipsoid("visceral_fat", centre - np.array([sign * 12, 3, 0]), radii * [0.55, 0.42, 0.55], tilt)
    painter.ellipsoid("urine", centre - np.array([sign * 13, 3, 0]), radii * [0.3, 0.22, 0.32], tilt)


def _portal_hilum(habitus: _Habitus) -> NDArray[np.float64]:
    return np.array([-26.0 * habitus.sx, 2.0 * habitus.sy, 2.0 + habitus.liver_shift[2]])


def _vessel_trees(
    rng: np.random.Generator, habitus: _Habitus, inside: NDArray[np.float64]
) -> tuple[list[Segment], list[Segment]]:
    """Portal tree from the hilum and three hepatic veins from the caval confluence; ``inside`` (n, 3) liver points."""
    picked = inside[rng.integers(0, len(inside), VESSEL_TARGETS)]
    portal = grow_tree(rng, _portal_hilum(habitus), picked, 6.0)
    confluence = np.array([-20 * habitus.sx, 32 * habitus.sy, habitus.right_dome - 26.0])
    targets = inside[rng.integers(0, len(inside), VESSEL_TARGETS)]
    angle = np.arctan2(-(targets[:, 1] - confluence[1]), targets[:, 0] - confluence[0])  # 0 = left, π = right
    veins: list[Segment] = []
    for low, high in ((-4.0, 1.35), (1.35, 2.25), (2.25, 4.0)):
        group = targets[(angle >= low) & (angle < high)]
        if len(group) > 2:
            veins += grow_tree(rng, confluence, group, 4.6)
    return portal, veins


def draw_anatomy(rng: np.random.Generator, volume_ml: float) -> Anatomy:
    """Draw a patient whose liver has about ``volume_ml``."""
    space = Space.spanning([-e for e in EXTENT_MM], EXTENT_MM, CANONICAL_STEP_MM)
    habitus = _habitus(rng, space)
    sx, sy = habitus.sx, habitus.sy
    painter = _Painter(space)
    ring, diaphragm = _ring(space, habitus), _diaphragm(space, habitus)
    cavity = _paint_wall(painter, habitus, ring, diaphragm)
    limit = np.maximum(cavity + np.float32(1.0), space.open()[2] - diaphragm + np.float32(2.0))
    _paint_spine(painter, rng, habitus)
    heart = np.array([30 * sx, -22 * sy, 112 + rng.uniform(-4, 6)])
    painter.ellipsoid(
        "heart",
        heart,
        np.array([62 * sx, 48 * sy, 46]),
        (0, 12, 20),
        np.broadcast_to(cavity + 2, space.shape),
    )
    painter.ellipsoid("blood", heart + np.array([12, 0, 6]), np.array([32 * sx, 26 * sy, 28]), (0, 12, 20))
    spleen = np.array([98 * sx, 36 * sy, 32 + rng.uniform(-6, 6)])
    painter.ellipsoid(
        "spleen",
        spleen,
        np.array([26, 48, 50]) * rng.uniform(0.88, 1.1),
        (18, 12, -28),
        limit,
        habitus.wobble,
    )
    _paint_bowel(painter, rng, habitus, limit)
    _paint_stomach(painter, rng, habitus, limit)
    _paint_kidney(painter, "right", habitus.right_kidney, rng)
    _paint_kidney(painter, "left", np.array([62 * sx, 50 * sy, -30 + rng.uniform(-8, 8)]), rng)
    pancreas = np.array([[-24, 6, -52], [-18, -8, -34], [4, -16, -18], [36, -2, -6], [66, 18, 6], [80, 26, 14]]) * [
        sx,
        sy,
        1,
    ]
    painter.tube("pancreas", pancreas, 9.5)
    painter.ellipsoid("uncinate", pancreas[0] + np.array([2, 6, -4]), np.array([12, 9, 13.0]))
    duodenum = np.array([[-8, -30, -34], [-34, -18, -36], [-42, 8, -52], [-38, 14, -78], [0, 14, -86]]) * [
        sx,
        sy,
        1,
    ]
    painter.tube("bowel_wall", duodenum, 11.0)
    painter.tube("chyme", duodenum, 7.5)
    for side in (-1, 1):
        gland = np.array([side * 40 * sx - 3, 38 * sy, -2])
        painter.ellipsoid("adrenal", gland, np.array([4, 11, 15.0]), (0, 0, side * 25))
        painter.ellipsoid("adrenal", gland + np.array([side * -6, 3, -4]), np.array([3.5, 9, 12.0]), (0, 0, side * -30))
    box, vessels = _paint_liver_region(painter, rng, habitus, volume_ml)
    return _finished(painter, rng, box, vessels)


def _paint_liver_region(
    painter: _Painter, rng: np.random.Generator, habitus: _Habitus, volume_ml: float
) -> tuple[Box, Array]:
    """Liver, its vessels, gallbladder and great vessels; returns the liver's box and the vessels' coverage in it."""
    space, sx, sy = painter.space, habitus.sx, habitus.sy
    window = space.window(LIVER_LOWER_MM, LIVER_UPPER_MM)
    liver = _liver_without_neighbours(space.sub(window), habitus, _growth(space, habitus, volume_ml))
    bounds = np.argwhere(liver < 3)
    start, stop = bounds.min(axis=0), bounds.max(axis=0) + 1
    liver = liver[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    first = [int(w.start + a) for w, a in zip(window, start, strict=True)]
    box = tuple(slice(a, a + n) for a, n in zip(first, liver.shape, strict=True))
    box = (box[0], box[1], box[2])
    painter.paint("liver", liver, box)
    sub = space.sub(box)
    inside = np.argwhere(liver < -6)
    points = np.column_stack([axis[inside[:, n]] for n, axis in enumerate((sub.x, sub.y, sub.z))])
    portal, veins = (tree_distance(sub, tree) for tree in _vessel_trees(rng, habitus, points))
    painter.paint("portal_vein", portal, box)
    painter.paint("hepatic_vein", veins, box)
    entry = np.array([[4 * sx, 4 * sy, -40], [-12 * sx, 2 * sy, -18]])
    painter.tube("portal_vein", np.vstack([entry, _portal_hilum(habitus)]), 6.5)
    painter.tube("blood", _cava(habitus), 10.5)
    aorta = np.array([[14, 34, -140], [13, 34, 0], [12, 40, 140]], dtype=np.float64) * [sx, sy, 1]
    painter.tube("blood", aorta, 10.5)
    centre, radii = habitus.gallbladder
    painter.ellipsoid("gallbladder", centre * [sx, sy, 1], radii, GALLBLADDER_TILT)
    return box, coverage(np.minimum(portal, veins), space.step)


def _finished(painter: _Painter, rng: np.random.Generator, box: Box, vessels: Array) -> Anatomy:
    """Liver coverage, depth and texture from the painted parts; great vessels and gallbladder are not liver."""
    space = painter.space
    first = next(n for n, part in enumerate(painter.parts) if part.tissue == "liver")
    liver = np.zeros(space.shape, dtype=np.float32)
    flat = liver.reshape(-1)
    flat[painter.parts[first].index] = painter.parts[first].fraction
    for later in painter.parts[first + 4 :]:
        flat[later.index] = np.minimum(flat[later.index], 1 - later.fraction)
    depth = np.zeros(space.shape, dtype=np.float32)
    depth[box] = ndimage.distance_transform_edt(liver[box] >= 0.5, sampling=space.step)
    distance = ndimage.distance_transform_edt(vessels < 0.5, sampling=space.step).astype(np.float32)
    sub = space.sub(box)
    coarse, fine = (SmoothField.drawn(rng, sub, scale).on(sub) for scale in TEXTURE_SCALES_MM)
    texture = np.zeros(space.shape, dtype=np.float32)
    texture[box] = np.float32(0.8) * coarse + np.float32(0.6) * fine
    return Anatomy(
        space, tuple(painter.parts), liver, depth, box, distance, texture.reshape(-1)[painter.parts[first].index]
    )
