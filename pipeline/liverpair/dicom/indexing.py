"""Scan many files for the index, in this process or in several, in batches that can be stored at once."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

from liverpair.core.errors import Refusal
from liverpair.dicom.archives import START_BYTES, may_be_archive
from liverpair.dicom.dicomdir import listed_files
from liverpair.dicom.packing import PackedObject, Packer
from liverpair.dicom.scan import scan
from liverpair.dicom.sources import MEMBER_SEPARATOR, Source, members, open_file, open_source
from liverpair.dicom.workers import POOL_PAYS_FROM, spread

__all__ = ["MEMBER_BITS", "Batch", "Part", "Problem", "Task", "read_batch", "read_files"]

#: Files, or members of one archive, per task: long enough to hide the cost of a task, short enough to lose
#: little.
BATCH: Final = 128
#: An object's number is its file's number, shifted by this, plus its place among the file's members.
MEMBER_BITS: Final = 24


class Problem(NamedTuple):
    """Why a file or member is left out: a reason code and a sentence."""

    reason: str
    detail: str


EMPTY_FILE: Final = Problem("empty_file", "the file is empty (0 bytes); copy it again")
CRASHED: Final = Problem("reader_crashed", "reading the file ended the process that read it; it is left out")
TOO_MANY: Final = Problem("archive_bomb", "the archive holds more members than any export; unpack it by hand")


class Task(NamedTuple):
    """A file to be read, or the members of an archive from ``start`` on; ``number`` is its number in the index.

    ``total`` members are known of an archive whose first part called for this one (0: a first part). A plain
    tuple, as it travels to workers by the million.
    """

    number: int
    locator: str
    size: int
    mtime_ns: int
    start: int = 0
    total: int = 0

    @property
    def source(self) -> Source:
        """The file on disk."""
        return Source(self.locator, self.size, self.mtime_ns)


class Part(NamedTuple):
    """What was read of an archive: the members from the task's start to before ``stop`` of ``total``."""

    task: Task
    stop: int
    total: int


@dataclass(slots=True)
class Batch:
    """Rows for the index as workers send them: numbers and bytes, which cross between processes cheaply.

    ``files`` are the numbers of plain files that were read, ``parts`` what was read of archives.
    ``objects``: (object number, place in ``series``, place in ``bases``, SOP key, frames, own values).
    """

    files: list[int] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    series: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    bases: list[tuple[bytes, bytes]] = field(default_factory=list)
    objects: list[tuple[int, int, int, int, int | None, bytes]] = field(default_factory=list)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    members: list[tuple[int, bytes]] = field(default_factory=list)
    listed: list[tuple[int, str]] = field(default_factory=list)
    _places: dict[tuple[bytes, ...], int] = field(default_factory=dict)

    def add(self, number: int, packed: PackedObject | Problem) -> None:
        """Put in an object, or why it is left out, under its number."""
        if isinstance(packed, Problem):
            self.problems.append((number, *packed))
            return
        series = self._places.get(packed.series)
        if series is None:
            series = self._places[packed.series] = len(self.series)
            self.series.append(packed.series)
        base = self._places.get((packed.base.digest,))
        if base is None:
            base = self._places[packed.base.digest,] = len(self.bases)
            self.bases.append((packed.base.digest, packed.base.content))
        self.objects.append((number, series, base, packed.sop, packed.frames, packed.own))


@cache
def _packer(process: int) -> Packer:
    """The packer of this process, which remembers the series across batches."""
    del process
    return Packer()


def _read(locator: str, stream: BinaryIO) -> PackedObject | Problem:
    """The object in ``stream``, or why it is left out."""
    try:
        records = scan(locator, stream)
        if records:
            return _packer(os.getpid()).pack(records)
        return Problem("unreadable_header", "the object has no frame; export the file again")
    except Refusal as refusal:
        return Problem(refusal.reason, refusal.detail)
    except OSError as error:
        return Problem("unreadable_file", f"the file cannot be read ({type(error).__name__}); copy it again")
    except Exception as error:  # noqa: BLE001 - one file must never end the run; it is recorded with its reason
        return Problem(
            "unreadable_header", f"the header cannot be read ({type(error).__name__}); export the file again"
        )


