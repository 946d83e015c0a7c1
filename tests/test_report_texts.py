"""Reports in DICOM through `label` and a workspace, beside documents and tables; which of several counts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.flow.cli import app
from liverpair.flow.label_files import AUDIT_FILE
from liverpair.flow.labelling import gather_reports, labels_of, merged
from liverpair.flow.report_texts import archive_reports, read_reports_anywhere
from liverpair.flow.study_reports import read_audit, read_consensus, reports_by_study
from liverpair.flow.workspace import Workspace
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from typer.testing import CliRunner

ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
PRESENT = "Leber: Zwei Metastasen, die groessere 14 mm in Segment VII. Beurteilung: Lebermetastasen."
ABSENT = "Leber: Keine fokalen Laesionen. Beurteilung: kein Nachweis von Lebermetastasen."


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def _report(path: Path, text: str, uid: str, study: str = "1.2", **more: str) -> None:
    """A structured report with one text, as a file."""
    root, line = Dataset(), Dataset()
    line.RelationshipType, line.ValueType, line.TextValue = "CONTAINS", "TEXT", text
    line.ConceptNameCodeSequence = _code("121071", "DCM", "Finding")
    root.ConceptNameCodeSequence = _code(more.pop("title", "18748-4"), more.pop("scheme", "LN"), "Report")
    root.ValueType, root.ContentSequence = "CONTAINER", Sequence([line])
    root.SOPClassUID, root.SOPInstanceUID, root.StudyInstanceUID = ENHANCED_SR, uid, study
    root.SeriesInstanceUID, root.Modality, root.PatientID, root.PatientName = study + ".9", "SR", "S1", "Secret^Name"
    root.StudyDate, root.CompletionFlag, root.SpecificCharacterSet = "20190312", "COMPLETE", "ISO_IR 192"
    for keyword, value in more.items():
        setattr(root, keyword, value)
    root.file_meta = FileMetaDataset()
    root.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    root.file_meta.MediaStorageSOPClassUID, root.file_meta.MediaStorageSOPInstanceUID = ENHANCED_SR, uid
    root.save_as(path, enforce_file_format=True)


def _labels(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["report_id"]: row["status"] for row in csv.DictReader(stream)}


def test_a_folder_may_hold_documents_and_dicom_reports_together(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text(ABSENT)
    _report(folder / "IM0001", PRESENT, "1.2.3")
    _report(folder / "sr.dcm", PRESENT, "1.2.4")
    _report(folder / "copy.dcm", PRESENT, "1.2.4")
    _report(folder / "measured.dcm", "Liver metastasis 12 mm", "1.2.5", title="126000", scheme="DCM")
    result = CliRunner().invoke(app, ["label", str(folder), "-o", str(tmp_path / "labels.csv")])
    assert result.exit_code == 0, result.output
    labels = _labels(tmp_path / "labels.csv")
    assert (labels["1.2.3"], labels["1.2.4"], len(labels)) == ("present", "present", 3)


def test_a_single_dicom_report_is_read_and_what_is_none_is_said(tmp_path: Path) -> None:
    _report(tmp_path / "one.dcm", ABSENT, "1.2.3")
    (row,) = read_reports_anywhere(tmp_path / "one.dcm").rows
    assert (row["study_uid"], row["origin"]) == ("1.2", "dicom")
    _report(tmp_path / "measured.dcm", "x", "1.2.5", title="126000", scheme="DCM")
    assert [b.reason for b in read_reports_anywhere(tmp_path / "measured.dcm").broken] == ["not_a_report"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace over an archive of three reports: two of study 1.2 (one preliminary), one of study 1.3."""
    archive = tmp_path / "archive"
    archive.mkdir()
    _report(archive / "1", ABSENT, "1.2.1")
    _report(archive / "2", PRESENT, "1.2.2", CompletionFlag="PARTIAL")
    _report(archive / "3", PRESENT, "1.3.1", study="1.3")
    for command in (["index", str(archive), "-o"], ["pair"]):
        result = CliRunner().invoke(app, [*command, str(tmp_path / "ws")])
        assert result.exit_code == 0, result.output
    return Workspace.existing(tmp_path / "ws")


