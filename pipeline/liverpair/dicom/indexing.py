"""Scan many files for the index, in this process or in several, in batches that can be stored at once."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Final

from liverpair.core.errors import Refusal
from liverpair.dicom.records import InstanceRecord
from liverpair.dicom.scan import scan
from liverpair.dicom.sources import Source, members, open_source

__all__ = ["FileResult", "ObjectResult", "read_files"]

#: Files, or members of one archive, per task: long enough to hide the cost of a task, short enough to lose
#: little.
BATCH: Final = 128
#: Below this many files starting processes takes longer than reading.
POOL_PAYS_FROM: Final = 256
#: Batches in flight per process: bounds the memory of results that wait to be stored.
BACKLOG: Final = 4


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One file or archive member: its frames, or (reason, detail) why it is left out."""

    locator: str
    records: tuple[InstanceRecord, ...] = ()
    problem: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """Objects found in a file on disk; ``complete`` when all it holds has been reported."""

    source: Source
    objects: tuple[ObjectResult, ...]
    complete: bool


def _scan_source(source: Source) -> ObjectResult:
    if source.problem:
        return ObjectResult(source.locator, problem=source.problem)
    try:
        with open_source(source.locator) as stream:
            return ObjectResult(source.locator, scan(source.locator, stream))
    except Refusal as refusal:
        return ObjectResult(source.locator, problem=(refusal.reason, refusal.detail))
    except OSError as error:
        problem = ("unreadable_file", f"the file cannot be read ({type(error).__name__})")
        return ObjectResult(source.locator, problem=problem)


def _scan_members(source: Source, start: int) -> FileResult:
    """The objects of one file from member ``start`` on, at most a batch; complete when nothing is left."""
    if source.problem:
        return FileResult(source, (_scan_source(source),), complete=True)
    part = list(islice(members(source), start, start + BATCH + 1))
    return FileResult(source, tuple(_scan_source(member) for member in part[:BATCH]), complete=len(part) <= BATCH)


def _scan_batch(batch: Sequence[tuple[Source, int]]) -> list[FileResult]:
    return [_scan_members(source, start) for source, start in batch]


def _continued(batch: Sequence[tuple[Source, int]], results: Sequence[FileResult]) -> list[tuple[Source, int]]:
    """Where to go on in archives that hold more members than one batch."""
    pairs = zip(batch, results, strict=True)
    return [(source, start + BATCH) for (source, start), result in pairs if not result.complete]


def _batches(sources: Sequence[Source]) -> Iterator[list[tuple[Source, int]]]:
    for first in range(0, len(sources), BATCH):
        yield [(source, 0) for source in sources[first : first + BATCH]]


def _read_here(sources: Sequence[Source]) -> Iterator[list[FileResult]]:
    for start in _batches(sources):
        batch = start
        while batch:
            results = _scan_batch(batch)
            yield results
            batch = _continued(batch, results)


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Workers; forked where no thread could hold a lock (fast), spawned otherwise (safe)."""
    forkable = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork" if forkable else "spawn"))


def read_files(sources: Sequence[Source], jobs: int = 1) -> Generator[list[FileResult], None, None]:
    """Scan files (archives: all their members) and yield the results in batches, in no particular order.

    With more than one job the batches are read in that many processes. Nothing a file holds raises: what
    cannot be read comes back as a problem.
    """
    if jobs <= 1 or len(sources) < POOL_PAYS_FROM:
        yield from _read_here(sources)
        return
    waiting = _batches(sources)
    queued: list[list[tuple[Source, int]]] = []
    running: dict[Future[list[FileResult]], list[tuple[Source, int]]] = {}
    with _pool(jobs) as pool:
        try:
            while True:
                while len(running) < jobs * BACKLOG and (batch := queued.pop() if queued else next(waiting, None)):
                    running[pool.submit(_scan_batch, batch)] = batch
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    batch, results = running.pop(future), future.result()
                    rest = _continued(batch, results)
                    if rest:
                        queued.append(rest)
                    yield results
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
