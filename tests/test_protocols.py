"""Imaging parameters, disease, other findings and processing as a paper's tables need them."""

from __future__ import annotations

import copy
import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from liverpair.core.study import StudyPair
from liverpair.dicom.records import InstanceRecord, SeriesRecord
from liverpair.evaluate.report.cohort_tables import in_order, unknown
from liverpair.evaluate.report.stard import stard
from liverpair.evaluate.report.wording import counted, interval_mm, size_range, words
from liverpair.flow.disease import disease_rows, other_findings, processing_rows, uptake_rows
from liverpair.flow.protocols import (
    Protocols,
    manufacturer_name,
    note_protocols,
    protocol_rows,
    read_protocols,
    write_protocols,
)
from liverpair.flow.workspace import Workspace

PAIR = StudyPair(
    pair_id="P1", patient_id="S1", pet_study_uid="1", ct_series_uid="1.1", pet_series_uid="1.2", mr_study_uid="2",
    mr_hbp_series_uid="2.1", mr_t2_series_uid="", mr_dwi_series_uid="2.3", pet_date=date(2019, 3, 12),
    mr_date=date(2019, 4, 1), tracer="68Ga-DOTATOC", status="", reason="",
)  # fmt: skip


def _series(uid: str, *headers: dict[str, Any]) -> SeriesRecord:
    frames = tuple(InstanceRecord(str(n), None, header) for n, header in enumerate(headers))
    return SeriesRecord(uid, uid[0], "S1", frames)


OSEM = {"ReconstructionMethod": "OSEM"}
SERIES = [
    _series(
        "1.1", {"Modality": "CT", "SliceThickness": 3.0, "KVP": 120.0, "EchoTime": 5.0, "PixelSpacing": [0.9765, 1]}
    ),
    _series("1.2", {"Modality": "PT", "SliceThickness": 2.027, "ActualFrameDuration": 180000, **OSEM}),
    _series("2.1", {"Modality": "MR", "RepetitionTime": 3.8, "ContrastBolusAgent": "Primovist"}),
    _series("2.3", *({"Modality": "MR", "DiffusionBValue": b, "EchoTime": "x"} for b in (800.0, 50.0, 800.0, 99999.0))),
    _series("3.1", {"Modality": "SR"}),
]


def test_every_image_of_a_pair_has_its_row_of_what_its_headers_state(tmp_path: Path) -> None:
    found: Protocols = {}
    assert len(list(note_protocols([SERIES], found))) == 1
    assert set(found) == {"1.1", "1.2", "2.1", "2.3"}
    workspace = Workspace.create(tmp_path / "ws")
    assert read_protocols(workspace) == []
    write_protocols(workspace, [PAIR], found)
    rows = {row["image"]: {k: v for k, v in row.items() if v} for row in read_protocols(workspace)}
    assert rows == {
        "ct": {"pair_id": "P1", "image": "ct", "slice_mm": "3", "pixel_mm": "0.977", "kv": "120"},
        "pet": {"pair_id": "P1", "image": "pet", "slice_mm": "2.03", "frame_s": "180", "reconstruction": "OSEM"},
        "mr_hbp": {"pair_id": "P1", "image": "mr_hbp", "tr_ms": "3.8", "contrast": "gadoxetate"},
        "mr_dwi": {"pair_id": "P1", "image": "mr_dwi", "b_values": "50 800"},
    }


def test_one_value_stands_alone_several_have_their_pairs_many_their_median_and_silence_is_said() -> None:
    rows = [{"image": "pet", "slice_mm": s, "frame_s": f} for s, f in zip("33355", "12345", strict=True)]
    rows += [{"image": "pet", "slice_mm": "", "frame_s": "6"}]
    said = {r["parameter"]: r["value"] for r in protocol_rows(rows)}
    assert said == {
        "Slice thickness, mm": "3 (3), 5 (2); not stated: 1",
        "Time per bed position, s": "median 3.5 (range 1 to 6)",
    }
    assert next(r["value"] for r in protocol_rows(rows[:3])) == "3"
    assert {(r["image"], r["pairs"]) for r in protocol_rows(rows)} == {("PET", 6)}


