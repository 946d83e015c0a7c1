"""Whether a sign of death is said of a part of a lesion only: "half of it necrotic without enhancement"."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["is_of_a_part"]

_PARTS: tuple[str, ...] = (
    "haelft", "drittel", "viertel", "teil", "anteil", "partiell", "weitgehend", "ueberwiegend", "groesstenteil",
    "grossteil",
    "half", "thirds", "quarter", "partly", "partial", "largely", "mostly", "predominant", "portion", "mainly",
)  # fmt: skip
_WHOLE_WORDS = frozenset({"zentral", "centrally", "part", "parts"})
# A part of the liver, which a surgeon took: "partial hepatectomy".
_TAKEN = ("resek", "resect", "hepat", "leber", "liver")
# Words from the part to the sign: "two thirds of it necrotic and non-enhancing".
PART_REACH = 8
WHOLE = 100.0


def is_of_a_part(words: Sequence[str], sign: int) -> bool:
    """Whether a share, smaller than the whole, stands before the sign in its own part of the sentence."""
    for at in range(sign - 1, max(-1, sign - 1 - PART_REACH), -1):
        if words[at] in (",", ";", "(", ":"):
            return False
        taken = at + 1 < len(words) and words[at + 1].startswith(_TAKEN)
        if (
            words[at] in _WHOLE_WORDS
            or words[at : at + 2] == ["third", "of"]
            or (words[at].startswith(_PARTS) and not taken)
        ):
            return True
        share = words[at - 1].replace(",", ".") if words[at] == "%" and at else ""
        if share.replace(".", "", 1).isdigit():
            return float(share) < WHOLE
    return False