def _as_mri(workspace: Workspace) -> None:
    """Let series.csv say that both studies hold an MRI, as in an archive with images."""
    rows = workspace.read_table("series")
    added = [{**row, "modality": "MR", "series_uid": row["series_uid"] + ".1"} for row in rows]
    workspace.write_table("series", [*rows, *added])


def test_the_reports_of_an_archive_are_labelled_and_the_final_one_counts(workspace: Workspace) -> None:
    result = CliRunner().invoke(app, ["label", str(workspace.root)])
    assert result.exit_code == 0, result.output
    assert _labels(workspace.tables / "labels.csv") == {"1.2.1": "absent", "1.2.2": "present", "1.3.1": "present"}
    _as_mri(workspace)
    found = reports_by_study(workspace)
    assert {study: row["status"] for study, row in found.items()} == {"1.2": "absent", "1.3": "present"}
    assert "Secret" not in "".join(p.read_text() for p in workspace.tables.iterdir())


def test_a_report_that_the_user_gives_outranks_the_archives(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "reports.csv"
    table.write_text(f"report_id,text,study_uid\nu1,{ABSENT},1.3\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["label", str(workspace.root), "--reports", str(table)])
    assert result.exit_code == 0, result.output
    _as_mri(workspace)
    assert reports_by_study(workspace)["1.3"]["status"] == "absent"
    result = CliRunner().invoke(app, ["label", str(workspace.root), "--reports", str(table), "--no-dicom"])
    assert _labels(workspace.tables / "labels.csv") == {"u1": "absent"}


def test_a_workspace_without_any_report_says_where_they_may_come_from(workspace: Workspace) -> None:
    (workspace.tables / "report_series.json").unlink()
    assert archive_reports(workspace).rows == ()
    with pytest.raises(UsageError, match="--reports"):
        gather_reports(workspace.root, None, True)


def test_labels_of_another_run_than_their_links_are_refused(workspace: Workspace) -> None:
    CliRunner().invoke(app, ["label", str(workspace.root)])
    workspace.write_table("labels", [])
    with pytest.raises(UsageError, match="belong together"):
        reports_by_study(workspace)


def test_the_same_report_in_two_sources_is_labelled_once(tmp_path: Path) -> None:
    _report(tmp_path / "one.dcm", ABSENT, "1.2.3")
    source = read_reports_anywhere(tmp_path / "one.dcm")
    assert len(labels_of(merged(source, source))) == 1


def test_no_model_is_asked_unless_a_loopback_address_is_given(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text(f'report_id,text\n1,"{PRESENT}"\n', encoding="utf-8")
    base = ["label", str(table), "-o", str(tmp_path / "l.csv")]
    assert CliRunner().invoke(app, [*base, "--model", "m"]).exit_code == 2
    refused = CliRunner().invoke(app, [*base, "--model-url", "http://example.org/v1", "--model", "m"])
    assert refused.exit_code == 2
    assert not (tmp_path / "l.csv").exists()
    # nothing listens on port 9 (discard): the rules label, and the table says so
    asked = CliRunner().invoke(app, [*base, "--model-url", "http://127.0.0.1:9/v1", "--model", "m"])
    assert asked.exit_code == 0, asked.output
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["status"], row["label_source"], bool(row["label_problem"])) == ("present", "rules", True)


def test_consensus_readings_are_checked_and_the_last_one_counts(workspace: Workspace) -> None:
    path = workspace.tables / "consensus.csv"
    path.write_text(
        "pair_id;mr_consensus;pet_consensus;reader\nP1;present;;A\nP1;absent;present;B\n", encoding="cp1252"
    )
    found = read_consensus(workspace, ["P1"])
    assert found.of_pair == {"P1": {"mr_consensus": "absent", "pet_consensus": "present"}}
    assert [r["reader"] for r in found.readings] == ["A", "B"]
    with pytest.raises(UsageError, match="row 2: there is no pair"):
        read_consensus(workspace, ["P2"])
    path.write_text("pair_id,mr_consensus,pet_consensus\nP1,yes,\n")
    with pytest.raises(UsageError, match="row 2: mr_consensus is 'yes'"):
        read_consensus(workspace, ["P1"])


def test_a_damaged_audit_is_named(workspace: Workspace) -> None:
    assert read_audit(workspace) is None
    (workspace.tables / AUDIT_FILE).write_text(json.dumps({"strata": []}))
    with pytest.raises(UsageError, match="damaged"):
        read_audit(workspace)
