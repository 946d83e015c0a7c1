"""Whether a bracket or a relative clause tells of a study that is compared with.

"Compared with the study of May (lead lesion 41 mm)", "verglichen mit der CT, in welcher der größte Herd 38 mm maß".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverpair.evaluate.labels.rules import Hit

__all__ = ["follows_study", "names_only_study", "opening_of", "told_of_study"]

# Words from a comparison to the bracket with its size: "compared with the study of May (lead lesion 41 mm)".
STUDY_REACH = 5


def opening_of(words: Sequence[str], at: int) -> int:
    """The bracket that is open at a word, -1 if none."""
    place = next((i for i in range(at - 1, -1, -1) if words[i] in ("(", ")")), -1)
    return place if place >= 0 and words[place] == "(" else -1


_LESIONS = ("met", "lesion", "laes", "herd", "fili", "foc", "depos", "nod", "leberm", "leberh", "mass", "rund")
_STUDIES = ("vorunters", "vu", "vorbef", "voraufn", "unters", "mr", "ct", "pet", "study", "scan", "exam", "baseline")


def follows_study(cues: Sequence[Hit], words: Sequence[str], opening: int) -> bool:
    """Whether a former study is what the bracket explains."""
    near = [cue for cue in cues if 0 <= opening - cue.end <= STUDY_REACH and "," not in words[cue.end : opening]]
    near = [cue for cue in near if not any(word.startswith(_LESIONS) for word in words[cue.end : opening])]
    named = any(word.startswith(_STUDIES) for cue in near for word in words[cue.start : opening])
    return (
        named
        and any(cue.category in ("comparing", "previous") for cue in near)
        and not any(words[i] in ("mm", "cm") for cue in near for i in range(cue.end, opening))
    )


_LINKS = frozenset(
    {"in", "of", "from", "on", "the", "der", "die", "dem", "des", "zur", "zum", "vom", "im", "am", "to", "with", "a"}
)
_FIGURES = re.compile(r"[\d./-]+")


def names_only_study(cues: Sequence[Hit], words: Sequence[str], opening: int) -> bool:
    """ "Compared with CT in January (19 mm) less": nothing but a study and its time stands before the bracket."""
    for cue in cues:
        if cue.category != "comparing" or not 0 <= opening - cue.end <= STUDY_REACH:
            continue
        times = {i for c in cues if c.category in ("month", "previous") for i in range(c.start, c.end)}
        between = range(cue.end, opening)
        known = (i in times or words[i] in _LINKS or words[i].startswith(_STUDIES) for i in between)
        if all(ok or _FIGURES.fullmatch(words[i]) for ok, i in zip(known, between, strict=True)):
            return True
    return False


# How such a clause begins behind its comma, and the verbs of the past that it holds.
_WHERE = frozenset({"where", "when", "wo"})
_IN = frozenset({"in", "on", "at", "bei", "auf"})
_WHICH = frozenset({"welcher", "welchem", "welchen", "der", "dem", "denen", "which"})
_WAS = ("war", "wurde", "hatte", "mass", "massen", "betrug", "was", "were", "had", "measured")
# Words from the comparison to the clause: "verglichen mit der letzten PET/CT vom 18.01.2023, in welcher".
CLAUSE_REACH = 10


def told_of_study(cues: Sequence[Hit], words: Sequence[str], start: int) -> bool:
    """Whether a size stands in a relative clause that tells, in the past, of the study that is compared with."""
    comma = next((i for i in range(start - 1, -1, -1) if words[i] in (",", ";", "(", ")")), -1)
    if comma < 0 or words[comma] != ",":
        return False
    opens = words[comma + 1] in _WHERE or (words[comma + 1] in _IN and words[comma + 2] in _WHICH)
    compared = any(cue.category == "comparing" and 0 <= comma - cue.end <= CLAUSE_REACH for cue in cues)
    named = any(word.startswith(_STUDIES) for word in words[max(0, comma - CLAUSE_REACH) : comma])
    end = next((i for i in range(start, len(words)) if words[i] in (",", ";", ".")), len(words))
    return opens and compared and named and any(word.startswith(_WAS) for word in words[comma:end])
