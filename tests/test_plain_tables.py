"""Tables as people and spreadsheets write them: one form, or a complaint that names the row."""

from __future__ import annotations

from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.plain_tables import cell_date, cell_number, plain_rows, verdict
from liverpair.evaluate.tables import parse_calls, parse_lesions
from liverpair.flow.user_tables import read_user_table


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_a_table_is_the_same_in_every_encoding_and_with_every_delimiter(
    tmp_path: Path, encoding: str, divider: str
) -> None:
    lines = [["Patient ID", "PAIR_ID", "Reference", "Index", "Größte (mm)"], ["A", "1", "Present", "absent", "4"]]
    path = tmp_path / "calls.csv"
    path.write_bytes("\r\n".join(divider.join(line) for line in lines).encode(encoding))
    (call,) = parse_calls(read_user_table(path))
    assert (call.patient_id, call.pair_id, call.reference, call.index) == ("A", "1", "present", "absent")
    assert call.attributes["largest_mm"] == 4.0


def test_excels_own_first_line_and_decimal_commas_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "lesions.csv"
    path.write_text(
        "sep=;\npatient_id;pair_id;lesion_id;long_axis_mm;detected\nA;1;M1;4,8;ja\nA;1;M2;12;nein\n\n;;;;\n"
    )
    found = parse_lesions(read_user_table(path))
    assert [(x.size_mm, x.detected) for x in found] == [(4.8, True), (12.0, False)]


@pytest.mark.parametrize("word", ["positive", "maybe", "x" * 500])
def test_a_word_that_is_no_verdict_is_refused_with_its_row(word: str) -> None:
    with pytest.raises(UsageError, match=r"row 7: index is .*Use one of present, absent") as refused:
        verdict(word, "index", 7, "calls")
    assert len(str(refused.value)) < 250


def test_the_complaint_says_what_a_known_word_probably_means() -> None:
    with pytest.raises(UsageError, match=r"'Positiv' \(present\?\)"):
        verdict("Positiv", "reference", 2, "calls")
    assert verdict("Not evaluable", "reference", 2, "calls") == "not_evaluable"
    assert verdict("n/a", "reference", 2, "calls") == ""


@pytest.mark.parametrize(("text", "value"), [("4,8", 4.8), ("−12", -12.0), ("", None), ("k.A.", None), ("1e1", 10.0)])
def test_numbers_with_a_comma_or_a_minus_are_numbers(text: str, value: float | None) -> None:
    assert cell_number(text, "interval_days", 2, "calls") == value


@pytest.mark.parametrize("text", ["1.234,5", "12 mm", "<5", "1,2,3", "inf"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="row 2: long_axis_mm"):
        cell_number(text, "long_axis_mm", 2, "lesions")


def test_a_date_has_one_reading_or_is_refused() -> None:
    assert cell_date("12.3.2019", "pet_date", 2, "calls") == cell_date("20190312", "pet_date", 2, "calls")
    assert cell_date("2019-03-12 08:00", "pet_date", 2, "calls") == "2019-03-12"
    for text in ("3/12/2019", "12.13.2019", "March"):
        with pytest.raises(UsageError, match="one reading"):
            cell_date(text, "pet_date", 2, "calls")


def test_two_columns_of_one_meaning_are_refused() -> None:
    with pytest.raises(UsageError, match="two columns for patient_id"):
        plain_rows([{"Patient": "a", "patient_id": "b"}], "calls")


def test_a_row_with_more_cells_than_the_header_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("patient_id,pair_id,reference,index\nA,1,present,absent\nA,2,present,absent,4,8\n")
    with pytest.raises(UsageError, match="row 3: 6 cells"):
        read_user_table(path)


def test_an_empty_or_binary_file_is_refused_in_words(tmp_path: Path) -> None:
    for content, complaint in ((b"", "empty"), (b"a,b\n\x00\x01\x02", "no text"), (b"a,A\n1,2\n", "more than once")):
        path = tmp_path / "t.csv"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=complaint):
            read_user_table(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_user_table(tmp_path / "absent.csv")


HEAD = {"patient_id": "A", "pair_id": "1", "reference": "present", "index": "absent"}


def test_all_foreign_words_of_a_column_are_told_at_once() -> None:
    words = ["ja", "nein", "nein", "present", "?", ""]
    rows = [{**HEAD, "pair_id": str(n), "index": word} for n, word in enumerate(words)]
    with pytest.raises(UsageError, match=r"row 2: index is 'ja' \(present\?\)\. Use one of") as refused:
        parse_calls(rows)
    assert "'nein' in 2 rows (absent?), 'ja' in 1 rows (present?), '?' in 1 rows." in str(refused.value)
    many = [{**HEAD, "pair_id": str(n), "index": f"befund {n}"} for n in range(500)]
    with pytest.raises(UsageError, match="and 494 more") as refused:
        parse_calls(many)
    assert len(str(refused.value)) < 600


def test_outcomes_are_told_apart_from_verdicts() -> None:
    with pytest.raises(UsageError, match=r"'TP' .not a verdict but an outcome: TP is present on both"):
        parse_calls([{**HEAD, "index": "TP"}])
    with pytest.raises(UsageError, match=r"lacks the column.s. reference, index.*TN on neither"):
        parse_calls([{"patient_id": "A", "pair_id": "1", "Outcome": "TP"}])


def test_a_missing_column_is_told_with_what_it_must_hold() -> None:
    with pytest.raises(UsageError, match="long_axis_mm is the size on MRI in mm"):
        parse_lesions([{"Patient": "A", "Paar": "1", "Läsion": "1", "Durchmesser (cm)": "0,8", "erkannt": "ja"}])
    with pytest.raises(UsageError, match="one column only was found"):
        parse_calls([{"Auswertung 2019": "A"}])


def test_a_lesion_of_no_size_and_a_word_for_detection_are_refused() -> None:
    lesion = {"patient_id": "A", "pair_id": "1", "lesion_id": "1", "long_axis_mm": "5", "detected": "FALSCH"}
    assert [x.detected for x in parse_lesions([lesion])] == [False]
    with pytest.raises(UsageError, match=r"row 2: long_axis_mm is 0. Leave it empty"):
        parse_lesions([{**lesion, "long_axis_mm": "0"}])
    with pytest.raises(UsageError, match=r"detected is 'pos'.*showed it or not"):
        parse_lesions([{**lesion, "detected": "pos"}])


def test_the_interval_comes_from_the_dates_and_must_not_contradict_them() -> None:
    dates = {**HEAD, "PET-Datum": "12.03.2019", "MRT-Datum": "2.3.2019"}
    assert parse_calls([dates])[0].attributes["interval_days"] == -10
    assert parse_calls([{**dates, "interval_days": "-10"}])[0].attributes["interval_days"] == -10
    assert parse_calls([{**dates, "MRT-Datum": "", "interval_days": "4"}])[0].attributes["interval_days"] == 4
    with pytest.raises(
        UsageError, match=r"row 2: interval_days is 10, but mr_date less pet_date is -10.*MRI minus PET"
    ):
        parse_calls([{**dates, "interval_days": "10"}])
