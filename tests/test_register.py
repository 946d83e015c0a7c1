"""The whole registration on a phantom with a known motion: accuracy, repeatability, and cases that must fail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform, interpolate
from liverpair.core.volume import Mask, Volume
from liverpair.register.align import RegisterSettings, Registration, register
from liverpair.register.deformable import DeformSettings
from liverpair.register.quality import QualitySettings, decide, deforms_credibly
from liverpair.register.sequences import align_sequence
from threadpoolctl import threadpool_limits

from tests import register_phantom as phantom

#: Two coarse levels: enough to test what does not depend on the last tenth of a millimetre.
QUICK = RegisterSettings(
    deform=DeformSettings(spacings_mm=(4.0, 3.0), knots_mm=(40.0, 20.0), blurs_mm=(2.0, 1.5), iterations=(30, 15))
)


@dataclass(frozen=True)
class Case:
    ct: Volume
    mr: Volume
    ct_liver: Mask
    mr_liver: Mask
    points: np.ndarray
    truth: np.ndarray

    def errors(self, result: Registration) -> np.ndarray:
        assert result.transform is not None, result.reasons
        return np.linalg.norm(result.transform.to_moving(self.points) - self.truth, axis=1)


def _case(seed: int, **motion: object) -> Case:
    abdomen = phantom.abdomen(seed)
    moved = phantom.motion(seed, **motion)  # type: ignore[arg-type]  # forwarded by name
    ct, ct_liver = phantom.ct(abdomen, seed)
    mr, mr_liver = phantom.mr(abdomen, moved, seed)
    points = phantom.liver_points(ct_liver, 800, seed)
    # Real masks are wrong by millimetres: the registration sees those, the error is measured in the true liver.
    masks = phantom.imperfect(ct_liver, seed, 2.0), phantom.imperfect(mr_liver, seed + 1, 2.0)
    return Case(ct, mr, *masks, points, moved.to_moving(points))


@pytest.fixture(scope="module")
def case() -> Case:
    return _case(21)


@pytest.fixture(scope="module")
def registered(case: Case) -> Registration:
    return register(case.ct, case.mr, case.ct_liver, case.mr_liver)


def test_a_known_deformation_is_recovered_to_the_target(case: Case, registered: Registration) -> None:
    errors = case.errors(registered)
    assert registered.verdict == "usable", registered.reasons
    assert np.median(errors) <= 1.4
    assert np.quantile(errors, 0.95) <= 2.8


def test_the_deformation_is_better_than_its_affine_start(case: Case, registered: Registration) -> None:
    assert registered.transform is not None
    affine = Registration(SpatialTransform(registered.transform.affine), "rigid_only", None, {}, ())
    assert case.errors(registered).mean() < 0.7 * case.errors(affine).mean()


def test_nothing_folds_and_the_inverse_returns(case: Case, registered: Registration) -> None:
    assert registered.quality["folded_fraction"] == 0
    assert registered.quality["jacobian_min"] > 0.3
    assert registered.transform is not None
    there = registered.transform.to_moving(case.points)
    np.testing.assert_allclose(registered.transform.to_fixed(there), case.points, atol=0.05)


def test_the_stated_bound_holds_and_is_not_idle(case: Case, registered: Registration) -> None:
    bound = registered.uncertainty
    assert bound is not None
    stated = interpolate(bound.values, bound.grid, case.points)
    assert (case.errors(registered) <= stated).mean() >= 0.9
    assert np.median(stated) < 5.0  # a bound that is always far too wide would gate nothing


def test_the_same_input_gives_the_same_bytes_with_one_thread_or_two(case: Case) -> None:
    def run(threads: int) -> bytes:
        with threadpool_limits(limits=threads):
            result = register(case.ct, case.mr, case.ct_liver, case.mr_liver, QUICK)
        assert result.transform is not None
        assert result.transform.displacement is not None
        return result.transform.affine.tobytes() + result.transform.displacement.tobytes()

    assert run(1) == run(2)


def test_another_patients_liver_is_called_failed(case: Case) -> None:
    other = _case(22)
    result = register(case.ct, other.mr, case.ct_liver, other.mr_liver, QUICK)
    assert result.verdict == "failed"
    assert result.transform is None
    assert result.uncertainty is None
    assert any("different livers" in reason for reason in result.reasons)


def test_an_upside_down_image_is_called_failed(case: Case) -> None:
    flipped = Volume(np.ascontiguousarray(case.mr.values[:, :, ::-1]), case.mr.grid)
    mask = Mask(np.ascontiguousarray(case.mr_liver.values[:, :, ::-1]), case.mr_liver.grid)
    assert register(case.ct, flipped, case.ct_liver, mask, QUICK).verdict == "failed"


def test_a_wrong_body_part_is_called_failed(case: Case) -> None:
    # A region of muscle and fat beside the liver, with a liver's size, offered as the liver.
    x = case.mr.grid.to_world(np.moveaxis(np.indices(case.mr.grid.shape), 0, -1))
    centre = case.mr_liver.centroid() + np.array([120.0, 40.0, -20.0])
    ball = Mask(np.linalg.norm(x - centre, axis=-1) < 65, case.mr.grid)
    assert register(case.ct, case.mr, case.ct_liver, ball, QUICK).verdict == "failed"


def test_an_empty_image_is_called_failed_without_an_exception(case: Case) -> None:
    empty = Volume(np.zeros(case.mr.grid.shape, dtype=np.float32), case.mr.grid)
    assert register(case.ct, empty, case.ct_liver, case.mr_liver, QUICK).verdict == "failed"
    empty_mask = Mask(np.zeros(case.mr.grid.shape, dtype=np.bool_), case.mr.grid)
    assert register(case.ct, empty, case.ct_liver, empty_mask, QUICK).verdict == "failed"


def test_a_frame_of_reference_far_away_does_not_matter(case: Case) -> None:
    away = np.array([900.0, -450.0, 1500.0])
    affine = case.mr.grid.affine.copy()
    affine[:3, 3] += away
    grid = Grid(case.mr.grid.shape, affine, "7.8.9")
    far = replace(
        case, mr=Volume(case.mr.values, grid), mr_liver=Mask(case.mr_liver.values, grid), truth=case.truth + away
    )
    result = register(far.ct, far.mr, far.ct_liver, far.mr_liver, QUICK)
    assert result.verdict == "usable", result.reasons
    assert np.median(far.errors(result)) < 2.0


def test_a_missed_left_lobe_does_not_drag_the_registration(case: Case) -> None:
    x = case.mr.grid.to_world(np.moveaxis(np.indices(case.mr.grid.shape), 0, -1))[..., 0]
    partial = Mask(case.mr_liver.values & (x < case.mr_liver.centroid()[0] + 30), case.mr.grid)
    assert partial.volume_ml < 0.85 * case.mr_liver.volume_ml
    result = register(case.ct, case.mr, case.ct_liver, partial, QUICK)
    assert result.transform is not None, result.reasons
    assert np.median(case.errors(result)) < 2.5


def _whole_body(image: Volume, below: int, above: int) -> Volume:
    """The image with its end slices repeated, as trunk and legs are much alike from slice to slice."""
    affine = image.grid.affine.copy()
    affine[:3, 3] = image.grid.to_world((0, 0, -below))
    values = np.pad(image.values, ((0, 0), (0, 0), (below, above)), mode="edge")
    n0, n1, n2 = values.shape
    return Volume(values, Grid((n0, n1, n2), affine, image.grid.frame_of_reference), image.unit)


@pytest.mark.parametrize("known", ["ct", "mr"])
def test_the_liver_of_one_image_is_found_in_a_whole_body_ct_or_beside_one(case: Case, known: str) -> None:
    slices = int(round(350.0 / case.ct.grid.spacing[2]))
    ct = _whole_body(case.ct, slices, slices // 2)
    values = np.pad(case.ct_liver.values, ((0, 0), (0, 0), (slices, slices // 2)))
    ct_liver = Mask(values, ct.grid) if known == "ct" else None
    found = register(ct, case.mr, ct_liver, case.mr_liver if known == "mr" else None, QUICK)
    assert found.transform is not None, found.reasons
    assert np.median(case.errors(found)) < 2.0


def test_without_masks_the_bodies_start_it_and_only_the_affine_is_trusted(case: Case) -> None:
    result = register(case.ct, case.mr, None, None)
    assert result.verdict in ("rigid_only", "failed")
    if result.transform is not None:
        assert result.transform.displacement is None
        assert np.median(case.errors(result)) < 6.0


def test_the_motion_between_two_sequences_is_found_and_none_is_invented(case: Case) -> None:
    shift = np.array([2.0, -1.5, 4.0])
    affine = case.mr.grid.affine.copy()
    affine[:3, 3] += shift
    moved = Volume(case.mr.values, Grid(case.mr.grid.shape, affine))
    found = align_sequence(case.mr, moved, case.mr_liver)
    np.testing.assert_allclose(found.to_moving(case.truth[:20]), case.truth[:20] + shift, atol=0.5)
    still = align_sequence(case.mr, case.mr, case.mr_liver)
    np.testing.assert_array_equal(still.affine, np.eye(4))
    noise = Volume(np.random.default_rng(0).normal(size=case.mr.grid.shape).astype(np.float32), case.mr.grid)
    np.testing.assert_array_equal(align_sequence(case.mr, noise, case.mr_liver).affine, np.eye(4))


GOOD = {
    "compared_ml": 1500.0, "stretch_max": 1.05, "rotation_deg": 4.0, "liver_overlap": 0.97, "identity_score": 1.6,
    "folded_fraction": 0.0, "jacobian_min": 0.7, "likeness": 1.2, "strain": 0.08,
    "bending_per_mm2": 1e-5, "likeness_fine": float("nan"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "usable"),
        ({"liver_overlap": float("nan")}, "usable"),
        ({"identity_score": float("nan")}, "failed"),
        ({"identity_score": 0.1}, "failed"),
        ({"likeness": 0.1}, "failed"),
        ({"likeness": float("nan")}, "failed"),
        ({"compared_ml": 40.0}, "failed"),
        ({"rotation_deg": 60.0}, "failed"),
        ({"liver_overlap": 0.5}, "failed"),
        ({"masked": 0.0, "identity_score": 0.7}, "rigid_only"),
        ({"masked": 0.0, "identity_score": 0.2}, "failed"),
        ({"identity_score": 0.7}, "rigid_only"),
        ({"identity_score": 0.7, "bending_per_mm2": 9e-5}, "failed"),
        ({"identity_score": 0.85, "bending_per_mm2": 2.5e-4}, "failed"),
        ({"bending_per_mm2": 2.5e-4}, "rigid_only"),
        ({"bending_per_mm2": 2.5e-4, "likeness_fine": 1.2}, "rigid_only"),
        ({"bending_per_mm2": 2.5e-4, "likeness_fine": 1.5}, "usable"),
        ({"bending_per_mm2": 1.3e-4, "likeness_fine": 1.2}, "usable"),
        ({"folded_fraction": 0.01, "jacobian_min": -0.1}, "rigid_only"),
    ],
)
def test_each_sign_leads_to_its_verdict(change: dict[str, float], verdict: str) -> None:
    found, reasons = decide(GOOD | change, QualitySettings())
    assert found == verdict
    assert bool(reasons) == (verdict != "usable")


def test_a_doubtful_deformation_is_handed_over_with_a_wider_bound_and_a_folded_one_is_not(
    case: Case, registered: Registration
) -> None:
    assert registered.transform is not None
    assert registered.uncertainty is not None
    assert registered.quality["handed_over"] == "deformation"
    doubting = replace(QUICK, quality=replace(QUICK.quality, usable_score=99.0))
    doubtful = register(case.ct, case.mr, case.ct_liver, case.mr_liver, doubting)
    assert doubtful.verdict == "rigid_only"
    assert doubtful.quality["handed_over"] == "doubtful"
    assert doubtful.transform is not None
    assert doubtful.uncertainty is not None
    trusted = register(case.ct, case.mr, case.ct_liver, case.mr_liver, QUICK)
    assert trusted.transform is not None
    assert trusted.uncertainty is not None
    np.testing.assert_array_equal(doubtful.transform.to_moving(case.points), trusted.transform.to_moving(case.points))
    assert (doubtful.uncertainty.values >= trusted.uncertainty.values).all()
    assert deforms_credibly({"masked": 1.0, "folded_fraction": 0.0, "jacobian_min": 0.3})
    assert not deforms_credibly({"masked": 1.0, "folded_fraction": 0.01, "jacobian_min": -0.1})
    assert not deforms_credibly({"masked": 0.0, "folded_fraction": 0.0, "jacobian_min": 0.3})