@pytest.mark.parametrize(
    ("written", "substance"),
    [
        ("Eovist 10 ml", "gadoxetate"), ("MULTIHANCE", "gadobenate"), ("Gadoteridol", "gadoteridol"),
        ("Gadoterate meglumine", "gadoterate"), ("Imeron 350 ", "iomeprol"), ("NONE", ""), ("nein", ""), (None, ""),
        ("fuer Frau Muster", "an agent without a known name"), (["Primovist", "Buscopan"], "gadoxetate"),
    ],
)  # fmt: skip
def test_an_agent_is_told_by_its_substance_and_typed_words_go_nowhere(written: object, substance: str) -> None:
    found: Protocols = {}
    list(note_protocols([[_series("2.1", {"Modality": "MR", "ContrastBolusAgent": written})]], found))
    assert found["2.1"]["contrast"] == substance


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("SIEMENS", "Siemens"), ("Siemens Healthineers", "Siemens"), ("SIEMENS NM", "Siemens"), ("CPS", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"), ("GE", "GE"), ("GEMS", "GEMS"), ("General Electric", "GE"),
        ("Philips Medical Systems", "Philips"), ("Philips", "Philips"), ("TOSHIBA_MEC", "Canon/Toshiba"),
        ("CANON_MEC", "Canon/Toshiba"), ("UIH", "United Imaging"), ("  Some  Maker ", "Some Maker"), ("", ""),
    ],
)  # fmt: skip
def test_one_maker_is_one_subgroup_whatever_way_the_header_spells_him(written: str, name: str) -> None:
    assert manufacturer_name(written) == name


def _record(pair: str, lesions: dict[str, tuple[str, bool, float]], **more: Any) -> dict[str, Any]:
    facts = {x: {"nature": n, "countable": c, "diameter_mm": d} for x, (n, c, d) in lesions.items()}
    return {
        "pair_id": pair,
        "lesion_facts": facts,
        "lesions": [{"lesion_id": x, "suv_max": 9.0, "tlr": 3.0} for x in facts],
        "location": {x: {"lobe": "left" if x == "M2" else "right"} for x in facts},
        "burden": {"mr": {"burden_ml": 4.0, "burden_fraction": 0.01}},
        "registration": "usable",
        "reference": {"mean": 6.0, "sd": 0.6},
        "scanner": {"fwhm_mm": 6.5},
        "quality": {
            "registration": {"uncertainty_median_mm": 2.0, "liver_dice": 0.95},
            "liver_ct": {"refined_volume_ml": 1500.0},
            "liver_mr": {},
            "pet_ct_motion": {"shift_mm": [0.0, 3.0, 4.0]},
        },
    } | more


RECORDS = [
    _record("a", {"M1": ("metastasis", True, 12.0), "M2": ("metastasis", True, 8.0), "M3": ("cyst", False, 20.0)}),
    _record("b", {"M1": ("metastasis", True, 30.0), "P1": ("metastasis", True, 28.0)}, registration="failed"),
    _record("c", {"M1": ("cyst", False, 9.0), "M4": ("metastasis", False, 3.0)}, reference=None),
]


def test_disease_counts_what_makes_an_mri_positive_and_nothing_else() -> None:
    said = dict(disease_rows(RECORDS))
    assert said["Pairs with metastases on the MRI's images"] == "2"
    assert said["Metastases a pair"].endswith("1: 1, 2–5: 1, 6–10: 0, > 10: 0")
    assert said["Longest diameter of every metastasis, mm"].startswith("median 12.0")
    assert said["Lobes with metastases (pairs)"] == "right only: 1, both: 1"
    assert disease_rows(RECORDS[2:]) == []


