"""A DICOM file from outside: its parts in memory, its meta information, its encoding (PS3.10 §7, PS3.5 §10)."""

from __future__ import annotations

import io
import re
import zlib
from functools import lru_cache
from typing import BinaryIO, Final

from liverpair.dicom.header_facts import decode_head
from liverpair.dicom.header_sequences import (
    LONG_VRS,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Syntax,
    UnusualError,
    is_vr,
)

__all__ = [
    "CHARACTER_SET",
    "DEFLATED",
    "FIRST_READ",
    "HEAD",
    "LARGEST_INFLATED",
    "NEXT_READ",
    "Part",
    "character_set",
    "file_size",
    "inflated",
    "meta_information",
    "pixel_end",
    "syntax_of",
]

#: The first read takes in the whole header of most images (3 to 12 KiB) at the price of one system call.
FIRST_READ: Final = 1 << 14
#: Later reads: behind a value of hundreds of kilobytes, or for a header that long.
NEXT_READ: Final = 1 << 16
#: A sequence or value that would take more than this in memory is no header of an image.
LARGEST_PART: Final = 1 << 26
#: A deflated data set that grows beyond this is left to the path that refuses bombs.
LARGEST_INFLATED: Final = 1 << 27
#: The longest head of an element.
HEAD: Final = 12
PREAMBLE: Final = 132

CHARACTER_SET: Final = 0x00080005
GROUP_LENGTH_BYTES: Final = 4
#: Elements of the meta information that the header takes over; the others only need to be well-formed.
META_KEYWORDS: Final = {0x00020010: "TransferSyntaxUID", 0x00020003: "SOPInstanceUID", 0x00020002: "SOPClassUID"}
META_LENGTH: Final = 0x00020000
#: What the standard and private senders put there (PS3.10 Table 7.1-1).
META_VRS: Final = ("OB", "UI", "SH", "AE", "UR")
META_GROUP: Final = b"\2\0"
PLAIN_UID: Final = re.compile(rb"([0-9.]+)[ \0]*")

IMPLICIT: Final = Syntax.of(implicit=True, little_endian=True)
EXPLICIT: Final = Syntax.of(implicit=False, little_endian=True)
BIG_ENDIAN: Final = Syntax.of(implicit=False, little_endian=False)
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
#: Every other one, all the encapsulated ones (§A.4) and the deflated one among them, is explicit little endian.
SYNTAXES: Final = {"1.2.840.10008.1.2": IMPLICIT, "1.2.840.10008.1.2.2": BIG_ENDIAN}


class Part:
    """The part of a file that is in memory: ``data``, which begins at byte ``base`` of ``size``."""

    __slots__ = ("_stream", "base", "data", "size")

    def __init__(self, stream: BinaryIO | None, data: bytes, size: int) -> None:
        self._stream = stream
        self.data = data
        self.base = 0
        self.size = size

    def left(self, position: int) -> int:
        """Bytes of the file from ``position`` (an index into ``data``, or beyond it) on."""
        return self.size - self.base - position

    def go_on(self, position: int, needed: int) -> None:
        """Read on: ``data`` then begins at ``position`` and holds ``needed`` bytes or reaches the file's end."""
        at_end = self.base + len(self.data) >= self.size
        if self._stream is None or at_end or needed > LARGEST_PART or self.left(position) < HEAD:
            raise UnusualError("the file ends within an element, or an element is too large")
        self.base += position
        self._stream.seek(self.base)
        self.data = self._stream.read(max(needed, NEXT_READ))
        if len(self.data) < min(needed, self.left(0)):
            raise UnusualError("the file has become shorter")


def file_size(stream: BinaryIO) -> int:
    stream.seek(0, io.SEEK_END)
    return stream.tell()


