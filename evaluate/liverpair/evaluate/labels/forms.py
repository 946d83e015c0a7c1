"""Bring forms, exports and dictation into the shape of a report: keys with a colon, units behind numbers, marks.

"04 Liver ..... positive", "leber.groesse_mm: 6", ``{"liver": "negative"}`` and "liver clear period" say what "Liver:
positive", "leber groesse: 6 mm", "liver: negative" and "Liver clear." say. Each function gives edits for `markup`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from liverpair.evaluate.labels.text import normalise

__all__ = ["dictation_edits", "form_edits", "item_edits", "json_edits", "spaced_edits", "xml_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

# "LEBER ........ ja", "liver ____ no": at least three of the filling sign.
_LEADER = re.compile(r"[ \t]*(?:\.{3,}|_{3,}|…+)[ \t]*:?[ \t]*(?=\S)")
# "leber.befund:", "liver_status =": a key of several parts at the start of a line.
_KEY = re.compile(r"^[ \t]*(?P<key>[^\W\d]\w*(?:[._][^\W_]\w*)+)[ \t]*(?P<sign>[:=])", re.MULTILINE)
# "Größe (mm): 22", "max_mm: 6": the unit stands in the key, the number behind it has none.
_KEYED_UNIT = re.compile(
    r"[ _.]*[(\[]?(?:(?<![A-Za-z\d])|(?<=max)|(?<=size)|(?<=diam))(?P<unit>mm|cm)[)\]]?[ \t]*(?P<sign>[:=])[ \t]*"
    r"(?P<number>\d{1,3}(?:[.,]\d+)?(?:[ \t]*[x×][ \t]*\d{1,3}(?:[.,]\d+)?)*)(?![ \t]*(?:mm|cm|[.,/|]?\d))",
    re.IGNORECASE,
)
# "leber=pos;anzahl=4;lk=neg": a record on one line; "MaxDurchmesser" is two words.
_RECORD = re.compile(r"^[ \t]*[^\W\d][\w ]*=[^;=\n]*(?:;[^;=\n]+=[^;=\n]*){2,};?[ \t]*$", re.MULTILINE)
_RECORD_SIGN = re.compile(r"(?P<equals>=)|(?P<stop>;)|(?<=[a-zäöü])(?P<hump>)(?=[A-ZÄÖÜ][a-zäöü])")
_JSON = re.compile(r"^\s*[\[{].*[\]}]\s*$", re.DOTALL)
_JSON_SIGN = re.compile(r'(?P<quote>")|(?P<bracket>[{}\[\]])|(?P<comma>,)(?=\s*")')

# Spoken marks; two of them make a dictation, for "period" alone may be a span of time.
FEWEST_SPOKEN = 2
_SPOKEN = {
    "period": ".", "full stop": ".", "stop": ".", "comma": ",", "colon": ":", "semicolon": ";", "question mark": "?",
    "new paragraph": "\n\n", "new para": "\n\n", "next paragraph": "\n\n", "new line": "\n", "next line": "\n",
    "open bracket": "(", "close bracket": ")", "open parenthesis": "(", "close parenthesis": ")",
    "punkt": ".", "komma": ",", "doppelpunkt": ":", "semikolon": ";", "fragezeichen": "?", "strichpunkt": ";",
    "neuer absatz": "\n\n", "absatz": "\n\n", "neue zeile": "\n", "nächste zeile": "\n", "naechste zeile": "\n",
    "klammer auf": "(", "klammer zu": ")",
}  # fmt: skip
_SPOKEN_MARK = re.compile(
    r"[ \t]*\b(?P<mark>" + "|".join(sorted(_SPOKEN, key=len, reverse=True)) + r")\b", re.IGNORECASE
)
_DIGITS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15",
    "sixteen": "16", "seventeen": "17", "eighteen": "18", "nineteen": "19", "twenty": "20", "thirty": "30",
    "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
    "null": "0", "ein": "1", "eins": "1", "zwei": "2", "drei": "3", "vier": "4", "fuenf": "5", "sechs": "6",
    "sieben": "7", "acht": "8", "neun": "9", "zehn": "10", "elf": "11", "zwoelf": "12", "dreizehn": "13",
    "vierzehn": "14", "fuenfzehn": "15", "sechzehn": "16", "siebzehn": "17", "achtzehn": "18", "neunzehn": "19",
    "zwanzig": "20", "dreissig": "30", "vierzig": "40", "fuenfzig": "50",
    "sechzig": "60", "siebzig": "70", "achtzig": "80", "neunzig": "90", "hundert": "100", "hundred": "100",
}  # fmt: skip


def _spelt(word: str) -> str:
    """A pattern for all spellings of an umlaut: "zwölf", "zwoelf", and the letter with its dots apart."""
    return word.replace("oe", "(?:ö|oe|o\u0308)").replace("ue", "(?:ü|ue|u\u0308)").replace("ss", "(?:ß|ss)")


_TENS = "|".join(
    _spelt(word) for word, value in _DIGITS.items() if len(value) == 2 and value[1] == "0" and value != "10"
)
_ONES = "|".join(_spelt(word) for word, value in _DIGITS.items() if len(value) == 1 and value != "0")
_NUMBER = "|".join(_spelt(word) for word in sorted(_DIGITS, key=len, reverse=True))
_GERMAN_ONES = _spelt("ein|zwei|drei|vier|fuenf|sechs|sieben|acht|neun")
# A number of several words, behind "by".
_COMPOUND = rf"(?:(?:{_TENS})[ \n-](?:{_ONES})|(?:{_GERMAN_ONES})und(?:{_TENS})|{_NUMBER}|\d+)"
_SPOKEN_SIZE = re.compile(
    rf"\b(?P<whole>(?:(?P<tens>{_TENS})[ \n-](?P<ones>{_ONES}))"
    rf"|(?:(?P<einer>{_GERMAN_ONES})und(?P<zehner>{_TENS}))|{_NUMBER}|\d+)"
    rf"(?:[ \n-](?:point|komma)[ \n-](?P<part>{_NUMBER}|\d))?"
    rf"(?=(?:[ \n](?:mal|by|times|x)[ \n]{_COMPOUND}(?:[ \n](?:point|komma)[ \n](?:{_NUMBER}|\d))?){{0,2}}"
    r"[ \n](?:mm|cm|milli\w+|zenti\w+|centi\w+)\b)",
    re.IGNORECASE,
)


# "Two and a half centimetres", "anderthalb Zentimeter".
_HALVES = re.compile(
    rf"\b(?:(?P<one>anderthalb|eineinhalb)|(?P<german>{_GERMAN_ONES})einhalb"
    rf"|(?P<english>{_NUMBER})[ \n-]and[ \n-]a[ \n-]half)(?=[ \n-](?:mm|cm|milli\w+|zenti\w+|centi\w+)\b)",
    re.IGNORECASE,
)


_XML_TAG = re.compile(
    r"<(?P<name>[^\W\d][\w.-]*)(?P<attributes>(?:\s+[\w.:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'))+)\s*(?P<end>/?>)"
)
_XML_ATTRIBUTE = re.compile(r"(?P<gap>\s+)[\w.:-]+(?P<sign>\s*=\s*[\"'])[^\"'<>]*(?P<quote>[\"'])")
# What these tags hold in their attributes is layout.
_LAYOUT = frozenset(
    {"br", "p", "div", "span", "font", "table", "tr", "td", "th", "a", "li", "ul", "ol", "img", "body", "html"}
)


def xml_edits(text: str) -> Iterator[Edit]:
    """A record in attributes as a heading and its lines: ``<liver mets="yes" n="6"/>``."""
    for tag in _XML_TAG.finditer(text):
        if tag["name"].lower() in _LAYOUT:
            continue
        yield tag.start(), tag.start() + 1, "\n\n"
        for number, attribute in enumerate(
            _XML_ATTRIBUTE.finditer(text, tag.start("attributes"), tag.end("attributes"))
        ):
            yield attribute.start("gap"), attribute.end("gap"), "\n" if number else ":\n"
            yield attribute.start("sign"), attribute.end("sign"), ": "
            yield attribute.start("quote"), attribute.end("quote"), ""
        yield tag.start("end"), tag.end("end"), "\n\n"


# "a) S2 23 mm cyst, b) S5 19 mm haemangioma": items of a list inside a sentence.
_ITEM = re.compile(
    r"(?P<gap>[,;:.]?[ \t]+)"
    r"(?P<mark>\(?(?P<sign>[a-h]|[1-9]|i{1,3}|iv|v)\)|[#(](?P<number>[1-9])\)?[ :.])(?=\s*\S)",
    re.IGNORECASE,
)
_ORDERS = (tuple("abcdefgh"), tuple("123456789"), ("i", "ii", "iii", "iv", "v"))
FEWEST_ITEMS = 2
# "1) 12 mm, 2) 9 mm" only measures.
FEWEST_ITEM_WORDS = 2


def item_edits(text: str) -> Iterator[Edit]:
    """Each item of a list inside a sentence on a line of its own, where two or more stand in order."""
    if ")" not in text and "#" not in text:
        return
    offset = 0
    for line in text.splitlines(keepends=True):
        marks = _items_in_order(line)
        for found in marks:
            stop = ":" if found["gap"].startswith(":") else "."
            yield offset + found.start("gap"), offset + found.start("mark"), f"{stop}\n"
        offset += len(line)


def _items_in_order(line: str) -> list[re.Match[str]]:
    """The marks of a list's items inside the line; none where fewer than two follow each other."""
    opening = line.lstrip(" \t-*").lower()
    begun = any(opening.startswith((f"{signs[0]})", f"({signs[0]})", f"#{signs[0]}")) for signs in _ORDERS)
    marks: list[re.Match[str]] = []
    for found in _ITEM.finditer(line):
        sign = (found["sign"] or found["number"]).lower()
        if any(signs[len(marks) + begun : len(marks) + begun + 1] == (sign,) for signs in _ORDERS):
            marks.append(found)
    several = len(marks) + begun >= FEWEST_ITEMS
    return marks if several and all(_is_long(line, a, b) for a, b in pairwise(marks)) else []


