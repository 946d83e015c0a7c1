"""Read lesion sizes and counts from a sentence and hand each to the lesion that it belongs to.

Sizes are current: of "von 8 auf 11 mm" the 11, of "13 mm (previously 9 mm)" the 13; of "8 x 11 mm" and
"8-11 mm" the larger. Slice thicknesses, distances, SUV and the like are no sizes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liverpair.evaluate.labels.compared import follows_study, names_only_study, opening_of, told_of_study
from liverpair.evaluate.labels.cycles import follows_cycles
from liverpair.evaluate.labels.former import (
    dated_in_past,
    follows_former,
    in_past_bracket,
    in_sum,
    is_corrected,
    is_difference,
    is_year,
)
from liverpair.evaluate.labels.lengths import is_extent_along
from liverpair.evaluate.labels.liver_size import LIVER_MM, is_of_liver
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.outset import told_of_outset
from liverpair.evaluate.labels.owners import owner
from liverpair.evaluate.labels.pairs import largest_addend, paired_sizes
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.segment_numbers import ends_segment_list, is_segment_number
from liverpair.evaluate.labels.size_cues import cues_near
from liverpair.evaluate.labels.text import Token

__all__ = ["Size", "read_sizes"]

# A lesion of the liver is not longer than this; larger numbers are typing or organ sizes.
LARGEST_PLAUSIBLE_MM = 300.0
# "3.5 cm (ap) x 2.9 cm": words between two axes of one lesion.
AXIS_REACH = 4


class Size(NamedTuple):
    """A current size; ``mention``: whose it is (None: nobody's); ``foreign``: it belongs to another organ."""

    mm: float
    mention: Mention | None
    foreign: bool
    refers_back: bool
    start: int  # its first word


class _Raw(NamedTuple):
    mm: float
    start: int
    end: int
    previous: bool
    previous_if_other: bool
    current: bool  # "aktuell", "now" stands at it
    now: bool = False  # by a word of its own, not by "auf", "to"


def read_sizes(reading: Reading, rules: Rules) -> list[Size]:
    """All current sizes of the sentence."""
    cues = reading.size_hits(rules)
    pairs = [_Raw(mm, start, end, False, False, True) for mm, start, end in paired_sizes(reading, cues)]
    raw = [*pairs, *(size for size in _raw_sizes(reading, cues) if not _overlaps(size, pairs))]
    past = dated_in_past([(size.start, size.end, size.current) for size in raw], reading, cues)
    raw = [size._replace(previous=True) if i in past else size for i, size in enumerate(raw)]
    wrong = _put_right(raw, cues)
    raw = [size._replace(previous=True) if size.start < wrong else size for size in raw]
    raw = _before_now(raw, reading)
    has_current = any(not size.previous and not size.previous_if_other for size in raw)
    refers_back = any(cue.category == "refers_back" for cue in cues)
    out = []
    for size in raw:
        if size.previous or (size.previous_if_other and has_current):
            continue
        mention, foreign = owner(size, reading)
        out.append(Size(size.mm, mention, foreign, refers_back, size.start))
    return out


def _overlaps(size: _Raw, others: Sequence[_Raw]) -> bool:
    return any(size.start < other.end and other.start < size.end for other in others)


def _before_now(raw: Sequence[_Raw], reading: Reading) -> list[_Raw]:
    """ "Lesion in segment 7: 61 mm - 30 mm - now 14 mm": what the same lesion had before it."""
    now = next((size for size in raw if size.now), None)
    courses = [size for size in raw if follows_cycles(size.start, size.end, reading.words)]
    if now is None and len(courses) > 1:
        now = courses[-1]  # "after 2 cycles 22 mm, after 4 cycles 15 mm"
    if now is None:
        return list(raw)
    named = [hit.start for hit in reading.organ_hits] + [m.start for m in reading.mentions]
    return [
        size._replace(previous=True)
        if size.end <= now.start and not any(size.end <= at < now.start for at in named)
        else size
        for size in raw
    ]


def _put_right(raw: Sequence[_Raw], cues: Sequence[Hit]) -> int:
    """ "Given as 80 mm, correct is 30 mm": sizes before this word are the wrong ones; 0 if nothing is put right."""
    places = [cue.start for cue in cues if cue.category == "correct"]
    return next((at for at in places if any(s.start < at for s in raw) and any(s.start >= at for s in raw)), 0)


def _raw_sizes(reading: Reading, cues: Sequence[Hit]) -> list[_Raw]:
    words, tokens = reading.words, reading.sentence.tokens
    category = {position: cue.category for cue in cues for position in range(cue.start, cue.end)}
    out: list[_Raw] = []
    excluded = -9  # unit of the last length that was no size
    for unit in range(len(words)):
        if category.get(unit) not in ("unit_mm", "unit_cm") or unit == 0:
            continue
        last = unit - 2 if words[unit - 1] == "-" and unit > 1 and tokens[unit - 1].glued else unit - 1  # "7-mm-Herd"
        if words[last] == ")" and tokens[last - 1].kind == "number":
            opening = next((i for i in range(last - 2, max(0, last - FORMER_REACH), -1) if words[i] == "("), last + 1)
            last = opening - 1  # "14 (16) mm", "19 (VU 23) mm"
        if tokens[last].kind != "number":
            continue
        if unit + 1 < len(words) and words[unit + 1] in ("3", "2") and tokens[unit + 1].glued:
            continue  # a volume or an area
        start, values, changed = _chain(words, tokens, last, category)
        if start and words[start - 1] == "(" and unit + 1 < len(words) and words[unit + 1] == ")":
            values = [*values, *_listed_before(words, tokens, start - 1)]
        factor = 10.0 if category[unit] == "unit_cm" else 1.0
        mm = round(factor * (values[0] if changed else max(values)), 3)
        past = in_sum(cues, words, start) or in_past_bracket(cues, reading, start, unit)
        if past and not _lists_addends(words, start, last):
            addend = factor * largest_addend(words, unit + 1)
            if addend and "previous" not in cues_near(cues, words, start, -1):
                out.append(_Raw(addend, unit + 1, unit + 2, False, False, False))
            continue
        before = cues_near(cues, words, start, -1)
        behind = cues_near(cues, words, unit + 1, +1)
        chained = start == excluded + 2 and words[start - 1] in _RESPECTIVE
        chained = chained or (start == excluded + 3 and words[start - 1] == "." and words[start - 2] in _RESPECTIVE)
        no_size = (
            chained
            or "not_a_size" in before | behind
            or "not_a_size_before" in before
            or "not_a_size_behind" in behind
            or ("lengthwise" in before | behind and (mm >= LIVER_MM or not (reading.mentions or out)))
        )
        if no_size:
            excluded = unit
        if not 0.0 < mm <= LARGEST_PLAUSIBLE_MM or no_size:
            continue
        if out and words[start - 1] in ("x", "by", "mal") and start - out[-1].end <= AXIS_REACH:
            out[-1] = out[-1]._replace(mm=max(mm, out[-1].mm), end=unit + 1)  # "3.5 cm ap x 2.9 cm transverse"
            continue
        if start > 0 and (words[start - 1] in _BOUNDS or tuple(words[max(0, start - 2) : start]) in _SMALLER_THAN):
            continue  # "mostly below 1 cm", "the others smaller than 1 cm"
        bound = start > 0 and words[start - 1] in ("<", "als", "than")  # "< 1 cm; max. 9 mm", "larger than 1 cm"
        arrow = words[unit + 1 : unit + 3] == ["-", ">"]
        leads_on = arrow or (unit + 1 < len(words) and category.get(unit + 1) == "link_change")
        former = bool(before & {"previous", "comparing"}) and not changed  # "von ehemals 33 auf 19 mm"
        previous = (former and "current" not in before) or "previous" in behind or follows_former(words, start)
        previous = previous or told_of_outset(words, start) or told_of_study(cues, words, start)
        if any(test(words, start) for test in _NO_SIZES) or is_of_liver(words, start, mm):
            continue
        led_to = category.get(start - 1) == "link_change"  # "from 24 mm on the prior to 28 mm"
        current = "current" in before | behind or led_to or changed
        opening = opening_of(words, start)
        compared = opening >= 0 and follows_study(cues, words, opening)
        previous = previous or (compared and names_only_study(cues, words, opening))
        beside = compared or ("previous_beside" in before and not current) or leads_on or bound
        now = _stands_at(words, start, unit + 1)
        out.append(_Raw(mm, start, unit + 1, previous and not led_to, beside, current, now and not previous))
    return [*out, *_without_unit(words, tokens, category, out)]


_NO_SIZES = (is_difference, is_corrected, is_extent_along)


def _lists_addends(words: Sequence[str], start: int, last: int) -> bool:
    """ "Sum of target lesions 47 mm (18 + 16 + 13 mm)": the bracket holds what was added."""
    return "+" in words[start:last] and words[start - 1 : start] in (["("], ["="], [":"])


# "Distance to the vein 11 mm and 24 mm": the second length is what the first one is.
_RESPECTIVE = frozenset({"bzw", "beziehungsweise", "resp", "und", "and", "/"})
_NOW = frozenset({"now", "today", "currently", "aktuell", "jetzt", "heute", "derzeit", "nun"})
_THEN = frozenset({"then", "was", "before", "previously", "vorher", "zuvor", "damals", "war", "vu"})


def _stands_at(words: Sequence[str], start: int, end: int) -> bool:
    """Whether "now" stands right before or behind words[start:end]."""
    return bool(_NOW & {words[start - 1] if start else "", *words[end : end + 1]})


def _without_unit(
    words: Sequence[str], tokens: Sequence[Token], category: Mapping[int, str], sized: Sequence[_Raw]
) -> list[_Raw]:
    """ "24 mm then, 18 now", "S1 12, S2 18, S8 21 mm": numbers whose unit another one of the sentence names."""
    then = bool(_THEN & set(words))
    units = [category.get(i) for i in range(len(words)) if category.get(i) in ("unit_mm", "unit_cm")]
    if (not units and not then) or any(word.startswith("suv") for word in words):
        return []
    factor = 10.0 if units and units[0] == "unit_cm" else 1.0
    out = []
    for at, token in enumerate(tokens):
        taken = any(size.start <= at < size.end for size in sized)
        if token.kind != "number" or taken or category.get(at + 1) in ("unit_mm", "unit_cm"):
            continue
        mm = round(factor * _number(words[at]), 3)
        ends = at + 1 == len(words) or words[at + 1] in (",", ";", ".", "(") or bool(_SEGMENT.fullmatch(words[at + 1]))
        listed = bool(units) and ends and at > 0 and bool(_SEGMENT.fullmatch(words[at - 1]))
        now = then and _stands_at(words, at, at + 1)
        changed = category.get(at - 1) == "link_change" and tokens[at - 2].kind == "number"
        now = now or (changed and ends and bool(units) and words[at - 3] in ("from", "von"))  # "from 22 to 15, ..."
        if (listed or now) and SMALLEST_MM <= mm <= LARGEST_PLAUSIBLE_MM:
            out.append(_Raw(mm, at, at + 1, False, False, now, now))
    return out


_SEGMENT = re.compile(r"s(?:[1-8][ab]?|i{1,3}|iv[ab]?|v|vi{1,3})")
# A number without a unit that is smaller counts something.
SMALLEST_MM = 2.0


# What is smaller than a number has no stated size.
_BOUNDS = frozenset({"sub", "unter", "below", "under", "unterhalb", "kleiner", "beneath"})
_SMALLER_THAN = frozenset(
    (first, second)
    for first in ("smaller", "less", "kleiner", "weniger", "geringer", "lesser")
    for second in ("than", "als")
)
# Words of a bracket with the former size between the current one and the unit.
FORMER_REACH = 6
# "15 statt 18 mm": the number before these is the current one. ("von", "from" lead to it: "von 15 auf 18 mm".)
_INSTEAD = frozenset(
    {
        "statt",
        "gegenueber",
        "vormals",
        "zuvor",
        "vs",
        "versus",
        "previously",
        "formerly",
        "against",
        "instead",
        "vorher",
    }
)


def _chain(
    words: Sequence[str], tokens: Sequence[object], last: int, category: dict[int, str]
) -> tuple[int, list[float], bool]:
    """Start, numbers up to words[last] (the last first), and whether a change ("auf", "to") joins them."""
    values = [_number(words[last])]
    start, changed, listed = last, False, False
    if (
        words[start - 2 : start] == ["rather", "than"]
        and start >= 3
        and getattr(tokens[start - 3], "kind", "") == "number"
    ):
        return start - 3, [_number(words[start - 3])], True  # "15 rather than 18 mm"
    if words[start - 2 : start] == ["-", ">"] and start >= 3 and getattr(tokens[start - 3], "kind", "") == "number":
        return start - 3, values, True  # "28 -> 21 mm"
    while start >= 2:
        dotted = words[start - 1] == "." and start >= 3 and category.get(start - 2) == "link_range"  # "9 bzw. 5 mm"
        start -= dotted
        if getattr(tokens[start - 2], "kind", "") != "number" or is_year(words[start - 2]):
            start += dotted
            break
        if words[start - 3 : start - 2] and words[start - 3].startswith("suv"):
            start += dotted
            break  # "SUVmax 27 and 1.4 cm"
        link = category.get(start - 1)
        if words[start - 1] in _INSTEAD and not is_segment_number(words, start - 2):
            return start - 2, [_number(words[start - 2])], True  # "15 statt 18 mm"
        if link == "link_change":
            changed = True
        elif (
            words[start - 1] == ","
            and (listed or _in_bracket_list(words, start - 2))
            and not is_segment_number(words, start - 2)
        ):
            pass  # "24, 15 und 8 mm", "(12, 8 mm)"
        elif link != "link_range" or (words[start - 1] in ("und", "and") and is_segment_number(words, start - 2)):
            break
        elif words[start - 1] == "-" and ends_segment_list(words, start - 2):
            break  # "segment 6 - 1.1 cm"
        listed = words[start - 1] in ("und", "and", "sowie", ",") and (listed or words[start - 1] != ",")
        start -= 2
        values.append(_number(words[start]))
    return start, values, changed


def _in_bracket_list(words: Sequence[str], number: int) -> bool:
    """A number right behind an opening bracket, or behind others that are."""
    at = number
    while at >= 2 and words[at - 1] == "," and words[at - 2][:1].isdigit():
        at -= 2
    return at >= 1 and words[at - 1] == "("


def _listed_before(words: Sequence[str], tokens: Sequence[Token], before: int) -> list[float]:
    """ "S2 (8), S4 (20) and S8 (16 mm)": numbers in brackets whose unit the last one names."""
    return [
        _number(words[at + 1])
        for at in range(before - 2)
        if words[at] == "("
        and tokens[at + 1].kind == "number"
        and words[at + 2] == ")"
        and not is_segment_number(words, at + 1)
    ]


def _number(word: str) -> float:
    return float(word.replace(",", "."))
