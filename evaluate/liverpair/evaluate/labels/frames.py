"""Words of a sentence that tell what others said: quotations, other reports, and openings that contrast with them.

"The outside report gives 'at least three metastases'", "Anders als der Verdacht nahelegt, ..." say nothing of today.
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.clauses import part_around
from liverpair.evaluate.labels.rules import Hit, Rules

__all__ = ["in_bracket_of_history", "told_by_others"]

QUOTE = '"'
# Words before an opening quotation mark in which its source is named.
SOURCE_REACH = 8
# What may stand behind the reporting verb at the end of its sentence.
_CLOSING = frozenset(
    {".", ")", '"', ",", "worden", "wurde", "wurden", "war", "waren", "ist", "sind", "hatte", "hatten"}
)
# Follow-up, disappearance or a finding of today: then the sentence speaks for itself.
_OF_TODAY = frozenset(
    {"followed", "course", "resolved", "remains", "confirmed", "refuted", "indeterminate", "negation_after"}
)


def told_by_others(words: Sequence[str], cues: Sequence[Hit], rules: Rules) -> frozenset[int]:
    """Positions of the words that are another's."""
    sources = rules.sources.find(words)
    named = [hit for hit in sources if hit.category in ("source", "reporting")]
    told: set[int] = set()
    marks = [i for i, word in enumerate(words) if word == QUOTE]
    if len(marks) % 2:
        marks.append(len(words))  # 'The report reads: "Multiple metastases.' goes on in the next sentence
    for first, last in zip(marks[::2], marks[1::2], strict=True):
        if (
            "(" in words[max(0, first - 3) : first]
            or any(first - SOURCE_REACH <= hit.start < first or hit.start == last + 1 for hit in named)
            or any(hit.category == "reporting" and hit.start > last for hit in named)
        ):
            told.update(range(first, last + 1))
    if any(hit.category == "relative" for hit in sources):
        told.update(range(len(words)))  # "Sister with liver metastases of a pancreatic cancer"
    if _is_hearsay(words, sources, cues, rules):
        told.update(range(_end_of_hearsay(words, sources)))
    told.update(_told_beside(words, sources))
    told.update(in_bracket_of_history(words))
    told.update(_in_compared_study(words, rules))
    told.update(_told_in_part(words, sources))
    end = _end_of_contrast(words, sources, cues, rules)
    told.update(range(end))
    return frozenset(told)


def _is_hearsay(words: Sequence[str], sources: Sequence[Hit], cues: Sequence[Hit], rules: Rules) -> bool:
    """ "Im Fremdbefund werden Metastasen angegeben.", "The outside CT report mentions metastases."."""
    said = {hit.category for hit in sources}
    today = any(cue.category in _OF_TODAY for cue in cues) or _current(words, rules)
    if _according_to(words, sources) and not today and "own" not in said and ";" not in words:
        return True
    if not {"source", "reporting"} <= said or "own" in said or ("(" in words and not _PAST & set(words)):
        return False
    if today:
        return False
    first = next(hit for hit in sources if hit.category == "reporting")
    last = [hit for hit in sources if hit.category == "reporting"][-1]
    source = next(hit for hit in sources if hit.category == "source")
    sourced = {i for hit in sources if hit.category == "source" for i in range(hit.start, hit.end)}
    closes = all(words[i] in _CLOSING or i in sourced for i in range(last.end, len(words)))
    had = bool(_HAD & set(words[source.end : first.start]))  # "in the original report we had called it a metastasis"
    return closes or had or 0 <= first.start - source.end <= 1


# "Bei der Anamnese (metastasiertes NET der Leber)", "given the history (liver metastases)": what the bracket names.
_HISTORIES = ("anamnes", "vorgeschichte", "history", "grunderkrankung", "vordiagnos", "background", "klinik")


def in_bracket_of_history(words: Sequence[str]) -> set[int]:
    """Positions inside brackets that tell the history named right before them."""
    told: set[int] = set()
    for opening, word in enumerate(words):
        if word == "(" and opening and words[opening - 1].startswith(_HISTORIES):
            closing = next((i for i in range(opening, len(words)) if words[i] == ")"), len(words))
            told.update(range(opening, closing))
    return told


