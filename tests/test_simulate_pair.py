"""The phantom is what it claims to be: exact map, honest blur, realistic values, same bytes for the same seed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from liverpair.core.volume import Volume
from liverpair.simulate import LesionRequest, PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.petct import respiratory_shifts
from liverpair.simulate.space import Space, ellipsoid
from liverpair.simulate.texture import SmoothField, correlated_noise
from liverpair.simulate.truth import recovery_max
from scipy import ndimage


@pytest.fixture(scope="module")
def pair() -> SimulatedPair:
    """One pair with every kind of lesion."""
    lesions = (
        LesionRequest(24, 5.0, "metastasis", "deep"),
        LesionRequest(14, 4.0, "metastasis"),
        LesionRequest(5, 3.0, "metastasis", "capsule"),
        LesionRequest(20, 0.1, "cyst"),
        LesionRequest(16, 0.75, "haemangioma"),
        LesionRequest(15, 3.0, "inflammation", "deep"),
    )
    return simulate_pair(31, PairSettings(lesions=lesions, steatosis=0.0))


def _ball(volume: Volume, centre: np.ndarray, radius: float) -> np.ndarray:
    """Values of the voxels whose centres lie within ``radius`` of a point."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in volume.grid.shape], indexing="ij"), axis=-1)
    return volume.values[np.linalg.norm(volume.grid.to_world(index) - centre, axis=-1) <= radius]


def _digest(pair: SimulatedPair) -> str:
    found = hashlib.sha256()
    for volume in (pair.ct, pair.pet, *pair.mr.values()):
        found.update(volume.values.tobytes())
        found.update(volume.grid.affine.tobytes())
    found.update(pair.ct_liver.values.tobytes() + pair.mr_liver.values.tobytes())
    return found.hexdigest()


def test_the_map_and_its_inverse_agree_to_a_thousandth_of_a_millimetre(pair: SimulatedPair) -> None:
    points = pair.ct_liver.grid.to_world(np.argwhere(pair.ct_liver.values)[::97])
    assert np.abs(pair.to_fixed(pair.to_moving(points)) - points).max() < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_motion_never_folds_even_at_its_strongest(seed: int) -> None:
    from liverpair.simulate.motion import draw_motion

    rng = np.random.Generator(np.random.PCG64(seed))
    reach = rng.uniform((-110, -70, -70), (60, 70, 80), (500, 3))
    motion = draw_motion(rng, 4.0, 10.0, 16.0, 5.0, reach)
    points = rng.uniform((-180, -130, -120), (180, 130, 120), (4000, 3))
    step = 0.5
    columns = [(motion.forward(points + e) - motion.forward(points - e)) / (2 * step) for e in step * np.eye(3)]
    assert np.linalg.det(np.stack(columns, axis=-1)).min() > 0.3
    assert np.abs(motion.backward(motion.forward(points)) - points).max() < 1e-3


def test_the_true_livers_coincide_under_the_true_map(pair: SimulatedPair) -> None:
    inside = pair.ct_liver.grid.to_world(np.argwhere(pair.ct_liver.values))
    index = np.round(pair.mr_liver.grid.to_index(pair.to_moving(inside))).astype(int)
    seen = np.all((index >= 0) & (index < pair.mr_liver.grid.shape), axis=1)
    hit = pair.mr_liver.values[tuple(index[seen].T)].mean()
    assert seen.all()
    assert hit > 0.97
    assert pair.mr_liver.volume_ml == pytest.approx(pair.ct_liver.volume_ml, rel=0.08)


def test_landmarks_lie_in_both_livers_and_follow_the_map(pair: SimulatedPair) -> None:
    np.testing.assert_allclose(pair.to_moving(pair.landmarks_pet), pair.landmarks_mr, atol=1e-9)
    for mask, points in ((pair.ct_liver, pair.landmarks_pet), (pair.mr_liver, pair.landmarks_mr)):
        index = np.round(mask.grid.to_index(points)).astype(int)
        assert mask.values[tuple(index.T)].all()


def test_the_rigid_part_alone_does_not_explain_the_motion(pair: SimulatedPair) -> None:
    a = pair.landmarks_pet - pair.landmarks_pet.mean(axis=0)
    b = pair.landmarks_mr - pair.landmarks_mr.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    residual = np.linalg.norm(a @ rotation - b, axis=1)
    assert 1.0 < residual.mean() < 8.0


@pytest.mark.parametrize("seed", [1, 2])
def test_livers_have_human_volumes_and_values(seed: int) -> None:
    pair = simulate_pair(seed, PairSettings(sequences=("mr-dwi",), steatosis=0.0))
    assert 1100 < pair.ct_liver.volume_ml < 2000
    deep = ndimage.binary_erosion(pair.ct_liver.values, iterations=4)
    assert np.median(pair.ct.values[deep]) == pytest.approx(55, abs=5)
    assert 2.5 <= pair.liver_suv <= 10


