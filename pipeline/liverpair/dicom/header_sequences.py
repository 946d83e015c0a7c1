"""Find where a sequence of undefined length ends (PS3.5 §7.5), by stepping from element to element.

A sequence that states its length is jumped over. One that does not ends with a delimiter, and the delimiter's
bytes may also occur inside a value, so the only way is through every element of every item. The rules followed
are pydicom's, so that both come out at the same byte; where the bytes leave the standard's path, ``Unusual`` is
raised and pydicom decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct, error
from typing import Any, Final

from pydicom.datadict import dictionary_VR

__all__ = [
    "DELIMITERS",
    "LONG_VRS",
    "SHORT_VRS",
    "UNDEFINED_LENGTH",
    "Syntax",
    "TooShortError",
    "UnusualError",
    "holds_items",
    "is_vr",
    "sequence_end",
]

#: A length that says "until the delimiter" (PS3.5 §7.1.1).
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
#: VRs followed by two reserved bytes and a length of four (PS3.5 Table 7.1-1).
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
#: VRs followed by a length of two (PS3.5 Table 7.1-2).
SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
DELIMITERS: Final = 0xFFFE
ITEM: Final = 0xFFFEE000
ITEM_DELIMITER: Final = 0xFFFEE00D
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
#: Items may have a character set of their own; these are understood by every reader.
CHARACTER_SET: Final = 0x00080005
PLAIN_SETS: Final = frozenset((b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 6"))
#: Sequences within sequences deeper than this are no header of a scanner; real ones reach about eight.
MAX_DEPTH: Final = 24


class UnusualError(Exception):
    """The header holds something that is left to pydicom."""


class TooShortError(Exception):
    """What is being read goes on behind the part of the file that is in memory."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How elements are encoded (PS3.5 §7.1, §7.3), with the unpackers of their heads.

    ``head`` unpacks (group, element, VR, short length) with explicit VR; ``implicit_head`` (group, element,
    length), the head of items and of every element with implicit VR; ``length`` a length of four bytes;
    ``unpack(data, index)`` is the one of the first two that this syntax uses.
    """

    implicit: bool
    little_endian: bool
    head: Struct
    implicit_head: Struct
    length: Struct
    unpack: Callable[[bytes, int], tuple[Any, ...]]

    @classmethod
    def of(cls, *, implicit: bool, little_endian: bool) -> Syntax:
        """The syntax with these two properties."""
        order = "<" if little_endian else ">"
        heads = Struct(order + "HH2sH"), Struct(order + "HHL")
        return cls(implicit, little_endian, *heads, Struct(order + "L"), heads[implicit].unpack_from)


def sequence_end(data: bytes, start: int, syntax: Syntax, *, implicit: bool, depth: int = 0) -> int:
    """Index behind the delimiter of the sequence whose first item begins at ``start``.

    Raises TooShortError when ``data`` ends before, UnusualError when the items are not as the standard has them.
    """
    try:
        return _sequence_end(data, start, syntax, implicit=implicit, depth=depth)
    except error:
        raise TooShortError from None


def _sequence_end(data: bytes, start: int, syntax: Syntax, *, implicit: bool, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise UnusualError("sequences nested too deep")
    position = start
    while True:
        group, element, length = syntax.implicit_head.unpack_from(data, position)
        tag = group << 16 | element
        position += 8
        if tag == SEQUENCE_DELIMITER:
            return position
        if tag != ITEM:
            raise UnusualError("no item where one should begin")
        if length:
            position = _item_end(data, position, length, syntax, implicit=implicit, depth=depth)


def is_vr(two: bytes) -> bool:
    """Whether two bytes could be a VR; where they could not, the element has implicit VR."""
    return len(two) == 2 and 0x40 < two[0] < 0x5B and 0x40 < two[1] < 0x5B


def _item_end(data: bytes, start: int, length: int, syntax: Syntax, *, implicit: bool, depth: int) -> int:
    """Index behind an item; with explicit VR its content may nevertheless be implicit (PS3.5 §6.2.2)."""
    implicit = implicit or not is_vr(data[start + 4 : start + 6])
    end = None if length == UNDEFINED_LENGTH else start + length
    position = start
    while end is None or position < end:
        tag, head, value_length, vr = _head(data, position, syntax, implicit=implicit)
        if tag == ITEM_DELIMITER and end is None and not value_length:
            return position + 8
        if tag >> 16 == DELIMITERS:
            raise UnusualError("a delimiter where none belongs")
        value = position + head
        if value_length == UNDEFINED_LENGTH:
            if not holds_items(tag, vr):
                raise UnusualError("undefined length of a value without items")
            position = _sequence_end(data, value, syntax, implicit=implicit, depth=depth + 1)
        else:
            position = value + value_length
            if tag == CHARACTER_SET and (vr not in (b"CS", b"") or data[value:position].rstrip() not in PLAIN_SETS):
                raise UnusualError("a character set within an item")
        if position > len(data):
            raise TooShortError
    if position != end:
        raise UnusualError("the elements of an item do not end where the item does")
    return position


def holds_items(tag: int, vr: bytes) -> bool:
    """Whether an element of undefined length is a sequence; ``vr`` is empty with implicit VR.

    Unknown elements (UN, or private ones with implicit VR) of undefined length are sequences (PS3.5 §6.2.2).
    """
    return vr in (b"SQ", b"UN") or (vr == b"" and _may_be_sequence(tag))


@lru_cache(maxsize=4096)
def _may_be_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return True


def _head(data: bytes, position: int, syntax: Syntax, *, implicit: bool) -> tuple[int, int, int, bytes]:
    """(tag, bytes before the value, length of the value, VR or nothing) of the element at ``position``."""
    group, element, length = syntax.implicit_head.unpack_from(data, position)
    tag = group << 16 | element
    if implicit or group == DELIMITERS:
        return tag, 8, length, b""
    _, _, vr, short_length = syntax.head.unpack_from(data, position)
    if vr in SHORT_VRS:
        return tag, 8, short_length, vr
    if vr in LONG_VRS:
        return tag, 12, syntax.length.unpack_from(data, position + 8)[0], vr
    raise UnusualError("an unknown VR")
