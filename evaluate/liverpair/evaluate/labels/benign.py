"""Whether a sentence gives its lesion a benign diagnosis, and which of its diagnoses are denied or only guessed."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.clauses import part_around
from liverpair.evaluate.labels.neighbours import only_neighbours
from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rivals import was_called
from liverpair.evaluate.labels.rules import Hit
from liverpair.evaluate.labels.scope import covering_cues, covers

__all__ = [
    "DENYING",
    "called_benign",
    "guessed",
    "is_benign_in_its_part",
    "is_likened",
    "metastasis_affirmed",
    "most_likely_benign",
    "qualified",
]

DENYING = frozenset({"negation_before", "negation_after", "answered_no", "refuted"})


def most_likely_benign(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "Questionable uptake, most likely artefact": the likeliest diagnosis holds, unless a metastasis rivals it."""
    benign = [f for f in findings if f.category == "benign" and f.start >= hit.end and not was_called(f, reading)]
    if not benign or any(f.category in ("metastasis", "recurrence") for f in findings):
        return False
    if any(cue.category == "indeterminate" and cue.start >= benign[0].end for cue in reading.cues):
        return False  # "most likely benign, but formally still indeterminate"
    between = [cue for cue in reading.cues if cue.category == "affirm" and hit.end <= cue.start]
    return any(0 <= benign[0].start - cue.end <= LIKELIEST_REACH for cue in between)


# "Most likely a small respiratory artefact": words from the adverb to the diagnosis.
LIKELIEST_REACH = 3


def qualified(reading: Reading, hit: Hit, category: str) -> bool:
    """A qualifier of this category in the sentence that no negation reaches."""
    for cue in reading.cues:
        if cue.category != category or any(
            f.start <= cue.start < f.end for f in reading.findings if f.category == "metastasis"
        ):
            continue
        denied = any(
            other.category in ("negation_before", "non_avid")
            and other.end <= cue.start
            and reading.clauses[other.start] == reading.clauses[cue.start]
            and "," not in reading.words[other.end : cue.start]
            for other in reading.cues
        )
        if not denied:
            return True
    return False


def called_benign(reading: Reading, findings: Sequence[Hit], hit: Hit | None = None) -> bool:
    """A benign diagnosis in the sentence (not one of another lesion than ``hit``) that no metastasis stands beside."""
    findings = [f for f in findings if f.category != "benign" or hit is None or not _is_of_another(f, hit, reading)]
    benign = [f for f in findings if f.category == "benign" and not _denied(f, reading) and not guessed(f, reading)]
    benign = [f for f in benign if not was_called(f, reading) and only_neighbours(f, reading) < 0]
    rivals = [
        hit
        for hit in findings
        if hit.category == "metastasis" and hit.start not in reading.told and not _denied(hit, reading)
    ]
    if not benign or rivals:
        return False
    return reading.other_tumour or not qualified(reading, benign[0], "malignant")