def _is_long(line: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """ "a) 12 mm" is no item of its own, "a) S2 12 mm cyst" is one."""
    return len(line[first.end() : second.start()].split()) > FEWEST_ITEM_WORDS


# "L e b e r :" is a word set wide.
_SPACED = re.compile(r"(?<!\S)(?:[^\W\d_] ){3,}[^\W\d_](?!\S)")


def spaced_edits(text: str) -> Iterator[Edit]:
    """Words set wide without their blanks: "L e b e r" is "Leber"."""
    for word in _SPACED.finditer(text):
        for at in range(word.start() + 1, word.end(), 2):
            yield at, at + 1, ""


def json_edits(text: str) -> Iterator[Edit]:
    """A JSON record as lines of keys and values."""
    if _JSON.match(text):
        for sign in _JSON_SIGN.finditer(text):
            yield sign.start(), sign.end(), "" if sign["quote"] else "\n"


def form_edits(text: str) -> Iterator[Edit]:
    """Leaders, keys of several parts, and units that stand in the key."""
    edits = [edit for line in _RECORD.finditer(text) for edit in _record_edits(line)]
    edits += [
        (leader.start(), leader.end(), ": ") for leader in _LEADER.finditer(text) if _ends_key(text, leader.start())
    ]
    for unit in _KEYED_UNIT.finditer(text):
        edits.append((unit.start(), unit.end(), f"{unit['sign']} {unit['number']} {unit['unit']}"))
    for key in _KEY.finditer(text):
        start = key.start("key")
        edits += [
            (start + at, start + at + 1, " ")
            for at, sign in enumerate(key["key"])
            if sign in "._" and not any(a <= start + at < b for a, b, _ in edits)
        ]
    last = 0
    for start, end, new in sorted(edits):
        if start >= last:  # what one edit has changed no other does
            yield start, end, new
            last = end


def _record_edits(line: re.Match[str]) -> Iterator[Edit]:
    for sign in _RECORD_SIGN.finditer(line.group()):
        new = ": " if sign["equals"] else "\n" if sign["stop"] else " "
        yield line.start() + sign.start(), line.start() + sign.end(), new


def _ends_key(text: str, at: int) -> bool:
    """A leader stands behind a word on its line; "... multiple lesions" quotes."""
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in ")]") and text[at - 1] != "\n"


