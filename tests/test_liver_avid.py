"""Hot spots of a PET beside a CT's liver: a metastasis at the surface is the liver's, a kidney is not."""

from __future__ import annotations

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_body import body_of_ct
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray
from liverpair.segment.liver_pet import relative_uptake, with_avid_lesions
from scipy import ndimage

GRID = Grid((80, 80, 60), np.diag([3.0, 3.0, 3.0, 1.0]))
AT = np.moveaxis(np.indices(GRID.shape), 0, -1) * GRID.spacing
CENTRE = (118.5, 118.5, 90.0)


def ball(centre: tuple[float, float, float], radius: float) -> BoolArray:
    return np.asarray(np.linalg.norm(AT - centre, axis=-1) < radius)


BODY, LIVER = ball(CENTRE, 112.0), ball(CENTRE, 60.0)
#: 18 mm, its outermost 3 mm beyond the liver; and a kidney that dents it.
LESION, KIDNEY = ball((118.5, 118.5, 144.0), 9.0), ball((118.5, 190.0, 90.0), 18.0)
CORE = OrganCore((39, 39, 30), 40.0, 57.0, 6.0, ball(CENTRE, 40.0))


def seen(hot: list[tuple[BoolArray, float]], lost: BoolArray) -> BoolArray:
    """The liver's mask without ``lost``, and what the PET with those hot things makes of it."""
    uptake = np.where(BODY, 1.0, 0.0) + np.where(LIVER, 5.0, 0.0)
    for where, value in hot:
        uptake[where] = value
    pet = Volume(ndimage.gaussian_filter(uptake, 6.0 / 2.355 / 3.0).astype(np.float32), GRID)
    values = np.where(BODY, 50.0, -1000.0)
    body = body_of_ct(values, GRID.spacing)
    assert body is not None
    image, everywhere = values.astype(np.float32), np.ones(GRID.shape, dtype=bool)
    features = Features(GRID, image, image, body, everywhere, (0.0, 200.0), (0, 0, 0), (10.0, 5.0, 15.0))
    ratio = relative_uptake(pet, features, CORE)
    assert ratio is not None
    return with_avid_lesions(ratio, features, LIVER & ~lost)


def test_an_avid_lesion_at_the_surface_comes_back() -> None:
    mask = seen([(LESION, 30.0)], LESION)
    assert np.count_nonzero(mask & LESION) > 0.9 * np.count_nonzero(LESION)
    assert not np.any(mask & ~LIVER & ~ball((118.5, 118.5, 144.0), 14.0))


def test_a_kidney_that_touches_the_liver_does_not_join_it() -> None:
    assert not np.any(seen([(KIDNEY, 60.0)], KIDNEY) & ~LIVER)


def test_a_small_hot_adrenal_that_touches_with_one_side_does_not_join_it() -> None:
    adrenal = ball((118.5, 184.0, 90.0), 8.0)
    assert not np.any(seen([(adrenal, 40.0)], adrenal) & ~LIVER & ball((118.5, 184.0, 90.0), 8.0))


def test_a_lesion_as_avid_as_the_liver_is_left_to_the_ct() -> None:
    assert np.array_equal(seen([(LESION, 6.0)], LESION), LIVER & ~LESION)
