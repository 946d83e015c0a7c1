"""Who was examined, and how: headers' facts, the user's table of patients, therapies as causes, technical flags."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from liverpair.core.errors import UsageError
from liverpair.core.study import StudyPair
from liverpair.dicom.records import InstanceRecord, SeriesRecord
from liverpair.evaluate.attribution import AttributionSettings, technical_flags
from liverpair.evaluate.pair_evidence import Treatment, is_recent
from liverpair.flow.participants import (
    Clinical,
    Headers,
    acquisition_rows,
    baseline_rows,
    examination_rows,
    interventions,
    keep_clinical,
    note_headers,
    read_clinical,
    treatments,
    write_examinations,
)
from liverpair.flow.workspace import Workspace

PAIR = StudyPair(
    pair_id="P1", patient_id="S1", pet_study_uid="1", ct_series_uid="1.1", pet_series_uid="1.2", mr_study_uid="2",
    mr_hbp_series_uid="2.1", mr_t2_series_uid="", mr_dwi_series_uid="", pet_date=date(2019, 3, 12),
    mr_date=date(2019, 4, 1), tracer="68Ga-DOTATOC", status="", reason="",
)  # fmt: skip
ROW = {"pair_id": "P1", "patient_id": "S1", "pet_date": "2019-03-12", "mr_date": "2019-04-01"}


def _series(uid: str, **header: object) -> SeriesRecord:
    return SeriesRecord(uid, uid[0], "S1", (InstanceRecord("a", None, header),))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace.create(tmp_path / "ws")
    headers: Headers = {}
    pet = _series("1.2", Modality="PT", PatientSex="F", PatientAge="063Y", ManufacturerModelName="mCT")
    mr = _series("2.1", Modality="MR", ManufacturerModelName="Skyra", MagneticFieldStrength=3.0)
    assert list(note_headers([[pet, mr, _series("1.1", Modality="CT")]], headers)) != []
    assert set(headers) == {"1.2", "2.1"}
    write_examinations(ws, [PAIR], headers)
    ws.write_table("pairs", [ROW])
    return ws


def test_age_sex_and_scanners_come_from_the_headers(workspace: Workspace) -> None:
    found = examination_rows(workspace)
    baseline = dict(baseline_rows({"P1": ROW}, found, Clinical()))
    assert baseline["Sex"] == "F 1"
    assert baseline["Age, years"].startswith("median 63")
    rows = dict(acquisition_rows(found, [{"dose_bq": 1.5e8, "uptake_minutes": 60.0}, {}]))
    assert rows["MRI model (pairs)"] == "Skyra 1"
    assert rows["Injected activity, MBq"].startswith("median 150")
    assert rows["Uptake time, minutes"].endswith("not known: 1")


def test_the_users_table_comes_first_and_gives_therapies_their_days(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text(
        "Patient ID;Geschlecht;Alter;Therapie;Therapie-Datum\nS1;M;70;PRRT;20.03.2019\nS1;;;TACE;1.1.2015\n"
    )
    keep_clinical(workspace, table)
    clinical = read_clinical(workspace)
    assert dict(baseline_rows({"P1": ROW}, examination_rows(workspace), clinical))["Sex"] == "M 1"
    given = treatments(ROW, clinical)
    assert [(t.days_before_pet, t.days_before_mr) for t in given] == [(-8, 12), (1531, 1551)]
    s = AttributionSettings()
    assert [is_recent(t, s.therapies, s.therapy_days) for t in given] == [True, False]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("patient_id,sex\nS9,F\n", "names no patient of this study"),
        ("patient_id,sex\nS1,F\nS1,M\n", "row 3: sex differs"),
        ("patient_id,therapy,therapy_date\nS1,PRRT,\n", "row 2: a therapy without therapy_date"),
        ("patient_id,therapy,therapy_date\nS1,PRRT,3/4/2019\n", "row 2: therapy_date"),
        ("sex\nF\n", "row 2: patient_id"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(
    workspace: Workspace, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        keep_clinical(workspace, tmp_path / "c.csv")
    assert read_clinical(workspace).baseline == {}


@pytest.mark.parametrize(
    ("kind", "before_pet", "before_mr", "counts"),
    [("PRRT", 90, 110, True), ("PRRT", 91, 111, False), ("sirt, right lobe", -3, 17, True), ("PRRT", -30, -10, False),
     ("octreotide", 5, 5, False)],
)  # fmt: skip
def test_a_therapy_counts_between_the_examinations_and_shortly_before(
    kind: str, before_pet: int, before_mr: int, counts: bool
) -> None:
    s = AttributionSettings()
    assert is_recent(Treatment(kind, before_pet, before_mr), s.therapies, s.therapy_days) is counts


def test_an_unusual_acquisition_is_flagged_and_an_unknown_one_is_not() -> None:
    s = AttributionSettings()
    assert technical_flags({"uptake_minutes": 20.0, "dose_bq": 3e7}, s) == ("short_uptake", "low_activity")
    assert technical_flags({"uptake_minutes": 200.0}, s) == ("long_uptake",)
    assert technical_flags({"uptake_minutes": 60.0, "dose_bq": 1.5e8}, s) == ()
    assert technical_flags({}, s) == ()


@pytest.mark.parametrize(
    ("pet", "mr", "row"),
    [
        ({"PatientAge": "063Y", "AgeFromBirthDate": 63}, {}, ("63.0", "PatientAge", "")),
        ({"PatientAge": "63Y"}, {}, ("63.0", "PatientAge", "")),
        ({"AgeFromBirthDate": 63}, {}, ("63", "PatientBirthDate", "")),
        ({}, {"AgeFromBirthDate": 62}, ("62", "PatientBirthDate", "")),
        ({"AgeFromBirthDate": 62}, {"PatientAge": "063Y"}, ("63.0", "PatientAge", "")),
        ({"PatientAge": "063Y", "AgeFromBirthDate": 58}, {}, ("63.0", "PatientAge", "-5.0")),
        ({"PatientAge": "000Y", "AgeFromBirthDate": 58}, {"PatientAge": "999Y"}, ("58", "PatientBirthDate", "")),
        ({"PatientAge": "063"}, {}, ("", "", "")),
    ],
)
def test_patient_age_goes_before_the_birth_date_and_their_quarrel_is_kept(
    tmp_path: Path, pet: dict[str, object], mr: dict[str, object], row: tuple[str, str, str]
) -> None:
    ws, headers = Workspace.create(tmp_path / "ws"), Headers()
    list(note_headers([[_series("1.2", Modality="PT", **pet), _series("2.1", Modality="MR", **mr)]], headers))
    write_examinations(ws, [PAIR], headers)
    found = examination_rows(ws)
    assert tuple(found["P1"][word] for word in ("age", "age_source", "age_differs_by")) == row
    text = dict(baseline_rows({"P1": ROW}, found, Clinical())).get("Age, years", "")
    assert ("otherwise" in text) == bool(row[2])


def test_interventions_between_the_examinations_are_counted() -> None:
    s = AttributionSettings()
    assert "not known" in interventions([ROW], Clinical(), s)
    known = Clinical(therapies={"S1": [("PRRT", "2019-03-20")]})
    assert "in 1 of 2 pairs" in interventions([ROW, {**ROW, "patient_id": "S2"}], known, s)
