"""Repair what optical character recognition confuses: rn for m, digits inside words, a small l for a capital I.

"hornogene", "Kontro11e", "3 mrn" and "lm CT" become "homogene", "Kontrolle", "3 mm" and "Im CT". A word is touched only
if the repaired one is known to the rules and the written one is not; "lm" and "ln" only beside other repairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.lexicon import Lexicon
from liverpair.evaluate.labels.text import normalise

__all__ = ["ocr_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_WORD = re.compile(r"\w+")
_LETTERS = str.maketrans({"1": "l", "0": "o", "5": "S"})
# "l2 mm", "1O mm": letters among the digits of a size.
_MISREAD_SIZE = re.compile(r"(?<![\w,.])(?P<number>(?=[\dlIO]*\d)(?=\d*[lIO])[\dlIO]{2,3})(?=\s?(?:mm|cm|rnm|mrn)\b)")
_DIGITS = str.maketrans({"l": "1", "I": "1", "O": "0"})
_CAPITAL_I = re.compile(r"\bl(?=[mn]\b|nd|mp|nt)")
# A word with digits is a term of its own ("T1", "S5", "SSTR2") unless letters are the most of it.
FEWEST_LETTERS = 4
# "lm" may stand for a liver metastasis: it is a misread "Im" only in a text with other such errors.
FEWEST_ERRORS = 2


def ocr_edits(text: str, lexicons: Sequence[Lexicon]) -> Iterator[Edit]:
    """Edits from left to right."""
    edits: list[Edit] = [
        (m.start("number"), m.end("number"), m["number"].translate(_DIGITS)) for m in _MISREAD_SIZE.finditer(text)
    ]
    for word in _WORD.finditer(text):
        repaired = _repaired(word.group())
        if repaired is not None and (
            repaired == "mm" or (_is_known(repaired, lexicons) and not _is_known(word.group(), lexicons))
        ):
            edits.append((word.start(), word.end(), repaired))
    if len(edits) >= FEWEST_ERRORS:
        taken = {place for start, end, _ in edits for place in range(start, end)}
        edits += [(m.start(), m.end(), "I") for m in _CAPITAL_I.finditer(text) if m.start() not in taken]
    yield from sorted(edits)


def _repaired(word: str) -> str | None:
    """The word as it may have been printed, None if nothing in it looks misread."""
    letters = sum(sign.isalpha() for sign in word)
    out = word.replace("rn", "m")
    if letters >= FEWEST_LETTERS and any(sign in "015" for sign in word):
        out = out[0].translate(_LETTERS) + out[1:].translate(_LETTERS).replace("S", "s")
    return out if out != word else None


def _is_known(word: str, lexicons: Sequence[Lexicon]) -> bool:
    plain = normalise(word)[0]
    return any(plain in lexicon.vocabulary or lexicon.knows(plain) for lexicon in lexicons)
