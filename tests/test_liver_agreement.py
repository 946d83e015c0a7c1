"""Two livers compared part by part: who is wrong follows from what each image shows there."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.segment.liver_agreement import Agreement, compare_livers, missing_parts
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Image = NDArray[np.float32]

GRID = Grid((80, 60, 56), np.diag([3.0, 3.0, 3.0, 1.0]))
EVERYWHERE = np.ones(GRID.shape, dtype=np.bool_)
LIVER_HU, FAT_HU, BILE_HU, MUSCLE_HU = 55.0, -95.0, 8.0, 42.0


def _ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Bool:
    index = np.indices(GRID.shape) * 3.0
    away = [(index[d] - centre[d]) / radii[d] for d in range(3)]
    return np.asarray(sum(a**2 for a in away) <= 1.0)


LIVER = _ball((100, 90, 84), (75, 60, 60)) | _ball((170, 80, 95), (50, 35, 30))
LEFT_TIP = LIVER & (np.indices(GRID.shape)[0] * 3.0 > 196)
GALLBLADDER = _ball((120, 30, 75), (16, 16, 22)) & ~LIVER


def _images(seed: int = 3) -> tuple[Image, Image]:
    """CT in HU and hepatobiliary MRI, both noisy, in fat."""
    rng = np.random.default_rng(seed)
    ct = np.where(LIVER, LIVER_HU, FAT_HU) + rng.normal(0, 12, GRID.shape)
    mr = np.where(LIVER, 500.0, 90.0) + rng.normal(0, 30, GRID.shape)
    return ct.astype(np.float32), mr.astype(np.float32)


def _painted(image: Image, region: Bool, value: float, seed: int = 5) -> Image:
    noise = np.random.default_rng(seed).normal(0, 12 if image.min() < 0 else 30, GRID.shape)
    return np.where(region, value + noise, image).astype(np.float32)


def _compare(ct: Image, mr: Image, ct_liver: Bool, mr_liver: Bool, seen: Bool = EVERYWHERE) -> Agreement:
    return compare_livers(ct, mr, ct_liver, mr_liver, seen, GRID)


def _causes(found: Agreement) -> list[tuple[str, str]]:
    return [(part.only_in, part.cause) for part in found.parts]


def test_two_equal_livers_have_no_parts_apart() -> None:
    found = _compare(*_images(), LIVER, LIVER)
    assert found.parts == ()
    assert found.unexplained_share == 0.0
    assert found.region("fluid") is None


def test_a_registration_that_is_off_by_4_mm_makes_no_parts() -> None:
    ct, mr = _images()
    shifted = np.roll(LIVER, (1, 1, 0), axis=(0, 1, 2))
    assert _compare(ct, mr, LIVER, shifted).parts == ()


def test_a_gallbladder_as_bright_as_the_liver_is_fluid_of_the_mri_alone() -> None:
    ct, mr = _images()
    ct, mr = _painted(ct, GALLBLADDER, BILE_HU), _painted(mr, GALLBLADDER, 480.0)
    found = _compare(ct, mr, LIVER, LIVER | GALLBLADDER)
    assert _causes(found) == [("mr", "fluid")]
    region = found.region("fluid")
    assert region is not None
    assert not (region & LIVER).any()
    assert (region & GALLBLADDER).sum() > 0.9 * GALLBLADDER.sum()


def test_a_left_tip_that_the_mri_lost_is_given_back() -> None:
    found = _compare(*_images(), LIVER, LIVER & ~LEFT_TIP)
    assert _causes(found) == [("ct", "lost_on_mr")]
    assert found.parts[0].volume_ml == pytest.approx(LEFT_TIP.sum() * 27 / 1000, rel=0.05)


def test_a_left_tip_that_the_ct_lost_is_given_back() -> None:
    assert _causes(_compare(*_images(), LIVER & ~LEFT_TIP, LIVER)) == [("mr", "lost_on_ct")]


def test_what_ct_cannot_tell_from_liver_and_mri_can_is_a_leak() -> None:
    stomach = _ball((190, 130, 90), (22, 22, 22)) & ~LIVER
    ct, mr = _images()
    found = _compare(_painted(ct, stomach, LIVER_HU - 2), mr, LIVER | stomach, LIVER)
    assert _causes(found) == [("ct", "leak_on_ct")]


@pytest.mark.parametrize("hu", [LIVER_HU, LIVER_HU - 20.0])
def test_a_capsule_metastasis_that_is_a_bay_of_the_mris_liver_and_not_of_the_cts_belongs_to_both(hu: float) -> None:
    metastasis = _ball((100, 128, 84), (26, 26, 26)) & LIVER
    ct, mr = _images()
    ct, mr = _painted(ct, metastasis, hu), _painted(mr, metastasis, 180.0)
    found = _compare(ct, mr, LIVER, LIVER & ~metastasis)
    assert _causes(found) == [("ct", "lost_on_mr")]
    beside = _ball((100, 160, 84), (26, 26, 26)) & ~LIVER  # what only touches the liver is no lesion of it
    ct, mr = _painted(_images()[0], beside, hu), _painted(_images()[1], beside, 180.0)
    assert ("ct", "lost_on_mr") not in _causes(_compare(ct, mr, LIVER | beside, LIVER))


def test_a_cava_that_ct_cannot_tell_from_the_liver_around_it_is_a_leak_and_a_lesion_in_its_place_is_none() -> None:
    index = np.indices(GRID.shape) * 3.0
    tube = np.asarray(np.hypot(index[0] - 130, index[1] - 122) < 11.0)
    ball = _ball((130, 122, 84), (16, 16, 16))
    for dark, cause in ((tube, "leak_on_ct"), (ball, "lost_on_mr")):
        ct, mr = _images()
        ct, mr = _painted(ct, dark, LIVER_HU - 2), _painted(mr, dark, 180.0)
        found = _compare(ct, mr, LIVER | (dark & (abs(index[2] - 84) < 45)), LIVER & ~dark)
        assert _causes(found) == [("ct", cause)]


def test_what_mri_cannot_tell_from_liver_and_ct_can_is_a_leak_of_the_mri_unless_it_may_be_a_lesion() -> None:
    spleen = _ball((190, 130, 90), (22, 22, 22)) & ~LIVER
    ct, mr = _images()
    ct = _painted(ct, spleen, LIVER_HU - 18)
    assert _causes(_compare(ct, _painted(mr, spleen, 420.0), LIVER, LIVER | spleen)) == [("mr", "leak_on_mr")]
    assert _causes(_compare(ct, _painted(mr, spleen, 200.0), LIVER, LIVER | spleen)) == [("mr", "unexplained")]
    inside = _ball((100, 90, 84), (22, 22, 22))
    ct = _painted(ct, inside, LIVER_HU - 18)
    assert _causes(_compare(ct, mr, LIVER & ~inside, LIVER)) == [("mr", "unexplained")]


def _dome_lesion(beyond_hu: float) -> Agreement:
    """A metastasis at the dome that only the MRI's mask holds, beneath 3 mm of diaphragm and what lies beyond."""
    lesion = _ball((80, 90, 130), (30, 30, 22)) & LIVER
    above = np.indices(GRID.shape)[2] * 3.0 > 100
    thick = _ball((100, 90, 84), (78, 63, 63)) | _ball((170, 80, 95), (53, 38, 33))
    ct, mr = _images()
    ct = _painted(np.where(above & ~thick, beyond_hu, np.where(thick & ~LIVER, 45, ct)), lesion, 34.0)
    return _compare(ct, _painted(mr, lesion, 200.0), LIVER & ~lesion, LIVER)


