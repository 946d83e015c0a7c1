"""Whether the sentence behind a lesion's calls it benign: "Lesion 2: segment 6, 38 mm. Haemangioma, unchanged."

Lists describe a lesion in one sentence and name it in the next, which holds hardly more than the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.places import places_of
from liverpair.evaluate.labels.reading import LIVER

__all__ = ["is_benign_verdict", "judged_benign"]

# "Steatosis.": of the liver, not of the lesion; "focal fat" is one.
_OF_PARENCHYMA = ("steato", "verfett", "fett", "fat", "sidero", "eisen", "iron")
_FOCAL = ("focal", "fok", "spar", "minder")
# "Haemangioma.", "Two cysts."
LONGEST_VERDICT = 6
# "It has fluid attenuation and was characterised as a cyst on MRI.", "Haemangioma, larger than before (20 mm)."
LONGEST_SENTENCE = 16
# "Simple cyst", "typical haemangioma": words before the name that a verdict opens with.
VERDICT_WITHIN = 2
_IT = frozenset({"it", "this", "es", "er", "sie", "dieser", "diese", "dieses"})


def is_benign_verdict(following: Reading | None, reading: Reading) -> bool:
    """Whether ``following`` names nothing but a benign lesion, without a place of its own."""
    if following is None or not following.mentions or following.sentence.block != reading.sentence.block:
        return False
    named = following.mentions
    if not all(m.kind == "benign" and m.polarity == "benign" for m in named):
        return False
    own = all(any(m.start < hit.end and hit.start < m.end for m in named) for hit in following.organ_hits)
    parenchyma = any(word.startswith(_OF_PARENCHYMA) for word in following.words)
    if not own or (parenchyma and not any(w.startswith(_FOCAL) for w in following.words)):
        return False
    short = len(following.words) <= (LONGEST_SENTENCE if following.words[0] in _IT else LONGEST_VERDICT)
    if short and not {"mm", "cm"} & set(following.words):
        return True
    return _opens_with_name(following)


def _opens_with_name(following: Reading) -> bool:
    """ "Haemangioma, larger than before (20 mm)": a name in the singular first, and no size outside brackets."""
    first, words = following.mentions[0], following.words
    end = words.index("(") if "(" in words else len(words)
    whole = first.start < VERDICT_WITHIN and not _is_plural(following, first.end - 1)
    of_liver = all(hit.category == LIVER for hit in following.organ_hits)
    return whole and of_liver and not {"mm", "cm"} & set(words[:end]) and len(words) <= LONGEST_SENTENCE


_PLURALS = ("cysts", "omas", "omata", "fnhs", "zysten", "ome", "omen", "adenome")


def _is_plural(reading: Reading, at: int) -> bool:
    return reading.words[at].endswith(_PLURALS)


def judged_benign(readings: Sequence[Reading]) -> set[int]:
    """Identities of sentences about one lesion, however it is called, that such a verdict follows."""
    if not any(m.kind == "benign" for reading in readings for m in reading.mentions):
        return set()
    return _judged_next(readings) | _judged_by_place(readings)


def _judged_by_place(readings: Sequence[Reading]) -> set[int]:
    """Those of one lesion whose segment the impression gives to a benign one: "Haemangioma in segment 7."."""
    named = [(places_of(reading), reading) for reading in readings if reading.sentence.section == "impression"]
    benign = {
        place
        for places, reading in named
        if reading.mentions and all(m.kind == m.polarity == "benign" for m in reading.mentions)
        for place in places
    }
    if not benign:
        return set()
    told = ("present", "uncertain", "followed", "neutral")
    others = {
        place
        for reading in readings
        if any(
            m.polarity in told and (m.kind != "lesion" or not m.singular or reading.sentence.section == "impression")
            for m in reading.mentions
        )
        for place in places_of(reading)
    }
    return {
        id(reading)
        for reading in readings
        if reading.sentence.section == "findings"
        and places_of(reading)
        and places_of(reading) <= benign - others
        and [m.kind for m in reading.mentions if m.organ == LIVER and m.polarity in told] == ["lesion"]
    }


def _judged_next(readings: Sequence[Reading]) -> set[int]:
    return {
        id(reading)
        for reading, following in pairwise(readings)
        if is_benign_verdict(following, reading)
        and _opens_with_name(following)
        and not any(m.kind in ("metastasis", "recurrence") for m in reading.mentions)
        and all(m.singular for m in reading.mentions if m.kind == "lesion")
        and sum(m.kind == "lesion" for m in reading.mentions) <= 1
        and not reading.has("quantity")
    }
