"""How many: the number of liver lesions that a report's label counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from liverpair.evaluate.labels.counting import LARGEST_COUNT, numbers_left, read_counts
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.places import listed_places, named_places, place_of
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sizes import read_sizes
from liverpair.evaluate.labels.tenses import told_of_past

__all__ = ["count_lesions"]

# "Number of liver metastases: 5": words before the colon.
LONGEST_NUMBER_NAME = 5


def count_lesions(readings: Sequence[Reading], counted: set[int], rules: Rules) -> int | None:
    """The stated number; else the number of places at which single lesions are named; None for "multiple"."""
    numbers: list[int] = []
    by_name: list[int] = []  # counted as metastases; of "drei Herde, davon zwei Metastasen" the two
    places: set[str] = set()
    groups: list[_Group] = []
    plural = single = False
    left: list[int] = []  # "only two remain"
    added: list[int] = []  # put right by an addendum
    past = told_of_past(readings, rules)
    on_liver, block = False, -1  # whether the last line of the block that named something named lesions of the liver
    for reading in (reading for reading in readings if id(reading) not in past):
        mentions = [m for m in reading.mentions if id(m) in counted and not _only_points(m, reading)]
        counts = read_counts(reading, mentions, rules)
        if mentions or reading.names_liver:
            left.extend(numbers_left(reading, rules))
        if reading.sentence.section == "addendum":
            added.extend(value for mention, value in counts if mention.kind == "metastasis")
        numbers.extend(_listed_number(reading, mentions, rules))
        numbers.extend(_one_each(reading, mentions))
        numbers.extend(_lettered(reading, mentions))
        numbers.extend(value for _, value in counts)
        by_name.extend(value for mention, value in counts if mention.kind == "metastasis" and value > 1)
        if mentions:
            groups.append(_group(reading, mentions, [value for _, value in counts]))
        if mentions:
            by_name.extend(_total_told(reading, rules))
            by_name.extend(_risen_number(reading, rules))
            by_name.extend(number for mention in mentions for number in _answered_number(mention, reading, rules))
        numbers.extend(_stated_number(reading, rules, of_liver=block == reading.sentence.block and on_liver))
        if reading.organ_hits or reading.mentions:
            on_liver, block = any(m.organ == "liver" for m in reading.mentions), reading.sentence.block
        if any(not mention.singular or _one_of_several(mention, reading) for mention in mentions):
            plural = plural or not _is_summary(reading)
        elif mentions:
            single = True
            places |= _places_of_each(reading, mentions)
    if added or left:
        return max(added or left)
    if any(_is_uncounted(reading, counted) for reading in readings):
        return None
    if by_name or max(numbers, default=0) > 1:
        return max([*(by_name or numbers), _placed_apart(groups)])
    single = single or bool(numbers)
    return max(1, len(places)) if single and not plural else None


class _Group(NamedTuple):
    """Lesions that one sentence counts: ``number`` of them (1: a single one, 0: not counted) at ``places``."""

    section: str
    number: int
    places: frozenset[str]


def _group(reading: Reading, mentions: Sequence[Mention], counts: Sequence[int]) -> _Group:
    single = all(mention.singular for mention in mentions)
    number = max([value for value in counts if value > 1], default=int(single))
    places = listed_places(reading) if number > 1 else set(named_places(reading))
    return _Group(reading.sentence.section, number, frozenset(places))


def _placed_apart(groups: Sequence[_Group]) -> int:
    """ "The treated metastasis in segment 7. Two others in segments 2 and 4": three, where each has its own place.

    0 where no group is counted, or where the impression, which sums up, counts one itself.
    """
    whole = [group for group in groups if group.number and len(group.places) == group.number]
    several = {group.section for group in whole if group.number > 1}
    summed_up = any(group.section == "impression" and group.number > 1 for group in groups)
    if len(several) != 1 or summed_up:
        return 0
    return len(frozenset().union(*(group.places for group in whole if group.section in several)))


def _listed_number(reading: Reading, mentions: Sequence[Mention], rules: Rules) -> list[int]:
    """ "Metastases: segment 2 13 mm, segment 5 22 mm": as many as segments with a size each, if the list is whole."""
    vague = any(cue.category == "quantity" and reading.words[cue.start] not in _BOTH for cue in reading.cues)
    if not any(not mention.singular for mention in mentions) or vague or _gives_examples(reading):
        return []
    places = set(named_places(reading))
    sizes = [size for size in read_sizes(reading, rules) if not size.foreign]
    return [len(places)] if len(places) == len(sizes) > 1 else []


def _places_of_each(reading: Reading, mentions: Sequence[Mention]) -> set[str]:
    """The places of single lesions: the first that the sentence names, all where each lesion has one of its own."""
    named = set(named_places(reading))
    each = len(named) == len(mentions) and len({mention.kind for mention in mentions}) == 1
    return named if each else set(filter(None, [place_of(reading)]))


# "Metastases in segment 2 (17 mm) and segment 7 (15 mm), both unchanged": nothing vague is said of their number.
_BOTH = frozenset({"both", "beide", "beiden"})


def _one_each(reading: Reading, mentions: Sequence[Mention]) -> list[int]:
    """ "Je eine Metastase in Segment III und VII", "one metastasis each in segments 3 and 7": as many as places."""
    for mention in mentions:
        before = reading.words[max(0, mention.start - EACH_REACH) : mention.start]
        behind = reading.words[mention.end : mention.end + 2]
        each = any(word in _EACH for word in before) or "each" in behind
        if each and any(word in _ONE for word in before):
            start = max([i for i, word in enumerate(reading.words[: mention.start]) if word == ";"], default=0)
            end = next((i for i in range(mention.end, len(reading.words)) if reading.words[i] == ";"), None)
            return [len(listed_places(reading, start, end))]
    return []


# "Je eine kleine, arterialisierte Metastase": words from "each" to the lesion.
EACH_REACH = 5
_EACH = frozenset({"je", "jeweils", "each"})
_ONE = frozenset({"ein", "eine", "einen", "einer", "one", "a", "single"})


def _lettered(reading: Reading, mentions: Sequence[Mention]) -> list[int]:
    """ "Lesion A 13 mm, lesion B 8 mm": as many as labels, where every lesion of the sentence has one."""
    single = [mention for mention in mentions if mention.singular]
    labels = [label for m in single for label in reading.words[m.end : m.end + 1] if label in _LABELS]
    whole = len(labels) == len(single) == len(set(labels)) > 1 and not reading.has("quantity")
    whole = whole and not reading.has("followed")  # the target lesions of a trial are not all that there are
    return [len(labels)] if whole else []


_LABELS = frozenset({*"abcdefgh", *"12345678"})


def _only_points(mention: Mention, reading: Reading) -> bool:
    """ "The one in segment 2", "jene in S6": a lesion that was counted where it was named."""
    return mention.end - mention.start > 1 and reading.words[mention.start] in _POINTING


_POINTING = frozenset({"the", "that", "die", "der", "jene", "jener", "diejenige", "derjenige"})
_UNCOUNTED = ("innumer", "unzaehl", "zahllos", "zahlreich", "numerous", "multipl", "dissemin", "miliar")


def _is_uncounted(reading: Reading, counted: set[int]) -> bool:
    """ "Numerous further lesions": whatever number stands elsewhere is not that of all."""
    plural = any(id(m) in counted and not m.singular and m.polarity != "absent" for m in reading.mentions)
    return plural and any(word.startswith(_UNCOUNTED) for word in reading.words)


_EXAMPLES = (
    "z.b.",
    "exemplarisch",
    "beispiel",
    "example",
    "e.g.",
    "u.a.",
    "etwa",
    "representative",
    "index",
    "referen",
)


def _gives_examples(reading: Reading) -> bool:
    return any(word.startswith(_EXAMPLES) for word in reading.words)


def _stated_number(reading: Reading, rules: Rules, *, of_liver: bool) -> list[int]:
    """ "Anzahl: 3" on a line of its own in a block about the liver, or (``of_liver``) below one about its lesions."""
    words = reading.words
    first = next((i for i, token in enumerate(reading.sentence.tokens) if token.kind == "word"), 0)
    first = max(
        [first, *(hit.end for hit in rules.organs.find(words) if hit.start == first and hit.category == "liver")]
    )
    named = [hit for hit in rules.attributes.find(words) if hit.category == "number" and hit.start == first]
    liver = of_liver or reading.sentence.heading in ("", "liver")
    colon = words.index(":") if ":" in words else -1
    if not named or not liver or not 0 < colon <= LONGEST_NUMBER_NAME or colon + 1 >= len(words):
        return []
    return _number(words[colon + 1], rules)


def _answered_number(mention: Mention, reading: Reading, rules: Rules) -> list[int]:
    """ "Lebermetastasen: 3, größte 12 mm", "Liver metastases? Yes, three"."""
    rest = [word for word in reading.words[mention.end :] if word not in ("ja", "yes", ",")]
    if len(rest) < 2 or rest[0] not in (":", "?") or mention.kind != "metastasis":
        return []
    told = reading.words[reading.words.index(rest[1], mention.end) :][1:2]
    return _number(rest[1], rules) if not told or told[0] in (",", ".", ";", "(") else []


def _risen_number(reading: Reading, rules: Rules) -> list[int]:
    """ "Die Zahl der Lebermetastasen ist von 4 auf 6 gestiegen"."""
    words = reading.words
    if not any(hit.category == "number" for hit in rules.attributes.find(words)):
        return []
    changes = {c.start for c in rules.sizes.find(words) if c.category == "link_change"}
    for at in range(1, len(words) - 2):
        to = at + 1 + (words[at + 1] in ("jetzt", "nun", "aktuell", "now", "currently"))  # "von 12 auf jetzt 7"
        if at in changes and _number(words[at - 1], rules) and words[to + 1 : to + 2] not in (["mm"], ["cm"], ["x"]):
            return _number(words[to], rules)
    return []


_TOTALS = frozenset({"total", "insgesamt", "altogether", "gesamt", "gesamtzahl"})
_LEADING_ON = frozenset({"of", "von", "now", "jetzt", "nun", ":", "damit", "somit", "number", "is", "are", "sind"})


def _total_told(reading: Reading, rules: Rules) -> list[int]:
    """ "Two new hepatic metastases on a background of four (total six)", "three in total": not "total 71 mm"."""
    words = reading.words
    if any(mention.kind == "benign" for mention in reading.mentions):
        return []  # "insgesamt neun Läsionen, davon fünf Zysten"
    for at in (i for i, word in enumerate(words) if word in _TOTALS):
        before = words[at - 1 - (words[at - 1] == "in")] if at > 1 else ""
        if before in rules.numbers:
            return _number(before, rules)
        place = next((i for i in range(at + 1, len(words)) if words[i] not in _LEADING_ON), len(words))
        if place < len(words) and place - at <= MOST_LEADING and words[place + 1 : place + 2] in _ENDS:
            return _number(words[place], rules)
    return []


_ENDS: list[list[str]] = [[], *([mark] for mark in (")", ".", ",", ";"))]
MOST_LEADING = 3


def _number(word: str, rules: Rules) -> list[int]:
    value = int(word) if word.isdigit() and len(word) <= 2 else rules.numbers.get(word, 0)
    return [value] if 0 < value <= LARGEST_COUNT else []


def _one_of_several(mention: Mention, reading: Reading) -> bool:
    """ "Die größte Metastase", "another metastasis": a singular that implies others."""
    return any(
        cue.category == "quantity"
        and 0 <= mention.start - cue.end <= 1
        and not (mention.singular and reading.words[cue.start].startswith("einzeln"))  # "Einzelne Lebermetastase"
        for cue in reading.cues
    )


def _is_summary(reading: Reading) -> bool:
    """A closing "Lebermetastasen." names the disease, not its extent."""
    return reading.sentence.section == "impression" and not reading.has("followed") and not reading.has("quantity")
