"""What report labels understand of form: sections without a heading, boxes, markup, marks, answers, dates of sizes."""

from __future__ import annotations

import html
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from liverpair.evaluate.labels import STATUSES, label_report
from liverpair.evaluate.labels.markup import plain_text

#: A report of 300 words takes 2 ms; a pattern that backtracks without end takes hours. Nothing in between is judged.
SLOWEST_SECONDS = 30.0
PIECES = [
    "Leber",
    "Metastase",
    "keine",
    "?",
    "[x]",
    "[ ]",
    "(",
    ")",
    "12 mm",
    "x",
    "nicht",
    "<br>",
    "{\\rtf1",
    "&#228;",
]
PIECES += [
    ":",
    ";",
    ".",
    ",",
    "|",
    "no",
    "liver",
    "Befund:",
    "\n",
    "\n\n",
    "03/2021",
    "+",
    "-",
    "Ø",
    "→",
    "\\par",
    "ob",
]


@given(st.lists(st.sampled_from(PIECES), max_size=200).map(" ".join))
@example("{\\rtf1" + "{" * 500)
@example("[x]" * 300)
@example("? " * 500)
@settings(max_examples=150, deadline=None)
def test_no_text_made_of_our_own_marks_breaks_or_stalls_the_labels(text: str) -> None:
    start = time.process_time()
    label = label_report(text)
    assert time.process_time() - start < SLOWEST_SECONDS
    assert label.status in STATUSES
    assert label.evidence in text


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_every_character_of_the_plain_text_knows_its_place(text: str) -> None:
    plain, origin = plain_text(text)
    if origin is None:
        assert plain == text
    else:
        assert len(origin) == len(plain)
        assert origin == sorted(origin)
        assert all(0 <= place < len(text) for place in origin)


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="[]()"), max_size=100))
@settings(max_examples=100, deadline=None)
def test_escaped_html_reads_as_what_was_escaped(text: str) -> None:
    escaped = html.escape(text, quote=False)
    if not plain_text(text)[1]:  # the text holds no markup of its own
        assert plain_text(escaped)[0] == text


@pytest.mark.parametrize(
    ("text", "status", "millimetres"),
    [
        ("<p>Leber: Multiple Metastasen bis 2,3&nbsp;cm.</p><br/>Milz: o.B.", "present", 23.0),
        ("{\\rtf1\\ansi Leber: keine L\\'e4sion.\\par Milz unauff\\'e4llig.\\par}", "absent", None),
        ("Lebermetastasen: [x] ja [ ] nein\nAnzahl: 4\nGrößter Durchmesser: 27 mm", "present", 27.0),
        ("Lebermetastasen: [ ] ja [x] nein", "absent", None),
        ("Lebermetastasen ja ☐ nein ☒", "absent", None),
        ("Liver metastases: ( ) yes ( ) no (x) unclear", "uncertain", None),
        ("Liver metastases Y/N: N", "absent", None),
        ("Lebermetastasen? Nein.", "absent", None),
        ("Liver metastases? Not sure.", "uncertain", None),
        ("Ø Lebermetastasen", "absent", None),
        ("Lebermetastase Ø 12 mm", "present", 12.0),
        ("Liver seg V 6 mm ?met", "uncertain", 6.0),
    ],
)
def test_forms_and_leftovers_of_formats_are_read(text: str, status: str, millimetres: float | None) -> None:
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == (status, millimetres)
    assert label.evidence in text


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Leber +, Knochen -, LK -", "present"),
        ("Leber -, Knochen +, LK -", "absent"),
        ("DOTATATE: hepatic (+), osseous (-)", "present"),
        ("nil hepatic, nil nodal", "absent"),
        ("Keine SSTR-positiven Läsionen.", "absent"),
        ("Nur Hals untersucht. Keine SSTR-positiven Läsionen.", "not_mentioned"),
        ("Heterogeneous liver uptake without focal lesion.", "absent"),
        ("Leber: PD, Knochen: SD", "present"),
        ("Knochen: PD", "not_mentioned"),
    ],
)
def test_marks_and_whole_body_statements_of_pet_are_read(text: str, status: str) -> None:
    assert label_report(text, "PT").status == status


