"""Lengths along which a lesion touches or fills something else: "invades the vein over a length of 25 mm"."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["is_extent_along"]

_ALONG = frozenset({"over", "along", "ueber", "auf", "for"})
_TOUCHES: tuple[str, ...] = (
    "invad",
    "infiltr",
    "contact",
    "kontakt",
    "abut",
    "encas",
    "occlu",
    "verschl",
    "umscheid",
    "ummauer",
)
_TOUCHES += ("thromb", "adher", "einbr", "einwachs", "grows", "waechst", "reaches", "narrow", "compress", "kompr")
# "Over a length of about 25 mm": words from the preposition to the number.
ALONG_REACH = 6
_LENGTH = ("length", "distance", "strecke", "laenge")


def is_extent_along(words: Sequence[str], start: int) -> bool:
    """Whether the length at ``start`` tells how far a lesion touches something, not how large it is."""
    if not any(word.startswith(_TOUCHES) for word in words[:start]):
        return False
    for at in range(start - 1, max(-1, start - 1 - ALONG_REACH), -1):
        if words[at] in (",", ";", "mm", "cm", "(", ")"):
            return False
        if words[at] in _ALONG:
            between = words[at + 1 : start]
            return not between or any(word.startswith(_LENGTH) for word in between)
    return False
