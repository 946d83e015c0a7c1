"""The workspace: tables whole or not at all, folders that are not ours refused, cases renamed into place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.flow.tables import COLUMNS, format_table, parse_table
from liverpair.flow.workspace import Workspace, write_text


def test_a_table_holds_full_precision_iso_dates_and_empty_cells() -> None:
    text = format_table(("a", "b", "c", "d"), [{"a": 0.1 + 0.2, "b": date(2026, 3, 1), "c": None, "d": ("x", "y")}])
    assert text == "a,b,c,d\n0.30000000000000004,2026-03-01,,x;y\n"


def test_a_row_with_an_unknown_column_is_our_error() -> None:
    with pytest.raises(ValueError, match="columns the table does not"):
        format_table(("a",), [{"b": 1}])


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(COLUMNS["exclusions"]),
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
        )
    )
)
def test_any_text_survives_the_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write_text(path, format_table(COLUMNS["exclusions"], rows))
    columns = COLUMNS["exclusions"]
    assert parse_table(path, columns) == [{c: row.get(c, "") for c in columns} for row in rows]


def test_a_table_without_a_needed_column_is_refused_with_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("pair_id,reference\n1,present\n")
    with pytest.raises(UsageError, match=r"lacks the column index .*pair_id, reference"):
        parse_table(tmp_path / "calls.csv", ("pair_id", "reference", "index"))


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_with_other_things_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        Workspace.create(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["holiday.jpg"]


def test_a_case_that_breaks_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    with workspace.building("P1") as folder:
        (folder / "case.json").write_text('{"status": "done"}')

    def broken() -> None:
        with workspace.building("P1") as folder:
            (folder / "case.json").write_text('{"status": "half"}')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert workspace.read_case("P1") == {"status": "done"}
