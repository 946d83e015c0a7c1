"""Read a table that a user made: CSV with comma, semicolon or tab, in the encodings of Excel, or XLSX."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from liverpair.core.errors import Refusal, UsageError
from liverpair.core.text import decode_text

__all__ = ["read_user_table"]

DELIMITERS = (",", ";", "\t", "|")
#: One cell of a verdict table is short; the module's limit would break on a pasted report.
LONGEST_CELL = 10_000_000


def read_user_table(path: Path) -> list[dict[str, str]]:
    """Rows by column name, as they stand, empty lines too, so that row numbers are the spreadsheet's.

    UsageError says what is wrong with the file, and in which row.
    """
    cells = _sheet(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _csv(path)
    if not cells or not any(cell.strip() for cell in cells[0]):
        raise UsageError(f"{path.name} is empty or begins with an empty line; its first line must name the columns.")
    header = [name.strip("\ufeff \t") for name in cells[0]]
    twice = [name for name, n in Counter(h.casefold() for h in header if h).items() if n > 1]
    if twice:
        raise UsageError(f"{path.name}: the column {', '.join(twice)} occurs more than once.")
    found = []
    for number, row in enumerate(cells[1:], start=2):
        if any(cell.strip() for cell in row[len(header) :]):
            raise UsageError(
                f"{path.name}, row {number}: {len(row)} cells, but the header has {len(header)}. A cell that holds "
                "the delimiter must stand in double quotes; with decimal commas divide by semicolons."
            )
        filled = [*row, *[""] * (len(header) - len(row))]
        found.append({name: cell for name, cell in zip(header, filled, strict=False) if name})
    return found


def _sheet(path: Path) -> list[list[str]]:
    from liverpair.evaluate.labels.office import (
        read_sheet,  # compiles the grammar of reports, which a CSV does not need
    )

    try:
        return read_sheet(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. Check the path and the permissions.") from error
    except Refusal as refusal:
        raise UsageError(f"{path.name} cannot be read as XLSX: {refusal.detail}") from refusal


def _csv(path: Path) -> list[list[str]]:
    try:
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. Check the path and the permissions.") from error
    if "\x00" in text:
        raise UsageError(f"{path.name} is no text; save the table as CSV UTF-8 or XLSX.")
    lines = text.lstrip("\ufeff").lstrip("\r\n")
    if lines[:4].lower() == "sep=":  # Excel's own hint in the first line
        first, _, lines = lines.partition("\n")
        delimiter = first.strip()[4:5] or ","
    else:
        delimiter = max(DELIMITERS, key=lines.split("\n", 1)[0].count)
    limit = csv.field_size_limit(LONGEST_CELL)
    try:
        return list(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise UsageError(f"{path.name} is no readable CSV table ({error}).") from error
    finally:
        csv.field_size_limit(limit)
