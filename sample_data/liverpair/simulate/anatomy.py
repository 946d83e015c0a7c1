"""An upper abdomen drawn at random: wall, lungs, liver, vessels and neighbours as painted parts.

Frame: x to the patient's left, y to the back, z to the head, mm, origin at the middle of the abdomen about
the level of the porta hepatis. Parts are painted in order, a later part covers an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.simulate.disease import HEALTHY, LiverDisease
from liverpair.simulate.habitus import (
    GALLBLADDER_TILT,
    Habitus,
    cava_course,
    diaphragm_height,
    draw_habitus,
    growth_for_volume,
    liver_distance,
    skin_distance,
)
from liverpair.simulate.painter import Box, Painter, Part
from liverpair.simulate.space import Array, Space, coverage, ellipsoid, smooth_min
from liverpair.simulate.texture import SmoothField
from liverpair.simulate.vessels import Segment, grow_tree, tree_distance

__all__ = ["CANONICAL_STEP_MM", "EXTENT_MM", "Anatomy", "draw_anatomy"]

#: Sample distance of the canonical anatomy: finer than every PET and CT voxel, near the MRI's in-plane PSF.
CANONICAL_STEP_MM = 1.6
#: Half extent of the canonical anatomy: the PET/CT's field of view and a margin for the motion.
EXTENT_MM = (184.0, 144.0, 136.0)
#: Territories a vessel tree supplies; enough to reach calibres that no modality resolves.
VESSEL_TARGETS = 90
#: Where a liver can be; organs outside this box never touch it.
LIVER_LOWER_MM = (-172.0, -118.0, -118.0)
LIVER_UPPER_MM = (128.0, 118.0, 100.0)
#: The liver's texture has a part that follows segments and one that follows sectors of perfusion.
TEXTURE_SCALES_MM = (45.0, 14.0)
#: Distance between the nodules of a cirrhotic surface.
NODULE_SCALE_MM = 12.0


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


def _paint_wall(painter: Painter, habitus: Habitus, ring: Array, diaphragm: Array) -> Array:
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


def _paint_spine(painter: Painter, rng: np.random.Generator, habitus: Habitus) -> None:
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


def _paint_bowel(painter: Painter, rng: np.random.Generator, habitus: Habitus, limit: Array) -> None:
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


def _paint_stomach(painter: Painter, rng: np.random.Generator, habitus: Habitus, limit: Array) -> None:
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


def _paint_kidney(painter: Painter, side: str, centre: NDArray[np.float64], rng: np.random.Generator) -> None:
    sign = 1.0 if side == "left" else -1.0
    radii = np.array([28.0, 26.0, 54.0]) * rng.uniform(0.92, 1.06)
    tilt = (6.0, sign * -10.0, sign * 25.0)
    painter.ellipsoid("kidney", centre, radii, tilt)
    painter.ellipsoid("medulla", centre - np.array([sign * 3, 0, 0]), radii * [0.68, 0.62, 0.78], tilt)
    painter.ellipsoid("visceral_fat", centre - np.array([sign * 12, 3, 0]), radii * [0.55, 0.42, 0.55], tilt)
    painter.ellipsoid("urine", centre - np.array([sign * 13, 3, 0]), radii * [0.3, 0.22, 0.32], tilt)


def _portal_hilum(habitus: Habitus) -> NDArray[np.float64]:
    return np.array([-26.0 * habitus.sx, 2.0 * habitus.sy, 2.0 + habitus.liver_shift[2]])


def _vessel_trees(
    rng: np.random.Generator, habitus: Habitus, inside: NDArray[np.float64]
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


def _paint_heart_and_spleen(
    painter: Painter, rng: np.random.Generator, habitus: Habitus, cavity: Array, limit: Array
) -> None:
    """The heart with its blood within the chest's wall (``cavity``), the spleen within the abdomen (``limit``)."""
    space, sx, sy = painter.space, habitus.sx, habitus.sy
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


