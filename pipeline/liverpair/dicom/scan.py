"""Read one file's header into records: one per frame, classic keywords, plain values, or a refusal."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
import warnings
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.datadict import dictionary_VM, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from liverpair.core.errors import Refusal
from liverpair.dicom.attributes import PRIVATE_B_VALUE_TAGS, WANTED
from liverpair.dicom.frames import frame_datasets, is_enhanced
from liverpair.dicom.records import InstanceRecord

__all__ = ["WANTED", "looks_like_dicom", "plain_header", "scan"]

MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
UIDS: Final = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
#: What the images of one series share when their Series Instance UID has been blanked.
SAME_IN_A_SERIES: Final = (
    "Modality",
    "Manufacturer",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "ProtocolName",
    "Rows",
    "Columns",
)
TEXT_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
FLOAT_VRS: Final = frozenset(("DS", "FL", "FD"))
INTEGER_VRS: Final = frozenset(("IS", "SL", "SS", "SV", "UL", "US", "UV"))
#: Private blocks a creator may reserve; scanners use the first few.
PRIVATE_BLOCKS: Final = range(0x10, 0x18)


def _scanned_tags() -> list[BaseTag]:
    tags = [Tag(number) for number in map(tag_for_keyword, WANTED) if number is not None]
    tags += [Tag(0x5200, 0x9229), Tag(0x5200, 0x9230)]
    for group, element, _ in PRIVATE_B_VALUE_TAGS:
        tags += [Tag(group, block) for block in PRIVATE_BLOCKS]
        tags += [Tag(group, (block << 8) | element) for block in PRIVATE_BLOCKS]
    return tags


SCANNED_TAGS: Final = _scanned_tags()
KEYWORD_OF_TAG: Final = {number: word for word in WANTED if (number := tag_for_keyword(word)) is not None}


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file's first 132 bytes (or more) are those of a DICOM object, with or without the preamble.

    Without a preamble the first element must be one of group 0008 (or 0002) with a believable VR or length.
    """
    if start[128:132] == b"DICM":
        return True
    if len(start) < 16:
        return False
    for order in ("<", ">"):
        group, element, length = struct.unpack(order + "HHI", start[:8])
        if group not in (0x0002, 0x0008) or element > 0x0100:
            continue
        explicit = start[4:6].isalpha() and start[4:6].isupper() and start[4:6].decode() in TEXT_VRS | {"UL", "OB"}
        if explicit or length <= 128:
            return True
    return False


def _number(value: Any) -> float | None:
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
    number = _number(value)
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


def _plain_item(item: Dataset) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for tag in sorted(item.keys()):
        keyword = keyword_for_tag(tag)
        element = _element(item, tag) if keyword else None
        if element is not None:
            value = _plain_element(element, many=_is_many(tag))
            if value is not None:
                plain[keyword] = value
    return plain


def plain_header(dataset: Dataset) -> dict[str, Any]:
    """The wanted attributes of a data set as plain JSON values, in tag order.

    An attribute whose value multiplicity is above 1 in PS3.6 (ImageType, PixelSpacing, ScanOptions, ...) is always
    a list; every other one is a single value (text values that hold a backslash are joined again). Empty or
    unreadable attributes are absent. DiffusionBValue also holds b-values that were found in private elements.
    """
    header: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        keyword = KEYWORD_OF_TAG.get(int(tag))
        element = _element(dataset, tag) if keyword else None
        if keyword and element is not None:
            value = _plain_element(element, many=int(tag) in MANY_VALUED)
            if value is not None:
                header[keyword] = value
    if header.get("Modality") == "MR" and "DiffusionBValue" not in header:
        b_value = _private_b_value(dataset, header)
        if b_value is not None:
            header["DiffusionBValue"] = b_value
    return header


def _raw_text(element: RawDataElement | DataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0").split("\\")
    if isinstance(value, (MultiValue, list, tuple)):
        return [str(part) for part in value]
    return [str(value)]


def _private_number(element: RawDataElement | DataElement, *, little_endian: bool) -> float | None:
    """First number of a private element, whether stored as text, as a binary float or as unknown bytes."""
    value = element.value
    if isinstance(value, bytes):
        if element.VR in (None, "UN", "FL", "FD", "OB") and not value.strip(b" \0")[:1].isdigit():
            order = "<" if little_endian else ">"
            form = {4: "f", 8: "d"}.get(len(value))
            return _number(struct.unpack(order + form, value)[0]) if form else None
        if element.VR in ("FL", "FD"):
            order = "<" if little_endian else ">"
            form = {"FL": "f", "FD": "d"}[element.VR]
            width = struct.calcsize(form)
            return _number(struct.unpack(order + form, value[:width])[0]) if len(value) >= width else None
    return _number(_raw_text(element)[0])


def _private_b_value(dataset: Dataset, header: dict[str, Any]) -> float | None:
    """The b-value in s/mm² from the vendors' private elements; None where there is none.

    GE adds an offset (10⁹, older releases 10⁶) to mark the encoding. GE and Philips write 0 on every image, so a
    private 0 counts only for an echo-planar acquisition.
    """
    little_endian = bool(getattr(dataset, "is_little_endian", True))
    for group, low, creator in PRIVATE_B_VALUE_TAGS:
        for block in PRIVATE_BLOCKS:
            tag = Tag(group, (block << 8) | low)
            if tag not in dataset or not _created_by(dataset, group, block, creator):
                continue
            number = _private_number(dataset.get_item(tag), little_endian=little_endian)
            if number is None or number < 0:
                continue
            b_value = number % 1_000_000 if group == 0x0043 else number
            if b_value > 0 or "EP" in header.get("ScanningSequence", ()) or group == 0x0019:
                return b_value
    return None


def _created_by(dataset: Dataset, group: int, block: int, creator: str) -> bool:
    """Whether the private block belongs to ``creator``; a missing creator element is forgiven in the first block."""
    tag = Tag(group, block)
    if tag not in dataset:
        return block == PRIVATE_BLOCKS[0]
    return _raw_text(dataset.get_item(tag))[0].strip().upper().startswith(creator.upper())


def _stream_size(stream: BinaryIO) -> int:
    here = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(here)
    return size


def _read(stream: BinaryIO) -> Dataset:
    start = stream.read(256)
    stream.seek(0)
    if not looks_like_dicom(start):
        raise Refusal("not_dicom", "the file does not start like a DICOM object; it is left out")
    try:
        return pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=SCANNED_TAGS, force=True)
    except Exception as error:  # pydicom raises whatever damaged bytes provoke
        raise Refusal(
            "unreadable_header", f"the header cannot be parsed ({type(error).__name__}); export the file again"
        ) from error


