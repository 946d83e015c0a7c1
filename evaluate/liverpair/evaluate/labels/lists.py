"""Make lists of lesions readable whose lines leave out what their head says: the unit, or which number is of today.

"Liver lesions in mm (prior / today)" above "Segment V: 33 / 21" becomes a table with bars; "S3 15 (12)" in lines of
that kind becomes "S3 15 mm (12 mm)", unless the report speaks of SUV, which such numbers may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from liverpair.evaluate.labels.segments import ROMAN

__all__ = ["list_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_SLASH = re.compile(r"\s+/\s+|(?<=[^\W\d])/(?=[^\W\d])")
_UNIT = re.compile(r"\b(?:mm|cm)\b", re.IGNORECASE)
_VALUE = (
    r"(?:\d{1,3}(?:[.,]\d)?|-|n\.?\s?[nsa]\.?|not seen|gone|new|neu|weg|nicht (?:mehr )?(?:nachweisbar|abgrenzbar))"
)
_NAME = r"[^\d\n/|]*(?:(?:\b(?:segment|seg\.?|s)[ ]?)\d[ab]?(?:[/-]\d)?)?[^\d\n/|]*?"
# "S3 15 (12)", "Segment VII 9 (new)": a segment, a number, the former one in brackets, nothing else.
_BARE = re.compile(
    rf"^[ \t*•-]*(?:s|seg\.?[ ]?|segment[ ])(?:{ROMAN}|[1-8][ab]?)[ ]?:?[ ]+(?P<now>\d{{1,3}})"
    r"(?P<gap>[ ]?\((?:(?P<then>\d{1,3})|neu|new|-)\))?[ \t\r]*$",
    re.IGNORECASE | re.MULTILINE,
)
# One such line may be anything.
FEWEST_LINES = 2


def list_edits(text: str, is_time: Callable[[str], bool]) -> Iterator[Edit]:
    """Edits from left to right; ``is_time`` tells whether the words of a head name a time ("prior", "06/2023")."""
    yield from sorted([*_slashed(text, is_time), *(_with_told_unit(text) or _without_unit(text))])


def _slashed(text: str, is_time: Callable[[str], bool]) -> Iterator[Edit]:
    """Heads with times divided by slashes, and the rows below them that have as many values."""
    row: re.Pattern[str] | None = None
    at = 0
    for line in text.splitlines(keepends=True):
        found = row.match(line) if row else None
        if found:
            first = at + found.start("values")
            yield first, first, "| "
            for slash in re.finditer("/", found["values"]):
                yield first + slash.start(), first + slash.end(), "|"
        else:
            row = None
            parts = _SLASH.split(line)
            if len(parts) > 1 and "|" not in line and _UNIT.search(line) and sum(map(is_time, parts)) >= len(parts) - 1:
                values = rf"{_VALUE}(?:\s*/\s*{_VALUE}){{{len(parts) - 1}}}"
                row = re.compile(rf"^{_NAME}[:\s]\s*(?P<values>{values})\s*(?:mm|cm)?\s*$", re.IGNORECASE)
                if not row.match(text[at + len(line) :].split("\n", 1)[0]):
                    row = None  # "DOTATATE PET/CT of 2/2023, lesions up to 24 mm" heads no rows
                    at += len(line)
                    continue
                for slash in _SLASH.finditer(line):
                    yield at + slash.start(), at + slash.end(), " | "
        at += len(line)


# "Angaben in mm", "all measurements in cm", "(mm; brackets = prior)", "units mm": the unit of what stands without one.
_TOLD_UNIT = re.compile(
    r"\b(?:(?:angaben|ma(?:ß|ss)e|gr(?:ö|oe)(?:ß|ss)en(?:angaben)?|werte|durchmesser|measurements?|sizes?|diameters?"
    r"|values|dimensions|all(?:es)?|everything|achsen|axes)[ ]+(?:jeweils[ ]+|all[ ]+|are[ ]+|given[ ]+)*in[ ]+"
    r"|units?:?[ ]|einheit(?:en)?:?[ ]|(?<=\()(?:in[ ]+)?|(?<=\()[^()\d\n]{1,30}[, ])"
    r"(?P<unit>mm|cm)\b(?![ ]*[:=]?[ ]*\d)",
    re.IGNORECASE,
)
_AXES = r"\d{1,3}(?:[.,]\d)?(?:[ ]?[x×*][ ]?\d{1,3}(?:[.,]\d)?){0,2}"
# "Seg. II: 17 (VU 12)", "s8  39x33  (41x33)", "S3: 12 vs 15": a segment and its number, which no unit, tenth or list
# of segments goes on with.
_PLACED = re.compile(
    rf"\b(?:s|seg(?:ment)?\.?[ ]?)(?:{ROMAN}|[1-8][ab]?)\)?(?:[ ]?[:=][ ]?|[ ]+)(?P<now>{_AXES})"
    r"(?!\d|[.,]\d)(?=[ ]{0,4}(?:[,;.(\n]|$|(?<=[ ])(?:s|seg)[ .ivx1-8]|vs\b|versus|statt|gegen|prev|prior|was\b))"
    rf"(?:[ ]{{0,4}}\((?:[^\W\d]{{1,12}}\.?[ ])?(?P<then>{_AXES})\))?",
    re.IGNORECASE,
)


# "Segment VI metastasis (36x31)", "segments 2 (1.9), 4a (2.7)", "#1 dome: 28 (31)" on its line, "current 35;".
_PLAIN = r"\d{1,3}(?:[.,]\d)?"
_NO_LENGTH = r"suv|number|anzahl|zahl|count|krenning|ki|score|alter|age|serie|image|bild|dos[ei]|aktivit|activ|grad"
_OTHER_VALUES = (
    re.compile(rf"\((?P<axes>{_PLAIN}[ ]?[x×*][ ]?{_PLAIN})\)"),
    re.compile(rf"(?<![\w.,])(?:{ROMAN}|[1-8][ab]?)[ ]?\((?P<axes>{_PLAIN})\)", re.IGNORECASE),
    re.compile(
        rf"^[ \t]*(?![^\n:]*(?:{_NO_LENGTH}))(?:[-*•#]|\d[.)]|(?=[^\n:]*(?:seg|lobe|lapp|dome|kuppel)))[ ]?"
        rf"[^\n:|]{{2,25}}:[ ]*(?P<axes>{_AXES})(?=[ ]*(?:\([^()\n]*\))?[ .]*$)",
        re.IGNORECASE | re.MULTILINE,
    ),
    re.compile(rf"\b(?:current|now|today|aktuell|jetzt|heute):?[ ](?P<axes>{_AXES})(?=[ ]?[,;.)\n])", re.IGNORECASE),
)


def _with_told_unit(text: str) -> list[Edit]:
    told = _TOLD_UNIT.search(text)
    if told is None:
        return []
    unit = " " + told["unit"].lower()
    found = list(_PLACED.finditer(text))
    ends = {placed.end(group) for placed in found for group in ("now", "then") if placed[group] is not None}
    ends |= {axes.end("axes") for form in _OTHER_VALUES for axes in form.finditer(text)}
    return [(end, end, unit) for end in sorted(ends)]


def _without_unit(text: str) -> Iterator[Edit]:
    lines = list(_BARE.finditer(text))
    if len(lines) < FEWEST_LINES or "suv" in text.lower():
        return
    for line in lines:
        for group in ("now", "then"):
            if line[group] is not None:
                yield line.end(group), line.end(group), " mm"
