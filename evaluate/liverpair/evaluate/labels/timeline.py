"""Which sentences of a report stand under a former date: all but the latest of a list of studies, a former study.

"01/23 PET: S2 12 mm" above "03/24 PET: S2 15 mm": the latest line that tells of the liver is of today, the others are
of the past. One such line alone is of the past where the report's own date, in its title, is later.
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import PIVOT_YEAR, is_year, parsed_date
from liverpair.evaluate.labels.reading import LIVER, Reading
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import Token

__all__ = ["dated_past"]

Date = tuple[int, int, int]  # year, month, day; zeros where they are not known

# "CT Abdomen vom 04.03.2024:", "[68Ga]DOTATOC-PET 11/23 -": words of a line up to the mark behind its date.
LONGEST_LABEL = 9
# The report's own date stands in its first sentences.
TITLE_SENTENCES = 3
LAST_MONTH = 12
# Before a date in the title: it is another study's.
_COMPARED = (
    "vergl",
    "compar",
    "prior",
    "vor",
    "zu",
    "zum",
    "mit",
    "vs",
    "to",
    "with",
    "geb",
    "dob",
    "born",
    "previous",
)


class _Part:
    """Consecutive sentences under one date."""

    def __init__(self, date: Date, reading: Reading) -> None:
        self.date, self.kind, self.block = date, reading.sentence.kind, reading.sentence.block
        self.method = _method(reading.words)
        self.readings: list[Reading] = []


def dated_past(readings: Sequence[Reading], rules: Rules) -> set[int]:
    """Identities of the sentences that stand under a former date."""
    if not any(_may_be_dated(reading) for reading in readings):
        return set()
    parts, undated = _parts(readings, rules)
    telling = [part for part in parts if any(_tells_of_liver(reading, rules) for reading in part.readings)]
    if not telling:
        return set()
    if len(parts) == 1:
        own = _own_date(readings)
        only = parts[0]
        past = own is not None and only.date < own and not _is_today(only, rules)
        return {id(r) for r in only.readings if past and r.sentence.block == only.block}
    today = next((part for part in reversed(telling) if _is_today(part, rules)), None)
    now = any(_opens_with_now(reading, rules) or _measures_liver(reading, rules) for reading in undated)
    if today is None and not now:
        today = max(telling, key=lambda part: part.date)
    return {
        id(reading)
        for part in parts
        if part is not today and (now or any(_supersedes(later, part) for later in telling))
        for reading in part.readings
    }


def _supersedes(later: _Part, part: _Part) -> bool:
    """A later study by the same method, or the later line of a history: an MRI does not undo last month's PET."""
    return later is not part and later.date >= part.date and (not part.method or later.method in ("", part.method))


_METHODS = {"pet": ("pet", "dota", "sitate", "ssr", "sstr", "szinti", "octreo"), "mr": ("mr", "kernspin")}
_METHODS |= {"us": ("us", "sono", "ceus", "ultras"), "ct": ("ct", "computer")}
# Words of the line in which the method stands.
METHOD_WITHIN = 9


def _method(words: Sequence[str]) -> str:
    colon = words.index(":") if ":" in words[:METHOD_WITHIN] else METHOD_WITHIN
    label = words[:colon]
    return next((name for name, forms in _METHODS.items() if any(word.startswith(forms) for word in label)), "")


def _opens_with_now(reading: Reading, rules: Rules) -> bool:
    """ "Today: ...", "Aktuell ...": what was dated before is of the past."""
    return any(cue.category == "current" and cue.start == 0 for cue in rules.sizes.find(reading.words[:2]))


def _may_be_dated(reading: Reading) -> bool:
    return any(
        token.kind == "date" or (token.kind == "number" and (is_year(token.text) or token.text.isdigit()))
        for token in reading.sentence.tokens[:LONGEST_LABEL]
    )


