"""P(detect) of a whole search: against simulated searches, and how it answers to what decides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import Scanner, detection_margin, p_detect
from liverpair.evaluate.partial_volume import profile
from liverpair.evaluate.search_model import Place, Search, p_found
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference
from scipy.ndimage import gaussian_filter

PLACE = Place(fwhm_mm=6.5, voxel_mm=3.0, breathing_mm=0.0, noise_fwhm_mm=5.0)


def searches(cov: float, noise_mm: float, skew: float = 0.0) -> tuple[Search, ...]:
    """The detector's three images of noise that is white behind a Gaussian."""
    found = []
    for width, threshold in ((0.0, 4.9), (4.9, 4.7), (9.8, 4.3)):
        wider = math.hypot(noise_mm, width) / noise_mm
        found.append(Search(width, cov * wider**-1.5, skew * wider**-1.5, threshold))
    return tuple(found)


def kept(ratio: float, diameter: float, rounds: int, cov: float = 0.12) -> float:
    """The share of simulated images in which a ball between the voxels' centres exceeds a threshold."""
    rng = np.random.default_rng(int(diameter * 10))
    n, step, sigma = 23, PLACE.voxel_mm, PLACE.noise_fwhm_mm / FWHM_PER_SIGMA / PLACE.voxel_mm
    places = (np.indices((n, n, n)).transpose(1, 2, 3, 0) - n // 2) * step
    near = np.linalg.norm(places, axis=-1) < 8.0
    white = gaussian_filter(rng.standard_normal((80, 80, 80)), sigma, mode="wrap").std()
    images = searches(cov, PLACE.noise_fwhm_mm)
    seen = 0
    for _ in range(rounds):
        at = rng.uniform(-0.5, 0.5, 3) * step
        rise = (ratio - 1) * profile(np.linalg.norm(places - at, axis=-1), diameter, PLACE.fwhm_mm, step)
        noise = gaussian_filter(rng.standard_normal((n, n, n)), sigma, mode="wrap") / white
        image = rise + cov * noise * np.sqrt(1 + rise)
        smooth = [gaussian_filter(image, s.width_mm / FWHM_PER_SIGMA / step) if s.width_mm else image for s in images]
        seen += any((x / s.cov)[near].max() > s.threshold for x, s in zip(smooth, images, strict=True))
    return seen / rounds


@pytest.mark.parametrize(("ratio", "diameter"), [(4.6, 5.0), (2.2, 8.0), (1.38, 14.0)])
def test_the_probability_is_the_rate_of_simulated_searches(ratio: float, diameter: float) -> None:
    predicted = p_found(ratio, diameter, PLACE, searches(0.12, PLACE.noise_fwhm_mm))
    assert 0.15 < predicted < 0.85  # where an error would show
    assert kept(ratio, diameter, 400) == pytest.approx(predicted, abs=0.06)


@given(st.floats(1.0, 8.0), st.floats(0.05, 2.0), st.floats(3, 18), st.floats(0, 12), st.floats(0, 0.2))
def test_more_uptake_is_never_harder_to_see(
    ratio: float, more: float, diameter: float, breathing: float, skew: float
) -> None:
    place = Place(6.0, 3.0, round(breathing), 5.0, 1.0, 0.08, 15.0)
    images = searches(0.12, 5.0, skew)
    low, high = (p_found(t, round(diameter), place, images) for t in (ratio, ratio + more))
    assert 0 <= low <= high + 0.02 <= 1.02
    assert low == p_found(ratio, round(diameter), place, images)


def test_a_noisier_place_hides_and_uneven_places_make_less_certain() -> None:
    images = searches(0.12, 5.0)
    faint, strong = (p_found(t, 8.0, PLACE, images) for t in (1.9, 2.6))
    assert faint < 0.3
    assert strong > 0.7
    noisy = Place(6.5, 3.0, 0.0, 5.0, noise=1.15)
    assert p_found(2.6, 8.0, noisy, images) < strong - 0.05
    uneven = Place(6.5, 3.0, 0.0, 5.0, spread=0.25)
    assert p_found(2.6, 8.0, uneven, images) < strong
    assert p_found(1.9, 8.0, uneven, images) > faint


def test_a_large_faint_lesion_is_held_against_what_it_adds_to_the_background() -> None:
    images = searches(0.12, 5.0)
    own = Place(6.5, 3.0, 0.0, 5.0, background_sigma_mm=15.0)
    large = p_found(1.3, 15.0, PLACE, images) - p_found(1.3, 15.0, own, images)
    small = p_found(4.2, 5.0, PLACE, images) - p_found(4.2, 5.0, own, images)
    assert large > 0.05
    assert 0 <= small < 0.03


def test_noise_that_grows_with_uptake_leaves_a_bright_lesion_less_certain() -> None:
    """From a chance of a tenth to nine tenths lies more contrast, in SDs, where a lesion stands over noisier liver."""
    rises = np.linspace(1.0, 30.0, 60)

    def width(cov: float) -> float:
        chances = [p_found(1 + cov * rise, 9.0, PLACE, searches(cov, 5.0)) for rise in rises]
        return float(np.interp(0.9, chances, rises) - np.interp(0.1, chances, rises))

    assert width(0.2) > 1.1 * width(0.02)


def test_breathing_and_coarse_voxels_hide_a_small_lesion() -> None:
    images = searches(0.12, 5.0)
    still = p_found(4.0, 6.0, PLACE, images)
    assert p_found(4.0, 6.0, Place(6.5, 3.0, 12.0, 5.0), images) < still - 0.1
    assert p_found(4.0, 6.0, Place(6.5, 5.0, 0.0, 5.0), images) < still - 0.1


def uneven_pet(rise: float) -> tuple[Volume, Mask]:
    """A liver of 4 mm voxels whose noise differs from left to right by ±``rise``."""
    rng = np.random.default_rng(3)
    shape, grid = (40, 32, 28), Grid((40, 32, 28), np.diag([4.0, 4.0, 4.0, 1.0]))
    where = (np.indices(shape).transpose(1, 2, 3, 0) - (np.array(shape) - 1) / 2) * 4.0
    inside = ((where / (64.0, 48.0, 42.0)) ** 2).sum(axis=-1) < 1
    noise = gaussian_filter(rng.standard_normal(shape), 0.5)
    noise *= 0.12 / noise.std() * (1 + rise * np.sign(where[..., 0]))
    image = gaussian_filter(np.where(inside, 1.0, 0.3), 0.7) + noise
    return Volume((5 * image).astype(np.float32), grid, Unit.SUVBW), Mask(inside, grid)


def test_the_detector_tells_how_noise_differs_from_place_to_place() -> None:
    spread = []
    for rise in (0.0, 0.3):
        suv, liver = uneven_pet(rise)
        facts = detect_pet(suv, liver, liver_reference(suv, liver)).facts
        assert facts["place_noise"] == pytest.approx(1.0, abs=0.12)
        spread.append(facts["place_spread"])
    assert spread[0] < 0.07
    assert spread[1] > 0.12


def test_a_scanner_with_measured_noise_promises_what_its_search_finds() -> None:
    scanner = Scanner(6.5, 0.12, 4.9, "test", 3.0, 0.0, 5.0, (4.9, 9.8), (0.12, 0.075, 0.034), (0.0, 0.0, 0.0))
    own = tuple(Search(w, c, 0.0, 4.9) for w, c in zip((0.0, 4.9, 9.8), scanner.search_cov, strict=True))
    promised = p_detect(detection_margin(1.8, 8.0, scanner), 0.0)
    assert promised >= p_found(1.8, 8.0, PLACE, own)  # smoother images have lower thresholds
    assert detection_margin(30.0, 30.0, scanner) < 10  # certain, and yet a number
