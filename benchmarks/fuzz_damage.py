"""Damage sound files the way disks, networks, hands and malice do; the same draw always gives the same damage."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from benchmarks.fuzz_seeds import Seed

__all__ = ["Damage", "damaged", "suffix"]

UNDEFINED: Final = 0xFFFFFFFF
LONG_VRS: Final = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
VRS: Final = (*LONG_VRS, b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN")
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
NASTY_LENGTHS: Final = (0, 1, 3, 7, 255, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFF0, UNDEFINED)
NASTY_SHORTS: Final = (0, 1, 2, 3, 7, 12, 24, 33, 64, 255, 4096, 32767, 32768, 65535)
NASTY_TEXTS: Final = (
    b"", b" ", b"\\", b"\\\\\\\\", b"nan", b"inf", b"-1", b"0", b"1e308", b"-1e308", b"1e-320", b"9" * 40, b"1.2.3",
    b"1\\2", b"1\\2\\3", b"0\\0\\0\\0\\0\\0", b"1\\0\\0\\1\\0\\0", b"99999999", b"20261301", b"250000", b"240000",
    b"20260102101500.999999+9999", b"\xff\xfe\xfd", b"\x1b$B\x1b(B", b"\0\0\0\0", b"A" * 3000, b"1e5\\1e5\\1e5",
    b"0x10", b"PT", b"MR", b"CT", b"SEG", b"RTSTRUCT", b"YES", b"ISO_IR 192", b"ISO 2022 IR 87", b"BQML", b"GML",
    b"2147483648",
)  # fmt: skip
SYNTAXES: Final = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.100", "9.9", "",
)  # fmt: skip
#: Sequences are no longer multiplied in an object of so many items: damage costs time too.
MANY_ITEMS: Final = 100
#: Attributes whose value says how much memory to take or where a frame lies.
TELLING_TAGS: Final = (
    0x00280010, 0x00280011, 0x00280008, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280002, 0x00280004,
    0x00281053, 0x00281052, 0x00200032, 0x00200037, 0x00280030, 0x00180050, 0x00080060, 0x0020000E, 0x00080016,
    0x00080005, 0x00541001, 0x00541102, 0x00101030, 0x00080031, 0x00080032, 0x00180088, 0x00620002, 0x00280006,
)  # fmt: skip
#: Public sequences a reader walks into, where nesting hurts most.
NESTED_TAGS: Final = (0x00540016, 0x0040A730, 0x52009230, 0x52009229, 0x00081115, 0x00409096, 0x00291010, 0x30060039)


@dataclass(frozen=True, slots=True)
class Element:
    """Where one element of a little endian object lies: its tag, header and value."""

    tag: int
    start: int
    value: int
    end: int
    explicit: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file. ``cut`` is where a sound file was cut off, if nothing else was done to it, else -1."""

    content: bytes
    suffix: str
    what: str
    cut: int = -1


def _elements(data: bytes, limit: int = 4000) -> list[Element]:
    """The elements of an object at every depth, as far as they can be followed; sequences are walked into."""
    found: list[Element] = []
    at = 132 if data[128:132] == b"DICM" else 0
    start = at
    while at + 8 <= len(data) and len(found) < limit:
        group, number = struct.unpack_from("<HH", data, at)
        vr = data[at + 4 : at + 6]
        explicit = vr.isalpha() and vr.isupper() and group != 0xFFFE
        if explicit and vr not in LONG_VRS:
            length, value = struct.unpack_from("<H", data, at + 6)[0], at + 8
        elif explicit:
            if at + 12 > len(data):
                break
            length, value = struct.unpack_from("<I", data, at + 8)[0], at + 12
        else:
            length, value = struct.unpack_from("<I", data, at + 4)[0], at + 8
        inside = group == 0xFFFE or length == UNDEFINED or (explicit and vr == b"SQ")
        end = value if inside else value + length
        if end > len(data) or (group > 0x7FE0 and group != 0xFFFE):
            break
        found.append(Element(group << 16 | number, at, value, end, explicit))
        at = end
    return found if at > start else []