def dictation_edits(text: str) -> Iterator[Edit]:
    """Spoken marks and sizes ("three point three centimeters"), where the text is a dictation."""
    marks = list(_SPOKEN_MARK.finditer(text))
    sizes = [(size.start(), size.end(), _figures(size)) for size in _SPOKEN_SIZE.finditer(text) if not _is_digit(size)]
    if "hal" in text.lower():
        sizes += [(half.start(), half.end(), _with_half(half)) for half in _HALVES.finditer(text)]
    dictated = len(marks) >= FEWEST_SPOKEN
    # "drei Komma drei Zentimeter" holds no comma.
    free = [m for m in marks if dictated and not any(a < m.end() and m.start() < b for a, b, _ in sizes)]
    yield from sorted([*sizes, *((m.start(), m.end(), _SPOKEN[m["mark"].lower()]) for m in free)])


def _with_half(half: re.Match[str]) -> str:
    return f"{1 if half['one'] else _value(half['german'] or half['english'])}.5"


def _is_digit(size: re.Match[str]) -> bool:
    return size.group().isdigit()


def _figures(size: re.Match[str]) -> str:
    if size["tens"]:
        whole = str(_value(size["tens"]) + _value(size["ones"]))
    elif size["zehner"]:
        whole = str(_value(size["zehner"]) + _value(size["einer"]))
    else:
        whole = str(_value(size["whole"]))
    return whole if size["part"] is None else f"{whole}.{_value(size['part'])}"


def _value(word: str) -> int:
    plain = normalise(word)[0]
    return int(_DIGITS.get(plain, plain))
