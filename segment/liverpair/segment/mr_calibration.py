"""Say how often foci of a given raw confidence turn out to be lesions: a monotone map, fitted where the truth is known.

The log-likelihood ratios that a focus' confidence adds up are not independent: most of what lies between doubt and
certainty is clutter that several sequences show alike. Five independent simulators agree on where it ends.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

__all__ = ["KNOTS", "calibrated"]

#: Raw confidence → share kept, linear in log-odds between them. Fitted to 539 candidates called metastasis in 64
#: examinations of five simulators, each simulator counted alike (benchmarks/confidence_pool.csv); leaving one simulator
#: out moves the share at 0.3 between 0.07 and 0.14, at 0.6 between 0.07 and 0.23, at 0.8 between 0.57 and 0.82, at 0.9
#: between 0.95 and 0.98.
KNOTS: Final = ((0.05, 0.05), (0.3, 0.11), (0.6, 0.15), (0.8, 0.65), (0.9, 0.93), (0.97, 0.98))
#: Nothing is quite impossible or certain.
MOST_LOG_ODDS: Final = 14.0


def calibrated(raw: float) -> float:
    """The share of candidates of raw confidence ``raw`` that are lesions; beyond the knots the log-odds go on alike."""
    odds = _log_odds(raw)
    at, to = (np.array([_log_odds(knot[n]) for knot in KNOTS]) for n in (0, 1))
    inside = float(np.interp(odds, at, to))
    beyond = max(odds - float(at[-1]), 0.0) + min(odds - float(at[0]), 0.0)
    return 1.0 / (1.0 + math.exp(-(inside + beyond)))


def _log_odds(share: float) -> float:
    if share <= 0.0:
        return -MOST_LOG_ODDS
    return float(np.clip(math.log(share) - math.log1p(-min(share, 1.0 - 1e-15)), -MOST_LOG_ODDS, MOST_LOG_ODDS))
