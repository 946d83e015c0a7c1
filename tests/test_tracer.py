"""Tracer names from header facts: codes, nuclide and half-life, free text in three languages with typing errors."""

from __future__ import annotations

import pytest
from liverpair.dicom.ligands import SSR_LIGANDS
from liverpair.dicom.nuclides import identify_nuclide
from liverpair.dicom.tracer import TracerDecision, TracerSettings, identify_tracer

from tests.tracer_headers import BLIND, SECOND_BLIND, HeaderCase
from tests.vendor_headers import pet, radiopharmaceutical

GA68 = ("C-131A3", "SRT", "^68^Gallium")
CU64 = ("3932008", "SCT", "^64^Copper")
F18 = ("C-111A1", "SRT", "^18^Fluorine")
LU177 = ("C-101ED", "99SDM", "177 Lutetium")


def decide(text=None, nuclide=GA68, half_life=4057.74, code=None, **header) -> TracerDecision:
    return identify_tracer(pet("1", tracer=radiopharmaceutical(text, half_life, nuclide, code), **header))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DOTATATE", "68Ga-DOTATATE"),
        ("68Ga-DOTA-TATE", "68Ga-DOTATATE"),
        ("Ga-68 Dotatate", "68Ga-DOTATATE"),
        ("[68Ga]Ga-DOTA-TATE", "68Ga-DOTATATE"),
        ("68Ga-HA-DOTATATE", "68Ga-DOTATATE"),
        ("Gallium (68Ga) oxodotreotide", "68Ga-DOTATATE"),
        ("NETSPOT", "68Ga-DOTATATE"),
        ("dotatat", "68Ga-DOTATATE"),
        ("DOTATAE", "68Ga-DOTATATE"),
        ("DOTTATATE", "68Ga-DOTATATE"),
        ("Ga68 Edotreotide", "68Ga-DOTATOC"),
        ("Edotreotid (68Ga)", "68Ga-DOTATOC"),
        ("édotréotide", "68Ga-DOTATOC"),
        ("SomaKit TOC", "68Ga-DOTATOC"),
        ("DOTA-TOC", "68Ga-DOTATOC"),
        ("68Ga DOTATOC Lösung", "68Ga-DOTATOC"),
        ("Dotatoc-Ga68", "68Ga-DOTATOC"),
        ("Dotatatoc", "68Ga-DOTATOC"),
        ("DOTA-Phe1-Tyr3-octreotide", "68Ga-DOTATOC"),
        ("DOTANOC", "68Ga-DOTANOC"),
        ("68Ga-DOTA-NOC", "68Ga-DOTANOC"),
        ("DOTA-1-NaI3-octreotide", "68Ga-DOTANOC"),
    ],
)
def test_spellings_of_somatostatin_ligands_with_gallium(text: str, name: str) -> None:
    found = decide(text)
    assert found.name == name
    assert found.is_ssr


@pytest.mark.parametrize(
    ("text", "nuclide", "half_life", "name"),
    [
        ("Detectnet", CU64, 45721.0, "64Cu-DOTATATE"),
        ("64Cu-DOTATATE", CU64, 45720.0, "64Cu-DOTATATE"),
        ("Cu64 SARTATE", CU64, 45721.0, "64Cu-SARTATE"),
        ("18F-SiTATE", F18, 6586.2, "18F-SiTATE"),
        ("SiFAlin-TATE", F18, 6588.0, "18F-SiTATE"),
        ("[18F]SiFAlin-TATE", None, 6588.0, "18F-SiTATE"),
        ("177Lu-DOTATATE", LU177, 574300.0, "177Lu-DOTATATE"),
        ("Lutathera", LU177, 574300.0, "177Lu-DOTATATE"),
        ("AlF-NOTA-octreotide", F18, 6586.2, "18F-NOTA-octreotide"),
    ],
)
def test_somatostatin_ligands_of_other_nuclides(text, nuclide, half_life, name) -> None:
    found = decide(text, nuclide, half_life)
    assert found.name == name
    assert found.is_ssr


@pytest.mark.parametrize(
    ("text", "nuclide", "half_life", "name"),
    [
        ("FDG", F18, 6586.2, "18F-FDG"),
        ("FDG -- fluorodeoxyglucose", F18, 6588.0, "18F-FDG"),
        ("F-18 Fluordesoxyglukose", F18, 6588.0, "18F-FDG"),
        ("fluorodésoxyglucose (18F)", F18, 6588.0, "18F-FDG"),
        ("Ga68-PSMA", ("C-131A1", "SRT", "^68^Gallium"), 4057.7, "68Ga-PSMA"),
        ("PSMA-11", GA68, 4057.74, "68Ga-PSMA"),
        ("18F-PSMA-1007", F18, 6586.2, "18F-PSMA"),
        ("DCFPyL", F18, 6586.2, "18F-PSMA"),
        ("PSMA-617", LU177, 574300.0, "177Lu-PSMA"),
        ("18F-Cholin", F18, 6586.2, "18F-choline"),
        ("Sodium fluoride", F18, 6586.2, "18F-NaF"),
        ("NaF", F18, 6586.2, "18F-NaF"),
        ("68Ga-FAPI-46", GA68, 4057.74, "68Ga-FAPI"),
        ("F-18 FET", F18, 6586.2, "18F-FET"),
        ("18F-FDOPA", F18, 6586.2, "18F-DOPA"),
        ("Fluorodopa", F18, 6586.2, "18F-DOPA"),
        ("68Ga-Pentixafor", GA68, 4057.74, "68Ga-pentixafor"),
        ("68Ga-NODAGA-Exendin-4", GA68, 4057.74, "68Ga-exendin"),
    ],
)
def test_other_tracers_are_named_and_are_not_somatostatin_receptor_ligands(text, nuclide, half_life, name) -> None:
    found = decide(text, nuclide, half_life)
    assert found.name == name
    assert not found.is_ssr


