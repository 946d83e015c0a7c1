"""Recovery coefficients: the published table, a brute-force blurred sphere, limits, breathing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.evaluate.partial_volume import (
    PEAK_RADIUS_MM,
    brt,
    contrast_from,
    diameter_at_rc_max,
    effective_fwhm,
    measured_ratio,
    profile,
    rc_max,
    rc_max_breathing,
    rc_mean,
    rc_peak,
)
from scipy import ndimage

# Columns of lesions.md: RCmax / RCpeak / RCmean at F = 5, 6, 7, 8 mm.
TABLE = {
    4: ".171/.031/.138 .107/.028/.091 .071/.025/.063 .049/.021/.044",
    6: ".427/.101/.292 .291/.090/.215 .203/.078/.160 .146/.067/.120",
    8: ".686/.223/.424 .518/.196/.340 .387/.170/.271 .291/.145/.215",
    10: ".864/.388/.522 .722/.340/.443 .581/.295/.372 .461/.253/.311",
    13: ".975/.657/.623 .911/.584/.555 .811/.515/.491 .699/.451/.431",
    17: ".999/.905/.707 .989/.844/.652 .957/.776/.599 .900/.706/.547",
}


@pytest.mark.parametrize("diameter", TABLE)
def test_the_closed_forms_reproduce_the_published_table(diameter: int) -> None:
    for fwhm, entry in zip((5, 6, 7, 8), TABLE[diameter].split(), strict=True):
        expected = [float(v) for v in entry.split("/")]
        found = [float(f(diameter, fwhm)) for f in (rc_max, rc_peak, rc_mean)]
        assert found == pytest.approx(expected, abs=5.1e-4)


@pytest.mark.parametrize(("diameter", "fwhm"), [(6.0, 5.0), (10.0, 7.0), (16.0, 6.0)])
def test_a_sphere_blurred_by_brute_force_agrees_with_the_closed_forms(diameter: float, fwhm: float) -> None:
    step, half = 0.4, 18.0
    axis = np.arange(-half, half + step / 2, step)
    offsets = (np.arange(4) - 1.5) * step / 4  # partial filling of the edge voxels by 4³ points
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    sphere = np.zeros_like(x)
    for a in offsets:
        for b in offsets:
            for c in offsets:
                sphere += (x + a) ** 2 + (y + b) ** 2 + (z + c) ** 2 <= (diameter / 2) ** 2
    sphere /= 64
    blurred = ndimage.gaussian_filter(sphere, fwhm / FWHM_PER_SIGMA / step, truncate=6)
    r = np.sqrt(x**2 + y**2 + z**2)
    assert blurred.max() == pytest.approx(float(rc_max(diameter, fwhm)), abs=4e-3)
    assert (blurred * sphere).sum() / sphere.sum() == pytest.approx(float(rc_mean(diameter, fwhm)), abs=4e-3)
    assert blurred[r <= PEAK_RADIUS_MM].mean() == pytest.approx(float(rc_peak(diameter, fwhm)), abs=8e-3)
    ring = np.abs(r - diameter / 2) < 0.1
    assert blurred[ring].mean() == pytest.approx(float(profile(diameter / 2, diameter, fwhm)), abs=8e-3)


@pytest.mark.parametrize(
    ("ratio", "fraction"),
    [
        (0.8, 0.691),
        (1.0, 0.594),
        (1.2, 0.517),
        (1.5, 0.438),
        (2.0, 0.383),
        (2.5, 0.377),
        (3.0, 0.389),
        (4.0, 0.415),
        (6.0, 0.444),
    ],
)
def test_the_contour_fraction_that_gives_the_true_volume_matches_the_published_one(
    ratio: float, fraction: float
) -> None:
    assert float(brt(ratio)) == pytest.approx(fraction, abs=6e-4)


def test_the_contour_fraction_tends_to_one_half_for_large_spheres() -> None:
    assert float(brt(200.0)) == pytest.approx(0.5, abs=2e-3)


@given(st.floats(0.2, 60), st.floats(2, 15))
def test_recoveries_lie_between_zero_and_one_and_are_ordered(diameter: float, fwhm: float) -> None:
    highest, mean = float(rc_max(diameter, fwhm)), float(rc_mean(diameter, fwhm))
    assert -1e-12 <= mean <= highest + 1e-9
    assert highest <= 1 + 1e-12


@given(st.floats(0.01, 40), st.floats(3, 12))
def test_recovery_grows_with_size_without_a_jump_between_series_and_closed_form(d: float, fwhm: float) -> None:
    for recovery in (rc_max, rc_mean):
        low, high = float(recovery(d, fwhm)), float(recovery(d * 1.01, fwhm))
        assert high >= low * (1 - 1e-9)
        assert high - low < 0.05


def test_voxels_add_a_twelfth_of_their_square_to_the_variance() -> None:
    wider = FWHM_PER_SIGMA * np.sqrt((6 / FWHM_PER_SIGMA) ** 2 + 16 / 12)
    assert float(rc_max(8, 6, 4)) == pytest.approx(float(rc_max(8, wider)), rel=1e-12)


@pytest.mark.parametrize(("amplitude", "expected"), [(0, 0.387), (10, 0.259), (20, 0.195)])
def test_breathing_lowers_the_recovery_as_published(amplitude: float, expected: float) -> None:
    assert rc_max_breathing(8, 7, amplitude) == pytest.approx(expected, abs=1e-3)


def test_breathing_agrees_with_a_brute_force_average_over_the_cycle() -> None:
    phase = np.linspace(0, np.pi, 20001)[:-1]
    place = 14 * np.cos(phase) ** 4
    centres = np.linspace(-2, 14, 641)
    best = max(float(profile(np.abs(c - place), 9, 6).mean()) for c in centres)
    assert rc_max_breathing(9, 6, 14) == pytest.approx(best, abs=2e-4)


def test_the_effective_resolution_reproduces_the_breathing_recovery() -> None:
    assert float(rc_max(8, effective_fwhm(8, 7, 10))) == pytest.approx(rc_max_breathing(8, 7, 10), abs=1e-6)


@given(st.floats(0.05, 0.95), st.floats(4, 10))
def test_the_diameter_of_a_recovery_is_its_inverse(recovery: float, fwhm: float) -> None:
    found = diameter_at_rc_max(recovery, fwhm)
    assert found is not None
    assert float(rc_max(found, fwhm)) == pytest.approx(recovery, abs=1e-4)


def test_no_sphere_recovers_more_than_everything() -> None:
    assert diameter_at_rc_max(1.0, 7) is None
    assert diameter_at_rc_max(0.0, 7) == 0


def test_correcting_a_measured_ratio_gives_the_true_one_back() -> None:
    assert contrast_from(float(measured_ratio(3.2, 0.4)), 0.4) == pytest.approx(3.2)
    with pytest.raises(UsageError):
        contrast_from(1.5, 0.0)


def test_a_resolution_of_zero_is_refused() -> None:
    with pytest.raises(UsageError):
        rc_max(8, 0)


#: EARL 1 (¹⁸F) limits of recovery at these sphere diameters (lesions.md): maximum, and mean within the 50 % contour.
EARL_MM = (10, 13, 17, 22, 28, 37)
EARL_MAX = ((0.34, 0.57), (0.59, 0.85), (0.73, 1.01), (0.83, 1.09), (0.91, 1.13), (0.95, 1.16))
EARL_MEAN = ((0.27, 0.43), (0.44, 0.60), (0.57, 0.73), (0.63, 0.78), (0.72, 0.85), (0.76, 0.89))


def contour_mean(diameter: float, fwhm: float, fraction: float = 0.5) -> float:
    """Mean recovery within the contour at a fraction of the maximum, by integration of the profile."""
    r = np.linspace(1e-3, diameter, 4000)
    f = profile(r, diameter, fwhm)
    inside = f >= fraction * float(rc_max(diameter, fwhm))
    return float(np.average(f[inside], weights=r[inside] ** 2))


def test_a_scanner_of_seven_to_eight_millimetres_lies_within_the_accreditation_s_bands() -> None:
    for fwhm in (7.25, 7.75):
        for diameter, (low, high) in zip(EARL_MM, EARL_MAX, strict=True):
            assert low <= float(rc_max(diameter, fwhm)) <= high, (fwhm, diameter)
        for diameter, (low, high) in zip(EARL_MM, EARL_MEAN, strict=True):
            assert low <= contour_mean(diameter, fwhm) <= high, (fwhm, diameter)


def test_a_scanner_of_five_millimetres_is_too_sharp_for_the_old_bands() -> None:
    assert float(rc_max(10, 5.0)) > EARL_MAX[0][1]
    assert contour_mean(10, 5.0) > EARL_MEAN[0][1]
