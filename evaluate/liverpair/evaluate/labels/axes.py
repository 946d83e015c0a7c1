"""Write the diameters of one lesion as one size: "4.2 AP x 3.6 TR x 3.9 CC cm" and "ap 42, quer 36, kc 39 mm" become
"4.2 x 3.6 x 3.9 cm" and "42 x 36 x 39 mm".

The names of the axes stand between the numbers, and the unit only behind the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["axes_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_AXIS = (
    r"\(?(?:a\.?p\.?|t(?:rans)?v(?:ers(?:e|al)?)?|tr(?:ans)?|quer|[ck]r?a?[ck]\.?|[ck]ranio-?[ck]audal|l\.?l|l\.?r|s\.?i"
    r"|sag(?:ittal)?|[ck]or(?:onal|onar)?|ax(?:ial)?|l(?:ä|ae)ngs)\.?\)?"
)
_NUMBER = r"\d{1,3}(?:[.,]\d{1,2})?"
_JOIN = r"[ ]?(?:[x×*,;/]|by|und|and)?[ ]?"
_UNIT = r"(?=[ ]?(?:mm|cm)\b)"
_NAMED_FIRST = re.compile(
    rf"(?<![\w.]){_AXIS}[ ]?[:=]?[ ]?{_NUMBER}(?:{_JOIN}{_AXIS}[ ]?[:=]?[ ]?{_NUMBER}){{1,2}}{_UNIT}", re.IGNORECASE
)
_NAMED_BEHIND = re.compile(
    rf"(?<![\w.,]){_NUMBER}[ ]?{_AXIS}(?:{_JOIN}{_NUMBER}[ ]?{_AXIS}){{1,2}}{_UNIT}", re.IGNORECASE
)
# "65 x 58 x 70 (CC) mm": only the last axis is named.
_LAST_NAMED = re.compile(rf"(?<![\w.,]){_NUMBER}(?:[ ]?[x×*][ ]?{_NUMBER}){{1,2}}[ ]?{_AXIS}{_UNIT}", re.IGNORECASE)
# "34 : 28 : 30 mm". Two numbers may be a segment and its size.
_RATIO = re.compile(rf"(?<![\w.,:]){_NUMBER}(?:[ ]?:[ ]?{_NUMBER}){{2}}{_UNIT}")


# "22 ± 2 mm": how sure the measure is.
_TOLERANCE = re.compile(rf"(?<![\w.,])(?P<size>{_NUMBER})[ ]?(?:±|\+/-|\+-)[ ]?{_NUMBER}{_UNIT}")


def axes_edits(text: str) -> Iterator[Edit]:
    """Edits from left to right."""
    tolerances = list(_TOLERANCE.finditer(text)) if "±" in text or "+" in text else []
    if tolerances:
        yield from ((size.end("size"), size.end(), " ") for size in tolerances)
        return
    found = [size for form in (_NAMED_FIRST, _NAMED_BEHIND, _LAST_NAMED, _RATIO) for size in form.finditer(text)]
    last = 0
    for size in sorted(found, key=lambda size: size.start()):
        if size.start() >= last:
            last = size.end()
            yield size.start(), last, " x ".join(re.findall(_NUMBER, size.group()))
