"""A candidate's confidence is the share of its like that are lesions, the same for whichever simulator is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.segment.mr_calibration import KNOTS, calibrated

from benchmarks._lesion_calibration import fitted_shares, read_pool, share_at

RAW = np.array([raw for raw, _ in KNOTS])
SHARES = np.array([share for _, share in KNOTS])


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_map_keeps_the_order_and_stays_a_share(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= calibrated(low) <= calibrated(high) <= 1


def test_the_map_goes_through_its_knots_and_ends_at_the_ends() -> None:
    assert [calibrated(raw) for raw in RAW] == pytest.approx(SHARES)
    assert calibrated(0.0) < 1e-4
    assert calibrated(1.0) > 1 - 1e-4
    between = np.array([0.01, 0.4, 0.99])
    assert [calibrated(float(raw)) for raw in between] == pytest.approx(share_at(between, RAW, SHARES))


def test_the_knots_are_the_fit_to_the_pooled_candidates() -> None:
    assert fitted_shares(read_pool(), RAW) == pytest.approx(SHARES, abs=0.04)


@pytest.mark.parametrize("left_out", sorted(read_pool()))
def test_no_simulator_decides_the_map(left_out: str) -> None:
    others = {name: rows for name, rows in read_pool().items() if name != left_out}
    assert fitted_shares(others, RAW) == pytest.approx(SHARES, abs=0.18)


def test_what_is_promised_is_kept_over_all_simulators_alike() -> None:
    for low, high in ((0.0, 0.2), (0.2, 0.7), (0.7, 0.9), (0.9, 1.01)):
        promised, kept = [], []
        for raw, true in read_pool().values():
            chosen = (raw >= low) & (raw < high)
            if chosen.any():
                promised.append(np.mean([calibrated(float(c)) for c in raw[chosen]]))
                kept.append(true[chosen].mean())
        assert np.mean(promised) == pytest.approx(np.mean(kept), abs=0.1)
