"""Whether a PET report names a lesion that another method showed: "the lesions noted on MRI are not discernible".

Such a lesion is there whether or not it takes up tracer; the denial is one of uptake.
"""

from __future__ import annotations

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["shown_by_other_method"]

_METHODS = ("mr", "ct", "us", "sono", "ultras", "ceus", "kernspin", "computertomo")
_PREPOSITIONS = frozenset({"on", "in", "by", "at", "im", "mittels", "from", "with", "vom", "per"})
_SHOWN = (
    "seen", "noted", "descr", "known", "report", "ident", "detect", "demonst", "visib", "found", "depict", "shown",
    "question", "suspect", "beschr", "gesehen", "bekannt", "sichtb", "nachgew", "abgrenz", "dargest", "auffaell",
)  # fmt: skip
# "Lesions seen on the recent contrast-enhanced MRI": words from the preposition to the method.
METHOD_REACH = 5
# Words between the lesion and its relative clause: "the 9 mm focus in segment 5 seen on MRI".
LESION_REACH = 6


def shown_by_other_method(hit: Hit, reading: Reading) -> bool:
    """Whether a verb of showing joins the lesion and a method other than PET, in the same part of the sentence."""
    words = reading.words
    if not reading.is_pet:
        return False
    for at, word in enumerate(words):
        if not word.startswith(_METHODS) or words[at - 1 : at] == ["/"] or "pet" in word:
            continue
        opening = next((i for i in range(at - 1, max(-1, at - 1 - METHOD_REACH), -1) if words[i] in _PREPOSITIONS), -1)
        if opening < 0 or {",", ";"} & set(words[opening:at]):
            continue
        before = opening > 0 and words[opening - 1].startswith(_SHOWN) and 0 <= opening - 1 - hit.end <= LESION_REACH
        behind = any(w.startswith(_SHOWN) for w in words[at + 1 : hit.start]) and hit.start - at <= LESION_REACH
        if (before and ";" not in words[hit.end : opening]) or (behind and hit.start > at):
            return True
    return False
