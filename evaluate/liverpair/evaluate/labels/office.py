"""Read the text of XLSX and DOCX files: both are ZIP archives of XML (ECMA-376), read with the standard library.

What could harm is refused: documents with a DTD (entity bombs), members that unpack beyond `LARGEST_MEMBER`, too many
members. Formulas are not computed (their stored value counts), macros, comments, headers and footers are not read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

from liverpair.core.errors import Refusal

__all__ = ["read_document", "read_sheet"]

# A report table of 100 000 reports unpacks to about 300 MB; a bomb to many times that.
LARGEST_MEMBER = 500_000_000
# Deflate's best ratio is about 1000; sheets of real text stay under 100.
LARGEST_RATIO = 300
MOST_MEMBERS = 10_000
# Built-in number formats that show a date (ECMA-376 part 1, 18.8.30).
DATE_FORMATS = frozenset({14, 15, 16, 17, 22, 27, 28, 29, 30, 31, 36, 50, 51, 52, 53, 54, 57, 58})
_CELL = re.compile(r"([A-Z]{1,3})(\d+)")
_MOST_COLUMNS = 16_384  # Excel's own limit


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Refusal("xml_with_dtd", "an XML part declares a DTD, which office files never do; save the file anew.")


def read_sheet(path: Path) -> list[list[str]]:
    """Rows of the first sheet of an XLSX file as text; dates as YYYY-MM-DD, whole numbers without decimals.

    Refusal (not_an_office_file, xml_with_dtd, too_large) says what is wrong with the file.
    """
    with _archive(path) as archive:
        book = _xml(archive, "xl/workbook.xml")
        sheet = next((e for e in book.iter() if _name(e) == "sheet" and e.get("state", "visible") == "visible"), None)
        if sheet is None:
            raise Refusal(
                "not_an_office_file", "the workbook has no visible sheet; put the table into its first sheet."
            )
        target = _target(archive, next(value for key, value in sheet.attrib.items() if key.endswith("}id")))
        strings = _shared_strings(archive)
        dates = _date_styles(archive)
        since_1904 = any(_name(e) == "workbookPr" and e.get("date1904") in ("1", "true") for e in book.iter())
        rows: list[list[str]] = []
        for row in (e for e in _xml(archive, target).iter() if _name(e) == "row"):
            number = int(row.get("r", len(rows) + 1))
            cells: list[str] = []
            for cell in (e for e in row if _name(e) == "c"):
                column = _column(cell.get("r"), len(cells))
                cells.extend([""] * (column + 1 - len(cells)))
                cells[column] = _value(cell, strings, dates, since_1904)
            rows.extend([] for _ in range(min(number, 1_048_576) - 1 - len(rows)))
            rows.append(cells)
    return rows


def read_document(path: Path) -> str:
    """Body text of a DOCX file: one line a paragraph, one line a table row with " | " between its cells.

    Deleted (tracked) text, comments, headers and footers are left out. Refusals as in `read_sheet`.
    """
    with _archive(path) as archive:
        root = _xml(archive, "word/document.xml")
    body = next((e for e in root if _name(e) == "body"), None)
    return "\n".join(_blocks(body)).strip() if body is not None else ""


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise Refusal(
            "not_an_office_file", f"the file is no ZIP archive as XLSX and DOCX are ({error}); save it anew."
        ) from error
    if len(archive.infolist()) > MOST_MEMBERS:
        archive.close()
        raise Refusal("too_large", f"the archive holds more than {MOST_MEMBERS} members; save the file anew.")
    return archive


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise Refusal(
            "not_an_office_file", f"the archive has no {name}, so it is no such office file (or encrypted)."
        ) from None
    if info.file_size > LARGEST_MEMBER or info.file_size > LARGEST_RATIO * max(info.compress_size, 4096):
        raise Refusal("too_large", f"{name} unpacks to {info.file_size} bytes, far more than reports need.")
    try:
        with archive.open(info) as stream:
            data = stream.read(info.file_size + 1)
        parser = ElementTree.XMLParser(target=_NoDoctype())
        parser.feed(data)
        root = parser.close()
    except (ElementTree.ParseError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise Refusal("not_an_office_file", f"{name} cannot be read ({error}); save the file anew.") from error
    except ValueError as error:  # zlib and expat report some damage so
        raise Refusal("not_an_office_file", f"{name} is damaged ({error}); save the file anew.") from error
    if not isinstance(root, ElementTree.Element):
        raise Refusal("not_an_office_file", f"{name} is empty; save the file anew.")
    return root


def _name(element: ElementTree.Element) -> str:
    """Local name: transitional and strict files differ in their namespaces only."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def _target(archive: zipfile.ZipFile, relation: str) -> str:
    for element in _xml(archive, "xl/_rels/workbook.xml.rels"):
        if element.get("Id") == relation:
            target = element.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise Refusal("not_an_office_file", "the workbook does not say where its first sheet is; save the file anew.")


