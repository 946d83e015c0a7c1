"""Read one file's header into records: one per frame, classic keywords, plain values, or a refusal."""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import warnings
import zlib
from functools import lru_cache
from typing import Any, BinaryIO, Final, cast

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from liverpair.core.errors import Refusal
from liverpair.dicom.age import birth_date_to_age
from liverpair.dicom.attributes import WANTED
from liverpair.dicom.bvalue import PRIVATE_TAGS, private_b_value
from liverpair.dicom.frames import IMAGE_MODALITIES, frame_datasets, is_enhanced
from liverpair.dicom.header import FIRST_READ, Scanner
from liverpair.dicom.header_file import LARGEST_INFLATED
from liverpair.dicom.plain import KEYWORD_OF_TAG, TEXT_VRS, plain_attributes
from liverpair.dicom.records import InstanceRecord

__all__ = ["SCANNED_TAGS", "WANTED", "looks_like_dicom", "plain_header", "scan", "scan_through_pydicom", "with_uids"]

MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
#: A length that says "until the delimiter" (PS3.5 §7.1.1).
UNDEFINED_LENGTH: Final = 0xFFFFFFFF
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
#: Longer reads are checked against the size of the file first.
ORDINARY_READ: Final = 1 << 16
#: Shared and per-frame functional groups.
FUNCTIONAL_GROUPS: Final = (Tag(0x5200, 0x9229), Tag(0x5200, 0x9230))
#: Where the frames of one part of a concatenation begin (Concatenation Frame Offset Number).
CONCATENATION: Final = (Tag(0x0020, 0x9228),)
SCANNED_TAGS: Final = [*map(Tag, KEYWORD_OF_TAG), *FUNCTIONAL_GROUPS, *CONCATENATION, *PRIVATE_TAGS]


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


def plain_header(dataset: Dataset) -> dict[str, Any]:
    """``plain_attributes`` of a frame; b-values also from private elements, an age in place of the birth date."""
    header = plain_attributes(dataset)
    if header.get("Modality") == "MR" and "DiffusionBValue" not in header:
        b_value = private_b_value(dataset, header)
        if b_value is not None:
            header["DiffusionBValue"] = b_value
    return birth_date_to_age(header)


def _stream_size(stream: BinaryIO) -> int:
    here = stream.tell()
    stream.seek(0, io.SEEK_END)
    size = stream.tell()
    stream.seek(here)
    return size


def _read(stream: BinaryIO) -> Dataset:
    bounded = cast("BinaryIO", _Bounded(stream, _stream_size(stream)))
    try:
        return pydicom.dcmread(bounded, stop_before_pixels=True, specific_tags=SCANNED_TAGS, force=True)
    except Exception as error:  # pydicom raises whatever damaged bytes provoke
        raise Refusal(
            "unreadable_header",
            f"the header cannot be parsed ({type(error).__name__}); export the file again",
        ) from error


def _announced_pixel_end(dataset: Dataset, stream: BinaryIO) -> int:
    """Where the pixel data element, at which the stream stands, says it ends; 0 where it does not say."""
    position = stream.tell()
    implicit, little_endian = dataset.original_encoding
    width = 8 if implicit else 12
    header = stream.read(width)
    stream.seek(position)
    if len(header) < width:
        return position + width
    length = int.from_bytes(header[-4:], "little" if little_endian else "big")
    return 0 if length == UNDEFINED_LENGTH else position + width + length


def _refuse_cut_file(dataset: Dataset, stream: BinaryIO) -> None:
    """Refuse a file that ends inside an element, or inside its pixels.

    A file that ends cleanly before any pixel data is a header-only object and passes.
    """
    position, size = stream.tell(), _stream_size(stream)
    cut = position > size
    for tag in list(dataset.keys())[-1:]:
        raw = dataset.get_item(tag)
        if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes) and raw.length != UNDEFINED_LENGTH:
            cut = cut or len(raw.value) < raw.length
    if position < size:
        cut = cut or size < _announced_pixel_end(dataset, stream)
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


