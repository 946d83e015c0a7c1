"""Reports stored as DICOM: trees become lines under their headings; PDF, bombs and damage are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from liverpair.core.errors import Refusal
from liverpair.dicom.report_text import is_report, read_report_text, report_of
from liverpair.evaluate.labels import label_report
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"


def code(meaning: str, value: str = "1") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99TEST", meaning
    return Sequence([item])


def node(
    kind: str, heading: str, relation: str = "CONTAINS", children: tuple[Dataset, ...] = (), **more: object
) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = relation, kind, code(heading)
    for keyword, value in more.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = Sequence(children)
    return item


def measured(value: str, unit: str) -> Sequence:
    item = Dataset()
    item.NumericValue, item.MeasurementUnitsCodeSequence = value, code("millimetre", unit)
    return Sequence([item])


def structured(*children: Dataset) -> Dataset:
    root = node("CONTAINER", "Imaging Report", children=children)
    root.SOPClassUID, root.SOPInstanceUID, root.StudyInstanceUID = ENHANCED_SR, "1.2.3", "1.2"
    root.PatientID, root.AccessionNumber, root.StudyDate = "P1", "A1", "20190312"
    root.CompletionFlag, root.VerificationFlag = "COMPLETE", "UNVERIFIED"
    return root


REPORT = structured(
    node("PNAME", "Person Observer Name", "HAS OBS CONTEXT", PersonName="Secret^Doctor"),
    node("CONTAINER", "Reason for Study", children=(node("TEXT", "Reason", TextValue="Lebermetastasen?"),)),
    node(
        "CONTAINER",
        "Befund",
        children=(
            node("TEXT", "Befund", TextValue="Leber: Metastase in Segment VII, 12 mm."),
            node("NUM", "Durchmesser", MeasuredValueSequence=measured("12", "mm")),
        ),
    ),
)


def test_a_tree_becomes_lines_under_their_headings() -> None:
    found = report_of(REPORT)
    assert found.text == (
        "Reason for Study:\nReason: Lebermetastasen?\n\nBefund:\n"
        "Befund: Leber: Metastase in Segment VII, 12 mm.\nDurchmesser: 12 mm"
    )
    assert (found.report_id, found.study_uid, found.accession_number) == ("1.2.3", "1.2", "A1")
    assert found.flags == ("UNVERIFIED",)


def test_no_observer_stands_in_the_text() -> None:
    assert "Secret" not in report_of(REPORT).text


def test_the_text_of_a_tree_can_be_labelled() -> None:
    label = label_report(report_of(REPORT).text, "MR")
    assert (label.status, label.largest_mm) == ("present", 12.0)


def test_a_file_is_read_as_its_dataset(tmp_path: Path) -> None:
    dataset = structured(node("TEXT", "Finding", TextValue="No hepatic metastases."))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        ENHANCED_SR,
        generate_uid(),
    )
    dataset.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    assert read_report_text(str(tmp_path / "sr.dcm")).text == "Finding: No hepatic metastases."


def encapsulated(sop_class: str, mime: str, data: bytes) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.MIMETypeOfEncapsulatedDocument = sop_class, "1.9", mime
    dataset.EncapsulatedDocument = data
    return dataset


def test_an_encapsulated_pdf_is_refused_with_what_to_do() -> None:
    with pytest.raises(Refusal, match="export it as text") as caught:
        report_of(encapsulated(PDF, "application/pdf", b"%PDF-1.7 .."))
    assert caught.value.reason == "pdf_report"


def test_a_clinical_document_gives_its_sections() -> None:
    xml = (
        b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget>Secret</recordTarget><component>'
        b"<structuredBody><component><section><title>Findings</title><text><paragraph>Two liver\n metastases, 9 mm."
        b"</paragraph><table><tr><td>S7</td><td>9 mm</td></tr></table></text></section></component></structuredBody>"
        b"</component></ClinicalDocument>"
    )
    found = report_of(encapsulated(CDA, "text/XML", xml))
    assert found.text.startswith("Findings:\nTwo liver\n")
    assert "Secret" not in found.text
    assert label_report(found.text).status == "present"


def test_encapsulated_plain_text_is_read_without_its_padding() -> None:
    data = b"Keine Metastasen der Leber.\0"
    assert report_of(encapsulated(CDA[:-1] + "9", "text/plain", data)).text == "Keine Metastasen der Leber."


def test_an_entity_bomb_is_refused() -> None:
    entities = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]>'
    bomb = b'<?xml version="1.0"?>' + entities + b"<a><section><text>&y;</text></section></a>"
    with pytest.raises(Refusal) as caught:
        report_of(encapsulated(CDA, "text/xml", bomb))
    assert caught.value.reason == "xml_with_dtd"


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (structured(), "report_without_text"),
        (encapsulated(CDA, "text/xml", b"<open>"), "broken_report"),
        (encapsulated(CDA[:-1] + "9", "image/tiff", b"II*\0"), "unknown_document"),
        (encapsulated("1.2.840.10008.5.1.4.1.1.4", "", b""), "not_a_report"),
    ],
)
def test_what_holds_no_report_is_refused_with_its_reason(dataset: Dataset, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        report_of(dataset)
    assert caught.value.reason == reason


def test_a_tree_without_end_is_refused() -> None:
    chain = node("TEXT", "Finding", TextValue="deep")
    for _ in range(100):
        chain = node("CONTAINER", "Level", children=(chain,))
    with pytest.raises(Refusal) as caught:
        report_of(structured(chain))
    assert caught.value.reason == "broken_report"


@pytest.mark.parametrize(
    ("uid", "expected"),
    [(ENHANCED_SR, True), (PDF, True), (CDA, True), ("1.2.840.10008.5.1.4.1.1.88.67", False), ("", False)],
)
def test_dose_reports_and_images_are_no_reports(uid: str, expected: bool) -> None:
    assert is_report(uid) is expected
