"""Load a language's rules from its TOML file, and set right the typing errors in the words that they know."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from liverpair.core.errors import ConfigError
from liverpair.evaluate.labels.lexicon import CACHE_LIMIT, Hit, Lexicon
from liverpair.evaluate.labels.text import tokenise

__all__ = ["LANGUAGES", "Hit", "Lexicon", "Rules", "load_rules"]

LANGUAGES = ("de", "en")
# A misspelt key term: one slip in a short word, two in a long one; below seven letters real words are too
# close.
TYPO_MIN_LETTERS = 7
# In words shorter than that only swapped neighbours and doubled letters of a few key terms are set right.
TYPO_SHORTEST = 4
TYPO_LONG_WORD = 11


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """One language's rules; the TOML file explains every table."""

    language: str
    markers: frozenset[str]
    never_end: frozenset[str]
    may_end: frozenset[str]
    sides: frozenset[str]
    leading_on: frozenset[str]
    spoken_stops: frozenset[str]
    spoken_commas: frozenset[str]
    sections: Lexicon
    technical: Lexicon
    not_done: Lexicon
    answers: frozenset[str]
    organs: Lexicon
    findings: Lexicon
    cues: Lexicon
    features: Lexicon
    sizes: Lexicon
    restart: Lexicon
    reopens: Lexicon
    concluding: Lexicon
    free: Lexicon
    attributes: Lexicon
    exceptions: frozenset[str]
    landmarks: Lexicon
    comparing: frozenset[str]
    joiners: frozenset[str]
    particles: frozenset[str]
    verbs: frozenset[str]
    singular: Lexicon
    numbers: Mapping[str, int]
    modalities: Lexicon
    regions: Lexicon
    sources: Lexicon
    treatment: Lexicon
    key_terms: tuple[str, ...]
    short_terms: frozenset[str]
    long_terms: Mapping[str, frozenset[str]]  # long names of organs and lesions, by what is left without one letter
    compound_heads: tuple[str, ...]
    corrections: dict[str, str]  # memory of `correct`, filled as words come

    def correct(self, word: str) -> str:
        """The key term that a misspelt word stands for, or the word itself."""
        if len(word) < TYPO_SHORTEST:
            return word
        known = self.corrections.get(word)
        if known is None:
            if len(self.corrections) > CACHE_LIMIT:
                self.corrections.clear()
            known = self._swapped(word) if len(word) < TYPO_MIN_LETTERS else self._nearest_term(word)
            self.corrections[word] = known
        return known

    def _nearest_term(self, word: str) -> str:
        lexicons = (self.findings, self.organs, self.cues, self.features)
        # A wildcard may cover a misspelling ("leber*" covers "Lebermetastsen"); a lesion term needs no correction.
        if compound := self._compound_of(word):
            return compound
        if self.findings.knows(word) or any(word in lexicon.vocabulary for lexicon in lexicons):
            return word
        allowed = 2 if len(word) >= TYPO_LONG_WORD else 1
        for slips in range(1, allowed + 1):
            for term in self.key_terms:
                if abs(len(term) - len(word)) <= slips and _edit_distance(word, term) <= slips:
                    return term
        near = (
            {term for hole in _holes(word) for term in self.long_terms.get(hole, ())}
            if len(word) > TYPO_MIN_LETTERS
            else ()
        )
        # The first letter is hardly ever mistyped, and a change of it makes other words ("degenerative").
        return min((term for term in near if term[0] == word[0] and _edit_distance(word, term) == 1), default=word)

    def _compound_of(self, word: str) -> str:
        """ "Leebermetastasen": a lesion's name behind a misspelt organ, "" for other words."""
        for head in self.compound_heads:
            for cut in range(len(head) - 1, len(head) + 2):
                first, rest = word[:cut], word[cut:]
                slipped = first != head and first[0] == head[0] and _edit_distance(first, head) == 1
                if slipped and self.findings.knows(rest) and not self.organs.knows(word):
                    return head + rest
        return ""

    def _swapped(self, word: str) -> str:
        """A short key term with two neighbours swapped or a letter typed twice: "kien", "leberr"."""
        if any(word in lexicon.vocabulary for lexicon in (self.findings, self.organs, self.cues, self.features)):
            return word
        for at in range(len(word) - 1):
            swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
            once = word[:at] + word[at + 1 :] if word[at] == word[at + 1] else swapped
            for slip in (swapped, once):
                if slip in self.short_terms:
                    return slip
        if len(word) == TYPO_MIN_LETTERS - 1:  # "heptic": a letter of a key term was left out
            shortest = (term for term in self.key_terms if len(term) == TYPO_MIN_LETTERS)
            return next((term for term in shortest if word in _holes(term)), word)
        return word


