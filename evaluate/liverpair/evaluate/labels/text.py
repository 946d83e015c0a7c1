"""Turn a report into tokens that ignore case and umlaut spelling, and that know their place in the original.

Normalised text is lower-case ASCII: ä/ae, ö/oe, ü/ue, ß/ss are one spelling, decomposed letters are composed,
typographic dashes and signs are plain. Every token keeps its [start, end) in the *original* text, so that
evidence can be quoted verbatim.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

__all__ = ["Token", "normalise", "tokenise"]

COMBINING_DIAERESIS = "\u0308"

# What NFKD does not give: German spellings, and the signs that reports use for x, - and spaces.
SPELLING = {
    "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "ae", "Ö": "oe", "Ü": "ue", "ß": "ss", "ẞ": "ss",
    "æ": "ae", "œ": "oe", "×": "x", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-",
    "→": "->", "➔": "->", "⇒": "->", "➜": "->", "←": "<-",
    "↑": " ", "↓": " ", "„": '"', "“": '"', "”": '"', "«": '"', "»": '"', "‟": '"',
    "•": "-", "▪": "-", "●": "-", "·": "-", "\u00ad": "", "\ufeff": "", "\u200b": "", "≥": ">", "≤": "<",
    "\u2028": "\n", "\u2029": "\n", "\x0b": "\n", "\x0c": "\n", "\x85": "\n",
}  # fmt: skip

# "(6/24 31 mm)": a month and a year right before a size, unless an image or a series is numbered.
_NUMBERED = "".join(f"(?<!{word} )" for word in ("im", "img", "image", "bild", "serie", "series", "slice", "se"))
_MONTH_BEFORE_SIZE = (
    rf"(?<![\w./,-]){_NUMBERED}(?:1[0-2]|[1-9])/[0-3]\d(?=\s+\d{{1,3}}(?:[.,]\d+)?\s?(?:mm\b|cm\b|x\s?\d))"
)
_TOKEN = re.compile(
    rf"(?P<date>(?<=\()(?:1[0-2]|[1-9])/[0-3]\d(?=\s?:)|{_MONTH_BEFORE_SIZE}|"
    r"\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})(?!\d)|\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}/\d{4}|0[1-9]/\d\d(?![\d/])|\d{4}-\d\d-\d\d)"
    r"|(?P<number>\d+(?:[.,]\d+)?)"
    r"|(?P<times>(?<=\d)[x*](?=\s?\d)|(?<=\d )\*(?= \d))"  # "17x15 mm", "17*15 mm"
    r"|(?P<word>[a-z*](?:[a-z0-9*]|'(?=[a-z]))*)"
    r"|(?P<newline>\n)"
    r"|(?P<punct>[^\sa-z0-9])"
)

# "Ø 12 mm" is a diameter, "Ø Filiae" are none.
_CROSSED = frozenset("Øø⌀∅")
_DIAMETER = re.compile(r".?\s*[\d:=]")

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")

# "Leber-\nmetastasen" is one word, "Leber-\nund Knochenmetastasen" is not.
_NOT_A_SECOND_HALF = frozenset({"und", "oder", "bzw", "sowie", "and", "or"})


class Token(NamedTuple):
    """A word, number, date, punctuation mark or line end; ``start`` and ``end`` index the original text."""

    text: str
    start: int
    end: int
    kind: str
    hyphen: bool = False  # a hyphen is attached behind the word ("Leber- und ...", "DOTATOC-avid")
    glued: bool = False  # nothing stands between this token and the one before


def normalise(text: str) -> tuple[str, list[int]]:
    """The normalised text, and for each of its characters the index of the original character."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    out: list[str] = []
    origin: list[int] = []
    last = 0
    for match in _NOT_ASCII.finditer(text):
        index = match.start()
        out.extend(text[last:index].lower())
        origin.extend(range(last, index))
        if (
            match.group() in _CROSSED
            and not text[index - 1 : index].isalpha()
            and not text[index + 1 : index + 2].isalpha()
        ):
            spelled = " " if _DIAMETER.match(text, index) else " nil "
        elif match.group() == "·" and text[index - 1 : index].isdigit() and text[index + 1 : index + 2].isdigit():
            spelled = "."  # "1·2 cm"
        else:
            spelled = _plain(match.group(), out)
        for plain in spelled:
            out.append(plain)
            origin.append(index)
        last = index + 1
    out.extend(text[last:].lower())
    origin.extend(range(last, len(text)))
    return "".join(out), origin


