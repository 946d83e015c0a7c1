"""Tests of what a stricter search leaves out of a liver, and of the two readings of a hepatobiliary image's shading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment import liver as search
from liverpair.segment.liver_body import Body
from liverpair.segment.liver_doubts import LeftOut, left_out, without_unlike_parts
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_fluid import like_a_gallbladder, without_bright_bile
from liverpair.segment.liver_mode import OrganCore, _bands
from liverpair.segment.liver_morphology import BoolArray
from scipy import ndimage

#: LPS in mm from the body's middle: left, back and up are positive.
GRID = Grid((104, 76, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
WHERE = np.moveaxis(np.indices(GRID.shape), 0, -1) * 3.0 - np.array([156.0, 114.0, 90.0])
LIVER, FAT = 500.0, 60.0


def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> BoolArray:
    return np.asarray((((WHERE - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(axis=-1) < 1)


BODY = ellipsoid((0, 0, 0), (150, 108, 400))
RIGHT = ellipsoid((-60, 0, 0), (65, 60, 70))
LOBE = ellipsoid((15, -30, 10), (50, 18, 20)) & ~RIGHT
AORTA = ellipsoid((15, 30, 0), (12, 12, 500)) & BODY
CORE = OrganCore((32, 38, 30), 55.0, LIVER, 10.0, ellipsoid((-60, 0, 0), (30, 30, 30)))


def scene(*parts: tuple[BoolArray, float], shading: bool = True) -> Features:
    """A liver and other parts with their intensities in fat."""
    image = np.where(BODY, FAT, 0.0)
    image[RIGHT] = LIVER
    for part, value in parts:
        image[part] = value
    noise = np.random.default_rng(1).normal(0, 8.0, GRID.shape)
    smooth = (ndimage.gaussian_filter(image, 0.4) + np.where(BODY, noise, 0.0)).astype(np.float32)
    slices = GRID.shape[2]
    body = Body(
        BODY, BODY, ~BODY, np.where(BODY, 30, 0).astype(np.float32), np.full(slices, 52.0), np.full(slices, 50.0),
        np.full(slices, 38.0), np.full(slices, 36.0),
    )  # fmt: skip
    log = np.zeros(GRID.shape, dtype=np.float32) if shading else None
    return Features(GRID, smooth, smooth, body, BODY, (100.0, 900.0), (0.3, 0.06, 0.15), (0.0, 0.0, 0.0), log)


def parts_of(part: BoolArray, value: float, thin_lobes: bool = True) -> LeftOut:
    """What a search that finds the right liver alone leaves out of one that finds the part, too."""
    return left_out(scene((part, value)), RIGHT | part, RIGHT, CORE, thin_lobes)


def test_a_thin_lobe_in_front_with_the_livers_intensity_is_no_doubt() -> None:
    found = parts_of(LOBE, 0.96 * LIVER)
    assert not found.doubtful.any()
    assert (found.sound & LOBE).sum() > 0.7 * LOBE.sum()


def test_it_is_one_where_images_do_not_tell_the_liver_from_its_neighbours() -> None:
    assert parts_of(LOBE, 0.96 * LIVER, thin_lobes=False).doubtful.any()
    alike = scene((BODY & ~RIGHT, LIVER))
    assert left_out(alike, RIGHT | LOBE, RIGHT, CORE, thin_lobes=True).doubtful.any()


def test_what_is_darker_than_the_liver_beside_it_is_a_doubt_and_leaves_the_mask() -> None:
    for part in (AORTA, LOBE):
        image = scene((part, 0.87 * LIVER))
        found = left_out(image, RIGHT | part, RIGHT, CORE, thin_lobes=True)
        assert found.doubtful[part].mean() > 0.7
        kept = without_unlike_parts(image, RIGHT | part, CORE, found)
        assert kept[RIGHT].all()
        assert kept[part].mean() < 0.05


def test_a_doubtful_part_with_the_livers_intensity_stays_and_is_flagged() -> None:
    image = scene((AORTA, 0.97 * LIVER))
    found = left_out(image, RIGHT | AORTA, RIGHT, CORE, thin_lobes=True)
    assert found.doubtful.any()  # it lies where no left lobe does
    assert without_unlike_parts(image, RIGHT | AORTA, CORE, found)[AORTA].all()


def test_small_doubts_stay_in_the_mask() -> None:
    small = ellipsoid((12, -10, 10), (12, 10, 10)) & ~RIGHT
    image = scene((small, 0.8 * LIVER))
    found = left_out(image, RIGHT | small, RIGHT, CORE, thin_lobes=True)
    assert np.array_equal(without_unlike_parts(image, RIGHT | small, CORE, found), RIGHT | small)


#: In its groove, 1.9 times as long as wide.
GALLBLADDER = ellipsoid((-60, -40, -35), (15, 15, 29))


def test_bile_of_any_brightness_is_known_by_less_of_its_form_where_the_shading_is_known() -> None:
    assert not like_a_gallbladder(GALLBLADDER, RIGHT, GRID.affine)
    for known, value, kept in ((True, 1.4, False), (False, 1.4, True), (True, 1.15, True)):
        image = scene((GALLBLADDER, value * LIVER), shading=known)
        out = without_bright_bile(image, RIGHT | GALLBLADDER, CORE)
        assert out[GALLBLADDER].all() if kept else not out[ndimage.binary_erosion(GALLBLADDER)].any()


def readings(monkeypatch: pytest.MonkeyPatch, sound: bool) -> list[bool]:
    """Which readings of the shading a search asks for, one by one, where the first finds a liver or not."""
    asked: list[bool] = []

    def prepared(image: Volume, role: str, spacing_mm: float, by_tissues: bool = False) -> Features:
        asked.append(by_tissues)
        return scene() if sound or not by_tissues else scene((RIGHT, FAT))

    monkeypatch.setattr(search, "prepare_mr", prepared)
    monkeypatch.setattr(search, "without_walled_parts", lambda image, coarse, grid: coarse)
    values = scene().values
    found = search.segment_liver(Volume(np.ascontiguousarray(values), GRID), "mr-hbp")
    assert found.verdict == "usable", found.reasons
    assert found.mask is not None
    overlap: Any = 2 * (found.mask.values & RIGHT).sum() / (found.mask.values.sum() + RIGHT.sum())
    assert overlap > 0.97
    return asked


def test_a_liver_that_is_found_needs_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    assert readings(monkeypatch, sound=True) == [True]


def test_where_none_is_found_the_other_reading_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert readings(monkeypatch, sound=False) == [True, False]


def test_a_sharp_peaks_band_is_widened_to_a_share_of_its_intensity() -> None:
    smooth = np.random.default_rng(2).normal(380.0, 4.0, (30, 30, 30)).astype(np.float32)
    everywhere = np.ones(smooth.shape, dtype=bool)
    for least_share, far in ((0.0, False), (0.09, True)):
        low, high = _bands(smooth, everywhere, (80.0, 500.0), least_share)[0]
        assert low < 380.0 < high
        assert (380.0 - low > 0.085 * 380.0) is far
        assert (high - 380.0 > 0.085 * 380.0) is far


def test_where_no_organ_is_thick_enough_bands_are_widened_before_another_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[float] = []

    def cores(features: Features, least_share: float = 0.0) -> list[OrganCore]:
        shares.append(least_share)
        return [CORE] if least_share else []

    monkeypatch.setattr(search, "find_cores", cores)
    assert readings(monkeypatch, sound=True) == [True]
    assert shares == [0.0, pytest.approx(0.09)]
