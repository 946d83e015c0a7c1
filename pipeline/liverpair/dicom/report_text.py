"""Read the text of a report that is stored as DICOM: a structured report (SR), or an encapsulated CDA or plain text.

A structured report is a tree (PS3.3 C.17.3); its nodes become lines "heading: text" in their order, so that sections
keep their headings. Names of persons, identifiers, references to images and coordinates are left out. An encapsulated
PDF is refused: its text may stand in pictures, and a wrong text is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from pydicom.dataset import Dataset

from liverpair.core.errors import Refusal
from liverpair.dicom.objects import read_object
from liverpair.dicom.sources import open_source

__all__ = ["DicomReport", "is_report", "read_report_text", "report_of"]

SR_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.88."
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
ENCAPSULATED_CDA: Final = "1.2.840.10008.5.1.4.1.1.104.2"
ENCAPSULATED: Final = "1.2.840.10008.5.1.4.1.1.104."
#: SR objects that hold no reader's report: procedure logs, findings of detection software (CAD), key object selection,
#: dose reports (PS3.4 B.5), implant plans.
NO_REPORTS: Final = frozenset(
    SR_CLASSES + end for end in ("40", "50", "59", "65", "67", "68", "69", "70", "71", "73", "74", "75", "76")
)
#: Imaging Measurement Report (PS3.16 TID 1500): numbers that software measured, ours too, are no reader's statement.
MEASUREMENT_REPORT: Final = ("126000", "DCM")
#: Trees in the wild are a dozen levels deep; a deeper one is a damaged or hostile file.
DEEPEST: Final = 64
#: The longest text that is read; a report is a few thousand characters.
LONGEST: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class DicomReport:
    """A report's text and what links it to its study. ``report_id``: its SOP Instance UID.

    ``flags``: PARTIAL or UNVERIFIED where the report says so (CompletionFlag, VerificationFlag).
    """

    report_id: str
    text: str
    study_uid: str
    patient_id: str
    accession_number: str
    study_date: str
    flags: tuple[str, ...] = ()


def is_report(sop_class_uid: str) -> bool:
    """Whether objects of this SOP class may hold a report's text (an encapsulated PDF does; it is refused later)."""
    uid = sop_class_uid.strip("\0 ")
    if uid in NO_REPORTS:
        return False
    return uid.startswith((SR_CLASSES, ENCAPSULATED)) and uid not in (ENCAPSULATED + "3", ENCAPSULATED + "4")


def read_report_text(locator: str) -> DicomReport:
    """The report in a file, or in a member of an archive (a locator of `sources`). Refusals as `report_of`."""
    with open_source(locator) as stream:
        return report_of(read_object(stream, pixels=False))


def report_of(dataset: Dataset) -> DicomReport:
    """The report in a dataset.

    Refusal: not_a_report (another SOP class), pdf_report, report_without_text, unknown_document, xml_with_dtd,
    broken_report (a tree without end, values or XML that cannot be parsed).
    """
    try:
        return _report(dataset)
    except Refusal:
        raise
    except Exception as error:  # pydicom raises whatever damaged bytes provoke, when a value is first asked for
        raise Refusal(
            "broken_report", f"the report cannot be read ({type(error).__name__}); export it again."
        ) from error