def _is_of_another(named: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Lesions: S3 21 mm, S5 15 mm; hepatic cyst 44 mm": beyond a semicolon, with a size of its own."""
    words = reading.words
    low, high = (hit.end, named.start) if hit.end <= named.start else (named.end, hit.start)
    if ";" not in words[low:high]:
        return False
    first, end = part_around(words, named.start, named.end)
    sized = {"mm", "cm"}
    return bool(sized & set(words[first:end])) and bool(sized & {*words[:first], *words[end:]})


def is_benign_in_its_part(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "One suspected metastasis, two further lesions (12 mm, 5 mm) are cysts": the verb's part is the lesion's own."""
    words = reading.words
    if hit.category == "lesion" and _is_named_benign(hit, reading, findings):
        return True
    if hit.category == "lesion" and _is_alone_with_benign(hit, reading, findings):
        return True
    behind = [f for f in findings if f.start >= hit.end and f.category != "uptake"]
    if (
        hit.category != "lesion"
        or not behind
        or behind[0].category not in ("benign", "treated")
        or guessed(behind[0], reading)
    ):
        return False
    between = words[hit.end : behind[0].start]
    opening, closing = (between.index(mark) if mark in between else -1 for mark in "()")
    outside = [*between[:opening], *between[closing + 1 :]] if 0 <= opening < closing else list(between)
    verb = next((i for i in range(len(outside) - 1, -1, -1) if outside[i] in _IS), -1)
    resumed = verb > 0 and outside[verb - 1] in _AND  # "shows no uptake and is"
    subject = outside[: verb - 1] if resumed else outside[: max(0, verb)]
    if verb >= 0 and not _IS_NOT & {*subject, *outside[verb:]}:
        return True
    joined = max((i for i, word in enumerate(outside) if word in _AND), default=-1)
    last = words[behind[0].end : behind[0].end + 1]  # "nicht speichert und einem Hämangiom entspricht"
    short = joined >= 0 and len(outside) - joined - 1 <= LONGEST_ATTRIBUTE
    return short and bool(_IS & set(last)) and not _IS_NOT & set(outside[joined + 1 :])


_AND = frozenset({"and", "und"})
# "Einem bekannten (Hämangiom entspricht)": words between the conjunction and the name.
LONGEST_ATTRIBUTE = 2


def _is_alone_with_benign(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "13 mm nodule, probably metastasis; 22 mm area, probably THAD": what else its own part of a list names."""
    words = reading.words
    if ";" not in words:
        return False
    first, end = part_around(words, hit.start, hit.end)
    others = [f for f in findings if first <= f.start < end and f is not hit and f.category != "uptake"]
    named = [f for f in others if f.category == "benign" and f.start >= hit.end]
    sure = named and not guessed(named[0], reading) and not _denied(named[0], reading) and len(others) == len(named)
    feature = any(c.category in ("malignant", "indeterminate") and first <= c.start < end for c in reading.cues)
    return bool(sure) and not feature and only_neighbours(named[0], reading) < 0


# "FNH-artige Läsion", "haemangioma-like lesion".
_ALIKE = ("artig", "aehnlich", "typisch", "like")


def _is_named_benign(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "Benigne Läsion", "perfusional abnormality": the word right before the lesion says what it is."""
    before = hit.start - reading.words[hit.start - 1].startswith(_ALIKE)
    named = next((f for f in findings if f.end == before and f.category == "benign"), None)
    return named is not None and not guessed(named, reading) and not _denied(named, reading)


_IS = frozenset({"ist", "sind", "entspricht", "entsprechen", "is", "are", "represents", "represent"})
_IS |= {"entsprechend", "representing", "corresponding", "reflecting", "reflects"}
_IS_NOT = frozenset({"nicht", "not", "kein", "keine", "or", "oder", "versus", "vs", "dd", "and", "und", ";"})
_GUESSES = (
    "?",
    "koennt",
    "kann",
    "mag",
    "vielleicht",
    "maybe",
    "moeglich",
    "evtl",
    "eventuell",
    "fraglich",
    "denkbar",
    "possib",
    "may",
    "might",
    "could",
    "perhaps",
)


def guessed(hit: Hit, reading: Reading) -> bool:
    """ "Möglicherweise Artefakt" is no diagnosis; "wahrscheinlich Zysten" is one."""
    return any(
        cue.category == "hedge"
        and reading.words[cue.start].startswith(_GUESSES)
        and covers(cue, hit, reading, forward=True, backward=False, over_comma=False)
        for cue in reading.cues
    )


_LIKE = ("entsprech", "vereinbar", "passend", "typisch", "gleichend")


def is_likened(hit: Hit, reading: Reading) -> bool:
    """ "Lesions without uptake, corresponding to cysts": "ohne Belegung, Zysten entsprechend" denies no cysts."""
    words = reading.words
    behind = any(word.startswith(_LIKE) for word in words[hit.end : hit.end + 1])
    comma = next((i for i in range(hit.start - 1, -1, -1) if words[i] == ","), -1)
    denied = any(cue.category == "negation_before" and comma < cue.start < hit.start for cue in reading.cues)
    lesion = any(f.category == "lesion" and f.end <= comma for f in reading.findings)
    measured = bool({"mm", "cm"} & set(words[:comma]))
    return behind and comma > 0 and not denied and (lesion or measured)


def metastasis_affirmed(reading: Reading, findings: Sequence[Hit]) -> bool:
    return any(hit.category == "metastasis" and not _denied(hit, reading) for hit in findings)


def _denied(hit: Hit, reading: Reading) -> bool:
    if hit.category == "benign" and is_likened(hit, reading):
        return False
    beside = {"hypothetical", "aside", "deferred", "historical", "historical_after"}
    return bool((DENYING | beside) & covering_cues(hit, reading).keys())
