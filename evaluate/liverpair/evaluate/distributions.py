"""Quantiles and tails of the distributions that the intervals and tests rest on.

They are SciPy's own (``scipy.special``, which ``scipy.stats`` calls, too); importing all of ``scipy.stats`` for them
takes longer than the statistics of a whole study.
"""

from __future__ import annotations

from scipy import special

__all__ = [
    "beta_quantile",
    "binomial_cdf",
    "chi2_tail",
    "normal_cdf",
    "normal_log_cdf",
    "normal_quantile",
    "t_quantile",
]


def normal_quantile(probability: float) -> float:
    """z below which a standard normal variable lies with that probability."""
    return float(special.ndtri(probability))


def normal_cdf(z: float) -> float:
    """Probability of a standard normal variable below ``z``."""
    return float(special.ndtr(z))


def normal_log_cdf(z: float) -> float:
    """Logarithm of ``normal_cdf``, exact far out in the tail."""
    return float(special.log_ndtr(z))


def t_quantile(probability: float, degrees: float) -> float:
    """Student's t with ``degrees`` of freedom below which lies that probability; NaN without any degree."""
    return float(special.stdtrit(degrees, probability)) if degrees > 0 else float("nan")


def chi2_tail(value: float, degrees: float) -> float:
    """Probability of a χ² variable above ``value``."""
    return float(special.chdtrc(degrees, value))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """x below which a Beta(a, b) variable lies with that probability."""
    return float(special.betaincinv(a, b, probability))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Probability of ``k`` or fewer successes in ``n`` trials."""
    return float(special.bdtr(k, n, p))
