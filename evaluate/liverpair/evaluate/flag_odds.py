"""Does a flag explain misses? Its odds in false negatives against true positives; the sweep of sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from liverpair.evaluate.attribution import Attribution
from liverpair.evaluate.intervals import clopper_pearson, odds_ratio

__all__ = ["cause_counts", "flag_odds", "size_sweep"]


def cause_counts(rows: Sequence[Attribution], outcome: str) -> dict[str, int]:
    """How many pairs of an outcome have each primary cause, most frequent first, then by name."""
    found = Counter(r.primary_cause for r in rows if r.outcome == outcome and r.primary_cause)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def flag_odds(rows: Sequence[Attribution], level: float = 0.95) -> list[dict[str, Any]]:
    """Per flag: ``fn_with`` of ``fn``, ``tp_with`` of ``tp``, odds ratio with its interval ``low``–``high``;
    ``corrected`` where ½ was added to empty cells.
    """
    missed = [set(r.flags) for r in rows if r.outcome == "FN"]
    seen = [set(r.flags) for r in rows if r.outcome == "TP"]
    table = []
    for flag in sorted(set().union(*missed, *seen)):
        a, c = sum(flag in f for f in missed), sum(flag in f for f in seen)
        ratio = odds_ratio(a, len(missed) - a, c, len(seen) - c, level)
        table.append(
            {
                "flag": flag,
                "fn_with": a,
                "fn": len(missed),
                "tp_with": c,
                "tp": len(seen),
                "odds_ratio": ratio[0] if ratio else None,
                "low": ratio[1][0] if ratio else None,
                "high": ratio[1][1] if ratio else None,
                "corrected": ratio[2] if ratio else None,
            }
        )
    return table


def size_sweep(rows: Sequence[Attribution], limits_mm: Sequence[float], level: float = 0.95) -> list[dict[str, Any]]:
    """Share of false negatives whose largest undetected lesion is below each limit; unmeasured counted."""
    sizes = [r.largest_undetected_mm for r in rows if r.outcome == "FN"]
    known = [s for s in sizes if s is not None]
    table = []
    for limit in sorted(limits_mm):
        k = sum(s < limit for s in known)
        table.append(
            {
                "limit_mm": float(limit),
                "k": k,
                "n": len(known),
                "value": k / len(known) if known else None,
                "clopper_pearson": list(clopper_pearson(k, len(known), level)) if known else None,
                "unmeasured": len(sizes) - len(known),
            }
        )
    return table
