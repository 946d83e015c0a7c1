"""Which lengths of a sentence are no current size: those of the past, a sum, a difference."""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = [
    "corrected_sizes",
    "dated_in_past",
    "follows_former",
    "in_past_bracket",
    "in_sum",
    "is_corrected",
    "is_difference",
    "is_year",
    "names_error",
    "opens_with_then",
    "parsed_date",
]

# Words between a date and the size that it dates: "on 3/2021: 12 mm", "1.9 cm in June".
_LINKS = frozenset(
    {
        ":",
        "-",
        "(",
        ")",
        "in",
        "im",
        "am",
        "on",
        "vom",
        "of",
        "was",
        "war",
        "bei",
        "mit",
        "at",
        "noch",
        "from",
        "um",
        "back",
        "jahr",
        "year",
    }
)
MOST_LINKS = 2
_YEAR = re.compile(r"(?:19|20)\d\d")
# "Unchanged since last autumn: 20 mm": how long a size has been so, not when it was.
_SINCE = frozenset({"since", "seit"})
# Two figures of a year: up to this they are of this century.
PIVOT_YEAR = 68


def dated_in_past(spans: Sequence[tuple[int, int, bool]], reading: Reading, cues: Sequence[Hit]) -> set[int]:
    """Numbers of the sizes that are of the past; ``spans``: (first word, word behind, called current) of each.

    A dated size is past where another one has no date or is called current; where all have dates, all but the latest.
    """
    months = {position for cue in cues if cue.category == "month" for position in range(cue.start, cue.end)}
    dates = [_date(start, end, reading, months) for start, end, _ in spans]
    current = [is_current for _, _, is_current in spans]
    dated = {i for i, date in enumerate(dates) if date is not None and not current[i]}
    if not dated:
        return set()
    if len(dated) < len(spans):
        return dated
    latest = max(date for date in dates if date is not None)
    return {i for i in dated if dates[i] != latest}


def _date(start: int, end: int, reading: Reading, months: set[int]) -> tuple[int, int, int] | None:
    """(year, month, day) that stands at a size, zeros where they are not known; None without a date."""
    words = reading.words
    before = start - 1
    while before >= 0 and start - before <= MOST_LINKS and words[before] in _LINKS:
        before -= 1
    if before >= 0 and _is_date(before, reading, months):
        return None if _SINCE & set(words[max(0, before - 2) : before]) else parsed_date(words[before])
    behind = end
    while behind < len(words) and behind - end < MOST_LINKS and words[behind] in _LINKS:
        behind += 1
    if behind == end and behind < len(words) and words[behind] in (",", ";"):
        return None
    if words[end : end + 1] == ["("] and _sized_bracket(end, words):
        return None  # "12 mm (in the spring 16 mm)": the date belongs to the size behind it
    if behind > end and behind + 1 in months and words[behind].isdigit():
        behind += 1  # "20 mm on 12 March 2022"
    if behind < len(words) and _is_date(behind, reading, months) and not _leads_on(behind, words):
        return parsed_date(words[behind])
    return None


def _sized_bracket(opening: int, words: Sequence[str]) -> bool:
    closing = next((i for i in range(opening, len(words)) if words[i] == ")"), len(words))
    return any(words[i] in ("mm", "cm") for i in range(opening, closing))


def is_year(word: str) -> bool:
    """ "2020": no size, and no end of a range of sizes."""
    return _YEAR.fullmatch(word) is not None


def _is_date(position: int, reading: Reading, months: set[int]) -> bool:
    return (
        reading.sentence.tokens[position].kind == "date"
        or position in months
        or _YEAR.fullmatch(reading.words[position]) is not None
    )


def _leads_on(position: int, words: Sequence[str]) -> bool:
    """ "12 mm 03/2021: 9 mm": the date belongs to the size behind it."""
    following = words[position + 1] if position + 1 < len(words) else ""
    return following == ":" or (following[:1].isdigit() and not is_year(following))


