"""Registration and livers together: each image corrects the other's mask, and a resected liver is no pair."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.volume import Mask, Volume
from liverpair.flow.liver_settling import Livers, RegisteredLivers, register_livers
from liverpair.register.align import RegisterSettings
from liverpair.register.deformable import DeformSettings
from liverpair.segment.liver_agreement import AgreementSettings
from numpy.typing import NDArray
from scipy import ndimage

from tests import register_phantom as phantom

QUICK = RegisterSettings(
    deform=DeformSettings(spacings_mm=(4.0, 3.0), knots_mm=(40.0, 20.0), blurs_mm=(2.0, 1.5), iterations=(30, 15))
)
Pair = tuple[Volume, Volume, Mask, Mask, phantom.Motion]


@pytest.fixture(scope="module")
def pair() -> Pair:
    """CT, MRI and their true livers; the MRI's bright gallbladder is no part of the truth."""
    patient, moved = phantom.abdomen(31), phantom.motion(31, (3.0, -4.0, 14.0))
    ct, ct_liver = phantom.ct(patient, 31, phantom.CT_NATIVE)
    mr, mr_liver = phantom.mr(patient, moved, 31, phantom.MR_HBP, centre=(0.0, 0.0, 0.0))
    return ct, mr, ct_liver, mr_liver, moved


def _register(ct: Volume, mr: Volume, livers: Livers) -> RegisteredLivers:
    return register_livers(ct, mr, livers, QUICK, AgreementSettings())


def _painted(image: Volume, region: NDArray[np.bool_], value: float) -> Volume:
    soft = ndimage.gaussian_filter(region.astype(np.float32), 0.7)
    return replace(image, values=(image.values * (1 - soft) + value * soft).astype(np.float32))


def _dice(a: Mask | None, b: Mask) -> float:
    assert a is not None
    return float(2 * (a.values & b.values).sum() / (a.values.sum() + b.values.sum()))


def _world(mask: Mask) -> NDArray[np.float64]:
    return mask.grid.to_world(np.moveaxis(np.indices(mask.grid.shape), 0, -1))


def _beside(mask: Mask, centre: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A gallbladder of 17 mm radius at a place of the CT's or MRI's frame, outside the liver."""
    return np.asarray((np.linalg.norm(_world(mask) - centre, axis=-1) < 17.0) & ~mask.values)


def test_a_bright_gallbladder_leaves_the_mris_liver_and_a_given_mask_stays_as_it_is(pair: Pair) -> None:
    ct, mr, ct_liver, mr_liver, moved = pair
    surface = np.argwhere(ct_liver.values & ~ndimage.binary_erosion(ct_liver.values, iterations=2))
    lowest = ct_liver.grid.to_world(surface[surface[:, 2].argmin()]) + np.array([0.0, 0.0, -8.0])
    bile = _beside(ct_liver, lowest)
    bile_mr = _beside(mr_liver, moved.to_moving(lowest[None])[0])
    ct = _painted(ct, bile, 8.0)
    mr = _painted(mr, bile_mr, float(np.median(mr.values[mr_liver.values])))
    leaked = Mask(mr_liver.values | bile_mr, mr_liver.grid)

    found = _register(ct, mr, Livers(ct_liver, leaked))
    assert found.registration.transform is not None
    assert [(part["only_in"], part["cause"]) for part in found.facts["parts"]] == [("mr", "fluid")]
    assert _dice(found.livers.mr, mr_liver) > _dice(leaked, mr_liver) + 0.005

    given = _register(ct, mr, Livers(ct_liver, leaked, ct_own=False, mr_own=False))
    assert given.livers.mr is leaked
    assert given.livers.ct is ct_liver
    assert given.facts["parts"] == found.facts["parts"]


def test_a_liver_resected_between_the_examinations_fails_and_says_so(pair: Pair) -> None:
    ct, mr, ct_liver, mr_liver, _ = pair
    gone = mr_liver.values & (_world(mr_liver)[..., 0] - mr_liver.centroid()[0] > 25.0)
    assert 0.15 < gone.sum() / mr_liver.values.sum() < 0.4
    remnant = Mask(mr_liver.values & ~gone, mr_liver.grid)
    found = _register(ct, _painted(mr, gone, 60.0), Livers(ct_liver, remnant))
    # what is left lies well on the other liver: only their comparison tells
    assert found.registration.verdict == "failed"
    assert found.registration.transform is None
    assert "resected" in found.registration.reasons[0]
    assert found.livers.mr is remnant


def test_a_liver_that_one_image_does_not_show_is_carried_over(pair: Pair) -> None:
    ct, mr, ct_liver, mr_liver, _ = pair
    found = _register(ct, mr, Livers(ct_liver, None))
    if found.registration.verdict == "usable":
        assert found.facts == {"carried": "ct_to_mr"}
        assert _dice(found.livers.mr, mr_liver) > 0.93
    else:
        assert found.livers.mr is None
    back = _register(ct, mr, Livers(None, mr_liver))
    if back.registration.verdict == "usable":
        assert _dice(back.livers.ct, ct_liver) > 0.93
    assert {found.registration.verdict, back.registration.verdict} & {"usable"}


def test_a_sequence_that_shows_no_sharp_liver_gets_the_cts_outline_and_leaves_the_ct_alone(pair: Pair) -> None:
    ct, mr, ct_liver, mr_liver, _ = pair
    rough = phantom.imperfect(mr_liver, 7, 6.0)
    found = _register(ct, mr, Livers(ct_liver, rough, mr_weak=True))
    assert found.registration.verdict == "usable"
    assert found.facts["carried"] == "ct_to_mr"
    assert found.livers.ct is ct_liver
    assert _dice(found.livers.mr, mr_liver) > max(_dice(rough, mr_liver), 0.95)
