"""The index: one SQLite file that remembers every header of an archive and reads again only what changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from liverpair.core.errors import Refusal, UsageError
from liverpair.dicom.attributes import PRIVATE_B_VALUE_TAGS, WANTED
from liverpair.dicom.indexing import FileResult, ObjectResult, read_files
from liverpair.dicom.records import Exclusion, InstanceRecord, SeriesRecord
from liverpair.dicom.sources import Source, files, open_source

__all__ = ["Catalogue", "IndexSummary"]

#: Raised whenever what a row means changes; an index written by another version is built anew.
LAYOUT: Final = 1
SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, locator TEXT NOT NULL, sop_uid TEXT NOT NULL,
    series_uid TEXT NOT NULL, study_uid TEXT NOT NULL, patient_id TEXT NOT NULL, frames BLOB NOT NULL,
    digest TEXT NOT NULL DEFAULT '');
CREATE INDEX objects_by_path ON objects (path);
CREATE INDEX objects_by_sop ON objects (sop_uid);
CREATE INDEX objects_by_series ON objects (patient_id, study_uid, series_uid);
CREATE TABLE problems (path TEXT NOT NULL, locator TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX problems_by_path ON problems (path);
"""
#: The scanned headers depend on these; an index of other attributes is built anew.
CONTENT: Final = hashlib.sha256(repr((LAYOUT, WANTED, PRIVATE_B_VALUE_TAGS)).encode()).hexdigest()
#: Headers are repetitive text: the fastest level already shrinks them five times.
COMPRESSION_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What an update did.

    ``files`` lie on disk, of which ``read`` were read now and ``unchanged`` were not; ``removed`` are gone
    since the last update. The index holds ``objects`` in ``series``; ``excluded`` files and members are left
    out.
    """

    files: int
    read: int
    unchanged: int
    removed: int
    objects: int
    excluded: int
    series: int


def _pack(frames: Sequence[InstanceRecord]) -> bytes:
    """The frames of one object: what they share once, then each frame's own attributes."""
    shared = dict(frames[0].header)
    for record in frames[1:]:
        shared = {key: value for key, value in shared.items() if key in record.header and record.header[key] == value}
    own = [[r.frame, {k: v for k, v in r.header.items() if k not in shared}] for r in frames]
    text = json.dumps([shared, own], ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), COMPRESSION_LEVEL)


def _unpack(locator: str, packed: bytes) -> list[InstanceRecord]:
    shared, own = json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass"))
    return [InstanceRecord(locator, frame, shared | header) for frame, header in own]


def _order(record: InstanceRecord) -> tuple[Any, ...]:
    number = record.get("InstanceNumber")
    return (
        number is None,
        number or 0,
        record.get("SOPInstanceUID", ""),
        -1 if record.frame is None else record.frame,
        record.locator,
    )


def _sharing(records: list[InstanceRecord]) -> tuple[InstanceRecord, ...]:
    """The same records, holding once what they have in common: long series then take little memory."""
    if len(records) < 2:
        return tuple(records)
    common = dict(records[0].header)
    for record in records[1:]:
        common = {k: v for k, v in common.items() if k in record.header and record.header[k] == v}
    layered = []
    for record in records:
        own = {key: value for key, value in record.header.items() if key not in common}
        layered.append(InstanceRecord(record.locator, record.frame, ChainMap(own, common)))
    return tuple(layered)


def _digest(locator: str) -> str:
    """SHA-256 of an object's bytes after preamble and file meta information (group 0002)."""
    with open_source(locator) as stream:
        content = stream.read()
    start = 0
    if content[128:132] == b"DICM":
        # The meta information starts with the length of what follows (PS3.10 §7.1).
        length = int.from_bytes(content[140:144], "little") if content[132:136] == b"\x02\x00\x00\x00" else 0
        start = 144 + length if 0 < length < len(content) else 132
    return hashlib.sha256(memoryview(content)[start:]).hexdigest()


