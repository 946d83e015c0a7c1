"""Part a sentence into clauses: cues ("kein", "no evidence of") act within their clause only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.text import Token

__all__ = ["clauses_of", "part_around"]

_ARROWS = (["=", ">"], ["-", ">"])


def part_around(words: Sequence[str], start: int, end: int) -> tuple[int, int]:
    """The part of a sentence around words[start:end]: its first word behind a semicolon, and the next semicolon."""
    first = next((i + 1 for i in range(start - 1, -1, -1) if words[i] == ";"), 0)
    return first, next((i for i in range(end, len(words)) if words[i] == ";"), len(words))


def clauses_of(tokens: Sequence[Token], words: Sequence[str], cues: Sequence[Hit], rules: Rules) -> list[int]:
    """Clause number of every token; clauses begin at adversatives, semicolons, and where a list restarts."""
    starts = {_part_start(cue, words, rules) for cue in cues if cue.category == "terminator"}
    restarts = {hit.start for hit in rules.restart.find(words)}
    numbers = {
        i
        for i, token in enumerate(tokens)
        if (token.kind == "number" and i + 1 < len(tokens)) or words[i] in rules.numbers
    }
    # "DD: Hämangiom, Metastase": what follows the colon is what the cue speaks of.
    introducing = {cue.end for cue in cues if cue.category in ("indeterminate", "hedge", "affirm", "no_other")}
    for i, word in enumerate(words):
        joins = word in (",", "und", "and", "sowie", "-", "/")
        counts = i + 1 in numbers and word == "," and i - 1 not in numbers and not _is_size_alone(words, i + 1)
        if joins and (i + 1 in restarts or counts):
            starts.add(i + 1)
        if word in (";", "|") or words[i - 1 : i + 1] in _ARROWS or (word == ":" and i > 0 and i not in introducing):
            starts.add(i + 1)
    resumed, behind = _resumptions(cues, words, rules), _behind_appositions(words, rules)
    clause = latest = before = 0
    out: list[int] = []
    for i in range(len(words)):
        if i in starts:
            before, latest = clause, latest + 1
            clause = latest
        if i in resumed:
            clause = before
        if i in behind:
            clause = out[behind[i]]
        out.append(clause)
    return out


def _is_size_alone(words: Sequence[str], at: int) -> bool:
    """ "Metastasis in segment VII, 33 mm, necrotic": a size between commas counts no new lesions."""
    return words[at + 1 : at + 2] in (["mm"], ["cm"]) and words[at + 2 : at + 3] in ([","], [")"])


def _resumptions(cues: Sequence[Hit], words: Sequence[str], rules: Rules) -> set[int]:
    """Where a clause goes on behind an exception between commas: "no lesion, apart from a cyst, that suggests"."""
    places = set()
    for cue in cues:
        if (
            cue.category == "terminator"
            and words[cue.start] in rules.exceptions
            and cue.start
            and words[cue.start - 1] == ","
        ):
            comma = next((i for i in range(cue.end, len(words)) if words[i] == ","), len(words))
            places.add(comma + 1)
    return places


def _behind_appositions(words: Sequence[str], rules: Rules) -> dict[int, int]:
    """Verbs behind an apposition, each with a word of its subject's part: "the lesions, once 5 cm, are gone"."""
    commas = [i for i, word in enumerate(words) if word == ","]
    return {
        second + 1: first - 1
        for first, second in pairwise(commas)
        if first and second + 1 < len(words) and words[second + 1] in rules.verbs
    }


def _part_start(cue: Hit, words: Sequence[str], rules: Rules) -> int:
    """Where the part that an adversative opens begins: "eine Filia ist aber denkbar" opens before its subject."""
    particle = cue.start > 0 and cue.end - cue.start == 1 and words[cue.start] in rules.particles
    if particle and words[cue.start - 1] in rules.verbs:
        return next((i + 1 for i in range(cue.start - 1, -1, -1) if words[i] in (",", ";")), 0)
    return cue.start
