"""Pack headers into few bytes: what the objects of a series share is named once, the rest are bare values."""

from __future__ import annotations

import hashlib
import json
import marshal
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from liverpair.dicom.records import InstanceRecord, LayeredHeader

__all__ = ["Base", "PackedObject", "Packer", "sop_instance_uid", "unpack"]

#: What differs from slice to slice. A keyword that is absent here still packs well, as an exception to the base.
VARYING: Final = frozenset(
    (
        "SOPInstanceUID",
        "InstanceNumber",
        "AcquisitionNumber",
        "AcquisitionDate",
        "AcquisitionTime",
        "AcquisitionDateTime",
        "ContentDate",
        "ContentTime",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "FrameAcquisitionDateTime",
        "FrameReferenceDateTime",
        "ImagePositionPatient",
        "SliceLocation",
        "InStackPositionNumber",
        "DimensionIndexValues",
        "ImageIndex",
        "RescaleSlope",
        "RescaleIntercept",
        "RealWorldValueMappingSequence",
        "LossyImageCompressionRatio",
        "EchoTime",
        "EchoNumbers",
        "DiffusionBValue",
        "DiffusionGradientOrientation",
        "TemporalPositionIdentifier",
        "TriggerTime",
        "NominalCardiacTriggerDelayTime",
        "ExposureTime",
        "XRayTubeCurrent",
        "FrameReferenceTime",
        "ActualFrameDuration",
        "DecayFactor",
        "DoseCalibrationFactor",
    )
)
#: More exceptions than this and the object gets a base of its own.
MAX_EXCEPTIONS: Final = 12
#: Bases that a packer remembers: as many series as lie mixed in one folder.
REMEMBERED: Final = 512
#: Multi-frame objects repeat themselves: the fastest level already shrinks them several times.
COMPRESSION_LEVEL: Final = 1
DIGEST_BYTES: Final = 16
#: A SOP Instance UID that starts like its base's is stored as this and the rest.
UID_MARK: Final = "."
UID: Final = "SOPInstanceUID"


class PackedObject(NamedTuple):
    """One object ready to be stored; ``frames`` is None for a single-frame object, else their number."""

    series: tuple[bytes, bytes, bytes]
    base: Base
    sop: int
    frames: int | None
    own: bytes