def _plain(element: ElementTree.Element) -> str:
    """Text of a shared or inline string without its phonetic guide."""
    parts = []
    for child in element:
        if _name(child) == "t":
            parts.append(child.text or "")
        elif _name(child) == "r":
            parts.extend(t.text or "" for t in child if _name(t) == "t")
    # Characters that XML cannot hold are written _xHHHH_; a line end is the usual one.
    return re.sub(r"_x000D_\n?|\r\n?", "\n", "".join(parts))


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_plain(e) for e in _xml(archive, "xl/sharedStrings.xml") if _name(e) == "si"]


def _date_styles(archive: zipfile.ZipFile) -> frozenset[str]:
    """Indices of the cell styles that show a date."""
    if "xl/styles.xml" not in archive.namelist():
        return frozenset()
    root = _xml(archive, "xl/styles.xml")
    own = {
        int(e.get("numFmtId", "0"))
        for e in root.iter()
        if _name(e) == "numFmt" and re.search(r"[yd]", re.sub(r'"[^"]*"|\[[^\]]*\]|\\.', "", e.get("formatCode", "")))
    }
    formats = next((list(e) for e in root if _name(e) == "cellXfs"), list[ElementTree.Element]())
    return frozenset(str(i) for i, e in enumerate(formats) if int(e.get("numFmtId", "0")) in DATE_FORMATS | own)


def _column(reference: str | None, fallback: int) -> int:
    match = _CELL.fullmatch(reference or "")
    if match is None:
        return fallback
    column = 0
    for letter in match.group(1):
        column = 26 * column + ord(letter) - ord("A") + 1
    return min(column, _MOST_COLUMNS) - 1


def _value(cell: ElementTree.Element, strings: list[str], dates: frozenset[str], since_1904: bool) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return "".join(_plain(e) for e in cell if _name(e) == "is")
    text = next((e.text or "" for e in cell if _name(e) == "v"), "")
    if kind == "s":
        return strings[int(text)] if text.isdigit() and int(text) < len(strings) else ""
    if kind != "n" or not text:
        return "" if kind == "e" else text
    number = float(text)
    if cell.get("s") in dates and 0 < number < 2_958_466:  # 31 December 9999
        start = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)
        return (start + timedelta(days=number)).date().isoformat()
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else text


def _blocks(parent: ElementTree.Element) -> Iterator[str]:
    for element in parent:
        name = _name(element)
        if name == "p":
            yield _paragraph(element)
        elif name == "tbl":
            for row in (e for e in element if _name(e) == "tr"):
                yield " | ".join(" ".join(_blocks(cell)).strip() for cell in row if _name(cell) == "tc")
        elif name in ("sdt", "sdtContent", "customXml", "ins", "moveTo"):
            yield from _blocks(element)


def _paragraph(element: ElementTree.Element) -> str:
    """Text of a paragraph; of alternative contents (a text box) only the first, for the second repeats it."""
    parts = []
    for child in element:
        name = _name(child)
        if name == "t":
            parts.append(child.text or "")
        elif name in ("tab", "ptab"):
            parts.append("\t")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "noBreakHyphen":
            parts.append("-")
        elif name == "p":
            parts.append("\n" + _paragraph(child))
        elif name not in ("del", "moveFrom", "Fallback", "pPr", "rPr", "instrText"):
            parts.append(_paragraph(child))
    return "".join(parts)