def test_the_healthy_livers_uptake_and_noise_are_those_asked_for() -> None:
    settings = PairSettings(lesions=(), sequences=("mr-dwi",), liver_suv=4.8, pet_cov=0.12, heterogeneity=0.0)
    pair = simulate_pair(5, settings)
    index = np.argwhere(ndimage.binary_erosion(pair.ct_liver.values, iterations=9))
    where = np.round(pair.pet.grid.to_index(pair.ct_liver.grid.to_world(index))).astype(int)
    values = pair.pet.values[tuple(np.unique(where, axis=0).T)]
    assert np.median(values) == pytest.approx(4.8, rel=0.05)  # vessels are a little colder
    assert 0.10 < (np.percentile(values, 84) - np.percentile(values, 16)) / 2 / np.median(values) < 0.15


def test_a_lesions_peak_follows_the_published_recovery_formula() -> None:
    lesions = tuple(
        LesionRequest(d, tlr, "metastasis", "deep", asphericity=0.0) for d, tlr in ((30, 4.0), (13, 6.0), (8, 8.0))
    )
    settings = PairSettings(
        lesions=lesions,
        sequences=("mr-adc",),
        liver_suv=5.0,
        pet_cov=0.0,
        pet_respiration_mm=0.0,
        heterogeneity=0.0,
        pet_fwhm_mm=6.5,
        pet_spacing_mm=(2.0, 2.0, 2.0),
    )
    pair = simulate_pair(8, settings)
    assert len(pair.lesions) == 3
    # the PSF, the 2 mm voxel and the canonical samples' own width add in squares
    fwhm = float(np.sqrt(6.5**2 + 2.0**2 / 12 * 2.3548**2 + (0.25 * 1.6 * 2.3548) ** 2))
    for lesion in pair.lesions:
        index = pair.pet.grid.to_index(lesion.pet_lps)[:, None]
        measured = ndimage.map_coordinates(pair.pet.values, index, order=3)[0]
        expected = 5.0 * (1 + (lesion.tlr - 1) * recovery_max(lesion.diameter_mm, fwhm))
        assert measured == pytest.approx(expected, rel=0.04)


@pytest.fixture(scope="module")
def still_and_breathing() -> tuple[SimulatedPair, SimulatedPair]:
    """One patient's body at two dates, each with a lesion of its own: PET in breath-hold, PET in free breathing."""
    lesion = LesionRequest(10.0, 8.0, "metastasis", "deep", asphericity=0.0)
    first, second = (
        simulate_pair(
            seed,
            PairSettings(
                lesions=(lesion,),
                sequences=("mr-adc",),
                liver_suv=5.0,
                pet_cov=0.0,
                pet_respiration_mm=amplitude,
                heterogeneity=0.0,
                pet_spacing_mm=(3.0, 3.0, 3.0),
                anatomy_seed=4,
            ),
        )
        for seed, amplitude in ((8, 0.0), (9, 14.0))
    )
    return first, second


def test_breathing_widens_a_focus_along_the_body_and_keeps_its_centre(
    still_and_breathing: tuple[SimulatedPair, SimulatedPair],
) -> None:
    spread = []
    for pair in still_and_breathing:
        centre = pair.lesions[0].pet_lps
        index = np.round(pair.pet.grid.to_index(centre)).astype(int)
        column = np.clip(pair.pet.values[index[0], index[1], index[2] - 8 : index[2] + 9] - 5.5, 0, None)
        z = pair.pet.grid.origin[2] + 3.0 * np.arange(index[2] - 8, index[2] + 9)
        mean = float((z * column).sum() / column.sum())
        assert abs(mean - centre[2]) < 1.8
        spread.append(float(np.sqrt(((z - mean) ** 2 * column).sum() / column.sum())))
    assert spread[1] > 1.2 * spread[0]


def test_respiratory_positions_average_to_zero_and_dwell_at_end_expiration() -> None:
    offsets, weights = respiratory_shifts(12.0)
    assert weights.sum() == pytest.approx(1)
    assert (offsets * weights).sum() == pytest.approx(0, abs=1e-9)
    assert np.ptp(offsets) == pytest.approx(12.0, abs=0.3)
    assert weights[offsets > 0].sum() > 0.55


def test_each_sequence_shows_lesions_with_the_contrast_of_their_nature(pair: SimulatedPair) -> None:
    by_nature = {lesion.nature: lesion for lesion in reversed(pair.lesions)}
    assert set(by_nature) == {"metastasis", "cyst", "haemangioma", "inflammation"}
    met, cyst, haemangioma = (by_nature[n] for n in ("metastasis", "cyst", "haemangioma"))
    liver = {role: float(np.median(volume.values[_on(pair, volume)])) for role, volume in pair.mr.items()}
    mean = {
        (role, lesion.nature): float(_ball(pair.mr[role], lesion.mr_lps, 3.5).mean())
        for role in pair.mr
        for lesion in (met, cyst, haemangioma)
    }
    assert mean["mr-hbp", "metastasis"] < 0.65 * liver["mr-hbp"]
    assert mean["mr-hbp", "cyst"] < mean["mr-hbp", "metastasis"]
    assert mean["mr-t2", "cyst"] > mean["mr-t2", "haemangioma"] > mean["mr-t2", "metastasis"] > 1.3 * liver["mr-t2"]
    assert mean["mr-dwi", "metastasis"] > mean["mr-dwi", "haemangioma"] > liver["mr-dwi"] > mean["mr-dwi", "cyst"]
    assert mean["mr-adc", "cyst"] > mean["mr-adc", "haemangioma"] > liver["mr-adc"] > mean["mr-adc", "metastasis"]


