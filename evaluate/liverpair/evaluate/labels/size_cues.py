"""Read the cue words beside a size: former or current, another study's, no size at all."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import is_year
from liverpair.evaluate.labels.rules import Hit

__all__ = ["BEFORE", "cues_near"]

# Words before (behind) a size in which "zuvor", "slice thickness" and the like concern it.
BEFORE, BEHIND = 4, 3
# "Compared with the prior study a new 9 mm lesion": what is new has no former size.
_NEW = ("neu", "new")
_ARTICLES = frozenset({"ein", "eine", "einen", "einem", "einer", "a", "an"})


def _names_study(between: Sequence[str]) -> bool:
    """ "New compared with 2023 a 9 mm focus": the word has its study already, the size is new."""
    if len(between) < 2 or between[-1] not in _ARTICLES:
        return False
    return any(is_year(w) or w[:1].isdigit() or w.startswith(_NEW) for w in between[:-1])


# "13 mm on CT 3 weeks ago": words behind the size in which the time of another study is told.
STUDY_BEHIND = 6
_ON_STUDY = frozenset({"on", "in", "im", "am"})
# "27 mm craniocaudal on the prior": the axis stands between.
_AXES = ("cranio", "kranio", "axial", "cc", "sagit", "coron", "koron", "trans")
_METHODS = frozenset({"previous_in_bracket"})
_TIMES = frozenset({"previous", "comparing", "current"})


# "23 mm im letzten Bild vom März waren es 21 mm": words from the former study to its size.
LEADING_REACH = 8


def _leads_to_size(words: Sequence[str], start: int) -> bool:
    """Whether a size follows in the same part of the sentence, so that the word in front speaks of that one."""
    for at in range(start, min(len(words), start + LEADING_REACH)):
        if words[at] in (",", ";", "(", ")", "."):
            return False
        if words[at] in ("mm", "cm") and words[at - 1][:1].isdigit() and at > start:
            return True
    return False


# "36 mm in spring and now it is 32 mm": behind these begins what is told of the next size.
_OPENS = frozenset({"and", "und", "but", "aber"})
# "Known metastases; measured S8 23 mm, S6 19 mm": a participle that heads a list is no verb of the past.
_MEASURED = frozenset({"measured"})
_PARTS = frozenset({";", ",", ":", "("})
_JOINS = frozenset({"and", "und", "vs", "versus", "against", "gegenueber", "gegen"})


def _closes_another(cue: Hit, words: Sequence[str]) -> bool:
    """ "22 mm today and 31 mm in March": the word stands behind another size, to which it belongs."""
    return cue.start > 0 and words[cue.start - 1] in ("mm", "cm") and bool(_JOINS & set(words[cue.end : cue.end + 1]))


def cues_near(cues: Sequence[Hit], words: Sequence[str], at: int, direction: int) -> set[str]:
    """Cue categories next to a size, not across a comma or bracket; of previous/current the nearest."""
    found: set[str] = set()
    reach = BEFORE + words[max(0, at - BEFORE) : at].count(".")  # "zur V. cava": the stop is no word
    axis = direction > 0 and words[at : at + 1] != [] and words[at].startswith(_AXES)
    behind = STUDY_BEHIND if words[at + axis : at + axis + 1] and words[at + axis] in _ON_STUDY else BEHIND
    steps = range(at - 1, max(-1, at - 1 - reach), -1) if direction < 0 else range(at, min(len(words), at + behind))
    if direction < 0 and words[max(0, at - 2) : at] == [")", ":"]:
        opening = next((i for i in range(at - 3, -1, -1) if words[i] == "("), at)
        inside = {cue.category for cue in cues if opening < cue.start and cue.end < at}
        found |= inside & _TIMES  # "after 4 cycles (today): 14 mm"
    for position in steps:
        if words[position] in (",", ";", "(", ")", "mm", "cm") and not (position == at and direction < 0):
            break
        for cue in cues:
            if not cue.start <= position < cue.end:
                continue
            number_follows = cue.end < len(words) and words[cue.end][0].isdigit() and cue.category not in _METHODS
            leads = cue.category == "previous" or (cue.category == "current" and words[cue.start - 1] in _OPENS)
            if direction > 0 and (number_follows or (leads and _leads_to_size(words, cue.end))):
                return found
            if cue.category in _TIMES and found & _TIMES:
                continue
            if direction < 0 and cue.category == "current" and _closes_another(cue, words):
                continue
            if direction < 0 and words[cue.start] in _MEASURED and words[cue.start - 1] in _PARTS:
                continue
            if direction < 0 and cue.category in ("comparing", "previous") and _names_study(words[cue.end : at]):
                continue
            found.add(cue.category)
    return found
