"""What surrounds a statement: the examined region, other people's words, lost characters, tables of several studies."""

from __future__ import annotations

import pytest
from liverpair.evaluate.labels import label_report


@pytest.mark.parametrize(
    ("text", "modality", "status"),
    [
        ("MRT der Orbitae. Kein Herd retrobulbär. Keine Metastase.", "MR", "not_mentioned"),
        ("DOTATATE PET/CT, dedicated breast views.\nNo focus. No metastasis.", "PT", "not_mentioned"),
        ("DOTATATE PET/CT, skull base to mid-thigh.\nNo focus. No metastasis.", "PT", "absent"),
        ("MRI lumbar spine.\nDisc herniation L4/5. Liver partly imaged, unremarkable.", "MR", "absent"),
        ("MRI of the orbits.\nKnown liver metastases (30 mm in 2019). Normal orbits.", "MR", "not_mentioned"),
        ("Cardiac MRI: myocarditis. Incidentally multiple liver metastases.", "MR", "present"),
    ],
)
def test_a_study_of_another_region_says_only_what_it_shows_of_the_liver(text: str, modality: str, status: str) -> None:
    assert label_report(text, modality).status == status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('MRT Leber. Im Fremdbefund wird "mindestens eine Metastase" angegeben. Wir sehen nur eine Zyste.', "absent"),
        ("MRT Leber. Im Vorbefund wurden Metastasen beschrieben. Leber heute ohne Herdbefund.", "absent"),
        ("MRI liver. The outside report mentions metastases. We see two cysts only.", "absent"),
        ("Contrary to the suspicion raised on CT, there are no liver metastases.", "absent"),
        ("The metastases described in the previous report are unchanged in the liver.", "present"),
        ("Die Sorge, der Leberherd könnte eine Metastase sein, kann ich zerstreuen: Hämangiom.", "absent"),
        ("MRT Leber. Die Befürchtung einer Metastase lässt sich nicht zerstreuen.", "uncertain"),
    ],
)
def test_what_others_said_is_no_finding(text: str, status: str) -> None:
    assert label_report(text, "MR").status == status


@pytest.mark.parametrize(
    "text",
    [
        "Multiple Läsionen der Leber, verdächtig auf Metastasen, größte 12 mm.",
        "Multiple L?sionen der Leber, verd?chtig auf Metastasen, gr??te 12 mm.",
        "Multiple L\ufffdsionen der Leber, verd\ufffdchtig auf Metastasen, gr\ufffd\ufffdte 12 mm.",
        "Multiple Lasionen der Leber, verdachtig auf Metastasen, groste 12 mm.",
        "Multiple LÃ¤sionen der Leber, verdÃ¤chtig auf Metastasen, grÃ¶ÃŸte 12 mm.",
        "Mu1tiple Läsi0nen der Leber, verdächt1g auf Meta stasen, größte 12 rnm.",
    ],
)
def test_characters_lost_on_the_way_do_not_change_the_label(text: str) -> None:
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == ("uncertain", 12.0)
    assert label.evidence in text


@pytest.mark.parametrize(
    ("text", "millimetres"),
    [
        ("Lesion        BL   W12   W24\nLiver, seg 3   31   25    22\nNode           12   12    12\nRECIST", 22.0),
        ("Segment:    I   II   III   IVa\nMet (mm):   -   6    -     10\nMRI liver", 10.0),
        ("visit;organ;lesion;LD_mm;status\nBL;liver;1;40;target\nV2;liver;1;24;target", 24.0),
        ('<report><liver mets="yes" n="6" maxmm="24"/><bone mets="no"/></report>', 24.0),
        ("MRI liver. Seg 5 metastasis: 24 mm then, 18 now.", 18.0),
        ("MRI liver. Metastasis in segment 7: 61 mm - 30 mm - now 14 mm.", 14.0),
        ("MRI liver. Metastases: S1 12, S2 18, S8 21 mm.", 21.0),
    ],
)
def test_the_last_of_several_studies_gives_the_size(text: str, millimetres: float) -> None:
    assert label_report(text, "MR").largest_mm == millimetres


def test_a_table_whose_lesions_are_gone_says_absent() -> None:
    text = "Lesion | Baseline | Month 6 | Month 12\nLiver, S6 | 27 mm | 9 mm | 0 mm\nLiver, S8 | 16 mm | 0 mm | 0 mm"
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == ("absent", None)
    assert label.evidence in text


def test_an_unticked_line_of_a_checklist_says_nothing() -> None:
    text = "[x] Liver: haemangiomas\n[ ] Liver: metastases\n[x] Spleen normal\nResult: no evidence of metastases."
    assert label_report(text, "MR").status == "absent"


