"""Find the objects that share a SOP Instance UID and decide which one is used: the others are copies or conflicts."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from liverpair.core.errors import Refusal
from liverpair.dicom.catalogue_file import begin
from liverpair.dicom.indexing import MEMBER_BITS
from liverpair.dicom.packing import Base, sop_instance_uid
from liverpair.dicom.paths import locator, locator_bytes
from liverpair.dicom.sources import open_source
from liverpair.dicom.workers import POOL_PAYS_FROM, spread

__all__ = ["compare_copies"]

#: Objects hashed per task and stored together.
SLICE: Final = 64
CHUNK: Final = 1 << 20
#: All objects of a repeated key, with what tells where they are.
REPEATED: Final = f"""
    SELECT o.sop, o.id, o.base, o.frames, o.own, d.path, f.name, m.name, g.digest
    FROM repeated r JOIN objects o ON o.sop = r.sop JOIN files f ON f.id = o.id >> {MEMBER_BITS}
    JOIN folders d ON d.id = f.folder LEFT JOIN members m ON m.id = o.id LEFT JOIN digests g ON g.object = o.id
    ORDER BY o.sop"""


def _digest(path: str) -> bytes:
    """SHA-256 of an object's bytes after preamble and file meta information (group 0002); empty if unreadable."""
    try:
        with open_source(path) as stream:
            start = stream.read(144)
            skipped = 0
            if start[128:132] == b"DICM":
                # The meta information starts with the length of what follows (PS3.10 §7.1).
                length = int.from_bytes(start[140:144], "little") if start[132:136] == b"\x02\x00\x00\x00" else 0
                skipped = 144 + length if length else 132
            stream.seek(skipped)
            digest = hashlib.sha256()
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
            return digest.digest()
    except (Refusal, OSError):
        return b""


def _hash_some(objects: list[tuple[int, str]]) -> list[tuple[int, bytes]]:
    return [(number, _digest(path)) for number, path in objects]


def _unhashed(objects: list[tuple[int, str]]) -> list[tuple[int, bytes]]:
    return [(number, b"") for number, _ in objects]


def _find_repeated(db: sqlite3.Connection) -> int:
    """Fill the table of keys that occur more than once; returns how many there are."""
    db.execute("CREATE INDEX IF NOT EXISTS objects_by_sop ON objects (sop)")
    db.execute("CREATE TEMP TABLE repeated (sop INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO repeated SELECT sop FROM objects GROUP BY sop HAVING COUNT(*) > 1")
    return int(db.execute("SELECT COUNT(*) FROM repeated").fetchone()[0])


def _to_hash(db: sqlite3.Connection) -> Iterator[list[tuple[int, str]]]:
    """Repeated objects that were not hashed yet, some at a time; in the order of their numbers."""
    last = 0
    query = f"""
        SELECT o.id, d.path, f.name, m.name FROM todo t JOIN objects o ON o.id = t.object
        JOIN files f ON f.id = o.id >> {MEMBER_BITS} JOIN folders d ON d.id = f.folder
        LEFT JOIN members m ON m.id = o.id WHERE t.object > ? ORDER BY t.object LIMIT ?"""
    while rows := db.execute(query, (last, SLICE)).fetchall():
        yield [(number, locator(folder, name, member)) for number, folder, name, member in rows]
        last = rows[-1][0]


def _hash_repeated(db: sqlite3.Connection, jobs: int) -> None:
    db.execute("CREATE TEMP TABLE todo (object INTEGER PRIMARY KEY)")
    db.execute(
        "INSERT INTO todo SELECT o.id FROM repeated r JOIN objects o ON o.sop = r.sop"
        " LEFT JOIN digests g ON g.object = o.id WHERE g.object IS NULL"
    )
    few = db.execute("SELECT COUNT(*) FROM todo").fetchone()[0] < POOL_PAYS_FROM
    for digests in spread(_hash_some, _to_hash(db), 1 if few else jobs, _unhashed):
        # What cannot be read now is tried again by the next update.
        db.executemany("INSERT INTO digests VALUES (?, ?)", [row for row in digests if row[1]])
    db.execute("DROP TABLE todo")


def _left_out(rows: list[tuple[Any, ...]], bases: dict[int, Base], db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """(object, 1 for a conflict) of all but one of the objects with one key.

    The one that is kept lies in a plain file rather than in an archive, and comes first by its locator.
    """
    named = []
    for _, number, base, frames, own, folder, name, member, digest in rows:
        if base not in bases:
            bases.clear()
            bases[base] = Base.stored(db.execute("SELECT content FROM bases WHERE id = ?", (base,)).fetchone()[0])
        uid = sop_instance_uid(bases[base], frames, own)
        named.append((uid, member is not None, locator_bytes(folder, name, member), number, digest))
    for _, group in groupby(sorted(named, key=lambda row: row[:3]), key=lambda row: row[0]):
        kept, *others = group
        for other in others:
            yield other[3], int(kept[4] is None or other[4] != kept[4])


def compare_copies(db: sqlite3.Connection, jobs: int) -> None:
    """Make ``copies`` say which objects are left out as another has their SOP Instance UID."""
    try:
        found = _find_repeated(db)
        if found:
            _hash_repeated(db, jobs)
        with begin(db):
            db.execute("DELETE FROM copies")
            if found:
                bases: dict[int, Base] = {}
                for _, group in groupby(db.execute(REPEATED), key=lambda row: row[0]):
                    db.executemany("INSERT INTO copies VALUES (?, ?)", _left_out(list(group), bases, db))
    finally:
        for table in ("repeated", "todo"):
            db.execute(f"DROP TABLE IF EXISTS temp.{table}")
