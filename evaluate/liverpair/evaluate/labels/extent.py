"""How large: sizes of the liver lesions that a report's label counts."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.former import corrected_sizes, names_error
from liverpair.evaluate.labels.frames import QUOTE
from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.places import listed_places, place_of, places_of
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sizes import read_sizes
from liverpair.evaluate.labels.tenses import is_of_other_study, told_of_past
from liverpair.evaluate.labels.timeline import dated_past
from liverpair.evaluate.labels.treated import owns_no_size
from liverpair.evaluate.labels.verdicts import judged_benign

__all__ = ["counted_sizes", "sizes_at_place", "sizes_near", "sizes_told", "sizes_unnamed"]


def counted_sizes(readings: Sequence[Reading], counted: set[int], rules: Rules) -> list[float]:
    """Sizes in mm of the mentions whose identities are ``counted``, and of those left unnamed behind them."""
    correcting = _correcting(readings, rules)
    readings = correcting or readings
    sizes: list[float] = []
    others: list[float] = []  # "on the outside CT the mass measured 62 mm": only where nothing else is known
    corrected = {taken for reading in readings for taken in corrected_sizes(reading.words)}
    past, judged = told_of_past(readings, rules), judged_benign(readings)
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
            if _is_aside(reading) and size.mention is None:
                continue  # "Incidental 41 mm infrarenal aneurysm."
            gone = reading.has("resolved") and not _resolves_another(reading)
            if gone and not reading.mentions and not reading.has("remains"):
                continue  # "Segment 8, treated: 68 mm, completely necrotic"
            own = id(size.mention) in counted
            if size.mention is None and id(reading) in judged:
                continue  # "#2 segment 6: 26 mm, very bright. Cyst, unchanged."
            if owns_no_size(reading, size.mention, rules, size.start):
                continue  # "S VI (after MWA): 31 mm, no enhancement"
            unnamed = size.mention is None and not size.foreign
            placed = (
                (reading.has("known") and named_before and not reading.mentions)
                or reading.liver_positive
                or bool(place_of(reading))
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
        if id(reading) in past and any(m.organ == "liver" and m.kind == "metastasis" for m in spoken):
            on_liver = subject = True  # "01/23: metastases up to 71 mm. 12/23: smaller, the largest 33 mm"
    return sizes or others


def _resolves_another(reading: Reading) -> bool:
    """ "S2: 17 mm, S5: 14 mm, S8: no longer seen": what has gone has a place of its own and no size."""
    words = reading.words
    gone = next(cue for cue in reading.cues if cue.category == "resolved")
    start = next((i + 1 for i in range(gone.start - 1, -1, -1) if words[i] in (",", ";")), 0)
    placed = any(hit.category == "liver" and start <= hit.start < gone.start for hit in reading.organ_hits)
    return placed and not {"mm", "cm"} & set(words[start : gone.start]) and bool({"mm", "cm"} & set(words[:start]))


_ASIDE = ("incidental", "nebenbefund", "beilaeufig", "zufallsbefund", "begleitbefund")


def _is_aside(reading: Reading) -> bool:
    """A finding beside the question that does not name the liver."""
    return any(word.startswith(_ASIDE) for word in reading.words[:3]) and not reading.names_liver


# "It is 31 mm today": the subject of the sentence before.
_PRONOUNS = frozenset(
    {"it", "this", "they", "these", "er", "sie", "es", "dieser", "diese", "dieses", "letztere", "jene"}
)


def _correcting(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences of an addendum that puts sizes right: "Correct is: today up to 19 mm, before 29 mm"."""
    added = [reading for reading in readings if reading.sentence.section == "addendum"]
    right = any(cue.category == "correct" for reading in added for cue in reading.size_hits(rules))
    right = right or any(names_error(reading.words) for reading in added if _tells_size(added))
    right = right or any(len(reading.words) <= BARE_SIZE and reading.size_hits(rules) for reading in added[:1])
    liver = any(m.organ == "liver" and m.polarity == "present" for reading in added for m in reading.mentions)
    # "The size should read 17 mm": of what was said before
    liver = liver or not any(reading.mentions or reading.organ_hits for reading in added)
    return added if right and liver and any(read_sizes(reading, rules) for reading in added) else []


