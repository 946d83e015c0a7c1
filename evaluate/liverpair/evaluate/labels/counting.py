"""Read the numbers that count lesions: "zwei Herde", "5 metastases", not segments, sizes or years."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.rules import Rules

__all__ = ["LARGEST_COUNT", "read_counts"]

# Words between a numeral and its noun: digits stand close, number words may have adjectives between.
DIGIT_REACH, WORD_REACH = 4, 12


# More lesions than this are not counted one by one: such a number is something else.
LARGEST_COUNT = 60


def read_counts(reading: Reading, mentions: Sequence[Mention], rules: Rules) -> list[tuple[Mention, int]]:
    """(mention, number) for every lesion term that a numeral or an article counts."""
    words, tokens = reading.words, reading.sentence.tokens
    units = {c.start for c in rules.sizes.find(words) if c.category in ("unit_mm", "unit_cm")}
    out = []
    for mention in mentions:
        behind = _number_behind(words, mention.end, units)
        if behind is not None and not mention.singular:
            out.append((mention, behind))
            continue
        for position in range(mention.start - 1, max(-1, mention.start - 1 - WORD_REACH), -1):
            if any(m.start <= position < m.end for m in reading.mentions) or words[position] in (
                ";",
                ":",
                ")",
            ):
                break
            if _counts_other_things(words, position) or (position and words[position - 1] in _FORMER_NUMBER):
                continue
            value = rules.numbers.get(words[position])
            if value is None and tokens[position].kind == "number" and words[position].isdigit():
                near = mention.start - position <= DIGIT_REACH
                value = int(words[position]) if near and _is_free_number(reading, position, units) else None
            if value is not None and (value > 1) == (not mention.singular) and 0 < value <= LARGEST_COUNT:
                out.append((mention, value))
                break
    return out


# Words from the lesions to the number that follows them.
BEHIND_REACH = 6


def _number_behind(words: Sequence[str], end: int, units: set[int]) -> int | None:
    """ "Metastases x 2", "Metastasen, 2 Stück"."""
    for at in range(end, min(len(words), end + BEHIND_REACH)):
        if not words[at].isdigit() or at + 1 in units or not 0 < int(words[at]) <= LARGEST_COUNT:
            continue
        before, following = words[at - 1], words[at + 1] if at + 1 < len(words) else ""
        counted = (before == "x" and at - 1 == end) or following.startswith("stueck")
        if counted and following not in ("x", "/"):
            return int(words[at])
    return None


# "Seven rather than four lesions": the number behind these is the former one.
_FORMER_NUMBER = frozenset({"statt", "than", "vormals", "zuvor", "previously", "gegenueber", "against", "vs"})


# Places and spans of time: "in beiden Leberlappen Metastasen", "two segments", "seit fünf Jahren".
_COUNTED_THINGS = (
    *("lappen", "lobe", "segment", "jahr", "monat", "woche", "tagen", "zyklen", "zyklus"),
    *("year", "month", "week", "days", "cycle"),
)


_BOUNDS = frozenset({"als", "ueber", "than", "over", ">", "<", "circa"})


def _counts_other_things(words: Sequence[str], position: int) -> bool:
    """A number of places or years, or a bound ("more than ten"), is not the number of lesions."""
    following = words[position + 1] if position + 1 < len(words) else ""
    before = words[position - 1] if position else ""
    return before in _BOUNDS or any(thing in following for thing in _COUNTED_THINGS)


def _is_free_number(reading: Reading, position: int, units: set[int]) -> bool:
    """A number that is no size, no part of a size, no segment, vertebra or sequence parameter."""
    words, tokens = reading.words, reading.sentence.tokens
    behind = position + 1
    if behind in units or (behind < len(words) and words[behind] in ("x", "-", "%", "/", "=", "ml", "min", "h")):
        return False
    before = words[position - 1] if position else ""
    if before.startswith("seg") or before in (
        "x",
        "=",
        "-",
        "/",
        "suvmax",
        "suv",
        "g",
        "grad",
        "von",
        "and",
        "und",
    ):
        return False
    return not (position and tokens[position].glued)
