"""Compare what lies on disk with what the index knows, folder by folder, and note what must be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from liverpair.dicom.catalogue_file import begin
from liverpair.dicom.indexing import MEMBER_BITS
from liverpair.dicom.listing import Entry, Folder

__all__ = ["WalkSummary", "forget_file", "merge", "reason_number"]

#: Changes that are written together.
FLUSH: Final = 20_000
#: How often the caller is told, in files.
TOLD: Final = 1000


@dataclass(slots=True)
class WalkSummary:
    """What the walk found: files on disk, how many are gone, and how many new ones cannot be read at all."""

    files: int = 0
    removed: int = 0
    unreadable: int = 0


def forget_file(db: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Forget all that was read of some files."""
    ranges = [(number << MEMBER_BITS, (number + 1) << MEMBER_BITS) for number in numbers]
    for table, key in (
        ("objects", "id"),
        ("members", "id"),
        ("problems", "id"),
        ("digests", "object"),
        ("copies", "object"),
    ):
        db.executemany(f"DELETE FROM {table} WHERE {key} >= ? AND {key} < ?", ranges)
    db.executemany("DELETE FROM listed WHERE file = ?", [(first >> MEMBER_BITS,) for first, _ in ranges])


def reason_number(db: sqlite3.Connection, reason: str, detail: str) -> int:
    """The number of a reason, which many files share."""
    db.execute("INSERT OR IGNORE INTO reasons (reason, detail) VALUES (?, ?)", (reason, detail))
    row = db.execute("SELECT id FROM reasons WHERE reason = ? AND detail = ?", (reason, detail)).fetchone()
    return int(row[0])


@dataclass(slots=True)
class _Changes:
    """What the walk has found and is not yet written."""

    db: sqlite3.Connection
    summary: WalkSummary
    next_number: int
    next_folder: int
    folders: list[tuple[int, bytes]] = field(default_factory=list)
    visited: list[tuple[int]] = field(default_factory=list)
    new: list[tuple[int, int, bytes, int, int]] = field(default_factory=list)
    changed: list[tuple[int, int, int]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    problems: list[tuple[int, tuple[str, str]]] = field(default_factory=list)

    def note(self, folder: int, entry: Entry, number: int | None) -> None:
        """A file that is new (no ``number`` yet) or has changed."""
        if number is None:
            number = self.next_number
            self.next_number += 1
            self.new.append((number, folder, entry.name, entry.size, entry.mtime_ns))
        else:
            self.changed.append((entry.size, entry.mtime_ns, number))
        if entry.problem is None:
            self.unread.append(number)
        else:
            self.summary.unreadable += 1
            self.problems.append((number << MEMBER_BITS, entry.problem))
        if len(self) >= FLUSH:
            self.write()

    def forget(self, number: int) -> None:
        """A file that is no longer there."""
        self.summary.removed += 1
        self.gone.append(number)

    def visit(self, path: bytes) -> tuple[int, bool]:
        """The number of a folder, and whether the index knew it."""
        row = self.db.execute("SELECT id FROM folders WHERE path = ?", (path,)).fetchone()
        if row is None:
            self.folders.append((self.next_folder, path))
            self.next_folder += 1
        number = self.next_folder - 1 if row is None else int(row[0])
        self.visited.append((number,))
        return number, row is not None

    def __len__(self) -> int:
        return len(self.new) + len(self.changed) + len(self.gone) + len(self.folders)

    def write(self) -> None:
        """Put the changes into the index, in one transaction; from here on it is not complete."""
        self.db.executemany("INSERT OR IGNORE INTO visited VALUES (?)", self.visited)
        self.visited.clear()
        if not len(self):
            return
        with begin(self.db):
            self.db.executemany("INSERT INTO folders VALUES (?, ?)", self.folders)
            self.db.execute("UPDATE meta SET value = '0' WHERE key = 'complete'")
            forget_file(self.db, [*self.gone, *(number for _, _, number in self.changed)])
            gone = [(number,) for number in self.gone]
            self.db.executemany("DELETE FROM files WHERE id = ?", gone)
            self.db.executemany("DELETE FROM pending WHERE file = ?", gone)
            self.db.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", self.new)
            self.db.executemany("UPDATE files SET size = ?, mtime_ns = ? WHERE id = ?", self.changed)
            self.db.executemany("DELETE FROM pending WHERE file = ?", [(number,) for _, _, number in self.changed])
            self.db.executemany("INSERT INTO pending VALUES (?, 0)", [(number,) for number in self.unread])
            reasons = {problem: reason_number(self.db, *problem) for _, problem in self.problems}
            self.db.executemany(
                "INSERT INTO problems VALUES (?, ?)", [(number, reasons[problem]) for number, problem in self.problems]
            )
        for part in (self.folders, self.new, self.changed, self.gone, self.unread, self.problems):
            part.clear()


def _compare(changes: _Changes, number: int, entries: Iterator[Entry], known: Iterator[tuple[Any, ...]]) -> int:
    """Go through the files of one folder and its rows (name, number, size, time), both in byte order of names.

    Returns the number of files.
    """
    count, row = 0, next(known, None)
    for entry in entries:
        count += 1
        name = entry.name
        while row is not None and row[0] < name:
            changes.forget(row[1])
            row = next(known, None)
        if row is not None and row[0] == name:
            if row[2] != entry.size or row[3] != entry.mtime_ns:
                changes.note(number, entry, row[1])
            row = next(known, None)
        else:
            changes.note(number, entry, None)
    while row is not None:
        changes.forget(row[1])
        row = next(known, None)
    return count


def merge(
    db: sqlite3.Connection, reader: sqlite3.Connection, folders: Iterable[Folder], progress: Callable[[int], None]
) -> WalkSummary:
    """Bring the list of files up to date and note in ``pending`` which of them must be read.

    ``reader`` is a second connection to the same index: it goes on reading a folder's rows while ``db`` writes.
    Nothing is written where nothing changed. ``progress`` is told the files seen.
    """
    summary = WalkSummary()
    highest = "SELECT coalesce(max(id), 0) + 1 FROM"
    numbers = [db.execute(f"{highest} {table}").fetchone()[0] for table in ("files", "folders")]
    changes = _Changes(db, summary, *numbers)
    db.execute("CREATE TEMP TABLE visited (folder INTEGER PRIMARY KEY)")
    try:
        for folder in folders:
            number, is_known = changes.visit(folder.path)
            query = "SELECT name, id, size, mtime_ns FROM files WHERE folder = ? ORDER BY name"
            known = reader.execute(query, (number,)) if is_known else iter(())
            before = summary.files
            summary.files += _compare(changes, number, folder.entries, known)
            if summary.files // TOLD != before // TOLD:
                progress(summary.files)
            if len(changes) + len(changes.visited) >= FLUSH:
                changes.write()
        changes.write()
        _forget_folders(db, changes)
    finally:
        db.execute("DROP TABLE visited")
    return summary


def _forget_folders(db: sqlite3.Connection, changes: _Changes) -> None:
    """Forget the folders that are no longer there, and their files."""
    lost = "SELECT id FROM folders WHERE id NOT IN (SELECT folder FROM visited)"
    for (folder,) in db.execute(lost).fetchall():
        for (number,) in db.execute("SELECT id FROM files WHERE folder = ?", (folder,)).fetchall():
            changes.forget(number)
        if len(changes) >= FLUSH:
            changes.write()
    changes.write()
    db.execute("DELETE FROM folders WHERE id NOT IN (SELECT folder FROM visited)")
