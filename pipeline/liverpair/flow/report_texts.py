"""Gather report texts from tables, documents and DICOM: structured reports and encapsulated documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from liverpair.core.errors import Refusal
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.records import SeriesRecord
from liverpair.dicom.report_text import DicomReport, is_report, read_report_text
from liverpair.evaluate.labels import BrokenReport, ReportSource, read_report_source
from liverpair.flow.tables import Row
from liverpair.flow.workspace import Workspace

__all__ = ["LINKS", "archive_reports", "note_reports", "read_reports_anywhere", "write_report_objects"]

#: What links a report to its study. ``origin`` (table, dicom) and ``flags`` decide between several reports.
LINKS = ("report_id", "modality", "patient_id", "accession_number", "study_date", "study_uid", "origin", "flags")
REPORT_SERIES = "report_series.json"
#: The DICOM prefix of a file with a preamble (PS3.10 section 7.1).
PREAMBLE, PREFIX = 128, b"DICM"
#: A file of another kind beside reports, or an image: nothing is lost when it is not read as a report.
NO_REPORT = "not_a_report"


def _row(report: DicomReport, modality: str = "") -> dict[str, str]:
    return {
        "report_id": report.report_id,
        "text": report.text,
        "modality": modality,
        "study_uid": report.study_uid,
        "patient_id": report.patient_id,
        "accession_number": report.accession_number,
        "study_date": report.study_date,
        "origin": "dicom",
        "flags": ";".join(report.flags),
    }


def _is_dicom(path: Path) -> bool:
    """Whether a file has the DICOM prefix; one without it must say so by its name."""
    try:
        with path.open("rb") as stream:
            return stream.read(PREAMBLE + len(PREFIX))[PREAMBLE:] == PREFIX or path.suffix.lower() == ".dcm"
    except OSError:
        return False


def _read(locator: str, where: str, modality: str = "") -> dict[str, str] | BrokenReport | None:
    """The row of one DICOM object, what is wrong with it, or None where it is no report at all."""
    try:
        return _row(read_report_text(locator), modality)
    except Refusal as refusal:
        return None if refusal.reason == NO_REPORT else BrokenReport(where, refusal.reason, refusal.detail)
    except OSError as error:
        return BrokenReport(where, "unreadable", f"the file cannot be opened ({error.strerror}); is it still there?")


def _gather(found: Iterable[dict[str, str] | BrokenReport | None]) -> ReportSource:
    rows: dict[str, dict[str, str]] = {}
    broken = []
    for item in found:
        if isinstance(item, BrokenReport):
            broken.append(item)
        elif item is not None:
            rows.setdefault(item["report_id"], item)  # a second copy of an object says the same
    return ReportSource(tuple(rows[key] for key in sorted(rows)), tuple(broken))


def read_reports_anywhere(path: Path) -> ReportSource:
    """Reports of a table, a document, a DICOM object, or a folder of documents and DICOM objects.

    UsageError as `read_report_source`. DICOM objects that are no reports (images) are left out silently.
    """
    if path.is_file() and _is_dicom(path):
        found = _read(str(path), path.name)
        refused = BrokenReport(path.name, NO_REPORT, "the DICOM object is no report; give an SR or a document.")
        return _gather([found if found is not None else refused])
    source = read_report_source(path)
    if not path.is_dir():
        return source
    names = dict(source.files)
    others, found_in_dicom = [], []
    for problem in source.broken:
        file = path / names.get(problem.where, "")
        if problem.reason == "unknown_document" and file.is_file() and _is_dicom(file):
            found_in_dicom.append(_read(str(file), problem.where))
        else:
            others.append(problem)
    dicom = _gather(found_in_dicom)
    return replace(source, rows=(*source.rows, *dicom.rows), broken=(*others, *dicom.broken))


def _study_modalities(series: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """PT or MR of each study that has images of one of them: what a report lying in it describes."""
    found: dict[str, set[str]] = {}
    for row in series:
        if row["modality"] in ("PT", "MR"):
            found.setdefault(row["study_uid"], set()).add(row["modality"])
    return {study: next(iter(kinds)) for study, kinds in found.items() if len(kinds) == 1}


def note_reports(groups: Iterable[Sequence[SeriesRecord]], found: list[Row]) -> Iterator[Sequence[SeriesRecord]]:
    """The same groups; the series in them that may hold reports are added to ``found`` as they pass."""
    for group in groups:
        for series in group:
            if _objects(series):
                found.append({key: getattr(series, key) for key in ("series_uid", "study_uid", "patient_id")})
        yield group


def write_report_objects(workspace: Workspace, found: Sequence[Row]) -> None:
    """Keep which series hold the archive's reports (tables/report_series.json), in an order that does not change."""
    rows = sorted(found, key=lambda row: (row["study_uid"], row["series_uid"], row["patient_id"]))
    workspace.write_json(workspace.tables / REPORT_SERIES, rows)


def archive_reports(workspace: Workspace) -> ReportSource:
    """Every report among the indexed DICOM objects, as the pairing stage noted them."""
    path = workspace.tables / REPORT_SERIES
    series = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if not series:
        return ReportSource((), ())
    modalities = _study_modalities(workspace.read_table("series"))
    with Catalogue.open(workspace.catalogue) as catalogue:
        records = [catalogue.one_series(s["series_uid"], s["study_uid"], s["patient_id"]) for s in series]
    return _gather(
        _read(locator, report_id, modalities.get(record.study_uid, ""))
        for record in records
        for locator, report_id in _objects(record)
    )


def _objects(series: SeriesRecord) -> list[tuple[str, str]]:
    """(locator, SOP Instance UID) of the objects of a series that may be reports, each once."""
    return list(
        dict.fromkeys(
            (i.locator, str(i.get("SOPInstanceUID", "")))
            for i in series.instances
            if is_report(str(i.get("SOPClassUID", "")))
        )
    )
