"""The segments of the liver that a sentence names."""

from __future__ import annotations

from collections.abc import Iterator

from liverpair.evaluate.labels.mentions import Reading

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
    for hit in reading.organ_hits:
        word = reading.words[hit.start]
        if word.startswith(("seg", "lebersegment")):
            behind = (w for w in reading.words[hit.end : hit.end + 2] if w != ".")
            named = next(behind, "")
            if named in _ROMAN or named[:1].isdigit():
                yield _ROMAN.get(named, named)
        if word in ("liver", "leber") and hit.end < len(reading.words) and reading.words[hit.end] in _ROMAN:
            yield _ROMAN[reading.words[hit.end]]  # "#1 liver VI"
        if hit.category == "liver" and word[0] == "s" and (word[1:] in _ROMAN or word[1:2].isdigit()):
            yield _ROMAN.get(word[1:], word[1:])


_SEGMENTS = frozenset({*_ROMAN, *"12345678", "4a", "4b"})
_JOINS = frozenset({",", "and", "und", "sowie", "/"})


def listed_places(reading: Reading) -> set[str]:
    """Those of lists, too, that name the word once: "segments 2 (12 mm) and 4 (9 mm)"."""
    words, places = reading.words, places_of(reading)
    for hit in reading.organ_hits:
        at = hit.end if words[hit.start].startswith("seg") else len(words)
        while at < len(words) and words[at] in _SEGMENTS and words[at + 1 : at + 2] not in (["mm"], ["cm"], ["x"]):
            places.add(_ROMAN.get(words[at], words[at]))
            at += 1
            if words[at : at + 1] == ["("]:
                at = next((i + 1 for i in range(at, len(words)) if words[i] == ")"), len(words))
            at += words[at : at + 1] != [] and words[at] in _JOINS
    return places
