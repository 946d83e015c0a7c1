"""Does a proportion differ between subgroups when one patient may be in several of them? A cluster-robust Wald test.

The proportions' joint covariance is the ratio estimator's over patients (Cochran; the same as in clustered.py):
cov(p_j, p_k) = m/(m−1)·Σ_i r_ij·r_ik / (n_j·n_k), r_ij = x_ij − p_j·n_ij over the m patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liverpair.evaluate.distributions import chi2_tail

__all__ = ["Heterogeneity", "differs"]

#: Patients per compared subgroup below which the covariance is a guess.
LEAST_PATIENTS = 5


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """χ² of equal proportions with its degrees of freedom and p; ``note`` says why there is none."""

    chi2: float | None
    df: int
    p: float | None
    note: str = ""


def differs(levels: Sequence[Mapping[str, tuple[int, int]]]) -> Heterogeneity:
    """Test equal proportions over levels; each maps a patient to (successes, trials).

    Levels without a trial are left out. A level in which all succeed or all fail has no variance of its own: the test
    is then not stated.
    """
    used = [level for level in levels if sum(n for _, n in level.values())]
    if len(used) < 2:
        return Heterogeneity(None, 0, None, "fewer than two subgroups have pairs of this kind")
    patients = sorted(set().union(*used))
    x = np.array([[level.get(p, (0, 0))[0] for p in patients] for level in used], dtype=np.float64)
    n = np.array([[level.get(p, (0, 0))[1] for p in patients] for level in used], dtype=np.float64)
    if np.any((n > 0).sum(axis=1) < LEAST_PATIENTS):
        return Heterogeneity(None, len(used) - 1, None, f"a subgroup has fewer than {LEAST_PATIENTS} patients")
    p = x.sum(axis=1) / n.sum(axis=1)
    if np.any((p <= 0) | (p >= 1)):
        return Heterogeneity(None, len(used) - 1, None, "in a subgroup all pairs agree")
    residual = (x - p[:, None] * n) / n.sum(axis=1)[:, None]
    m = len(patients)
    covariance = m / (m - 1) * residual @ residual.T
    contrast = np.hstack([np.full((len(used) - 1, 1), -1.0), np.eye(len(used) - 1)])
    spread, difference = contrast @ covariance @ contrast.T, contrast @ p
    if np.linalg.matrix_rank(spread) < len(difference):
        return Heterogeneity(None, len(difference), None, "the subgroups' covariance is singular")
    chi2 = float(difference @ np.linalg.solve(spread, difference))
    return Heterogeneity(chi2, len(difference), chi2_tail(chi2, len(difference)))