@dataclass(frozen=True, slots=True)
class Base:
    """What the objects of a series share, and the keywords whose values each object lists."""

    shared: dict[str, Any]
    keywords: tuple[str, ...]
    uid_prefix: str
    digest: bytes
    content: bytes
    #: ``shared`` bit by bit: 1 and 1.0, 0.0 and -0.0 are equal but not the same.
    exact: bytes
    own: frozenset[str]

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> Base:
        """The base that an object itself suggests."""
        shared = {keyword: value for keyword, value in header.items() if keyword not in VARYING}
        keywords = tuple(keyword for keyword in sorted(VARYING) if keyword in header)
        prefix = str(header.get(UID, "")).rpartition(".")[0]
        content = zlib.compress(_text([shared, keywords, prefix]), COMPRESSION_LEVEL)
        return cls(
            shared,
            keywords,
            prefix,
            hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest(),
            content,
            _exact(shared),
            frozenset(keywords),
        )

    @classmethod
    def stored(cls, content: bytes) -> Base:
        """The base that was stored as ``content``."""
        shared, keywords, prefix = json.loads(zlib.decompress(content).decode("utf-8", "surrogatepass"))
        return cls(shared, tuple(keywords), prefix, b"", content, b"", frozenset(keywords))

    def difference(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """What must be said of ``header`` beyond its values of ``keywords``; None means absent."""
        own = self.own
        shared = {keyword: value for keyword, value in header.items() if keyword not in own}
        if _exact(shared) == self.exact:
            return {}
        other = {k: v for k, v in shared.items() if k not in self.shared or _exact(v) != _exact(self.shared[k])}
        return other | {keyword: None for keyword in self.shared if keyword not in shared}

    def values(self, header: Mapping[str, Any], difference: dict[str, Any]) -> list[Any]:
        """The object's own values, in the order of ``keywords``; a last mapping holds the exceptions."""
        values = [header.get(keyword) for keyword in self.keywords]
        exceptions = dict(difference)
        if UID in self.keywords:
            place, uid = self.keywords.index(UID), header.get(UID)
            if isinstance(uid, str) and self.uid_prefix and uid.startswith(self.uid_prefix + "."):
                values[place] = UID_MARK + uid[len(self.uid_prefix) + 1 :]
            elif isinstance(uid, str) and uid.startswith(UID_MARK):
                exceptions[UID] = uid
        return [*values, exceptions] if exceptions else values

    def header(self, values: list[Any]) -> LayeredHeader:
        """The header that ``values`` were taken from."""
        own = {keyword: value for keyword, value in zip(self.keywords, values, strict=False) if value is not None}
        uid = own.get(UID)
        if isinstance(uid, str) and uid.startswith(UID_MARK):
            own[UID] = f"{self.uid_prefix}.{uid[1:]}"
        if len(values) == len(self.keywords):
            return LayeredHeader(own, self.shared)
        exceptions = values[-1]
        own |= {keyword: value for keyword, value in exceptions.items() if value is not None}
        gone = [keyword for keyword, value in exceptions.items() if value is None]
        if not gone:
            return LayeredHeader(own, self.shared)
        return LayeredHeader(own, {keyword: value for keyword, value in self.shared.items() if keyword not in gone})


def _exact(value: Any) -> bytes:
    # Version 2 of the format: later ones depend on how often an object is referred to.
    return marshal.dumps(value, 2)


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _key_number(uid: str) -> int:
    """64 bits that stand for a UID in the index: equal for equal UIDs."""
    digest = hashlib.blake2b(uid.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Packer:
    """Packs objects one after another, remembering the bases of the series it saw last."""

    def __init__(self) -> None:
        self._bases: OrderedDict[tuple[bytes, bytes, bytes], Base] = OrderedDict()

    def _base(self, series: tuple[bytes, bytes, bytes], header: Mapping[str, Any]) -> tuple[Base, dict[str, Any]]:
        base = self._bases.get(series)
        if base is not None:
            difference = base.difference(header)
            if len(difference) <= MAX_EXCEPTIONS:
                self._bases.move_to_end(series)
                return base, difference
        base = Base.of(header)
        self._bases[series] = base
        if len(self._bases) > REMEMBERED:
            self._bases.popitem(last=False)
        return base, {}

    def pack(self, records: Sequence[InstanceRecord]) -> PackedObject:
        """The frames of one object (at least one)."""
        first = records[0].header
        words = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
        patient, study, uid = (str(first.get(word, "")).encode("utf-8", "surrogatepass") for word in words)
        series = (patient, study, uid)
        base, difference = self._base(series, first)
        sop = _key_number(str(first.get(UID, "")))
        if records[0].frame is None:
            return PackedObject(series, base, sop, None, _text(base.values(first, difference)))
        frames = [[r.frame, base.values(r.header, base.difference(r.header))] for r in records]
        return PackedObject(series, base, sop, len(frames), zlib.compress(_text(frames), COMPRESSION_LEVEL))


def unpack(locator: str, base: Base, frames: int | None, own: bytes) -> list[InstanceRecord]:
    """The records of one object as they were packed."""
    if frames is None:
        values = json.loads(own.decode("utf-8", "surrogatepass"))
        return [InstanceRecord(locator, None, base.header(values))]
    found = json.loads(zlib.decompress(own).decode("utf-8", "surrogatepass"))
    return [InstanceRecord(locator, frame, base.header(values)) for frame, values in found]


def sop_instance_uid(base: Base, frames: int | None, own: bytes) -> str:
    """The object's SOP Instance UID."""
    return str(unpack("", base, frames, own)[0].get(UID, ""))
