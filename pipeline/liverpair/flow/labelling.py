"""Label gathered reports by the rules or, where the user asks for it, by a language model on the user's own machine."""

from __future__ import annotations

from pathlib import Path

from liverpair.core.errors import UsageError
from liverpair.evaluate.labels import ReportSource, label_table
from liverpair.evaluate.labels.endpoint import EndpointSettings, check_address, label_with_endpoint
from liverpair.flow.progress import Tick
from liverpair.flow.report_texts import archive_reports, read_reports_anywhere
from liverpair.flow.tables import COLUMNS, Row
from liverpair.flow.workspace import Workspace

__all__ = ["MODEL_COLUMNS", "gather_reports", "label_columns", "labels_of", "merged"]

#: Columns that labels.csv gains when a language model was asked.
MODEL_COLUMNS = ("label_source", "label_model", "prompt_version", "label_problem")


def merged(first: ReportSource, second: ReportSource) -> ReportSource:
    """Two sources as one; a report that both hold is the first's."""
    known = {row["report_id"] for row in first.rows}
    rows = (*first.rows, *(row for row in second.rows if row["report_id"] not in known))
    return ReportSource(rows, (*first.broken, *second.broken), (*first.files, *second.files))


def gather_reports(source: Path, reports: Path | None, dicom: bool) -> ReportSource:
    """The reports a user means: of files, or of a workspace (its archive's own, and those given with --reports).

    UsageError where a workspace's archive holds none and none are given.
    """
    if not Workspace(source).settings_file.exists():
        return read_reports_anywhere(source)
    found = read_reports_anywhere(reports) if reports is not None else ReportSource((), ())
    if dicom:
        found = merged(found, archive_reports(Workspace.existing(source)))
    if not found.rows and not found.broken:
        raise UsageError(
            "the archive holds no DICOM reports (structured reports, CDA or text); give them with --reports "
            "reports.csv, or run `liverpair pair WS` first if that has not been done yet."
        )
    return found


def label_columns(endpoint: EndpointSettings | None) -> tuple[str, ...]:
    """The columns of labels.csv; those of a language model only where one was asked."""
    return COLUMNS["labels"] + (MODEL_COLUMNS if endpoint is not None else ())


def labels_of(
    source: ReportSource, endpoint: EndpointSettings | None = None, tick: Tick = lambda done, total: None
) -> list[Row]:
    """One row of `label_columns` per report. UsageError where the model's address is not allowed."""
    by_rules = label_table(source.rows)
    if endpoint is None:
        return [{column: row.get(column) for column in COLUMNS["labels"]} for row in by_rules]
    check_address(endpoint)
    found = []
    for done, (row, rules) in enumerate(zip(source.rows, by_rules, strict=True), start=1):
        found.append({**rules, **_asked(row, endpoint)})
        tick(done, len(by_rules))
    return found


def _asked(row: dict[str, str], endpoint: EndpointSettings) -> Row:
    """What the model says of one report; the rules' label where it fails, with the reason."""
    answer = label_with_endpoint(row["text"], row.get("modality") or None, endpoint)
    said = {key: getattr(answer.label, key) for key in ("status", "largest_mm", "count", "language", "evidence")}
    provenance = (answer.source, answer.model, answer.prompt_version, answer.problem)
    return {**said, **dict(zip(MODEL_COLUMNS, provenance, strict=True))}
