"""Whole studies as the scanners and radiographers of the world name them get exactly the roles they deserve."""

from __future__ import annotations

import pytest
from liverpair.dicom.coverage import covers_liver
from liverpair.dicom.records import SeriesRecord
from liverpair.dicom.roles import classify_study
from liverpair.dicom.selection import Classified, choose_ct, choose_mr, classified
from liverpair.dicom.split import split

from tests.series_tables import Row, studies
from tests.vendor_headers import classified_roles, ct, dwi, joined, pet, t1

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


# --- which of several the study takes ----------------------------------------------------------------------------


def _classified(records: list[SeriesRecord]) -> list[Classified]:
    stacks = [stack for record in records for stack in split(record)]
    return [classified(s, d, None) for s, d in zip(stacks, classify_study(stacks), strict=True)]


@pytest.mark.parametrize(
    "kernel",
    [["Br64d", "3"], ["I70f", "3"], "B70f", "LUNG", "BONEPLUS", "FC51", "FC30", "B_VSHARP_B", "Bl57d", "YC", "Hr60"],
)
def test_a_sharp_kernel_yields_to_a_soft_one_of_the_same_acquisition(kernel: str | list[str]) -> None:
    sharp, soft = ct("1", ConvolutionKernel=kernel), ct("2", ConvolutionKernel=["Br38f", "3"])
    chosen = choose_ct(split(pet("3"))[0], _classified([sharp, soft]))
    assert chosen is not None
    assert chosen.uid == "2"


@pytest.mark.parametrize(
    "kernel", ["FC13", "FC18", "STANDARD", "SOFT", "B", "B30f", ["Br40d", "3"], "B_SOFT_C", "I30f"]
)
def test_a_soft_kernel_is_not_taken_for_a_sharp_one(kernel: str | list[str]) -> None:
    soft, sharp = ct("2", ConvolutionKernel=kernel), ct("1", ConvolutionKernel="LUNG")
    chosen = choose_ct(split(pet("3"))[0], _classified([sharp, soft]))
    assert chosen is not None
    assert chosen.uid == "2"


def test_the_measured_image_is_taken_before_a_copy_that_other_software_filtered() -> None:
    original = t1("1", "092000", "t1_vibe_hbp", ImageType=["ORIGINAL", "PRIMARY", "M"])
    filtered = t1("2", "092100", "t1_vibe_hbp denoised", ImageType=["DERIVED", "SECONDARY", "M"])
    assert choose_mr(_classified([filtered, original]))["mr-hbp"].series.series_uid == "1"


def test_the_measured_b_800_is_taken_before_calculated_and_lower_ones() -> None:
    calculated = dwi("1", 800.0, ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE"])
    measured = joined(*(dwi("2", b) for b in (50.0, 400.0, 800.0)))
    chosen = choose_mr(_classified([calculated, measured]))["mr-dwi"]
    assert (chosen.series.series_uid, chosen.key["DiffusionBValue"]) == ("2", 800.0)
