"""Load a language's rules from its TOML file and find their phrases in a list of words.

A phrase is words separated by blanks. ``*`` at a word's end (or start) stands for any ending (beginning);
``...`` stands for up to ``MAX_GAP`` words of the same clause. Of phrases that start at one word the longest
wins; of equally long ones the category that stands first in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from liverpair.core.errors import ConfigError
from liverpair.evaluate.labels.text import tokenise

__all__ = ["LANGUAGES", "Hit", "Lexicon", "Rules", "load_rules"]

LANGUAGES = ("de", "en")
# A German verb frame ("können ... nicht sicher ausgeschlossen werden") rarely spans more than this.
MAX_GAP = 5
# A misspelt key term: one slip in a short word, two in a long one; below seven letters real words are too
# close.
TYPO_MIN_LETTERS = 7
TYPO_LONG_WORD = 11
_CACHE_LIMIT = 100_000  # distinct words remembered; beyond that the memory starts anew
_GAP = "..."
_CLAUSE_MARKS = frozenset({";", ":", "."})


class Hit(NamedTuple):
    """A phrase of ``category`` found in words[start:end]."""

    category: str
    start: int
    end: int


Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Phrase:
    category: str
    order: int
    tests: tuple[Test | None, ...]  # None is a gap


class Lexicon:
    """Phrases by category, ready to be found."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        self._phrases: list[_Phrase] = []
        for order, (category, texts) in enumerate(phrases.items()):
            for text in texts:
                self._phrases.append(_Phrase(category, order, _compile(text)))
        self._starting: dict[str, tuple[_Phrase, ...]] = {}
        every = (token.text for texts in phrases.values() for text in texts for token in tokenise(text))
        self.vocabulary = frozenset(word for word in every if "*" not in word)

    def find(self, words: Sequence[str]) -> list[Hit]:
        """All hits from left to right; hits do not overlap."""
        hits = []
        i = 0
        starting = self._starting
        while i < len(words):
            word = words[i]
            phrases = starting[word] if word in starting else self._candidates(word)
            best = _best_at(phrases, words, i) if phrases else None
            if best is None:
                i += 1
            else:
                hits.append(best)
                i = best.end
        return hits

    def knows(self, word: str) -> bool:
        """Whether a phrase starts with this word."""
        return bool(self._candidates(word))

    def _candidates(self, word: str) -> tuple[_Phrase, ...]:
        found = self._starting.get(word)
        if found is None:
            if len(self._starting) > _CACHE_LIMIT:
                self._starting.clear()
            found = tuple(p for p in self._phrases if p.tests[0] is not None and p.tests[0](word))
            self._starting[word] = found
        return found


def _best_at(phrases: Sequence[_Phrase], words: Sequence[str], start: int) -> Hit | None:
    """The longest of the phrases that match at ``start``; of equally long ones the first category."""
    best: tuple[int, int] | None = None
    hit = None
    for phrase in phrases:
        end = _match(phrase.tests, 1, words, start + 1)
        if end is None:
            continue
        rank = (end - start, -phrase.order)
        if best is None or rank > best:
            best, hit = rank, Hit(phrase.category, start, end)
    return hit


def _compile(text: str) -> tuple[Test | None, ...]:
    tests: list[Test | None] = []
    for part_number, part in enumerate(text.split(_GAP)):
        if part_number:
            tests.append(None)
        tests.extend(_word_test(token.text) for token in tokenise(part))
    if not tests or tests[0] is None or tests[-1] is None:
        raise ConfigError(f"label rules: the phrase {text!r} must start and end with a word")
    return tuple(tests)


def _word_test(pattern: str) -> Test:
    core = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*") and core:
        return lambda word: core in word
    if pattern.startswith("*") and core:
        return lambda word: word.endswith(core)
    if pattern.endswith("*") and core:
        return lambda word: word.startswith(core)
    return lambda word: word == pattern


def _match(tests: Sequence[Test | None], at: int, words: Sequence[str], position: int) -> int | None:
    """End of the match of tests[at:] from ``position``, or None."""
    while at < len(tests):
        test = tests[at]
        if test is None:
            return _match_behind_gap(tests, at + 1, words, position)
        if position >= len(words) or not test(words[position]):
            return None
        at += 1
        position += 1
    return position