def _plain(character: str, before: list[str]) -> str:
    """ASCII spelling of one non-ASCII character; ``before`` tells what a combining diaeresis stands on."""
    if character in SPELLING:
        return SPELLING[character]
    if character == COMBINING_DIAERESIS:
        return "e" if before and before[-1] in "aou" else ""
    if character.isspace():
        return " "
    decomposed = unicodedata.normalize("NFKD", character)
    letters = "".join(c for c in decomposed if c < "\x80").lower()
    if letters or unicodedata.combining(character):
        return letters
    return "~"  # a sign without a plain spelling stays visible as punctuation


def tokenise(text: str) -> list[Token]:
    """Tokens in order; dotted abbreviations ("V.a.", "z. B.") are one token, words split at hyphens."""
    plain, origin = normalise(text)
    origin.append(len(text))
    raw = _raw_tokens(plain)
    merged = _join_wrapped_words(_merge_hyphens(_merge_dotted(raw)), text, origin)
    tokens = []
    last_end = -1
    for token in merged:
        start, end = origin[token.start], origin[token.end - 1] + 1
        tokens.append(Token(token.text, start, end, token.kind, token.hyphen, token.start == last_end))
        last_end = token.end
    return tokens


def _raw_tokens(plain: str) -> list[Token]:
    tokens = []
    for match in _TOKEN.finditer(plain):
        kind = match.lastgroup or "punct"
        text = "x" if kind == "times" else match.group()
        kind = "punct" if kind == "times" else kind
        if kind == "word" and not text.strip("*"):
            kind = "punct"  # an asterisk as a bullet
        tokens.append(Token(text, match.start(), match.end(), kind))
    return tokens


def _merge_dotted(tokens: list[Token]) -> list[Token]:
    """Join single letters with dots: ``z`` ``.`` ``n`` ``.`` becomes ``z.n.`` (also from "Z. n.", "Z.n")."""
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        letters, j = "", i
        while j + 1 < len(tokens) and _is_letter(tokens[j]) and tokens[j + 1].text == ".":
            letters += tokens[j].text + "."
            j += 2
        if letters and j < len(tokens) and _is_letter(tokens[j]) and tokens[j].start == tokens[j - 1].end:
            letters += tokens[j].text + "."  # "Z.n Hemihepatektomie": the last dot was forgotten
            j += 1
        if len(letters) >= 4:
            out.append(Token(letters, tokens[i].start, tokens[j - 1].end, "word"))
            i = j
        else:
            out.append(tokens[i])
            i += 1
    return out


def _is_letter(token: Token) -> bool:
    return token.kind == "word" and len(token.text) == 1


def _merge_hyphens(tokens: list[Token]) -> list[Token]:
    """Drop a hyphen attached to the word before it, leaving a mark on that word."""
    out: list[Token] = []
    for token in tokens:
        if token.text == "-" and out and out[-1].kind == "word" and out[-1].end == token.start:
            out[-1] = out[-1]._replace(hyphen=True, end=token.end)
        else:
            out.append(token)
    return out


def _join_wrapped_words(tokens: list[Token], text: str, origin: list[int]) -> list[Token]:
    """Join a word that a line end split behind a hyphen."""
    out: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        if (
            token.hyphen
            and i + 2 < len(tokens)
            and tokens[i + 1].kind == "newline"
            and tokens[i + 2].kind == "word"
            and tokens[i + 2].text not in _NOT_A_SECOND_HALF
            and text[origin[tokens[i + 2].start]].islower()
        ):
            second = tokens[i + 2]
            out.append(Token(token.text + second.text, token.start, second.end, "word", second.hyphen))
            i += 3
            continue
        out.append(token)
        i += 1
    return out
