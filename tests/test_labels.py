"""Report labels against a corpus written for the project, and the properties that hold for any text."""

from __future__ import annotations

import functools
import re
import textwrap
import time
import tomllib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.evaluate.labels import STATUSES, label_report
from liverpair.evaluate.labels.rules import LANGUAGES, load_rules

CORPUS = Path(__file__).parent / "data" / "labels"


def corpus(split: str, language: str) -> list[dict[str, Any]]:
    """All batches of a split; tests/data/labels/README.md tells how each was written and first scored."""
    paths = sorted(CORPUS.glob(f"{split}*_{language}.toml"))
    return [report for path in paths for report in tomllib.loads(path.read_text(encoding="utf-8"))["report"]]


def _wrapped(text: str) -> str:
    """Broken at 80 characters, as mail programs and old systems do."""
    return "\n".join(
        textwrap.fill(line, 80, break_on_hyphens=False) if line.strip() else "" for line in text.splitlines()
    )


def _glued(text: str) -> str:
    return re.sub(r"(\d) (mm|cm)\b", r"\1\2", text)


#: The same report is asked about several times here; labelling is deterministic.
cached_label = functools.cache(label_report)


def accuracy(reports: list[dict[str, Any]], field: str) -> float:
    if field == "count":
        reports = [report for report in reports if report.get("count_judged", True)]
    found = [getattr(cached_label(r["text"], r.get("modality")), field) == r.get(field) for r in reports]
    return sum(found) / len(found)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("field", ["status", "largest_mm", "count"])
def test_development_reports_are_labelled_right(language: str, field: str) -> None:
    assert accuracy(corpus("dev", language), field) >= (0.95 if field == "count" else 0.97)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.97), ("largest_mm", 0.97), ("count", 0.90)])
def test_reports_that_were_held_out_stay_labelled_right(language: str, field: str, least: float) -> None:
    # Scored before they were opened (README.md there), mended since: today this guards what was reached.
    assert accuracy(corpus("heldout", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.97), ("largest_mm", 0.97)])
def test_reports_that_were_sealed_and_then_opened_stay_right(language: str, field: str, least: float) -> None:
    # "sealed2" until they were read and mended on (README.md): this guards what was reached.
    assert accuracy(corpus("dev11", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.95), ("largest_mm", 0.93), ("count", 0.90)])
def test_reports_of_the_last_two_hands_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: status 95.0 % each, sizes 86.7 % (de) and 90.0 % (en); README.md.
    assert accuracy(corpus("dev17", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.98), ("largest_mm", 0.98), ("count", 0.85)])
def test_reports_of_four_further_hands_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: status 91.8 % (de), 89.1 % (en), sizes 89.1 and 90.0 %; README.md.
    assert accuracy(corpus("dev19", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.98), ("largest_mm", 0.98), ("count", 0.90)])
def test_reports_of_two_later_hands_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: status 57 (de) and 59 (en) of 60, sizes 57 and 56; README.md.
    assert accuracy(corpus("dev20", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.98), ("largest_mm", 0.98)])
def test_reports_of_two_last_hands_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: sizes 51 (de) and 47 (en) of 55; README.md.
    assert accuracy(corpus("dev21", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.98), ("largest_mm", 0.98)])
def test_reports_of_the_hands_of_ten_hospitals_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: sizes 50 (de) and 45 (en) of 50; README.md.
    assert accuracy(corpus("dev22", language), field) >= least


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("field", "least"), [("status", 0.97), ("largest_mm", 0.91)])
def test_reports_of_four_kinds_of_readers_stay_right(language: str, field: str, least: float) -> None:
    # First contact, before they were read: status 35 and 33 of 35, sizes 30 (de) and 32 (en); README.md.
    assert accuracy(corpus("dev23", language), field) >= least


#: What the last run on them gave, by hand and language: status and sizes right.
SEALED = {
    "sealed3": {"de": {"status": 0.99, "largest_mm": 0.93}, "en": {"status": 0.96, "largest_mm": 0.95}},
    "sealed4": {"de": {"status": 0.90, "largest_mm": 0.97}, "en": {"status": 0.925, "largest_mm": 0.955}},
    "sealed5": {"de": {"status": 0.90, "largest_mm": 0.86}, "en": {"status": 0.95, "largest_mm": 0.91}},
    "sealed6": {"de": {"status": 0.90, "largest_mm": 0.92}, "en": {"status": 0.90, "largest_mm": 0.84}},
    "sealed7": {"de": {"status": 0.98, "largest_mm": 0.93}, "en": {"status": 0.96, "largest_mm": 0.96}},
    "sealed8": {"de": {"status": 0.94, "largest_mm": 0.96}, "en": {"status": 0.94, "largest_mm": 0.90}},
    "sealed9": {"de": {"status": 0.98, "largest_mm": 0.98}, "en": {"status": 0.90, "largest_mm": 0.92}},
    "sealed10": {"de": {"status": 0.94, "largest_mm": 0.94}, "en": {"status": 0.97, "largest_mm": 0.94}},
}


