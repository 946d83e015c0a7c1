"""Inserted lesions: the closed forms' contrast, breathing, noise that goes with the signal, nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.evaluate.insertion import Insert, InsertSettings, insert_lesions
from liverpair.evaluate.partial_volume import rc_max, rc_max_breathing


def flat(step: float = 2.0, n: int = 41, mean: float = 5.0) -> Volume:
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = -step * (n - 1) / 2
    return Volume(np.full((n, n, n), mean, dtype=np.float32), Grid((n, n, n), affine), Unit.SUVBW)


@given(st.floats(4, 18), st.floats(1.2, 10), st.floats(5, 8))
@settings(max_examples=25, deadline=None)
def test_the_peak_of_an_inserted_ball_is_the_closed_forms(diameter: float, ratio: float, fwhm: float) -> None:
    found = insert_lesions(flat(), 5.0, [Insert(np.zeros(3), diameter, ratio)], InsertSettings(fwhm))
    assert found.values.max() / 5 - 1 == pytest.approx((ratio - 1) * float(rc_max(diameter, fwhm, 2.0)), rel=2e-3)


def test_all_of_the_activity_arrives() -> None:
    image = insert_lesions(flat(), 5.0, [Insert(np.array([0.7, -0.4, 0.9]), 10.0, 3.0)], InsertSettings(6.0))
    added = float((image.values.astype(np.float64) - 5).sum()) * 8.0
    assert added == pytest.approx(5 * 2 * np.pi / 6 * 1000, rel=5e-3)


def test_a_breathing_ball_loses_what_the_closed_form_says_and_stays_where_it_is_on_average() -> None:
    still, moving = (
        insert_lesions(flat(), 5.0, [Insert(np.zeros(3), 8.0, 4.0)], InsertSettings(7.0, amplitude))
        for amplitude in (0.0, 10.0)
    )
    expected = rc_max_breathing(8.0, 7.0, 10.0, 2.0) / float(rc_max(8.0, 7.0, 2.0))
    assert (moving.values.max() - 5) / (still.values.max() - 5) == pytest.approx(expected, abs=0.02)
    rise = moving.values.astype(np.float64) - 5
    z = moving.grid.to_world(np.moveaxis(np.indices(rise.shape), 0, -1))[..., 2]
    assert float((rise * z).sum() / rise.sum()) == pytest.approx(0, abs=0.05)
    assert rise.sum() == pytest.approx(float((still.values.astype(np.float64) - 5).sum()), rel=5e-3)


@pytest.mark.parametrize(("power", "expected"), [(0.0, 1.0), (0.5, 3.0**0.5), (1.0, 3.0)])
def test_the_noise_of_a_brighter_place_grows_as_asked(power: float, expected: float) -> None:
    rng = np.random.default_rng(3)
    noisy = flat(n=61)
    values = noisy.values + rng.normal(0, 0.3, noisy.values.shape).astype(np.float32)
    lesion = Insert(np.zeros(3), 60.0, 3.0)  # so large that its middle is a plateau of three times the liver
    image = insert_lesions(Volume(values, noisy.grid, Unit.SUVBW), 5.0, [lesion], InsertSettings(6.0, 0, power))
    middle = image.values[24:37, 24:37, 24:37]
    before = values[24:37, 24:37, 24:37]
    assert middle.mean() == pytest.approx(15, rel=0.01)
    assert middle.std() / before.std() == pytest.approx(expected, rel=0.03)


def test_nothing_changes_away_from_the_lesion_nor_for_a_ratio_of_one() -> None:
    rng = np.random.default_rng(4)
    base = flat()
    values = base.values + rng.normal(0, 0.5, base.values.shape).astype(np.float32)
    image = Volume(values, base.grid, Unit.SUVBW)
    changed = insert_lesions(image, 5.0, [Insert(np.zeros(3), 6.0, 3.0)], InsertSettings(6.0)).values != values
    at = base.grid.to_world(np.argwhere(changed))
    assert np.linalg.norm(at, axis=1).max() < 3 + 4.6 * 6 / 2.355 + 2
    same = insert_lesions(image, 5.0, [Insert(np.zeros(3), 6.0, 1.0)], InsertSettings(6.0))
    np.testing.assert_array_equal(same.values, values)


def test_a_lesion_outside_the_image_adds_nothing_and_wrong_input_is_refused() -> None:
    outside = insert_lesions(flat(), 5.0, [Insert(np.array([500.0, 0, 0]), 10.0, 5.0)], InsertSettings(6.0))
    assert np.all(outside.values == 5)
    with pytest.raises(UsageError):
        insert_lesions(flat(), 0.0, [], InsertSettings(6.0))
    with pytest.raises(ConfigError):
        InsertSettings(6.0, noise_power=2.0)