def _on(pair: SimulatedPair, volume: Volume) -> np.ndarray:
    index = np.argwhere(ndimage.binary_erosion(pair.mr_liver.values, iterations=4))[::11]
    where = np.round(volume.grid.to_index(pair.mr_liver.grid.to_world(index))).astype(int)
    mask = np.zeros(volume.grid.shape, dtype=bool)
    inside = np.all((where >= 0) & (where < volume.grid.shape), axis=1)
    mask[tuple(where[inside].T)] = True
    return mask


def test_an_inflammatory_focus_is_on_pet_only(pair: SimulatedPair) -> None:
    focus = next(lesion for lesion in pair.lesions if lesion.nature == "inflammation")
    assert _ball(pair.pet, focus.pet_lps, 5).mean() > 1.6 * pair.liver_suv
    beside = _ball(pair.mr["mr-hbp"], focus.mr_lps, 5)
    around = _ball(pair.mr["mr-hbp"], focus.mr_lps, 18)
    assert np.median(beside) == pytest.approx(np.median(around), rel=0.1)


def test_lesions_keep_clear_of_each_other_and_inside_the_liver(pair: SimulatedPair) -> None:
    for n, lesion in enumerate(pair.lesions):
        index = np.round(pair.ct_liver.grid.to_index(lesion.pet_lps)).astype(int)
        assert pair.ct_liver.values[tuple(index)]
        for other in pair.lesions[:n]:
            gap = np.linalg.norm(lesion.pet_lps - other.pet_lps) - (lesion.long_axis_mm + other.long_axis_mm) / 2
            assert gap >= 5.9


def test_the_mri_is_oblique_and_in_a_frame_of_its_own(pair: SimulatedPair) -> None:
    direction = pair.mr["mr-hbp"].grid.direction
    assert np.abs(direction - np.eye(3)).max() > 0.01
    assert np.linalg.det(direction) == pytest.approx(1)
    assert pair.mr["mr-hbp"].grid.frame_of_reference != pair.pet.grid.frame_of_reference
    assert pair.ct.grid.frame_of_reference == pair.pet.grid.frame_of_reference


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_patient(pair: SimulatedPair) -> None:
    settings = PairSettings(sequences=("mr-adc",))
    first, again = (simulate_pair(17, settings) for _ in range(2))
    assert _digest(first) == _digest(again)
    assert first.ct.values.tobytes() != pair.ct.values.tobytes()


def test_one_patients_two_examinations_show_the_same_body(
    still_and_breathing: tuple[SimulatedPair, SimulatedPair],
) -> None:
    first, second = still_and_breathing
    assert np.array_equal(first.ct_liver.values, second.ct_liver.values)
    assert not np.array_equal(first.ct.values, second.ct.values)
    assert np.linalg.norm(first.motion.rigid.shift - second.motion.rigid.shift) > 0.1


def test_a_smooth_field_has_unit_variance_and_the_correlation_asked_for() -> None:
    space = Space.spanning((-100, -100, -100), (100, 100, 100), 4.0)
    fields = [SmoothField.drawn(np.random.Generator(np.random.PCG64(s)), space, 20.0).on(space) for s in range(6)]
    assert np.mean([f.std() for f in fields]) == pytest.approx(1, abs=0.15)
    neighbours = np.mean([np.corrcoef(f[:-1].ravel(), f[1:].ravel())[0, 1] for f in fields])
    assert neighbours > 0.95


def test_correlated_noise_has_unit_sd_and_its_width() -> None:
    spacing = np.array([2.0, 2.0, 3.0])
    noise = correlated_noise(np.random.Generator(np.random.PCG64(0)), (80, 80, 60), (6.0, 6.0, 6.0), spacing)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    lag = float((noise[:-1] * noise[1:]).mean())
    sigma = 6.0 / 2.3548
    assert lag == pytest.approx(np.exp(-(2.0**2) / (4 * sigma**2)), abs=0.03)


def test_an_ellipsoids_distance_is_right_at_its_surface() -> None:
    space = Space.spanning((-40, -40, -40), (40, 40, 40), 2.0)
    distance = ellipsoid(space, (1.0, -2.0, 3.0), (20.0, 14.0, 25.0), (10.0, 20.0, 30.0))
    volume = np.count_nonzero(distance < 0) * 8.0
    assert volume == pytest.approx(4 / 3 * np.pi * 20 * 14 * 25, rel=0.01)
