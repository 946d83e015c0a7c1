"""`evaluate --calls` on a table as Excel writes it: page, figures as SVG and PNG, tables as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.evaluate.report.names import ReportSettings
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


def _telling(tmp_path: Path, settings: Settings, **more: str) -> Path:
    """A report of pairs whose IDs hold their patients', with the patients' own columns."""
    columns = ["patient_id", "pair_id", "reference", "index", "mr_image", "mr_report", *more]
    lines = [",".join(columns)]
    for n in range(9):
        verdicts = "absent,present,absent,present" if n == 0 else "present,absent,present,present"
        own = f"SECRET{n // 3}"
        lines.append(",".join([own, f"{own}-{n % 3}", verdicts, *more.values()]))
    table = tmp_path / "telling.csv"
    table.write_text("\n".join(lines))
    evaluate_tables(table, None, tmp_path / "told", settings)
    return tmp_path / "told"


def test_a_pair_id_made_from_the_patients_is_not_in_the_report(tmp_path: Path) -> None:
    told = _telling(tmp_path, QUICK)
    shown = [told / "index.html", *(told / "tables").iterdir(), *(told / "figures").glob("*.svg")]
    assert all(b"SECRET" not in path.read_bytes() for path in shown)
    with (told / "calls.csv").open(newline="", encoding="utf-8") as stream:
        names = {row["pair_id"]: row["pair_in_report"] for row in csv.DictReader(stream)}
    page = (told / "index.html").read_text(encoding="utf-8")
    assert len(set(names.values())) == 9
    assert all(f">{name}<" in page for name in names.values())
    with (told / "tables" / "contradictions.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["pair_id"] for row in csv.DictReader(stream)] == [names["SECRET0-0"]]


def test_identities_are_shown_where_the_settings_ask_for_them(tmp_path: Path) -> None:
    asked = Settings(QUICK.cohort, concordance=QUICK.concordance, report=ReportSettings(show_patient_ids=True))
    assert "SECRET2-2" in (_telling(tmp_path, asked) / "index.html").read_text(encoding="utf-8")


def test_columns_of_patients_are_their_baseline(tmp_path: Path) -> None:
    told = _telling(tmp_path, QUICK, Alter="61.5", Geschlecht="F", grade="G2")
    rows = json.loads((told / "tables" / "participants.json").read_text(encoding="utf-8"))
    found = {row["characteristic"]: row["value"] for row in rows}
    assert found["Age, years"].startswith("median 62 ")
    assert (found["Sex"], found["Grade"]) == ("F 3", "G2 3")
    flow = json.loads((told / "tables" / "flow.json").read_text(encoding="utf-8"))
    assert [(row["level"], row["came_in"], row["judged"]) for row in flow] == [("Patients", 3, 3), ("Pairs", 9, 9)]


def test_a_bare_table_is_not_said_to_be_read_by_the_software(answer: Path, tmp_path: Path) -> None:
    pages = [(folder / "index.html").read_text(encoding="utf-8") for folder in (answer, _telling(tmp_path, QUICK))]
    for page in pages:
        for untrue in (
            "read by this software",
            "the software judges",
            "archive",
            "--clinical",
            "pictures",
            "liverpair label",
        ):
            assert untrue not in page.partition('<h2 id="stard"')[0], untrue


def test_a_table_of_lesions_alone_speaks_of_lesions_only(tmp_path: Path) -> None:
    lines = ["patient_id,pair_id,lesion_id,long_axis_mm,detected"]
    lines += [f"S{n // 4},p{n // 2},{n},{n + 3},{'true' if n % 5 else 'false'}" for n in range(20)]
    (tmp_path / "lesions.csv").write_text("\n".join(lines))
    evaluate_tables(None, tmp_path / "lesions.csv", tmp_path / "out", QUICK)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert '<p class="lead">SSR-PET/CT showed 16 of 20 lesions on liver MRI: 80.0 %' in page
    assert {"crosstable", "estimates", "misses", "missing"}.isdisjoint(re.findall(r'<h2 id="(\w+)"', page))
    assert "0 pairs" not in page
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(re.findall(r'id="([\w-]+)"', page))
    assert not (tmp_path / "out" / "figures" / "flow.svg").exists()
