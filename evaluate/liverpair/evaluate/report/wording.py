"""How numbers and codes are put into words for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["bounds", "cause", "headline", "human", "number", "percent", "stard"]

#: What a reader is told for each cause code; a code of the user's own taxonomy is shown as it is.
CAUSES = {
    "size": "below the scanner's size limit",
    "low_ssr_expression": "low receptor expression",
    "background": "high liver background",
    "misregistration": "misregistration",
    "interval_therapy": "interval or therapy",
    "label_error": "label or reference error",
    "unexplained": "unexplained",
    "spill_in": "spill-in from a neighbour",
    "mri_miss": "possible MRI miss",
}


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def number(value: Any, digits: int = 1) -> str:
    """A number with a fixed count of decimals; a dash where there is none."""
    if value is None or value == "":
        return "–"
    return f"{float(value):.{digits}f}"


def bounds(interval: Sequence[float | None] | None, digits: int = 1) -> str:
    """An interval of fractions in percent."""
    if not interval or None in interval:
        return "–"
    low, high = interval
    return f"{100 * (low or 0.0):.{digits}f}–{100 * (high or 0.0):.{digits}f}"


def human(code: Any) -> str:
    """A code as words: underscores become spaces, several codes a list."""
    return str(code if code is not None else "").replace(";", ", ").replace("_", " ") or "–"


def cause(code: Any) -> str:
    """A cause code in words."""
    return CAUSES.get(str(code), human(code))


def headline(concordance: Mapping[str, Any]) -> str:
    """The study's result in one sentence, with cluster-robust intervals."""
    counts, estimates = concordance["counts"], concordance["estimates"]
    judged = sum(counts[key] for key in ("tp", "fp", "fn", "tn"))
    if judged == 0:
        return "No pair could be judged: see the flow diagram and the list of pairs for the reasons."
    parts = []
    for name, label in (("sensitivity", "sensitivity"), ("specificity", "specificity")):
        estimate = estimates[name]
        if estimate["value"] is not None:
            robust = estimate["intervals"].get("korn_graubard") or estimate["intervals"].get("clopper_pearson")
            parts.append(f"{label} {percent(estimate['value'])} ({bounds(robust)})")
    found = " and ".join(parts) if parts else "no estimate possible"
    return (
        f"Against liver MRI, SSR-PET/CT had {found} over {judged} pairs; {counts['fn']} false negative, "
        f"{counts['fp']} false positive, {counts['not_evaluable']} not evaluable, "
        f"{counts['indeterminate']} indeterminate."
    )


def stard(with_lesions: bool) -> list[tuple[str, str, str]]:
    """The STARD 2015 items that this report answers (item, topic, where); the others are for the manuscript."""
    items = [
        ("1, 2", "Identification as a diagnostic accuracy study; summary", "title and first paragraph"),
        ("6–9", "Study design and participants; how pairs were chosen", "Flow of studies; Methods; Settings"),
        ("10–13", "Index test, reference standard, positivity cut-offs", "Methods; Settings"),
        ("14", "Methods for estimating accuracy", "Methods"),
        ("15, 16", "Indeterminate results and missing data", "2×3 table; Flow of studies"),
        ("17", "Variability in accuracy", "Subgroups"),
        ("19", "Flow of participants", "Flow of studies"),
        ("22", "Interval between the tests", "Interval between the examinations"),
        ("23", "Cross tabulation", "2×2 and 2×3 tables"),
        ("24", "Estimates with precision", "Estimates"),
        (
            "3–5, 18, 20, 21, 25–30",
            "Background, sample size, clinical data, harms, limits, registration",
            "manuscript",
        ),
    ]
    if with_lesions:
        items.insert(-1, ("17, 24", "Accuracy by lesion size", "Lesion size and detection"))
    return items
