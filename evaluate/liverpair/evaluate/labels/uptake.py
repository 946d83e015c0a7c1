"""What a word for uptake says of the liver: present where it is focal or raised there, else nothing."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.reading import LIVER, Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["FAINT_REACH", "is_of_whole_organ", "uptake_status"]

# "Faint focal DOTATATE uptake": words between the adjective and the uptake that it doubts.
FAINT_REACH = 3
_THAN = frozenset({"gegenueber", "als", "ueber", "oberhalb", "than", "above", "beyond", "over"})


def _is_compared(cue: Hit, words: Sequence[str]) -> bool:
    """ "Raised compared with the physiological parenchym": the word names what the uptake exceeds."""
    return bool(_THAN & set(words[max(0, cue.start - 2) : cue.start]))


def _is_measured(reading: Reading) -> bool:
    """ "Uptake: liver S6 (14 mm, SUVmax 22)": what has a size behind its place is a focus."""
    words = reading.words
    for hit in reading.organ_hits:
        closing = next((i for i in range(hit.end, len(words)) if words[i] == ")"), hit.end)
        if hit.category == LIVER and words[hit.end : hit.end + 1] == ["("] and "mm" in words[hit.end : closing]:
            return True
    return False


_STRENGTH = ("kraeft", "intens", "deutlich", "stark", "gut", "hoh", "vigor", "brisk", "strong", "high", "marked")
_WITHOUT = frozenset({"ohne", "without", "kein", "keine", "no"})
_ORGAN = ("der leber", "des leberparenchym", "of liver", "of the liver")


def is_of_whole_organ(hit: Hit, reading: Reading) -> bool:
    """ "Kräftige Speicherung der Leber", "strong uptake of the liver": the organ's own; nothing else is said of it."""
    words = reading.words
    behind = " ".join(words[hit.end : hit.end + 3])
    owned = any(behind.startswith(organ) for organ in _ORGAN)
    others = [c for c in reading.cues if c.category in ("focal", "malignant", "affected", "quantity", "followed")]
    named = [f for f in reading.findings if f.category in ("lesion", "metastasis", "recurrence")]
    denied = all(_WITHOUT & set(words[max(0, f.start - 2) : f.start]) for f in named)
    plain = [cue for cue in others if not any(f.start - 1 <= cue.start < f.end for f in named)]
    return owned and denied and all(words[cue.start].startswith(_STRENGTH) for cue in plain)


def uptake_status(clause: Sequence[Hit], hedged: bool, organ: str, reading: Reading) -> str:
    """Uptake counts where it is focal or raised, and in the liver."""
    if (
        any(cue.category == "physiological" and not _is_compared(cue, reading.words) for cue in clause)
        or organ != LIVER
    ):
        return "ignored"
    denials = [cue.start for cue in clause if cue.category in ("negation_before", "non_avid")]
    shown = [cue for cue in clause if cue.category in ("focal", "malignant", "faint")]
    focal = any(cue.start < min(denials, default=cue.start + 1) for cue in shown)
    if not focal and not (_is_measured(reading) and not denials):
        return "ignored"  # "heterogeneous uptake without focal lesion"
    no_focus = any(
        f.category == "lesion" and cue.category == "negation_before" and 0 <= f.start - cue.end <= FAINT_REACH
        for f in reading.findings
        for cue in reading.cues
    )
    if (denials or no_focus) and all(cue.category == "faint" for cue in shown):
        return "ignored"  # "inhomogeneous, but no focus"
    return "uncertain" if hedged else "present"
