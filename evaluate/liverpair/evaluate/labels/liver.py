"""What a sentence says of the liver as a whole: normal, marked, answered, in doubt, in progress."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from liverpair.evaluate.labels.answers import ANSWERS_NO
from liverpair.evaluate.labels.reading import LIVER, OTHER, Reading
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.segments import ROMAN
from liverpair.evaluate.labels.treated import owns_no_size

__all__ = [
    "PLUS",
    "holds_several",
    "is_answered",
    "is_measured_focus",
    "is_normal_except",
    "liver_is_doubted",
    "liver_is_marked",
    "liver_is_normal",
    "tells_course_of_liver",
]


def liver_is_normal(reading: Reading) -> bool:
    if not reading.names_liver or any(
        cue.start in reading.told for cue in reading.cues if cue.category in ("normal", "physiological")
    ):
        return False  # "PET elsewhere: 'liver unremarkable'" is another's word
    if reading.sentence.heading == LIVER and _only_denies(reading.words):
        return True
    if liver_is_marked(reading, MINUS) or _names_nothing_there(reading):
        return True
    liver_clauses = {reading.clauses[hit.start] for hit in reading.organ_hits if hit.category == LIVER}
    if all(organ.category == LIVER for organ in reading.organ_hits) and all(
        mention.polarity in ("ignored", "absent") for mention in reading.mentions
    ):
        # "The liver, which had five metastases in 2018, shows normal uptake today"
        liver_clauses |= {
            reading.clauses[cue.start] for cue in reading.cues if cue.category in ("normal", "physiological")
        }
    gone = {"resolved"} if not reading.mentions else set()
    return any(
        cue.category in {"normal", "physiological", *gone}
        and (reading.sentence.heading == LIVER or reading.clauses[cue.end - 1] in liver_clauses)
        and not any(doubt.category == "indeterminate" and doubt.start == cue.start for doubt in reading.cues)
        and not _is_of_another_part(cue, reading)
        for cue in reading.cues
    )


def _is_of_another_part(cue: Hit, reading: Reading) -> bool:
    """ "Liver full of it, nodes 20 mm, bones clean": the cue's part between commas names other organs only."""
    words = reading.words
    start = next((i + 1 for i in range(cue.start - 1, -1, -1) if words[i] in (",", ";")), 0)
    end = next((i for i in range(cue.end, len(words)) if words[i] in (",", ";")), len(words))
    organs = {organ.category for organ in reading.organ_hits if start <= organ.start < end}
    before = [organ for organ in reading.organ_hits if organ.category == LIVER and organ.start < start]
    if (
        organs != {OTHER}
        or not before
        or any(word in ("und", "and", "sowie", "&") for word in words[start : cue.start])
    ):
        return False
    named = {i for organ in reading.organ_hits for i in range(organ.start, organ.end)}
    # "Liver, spleen, kidneys normal" is one list: nothing is said of the liver before the cue
    return any(i not in named and words[i] not in _LISTING for i in range(before[-1].end, start))


_LISTING = frozenset(
    {",", ";", "/", "the", "both", "die", "der", "beide", "left", "right", "rechte", "linke", "(", ")"}
)


def is_normal_except(reading: Reading, rules: Rules) -> bool:
    """ "PET: normal except for the known meningioma": of a whole study, with an exception elsewhere."""
    normal = [cue.end for cue in reading.cues if cue.category == "normal"]
    but = [
        cue.start
        for cue in reading.cues
        if cue.category == "terminator" and reading.words[cue.start] in rules.exceptions
    ]
    if not normal or not but or normal[0] > but[0] or not rules.modalities.find(reading.words[: normal[0]]):
        return False
    return all(organ.category == OTHER and organ.start > but[0] for organ in reading.organ_hits) and not any(
        mention.organ == LIVER and mention.kind != "benign" for mention in reading.mentions
    )


