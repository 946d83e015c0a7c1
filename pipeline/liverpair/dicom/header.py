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

from dataclasses import dataclass, field
from struct import error as StructError  # noqa: N812 - it is struct's exception, and "error" says nothing here
from typing import Any, BinaryIO, Final, NamedTuple

from liverpair.dicom.age import birth_date_to_age
from liverpair.dicom.frames import IMAGE_MODALITIES
from liverpair.dicom.header_facts import CONTEXTUAL, Facts, Pending, decode_head
from liverpair.dicom.header_file import (
    CHARACTER_SET,
    DEFLATED,
    FIRST_READ,
    HEAD,
    NEXT_READ,
    Part,
    character_set,
    file_size,
    inflated,
    meta_information,
    pixel_end,
    syntax_of,
)
from liverpair.dicom.header_runs import ACTIONS, GROUPS, KEY, PIXELS, PRIVATE, Kind, Stretch
from liverpair.dicom.header_sequences import (
    DELIMITERS,
    UNDEFINED_LENGTH,
    Syntax,
    TooShortError,
    UnusualError,
    holds_items,
    sequence_end,
)

__all__ = ["FIRST_READ", "Scanner"]

MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
#: Series remembered at a time, each with about 30 KB; the oldest is forgotten first.
KINDS_REMEMBERED: Final = 200
#: Character sets and encodings remembered at a time, and heads of elements for each.
FACTS_REMEMBERED: Final = 16
HEADS_REMEMBERED: Final = 10_000
#: What to do with an unwanted element whose length must be looked for.
SKIPPED: Final = "Skipped"
#: The length of an element that ends beyond what is in memory and does not say where.
UNKNOWN: Final = -1
#: (0020,000E) Series Instance UID as it begins in little and in big endian.
SERIES_UID: Final = (b"\x20\0\x0e", b"\0\x20\0\x0e")
#: Its head and its value, at most 64 characters, and maybe some bytes of what follows.
SERIES_UID_BYTES: Final = 72


class Head(NamedTuple):
    """What the first eight bytes of an element say.

    ``length`` counts head and value. Where the eight bytes do not tell it, ``vr`` is set (empty with implicit
    VR) and ``action`` is not None.
    """

    tag: int
    length: int
    action: str | None
    vr: bytes | None


@dataclass(slots=True)
class Found:
    """One file's wanted attributes so far; ``private`` holds elements of private blocks by tag."""

    facts: dict[str, Any]
    last_tag: int
    private: dict[int, bytes] = field(default_factory=dict)


