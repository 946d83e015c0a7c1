"""Read the wanted attributes of one DICOM file at the speed of the disk: a scanner for the part we need.

A file (PS3.10 §7.1) is a preamble of 128 bytes and ``DICM``, both of which older exports lack; the File Meta
Information, group 0002, always explicit VR little endian, which names the transfer syntax; and the data set, a run
of elements in ascending order of their tags (PS3.5 §7.1). An element is a tag of 2 + 2 bytes, with explicit VR its
type of two letters, a length of 2 or 4 bytes (PS3.5 Tables 7.1-1 to 7.1-3), and the value::

    08 00 60 00 | C S | 02 00 | M R            explicit, short      (0008,0060) Modality
    e0 7f 10 00 | O W | 00 00 | 00 80 00 00    explicit, long       (7FE0,0010) Pixel Data, 32768 bytes
    08 00 60 00 | 02 00 00 00 | M R            implicit             (PS3.5 §A.1)

So a reader steps from head to head, and what it does not want, private blocks (§7.8) and nested sequences
included, it steps over without a look. Only a sequence whose length is undefined (§7.5) has to be entered to find
its end (``header_sequences``). Big endian (§A.3, retired) turns the numbers round; a deflated data set (§A.5) is
inflated first. At Pixel Data the walk ends: its length is held against the size of the file, its bytes are never
read.

**What makes it fast is that neighbours are alike.** Of the 250 elements of a slice some 25 differ from those of the
slice before. Elements that two files in a row had in common, byte by byte, form a *run*; where a run's bytes occur
again at an element's boundary, the same elements follow, with the same values, and one comparison of memory
replaces fifty steps. That is no guess: a run's meaning depends on its bytes, on the encoding and on the character
set, and runs are kept apart by both of these. A run that no longer fits is simply not used, and after a change of
series two files are enough to learn the new runs.

**What is unusual is left to pydicom**: ``Scanner.read`` then gives None. That is every header whose tags do not
ascend, whose VRs are unknown or contradict the transfer syntax, whose lengths leave the file, command sets
(group 0000), private transfer syntaxes, and multi-frame images, whose functional groups are flattened elsewhere.
Whatever comes back otherwise equals, value by value, what pydicom gives; the tests hold the two against each
other on pydicom's own files, on real ones, on random data sets and on damaged bytes.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from struct import error as StructError  # noqa: N812 - it is struct's exception, and "error" says nothing here
from typing import Any, BinaryIO, Final

from liverpair.dicom.frames import IMAGE_MODALITIES
from liverpair.dicom.header_facts import CONTEXTUAL, Facts, Pending, decode_head
from liverpair.dicom.header_runs import ACTIONS, GROUPS, KEY, PIXELS, PRIVATE, Kind
from liverpair.dicom.header_sequences import (
    LONG_VRS,
    SHORT_VRS,
    UNDEFINED_LENGTH,
    Syntax,
    TooShortError,
    UnusualError,
    holds_items,
    is_vr,
    sequence_end,
)

__all__ = ["FIRST_READ", "Scanner"]

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
#: Elements of the meta information that the header takes over, and those that only need to be well-formed.
META_KEYWORDS: Final = {0x0010: "TransferSyntaxUID", 0x0003: "SOPInstanceUID", 0x0002: "SOPClassUID"}
META_LENGTH: Final = 0x0000
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
PLAIN_UID: Final = re.compile(rb"([0-9.]+)[ \0]*")

IMPLICIT: Final = Syntax.of(implicit=True, little_endian=True)
EXPLICIT: Final = Syntax.of(implicit=False, little_endian=True)
BIG_ENDIAN: Final = Syntax.of(implicit=False, little_endian=False)
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
SYNTAXES: Final = {
    "1.2.840.10008.1.2": IMPLICIT,
    "1.2.840.10008.1.2.1": EXPLICIT,
    "1.2.840.10008.1.2.2": BIG_ENDIAN,
    DEFLATED: EXPLICIT,
}
#: Encapsulated syntaxes, all explicit little endian (PS3.5 §A.4), are the standard's own.
STANDARD_ROOT: Final = "1.2.840.10008.1.2.4"

#: Kinds of object remembered at a time; beyond that all are forgotten and learned again.
KINDS_REMEMBERED: Final = 32


@dataclass(slots=True)
class Found:
    """One file's wanted attributes so far; ``private`` holds elements of private blocks by tag."""

    facts: dict[str, Any]
    last_tag: int
    private: dict[int, bytes] = field(default_factory=dict)


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


def _size(stream: BinaryIO) -> int:
    stream.seek(0, io.SEEK_END)
    return stream.tell()


