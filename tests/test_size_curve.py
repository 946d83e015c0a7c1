"""Size curve and lesion level: MASS::dose.p, statsmodels, separation, bins and their edges."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from liverpair.core.errors import ConfigError, UsageError
from liverpair.evaluate.lesion_level import (
    LesionLevelSettings,
    detected_within,
    lesion_level,
    size_bins,
    tolerance_sweep,
)
from liverpair.evaluate.records import LesionOutcome
from liverpair.evaluate.size_curve import dose, fit_logistic, size_curve


def lesions(sizes: np.ndarray, found: np.ndarray, patients: np.ndarray) -> list[LesionOutcome]:
    rows = zip(sizes, found, patients, strict=True)
    return [LesionOutcome(f"p{p}", f"s{p}", f"l{i}", float(s), bool(f)) for i, (s, f, p) in enumerate(rows)]


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(2.0, 0.6, n))
    patients = rng.integers(0, n // 5, n)
    found = rng.random(n) < 1 / (1 + np.exp(-(4 * (np.log(sizes) - np.log(6)) + rng.normal(0, 0.5, n)[patients])))
    return sizes, found, patients


@pytest.mark.parametrize(
    ("p", "x", "se"), [(0.25, 2.2312647, 0.2499089), (0.5, 3.2635874, 0.2297539), (0.75, 4.2959102, 0.2746874)]
)
def test_the_budworm_doses_of_mass_are_reproduced(p: float, x: float, se: float) -> None:
    log_dose = np.tile(np.arange(6.0), 2)
    male = np.repeat([1.0, 0.0], 6)
    dead = np.array([1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16.0])
    fit = fit_logistic(np.column_stack([1 - male, male, log_dose]), dead, np.full(12, 20.0))
    female = np.ix_([0, 2], [0, 2])
    found = dose(fit.coefficients[0], fit.coefficients[2], fit.covariance[female], p)
    # 1e-7: R stops iterating earlier, its weights are one step behind the maximum
    assert found[:2] == pytest.approx((x, se), abs=1e-7)


def test_coefficients_and_clustered_errors_are_those_of_a_gee() -> None:
    sizes, found, patients = simulated(300, 0)
    curve = size_curve(lesions(sizes, found, patients))
    design = sm.add_constant(np.log(sizes))
    fit = sm.GEE(found.astype(float), design, groups=patients, family=sm.families.Binomial()).fit()
    assert curve["coefficients"] == pytest.approx(list(fit.params), abs=1e-6)
    assert curve["standard_errors"] == pytest.approx(list(fit.bse), abs=1e-6)


def test_the_true_half_detection_size_lies_in_both_intervals() -> None:
    curve = size_curve(lesions(*simulated(2000, 4)))
    for kind in ("delta", "fieller"):
        low, high = curve["d50_ci_mm"][kind]
        assert low < 6 < high
        assert high - low < 1
        assert curve["d90_mm"] > curve["d50_mm"]


def test_fieller_solves_its_own_equation() -> None:
    covariance = np.array([[0.5, -0.2], [-0.2, 0.1]])
    _, _, _, interval = dose(-3.0, 1.6, covariance, 0.5)
    assert not isinstance(interval, str)
    for x in interval:
        spread = covariance[0, 0] + 2 * x * covariance[0, 1] + x**2 * covariance[1, 1]
        assert abs(-3.0 + 1.6 * x) / np.sqrt(spread) == pytest.approx(1.959964, abs=1e-5)


def test_a_slope_that_is_not_significant_leaves_fieller_unbounded() -> None:
    assert dose(-1.0, 0.3, np.array([[0.5, -0.2], [-0.2, 0.1]]), 0.5)[3] == "unbounded"


def test_separated_sizes_get_firth_s_curve_and_no_interval() -> None:
    sizes = np.array([3, 4, 5, 6, 7, 8, 9.0])
    curve = size_curve(lesions(sizes, sizes > 6, np.arange(7)))
    assert 6 < curve["d50_mm"] < 7
    assert curve["d50_ci_mm"] == {"delta": None, "fieller": None}
    assert curve["method"] == "Firth"
    assert "parts detected" in curve["notes"]["intervals"]


def test_firth_s_estimate_maximises_the_penalised_likelihood() -> None:
    x = np.log(np.array([3, 4, 5, 6, 7, 8, 9.0]))
    y = (x > np.log(6.5)).astype(float)
    X = np.column_stack([np.ones(7), x])
    fit = fit_logistic(X, y, penalised=True)

    def penalised(beta: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-X @ beta))
        information = (X.T * (p * (1 - p))) @ X
        return float(np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)) + 0.5 * np.linalg.slogdet(information)[1])

    assert fit.converged
    best = penalised(fit.coefficients)
    for step in ([0.01, 0], [-0.01, 0], [0, 0.01], [0, -0.01]):
        assert penalised(fit.coefficients + step) < best


@pytest.mark.parametrize(
    ("sizes", "found", "why"),
    [
        ([5, 6, 7], [True, True, True], "every lesion"),
        ([5, 6, 7], [False, False, False], "no lesion"),
        ([5, 5, 5], [True, False, True], "two sizes"),
        ([], [], "three lesions"),
    ],
)
def test_a_curve_that_the_data_do_not_determine_is_absent_with_a_reason(
    sizes: list[float], found: list[bool], why: str
) -> None:
    curve = size_curve(lesions(np.array(sizes), np.array(found), np.arange(len(sizes))))
    assert curve["d50_mm"] is None
    assert why in curve["notes"]["size_curve"]


def test_detection_that_falls_with_size_has_no_half_detection_size() -> None:
    sizes, found, patients = simulated(300, 0)
    curve = size_curve(lesions(sizes, ~found, patients))
    assert curve["d50_mm"] is None
    assert curve["notes"]["d50_mm"] == "detection does not rise with size"


def test_bins_are_closed_on_the_left() -> None:
    sizes = np.array([5.999, 6.0, 9.999, 10.0, 19.999, 20.0, 80.0])
    bins = size_bins(lesions(sizes, np.ones(7, bool), np.arange(7)))
    assert [b["n"] for b in bins] == [1, 2, 2, 2]
    assert bins[-1]["high_mm"] is None


def test_rounding_moves_lesions_between_bins_and_none_is_lost() -> None:
    sizes = np.array([0.4, 5.5, 6.5, 9.5, 10.5])
    level = lesion_level(lesions(sizes, np.ones(5, bool), np.arange(5)))
    assert [b["n"] for b in level["size_bins"]] == [2, 2, 1, 0]
    assert [b["n"] for b in level["size_bins_shifted"]["-1 mm"]] == [3, 2, 0, 0]
    assert [b["n"] for b in level["size_bins_shifted"]["+1 mm"]] == [1, 2, 2, 0]


def test_lesions_without_size_or_verdict_are_counted_apart() -> None:
    rows = [
        LesionOutcome("p", "s", "a", None, True),
        LesionOutcome("p", "s", "b", 7.0, None),
        LesionOutcome("p", "s", "c", 7.0, False),
    ]
    level = lesion_level(rows, LesionLevelSettings(bootstrap_replicates=100), false_foci=4, pairs=2)
    assert (level["lesions"], level["not_evaluable"], level["without_size"]) == (3, 1, 1)
    assert (level["sensitivity"]["k"], level["sensitivity"]["n"]) == (1, 2)
    assert level["false_foci_per_pair"] == 2


def test_a_focus_within_the_tolerance_detects_several_lesions_and_one_outside_is_false() -> None:
    reference = np.array([[0, 0, 0], [8, 0, 0], [50, 0, 0.0]])
    index = np.array([[4, 0, 0], [70, 0, 0.0]])
    hit, true = detected_within(reference, np.array([2, 2, 2.0]), index, 2.5)
    assert hit.tolist() == [True, True, False]
    assert true.tolist() == [True, False]
    sweep = tolerance_sweep([(reference, np.array([2, 2, 2.0]), index)], (0, 2.5, 30))
    assert [(r["k"], r["false_foci"]) for r in sweep] == [(0, 2), (2, 1), (3, 0)]
    with pytest.raises(UsageError):
        detected_within(reference, np.ones(3), index, -1)


def test_size_edges_must_rise() -> None:
    with pytest.raises(ConfigError):
        LesionLevelSettings(size_edges_mm=(10.0, 6.0))
