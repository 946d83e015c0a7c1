"""`liverpair label` on files, and the sheet by which a human checks it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from liverpair.flow.cli import app
from typer.testing import CliRunner

PRESENT = "Leber: Zwei Metastasen, die groessere 14 mm in Segment VII. Beurteilung: Lebermetastasen."
ABSENT = "Liver: No focal lesion. Impression: no evidence of hepatic metastases."


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """24 reports, half of them positive, in a table as Excel writes it in Germany."""
    lines = ["report_id;modality;text"]
    lines += [f'r{n:02d};{"MR" if n % 2 else "PT"};"{PRESENT if n % 4 < 2 else ABSENT}"' for n in range(24)]
    path = tmp_path / "reports.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_texts_is_labelled_and_a_broken_document_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.txt").write_text(PRESENT, encoding="utf-8")
    (folder / "two.txt").write_text(ABSENT, encoding="utf-8")
    (folder / "three.docx").write_bytes(b"not a word document")
    result = CliRunner().invoke(
        app, ["label", str(folder), "-o", str(tmp_path / "labels.csv"), "--files", str(tmp_path / "files.csv")]
    )
    assert result.exit_code == 1, result.output
    assert sorted(row["status"] for row in _table(tmp_path / "labels.csv")) == ["absent", "present"]
    assert len(_table(tmp_path / "labels_problems.csv")) == 1
    assert {row["file"] for row in _table(tmp_path / "files.csv")} >= {"one.txt", "two.txt"}
    assert "one.txt" not in (tmp_path / "labels.csv").read_text(encoding="utf-8")


def test_a_filled_sheet_says_how_right_the_labels_are(reports: Path, tmp_path: Path) -> None:
    sheet, answers = tmp_path / "sheet.csv", tmp_path / "audit.json"
    drawn = CliRunner().invoke(app, ["label", str(reports), "--audit", "20", "-o", str(sheet)])
    assert drawn.exit_code == 0, drawn.output
    rows = _table(sheet)
    assert len(rows) == 20
    assert "status" not in rows[0]
    for row in rows:
        row["true_status"] = "present" if "Metastasen" in row["text"] else "absent"
    rows[0]["true_status"] = "uncertain"
    with sheet.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    read = CliRunner().invoke(app, ["label", str(reports), "--audit-answers", str(sheet), "-o", str(answers)])
    assert read.exit_code == 0, read.output
    found = json.loads(answers.read_text(encoding="utf-8"))
    assert found["accuracy"] == pytest.approx(0.95, abs=0.02)
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert sum(s["adjudicated"] for s in found["strata"]) == 20


def test_labels_never_overwrite_the_reports(reports: Path) -> None:
    before = reports.read_bytes()
    result = CliRunner().invoke(app, ["label", str(reports), "-o", str(reports)])
    assert result.exit_code == 2
    assert reports.read_bytes() == before


def test_a_command_without_a_place_for_its_answer_says_what_is_missing(reports: Path) -> None:
    assert CliRunner().invoke(app, ["label", str(reports)]).exit_code == 2
    assert CliRunner().invoke(app, ["label", str(reports), "--audit", "10"]).exit_code == 2
