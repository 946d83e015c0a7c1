"""Find the phrases of a rule file in a list of words.

A phrase is words separated by blanks. ``*`` at a word's end (or start) stands for any ending (beginning);
``...`` stands for up to ``MAX_GAP`` words of the same clause, ``@2`` for up to two words between no stops or commas,
``@seen`` for any wording of the class ``seen`` and ``@seen?`` for one or none. Of phrases that start at one word the
longest wins; of equally long ones the category that stands first in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from liverpair.core.errors import ConfigError
from liverpair.evaluate.labels.text import tokenise

__all__ = ["CACHE_LIMIT", "Classes", "Hit", "Lexicon"]

# A German verb frame ("können ... nicht sicher ausgeschlossen werden") rarely spans more than this.
MAX_GAP = 5
CACHE_LIMIT = 100_000  # distinct words remembered; beyond that the memory starts anew
_GAP = "..."
_CLASS_MARK = "@"
# The short gap ("@2") ends where anything but words stands.
_SHORT_GAP_ENDS = frozenset({";", ":", ".", ",", "?", "(", ")", "|"})
_CLAUSE_MARKS = frozenset({";", ":", "."})


class Hit(NamedTuple):
    """A phrase of ``category`` found in words[start:end]."""

    category: str
    start: int
    end: int


Test = Callable[[str], bool]
Classes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Class:
    """Any of these wordings; ``optional``: or none of them."""

    rests: Mapping[str, tuple[tuple[Test, ...], ...]]  # by a whole first word, what must follow it
    others: tuple[tuple[Test, ...], ...]  # wordings that begin with a wildcard
    optional: bool = False

    def starts(self, word: str) -> bool:
        return word in self.rests or any(wording[0](word) for wording in self.others)

    def ends(self, words: Sequence[str], position: int) -> list[int]:
        """Where the wordings that stand at ``position`` end."""
        found = [position] if self.optional else []
        if position == len(words):
            return found
        word, rest = words[position], position + 1
        for tests in self.rests.get(word, ()):
            if not tests or _holds(tests, words, rest):
                found.append(rest + len(tests))
        for wording in self.others:
            if wording[0](word) and _holds(wording[1:], words, rest):
                found.append(position + len(wording))
        return found


def _holds(tests: Sequence[Test], words: Sequence[str], position: int) -> bool:
    """Whether words from ``position`` on pass these tests, one each."""
    if position + len(tests) > len(words):
        return False
    for test in tests:
        if not test(words[position]):
            return False
        position += 1
    return True


@dataclass(frozen=True, slots=True)
class _ShortGap:
    """Up to ``words`` words of one part of a sentence."""

    words: int


Part = Test | _Class | _ShortGap | None  # None is a gap


@dataclass(frozen=True, slots=True)
class _Phrase:
    category: str
    order: int
    tests: tuple[Part, ...]
    text: str
    plain: tuple[Test, ...]  # its tests where it has words only, neither gaps nor classes

    def starts(self, word: str) -> bool:
        first = self.tests[0]
        if isinstance(first, _Class):
            return first.starts(word)
        return callable(first) and first(word)


class Lexicon:
    """Phrases by category, ready to be found."""

    def __init__(self, phrases: Mapping[str, Sequence[str]], classes: Classes | None = None) -> None:
        self._phrases: list[_Phrase] = []
        known = {name: _compile_class(wordings) for name, wordings in (classes or {}).items()}
        for order, (category, texts) in enumerate(phrases.items()):
            for text in texts:
                tests = _compile(text, known)
                words = tuple(test for test in tests if callable(test))
                plain = words if len(words) == len(tests) else ()
                self._phrases.append(_Phrase(category, order, tests, text, plain))
        self._starting: dict[str, tuple[_Phrase, ...]] = {}
        # Most phrases begin with a whole word: only the others are asked of every new word.
        self._by_word: dict[str, list[int]] = {}
        self._by_test: list[int] = []
        for number, phrase in enumerate(self._phrases):
            opens = _opening_words(phrase.text, classes or {})
            for word in opens:
                self._by_word.setdefault(word, []).append(number)
            if not opens:
                self._by_test.append(number)
        used = {name for name in known for texts in phrases.values() for text in texts if _CLASS_MARK + name in text}
        texts_of_classes = [(classes or {})[name] for name in sorted(used)]
        every = (token.text for texts in [*phrases.values(), *texts_of_classes] for t in texts for token in tokenise(t))
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
            if len(self._starting) > CACHE_LIMIT:
                self._starting.clear()
            tested = (number for number in self._by_test if self._phrases[number].starts(word))
            numbers = sorted({*self._by_word.get(word, ()), *tested})
            found = tuple(self._phrases[number] for number in numbers)
            self._starting[word] = found
        return found


def _best_at(phrases: Sequence[_Phrase], words: Sequence[str], start: int) -> Hit | None:
    """The longest of the phrases that match at ``start``; of equally long ones the first category."""
    best: tuple[int, int] | None = None
    hit = None
    for phrase in phrases:  # all begin with this word
        if phrase.plain:
            size = len(phrase.plain)
            end = start + size if size == 1 or _holds(phrase.plain, words, start) else None
        else:
            end = _match(phrase.tests, 0, words, start)
        if end is None:
            continue
        rank = (end - start, -phrase.order)
        if best is None or rank > best:
            best, hit = rank, Hit(phrase.category, start, end)
    return hit


def _opening_words(text: str, classes: Classes) -> set[str]:
    """The words with which a phrase can begin; none where a wildcard lets it begin with others."""
    first = text.split()[0]
    wordings = classes[first[1:].rstrip("?")] if first.startswith(_CLASS_MARK) else (first,)
    opens = {tokenise(wording)[0].text for wording in wordings}
    return set() if any("*" in word for word in opens) else opens


def _compile(text: str, classes: Mapping[str, _Class]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for number, piece in enumerate(text.split(_GAP)):
        if number:
            parts.append(None)
        for item in piece.split():
            if item.startswith(_CLASS_MARK):
                parts.append(_named(item, classes, text))
            else:
                parts.extend(_word_test(token.text) for token in tokenise(item))
    first, last = (parts[0], parts[-1]) if parts else (None, None)
    open_start = isinstance(first, _Class) and first.optional
    if first is None or last is None or open_start or isinstance(first, _ShortGap) or isinstance(last, _ShortGap):
        raise ConfigError(f"label rules: the phrase {text!r} must start and end with a word")
    return tuple(parts)


def _named(item: str, classes: Mapping[str, _Class], text: str) -> _Class | _ShortGap:
    """``@2``, ``@seen`` or ``@seen?``."""
    name = item[1:].rstrip("?")
    if name.isdigit():
        return _ShortGap(int(name))
    if name not in classes:
        raise ConfigError(f"label rules: the phrase {text!r} names a class that the table [classes] does not hold")
    return replace(classes[name], optional=True) if item.endswith("?") else classes[name]


def _compile_class(wordings: Sequence[str]) -> _Class:
    """Wordings by their first word, so that a word is asked of few."""
    rests: dict[str, list[tuple[Test, ...]]] = {}
    others: list[tuple[Test, ...]] = []
    for wording in wordings:
        words = [token.text for token in tokenise(wording)]
        tests = tuple(_word_test(word) for word in words)
        if "*" in words[0]:
            others.append(tests)
        else:
            rests.setdefault(words[0], []).append(tests[1:])
    return _Class({word: tuple(tests) for word, tests in rests.items()}, tuple(others))


def _word_test(pattern: str) -> Test:
    core = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*") and core:
        return lambda word: core in word
    if pattern.startswith("*") and core:
        return lambda word: word.endswith(core)
    if pattern.endswith("*") and core:
        return lambda word: word.startswith(core)
    return frozenset({pattern}).__contains__


def _match(tests: Sequence[Part], at: int, words: Sequence[str], position: int) -> int | None:
    """End of the match of tests[at:] from ``position``, or None."""
    while at < len(tests):
        test = tests[at]
        if test is None:
            return _match_behind_gap(tests, at + 1, words, position)
        if isinstance(test, _ShortGap):
            return _match_behind_short_gap(tests, at + 1, words, position, test.words)
        if isinstance(test, _Class):
            return _match_class(tests, at, words, position, test)
        if position >= len(words) or not test(words[position]):
            return None
        at += 1
        position += 1
    return position


def _match_class(tests: Sequence[Part], at: int, words: Sequence[str], position: int, named: _Class) -> int | None:
    """The longest match whose first words are one of the class's wordings."""
    best: int | None = None
    for end in named.ends(words, position):
        found = _match(tests, at + 1, words, end)
        if found is not None and (best is None or found > best):
            best = found
    return best


def _match_behind_short_gap(
    tests: Sequence[Part], at: int, words: Sequence[str], position: int, most: int
) -> int | None:
    """End of the match of tests[at:] behind at most ``most`` words of the same part of the sentence."""
    for skipped in range(most + 1):
        end = _match(tests, at, words, position + skipped)
        if end is not None:
            return end
        if position + skipped >= len(words) or words[position + skipped] in _SHORT_GAP_ENDS:
            return None
    return None


def _match_behind_gap(tests: Sequence[Part], at: int, words: Sequence[str], position: int) -> int | None:
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