@pytest.mark.parametrize(
    ("code", "nuclide", "half_life", "name"),
    [
        (("724025002", "SCT", "Dotatate Ga^68^"), GA68, 4057.74, "68Ga-DOTATATE"),
        (("C2713594", "UMLS", "Edotreotide Ga^68^"), ("35337001", "SCT", "^68^Gallium"), 4057.74, "68Ga-DOTATOC"),
        (("35321007", "SCT", "Fluorodeoxyglucose F^18^"), F18, 6586.2, "18F-FDG"),
        (("C-B1031", "SRT", "Fluorodeoxyglucose F^18^"), F18, 6586.2, "18F-FDG"),
        (("C118961", "NCIt", "PSMA-11 Ga^68^"), GA68, 4057.74, "68Ga-PSMA"),
    ],
)
def test_the_radiopharmaceutical_code_names_the_tracer_without_any_text(code, nuclide, half_life, name) -> None:
    assert decide("Solution", nuclide, half_life, code).name == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"SeriesDescription": "PET WB DOTATATE AC"}, "68Ga-DOTATATE"),
        ({"ProtocolName": "Ga68_DOTATOC_GK"}, "68Ga-DOTATOC"),
        ({"StudyDescription": "PET/CT Ganzkörper Ga-68 DOTANOC"}, "68Ga-DOTANOC"),
        ({"StudyDescription": "TEP récepteurs de la somatostatine"}, "68Ga-SSR"),
        ({"StudyDescription": "PET/CT SSTR"}, "68Ga-SSR"),
        ({"StudyDescription": "PET/CT Somatostatinrezeptoren"}, "68Ga-SSR"),
        ({"ProtocolName": "DOTA_PETCT"}, "68Ga-SSR"),
        ({"StudyDescription": "PET NET Staging"}, "68Ga-SSR"),
        ({"StudyDescription": "PET neuroendokriner Tumor"}, "68Ga-SSR"),
    ],
)
def test_descriptions_decide_where_the_radiopharmaceutical_is_silent(header, name) -> None:
    assert decide(None, **header).name == name


def test_gallium_alone_is_unknown_because_psma_and_fapi_carry_it_too() -> None:
    found = decide(None, StudyDescription="PET/CT Ganzkörper")
    assert found.name == "unknown"
    assert not found.is_ssr


def test_fluorine_with_a_neuroendocrine_indication_is_unknown_because_fdg_and_dopa_are_given_for_it() -> None:
    assert decide(None, F18, 6586.2, StudyDescription="PET/CT NET Staging").name == "unknown"


def test_fluorine_with_a_receptor_named_is_a_receptor_tracer() -> None:
    found = decide(None, F18, 6586.2, StudyDescription="PET/CT SSTR")
    assert found.name == "18F-SSR"
    assert found.is_ssr


def test_a_left_over_fdg_text_on_a_gallium_scan_does_not_hide_the_protocol() -> None:
    assert decide("FDG", StudyDescription="PET DOTATATE").name == "68Ga-DOTATATE"


def test_a_left_over_fdg_text_on_a_gallium_scan_alone_is_unknown() -> None:
    assert decide("FDG").name == "unknown"


def test_fdg_against_a_receptor_protocol_with_fluorine_is_contradictory_and_unknown() -> None:
    found = decide("FDG", F18, 6586.2, StudyDescription="PET/CT 18F-SiTATE")
    assert found.name == "unknown"
    assert "ligand_contradictory" in found.flags


def test_a_study_of_two_tracers_goes_by_the_radiopharmaceutical_of_each_series() -> None:
    both = {"StudyDescription": "PET/CT FDG und DOTATATE"}
    assert decide("FDG", F18, 6586.2, **both).name == "18F-FDG"
    assert decide("DOTATATE", **both).name == "68Ga-DOTATATE"


def test_a_gallium_text_with_the_half_life_of_fluorine_keeps_the_tracer_and_flags_the_contradiction() -> None:
    found = decide("68Ga-DOTATATE", F18, 6586.2)
    assert found.name == "68Ga-DOTATATE"
    assert found.is_ssr
    assert "nuclide_contradictory" in found.flags


