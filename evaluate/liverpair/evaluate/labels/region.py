"""Whether an examination leaves the liver out ("MRI of the orbits", "PET/CT, dedicated breast views").

Such a report may still tell of the liver: from the history, from another study, or because a part of it lay in the
field of view. Only the last says how the liver is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from liverpair.evaluate.labels.former import is_year
from liverpair.evaluate.labels.reading import LIVER, OTHER, Reading
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sections import Sentence

__all__ = ["examined_elsewhere", "only_what_was_seen"]

# A title stands in the first sentences; behind them a region is one that was described.
TITLE_SENTENCES = 3
# "Thank you for referring her for MRI of the pelvis": words of the title before the study's name.
WORDS_BEFORE_STUDY = 3
# Words that name a study, not what one shows ("SUVmax", "T2").
_STUDIES = ("pet", "mr", "dota", "dotan", "kernspin", "magnet", "gallium", "ga", "somatostatin", "ssr", "sstr")
# What a sentence tells of a liver that this study did not show.
_NOT_SEEN = frozenset({"known", "historical", "historical_after", "hypothetical", "deferred", "aside"})
_ASKS = frozenset({"query", "?", "frage", "fragestellung", "hx", "history", "reason", "indikation", "indication"})
_PAST = frozenset({"previous", "comparing", "neutral"})


def examined_elsewhere(sentences: Sequence[Sentence], rules: Rules) -> bool:
    """Whether the title names regions of the body, and none that holds the liver."""
    titled = False
    for sentence in sentences[:TITLE_SENTENCES]:
        if sentence.kind == "question":
            continue
        words = sentence.words
        limited = [hit for hit in rules.features.find(words) if hit.category == "limited"]
        named = [hit for hit in rules.modalities.find(words) if words[hit.start].startswith(_STUDIES)]
        studies = limited if titled else named or limited
        titled = titled or bool(studies)
        if not studies:
            continue
        title = _title(words, studies[0].start, rules)
        regions = {hit.category for hit in rules.regions.find(title)} & {"elsewhere", LIVER}
        regions |= {hit.category for hit in rules.organs.find(title) if hit.category == LIVER}
        if regions:
            return regions == {"elsewhere"}
    return False


def without_reason(readings: Sequence[Reading], text: str, rules: Rules) -> list[Reading]:
    """The sentences without those of the first line that tell, behind the title, why the study was done.

    "MRI liver. ?lesion on ultrasound." above the findings; ``text``: the report, to know its lines.
    """
    first = len(text) - len(text.lstrip())
    end = text.find("\n", first)
    if end < 0 or not readings or not rules.modalities.find(readings[0].words):
        return list(readings)
    if not any(reading.sentence.span[0] > end for reading in readings):
        return list(readings)
    return [reading for reading in readings if reading.sentence.span[0] > end or not _is_reason(reading, rules)]


def _is_reason(reading: Reading, rules: Rules) -> bool:
    """A suspicion, a question or a history, without a size."""
    if any(hit.category.startswith("unit") for hit in reading.size_hits(rules)):
        return False
    asked = reading.sentence.question or reading.words[0] == "?"
    said = {cue.category for cue in reading.cues}
    return asked or bool(said & {"hedge", "suspicion", "known", "historical", "hypothetical", "recheck"})


def _title(words: Sequence[str], study: int, rules: Rules) -> list[str]:
    """The words from the study's name up to the reason for it or the first thing that is described."""
    words = words[max(0, study - WORDS_BEFORE_STUDY) :] if study > WORDS_BEFORE_STUDY else words
    at = study if study <= WORDS_BEFORE_STUDY else WORDS_BEFORE_STUDY
    ends = [hit.start for hit in rules.regions.find(words) if hit.category == "reason"]
    ends += [hit.start for hit in rules.findings.find(words)]
    ends += [hit.start for hit in rules.cues.find(words) if hit.category == "negation_before"]
    ends += [hit.start for hit in rules.features.find(words) if hit.category == "normal"]
    ends += [i for i, word in enumerate(words) if word == ":"]
    return list(words[: min((end for end in ends if end > at), default=len(words))])


def only_what_was_seen(reading: Reading, rules: Rules) -> Reading:
    """The sentence without what it says of other studies' liver, and with denials that do not reach the liver."""
    tokens = reading.sentence.tokens
    reading.is_pet = False  # a PET of the whole body denies what it does not name, this one does not
    told = {cue.category for cue in reading.cues} & _NOT_SEEN
    told |= {hit.category for hit in reading.size_hits(rules)} & _PAST
    told |= {
        hit.category
        for hit in rules.regions.find(reading.words)
        if hit.category == "remark" or (hit.category == "reason" and reading.words[hit.start] in _ASKS)
    }
    dated = any(token.kind == "date" or is_year(token.text) for token in tokens)
    seen = reading.names_liver and not told and not dated
    if seen:
        reading.mentions = [m if m.organ_known else replace(m, organ=OTHER, organ_known=True) for m in reading.mentions]
        return reading
    reading.mentions = [
        m if m.organ == OTHER else replace(m, organ=OTHER, organ_known=True, polarity="ignored")
        for m in reading.mentions
    ]
    reading.liver_normal = reading.liver_positive = reading.liver_doubted = reading.liver_course = False
    reading.names_liver = False
    return reading
