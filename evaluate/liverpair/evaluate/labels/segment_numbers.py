"""Whether a number is the name of a segment and no size: "segment 2 and 9 mm", "segment 5/6 - 9 mm"."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ends_segment_list", "is_segment_number"]

_SHORT = re.compile(r"s[1-8][ab]?")
_SEGMENT = ("seg", "lebersegment")
# Between the segments of one lesion: "segment 5/6", "segments 2-3", "4a/b".
_JOINS = frozenset({"/", "-", "+", "&"})
_LETTERS = frozenset({"a", "b"})
HIGHEST_SEGMENT = 8


def is_segment_number(words: Sequence[str], position: int) -> bool:
    """The word right before the number is "segment", or "seg." with its stop."""
    named = position - 2 if position > 1 and words[position - 1] == "." else position - 1
    return named >= 0 and words[named].startswith(_SEGMENT)


def ends_segment_list(words: Sequence[str], position: int) -> bool:
    """Whether the number at ``position`` is a segment's, alone or the last of several: then a dash leads to a size."""
    at = position
    while at > 0 and words[at].isdigit() and int(words[at]) <= HIGHEST_SEGMENT:
        if is_segment_number(words, at):
            return True
        at -= 1
        if words[at] not in _JOINS:
            return False
        at -= 1
        at -= at > 0 and words[at] in _LETTERS
        if _SHORT.fullmatch(words[at]):
            return True  # "s2/3 - 13 mm"
    return False
