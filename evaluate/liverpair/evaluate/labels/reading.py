"""What is read from one sentence: its mentions of lesions, its cues, and how far two of its words are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sections import Sentence

__all__ = ["COMMA_COST", "FOLLOW_UP", "HEADING_COST", "LIVER", "NONE", "OTHER", "Mention", "Reading", "distance"]

# Word distances at which a comma, a clause end, or a heading's organ count when organs compete for a mention.
COMMA_COST = 3
CLAUSE_COST = 10
HEADING_COST = 7

LIVER, OTHER, NONE = "liver", "other", ""
FOLLOW_UP = ("followed", "known", "course")


@dataclass(frozen=True, slots=True, eq=False)
class Mention:
    """One lesion term. ``organ``: liver, other or "" (not said); ``polarity``: see `Reading`."""

    kind: str  # metastasis, lesion, uptake, recurrence, benign, treated
    start: int
    end: int
    organ: str
    organ_known: bool  # named in the sentence or its heading, not carried over
    polarity: str  # present, uncertain, absent, non_avid, no_new, no_other, followed, neutral, benign, ignored
    singular: bool


@dataclass(slots=True, eq=False)
class Reading:
    """A sentence's mentions, and what it says of the liver as a whole."""

    sentence: Sentence
    words: list[str]
    is_pet: bool = False
    mentions: list[Mention] = field(default_factory=list)
    organ_hits: list[Hit] = field(default_factory=list)
    cues: list[Hit] = field(default_factory=list)
    findings: list[Hit] = field(default_factory=list)
    clauses: list[int] = field(default_factory=list)
    told: frozenset[int] = frozenset()  # words that are another's: quotations and other reports
    reopened: list[int] = field(default_factory=list)  # words that lead back from history to the present
    liver_normal: bool = False
    liver_positive: bool = False
    liver_doubted: bool = False  # "Leber: unklar"
    liver_course: bool = False  # "hepatischer Progress": the course of what must be there
    names_liver: bool = False
    other_tumour: bool = False  # another tumour of the liver is named, which its malignant features belong to
    after_ablation: bool = False  # the report tells of an ablation in the liver: a recurrence is there
    last_organ: str = NONE
    last_is_lesion: bool = False  # a lesion of ``last_organ`` was described, so that more of them may follow

    _size_hits: list[Hit] | None = None  # memory of `size_hits`

    def size_hits(self, rules: Rules) -> list[Hit]:
        """The units, and the words of time and measure, of the whole sentence; not to be changed."""
        if self._size_hits is None:
            self._size_hits = rules.sizes.find(self.words)
        return self._size_hits

    def has(self, category: str) -> bool:
        """Whether the sentence holds a cue of this category."""
        wanted = (category, "course") if category == "followed" else (category,)
        return any(cue.category in wanted for cue in self.cues)


def distance(a: Hit, b: Hit, words: Sequence[str], clauses: Sequence[int]) -> float:
    """Words between two hits, with surcharges for commas and clause ends; what overlaps is at 0."""
    if a.start < b.end and b.start < a.end:
        return 0.0
    first, second = (a, b) if a.end <= b.start else (b, a)
    cost = 0.5
    for word in words[first.end : second.start]:
        cost += COMMA_COST if word == "," else CLAUSE_COST if word in (";", ">") else 1  # "LK neg. => kein Herd"
    if clauses[first.end - 1] != clauses[second.start]:
        cost += COMMA_COST
    return cost
