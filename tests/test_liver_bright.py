"""Tests of a T2 image's bright lesions at the capsule, and of its left lobe behind a bridge that is half fat."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import Body
from liverpair.segment.liver_capsule import bright_bays_ml, with_capsule_lesions
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_left_lobe import WIDE_SLIT_MM, with_lobes_behind_fissures
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from scipy import ndimage

#: LPS: the liver's right side, back and dome.
GRID = Grid((90, 80, 70), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0
MIDDLE, RADIUS = (105.0, 120.0, 105.0), 60.0
LIVER, BRIGHT, FAT = 130.0, 320.0, 50.0


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(WHERE - np.asarray(centre), axis=-1) < radius)


WHOLE = ball(MIDDLE, RADIUS)
CORE = OrganCore((35, 40, 35), 40.0, LIVER, 2.0, ball(MIDDLE, 30.0))


def at(x: float, y: float, z: float, depth_mm: float) -> tuple[float, float, float]:
    """A place ``depth_mm`` below the liver's surface in that direction."""
    way = np.array([x, y, z]) / np.linalg.norm([x, y, z])
    place = np.asarray(MIDDLE) + (RADIUS - depth_mm) * way
    return float(place[0]), float(place[1]), float(place[2])


def t2(*parts: tuple[BoolArray, float]) -> Features:
    image = np.full(GRID.shape, FAT)
    image[WHOLE] = LIVER
    for part, value in parts:
        image[part] = value
    smooth = ndimage.gaussian_filter(image, 0.6).astype(np.float32)
    inside = np.ones(GRID.shape, dtype=bool)
    n = GRID.shape[2]
    body = Body(
        inside, inside, ~inside, np.full(GRID.shape, 30, dtype=np.float32), np.full(n, 50.0), np.full(n, 45.0),
        np.full(n, 40.0), np.full(n, 40.0),
    )  # fmt: skip
    return Features(GRID, smooth, smooth, body, inside, (30.0, 300.0), (0.06, 0.02, 0.12), (0.0, 0.0, 0.0))


def found_without(features: Features, part: BoolArray) -> BoolArray:
    """What a search for the liver's band finds: neither the part nor the voxels that hold it and liver."""
    near = np.abs(features.smooth - LIVER) < 0.06 * LIVER
    return np.asarray(WHOLE & ~part & near) | ball(MIDDLE, 20.0)


@pytest.mark.parametrize("way", [(-1.0, 0.0, 0.0), (0.0, -1.0, 0.4), (-0.4, -0.2, 1.0)])
def test_a_large_bright_lesion_at_the_ribs_or_the_dome_comes_back(way: tuple[float, float, float]) -> None:
    lesion = ball(at(*way, depth_mm=20.0), 27.0) & WHOLE
    image = t2((lesion, BRIGHT))
    mask = found_without(image, lesion)
    assert bright_bays_ml(image, mask, CORE) > 3.0
    out = with_capsule_lesions(image, mask, CORE, bright=True)
    assert (out & lesion).sum() > 0.9 * lesion.sum()
    assert (out & ~WHOLE).sum() < 0.15 * lesion.sum()


def test_it_is_none_of_a_hepatobiliary_images_dark_lesions() -> None:
    lesion = ball(at(-1.0, 0.0, 0.0, depth_mm=20.0), 27.0) & WHOLE
    image = t2((lesion, BRIGHT))
    mask = found_without(image, lesion)
    assert not (with_capsule_lesions(image, mask, CORE) & ball(at(-1.0, 0.0, 0.0, depth_mm=20.0), 15.0)).any()


def test_a_bright_gallbladder_or_bowel_under_the_liver_stays_out() -> None:
    under = ball(at(0.0, -0.3, -1.0, depth_mm=6.0), 18.0)
    image = t2((under, BRIGHT))
    mask = found_without(image, under)
    out = with_capsule_lesions(image, mask, CORE, bright=True)
    assert (out & under & ~mask).sum() < 0.1 * under.sum()
    assert bright_bays_ml(image, mask, CORE) == 0


def test_what_is_larger_than_any_metastasis_stays_out() -> None:
    spleen = ball(at(1.0, 0.0, 0.0, depth_mm=12.0), 45.0)
    image = t2((spleen, BRIGHT))
    mask = found_without(image, spleen)
    out = with_capsule_lesions(image, mask, CORE, bright=True)
    assert (out & spleen & ~WHOLE).sum() < 0.05 * spleen.sum()


def test_a_lobe_behind_a_bridge_of_mixed_voxels_comes_back_in_t2_and_a_slit_is_no_bridge_elsewhere() -> None:
    lobe = ball((185.0, 96.0, 110.0), 36.0) & ~ball(MIDDLE, RADIUS + 7.0)
    image = t2((lobe, LIVER))
    mask = ball(MIDDLE, RADIUS - 3.0)  # what is mixed with fat is none of the band
    for slit_mm, least, most in ((WIDE_SLIT_MM, 0.5, 1.0), (6.0, 0.0, 0.0)):
        out = with_lobes_behind_fissures(image, mask, CORE, slit_mm=slit_mm)
        assert least <= (out & lobe).sum() / lobe.sum() <= most
