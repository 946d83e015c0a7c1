"""Read the index: the series of one patient after another, one series again, and what was left out."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

from liverpair.dicom.dicomdir import MISSING_FILE
from liverpair.dicom.indexing import MEMBER_BITS
from liverpair.dicom.packing import Base, unpack
from liverpair.dicom.paths import locator, locator_bytes
from liverpair.dicom.records import Exclusion, InstanceRecord, SeriesRecord

__all__ = ["exclusions", "groups", "one_series"]

DUPLICATE: Final = ("duplicate_instance", "a copy of an object that is already indexed; the copy is not used")
CONFLICT: Final = (
    "conflicting_instance",
    "another object has the same SOP Instance UID; this one is not used, check the export",
)
OBJECTS: Final = f"""
    SELECT o.base, o.frames, o.own, d.path, f.name, m.name
    FROM objects o JOIN files f ON f.id = o.id >> {MEMBER_BITS} JOIN folders d ON d.id = f.folder
    LEFT JOIN members m ON m.id = o.id LEFT JOIN copies c ON c.object = o.id
    WHERE o.series = ? AND c.object IS NULL"""
#: Everything left out: (place, reason, detail).
LEFT_OUT: Final = f"""
    SELECT locator(d.path, f.name, m.name) AS place, r.reason AS reason, r.detail
    FROM problems p JOIN reasons r ON r.id = p.reason JOIN files f ON f.id = p.id >> {MEMBER_BITS}
    JOIN folders d ON d.id = f.folder LEFT JOIN members m ON m.id = p.id
    UNION ALL
    SELECT locator(d.path, f.name, m.name), iif(c.conflict, ?, ?), iif(c.conflict, ?, ?)
    FROM copies c JOIN files f ON f.id = c.object >> {MEMBER_BITS}
    JOIN folders d ON d.id = f.folder LEFT JOIN members m ON m.id = c.object
    UNION ALL
    SELECT DISTINCT locator(d.path, l.path, NULL), ?, ?
    FROM listed l JOIN files f ON f.id = l.file JOIN folders d ON d.id = f.folder WHERE l.missing
    ORDER BY place, reason"""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")


def _order(record: InstanceRecord) -> tuple[Any, ...]:
    number = record.get("InstanceNumber")
    return (
        number is None,
        number or 0,
        record.get("SOPInstanceUID", ""),
        -1 if record.frame is None else record.frame,
        record.locator,
    )


def _read_series(db: sqlite3.Connection, number: int, key: tuple[bytes, bytes, bytes]) -> SeriesRecord | None:
    """One series; None where all its objects are copies of others."""
    bases: dict[int, Base] = {}
    records: list[InstanceRecord] = []
    for base, frames, own, folder, name, member in db.execute(OBJECTS, (number,)):
        if base not in bases:
            row = db.execute("SELECT content FROM bases WHERE id = ?", (base,)).fetchone()
            bases[base] = Base.stored(row[0])
        records += unpack(locator(folder, name, member), bases[base], frames, own)
    if not records:
        return None
    patient, study, uid = map(_text, key)
    return SeriesRecord(uid, study, patient, tuple(sorted(records, key=_order)))


def one_series(db: sqlite3.Connection, series_uid: str, study_uid: str, patient_id: str) -> SeriesRecord | None:
    """A single series; None where the index does not hold it."""
    patient, study, uid = (text.encode("utf-8", "surrogatepass") for text in (patient_id, study_uid, series_uid))
    query = "SELECT id FROM series WHERE patient_id = ? AND study_uid = ? AND series_uid = ?"
    row = db.execute(query, (patient, study, uid)).fetchone()
    return _read_series(db, row[0], (patient, study, uid)) if row else None


class _Joined:
    """Disjoint sets of things that belong together; each is named by its smallest member."""

    def __init__(self) -> None:
        self._above: dict[Any, Any] = {}

    def name(self, thing: Any) -> Any:
        """The smallest member of the set that holds ``thing``."""
        above = self._above.setdefault(thing, thing)
        while above != self._above[above]:
            self._above[above] = self._above[self._above[above]]
            above = self._above[above]
        self._above[thing] = above
        return above

    def join(self, one: Any, other: Any) -> None:
        """Make one set of two."""
        one, other = sorted((self.name(one), self.name(other)))
        self._above[other] = one


def _patients(db: sqlite3.Connection, identity: Callable[[str], str]) -> Iterator[list[tuple[bytes, bytes]]]:
    """The (Patient ID, Study Instance UID) of one patient after another, ordered by the smallest of each.

    Patient IDs of one ``identity``, or that share a study, are one patient; an empty identity says nothing and joins
    nothing.
    """
    keys = db.execute("SELECT DISTINCT patient_id, study_uid FROM series ORDER BY patient_id, study_uid").fetchall()
    joined = _Joined()
    for patient, study in keys:
        person = identity(patient.decode("utf-8", "surrogatepass"))
        joined.join((0, study), (1, person.encode("utf-8", "surrogatepass")) if person else (0, study))
    found: dict[Any, list[tuple[bytes, bytes]]] = {}
    for patient, study in keys:
        found.setdefault(joined.name((0, study)), []).append((patient, study))
    yield from found.values()


def groups(db: sqlite3.Connection, identity: Callable[[str], str]) -> Iterator[list[SeriesRecord]]:
    """All series, one patient at a time."""
    for keys in _patients(db, identity):
        group = []
        for patient, study in keys:
            query = "SELECT id, series_uid FROM series WHERE patient_id = ? AND study_uid = ? ORDER BY series_uid"
            for number, uid in db.execute(query, (patient, study)).fetchall():
                record = _read_series(db, number, (patient, study, uid))
                if record is not None:
                    group.append(record)
        if group:
            yield group


def exclusions(db: sqlite3.Connection) -> Iterator[Exclusion]:
    """What was left out, in byte order of the locators."""
    db.create_function("locator", 3, locator_bytes, deterministic=True)
    words = (CONFLICT[0], DUPLICATE[0], CONFLICT[1], DUPLICATE[1])
    for place, reason, detail in db.execute(LEFT_OUT, (*words, *MISSING_FILE)):
        yield Exclusion("file", os.fsdecode(place), reason, detail)
