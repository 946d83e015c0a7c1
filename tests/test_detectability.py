"""Detectability and evidence: closed forms, Monte Carlo, and the three verdicts on a missed lesion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.lesion import ReferenceRegion
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import (
    Avidity,
    DetectabilitySettings,
    Scanner,
    classify,
    detection_margin,
    estimate_avidity,
    minimal_diameter,
    p_detect,
    pool_avidity,
    predict,
    predicted_cnr,
    recovery,
    t95,
)
from liverpair.evaluate.evidence import (
    debiased_z,
    expected_maximum,
    independent_looks,
    pet_evidence,
)
from liverpair.evaluate.partial_volume import profile, rc_max
from liverpair.segment.pet_lesions import PetDetectionSettings, detect_pet
from scipy import ndimage, stats

SCANNER = Scanner(fwhm_mm=7.0, cov=0.1, threshold=4.4)
AVID = Avidity(3.0, 2.2, 4.0, 5, "patient")


def test_predicted_contrast_follows_the_formula() -> None:
    assert predicted_cnr(3, 8, SCANNER) == pytest.approx(2 * float(rc_max(8, 7)) / 0.1)
    assert p_detect(4.4, 4.4) == 0.5
    assert t95(2.0, 8, SCANNER) == pytest.approx(1 + (2 + 1.6448536) * 0.1 / float(rc_max(8, 7)))


def test_breathing_lowers_the_predicted_contrast() -> None:
    breathing = Scanner(7.0, 0.1, 4.4, breathing_mm=10)
    assert predicted_cnr(3, 8, breathing) / predicted_cnr(3, 8, SCANNER) == pytest.approx(0.259 / 0.387, abs=5e-3)


@given(st.floats(1.6, 20), st.floats(0.03, 0.2), st.floats(4, 9))
def test_a_lesion_of_the_minimal_diameter_is_seen_half_of_the_time(T: float, cov: float, fwhm: float) -> None:
    scanner = Scanner(fwhm, cov, 4.4)
    found = minimal_diameter(T, scanner)
    if 4.4 * cov >= T - 1:
        assert found.mm is None
        assert "any size" in found.reason
    elif found.reason:
        assert found.mm == 4.5
        assert p_detect(predicted_cnr(T, 4.5, scanner), 4.4) > 0.5
    else:
        assert found.mm is not None
        assert p_detect(predicted_cnr(T, found.mm, scanner), 4.4) == pytest.approx(0.5, abs=0.01)


def test_avidity_is_corrected_for_partial_volume_and_ignores_what_is_too_small() -> None:
    true = 4.0
    seen = [(1 + (true - 1) * recovery(d, SCANNER), d) for d in (9.0, 12.0, 20.0)]
    found = estimate_avidity([*seen, (1.3, 4.0), (1.0, 30.0)], SCANNER)
    assert found is not None
    assert (found.median, found.n, found.source) == (pytest.approx(true), 3, "patient")


def test_lesions_of_several_scanners_are_each_corrected_by_their_own() -> None:
    sharp = Scanner(4.0, 0.1, 4.4)
    seen = [(1 + 3.0 * recovery(9.0, s), 9.0, s) for s in (SCANNER, sharp)]
    found = pool_avidity(seen)
    assert found is not None
    assert (found.lower_quartile, found.upper_quartile, found.n) == (pytest.approx(4), pytest.approx(4), 2)
    assert found.source == "cohort"
    assert pool_avidity([]) is None


def test_without_avid_lesions_the_cohort_speaks_or_nobody() -> None:
    cohort = Avidity(5, 3, 7, 40, "cohort")
    assert estimate_avidity([(1.1, 20.0)], SCANNER, cohort) is cohort
    assert estimate_avidity([], SCANNER) is None


def test_the_three_verdicts() -> None:
    assert classify(1.3, 0.1, AVID) == "truly_non_avid"
    assert classify(2.5, 0.1, AVID) == "expected_invisible"
    assert classify(2.0, 0.1, AVID) == "indeterminate"
    assert classify(2.5, 0.9, AVID) == "indeterminate"
    assert classify(None, 0.1, AVID) == "indeterminate"


def test_a_large_dark_lesion_is_not_avid_and_a_small_one_is_invisible() -> None:
    large = predict(12.0, SCANNER, AVID, z_obs=0.3)
    small = predict(4.5, SCANNER, AVID, z_obs=0.3)
    assert (large.verdict, small.verdict) == ("truly_non_avid", "expected_invisible")
    assert large.p_detect is not None
    assert small.p_detect is not None
    assert large.p_detect > 0.99
    assert small.p_detect < 0.05
    assert small.p_detect_range is not None
    assert small.p_detect_range[0] <= small.p_detect <= small.p_detect_range[1]


def test_a_place_that_cannot_be_judged_is_never_pet_negative() -> None:
    found = predict(12.0, SCANNER, AVID, None, "the place lies outside the PET's field of view")
    assert found.verdict == "not_evaluable"
    assert predict(12.0, None, AVID).verdict == "not_evaluable"
    assert predict(None, SCANNER, AVID).verdict == "not_evaluable"


def test_the_bound_covers_the_true_ratio_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    true, diameter = 1.8, 9.0
    z = (true - 1) * recovery(diameter, SCANNER) / SCANNER.cov + rng.normal(size=4000)
    covered = np.mean([t95(v, diameter, SCANNER) >= true for v in z])
    assert covered == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("signal", [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("looks", [1, 8, 40])
def test_the_bound_from_a_maximum_over_many_looks_still_covers(signal: float, looks: int) -> None:
    rng = np.random.default_rng(looks)
    noise = rng.normal(size=(4000, looks))
    noise[:, 0] += signal
    bound = np.array([debiased_z(m, looks) + 1.6448536 for m in noise.max(axis=1)])
    assert np.mean(bound >= signal) > 0.94


def test_one_look_is_not_corrected_and_many_looks_are() -> None:
    assert debiased_z(1.7, 1.0) == pytest.approx(1.7)
    assert debiased_z(1.7, 30.0) < 1.7
    assert debiased_z(9.0, 30.0) == pytest.approx(9.0, abs=1e-6)


def test_the_expected_maximum_of_noise() -> None:
    rng = np.random.default_rng(0)
    assert expected_maximum(1) == pytest.approx(0, abs=1e-9)
    assert expected_maximum(20) == pytest.approx(rng.normal(size=(20000, 20)).max(axis=1).mean(), abs=0.03)


def phantom(step: float = 2.0, n: int = 40) -> Grid:
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -step * (n - 1) / 2
    return Grid((n, n, n), affine)


def liver(mean: float = 5.0, sd: float = 0.5, noise_fwhm: float = 2.0) -> ReferenceRegion:
    return ReferenceRegion(np.zeros(3), 15.0, mean, sd, noise_fwhm, "test")


def blob(grid: Grid, at: np.ndarray, height: float, fwhm: float = 7.0) -> np.ndarray:
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    r2 = np.sum((grid.to_world(index) - at) ** 2, axis=-1)
    return 5.0 + height * np.exp(-r2 / 2 / (fwhm / FWHM_PER_SIGMA) ** 2)


def test_the_signal_at_a_known_place_is_measured_in_standard_deviations() -> None:
    grid = phantom()
    at = grid.to_world([20, 20, 20])
    suv = Volume(blob(grid, at, 2.0), grid, Unit.SUVBW)
    found = pet_evidence(suv, liver(), at, 8.0, 0.0)
    assert found.in_field_of_view
    assert found.z_obs == pytest.approx(4.0, abs=1e-6)
    assert found.tlr == pytest.approx(1.4, abs=1e-6)
    assert found.tlr_corrected == pytest.approx(1.4, abs=1e-6)


def test_a_misplaced_focus_is_found_within_the_uncertainty_stretched_along_z() -> None:
    grid = phantom()
    at = grid.to_world([20, 20, 20])
    suv = Volume(blob(grid, at + np.array([0, 0, 8.0]), 3.0), grid, Unit.SUVBW)
    near, wide = (pet_evidence(suv, liver(), at, 8.0, u) for u in (1.0, 5.0))
    assert near.z_max is not None
    assert wide.z_max is not None
    assert near.z_max < 3
    assert wide.z_max == pytest.approx(6.0, abs=0.05)
    sideways = Volume(blob(grid, at + np.array([8.0, 0, 0]), 3.0), grid, Unit.SUVBW)
    outside = pet_evidence(sideways, liver(), at, 8.0, 5.0)
    assert outside.z_max is not None
    assert outside.z_max < 5


def test_pure_noise_does_not_look_avid_after_the_correction() -> None:
    rng = np.random.default_rng(4)
    grid = phantom(n=64)
    noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), 1.2)
    noise /= noise.std()
    suv = Volume(5.0 + 0.5 * noise, grid, Unit.SUVBW)
    region = liver(noise_fwhm=1.2 * FWHM_PER_SIGMA * 2.0)
    places = rng.uniform(-35, 35, (300, 3))
    found = [pet_evidence(suv, region, p, 6.0, 6.0) for p in places]
    raw = np.mean([f.tlr for f in found if f.tlr is not None])
    corrected = np.mean([f.tlr_corrected for f in found if f.tlr_corrected is not None])
    assert raw > 1.15
    assert abs(corrected - 1) < 0.05
    dark = [
        t95(f.z_obs, 12.0, SCANNER) < 1.5 or f.tlr_corrected <= 1.2
        for f in found
        if f.z_obs is not None and f.tlr_corrected is not None
    ]
    assert np.mean(dark) > 0.97


def test_places_that_cannot_be_measured_say_why() -> None:
    grid = phantom()
    suv = Volume(np.full(grid.shape, 5.0), grid, Unit.SUVBW)
    centre = np.zeros(3)
    assert "registration" in pet_evidence(suv, liver(), None, 8.0, 3.0).not_evaluable
    assert "outside" in pet_evidence(suv, liver(), np.array([200.0, 0, 0]), 8.0, 3.0).not_evaluable
    assert "edge" in pet_evidence(suv, liver(), np.array([0, 0, 38.0]), 8.0, 3.0).not_evaluable
    assert "uncertain by 30 mm" in pet_evidence(suv, liver(), centre, 8.0, 30.0).not_evaluable
    everywhere = Mask(np.ones(grid.shape, bool), grid)
    assert "another focus" in pet_evidence(suv, liver(), centre, 8.0, 3.0, everywhere).not_evaluable


def test_another_lesion_s_focus_does_not_count_for_this_one() -> None:
    grid = phantom()
    at = grid.to_world([20, 20, 20])
    values = blob(grid, at + np.array([4.0, 0, 0]), 5.0, fwhm=4.0)
    suv = Volume(values, grid, Unit.SUVBW)
    taken = Mask(values > 5.5, grid)
    blind = pet_evidence(suv, liver(), at, 6.0, 5.0)
    told = pet_evidence(suv, liver(), at, 6.0, 5.0, taken)
    assert blind.z_max is not None
    assert told.z_max is not None
    assert blind.z_max > 9
    assert told.z_max <= 1


def test_looks_grow_with_the_region_and_shrink_with_the_grain() -> None:
    assert independent_looks(10.0, 6.0, 8.0) == 1.0
    assert independent_looks(4000.0, 4.0, 8.0) == pytest.approx(4000 / (np.pi / 6 * 64))
    assert independent_looks(4000.0, 0.5, 8.0) == pytest.approx(500)


def test_impossible_scanners_are_refused() -> None:
    with pytest.raises(UsageError):
        Scanner(7.0, 0.0, 4.4)
    with pytest.raises(UsageError):
        DetectabilitySettings(visible_p=1.5)


def test_p_detect_is_the_rate_at_which_a_noisy_peak_passes_the_threshold() -> None:
    rng = np.random.default_rng(2)
    cnr = predicted_cnr(2.2, 7.0, SCANNER)
    rate = np.mean(cnr + rng.normal(size=20000) > SCANNER.threshold)
    assert p_detect(cnr, SCANNER.threshold) == pytest.approx(rate, abs=0.012)
    assert p_detect(cnr, SCANNER.threshold) == pytest.approx(stats.norm.cdf(cnr - 4.4))


def test_without_search_widths_the_margin_is_that_of_the_voxel() -> None:
    assert detection_margin(2.5, 7.0, SCANNER) == pytest.approx(predicted_cnr(2.5, 7.0, SCANNER) - 4.4)
    from_json = Scanner(7.0, 0.1, 4.4, noise_fwhm_mm=5.0, search_fwhm_mm=[4.9, 9.8])  # type: ignore[arg-type]  # JSON gives a list
    assert from_json.search_fwhm_mm == (4.9, 9.8)


def test_searching_smoothed_images_helps_large_faint_lesions_and_never_hurts() -> None:
    wide = Scanner(7.0, 0.1, 4.4, noise_fwhm_mm=4.0, search_fwhm_mm=(4.9, 9.8))
    assert detection_margin(1.4, 16.0, wide) > detection_margin(1.4, 16.0, SCANNER) + 2
    for diameter in (3.0, 5.0, 8.0, 12.0):
        assert detection_margin(2.5, diameter, wide) >= detection_margin(2.5, diameter, SCANNER)


def planted(noise_fwhm: float, seed: int) -> list[tuple[float, bool]]:
    """Predicted probability and detector's verdict for spheres planted in one noisy liver of 3 mm voxels."""
    rng = np.random.default_rng(seed)
    grid, fwhm, cov = phantom(3.0, 60), 7.0, 0.1
    places = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    semi = np.array([80.0, 68.0, 60.0])
    organ = Mask(np.sum((places / semi) ** 2, axis=-1) <= 1, grid)
    noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), noise_fwhm / FWHM_PER_SIGMA / 3.0, mode="wrap")
    image = 1 + cov * noise / noise.std()
    spots: list[tuple[np.ndarray, float, float]] = []
    for at in rng.uniform(-1, 1, (200, 3)) * (semi - 20):
        clear = all(np.linalg.norm(at - other) > 26 for other, _, _ in spots)
        if clear and np.sum((at / (semi - 20)) ** 2) <= 1 and len(spots) < 14:
            diameter = rng.uniform(4.5, 14)
            ratio = 1 + rng.uniform(1, 9) * cov / float(rc_max(diameter, fwhm))
            image += (ratio - 1) * profile(np.linalg.norm(places - at, axis=-1), diameter, fwhm, 3.0)
            spots.append((at, diameter, ratio))
    detector = PetDetectionSettings()
    suv = Volume((5 * image).astype(np.float32), grid, Unit.SUVBW)
    found = detect_pet(suv, organ, liver(noise_fwhm=noise_fwhm), detector)
    facts = found.facts
    scanner = Scanner(
        fwhm, cov, facts["threshold_z"], "test", 3.0, 0.0, facts["noise_fwhm_mm"],
        facts["search_fwhm_mm"][1:], facts["search_cov"], facts["search_skew"],
    )  # fmt: skip
    foci = np.array([c.centre_lps for c in found.candidates]).reshape(-1, 3)
    return [
        (
            p_detect(detection_margin(ratio, diameter, scanner), 0.0),
            bool(len(foci) and np.linalg.norm(foci - at, axis=1).min() < 10),
        )
        for at, diameter, ratio in spots
    ]