# "Erratum: 19 mm."
BARE_SIZE = 4
_SIZE = (
    "size",
    "unit",
    "einheit",
    "digit",
    "ziffer",
    "larg",
    "measure",
    "diameter",
    "groess",
    "misst",
    "durchm",
    "max",
    "bigg",
)


def _tells_size(readings: Sequence[Reading]) -> bool:
    """ "Number swapped: the size of the metastasis is 14 mm", not "wrong segment: the 5 mm metastasis lies in 6"."""
    return any(word.startswith(_SIZE) for reading in readings for word in reading.words)


def sizes_near(
    readings: Sequence[Reading], deciding: Reading | None, rules: Rules, *, doubted: bool = True
) -> list[float]:
    """Where no size belongs to a counted lesion: those of the deciding sentence and the one before it.

    "10 mm area, presumably focal fat; metastasis to be excluded": the size is the doubtful lesion's.
    """
    at = next((i for i, reading in enumerate(readings) if reading is deciding), -1)
    past = told_of_past(readings, rules)
    near = [
        reading
        for reading in readings[max(0, at - 1) : at + 1]
        if deciding and reading.sentence.block == deciding.sentence.block and id(reading) not in past
    ]
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
    own = places_of(deciding)
    places = own or {
        place
        for reading in readings
        if reading.sentence.section == deciding.sentence.section
        for place in places_of(reading)
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
    several = listed_places(deciding)  # "Lesions in segments 2, 3 and 6 are metastatic"
    if deciding.sentence.section == "findings" or (len(places) != 1 and len(several) < 2):
        return []
    places = several if len(several) > 1 else places
    return [
        size.mm
        for reading in readings
        if places_of(reading) and places_of(reading) <= places
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
    past = told_of_past(readings, rules)
    for reading in readings:
        organs = {hit.category for hit in reading.organ_hits}
        told = [m for m in reading.mentions if m.polarity not in ("ignored", "absent", "no_new", "no_other")]
        if organs or told or reading.sentence.heading == "other":
            organ = reading.last_organ if "other" not in organs else ""
            continue
        if id(reading) not in past and (reading.sentence.heading == "liver" or organ == "liver"):
            found += [size.mm for size in read_sizes(reading, rules) if size.mention is None and not size.foreign]
    return found


def sizes_told(readings: Sequence[Reading], rules: Rules) -> list[float]:
    """Where nothing else is measured: what another reader's words, in quotation marks, say of a metastasis.

    'First read: "Metastases, segment II (17 mm)". Final: liver metastases confirmed.' Not those of a place that is
    called benign, and none of another study, which quotes nothing.
    """
    benign = {
        place
        for reading in readings
        if any(m.kind == "benign" and m.polarity == "benign" for m in reading.mentions)
        and not any(m.kind == "metastasis" for m in reading.mentions)
        for place in places_of(reading)
    }
    past = dated_past(readings, rules)
    return [
        size.mm
        for reading in readings
        if id(reading) not in past
        and (reading.told or QUOTE in reading.words)
        and not (places_of(reading) and places_of(reading) <= benign)
        for size in read_sizes(reading, rules)
        if not size.foreign
        and size.mention is not None
        and size.mention.organ == "liver"
        and size.mention.kind == "metastasis"
    ]


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
    return any(
        hit.category == "liver" and reading.words[hit.start].startswith(_WHOLE) and not _is_part(hit, reading)
        for hit in reading.organ_hits
    )


_PARTS = ("seg", "dome", "caud", "kuppel", "leberkuppel", "leberdom", "lobus caud")


def _names_part(reading: Reading) -> bool:
    """ "First one dome segment eight, 26 mm": the places of lesions, all of them of the liver."""
    hits = reading.organ_hits
    return all(hit.category == "liver" for hit in hits) and any(_is_part(hit, reading) for hit in hits)


def _is_part(hit: Hit, reading: Reading) -> bool:
    """ "Dome", "hepatic dome"."""
    return any(word.startswith(_PARTS) for word in reading.words[hit.start : hit.end])


_WHOLE = ("leber", "liver", "hep", "organ", "parenchym")