def _meta(data: bytes) -> tuple[dict[str, str], int]:
    """What the File Meta Information adds to a header, and where the data set begins (PS3.10 §7.1)."""
    position = PREAMBLE if data[128:PREAMBLE] == b"DICM" else 0
    found: dict[str, str] = {}
    first = True
    while data[position : position + 2] == b"\2\0":
        tag, vr, start, length = decode_head(data[position : position + HEAD], EXPLICIT)
        value = data[position + start : position + start + length]
        if len(value) < length or length == UNDEFINED_LENGTH:
            raise UnusualError("meta information longer than what was read")
        element = tag & 0xFFFF
        if element == META_LENGTH:
            if vr != "UL" or length != 4:
                raise UnusualError("no length of the meta information")
        elif first and vr not in ("OB", "UI"):
            raise UnusualError("meta information that pydicom has to judge")
        keyword = META_KEYWORDS.get(element)
        if keyword and length:
            uid = PLAIN_UID.fullmatch(value)
            if uid is None or vr != "UI":
                raise UnusualError("no UID in the meta information")
            found[keyword] = uid[1].decode("ascii")
        first = False
        position += start + length
    return {keyword: found[keyword] for keyword in META_KEYWORDS.values() if keyword in found}, position


def _syntax(uid: str | None, start: bytes) -> Syntax:
    """The encoding that a transfer syntax names; without one, the one that the first element shows."""
    vr = start[4:6]
    if start[:2] in (b"\0\0", b"\xfe\xff", b"\xff\xfe"):
        raise UnusualError("a command set or an item at the start")
    if uid is None:
        # Only big endian puts a group below 0400H in bytes that read as 0400H or more.
        explicit = BIG_ENDIAN if int.from_bytes(start[:2], "little") >= 0x0400 else EXPLICIT
        found = explicit if vr in SHORT_VRS or vr in LONG_VRS else IMPLICIT
    elif uid in SYNTAXES:
        found = SYNTAXES[uid]
    elif uid.startswith(STANDARD_ROOT):
        found = EXPLICIT
    else:
        raise UnusualError("a transfer syntax that pydicom has to judge")
    if len(start) >= HEAD and is_vr(vr) == found.implicit:
        raise UnusualError("the encoding is not the one that the transfer syntax names")
    return found


def _inflated(stream: BinaryIO, start: int) -> bytes:
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


def _pixel_end(part: Part, position: int, syntax: Syntax) -> int:
    """Where Pixel Data, whose head is at ``position``, says it ends; 0 where it does not say."""
    _, vr, start, length = decode_head(part.data[position : position + HEAD], syntax)
    if not syntax.implicit and vr.encode() not in LONG_VRS:
        raise UnusualError("pixels of an unknown kind")
    return 0 if length == UNDEFINED_LENGTH else position + start + length


