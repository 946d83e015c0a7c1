"""Whether a length is the liver's own: "Leber 18 cm", "liver span 17 cm"."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LIVER_MM", "is_of_liver"]

# "Leber (Größe 18 cm)": words from the liver to its own size, which no lesion right behind the word has.
_OWN_SIZE = frozenset(
    {"(", ":", "groesse", "mit", "misst", "ist", "size", "measures", "is", "span", "with", "ca", ".", "at"}
)
_OWN_SIZE |= {"dl", "volume", "in", "increased", "enlarged", "vergroessert", "vergroesserte", "massiv", "deutlich"}
_OWN_SIZE |= {"maximal", "longitudinal", "diameter", "durchmesser", "dimensions", "of", "von", "up", "to", "bis", ","}
# No lesion behind the word is so long, and no liver is shorter.
LIVER_MM = 100.0


def is_of_liver(words: Sequence[str], start: int, mm: float) -> bool:
    """Whether the size that starts at this word stands right behind the liver and is long enough to be its own."""
    before = start - 1
    while before >= 0 and words[before] in _OWN_SIZE:
        before -= 1
    return mm >= LIVER_MM and before >= 0 and words[before] in ("leber", "liver", "hepar")