def _parts(readings: Sequence[Reading], rules: Rules) -> tuple[list[_Part], list[Reading]]:
    """The dated parts in order, and the sentences under no date that stand among the findings."""
    parts: list[_Part] = []
    undated: list[Reading] = []
    current: _Part | None = None
    for reading in readings:
        date = _leading_date(reading, rules)
        if date is not None:
            current = _Part(date, reading)
            parts.append(current)
        elif current is not None and (reading.sentence.kind != current.kind or _opens_with_now(reading, rules)):
            current = None
        if current is not None:
            current.readings.append(reading)
        elif reading.sentence.section == "findings":
            undated.append(reading)
    return parts, undated


def _tells_of_liver(reading: Reading, rules: Rules) -> bool:
    if reading.names_liver or any(mention.organ == LIVER for mention in reading.mentions):
        return True
    measured = any(cue.category.startswith("unit") for cue in reading.size_hits(rules))
    return measured and not reading.organ_hits  # "regression, largest 27 mm"


def _measures_liver(reading: Reading, rules: Rules) -> bool:
    units = any(cue.category.startswith("unit") for cue in reading.size_hits(rules))
    return units and any(m.organ == LIVER and m.polarity not in ("benign", "ignored") for m in reading.mentions)


def _is_today(part: _Part, rules: Rules) -> bool:
    return any(
        cue.category == "current" and reading.words[cue.start] not in ("auf", "to")
        for reading in part.readings
        for cue in reading.size_hits(rules)
    )


def _leading_date(reading: Reading, rules: Rules) -> Date | None:
    """The date that a line begins with, or that stands before the mark behind its first words."""
    tokens, words = reading.sentence.tokens, reading.words
    start = next((i for i, token in enumerate(tokens) if token.kind in ("word", "number", "date")), 0)
    first = _date_at(tokens, words, start, rules)
    if first is not None and not (words[start].isdigit() and not is_year(words[start]) and start + 3 > len(words)):
        return first
    mark = next((i for i, word in enumerate(words[:LONGEST_LABEL]) if word == ":" and i > start), 0)
    label = words[start:mark]
    if not mark or any(cue.category == "comparing" for cue in rules.sizes.find(label)):
        return None
    if not rules.modalities.find(label) and not any(word.startswith(("ct", "sono", "us")) for word in label):
        return None
    dates = [_date_at(tokens, words, i, rules) for i in range(start, mark)]
    return next((date for date in dates if date is not None), None)


def _date_at(tokens: Sequence[Token], words: Sequence[str], at: int, rules: Rules) -> Date | None:
    token = tokens[at]
    if token.kind == "date" or (token.kind == "number" and is_year(token.text)):
        return parsed_date(token.text)
    behind = tokens[at + 1 : at + 3]
    if token.kind == "number" and len(behind) > 1 and behind[0].text == "/" and behind[1].kind == "number":
        figures = token.text.isdigit() and behind[1].text.isdigit() and behind[0].glued and behind[1].glued
        if figures and 0 < int(token.text) <= LAST_MONTH and len(behind[1].text) == 2:  # "11/23"
            return parsed_date(f"{token.text}/{behind[1].text}")
        return None
    month = next((cue for cue in rules.sizes.find(words[at : at + 1]) if cue.category == "month"), None)
    if month is None or not behind or not is_year(behind[0].text):
        return None
    return int(behind[0].text), _MONTHS.get(words[at][:3], 0), 0


# English and German month names by their first three letters.
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "mae": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9}
_MONTHS |= {"oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12}


def _own_date(readings: Sequence[Reading]) -> Date | None:
    """The first date of the title that is not that of a study to compare with or a birth date."""
    for reading in readings[:TITLE_SENTENCES]:
        for at, token in enumerate(reading.sentence.tokens):
            if token.kind != "date":
                continue
            before = reading.words[max(0, at - 2) : at]
            date = parsed_date(token.text)
            compared = any(word.startswith(_COMPARED) and word != "vom" for word in before)
            return None if compared or date[0] < 1900 + PIVOT_YEAR else date
    return None