@pytest.mark.parametrize("hand", SEALED)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("field", ["status", "largest_mm"])
def test_sealed_reports_keep_their_score(hand: str, language: str, field: str) -> None:
    # Nobody who writes rules has read them: README.md tells what these figures are and what they are not.
    assert accuracy(corpus(hand, language), field) >= SEALED[hand][language][field]


@pytest.mark.parametrize("language", LANGUAGES)
def test_short_statements_are_understood(language: str) -> None:
    path = CORPUS / f"statements_{language}.toml"
    statements = tomllib.loads(path.read_text(encoding="utf-8"))["statement"]
    wrong = 0
    for statement in statements:
        label = label_report(statement["text"], statement["modality"])
        size = statement.get("largest_mm", label.largest_mm or 0)
        wrong += (label.status, label.largest_mm or 0) != (statement["status"], size)
    assert wrong <= 0.03 * len(statements)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_corpus_holds_300_reports_of_each_language_and_no_text_twice(language: str) -> None:
    texts = [report["text"] for report in corpus("dev", language) + corpus("heldout", language)]
    assert len(texts) >= 300
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("change", [str.upper, _wrapped, _glued], ids=["capitals", "wrapped", "glued units"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_how_a_report_is_typed_hardly_changes_its_label(language: str, change: Callable[[str], str]) -> None:
    reports = corpus("heldout", language)
    same = 0
    for report in reports:
        label, other = (cached_label(text, report.get("modality")) for text in (report["text"], change(report["text"])))
        same += (label.status, label.largest_mm) == (other.status, other.largest_mm)
    assert same >= 0.99 * len(reports)


#: Reports whose language is not the corpus's, and why.
OTHER_LANGUAGE = {
    "p-de-148": "half of it is English",
    "p-de-149": "half of it is English",
    "t3-de-080": "half of it is English",
    "s3-de-041": "half of it is English",
    "s3-en-086": "half of it is German",
    "p-en-490": "a TNM code alone has no language",
    "p-en-491": "a TNM code alone has no language",
    "p-en-492": "an ICD code alone has no language",
    "p-en-276": "missed: nothing but abbreviations",
    "t3-de-073": "missed: a telegram of organs and signs",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_of_a_report_is_recognised(language: str) -> None:
    reports = corpus("dev", language) + corpus("heldout", language)
    assert {r["id"] for r in reports if cached_label(r["text"]).language != language} <= set(OTHER_LANGUAGE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_evidence_is_quoted_verbatim(language: str) -> None:
    for report in corpus("dev", language) + corpus("heldout", language):
        label = cached_label(report["text"], report.get("modality"))
        assert label.evidence in report["text"]
        assert bool(label.evidence) == (label.status != "not_mentioned")


@pytest.mark.parametrize("language", LANGUAGES)
def test_spelling_case_and_unicode_composition_do_not_change_a_label(language: str) -> None:
    umlauts = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
    for report in corpus("dev", language):
        label = cached_label(report["text"], report.get("modality"))
        written = report["text"].translate(umlauts).replace("\n", "\r\n")
        for text in (written, unicodedata.normalize("NFD", report["text"])):
            other = label_report(text, report.get("modality"))
            assert (other.status, other.largest_mm, other.count) == (label.status, label.largest_mm, label.count)
            assert other.evidence in text


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_gets_a_label(text: str) -> None:
    label = label_report(text)
    assert label.status in STATUSES
    assert label.evidence in text
    assert label == label_report(text)


def test_an_empty_text_mentions_nothing() -> None:
    assert label_report("").status == "not_mentioned"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Leber: Kein Nachweis von Metastasen.", "absent"),
        ("Lebermetastasen: nein.", "absent"),
        ("Für Lebermetastasen besteht kein Anhalt.", "absent"),
        ("Eine Lebermetastase kann nicht sicher ausgeschlossen werden.", "uncertain"),
        ("V.a. Lebermetastase in Segment VI.", "uncertain"),
        ("Keine neuen Lebermetastasen, die bekannten unverändert.", "present"),
        ("Kein Aszites, bekannte Lebermetastasen unverändert.", "present"),
        ("Z.n. Resektion von Lebermetastasen. Kein Rezidiv.", "absent"),
        ("Fragestellung: Lebermetastasen?", "not_mentioned"),
        ("Multiple Knochenmetastasen.", "not_mentioned"),
        ("Leber- und Knochenmetastasen.", "present"),
        ("Keine Knochen-, jedoch multiple Lebermetastasen.", "present"),
        ("No hepatic metastasis.", "absent"),
        ("Hepatic metastases cannot be excluded.", "uncertain"),
        ("No interval change in the liver metastases.", "present"),
        ("No new hepatic metastases; known metastases are unchanged.", "present"),
        ("Hepatic metastases are no longer seen.", "absent"),
        ("Metastases in the bones. The liver is unremarkable.", "absent"),
        ("Status post hemihepatectomy for metastases, no recurrence in the liver.", "absent"),
        ("Liver lesion in segment IV consistent with haemangioma.", "absent"),
        ("Lung metastasis.", "not_mentioned"),
    ],
)
def test_scope_organ_and_time_decide_the_status(text: str, status: str) -> None:
    assert label_report(text, "MR").status == status


@pytest.mark.parametrize(
    ("text", "millimetres"),
    [
        ("Lebermetastase, 8 x 11 mm.", 11.0),
        ("Lebermetastase, 17x15mm.", 17.0),
        ("Lebermetastasen bis 1,2 cm.", 12.0),
        ("Lebermetastase, von 8 auf 11 mm größenprogredient.", 11.0),
        ("Lebermetastase von 35 auf 27 mm regredient.", 27.0),
        ("Lebermetastase, aktuell 27 mm (zuvor 35 mm).", 27.0),
        ("Lebermetastase in Segment V. Schichtdicke 5 mm.", None),
        ("Lebermetastase mit SUVmax 12,4.", None),
        ("Lebermetastase 9 mm, Leberzyste 31 mm, Milz 12 cm.", 9.0),
        ("Lebermetastase in Segment V mit 9 mm, SUVmax 12.3.\nMilz unauffällig.", 9.0),
        ("Liver metastases measuring up to 1.2 cm.", 12.0),
        ("Liver metastasis, now 13 mm (previously 19 mm).", 13.0),
        ("Liver metastasis has grown from 8 to 11 mm.", 11.0),
        ("Liver metastases of 5-12 mm.", 12.0),
        ("Liver metastasis 8 mm; adrenal nodule 21 mm.", 8.0),
        ("Liver metastasis 8 mm, 25 mm away from the capsule.", 8.0),
    ],
)
def test_the_current_size_of_a_liver_lesion_is_read(text: str, millimetres: float | None) -> None:
    assert label_report(text, "MR").largest_mm == millimetres


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Zwei Lebermetastasen.", 2),
        ("Mindestens 5 Leberfiliae.", 5),
        ("Multiple Lebermetastasen.", None),
        ("Metastase in Segment VI der Leber.", 1),
        ("There are 3 metastases in segments 2, 5 and 8 of the liver.", 3),
        ("A solitary liver metastasis.", 1),
        ("Innumerable liver metastases, the largest 12 mm.", None),
    ],
)
def test_a_stated_number_is_read(text: str, count: int | None) -> None:
    assert label_report(text, "MR").count == count


