"""What the index keeps of every frame: header facts in classic DICOM keywords, whatever the storage class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Exclusion", "InstanceRecord", "SeriesRecord", "Stack"]


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One frame of one stored object.

    ``locator`` names the file: a path, or ``archive.zip!member`` (nested: ``a.zip!b.zip!member``). ``frame`` is the
    0-based frame of a multi-frame object, None for a single-frame one. ``header`` maps DICOM keywords to plain JSON
    values (str, float, int, list; a sequence is a list of mappings; absent or empty attributes are absent). Per-frame
    and shared functional groups of enhanced objects are flattened to the classic keywords (PS3.3 C.7.6.16), so
    selection and geometry never need to know the storage class.
    """

    locator: str
    frame: int | None
    header: Mapping[str, Any]

    def get(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value, or ``default`` where absent or empty."""
        return self.header.get(keyword, default)


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """All frames that share a Series Instance UID, in a stable order."""

    series_uid: str
    study_uid: str
    patient_id: str
    instances: tuple[InstanceRecord, ...]

    def first(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value in the first frame that has one."""
        for instance in self.instances:
            value = instance.header.get(keyword)
            if value is not None:
                return value
        return default

    def values(self, keyword: str) -> list[Any]:
        """The distinct values of an attribute over all frames, in order of appearance."""
        seen: dict[str, Any] = {}
        for instance in self.instances:
            value = instance.header.get(keyword)
            if value is not None:
                seen.setdefault(repr(value), value)
        return list(seen.values())


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of one series that form one volume: one phase, one b-value, one echo, one image type.

    ``key`` says what tells this stack from its siblings (e.g. ``{"DiffusionBValue": 800.0}``; empty if alone).
    """

    series: SeriesRecord
    key: Mapping[str, Any]
    instances: tuple[InstanceRecord, ...]

    def first(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value in the first frame of this stack that has one."""
        for instance in self.instances:
            value = instance.header.get(keyword)
            if value is not None:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One row of exclusions.csv: something that was found and is not used, and why.

    ``level`` is file | series | study | patient | pair; ``reason`` a stable snake_case code; ``detail`` a sentence
    without patient identity.
    """

    level: str
    id: str
    reason: str
    detail: str
