"""Reports in tables and documents: what is read from XLSX, DOCX and TXT, and what is refused or listed as broken."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from liverpair.core.errors import Refusal, UsageError
from liverpair.evaluate.labels import label_table, read_report_source
from liverpair.evaluate.labels.office import LARGEST_RATIO, read_document, read_sheet

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

RELATIONS = '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>'
STRINGS = (
    f'<sst xmlns="{MAIN}"><si><t>report_id</t></si><si><t>text</t></si><si><t>study_date</t></si>'
    "<si><r><t>Zwei </t></r><r><t>Lebermetastasen,_x000D_\nbis 12 mm.</t></r><rPh><t>phonetic</t></rPh></si></sst>"
)
STYLES = f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
SHEET = (
    f'<worksheet xmlns="{MAIN}"><sheetData>'
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="D1" t="s"><v>2</v></c></row>'
    '<row r="2"><c r="A2"><v>17</v></c><c r="B2" t="s"><v>3</v></c><c r="D2" s="1"><v>43536</v></c></row>'
    '<row r="4"><c r="A4" t="inlineStr"><is><t>r4</t></is></c><c r="B4" t="str"><v>Leber frei.</v></c></row>'
    '<row r="5"><c r="A5"><v>5</v></c></row>'
    "</sheetData></worksheet>"
)
BOOK = (
    f'<workbook xmlns="{MAIN}" xmlns:r="{RELS}"><sheets><sheet name="h" state="hidden" r:id="rId9"/>'
    '<sheet name="s" r:id="rId1"/></sheets></workbook>'
)


def workbook(path: Path, **parts: str) -> Path:
    content = {
        "xl/workbook.xml": BOOK,
        "xl/_rels/workbook.xml.rels": RELATIONS,
        "xl/worksheets/sheet1.xml": SHEET,
        "xl/sharedStrings.xml": STRINGS,
        "xl/styles.xml": STYLES,
    } | parts
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def document(path: Path, body: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>')
    return path


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_a_workbook_gives_texts_numbers_and_dates_in_their_columns(tmp_path: Path) -> None:
    rows = read_sheet(workbook(tmp_path / "r.xlsx"))
    assert rows == [
        ["report_id", "text", "", "study_date"],
        ["17", "Zwei Lebermetastasen,\nbis 12 mm.", "", "2019-03-12"],
        [],
        ["r4", "Leber frei."],
        ["5"],
    ]


def test_a_workbook_is_labelled_and_its_broken_row_is_listed(tmp_path: Path) -> None:
    source = read_report_source(workbook(tmp_path / "r.xlsx"))
    assert [(r["report_id"], r["status"]) for r in label_table(source.rows)] == [("17", "present"), ("r4", "absent")]
    assert [(b.where, b.reason) for b in source.broken] == [("row 4", "empty_text")]


def test_the_epoch_of_1904_is_obeyed(tmp_path: Path) -> None:
    book = BOOK.replace("<sheets>", '<workbookPr date1904="1"/><sheets>')
    assert read_sheet(workbook(tmp_path / "r.xlsx", **{"xl/workbook.xml": book}))[1][3] == "2023-03-13"


def test_paragraphs_tables_and_tracked_changes_of_a_document(tmp_path: Path) -> None:
    body = (
        paragraph("Befund:")
        + "<w:p><w:r><w:t>Leber</w:t><w:tab/><w:t>frei</w:t></w:r><w:del><w:r><w:delText>x</w:delText></w:r></w:del>"
        + "<w:ins><w:r><w:t>.</w:t><w:br/><w:t>Milz.</w:t></w:r></w:ins></w:p>"
        + f"<w:tbl><w:tr><w:tc>{paragraph('S7')}</w:tc><w:tc>{paragraph('9 mm')}</w:tc></w:tr></w:tbl>"
    )
    assert read_document(document(tmp_path / "a.docx", body)) == "Befund:\nLeber\tfrei.\nMilz.\nS7 | 9 mm"


def test_a_folder_gives_every_document_and_lists_the_broken_ones(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    document(tmp_path / "Meier_Anna.docx", paragraph("Keine Lebermetastasen."))
    (tmp_path / "sub" / "Schulz.txt").write_bytes("Größte Metastase der Leber 8 mm.".encode("cp1252"))
    (tmp_path / "scan.pdf").write_bytes(b"%PDF")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "torn.docx").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "~$ier_Anna.docx").write_bytes(b"lock")
    source = read_report_source(tmp_path)
    names = dict(source.files)
    assert {names[r["report_id"]]: r["text"] for r in source.rows} == {
        "Meier_Anna.docx": "Keine Lebermetastasen.",
        "sub/Schulz.txt": "Größte Metastase der Leber 8 mm.",
    }
    assert {names[b.where]: b.reason for b in source.broken} == {
        "scan.pdf": "unknown_document",
        "empty.txt": "empty_text",
        "torn.docx": "not_an_office_file",
    }


def test_no_file_name_stands_in_rows_or_reasons(tmp_path: Path) -> None:
    (tmp_path / "Mustermann_1950.txt").write_text("Leber frei.")
    (tmp_path / "Mustermann_1950.rtf").write_text("{rtf}")
    source = read_report_source(tmp_path)
    assert "Mustermann" not in repr((source.rows, source.broken))


def test_report_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text("Leber frei.")
    assert read_report_source(tmp_path / "a") == read_report_source(tmp_path / "b")


def test_utf16_without_a_mark_is_read(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "x.txt").write_bytes("Leber: größte Metastase 8 mm.".encode(encoding))
        assert read_report_source(tmp_path / "x.txt").rows[0]["text"] == "Leber: größte Metastase 8 mm."


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    bomb = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><sst xmlns="{MAIN}"><si><t>&b;</t></si></sst>'
    with pytest.raises(Refusal) as caught:
        read_sheet(workbook(tmp_path / "r.xlsx", **{"xl/sharedStrings.xml": bomb}))
    assert caught.value.reason == "xml_with_dtd"


def test_a_compression_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    blank = f'<sst xmlns="{MAIN}"><si><t>' + " " * (LARGEST_RATIO * 100_000) + "</t></si></sst>"
    with pytest.raises(Refusal) as caught:
        read_sheet(workbook(tmp_path / "r.xlsx", **{"xl/sharedStrings.xml": blank}))
    assert caught.value.reason == "too_large"


def test_binary_data_called_txt_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"abc\x00def" * 40)
    assert [b.reason for b in read_report_source(tmp_path).broken] == ["not_text"]


def test_what_is_no_source_of_reports_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    for path in (tmp_path / "x.pdf", tmp_path / "missing.csv"):
        with pytest.raises(UsageError):
            read_report_source(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no files"):
        read_report_source(tmp_path / "empty")
