"""Read reports from a table (CSV, XLSX), from one document (DOCX, TXT) or from a folder of documents.

File names may hold patients' names: a document's report_id is a hash of its path below the folder, and the path
itself leaves this module only in `ReportSource.files`. What cannot be read is listed with its reason; the others go on.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liverpair.core.errors import Refusal, UsageError
from liverpair.core.text import decode_text
from liverpair.evaluate.labels.office import read_document, read_sheet
from liverpair.evaluate.labels.table import REQUIRED_COLUMNS, read_reports, rows_of_table

__all__ = ["BrokenReport", "ReportSource", "read_report_source"]

DOCUMENTS = frozenset({".txt", ".text", ".docx"})
TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xlsm"})
# What Word, macOS and Windows leave beside documents; no report is lost with them.
LITTER = ("~$", ".", "thumbs.db", "desktop.ini")
# Hexadecimal digits of a report_id: 16^12 names make a collision of 100 000 reports a chance of 2e-5.
ID_DIGITS = 12
# A report is a few pages; a text file beyond this is something else.
LARGEST_DOCUMENT = 20_000_000


@dataclass(frozen=True, slots=True)
class BrokenReport:
    """A report that could not be read. ``where``: "row 7" of a table or the report_id of a document."""

    where: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReportSource:
    """Rows for `label_table`; what is broken; and, of documents, which file each report_id stands for."""

    rows: tuple[dict[str, str], ...]
    broken: tuple[BrokenReport, ...]
    files: tuple[tuple[str, str], ...] = ()


def read_report_source(path: Path) -> ReportSource:
    """Every report at ``path``: a CSV or XLSX table, a DOCX or TXT document, or a folder of documents.

    UsageError if there is no such path, if its kind is not known, or if a table's header is not usable.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UsageError("there is no such file or folder of reports; check the path.")
    suffix = path.suffix.lower()
    if suffix in (".xlsx", ".xlsm"):
        try:
            rows = rows_of_table(read_sheet(path), path.name)
        except Refusal as refusal:
            raise UsageError(f"the XLSX table cannot be read: {refusal.detail}") from refusal
        return _usable(rows)
    if suffix in DOCUMENTS:
        return _documents(path.parent, [path])
    if suffix not in TABLES and suffix:
        raise UsageError(f"reports in {suffix} files cannot be read; give CSV, XLSX, DOCX, TXT or a folder of these.")
    return _usable(read_reports(path))


def _usable(rows: Sequence[dict[str, str]]) -> ReportSource:
    """Rows that have an identity and a text; the header is row 1."""
    good, broken = [], []
    for number, row in enumerate(rows, start=2):
        missing = [column for column in REQUIRED_COLUMNS if not (row.get(column) or "").strip()]
        if missing:
            detail = f"{' and '.join(missing)} is empty; fill it in or remove the row."
            broken.append(BrokenReport(f"row {number}", "empty_" + missing[0], detail))
        else:
            good.append(row)
    return ReportSource(tuple(good), tuple(broken))


def _folder(folder: Path) -> ReportSource:
    paths = sorted(
        (p for p in folder.rglob("*") if p.is_file() and not p.name.lower().startswith(LITTER)),
        key=lambda p: _relative(p, folder),
    )
    if not paths:
        raise UsageError("the folder holds no files; put the reports as DOCX or TXT into it.")
    return _documents(folder, paths)


def _documents(folder: Path, paths: Sequence[Path]) -> ReportSource:
    rows, broken, files = [], [], []
    for path in paths:
        name = _relative(path, folder)
        report_id = "r" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:ID_DIGITS]
        files.append((report_id, name))
        try:
            text = _text(path)
        except Refusal as refusal:
            broken.append(BrokenReport(report_id, refusal.reason, refusal.detail))
            continue
        if text.strip():
            rows.append({"report_id": report_id, "text": text})
        else:
            broken.append(BrokenReport(report_id, "empty_text", "the document holds no text; a scan needs OCR first."))
    return ReportSource(tuple(rows), tuple(broken), tuple(files))


def _text(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in DOCUMENTS:
        detail = f"a {suffix or 'file without extension'} file; save it as DOCX or TXT."
        raise Refusal("unknown_document", detail)
    if path.stat().st_size > LARGEST_DOCUMENT:
        raise Refusal("too_large", f"the file is larger than {LARGEST_DOCUMENT // 1_000_000} MB, which no report is.")
    if suffix == ".docx":
        return read_document(path)
    data = path.read_bytes()
    text = decode_text(data)
    if "\x00" in text:
        raise Refusal("not_text", "the file holds zero bytes and is no text; save it as TXT in UTF-8.")
    return text


def _relative(path: Path, folder: Path) -> str:
    """Path below the folder, the same on every system: forward slashes, composed letters (macOS decomposes them)."""
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
