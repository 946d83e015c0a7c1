"""Does a flag explain misses? Its odds in false negatives against true positives; the sweep of sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from liverpair.evaluate.attribution import Attribution
from liverpair.evaluate.intervals import clopper_pearson, odds_ratio

__all__ = ["cause_counts", "flag_odds", "size_sweep"]

#: Flags that need no lesion (attribution._shared_flags).
SHARED_FLAGS = frozenset(
    {"label_mr", "label_pet", "therapy", "long_interval", "dome_offset", "background", "steatosis"}
)


def cause_counts(rows: Sequence[Attribution], outcome: str) -> dict[str, int]:
    """How many pairs of an outcome have each primary cause, most frequent first, then by name."""
    found = Counter(r.primary_cause for r in rows if r.outcome == outcome and r.primary_cause)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def flag_odds(
    rows: Sequence[Attribution], level: float = 0.95, false: str = "FN", true: str = "TP"
) -> list[dict[str, Any]]:
    """Per flag: ``fn_with`` of ``fn``, ``tp_with`` of ``tp``, odds ratio with its interval ``low``–``high``;
    ``corrected`` where ½ was added to empty cells.

    With ``false`` FP and ``true`` TN the keys are fp_with, fp, tn_with, tn, and only flags that a true negative can
    have are compared: those of the examinations, not of a lesion.
    """
    wrong = [set(r.flags) for r in rows if r.outcome == false]
    right = [set(r.flags) for r in rows if r.outcome == true]
    comparable = (
        set().union(*wrong, *right) if false == "FN" else {f for f in set().union(*wrong, *right) if _shared(f)}
    )
    key, other = false.lower(), true.lower()
    table = []
    for flag in sorted(comparable):
        a, c = sum(flag in f for f in wrong), sum(flag in f for f in right)
        ratio = odds_ratio(a, len(wrong) - a, c, len(right) - c, level)
        table.append(
            {
                "flag": flag,
                f"{key}_with": a,
                key: len(wrong),
                f"{other}_with": c,
                other: len(right),
                "odds_ratio": ratio[0] if ratio else None,
                "low": ratio[1][0] if ratio else None,
                "high": ratio[1][1] if ratio else None,
                "corrected": ratio[2] if ratio else None,
            }
        )
    return table


def _shared(flag: str) -> bool:
    """Whether a flag is of the examinations and so can stand on a true negative too."""
    return flag in SHARED_FLAGS or flag.startswith(("technical_", "registration_"))


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
