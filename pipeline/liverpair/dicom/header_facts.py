"""Turn the bytes of one wanted element into its keyword and plain value, and remember both for the next file.

The value of an element follows from its bytes, the way they are encoded and the character set; those three are
the key under which it is remembered. Only sequences and attributes that are "US or SS" in PS3.6 depend on one
element more, Pixel Representation (PS3.5 §A.1); they are kept as ``Pending`` until it is known.

What is not plain ASCII text or a plain number is handed to pydicom as a data set of that one element, so there is
no second opinion on character sets, unknown VRs or nested items.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.values import convert_string

from liverpair.dicom.header_sequences import LONG_VRS, SHORT_VRS, UNDEFINED_LENGTH, Syntax, UnusualError
from liverpair.dicom.plain import (
    KEYWORD_OF_TAG,
    MANY_VALUED,
    VR_OF_TAG,
    as_the_dictionary_says,
    element_value,
    quick_values,
    shaped,
)

__all__ = ["CONTEXTUAL", "Fact", "Facts", "Pending", "decode_head"]

#: Wanted attributes whose value may depend on Pixel Representation.
CONTEXTUAL: Final = frozenset(KEYWORD_OF_TAG[tag] for tag, vr in VR_OF_TAG.items() if vr == "SQ" or " or " in vr)
CONTEXTUAL_TAGS: Final = frozenset(tag for tag, keyword in KEYWORD_OF_TAG.items() if keyword in CONTEXTUAL)
CHARACTER_SET: Final = 0x00080005
PIXEL_REPRESENTATION: Final = 0x00280103
PIXEL_REPRESENTATION_BYTES: Final = 2
#: Values remembered at a time, some 300 bytes each, and sequences. What has been forgotten is worked out again.
REMEMBERED: Final = 10_000
SEQUENCES_REMEMBERED: Final = 1000
#: Longer values and sequences are worked out anew: they would fill the memory and hardly repeat.
LONGEST_REMEMBERED: Final = 1 << 10
LONGEST_SEQUENCE_REMEMBERED: Final = 1 << 14

#: Where the value begins after every head but the long ones of explicit VR.
PLAIN_START: Final = 8

#: A wanted element's keyword and plain value: None where it is empty or cannot be understood, ``Pending`` where it
#: depends on more than its own bytes.
Fact = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """The bytes of an element whose value depends on an element that comes later."""

    content: bytes


def decode_head(content: bytes, syntax: Syntax) -> tuple[int, str, int, int]:
    """(tag, VR or "", bytes before the value, stated length) of the element whose bytes begin with ``content``."""
    if syntax.implicit:
        group, element, length = syntax.implicit_head.unpack_from(content, 0)
        return group << 16 | element, "", 8, length
    group, element, vr, length = syntax.head.unpack_from(content, 0)
    if vr in LONG_VRS:
        return group << 16 | element, vr.decode("ascii"), 12, syntax.length.unpack_from(content, 8)[0]
    if vr not in SHORT_VRS:
        raise UnusualError("an unknown VR")
    return group << 16 | element, vr.decode("ascii"), 8, length


def _encodings(character_set: bytes) -> str | list[str]:
    """pydicom's names of the character sets; ``character_set`` is the value of (0008,0005)."""
    if not character_set:
        return default_encoding
    try:
        return list(convert_encodings(convert_string(character_set, is_little_endian=True)))
    except Exception as error:
        raise UnusualError("a character set that pydicom has to judge") from error