def test_tissue_between_liver_and_lung_that_only_the_mri_holds_is_a_metastasis_that_the_ct_lost() -> None:
    found = _dome_lesion(-850.0)
    assert _causes(found) == [("mr", "lost_on_ct")]
    assert found.unexplained_share == 0.0


def test_tissue_between_liver_and_fat_that_only_the_mri_holds_may_be_anything() -> None:
    assert _causes(_dome_lesion(FAT_HU)) == [("mr", "unexplained")]


@pytest.mark.parametrize("bed", [FAT_HU, BILE_HU, MUSCLE_HU, LIVER_HU])
def test_a_half_that_is_gone_is_never_explained_whatever_fills_its_place(bed: float) -> None:
    gone = LIVER & (np.indices(GRID.shape)[0] * 3.0 > 110)
    ct, mr = _images()
    found = _compare(_painted(ct, gone, bed), mr, LIVER & ~gone, LIVER)
    assert [cause for _, cause in _causes(found)] == ["unexplained"]
    assert found.unexplained_share > 0.3


@pytest.mark.parametrize(("elsewhere_mm", "cause"), [(18.0, "lost_on_ct"), (60.0, "leak_on_mr")])
def test_a_tip_that_lies_a_little_elsewhere_on_ct_is_liver_that_the_ct_lost(elsewhere_mm: float, cause: str) -> None:
    """The stomach fills what the tip left; far off, nothing of it has the liver's HU, as where MRI leaks into it."""
    tip = _ball((190, 130, 90), (24, 24, 24)) & ~LIVER
    there = _ball((190 - elsewhere_mm, 130, 90), (24, 24, 24))
    ct, mr = _images()
    ct = _painted(_painted(ct, tip, LIVER_HU - 22), tip & there, LIVER_HU)
    found = _compare(ct, _painted(mr, tip, 490.0), LIVER, LIVER | tip)
    assert _causes(found) == [("mr", cause)]


