"""Sizes that stand beside a number of treatments: "after 4 cycles 15 mm", "31 mm at cycle 2"."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.size_cues import BEFORE

__all__ = ["follows_cycles", "opens_with_cycles"]

_CYCLES = ("zykl", "cycle", "kurs", "course", "gaben", "prrt", "session", "sitzung", "round", "dose", "therapiebl")


_AT_CYCLE = frozenset({"at", "after", "post", "nach", "bei", "following", "vor"})
# "24 mm after the 4th cycle": words behind the size.
CYCLE_BEHIND = 5


def follows_cycles(start: int, end: int, words: Sequence[str]) -> bool:
    """ "After 4 cycles 15 mm": whether the size at words[start:end] stands right behind a number of treatments."""
    behind = [word for word in words[end : end + CYCLE_BEHIND] if word != "("]
    stop = next((i for i, word in enumerate(behind) if word in (",", ";", ".", "mm", "cm")), len(behind))
    if behind[:1] and behind[0] in _AT_CYCLE and any(word.startswith(_CYCLES) for word in behind[:stop]):
        return True  # "31 mm at cycle 2"
    near = [word for word in words[max(0, start - BEFORE) : start] if word not in (":", "(", "-")]
    return any(word in ("nach", "after", "post") for word in near) and near[-1:] != [] and near[-1].startswith(_CYCLES)


def opens_with_cycles(words: Sequence[str]) -> bool:
    """ "After two sessions 40 mm": whether a sentence opens with a number of treatments."""
    return words[0] in ("after", "nach", "post") and any(word.startswith(_CYCLES) for word in words[1:BEFORE])
