"""How large and how many: sizes and numbers of the liver lesions that a report's label counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.counting import LARGEST_COUNT, read_counts
from liverpair.evaluate.labels.former import corrected_sizes
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sizes import read_sizes

__all__ = ["count_lesions", "counted_sizes", "sizes_at_place", "sizes_near", "without_past"]

# "Number of liver metastases: 5": words before the colon.
LONGEST_NUMBER_NAME = 5


def counted_sizes(readings: Sequence[Reading], counted: set[int], rules: Rules) -> list[float]:
    """Sizes in mm of the mentions whose identities are ``counted``, and of those left unnamed behind them."""
    correcting = _correcting(readings, rules)
    readings = correcting or readings
    sizes: list[float] = []
    corrected = {taken for reading in readings for taken in corrected_sizes(reading.words)}
    past = _told_of_past(readings, rules)
    on_liver, block = bool(correcting), -1  # whether the last lesion spoken of was a counted one
    named_before = False  # whether the liver's lesions were named, denied ones, too
    subject = False  # and whether the one was that its sentence began with
    for reading in readings:
        if reading.sentence.block != block:
            on_liver = subject = bool(correcting) and block < 0
            block = reading.sentence.block
        for size in read_sizes(reading, rules):
            if size.mm in corrected or id(reading) in past:
                continue
            own = id(size.mention) in counted
            unnamed = size.mention is None and not size.foreign
            placed = (
                (reading.has("known") and named_before and not reading.mentions)
                or reading.liver_positive
                or bool(_place(reading))
                or _is_line_of_form(reading, rules)
            )
            meant = subject if reading.words[0] in _PRONOUNS else on_liver
            if own or (
                unnamed and (placed or (meant and (not _names_whole_liver(reading) or _names_largest(reading))))
            ):
                sizes.append(size.mm)
        named_before = any(m.organ == "liver" for m in reading.mentions) or (named_before and not reading.mentions)
        spoken = [
            mention
            for mention in reading.mentions
            if mention.polarity not in ("absent", "ignored", "no_new", "no_other")
        ]
        if spoken:
            on_liver, subject = id(spoken[-1]) in counted, id(spoken[0]) in counted
        elif any(hit.category == "other" for hit in reading.organ_hits):
            on_liver = subject = False
    return sizes


# "It is 31 mm today": the subject of the sentence before.
_PRONOUNS = frozenset(
    {"it", "this", "they", "these", "er", "sie", "es", "dieser", "diese", "dieses", "letztere", "jene"}
)


def _correcting(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences of an addendum that puts sizes right: "Correct is: today up to 19 mm, before 29 mm"."""
    added = [reading for reading in readings if reading.sentence.section == "addendum"]
    right = any(cue.category == "correct" for reading in added for cue in rules.sizes.find(reading.words))
    liver = any(m.organ == "liver" and m.polarity == "present" for reading in added for m in reading.mentions)
    return added if right and liver and any(read_sizes(reading, rules) for reading in added) else []


def _told_of_past(readings: Sequence[Reading], rules: Rules) -> set[int]:
    """Identities of sentences headed by a former study, where another is headed by the present one.

    "MRI of 3 March: largest 25 mm. MRI today: largest 19 mm."
    """
    past, present = set(), False
    for reading in readings:
        colon = reading.words.index(":") if ":" in reading.words else 0
        categories = {cue.category for cue in rules.sizes.find(reading.words[:colon])}
        told = any(token.kind in ("date", "number") for token in reading.sentence.tokens[:colon])
        study = bool(rules.modalities.find(reading.words[:colon]))
        if "current" in categories or _is_now(reading, rules):
            present = True
        elif _is_then(reading, rules) or categories & {"previous", "comparing"} or (told and study):
            past.add(id(reading))
    return past if present else set()


_LINKS = frozenset({"auf", "to"})
# A sentence is of the past if it opens with such a word: "Before cycle 1 there were four metastases".
PAST_OPENING = 3


def _is_now(reading: Reading, rules: Rules) -> bool:
    cues = rules.sizes.find(reading.words)
    return any(cue.category == "current" and reading.words[cue.start] not in _LINKS for cue in cues)


def _is_then(reading: Reading, rules: Rules) -> bool:
    """Told of the past as a whole: it opens or ends with the former time, and nothing in it is of today."""
    cues = [cue for cue in rules.sizes.find(reading.words) if cue.category == "previous"]
    last = len([word for word in reading.words if word != "."])
    told = any(cue.start < PAST_OPENING or cue.end == last for cue in cues)
    return told and not _is_now(reading, rules) and not reading.has("followed") and not reading.has("resolved")