def test_lutetium_without_a_ligand_is_taken_for_ssr_by_setting_and_flagged() -> None:
    found = decide(None, LU177, 574300.0, RequestedProcedureDescription="NM TUMOR LOC MIBG WB MULTI")
    assert found.is_ssr
    assert {"therapeutic", "ligand_assumed"} <= set(found.flags)
    assert "MIBG" not in found.name
    strict = TracerSettings(ssr_nuclides_without_ligand=())
    header = pet("1", tracer=radiopharmaceutical(None, 574300.0, LU177))
    assert identify_tracer(header, strict).name == "unknown"


def test_a_header_without_any_radiopharmaceutical_is_unknown() -> None:
    assert identify_tracer(pet("1", tracer=[])).name == "unknown"


@pytest.mark.parametrize(
    "text", ["Total body", "PET nativ", "Ganzkörper mit KM", "Solution", "Bolus", "Other", "toc", "Unknown", "notable"]
)
def test_ordinary_words_never_name_fdg_or_psma(text: str) -> None:
    assert decide(text).ligand not in ("FDG", "PSMA", "FAPI", "NaF")


@pytest.mark.parametrize(
    "text", ["Solution", "Other", "Unknown", "Ganzkoerper", "notable", "Stockholm protocol", "potato"]
)
def test_ordinary_words_never_make_a_receptor_tracer(text: str) -> None:
    assert decide(text).name == "unknown"


def test_the_gallium_66_code_used_by_mistake_is_overruled_by_half_life_or_meaning() -> None:
    assert identify_nuclide([("C-131A1", "SRT", "^68^Gallium")], None).name == "68Ga"
    assert identify_nuclide([("C-131A1", "SRT", "")], 4057.7).name == "68Ga"
    assert identify_nuclide([("C-131A1", "SRT", "Gallium")], 34164.0).name == "66Ga"
    assert identify_nuclide([("C-131A1", "SRT", "")], None).name == ""


@pytest.mark.parametrize(
    ("meaning", "name"),
    [
        ("^18^Fluorine", "18F"),
        ("F^18^", "18F"),
        ("Fluor-18", "18F"),
        ("Cu-64", "64Cu"),
        ("68 Ga", "68Ga"),
        ("Lu177", "177Lu"),
        ("Gallium 68", "68Ga"),
        ("⁶⁸Ga", "68Ga"),
        ("cuivre 64", "64Cu"),
    ],
)
def test_nuclides_are_read_from_code_meanings(meaning: str, name: str) -> None:
    assert identify_nuclide([("99", "99LOCAL", meaning)], None).name == name


@pytest.mark.parametrize("case", [*BLIND, *SECOND_BLIND], ids=lambda case: case.expected)
def test_headers_as_hospitals_write_them_name_the_tracer_a_reader_would_name(case: HeaderCase) -> None:
    found = identify_tracer(pet("1", tracer=[dict(item) for item in case.items], **case.header))
    if case.expected == "not-ssr":
        assert not found.is_ssr
        return
    assert found.name == case.expected
    assert found.is_ssr == (case.expected.partition("-")[2] in SSR_LIGANDS)
    assert found.reason


@pytest.mark.parametrize("spelling", ["C-B1031", "CB1031", " c-b1031 ", "35321007"])
def test_code_values_are_compared_without_padding_case_and_punctuation(spelling: str) -> None:
    assert decide("", F18, 6586.2, (spelling, "99LOCAL", "")).name == "18F-FDG"


def test_code_and_text_of_different_families_contradict_each_other() -> None:
    found = decide("PSMA-11", code=("724025002", "SCT", "Dotatate Ga^68^"))
    assert found.name == "unknown"
    assert "ligand_contradictory" in found.flags


def test_descriptions_of_different_families_contradict_each_other_where_the_radiopharmaceutical_is_silent() -> None:
    found = decide(None, SeriesDescription="PET DOTATATE", StudyDescription="PET/CT PSMA")
    assert not found.is_ssr
    assert "ligand_contradictory" in found.flags


def test_two_injections_are_told_apart_by_the_series_and_flagged() -> None:
    items = radiopharmaceutical("FDG", 6586.2, F18) + radiopharmaceutical("DOTATATE")
    found = identify_tracer(pet("1", tracer=items, SeriesDescription="WB DOTATATE AC"))
    assert found.name == "68Ga-DOTATATE"
    assert "several_radiopharmaceuticals" in found.flags
    assert identify_tracer(pet("1", tracer=items)).name == "unknown"


@pytest.mark.parametrize("junk", [None, [], "", [None], ["x"], [{}], [{"RadionuclideCodeSequence": "x"}], [{"x": 1}]])
def test_any_content_of_the_sequence_gives_a_decision(junk) -> None:
    assert identify_tracer(pet("1", RadiopharmaceuticalInformationSequence=junk)).name == "unknown"
