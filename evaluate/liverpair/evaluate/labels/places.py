"""The segments of the liver that a sentence names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["listed_places", "named_places", "place_of", "places_of"]

_ROMAN = {
    "i": "1", "ii": "2", "iii": "3", "iv": "4", "iva": "4a", "ivb": "4b", "v": "5", "vi": "6", "vii": "7", "viii": "8",
}  # fmt: skip


def place_of(reading: Reading) -> str:
    """The first segment that a sentence names, "" if none."""
    return next(iter(named_places(reading)), "")


def places_of(reading: Reading) -> set[str]:
    return set(named_places(reading))


def named_places(reading: Reading) -> Iterator[str]:
    yield from _named(reading.organ_hits, reading.words)


def _named(hits: Sequence[Hit], words: Sequence[str]) -> Iterator[str]:
    for hit in hits:
        word = words[hit.start]
        if word.startswith(("seg", "lebersegment")):
            behind = (w for w in words[hit.end : hit.end + 2] if w != ".")
            named = next(behind, "")
            if named in _ROMAN or named[:1].isdigit():
                yield _ROMAN.get(named, named)
        if word in ("liver", "leber") and hit.end < len(words) and words[hit.end] in _ROMAN:
            yield _ROMAN[words[hit.end]]  # "#1 liver VI"
        if hit.category == "liver" and word[0] == "s" and (word[1:] in _ROMAN or word[1:2].isdigit()):
            yield _ROMAN.get(word[1:], word[1:])


_SEGMENTS = frozenset({*_ROMAN, *"12345678", "4a", "4b"})
_JOINS = frozenset({",", "and", "und", "sowie", "/"})


def listed_places(reading: Reading, start: int = 0, end: int | None = None) -> set[str]:
    """Those of lists, too, that name the word once: "segments 2 (12 mm) and 4 (9 mm)"; of words [start, end)."""
    words = reading.words
    inside = [hit for hit in reading.organ_hits if start <= hit.start < (len(words) if end is None else end)]
    places = set(_named(inside, words))
    for hit in inside:
        at = hit.end if words[hit.start].startswith(("seg", "lebersegment")) else len(words)
        while at < len(words) and words[at] in _SEGMENTS and words[at + 1 : at + 2] not in (["mm"], ["cm"], ["x"]):
            places.add(_ROMAN.get(words[at], words[at]))
            at += 1
            if words[at : at + 1] == ["("]:
                at = next((i + 1 for i in range(at, len(words)) if words[i] == ")"), len(words))
            at += words[at : at + 1] != [] and words[at] in _JOINS
    return places
