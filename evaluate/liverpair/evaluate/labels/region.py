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
# What a sentence tells of a liver that this study did not show.
_NOT_SEEN = frozenset({"known", "historical", "historical_after", "hypothetical", "deferred", "reported", "aside"})
_PAST = frozenset({"previous", "comparing", "neutral"})


def examined_elsewhere(sentences: Sequence[Sentence], rules: Rules) -> bool:
    """Whether the title names regions of the body, and none that holds the liver."""
    for sentence in sentences[:TITLE_SENTENCES]:
        if sentence.kind == "question":
            continue
        title = _title(sentence, rules)
        if not rules.modalities.find(title):
            continue
        named = {hit.category for hit in rules.regions.find(title)} & {"elsewhere", LIVER}
        named |= {hit.category for hit in rules.organs.find(title) if hit.category == LIVER}
        return named == {"elsewhere"}
    return False


def _title(sentence: Sentence, rules: Rules) -> list[str]:
    """The words up to the reason for the study or the first thing that is described."""
    words = sentence.words
    end = next((hit.start for hit in rules.regions.find(words) if hit.category == "reason"), len(words))
    described = [hit.start for hit in rules.findings.find(words)]
    described += [hit.start for hit in rules.cues.find(words) if hit.category == "negation_before"]
    described += [hit.start for hit in rules.features.find(words) if hit.category == "normal"]
    colon = words.index(":") if ":" in words else len(words)
    return words[: min([end, colon, *described])]


def only_what_was_seen(reading: Reading, rules: Rules) -> Reading:
    """The sentence without what it says of other studies' liver, and with denials that do not reach the liver."""
    tokens = reading.sentence.tokens
    reading.is_pet = False  # a PET of the whole body denies what it does not name, this one does not
    told = {cue.category for cue in reading.cues} & _NOT_SEEN
    told |= {hit.category for hit in rules.sizes.find(reading.words)} & _PAST
    told |= {hit.category for hit in rules.regions.find(reading.words) if hit.category == "remark"}
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
