"""Heart and cava on a CT's liver: taken off by the blood's own level, which the heart above the right dome shows."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask
from liverpair.segment.liver_blood import heart_of, without_blood, without_heart
from liverpair.segment.liver_body import body_of_ct, body_of_mr
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_morphology import BoolArray, dilate
from liverpair.segment.liver_remnant import is_right_side_empty
from scipy import ndimage

GRID = Grid((94, 76, 74), np.diag([3.0, 3.0, 3.0, 1.0]))
#: mm from the first voxel: i to the left, j to the back, k up; the body's midline lies at x = 139.5.
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing
BLOOD_HU, FAT_HU = 43.0, -95.0


def ellipsoid(centre: tuple[float, float, float], half: tuple[float, float, float]) -> BoolArray:
    return np.asarray((((AT - np.asarray(centre)) / np.asarray(half)) ** 2).sum(axis=-1) < 1)


BODY = ellipsoid((139.5, 112.5, 111.0), (133.0, 105.0, 1e4))
CHEST = ellipsoid((139.5, 112.5, 111.0), (115.0, 88.0, 1e4))
#: The right dome is at z = 135 mm: there the liver's flat top ends, and on it lies the heart.
DOME_MM = 135.0
HEART = ellipsoid((155.0, 90.0, 165.0), (45.0, 40.0, 45.0)) & (AT[..., 2] >= DOME_MM)
LIVER = ellipsoid((105.0, 105.0, 95.0), (85.0, 70.0, 65.0)) & (AT[..., 2] < DOME_MM) & CHEST
#: Beside the spine, through the liver and on below it.
CAVA = np.hypot(AT[..., 0] - 128.0, AT[..., 1] - 135.0) < 11.0
#: A leak of 12 mm into the heart.
LEAK = HEART & (AT[..., 2] < DOME_MM + 12.0)


def image(parts: list[tuple[BoolArray, float]], noise: float = 8.0) -> Features:
    """A trunk with lungs over ``DOME_MM`` and a heart between them, noisy, and the parts drawn into it in turn."""
    hu = np.where(BODY, FAT_HU, -1000.0)
    hu[CHEST & (AT[..., 2] >= DOME_MM)] = -850.0
    for where, value in [(HEART, BLOOD_HU), *parts]:
        hu[where] = value
    values = ndimage.gaussian_filter(hu, 0.5)
    values = (values + np.random.default_rng(3).normal(0, noise, GRID.shape)).astype(np.float32)
    smooth = ndimage.gaussian_filter(values, 0.7)
    body = body_of_ct(smooth, GRID.spacing)
    assert body is not None
    whole = np.ones(GRID.shape, dtype=bool)
    return Features(GRID, values, smooth, body, whole, (-20.0, 220.0), (0.25, 0.0, 0.0), (5.0, 4.0, 18.0))


def test_the_right_dome_is_where_the_lung_begins() -> None:
    dome = image([(LIVER, 56.0)]).body.right_dome()
    assert dome is not None
    assert abs(dome * 3.0 - DOME_MM) <= 3.0


def test_what_is_dark_on_an_mri_is_no_lung_to_measure_from() -> None:
    body = body_of_mr(np.where(image([(LIVER, 56.0)]).smooth > -400.0, 300.0, 0.0), GRID.spacing)
    assert body is not None
    assert body.lung.any()
    assert body.right_dome() is None


@pytest.mark.parametrize("liver_hu", [56.0, 30.0])
def test_the_heart_that_lies_flush_on_the_liver_is_taken_off(liver_hu: float) -> None:
    kept = without_blood(image([(LIVER, liver_hu)]), LIVER | LEAK)
    assert kept[LEAK].mean() < 0.15
    assert kept[LIVER].mean() > 0.98


def test_a_heart_of_the_livers_level_is_not_told_from_it() -> None:
    features = image([(LIVER, BLOOD_HU + 0.5)])
    assert heart_of(features) is not None
    assert np.array_equal(without_blood(features, LIVER | LEAK), LIVER | LEAK)


def test_a_cava_of_the_hearts_level_is_taken_out_of_the_liver() -> None:
    features = image([(LIVER, 56.0), (CAVA & CHEST & (AT[..., 2] < DOME_MM), BLOOD_HU)])
    kept = without_blood(features, LIVER)
    inside = CAVA & LIVER & (AT[..., 2] > 50.0) & (AT[..., 2] < 110.0)
    assert kept[inside].mean() < 0.15
    assert kept[LIVER & ~CAVA].mean() > 0.96


def test_a_metastasis_of_the_bloods_level_stays() -> None:
    lesions = ellipsoid((70.0, 90.0, 100.0), (15.0, 15.0, 15.0)) | ellipsoid((128.0, 135.0, 80.0), (14.0, 14.0, 14.0))
    kept = without_blood(image([(LIVER, 56.0), (lesions, BLOOD_HU)]), LIVER)
    assert kept[lesions].all()


def test_a_border_that_went_back_into_the_heart_is_moved_out_again_on_the_images_own_grid() -> None:
    features = image([(LIVER, 56.0)])
    to_lps = np.diag([1.5, 1.5, 3.0, 1.0])
    to_lps[:2, 3] = -0.75
    half = Grid((188, 152, 74), to_lps)
    leak = LEAK & dilate(LIVER, 9.0, GRID.spacing)
    leaked = np.repeat(np.repeat(LIVER | leak, 2, axis=0), 2, axis=1)
    kept = without_heart(Mask(leaked, half), features, LIVER).values[::2, ::2]
    assert kept[leak].mean() < 0.15
    assert kept[LIVER].mean() > 0.97


def test_the_space_under_the_right_dome_is_empty_after_a_right_hemihepatectomy_and_not_with_a_liver_in_it() -> None:
    remnant, bowel = (
        ellipsoid((160.0, 95.0, 95.0), (60.0, 60.0, 40.0)),
        ellipsoid((65.0, 110.0, 95.0), (16.0, 30.0, 16.0)),
    )
    assert is_right_side_empty(image([(remnant | bowel, 56.0)]))
    assert not is_right_side_empty(image([(LIVER, 56.0)]))
    assert not is_right_side_empty(image([(LIVER, 20.0)]))  # fluid, or a liver that is a single metastasis


def test_without_a_lung_in_view_nothing_is_told() -> None:
    features = image([(AT[..., 2] >= DOME_MM, -1000.0), (LIVER, 56.0)])
    assert features.body.right_dome() is None
    assert heart_of(features) is None
    assert not is_right_side_empty(features)
    assert np.array_equal(without_blood(features, LIVER), LIVER)