def test_other_findings_are_told_by_what_the_mri_says_of_their_pairs() -> None:
    calls = {"a": {"reference": "present"}, "b": {"reference": "present"}, "c": {"reference": "absent"}}
    assert other_findings(RECORDS, calls) == [
        {"finding": "cyst", "number": 2, "pairs_mri_negative": 1, "pairs_mri_positive": 1}
    ]


def test_uptake_is_that_of_the_tracer_and_of_foci_that_count() -> None:
    rows = uptake_rows(RECORDS, {"a": "68Ga-DOTATOC", "b": "64Cu-DOTATATE", "c": "68Ga-DOTATOC"})
    assert [(r["tracer"], r["pairs"], r["foci"], r["suv_max"]) for r in rows] == [
        ("64Cu-DOTATATE", 1, 1, "9.0 (9.0–9.0)"),
        ("68Ga-DOTATOC", 1, 0, "–"),
    ]


def test_processing_tells_failures_and_measures_only_what_is_usable() -> None:
    said = dict(processing_rows(RECORDS))
    assert said["Registration of MRI to PET/CT (pairs)"] == "usable: 2, doubtful: 0, failed: 1"
    assert said["Overlap of the two livers after it (Dice)"].startswith("median 0.950")
    assert said["Motion of the liver between PET and CT, mm"].startswith("median 5.0")
    assert "Liver on MRI, mL" not in said
    found = copy.deepcopy(RECORDS)
    found[0]["quality"]["liver_mr"]["volume_ml"] = 1600.0
    assert dict(processing_rows(found))["Liver on MRI, mL"].endswith("range 1600 to 1600); not found: 2")
    assert processing_rows([]) == []


def test_bins_and_wide_intervals_are_in_words() -> None:
    assert [size_range(x) for x in ("[0, 6) mm", "[6, 10) mm", "[20, ∞) mm", "≥ 20 mm", "68Ga")] == [
        "< 6 mm", "6 to < 10 mm", "≥ 20 mm", "≥ 20 mm", "68Ga",
    ]  # fmt: skip
    assert interval_mm((11.2, 2692.8)) == "11.2 to more than 300"
    assert interval_mm((3.7, 54.5)) == "3.7–54.5"
    assert counted({"M": 2, "F": 4}) == "F 4 (67 %), M 2 (33 %)"
    assert counted({"F": 4}) == "F 4"


def test_a_focus_flags_are_words() -> None:
    assert words("spill_in:right_kidney;pet_absent") == "possible spill-in from right kidney, not on PET"
    assert words(["psf_fit", "touching"]) == "size from a fit with the image's blur, touching"
    assert words("spill_in") == "spill in"


def test_participants_begin_with_their_number_and_say_what_is_not_known() -> None:
    rows = in_order([("Sex", "F 4")], [("Patients with a pair", "6"), ("Pairs", "7"), ("Tracer (pairs)", "x 7")])
    assert [name for name, _ in rows] == ["Patients with a pair", "Pairs", "Sex", "Tracer (pairs)"]
    assert unknown([("Sex", ""), ("Age, years", "")]) == ["grade", "Ki-67", "primary tumour", "therapies"]


def test_a_stard_item_is_answered_by_the_first_section_that_is_there() -> None:
    found = {item: anchor for item, _, anchor, _ in stard({"lesions": "Lesion size", "participants": "Participants"})}
    assert (found["21a"], found["21b"], found["20"]) == ("lesions", "", "participants")
    assert {i: a for i, _, a, _ in stard({"disease": "Disease", "lesions": "Lesion size"})}["21a"] == "disease"


def test_pairs_without_a_series_have_no_row_for_it(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    found: Protocols = {}
    list(note_protocols([SERIES], found))
    write_protocols(workspace, [dataclasses.replace(PAIR, mr_dwi_series_uid="")], found)
    assert {row["image"] for row in read_protocols(workspace)} == {"ct", "pet", "mr_hbp"}