def _report(dataset: Dataset) -> DicomReport:
    sop_class = _text(dataset, "SOPClassUID")
    if not is_report(sop_class):
        raise Refusal("not_a_report", "the object is no structured report and no encapsulated document.")
    title = dataset.get("ConceptNameCodeSequence")
    if title and (_text(title[0], "CodeValue"), _text(title[0], "CodingSchemeDesignator")) == MEASUREMENT_REPORT:
        raise Refusal("not_a_report", "the object lists measurements (TID 1500); it is no reader's report.")
    encapsulated = sop_class.startswith(ENCAPSULATED)
    text = _encapsulated(dataset, sop_class) if encapsulated else "\n".join(_lines(dataset, 0))
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        raise Refusal("report_without_text", "the report holds no text (codes or images only); label it by hand.")
    return DicomReport(
        report_id=_text(dataset, "SOPInstanceUID"),
        text=text[:LONGEST],
        study_uid=_text(dataset, "StudyInstanceUID"),
        patient_id=_text(dataset, "PatientID"),
        accession_number=_text(dataset, "AccessionNumber"),
        study_date=_text(dataset, "StudyDate"),
        flags=() if encapsulated else _flags(dataset),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip("\0 ")


def _flags(dataset: Dataset) -> tuple[str, ...]:
    flags = (_text(dataset, "CompletionFlag"), _text(dataset, "VerificationFlag"))
    return tuple(flag for flag in flags if flag in ("PARTIAL", "UNVERIFIED"))


def _lines(node: Dataset, depth: int) -> Iterator[str]:
    """Lines of a content item and of all below it, in order (PS3.3 C.17.3.2)."""
    if depth > DEEPEST:
        raise Refusal("broken_report", f"the report's tree is deeper than {DEEPEST} levels; the file is damaged.")
    heading = _meaning(node, "ConceptNameCodeSequence")
    kind = _text(node, "ValueType")
    if kind == "CONTAINER" and depth and heading:
        yield ""
        yield f"{heading}:"
    value = _value(node, kind)
    if value:
        yield f"{heading}: {value}" if heading else value
    for child in node.get("ContentSequence") or ():
        # Observers, dates of observation and the like describe the report, not the patient's liver.
        if _text(child, "RelationshipType") not in ("HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD"):
            yield from _lines(child, depth + 1)


def _value(node: Dataset, kind: str) -> str:
    if kind == "TEXT":
        return _text(node, "TextValue")
    if kind == "CODE":
        return _meaning(node, "ConceptCodeSequence")
    if kind == "NUM":
        measured = node.get("MeasuredValueSequence")
        if not measured:
            return ""
        unit = _meaning(measured[0], "MeasurementUnitsCodeSequence", "CodeValue")
        return f"{_text(measured[0], 'NumericValue')} {unit}".strip()
    return ""


def _meaning(node: Dataset, sequence: str, keyword: str = "CodeMeaning") -> str:
    codes = node.get(sequence)
    return _text(codes[0], keyword) if codes else ""


def _encapsulated(dataset: Dataset, sop_class: str) -> str:
    mime = _text(dataset, "MIMETypeOfEncapsulatedDocument").lower()
    data = bytes(dataset.get("EncapsulatedDocument") or b"")
    if sop_class == ENCAPSULATED_PDF or mime == "application/pdf" or data.startswith(b"%PDF"):
        raise Refusal(
            "pdf_report",
            "the report is an encapsulated PDF, whose text is not read; export it as text, or put its text into a "
            "table of reports (CSV or XLSX).",
        )
    length = dataset.get("EncapsulatedDocumentLength")
    # Without a length, the padding byte of PS3.5 section 6.2 (OB has even length) is dropped.
    data = data[: int(length)] if length else data.removesuffix(b"\0")
    if sop_class == ENCAPSULATED_CDA or "xml" in mime or data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<?xml"):
        return _cda(data)
    if mime in ("text/plain", ""):
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return data.decode("cp1252", errors="replace")
    raise Refusal("unknown_document", f"the encapsulated document is of type {mime!r}, whose text is not read.")


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise Refusal("xml_with_dtd", "the encapsulated XML declares a DTD, which no clinical document does.")


def _cda(data: bytes) -> str:
    """Titles and narrative texts of a clinical document's body (HL7 CDA R2: component/section/title and text)."""
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        parser.feed(data)
        root = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise Refusal("broken_report", f"the encapsulated XML cannot be parsed ({error}).") from error
    lines: list[str] = []
    for section in (e for e in root.iter() if _local(e) == "section"):
        for part in section:
            if _local(part) == "title":
                lines += ["", " ".join("".join(part.itertext()).split()).rstrip(":") + ":"]
            elif _local(part) == "text":
                lines += [line for line in (" ".join(x.split()) for x in "".join(_narrative(part)).split("\n")) if line]
    return "\n".join(lines)


#: Elements of the narrative block after which a line ends (HL7 CDA R2 section 4.3.5).
_ENDS_LINE: Final = frozenset({"paragraph", "br", "item", "tr", "caption", "list", "table"})


def _narrative(element: ElementTree.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        yield from _narrative(child)
        name = _local(child)
        yield "\n" if name in _ENDS_LINE else " | " if name in ("td", "th") else ""
        yield child.tail or ""


def _local(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""