def test_the_impression_decides_where_it_disagrees() -> None:
    text = "Findings: 8 mm indeterminate lesion in segment V.\nImpression: No hepatic metastases."
    assert label_report(text, "MR").status == "absent"


def test_uptake_counts_on_pet_only_where_it_is_focal() -> None:
    assert label_report("Focal uptake above liver background in segment VII.", "PT").status == "present"
    assert label_report("Physiological uptake in the liver.", "PT").status == "absent"


def test_a_misspelt_key_term_is_understood() -> None:
    assert label_report("Multiple Lebermetastsen.", "MR").status == "present"
    assert label_report("No hepatic metastaess.", "MR").status == "absent"


def test_every_rule_file_loads_and_has_the_same_tables() -> None:
    german, english = (load_rules(language) for language in LANGUAGES)
    assert german.language == "de"
    assert english.language == "en"
    assert german.numbers["zwei"] == english.numbers["two"] == 2


def test_a_long_text_without_stops_is_read_in_reasonable_time() -> None:
    start = time.process_time()
    assert label_report("Lebermetastasen und keine Zyste " * 500).status == "present"
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize(
    ("text", "status", "millimetres"),
    [
        ("Most liver metastases have gone, a handful are left.", "present", None),
        ("None of the liver lesions is still visible.", "absent", None),
        ("S3 metastasis gone, S8 metastasis still visible at 13 mm.", "present", 13.0),
        ("Eine Filia der Leber ist jedoch nicht zu verneinen.", "uncertain", None),
        ("Q: liver mets? A: no.", "absent", None),
        ("Frage: Lebermetastasen? Antwort: ja.", "present", None),
        ("Patient did not attend. Rebooked for liver MRI (metastasis search).", "not_mentioned", None),
        ("Befund: Leber o.B.\nKorrektur: Es besteht doch eine 9 mm große Metastase in Segment VI.", "present", 9.0),
        (
            "Liver: largest metastasis 71 mm.\nAddendum: The liver metastasis measures 17 mm, not 71 mm.",
            "present",
            17.0,
        ),
        ("Leberbefund: kein Herd, abgesehen von einer Zyste, der an eine Metastase denken lässt.", "absent", None),
        ("LEBER: ja\nLEBER ANZAHL: 6\nLEBER MAX. DURCHMESSER: 21 mm\nLUNGE: nein", "present", 21.0),
        (
            "liver lesions comma largest twenty two millimeters comma metastases period spleen normal period",
            "present",
            22.0,
        ),
        ("Die Leber zeigt rnultiple Metastasen, die größte mit l2 mm. Milz hornogen.", "present", 12.0),
        ("Liver metastases (mm; before/now): S2 21/16, S5 17/17, S8 14/13.", "present", 17.0),
        ("No peritoneal metastases, but hepatic ones (up to 22 mm).", "present", 22.0),
        ("Wahrscheinlichkeit einer Lebermetastase unter 5 %.", "absent", None),
    ],
)
def test_a_report_is_read_as_a_reader_would(text: str, status: str, millimetres: float | None) -> None:
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == (status, millimetres)


