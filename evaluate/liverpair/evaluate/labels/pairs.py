"""Read sizes written as pairs whose order the line tells: "(mm; before/now): S2 20/17, S5 24/24"."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import is_year, parsed_date
from liverpair.evaluate.labels.lexicon import Hit
from liverpair.evaluate.labels.reading import Reading

__all__ = ["largest_addend", "paired_sizes"]

_TIMES = frozenset({"current", "previous", "comparing", "previous_beside", "previous_in_bracket"})


def paired_sizes(reading: Reading, cues: Sequence[Hit]) -> list[tuple[float, int, int]]:
    """(current size in mm, first word, word behind) of each pair; the head of the line names unit and order."""
    words, tokens = reading.words, reading.sentence.tokens
    colon = next((i for i, word in enumerate(words) if word == ":"), 0)
    head = [cue for cue in cues if cue.end <= colon]
    units = [cue.category for cue in head if cue.category in ("unit_mm", "unit_cm")]
    times = ["current" if cue.category == "current" else "past" for cue in head if cue.category in _TIMES]
    if not units and "/" in words[:colon]:  # "(today/3 months ago): S7 37/41 mm"
        units = [cue.category for cue in cues if cue.start > colon and cue.category in ("unit_mm", "unit_cm")]
    if not units or "current" not in times or len(set(times)) < 2:
        return _dated_series(reading, cues, colon)
    if words[:colon].count("/") > 1:
        now = next(cue.start for cue in head if cue.category == "current")
        return _series(reading, colon, words[:now].count("/"), words[:colon].count("/") + 1, units[0])
    first = times[0] == "current"
    factor = 10.0 if units[0] == "unit_cm" else 1.0
    found = []
    for at in range(colon + 1, len(words) - 2):
        if tokens[at].kind == tokens[at + 2].kind == "number" and words[at + 1] in ("/", "("):
            written = words[at] if first else words[at + 2]
            found.append((round(factor * float(written.replace(",", ".")), 3), at, at + 3))
    return found


# "2021 / 2022 / 2023": one date alone heads no series.
FEWEST_DATES = 2


def _dated_series(reading: Reading, cues: Sequence[Hit], colon: int) -> list[tuple[float, int, int]]:
    """ "2021 / 2022 / 2023: segment 7 20 / 25 / 30 mm": of each series as long as the dates, the latest one's."""
    words, tokens = reading.words, reading.sentence.tokens
    dates = [parsed_date(words[i]) for i in range(colon) if tokens[i].kind == "date" or is_year(words[i])]
    units = [cue.category for cue in cues if cue.start > colon and cue.category in ("unit_mm", "unit_cm")]
    if len(dates) < FEWEST_DATES or not units or len(set(dates)) < len(dates):
        return []
    return _series(reading, colon, dates.index(max(dates)), len(dates), units[0])


def _series(reading: Reading, colon: int, taken: int, length: int, unit: str) -> list[tuple[float, int, int]]:
    """Number ``taken`` of each series of ``length`` numbers behind the head: "seg V 40 / 30 / 23 mm"."""
    words, tokens = reading.words, reading.sentence.tokens
    factor = 10.0 if unit == "unit_cm" else 1.0
    found = []
    at = colon + 1
    while at < len(words):
        end = at
        while end + 2 < len(words) and words[end + 1] == "/" and tokens[end + 2].kind == "number":
            end += 2
        if tokens[at].kind == "number" and end == at + 2 * (length - 1):
            found.append((round(factor * float(words[at + 2 * taken].replace(",", ".")), 3), at, end + 1))
        at = end + 1
    return found


def largest_addend(words: Sequence[str], opening: int) -> float:
    """ "Sum 54 mm (33 + 21)": the largest of what the bracket behind the sum adds up, 0 if it adds up nothing."""
    closing = next((i for i in range(opening, len(words)) if words[i] == ")"), opening)
    inside = words[opening + 1 : closing] if words[opening : opening + 1] == ["("] else []
    adds = "+" in inside and not any(word.isalpha() for word in inside)
    return max((float(word.replace(",", ".")) for word in inside if adds and word[:1].isdigit()), default=0.0)
