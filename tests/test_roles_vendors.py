"""Whole studies as the scanners and radiographers of the world name them get exactly the roles they deserve."""

from __future__ import annotations

import pytest
from liverpair.dicom.coverage import covers_liver
from liverpair.dicom.split import split

from tests.series_tables import Row, studies
from tests.vendor_headers import classified_roles

TABLES = ("mr_protocols.txt", "pet_ct.txt", "held_out.txt", "held_out_pet_ct.txt", "held_out_2.txt")
STUDIES = [(f"{table}: {name}", rows) for table in TABLES for name, rows in studies(table)]
#: A row whose role is arguable and not tested (another part of the body, whose coverage is).
ANY_ROLE = ("*",)


@pytest.mark.parametrize("rows", [rows for _, rows in STUDIES], ids=[name for name, _ in STUDIES])
def test_every_series_of_a_study_gets_its_role(rows: list[Row]) -> None:
    found = classified_roles([row.record for row in rows])
    wrong = {
        row.where: (row.roles, tuple(found[row.record.series_uid]))
        for row in rows
        if row.roles != ANY_ROLE and row.roles != tuple(found[row.record.series_uid])
    }
    assert wrong == {}


def test_the_order_of_series_and_frames_changes_no_role() -> None:
    for name, rows in STUDIES:
        forward = classified_roles([row.record for row in rows])
        assert classified_roles([row.record for row in rows[::-1]]) == forward, name


def test_the_tables_hold_hundreds_of_series_of_every_vendor() -> None:
    rows = [row for _, study in STUDIES for row in study]
    assert len(rows) >= 500
    assert len({str(row.record.first("Manufacturer")) for row in rows}) >= 8


@pytest.mark.parametrize("row", [row for _, rows in STUDIES for row in rows if row.covers], ids=lambda row: row.where)
def test_other_parts_of_the_body_do_not_show_the_liver(row: Row) -> None:
    coverage = covers_liver(split(row.record)[0])
    assert coverage.covers == (row.covers == "yes"), coverage.reason