def _read_member(batch: Batch, number: int, task: Task, member: Source) -> None:
    """One member of an archive, by its name inside the archive."""
    name = member.locator[len(task.locator) + len(MEMBER_SEPARATOR) :]
    if name:
        batch.members.append((number, os.fsencode(name)))
    if member.problem:
        batch.add(number, Problem(*member.problem))
        return
    try:
        with open_source(member.locator) as stream:
            empty = not stream.read(1)
            stream.seek(0)
            batch.add(number, EMPTY_FILE if empty else _read(member.locator, stream))
    except Refusal as refusal:
        batch.add(number, Problem(refusal.reason, refusal.detail))
    except OSError as error:
        detail = f"the archive's member cannot be unpacked ({type(error).__name__}); export it again"
        batch.add(number, Problem("unreadable_member", detail))


def _read_archive(batch: Batch, task: Task) -> None:
    found = members(task.source)
    first = task.number << MEMBER_BITS
    if len(found) >= 1 << MEMBER_BITS:
        batch.add(first, TOO_MANY)
        batch.parts.append(Part(task, 1, 1))
        return
    stop = min(task.start + BATCH, len(found))
    for place in range(task.start, stop):
        _read_member(batch, first + place, task, found[place])
    batch.parts.append(Part(task, stop, len(found)))


def _read_plain(batch: Batch, task: Task) -> PackedObject | Problem | None:
    """The object that is a file on disk; None where its first bytes are those of an archive."""
    if task.size == 0:
        return EMPTY_FILE
    try:
        with open_file(task.locator) as stream:
            if may_be_archive(stream.read(START_BYTES)):
                return None
            stream.seek(0)
            found = _read(task.locator, stream)
            if isinstance(found, Problem) and found.reason == "dicomdir":
                stream.seek(0)
                batch.listed += [(task.number, "/".join(path)) for path in listed_files(stream)]
            return found
    except Refusal as refusal:
        return Problem(refusal.reason, refusal.detail)
    except OSError as error:
        return Problem("unreadable_file", f"the file cannot be read ({type(error).__name__}); copy it again")


def _read_file(batch: Batch, task: Task) -> None:
    found = _read_plain(batch, task)
    if found is None:
        _read_archive(batch, task)
        return
    batch.add(task.number << MEMBER_BITS, found)
    batch.files.append(task.number)


def read_batch(tasks: list[Task]) -> Batch:
    """Read some files, or parts of archives, here and now."""
    batch = Batch()
    for task in tasks:
        if task.start:
            _read_archive(batch, task)
        else:
            _read_file(batch, task)
    batch._places.clear()
    return batch


def _rest(batch: Batch) -> Iterator[list[Task]]:
    """Where archives that hold more members than one batch go on."""
    for part in batch.parts:
        if not part.task.total:
            for start in range(part.stop, part.total, BATCH):
                yield [part.task._replace(start=start, total=part.total)]


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    waiting = iter(tasks)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def read_files(tasks: Iterable[Task], expected: int, jobs: int = 1) -> Generator[Batch, None, None]:
    """Read files (archives: all their members) and yield the rows in batches, in no particular order.

    With more than one job the batches are read in that many processes, unless ``expected`` files are too few to
    pay. Nothing a file holds raises: what cannot be read comes back as a problem.
    """
    return spread(read_batch, _batches(tasks), jobs if expected >= POOL_PAYS_FROM else 1, _crashed, _rest)


def _crashed(tasks: list[Task]) -> Batch:
    """Stands in for a task whose worker died."""
    batch = Batch()
    for task in tasks:
        stop = min(task.start + BATCH, task.total or task.start + 1)
        for place in range(task.start, stop):
            batch.add((task.number << MEMBER_BITS) + place, CRASHED)
        batch.parts.append(Part(task, stop, task.total or stop))
    return batch
