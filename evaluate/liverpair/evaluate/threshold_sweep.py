"""How sensitivity and specificity move when the confidence that calls an examination positive is set otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from liverpair.evaluate.calls import CallSettings, has_flag, outcome
from liverpair.evaluate.intervals import clopper_pearson

__all__ = ["Focus", "status_at", "threshold_sweep"]

#: From barely credible to nearly certain; the study's own threshold is added.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Focus:
    """A focus taken for a metastasis: its confidence and its flags."""

    confidence: float
    flags: tuple[str, ...] = ()


def status_at(foci: Sequence[Focus], settings: CallSettings) -> str:
    """present | uncertain | absent, by the same rule as ``image_call``."""
    calling = [f for f in foci if f.confidence >= settings.present_confidence]
    if any(not has_flag(f.flags, settings.uncertain_flags) for f in calling):
        return "present"
    doubtful = calling or any(f.confidence >= settings.uncertain_confidence for f in foci)
    return "uncertain" if doubtful else "absent"


def threshold_sweep(
    pairs: Sequence[tuple[Sequence[Focus], Sequence[Focus]]], settings: CallSettings, level: float = 0.95
) -> list[dict[str, Any]]:
    """One row per threshold, of (MRI foci, PET foci) of pairs that can be judged on both sides.

    ``applied`` marks the study's own threshold. Both examinations are called at the same one.
    """
    if not pairs:
        return []
    rows = []
    for threshold in sorted({*THRESHOLDS, settings.present_confidence}):
        uncertain = min(settings.uncertain_confidence, threshold)
        at = replace(settings, present_confidence=threshold, uncertain_confidence=uncertain)
        cells = [outcome(status_at(mr, at), status_at(pet, at)) for mr, pet in pairs]
        row: dict[str, Any] = {"threshold": threshold, "applied": threshold == settings.present_confidence}
        row |= {cell.lower(): cells.count(cell) for cell in ("TP", "FP", "FN", "TN")}
        row["indeterminate"] = cells.count("indeterminate")
        for name, k, n in (
            ("sensitivity", row["tp"], row["tp"] + row["fn"]),
            ("specificity", row["tn"], row["tn"] + row["fp"]),
        ):
            row[name] = k / n if n else None
            row[f"{name}_interval"] = list(clopper_pearson(k, n, level)) if n else None
        rows.append(row)
    return rows
