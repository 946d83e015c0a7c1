"""Words of a sentence that tell what others said: quotations, other reports, and openings that contrast with them.

"The outside report gives 'at least three metastases'", "Anders als der Verdacht nahelegt, ..." say nothing of today.
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.rules import Hit, Rules

__all__ = ["told_by_others"]

QUOTE = '"'
# Words before an opening quotation mark in which its source is named.
SOURCE_REACH = 8
# What may stand behind the reporting verb at the end of its sentence.
_CLOSING = frozenset(
    {".", ")", '"', ",", "worden", "wurde", "wurden", "war", "waren", "ist", "sind", "hatte", "hatten"}
)
# Follow-up, disappearance or a finding of today: then the sentence speaks for itself.
_OF_TODAY = frozenset({"followed", "course", "resolved", "remains", "confirmed", "refuted", "indeterminate"})


def told_by_others(words: Sequence[str], cues: Sequence[Hit], rules: Rules) -> frozenset[int]:
    """Positions of the words that are another's."""
    sources = rules.sources.find(words)
    named = [hit for hit in sources if hit.category in ("source", "reporting")]
    told: set[int] = set()
    marks = [i for i, word in enumerate(words) if word == QUOTE]
    if len(marks) % 2:
        marks.append(len(words))  # 'The report reads: "Multiple metastases.' goes on in the next sentence
    for first, last in zip(marks[::2], marks[1::2], strict=True):
        if any(first - SOURCE_REACH <= hit.start < first or hit.start == last + 1 for hit in named) or any(
            hit.category == "reporting" and hit.start > last for hit in named
        ):
            told.update(range(first, last + 1))
    if _is_hearsay(words, sources, cues, rules):
        told.update(range(len(words)))
    end = _end_of_contrast(words, sources, cues, rules)
    told.update(range(end))
    return frozenset(told)


def _is_hearsay(words: Sequence[str], sources: Sequence[Hit], cues: Sequence[Hit], rules: Rules) -> bool:
    """ "Im Fremdbefund werden Metastasen angegeben.", "The outside CT report mentions metastases."."""
    said = {hit.category for hit in sources}
    if not {"source", "reporting"} <= said or "own" in said or "(" in words:
        return False
    if any(cue.category in _OF_TODAY for cue in cues) or _current(words, rules):
        return False
    first = next(hit for hit in sources if hit.category == "reporting")
    last = [hit for hit in sources if hit.category == "reporting"][-1]
    source = next(hit for hit in sources if hit.category == "source")
    sourced = {i for hit in sources if hit.category == "source" for i in range(hit.start, hit.end)}
    closes = all(words[i] in _CLOSING or i in sourced for i in range(last.end, len(words)))
    return closes or 0 <= first.start - source.end <= 1


def _current(words: Sequence[str], rules: Rules) -> bool:
    return any(hit.category == "current" and words[hit.start] not in ("auf", "to") for hit in rules.sizes.find(words))


def _end_of_contrast(words: Sequence[str], sources: Sequence[Hit], cues: Sequence[Hit], rules: Rules) -> int:
    """Where an opening like "Anders als der Verdacht einer Metastase nahelegt, " ends; 0 without one."""
    opening = next((hit for hit in sources if hit.category == "contrast" and hit.start == 0), None)
    if opening is None:
        return 0
    commas = [i for i, word in enumerate(words) if word == ","]
    verbs = [i for i in commas if i + 1 < len(words) and words[i + 1] in rules.verbs]
    comma = next(iter(verbs or commas), 0)
    doubted = any(cue.category in ("hedge", "suspicion", "reported") and cue.start < comma for cue in cues)
    named = any(hit.category in ("source", "reporting") and hit.start < comma for hit in sources)
    return comma if doubted or named else 0
