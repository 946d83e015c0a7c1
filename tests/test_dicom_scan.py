"""One file's header becomes plain facts in classic keywords, or a refusal with its reason."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from liverpair.core.errors import Refusal
from liverpair.dicom.records import InstanceRecord
from liverpair.dicom.scan import WANTED, scan
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.dicom_phantom import as_bytes, make_slice, numbered_pixels


def _scan(dataset: Dataset, **options: Any) -> tuple[InstanceRecord, ...]:
    return scan("where/it/lies", io.BytesIO(as_bytes(dataset, **options)))


def _slice(**attributes: Any) -> Dataset:
    return make_slice(numbered_pixels(0), (1.0, 2.0, 3.0), **attributes)


def test_every_wanted_keyword_is_in_the_data_dictionary_once() -> None:
    assert [word for word in WANTED if tag_for_keyword(word) is None] == []
    assert len(set(WANTED)) == len(WANTED)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_the_header_is_the_same_in_every_encoding(syntax: str) -> None:
    (plain,) = _scan(_slice(EchoTime=2.5))
    dataset = _slice(EchoTime=2.5)
    dataset["PixelData"].VR = "OW"
    (other,) = _scan(dataset, syntax=syntax)
    assert {**other.header, "TransferSyntaxUID": ""} == {**plain.header, "TransferSyntaxUID": ""}


def test_a_file_without_preamble_is_read() -> None:
    (record,) = _scan(_slice(), preamble=False)
    assert record.get("ImagePositionPatient") == [1.0, 2.0, 3.0]


def test_values_are_plain_and_their_shape_follows_the_dictionary() -> None:
    (record,) = _scan(_slice(ImageType=["ORIGINAL"], EchoTime=2.5, SeriesDescription="a\\b", Modality="MR"))
    assert record.get("ImageType") == ["ORIGINAL"]
    assert record.get("EchoTime") == 2.5
    assert record.get("SeriesDescription") == "a\\b"
    assert type(record.get("InstanceNumber")) is int
    assert type(record.get("RescaleSlope")) is float


def test_empty_and_nonsensical_attributes_are_absent() -> None:
    dataset = _slice(EchoTime="", ProtocolName="")
    content = as_bytes(dataset).replace(b"phantom ", b"phantom\0")
    (record,) = scan("x", io.BytesIO(content))
    assert "EchoTime" not in record.header
    assert "ProtocolName" not in record.header
    assert record.get("SeriesDescription") == "phantom"


def test_the_injected_dose_keeps_its_nested_codes() -> None:
    dose, nuclide = Dataset(), Dataset()
    nuclide.CodeValue, nuclide.CodeMeaning = "35337001", "68Ga"
    dose.RadionuclideTotalDose = 1.5e8
    dose.RadionuclideCodeSequence = [nuclide]
    (record,) = _scan(_slice(Modality="PT", RadiopharmaceuticalInformationSequence=[dose]))
    (item,) = record.get("RadiopharmaceuticalInformationSequence")
    assert item["RadionuclideTotalDose"] == 1.5e8
    assert item["RadionuclideCodeSequence"][0]["CodeValue"] == "35337001"


@pytest.mark.parametrize(
    ("group", "element", "creator", "vr", "value"),
    [
        (0x0019, 0x100C, "SIEMENS MR HEADER", "IS", "800"),
        (0x0019, 0x110C, "SIEMENS MR HEADER", "IS", "800"),
        (0x0043, 0x1039, "GEMS_PARM_01", "IS", ["1000000800", "8", "0", "0"]),
        (0x0043, 0x1039, "GEMS_PARM_01", "IS", ["800", "8", "0", "0"]),
        (0x2001, 0x1003, "Philips Imaging DD 001", "FL", 800.0),
        (0x0019, 0x100C, "SIEMENS MR HEADER", "UN", b"800 "),
        (0x2001, 0x1003, "Philips Imaging DD 001", "UN", struct.pack("<f", 800.0)),
        (0x0043, 0x1039, "", "UN", b"1000000800\\8\\0\\0 "),
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1"])
def test_a_private_b_value_is_normalised(
    group: int, element: int, creator: str, vr: str, value: Any, syntax: str
) -> None:
    dataset = _slice(Modality="MR", ScanningSequence="EP")
    if creator:
        dataset.add_new((group, element >> 8), "LO", creator)
    dataset.add_new((group, element), vr, value)
    (record,) = _scan(dataset, syntax=syntax)
    assert record.get("DiffusionBValue") == 800.0


def test_a_private_zero_counts_only_for_an_echo_planar_acquisition() -> None:
    for sequence, expected in (("EP", 0.0), ("GR", None)):
        dataset = _slice(Modality="MR", ScanningSequence=sequence)
        dataset.add_new((0x2001, 0x0010), "LO", "Philips Imaging DD 001")
        dataset.add_new((0x2001, 0x1003), "FL", 0.0)
        assert _scan(dataset)[0].get("DiffusionBValue") == expected


def test_the_standard_b_value_wins_over_a_private_one() -> None:
    dataset = _slice(Modality="MR", ScanningSequence="EP", DiffusionBValue=50.0)
    dataset.add_new((0x0019, 0x0010), "LO", "SIEMENS MR HEADER")
    dataset.add_new((0x0019, 0x100C), "IS", "800")
    assert _scan(dataset)[0].get("DiffusionBValue") == 50.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not_dicom"),
        (b"PK\x03\x04" + bytes(500), "not_dicom"),
        (b"plain text, long enough to be looked at as a header might be" * 9, "not_dicom"),
        (bytes(128) + b"DICM", "no_modality"),
    ],
)
def test_what_is_no_dicom_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        scan("x", io.BytesIO(content))
    assert refused.value.reason == reason


def _outcome(content: bytes) -> str:
    try:
        scan("x", io.BytesIO(content))
    except Refusal as refusal:
        return refusal.reason
    return ""


def test_a_stump_of_an_image_that_ends_between_two_elements_is_refused() -> None:
    """Cut after its Modality the file is a whole data set of a study that never was."""
    dataset = make_slice(np.zeros((4, 5), dtype=np.int16), (0, 0, 0))
    for keyword in [element.keyword for element in dataset if element.tag > 0x00080060]:
        del dataset[keyword]
    with pytest.raises(Refusal) as refused:
        scan("stump", io.BytesIO(as_bytes(dataset)))
    assert refused.value.reason == "truncated"


def test_a_file_cut_anywhere_is_refused_or_still_a_whole_header() -> None:
    dataset = _slice()
    dataset.SOPInstanceUID = "1.2.3.4"
    content = as_bytes(dataset)
    reasons = {_outcome(content[:end]) for end in range(140, len(content), 3)}
    assert reasons <= {"", "truncated", "no_modality", "unreadable_header"}
    for end in (len(content) - 1, len(content) - 20):
        with pytest.raises(Refusal, match="truncated"):
            scan("x", io.BytesIO(content[:end]))


def test_a_header_without_pixels_is_a_whole_object() -> None:
    dataset = _slice()
    del dataset.PixelData
    assert _scan(dataset)[0].get("Rows") == 4


def test_blanked_uids_are_derived_from_the_folder() -> None:
    blank = {"SOPInstanceUID": "", "SeriesInstanceUID": "", "StudyInstanceUID": ""}
    content = [as_bytes(_slice(number=n, **blank), preamble=False) for n in (1, 2)]
    first, second = (scan(f"a/{n}", io.BytesIO(data))[0] for n, data in enumerate(content))
    elsewhere = scan("b/1", io.BytesIO(content[1]))[0]
    assert first.get("SeriesInstanceUID") == second.get("SeriesInstanceUID")
    assert first.get("SeriesInstanceUID") != elsewhere.get("SeriesInstanceUID")
    assert len({first.get("SOPInstanceUID"), second.get("SOPInstanceUID")}) == 2


def _enhanced() -> Dataset:
    dataset = make_slice(numbered_pixels(0), (0, 0, 0), Modality="MR")
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = 2
    dataset.PixelData = np.stack([numbered_pixels(0), numbered_pixels(1)]).tobytes()
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [2.0, 1.5], 7.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(2):
        frame, position, content, echo, diffusion = (Dataset() for _ in range(5))
        position.ImagePositionPatient = [0, 0, 5.0 * k]
        content.FrameAcquisitionDateTime = "20260102030405.5+0100"
        content.TemporalPositionIndex = 1
        echo.EffectiveEchoTime = 60.0
        diffusion.DiffusionBValue = 800.0
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        frame.MREchoSequence, frame.MRDiffusionSequence = [echo], [diffusion]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def test_an_enhanced_object_gives_one_record_per_frame_in_classic_words() -> None:
    records = _scan(_enhanced())
    assert [r.frame for r in records] == [0, 1]
    assert [r.get("ImagePositionPatient")[2] for r in records] == [0.0, 5.0]
    for record in records:
        assert record.get("PixelSpacing") == [2.0, 1.5]
        assert record.get("EchoTime") == 60.0
        assert record.get("DiffusionBValue") == 800.0
        assert record.get("AcquisitionDate") == "20260102"
        assert record.get("AcquisitionTime") == "030405.5"
        assert record.get("TemporalPositionIdentifier") == 1


def test_enhanced_pet_says_corrections_and_units_like_classic_pet() -> None:
    dataset = _enhanced()
    dataset.Modality = "PT"
    dataset.DecayCorrected = dataset.AttenuationCorrected = "YES"
    dataset.ScatterCorrected = "NO"
    unit, mapping = Dataset(), Dataset()
    unit.CodeValue = "Bq/ml"
    mapping.MeasurementUnitsCodeSequence = [unit]
    dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [mapping]
    record = _scan(dataset)[0]
    assert record.get("CorrectedImage") == ["DECY", "ATTN"]
    assert record.get("Units") == "BQML"