def _place(rng: random.Random, size: int, head: int) -> int:
    """An offset, mostly in the header."""
    return rng.randrange(max(1, min(size, head) if head and rng.random() < 0.8 else size))


def _bits(data: bytearray, rng: random.Random, head: int) -> None:
    for _ in range(rng.choice((1, 2, 8, 40))):
        if data:
            data[_place(rng, len(data), head)] ^= 1 << rng.randrange(8)


def _cut_piece(data: bytearray, rng: random.Random, head: int) -> None:
    at = _place(rng, len(data), head)
    del data[at : at + rng.choice((1, 2, 4, 8, 64, 1000))]


def _repeat_piece(data: bytearray, rng: random.Random, head: int) -> None:
    at = _place(rng, len(data), head)
    data[at:at] = data[at : at + rng.choice((1, 2, 4, 8, 64, 1000))]


def _overwrite(data: bytearray, rng: random.Random, head: int) -> None:
    """A block of zeros, ones or noise: a lost sector."""
    at, size = _place(rng, len(data), head), rng.choice((1, 4, 16, 512))
    filler = rng.choice((b"\0" * size, b"\xff" * size, rng.randbytes(size)))
    data[at : at + size] = filler[: max(0, len(data) - at)]


def _swap_pieces(data: bytearray, rng: random.Random, head: int) -> None:
    size = rng.choice((2, 4, 8, 64))
    a, b = sorted((_place(rng, len(data), head), _place(rng, len(data), head)))
    if b + size <= len(data) and a + size <= b:
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _truncate(data: bytearray, rng: random.Random, head: int) -> None:
    del data[rng.randrange(max(1, len(data))) :]


BYTE_DAMAGE: Final = (_bits, _bits, _cut_piece, _repeat_piece, _overwrite, _swap_pieces, _truncate)


def _pick(data: bytearray, rng: random.Random) -> Element | None:
    elements = _elements(bytes(data[:400_000]))
    if not elements:
        return None
    telling = [element for element in elements if element.tag in TELLING_TAGS]
    return rng.choice(telling if telling and rng.random() < 0.5 else elements)