def _expected_pixel_bytes(dataset: Dataset) -> int:
    """Bytes of native pixel data that the header announces; 0 where it is compressed or unsaid."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is not None and (syntax.is_private or syntax.is_encapsulated or syntax.is_deflated):
        return 0
    sizes = [dataset.get(word) for word in ("Rows", "Columns", "BitsAllocated")]
    if not all(isinstance(size, int) for size in sizes):
        return 0
    frames = _number(dataset.get("NumberOfFrames") or 1) or 1
    samples = _number(dataset.get("SamplesPerPixel") or 1) or 1
    return int(math.prod(sizes) * frames * samples) // 8


def _refuse_cut_file(dataset: Dataset, stream: BinaryIO) -> None:
    """Refuse a file that ends inside an element, or inside its pixels.

    A file that ends cleanly before any pixel data is a header-only object and passes.
    """
    position, size = stream.tell(), _stream_size(stream)
    cut = position > size
    for tag in list(dataset.keys())[-1:]:
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes) and raw.length != 0xFFFFFFFF:
            cut = cut or len(raw.value) < raw.length
    if position < size:
        cut = cut or size - position < _expected_pixel_bytes(dataset)
    if cut:
        raise Refusal("truncated", "the file ends before its header says it should; copy or export it again")


def _stored(dataset: Dataset) -> dict[str, Any]:
    """What the file meta information (group 0002) adds to the header."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    words = {
        "TransferSyntaxUID": "TransferSyntaxUID",
        "MediaStorageSOPInstanceUID": "SOPInstanceUID",
        "MediaStorageSOPClassUID": "SOPClassUID",
    }
    return {classic: str(meta.get(word)) for word, classic in words.items() if meta.get(word)}


def _derived_uid(*facts: Any) -> str:
    """A UID (PS3.5 B.2, root 2.25) that is the same whenever the facts are."""
    digest = hashlib.sha256(json.dumps(facts, ensure_ascii=True, default=str).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _with_uids(header: dict[str, Any], locator: str) -> dict[str, Any]:
    """The header with UIDs put in where de-identification blanked them.

    What lies in one folder and agrees in these attributes is taken for one study, then for one series: the only
    grouping left. A file name stands in for a missing SOP Instance UID.
    """
    if all(word in header for word in UIDS):
        return header
    folder = re.split(r"[/\\!]", locator)[:-1]
    study = [header.get(word) for word in ("PatientID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")]
    series = [header.get(word) for word in SAME_IN_A_SERIES]
    derived = {
        "StudyInstanceUID": _derived_uid("study", folder, study),
        "SeriesInstanceUID": _derived_uid("series", folder, header.get("StudyInstanceUID"), study, series),
        "SOPInstanceUID": _derived_uid("object", locator),
    }
    return derived | header


def _records(dataset: Dataset, locator: str) -> tuple[InstanceRecord, ...]:
    stored = _stored(dataset)
    frames = frame_datasets(dataset) if is_enhanced(dataset) else [dataset]
    headers = [_with_uids(stored | plain_header(frame), locator) for frame in frames]
    if not is_enhanced(dataset):
        return (InstanceRecord(locator, None, headers[0]),)
    return tuple(InstanceRecord(locator, number, header) for number, header in enumerate(headers))


def scan(locator: str, stream: BinaryIO) -> tuple[InstanceRecord, ...]:
    """The records of the object in ``stream`` (seekable, at its start); ``locator`` is only passed on.

    Multi-frame MR, CT, PET and NM objects with functional groups give one record per frame, everything else one.
    Raises Refusal: not_dicom, unreadable_header, truncated, dicomdir,
    no_modality.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _read(stream)
        try:
            media = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) if hasattr(dataset, "file_meta") else ""
            if media == MEDIA_DIRECTORY:
                raise Refusal("dicomdir", "a DICOMDIR lists other files and holds no image; its files are read directly")
            _refuse_cut_file(dataset, stream)
            records = _records(dataset, locator)
        except Refusal:
            raise
        except Exception as error:  # damaged bytes surface only when an element is decoded
            raise Refusal(
                "unreadable_header", f"the header cannot be decoded ({type(error).__name__}); export the file again"
            ) from error
    if not records or not records[0].get("Modality"):
        raise Refusal("no_modality", "the object does not say its Modality, so nothing is known of what it is")
    return records
