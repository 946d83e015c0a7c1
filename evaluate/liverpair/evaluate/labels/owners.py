"""Hand a size to the lesion, or to the other organ, that it belongs to."""

from __future__ import annotations

from typing import Protocol

from liverpair.evaluate.labels.clauses import part_around
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.neighbours import only_neighbours
from liverpair.evaluate.labels.rules import Hit

__all__ = ["owner"]


class Span(Protocol):
    """Words [start, end) of a size."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


# "Nicht eindeutig benigne" judges a lesion and is none itself.
_JUDGEMENTS = ("benign", "gutartig", "artef", "artif")


# Words that may stand between an organ and the size in a list of organs: "Leber (bis 30 mm), Lunge (bis 12 mm)".
_LIST_FILL = frozenset(
    {"(", "bis", "zu", "max", "maximal", "je", "ca", "up", "to", "about", "approx", "at", ":", ".", ")"}
)


# Segments, whose numbers stand between the organ and the size.
_PLACES = frozenset({"i", "ii", "iii", "iv", "iva", "ivb", "v", "vi", "vii", "viii", *"12345678", "4a", "4b"})


# "14 mm große, hypervaskularisierte Läsion": such a word leads on to the lesion behind it, over a comma.
_LEADING = ("gross", "messend", "durchmessend", "haltend")


LEAD = 4


def owner(size: Span, reading: Reading) -> tuple[Mention | None, bool]:
    """The nearest lesion, or another organ that is nearer still."""
    bracket = next((i for i in range(size.start - 1, -1, -1) if reading.words[i] in ("(", ")")), -1)
    inside = _named_inside(bracket, size, reading)
    if inside is not None:
        return inside, inside.organ == "other"
    listed = _organ_in_list(size, reading)
    if listed is not None:
        lifeless = [m for m in reading.mentions if m.kind in ("benign", "treated")]
        if lifeless and len(lifeless) == len(reading.mentions):
            return lifeless[0], lifeless[0].organ == "other"  # "Scar in segment 7 (34 mm)"
        lesions = [m for m in reading.mentions if m.organ == "liver" and m.kind != "benign"]
        if listed.category == "other" or not lesions:
            return None, listed.category == "other"
        return lesions[0], False
    if bracket > 0 and reading.words[bracket] == "(":
        told_behind = {"mm", "cm"} & set(reading.words[size.end + 1 :])  # the lesion's own size
        kinds = ("treated",) if not told_behind else ()
        named = next((m for m in reading.mentions if m.end == bracket and m.kind not in kinds), None)
        if named is not None:
            return named, named.organ == "other"  # "several cysts (up to 54 mm), two metastases"
        if _explains_another_tumour(bracket, reading):
            return None, True
    if (subject := _pointed_at(size, reading)) is not None:
        return subject, subject.organ == "other"
    best: Mention | None = None
    best_cost, foreign = float("inf"), False
    for mention in reading.mentions:
        if not _may_own(mention, size, bracket, reading):
            continue
        cost = _gap(size, mention.start, mention.end, reading)
        if 0 < bracket < mention.start and reading.words[bracket] == "(" and _follows_mention(bracket, reading):
            cost += BRACKET_COST  # "non-viable metastases (up to 50 mm), new metastasis"
        if cost < best_cost:
            best, best_cost = mention, cost
    if best is not None and _lies_in_another_part(size, best, reading):
        best, best_cost = None, float("inf")
    if not reading.mentions and _nearest_organ(size, reading) == "liver":
        return None, False  # "Leber + | max 22 mm | Knochen -"
    placed = any(
        organ.category == "liver"
        and reading.words[organ.start].startswith("s")  # a segment, not the liver itself
        and (organ.start == size.end or organ.end == size.start)
        for organ in reading.organ_hits
    )
    for organ in reading.organ_hits if not placed else ():  # "largest 33 mm S8, mesenteric node 20 mm"
        cost = _gap(size, organ.start, organ.end, reading)
        # An organ owns a size only clearly nearer than any lesion: "Metastase im Segment VI neben der
        # Niere, 8 mm".
        if organ.category != "other" or _has_a_size_of_its_own(organ, size, reading):
            continue
        if cost + 1 < best_cost and not (best is None and _has_a_part_of_its_own(size, organ, reading)):
            best, best_cost, foreign = None, cost, True
    if best is not None and best.organ == "other":
        foreign = True
    return best, foreign


_ITS = frozenset({"its", "it", "itself", "ihre", "ihr", "sie", "er", "es", "selbst", "deren", "dessen"})
# "; its size is 24 mm", "; the lesion itself is 30 mm": words of the part in which the pronoun stands.
ITS_WITHIN = 3


def _pointed_at(size: Span, reading: Reading) -> Mention | None:
    """ "Metastasis compressing the duct (9 mm); its size is 24 mm": the subject of the sentence, by a pronoun."""
    words = reading.words
    first = part_around(words, size.start, size.end)[0]
    part = words[first : size.start]
    starts = [hit.start for hit in reading.organ_hits] + [mention.start for mention in reading.mentions]
    named = any(first <= at < size.start for at in starts)
    if first == 0 or not _ITS & set(part[:ITS_WITHIN]):
        return None
    itself = bool({"itself", "selbst"} & set(part))
    lesions = [m for m in reading.mentions if m.kind in ("lesion", "metastasis", "recurrence") and m.end < first]
    return lesions[0] if lesions and (itself or not named) else None


def _named_inside(bracket: int, size: Span, reading: Reading) -> Mention | None:
    """ "Segment 2 (8 mm, cyst), segment 4 (14 mm, metastasis)": the bracket holds the size and what it is of."""
    words = reading.words
    if bracket < 0 or words[bracket] != "(":
        return None
    closing = next((i for i in range(size.end, len(words)) if words[i] == ")"), -1)
    inside = [m for m in reading.mentions if bracket < m.start < closing]
    sizes = sum(word in ("mm", "cm") for word in words[bracket:closing])
    kinds = ("benign", "metastasis", "treated")
    return inside[0] if len(inside) == sizes == 1 and inside[0].kind in kinds else None


_TUMOURS = (
    "net", "nen", "tumo", "prim", "carcinoid", "karzinoid", "mass", "lesion", "laesion", "deposit", "met", "knoten",
)  # fmt: skip


def _explains_another_tumour(bracket: int, reading: Reading) -> bool:
    """ "Pancreatic tail NET (45 mm) with liver metastases": the bracket behind another organ's tumour is its own."""
    words = reading.words
    return any(
        organ.category == "other"
        and 0 < bracket - organ.end <= 2
        and all(word.startswith(_TUMOURS) for word in words[organ.end : bracket])
        for organ in reading.organ_hits
    )


