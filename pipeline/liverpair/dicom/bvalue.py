"""Find an MR frame's b-value in the private elements of the vendors."""

from __future__ import annotations

import re
import struct
from typing import Any, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from liverpair.dicom.attributes import PRIVATE_B_VALUE_TAGS
from liverpair.dicom.plain import finite_number

__all__ = ["PRIVATE_TAGS", "private_b_value"]

#: Private blocks a creator may reserve; scanners use the first few.
PRIVATE_BLOCKS: Final = range(0x10, 0x18)


def _private_tags() -> list[BaseTag]:
    tags = []
    for group, element, _ in PRIVATE_B_VALUE_TAGS:
        tags += [Tag(group, block) for block in PRIVATE_BLOCKS]
        tags += [Tag(group, (block << 8) | element) for block in PRIVATE_BLOCKS]
    return tags


#: A number as text (IS, DS), with the padding and the further values of GE; anything else of 4 or 8 bytes is binary.
WRITTEN: Final = re.compile(rb"[ \0]*[-+]?\d[\d.eE+-]*[ \0]*(?:\\[^\\]*)*")

#: The elements that may hold a b-value, and those that say whose they are.
PRIVATE_TAGS: Final = _private_tags()


def _raw_text(element: RawDataElement | DataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0").split("\\")
    if isinstance(value, (MultiValue, list, tuple)):
        return [str(part) for part in value]
    return [str(value)]


def _privatefinite_number(element: RawDataElement | DataElement, *, little_endian: bool) -> float | None:
    """First number of a private element, whether stored as text, as a binary float or as unknown bytes."""
    value = element.value
    if isinstance(value, bytes):
        if element.VR in (None, "UN", "FL", "FD", "OB") and not WRITTEN.fullmatch(value):
            order = "<" if little_endian or element.VR == "UN" else ">"  # UN is little endian (PS3.5 6.2.2)
            form = {4: "f", 8: "d"}.get(len(value))
            return finite_number(struct.unpack(order + form, value)[0]) if form else None
        if element.VR in ("FL", "FD"):
            order = "<" if little_endian else ">"
            form = {"FL": "f", "FD": "d"}[element.VR]
            width = struct.calcsize(form)
            return finite_number(struct.unpack(order + form, value[:width])[0]) if len(value) >= width else None
    return finite_number(_raw_text(element)[0])


def private_b_value(dataset: Dataset, header: dict[str, Any]) -> float | None:
    """The b-value in s/mm² from the vendors' private elements; None where there is none.

    GE adds an offset (10⁹, older releases 10⁶) to mark the encoding. GE and Philips write 0 on every image,
    so a private 0 counts only for an echo-planar acquisition.
    """
    # A data set made from another's elements does not know its byte order; only retired big endian files say False.
    little_endian = getattr(dataset, "is_little_endian", True) is not False
    for group, low, creator in PRIVATE_B_VALUE_TAGS:
        for block in PRIVATE_BLOCKS:
            tag = Tag(group, (block << 8) | low)
            if tag not in dataset or not _created_by(dataset, group, block, creator):
                continue
            number = _privatefinite_number(dataset.get_item(tag), little_endian=little_endian)
            if number is None or number < 0:
                continue
            b_value = number % 1_000_000 if group == 0x0043 else number
            if b_value > 0 or "EP" in header.get("ScanningSequence", ()) or group == 0x0019:
                return b_value
    return None


def _created_by(dataset: Dataset, group: int, block: int, creator: str) -> bool:
    """Whether the block is ``creator``'s; a missing creator element is forgiven in the first block."""
    tag = Tag(group, block)
    if tag not in dataset:
        return block == PRIVATE_BLOCKS[0]
    return _raw_text(dataset.get_item(tag))[0].strip().upper().startswith(creator.upper())