def _only_denies(words: Sequence[str]) -> bool:
    """ "Leber: keine": the line below the heading holds nothing but the answer."""
    content = words[words.index(":") + 1 :] if ":" in words else words
    return [word for word in content if word not in (".", ",")][:2] in [[word] for word in ANSWERS_NO | _FREE]


_FREE = frozenset({"frei", "free", "clear", "spared", "ausgespart", "sauber", "clean"})


def liver_is_doubted(reading: Reading) -> bool:
    """ "Leber: unklar", "Leber S3 ungeklärt": a doubt about the liver in a sentence that names no lesion."""
    said = {cue.category for cue in reading.cues}
    if "indeterminate" not in said or said & {"deferred", "hypothetical", "negation_before", "normal", "physiological"}:
        return False
    if reading.sentence.question or any(hit.category == OTHER for hit in reading.organ_hits):
        return False
    named = any(hit.category == LIVER for hit in reading.organ_hits)
    judged = [mention for mention in reading.mentions if mention.kind == "benign"]
    # "segment VI 12 mm, not definitely benign", "segment 5: 10 mm indeterminate"
    measured = (bool(judged) or not reading.mentions) and bool({"mm", "cm"} & set(reading.words))
    return reading.sentence.heading == LIVER or (named and (measured or reading.sentence.section == "impression"))


# The number behind "segment".
_NUMBER = re.compile(rf"{ROMAN}|[1-8][ab]?")
_YES = frozenset({"ja", "yes"})
PLUS, MINUS = frozenset({"+", "pos", "positiv", "positive"}), frozenset({"-", "neg", "negativ", "negative"})


def liver_is_marked(reading: Reading, marks: frozenset[str]) -> bool:
    """ "Leber pos.", "liver +", "Leber: -": the mark stands right behind the liver and nothing is counted by it."""
    words, hits = reading.words, reading.organ_hits
    for hit in hits:
        at = hit.end + (
            words[hit.start].startswith("seg") and bool(_NUMBER.fullmatch(" ".join(words[hit.end : hit.end + 1])))
        )
        while at < len(words) and words[at] in (":", "(", ";", "|", "=", "\t"):
            at += 1
        if hit.category != LIVER or at >= len(words) or words[at] not in marks:
            continue
        behind = next((i for i in range(at + 1, len(words)) if words[i] not in ("+", "-", "ve", ")")), len(words))
        if words[at].isalpha() or behind == len(words) or words[behind] in (",", ";", "|", ".", "(", "/"):
            return True
        if any(organ.category == OTHER and organ.start == behind and _is_marked(organ, words) for organ in hits):
            return True  # "LIVER - NODES + BONE -"
    return False


def _is_marked(organ: Hit, words: Sequence[str]) -> bool:
    return words[organ.end : organ.end + 1] in (["+"], ["-"])


def is_answered(reading: Reading, answers: frozenset[str]) -> bool:
    """ "LEBER: ja", "leber befund: suspekt": a line of a form that holds nothing but the answer."""
    words = [word for word in reading.words if word not in (".", ",")]
    colon = words.index(":") if ":" in words else -1
    if reading.sentence.heading != LIVER or colon <= 0 or colon + 1 >= len(words) or words[colon + 1] not in answers:
        return False
    goes_on = reading.words[reading.words.index(":") + 2 :][:1]
    return colon + 2 == len(words) or (words[colon + 1] in _YES and goes_on in ([","], [";"]) and not reading.mentions)


_SEVERAL = ("mult", "bilob", "zahlr", "numer", "dissem", "diffus", "unzaehl", "innum")


