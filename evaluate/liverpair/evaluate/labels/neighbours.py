"""A benign lesion that only tells where another one lies: "a focus next to a known cyst of 28 mm"."""

from __future__ import annotations

from typing import Protocol

from liverpair.evaluate.labels.reading import Reading

__all__ = ["only_neighbours"]


class Span(Protocol):
    """Words [start, end) of a lesion's name."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


_BESIDE = (
    "neben",
    "benachbart",
    "angrenz",
    "adjacent",
    "next",
    "beside",
    "abutting",
    "alongside",
    "nahe",
    "near",
    "close",
)
# "Lateral of a cyst", "kaudal der Zyste": a direction, where such a word follows.
_SIDES: tuple[str, ...] = (
    "lateral",
    "medial",
    "dorsal",
    "ventral",
    "posterior",
    "anterior",
    "cranial",
    "caudal",
    "kranial",
    "kaudal",
)
_SIDES += ("superior", "inferior", "oberhalb", "unterhalb")
_OF = frozenset({"of", "to", "der", "des", "einer", "eines", "von", "zur", "zum"})
# Words from the preposition to the lesion: "next to a well-known 28 mm large cyst".
NEIGHBOUR_REACH = 7


def only_neighbours(named: Span, reading: Reading) -> int:
    """The word that puts another lesion, named before it, beside this one; -1 where none does."""
    words = reading.words
    for at in range(named.start - 1, max(-1, named.start - 1 - NEIGHBOUR_REACH), -1):
        if words[at] in (",", ";", ")", ":") or any(f.start <= at < f.end for f in reading.findings):
            return -1
        side = words[at].startswith(_SIDES) and words[at + 1] in _OF
        if side or words[at].startswith(_BESIDE):
            other = any(f.category in ("lesion", "metastasis", "recurrence") and f.end <= at for f in reading.findings)
            return at if other else -1
    return -1