def _length(data: bytearray, rng: random.Random, head: int) -> None:
    """A length field that lies."""
    element = _pick(data, rng)
    if element is None:
        return
    width = 2 if element.explicit and element.value - element.start == 8 else 4
    at = element.value - width
    old = int.from_bytes(data[at : at + width], "little")
    new = rng.choice((*NASTY_LENGTHS, old + 1, old + 2, max(0, old - 2), old * 2, len(data) - element.value))
    data[at : at + width] = (new & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def _vr(data: bytearray, rng: random.Random, head: int) -> None:
    element = _pick(data, rng)
    if element is not None and element.explicit:
        data[element.start + 4 : element.start + 6] = rng.choice((*VRS, b"??", b"\0\0", b"US", b"UI", b"ZZ"))


def _tag(data: bytearray, rng: random.Random, head: int) -> None:
    element = _pick(data, rng)
    if element is not None:
        tag = rng.choice((*TELLING_TAGS, *NESTED_TAGS, 0x7FE00010, 0x00020010, 0xFFFEE000, 0xFFFEE00D, 0, 0x00091001))
        data[element.start : element.start + 4] = struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _swap_elements(data: bytearray, rng: random.Random, head: int) -> None:
    elements = _elements(bytes(data[:400_000]))
    if len(elements) >= 2:
        a, b = sorted(rng.sample(elements, 2), key=lambda element: element.start)
        if a.end <= b.start:
            data[a.start : b.end] = data[b.start : b.end] + data[a.end : b.start] + data[a.start : a.end]


def _repeat_element(data: bytearray, rng: random.Random, head: int) -> None:
    element = _pick(data, rng)
    if element is not None:
        data[element.end : element.end] = data[element.start : element.end] * rng.choice((1, 1, 2, 500))


def _drop_element(data: bytearray, rng: random.Random, head: int) -> None:
    element = _pick(data, rng)
    if element is not None:
        del data[element.start : element.end]


def _value(data: bytearray, rng: random.Random, head: int) -> None:
    """A nasty value of a length that fits or, half of the time, with the length field made to fit."""
    element = _pick(data, rng)
    if element is None:
        return
    size = element.end - element.value
    if size in (2, 4) and rng.random() < 0.7:
        data[element.value : element.end] = struct.pack("<I", rng.choice(NASTY_SHORTS))[:size]
        return
    text = rng.choice(NASTY_TEXTS)
    text += b" " * (len(text) % 2)
    width = 2 if element.explicit and element.value - element.start == 8 else 4
    if rng.random() < 0.5 and size:
        text = (text * (size // max(1, len(text)) + 1))[:size] if text else b" " * size
    else:
        data[element.value - width : element.value] = len(text).to_bytes(width, "little")
    data[element.value : element.end] = text


def _delimiters(data: bytearray, rng: random.Random, head: int) -> None:
    """Delimiters where none belong, or taken away where they do."""
    mark = rng.choice((ITEM, ITEM_END, SEQUENCE_END))
    if rng.random() < 0.5:
        at = data.find(mark, _place(rng, len(data), head))
        if at >= 0:
            del data[at : at + 8]
        return
    element = _pick(data, rng)
    at = element.start if element else _place(rng, len(data), head)
    data[at:at] = mark + struct.pack("<I", rng.choice((0, 0, 8, UNDEFINED)))


def _nested(depth: int, tag: int, *, explicit: bool, undefined: bool) -> bytes:
    """A sequence in a sequence in a sequence."""
    name = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (b"SQ\0\0" if explicit else b"")
    if undefined:
        endless = struct.pack("<I", UNDEFINED)
        opened = (name + endless + ITEM + endless) * depth
        return opened + (ITEM_END + b"\0\0\0\0" + SEQUENCE_END + b"\0\0\0\0") * depth
    step = len(name) + 12
    parts = [
        name + struct.pack("<I", 8 + left * step) + ITEM + struct.pack("<I", left * step)
        for left in range(depth - 1, -1, -1)
    ]
    return b"".join(parts)


def _nest(data: bytearray, rng: random.Random, head: int) -> None:
    elements = [element for element in _elements(bytes(data[:400_000])) if element.tag >> 16 not in (2, 0xFFFE)]
    if elements:
        before = rng.choice(elements)
        depth = rng.choice((5, 60, 300, 1000, 5000))
        piece = _nested(depth, rng.choice(NESTED_TAGS), explicit=before.explicit, undefined=rng.random() < 0.5)
        cut = len(piece) if rng.random() < 0.8 else rng.randrange(len(piece))
        data[before.start : before.start] = piece[:cut]


def _syntax(data: bytearray, rng: random.Random, head: int) -> None:
    """Another transfer syntax than the bytes are in."""
    for element in _elements(bytes(data[:2000])):
        if element.tag == 0x00020010:
            text = rng.choice(SYNTAXES).encode()
            text += b"\0" * (len(text) % 2)
            data[element.value - 2 : element.end] = struct.pack("<H", len(text)) + text
            return


def _meta(data: bytearray, rng: random.Random, head: int) -> None:
    """Preamble, mark or group length of the meta information lost."""
    choice = rng.randrange(4)
    if choice == 0:
        del data[:128]
    elif choice == 1:
        del data[:132]
    elif choice == 2:
        data[128:132] = b"DOCM"
    else:
        data[140:144] = struct.pack("<I", rng.choice(NASTY_LENGTHS))


def _fragments(data: bytearray, rng: random.Random, head: int) -> None:
    """Items of compressed pixels: lengths, offset table, the first bytes of a stream, a fragment lost."""
    items: list[int] = []
    at = data.find(ITEM, head)
    while at >= 0 and len(items) < 40:
        items.append(at)
        at = data.find(ITEM, at + 8)
    if not items:
        _bits(data, rng, 0)
        return
    at = rng.choice(items)
    choice = rng.randrange(4)
    if choice == 0:
        data[at + 4 : at + 8] = struct.pack("<I", rng.choice((*NASTY_LENGTHS, 16, 4096)))
    elif choice == 1:
        data[at + 8 : at + 8] = struct.pack("<I", rng.choice(NASTY_LENGTHS))
    elif choice == 2:
        for _ in range(rng.choice((1, 3, 10))):
            place = min(len(data) - 1, at + 8 + rng.randrange(120))
            data[place] = rng.randrange(256)
    else:
        del data[at : items[items.index(at) + 1] if items[-1] != at else at + 500]


DICOM_DAMAGE: Final[tuple[Callable[[bytearray, random.Random, int], None], ...]] = (
    _length, _length, _length, _vr, _vr, _tag, _swap_elements, _repeat_element, _drop_element, _value, _value, _value,
    _delimiters, _delimiters, _nest, _syntax, _meta, _fragments,
)  # fmt: skip


def _items(dataset: Dataset, depth: int = 0) -> list[Dataset]:
    found = [dataset]
    if depth < 6:
        for element in dataset:
            if isinstance(element.value, Sequence):
                for item in element.value:
                    found += _items(item, depth + 1)
    return found


def _change_one(dataset: Dataset, rng: random.Random) -> None:
    """One attribute, at any depth, is removed, emptied, repeated or copied into another item; never the pixels."""
    items = _items(dataset)
    target = rng.choice(items)
    tags = [element.tag for element in target if element.tag != 0x7FE00010]
    if not tags:
        return
    tag = rng.choice(tags)
    element = target[tag]
    choice = rng.randrange(4)
    if choice == 0:
        del target[tag]
    elif choice == 1:
        element.value = Sequence() if element.VR == "SQ" else None
    elif choice == 2 and element.VR == "SQ" and element.value and len(items) < MANY_ITEMS:
        element.value = Sequence([*element.value, *element.value] * rng.choice((1, 20)))
    elif element.VR != "SQ":  # a sequence moved into itself would have no end
        rng.choice(items)[tag] = element


def _rearranged(content: bytes, rng: random.Random) -> bytes:
    """Well-formed nonsense: items and attributes missing, emptied, repeated or moved to another place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
            for _ in range(rng.choice((1, 1, 2, 4))):
                _change_one(dataset, rng)
            stream = io.BytesIO()
            dataset.save_as(stream)
        except Exception:  # noqa: BLE001 - what pydicom will not write is damaged in its bytes instead
            return content
    return stream.getvalue()


def _in_container(content: bytes, rng: random.Random) -> bytes:
    """A damaged file inside a sound ZIP."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr(zipfile.ZipInfo("a/1"), content)
    return stream.getvalue()


def suffix(seed: Seed) -> str:
    """The file name's ending that the seed's kind goes by; DICOM needs none."""
    if seed.kind == "nifti":
        return ".nii.gz" if seed.content[:2] == b"\x1f\x8b" else ".nii"
    return ".zip" if seed.kind == "archive" else ""


def damaged(seed: Seed, rng: random.Random) -> Damage:
    """One damaged copy of ``seed``."""
    if rng.random() < 0.05:
        cut = rng.randrange(len(seed.content))
        return Damage(seed.content[:cut], suffix(seed), "truncated", cut)
    is_dicom = seed.kind not in ("nifti", "archive")
    data, done = bytearray(seed.content), []
    if is_dicom and rng.random() < 0.12:
        data, done = bytearray(_rearranged(seed.content, rng)), ["rearranged"]
    head = seed.pixel_start or len(seed.content)
    for _ in range(rng.choice((0, 1, 1)) if done else rng.choice((1, 1, 1, 2, 4))):
        how = rng.choice(DICOM_DAMAGE if is_dicom and rng.random() < 0.7 else BYTE_DAMAGE)
        if data:
            how(data, rng, head)
            done.append(how.__name__.strip("_"))
    if bytes(data) == seed.content:
        _bits(data, rng, head)
        done.append("bits")
    content = bytes(data)
    if is_dicom and rng.random() < 0.03:
        return Damage(_in_container(content, rng), ".zip", " + ".join([*done, "zipped"]))
    return Damage(content, suffix(seed), " + ".join(done))
