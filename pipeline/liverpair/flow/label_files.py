"""Label reports from files into files, and let a human check a sample of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import canonical_json, plain
from liverpair.evaluate.labels import ReportSource
from liverpair.evaluate.labels.audit import SHEET_COLUMNS, audit_labels, draw_audit_sheet
from liverpair.evaluate.labels.endpoint import EndpointSettings
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import FAILED_CASES
from liverpair.flow.labelling import label_columns, labels_of
from liverpair.flow.progress import bar
from liverpair.flow.report_texts import read_reports_anywhere
from liverpair.flow.tables import format_table
from liverpair.flow.user_tables import read_user_table
from liverpair.flow.workspace import write_text

__all__ = ["AUDIT_FILE", "audit_answers", "audit_sheet", "label_file", "problems_table"]

#: Where a workspace keeps what a human said of its labels; the evaluation reads it.
AUDIT_FILE = "label_audit.json"
PROBLEMS = ("where", "reason", "detail")


def problems_table(source: ReportSource) -> str:
    """The reports that could not be read, as a table."""
    return format_table(PROBLEMS, [{key: getattr(b, key) for key in PROBLEMS} for b in source.broken])


def label_file(
    reports: Path, output: Path, files: Path | None = None, endpoint: EndpointSettings | None = None
) -> Answer:
    """Label a table, a folder of documents or DICOM reports into a table; what cannot be read is listed beside it.

    ``files``: where a table of which file each report_id stands for goes; file names may hold patients' names.
    """
    if output.resolve() == reports.resolve():
        raise UsageError("the labels would overwrite the reports; give another name for -o.")
    source = read_reports_anywhere(reports)
    with bar("Asking the model" if endpoint else "Labelling") as tick:
        labels = labels_of(source, endpoint, tick)
    write_text(output, format_table(label_columns(endpoint), labels))
    if files is not None:
        write_text(files, format_table(("report_id", "file"), [{"report_id": i, "file": f} for i, f in source.files]))
    sentence = f"{output}: {len(source.rows)} labels."
    if source.broken:
        listed = output.with_name(output.stem + "_problems.csv")
        write_text(listed, problems_table(source))
        sentence += f" {len(source.broken)} reports could not be read: {listed}."
    numbers = {"reports": len(source.rows), "broken": len(source.broken)}
    return Answer(numbers, sentence, FAILED_CASES if source.broken else 0)


def audit_sheet(source: ReportSource, output: Path, size: int) -> Answer:
    """Draw a stratified sample for a human to adjudicate; it shows texts and neither labels nor evidence."""
    sheet = draw_audit_sheet(source.rows, labels_of(source), size)
    # Excel takes a CSV for the local code page unless it begins with this mark
    write_text(output, "\ufeff" + format_table(SHEET_COLUMNS, sheet))
    sentence = (
        f"{output}: {len(sheet)} reports to adjudicate; fill true_status (present, absent, uncertain, not_mentioned)"
    )
    return Answer({"reports": len(sheet)}, sentence + " and true_largest_mm, then give it back with --audit-answers.")


def _filled(path: Path) -> list[dict[str, str]]:
    """The rows of a filled sheet, as Excel or a text editor saved it."""
    rows = [{key.strip().lower(): cell for key, cell in row.items()} for row in read_user_table(path)]
    missing = [column for column in ("report_id", "true_status") if rows and column not in rows[0]]
    if missing:
        raise UsageError(f"{path.name} lacks the column {', '.join(missing)}; fill the sheet that --audit drew.")
    return [row for row in rows if any(row.values())]


def audit_answers(source: ReportSource, answers: Path, output: Path | None) -> Answer:
    """The labels' own accuracy from a filled sheet, with its interval, overall and by stratum."""
    found = audit_labels(_filled(answers), source.rows, labels_of(source))
    numbers: Mapping[str, Any] = plain(asdict(found))
    if output is not None:
        write_text(output, canonical_json(numbers, indent=1) + "\n")
    low, high = found.interval
    lines = [f"The labels are right in {100 * found.accuracy:.1f} % of reports ({100 * low:.1f}–{100 * high:.1f} %)."]
    lines += _strata(found.strata)
    return Answer(numbers, "\n".join(lines))


def _strata(strata: Sequence[Any]) -> list[str]:
    return [
        f"  {s.modality or 'unknown modality'}, {s.label}: {s.right} of {s.adjudicated} right ({s.size} reports)"
        for s in strata
    ]
