"""Intervals and tests where several studies come from one patient, so that the units are not independent.

Input is per cluster (patient): ``x`` successes of ``n`` trials, arrays of shape (clusters,). Clusters without
a trial (n = 0) do not belong to the proportion and are dropped first; m counts those that are left.

Sources: Cochran's ratio estimator with the logit transform and t(m−1); Korn & Graubard, Survey Methodology 24
(1998); Liang & Zeger 1986 (GEE), Mancl & DeRouen 2001 (bias reduction); Obuchowski, Stat Med 17 (1998) 1495.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liverpair.core.errors import UsageError
from liverpair.evaluate.distributions import chi2_tail, normal_quantile, t_quantile
from liverpair.evaluate.intervals import Interval, clopper_pearson

__all__ = [
    "FEW_CLUSTERS",
    "LEAST_SE",
    "ClusterSums",
    "NotEstimable",
    "cluster_sums",
    "design_effect",
    "gee_independence",
    "intracluster_correlation",
    "korn_graubard",
    "obuchowski_mcnemar",
    "ratio_logit",
    "ratio_variance",
]

#: Below this many clusters the robust variance is biased low; Mancl–DeRouen's corrected one is given beside
#: it (statistics.md).
FEW_CLUSTERS = 40


class NotEstimable(Exception):  # noqa: N818 - a statement about the data, not an error of the caller
    """The data do not determine this interval; the message is the reason a table can print."""


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSums:
    """Successes ``x`` and trials ``n`` per cluster, float64 arrays of shape (m,), every n > 0."""

    x: NDArray[np.float64]
    n: NDArray[np.float64]

    def __post_init__(self) -> None:
        x, n = np.asarray(self.x, dtype=np.float64), np.asarray(self.n, dtype=np.float64)
        if x.shape != n.shape or np.any(x < 0) or np.any(x > n):
            raise UsageError("every cluster needs 0 ≤ successes ≤ trials")
        object.__setattr__(self, "x", x[n > 0])
        object.__setattr__(self, "n", n[n > 0])

    @property
    def m(self) -> int:
        """Number of clusters with at least one trial."""
        return len(self.n)

    @property
    def k(self) -> float:
        """Successes over all clusters."""
        return float(self.x.sum())

    @property
    def total(self) -> float:
        """Trials over all clusters."""
        return float(self.n.sum())

    @property
    def p(self) -> float:
        """Pooled proportion, refused as not estimable without trials."""
        if self.m == 0:
            raise NotEstimable("no units in the denominator")
        return self.k / self.total


def cluster_sums(success: ArrayLike, cluster: ArrayLike) -> ClusterSums:
    """Sum unit-level successes (bool, shape (units,)) within clusters (labels, shape (units,))."""
    hit = np.asarray(success, dtype=np.float64)
    labels = np.asarray(cluster)
    if hit.shape != labels.shape:
        raise UsageError("every unit needs a cluster")
    _, index = np.unique(labels, return_inverse=True)
    size = int(index.max()) + 1 if len(index) else 0
    x, n = np.zeros(size), np.zeros(size)
    np.add.at(x, index, hit)
    np.add.at(n, index, 1.0)
    return ClusterSums(x, n)


def _informative(sums: ClusterSums) -> float:
    """The proportion, where its variance between clusters says anything."""
    p = sums.p
    if sums.m < 2:
        raise NotEstimable("only one cluster: the variation between clusters is unknown")
    if p in (0.0, 1.0):
        raise NotEstimable("all units agree, so the variance between clusters is 0; see Clopper–Pearson")
    return p


def ratio_variance(sums: ClusterSums) -> float:
    """Variance of Σx/Σn by the ratio estimator: m/(m−1)·Σ(x − p·n)²/(Σn)²."""
    residual = sums.x - sums.p * sums.n
    return sums.m / (sums.m - 1) * float(np.sum(residual**2)) / sums.total**2


#: Below this a standard error is rounding: an interval of no width would claim certainty.
LEAST_SE = 1e-9


def _logit_interval(p: float, se_logit: float, quantile: float) -> Interval:
    if se_logit < LEAST_SE:
        raise NotEstimable("every cluster has the same proportion: the variance between clusters is 0")
    centre = math.log(p / (1 - p))
    low, high = centre - quantile * se_logit, centre + quantile * se_logit
    return 1 / (1 + math.exp(-low)), 1 / (1 + math.exp(-high))


def ratio_logit(sums: ClusterSums, level: float = 0.95) -> Interval:
    """Ratio-estimator interval on the logit scale with t(m−1)."""
    p = _informative(sums)
    se = math.sqrt(ratio_variance(sums)) / (p * (1 - p))
    return _logit_interval(p, se, t_quantile(0.5 + level / 2, sums.m - 1))


def korn_graubard(sums: ClusterSums, level: float = 0.95) -> Interval:
    """Clopper–Pearson at the effective sample size n_eff = p(1−p)/v·[t(N−1)/t(m−1)]².

    Where all units agree the variance is 0 and the plain Clopper–Pearson interval is returned (the caller
    says so). n_eff is not capped at N: the oracle of statistics.md is not.
    """
    p = sums.p
    if p in (0.0, 1.0):
        return clopper_pearson(sums.k, sums.total, level)
    _informative(sums)
    variance = ratio_variance(sums)
    if variance <= 0:
        raise NotEstimable("every cluster has the same proportion: the variance between clusters is 0")
    quantile = 0.5 + level / 2
    shrink = (t_quantile(quantile, sums.total - 1) / t_quantile(quantile, sums.m - 1)) ** 2
    effective = p * (1 - p) / variance * float(shrink)
    low, high = clopper_pearson(p * effective, effective, level)
    return min(low, p), max(high, p)  # at a vanishing n_eff rounding may put a bound a last digit past the estimate


def gee_independence(sums: ClusterSums, level: float = 0.95, bias_reduced: bool = False) -> Interval:
    """Intercept-only logistic GEE, independence working correlation, robust variance, normal quantile.

    In closed form: se(logit p)² = Σ r²/(N·p·q)², r = x − p·n; ``bias_reduced`` takes Mancl–DeRouen's
    residuals r/(1 − n/N), advisable below ``FEW_CLUSTERS`` clusters.
    """
    p = _informative(sums)
    residual = sums.x - p * sums.n
    if bias_reduced:
        residual = residual / (1 - sums.n / sums.total)
    se = math.sqrt(float(np.sum(residual**2))) / (sums.total * p * (1 - p))
    return _logit_interval(p, se, normal_quantile(0.5 + level / 2))


def design_effect(sums: ClusterSums) -> float | None:
    """Cluster variance over the variance of independent units; None where either is 0 or unknown."""
    try:
        p = _informative(sums)
    except NotEstimable:
        return None
    return ratio_variance(sums) / (p * (1 - p) / sums.total)


def intracluster_correlation(sums: ClusterSums) -> float | None:
    """ANOVA estimate of the intracluster correlation of the binary outcome; None where it is not defined."""
    N, m = sums.total, sums.m
    if m < 2 or m >= N or sums.p in (0.0, 1.0):
        return None
    p_i = sums.x / sums.n
    between = float(np.sum(sums.n * (p_i - sums.p) ** 2)) / (m - 1)
    within = float(np.sum(sums.n * p_i * (1 - p_i))) / (N - m)
    average = (N - float(np.sum(sums.n**2)) / N) / (m - 1)
    spread = between + (average - 1) * within
    return None if spread <= 0 else (between - within) / spread


def obuchowski_mcnemar(difference: ArrayLike) -> tuple[float, float] | None:
    """Clustered McNemar: χ² = (m−1)/m·(ΣD)²/ΣD² and p, D = b − c per patient, shape (m,).

    All patients of the comparison count in m. None where no patient shows a difference or there is only one.
    """
    D = np.asarray(difference, dtype=np.float64)
    spread = float(np.sum(D**2))
    if len(D) < 2 or spread == 0:
        return None
    chi2 = (len(D) - 1) / len(D) * float(D.sum()) ** 2 / spread
    return chi2, chi2_tail(chi2, 1)