class Scanner:
    """Reads headers one after the other and remembers what they share.

    Not more than a few megabytes are remembered. Objects in the headers that come back (lists, nested items) are
    shared between files: they are read-only.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, bool, bool, bytes], Kind] = {}

    def read(self, stream: BinaryIO, start: bytes) -> dict[str, Any] | None:
        """The header of the object in ``stream``, of which ``start`` are the first bytes; None for pydicom.

        None also for whatever would be refused: only what is whole and plain is answered here.
        """
        try:
            return self._read(stream, start)
        except (UnusualError, TooShortError, StructError):
            return None

    def _read(self, stream: BinaryIO, start: bytes) -> dict[str, Any]:
        stored, position = _meta(start)
        uid = stored.get("TransferSyntaxUID")
        if stored.get("SOPClassUID") == MEDIA_DIRECTORY:
            raise UnusualError("a list of files")
        if uid == DEFLATED:
            data = _inflated(stream, position)
            part, position = Part(None, data, len(data)), 0
        else:
            part = Part(stream, start, _size(stream))
        syntax = _syntax(uid, part.data[position : position + HEAD])
        position, content, character_set = _character_set(part.data, position, syntax)
        kind = self._kind(stored.get("SOPClassUID", ""), syntax, character_set)
        found = Found(stored, CHARACTER_SET if content else -1)
        if content:
            _take("SpecificCharacterSet", CHARACTER_SET, content, kind.facts, found)
        position = _walk(part, position, kind, found)
        if uid != DEFLATED and part.left(position) and _pixel_end(part, position, syntax) > part.left(0):
            raise UnusualError("the file ends within its pixels")
        return _finished(kind, found)

    def _kind(self, storage: str, syntax: Syntax, character_set: bytes) -> Kind:
        key = (storage, syntax.implicit, syntax.little_endian, character_set)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS_REMEMBERED:
                self._kinds.clear()
            kind = self._kinds[key] = Kind(Facts(syntax, character_set))
        return kind


def _character_set(data: bytes, position: int, syntax: Syntax) -> tuple[int, bytes, bytes]:
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


def _walk(part: Part, position: int, kind: Kind, found: Found) -> int:
    """Walk to Pixel Data or to the end of the file, reading on where needed; the index reached in ``part.data``."""
    learning, steps = kind.learning, 0
    stretches = []
    while True:
        marks: list[int] = []
        position, needed = _walk_part(part, position, kind, found, marks)
        steps += len(marks)
        if learning:
            ends = [*marks, position] if position <= len(part.data) else marks
            stretches.append([part.data[start:end] for start, end in pairwise(ends)])
        if not needed:
            break
        part.go_on(position, needed)
        position = 0
    if learning:
        kind.learn(stretches)
    else:
        kind.count(steps)
    return position


def _walk_part(part: Part, position: int, kind: Kind, found: Found, marks: list[int]) -> tuple[int, int]:
    """Walk through what is in memory, noting in ``marks`` where the elements begin that no run covered.

    Gives (index reached, bytes from there that must be in memory to go on: 0 where the walk is over). This is the
    one loop that has to be fast, so it calls nothing for elements that are stepped over.
    """
    data, size, syntax = part.data, len(part.data), kind.facts.syntax
    implicit, unpack = syntax.implicit, syntax.unpack
    find_run = kind.find_run()
    last = found.last_tag
    while True:
        run = find_run(data[position : position + KEY])
        if run is not None and last < run.first_tag and data.startswith(run.content, position):
            found.facts.update(run.facts)
            found.private.update(run.private)
            last = run.last_tag
            position += len(run.content)
            continue
        found.last_tag = last
        if position > size - HEAD:
            return position, HEAD if part.left(position) else 0
        if implicit:
            group, element, length = unpack(data, position)
            vr, value = b"", position + 8
        else:
            group, element, vr, length = unpack(data, position)
            value = position + 8
            if vr in LONG_VRS:
                (length,) = syntax.length.unpack_from(data, value)
                value += 4
            elif vr not in SHORT_VRS:
                raise UnusualError("an unknown VR")
        tag = group << 16 | element
        if tag <= last:
            raise UnusualError("tags do not ascend")
        action = ACTIONS.get(tag)
        if action is None and length != UNDEFINED_LENGTH:
            end = value + length
        elif action is PIXELS:
            return position, 0
        else:
            end = _end(data, tag, vr, value, length, syntax)
            if end > size:
                return position, end - position
            if action is not None:
                _take(action, tag, data[position:end], kind.facts, found)
        marks.append(position)
        last = tag
        position = end


def _end(data: bytes, tag: int, vr: bytes, value: int, length: int, syntax: Syntax) -> int:
    """Index behind an element; beyond ``data`` where more must be read to tell."""
    if length != UNDEFINED_LENGTH:
        return value + length
    if not holds_items(tag, vr):
        raise UnusualError("undefined length of a value without items")
    try:
        return sequence_end(data, value, syntax, implicit=syntax.implicit)
    except TooShortError:
        return 2 * len(data) + NEXT_READ


def _take(action: str, tag: int, content: bytes, known: Facts, found: Found) -> None:
    """Note what the element with these bytes says."""
    if action is GROUPS:
        if found.facts.get("Modality") in IMAGE_MODALITIES:
            raise UnusualError("functional groups describe the frames")
    elif action is PRIVATE:
        found.private[tag] = content
    else:
        keyword, value = known.known(content) or known.fact(content)
        if value is not None:
            found.facts[keyword] = value


def _finished(kind: Kind, found: Found) -> dict[str, Any]:
    """The header, with everything in it that depends on more than one element."""
    facts = found.facts
    for keyword in CONTEXTUAL:
        value = facts.get(keyword)
        if type(value) is Pending:
            value = kind.facts.resolve(value, facts.get("PixelRepresentation"))
            if value is None:
                del facts[keyword]
            else:
                facts[keyword] = value
    modality = facts.get("Modality")
    if modality in IMAGE_MODALITIES and facts.get("NumberOfFrames", 1) != 1:
        raise UnusualError("an image of several frames")
    if modality == "MR" and "DiffusionBValue" not in facts and found.private:
        b_value = kind.b_value(found.private, facts)
        if b_value is not None:
            facts["DiffusionBValue"] = b_value
    return facts
