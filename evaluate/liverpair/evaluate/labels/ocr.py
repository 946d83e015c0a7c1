"""Repair what optical character recognition and dictation confuse: rn for m, 1 and l and I, words torn in two.

"hornogene", "Kontro11e", "Ke1ne", "3 mrn", "lNDICATION" and "Meta stase" become "homogene", "Kontrolle", "Keine",
"3 mm", "INDICATION" and "Metastase". A word is touched only if the repaired one is known to the rules and the written
one is not; "lm" and "ln" only beside other repairs.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.lexicon import Lexicon
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import normalise

__all__ = ["ocr_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_WORD = re.compile(r"\w+")
# "Meta stase", "Lebermeter Stasen": two words on one line.
_TORN = re.compile(r"(?<!\w)(?P<first>[^\W\d_]\w{2,})[ ](?P<second>[^\W_]\w{2,})(?!\w)")
# "l2 mm", "1O mm": letters among the digits of a size.
_MISREAD_SIZE = re.compile(
    r"(?<![\w,.])(?P<number>(?=[\dlIO]*\d)(?=\d*[lIO])[\dlIO]{2,3})(?=\s?(?:mm|cm|crn|rnm|mrn)\b)"
)
# "4.O x 3.6 cm": a letter behind the decimal point.
_MISREAD_DECIMAL = re.compile(r"(?<![\w,.])(?P<number>\d{1,2}[.,][lIO])(?=\s?(?:mm|cm|crn|rnm|mrn|x)\b)")
_DIGITS = str.maketrans({"l": "1", "I": "1", "O": "0"})
# "2 .2 x 1. 9 crn": a blank beside the decimal point; decimals are written in cm.
_TORN_DECIMAL = re.compile(
    r"(?<![\w,.])(?<!seg )(?<!segment )[\dlIO]{1,2}(?P<gap>[ ][.,][ ]?|[.,][ ])[\dlIO]"
    r"(?=\s?(?:cm|crn)\b|\s?[x×]\s?[\dlIO]{1,2}[\s.,])",
    re.IGNORECASE,
)
_CAPITAL_I = re.compile(r"\bl(?=[mn]\b|nd|mp|nt)")
# A word with digits is a term of its own ("T1", "S5", "SSTR2") unless letters are the most of it.
FEWEST_LETTERS = 3
# "lm" may stand for a liver metastasis: it is a misread "Im" only in a text with other such errors.
FEWEST_ERRORS = 2
# Every sign that may be misread doubles the number of readings.
MOST_READINGS = 32
_UNITS = {"rnm": "mm", "mrn": "mm", "rnrn": "mm", "crn": "cm"}


def ocr_edits(text: str, rules: Rules) -> Iterator[Edit]:
    """Edits from left to right."""
    lexicons = (
        *(rules.findings, rules.organs, rules.cues, rules.features),
        *(rules.sections, rules.sizes, rules.attributes, rules.modalities),
    )
    edits: list[Edit] = [
        (m.start("number"), m.end("number"), m["number"].translate(_DIGITS))
        for pattern in (_MISREAD_SIZE, _MISREAD_DECIMAL)
        for m in pattern.finditer(text)
    ]
    for word in _WORD.finditer(text):
        repaired = _UNITS.get(word.group()) or _repaired(word.group(), lexicons)
        if repaired is not None:
            edits.append((word.start(), word.end(), repaired))
    if len(edits) >= FEWEST_ERRORS:
        taken = {place for start, end, _ in edits for place in range(start, end)}
        edits += [(m.start(), m.end(), "I") for m in _CAPITAL_I.finditer(text) if m.start() not in taken]
        edits = [(m.start(), m.end(), _joined_decimal(m.group())) for m in _TORN_DECIMAL.finditer(text)] + edits
    edits = _without_overlaps([*_joined(text, lexicons, rules), *edits])
    yield from sorted(edits)


def _joined_decimal(torn: str) -> str:
    """ "2 .l" is 2.1."""
    return torn.replace(" ", "").replace(",", ".").translate(_DIGITS)


def _without_overlaps(edits: Sequence[Edit]) -> list[Edit]:
    """Of edits of the same place the first given."""
    taken: set[int] = set()
    kept = []
    for edit in edits:
        places = set(range(edit[0], edit[1]))
        if not taken & places:
            kept.append(edit)
            taken |= places
    return kept


def _joined(text: str, lexicons: Sequence[Lexicon], rules: Rules) -> Iterator[Edit]:
    """Words torn in two whose halves make one name of a lesion, the second half being no word."""
    at = 0
    while (pair := _TORN.search(text, at)) is not None:
        at = pair.start("second")
        if _is_known(pair["second"], lexicons):
            continue
        for whole in (pair["first"] + pair["second"], *_readings(pair["first"] + pair["second"])):
            term = rules.correct(normalise(whole)[0])
            if term in rules.key_terms:
                yield pair.start(), pair.end(), term.capitalize() if pair["first"][0].isupper() else term
                at = pair.end()
                break


# Signs of which `_choices` knows another reading; a small l among capitals is looked for apart.
_MISREADABLE = re.compile(r"[015I]|rn|^l[mnVIX]")


def _repaired(word: str, lexicons: Sequence[Lexicon]) -> str | None:
    """The word as it may have been printed, None if nothing in it looks misread or no reading is known."""
    if not _MISREADABLE.search(word) and not ("l" in word and word.replace("l", "").isupper()):
        return None
    readings = list(_readings(word))
    if not readings:
        return None
    lesions = lexicons[0]
    named = lesions.knows(normalise(word)[0])
    if not named:
        # "Leberrnetastasen" is a word of the liver, "Lebermetastasen" one of a lesion, too.
        for reading in readings:
            if lesions.knows(normalise(reading)[0]):
                return reading
    if _is_known(word, lexicons):
        return None
    return next((reading for reading in readings if _is_known(reading, lexicons)), None)


def _readings(word: str) -> Iterator[str]:
    """Other readings of a word with signs that are easily misread."""
    letters = sum(sign.isalpha() for sign in word)
    if letters < FEWEST_LETTERS:
        return
    choices = [_choices(sign, place, word) for place, sign in enumerate(word)]
    if letters > len(word) - letters:
        doubtful = [place for place, choice in enumerate(choices) if len(choice) > 1]
        for place in doubtful[MOST_READINGS.bit_length() - 1 :]:
            choices[place] = choices[place][-1]
    else:
        choices = list(word)
    for signs in itertools.islice(itertools.product(*choices), MOST_READINGS):
        reading = "".join(signs)
        if reading != word:
            yield reading
        if "rn" in reading:
            yield reading.replace("rn", "m")


def _choices(sign: str, place: int, word: str) -> str:
    """What a sign may stand for: digits among letters, a small l among capitals, a capital I among small letters."""
    if sign in "15" or sign == "0":
        return {"1": "li", "0": "o", "5": "s"}[sign]
    rest = word[:place] + word[place + 1 :]
    if sign == "l" and (rest.isupper() or (place == 0 and word[1:2] in "mnVIX")):
        return "Il"
    if sign == "I" and not rest.isupper():
        return "lI"
    return sign


def _is_known(word: str, lexicons: Sequence[Lexicon]) -> bool:
    plain = normalise(word)[0]
    return any(plain in lexicon.vocabulary or lexicon.knows(plain) for lexicon in lexicons)
