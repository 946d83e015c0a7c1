"""How large and how many: sizes and numbers of the liver lesions that a report's label counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.counting import LARGEST_COUNT, numbers_left, read_counts
from liverpair.evaluate.labels.former import corrected_sizes
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sizes import read_sizes
from liverpair.evaluate.labels.tenses import is_of_other_study, told_of_past

__all__ = ["count_lesions", "counted_sizes", "sizes_at_place", "sizes_near", "sizes_unnamed"]

# "Number of liver metastases: 5": words before the colon.
LONGEST_NUMBER_NAME = 5


def counted_sizes(readings: Sequence[Reading], counted: set[int], rules: Rules) -> list[float]:
    """Sizes in mm of the mentions whose identities are ``counted``, and of those left unnamed behind them."""
    correcting = _correcting(readings, rules)
    readings = correcting or readings
    sizes: list[float] = []
    others: list[float] = []  # "on the outside CT the mass measured 62 mm": only where nothing else is known
    corrected = {taken for reading in readings for taken in corrected_sizes(reading.words)}
    past = told_of_past(readings, rules)
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
            if unnamed_aside(reading) and size.mention is None:
                continue  # "Incidental 41 mm infrarenal aneurysm."
            if reading.has("resolved") and not reading.mentions and not reading.has("remains"):
                continue  # "Segment 8, treated: 68 mm, completely necrotic"
            own = id(size.mention) in counted
            unnamed = size.mention is None and not size.foreign
            placed = (
                (reading.has("known") and named_before and not reading.mentions)
                or reading.liver_positive
                or bool(_place(reading))
                or (not reading.mentions and _names_part(reading))
                or _is_line_of_form(reading, rules)
            )
            meant = subject if reading.words[0] in _PRONOUNS else on_liver
            if own or (
                unnamed and (placed or (meant and (not _names_whole_liver(reading) or _names_largest(reading))))
            ):
                (others if is_of_other_study(reading, rules) else sizes).append(size.mm)
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
    return sizes or others


_ASIDE = ("incidental", "nebenbefund", "beilaeufig", "zufallsbefund", "begleitbefund")


def unnamed_aside(reading: Reading) -> bool:
    """A finding beside the question that does not name the liver."""
    return any(word.startswith(_ASIDE) for word in reading.words[:3]) and not reading.names_liver


# "It is 31 mm today": the subject of the sentence before.
_PRONOUNS = frozenset(
    {"it", "this", "they", "these", "er", "sie", "es", "dieser", "diese", "dieses", "letztere", "jene"}
)


def _correcting(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences of an addendum that puts sizes right: "Correct is: today up to 19 mm, before 29 mm"."""
    added = [reading for reading in readings if reading.sentence.section == "addendum"]
    right = any(cue.category == "correct" for reading in added for cue in rules.sizes.find(reading.words))
    liver = any(m.organ == "liver" and m.polarity == "present" for reading in added for m in reading.mentions)
    # "The size should read 17 mm": of what was said before
    liver = liver or not any(reading.mentions or reading.organ_hits for reading in added)
    return added if right and liver and any(read_sizes(reading, rules) for reading in added) else []


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
    if deciding.sentence.section == "addendum" and not places:
        sizes = {
            size.mm
            for reading in readings
            for size in read_sizes(reading, rules)
            if size.mention is not None
            and not size.foreign
            and size.mention.organ == "liver"
            and size.mention.kind != "treated"
        }
        return list(sizes) if len(sizes) == 1 else []
    if len(places) != 1 or deciding.sentence.section == "findings":
        return []
    return [
        size.mm
        for reading in readings
        if _places(reading) == places
        for size in read_sizes(reading, rules)
        if size.mention is not None
        and not size.foreign
        and size.mention.organ == "liver"
        and size.mention.kind != "treated"
    ]


def sizes_unnamed(readings: Sequence[Reading], rules: Rules) -> list[float]:
    """Where no lesion of the liver has a size: those of sentences that go on speaking of the liver.

    "Segment 4: read as a cyst. Now 15 mm in the same place. Suspected metastasis."
    """
    found: list[float] = []
    organ = ""
    for reading in readings:
        organs = {hit.category for hit in reading.organ_hits}
        told = [m for m in reading.mentions if m.polarity not in ("ignored", "absent")]
        if organs or told or reading.sentence.heading == "other":
            organ = reading.last_organ if "other" not in organs else ""
            continue
        if reading.sentence.heading == "liver" or organ == "liver":
            found += [size.mm for size in read_sizes(reading, rules) if size.mention is None and not size.foreign]
    return found


def count_lesions(readings: Sequence[Reading], counted: set[int], rules: Rules) -> int | None:
    """The stated number; else the number of places at which single lesions are named; None for "multiple"."""
    numbers: list[int] = []
    by_name: list[int] = []  # counted as metastases; of "drei Herde, davon zwei Metastasen" the two
    places: set[str] = set()
    plural = single = False
    left: list[int] = []  # "only two remain"
    added: list[int] = []  # put right by an addendum
    past = told_of_past(readings, rules)
    for reading in (reading for reading in readings if id(reading) not in past):
        mentions = [m for m in reading.mentions if id(m) in counted]
        counts = read_counts(reading, mentions, rules)
        if mentions or reading.names_liver:
            left.extend(numbers_left(reading, rules))
        if reading.sentence.section == "addendum":
            added.extend(value for mention, value in counts if mention.kind == "metastasis")
        numbers.extend(_listed_number(reading, mentions, rules))
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
    if added or left:
        return max(added or left)
    if any(_is_uncounted(reading, counted) for reading in readings):
        return None
    if by_name:
        return max(by_name)
    if max(numbers, default=0) > 1:
        return max(numbers)
    single = single or bool(numbers)
    return max(1, len(places)) if single and not plural else None


def _listed_number(reading: Reading, mentions: Sequence[Mention], rules: Rules) -> list[int]:
    """ "Metastases: segment 2 13 mm, segment 5 22 mm": as many as segments with a size each, if the list is whole."""
    if not any(not mention.singular for mention in mentions) or reading.has("quantity") or _gives_examples(reading):
        return []
    places = set(_named_places(reading))
    sizes = [size for size in read_sizes(reading, rules) if not size.foreign]
    return [len(places)] if len(places) == len(sizes) > 1 else []


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
        to = at + 1 + (words[at + 1] in ("jetzt", "nun", "aktuell", "now", "currently"))  # "von 12 auf jetzt 7"
        if at in changes and _number(words[at - 1], rules) and words[to + 1 : to + 2] not in (["mm"], ["cm"], ["x"]):
            return _number(words[to], rules)
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
        if word.startswith(("seg", "lebersegment")):
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


_PARTS = ("seg", "dome", "caud", "kuppel", "leberkuppel", "leberdom", "lobus caud")


def _names_part(reading: Reading) -> bool:
    """ "First one dome segment eight, 26 mm": the places of lesions, all of them of the liver."""
    hits = reading.organ_hits
    return all(hit.category == "liver" for hit in hits) and any(
        reading.words[hit.start].startswith(_PARTS) for hit in hits
    )


_WHOLE = ("leber", "liver", "hep", "organ", "parenchym")