def test_what_only_one_image_sees_is_no_difference() -> None:
    upper = np.indices(GRID.shape)[2] * 3.0 > 90
    ct, mr = _images()
    assert _compare(ct, mr, LIVER, LIVER & upper, upper).parts == ()


def test_livers_that_do_not_touch_share_nothing() -> None:
    ct, mr = _images()
    assert _compare(ct, mr, LIVER, np.roll(LIVER & LEFT_TIP, -60, axis=0) & ~LIVER).unexplained_share == 1.0


def test_masks_on_another_grid_are_refused() -> None:
    ct, mr = _images()
    with pytest.raises(UsageError, match="work grid"):
        compare_livers(ct, mr, LIVER[1:], LIVER, EVERYWHERE, GRID)


def test_an_image_without_a_mask_shows_the_half_that_is_missing() -> None:
    gone = LIVER & (np.indices(GRID.shape)[0] * 3.0 < 80)
    ct, mr = _images()
    for image, is_ct, bed in ((ct, True, FAT_HU), (ct, True, BILE_HU), (mr, False, 90.0)):
        assert missing_parts(image, LIVER, EVERYWHERE, is_ct, GRID).unexplained_share == 0.0
        found = missing_parts(_painted(image, gone, bed), LIVER, EVERYWHERE, is_ct, GRID)
        assert found.unexplained_share > 0.2
        assert found.parts[0].only_in == ("mr" if is_ct else "ct")


def test_a_large_metastasis_in_an_image_without_a_mask_is_no_missing_part() -> None:
    metastasis = _ball((105, 95, 84), (36, 36, 36))
    ct, mr = _images()
    assert missing_parts(_painted(ct, metastasis, 25.0), LIVER, EVERYWHERE, True, GRID).parts == ()
    assert missing_parts(_painted(mr, metastasis, 150.0), LIVER, EVERYWHERE, False, GRID).parts == ()


def test_a_shaded_liver_without_a_mask_misses_nothing() -> None:
    _, mr = _images()
    shade = np.linspace(0.65, 1.45, GRID.shape[0], dtype=np.float32)[:, None, None]
    assert missing_parts(mr * shade, LIVER, EVERYWHERE, False, GRID).parts == ()
