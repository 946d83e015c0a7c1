"""The segments of the liver that a sentence names."""

from __future__ import annotations

from collections.abc import Iterator

from liverpair.evaluate.labels.mentions import Reading

__all__ = ["named_places", "place_of", "places_of"]

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