class Facts:
    """The facts that wanted elements state under one encoding and one character set."""

    def __init__(self, syntax: Syntax, character_set: bytes) -> None:
        self.syntax = syntax
        self._character_set = character_set
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._encodings = _encodings(character_set)
        self._little_endian = syntax.little_endian
        self._facts: dict[bytes, Fact] = {}
        self._plans: dict[bytes, tuple[str, str, bool]] = {}
        self._resolved: dict[tuple[bytes, Any], Any] = {}
        #: Heads of elements by their first eight bytes, as ``header`` decodes them.
        self.heads: dict[bytes, Any] = {}
        #: The fact remembered for an element's bytes, if any: the look-up that every file repeats most often.
        self.known = self._facts.get

    def fact(self, content: bytes) -> Fact:
        """The fact that the wanted element states whose bytes, from tag to last byte, are ``content``."""
        found = self._plain_fact(content)
        if found is None:
            tag, vr, start, length = decode_head(content, self.syntax)
            found = (KEYWORD_OF_TAG[tag], self._value(content, tag, vr, start, length))
            plain = tag not in CONTEXTUAL_TAGS and tag != PIXEL_REPRESENTATION and vr in ("", VR_OF_TAG[tag])
            if plain and length and start == PLAIN_START:
                self._plans[content[:PLAIN_START]] = (KEYWORD_OF_TAG[tag], VR_OF_TAG[tag], tag in MANY_VALUED)
        if len(content) <= LONGEST_REMEMBERED:
            if len(self._facts) >= REMEMBERED:
                self._facts.clear()
                self._plans.clear()
            self._facts[content] = found
        return found

    def _plain_fact(self, content: bytes) -> Fact | None:
        """The fact, where an element with the same head has been met whose VR is the dictionary's."""
        plan = self._plans.get(content[:PLAIN_START])
        if plan is None:
            return None
        keyword, vr, many = plan
        values = quick_values(content[PLAIN_START:], vr, little_endian=self._little_endian)
        if values is None:
            return None
        if many or len(values) != 1:
            return keyword, shaped(values, vr, many=many)
        return keyword, values[0]

    def _value(self, content: bytes, tag: int, vr: str, start: int, length: int) -> Any:
        if length == 0:
            return None
        if tag == PIXEL_REPRESENTATION and (length != PIXEL_REPRESENTATION_BYTES or vr not in ("", "US")):
            raise UnusualError("Pixel Representation is no US")
        contextual = tag in CONTEXTUAL_TAGS
        if length == UNDEFINED_LENGTH or vr == "SQ" or (contextual and vr in ("", "UN")):
            if not contextual:
                raise UnusualError("a sequence where the dictionary has none")
            return Pending(content)
        known_vr = vr or VR_OF_TAG[tag]
        values = quick_values(content[start:], known_vr, little_endian=self.syntax.little_endian)
        if values is not None:
            return as_the_dictionary_says(shaped(values, known_vr, many=tag in MANY_VALUED), tag)
        return self._judged(content, tag, None)

    def resolve(self, pending: Pending, pixel_representation: int | None) -> Any:
        """The plain value of an element that depends on Pixel Representation; None where it has none."""
        key = (pending.content, pixel_representation)
        if key in self._resolved:
            return self._resolved[key]
        tag = decode_head(pending.content, self.syntax)[0]
        value = self._judged(pending.content, tag, pixel_representation)
        if len(pending.content) <= LONGEST_SEQUENCE_REMEMBERED:
            if len(self._resolved) >= SEQUENCES_REMEMBERED:
                self._resolved.clear()
            self._resolved[key] = value
        return value

    def private(self, contents: Mapping[int, bytes]) -> Dataset:
        """The private elements as a data set; their bytes by tag."""
        return self._dataset([self._raw(content) for content in contents.values()])

    def _judged(self, content: bytes, tag: int, pixel_representation: int | None) -> Any:
        """The value as pydicom has it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            elements = [self._raw(content)]
            if pixel_representation is not None:
                raw = pixel_representation.to_bytes(PIXEL_REPRESENTATION_BYTES, "little")
                elements.append(
                    self._element(PIXEL_REPRESENTATION, "US", raw if self.syntax.little_endian else raw[::-1])
                )
            if self._character_set:
                elements.append(self._element(CHARACTER_SET, "CS", self._character_set))
            try:
                return element_value(self._dataset(elements), BaseTag(tag), many=tag in MANY_VALUED)
            except Exception as error:
                raise UnusualError("a value that pydicom has to judge") from error

    def _dataset(self, elements: list[RawDataElement | DataElement]) -> Dataset:
        dataset = Dataset({element.tag: element for element in elements})
        dataset.set_original_encoding(self.syntax.implicit, self.syntax.little_endian, self._encodings)
        return dataset

    def _raw(self, content: bytes) -> RawDataElement | DataElement:
        tag, vr, start, length = decode_head(content, self.syntax)
        if length == UNDEFINED_LENGTH:
            return self._sequence(tag, content[start:])
        return self._element(tag, vr or None, content[start:])

    def _element(self, tag: int, vr: str | None, value: bytes) -> RawDataElement:
        if self.syntax.implicit:
            vr = None
        return RawDataElement(BaseTag(tag), vr, len(value), value, 0, self.syntax.implicit, self.syntax.little_endian)

    def _sequence(self, tag: int, items: bytes) -> DataElement:
        """A sequence of undefined length, which pydicom's reader enters at once."""
        syntax = self.syntax
        try:
            found = read_sequence(
                io.BytesIO(items), syntax.implicit, syntax.little_endian, UNDEFINED_LENGTH, self._encodings
            )
            return DataElement(BaseTag(tag), "SQ", found, is_undefined_length=True)
        except Exception as error:
            raise UnusualError("a sequence that pydicom has to judge") from error
