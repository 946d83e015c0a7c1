"""Scan many files for the index, in this process or in several, in batches that can be stored at once."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import BinaryIO, Final, NamedTuple, TypeVar

from liverpair.core.errors import Refusal
from liverpair.dicom.archives import START_BYTES, may_be_archive
from liverpair.dicom.dicomdir import listed_files
from liverpair.dicom.packing import PackedObject, Packer
from liverpair.dicom.scan import scan
from liverpair.dicom.sources import MEMBER_SEPARATOR, Source, members, open_file, open_source

__all__ = ["MEMBER_BITS", "Batch", "Part", "Problem", "Task", "read_batch", "read_files", "spread"]

#: Files, or members of one archive, per task: long enough to hide the cost of a task, short enough to lose
#: little.
BATCH: Final = 128
#: Below this many files starting processes takes longer than reading.
POOL_PAYS_FROM: Final = 256
#: Batches in flight per process: bounds the memory of results that wait to be stored.
BACKLOG: Final = 4
#: An object's number is its file's number, shifted by this, plus its place among the file's members.
MEMBER_BITS: Final = 24
#: How often a worker looks whether the process that started it still lives.
ORPHAN_CHECK_S: Final = 1.0

_In = TypeVar("_In")
_Out = TypeVar("_Out")


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


# --- processes ---------------------------------------------------------------------------------------------------


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)


def _start_worker(parent: int) -> None:
    """End this worker when the process that started it is gone: a killed one cannot tell its workers."""
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Workers; forked where no thread could hold a lock (fast), spawned otherwise (safe)."""
    forkable = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if forkable else "spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))


def _here(
    work: Callable[[list[_In]], _Out],
    inputs: Iterable[list[_In]],
    rest: Callable[[_Out], Iterator[list[_In]]],
) -> Iterator[_Out]:
    for one in inputs:
        result = work(one)
        yield result
        for more in rest(result):
            yield work(more)


def spread(
    work: Callable[[list[_In]], _Out],
    inputs: Iterator[list[_In]],
    jobs: int,
    crashed: Callable[[list[_In]], _Out],
    rest: Callable[[_Out], Iterator[list[_In]]] = lambda result: iter(()),
) -> Generator[_Out, None, None]:
    """``work`` on every list of inputs in ``jobs`` processes, few at a time; ``rest`` tells what a result calls for.

    Inputs whose worker dies are tried once more, alone and in ever smaller lists; for a single one that kills
    its worker again ``crashed`` stands in.
    """
    if jobs <= 1:
        yield from _here(work, inputs, rest)
        return
    queued: list[Iterator[list[_In]]] = []
    while True:
        running: dict[Future[_Out], list[_In]] = {}
        pool = _pool(jobs)
        try:
            while len(running) < jobs * BACKLOG and (more := _next(queued, inputs)) is not None:
                running[pool.submit(work, more)] = more
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    result = future.result()
                    del running[future]
                    queued.append(rest(result))
                    yield result
                while len(running) < jobs * BACKLOG and (more := _next(queued, inputs)) is not None:
                    running[pool.submit(work, more)] = more
            pool.shutdown()
            return
        except BrokenProcessPool:
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for suspect in running.values():
            for result in _alone(work, suspect, crashed):
                queued.append(rest(result))
                yield result


def _next(queued: list[Iterator[list[_In]]], inputs: Iterator[list[_In]]) -> list[_In] | None:
    """The next inputs: what results have called for comes first."""
    while queued:
        one = next(queued[-1], None)
        if one is not None:
            return one
        queued.pop()
    return next(inputs, None)


def _alone(
    work: Callable[[list[_In]], _Out], inputs: list[_In], crashed: Callable[[list[_In]], _Out]
) -> Iterator[_Out]:
    """The inputs in a process of their own; halved until what kills it is found."""
    with _pool(1) as pool:
        try:
            result = pool.submit(work, inputs).result()
        except BrokenProcessPool:
            result = None
    if result is not None:
        yield result
    elif len(inputs) == 1:
        yield crashed(inputs)
    else:
        middle = len(inputs) // 2
        yield from _alone(work, inputs[:middle], crashed)
        yield from _alone(work, inputs[middle:], crashed)