def without_past(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences but those of the past, where others tell of today."""
    headed = _told_of_past(readings, rules)
    then = [r for r in readings if r.mentions and (id(r) in headed or _is_then(r, rules))]
    if not then or not any(_is_now(reading, rules) for reading in readings):
        return list(readings)
    return [reading for reading in readings if not any(reading is one for one in then)]


def sizes_near(
    readings: Sequence[Reading], deciding: Reading | None, rules: Rules, *, doubted: bool = True
) -> list[float]:
    """Where no size belongs to a counted lesion: those of the deciding sentence and the one before it.

    "10 mm area, presumably focal fat; metastasis to be excluded": the size is the doubtful lesion's.
    """
    at = next((i for i, reading in enumerate(readings) if reading is deciding), -1)
    near = [r for r in readings[max(0, at - 1) : at + 1] if deciding and r.sentence.block == deciding.sentence.block]
    return [
        size.mm
        for reading in near
        for size in read_sizes(reading, rules)
        if size.mention is not None
        and not size.foreign
        and size.mention.organ == "liver"
        and size.mention.polarity != "absent"
        and (
            size.mention.kind in ("lesion", "metastasis")
            or (doubted and size.mention.kind == "benign" and reading is deciding)
        )
    ]


def sizes_at_place(readings: Sequence[Reading], deciding: Reading | None, rules: Rules) -> list[float]:
    """Where the lesion is judged without its size: the size given elsewhere for the same segment.

    "Haemangioma in segment 7 (11 mm). Addendum: the lesion in segment 7 is new; suspected metastasis."
    """
    if deciding is None:
        return []
    own = _places(deciding)
    places = own or {
        place
        for reading in readings
        if reading.sentence.section == deciding.sentence.section
        for place in _places(reading)
    }
    if len(places) != 1 or deciding.sentence.section == "findings":
        return []
    return [
        size.mm
        for reading in readings
        if _places(reading) == places
        for size in read_sizes(reading, rules)
        if size.mention is not None and not size.foreign and size.mention.organ == "liver"
    ]


def count_lesions(readings: Sequence[Reading], counted: set[int], rules: Rules) -> int | None:
    """The stated number; else the number of places at which single lesions are named; None for "multiple"."""
    numbers: list[int] = []
    by_name: list[int] = []  # counted as metastases; of "drei Herde, davon zwei Metastasen" the two
    places: set[str] = set()
    plural = single = False
    for reading in readings:
        mentions = [m for m in reading.mentions if id(m) in counted]
        counts = read_counts(reading, mentions, rules)
        numbers.extend(value for _, value in counts)
        by_name.extend(value for mention, value in counts if mention.kind == "metastasis" and value > 1)
        if mentions:
            by_name.extend(_risen_number(reading, rules))
            by_name.extend(number for mention in mentions for number in _answered_number(mention, reading, rules))
        numbers.extend(_stated_number(reading, rules))
        if any(not mention.singular or _one_of_several(mention, reading) for mention in mentions):
            plural = plural or not _is_summary(reading)
        elif mentions:
            single = True
            places.update(filter(None, [_place(reading)]))
    if by_name:
        return max(by_name)
    if max(numbers, default=0) > 1:
        return max(numbers)
    single = single or bool(numbers)
    return max(1, len(places)) if single and not plural else None


def _stated_number(reading: Reading, rules: Rules) -> list[int]:
    """ "Anzahl: 3" on a line of its own in a block about the liver."""
    words = reading.words
    first = next((i for i, token in enumerate(reading.sentence.tokens) if token.kind == "word"), 0)
    first = max(
        [first, *(hit.end for hit in rules.organs.find(words) if hit.start == first and hit.category == "liver")]
    )
    named = [hit for hit in rules.attributes.find(words) if hit.category == "number" and hit.start == first]
    liver = reading.sentence.heading in ("", "liver")
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
        if at in changes and _number(words[at - 1], rules) and words[at + 2] not in ("mm", "cm", "x"):
            return _number(words[at + 1], rules)
    return []


def _number(word: str, rules: Rules) -> list[int]:
    value = int(word) if word.isdigit() and len(word) <= 2 else rules.numbers.get(word, 0)
    return [value] if 0 < value <= LARGEST_COUNT else []


def _one_of_several(mention: Mention, reading: Reading) -> bool:
    """ "Die größte Metastase", "another metastasis": a singular that implies others."""
    return any(cue.category == "quantity" and 0 <= mention.start - cue.end <= 1 for cue in reading.cues)


def _is_summary(reading: Reading) -> bool:
    """A closing "Lebermetastasen." names the disease, not its extent."""
    return reading.sentence.section == "impression" and not reading.has("followed") and not reading.has("quantity")


_ROMAN = {
    "i": "1", "ii": "2", "iii": "3", "iv": "4", "iva": "4a", "ivb": "4b", "v": "5", "vi": "6", "vii": "7", "viii": "8",
}  # fmt: skip


def _place(reading: Reading) -> str:
    """The first segment that a sentence names, "" if none."""
    return next(iter(_named_places(reading)), "")


def _places(reading: Reading) -> set[str]:
    return set(_named_places(reading))


def _named_places(reading: Reading) -> Iterator[str]:
    for hit in reading.organ_hits:
        word = reading.words[hit.start]
        if word.startswith("seg"):
            behind = (w for w in reading.words[hit.end : hit.end + 2] if w != ".")
            named = next(behind, "")
            if named in _ROMAN or named[:1].isdigit():
                yield _ROMAN.get(named, named)
        if hit.category == "liver" and word[0] == "s" and (word[1:] in _ROMAN or word[1:2].isdigit()):
            yield _ROMAN.get(word[1:], word[1:])


def _is_line_of_form(reading: Reading, rules: Rules) -> bool:
    """ "LEBER MAX. DURCHMESSER: 21 mm"."""
    colon = reading.words.index(":") if ":" in reading.words else 0
    return reading.sentence.heading == "liver" and bool(rules.attributes.find(reading.words[:colon]))


def _names_largest(reading: Reading) -> bool:
    """ "The largest, in the right lobe, is now 34 mm": of the lesions that were spoken of before."""
    return any(cue.category == "quantity" and reading.words[cue.start].startswith(_LARGEST) for cue in reading.cues)


_LARGEST = (
    "larg",
    "bigg",
    "groess",
    "domin",
    "fuehrend",
    "leading",
    "most",
    "great",
    "bulk",
    "kraeftig",
    "index",
    "target",
)


def _names_whole_liver(reading: Reading) -> bool:
    """The sentence speaks of the liver itself, whose own size is no lesion's; a lobe or segment tells a place."""
    return any(hit.category == "liver" and reading.words[hit.start].startswith(_WHOLE) for hit in reading.organ_hits)


_WHOLE = ("leber", "liver", "hep", "organ", "parenchym")
