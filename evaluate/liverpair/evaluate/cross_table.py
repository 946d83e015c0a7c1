"""The full table of verdicts: 2×2 counts, the 2×3 with indeterminate ones, and their bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from liverpair.evaluate.calls import outcome
from liverpair.evaluate.records import OUTCOMES, PairCall

__all__ = ["MEASURE_CELLS", "bounds", "counts", "two_by_three"]

#: Success and failure cells of each measure (the value is successes / (successes + failures)).
MEASURE_CELLS = {
    "sensitivity": (("TP",), ("FN",)),
    "specificity": (("TN",), ("FP",)),
    "ppv": (("TP",), ("FP",)),
    "npv": (("TN",), ("FN",)),
    "accuracy": (("TP", "TN"), ("FP", "FN")),
}
KNOWN = ("present", "absent")
INDETERMINATE = ("uncertain", "not_mentioned")


def counts(calls: Sequence[PairCall]) -> dict[str, int]:
    """How many pairs have each outcome, keyed tp, fp, fn, tn, indeterminate, not_evaluable."""
    found = Counter(outcome(c.reference, c.index) for c in calls)
    return {o.lower() if len(o) == 2 else o: found[o] for o in OUTCOMES}


def two_by_three(calls: Sequence[PairCall]) -> dict[str, dict[str, int]]:
    """Reference verdict → index verdict → pairs, over present, absent, indeterminate and not_evaluable."""
    rows = (*KNOWN, "indeterminate", "not_evaluable")

    def group(status: str) -> str:
        if status in KNOWN:
            return status
        return "indeterminate" if status in INDETERMINATE else "not_evaluable"

    found = Counter((group(c.reference), group(c.index)) for c in calls)
    return {r: {i: found[(r, i)] for i in rows} for r in rows}


def _possible(status: str, open_ended: Sequence[str]) -> tuple[str, ...]:
    """What a verdict could turn out to be once resolved."""
    return KNOWN if status in open_ended else (status,)


def _extreme(calls: Mapping[tuple[str, str], int], measure: str, open_ended: Sequence[str], best: bool) -> float | None:
    """The measure when every open verdict turns out as well (or badly) as it can for it.

    ``calls``: how many pairs have each (reference, index).

    A pair goes to a wanted cell if it can, else leaves the denominator if it can: either choice moves a
    proportion the wanted way, whatever the other pairs do.
    """
    success, failure = MEASURE_CELLS[measure]
    wanted, unwanted = (success, failure) if best else (failure, success)
    good = bad = 0
    for (reference, index), pairs in calls.items():
        if reference not in (*KNOWN, *open_ended) or index not in (*KNOWN, *open_ended):
            continue
        cells = {outcome(r, i) for r in _possible(reference, open_ended) for i in _possible(index, open_ended)}
        if cells & set(wanted):
            good += pairs
        elif cells <= set(unwanted):
            bad += pairs
    if good + bad == 0:
        return None
    return (good if best else bad) / (good + bad)


def bounds(calls: Sequence[PairCall]) -> dict[str, Any]:
    """Worst and best case of each measure: indeterminate verdicts resolved, then not evaluable ones too."""
    rules = {
        "indeterminate": INDETERMINATE,
        "indeterminate_and_not_evaluable": (*INDETERMINATE, "not_evaluable", ""),
    }
    told = Counter((c.reference, c.index) for c in calls)
    return {
        rule: {
            m: {
                "worst": _extreme(told, m, states, best=False),
                "best": _extreme(told, m, states, best=True),
            }
            for m in MEASURE_CELLS
        }
        for rule, states in rules.items()
    }