def _match_behind_gap(tests: Sequence[Test | None], at: int, words: Sequence[str], position: int) -> int | None:
    """End of the match of tests[at:] behind at most `MAX_GAP` words, those in brackets not counted."""
    skipped = depth = 0
    while position <= len(words) and skipped <= MAX_GAP:
        end = _match(tests, at, words, position)
        if end is not None:
            return end
        if position == len(words) or (words[position] in _CLAUSE_MARKS and not depth):
            return None
        depth = max(0, depth + (words[position] == "(") - (words[position] == ")"))
        skipped += not depth and words[position] not in "()"
        position += 1
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """One language's rules; the TOML file explains every table."""

    language: str
    markers: frozenset[str]
    never_end: frozenset[str]
    may_end: frozenset[str]
    sides: frozenset[str]
    spoken_stops: frozenset[str]
    spoken_commas: frozenset[str]
    sections: Lexicon
    technical: Lexicon
    answers: frozenset[str]
    organs: Lexicon
    findings: Lexicon
    cues: Lexicon
    features: Lexicon
    sizes: Lexicon
    restart: Lexicon
    reopens: Lexicon
    concluding: Lexicon
    attributes: Lexicon
    joiners: frozenset[str]
    singular: Lexicon
    numbers: Mapping[str, int]
    modalities: Lexicon
    key_terms: tuple[str, ...]
    corrections: dict[str, str]  # memory of `correct`, filled as words come

    def correct(self, word: str) -> str:
        """The key term that a misspelt word stands for, or the word itself."""
        if len(word) < TYPO_MIN_LETTERS:
            return word
        known = self.corrections.get(word)
        if known is None:
            if len(self.corrections) > _CACHE_LIMIT:
                self.corrections.clear()
            known = self._nearest_term(word)
            self.corrections[word] = known
        return known

    def _nearest_term(self, word: str) -> str:
        lexicons = (self.findings, self.organs, self.cues, self.features)
        # A wildcard may cover a misspelling ("leber*" covers "Lebermetastsen"); a lesion term needs no correction.
        if self.findings.knows(word) or any(word in lexicon.vocabulary for lexicon in lexicons):
            return word
        allowed = 2 if len(word) >= TYPO_LONG_WORD else 1
        for slips in range(1, allowed + 1):
            for term in self.key_terms:
                if abs(len(term) - len(word)) <= slips and _edit_distance(word, term) <= slips:
                    return term
        return word


def _edit_distance(a: str, b: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        older, before, row = before, row, [i]
        for j, right in enumerate(b, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


@lru_cache(maxsize=len(LANGUAGES))
def load_rules(language: str) -> Rules:
    """The packaged rules of "de" or "en"."""
    if language not in LANGUAGES:
        raise ConfigError(f"label rules: no rules for language {language!r}; there are {', '.join(LANGUAGES)}")
    text = resources.files(__package__).joinpath("rules", f"{language}.toml").read_text(encoding="utf-8")
    return _from_toml(tomllib.loads(text))


def _from_toml(table: Mapping[str, Any]) -> Rules:
    def plain_set(words: Sequence[str]) -> frozenset[str]:
        return frozenset(token.text for word in words for token in tokenise(word))

    return Rules(
        language=table["language"],
        markers=plain_set(table["markers"]),
        never_end=plain_set(table["abbreviations"]["never_end"]),
        may_end=plain_set(table["abbreviations"]["may_end"]),
        sides=plain_set(table["abbreviations"]["sides"]),
        spoken_stops=plain_set(table["abbreviations"]["spoken_stops"]),
        spoken_commas=plain_set(table["abbreviations"]["spoken_commas"]),
        sections=Lexicon(table["sections"]),
        answers=plain_set(table["scope"]["answers"]),
        technical=Lexicon({"technical": table["technique"]["words"]}),
        organs=Lexicon(table["organs"]),
        findings=Lexicon(table["findings"]),
        cues=Lexicon(table["cues"]),
        features=Lexicon(table["features"]),
        sizes=Lexicon(table["sizes"]),
        restart=Lexicon({"restart": table["scope"]["restart"]}),
        reopens=Lexicon({"reopens": table["scope"]["reopens"]}),
        concluding=Lexicon({"concluding": table["scope"]["concluding"]}),
        attributes=Lexicon({"number": table["attributes"]["number"], "attribute": table["attributes"]["names"]}),
        joiners=plain_set(table["scope"]["joiners"]),
        singular=Lexicon({"singular": table["counts"]["singular"]}),
        numbers={tokenise(word)[0].text: value for word, value in table["counts"]["words"].items()},
        modalities=Lexicon(table["modalities"]),
        key_terms=tuple(tokenise(word)[0].text for word in table["typos"]["key_terms"]),
        corrections={},
    )