@pytest.mark.slow
@pytest.mark.parametrize("noise_fwhm", [4.0, 6.0])
def test_the_predicted_probability_is_the_detector_s_rate(noise_fwhm: float) -> None:
    """The model against liverpair's own PET detector on planted spheres of 4.5–14 mm."""
    pairs = [pair for seed in range(14) for pair in planted(noise_fwhm, seed)]
    predicted, seen = np.array([p for p, _ in pairs]), np.array([float(s) for _, s in pairs])
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01)):
        inside = (predicted >= low) & (predicted < high)
        assert inside.sum() >= 15
        assert seen[inside].mean() == pytest.approx(predicted[inside].mean(), abs=0.15 if high == 0.8 else 0.1)


def test_skewed_noise_needs_more_contrast_and_a_voxel_off_centre_sees_less() -> None:
    plain, skewed = (
        Scanner(7.0, 0.1, 4.4, noise_fwhm_mm=4.0, search_fwhm_mm=(4.9,), search_cov=(0.1, 0.05), search_skew=s)
        for s in ((0.0, 0.0), (0.2, 0.2))
    )
    assert detection_margin(2.5, 8.0, skewed) < detection_margin(2.5, 8.0, plain) - 1
    coarse = Scanner(7.0, 0.1, 4.4, voxel_mm=4.0)
    assert detection_margin(3.0, 6.0, coarse) < predicted_cnr(3.0, 6.0, coarse) - 4.4


def test_noise_is_given_for_every_search_or_for_none() -> None:
    with pytest.raises(UsageError, match="every search width"):
        Scanner(7.0, 0.1, 4.4, search_fwhm_mm=(4.9, 9.8), search_cov=(0.1, 0.05))