def parsed_date(word: str) -> tuple[int, int, int]:
    """(year, month, day) of a written date, zeros where they are not known; sortable.

    The day/month order of 1/2/2022 is not known and does not matter between years.
    """
    numbers = [int(part) for part in re.findall(r"\d+", word)]
    if len(numbers) == 1:
        return (numbers[0], 0, 0) if _YEAR.fullmatch(word) else (0, 0, 0)
    if not numbers:
        return (0, 0, 0)
    if len(str(numbers[0])) == 4:
        year, rest = numbers[0], numbers[1:]
    else:
        year, rest = numbers[-1], numbers[-2::-1]
    if year < 100:
        year += 2000 if year <= PIVOT_YEAR else 1900
    month, day = (*rest, 0, 0)[:2]
    return (year, month, day)


# "24 mm nach 31 mm": behind these, right behind a size, stands the former one.
_AFTER = frozenset({"nach", "after", "statt", "gegen", "von", "from"})
_CHANGES = ("zunahme", "abnahme", "zugenommen", "abgenommen", "gewachsen", "groesser", "kleiner", "gessert", "kleinert")
_CHANGED = ("increas", "decreas", "grown", "growth", "larger", "smaller", "shrunk", "reduc", "enlarg", "differen")
CHANGE_REACH = 5


def follows_former(words: Sequence[str], start: int) -> bool:
    """Whether another, current size came from the one at ``start``: "26 mm after 31 mm", "26 mm <- 31 mm"."""
    if words[max(0, start - 2) : start] == ["<", "-"]:
        return True
    return start >= 2 and words[start - 1] in _AFTER and words[start - 2] in ("mm", "cm")


def is_difference(words: Sequence[str], start: int) -> bool:
    """ "Zunahme um 4 mm", "increased by 4 mm": how much, not how large."""
    if start < 1 or words[start - 1] not in ("um", "by"):
        return False
    near = words[max(0, start - CHANGE_REACH) : start - 1]
    return any(word.startswith((*_CHANGES, *_CHANGED)) or word.endswith(_CHANGES) for word in near)


_NOT = frozenset({"nicht", "not", "kein"})


def is_corrected(words: Sequence[str], start: int) -> bool:
    """ "Richtig: 35 mm (nicht 53 mm)": the number behind the denial is the wrong one."""
    return _denied_from(words, start) is not None


def _denied_from(words: Sequence[str], start: int) -> int | None:
    """Where the denial of the number stands: "not 53 mm", "nicht wie im Vorbericht angegeben 18 mm"."""
    for at in range(start - 1, max(-1, start - 1 - CHANGE_REACH), -1):
        if words[at] in (",", ";", "(", ")", "mm", "cm"):
            return None
        if words[at] in _NOT:
            return at if at == start - 1 or words[at + 1] in ("wie", "as") else None
    return None


# "It is 2.0 cm instead of 12.0 cm": so an error is put right that such a word names, else a former size is compared.
_ERRORS: tuple[str, ...] = (
    *("falsch", "fehl", "irrt", "vertausch", "tippf", "schreibf", "versehen", "korrig", "bericht", "diktat", "vertipp"),
    *("lesen", "lies", "read"),
    *("wrong", "error", "erron", "misstat", "typo", "mistyp", "mistak", "incorrect", "correct", "transcri", "dictat"),
)


def _stands_instead_of(words: Sequence[str], at: int) -> bool:
    """ "statt 12,0 cm", "instead of 12 cm" in a sentence that names an error."""
    instead = words[at - 1] in ("statt", "anstatt") or tuple(words[max(0, at - 2) : at]) in _INSTEAD_OF
    return instead and any(word.startswith(_ERRORS) for word in words)


_INSTEAD_OF = (("instead", "of"), ("rather", "than"), ("anstelle", "von"), ("and", "not"), ("und", "nicht"))


