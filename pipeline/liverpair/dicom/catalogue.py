"""The index: one SQLite file that remembers every header of an archive and reads again only what changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from liverpair.core.errors import UsageError
from liverpair.dicom import catalogue_file, catalogue_read
from liverpair.dicom.catalogue_copies import compare_copies
from liverpair.dicom.catalogue_file import begin, plain_errors
from liverpair.dicom.catalogue_store import pending_tasks, prepare_to_store, store_all
from liverpair.dicom.catalogue_walk import merge
from liverpair.dicom.dicomdir import on_disk
from liverpair.dicom.indexing import Batch, Task, read_files
from liverpair.dicom.listing import Folder, folders
from liverpair.dicom.records import Exclusion, SeriesRecord

__all__ = ["Catalogue", "IndexSummary"]


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


class Catalogue:
    """The persistent index of one archive (which may be many folders and files).

    Safe to interrupt at any time: the next update goes on where this one stopped. One process writes at a time,
    any number read meanwhile. The file must lie on a local disk, since SQLite's write-ahead log does not work
    on network file systems. Every method raises UsageError where the file cannot be read or written.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Catalogue:
        """Open the index at ``path``; created if absent. One that another version wrote is left as it is until
        ``update`` builds it anew.
        """
        path = Path(path)
        if os.access(path, os.R_OK) and not os.access(path.parent, os.W_OK):
            return cls(catalogue_file.connect_to_read(path), path)
        connection = catalogue_file.connect(path)
        catalogue = cls(connection, path)
        try:
            with plain_errors(path):
                if not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                    catalogue_file.create(connection)
        except BaseException:
            connection.close()
            raise
        return catalogue

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing -------------------------------------------------------------------------------------------------

    def update(
        self,
        archives: Sequence[Path],
        jobs: int = 1,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> IndexSummary:
        """Make the index say what ``archives`` hold now; files elsewhere are forgotten.

        Only files whose size or modification time changed are read, in ``jobs`` processes. ``progress`` is
        told (files done, files to read or None while they are being listed). The archives are never written
        to. While another process updates the same index this one waits, and raises UsageError if it must wait
        long.
        """
        whole = [Path(os.path.abspath(path)) for path in archives]  # noqa: PTH100 - links in the path are kept
        return self.update_from(
            folders(whole), lambda tasks, expected: read_files(tasks, expected, jobs), jobs, progress
        )

    def update_from(
        self,
        found: Iterable[Folder],
        read: Callable[[Iterator[Task], int], Generator[Batch, None, None]],
        jobs: int = 1,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> IndexSummary:
        """``update`` for files that are ``found`` and ``read`` in another way than from disk."""
        with plain_errors(self._path), catalogue_file.sole_writer(self._path, lambda: progress(0, None)):
            catalogue_file.create(self._db)
            with closing(catalogue_file.connect_to_read(self._path)) as reader:
                walk = merge(self._db, reader, found, lambda files: progress(files, None))
                waiting = int(self._db.execute("SELECT COUNT(*) FROM pending").fetchone()[0])
                progress(0, waiting)
                if waiting:
                    prepare_to_store(self._db, waiting)
                    with closing(read(pending_tasks(reader), waiting)) as batches:
                        store_all(self._db, batches, lambda done: progress(done, waiting))
            if not self.is_complete():
                self._finish(jobs)
            self._find_missing()
            return self._summary(walk.files, waiting + walk.unreadable, walk.removed)

    def _finish(self, jobs: int) -> None:
        """What can only be said of the archive as a whole."""
        compare_copies(self._db, jobs)
        with begin(self._db):
            self._db.execute(
                "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM objects WHERE objects.series = series.id)"
            )
            self._db.execute("UPDATE meta SET value = '1' WHERE key = 'complete'")

    def _find_missing(self) -> None:
        """Look whether the files that media directories list are there: that may change while the lists do not."""
        changed = []
        query = (
            "SELECT l.rowid, d.path, l.path, l.missing FROM listed l JOIN files f ON f.id = l.file"
            " JOIN folders d ON d.id = f.folder"
        )
        for row, folder, path, missing in self._db.execute(query):
            there = on_disk(folder, tuple(path.decode("utf-8", "surrogatepass").split("/")))
            if (there is None) != bool(missing):
                changed.append((int(there is None), row))
        if changed:
            with begin(self._db):
                self._db.executemany("UPDATE listed SET missing = ? WHERE rowid = ?", changed)

    def _count(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    def _summary(self, files: int, read: int, removed: int) -> IndexSummary:
        copies = self._count("SELECT COUNT(*) FROM copies")
        problems = self._count("SELECT COUNT(*) FROM problems")
        missing = self._count(
            "SELECT COUNT(*) FROM (SELECT DISTINCT f.folder, l.path FROM listed l JOIN files f ON f.id = l.file"
            " WHERE l.missing)"
        )
        return IndexSummary(
            files,
            read,
            files - read,
            removed,
            self._count("SELECT COUNT(*) FROM objects") - copies,
            problems + copies + missing,
            self._count("SELECT COUNT(*) FROM series"),
        )

    # --- reading -------------------------------------------------------------------------------------------------

    def is_complete(self) -> bool:
        """Whether the last update ended: False while one runs and after one was interrupted."""
        with plain_errors(self._path):
            self._require_current()
            return bool(self._count("SELECT value = '1' FROM meta WHERE key = 'complete'"))

    def _require_current(self) -> None:
        if not catalogue_file.is_current(self._db):
            raise UsageError(
                f"{self._path} was written by another version of liverpair; run `liverpair index` again, which reads"
                " the archive anew"
            )

    def groups(self, identity: Callable[[str], str] = str.strip) -> Iterator[list[SeriesRecord]]:
        """All series, one patient at a time: memory holds the largest patient, not the archive.

        A patient is everything that shares a Patient ID or a Study Instance UID, directly or through others.
        ``identity`` says which Patient IDs are one (by default padding is ignored); where it gives "" the ID joins
        nothing. Patients come in the order of their smallest (Patient ID, study), their
        series by Patient ID, study and series UID, frames by Instance Number, UID and frame. What is read is the
        state at the first step, whatever is written meanwhile. Headers are read-only.
        """
        with plain_errors(self._path):
            self._require_current()
            with closing(catalogue_file.connect_to_read(self._path)) as reader:
                reader.execute("BEGIN")
                yield from catalogue_read.groups(reader, identity)

    def series(self) -> list[SeriesRecord]:
        """Every series, in the order of ``groups``, all in memory."""
        return [record for group in self.groups() for record in group]

    def one_series(self, series_uid: str, study_uid: str, patient_id: str) -> SeriesRecord:
        """A single series as ``groups`` gave it. Raises UsageError where the index no longer holds it."""
        with plain_errors(self._path):
            self._require_current()
            found = catalogue_read.one_series(self._db, series_uid, study_uid, patient_id)
        if found is None:
            raise UsageError("the index no longer holds a series that was chosen; run `liverpair pair` again")
        return found

    def each_exclusion(self) -> Iterator[Exclusion]:
        """Files and members that were left out, one after another, in byte order of their locators.

        A second copy of a SOP instance is ``duplicate_instance``; another object under the same UID is
        ``conflicting_instance``. Of several the one kept lies in a plain file rather than in an archive, and has
        the lexicographically first locator.
        """
        with plain_errors(self._path):
            self._require_current()
            with closing(catalogue_file.connect_to_read(self._path)) as reader:
                yield from catalogue_read.exclusions(reader)

    def exclusions(self) -> list[Exclusion]:
        """``each_exclusion``, all in memory."""
        return list(self.each_exclusion())
