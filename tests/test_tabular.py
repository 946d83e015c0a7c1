"""`evaluate --calls` on a table as Excel writes it: page, figures as SVG and PNG, tables as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.flow.config import Settings
from liverpair.flow.tabular import evaluate_tables
from PIL import Image

QUICK = Settings(concordance=ConcordanceSettings(bootstrap_replicates=200))
HEAD = (
    "Patient ID;Pair ID;Reference;Index;Größte (mm);interval_days;PET-Datum;"
    "mr_image;mr_report;mr_consensus;reader;pet_image"
)


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    lines = [HEAD]
    for n in range(12):
        reference, index = ("present", "absent" if n < 2 else "present") if n < 8 else ("absent", "absent")
        said = "present;absent;present;R1" if n == 0 else f"{reference};{reference};;"
        size = f"{n + 3},5" if reference == "present" else ""
        lines.append(f"S{n // 2};p{n};{reference};{index};{size};{n};{n + 1}.3.2019;{said};{index}")
    table = tmp_path / "calls.csv"
    table.write_text("\r\n".join(lines), encoding="cp1252")
    evaluate_tables(table, None, tmp_path / "out", QUICK)
    return tmp_path / "out"


def test_every_table_is_there_in_three_forms_and_every_figure_in_two(answer: Path) -> None:
    tables = {p.stem for p in (answer / "tables").iterdir()}
    assert {"estimates", "cross_table", "subgroups", "pairs", "sources", "contradictions", "stard"} <= tables
    for name in tables:
        rows = json.loads((answer / "tables" / f"{name}.json").read_text(encoding="utf-8"))
        with (answer / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            assert len(list(csv.DictReader(stream))) == len(rows)
        assert (answer / "tables" / f"{name}.parquet").read_bytes()[-4:] == b"PAR1"
    figures = sorted(p.name for p in (answer / "figures").iterdir())
    assert {"flow.png", "flow.svg", "forest.png", "forest.svg"} <= set(figures)
    with Image.open(answer / "figures" / "forest.png") as picture:
        assert picture.width > 1500


def test_no_table_holds_a_patients_id(answer: Path) -> None:
    for path in (answer / "tables").glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as stream:
            cells = {cell for row in csv.reader(stream) for cell in row}
        assert not cells & {f"S{n}" for n in range(6)}, path.name


def test_sources_and_the_trail_come_from_a_bare_table_too(answer: Path) -> None:
    found = json.loads((answer / "concordance.json").read_text(encoding="utf-8"))
    (trail,) = found["consensus_trail"]
    assert (trail["pair_id"], trail["reader"], trail["overrules"]) == ("p0", "R1", ["report"])
    assert [d["pair_id"] for d in found["images_against_reports"]["disagreements"]] == ["p0"]
    assert found["counts"]["fn"] == 2


def test_files_of_an_earlier_run_do_not_stay(answer: Path, tmp_path: Path) -> None:
    (answer / "tables" / "old.csv").write_text("x")
    (answer / "figures" / "old.png").write_text("x")
    evaluate_tables(tmp_path / "calls.csv", None, answer, QUICK)
    assert not (answer / "tables" / "old.csv").exists()
    assert not (answer / "figures" / "old.png").exists()


def test_the_same_table_gives_the_same_bytes(answer: Path, tmp_path: Path) -> None:
    evaluate_tables(tmp_path / "calls.csv", None, tmp_path / "again", QUICK)
    for path in sorted(answer.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(answer)).read_bytes(), path.name


def test_tables_without_a_row_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("patient_id,pair_id,reference,index\n")
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_tables(tmp_path / "c.csv", None, tmp_path / "o", QUICK)