def holds_several(reading: Reading, rules: Rules) -> bool:
    """ "Hep: bilobär multip., max 25 mm S7": a line of a form that leaves out the lesions' name."""
    if reading.sentence.heading != LIVER or reading.mentions or reading.has("negation_before"):
        return False
    if owns_no_size(reading, None, rules):
        return False  # "Liver: after RFA segment 7, 34 mm"
    bracket = reading.words.index("(") if "(" in reading.words else len(reading.words)
    if any(organ.category == OTHER and organ.start < bracket for organ in reading.organ_hits):
        return False  # in brackets: "SUV > spleen"
    units = [cue.start for cue in reading.size_hits(rules) if cue.category.startswith("unit")]
    if not units or reading.has("resolved") or reading.has("trace") or reading.sentence.question:
        return False
    placed = any(
        (0 < unit - hit.end <= PLACE_REACH or hit.start == unit + 1) and reading.words[hit.start].startswith(_SEGMENTS)
        for hit in reading.organ_hits
        for unit in units
    )
    words = reading.words
    counted = any(a == "n" and b in ("=", ":") for a, b in pairwise(words))  # "Liver: n=5; max 27 mm"
    return placed or counted or any(word.startswith(_SEVERAL) for word in words)


_NOT_PLAIN = frozenset({"negation_before", "negation_after", "non_avid", "resolved", "indeterminate", "hedge", "trace"})
_NOT_PLAIN |= {"normal"}


def is_measured_focus(reading: Reading, rules: Rules) -> bool:
    """ "Hep. 2x: S4 14 mm SUV 20": in a PET, a segment with a size and an uptake, and no word for the lesion."""
    words = reading.words
    if not reading.is_pet or reading.mentions or reading.sentence.question:
        return False
    if not any(word.startswith("suv") for word in words) or owns_no_size(reading, None, rules):
        return False
    said = {cue.category for cue in reading.cues}
    if said & _NOT_PLAIN:
        return False
    placed = any(hit.category == LIVER and words[hit.start].startswith(_SEGMENTS) for hit in reading.organ_hits)
    others = any(hit.category == OTHER for hit in reading.organ_hits)
    measured = any(cue.category.startswith("unit") for cue in reading.size_hits(rules))
    return placed and not others and measured


# "Leber: S2 19 mm": words from the segment to its lesion's unit; segments as they are named.
PLACE_REACH = 3
_SEGMENTS = ("s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "seg", "si", "sv")


def tells_course_of_liver(reading: Reading) -> bool:
    """ "Hepatischer Progress", "stable disease in the liver": what progresses or is stable is there."""
    if reading.mentions or reading.sentence.question:
        return False
    denied = {cue.category for cue in reading.cues} & {"negation_before", "negation_after", "pseudo", "hypothetical"}
    told = [cue for cue in reading.cues if cue.category in ("course", "affected")]
    return not denied and any(_speaks_of_liver(cue, reading) for cue in told)


def _speaks_of_liver(cue: Hit, reading: Reading) -> bool:
    """The organ nearest to the cue, or the one that heads its part ("Leber: PD, Knochen: SD"), is the liver."""
    before = [organ for organ in reading.organ_hits if organ.end <= cue.start]
    if before and ":" in reading.words[before[-1].end : cue.start]:
        return before[-1].category == LIVER
    clause = [o for o in reading.organ_hits if reading.clauses[o.start] == reading.clauses[cue.start]]
    return any(o.category == LIVER for o in clause) and not any(o.category == OTHER for o in clause)


_NOTHING = frozenset({"nil", "no", "none", "kein", "keine", "nichts"})


def _names_nothing_there(reading: Reading) -> bool:
    """ "Nil hepatic, nil nodal": a denial of the organ itself, with no lesion in its part of the sentence."""
    words = reading.words
    for hit in reading.organ_hits:
        before = hit.start - 1
        while before > 0 and words[before] in ("in", "der", "the", "an"):
            before -= 1
        if hit.category != LIVER or before < 0 or words[before] not in _NOTHING:
            continue
        if hit.end == len(words) or words[hit.end] in (",", ".", ";", "|", "or", "oder", *_NOTHING):
            parted = hit.end < len(words) and words[hit.end] in _NOTHING
            return parted or not any(reading.clauses[f.start] == reading.clauses[hit.start] for f in reading.findings)
    return False
