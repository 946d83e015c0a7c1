"""Intervals and tests on counts whose units are independent: proportions, likelihood ratios, agreement.

A 2×2 table is ``Table(tp, fp, fn, tn)``: the reference standard decides positive and negative, the index test
true and false. Everything is a plain number; an estimate that the counts do not define is None (never NaN,
never a crash).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from liverpair.core.errors import UsageError
from liverpair.evaluate.distributions import beta_quantile, binomial_cdf, chi2_tail, normal_quantile
from liverpair.evaluate.kappa import cohen_kappa

__all__ = [
    "Interval",
    "Table",
    "clopper_pearson",
    "diagnostic_odds_ratio",
    "kappa",
    "likelihood_ratio_negative",
    "likelihood_ratio_positive",
    "mcnemar_chi2",
    "mcnemar_exact",
    "odds_ratio",
    "pabak",
]

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Table:
    """Counts of a 2×2 table: reference standard against index test."""

    tp: int
    fp: int
    fn: int
    tn: int

    def __post_init__(self) -> None:
        if min(self.tp, self.fp, self.fn, self.tn) < 0:
            raise UsageError(f"a 2×2 table cannot hold negative counts: {self}")

    @property
    def total(self) -> int:
        """Number of units in the table."""
        return self.tp + self.fp + self.fn + self.tn


def _normal_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(f"a confidence level lies between 0 and 1, got {level}")
    return normal_quantile(0.5 + level / 2)


def clopper_pearson(k: float, n: float, level: float = 0.95) -> Interval:
    """Exact interval of k successes in n independent trials (Clopper & Pearson 1934); (0, 1) where n = 0.

    k and n need not be whole: Korn–Graubard puts an effective sample size in.
    """
    _normal_quantile(level)
    if n <= 0:
        return 0.0, 1.0
    if not -1e-12 <= k <= n * (1 + 1e-12):
        raise UsageError(f"{k} successes in {n} trials is impossible")
    tail = (1 - level) / 2
    low = 0.0 if k <= 0 else beta_quantile(tail, k, n - k + 1)
    high = 1.0 if k >= n else beta_quantile(1 - tail, k + 1, n - k)
    return low, high


def _log_interval(value: float, se_log: float, level: float) -> Interval:
    z = _normal_quantile(level)
    return value * math.exp(-z * se_log), value * math.exp(z * se_log)


def likelihood_ratio_positive(t: Table, level: float = 0.95) -> tuple[float, Interval] | None:
    """LR+ = sensitivity / (1 − specificity), log-method interval (Simel 1991); None with empty cells."""
    positives, negatives = t.tp + t.fn, t.fp + t.tn
    if min(positives, negatives, t.tp, t.fp) == 0:
        return None
    value = (t.tp / positives) / (t.fp / negatives)
    return value, _log_interval(value, math.sqrt(1 / t.tp - 1 / positives + 1 / t.fp - 1 / negatives), level)


def likelihood_ratio_negative(t: Table, level: float = 0.95) -> tuple[float, Interval] | None:
    """LR− = (1 − sensitivity) / specificity, log-method interval (Simel 1991); None with empty cells."""
    positives, negatives = t.tp + t.fn, t.fp + t.tn
    if min(positives, negatives, t.fn, t.tn) == 0:
        return None
    value = (t.fn / positives) / (t.tn / negatives)
    return value, _log_interval(value, math.sqrt(1 / t.fn - 1 / positives + 1 / t.tn - 1 / negatives), level)


def diagnostic_odds_ratio(t: Table, level: float = 0.95) -> tuple[float, Interval] | None:
    """DOR = tp·tn / (fp·fn) with Woolf's interval; None where a cell is empty."""
    if min(t.tp, t.fp, t.fn, t.tn) == 0:
        return None
    value = t.tp * t.tn / (t.fp * t.fn)
    return value, _log_interval(value, math.sqrt(1 / t.tp + 1 / t.fp + 1 / t.fn + 1 / t.tn), level)


def odds_ratio(a: int, b: int, c: int, d: int, level: float = 0.95) -> tuple[float, Interval, bool] | None:
    """Odds ratio (a/b)/(c/d) with Woolf's interval, and whether ½ was added to every cell (Haldane–Anscombe).

    a, b: with and without the flag in the first group; c, d: in the second. None where a group is empty.
    """
    if a + b == 0 or c + d == 0:
        return None
    corrected = min(a, b, c, d) == 0
    w, x, y, z = (float(v) + 0.5 * corrected for v in (a, b, c, d))
    value = w * z / (x * y)
    return value, _log_interval(value, math.sqrt(1 / w + 1 / x + 1 / y + 1 / z), level), corrected


def kappa(t: Table) -> tuple[float, float] | None:
    """Cohen's kappa and its large-sample standard error (Fleiss, Cohen & Everitt 1969).

    None where chance agreement is complete (all units in one cell of the diagonal).
    """
    return cohen_kappa([[t.tp, t.fn], [t.fp, t.tn]])


def pabak(t: Table) -> float | None:
    """Prevalence- and bias-adjusted kappa, 2·agreement − 1; None for an empty table."""
    return None if t.total == 0 else 2 * (t.tp + t.tn) / t.total - 1


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p of McNemar's test on the discordant counts; 1 where there are none."""
    return 1.0 if b + c == 0 else min(1.0, float(2 * binomial_cdf(min(b, c), b + c, 0.5)))


def mcnemar_chi2(b: int, c: int, correction: bool = False) -> tuple[float, float] | None:
    """McNemar's χ² (1 degree of freedom) and p, Edwards' correction on demand; None without discordance."""
    if b + c == 0:
        return None
    difference = max(abs(b - c) - (1 if correction else 0), 0)
    chi2 = difference**2 / (b + c)
    return chi2, chi2_tail(chi2, 1)