def _has_a_part_of_its_own(size: Span, organ: Hit, reading: Reading) -> bool:
    """ "The largest, in segment 5, is 47 mm; it abuts the gallbladder": the other organ stands beyond a semicolon."""
    words = reading.words
    low, high = (size.end, organ.start) if size.end <= organ.start else (organ.end, size.start)
    if ";" not in words[low:high]:
        return False
    first, end = part_around(words, size.start, size.end)
    placed = any(hit.category == "liver" and first <= hit.start < end for hit in reading.organ_hits)
    return placed or any(word.startswith(_LARGEST) for word in words[first:end])


def _is_alone_in_its_part(mention: Mention, size: Span, reading: Reading) -> bool:
    """ "Metastasis 9 mm; artefact in segment 2, 21 mm": no lesion stands beside the word and the size."""
    words = reading.words
    low, high = min(mention.start, size.start), max(mention.end, size.end)
    first, end = part_around(words, low, high)
    others = any(m is not mention and first <= m.start < end for m in reading.mentions)
    return not others and ";" not in words[low:high]


_EDGES = ("rand", "edge", "margin", "rim", "border", "saum", "peripher")
# Words from the edge to what it is the edge of: "edge of the 40 mm ablation zone".
EDGE_REACH = 6


def _only_tells_where(mention: Mention, reading: Reading) -> bool:
    """ "Recurrence at the margin of the ablation zone, 19 mm": the zone is a place."""
    before = reading.words[max(0, mention.start - EDGE_REACH) : mention.start]
    lives = any(m.kind in ("recurrence", "metastasis", "lesion") and m.end <= mention.start for m in reading.mentions)
    at = bool(_AT & set(before[-AT_REACH:]))
    return lives and (at or any(word.startswith(_EDGES) for word in before))


