"""Tables of reports: reading, labelling, and finding the study that a report describes."""

from __future__ import annotations

from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.labels import (
    LABEL_COLUMNS,
    StudyKey,
    assign_reports,
    duplicated_report_ids,
    label_table,
    read_reports,
)

TEXT = 'Befund: Zwei Lebermetastasen, größte 1,2 cm;\nsiehe "Segment VI".'


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_tables_of_all_delimiters_and_encodings_are_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    quoted = '"' + TEXT.replace('"', '""') + '"'
    lines = [delimiter.join(["Report_ID", "modality", "text"]), delimiter.join(["r1", "MR", quoted])]
    path = tmp_path / "reports.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n\r\n").encode(encoding))
    assert read_reports(path) == [{"report_id": "r1", "modality": "MR", "text": TEXT}]


def test_a_table_without_a_text_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text("report_id,befund\n1,x\n")
    with pytest.raises(UsageError, match="text"):
        read_reports(path)


def test_an_unquoted_delimiter_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text("report_id,text\n1,fine\n2,No metastases, no cysts\n")
    with pytest.raises(UsageError, match="row 3"):
        read_reports(path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        read_reports(path)


def test_rows_get_the_columns_of_the_contract() -> None:
    rows = label_table([{"report_id": "r1", "text": TEXT, "modality": "MR"}])
    assert tuple(rows[0]) == LABEL_COLUMNS
    assert (rows[0]["status"], rows[0]["largest_mm"], rows[0]["count"]) == ("present", 12.0, 2)


def test_a_missing_text_is_refused_with_its_row() -> None:
    with pytest.raises(UsageError, match="row 3: text"):
        label_table([{"report_id": "1", "text": "Leber frei."}, {"report_id": "2", "text": " "}])


def test_duplicated_report_ids_are_listed() -> None:
    assert duplicated_report_ids([{"report_id": "a"}, {"report_id": "b"}, {"report_id": "a "}]) == ("a",)


STUDIES = (
    StudyKey("1.1", "P1", "PT\\CT", "A1", "20190312"),
    StudyKey("1.2", "P1", "MR", "A2", "20190320"),
    StudyKey("1.3", "P1", "MR", "A3", "20190320"),
    StudyKey("1.4", "P2", "MR", "A4", "20190401"),
    StudyKey("1.5", "P2", "PT", "A4", "20190401"),
)


def one(**row: str) -> tuple[str, str]:
    result = assign_reports([{"report_id": "r", **row}], STUDIES)[0]
    return result.study_uid, result.reason or result.matched_by


def test_the_accession_number_comes_first() -> None:
    assert one(accession_number="A2", patient_id="P1", study_date="2019-03-12", modality="PT") == (
        "1.2",
        "accession_number",
    )


def test_a_shared_accession_number_is_settled_by_the_modality() -> None:
    assert one(accession_number="A4", modality="PET/CT") == ("1.5", "accession_number")
    assert one(accession_number="A4") == ("", "ambiguous_accession_number")


def test_an_accession_number_of_another_patient_is_not_trusted() -> None:
    assert one(accession_number="A2", patient_id="P2") == ("", "accession_number_of_another_patient")


def test_patient_modality_and_exact_date_find_the_study() -> None:
    assert one(patient_id="P1", modality="PET", study_date="12.03.2019") == ("1.1", "patient_modality_date")
    assert one(patient_id="P1", modality="PET", study_date="2019-03-13") == ("", "no_study")


def test_two_studies_of_one_day_are_ambiguous() -> None:
    assert one(patient_id="P1", modality="MRT", study_date="20190320") == ("", "ambiguous_date")


def test_a_date_of_unknown_order_is_not_guessed() -> None:
    assert one(patient_id="P1", modality="MR", study_date="3/4/2019") == ("", "unreadable_date")
    assert one(patient_id="P1") == ("", "no_identifiers")
