"""Compare what humans typed into headers: descriptions in several languages, glued words, accents, abbreviations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from liverpair.dicom.records import Stack

__all__ = ["described", "has_word", "image_types", "number", "raw_text", "says", "values_of", "without", "words"]

#: Descriptions whose words are kept: those of some studies, read again and again for one decision.
REMEMBERED = 4096
#: Letters that no decomposition turns into plain ones.
PLAIN_LETTERS = str.maketrans(
    {"ß": "ss", "ı": "i", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "Ø": "o", "Ł": "l"}
)
#: "C-", "KM-" and "-C" say that no contrast was given; as punctuation the sign would be lost.
WITHOUT_CONTRAST = re.compile(
    r"(?<![a-z0-9])(?:(?:c|km|gd|iv|gado|mdc) ?-(?=[\s_/)\]]|$)|(?:(?<=[\s_])|^)- ?(?:c|km|gd|mdc)(?![a-z0-9]))"
)


def raw_text(text: str) -> str:
    """Lower case without accents, a space between glued words ("LavaFlexHBP"); punctuation stays."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z]{2,}|[A-Z][a-z]{2,})", " ", text.translate(PLAIN_LETTERS))
    decomposed = unicodedata.normalize("NFKD", spaced).lower()
    return "".join(c for c in decomposed if not unicodedata.combining(c))


@lru_cache(maxsize=REMEMBERED)
def words(text: str) -> str:
    """Lower-case words with single spaces around each: accents dropped, punctuation a space, digits apart from letters.

    "T1_VIBE_FS_tra 20min" → " t1 vibe fs tra 20 min "; letter-digit names of the field (t1, b800) stay whole.
    """
    plain = WITHOUT_CONTRAST.sub(" agentless ", raw_text(text))
    plain = re.sub(r"(\d) *['’′]", r"\1 min ", plain)
    plain = re.sub(r"[^a-z0-9+*]+", " ", plain)
    plain = re.sub(r"(?<=\d)(?=[a-z])", " ", plain)
    plain = re.sub(r"\b([tb]) (?=\d)", r"\1", plain)
    return f" {plain.strip()} "


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{pattern})")


def has_word(text: str, pattern: str) -> bool:
    """Whether ``pattern`` (a regular expression of alternatives) occurs from a word's start in words(...) text."""
    return _compiled(pattern).search(text) is not None


def says(text: str, vocabulary: Mapping[str, str]) -> bool:
    """Whether words(...) text holds an entry of the vocabulary in any of its languages."""
    return has_word(text, "|".join(vocabulary.values()))


def without(text: str, vocabulary: Mapping[str, str]) -> str:
    """words(...) text with every entry of the vocabulary taken out."""
    for pattern in vocabulary.values():
        text = _compiled(pattern).sub(" ", text)
    return text


def described(stack: Stack, *keywords: str) -> str:
    """words(...) of the named attributes, joined."""
    parts: list[str] = []
    for keyword in keywords:
        value = stack.first(keyword)
        parts.extend(map(str, value) if isinstance(value, list) else [str(value)] if value is not None else [])
    return words(" | ".join(parts))


def values_of(stack: Stack, keyword: str) -> list[Any]:
    """Distinct values of an attribute over the stack's frames, lists flattened."""
    found: list[Any] = []
    for instance in stack.instances:
        value = instance.header.get(keyword)
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            if item not in found:
                found.append(item)
    return found


def image_types(stack: Stack) -> frozenset[str]:
    """All Image Type (and Frame Type, Complex Image Component) values of the stack, upper-case."""
    keywords = ("ImageType", "FrameType", "ComplexImageComponent")
    return frozenset(str(v).strip().upper() for k in keywords for v in values_of(stack, k))


def number(stack: Stack, keyword: str) -> float | None:
    """The attribute of the first frame that has one, as a number."""
    value = stack.first(keyword)
    if isinstance(value, list):
        value = value[0] if value else None
    try:
        return float(value) if value is not None else None
    except (TypeError, ValueError):
        return None
