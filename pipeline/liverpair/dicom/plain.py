"""Turn a data set's elements into plain JSON values under DICOM keywords."""

from __future__ import annotations

import math
from typing import Any, Final

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from liverpair.dicom.attributes import WANTED

__all__ = ["KEYWORD_OF_TAG", "TEXT_VRS", "finite_number", "plain_attributes"]

TEXT_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
FLOAT_VRS: Final = frozenset(("DS", "FL", "FD"))
INTEGER_VRS: Final = frozenset(("IS", "SL", "SS", "SV", "UL", "US", "UV"))
#: A backslash in these is a backslash (PS3.5 §6.2).
UNDIVIDED_VRS: Final = frozenset(("LT", "ST", "UR", "UT"))
KEYWORD_OF_TAG: Final = {number: word for word in WANTED if (number := tag_for_keyword(word)) is not None}


VR_OF_TAG: Final = {tag: dictionary_VR(tag) for tag in KEYWORD_OF_TAG}


def finite_number(value: Any) -> float | None:
    """The value as a float; None where it is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _plain_value(value: Any, vr: str) -> Any:
    """A single DICOM value as str, float or int; None where it is empty or nonsense."""
    if vr in TEXT_VRS:
        text = str(value).strip(" \0")
        return text or None
    number = finite_number(value)
    if number is None or vr in FLOAT_VRS:
        return number
    return int(number)


def _plain_element(element: DataElement, *, many: bool) -> Any:
    if element.VR == "SQ":
        return [_plain_item(item) for item in element.value or ()] or None
    if element.VR not in TEXT_VRS and element.VR not in FLOAT_VRS and element.VR not in INTEGER_VRS:
        return None
    raw = list(element.value) if isinstance(element.value, (MultiValue, list)) else [element.value]
    values = [plain for value in raw if value is not None and (plain := _plain_value(value, element.VR)) is not None]
    if not values:
        return None
    if many:
        return values
    return "\\".join(values) if element.VR in TEXT_VRS else values[0]


def _is_many(tag: int) -> bool:
    try:
        return dictionary_VM(tag) != "1"
    except KeyError:
        return False


MANY_VALUED: Final = frozenset(tag for tag in KEYWORD_OF_TAG if _is_many(tag))


def _element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """The element, or None where its bytes cannot be understood."""
    try:
        return dataset[tag]
    except Exception:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke; the attribute then is absent
        return None


def _split_text(raw: bytes, vr: str) -> list[str] | None:
    """The values of an ASCII text element; None where the character set matters."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        return None
    parts = [text] if vr in UNDIVIDED_VRS else text.split("\\")
    return [part for piece in parts if (part := piece.strip(" \0"))]


def _quick(raw: RawDataElement, vr: str) -> list[Any] | None:
    """Values of an element straight from its bytes; None where only pydicom knows what to do with them."""
    content = raw.value
    if content is None or not content:
        return []
    if vr in TEXT_VRS or vr in ("DS", "IS"):
        parts = _split_text(content, vr)
        if parts is None or vr not in ("DS", "IS"):
            return parts
        try:
            numbers = [float(part) if vr == "DS" else int(part) for part in parts]
        except ValueError:
            return None
        return numbers if all(map(math.isfinite, numbers)) else None
    if vr == "US" and len(content) == 2:
        return [int.from_bytes(content, "little" if raw.is_little_endian else "big")]
    return None


def _value(dataset: Dataset, tag: BaseTag, *, many: bool) -> Any:
    """The plain value of one element; None where it is empty or its bytes cannot be understood.

    Most elements are plain ASCII and are read from their bytes, which takes half the time of pydicom's values.
    """
    raw = dataset.get_item(tag)
    if isinstance(raw, RawDataElement):
        vr = raw.VR or VR_OF_TAG.get(int(tag), "")
        values = _quick(raw, vr) if vr != "UN" else None
        if values is not None:
            if not values or many:
                return values or None
            return "\\".join(values) if vr in TEXT_VRS else values[0]
    element = _element(dataset, tag)
    return None if element is None else _plain_element(element, many=many)


def _plain_item(item: Dataset) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for tag in sorted(item.keys()):
        keyword = keyword_for_tag(tag)
        value = _value(item, tag, many=_is_many(tag)) if keyword else None
        if value is not None:
            plain[keyword] = value
    return plain


def plain_attributes(dataset: Dataset) -> dict[str, Any]:
    """The wanted attributes of a data set as plain JSON values, in tag order.

    An attribute whose value multiplicity is above 1 in PS3.6 (ImageType, PixelSpacing, ScanOptions, ...) is
    always a list; every other one is a single value (text values that hold a backslash are joined again).
    Empty or unreadable attributes are absent.
    """
    header: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        keyword = KEYWORD_OF_TAG.get(int(tag))
        value = _value(dataset, tag, many=int(tag) in MANY_VALUED) if keyword else None
        if keyword and value is not None:
            header[keyword] = value
    return header
