"""Tests of lobes behind a fissure: what faces the liver across a slit comes back, what hangs under it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.liver_body import Body
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_left_lobe import with_lobes_behind_fissures
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from scipy import ndimage

#: LPS in mm from the body's middle, 30 mm below the dome's middle: left, back and up are positive.
GRID = Grid((104, 76, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0 - np.array([156.0, 114.0, 90.0])
LIVER, FAT, MUSCLE = 500.0, 60.0, 200.0


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> BoolArray:
    return np.asarray((((WHERE - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(axis=-1) < 1)


RIGHT = ellipsoid((-60, 0, 0), (65, 60, 70))
BODY = ellipsoid((0, 0, 0), (150, 108, 400))


def features(image: np.ndarray) -> Features:
    smooth = ndimage.gaussian_filter(image, 0.4).astype(np.float32)
    slices = GRID.shape[2]
    middle, across = np.full(slices, 52.0), np.full(slices, 50.0)
    body = Body(
        BODY, BODY, ~BODY, np.where(BODY, 30, 0).astype(np.float32), middle, across, np.full(slices, 38.0),
        np.full(slices, 36.0),
    )  # fmt: skip
    return Features(GRID, smooth, smooth, body, BODY, (100.0, 900.0), (0.3, 0.06, 0.15), (0.0, 0.0, 0.0))


def given_back(part: BoolArray, value: float = LIVER, everywhere: float = FAT, surface: float = LIVER) -> float:
    """Share of ``part`` that is given back to a mask of the right liver alone (its outermost voxels: ``surface``)."""
    image = np.where(BODY, everywhere, 0.0)
    image[part] = value
    image[RIGHT] = surface
    image[ndimage.binary_erosion(RIGHT)] = LIVER
    core = OrganCore((32, 38, 30), 55.0, LIVER, 10.0, ellipsoid((-60, 0, 0), (30, 30, 30)))
    out = with_lobes_behind_fissures(features(image), RIGHT & ~part, core)
    assert not (out & ~RIGHT & ~part).any()
    return float((out & part).sum() / part.sum())


#: Its right face is cut along the liver's side, one voxel away from it.
SLIT = ndimage.binary_dilation(RIGHT)
LATERAL = ellipsoid((20, -20, 10), (60, 25, 25)) & ~SLIT


def test_a_lateral_section_behind_a_fissure_comes_back() -> None:
    assert given_back(LATERAL) > 0.9


def test_a_fissure_of_fat_that_mixes_with_the_livers_surface_keeps_no_lateral_section_away() -> None:
    assert given_back(LATERAL, surface=0.7 * LIVER) > 0.9


def test_what_is_not_as_bright_as_the_liver_stays_out() -> None:
    assert given_back(LATERAL, value=0.6 * LIVER) == 0


def test_a_bright_gallbladder_under_the_liver_stays_out() -> None:
    gallbladder = ellipsoid((-50, -30, -72), (18, 18, 30)) & ~SLIT
    assert given_back(gallbladder) == 0


def test_a_bright_kidney_behind_the_liver_stays_out() -> None:
    kidney = ellipsoid((-50, 62, -40), (25, 25, 45)) & ~SLIT
    assert given_back(kidney) == 0


def test_what_lies_further_than_a_fissure_is_wide_stays_out() -> None:
    away = LATERAL & ~ndimage.binary_dilation(RIGHT, iterations=5)
    assert given_back(away) == 0


def test_nothing_is_added_where_other_tissue_looks_like_the_liver() -> None:
    assert given_back(LATERAL, everywhere=LIVER - 1) == 0


def test_where_a_pet_leaves_nothing_but_liver_its_lobe_comes_back_from_alike_tissue() -> None:
    image = np.where(BODY, LIVER - 1, 0.0)
    image[LATERAL | RIGHT] = LIVER
    core = OrganCore((32, 38, 30), 55.0, LIVER, 10.0, ellipsoid((-60, 0, 0), (30, 30, 30)))
    narrowed = replace(features(image), allowed=RIGHT | LATERAL)
    assert np.array_equal(with_lobes_behind_fissures(narrowed, RIGHT, core), RIGHT)
    out = with_lobes_behind_fissures(narrowed, RIGHT, core, pet_tells=True)
    assert not (out & ~RIGHT & ~LATERAL).any()
    assert (out & LATERAL).sum() > 0.9 * LATERAL.sum()


@pytest.mark.parametrize(("differs", "place", "least", "most"), [
    (0.4, LATERAL, 0.9, 1.0),  # a lobe 0.4 of the least credible sd darker than the liver behind the slit
    (1.2, LATERAL, 0.0, 0.0),  # a stomach in its place
    (0.0, ellipsoid((70, 40, 10), (45, 30, 30)) & ~SLIT, 0.0, 0.0),  # a spleen
])  # fmt: skip
def test_among_alike_tissue_place_and_likeness_tell_a_lobe(
    differs: float, place: BoolArray, least: float, most: float
) -> None:
    image = np.where(BODY, FAT, 0.0)
    image[ellipsoid((80, 40, 0), (40, 35, 200))] = LIVER  # what is as bright, on the left side and behind
    image[SLIT | ndimage.binary_dilation(place)] = FAT
    image[RIGHT] = LIVER
    core = OrganCore((32, 38, 30), 55.0, LIVER, 10.0, ellipsoid((-60, 0, 0), (30, 30, 30)))
    sd = features(image).least_sd(LIVER)
    image[place] = LIVER - differs * sd
    found = with_lobes_behind_fissures(features(image), RIGHT, core, by_place=True)
    assert least <= (found & place).sum() / place.sum() <= most
    assert np.array_equal(with_lobes_behind_fissures(features(image), RIGHT, core), RIGHT)
