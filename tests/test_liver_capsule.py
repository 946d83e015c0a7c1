"""Tests of lesions at the capsule: what a shallow bay holds and ends with it comes back, what goes on does not."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import Body
from liverpair.segment.liver_capsule import with_capsule_lesions
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from scipy import ndimage

#: LPS: the liver's right side, back and dome.
GRID = Grid((70, 70, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0
MIDDLE = (105.0, 105.0, 90.0)
RADIUS = 60.0
LIVER, DARK, FAT = 500.0, 230.0, 60.0


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(WHERE - np.asarray(centre), axis=-1) < radius)


def towards(x: float, y: float, z: float, depth_mm: float) -> tuple[float, float, float]:
    """A place ``depth_mm`` below the liver's surface in that direction."""
    way = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    place = np.asarray(MIDDLE) + (RADIUS - depth_mm) * way
    return float(place[0]), float(place[1]), float(place[2])


def found(dark: BoolArray, outside: BoolArray, necrosis: BoolArray | None = None) -> tuple[BoolArray, BoolArray]:
    """The liver with what was given back to it, and what it was without the ``dark`` part."""
    liver = ball(MIDDLE, RADIUS)
    image = np.full(GRID.shape, FAT)
    image[liver] = LIVER
    image[dark | outside] = DARK
    if necrosis is not None:
        image[necrosis] = FAT
    smooth = ndimage.gaussian_filter(image, 0.4).astype(np.float32)
    inside = np.ones(GRID.shape, dtype=bool)
    line = np.full(GRID.shape[2], 35.0)
    body = Body(inside, inside, ~inside, np.zeros(GRID.shape, dtype=np.float32), line, line, line, line)
    features = Features(GRID, smooth, smooth, body, inside, (100.0, 900.0), (0.3, 0.06, 0.15), (0.0, 0.0, 0.0))
    core = OrganCore((35, 35, 30), 40.0, LIVER, 10.0, ball(MIDDLE, 30.0))
    mask = liver & ~dark
    return with_capsule_lesions(features, mask, core), mask


@pytest.mark.parametrize("radius", [8.0, 12.0])
@pytest.mark.parametrize("way", [(-1.0, 0.0, 0.0), (0.0, -1.0, 0.3), (-0.5, 0.2, 1.0)])
def test_a_lesion_that_bulges_at_the_ribs_or_the_dome_comes_back(radius: float, way: tuple[float, ...]) -> None:
    lesion = ball(towards(way[0], way[1], way[2], radius - 3.0), radius)
    out, before = found(lesion, np.zeros(GRID.shape, dtype=bool))
    assert (out & lesion).sum() > 0.9 * lesion.sum()
    assert (out & ~lesion & ~before).sum() < 0.15 * lesion.sum()


@pytest.mark.parametrize("way", [(-1.0, 0.0, 0.3), (-0.5, -0.5, 1.0)])
def test_a_large_necrotic_lesion_that_touches_the_diaphragm_comes_back_without_it(way: tuple[float, ...]) -> None:
    centre = towards(way[0], way[1], way[2], 18.0)
    lesion = ball(centre, 24.0)
    diaphragm = ball(MIDDLE, RADIUS + 6.0) & ~ball(MIDDLE, RADIUS)
    out, before = found(lesion, diaphragm, necrosis=ball(centre, 12.0))
    assert (out & lesion).sum() > 0.9 * lesion.sum()
    assert (out & ~lesion & ~before).sum() < 0.15 * lesion.sum()


def test_what_goes_on_beyond_the_liver_stays_outside() -> None:
    dark = ball(towards(-1.0, 0.0, 0.0, 4.0), 12.0)
    neighbour = ball(towards(-1.0, 0.0, 0.0, -26.0), 32.0) & ~ball(MIDDLE, RADIUS)
    out, before = found(dark, neighbour)
    np.testing.assert_array_equal(out, before)


def test_a_gallbladders_place_is_left_alone() -> None:
    dark = ball(towards(0.0, -0.3, -1.0, 6.0), 10.0)
    out, before = found(dark, np.zeros(GRID.shape, dtype=bool))
    np.testing.assert_array_equal(out, before)


def test_an_empty_mask_stays_empty() -> None:
    out, _ = found(ball(MIDDLE, RADIUS), np.zeros(GRID.shape, dtype=bool))
    assert not out.any()


def test_a_necrosis_that_comes_to_the_surface_comes_back_with_its_lesion() -> None:
    centre = towards(-1.0, 0.0, 0.3, 18.0)
    lesion, open_core = ball(centre, 24.0), ball(towards(-1.0, 0.0, 0.3, 4.0), 12.0)
    out, before = found(lesion, np.zeros(GRID.shape, dtype=bool), necrosis=open_core)
    assert (out & lesion).sum() > 0.9 * lesion.sum()
    assert (out & ~lesion & ~before).sum() < 0.15 * lesion.sum()