# "Recurrence at the resection surface, 12 mm": words from the preposition to the place.
_AT = frozenset({"an", "am", "at", "along", "entlang", "neben", "beside", "adjacent", "next", "abutting", "bordering"})
AT_REACH = 2


def _has_a_size_of_its_own(organ: Hit | Mention, size: Span, reading: Reading) -> bool:
    """ "Metastasis 11 mm (spleen 14 cm)", "41 mm, SUVmax 38 (spleen 24)": the bracket holds the organ's own value."""
    words = reading.words
    opening = next((i for i in range(organ.start - 1, size.end - 1, -1) if words[i] in ("(", ")")), -1)
    if opening < 0 or words[opening] != "(":
        return False
    closing = next((i for i in range(organ.end, len(words)) if words[i] == ")"), len(words))
    values = [word for word in words[organ.end : closing] if word[:1].isdigit() or word in ("mm", "cm")]
    return bool(values) and (opening == size.end or not {"mm", "cm"} & set(words[size.end : opening]))


def _may_own(mention: Mention, size: Span, bracket: int, reading: Reading) -> bool:
    """Whether a size can be this mention's; ``bracket``: the last one before the size."""
    adjacent = 0 <= mention.start - size.end <= 1  # "60 mm cyst, excluded from volumetry"
    if mention.kind == "benign" and size.end <= only_neighbours(mention, reading):
        return False  # "9 mm, next to a known cyst"
    if mention.kind == "benign" and mention.polarity == "ignored" and not adjacent:
        return False
    if mention.start >= size.end and mention.polarity == "benign" and _is_feature_of_largest(mention, size, reading):
        return False
    if mention.kind == "uptake" and mention.polarity == "ignored":
        return False  # "Size/uptake: S3 21 mm/SUV 18"
    beside = adjacent or bracket == mention.end
    if mention.kind == "treated" and not beside and _only_tells_where(mention, reading):
        return False
    if _has_a_size_of_its_own(mention, size, reading) and any(m.end <= size.start for m in reading.mentions):
        return False
    judged = mention.kind == "benign" and reading.words[mention.start].startswith(_JUDGEMENTS)
    return not judged or _is_alone_in_its_part(mention, size, reading)


_LARGEST = ("larg", "bigg", "groess", "domin", "fuehrend", "leading", "index", "bulk")
_SHOWS = ("zeig", "show", "with", "mit", "contain", "enthaelt", "aufweis", "weist", "has", "exhibit")


def _is_feature_of_largest(mention: Mention, size: Span, reading: Reading) -> bool:
    """ "The largest measures 63 mm and shows haemorrhage": what a measured lesion shows is a part of it."""
    words = reading.words
    if not any(word.startswith(_LARGEST) for word in words[: size.start]):
        return False
    return any(word.startswith(_SHOWS) for word in words[size.end : mention.start])


