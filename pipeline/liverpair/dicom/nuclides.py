"""Name the radionuclide from its code, its half-life or the text of the radiopharmaceutical."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["HALF_LIVES_S", "NuclideDecision", "compact", "identify_nuclide"]

#: Physical half-lives in s: ⁶⁸Ga, ¹⁸F, ⁶⁴Cu of spec suv.md; the others of the DDEP/ENSDF evaluations.
HALF_LIVES_S = {
    "11C": 1221.8,
    "13N": 597.9,
    "15O": 122.24,
    "18F": 6586.2,
    "44Sc": 14292.0,
    "61Cu": 12002.0,
    "64Cu": 45721.0,
    "66Ga": 34164.0,
    "68Ga": 4057.74,
    "82Rb": 75.5,
    "86Y": 53064.0,
    "89Zr": 282276.0,
    "90Y": 230580.0,
    "99mTc": 21624.0,
    "111In": 242326.0,
    "123I": 47604.0,
    "124I": 360806.0,
    "131I": 693377.0,
    "152Tb": 63000.0,
    "177Lu": 574300.0,
}
#: Codes of ⁶⁶Ga (SRT, SCT), which stand for ⁶⁸Ga by mistake in real headers (suv.md): they name no nuclide against or
#: without a half-life, whatever their meaning says.
MISTAKEN_CODES = frozenset({"C-131A1", "79477007"})
#: SCT and legacy SRT codes of CID 4020 and CID 18.
CODES = {
    "40565003": "11C",
    "C-105A1": "11C",
    "21576001": "13N",
    "C-107A1": "13N",
    "129504001": "15O",
    "C-B1038": "15O",
    "77004003": "18F",
    "C-111A1": "18F",
    "71425003": "61Cu",
    "C-127A1": "61Cu",
    "3932008": "64Cu",
    "C-127A2": "64Cu",
    "35337001": "68Ga",
    "C-131A3": "68Ga",
    "79197006": "82Rb",
    "C-159A2": "82Rb",
    "10738001": "86Y",
    "C-162A3": "86Y",
    "63360001": "89Zr",
    "C-168A4": "89Zr",
    "14691008": "90Y",
    "C-162A7": "90Y",
    "40937006": "124I",
    "C-114A5": "124I",
    "126606": "152Tb",
    "126600": "44Sc",
    "447553000": "177Lu",
    "C-101ED": "177Lu",
    "56609000": "111In",
    "C-145A4": "111In",
    "72454006": "99mTc",
    "C-163A8": "99mTc",
    "21572004": "123I",
    "C-114A4": "123I",
    "1368003": "131I",
    "C-114B1": "131I",
}
ELEMENTS = {
    "C": "C|carbon|kohlenstoff",
    "N": "N|nitrogen|stickstoff",
    "O": "O|oxygen|sauerstoff",
    "F": "F|fluorine|fluor",
    "Sc": "Sc|scandium",
    "Cu": "Cu|copper|kupfer|cuivre|cuprum",
    "Ga": "Ga|gallium",
    "Rb": "Rb|rubidium",
    "Y": "Y|yttrium",
    "Zr": "Zr|zirconium|zirkonium",
    "Tc": "Tc|technetium",
    "In": "In|indium",
    "I": "I|iodine|iod|jod|iode",
    "Tb": "Tb|terbium",
    "Lu": "Lu|lutetium|lutecium",
}
#: Relative distance at which a stated half-life still means a nuclide of the table; the closest two differ by 4 %.
HALF_LIFE_MATCH = 0.03
#: Minutes between ¹⁸F in seconds and in minutes: a half-life this short is written in minutes.
_SEPARATOR = r"[\s\^\-_\[\]\(\)\.,/]*"


@dataclass(frozen=True, slots=True)
class NuclideDecision:
    """The nuclide ("68Ga", "" where unknown), and whether code, half-life and text contradict one another."""

    name: str
    by_code: str
    by_half_life: str
    by_text: str

    @property
    def contradictory(self) -> bool:
        """Whether two sources name different nuclides."""
        return len({n for n in (self.by_code, self.by_half_life, self.by_text) if n}) > 1


def compact(text: str) -> str:
    """Lower-case letters and digits only: accents, superscripts, dashes and spaces removed."""
    plain = unicodedata.normalize("NFKD", text).lower()
    return re.sub(r"[^a-z0-9]", "", plain)


def nuclide_in_text(text: str) -> str:
    """The nuclide that a text names ("^68^Gallium", "Ga-68", "68Ga", "Cu64"); "" for none or several."""
    plain = unicodedata.normalize("NFKD", text)
    found = {name for name in HALF_LIVES_S if _pattern(name).search(plain)}
    return found.pop() if len(found) == 1 else ""


def _compile(name: str) -> re.Pattern[str]:
    mass, symbol = re.fullmatch(r"(\d+m?)([A-Z][a-z]?)", name).groups()  # type: ignore[union-attr] # own table
    words = ELEMENTS[symbol]
    # a mass number must not continue to the left, nor a symbol that stands first be the end of a longer word
    first = rf"(?<![0-9]){mass}{_SEPARATOR}(?:{words})"
    second = rf"(?<![A-Za-z])(?:{words}){_SEPARATOR}{mass}(?![0-9])"
    return re.compile(rf"{first}|{second}", re.IGNORECASE)


_PATTERNS: dict[str, re.Pattern[str]] = {name: _compile(name) for name in HALF_LIVES_S}


def _pattern(name: str) -> re.Pattern[str]:
    return _PATTERNS[name]


def nuclide_of_half_life(half_life_s: float | None) -> str:
    """The nuclide whose half-life lies within 3 %, "" for none."""
    if not half_life_s or half_life_s <= 0:
        return ""
    nearest = min(HALF_LIVES_S, key=lambda name: abs(HALF_LIVES_S[name] / half_life_s - 1))
    return nearest if abs(HALF_LIVES_S[nearest] / half_life_s - 1) <= HALF_LIFE_MATCH else ""


def identify_nuclide(
    codes: Iterable[tuple[str, str, str]], half_life_s: float | None, radiopharmaceutical: str = ""
) -> NuclideDecision:
    """Weigh (code value, scheme, meaning) triples, the header's half-life in s and the radiopharmaceutical's text.

    The code decides, then the half-life, then the text; disagreement is kept in the answer, never resolved silently.
    """
    by_code = ""
    for value, _scheme, meaning in codes:
        stated = CODES.get(value.strip().upper(), "") or nuclide_in_text(meaning)
        if value.strip().upper() in MISTAKEN_CODES and stated == "66Ga":
            stated = ""
        by_code = by_code or stated
    by_half_life = nuclide_of_half_life(half_life_s)
    by_text = nuclide_in_text(radiopharmaceutical)
    return NuclideDecision(by_code or by_half_life or by_text, by_code, by_half_life, by_text)
