"""Read the numbers that count lesions: "zwei Herde", "5 metastases", not segments, sizes or years."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import opens_with_then
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.rules import Rules

__all__ = ["LARGEST_COUNT", "numbers_left", "read_counts"]

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
        behind = _number_behind(words, mention.end, units, rules)
        if behind is not None and not mention.singular:
            out.append((mention, behind))
            continue
        for position in range(mention.start - 1, max(-1, mention.start - 1 - WORD_REACH), -1):
            named = any(m.start <= position < m.end and m.kind != "recurrence" for m in reading.mentions)
            spelled = _spelled_in_bracket(words, position, rules)
            if spelled:
                out.append((mention, spelled))
            if spelled or named or words[position] in (";", ":", ")"):
                break
            if _is_of_past(words, position):
                continue
            if _counts_other_things(words, position) or (position and words[position - 1] in _FORMER_NUMBER):
                continue
            if any(word.startswith(_OUTSET) for word in words[max(0, position - OUTSET_REACH) : position]):
                continue  # "initially with seven hepatic metastases"
            value = rules.numbers.get(words[position])
            if value is None and tokens[position].kind == "number" and words[position].isdigit():
                near = mention.start - position <= DIGIT_REACH
                times = words[position + 1 : mention.start] == ["x"]  # "3 x mets"
                value = int(words[position]) if near and (times or _is_free_number(reading, position, units)) else None
            beside = mention.start - position <= 1 + words[mention.start - 1].startswith(("liver", "hepatic"))
            agrees = value is not None and ((value > 1) == (not mention.singular) or (value > 1 and beside))
            if value is not None and agrees and 0 < value <= LARGEST_COUNT:
                out.append((mention, value))
                break
    return out


def _spelled_in_bracket(words: Sequence[str], closing: int, rules: Rules) -> int:
    """ "2 (two) metastases": the number that a bracket repeats, 0 without one."""
    if words[closing] != ")" or closing < 2 or words[closing - 2] != "(":
        return 0
    value = rules.numbers.get(words[closing - 1], 0)
    return value if value > 1 else 0


def _is_of_past(words: Sequence[str], position: int) -> bool:
    """ "(then seven metastases, the largest 40 mm)": a bracket of the past counts what was."""
    opening = next((i for i in range(position - 1, -1, -1) if words[i] in ("(", ")")), -1)
    return opening >= 0 and words[opening] == "(" and opens_with_then(opening, words)


# What is left of former lesions: words between the number and the verb ("two of them are still seen").
LEFT_REACH = 4
_ONE = frozenset({"one", "eine", "einer", "single", "ein"})
_ONLY = frozenset({"noch", "only", "still", "just", "lediglich", "nur"})
_MORE = ("weiter", "ander", "further", "other", "additional", "more", "klein", "zusaetz")
_LEFT = ("verblieb", "verbleib", "remain", "left", "persist", "still", "uebrig", "geblieben")


def numbers_left(reading: Reading, rules: Rules) -> list[int]:
    """ "Nur noch drei", "two remain": how many are left of former lesions."""
    words, tokens = reading.words, reading.sentence.tokens
    if not (reading.has("remains") or _lists_what_is_left(words, rules)) or any(
        hit.category == "other" for hit in reading.organ_hits
    ):
        return []
    units = {c.start for c in rules.sizes.find(words) if c.category in ("unit_mm", "unit_cm")}
    found = []
    for at in range(len(words)):
        value = rules.numbers.get(words[at], 0)
        if tokens[at].kind == "number" and words[at].isdigit() and _is_free_number(reading, at, units):
            value = int(words[at])
        if value == 1 and not (at and words[at - 1] in ("only", "just", "noch") and words[at] in _ONE):
            continue
        if not 0 < value <= LARGEST_COUNT or _counts_other_things(words, at) or _is_of_past(words, at):
            continue
        behind = words[at + 1 : at + 1 + LEFT_REACH]
        stop = next((i for i, word in enumerate(behind) if word in (",", ";", "(", ":")), len(behind))
        if behind[:1] and behind[0].startswith(_MORE):
            continue
        if (at and words[at - 1] in _ONLY) or any(word.startswith(_LEFT) for word in behind[:stop]):
            found.append(value)
    return found


def _lists_what_is_left(words: Sequence[str], rules: Rules) -> bool:
    """ "Jetzt noch zwei: Segment III und VIII", "now only two: ..."."""
    pairs = zip(words, words[1:], words[2:], strict=False)
    return any(first in _ONLY and number in rules.numbers and mark == ":" for first, number, mark in pairs)


# Words from the lesions to the number that follows them.
BEHIND_REACH = 6


_IN_ALL = frozenset({"insgesamt", "total", "anzahl", "number", "zahl", "altogether", "n"})
_AFTER_ALL = (("an", "der", "zahl"), ("an", "zahl"), ("in", "total"), ("in", "number"), ("in", "all"), ("insgesamt",))


def _number_behind(words: Sequence[str], end: int, units: set[int], rules: Rules) -> int | None:
    """ "Metastases x 2", "Metastasen, 2 Stück", "Neue Metastasen (2)"."""
    if words[end : end + 1] == ["("] and words[end + 2 : end + 3] == [")"] and words[end + 1].isdigit():
        return int(words[end + 1]) if 1 < int(words[end + 1]) <= LARGEST_COUNT else None
    for at in range(end, min(len(words), end + BEHIND_REACH)):
        told = rules.numbers.get(words[at], int(words[at]) if words[at].isdigit() and len(words[at]) < 3 else 0)
        before, behind = words[at - 1], tuple(words[at + 1 : at + 4])
        in_all = before in _IN_ALL or any(behind[: len(form)] == form for form in _AFTER_ALL)
        if told > 1 and told <= LARGEST_COUNT and in_all and at + 1 not in units:
            return told
        if words[at] in (";", ")") or words[at].startswith(_LESIONS):
            return None
        if not words[at].isdigit() or at + 1 in units or not 0 < int(words[at]) <= LARGEST_COUNT:
            continue
        before, following = words[at - 1], words[at + 1] if at + 1 < len(words) else ""
        counted = (before == "x" and at - 1 == end) or following.startswith("stueck")
        if counted and following not in ("x", "/"):
            return int(words[at])
    return None


# "Seven rather than four lesions": the number behind these is the former one.
_FORMER_NUMBER = frozenset({"not", "nicht", "statt", "than", "vormals", "zuvor", "previously", "gegenueber", "against"})
_FORMER_NUMBER |= {"vs"}


_OUTSET = ("initial", "original", "urspruengl", "anfangs", "anfaengl")
OUTSET_REACH = 3


# Places and spans of time: "in beiden Leberlappen Metastasen", "two segments", "seit fünf Jahren".
_COUNTED_THINGS = (
    *("lappen", "lobe", "segment", "jahr", "monat", "woche", "tagen", "zyklen", "zyklus"),
    *("year", "month", "week", "days", "cycle", "sides", "seiten"),
)


# "Two metastases, segment 5": the segment is no more what is counted.
_LESIONS = ("met", "lesion", "laes", "herd", "fili", "foc", "depos", "nod", "leberm", "leberh", "mass", "rund")
_BOUNDS = frozenset({"als", "ueber", "than", "over", ">", "<", "circa"})


def _counts_other_things(words: Sequence[str], position: int) -> bool:
    """A number of places or years, or a bound ("more than ten"), is not the number of lesions."""
    following = words[position + 1 : position + 3]
    if following[:1] == [":"]:
        following = []  # "two left: segment 3 and segment 8"
    if following[:1] and any(f.startswith(_LESIONS) for f in following[:1]):
        following = following[:1]
    if any(word.startswith(_LESIONS) for word in words[position + 3 : position + 4]):
        following = []  # "three left lobe metastases"
    before = words[position - 1] if position else ""
    upwards = before == "of" and words[position - 2] == "upwards"
    return before in _BOUNDS or upwards or any(thing in word for word in following for thing in _COUNTED_THINGS)


# "Nachweis von 2 Metastasen": here the word is no "of" between parts and a whole ("1 von 2").
_TOLD_OF = ("nachweis", "vorlieg", "darstell", "anzahl", "zahl", "abgrenz", "detekt", "auftret", "bild", "vorhanden")


def _is_free_number(reading: Reading, position: int, units: set[int]) -> bool:
    """A number that is no size, no part of a size, no segment, vertebra or sequence parameter."""
    words, tokens = reading.words, reading.sentence.tokens
    behind = position + 1
    if behind in units or (behind < len(words) and words[behind] in ("x", "-", "%", "/", "=", "ml", "min", "h")):
        return False
    if behind < len(words) and words[behind] in (".", ")") and not any(t.kind == "word" for t in tokens[:position]):
        return False  # "2. Residual metastasis": the number of a list
    before = words[position - 1] if position else ""
    if before == "von" and position > 1 and words[position - 2].startswith(_TOLD_OF):
        return True
    if before.startswith("seg") or before in (
        "x",
        "=",
        "-",
        "/",
        "suvmax",
        "suv",
        "score",
        "krenning",
        "grade",
        "g",
        "grad",
        "von",
        "and",
        "und",
    ):
        return False
    return not (position and tokens[position].glued)