def _left_kidney(rng: np.random.Generator, habitus: Habitus) -> NDArray[np.float64]:
    """Where the left kidney's middle lies, mm."""
    return np.array([62 * habitus.sx, 50 * habitus.sy, -30 + rng.uniform(-8, 8)])


def _paint_retroperitoneum(painter: Painter, habitus: Habitus) -> None:
    """Pancreas, duodenum and adrenal glands."""
    sx, sy = habitus.sx, habitus.sy
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


def draw_anatomy(rng: np.random.Generator, volume_ml: float, disease: LiverDisease = HEALTHY) -> Anatomy:
    """Draw a patient whose liver has about ``volume_ml``; a disease changes nobody's other random numbers."""
    space = Space.spanning([-e for e in EXTENT_MM], EXTENT_MM, CANONICAL_STEP_MM)
    habitus = draw_habitus(rng, space)
    if disease != HEALTHY:
        nodules = SmoothField.drawn(np.random.default_rng(int(1000 * habitus.a)), space, NODULE_SCALE_MM)
        habitus = replace(habitus, disease=disease, nodules=nodules if disease.cirrhosis > 0 else None)
    painter = Painter(space)
    ring, diaphragm = skin_distance(space, habitus), diaphragm_height(space, habitus)
    cavity = _paint_wall(painter, habitus, ring, diaphragm)
    limit = np.maximum(cavity + np.float32(1.0), space.open()[2] - diaphragm + np.float32(2.0))
    _paint_spine(painter, rng, habitus)
    _paint_heart_and_spleen(painter, rng, habitus, cavity, limit)
    _paint_bowel(painter, rng, habitus, limit)
    _paint_stomach(painter, rng, habitus, limit)
    _paint_kidney(painter, "right", habitus.right_kidney, rng)
    _paint_kidney(painter, "left", _left_kidney(rng, habitus), rng)
    _paint_retroperitoneum(painter, habitus)
    box, vessels = _paint_liver_region(painter, rng, habitus, volume_ml)
    return _finished(painter, rng, box, vessels)


def _paint_liver_region(
    painter: Painter, rng: np.random.Generator, habitus: Habitus, volume_ml: float
) -> tuple[Box, Array]:
    """Liver, its vessels, gallbladder and great vessels; returns the liver's box and the vessels' coverage in it."""
    space, sx, sy = painter.space, habitus.sx, habitus.sy
    window = space.window(LIVER_LOWER_MM, LIVER_UPPER_MM)
    liver = liver_distance(space.sub(window), habitus, growth_for_volume(space, habitus, volume_ml))
    if habitus.disease.ascites_mm > 0:
        painter.paint("fluid", _ascites(space.sub(window), habitus, liver), window)
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
    painter.tube("blood", cava_course(habitus), 10.5)
    aorta = np.array([[14, 34, -140], [13, 34, 0], [12, 40, 140]], dtype=np.float64) * [sx, sy, 1]
    painter.tube("blood", aorta, 10.5)
    centre, radii = habitus.gallbladder
    painter.ellipsoid("gallbladder", centre * [sx, sy, 1], radii, GALLBLADDER_TILT)
    return box, coverage(np.minimum(portal, veins), space.step)


def _ascites(space: Space, habitus: Habitus, liver: Array) -> Array:
    """Distance to the fluid around the liver: within the peritoneum and below the diaphragm."""
    fluid = liver - np.float32(1.5 * habitus.disease.ascites_mm)
    wall = skin_distance(space, habitus) + np.float32(habitus.fat + habitus.muscle + 1.0)
    roof = space.open()[2] - diaphragm_height(space, habitus) + np.float32(2.0)
    return np.asarray(np.maximum(np.maximum(fluid, wall), roof), dtype=np.float32)


def _finished(painter: Painter, rng: np.random.Generator, box: Box, vessels: Array) -> Anatomy:
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