@pytest.mark.parametrize(
    "text",
    [
        "Indikation: NET.\nSegment II: Metastase 13 mm.\nBeurteilung: Lebermetastase.",
        "Technik: MRT, 20 min. Leber mit Metastase, 13 mm. Beurteilung: Lebermetastase.",
        "Ergebnis: Lebermetastase.\n\nFrage: Metastasen?\nTechnik: T2, DWI.\n\nMetastase Segment II, 13 mm.",
        "TECHNIK\nVIBE, Schichtdicke 3 mm\n\nLeber mit Metastase, 13 mm.\n\nBEURTEILUNG\nLebermetastase.",
        "Magen und Duodenum unauffällig. Leber im Übrigen frei. Metastase Segment II, 13 mm.",
    ],
)
def test_findings_need_no_heading_behind_question_and_technique(text: str) -> None:
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == ("present", 13.0)


@pytest.mark.parametrize(
    ("text", "millimetres"),
    [
        ("Lebermetastase S7: 02/2021 26 mm, 08/2021 22 mm, aktuell 18 mm.", 18.0),
        ("Lebermetastase S7: 02/2021 26 mm, 08/2021 22 mm, 03/2022 18 mm.", 18.0),
        ("Largest hepatic metastasis 16 mm today, 19 mm in June.", 16.0),
        ("Lebermetastase 19 mm (22 mm).", 19.0),
        ("Lebermetastase, Zunahme um 25 mm auf 31 mm.", 31.0),
        ("Lebermetastase 24 mm nach 31 mm.", 24.0),
        ("Lymphknotenmetastase 33 mm und Lebermetastase 27 mm.", 27.0),
        ("Summe der Leberherde 64 mm (74 mm), größte Lebermetastase 31 mm.", 31.0),
        ("The formerly 45 mm liver metastasis now measures 26 mm.", 26.0),
        ("Lebermetastase 17 → 21 mm.", 21.0),
    ],
)
def test_former_sizes_sums_and_differences_are_no_current_size(text: str, millimetres: float) -> None:
    assert label_report(text, "MR").largest_mm == millimetres


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("The liver lesion reported as a metastasis is a haemangioma.", "absent"),
        ("Die als Metastase gewertete Leberläsion ist eine Zyste.", "absent"),
        ("Perfusion anomaly or small hypervascular liver metastasis.", "uncertain"),
        ("Leberläsion, Metastasenwahrscheinlichkeit 1/5.", "absent"),
        ("Liver lesion. Likelihood of metastasis: 3 of 5.", "uncertain"),
        ("Leberherd S5, metastasensuspekt.", "uncertain"),
        ("Leberherd S5, hochgradig metastasensuspekt.", "present"),
        ("Der Verdacht auf Lebermetastasen hat sich bestätigt.", "present"),
        ("Der Verdacht auf Lebermetastasen bestätigt sich nicht.", "absent"),
        ("Außer in der Leber keine Metastasen.", "present"),
        ("Metastases everywhere except the liver.", "absent"),
        ("Untersuchung abgebrochen, Leber nicht beurteilbar.", "not_mentioned"),
        ("Scan cancelled. Liver metastasis staging outstanding.", "not_mentioned"),
        ("Keine Besserung der Lebermetastasen.", "present"),
        ("Rezidivfrei nach Leberresektion.", "absent"),
    ],
)
def test_diagnoses_are_weighed_against_each_other(text: str, status: str) -> None:
    assert label_report(text, "MR").status == status


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Von drei Leberherden ist einer eine Zyste, zwei sind Metastasen.", 2),
        ("Lebermetastasen: 3, größte 12 mm", 3),
        ("Die Zahl der Lebermetastasen ist von 4 auf 6 gestiegen.", 6),
        ("Singuläre Metastase in Segment III der Leber. Metastase Seg. III.", 1),
    ],
)
def test_the_number_is_that_of_the_metastases(text: str, count: int) -> None:
    assert label_report(text, "MR").count == count