@lru_cache(maxsize=4096)
def _meta_head(head: bytes) -> tuple[str, int, int]:
    """(keyword or "", bytes before the value, bytes in all) of the element of group 0002 that begins like this."""
    tag, vr, start, length = decode_head(head, EXPLICIT)
    if length == UNDEFINED_LENGTH:
        raise UnusualError("meta information of undefined length")
    if (vr != "UL" or length != GROUP_LENGTH_BYTES) if tag == META_LENGTH else vr not in META_VRS:
        raise UnusualError("meta information that pydicom has to judge")
    keyword = META_KEYWORDS.get(tag, "")
    if keyword and vr != "UI":
        raise UnusualError("no UID in the meta information")
    return keyword if length else "", start, start + length


def meta_information(data: bytes) -> tuple[dict[str, str], int]:
    """What the File Meta Information adds to a header, and where the data set begins (PS3.10 §7.1)."""
    position = PREAMBLE if data[128:PREAMBLE] == b"DICM" else 0
    found: dict[str, str] = {}
    while data[position : position + 2] == META_GROUP:
        keyword, start, length = _meta_head(data[position : position + HEAD])
        if keyword:
            uid = PLAIN_UID.fullmatch(data, position + start, position + length)
            if uid is None:
                raise UnusualError("no UID in the meta information")
            found[keyword] = uid[1].decode("ascii")
        position += length
    if position > len(data):
        raise UnusualError("meta information longer than what was read")
    return {keyword: found[keyword] for keyword in META_KEYWORDS.values() if keyword in found}, position


def syntax_of(uid: str | None, start: bytes) -> Syntax:
    """The encoding that a transfer syntax names; without one, the one that the first element shows."""
    vr = start[4:6]
    if start[:2] == b"\0\0":
        raise UnusualError("a command set at the start")
    if uid is None:
        # Only big endian puts a group below 0400H in bytes that read as 0400H or more.
        explicit = BIG_ENDIAN if int.from_bytes(start[:2], "little") >= 0x0400 else EXPLICIT
        found = explicit if vr in SHORT_VRS or vr in LONG_VRS else IMPLICIT
    else:
        found = SYNTAXES.get(uid, EXPLICIT)
    if len(start) >= HEAD and is_vr(vr) == found.implicit:
        raise UnusualError("the encoding is not the one that the transfer syntax names")
    return found


def inflated(stream: BinaryIO, start: int) -> bytes:
    """The deflated data set that begins at byte ``start`` of the file (PS3.5 §A.5)."""
    stream.seek(start)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(stream.read(LARGEST_INFLATED), LARGEST_INFLATED)
    except zlib.error as error:
        raise UnusualError("the deflated data set is damaged") from error
    if not inflater.eof:
        raise UnusualError("the deflated data set is cut or too large")
    return data


def pixel_end(part: Part, position: int, syntax: Syntax) -> int:
    """Where Pixel Data, whose head is at ``position``, says it ends; 0 where it does not say."""
    _, vr, start, length = decode_head(part.data[position : position + HEAD], syntax)
    if not syntax.implicit and vr.encode() not in LONG_VRS:
        raise UnusualError("pixels of an unknown kind")
    return 0 if length == UNDEFINED_LENGTH else position + start + length


def character_set(data: bytes, position: int, syntax: Syntax) -> tuple[int, bytes, bytes]:
    """(index behind it, the element, its value) of Specific Character Set; nothing may come before but lengths."""
    while len(data) - position >= HEAD:
        tag, vr, start, length = decode_head(data[position : position + HEAD], syntax)
        if tag >= CHARACTER_SET:
            break
        if tag & 0xFFFF > 1 or length != GROUP_LENGTH_BYTES:
            raise UnusualError("an element before the character set")
        position += start + length
    else:
        return position, b"", b""
    end = position + start + length
    if tag != CHARACTER_SET:
        return position, b"", b""
    if vr not in ("", "CS") or end > len(data):
        raise UnusualError("a character set that pydicom has to judge")
    return end, data[position:end], data[position + start : end]
