"""Read a table of reports and label each row.

Input columns: report_id, text and, optionally, modality, patient_id, accession_number, study_date. Output
columns: `LABEL_COLUMNS`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from liverpair.core.errors import UsageError
from liverpair.core.text import decode_text
from liverpair.evaluate.labels.report import label_report

__all__ = [
    "LABEL_COLUMNS",
    "LabelRow",
    "duplicated_report_ids",
    "label_table",
    "read_reports",
    "rows_of_table",
]

LABEL_COLUMNS = ("report_id", "status", "largest_mm", "count", "language", "evidence")
REQUIRED_COLUMNS = ("report_id", "text")
DELIMITERS = (",", ";", "\t")
# One report is a few thousand characters; the csv module's default of 131072 would refuse a pasted patient
# history.
LONGEST_FIELD = 10_000_000

LabelRow = dict[str, str | float | int | None]


def label_table(rows: Iterable[Mapping[str, str]]) -> list[LabelRow]:
    """One row of `LABEL_COLUMNS` per report, in order; None where there is no size or count.

    UsageError names the row (the header is row 1) that lacks its report_id or text. Rows that repeat a
    report_id are labelled too; `duplicated_report_ids` lists them.
    """
    labelled: list[LabelRow] = []
    for number, row in enumerate(rows, start=2):
        for column in REQUIRED_COLUMNS:
            if not (row.get(column) or "").strip():
                raise UsageError(
                    f"reports table, row {number}: {column} is missing or empty. Every row needs "
                    f"{' and '.join(REQUIRED_COLUMNS)}; the columns found are {', '.join(map(str, row))}."
                )
        label = label_report(row["text"], row.get("modality") or None)
        labelled.append(
            {
                "report_id": row["report_id"].strip(),
                "status": label.status,
                "largest_mm": label.largest_mm,
                "count": label.count,
                "language": label.language,
                "evidence": label.evidence,
            }
        )
    return labelled


def duplicated_report_ids(rows: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The report_ids that more than one row carries, in order of appearance."""
    counts = Counter((row.get("report_id") or "").strip() for row in rows)
    return tuple(report_id for report_id, n in counts.items() if report_id and n > 1)


def read_reports(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file: comma, semicolon or tab; UTF-8, UTF-16 (with mark) or Windows-1252.

    Column names are compared without case and outer blanks. Texts may be quoted and span lines. UsageError
    if a required column is missing or a row has more fields than the header.
    """
    text = decode_text(Path(path).read_bytes())
    header_line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header_line.count)
    previous_limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        return rows_of_table(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), Path(path).name)
    except csv.Error as error:
        raise UsageError(f"{Path(path).name}: not a readable CSV table ({error}).") from error
    finally:
        csv.field_size_limit(previous_limit)


def rows_of_table(reader: Iterable[list[str]], name: str) -> list[dict[str, str]]:
    """Rows by column name from lists of cells, the first of which is the header; UsageError as `read_reports`."""
    header: list[str] | None = None
    rows = []
    for number, fields in enumerate(reader, start=1):
        if not any(field.strip() for field in fields):
            continue
        if header is None:
            header = [field.strip().casefold().replace(" ", "_") for field in fields]
            _check_header(header, name)
            continue
        if any(field.strip() for field in fields[len(header) :]):
            raise UsageError(
                f"{name}, row {number}: {len(fields)} fields, but the header has {len(header)}. "
                "A text that holds the delimiter must stand in double quotes."
            )
        rows.append(dict(zip(header, [*fields, *[""] * len(header)], strict=False)))
    if header is None:
        raise UsageError(f"{name}: the table is empty; it needs a header with {', '.join(REQUIRED_COLUMNS)}.")
    return rows


def _check_header(header: list[str], name: str) -> None:
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    if missing:
        raise UsageError(
            f"{name}: the column {' and '.join(missing)} is missing. Found: {', '.join(header)}. "
            "The first line must name the columns, divided by comma, semicolon or tab."
        )
    repeated = [column for column, n in Counter(header).items() if column and n > 1]
    if repeated:
        raise UsageError(f"{name}: the column {', '.join(repeated)} occurs more than once.")
