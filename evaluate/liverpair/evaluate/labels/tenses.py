"""Which sentences of a report tell of the past: of a former study, of another hospital's, of another line of a list."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.cycles import opens_with_cycles
from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sizes import read_sizes
from liverpair.evaluate.labels.timeline import dated_past

__all__ = ["is_now", "is_of_other_study", "is_then", "present_of", "told_of_past", "without_past"]


def told_of_past(readings: Sequence[Reading], rules: Rules) -> set[int]:
    """Identities of sentences headed by a former study, where another is headed by the present one.

    "MRI of 3 March: largest 25 mm. MRI today: largest 19 mm."
    """
    past, present = _labelled_past(readings, rules) | _studies_before(readings, rules), False
    for reading in readings:
        colon = reading.words.index(":") if ":" in reading.words else 0
        categories = {cue.category for cue in rules.sizes.find(reading.words[:colon])}
        told = any(token.kind in ("date", "number") for token in reading.sentence.tokens[:colon])
        study = any(word.startswith(_STUDY) for word in reading.words[:colon])
        if "current" in categories or is_now(reading, rules):
            present = True
        elif is_then(reading, rules) or categories & {"previous", "comparing"} or (told and study):
            past.add(id(reading))
    return (past if present else set()) | dated_past(readings, rules)


# "Post PRRT - 4 lesions, largest 20 mm": words of the time that a line begins with.
LONGEST_LABEL = 4


def _labelled_past(readings: Sequence[Reading], rules: Rules) -> set[int]:
    """Identities of the lines that begin with another time than the one called present, in a list of such lines."""
    labelled: dict[int, list[tuple[Reading, bool]]] = {}
    for reading in readings:
        label = next((i for i, word in enumerate(reading.words[: LONGEST_LABEL + 1]) if word in ("-", ":") and i), 0)
        if label and not rules.organs.find(reading.words[:label]):
            now = any(cue.category == "current" for cue in rules.sizes.find(reading.words[:label]))
            labelled.setdefault(reading.sentence.block, []).append((reading, now))
    lists = [lines for lines in labelled.values() if sum(now for _, now in lines) == 1 and len(lines) > 2]
    return {id(reading) for lines in lists for reading, now in lines if not now and read_sizes(reading, rules)}


# "B. MRI liver May (after TACE 1): ...": words of the label up to its colon.
LONGEST_STUDY = 12
_MAY = frozenset({"may", "mai"})  # as months in a label; elsewhere the first is a verb


def _studies_before(readings: Sequence[Reading], rules: Rules) -> set[int]:
    """Identities of the sentences under former studies, in a list of studies of which the last is called today's.

    "A. MRI January: segment 4 24 mm. Segment 6 35 mm." above "B. MRI today: segment 4 16 mm."
    """
    listed = [(i, _study_label(reading, rules)) for i, reading in enumerate(readings)]
    studies = [(i, label) for i, label in listed if label]
    today = next((i for i, label in studies if label == "today"), None)
    if today is None or studies[0][1] == "today":
        return set()
    last = studies[-1][0]
    # Those before today's with all that is said under them, and those behind it where the list runs backwards.
    before = {id(reading) for reading in readings[studies[0][0] : today] if reading.sentence.section == "findings"}
    return before | {id(readings[i]) for i, label in studies if label == "then" and today < i <= last}


def _study_label(reading: Reading, rules: Rules) -> str:
    """today or then where the sentence begins with the name and the time of a study and a colon, else ""."""
    words, tokens = reading.words, reading.sentence.tokens
    colon = next((i for i, word in enumerate(words[:LONGEST_STUDY]) if word == ":"), 0)
    label = words[:colon]
    if not any(word.startswith(_STUDY) for word in label):
        return ""
    categories = {cue.category for cue in rules.sizes.find(label)}
    if "current" in categories:
        return "today"
    told = bool(categories & {"month", "previous", "comparing"} or _MAY & set(label))
    return "then" if told or any(token.kind in ("date", "number") for token in tokens[:colon]) else ""


_STUDY = ("mr", "pet", "ct", "dota", "study", "scan", "exam", "untersuchung", "kontrolle", "staging", "follow")
_LINKS = frozenset({"auf", "to"})
# A sentence is of the past if it opens with such a word: "Before cycle 1 there were four metastases".
PAST_OPENING = 3


def is_now(reading: Reading, rules: Rules) -> bool:
    cues = reading.size_hits(rules)
    return any(cue.category == "current" and reading.words[cue.start] not in _LINKS for cue in cues)


def is_then(reading: Reading, rules: Rules) -> bool:
    """Told of the past as a whole: it opens or ends with the former time, and nothing in it is of today."""
    cues = [cue for cue in reading.size_hits(rules) if cue.category == "previous"]
    last = len([word for word in reading.words if word != "."])
    if opens_with_cycles(reading.words) and not reading.mentions and not is_now(reading, rules):
        return True  # "After two sessions 40 mm."
    told = any(cue.start < PAST_OPENING or cue.end == last for cue in cues) or any(
        cue.category == "previous_beside" and cue.start == 0 for cue in reading.size_hits(rules)
    )
    course = any(
        cue.category in ("followed", "course") and reading.words[cue.start] not in _NAMES for cue in reading.cues
    )
    return told and not is_now(reading, rules) and not course and not reading.has("resolved")


# "Baseline sum of target lesions": what is followed up, not its course.
_NAMES = frozenset({"target", "number", "zahl", "anzahl"})


def without_past(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences but those of the past, where others tell of today."""
    dated = dated_past(readings, rules)
    readings = [reading for reading in readings if id(reading) not in dated]
    headed = told_of_past(readings, rules)
    then = [r for r in readings if r.mentions and (id(r) in headed or is_then(r, rules))]
    if not then or not any(is_now(reading, rules) for reading in readings):
        return list(readings)
    return [reading for reading in readings if not any(reading is one for one in then)]


# Words of a sentence in which another study is named: "On the outside CT".
OTHER_STUDY_REACH = 6


def is_of_other_study(reading: Reading, rules: Rules) -> bool:
    """ "On the outside CT the mass measured 62 mm", "Im auswärtigen CT maß der Herd 62 mm"."""
    opening = reading.words[:OTHER_STUDY_REACH]
    if opening[0] not in _ON or is_now(reading, rules):
        return False
    source = any(hit.category == "source" for hit in rules.sources.find(opening))
    times = {cue.category for cue in rules.sizes.find(opening)}
    past = "previous" in times
    named = bool(rules.modalities.find(opening)) or any(word.startswith("ct") for word in opening)
    return (source or past) and named and "comparing" not in times


_ON = frozenset({"on", "in", "at", "im", "am", "auf", "laut", "per", "according", "the", "das", "die"})


def present_of(readings: Sequence[Reading], rules: Rules) -> list[Reading]:
    """The sentences that do not open with a former time: what is left where the study itself shows nothing."""
    return [reading for reading in readings if not is_then(reading, rules) and not is_of_other_study(reading, rules)]