class Catalogue:
    """The persistent index of one archive (which may be many folders and files).

    Safe to interrupt at any time: the next update goes on where this one stopped. One writer at a time; the
    file must lie on a local disk, since SQLite's write-ahead log does not work on network file systems.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, path: Path) -> Catalogue:
        """Open the index at ``path``; created if absent, emptied if another version of liverpair wrote it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            content = connection.execute("SELECT value FROM meta WHERE key = 'content'").fetchone()
        except sqlite3.OperationalError:
            content = None
        except sqlite3.DatabaseError as error:
            connection.close()
            raise UsageError(f"{path} is not an index of liverpair; delete it or name another workspace") from error
        if content != (CONTENT,):
            cls._create(connection)
        return cls(connection)

    @staticmethod
    def _create(connection: sqlite3.Connection) -> None:
        for table in ("meta", "files", "objects", "problems"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('content', ?)", (CONTENT,))

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(
        self,
        archives: Sequence[Path],
        jobs: int = 1,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> IndexSummary:
        """Make the index say what ``archives`` hold now; files elsewhere are forgotten.

        Only files whose size or modification time changed are read, in ``jobs`` processes. ``progress`` is
        told (files done, files to read or None while they are being listed). The archives are never written
        to.
        """
        found: dict[str, Source] = {}
        for source in files(archives):
            found[source.locator] = source
            if len(found) % 1000 == 0:
                progress(len(found), None)
        known = {path: (size, mtime) for path, size, mtime in self._db.execute("SELECT * FROM files")}
        changed = [s for s in found.values() if known.get(s.locator) != (s.size, s.mtime_ns) or s.problem]
        gone = [path for path in known if path not in found]
        self._forget(gone + [source.locator for source in changed])
        progress(0, len(changed))
        done = 0
        with closing(read_files(changed, jobs)) as results:
            for batch in results:
                self._remember(batch)
                done += len({result.source.locator for result in batch if result.complete})
                progress(done, len(changed))
        self._compare_repeated()
        return self._summary(len(found), len(changed), len(gone))

    def _forget(self, paths: Sequence[str]) -> None:
        with self._transaction():
            for table in ("files", "objects", "problems"):
                self._db.executemany(f"DELETE FROM {table} WHERE path = ?", [(path,) for path in paths])

    def _remember(self, batch: Sequence[FileResult]) -> None:
        with self._transaction():
            for result in batch:
                path = result.source.locator
                for item in result.objects:
                    self._remember_object(path, item)
                if result.complete:
                    row = (path, result.source.size, result.source.mtime_ns)
                    self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", row)

    def _remember_object(self, path: str, item: ObjectResult) -> None:
        if item.problem or not item.records:
            reason, detail = item.problem or ("unreadable_header", "the object has no frame")
            self._db.execute("INSERT INTO problems VALUES (?, ?, ?, ?)", (path, item.locator, reason, detail))
            return
        first = item.records[0]
        words = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")
        row = (path, item.locator, *(str(first.get(word, "")) for word in words), _pack(item.records))
        self._db.execute(
            "INSERT INTO objects (path, locator, sop_uid, series_uid, study_uid, patient_id, frames)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _transaction(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def _compare_repeated(self) -> None:
        """Hash the objects whose SOP Instance UID occurs more than once: copies and conflicts then differ."""
        rows = self._db.execute(
            "SELECT id, locator FROM objects WHERE digest = '' AND sop_uid IN"
            " (SELECT sop_uid FROM objects GROUP BY sop_uid HAVING COUNT(*) > 1) ORDER BY locator"
        ).fetchall()
        with self._transaction():
            for identity, locator in rows:
                try:
                    digest = _digest(locator)
                except Refusal as refusal:
                    digest = refusal.reason
                self._db.execute("UPDATE objects SET digest = ? WHERE id = ?", (digest, identity))

    def _summary(self, total: int, read: int, removed: int) -> IndexSummary:
        kept = [row[0] for row in self._db.execute("SELECT DISTINCT sop_uid FROM objects")]
        series = self._db.execute(
            "SELECT COUNT(*) FROM (SELECT DISTINCT patient_id, study_uid, series_uid FROM objects)"
        ).fetchone()[0]
        return IndexSummary(total, read, total - read, removed, len(kept), len(self.exclusions()), series)

    def _repeated(self) -> Iterator[tuple[tuple[str, str], list[tuple[str, str]]]]:
        """Each repeated SOP instance: the (locator, digest) kept, and those left out."""
        rows = self._db.execute(
            "SELECT sop_uid, locator, digest FROM objects WHERE sop_uid IN"
            " (SELECT sop_uid FROM objects GROUP BY sop_uid HAVING COUNT(*) > 1) ORDER BY sop_uid, locator"
        ).fetchall()
        for _, group in groupby(rows, key=lambda row: row[0]):
            kept, *others = [(locator, digest) for _, locator, digest in group]
            yield kept, others

    def exclusions(self) -> list[Exclusion]:
        """Files and members that were left out, in order of their locators.

        A second copy of a SOP instance is ``duplicate_instance``; another object under the same UID is
        ``conflicting_instance``. Of several the lexicographically first locator is kept.
        """
        rows = self._db.execute("SELECT locator, reason, detail FROM problems").fetchall()
        found = [Exclusion("file", *row) for row in rows]
        for kept, others in self._repeated():
            for locator, digest in others:
                if digest == kept[1]:
                    reason, detail = (
                        "duplicate_instance",
                        "a copy of an object that is already indexed; the copy is not used",
                    )
                else:
                    reason = "conflicting_instance"
                    detail = "another object has the same SOP Instance UID; this one is not used, check the export"
                found.append(Exclusion("file", locator, reason, detail))
        return sorted(found, key=lambda exclusion: (exclusion.id, exclusion.reason))

    def series(self) -> list[SeriesRecord]:
        """Every series, ordered by patient, study and series UID; frames by Instance Number, UID and frame.

        The headers of a series share the values they have in common, so treat them as read-only.
        """
        left_out = {locator for _, others in self._repeated() for locator, _ in others}
        rows = self._db.execute(
            "SELECT patient_id, study_uid, series_uid, locator, frames FROM objects"
            " ORDER BY patient_id, study_uid, series_uid, locator"
        )
        found = []
        for (patient, study, series), group in groupby(rows, key=lambda row: row[:3]):
            records = [r for row in group if row[3] not in left_out for r in _unpack(row[3], row[4])]
            if records:
                found.append(SeriesRecord(series, study, patient, _sharing(sorted(records, key=_order))))
        return found