def _holes(word: str) -> set[str]:
    """The word, and the word without each of its letters: two words at one slip share one of them."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def _index_of_long_terms(lexicons: Iterable[Lexicon]) -> dict[str, frozenset[str]]:
    index: dict[str, set[str]] = {}
    for term in {word for lexicon in lexicons for word in lexicon.vocabulary if len(word) > TYPO_MIN_LETTERS}:
        for hole in _holes(term):
            index.setdefault(hole, set()).add(term)
    return {hole: frozenset(terms) for hole, terms in index.items()}


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

    classes = {name: tuple(wordings) for name, wordings in table["classes"].items()}

    def lexicon(phrases: Mapping[str, Sequence[str]]) -> Lexicon:
        return Lexicon(phrases, classes)

    organs, findings, cues, features = (lexicon(table[name]) for name in ("organs", "findings", "cues", "features"))
    return Rules(
        language=table["language"],
        markers=plain_set(table["markers"]),
        never_end=plain_set(table["abbreviations"]["never_end"]),
        may_end=plain_set(table["abbreviations"]["may_end"]),
        sides=plain_set(table["abbreviations"]["sides"]),
        leading_on=plain_set(table["abbreviations"]["leading_on"]),
        spoken_stops=plain_set(table["abbreviations"]["spoken_stops"]),
        spoken_commas=plain_set(table["abbreviations"]["spoken_commas"]),
        sections=lexicon(table["sections"]),
        not_done=lexicon({"not_done": table["technique"]["not_done"]}),
        answers=plain_set(table["scope"]["answers"]),
        technical=Lexicon({"technical": table["technique"]["words"]}),
        organs=organs,
        findings=findings,
        cues=cues,
        features=features,
        sizes=Lexicon(table["sizes"]),
        restart=Lexicon({"restart": table["scope"]["restart"]}),
        reopens=Lexicon({"reopens": table["scope"]["reopens"]}),
        concluding=Lexicon({"concluding": table["scope"]["concluding"]}),
        free=lexicon({"free": table["scope"]["free"]}),
        attributes=Lexicon({"number": table["attributes"]["number"], "attribute": table["attributes"]["names"]}),
        particles=plain_set(table["scope"]["particles"]),
        verbs=plain_set(table["scope"]["verbs"]),
        exceptions=plain_set(table["scope"]["exceptions"]),
        comparing=plain_set(table["scope"]["comparing"]),
        landmarks=lexicon({"landmark": table["scope"]["landmarks"]}),
        joiners=plain_set(table["scope"]["joiners"]),
        singular=Lexicon({"singular": table["counts"]["singular"]}),
        numbers={tokenise(word)[0].text: value for word, value in table["counts"]["words"].items()},
        modalities=Lexicon(table["modalities"]),
        regions=Lexicon(table["regions"]),
        sources=lexicon(table["sources"]),
        treatment=lexicon(table["treatment"]),
        key_terms=tuple(tokenise(word)[0].text for word in table["typos"]["key_terms"]),
        short_terms=plain_set(table["typos"]["short_terms"]),
        long_terms=_index_of_long_terms((organs, findings)),
        compound_heads=tuple(tokenise(word)[0].text for word in table["typos"]["compound_heads"]),
        corrections={},
    )
