"""Why PET does not show an MRI lesion: absent, expected invisible, indeterminate or not evaluable, with the numbers."""

from __future__ import annotations

from typing import Any

import pytest
from liverpair.evaluate.detectability import Avidity, Prediction
from liverpair.evaluate.visibility import PET_STATUSES, pet_status, visibility_sentence
from liverpair.flow.config import Settings
from liverpair.flow.explain import cohort_facts
from liverpair.flow.tables import COLUMNS, format_table
from liverpair.flow.visibility import flagged_lesions, visibility_rows

SCANNER = {"fwhm_mm": 7.0, "cov": 0.1, "threshold": 4.4, "fwhm_source": "default"}
CALL = dict.fromkeys(("reference", "index", "mr_image", "pet_image"), "present") | dict.fromkeys(
    ("mr_report", "pet_report", "mr_consensus", "pet_consensus"), ""
)


def lesion(name: str, at: float, partners: tuple[str, ...] = (), tlr: float | None = None) -> dict[str, Any]:
    return {
        "lesion_id": name, "modality": "PET" if name.startswith("P") else "MR", "x_mm": at, "y_mm": 0.0, "z_mm": 0.0,
        "tlr": tlr, "z": 9.0, "confidence": 0.9, "matched_lesion_id": list(partners), "flags": [],
    }  # fmt: skip


def facts(diameter: float) -> dict[str, Any]:
    return {
        "nature": "metastasis", "countable": True, "is_metastasis": True, "is_credible": True,
        "diameter_mm": diameter, "uncertainty_mm": 3.0, "reason": "",
    }  # fmt: skip


def place(z_obs: float | None, why: str = "") -> dict[str, Any]:
    return {"z_obs": z_obs, "not_evaluable": why, "tlr_corrected": 1.0}


def record() -> dict[str, Any]:
    """One large avid lesion that both show, a large dark one, a small one, and one outside the PET."""
    return {
        "pair_id": "A", "scanner": SCANNER, "reference": {"mean": 5.0}, "registration": "usable", "liver_hu": 50.0,
        "lesions": [
            lesion("P01", 0, ("M01",), 3.0), lesion("M01", 0, ("P01",)), lesion("M02", 60), lesion("M03", 120),
            lesion("M04", 180),
        ],
        "lesion_facts": {
            "P01": facts(20.0), "M01": facts(20.0), "M02": facts(18.0), "M03": facts(5.0), "M04": facts(12.0)
        },
        "evidence": {
            "M01": place(20.0), "M02": place(0.5), "M03": place(1.5),
            "M04": place(None, "the place lies outside the PET's field of view"),
        },
        "location": {},
    }  # fmt: skip


@pytest.fixture
def rows() -> dict[str, dict[str, Any]]:
    records = {"A": record()}
    pairs = {"A": {"pair_id": "A", "patient_id": "1", "tracer": "T", "interval_days": "3"}}
    found = visibility_rows(
        records, pairs, [{"pair_id": "A", **CALL}], cohort_facts([records["A"]], {"A": "T"}), Settings()
    )
    return {row["lesion_id"]: row for row in found}


def test_every_reference_lesion_gets_its_status(rows: dict[str, dict[str, Any]]) -> None:
    assert {name: row["pet_status"] for name, row in rows.items()} == {
        "M01": "shown", "M02": "absent", "M03": "expected_invisible", "M04": "not_evaluable"
    }  # fmt: skip
    assert {row["pet_status"] for row in rows.values()} <= set(PET_STATUSES)


def test_the_chance_is_given_without_and_with_breathing(rows: dict[str, dict[str, Any]]) -> None:
    for row in rows.values():
        assert row["breathing_mm"] == 10.0
        assert row["p_detect_breathing"] <= row["p_detect"]
        assert row["predicted_cnr_breathing"] < row["predicted_cnr"]
    assert rows["M03"]["p_detect"] < 0.5 < rows["M02"]["p_detect"]


def test_the_expected_uptake_the_resolution_and_their_sources_are_in_the_table(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["M02"]["t_source"] == "patient"
    assert rows["M02"]["t_median"] == pytest.approx(3.0, abs=0.1)
    assert rows["M02"]["fwhm_source"] == "default"
    assert format_table(COLUMNS["visibility"], rows.values()).count("\n") == 5


def test_what_is_not_shown_is_flagged_in_the_table_of_lesions(rows: dict[str, dict[str, Any]]) -> None:
    flags = {row["lesion_id"]: row["flags"] for row in flagged_lesions({"A": record()}, list(rows.values()))}
    assert flags == {
        "P01": [], "M01": [], "M02": ["pet_absent"], "M03": ["pet_expected_invisible"], "M04": ["pet_not_evaluable"]
    }  # fmt: skip


def test_a_place_that_could_not_be_judged_is_never_absent() -> None:
    dark = Prediction(9.0, 0.99, (0.9, 1.0), 1.1, "truly_non_avid", "")
    assert pet_status(None, dark) == "not_evaluable"
    assert pet_status(None, None) == "not_evaluable"
    assert pet_status(True, dark) == "shown"
    assert pet_status(False, dark) == "absent"


def test_the_sentence_names_the_numbers_that_decided() -> None:
    usual = Avidity(3.2, 2.5, 4.0, 4, "patient")
    small = Prediction(1.0, 0.04, (0.0, 0.1), 4.0, "expected_invisible", "")
    assert "4 %" in visibility_sentence("expected_invisible", small, usual)
    assert "3.2 times" in visibility_sentence("expected_invisible", small, usual)
    dark = Prediction(9.0, 0.99, (0.9, 1.0), 1.2, "truly_non_avid", "")
    assert "1.2 times" in visibility_sentence("absent", dark, usual)
    unsure = Prediction(None, None, None, None, "indeterminate", "no avid lesion to take T from")
    assert "no avid lesion" in visibility_sentence("indeterminate", unsure, None)
    away = Prediction(None, None, None, None, "not_evaluable", "the place lies outside the PET's field of view")
    assert "field of view" in visibility_sentence("not_evaluable", away, usual)