class Scanner:
    """Reads headers one after the other and remembers what they share.

    Not more than a few megabytes are remembered. Objects in the headers that come back (lists, nested items) are
    shared between files: they are read-only.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[Facts, bytes], Kind] = {}
        self._facts: dict[tuple[bool, bool, bytes], Facts] = {}

    def read(self, stream: BinaryIO, start: bytes) -> dict[str, Any] | None:
        """The header of the object in ``stream``, of which ``start`` are the first bytes; None for pydicom.

        None also for whatever would be refused: only what is whole and plain is answered here.
        """
        try:
            return self._read(stream, start)
        except (UnusualError, TooShortError, StructError):
            return None

    def _read(self, stream: BinaryIO, start: bytes) -> dict[str, Any]:
        stored, position = meta_information(start)
        uid = stored.get("TransferSyntaxUID")
        if stored.get("SOPClassUID") == MEDIA_DIRECTORY:
            raise UnusualError("a list of files")
        if uid == DEFLATED:
            data = inflated(stream, position)
            part, position = Part(None, data, len(data)), 0
        else:
            part = Part(stream, start, file_size(stream))
        syntax = syntax_of(uid, part.data[position : position + HEAD])
        position, content, charset = character_set(part.data, position, syntax)
        kind = self._kind(part.data, position, self._facts_of(syntax, charset))
        found = Found(stored, CHARACTER_SET if content else -1)
        if content:
            _take("SpecificCharacterSet", CHARACTER_SET, content, kind.facts, found)
        position = _walk(part, position, kind, found)
        if uid != DEFLATED and part.left(position) and pixel_end(part, position, syntax) > part.left(0):
            raise UnusualError("the file ends within its pixels")
        return _finished(kind, found)

    def _facts_of(self, syntax: Syntax, character_set: bytes) -> Facts:
        key = (syntax.implicit, syntax.little_endian, character_set)
        facts = self._facts.get(key)
        if facts is None:
            if len(self._facts) >= FACTS_REMEMBERED:
                self._facts.clear()
                self._kinds.clear()
            facts = self._facts[key] = Facts(syntax, character_set)
        return facts

    def _kind(self, data: bytes, position: int, facts: Facts) -> Kind:
        """What is remembered of this file's series.

        The series is recognised by what looks like its UID. That may be wrong, and then only costs time.
        """
        syntax = facts.syntax
        at = data.find(SERIES_UID[0 if syntax.little_endian else 1], position)
        key = (facts, data[at : at + SERIES_UID_BYTES] if at >= 0 else b"")
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS_REMEMBERED:
                self._kinds.pop(next(iter(self._kinds)))
            kind = self._kinds[key] = Kind(facts)
        return kind


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
            stretches.append(Stretch(part.data, ends))
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
    one loop that has to be fast, so it calls next to nothing for elements that are stepped over.
    """
    data, size, known = part.data, len(part.data), kind.facts
    find_run = None if kind.learning else kind.runs.get
    find_head = known.heads.get
    last = found.last_tag
    while True:
        key = data[position : position + KEY]
        if find_run is not None:
            run = find_run(key)
            if run is not None and last < run.first_tag and data.startswith(run.content, position):
                found.facts.update(run.facts)
                found.private.update(run.private)
                last = run.last_tag
                position += len(run.content)
                continue
        head = find_head(key)
        if head is None:
            if position > size - HEAD:
                found.last_tag = last
                return position, HEAD if part.left(position) else 0
            head = _head(data, position, known)
        tag, length, action, vr = head
        if tag <= last:
            raise UnusualError("tags do not ascend")
        if action is not None:
            found.last_tag = last
            if action is PIXELS:
                return position, 0
            if vr is not None:
                length = _length(data, position, tag, vr, known.syntax)
                if length == UNKNOWN:
                    return position, 2 * size + NEXT_READ
            if action is GROUPS:
                _refuse_frames(found)
            elif action is not SKIPPED:
                if position + length > size:
                    return position, length
                _take(action, tag, data[position : position + length], known, found)
        marks.append(position)
        last = tag
        position += length


def _head(data: bytes, position: int, known: Facts) -> Head:
    """The head of the element at ``position``; remembered if its first eight bytes say it all."""
    tag, vr, start, length = decode_head(data[position : position + HEAD], known.syntax)
    if tag >> 16 == DELIMITERS:
        raise UnusualError("a delimiter where none belongs")
    action = ACTIONS.get(tag)
    if start > KEY or length == UNDEFINED_LENGTH:
        head = Head(tag, 0, SKIPPED if action is None else action, vr.encode())
    else:
        head = Head(tag, start + length, action, None)
    if len(known.heads) >= HEADS_REMEMBERED:
        known.heads.clear()
    known.heads[data[position : position + KEY]] = head
    return head


def _length(data: bytes, position: int, tag: int, vr: bytes, syntax: Syntax) -> int:
    """Bytes of an element, head and all, whose first eight bytes do not say it; UNKNOWN where it ends beyond ``data``
    and does not say where."""
    _, _, start, length = decode_head(data[position : position + HEAD], syntax)
    if length != UNDEFINED_LENGTH:
        return start + length
    if not holds_items(tag, vr) or ACTIONS.get(tag) is PRIVATE:
        raise UnusualError("undefined length of a value without items")
    try:
        return sequence_end(data, position + start, syntax, implicit=syntax.implicit) - position
    except TooShortError:
        return UNKNOWN


def _refuse_frames(found: Found) -> None:
    """Leave images whose frames are described by functional groups (PS3.3 §C.7.6.16) to pydicom."""
    if found.facts.get("Modality") in IMAGE_MODALITIES:
        raise UnusualError("functional groups describe the frames")


def _take(action: str, tag: int, content: bytes, known: Facts, found: Found) -> None:
    """Note what the element with these bytes says."""
    if action is PRIVATE:
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
    return birth_date_to_age(facts)