def _refuse_stump(header: dict[str, Any]) -> None:
    """Refuse what is left of an image that was cut between two elements: neither a study nor a matrix."""
    image = header.get("Modality") in IMAGE_MODALITIES
    if image and not any(word in header for word in ("StudyInstanceUID", "SeriesInstanceUID", "Rows")):
        raise Refusal("truncated", "the file ends within its header, before any study; copy or export it again")


def with_uids(header: dict[str, Any], locator: str) -> dict[str, Any]:
    """The header with UIDs put in where de-identification blanked them.

    What lies in one folder and agrees in these attributes is taken for one study, then for one series: the
    only grouping left. A file name stands in for a missing SOP Instance UID. Raises Refusal("truncated") for the
    stump of an image.
    """
    if all(word in header for word in UIDS):
        return header
    _refuse_stump(header)
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
    headers = [with_uids(stored | plain_header(frame), locator) for frame in frames]
    if not is_enhanced(dataset):
        return (InstanceRecord(locator, None, headers[0]),)
    return tuple(InstanceRecord(locator, number, header) for number, header in enumerate(headers))


class _Bounded:
    """A stream that never makes room for more bytes than it has: damaged lengths claim gigabytes."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, count: int = -1) -> bytes:
        """At most ``count`` bytes; if negative all that are left, as pydicom asks for a deflated data set only."""
        if count < 0:
            return self._deflated()
        if count > ORDINARY_READ:
            count = max(0, min(count, self._size - self._stream.tell()))
        return self._stream.read(count)

    def _deflated(self) -> bytes:
        if self._size > LARGEST_INFLATED:
            raise ValueError("too large for a deflated data set")
        content = self._stream.read()
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(content, LARGEST_INFLATED)
        if not inflater.eof and inflater.unconsumed_tail:
            raise ValueError("the data set inflates to more than any header")
        return content


def scan_through_pydicom(locator: str, stream: BinaryIO) -> tuple[InstanceRecord, ...]:
    """What ``scan`` gives, read by pydicom whatever the header holds: fifteen times slower, and the measure of truth.

    Raises Refusal: unreadable_header, truncated, dicomdir.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = _read(stream)
        try:
            media = str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) if hasattr(dataset, "file_meta") else ""
            if media == MEDIA_DIRECTORY:
                raise Refusal(
                    "dicomdir", "a DICOMDIR lists other files and holds no image; its files are read directly"
                )
            _refuse_cut_file(dataset, stream)
            return _records(dataset, locator)
        except Refusal:
            raise
        except Exception as error:  # damaged bytes surface only when an element is decoded
            raise Refusal(
                "unreadable_header",
                f"the header cannot be decoded ({type(error).__name__}); export the file again",
            ) from error


@lru_cache(maxsize=1)
def _scanner() -> Scanner:
    """This process's scanner: what it remembers of one file serves the next."""
    return Scanner()


def scan(locator: str, stream: BinaryIO) -> tuple[InstanceRecord, ...]:
    """The records of the object in ``stream`` (seekable, at its start); ``locator`` is only passed on.

    Multi-frame MR, CT, PET and NM objects with functional groups give one record per frame, everything else
    one. Lists and items in the headers are shared between records, so treat them as read-only. Raises Refusal:
    not_dicom, unreadable_header, truncated, dicomdir, no_modality.
    """
    start = stream.read(FIRST_READ)
    if not looks_like_dicom(start):
        raise Refusal("not_dicom", "the file does not start like a DICOM object; it is left out")
    header = _scanner().read(stream, start)
    if header is None:
        stream.seek(0)
        records = scan_through_pydicom(locator, stream)
    else:
        records = (InstanceRecord(locator, None, with_uids(header, locator)),)
    if not records or not records[0].get("Modality"):
        raise Refusal("no_modality", "the object does not say its Modality, so nothing is known of what it is")
    return records
