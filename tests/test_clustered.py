"""Cluster-robust intervals and tests against the oracles of statistics.md, statsmodels and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.evaluate.clustered import (
    ClusterSums,
    NotEstimable,
    cluster_sums,
    design_effect,
    gee_independence,
    intracluster_correlation,
    korn_graubard,
    obuchowski_mcnemar,
    ratio_logit,
)
from liverpair.evaluate.intervals import clopper_pearson


def numbers(text: str) -> np.ndarray:
    return np.array([int(v) for v in text.split(",")], dtype=np.float64)


SENSITIVITY = ClusterSums(
    numbers("4,3,2,2,5,1,2,3,0,4,2,4,0,0,0,1,0,2,3,0"), numbers("4,3,3,2,5,1,2,3,1,4,2,6,0,0,0,1,0,2,3,0")
)
SPECIFICITY = ClusterSums(
    numbers("0,0,1,2,0,0,1,0,0,0,0,0,3,3,2,2,5,1,0,3"), numbers("0,0,1,2,0,0,1,0,0,0,0,0,3,4,2,2,5,1,0,3")
)


@pytest.mark.parametrize(
    ("sums", "k", "n", "m", "ratio", "korn", "gee"),
    [
        (SENSITIVITY, 38, 42, 15, (0.727110, 0.971323), (0.738225, 0.981502), (0.755645, 0.966870)),
        (SPECIFICITY, 23, 24, 10, (0.714380, 0.995294), (0.775731, 0.999239), (0.787814, 0.993030)),
    ],
)
def test_the_twenty_patients_of_the_oracle(
    sums: ClusterSums, k: int, n: int, m: int, ratio: tuple, korn: tuple, gee: tuple
) -> None:
    assert (sums.k, sums.total, sums.m) == (k, n, m)
    assert ratio_logit(sums) == pytest.approx(ratio, abs=5.1e-7)
    # 1e-6: the exact beta quantile is .9815013, which the oracle prints as .981502
    assert korn_graubard(sums) == pytest.approx(korn, abs=1e-6)
    assert gee_independence(sums) == pytest.approx(gee, abs=5.1e-7)


@pytest.mark.parametrize(("reduced", "kind"), [(False, "robust"), (True, "bias_reduced")])
def test_the_gee_in_closed_form_is_that_of_statsmodels(reduced: bool, kind: str) -> None:
    sums = SENSITIVITY
    y = np.concatenate([np.repeat([1.0, 0.0], [int(x), int(n - x)]) for x, n in zip(sums.x, sums.n, strict=True)])
    groups = np.repeat(np.arange(sums.m), sums.n.astype(int))
    fit = sm.GEE(y, np.ones((len(y), 1)), groups=groups, family=sm.families.Binomial()).fit(cov_type=kind)
    bounds = 1 / (1 + np.exp(-np.asarray(fit.conf_int())[0]))
    assert gee_independence(sums, bias_reduced=reduced) == pytest.approx(tuple(bounds), abs=1e-6)


def test_obuchowski_s_published_example() -> None:
    pet = "000 110 111 1 110 1111 111 11 11 1 110 11 111 11 00 110 110 110 11 1 11"
    spect = "011 111 111 1 111 1111 111 11 10 1 110 11 111 11 11 110 110 111 11 1 11"
    patients = zip(pet.split(), spect.split(), strict=True)
    difference = [s.count("1") - p.count("1") for p, s in patients]
    result = obuchowski_mcnemar(difference)
    assert result is not None
    assert result[0] == pytest.approx(2.857143, abs=5.1e-7)
    assert obuchowski_mcnemar([0, 0]) is None
    assert obuchowski_mcnemar([3]) is None


def test_where_all_units_agree_the_intervals_fall_back_or_say_why_not() -> None:
    sums = ClusterSums(np.array([2.0, 3.0]), np.array([2.0, 3.0]))
    assert korn_graubard(sums) == clopper_pearson(5, 5)
    for method in (ratio_logit, gee_independence):
        with pytest.raises(NotEstimable, match="agree"):
            method(sums)
    assert design_effect(sums) is None
    assert intracluster_correlation(sums) is None


def test_one_cluster_says_nothing_about_clusters() -> None:
    sums = ClusterSums(np.array([2.0]), np.array([5.0]))
    for method in (ratio_logit, gee_independence, korn_graubard):
        with pytest.raises(NotEstimable, match="one cluster"):
            method(sums)


def test_clusters_without_trials_do_not_count() -> None:
    assert ClusterSums(np.array([0.0, 1.0]), np.array([0.0, 1.0])).m == 1
    with pytest.raises(NotEstimable, match="denominator"):
        _ = ClusterSums(np.zeros(2), np.zeros(2)).p


def test_units_are_summed_within_their_patient() -> None:
    sums = cluster_sums([True, False, True], np.array(["b", "a", "b"]))
    assert sums.x.tolist() == [0, 2]
    assert sums.n.tolist() == [1, 2]
    with pytest.raises(UsageError):
        cluster_sums([True], np.array(["a", "b"]))


def test_doubling_every_unit_within_its_patient_changes_no_robust_interval() -> None:
    doubled = ClusterSums(2 * SENSITIVITY.x, 2 * SENSITIVITY.n)
    assert ratio_logit(doubled) == pytest.approx(ratio_logit(SENSITIVITY), abs=1e-12)
    assert design_effect(doubled) == pytest.approx(2 * (design_effect(SENSITIVITY) or 0))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_every_interval_that_exists_holds_the_estimate(units: list[tuple[int, int]]) -> None:
    sums = ClusterSums(np.array([a for a, _ in units], float), np.array([a + b for a, b in units], float))
    for method in (ratio_logit, korn_graubard, gee_independence):
        try:
            low, high = method(sums)
        except NotEstimable:
            continue
        assert 0 <= low <= sums.p <= high <= 1


def test_the_robust_interval_covers_where_clopper_pearson_does_not() -> None:
    rng = np.random.default_rng(5)
    truth, icc, m = 0.8, 0.5, 150
    a, b = truth * (1 / icc - 1), (1 - truth) * (1 / icc - 1)
    covered = {"exact": 0, "ratio": 0, "korn": 0}
    runs = 400
    for _ in range(runs):
        n = rng.integers(1, 6, m)
        sums = ClusterSums(rng.binomial(n, rng.beta(a, b, m)).astype(float), n.astype(float))
        found = {
            "exact": clopper_pearson(sums.k, sums.total),
            "ratio": ratio_logit(sums),
            "korn": korn_graubard(sums),
        }
        for name, (low, high) in found.items():
            covered[name] += low <= truth <= high
    assert covered["exact"] / runs < 0.87
    assert covered["ratio"] / runs > 0.92
    assert covered["korn"] / runs > 0.92


def test_the_intracluster_correlation_is_recovered() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(0.7 * 3, 0.3 * 3, 4000)  # ICC = 1 / (1 + a + b) = .25
    sums = ClusterSums(rng.binomial(4, p).astype(float), np.full(4000, 4.0))
    assert intracluster_correlation(sums) == pytest.approx(0.25, abs=0.02)