@pytest.mark.parametrize(
    ("lines", "millimetres"),
    [
        (["S III 14 mm (VU 20 mm)", "S VII 11 mm (VU 19 mm)"], 14.0),
        (["S VII: 1,4 cm (vormals 2,0 cm)", "Sg. 4a: 1,1 cm (vormals 1,9 cm)"], 14.0),
        (["Leberherde (Vor-MRT / aktuell, mm):", "Segment III   20 / 14", "Segment V   9 / 11"], 14.0),
        (["S3 14 (20)", "S8 9 (NEU)"], 14.0),
        (["Herd   06/2023   06/2024", "S II   20 mm   14 mm", "S IVb (MWA)   31 mm   27 mm"], 14.0),
        (["S II 14 mm.", "S VI (Z.n. MWA): 31 mm, kein Enhancement."], 14.0),
        (["S II 14 mm.", "Verkalkte Altherde bis 43 mm ohne Kontrastierung und ohne Diffusionsrestriktion."], 14.0),
        (["S II 14 mm.", "S V: 46 mm, ohne Enhancement, Zysten entsprechend."], 14.0),
        (["S II 14 mm.", "Splenomegalie 15,2 cm."], 14.0),
        (["S II 14 mm.", "Nach SIRT S VII 22 mm, weiterhin mit Enhancement."], 22.0),
    ],
)
def test_a_list_of_lesions_gives_the_largest_that_lives_today(lines: list[str], millimetres: float) -> None:
    text = "\n".join(["MRT Leber", "", "Leber:", *lines, "", "Beurteilung: Lebermetastasen."])
    assert label_report(text, "MR").largest_mm == millimetres


@pytest.mark.parametrize(
    ("text", "status", "millimetres"),
    [
        ("2020 liver metastasis S6 28 mm, RFA\n01/23 PET: S2 12 mm\n03/24 PET: S2 15 mm\nHepatic PD.", "present", 15.0),
        ("CT 04/24: 'suspected liver metastasis, 15 mm'.\nMRI liver today: haemangioma of 16 mm.", "absent", None),
        ("Three liver lesions: a) S2 23 mm cyst, b) S5 19 mm haemangioma, c) S8 11 mm metastasis.", "present", 11.0),
        ("Liver metastases   O yes   X no", "absent", None),
        ("LIVER: (Y) / N   single / (multiple)\nBONE: Y / (N)", "present", None),
        ("Liver lesion S4, 9 mm, read as a metastasis elsewhere. We do not share this view.", "absent", None),
        ("Patient with liver metastases. MRI of the heart: no pericardial effusion.", "not_mentioned", None),
        ("Leber S4 13 mm, S7 19 mm Metastasen; Narbe S8 ohne Uptake.", "present", 19.0),
    ],
)
def test_time_lists_forms_and_others_words_are_understood(text: str, status: str, millimetres: float | None) -> None:
    label = label_report(text, "PT" if "PET" in text or "(Y)" in text or "Uptake" in text else "MR")
    assert (label.status, label.largest_mm) == (status, millimetres)


@pytest.mark.parametrize("modality", ["MR", "PT"])
def test_a_table_of_target_lesions_gives_the_latest_size_of_the_liver(modality: str) -> None:
    text = "Target lesions (mm)\tBaseline\tPrevious\tCurrent\nLiver S7\t40\t31\t26\nMesenteric LN\t30\t27\t28"
    assert label_report(text, modality).largest_mm == 26.0


def test_a_table_whose_rows_are_shorter_than_its_header_is_read() -> None:
    assert label_report("Segment | Befund | VU (mm) | aktuell (mm)\nLeber S2 | 14 | 12", "MR").status in STATUSES
