"""Independent readings of pairs: what each named reader said of the MRI and of the PET/CT, first and again.

A table of readings has pair_id, reader and mr, pet or both [, read_at, patient_id]. A reading is no consensus: it
changes no verdict of the study; it shows how far readers agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.evaluate.plain_tables import NO_VALUE, cell_date, own_words, plain_rows, verdict

__all__ = ["EXAMINATIONS", "Reading", "parse_readings", "readings_of_consensus"]

#: The key of an examination in tables and its name.
EXAMINATIONS = {"mr": "MRI", "pet": "PET/CT"}
#: Other names of columns, as plain_tables writes them. Here "mri" can only be a verdict on the MRI.
NAMES = {
    "mri": "mr", "mrt": "mr", "mr_reading": "mr", "mri_reading": "mr", "mr_verdict": "mr", "mr_befund": "mr",
    "mrt_befund": "mr", "pet_ct": "pet", "petct": "pet", "pet_reading": "pet", "pet_verdict": "pet",
    "pet_befund": "pet", "leser": "reader", "befunder": "reader", "rater": "reader", "observer": "reader",
    "radiologist": "reader", "datum": "read_at", "date": "read_at", "reading_date": "read_at", "decided_at": "read_at",
    "gelesen_am": "read_at", "befundet_am": "read_at",
}  # fmt: skip
NEEDED = "pair_id, reader, mr, pet [, read_at, patient_id]"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader said of one examination ("mr" or "pet"); ``turn`` 0 is the first reading, 1 the second ..."""

    pair_id: str
    patient_id: str
    reader: str
    examination: str
    verdict: str
    turn: int = 0


@dataclass(frozen=True, slots=True)
class _Line:
    """One verdict as it stands in the table."""

    at: int
    pair_id: str
    patient_id: str
    reader: str
    examination: str
    verdict: str
    read_at: str


def _moment(value: Any, at: int) -> str:
    """ISO date, and time where the cell has one; "" for an empty cell."""
    day = cell_date(value, "read_at", at, "readings")
    clock = re.search(r"[T ](\d\d?):(\d\d)(?::(\d\d))?", str(value or ""))
    if not day or clock is None:
        return day
    return f"{day}T{int(clock[1]):02d}:{clock[2]}:{clock[3] or '00'}"