# "Compared with the prior PET with extensive metastases there is now ...": words that tell what that study showed.
_SHOWING = frozenset({"mit", "with", "showing", "welche", "which", "where", "worin"})


def _in_compared_study(words: Sequence[str], rules: Rules) -> set[int]:
    """Positions from the study that a sentence opens its comparison with to the word that leads to today."""
    if not any(word.startswith(_COMPARING) for word in words[:3]):
        return set()
    cues = rules.sizes.find(words)
    opening = next((cue for cue in cues if cue.category == "comparing" and cue.start <= 1), None)
    now = next((cue.start for cue in cues if cue.category == "current" and words[cue.start] not in ("auf", "to")), 0)
    if opening is None or now <= opening.end:
        return set()
    studies = [i for i in range(opening.end, now) if any(form in words[i] for form in _STUDY_WORDS)]
    showing = next((i for i in range(opening.end, now) if words[i] in _SHOWING and i - 1 in studies), None)
    return set(range(showing, now)) if showing is not None else set()


_COMPARING = ("compar", "vergl", "gegenueb", "vgl", "ggue", "versus", "relative", "against")
_STUDY_WORDS = ("pet", "mr", "ct", "unters", "study", "scan", "exam", "befund", "vu", "report")
_HAD = frozenset({"had", "hatten", "hatte"})


def _according_to(words: Sequence[str], sources: Sequence[Hit]) -> bool:
    """ "Laut Überweisung Lebermetastasen bekannt.": the sentence opens with whose words it tells."""
    opening = next((hit for hit in sources if hit.start == 0 and " ".join(words[: hit.end]) in _ACCORDING), None)
    return opening is not None and any(
        hit.category == "source" and 0 < hit.start - opening.start <= SOURCE_WORDS for hit in sources
    )


# "According to the outside report": words up to the source.
SOURCE_WORDS = 4


_PAST = frozenset({"hatte", "hatten", "wurde", "wurden", "had"})
# A document or study that a clause between commas may tell of.
_TOLD_IN = ("report", "befund", "bericht", "letter", "brief", "mri", "mrt", "ct", "scan", "study", "untersuch", "exam")
# "The outside MRI of 2022, where three metastases are described, ..."
_WHERE = (("where",), ("in", "which"), ("which",), ("wo",), ("worin",), ("in", "dem"), ("in", "der"), ("in", "denen"))


def _told_beside(words: Sequence[str], sources: Sequence[Hit]) -> set[int]:
    """Positions of a clause between commas that tells what another study or report says."""
    told: set[int] = set()
    for comma in (i for i, word in enumerate(words) if word == ","):
        opened = any(tuple(words[comma + 1 :][: len(w)]) == w for w in _WHERE)
        named = any(hit.category == "source" and hit.end <= comma for hit in sources) or any(
            word.startswith(_TOLD_IN) for word in words[:comma]
        )
        if not opened or not named:
            continue
        verbs = [h.end for h in sources if h.category == "reporting" and h.start > comma]
        end = next((i for i in range(comma + 1, len(words)) if words[i] in (",", ";")), len(words))
        if verbs and verbs[0] <= end:
            told.update(range(comma, end))
    return told


_ACCORDING = frozenset({"laut", "lt", "gemaess", "per", "according to"})


def _told_in_part(words: Sequence[str], sources: Sequence[Hit]) -> set[int]:
    """ "Three lesions up to 50 mm according to the outside report; on our measurement 24 mm": the part before ";"."""
    for first in sources:
        named = " ".join(words[first.start : first.end]) in _ACCORDING
        source = [h for h in sources if h.category == "source" and 0 <= h.start - first.end <= 1 and h is not first]
        if not named or not source or ";" not in words[first.start :]:
            continue
        end = words.index(";", first.start)
        start = max((i + 1 for i in range(first.start) if words[i] == ";"), default=0)
        return set(range(start, end))
    return set()


def _end_of_hearsay(words: Sequence[str], sources: Sequence[Hit]) -> int:
    """ "The outside report speaks of 50 mm; on our measurement it is 24 mm": others speak up to the semicolon."""
    verb = next((hit.end for hit in sources if hit.category == "reporting"), 0)
    return part_around(words, verb, verb)[1]


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