_SLIPS: tuple[str, ...] = (
    *("typing", "typo", "mistyp", "misprint", "swap", "transpos", "transcri", "erron", "error", "mistake", "wrong"),
    *("revers", "inverted", "misspel", "verdreh", "verschrieb", "verwechs"),
    *("tippf", "vertipp", "schreibf", "zahlendr", "vertausch", "uebertragungsf", "fehler", "irrt", "falsch"),
)


def names_error(words: Sequence[str]) -> bool:
    """ "Typing error", "Zahlendreher": whether a sentence says that a number went wrong."""
    return any(word.startswith(_SLIPS) for word in words)


def corrected_sizes(words: Sequence[str]) -> list[float]:
    """The sizes in mm that a sentence takes back."""
    taken = []
    for at in range(1, len(words) - 1):
        back = words[at + 1] in ("mm", "cm") and words[at][:1].isdigit()
        if back and (_denied_from(words, at) is not None or _stands_instead_of(words, at)):
            value = float(words[at].replace(",", "."))
            taken.append(round(value * (10.0 if words[at + 1] == "cm" else 1.0), 3))
    return taken


def in_sum(cues: Sequence[Hit], words: Sequence[str], at: int) -> bool:
    """ "Sum of target lesions 71 mm (68 mm)": the nearest words back to a size or a semicolon name a sum."""
    opening = at - 1 if at and words[at - 1] in ("(", "[") else -1
    for position in range(at - 1, -1, -1):
        if words[position] == ";" or (words[position] in ("mm", "cm") and position != opening - 1):
            return False
        if any(cue.category == "sum" and cue.start <= position < cue.end for cue in cues):
            return True
    return False


# What a bracket tells behind these is of the past.
_THEN = frozenset({"damals", "seinerzeit", "zuvor", "vormals", "then", "formerly", "previously", "vorher"})


def opens_with_then(opening: int, words: Sequence[str]) -> bool:
    """Whether the bracket at ``opening`` begins with a word of the past and tells of lesions, not of one size."""
    closing = next((i for i in range(opening, len(words)) if words[i] == ")"), len(words))
    return words[opening + 1 : opening + 2] != [] and words[opening + 1] in _THEN and closing - opening > LONGEST_VALUE


# "(previously 14 x 12 mm)" is a value; what is longer tells something.
LONGEST_VALUE = 6


# "Two larger than 1 cm (18 and 12 mm)": the bracket tells the sizes that the bound only limits.
_BOUNDING = (["als"], ["than"], [">"], ["ueber"], ["over"], ["above"])


def in_past_bracket(cues: Sequence[Hit], reading: Reading, start: int, unit: int) -> bool:
    """ "17 mm (Vor-PET 25 mm)", "9 mm (06/18: 15 mm)": a bracket of the past, behind a size outside it."""
    words = reading.words
    opening = next((i for i in range(start - 1, -1, -1) if words[i] in ("(", ")", "[")), -1)
    if opening < 0 or words[opening] == ")":
        return False
    closing = next((i for i in range(unit, len(words)) if words[i] in (")", "]")), len(words))
    # "(43 mm, 12/2023 noch 24 mm)": what stands behind the size and a comma tells of another one.
    reach = next((i for i in range(unit, closing) if words[i] in (",", ";")), closing)
    inside = {cue.category for cue in cues if opening < cue.start and cue.end <= reach}
    if opens_with_then(opening, words):
        return "current" not in inside  # "(then seven metastases, the largest 40 mm)"
    dated = any(token.kind == "date" for token in reading.sentence.tokens[opening:reach])
    sized = any(words[i] in ("mm", "cm") for i in range(opening))
    bare = start == opening + 1 and (unit + 1 == closing or "%" in words[opening:closing])
    # "22 mm (20 mm)", "22 mm (20 mm, +10 %)": a bare size in brackets right behind a size is the former one.
    behind_size = bare and words[opening - 1] in ("mm", "cm") and words[opening - 3 : opening - 2] not in _BOUNDING
    past = bool(dated or inside & {"previous", "previous_beside", "previous_in_bracket"})
    return sized and "current" not in inside and (past or behind_size)
