"""The outer border of uneven MR lesions: darker and brighter cores, neighbours that touch, the liver's edge, noise."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Detection, Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_outline import grown_to_half, outer_outline, smooth_within
from liverpair.segment.mr_regions import MrRegion, paint_regions
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SPACING = np.array((1.35, 1.35, 3.0))
SHAPE = (56, 56, 26)
MIDDLE = (28, 28, 13)
NOISE = 0.05
#: Centre (mm), diameter (mm), contrast; painted in this order.
Ball = tuple[tuple[float, float, float], float, float]


def ball(centre: tuple[float, float, float], diameter: float) -> NDArray[np.float64]:
    """The share of every voxel of the phantom within a ball (centre in mm from the phantom's middle)."""
    fine = 3
    total = np.zeros(SHAPE)
    for offset in np.ndindex(fine, fine, fine):
        inside = (np.asarray(offset) + 0.5) / fine - 0.5
        places = [
            (np.arange(n) - m + o) * h - c for n, m, o, h, c in zip(SHAPE, MIDDLE, inside, SPACING, centre, strict=True)
        ]
        x, y, z = np.meshgrid(*places, indexing="ij")
        total += x**2 + y**2 + z**2 <= (diameter / 2) ** 2
    return total / fine**3


def phantom(balls: list[Ball], seed: int, noise: float = NOISE) -> NDArray[np.float32]:
    """Contrast to the liver of balls painted one over the other, blurred by the voxel's point spread, with noise."""
    image = np.zeros(SHAPE)
    for centre, diameter, contrast in balls:
        share = ball(centre, diameter)
        image = image * (1 - share) + contrast * share
    image = gaussian_filter(image, 0.5) + noise * np.random.default_rng(seed).standard_normal(SHAPE)
    return image.astype(np.float32)


def diameter_of(region: NDArray[np.bool_]) -> float:
    return float((6 / np.pi * np.count_nonzero(region) * np.prod(SPACING)) ** (1 / 3))


def outlined(balls: list[Ball], core: Ball, seed: int, noise: float = NOISE) -> NDArray[np.bool_] | None:
    """What outer_outline makes of the core's own half-level region."""
    everywhere = np.ones(SHAPE, dtype=bool)
    image = phantom(balls, seed, noise)
    region = (ball(core[0], core[1]) > 0.5) & everywhere
    seed_at = tuple(int(m + round(c / h)) for m, c, h in zip(MIDDLE, core[0], SPACING, strict=True))
    place = (seed_at[0], seed_at[1], seed_at[2])
    return outer_outline(region, place, image, core[2], everywhere, noise, SPACING)


@pytest.mark.parametrize("diameter", [22.0, 30.0, 36.0])
@pytest.mark.parametrize("off", [0.0, 2.5])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_ball_with_a_darker_core_is_outlined_at_its_outer_border(diameter: float, off: float, noise: float) -> None:
    core: Ball = ((off, 0.0, 0.0), 0.55 * diameter, 0.85)
    whole = outlined([((0.0, 0.0, 0.0), diameter, 0.45), core], core, 1, noise)
    assert whole is not None
    assert diameter_of(whole) == pytest.approx(diameter, abs=0.8)


@pytest.mark.parametrize("diameter", [16.0, 24.0, 36.0])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_an_even_ball_keeps_its_outline(diameter: float, noise: float) -> None:
    even: Ball = ((0.0, 0.0, 0.0), diameter, 0.5)
    assert outlined([even], even, 2, noise) is None


@pytest.mark.parametrize("apart", [20.0, 17.0])
def test_a_fainter_neighbour_that_touches_is_no_rim(apart: float) -> None:
    dark: Ball = ((0.0, 0.0, 0.0), 20.0, 0.85)
    assert outlined([((apart, 0.0, 0.0), 20.0, 0.42), dark], dark, 3) is None


def test_shaded_liver_around_an_even_ball_is_no_rim() -> None:
    even: Ball = ((0.0, 0.0, 0.0), 20.0, 0.6)
    assert outlined([((0.0, 0.0, 0.0), 60.0, 0.1), even], even, 4) is None


def test_a_region_that_came_free_high_grows_to_half_its_contrast_and_not_into_the_neighbour() -> None:
    alone: Ball = ((0.0, 0.0, 0.0), 18.0, 1.0)
    liver = np.ones(SHAPE, dtype=bool)
    liver[MIDDLE[0] + 8 :] = False  # the mask took a rim of the neighbour
    scale = np.array((1.5, 1.5, 1.5))
    relative = smooth_within(phantom([((26.0, 0.0, 0.0), 30.0, 1.0), alone], 5, 0.0), liver, scale)
    free = smooth_within(phantom([alone], 5, 0.0), liver, scale)
    relative, free = relative / free[MIDDLE], free / free[MIDDLE]
    high = (free >= 0.8) & liver
    grown = grown_to_half(high, 0.8, relative, liver, scale)
    assert diameter_of(high) < 14.0
    assert diameter_of(grown) == pytest.approx(diameter_of(free >= 0.5), abs=0.6)
    assert not np.any(grown & ~liver)
    assert np.array_equal(grown_to_half(grown, 0.5, relative, liver, scale), grown)


HALF = np.array((56.0, 46.0, 40.0))
#: role → (step mm, liver level, noise fraction)
ROLES = {
    "mr-hbp": ((1.35, 1.35, 3.0), 300.0, 0.05),
    "mr-t2": ((1.5, 1.5, 5.0), 120.0, 0.08),
    "mr-dwi": ((2.4, 2.4, 5.0), 60.0, 0.1),
}


def examination(balls: list[tuple[tuple[float, float, float], float, dict[str, float]]]) -> Detection:
    """What is found in an ellipsoid liver with these balls: centre (LPS mm), diameter (mm), signal against the liver's
    by role."""
    images = {}
    for number, (role, (step, level, noise)) in enumerate(ROLES.items()):
        spacing = np.array(step)
        shape = tuple(int(n) for n in np.ceil(2 * (HALF + 12) / spacing))
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = -(HALF + 12) + spacing / 2
        grid = Grid((shape[0], shape[1], shape[2]), affine)
        lps = grid.to_world(np.indices(shape).transpose(1, 2, 3, 0))
        inside = ((lps / HALF) ** 2).sum(axis=-1) < 1
        image = np.where(inside, 1.0, 0.35)
        for centre, diameter, signals in balls:
            distance = np.linalg.norm(lps - np.array(centre), axis=-1)
            share = np.clip((diameter / 2 - distance) / spacing.min() + 0.5, 0, 1)
            image = image * (1 - share) + signals[role] * share
        rng = np.random.default_rng([7, number])
        image = gaussian_filter(image, 0.5) + noise * rng.standard_normal(shape)
        images[role] = Volume((level * np.maximum(image, 0)).astype(np.float32), grid)
        if role == "mr-hbp":
            liver = Mask(inside, grid)
    return detect_mr(images, liver)


CELLS = {"mr-hbp": 0.5, "mr-t2": 2.0, "mr-dwi": 2.6}
FLUID = {"mr-hbp": 0.15, "mr-t2": 4.5, "mr-dwi": 0.9}
SCAR = {"mr-hbp": 0.8, "mr-t2": 1.8, "mr-dwi": 2.2}
BRIGHT = {"mr-hbp": 1.0, "mr-t2": 2.4, "mr-dwi": 2.0}


def metastases(found: Detection) -> list[tuple[NDArray[np.float64], float]]:
    """Centre and mask diameter of what is called a metastasis at even odds or better."""
    voxel = found.labels.grid.voxel_volume_mm3
    return [
        (c.centre_lps, float((6 / np.pi * np.count_nonzero(found.labels.values == c.label) * voxel) ** (1 / 3)))
        for c in found.candidates
        if c.confidence >= 0.5 and c.nature is Nature.METASTASIS
    ]


@pytest.mark.parametrize(
    ("core", "share", "off"),
    [(FLUID, 0.55, 0.0), (FLUID, 0.7, 0.0), (FLUID, 0.5, 3.0), (SCAR, 0.5, 0.0), (BRIGHT, 0.4, 0.0)],
)
def test_a_target_is_one_lesion_with_its_outer_border(core: dict[str, float], share: float, off: float) -> None:
    where = (6.0, -3.0, 2.0)
    found = metastases(examination([(where, 32.0, CELLS), ((6.0 + off, -3.0, 2.0), 32.0 * share, core)]))
    assert len(found) == 1
    assert np.linalg.norm(found[0][0] - where) < 2.0
    assert found[0][1] == pytest.approx(32.0, abs=1.5)


def test_two_balls_that_touch_stay_two() -> None:
    found = metastases(examination([((-10.0, 0.0, 0.0), 20.0, CELLS), ((10.0, 0.0, 0.0), 20.0, CELLS)]))
    assert len(found) == 2
    assert all(diameter == pytest.approx(20.0, abs=1.5) for _, diameter in found)


def test_a_target_and_an_even_ball_that_touch_stay_two() -> None:
    target = (-12.0, 0.0, 0.0)
    found = metastases(examination([(target, 28.0, CELLS), (target, 15.0, FLUID), ((12.0, 0.0, 0.0), 20.0, CELLS)]))
    assert sorted(round(float(centre[0]) / 12.0) for centre, _ in found) == [-1, 1]


def test_a_cyst_beside_a_metastasis_takes_no_rim_from_it() -> None:
    water = {"mr-hbp": 0.15, "mr-t2": 6.0, "mr-dwi": 0.7}
    found = examination([((-11.0, 0.0, 0.0), 22.0, CELLS), ((10.0, 0.0, 0.0), 20.0, water)])
    assert {c.nature for c in found.candidates if c.confidence >= 0.5} == {Nature.METASTASIS, Nature.CYST}
    assert len(metastases(found)) == 1


def test_a_vein_that_leads_into_a_large_metastasis_makes_it_no_longer() -> None:
    dark = {"mr-hbp": 0.5, "mr-t2": 1.0, "mr-dwi": 1.0}
    vein = [((9.0 + 1.5 * step, 0.0, 0.0), 9.0, dark) for step in range(19)]
    found = examination([((-6.0, 0.0, 0.0), 32.0, CELLS), *vein])
    (lesion,) = [c for c in found.candidates if c.confidence >= 0.5 and c.nature is Nature.METASTASIS]
    grid = found.labels.grid
    extent = np.ptp(grid.to_world(np.argwhere(found.labels.values == lesion.label))[:, 0])
    assert 29.0 < extent < 36.0


def _claim(voxels: NDArray[np.bool_], seed: tuple[int, int, int]) -> MrRegion:
    even = voxels.astype(np.float32)
    return MrRegion(np.zeros(3, dtype=np.int64), voxels, even, seed, np.zeros(3), 0.0, ())


def test_two_bodies_whose_regions_overlap_at_one_seed_stay_two_and_a_part_of_one_body_does_not() -> None:
    grid = Grid(SHAPE, np.diag([*SPACING, 1.0]))
    contact = (MIDDLE[0] + 4, MIDDLE[1], MIDDLE[2])
    one, other = ball((0.0, 0.0, 0.0), 18.0) > 0.5, ball((11.0, 0.0, 0.0), 18.0) > 0.5
    labels, survivors = paint_regions(SHAPE, grid, [_claim(one, contact), _claim(other, contact)])
    assert list(survivors) == [0, 1]
    assert np.array_equal(labels > 0, one | other)
    part = ball((3.0, 0.0, 0.0), 18.0) > 0.5
    _, survivors = paint_regions(SHAPE, grid, [_claim(one, contact), _claim(part, contact)])
    assert list(survivors) == [0]
    tube = np.zeros(SHAPE, dtype=bool)
    tube[MIDDLE[0] : MIDDLE[0] + 24, MIDDLE[1] - 1 : MIDDLE[1] + 2, MIDDLE[2]] = True
    _, survivors = paint_regions(SHAPE, grid, [_claim(one, contact), _claim(tube, contact)])
    assert list(survivors) == [0]
