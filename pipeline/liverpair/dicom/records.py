"""What the index keeps of every frame: header facts in classic DICOM keywords, whatever the storage class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Exclusion", "InstanceRecord", "LayeredHeader", "SeriesRecord", "Stack"]


class LayeredHeader(Mapping[str, Any]):
    """A frame's own values over the ones its series shares: long series then take little memory.

    Read-only. The shared dict is the same object in all headers of a series, also after pickling.
    """

    __slots__ = ("_own", "_shared")

    def __init__(self, own: dict[str, Any], shared: dict[str, Any]) -> None:
        self._own = own
        self._shared = shared

    def __getitem__(self, keyword: str) -> Any:
        own = self._own
        return own[keyword] if keyword in own else self._shared[keyword]

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value, or ``default`` where absent."""
        own = self._own
        return own[keyword] if keyword in own else self._shared.get(keyword, default)

    def __contains__(self, keyword: object) -> bool:
        return keyword in self._own or keyword in self._shared

    def __iter__(self) -> Iterator[str]:
        yield from self._shared
        yield from (keyword for keyword in self._own if keyword not in self._shared)

    def __len__(self) -> int:
        return len(self._shared) + sum(keyword not in self._shared for keyword in self._own)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self._shared, **self._own, **other}

    def __repr__(self) -> str:
        return f"LayeredHeader({dict(self)!r})"

    def __reduce__(self) -> tuple[type[LayeredHeader], tuple[dict[str, Any], dict[str, Any]]]:
        return type(self), (self._own, self._shared)


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


def _first(instances: Sequence[InstanceRecord], keyword: str, default: Any) -> Any:
    """An attribute's value in the first of the frames that has one."""
    for instance in instances:
        value = instance.header.get(keyword)
        if value is not None:
            return value
    return default


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """All frames that share a Series Instance UID, in a stable order."""

    series_uid: str
    study_uid: str
    patient_id: str
    instances: tuple[InstanceRecord, ...]

    def first(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value in the first frame that has one."""
        return _first(self.instances, keyword, default)

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
        return _first(self.instances, keyword, default)


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
