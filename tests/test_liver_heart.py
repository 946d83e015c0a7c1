"""The heart on a T2 image's liver: taken off down to the diaphragm by its texture, where it has the liver's level."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment import liver
from liverpair.segment.liver import LiverSettings, segment_liver
from liverpair.segment.liver_body import body_of_mr
from liverpair.segment.liver_features import Features, smooth_within
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_heart import heart_over, without_part
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate
from numpy.typing import NDArray
from scipy import ndimage

GRID = Grid((94, 76, 74), np.diag([3.0, 3.0, 3.0, 1.0]))
#: mm from the first voxel: i to the left, j to the back, k up; the body's midline lies at x = 139.5.
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing
LEVEL, FAT, MUSCLE, LUNG = 300.0, 110.0, 60.0, 12.0


def ellipsoid(centre: tuple[float, float, float], half: tuple[float, float, float]) -> BoolArray:
    return np.asarray((((AT - np.asarray(centre)) / np.asarray(half)) ** 2).sum(axis=-1) < 1)


BODY = ellipsoid((139.5, 112.5, 111.0), (133.0, 105.0, 1e4))
CHEST = ellipsoid((139.5, 112.5, 111.0), (112.0, 85.0, 1e4))
#: The right dome's summit is at z = 165 mm; the left lobe's top slopes to the left by 0.2 mm per mm.
RIGHT = ellipsoid((90.0, 105.0, 95.0), (65.0, 65.0, 70.0)) & CHEST
UNDER_HEART = 138.0 - 0.2 * (AT[..., 0] - 110.0)
LEFT = ellipsoid((150.0, 85.0, 105.0), (65.0, 45.0, 60.0)) & CHEST & (AT[..., 2] < UNDER_HEART) & (AT[..., 2] > 85.0)
LIVER = RIGHT | LEFT
HEART = ellipsoid((160.0, 85.0, 165.0), (45.0, 42.0, 60.0)) & (AT[..., 2] >= UNDER_HEART) & ~RIGHT
LEAK = HEART & (AT[..., 2] < 168.0)
CORE = OrganCore((30, 35, 32), 30.0, LEVEL, 20.0, ellipsoid((90.0, 105.0, 95.0), (30.0, 30.0, 30.0)))


def signal(
    spread: float, parts: tuple[tuple[BoolArray, float], ...] = (), noise: float = 0.08, seed: int = 2
) -> NDArray[np.float32]:
    """A trunk whose heart has the liver's mean level and varies by ``spread`` of it (sd) from centimetre to centimetre,
    with noise (sd, share of that level) all over."""
    random = np.random.default_rng(seed)
    patches = ndimage.gaussian_filter(random.normal(size=GRID.shape), 2.0)
    shown = np.where(BODY, FAT, 2.0)
    shown[dilate(CHEST, 8.0, GRID.spacing) & BODY] = MUSCLE
    shown[CHEST] = np.where(AT[..., 2] >= 115.0, LUNG, FAT)[CHEST]
    shown[LIVER] = LEVEL
    shown[HEART] = LEVEL * (1 + spread * patches / patches.std())[HEART]
    for where, value in parts:
        shown[where] = value
    noisy = ndimage.gaussian_filter(shown, 0.5) + random.normal(0, noise * LEVEL, GRID.shape)
    return np.asarray(np.abs(noisy), dtype=np.float32)


def features(values: NDArray[np.float32]) -> Features:
    body = body_of_mr(values, GRID.spacing)
    assert body is not None
    smooth = smooth_within(values, body.tissue, 2.0, GRID.spacing)
    whole = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, values, smooth, body, whole, (100.0, 2000.0), (0.06, 0.02, 0.12), (0.0, 0.0, 0.0))


def test_a_heart_of_the_livers_own_level_is_cut_off_at_the_diaphragm() -> None:
    heart = heart_over(features(signal(0.3)), LIVER | LEAK, CORE)
    assert heart is not None
    assert heart[LEAK].mean() > 0.9
    assert heart[LIVER].mean() < 0.005


def test_what_is_found_to_be_heart_is_in_no_t2_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    there = (AT[..., 2] > 120.0) & (AT[..., 0] > 130.0) & (AT[..., 0] < 180.0)

    def found_heart(image: Features, mask: BoolArray, core: OrganCore) -> BoolArray:
        return sample(Mask(there, GRID), image.grid) >= 0.5

    monkeypatch.setattr(liver, "heart_over", found_heart)
    found = segment_liver(Volume(signal(0.3), GRID), "mr-t2", LiverSettings(work_spacing_mm=5.0)).mask
    assert found is not None
    assert not found.values[there & (AT[..., 2] > 130.0)].any()  # but for the work voxel that the edge decides
    assert found.values[LIVER & ~dilate(there, 9.0, GRID.spacing)].mean() > 0.9


def test_a_heart_that_is_as_even_and_bright_as_the_liver_is_not_told_from_it() -> None:
    assert heart_over(features(signal(0.0)), LIVER | LEAK, CORE) is None


def test_nothing_is_cut_where_the_field_of_view_ends_at_the_dome() -> None:
    values = signal(0.3)
    values[AT[..., 2] > 162.0] = values[AT[..., 2] > 162.0].min()
    assert heart_over(features(values), LIVER | (LEAK & (AT[..., 2] < 162.0)), CORE) is None


def test_a_mask_that_does_not_reach_into_the_heart_stays() -> None:
    assert heart_over(features(signal(0.3)), LIVER, CORE) is None


def test_a_bright_lesion_at_the_livers_top_under_the_heart_is_not_cut_off() -> None:
    lesion = ellipsoid((155.0, 85.0, 121.0), (11.0, 11.0, 11.0)) & LIVER
    heart = heart_over(features(signal(0.3, ((lesion, 1.4 * LEVEL),))), LIVER | LEAK, CORE)
    assert heart is not None
    assert heart[lesion].mean() < 0.25  # its uppermost voxels, where the border is placed later
    assert heart[LEAK].mean() > 0.9


def test_what_hangs_on_the_liver_by_the_heart_alone_goes_with_it_and_a_lobe_of_its_own_stays() -> None:
    aorta = ellipsoid((150.0, 150.0, 160.0), (10.0, 10.0, 1e4)) & (AT[..., 2] > 150.0)
    bridge = (np.abs(AT[..., 0] - 150.0) < 6.0) & (AT[..., 1] > 85.0) & (AT[..., 1] < 150.0) & (AT[..., 2] > 155.0)
    lobe = ellipsoid((220.0, 100.0, 60.0), (15.0, 15.0, 15.0))
    left = without_part(LIVER | LEAK | aorta | bridge | lobe, LEAK, CORE)
    assert not left[aorta & ~LEAK & ~LIVER].any()
    assert left[lobe].all()
    assert left[LIVER & ~LEAK].all()
