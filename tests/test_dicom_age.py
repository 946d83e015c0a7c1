"""The age from the birth date: whole years at the study, nothing made up, and no birth date anywhere in the index."""

from __future__ import annotations

import io
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.dicom.age import AGE, birth_date_to_age
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.header import FIRST_READ, Scanner
from liverpair.dicom.scan import scan, scan_through_pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.dicom_phantom import as_bytes, make_slice, numbered_pixels


def _age(born: str, study: str = "20190312", **header: Any) -> Any:
    found = birth_date_to_age({"PatientBirthDate": born, "StudyDate": study, **header})
    assert "PatientBirthDate" not in found
    return found.get(AGE)


@pytest.mark.parametrize(
    ("born", "study", "years"),
    [
        ("19560312", "20190312", 63),  # on the birthday
        ("19560313", "20190312", 62),  # the day before it
        ("1956.03.12", "2019.03.12", 63),  # ACR-NEMA's way of writing
        ("19560229", "20190228", 62),
        ("19560229", "20190301", 63),
        ("20180312", "20190312", 1),
    ],
)
def test_whole_years_are_counted_to_the_day(born: str, study: str, years: int) -> None:
    assert _age(born, study) == years


@pytest.mark.parametrize(
    "born",
    ["", "1956", "19560000", "19000101", "18991230", "19700101", "19991111", "00010101", "18500101", "11111111",
     "20190312", "20190313", "20560312", "ANONYM", "1956031"],
)  # fmt: skip
def test_a_birth_date_that_is_no_ones_gives_no_age(born: str) -> None:
    assert _age(born) is None


def test_without_a_believable_day_of_the_examination_there_is_no_age() -> None:
    assert _age("19560312", "") is None
    assert _age("19560312", "", AcquisitionDate="20190312") == 63
    for word, years in (("MODIFIED", None), ("REMOVED", None), ("UNMODIFIED", 63)):
        assert _age("19560312", LongitudinalTemporalInformationModified=word) == years


@given(st.dates(), st.dates())
def test_no_age_is_ever_negative_or_beyond_what_people_reach(born: Any, study: Any) -> None:
    years = _age(f"{born:%Y%m%d}".rjust(8, "0"), f"{study:%Y%m%d}".rjust(8, "0"))
    assert years is None or 0 <= years <= 110
    assert years is None or born.replace(day=1).replace(year=born.year + years) <= study


def _born(**attributes: Any) -> Dataset:
    # a series of its own: this process remembers what the files of one series share
    facts = {"PatientBirthDate": "19560312", "StudyDate": "20190401", "SeriesInstanceUID": "1.2.840.1956"}
    dataset = make_slice(numbered_pixels(0), (1.0, 2.0, 3.0), **facts, **attributes)
    item = Dataset()
    item.PatientBirthDate, item.RadiopharmaceuticalStartTime = "19560312", "101500"
    dataset.RadiopharmaceuticalInformationSequence = Sequence([item])
    return dataset


def test_the_scanner_and_pydicom_leave_the_same_age_and_no_birth_date() -> None:
    content, scanner = as_bytes(_born()), Scanner()
    for _ in range(4):  # the third file is read by what the first two shared
        stream = io.BytesIO(content)
        quick = scanner.read(stream, stream.read(FIRST_READ))
        assert quick is not None
        assert quick[AGE] == 63
        assert "19560312" not in repr(quick)
    for record in (*scan("x", io.BytesIO(content)), *scan_through_pydicom("x", io.BytesIO(content))):
        assert record.get(AGE) == 63
        assert "19560312" not in repr(record)


def test_the_index_holds_no_birth_date(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for number in range(1, 5):
        content = as_bytes(_born(InstanceNumber=number, SOPInstanceUID=f"1.2.3.{number}"))
        (archive / f"{number}.dcm").write_bytes(content)
        assert b"19560312" in content
    with Catalogue.open(tmp_path / "index") as catalogue:
        catalogue.update([archive])
        series = catalogue.series()
    assert [s.first(AGE) for s in series] == [63]
    assert "19560312" not in repr(series)
    with closing(sqlite3.connect(tmp_path / "index")) as db:
        bases = [zlib.decompress(content) for (content,) in db.execute("SELECT content FROM bases")]
    assert bases
    assert all(b"19560312" not in content for content in bases)
    assert all(b"19560312" not in path.read_bytes() for path in tmp_path.glob("index*"))
