"""Give German words their umlauts back that an export lost: "Lasion", "L?sion" and "LÃ¤sion" are "Läsion".

A word is touched only if it is unknown as written and known with umlauts; "a" for "ä" only in a text that has no
umlaut at all.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache

from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import normalise

__all__ = ["encoding_edits", "umlaut_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

# UTF-8 read as Windows-1252.
_TWICE_DECODED = {
    "Ã¤": "ä", "Ã¶": "ö", "Ã¼": "ü", "ÃŸ": "ß", "Ã„": "Ä", "Ã–": "Ö", "Ãœ": "Ü", "â‰¤": "≤", "â‰¥": "≥",
    "â€“": "-", "â€ž": '"', "â€œ": '"', "Â°": "°", "Â\u00a0": " ", "Ã—": "x", "Ã˜": "Ø", "Ã¸": "ø", "Âµ": "µ",
}  # fmt: skip
_MOJIBAKE = re.compile("|".join(map(re.escape, _TWICE_DECODED)))
_WORD = re.compile(r"[^\W\d_]{4,}")
# "L?sion", "f\ufffdr": the sign stands inside a word.
_LOST = re.compile(r"[^\W\d_]*(?:(?<=[^\W\d_])[?\ufffd](?=[^\W\d_])|\ufffd)[^\W\d_?\ufffd]*(?:[?\ufffd][^\W\d_]+)?")
_HAS_UMLAUT = re.compile(r"[äöüÄÖÜ\u0308]")
_BARE = {"a": "ä", "o": "ö", "u": "ü"}
_DIGRAPH = re.compile("ae|oe|ue")
# So many words with such a sign show that the text lost its umlauts.
FEWEST_LOST = 2
# Words of so many umlauts at most.
MOST_UMLAUTS = 3


def encoding_edits(text: str) -> Iterator[Edit]:
    """Characters that were decoded twice."""
    for found in _MOJIBAKE.finditer(text):
        yield found.start(), found.end(), _TWICE_DECODED[found.group()]


def umlaut_edits(text: str, rules: Rules) -> Iterator[Edit]:
    """Edits from left to right; none for other languages than German."""
    if rules.language != "de":
        return
    lost = list(_LOST.finditer(text))
    for word in lost:
        whole = _filled(word.group(), rules)
        if whole is None and len(lost) >= FEWEST_LOST:
            whole = re.sub("[?\ufffd]", "ü", word.group())  # no question, whatever the letter was
        if whole is not None:
            yield word.start(), word.end(), whole
    if _HAS_UMLAUT.search(text) or "\ufffd" in text or _has_digraphs(text, rules):
        return
    for word in _WORD.finditer(text):
        whole = _restored(word.group().lower(), rules)
        if whole is not None:
            yield word.start(), word.end(), whole.capitalize() if word.group()[0].isupper() else whole


def _has_digraphs(text: str, rules: Rules) -> bool:
    """ "Laesion", "fuer": the text writes its umlauts with two letters."""
    return any(
        _DIGRAPH.search(plain) and (_is_known(plain, rules) or plain in rules.markers)
        for plain in (match.group().lower() for match in _WORD.finditer(text))
        if plain.isascii()
    )


def _filled(word: str, rules: Rules) -> str | None:
    """The first known word with umlauts in the places of the lost signs."""
    parts = re.split("[?\ufffd]", word)
    if len(parts) - 1 > MOST_UMLAUTS:
        return None
    for signs in itertools.product("äöüßÄÖÜ", repeat=len(parts) - 1):
        whole = "".join(itertools.chain(*itertools.zip_longest(parts, signs, fillvalue="")))
        if _is_known(normalise(whole)[0], rules):
            return whole
    return None


@lru_cache(maxsize=50_000)
def _restored(word: str, rules: Rules) -> str | None:
    """The known word that differs from an unknown one by umlauts only."""
    if _is_known(word, rules) or not word.isascii():
        return None
    places = [i for i, sign in enumerate(word) if sign in _BARE]
    for count in range(1, min(MOST_UMLAUTS, len(places)) + 1):
        for chosen in itertools.combinations(places, count):
            whole = "".join(_BARE[sign] if i in chosen else sign for i, sign in enumerate(word))
            if _is_known(normalise(whole)[0], rules):
                return whole
    return None


def _is_known(plain: str, rules: Rules) -> bool:
    lexicons = (rules.findings, rules.organs, rules.cues, rules.features, rules.sections, rules.sizes)
    return any(plain in lexicon.vocabulary or lexicon.knows(plain) for lexicon in lexicons)
