"""Write the short names of the liver's segments out: "S VII", "Sg. 4a" and "Lsg III" become "Segment VII" and so on.

A segment then is one word and its number everywhere, however the report shortens it. "S1" of a spine, "SI" for signal
intensity and names in one word ("S7", "SVII") are left as they are: the rules know those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["ROMAN", "segment_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

ROMAN = r"(?:iv[ab]?|v?i{1,3}|v)"
_ARABIC = r"(?:[2-8]|4[ab])"
# "S VII", "S. 7", "Sg 4a", "Lsg. III", "LS 8": the letter, not the number, is replaced.
_SHORT = re.compile(
    rf"(?<![\w./-])(?P<name>l?sgm?t?|l?sg|ls|s)(?P<stop>\.?)(?P<gap>[ \t]?)(?P<number>{ROMAN}|{_ARABIC})(?![\w'])"
    r"(?!\s?(?:mm|cm|x\b)|[.,]\d)",
    re.IGNORECASE,
)
# A line about the spine names vertebrae; "S 2" there is one of the sacrum.
_SPINE = re.compile(r"sa[ck]r|kreuzb|[lhb]w[ksdbh]|wirb|vertebr|lumb|spin|oss|knoch|bone|skelet", re.IGNORECASE)


# "VI 2.0 cm / VII 1.5 / IVa 0.8", "VII: 9, VIII: 8", "VI - 11 mm": numerals alone, in a list of sizes.
_BARE = re.compile(
    r"(?<![\w.])(?P<numeral>IV[ab]?|V?I{1,3}|V)(?=(?:[ ]?[:=]|[ ][-–])?[ ]\d{1,3}(?:[.,]\d)?[ ]?(?:[cm]m\b|[/,;.\n]|$))"
)
# One such numeral may be anything.
FEWEST_NUMERALS = 2
# Words of the segment before its numeral.
_NAMED = re.compile(r"(?<!\w)(?:seg\w*|sg|lsg|s)\.?[ ]?$", re.IGNORECASE)


def segment_edits(text: str) -> Iterator[Edit]:
    """Edits from left to right."""
    yield from sorted([*_short_names(text), *_bare_numerals(text)])


def _bare_numerals(text: str) -> Iterator[Edit]:
    found = [numeral for numeral in _BARE.finditer(text) if not _NAMED.search(text[: numeral.start()])]
    if len(found) >= FEWEST_NUMERALS:
        for numeral in found:
            yield numeral.start(), numeral.start(), "Segment "


def _short_names(text: str) -> Iterator[Edit]:
    """One edit for each short name of a segment."""
    for short in _SHORT.finditer(text):
        glued = not short["stop"] and not short["gap"]
        letter = short["name"].lower() == "s"
        if letter and (glued or (short["number"][0].isdigit() and _SPINE.search(_line(text, short.start())))):
            continue
        if letter and short["name"] == "s" and not short["stop"] and short["number"].lower() in ("i", "v"):
            continue  # "s v" in a text without capitals may be anything
        yield short.start(), short.end("stop"), "Segment" if short["gap"] else "Segment "


def _line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)]
