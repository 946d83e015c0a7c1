"""The index's file: its tables, how it is opened, who may write to it, and what its errors mean to a reader."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from liverpair.core.errors import UsageError
from liverpair.dicom.attributes import PASSING, PRIVATE_B_VALUE_TAGS, WANTED

__all__ = ["begin", "connect", "connect_to_read", "create", "is_current", "plain_errors", "sole_writer"]

#: Raised whenever what a row means, or what the scanner answers, changes; an older index is built anew.
LAYOUT: Final = 4
#: "LvPr": tells our file from other programs' databases.
APPLICATION_ID: Final = 0x4C765072
#: Paths, names and DICOM's texts are BLOBs: they need not be valid Unicode. `objects.id` is the file's number
#: shifted by 24 bits plus the place among the archive's members, so that a file's rows are one range.
SCHEMA: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE folders (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE)",
    "CREATE TABLE files (id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, name BLOB NOT NULL,"
    " size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL)",
    "CREATE INDEX files_by_folder ON files (folder)",
    # Files that are not read to the end; of an archive `stored` members are.
    "CREATE TABLE pending (file INTEGER PRIMARY KEY, stored INTEGER NOT NULL)",
    "CREATE TABLE series (id INTEGER PRIMARY KEY, patient_id BLOB NOT NULL, study_uid BLOB NOT NULL,"
    " series_uid BLOB NOT NULL, UNIQUE (patient_id, study_uid, series_uid))",
    "CREATE TABLE bases (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, content BLOB NOT NULL)",
    "CREATE TABLE objects (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, base INTEGER NOT NULL,"
    " sop INTEGER NOT NULL, frames INTEGER, own BLOB NOT NULL)",
    "CREATE INDEX objects_by_series ON objects (series)",
    "CREATE TABLE members (id INTEGER PRIMARY KEY, name BLOB NOT NULL)",
    "CREATE TABLE reasons (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT NULL,"
    " UNIQUE (reason, detail))",
    "CREATE TABLE problems (id INTEGER PRIMARY KEY, reason INTEGER NOT NULL)",
    "CREATE TABLE digests (object INTEGER PRIMARY KEY, digest BLOB NOT NULL)",
    # Objects that are left out as another one has their SOP Instance UID.
    "CREATE TABLE copies (object INTEGER PRIMARY KEY, conflict INTEGER NOT NULL)",
    # What media directories list.
    "CREATE TABLE listed (file INTEGER NOT NULL, path BLOB NOT NULL, missing INTEGER NOT NULL)",
    "CREATE INDEX listed_by_file ON listed (file)",
)
#: The scanned headers depend on these; an index of other attributes is built anew.
CONTENT: Final = hashlib.sha256(repr((LAYOUT, WANTED, PASSING, PRIVATE_B_VALUE_TAGS)).encode()).hexdigest()
#: How long a reader or writer waits for a lock that is held for a moment only.
BUSY_S: Final = 30.0
#: How long an indexer waits for another one, and how often it looks.
WRITER_WAIT_S: Final = 60.0
WRITER_POLL_S: Final = 0.2
#: Pages kept in memory, in KiB: the indexes' upper levels and the changes of one transaction.
CACHE_KIB: Final = 32 * 1024
#: SQLite's write-ahead log shares memory between processes, which network file systems do not offer.
NETWORK_FILE_SYSTEMS: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "davfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse")
)
MOUNTS: Final = Path("/proc/self/mounts")
ELSEWHERE: Final = "name a workspace in a folder of a local disk that you may write to"


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the operating system's errors into sentences that say what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise UsageError(_sentence(path, error)) from error


def _sentence(path: Path, error: sqlite3.DatabaseError) -> str:
    name = str(getattr(error, "sqlite_errorname", "") or "")
    if name.startswith("SQLITE_FULL"):
        return f"the disk that holds {path} is full; make room and run it again: it goes on where it stopped"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return f"{path} cannot be opened for writing; {ELSEWHERE}"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path} is in use by another program; wait until it is done and run it again"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"{path} is not an index of liverpair, or is damaged; delete it or name another workspace"
    if name.startswith(("SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_NOLFS")):
        return f"{path} cannot be read or written ({name}): the disk is full or fails, or is a network's; {ELSEWHERE}"
    return f"{path} cannot be used as an index ({name or type(error).__name__}); delete it or name another workspace"


def network_file_system(folder: Path) -> str:
    """The kind of network file system that ``folder`` lies on; empty for a local disk or where nothing tells."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best, kind = os.path.realpath(folder), "", ""
    for line in lines:
        parts = line.split()
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ").rstrip("/")
        if len(point) >= len(best) and (real == point or real.startswith(point + "/")):
            best, kind = point, parts[2]
    return kind if kind in NETWORK_FILE_SYSTEMS else ""


def connect(path: Path) -> sqlite3.Connection:
    """Open the index for reading and writing; an absent one is created, empty."""
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder above is closed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{path.parent} cannot be made ({type(error).__name__}); {ELSEWHERE}") from error
        kind = network_file_system(path.parent)
        if kind:
            raise UsageError(
                f"{path.parent} lies on a network file system ({kind}), where no index can be kept; {ELSEWHERE}"
            )
    elif not path.is_file():
        raise UsageError(f"{path} is not a file; {ELSEWHERE}")
    with plain_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            if _is_foreign(connection):
                raise UsageError(f"{path} is another program's database; name another workspace")
            _use_log(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
    return connection


def _use_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; of two processes that do so at once SQLite turns one away without waiting."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > until:
                raise
        time.sleep(WRITER_POLL_S)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the index for reading only; beside a writer, and from a medium that cannot be written to."""
    with plain_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None
        )
        try:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            log = Path(f"{path}-wal")
            if not path.exists() or (log.exists() and log.stat().st_size):
                raise
            # A write-ahead log needs a file beside the index even to read it; nothing can change this one.
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None)
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _is_foreign(connection: sqlite3.Connection) -> bool:
    """Whether the file is a database that liverpair did not make (of any version)."""
    tables = _tables(connection)
    if not tables or connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,):
        return False
    return not {"meta", "files", "objects", "problems"} <= tables


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the index was written by this version."""
    with suppress(sqlite3.OperationalError):
        return bool(connection.execute("SELECT value FROM meta WHERE key = 'content'").fetchone() == (CONTENT,))
    return False


@contextmanager
def begin(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that is kept whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def create(connection: sqlite3.Connection) -> None:
    """Make the index empty, whatever another version left in it; a current one is left alone."""
    with begin(connection):
        if is_current(connection):
            return
        for table in _tables(connection) - {"sqlite_sequence", "sqlite_stat1"}:
            connection.execute(f'DROP TABLE "{table}"')
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('content', ?), ('complete', '0')", (CONTENT,))


@contextmanager
def sole_writer(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the right to write; another process that holds it is waited for, a while.

    The lock is that of an empty SQLite file beside the index: the operating system frees it when its holder
    dies. Raises UsageError when the other one takes longer.
    """
    lock = Path(f"{path}.lock")
    with plain_errors(path), closing(sqlite3.connect(lock, timeout=0, isolation_level=None)) as connection:
        until = time.monotonic() + WRITER_WAIT_S
        while True:
            try:
                connection.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.OperationalError as error:
                if not str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                    raise
            if time.monotonic() > until:
                raise UsageError(
                    f"another liverpair is indexing into {path.parent}; wait until it is done and run this again"
                )
            waiting()
            time.sleep(WRITER_POLL_S)
        yield
