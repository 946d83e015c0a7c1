"""Turn a data set's elements into plain JSON values under DICOM keywords."""

from __future__ import annotations

import math
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from liverpair.dicom.attributes import PASSING, WANTED

__all__ = [
    "KEYWORD_OF_TAG",
    "TEXT_VRS",
    "as_the_dictionary_says",
    "element_value",
    "finite_number",
    "is_many_valued",
    "plain_attributes",
    "quick_values",
    "shaped",
]

TEXT_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
FLOAT_VRS: Final = frozenset(("DS", "FL", "FD"))
INTEGER_VRS: Final = frozenset(("IS", "SL", "SS", "SV", "UL", "US", "UV"))
#: A backslash in these is a backslash (PS3.5 §6.2).
UNDIVIDED_VRS: Final = frozenset(("LT", "ST", "UR", "UT"))
#: Any white space around these is padding to pydicom.
SPACED_VRS: Final = frozenset(("AE", "UI", "UR"))
#: Binary numbers by VR (PS3.5 Table 6.2-1): how one value is packed, in little and in big endian.
PACKED: Final = {
    vr: (Struct("<" + form), Struct(">" + form))
    for vr, form in {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d"}.items()
}
#: ISO 2022 code extensions write other characters in ASCII's bytes after this one (PS3.5 §6.1.2.5).
ESCAPE: Final = b"\x1b"
KEYWORD_OF_TAG: Final = {number: word for word in (*WANTED, *PASSING) if (number := tag_for_keyword(word)) is not None}
VR_OF_TAG: Final = {tag: dictionary_VR(tag) for tag in KEYWORD_OF_TAG}


def finite_number(value: Any) -> float | None:
    """The value as a float; None where it is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
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
    return int(value) if isinstance(value, int) else int(number)


def shaped(values: list[Any], vr: str, *, many: bool) -> Any:
    """The values as the header holds them: a list, a single value, or None where there is none."""
    if not values:
        return None
    if many:
        return values
    return "\\".join(values) if vr in TEXT_VRS else values[0]


def _plain_element(element: DataElement, *, many: bool) -> Any:
    if element.VR == "SQ":
        return [_plain_item(item) for item in element.value or ()] or None
    if element.VR not in TEXT_VRS and element.VR not in FLOAT_VRS and element.VR not in INTEGER_VRS:
        return None
    raw = list(element.value) if isinstance(element.value, (MultiValue, list)) else [element.value]
    values = [plain for value in raw if value is not None and (plain := _plain_value(value, element.VR)) is not None]
    return shaped(values, element.VR, many=many)


def is_many_valued(tag: int) -> bool:
    """Whether the dictionary lets the attribute hold more than one value, so that it becomes a list."""
    try:
        return dictionary_VM(tag) != "1"
    except KeyError:
        return False


MANY_VALUED: Final = frozenset(tag for tag in KEYWORD_OF_TAG if is_many_valued(tag))


def _element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """The element, or None where its bytes cannot be understood."""
    try:
        return dataset[tag]
    except Exception:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke; the attribute then is absent
        return None


def _texts(text: str, vr: str) -> list[str]:
    """The values of a text; padding, which some VRs let be any white space, is no part of them (PS3.5 §6.2)."""
    if "\\" not in text or vr in UNDIVIDED_VRS:
        text = text.strip(" \0")
        if vr in SPACED_VRS:
            text = text.strip()
        return [text] if text else []
    padding = None if vr in SPACED_VRS else " \0"
    return [part for piece in text.split("\\") if (part := piece.strip(" \0").strip(padding))]


def _numbers(text: str, vr: str) -> list[Any] | None:
    """The numbers of a DS or IS text; None where it holds anything else."""
    kind = float if vr == "DS" else int
    try:
        values = [kind(part) for part in text.rstrip(" \0").split("\\") if not part.isspace() and part]
        return values if all(map(math.isfinite, values)) else None
    except (ValueError, OverflowError):
        return None


def quick_values(content: bytes, vr: str, *, little_endian: bool) -> list[Any] | None:
    """Values of an element straight from its bytes; None where only pydicom knows what to do with them.

    Most elements are plain ASCII or one number, and this takes a twentieth of the time of pydicom's values.
    """
    if not content:
        return []
    if vr in PACKED:
        packed = PACKED[vr][0 if little_endian else 1]
        if len(content) != packed.size:
            return None
        (number,) = packed.unpack(content)
        return [number] if math.isfinite(number) else []
    if vr not in TEXT_VRS and vr not in ("DS", "IS"):
        return None
    if not content.isascii() or ESCAPE in content:
        return None
    text = content.decode("ascii")
    return _texts(text, vr) if vr in TEXT_VRS else _numbers(text, vr)


@lru_cache(maxsize=4096)
def _kind(tag: int) -> str:
    """What the dictionary says the attribute is: text, float, integer, items, or nothing that is kept."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return ""
    kinds = {"text": TEXT_VRS, "float": FLOAT_VRS, "integer": INTEGER_VRS, "items": ("SQ",)}
    return next((kind for kind, vrs in kinds.items() if vr[:2] in vrs), "")


def _of_kind(value: Any, kind: str) -> Any:
    if kind == "text":
        return None if isinstance(value, dict) else str(value)
    if isinstance(value, str):
        value = finite_number(value)
    if value is None or isinstance(value, dict):
        return None
    return int(value) if kind == "integer" else value


def as_the_dictionary_says(value: Any, tag: int) -> Any:
    """The plain value in the type of the dictionary's VR, whatever VR the file states; None where it is none.

    Damage and careless writers change VRs: Columns as text would break whatever counts with it.
    """
    kind = _kind(tag)
    if value is None or not kind:
        return value
    if not isinstance(value, list):
        plain = (str,) if kind == "text" else (int,) if kind == "integer" else (int, float)
        return None if kind == "items" else value if isinstance(value, plain) else _of_kind(value, kind)
    if kind == "items":
        return value if all(isinstance(part, dict) for part in value) else None
    return [part for one in value if (part := _of_kind(one, kind)) is not None] or None


def element_value(dataset: Dataset, tag: BaseTag, *, many: bool) -> Any:
    """The plain value of one element; None where it is empty or its bytes cannot be understood."""
    return as_the_dictionary_says(_stated_value(dataset, tag, many=many), int(tag))


def _stated_value(dataset: Dataset, tag: BaseTag, *, many: bool) -> Any:
    """The value in the type of the VR that the file states."""
    raw = dataset.get_item(tag)
    if isinstance(raw, RawDataElement):
        vr = raw.VR or VR_OF_TAG.get(int(tag), "")
        values = quick_values(raw.value or b"", vr, little_endian=raw.is_little_endian) if vr != "UN" else None
        if values is not None:
            return shaped(values, vr, many=many)
    element = _element(dataset, tag)
    return None if element is None else _plain_element(element, many=many)


def _plain_item(item: Dataset) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for tag in sorted(item.keys()):
        keyword = keyword_for_tag(tag)
        kept = keyword and keyword not in PASSING
        value = element_value(item, tag, many=is_many_valued(tag)) if kept else None
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
        value = element_value(dataset, tag, many=int(tag) in MANY_VALUED) if keyword else None
        if keyword and value is not None:
            header[keyword] = value
    return header