def test_an_addendum_takes_the_size_of_the_segment_that_it_judges() -> None:
    text = (
        "Impression: Haemangioma in segment 7 (11 mm). No metastases.\n\n"
        "Addendum: The lesion in segment 7 is new since 2019. Suspected metastasis."
    )
    label = label_report(text, "MR")
    assert (label.status, label.largest_mm) == ("uncertain", 11.0)


def test_the_liver_declared_free_undoes_a_treated_metastasis() -> None:
    text = "Target: metastasis segment 6 (19 mm before ablation).\nConclusion: complete ablation, liver free of tumour."
    assert label_report(text, "MR").status == "absent"


@pytest.mark.parametrize(
    ("text", "modality", "status"),
    [
        ("MRI liver. Brother died of liver metastases. Liver normal.", "MR", "absent"),
        ("MRT Leber. Die Tante hatte Lebermetastasen. Leber ohne Herd.", "MR", "absent"),
        ("In the original report we had called the segment 4 lesion a metastasis. It is FNH.", "MR", "absent"),
        ("Laut Überweisung Lebermetastasen bekannt. Leber ohne fokale Läsion.", "MR", "absent"),
        ("Liver: multiple metastases [carried over from prior, please disregard]. Homogeneous uptake.", "PT", "absent"),
        ("Erstbefund: V. a. Lebermetastase S4. Eigene Beurteilung: Leber frei.", "PT", "absent"),
        ("MRI stopped after the scout. Last year liver metastases up to 31 mm.", "MR", "not_mentioned"),
        ("Liver and pancreas not assessable because of artefacts.", "MR", "not_mentioned"),
        ("Thyroid: nodule in the left lobe with uptake. Right lobe normal.", "PT", "not_mentioned"),
        ("MRT Becken. Läsion im Sakrum auf Höhe S2, metastasensuspekt.", "MR", "not_mentioned"),
    ],
)
def test_who_is_spoken_of_and_what_was_seen_decide(text: str, modality: str, status: str) -> None:
    assert label_report(text, modality).status == status


@pytest.mark.parametrize(
    ("text", "modality", "status"),
    [
        ("Two new SSTR-positive liver metastases, not visible on CT.", "PT", "present"),
        ("Lebermetastasen, CT-graphisch nicht abgrenzbar.", "PT", "present"),
        ("Liver metastases, their number cannot be determined.", "MR", "present"),
        ("Lebermetastase 20 mm. Eine portale Hypertension ist nicht auszuschließen.", "MR", "present"),
        ("Stable liver metastases, segment 2 focus needs follow-up.", "MR", "present"),
        ("New enhancement at the ablation margin in segment 8, suspicious for local recurrence.", "MR", "uncertain"),
        ("Previously indeterminate liver lesion, unchanged. Its nature remains uncertain.", "MR", "uncertain"),
        ("One lesion in the left lobe of the liver, 16 mm. I cannot say what it is.", "MR", "uncertain"),
        ("Liver lesion. The differential includes an adenoma, a haemangioma and a metastasis.", "MR", "uncertain"),
        ("Die bislang unklare Leberläsion ist gewachsen und nun als Metastase zu werten.", "MR", "present"),
    ],
)
def test_a_doubt_concerns_what_it_names(text: str, modality: str, status: str) -> None:
    assert label_report(text, modality).status == status


@pytest.mark.parametrize(
    ("text", "millimetres", "count"),
    [
        (
            "Compared with March (then five deposits, the largest 34 mm) only two liver metastases remain, 12 mm.",
            12.0,
            2,
        ),
        ("Liver metastases:\nbaseline - largest 44 mm\nmonth 3 - largest 36 mm\npresent - largest 19 mm", 19.0, None),
        ("Leber: S3 20 mm SUVmax 22, S7 11 mm SUVmax 15. Hepatische Metastasen.", 20.0, None),
        ("On the outside CT the segment 2 metastasis measured 25 mm. It measures 18 mm today.", 18.0, 1),
        ("The largest metastasis of the liver is 20 x 19 mm axial and 24 mm craniocaudal.", 24.0, None),
        ("Conclusion: Three liver metastases.\nAmendment: it should read one liver metastasis, 22 mm.", 22.0, 1),
        ("Lebermetastasen, insgesamt acht an der Zahl, die größte 14 mm.", 14.0, 8),
        ("Liver foci in segment 2 (12 mm), segment 5 (20 mm) and segment 7 (9 mm): metastases.", 20.0, 3),
    ],
)
def test_extent_is_that_of_today(text: str, millimetres: float, count: int | None) -> None:
    label = label_report(text, "PT")
    assert (label.largest_mm, label.count) == (millimetres, count)