def _lies_in_another_part(size: Span, mention: Mention, reading: Reading) -> bool:
    """ "S4 13 mm, S7 19 mm; ablation scar S8 without uptake": a segment's size before the part that tells of a scar."""
    lifeless = mention.kind in ("benign", "treated") or mention.polarity == "absent"
    low, high = (size.end, mention.start) if size.end <= mention.start else (mention.end, size.start)
    if mention.polarity in ("no_new", "no_other") and size.end <= mention.start and "," in reading.words[low:high]:
        return True  # "smaller, the largest 19 mm, no new lesions"
    if not lifeless or ";" not in reading.words[low:high]:
        return False
    if size.end <= mention.start and mention.polarity == "absent":
        return True  # "largest 33 mm; three former lesions no longer seen"
    first = part_around(reading.words, size.start, size.end)[0]
    return any(organ.category == "liver" and first <= organ.start < size.start for organ in reading.organ_hits)


def _follows_mention(bracket: int, reading: Reading) -> bool:
    """A lesion is named before the bracket in its own part of the sentence."""
    return any(m.end <= bracket and "," not in reading.words[m.end : bracket] for m in reading.mentions)


def _nearest_organ(size: Span, reading: Reading) -> str:
    nearest = min(reading.organ_hits, key=lambda o: _gap(size, o.start, o.end, reading), default=None)
    return nearest.category if nearest else ""


def _organ_in_list(size: Span, reading: Reading) -> Hit | None:
    """The organ right before a size, where several organs stand in a list with a size each."""
    if not {"liver", "other"} <= {organ.category for organ in reading.organ_hits}:
        return None
    opening = next((i for i in range(size.start - 1, -1, -1) if reading.words[i] in ("(", ")")), -1)
    for organ in reversed(reading.organ_hits):
        if any(m.kind == "treated" and m.start < organ.end and organ.start < m.end for m in reading.mentions):
            continue
        marked = opening
        while marked > organ.end and reading.words[marked - 1] in ("+", "-", "="):
            marked -= 1
        if opening >= 0 and reading.words[opening] == "(" and organ.end == marked:
            return organ  # "hepatisch (mehrere, Seg. II 13 mm)", "LIVER +++ (max 30 mm)"
        if organ.end > size.start:
            continue
        between = reading.words[organ.end : size.start]
        compound = any(m.start < organ.end and organ.start < m.end for m in reading.mentions)
        whole = reading.words[organ.start].startswith(("liver", "leber", "hep")) or organ.category == "other"
        listed = bool(between) or (whole and ":" in reading.words[: organ.start])  # "Disease: ileum 19 mm, liver 22 mm"
        filled = all(word in _LIST_FILL or word in _PLACES for word in between)
        if listed and len(between) <= 3 and not compound and filled:
            return organ
    return None


# These divide a list of lesions with their sizes: "Nebennierenmetastase 33 mm und Lebermetastase 27 mm".
_PARTS = frozenset({",", ";", "|", "und", "sowie", "and", "while", "whereas"})
# "Primary of 34 mm with a liver metastasis of 12 mm": what follows is another lesion.
_BESIDE = frozenset({"mit", "with", "nebst", "samt"})


# Words that a semicolon stands for when lesions compete for a size.
STOP_COST = 10


# What a bracket holds is said of what stands before it.
BRACKET_COST = 4


def _gap(size: Span, start: int, end: int, reading: Reading) -> float:
    low, high = (end, size.start) if end <= size.start else (size.end, start)
    cost = 0.0
    for word in reading.words[low:high]:
        # A stop inside a sentence belongs to an abbreviation.
        cost += STOP_COST if word in (";", "|") else 3 if word in _PARTS else 0 if word in ("(", ")", ".") else 1
    if end > size.start and size.end < start and reading.words[size.end] in _BESIDE:
        cost += 3
    if high > low and reading.clauses[low] != reading.clauses[min(high, len(reading.clauses) - 1)]:
        cost += 3
    if end > size.start and reading.words[size.end : size.end + 1] and reading.words[size.end].startswith(_LEADING):
        cost -= LEAD
    # A noun directly behind its size ("14 mm große Läsion") is closer than one before it.
    return cost if end > size.start else cost + 0.5
