"""Name a pair's stacks by reference, so that a study of thousands of pairs holds the headers of one at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from liverpair.core.errors import Refusal
from liverpair.dicom.records import SeriesRecord, Stack
from liverpair.dicom.split import split

__all__ = ["StackReference", "load_stack", "load_stacks", "refer_to"]

#: Reads one series again: (series_uid, study_uid, patient_id) → its record.
ReadSeries = Callable[[str, str, str], SeriesRecord]


@dataclass(frozen=True, slots=True)
class StackReference:
    """A stack by its series and the SHA-256 of its frames (locators and headers): enough to find and to check it."""

    patient_id: str
    study_uid: str
    series_uid: str
    digest: str


def digest_of(stack: Stack) -> str:
    """SHA-256 over a stack's frames: where they lie and what their headers say (plain JSON values already)."""
    digest = hashlib.sha256()
    for instance in stack.instances:
        facts = [instance.locator, instance.frame, dict(instance.header)]
        digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def refer_to(stack: Stack) -> StackReference:
    """The reference of a stack."""
    series = stack.series
    return StackReference(series.patient_id, series.study_uid, series.series_uid, digest_of(stack))


def load_stack(reference: StackReference, read: ReadSeries) -> Stack:
    """The stack of a reference. Raises Refusal(index_changed) where the index no longer holds these frames."""
    series = read(reference.series_uid, reference.study_uid, reference.patient_id)
    for stack in split(series):
        if digest_of(stack) == reference.digest:
            return stack
    raise Refusal(
        "index_changed", "a series of this pair has changed in the index since pairing; run `liverpair pair WS` again"
    )


def load_stacks(references: Mapping[str, StackReference], read: ReadSeries) -> dict[str, Stack]:
    """A pair's stacks by role."""
    return {role: load_stack(reference, read) for role, reference in sorted(references.items())}
