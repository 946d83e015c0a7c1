"""Whether a size tells how things stood at the outset: "originally six liver metastases up to 51 mm".

Such a word stands before lesions and size together, farther from the size than other words of the past.
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import is_year

__all__ = ["told_of_outset"]

_OUTSET = ("initial", "original", "anfaengl", "anfangs", "urspruengl", "einstmals")
# "At first diagnosis", "bei Erstdiagnose", "on presentation", "im Ausgangsbefund".
_AT = frozenset({"at", "on", "upon", "bei", "zum", "im", "vor", "before", "prior"})
_EVENTS = (
    "diagnosis", "presentation", "outset", "onset", "erstdiagnos", "primaerdiagnos", "diagnosestell", "diagnosezeit",
    "erstvorst", "ausgangs",
)  # fmt: skip
# Words from the preposition to the event: "at the time of first diagnosis".
EVENT_REACH = 5
# "Initially described": who said so was the first, the size may be of today.
_SAID = ("descr", "report", "seen", "noted", "ident", "found", "beschr", "bekannt", "gesehen", "detect", "nachgew")
# What is so today.
_TODAY = frozenset(
    {"now", "currently", "today", "measures", "measure", "is", "are", "remain", "remains", "still", "residual"}
    | {"jetzt", "aktuell", "derzeit", "heute", "misst", "messen", "ist", "sind", "noch", "verblieben", "shows", "zeigt"}
    | {"show", "zeigen", "findet", "finden", "stellt", "stellen", "demonstrates", "demonstrate"}
)
# A comma goes on with the same lesions before these: "ten metastases, the largest 62 mm".
_GOES_ON = ("the", "larg", "die", "der", "groess", "up", "bis", "max", "bigg", "measuring", "mit", "with")
_HAD = frozenset({"had", "were", "was", "hatte", "hatten", "waren", "war", "bestanden", "bestand", "lagen", "showed"})
# "It was 51 mm in March": the month may follow the size.
_IT = frozenset({"it", "they", "er", "sie", "es", "diese", "dieser", "this"})
_WAS = frozenset({"was", "were", "war", "waren", "mass", "massen", "betrug", "measured"})
_MONTHS: tuple[str, ...] = (
    *("jan", "feb", "maerz", "march", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "oct", "nov", "dez", "dec"),
    *("spring", "summer", "autumn", "winter", "fruehj", "fruehl", "sommer", "herbst"),
)
# "In 2019 the patient had": words of the sentence in which the year stands.
YEAR_WITHIN = 3


def told_of_outset(words: Sequence[str], start: int) -> bool:
    """Whether the part of the sentence before the size at ``start`` opens with such a word, and nothing is of today."""
    begin = _part_begins(words, start)
    part = words[begin:start]
    if _TODAY & set(part):
        return False
    if any(is_year(word) for word in words[:YEAR_WITHIN]) and _HAD & set(words[:start]) and not _TODAY & set(words):
        return True
    if _compares(words, start) or (_tells_of_a_visit(words) and not _TODAY & set(words)):
        return True
    if words[0] in _IT and _WAS & set(words[1:2]) and any(word.startswith(_MONTHS) for word in words):
        return True
    if _tells_of_then(words):
        return True
    for i, word in enumerate(part):
        behind = part[i + 1] if i + 1 < len(part) else ""
        if word.startswith(_OUTSET) and not behind.startswith(_SAID):
            return True
        if word in _AT and any(w.startswith(_EVENTS) for w in part[i + 1 : i + 1 + EVENT_REACH]):
            return True
    return False


_WHENCE = frozenset({"im", "vor", "in", "am", "zum", "anfang", "ende", "mitte"})
# "Vor einem halben Jahr maß sie": words of the sentence in which the verb stands.
VERB_WITHIN = 6


def _tells_of_then(words: Sequence[str]) -> bool:
    """ "Im Frühjahr maß sie 15 mm": a time, the verb in the past, and the pronoun behind it."""
    opening = words[0] in _WHENCE and not _TODAY & set(words)
    return opening and any(words[i] in _WAS and words[i + 1] in _IT for i in range(1, min(VERB_WITHIN, len(words) - 1)))


_COMPARED = ("compar", "vergl", "prior", "previous", "vorunters", "voraufn", "vorbef")
_WHEN = frozenset({"when", "where", "als", "wo"})
_PERSONS = frozenset({"i", "we", "he", "she", "last", "first", "the", "ich", "wir", "er", "sie", "der", "die"})
_PERSONS |= {"zuletzt"}


def _tells_of_a_visit(words: Sequence[str]) -> bool:
    """ "When I saw him last his deposits were up to 5.2 cm"; not "Als größter Herd war ..."."""
    return words[0] in ("when", "als") and bool(_PERSONS & set(words[1:2])) and bool(_WAS & set(words))


def _compares(words: Sequence[str], start: int) -> bool:
    """ "Comparison is made to the study of 3 May, when the largest metastasis measured 35 mm": what was so then."""
    when = next((i for i in range(start - 1, 0, -1) if words[i] in _WHEN and words[i - 1] in (",", "(")), 0)
    end = next((i for i in range(start, len(words)) if words[i] in (",", ";")), len(words))
    named = when > 0 and any(word.startswith(_COMPARED) for word in words[:when])
    return named and bool(_WAS & set(words[when:end])) and not _TODAY & set(words[when:end])


def _part_begins(words: Sequence[str], start: int) -> int:
    for at in range(start - 1, -1, -1):
        if words[at] in (";", ":", "(", "mm", "cm", "but", "aber", "jedoch"):
            return at + 1
        if words[at] == "," and not words[at + 1].startswith(_GOES_ON):
            return at + 1
    return 0