def _columns(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Refuse a table that lacks a needed column, naming what it has."""
    found = set(rows[0][1])
    missing = [c for c in ("pair_id", "reader") if c not in found]
    if not {"mr", "pet"} & found:
        missing.append("mr or pet")
    if missing:
        raise UsageError(
            f"the readings table lacks the column {', '.join(missing)}; it has {', '.join(rows[0][1])}. "
            f"It needs {NEEDED}; a verdict is present, absent, uncertain or not_evaluable."
        )


def _named(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Rows with our names of columns."""
    found = []
    for at, row in plain_rows([{k: v for k, v in row.items() if k} for row in rows], "readings"):
        own: dict[str, Any] = {}
        for name, value in row.items():
            ours = NAMES.get(name, name)
            if ours in own:
                raise UsageError(f"the readings table has two columns for {ours}. Remove or rename one.")
            own[ours] = value
        found.append((at, own))
    return found


def _lines(rows: Sequence[tuple[int, Mapping[str, Any]]], patients: Mapping[str, str] | None) -> list[_Line]:
    lines = []
    for key in EXAMINATIONS:
        own_words(rows, key, "readings")
    for at, row in rows:
        pair_id, reader = (str(row.get(c) or "").strip() for c in ("pair_id", "reader"))
        for column, value in (("pair_id", pair_id), ("reader", reader)):
            if value.casefold() in NO_VALUE:
                raise UsageError(f"readings table, row {at}: {column} is empty. Agreement needs to know who read what.")
        if patients is not None and pair_id not in patients:
            raise UsageError(f"readings table, row {at}: there is no pair {pair_id[:40]!r} in this study.")
        own = str(row.get("patient_id") or "").strip()
        patient = own if patients is None else patients[pair_id]
        if not patient:
            raise UsageError(
                f"readings table, row {at}: patient_id is empty or missing. Without --calls the readings themselves "
                "must say which pairs belong to one patient: they are not independent."
            )
        if own and own != patient:
            raise UsageError(f"readings table, row {at}: patient_id is not that of this pair elsewhere. Correct one.")
        for key in EXAMINATIONS:
            said = verdict(row.get(key), key, at, "readings")
            if said == "not_mentioned":
                raise UsageError(
                    f"readings table, row {at}: {key} is 'not_mentioned', which is a report's silence. A reader who "
                    "looked writes present, absent, uncertain or not_evaluable; one who did not leaves the cell empty."
                )
            if said:
                lines.append(_Line(at, pair_id, patient, reader, key, said, _moment(row.get("read_at"), at)))
    return lines


def _one_name_each(lines: Sequence[_Line]) -> None:
    """Refuse one reader under two spellings: "AB" and "ab " would count as two."""
    seen: dict[str, _Line] = {}
    for line in lines:
        known = seen.setdefault(re.sub(r"[\W_]+", "", line.reader.casefold()) or line.reader, line)
        if known.reader != line.reader:
            raise UsageError(
                f"readings table: the reader is {known.reader[:40]!r} in row {known.at} and {line.reader[:40]!r} in "
                f"row {line.at}. If that is one person write the name in one way, else tell them apart by letters."
            )


def _one_patient_each(lines: Sequence[_Line]) -> None:
    known: dict[str, str] = {}
    for line in lines:
        if known.setdefault(line.pair_id, line.patient_id) != line.patient_id:
            raise UsageError(f"readings table, row {line.at}: its pair has another patient_id earlier. Correct one.")


def _in_turn(lines: Sequence[_Line]) -> list[Reading]:
    """Each reader's readings of an examination in order of time; refuses those that have no order."""
    groups: dict[tuple[str, str, str], list[_Line]] = {}
    for line in lines:
        groups.setdefault((line.examination, line.pair_id, line.reader), []).append(line)
    found = []
    for group in groups.values():
        ordered = sorted(group, key=lambda line: line.read_at)
        for before, after in pairwise(ordered):
            if not before.read_at or before.read_at == after.read_at:
                raise UsageError(
                    f"readings table: rows {before.at} and {after.at} are one reader's readings of the same "
                    f"{EXAMINATIONS[after.examination]}, and read_at does not say which came first. Give both their "
                    "read_at (2024-03-12, with 14:05 where it was one day), or remove one."
                )
        found += [
            Reading(x.pair_id, x.patient_id, x.reader, x.examination, x.verdict, turn) for turn, x in enumerate(ordered)
        ]
    return sorted(found, key=lambda r: (r.examination, r.pair_id, r.reader, r.turn))


def parse_readings(rows: Sequence[Mapping[str, Any]], patients: Mapping[str, str] | None = None) -> tuple[Reading, ...]:
    """Readings in order of examination, pair, reader and time.

    ``patients``: the patient of every pair of the study; None where the table's own patient_id must tell. UsageError
    (with the row; the header is row 1) for missing columns, unknown pairs and words, a reader in two spellings, or two
    readings whose order is unknown.
    """
    named = _named(rows)
    if not named:
        raise UsageError(f"the readings table has no row. It needs {NEEDED}.")
    _columns(named)
    lines = _lines(named, patients)
    _one_name_each(lines)
    _one_patient_each(lines)
    return tuple(_in_turn(lines))


def readings_of_consensus(rows: Sequence[Mapping[str, Any]], patients: Mapping[str, str]) -> tuple[Reading, ...]:
    """The first verdict of each named reader in a table of consensus readings, where no table of readings is given."""
    found: dict[tuple[str, str, str], Reading] = {}
    for row in rows:
        pair_id, reader = str(row["pair_id"]), str(row.get("reader") or "").strip()
        for key in EXAMINATIONS if reader else ():
            said = str(row.get(f"{key}_consensus") or "")
            if said and said != "not_mentioned":
                place = key, pair_id, reader
                found.setdefault(place, Reading(pair_id, patients[pair_id], reader, key, said))
    return tuple(found[place] for place in sorted(found))
