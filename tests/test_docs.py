"""What the documentation says of reason codes, commands, tables and other pages is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer
from liverpair.evaluate.readings import parse_readings
from liverpair.evaluate.tables import parse_calls, parse_lesions
from liverpair.flow.cli import app

ROOT = Path(__file__).resolve().parent.parent
REFUSALS = ("Refusal", "SuvRefusal", "GeometryRefusal")


def _raised() -> set[str]:
    """Reason codes that the dicom room raises, from its sources."""
    found = set()
    for path in (ROOT / "pipeline" / "liverpair" / "dicom").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in REFUSALS
                and node.args
            ):
                code = node.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found.add(code.value)
    return found


def _documented() -> set[str]:
    text = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z0-9_]+)` \|", text, flags=re.MULTILINE))


def test_every_reason_code_of_the_dicom_room_is_documented() -> None:
    raised = _raised()
    assert len(raised) > 60
    assert raised - _documented() == {"index_changed"}  # said by `process`, which then asks to pair again


def test_every_documented_reason_code_is_somewhere_in_the_program() -> None:
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "pipeline" / "liverpair").rglob("*.py"))
    built = {"no_pet", "no_mr", "mr_out_of_window", "pet_out_of_window", "mr_already_paired", "pet_already_paired"}
    assert {code for code in _documented() - built if f'"{code}"' not in sources} == set()


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    for target, anchor in links:
        if "://" in target:
            continue
        there = page.parent / target
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_of_a_page_exists(page: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group of commands
    text = page.read_text(encoding="utf-8")
    fenced = "".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    shown = re.findall(r"^liverpair ([a-z-]+)(.*)$", fenced, flags=re.MULTILINE)
    shown += re.findall(r"`liverpair\s+([a-z][a-z-]*)([^`]*)`", text)
    for name, rest in shown:
        words = rest.split("#")[0]
        assert name in commands, name
        known = {option for p in commands[name].params for option in (*p.opts, *p.secondary_opts)}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", words)) <= known | {"--help"}, (name, words)


def test_every_command_is_in_the_readme() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group of commands
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {c for c in commands if f"liverpair {c}" not in text and f"`{c}`" not in text} == set()


def test_every_benchmark_is_in_the_table_of_benchmarks_and_the_reverse() -> None:
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `([a-z_]+)` \|", text, flags=re.MULTILINE))
    main = {p.stem for p in (ROOT / "benchmarks").glob("[a-z]*.py") if "__main__" in p.read_text(encoding="utf-8")}
    helpers = {"registration_peers"}  # one registration in a process of its own, started by registration
    assert told == main - helpers


def test_the_columns_that_tables_are_said_to_have_are_read() -> None:
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    calls = text.split("## Calls")[1].split("## ")[0]
    cells = {"interval_days": "3", "largest_mm": "8", "count": "1", "liver_hu": "60", "tlr": "2", "age": "61"}
    cells |= {"therapy_days_before_pet": "30", "pet_date": "2026-03-01", "mr_date": "2026-03-04"}
    cells |= {"therapy_date": "2026-02-01"}
    columns = [
        c
        for line in calls.splitlines()
        if line.startswith("| `")
        for c in re.findall(r"`([a-z0-9_]+)`", line.split("|")[1])
    ]
    words = ("reference", "index", "_image", "_report", "_consensus")
    row = {c: cells.get(c, "present" if c.endswith(words) else "x") for c in columns}
    call = parse_calls([row])[0]
    assert set(columns) <= {"patient_id", "pair_id", "reference", "index", *call.attributes}
    assert call.attributes["interval_days"] == 3
    lesion = {"patient_id": "a", "pair_id": "1", "lesion_id": "l", "long_axis_mm": "9,5", "detected": "true"}
    reading = {"pair_id": "1", "reader": "R1", "mr": "present", "pet": "absent", "read_at": "01.03.2026"}
    for part, given in (("## Lesions", lesion), ("## Readings", reading)):
        assert all(f"`{column}`" in text.split(part)[1].split("## ")[0] for column in given)
    assert parse_lesions([lesion])[0].size_mm == 9.5
    assert len(parse_readings([reading], {"1": "a"})) == 2
