"""Store what was read of an archive's files: one writer, large transactions, nothing kept in memory."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from liverpair.dicom.catalogue_walk import reason_number
from liverpair.dicom.indexing import MEMBER_BITS, Batch, Part, Task
from liverpair.dicom.paths import locator

__all__ = ["pending_tasks", "prepare_to_store", "store_all"]

#: Transactions end when they are this old or this large: what a killed run loses, and what memory holds.
COMMIT_S: Final = 5.0
COMMIT_ROWS: Final = 50_000
#: Numbers of series and bases kept at hand; the rest are looked up.
REMEMBERED: Final = 20_000
#: Reasons that may be gone at the next update although the file is the same: its stamp is then set to one that no
#: file has.
PASSING: Final = frozenset(("unreadable_file", "missing_file", "no_room_to_unpack", "reader_crashed"))
NO_TIME: Final = -1
#: An index is grown while one file in so many is new; beyond it is built anew.
GROWS_UP_TO: Final = 10
#: Pending files fetched at a time.
SLICE: Final = 4096


def pending_tasks(reader: sqlite3.Connection) -> Iterator[Task]:
    """The files to be read, in the order in which they were found."""
    last = 0
    query = (
        "SELECT p.file, d.path, f.name, f.size, f.mtime_ns, p.stored FROM pending p JOIN files f ON f.id = p.file"
        " JOIN folders d ON d.id = f.folder WHERE p.file > ? ORDER BY p.file LIMIT ?"
    )
    while rows := reader.execute(query, (last, SLICE)).fetchall():
        for number, folder, name, size, mtime_ns, stored in rows:
            yield Task(number, locator(folder, name), size, mtime_ns, stored)
        last = rows[-1][0]


def prepare_to_store(db: sqlite3.Connection, expected: int) -> None:
    """Drop the index of SOP keys where much will be stored: building it at the end is faster than growing it.

    The keys come in random order, so that each would change another page.
    """
    if expected * GROWS_UP_TO > db.execute("SELECT COUNT(*) FROM objects").fetchone()[0]:
        db.execute("DROP INDEX IF EXISTS objects_by_sop")


@dataclass(slots=True)
class _Archive:
    """How far an archive is stored: ``stored`` members without a gap, and parts beyond it by their start."""

    stored: int
    beyond: dict[int, int] = field(default_factory=dict)

    def add(self, start: int, stop: int) -> None:
        """Members from ``start`` to before ``stop`` are stored."""
        self.beyond[start] = stop
        while self.stored in self.beyond:
            self.stored = self.beyond.pop(self.stored)


@dataclass(slots=True)
class _Writer:
    """Puts batches into the index; must be inside a transaction."""

    db: sqlite3.Connection
    series: dict[tuple[bytes, bytes, bytes], int] = field(default_factory=dict)
    bases: dict[bytes, int] = field(default_factory=dict)
    archives: dict[int, _Archive] = field(default_factory=dict)

    def _series_number(self, key: tuple[bytes, bytes, bytes]) -> int:
        number = self.series.get(key)
        if number is None:
            self.db.execute("INSERT OR IGNORE INTO series (patient_id, study_uid, series_uid) VALUES (?, ?, ?)", key)
            query = "SELECT id FROM series WHERE patient_id = ? AND study_uid = ? AND series_uid = ?"
            number = self.series[key] = int(self.db.execute(query, key).fetchone()[0])
            if len(self.series) > REMEMBERED:
                self.series = {key: number}
        return number

    def _base_number(self, digest: bytes, content: bytes) -> int:
        number = self.bases.get(digest)
        if number is None:
            self.db.execute("INSERT OR IGNORE INTO bases (digest, content) VALUES (?, ?)", (digest, content))
            number = int(self.db.execute("SELECT id FROM bases WHERE digest = ?", (digest,)).fetchone()[0])
            self.bases[digest] = number
            if len(self.bases) > REMEMBERED:
                self.bases = {digest: number}
        return number

    def _archive_part(self, part: Part) -> bool:
        """Clear what an interrupted run may have left of an archive's part; says whether the file is done."""
        number, start = part.task.number, part.task.start
        first = number << MEMBER_BITS
        for table in ("objects", "members", "problems"):
            self.db.execute(f"DELETE FROM {table} WHERE id >= ? AND id < ?", (first + start, first + part.stop))
        archive = self.archives.setdefault(number, _Archive(0 if part.task.total else start))
        archive.add(start, part.stop)
        if archive.stored >= part.total:
            del self.archives[number]
            return True
        self.db.execute("UPDATE pending SET stored = ? WHERE file = ?", (archive.stored, number))
        return False

    def _finish_files(self, batch: Batch) -> int:
        """Note which files are read to the end; returns how many."""
        done = [*batch.files, *(part.task.number for part in batch.parts if self._archive_part(part))]
        self.db.executemany("DELETE FROM pending WHERE file = ?", [(number,) for number in done])
        return len(done)

    def write(self, batch: Batch) -> int:
        """Store the rows of a batch; returns the number of files that are done with it."""
        done = self._finish_files(batch)
        series = [self._series_number(key) for key in batch.series]
        bases = [self._base_number(*base) for base in batch.bases]
        self.db.executemany(
            "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)",
            [(number, series[s], bases[b], sop, frames, own) for number, s, b, sop, frames, own in batch.objects],
        )
        self.db.executemany("INSERT INTO members VALUES (?, ?)", batch.members)
        reasons = {(reason, detail) for _, reason, detail in batch.problems}
        numbers = {key: reason_number(self.db, *key) for key in sorted(reasons)}
        self.db.executemany(
            "INSERT INTO problems VALUES (?, ?)", [(n, numbers[reason, detail]) for n, reason, detail in batch.problems]
        )
        again = {(NO_TIME, n >> MEMBER_BITS) for n, reason, _ in batch.problems if reason in PASSING}
        self.db.executemany("UPDATE files SET mtime_ns = ? WHERE id = ?", sorted(again))
        self.db.executemany(
            "INSERT INTO listed VALUES (?, ?, 0)",
            [(n, path.encode("utf-8", "surrogatepass")) for n, path in batch.listed],
        )
        return done


def store_all(db: sqlite3.Connection, batches: Iterable[Batch], progress: Callable[[int], None]) -> None:
    """Store batches as they come, until there are none; what is stored is kept when this is interrupted.

    ``progress`` is told the files done.
    """
    writer, done, rows, since = _Writer(db), 0, 0, time.monotonic()
    db.execute("BEGIN IMMEDIATE")
    try:
        for batch in batches:
            # Interrupted inside a batch (Ctrl-C), the transaction goes back to the end of the one before.
            db.execute("SAVEPOINT batch")
            done += writer.write(batch)
            db.execute("RELEASE batch")
            rows += len(batch.objects) + len(batch.problems)
            if rows >= COMMIT_ROWS or time.monotonic() - since >= COMMIT_S:
                db.execute("COMMIT")
                db.execute("BEGIN IMMEDIATE")
                rows, since = 0, time.monotonic()
            progress(done)
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK TO batch")
        db.execute("COMMIT")
        raise
    db.execute("COMMIT")
