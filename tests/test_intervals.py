"""Intervals of independent units against the published study and other oracles of statistics.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.evaluate.intervals import (
    Table,
    clopper_pearson,
    diagnostic_odds_ratio,
    kappa,
    likelihood_ratio_negative,
    likelihood_ratio_positive,
    mcnemar_chi2,
    mcnemar_exact,
    odds_ratio,
    pabak,
)

PUBLISHED = Table(tp=1634, fp=16, fn=51, tn=682)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (1634, 1685, 96.04, 97.74),
        (682, 698, 96.30, 98.68),
        (1634, 1650, 98.43, 99.44),
        (682, 733, 90.95, 94.78),
    ],
)
def test_the_published_intervals_are_clopper_pearson(k: int, n: int, low: float, high: float) -> None:
    assert [round(100 * v, 2) for v in clopper_pearson(k, n)] == [low, high]


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (10, 10, 69.1503, 100),
        (0, 16, 0, 20.5907),
        (698, 698, 99.4729, 100),
        (2316, 2383, 96.4430, 97.8146),
    ],
)
def test_edges_and_accuracy_are_exact_to_four_decimals(k: int, n: int, low: float, high: float) -> None:
    assert [100 * v for v in clopper_pearson(k, n)] == pytest.approx([low, high], abs=5.1e-5)


@pytest.mark.parametrize(("k", "n", "low", "high"), [(670, 744, 0.876746, 0.921092), (640, 842, 0.729776, 0.788580)])
def test_epi_tests_of_epir_is_reproduced(k: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(k, n) == pytest.approx((low, high), abs=5.1e-7)


def test_no_trials_know_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_holds_the_proportion_and_mirrors(k: int, extra: int, level: float) -> None:
    n = k + extra
    low, high = clopper_pearson(k, n, level)
    assert 0 <= low <= k / n <= high <= 1
    mirrored = clopper_pearson(n - k, n, level)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_likelihood_ratios_of_the_published_table() -> None:
    positive, negative = likelihood_ratio_positive(PUBLISHED), likelihood_ratio_negative(PUBLISHED)
    odds = diagnostic_odds_ratio(PUBLISHED)
    assert positive is not None
    assert negative is not None
    assert odds is not None
    assert (positive[0], *positive[1]) == pytest.approx((42.3046, 26.0620, 68.6700), abs=5.1e-5)
    assert (negative[0], *negative[1]) == pytest.approx((0.030977, 0.023635, 0.040599), abs=5.1e-7)
    assert (odds[0], *odds[1]) == pytest.approx((1365.67, 773.34, 2411.69), abs=5.1e-3)


def test_ratios_with_an_empty_cell_are_absent_not_infinite() -> None:
    assert likelihood_ratio_positive(Table(5, 0, 1, 5)) is None
    assert likelihood_ratio_negative(Table(5, 1, 0, 5)) is None
    assert diagnostic_odds_ratio(Table(5, 1, 0, 5)) is None


def test_agreement_of_the_published_table() -> None:
    value = kappa(PUBLISHED)
    assert value is not None
    assert value == pytest.approx((0.933107, 0.0080495), abs=5.1e-7)
    assert pabak(PUBLISHED) == pytest.approx(0.943768, abs=5.1e-7)
    assert mcnemar_exact(PUBLISHED.fn, PUBLISHED.fp) == pytest.approx(2.168924e-05, abs=5e-12)


def test_kappa_of_a_textbook_table_and_its_standard_error() -> None:
    value = kappa(Table(tp=19, fn=10, fp=6, tn=256))
    assert value is not None
    assert value == pytest.approx((0.6735838, 0.0762239), abs=5.1e-8)


def test_kappa_of_one_verdict_only_is_not_defined() -> None:
    assert kappa(Table(7, 0, 0, 0)) is None
    assert kappa(Table(0, 0, 0, 0)) is None
    assert pabak(Table(0, 0, 0, 0)) is None


def test_mcnemar_with_and_without_correction() -> None:
    plain, corrected = mcnemar_chi2(150, 86), mcnemar_chi2(150, 86, correction=True)
    assert plain is not None
    assert corrected is not None
    assert (plain[0], corrected[0]) == pytest.approx((17.3559, 16.8178), abs=5.1e-5)
    assert mcnemar_chi2(0, 0) is None
    assert mcnemar_exact(0, 0) == 1.0


def test_an_odds_ratio_with_an_empty_cell_says_that_it_was_corrected() -> None:
    plain, mended = odds_ratio(10, 5, 4, 8), odds_ratio(3, 0, 1, 4)
    assert plain is not None
    assert mended is not None
    assert plain[0] == pytest.approx(4.0)
    assert not plain[2]
    assert mended[2]
    assert mended[0] == pytest.approx((3.5 * 4.5) / (0.5 * 1.5))
    assert odds_ratio(0, 0, 3, 4) is None


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(UsageError):
        clopper_pearson(5, 4)
    with pytest.raises(UsageError):
        Table(-1, 0, 0, 0)
    with pytest.raises(UsageError):
        clopper_pearson(1, 2, level=1.0)
