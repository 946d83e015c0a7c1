"""Pairs and exclusions of whole archives: every study ends somewhere, with a reason, whatever the archive holds."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import ConfigError, Refusal
from liverpair.dicom.cohort import Cohort, CohortSettings, build_cohort
from liverpair.dicom.pair_stacks import load_stacks
from liverpair.dicom.pairing import Dated, Window, pair_nearest
from liverpair.dicom.records import InstanceRecord, SeriesRecord

from tests.vendor_headers import ct, dwi, joined, pet, radiopharmaceutical, series, t1, t2

FDG = radiopharmaceutical("FDG", 6586.2, ("C-111A1", "SRT", "^18^Fluorine"))


def petct(study: str, day: str, patient: str = "P1", **header: Any) -> list[SeriesRecord]:
    same = {"study": study, "patient": patient, "StudyDate": day, "AcquisitionDate": day}
    slices = header.pop("slices", 200)
    return [pet(f"{study}.pet", **same, slices=slices, **header), ct(f"{study}.ct", **same, slices=slices)]


def mri(study: str, day: str, patient: str = "P1", **header: Any) -> list[SeriesRecord]:
    same = {"study": study, "patient": patient, "StudyDate": day, "AcquisitionDate": day, **header}
    return [
        t1(f"{study}.hbp", "092200", "t1_vibe_fs_tra_20min", **same),
        t2(f"{study}.t2", **same),
        joined(dwi(f"{study}.dwi", 50.0, **same), dwi(f"{study}.dwi", 800.0, **same)),
        dwi(f"{study}.adc", None, "ep2d_diff_ADC", ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], **same),
    ]


PATIENTS = ("P1", "P2", "")


def renamed(records: list[SeriesRecord], ending: str, study: str | None = None) -> list[SeriesRecord]:
    """The same images under other UIDs, as a second export writes them."""
    found = []
    for record in records:
        study_uid, series_uid = study or record.study_uid, record.series_uid + ending
        instances = tuple(
            InstanceRecord(
                f"{i.locator}{ending}",
                i.frame,
                {**i.header, "SOPInstanceUID": f"{i.get('SOPInstanceUID')}{ending}", "SeriesInstanceUID": series_uid},
            )
            for i in record.instances
        )
        found.append(SeriesRecord(series_uid, study_uid, record.patient_id, instances))
    return found


def reasons(cohort: Cohort) -> dict[str, str]:
    return {e.id: e.reason for e in cohort.exclusions if e.level == "study"}


def stacks_of(cohort: Cohort, pair_id: str, records: list[SeriesRecord]):
    """The pair's stacks, read again by reference."""
    by_uid = {(r.series_uid, r.study_uid, r.patient_id): r for r in records}
    return load_stacks(cohort.stacks[pair_id], lambda *names: by_uid[names])


def the_pair(cohort: Cohort):
    (pair,) = cohort.pairs
    return pair


def test_a_pet_ct_and_a_liver_mri_become_a_pair_with_every_role() -> None:
    records = petct("A", "20240310") + mri("B", "20240325")
    cohort = build_cohort(records)
    pair = the_pair(cohort)
    assert (pair.pet_study_uid, pair.mr_study_uid) == ("A", "B")
    assert (pair.pet_series_uid, pair.ct_series_uid) == ("A.pet", "A.ct")
    assert (pair.mr_hbp_series_uid, pair.mr_t2_series_uid, pair.mr_dwi_series_uid) == ("B.hbp", "B.t2", "B.dwi")
    assert pair.interval_days == 15
    assert pair.tracer == "68Ga-DOTATATE"
    stacks = stacks_of(cohort, pair.pair_id, records)
    assert set(stacks) == {"pet-ac", "ct", "mr-hbp", "mr-t2", "mr-dwi", "mr-adc"}
    assert stacks["mr-dwi"].key["DiffusionBValue"] == 800.0
    assert not cohort.exclusions
    assert pair.pair_id == "P" + hashlib.sha256(b"A|B").hexdigest()[:12]


def test_the_order_of_delivery_changes_nothing() -> None:
    records = petct("A", "20240310") + mri("B", "20240325") + mri("C", "20240401") + petct("D", "20231101")
    first = build_cohort(records)
    shuffled = records[:]
    random.Random(4).shuffle(shuffled)
    again = build_cohort(shuffled)
    assert first.pairs == again.pairs
    assert first.exclusions == again.exclusions
    assert first.series_rows == again.series_rows


@pytest.mark.parametrize(("days", "paired"), [(92, True), (93, False), (-92, True), (-93, False), (0, True)])
def test_the_window_is_inclusive_on_both_sides(days: int, paired: bool) -> None:
    day = (date(2024, 3, 10) + timedelta(days=days)).strftime("%Y%m%d")
    cohort = build_cohort(petct("A", "20240310") + mri("B", day))
    assert len(cohort.pairs) == int(paired)
    if not paired:
        assert reasons(cohort) == {"A": "mr_out_of_window", "B": "pet_out_of_window"}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (petct("A", "20240310", tracer=FDG), {"A": "not_ssr_tracer"}),
        (petct("A", "20240310", tracer=radiopharmaceutical("68Ga-PSMA-11")), {"A": "not_ssr_tracer"}),
        (petct("A", "20240310", tracer=radiopharmaceutical(None)), {"A": "tracer_unknown"}),
        (petct("A", "20240310", CorrectedImage=["NORM", "DECY"]), {"A": "no_ac_pet"}),
        (petct("A", "20240310"), {"A": "no_mr"}),
        (mri("B", "20240310"), {"B": "no_pet"}),
        (mri("B", "20240310", BodyPartExamined="KNEE"), {"B": "not_liver_mr"}),
        ([series("B.loc", "B", SeriesDescription="localizer")], {"B": "not_liver_mr"}),
        ([ct("C.ct", "C")], {"C": "neither_pet_nor_mr"}),
        (petct("A", "20240310", slices=10), {"A": "pet_without_liver"}),
    ],
)
def test_studies_that_cannot_be_paired_are_excluded_with_their_reason(records, expected) -> None:
    cohort = build_cohort(records)
    assert reasons(cohort) == expected
    assert not cohort.pairs


def test_a_study_without_any_date_is_excluded_and_one_with_other_dates_is_used() -> None:
    undated = mri("B", "20240325", StudyDate=None, AcquisitionDate=None)
    assert reasons(build_cohort(petct("A", "20240310") + undated)) == {"A": "no_mr", "B": "missing_date"}
    dated = mri("B", "20240325", StudyDate=None, AcquisitionDate=None, SeriesDate="20240325")
    assert the_pair(build_cohort(petct("A", "20240310") + dated)).interval_days == 15


def test_each_examination_serves_once_and_the_nearest_wins() -> None:
    cohort = build_cohort(petct("A", "20240310") + mri("B", "20240325") + mri("C", "20240320"))
    assert the_pair(cohort).mr_study_uid == "C"
    assert reasons(cohort) == {"B": "pet_already_paired"}


def test_two_pets_share_an_mri_only_when_told() -> None:
    records = petct("A", "20240301") + petct("D", "20240401") + mri("B", "20240310")
    alone = build_cohort(records)
    assert the_pair(alone).pet_study_uid == "A"
    assert reasons(alone) == {"D": "mr_already_paired"}
    shared = build_cohort(records, CohortSettings(mr_reuse=True))
    assert {p.pet_study_uid for p in shared.pairs} == {"A", "D"}
    assert not shared.exclusions


def test_the_closest_are_paired_first_even_where_that_leaves_others_alone() -> None:
    """A reader never takes an MRI of 69 days for a PET so that another PET may leave its MRI of the next day."""
    records = petct("A", "20240309") + petct("D", "20240101") + mri("B", "20240310") + mri("C", "20240601")
    cohort = build_cohort(records)
    assert {p.pet_study_uid: p.mr_study_uid for p in cohort.pairs} == {"A": "B"}
    assert reasons(cohort) == {"C": "pet_already_paired", "D": "mr_already_paired"}


def test_of_two_mris_on_one_day_the_one_with_a_hepatobiliary_phase_is_taken() -> None:
    plain = [t2("B.t2", study="B", StudyDate="20240320", AcquisitionTime="150000")]
    cohort = build_cohort(petct("A", "20240310") + plain + mri("C", "20240320"))
    assert the_pair(cohort).mr_study_uid == "C"
    assert reasons(cohort) == {"B": "pet_already_paired"}


def test_patients_are_not_joined_by_a_changed_id() -> None:
    cohort = build_cohort(petct("A", "20240310", "P1") + mri("B", "20240310", "P2"))
    assert not cohort.pairs
    assert reasons(cohort) == {"A": "no_mr", "B": "no_pet"}


def test_issuers_are_joined_only_when_told() -> None:
    records = petct("A", "20240310", IssuerOfPatientID="X") + mri("B", "20240310", IssuerOfPatientID="Y")
    records[1:2] = [ct("A.ct", "A", StudyDate="20240310", IssuerOfPatientID="X")]
    assert not build_cohort(records).pairs
    assert len(build_cohort(records, CohortSettings(join_issuers=True)).pairs) == 1


def test_a_study_with_two_patient_ids_is_excluded_not_guessed() -> None:
    broken = petct("A", "20240310", "P1")[:1] + petct("A", "20240310", "P2")[1:]
    cohort = build_cohort(broken + mri("B", "20240310"))
    assert reasons(cohort)["A"] == "patient_id_conflict"
    assert not cohort.pairs


def test_the_ct_of_a_split_study_is_found_by_its_frame_of_reference() -> None:
    own = {"StudyDate": "20240310", "FrameOfReferenceUID": "F"}
    records = [pet("A.pet", "A", **own), ct("Z.ct", "Z", **own), *mri("B", "20240325")]
    cohort = build_cohort(records)
    assert the_pair(cohort).ct_series_uid == "Z.ct"
    assert reasons(cohort) == {"Z": "counted_with_examination"}


def test_a_pet_without_any_ct_stays_a_pair_and_says_so() -> None:
    pair = the_pair(build_cohort(petct("A", "20240310")[:1] + mri("B", "20240325")))
    assert pair.ct_series_uid == ""
    assert (pair.status, pair.reason) == ("included", "no_ct")


def test_the_corrected_series_is_taken_beside_an_uncorrected_one_and_a_second_delivery() -> None:
    same = {"study": "A", "StudyDate": "20240310"}
    records = petct("A", "20240310")
    records += [
        pet("A.nac", CorrectedImage=["NORM", "DECY"], **same),
        pet("A.pet2", **same),
        pet("A.mip", SeriesDescription="MIP", **same),
    ]
    pair = the_pair(build_cohort(records + mri("B", "20240325")))
    assert pair.pet_series_uid == "A.pet"


def test_an_fdg_series_in_the_same_study_is_not_taken() -> None:
    records = [pet("A.fdg", "A", tracer=FDG, StudyDate="20240310"), *petct("A", "20240310")]
    assert the_pair(build_cohort(records + mri("B", "20240325"))).pet_series_uid == "A.pet"


def test_a_study_delivered_twice_under_another_uid_counts_once() -> None:
    cohort = build_cohort(
        petct("A", "20240310") + petct("A2", "20240310") + mri("B", "20240325") + mri("C", "20240326")
    )
    assert the_pair(cohort).pet_study_uid == "A"
    assert reasons(cohort) == {"A2": "duplicate_study", "C": "pet_already_paired"}


def test_the_soft_kernel_ct_of_the_session_is_taken_not_the_lung_one() -> None:
    lung = ct("A.0lung", "A", StudyDate="20240310", ConvolutionKernel="B70f", SeriesDescription="Thorax Lunge B70f")
    pair = the_pair(build_cohort([lung, *petct("A", "20240310"), *mri("B", "20240325")]))
    assert pair.ct_series_uid == "A.ct"


def test_an_mri_without_a_hepatobiliary_phase_is_used_with_what_it_holds() -> None:
    only_t2 = [
        t2("B.t2", study="B", StudyDate="20240325"),
        dwi("B.adc", None, "ADC", study="B", StudyDate="20240325", ImageType=["DERIVED", "SECONDARY", "ADC"]),
    ]
    cohort = build_cohort(petct("A", "20240310") + only_t2)
    pair = the_pair(cohort)
    assert (pair.mr_hbp_series_uid, pair.mr_t2_series_uid, pair.mr_dwi_series_uid) == ("", "B.t2", "")
    assert set(cohort.stacks[pair.pair_id]) == {"pet-ac", "ct", "mr-t2", "mr-adc"}


def test_the_lutetium_patient_without_ct_pairs_and_is_named_therapeutic() -> None:
    lutetium = radiopharmaceutical(None, 574300.0, ("C-101ED", "99SDM", "177 Lutetium"), dose=7.2e9)
    cohort = build_cohort([pet("A.pet", "A", tracer=lutetium, DecayCorrection="ADMIN"), *mri("B", "20240325")])
    assert the_pair(cohort).tracer == "177Lu-SSR"
    row = next(r for r in cohort.series_rows if r["series_uid"] == "A.pet")
    assert "therapeutic" in row["tracer_flags"]


def test_series_rows_hold_one_row_a_series_with_role_and_reason() -> None:
    cohort = build_cohort(petct("A", "20240310") + mri("B", "20240325"))
    roles = {row["series_uid"]: row["role"] for row in cohort.series_rows}
    assert roles == {
        "A.pet": "pet-ac",
        "A.ct": "ct",
        "B.hbp": "mr-hbp",
        "B.t2": "mr-t2",
        "B.dwi": "mr-dwi",
        "B.adc": "mr-adc",
    }
    assert all(row["reason"] for row in cohort.series_rows)


# --- several studies that are one, and one study that is several ----------------------------------------------------


def test_an_mri_split_over_two_studies_serves_as_one_examination() -> None:
    whole = mri("B", "20240325")
    rest = [SeriesRecord(r.series_uid, "C", r.patient_id, r.instances) for r in whole[1:]]
    cohort = build_cohort(petct("A", "20240310") + whole[:1] + rest)
    pair = the_pair(cohort)
    assert (pair.mr_study_uid, pair.mr_hbp_series_uid) == ("B", "B.hbp")
    assert (pair.mr_t2_series_uid, pair.mr_dwi_series_uid) == ("B.t2", "B.dwi")
    assert reasons(cohort) == {"C": "counted_with_examination"}


def test_the_phases_of_a_split_mri_are_told_by_the_studies_together() -> None:
    """Nothing but the clock names the phases: alone, the last volume would be of unknown delay."""
    clocks = ("090000", "090120", "090155", "090230", "092100")
    dynamic = [t1(f"B.{n}", time, study="B", StudyDate="20240325", ContrastBolusAgent="Primovist")
               for n, time in enumerate(clocks)]  # fmt: skip
    late = SeriesRecord(dynamic[-1].series_uid, "C", "P1", dynamic[-1].instances)
    for delivered in (dynamic, [*dynamic[:-1], late]):
        pair = the_pair(build_cohort(petct("A", "20240310") + delivered))
        assert pair.mr_hbp_series_uid == "B.4"


def test_two_studies_run_together_under_one_uid_are_refused() -> None:
    run_together = [*mri("B", "20240325")[:1], t2("B.old", study="B", StudyDate="20230101")]
    cohort = build_cohort(petct("A", "20240310") + run_together)
    assert reasons(cohort) == {"A": "no_mr", "B": "study_date_conflict"}


@pytest.mark.parametrize(
    "other",
    [
        {"StationName": "MR2"},
        {"ManufacturerModelName": "Aera"},
        {"AcquisitionTime": "180000", "FrameOfReferenceUID": "9"},
    ],
)
def test_two_mris_of_one_day_on_two_scanners_or_hours_apart_stay_two(other: dict[str, Any]) -> None:
    own = {"StationName": "MR1", "ManufacturerModelName": "Skyra"}
    first = mri("B", "20240325", **own)[:1]
    second = [t2("C.t2", study="C", StudyDate="20240325", AcquisitionDate="20240325", **{**own, **other})]
    cohort = build_cohort(petct("A", "20240310") + first + second)
    assert (the_pair(cohort).mr_study_uid, the_pair(cohort).mr_t2_series_uid) == ("B", "")
    assert reasons(cohort) == {"C": "pet_already_paired"}


def test_an_mri_delivered_again_under_new_uids_counts_once() -> None:
    whole = mri("B", "20240325")
    records = petct("A", "20240310") + petct("D", "20240401") + whole + renamed(whole, ".x", study="C")
    cohort = build_cohort(records)
    assert (the_pair(cohort).pet_study_uid, the_pair(cohort).mr_study_uid) == ("D", "B")
    assert reasons(cohort) == {"A": "mr_already_paired", "C": "duplicate_study"}


def test_a_series_delivered_twice_within_a_study_is_named_a_duplicate() -> None:
    whole = mri("B", "20240325")
    cohort = build_cohort(petct("A", "20240310") + whole + renamed(whole[1:2], ".z"))
    assert the_pair(cohort).mr_t2_series_uid == "B.t2"
    assert {e.id: e.reason for e in cohort.exclusions} == {"B.t2.z": "duplicate_series"}


def test_two_tracers_under_one_study_uid_give_the_receptor_pet_and_a_reason_for_the_other() -> None:
    records = [pet("A.fdg", "A", tracer=FDG, StudyDate="20240310", AcquisitionTime="140000"), *petct("A", "20240310")]
    cohort = build_cohort(records + mri("B", "20240325"))
    assert the_pair(cohort).pet_series_uid == "A.pet"
    assert {e.id: e.reason for e in cohort.exclusions} == {"A.fdg": "not_ssr_tracer"}


def test_of_two_pets_on_one_day_the_one_with_a_ct_is_taken() -> None:
    late = [pet("D.pet", "D", StudyDate="20240310", AcquisitionTime="073000", FrameOfReferenceUID="X")]
    cohort = build_cohort(late + petct("E", "20240310") + mri("B", "20240325"))
    assert the_pair(cohort).pet_study_uid == "E"
    assert reasons(cohort) == {"D": "mr_already_paired"}


def test_a_hybrid_pairs_with_itself_and_is_no_exclusion() -> None:
    hybrid = petct("H", "20240310")[:1] + mri("H", "20240310")[:2]
    cohort = build_cohort(hybrid + mri("B", "20240325"))
    assert (the_pair(cohort).pet_study_uid, the_pair(cohort).mr_study_uid) == ("H", "H")
    assert reasons(cohort) == {"B": "pet_already_paired"}


# --- dates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["19000101", "00010101", "18991230", "99991231", "19700101"])
def test_a_placeholder_is_no_date(day: str) -> None:
    cohort = build_cohort(petct("A", "20240310") + mri("B", day))
    assert reasons(cohort) == {"A": "no_mr", "B": "implausible_date"}
    rescued = mri("B", day, AcquisitionDate="20240320")
    assert the_pair(build_cohort(petct("A", "20240310") + rescued)).interval_days == 10


def test_dates_that_were_removed_are_not_believed() -> None:
    gone = mri("B", "20240310", LongitudinalTemporalInformationModified="REMOVED")
    assert reasons(build_cohort(petct("A", "20240310") + gone))["B"] == "missing_date"
    shifted = mri("B", "20240310", LongitudinalTemporalInformationModified="MODIFIED")
    assert build_cohort(petct("A", "20240310") + shifted).pairs


def test_dates_shifted_into_the_future_keep_their_interval() -> None:
    assert the_pair(build_cohort(petct("A", "21240310") + mri("B", "21240325"))).interval_days == 15


def test_dates_that_contradict_each_other_are_told_in_the_pair() -> None:
    pair = the_pair(build_cohort(petct("A", "20240310") + mri("B", "20240325", AcquisitionDate="20230101")))
    assert (pair.interval_days, pair.reason) == (15, "dates_disagree")


# --- the window ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "paired"), [("20240309", True), ("20240308", False), ("20240409", True)])
def test_the_window_may_differ_before_and_after_the_pet(day: str, paired: bool) -> None:
    cohort = build_cohort(petct("A", "20240310") + mri("B", day), CohortSettings(days_before=1, days_after=30))
    assert bool(cohort.pairs) == paired


def test_negative_days_are_refused() -> None:
    with pytest.raises(ValueError, match="days_after is -1"):
        CohortSettings(days_after=-1)


# --- patients ------------------------------------------------------------------------------------------------------


def test_a_padded_patient_id_is_the_same_id() -> None:
    assert build_cohort(petct("A", "20240310", "P1 ") + mri("B", "20240310", "P1")).pairs


@pytest.mark.parametrize("one_more", ["p1", "P01", "00P1", "P-1", "P1_MR", "P1 a"])
def test_look_alike_ids_are_not_joined_but_told(one_more: str) -> None:
    cohort = build_cohort(petct("A", "20240310", "P1") + mri("B", "20240310", one_more))
    assert not cohort.pairs
    told = {e.id: "cohort.patient_map" in e.detail for e in cohort.exclusions}
    assert told == ({"A": False, "B": False} if one_more == "P01" else {"A": True, "B": True})


@pytest.mark.parametrize("nobody", ["ANONYMOUS", "Anonymized", "0000", "XXXX", "unbekannt", "-", "N/A"])
def test_a_placeholder_for_the_patient_id_names_nobody(nobody: str) -> None:
    cohort = build_cohort(petct("A", "20240310", nobody) + mri("B", "20240310", nobody))
    assert reasons(cohort) == {"A": "missing_patient_id", "B": "missing_patient_id"}


def test_a_missing_id_on_some_series_is_that_of_the_study() -> None:
    records = petct("A", "20240310", "P1")[:1] + petct("A", "20240310", "")[1:]
    pair = the_pair(build_cohort(records + mri("B", "20240310")))
    assert (pair.ct_series_uid, pair.patient_id) == ("A.ct", "P1")


def test_a_report_under_another_id_does_not_take_the_images_owner_away() -> None:
    note = series("A.sr", "A", "P2", slices=1, Modality="SR", ImagePositionPatient=None)
    cohort = build_cohort([*petct("A", "20240310"), note, *mri("B", "20240310")])
    assert the_pair(cohort).patient_id == "P1"
    assert {e.id: e.reason for e in cohort.exclusions} == {"A.sr": "patient_id_conflict"}


def test_two_sexes_under_one_id_are_not_one_person() -> None:
    cohort = build_cohort(petct("A", "20240310", PatientSex="F") + mri("B", "20240310", PatientSex="M"))
    assert reasons(cohort) == {"A": "patient_sex_conflict", "B": "patient_sex_conflict"}
    assert build_cohort(petct("A", "20240310", PatientSex="F") + mri("B", "20240310", PatientSex="O")).pairs


def test_a_map_joins_patients_whose_id_has_changed(tmp_path) -> None:
    table = tmp_path / "map.csv"
    table.write_text("old_id,new_id\nP1,Q1\nQ1,R1\n")
    records = petct("A", "20240310", "P1") + mri("B", "20240310", "R1")
    assert not build_cohort(records).pairs
    pair = the_pair(build_cohort(records, CohortSettings(patient_map=str(table))))
    assert (pair.patient_id, pair.interval_days) == ("R1", 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n", "old_id,new_id"),
        ("old_id,new_id\n1,\n", "line 2"),
        ("old_id,new_id\n1,2\n1,3\n", "line 3"),
        ("old_id;new_id\n1;2\n2;1\n", "circle"),
    ],
)
def test_a_map_that_says_nothing_sure_is_refused(tmp_path, text: str, problem: str) -> None:
    table = tmp_path / "map.csv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        build_cohort([], CohortSettings(patient_map=str(table)))
    with pytest.raises(ConfigError, match="cannot be read"):
        build_cohort([], CohortSettings(patient_map=str(tmp_path / "absent.csv")))


def test_a_stack_that_changed_since_pairing_is_refused() -> None:
    records = petct("A", "20240310") + mri("B", "20240325")
    cohort = build_cohort(records)
    changed = petct("A", "20240310", PatientWeight=80.0) + mri("B", "20240325")
    with pytest.raises(Refusal, match="index_changed"):
        stacks_of(cohort, the_pair(cohort).pair_id, changed)


# --- properties ---------------------------------------------------------------------------------------------------

STUDIES = {
    "petct": lambda uid, day, patient: petct(uid, day, patient, slices=40),
    "fdg": lambda uid, day, patient: petct(uid, day, patient, slices=40, tracer=FDG),
    "unknown": lambda uid, day, patient: petct(uid, day, patient, slices=40, tracer=radiopharmaceutical(None)),
    "nac": lambda uid, day, patient: petct(uid, day, patient, slices=40, CorrectedImage=["NORM", "DECY"]),
    "split pet": lambda uid, day, patient: petct(uid, day, patient, slices=40)[:1],
    "mri": lambda uid, day, patient: mri(uid, day, patient)[:2],
    "rest of an mri": lambda uid, day, patient: mri(uid, day, patient)[1:],
    "twice": lambda uid, day, patient: mri(uid, day, patient)[:1] + renamed(mri(uid, day, patient)[:1], ".again"),
    "knee": lambda uid, day, patient: mri(uid, day, patient, BodyPartExamined="KNEE")[:1],
    "ct": lambda uid, day, patient: [ct(f"{uid}.ct", uid, patient=patient, StudyDate=day, slices=40)],
    "undated": lambda uid, day, patient: mri(uid, day, patient, StudyDate=None, AcquisitionDate=None)[:1],
    "1900": lambda uid, day, patient: mri(uid, "19000101", patient)[:1],
    "hybrid": lambda uid, day, patient: petct(uid, day, patient, slices=40)[:1] + mri(uid, day, patient)[:2],
    "report": lambda uid, day, patient: [
        series(f"{uid}.sr", uid, patient, slices=1, Modality="SR", ImagePositionPatient=None, StudyDate=day)
    ],
    "two patients": lambda uid, day, patient: (
        petct(uid, day, patient, slices=40)[:1] + petct(uid, day, f"{patient}X", slices=40)[1:]
    ),
    "stray": lambda uid, day, patient: [
        *petct(uid, day, patient, slices=40),
        series(f"{uid}.sr", uid, "P3", slices=1, Modality="SR", ImagePositionPatient=None, StudyDate=day),
    ],
}
archives = st.lists(
    st.tuples(st.sampled_from(sorted(STUDIES)), st.sampled_from([0, 1, 40, 90, 91, 200]), st.sampled_from(PATIENTS)),
    max_size=9,
)


@settings(max_examples=40, deadline=None)
@given(archives, st.booleans(), st.integers(0, 120))
def test_every_study_and_series_is_accounted_for_once_and_the_numbers_add_up(archive, reuse, window) -> None:
    records = []
    for number, (kind, day, patient) in enumerate(archive):
        written = (date(2023, 1, 1) + timedelta(days=day)).strftime("%Y%m%d")
        records += STUDIES[kind](f"S{number}", written, patient)
    cohort = build_cohort(records, CohortSettings(window_days=window, mr_reuse=reuse))
    flow = Counter(cohort.flow)
    assert flow["studies"] == len(archive) == flow["pet"] + flow["mr"] + flow["other"] - flow["hybrid"]
    assert flow["pet"] == flow["pet_paired"] + flow["pet_excluded"]
    assert flow["mr"] == flow["mr_paired"] + flow["mr_excluded"]
    assert flow["other"] == flow["other_excluded"]
    assert flow["pet_paired"] == len({p.pet_study_uid for p in cohort.pairs}) == len(cohort.pairs)
    named = {p.pet_study_uid for p in cohort.pairs} | {p.mr_study_uid for p in cohort.pairs}
    excluded = [e.id for e in cohort.exclusions if e.level == "study"]
    assert sorted([*named, *excluded]) == sorted(f"S{n}" for n in range(len(archive)))
    assert all(abs(p.interval_days) <= window for p in cohort.pairs)
    assert all(e.reason and e.detail for e in cohort.exclusions)
    if not reuse:
        assert len({p.mr_study_uid for p in cohort.pairs}) == len(cohort.pairs)
    rows = [row["series_uid"] for row in cohort.series_rows]
    assert sorted(rows) == sorted(r.series_uid for r in records)
    serving = {reference.series_uid for stacks in cohort.stacks.values() for reference in stacks.values()}
    aside = [e.id for e in cohort.exclusions if e.level == "series"]
    assert len(aside) == len(set(aside))
    assert not serving & set(aside)
    for row in cohort.series_rows:
        assert row["series_uid"] in serving | set(aside) or row["study_uid"] in excluded


days = st.lists(st.integers(0, 300), min_size=0, max_size=4)


@settings(max_examples=150, deadline=None)
@given(days, days, st.integers(0, 100), st.integers(0, 100))
def test_no_pet_and_mri_stay_apart_that_lie_closer_than_their_partners(pets, mris, before, after) -> None:
    origin = date(2023, 1, 1)
    first = [Dated(f"p{i}", origin + timedelta(days=d)) for i, d in enumerate(pets)]
    second = [Dated(f"m{i}", origin + timedelta(days=d)) for i, d in enumerate(mris)]
    found = pair_nearest(first, second, Window(before, after), reuse=False)
    assert len({i for i, _ in found}) == len({j for _, j in found}) == len(found)
    assert all(-before <= mris[j] - pets[i] <= after for i, j in found)
    own = {("p", i): abs(mris[j] - pets[i]) for i, j in found} | {("m", j): abs(mris[j] - pets[i]) for i, j in found}
    far = 10_000
    for i, j in itertools.product(range(len(pets)), range(len(mris))):
        if -before <= mris[j] - pets[i] <= after:
            assert abs(mris[j] - pets[i]) >= min(own.get(("p", i), far), own.get(("m", j), far))


@settings(max_examples=60, deadline=None)
@given(days, days, st.integers(0, 100))
def test_with_reuse_every_pet_has_its_nearest_mri(pets, mris, window) -> None:
    origin = date(2023, 1, 1)
    first = [Dated(f"p{i}", origin + timedelta(days=d)) for i, d in enumerate(pets)]
    second = [Dated(f"m{i}", origin + timedelta(days=d)) for i, d in enumerate(mris)]
    found = dict(pair_nearest(first, second, Window(window, window), reuse=True))
    for i, day in enumerate(pets):
        nearest = min((abs(m - day) for m in mris), default=window + 1)
        assert (i in found) == (nearest <= window)
        assert i not in found or abs(mris[found[i]] - day) == nearest


def test_the_real_lutetium_patient_and_the_real_mri_become_a_pair_without_ct(shared_data) -> None:
    """Issue 2's archive: two real people's images under one made-up identity."""
    import zipfile

    from liverpair.dicom.scan import scan

    records = []
    for path, day in (
        ("lu177_dotatate/SCAN_001_image.zip", "20181115"),
        ("liver_mri/SCAN_001_t2_image.zip", "20181120"),
        ("liver_mri/SCAN_001_adc_image.zip", "20181120"),
    ):
        with zipfile.ZipFile(shared_data / path) as archive:
            members = [n for n in archive.namelist() if n.endswith(".dcm")]
            frames = [f for n in members for f in scan(f"{path}!{n}", archive.open(n))]
        frames = [InstanceRecord(f.locator, f.frame, {**f.header, "PatientID": "P1", "StudyDate": day}) for f in frames]
        first = frames[0]
        records.append(SeriesRecord(first.get("SeriesInstanceUID"), first.get("StudyInstanceUID"), "P1", tuple(frames)))
    cohort = build_cohort(records)
    pair = the_pair(cohort)
    assert pair.tracer == "177Lu-SSR"
    assert (pair.ct_series_uid, pair.interval_days) == ("", 5)
    assert pair.reason == "no_ct;dates_disagree"  # the test moved the Study Dates, not the Acquisition Dates
    assert set(cohort.stacks[pair.pair_id]) == {"pet-ac", "mr-t2", "mr-adc"}


def test_series_that_are_no_candidates_are_listed_with_their_reason() -> None:
    same = {"study": "A", "StudyDate": "20240310"}
    extra = [
        pet("A.nac", CorrectedImage=["NORM", "DECY"], **same),
        ct("A.topo", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **same),
    ]
    cohort = build_cohort([*petct("A", "20240310"), *extra, *mri("B", "20240325")])
    listed = {e.id: e.reason for e in cohort.exclusions if e.level == "series"}
    assert listed == {"A.nac": "not_attenuation_corrected", "A.topo": "localizer"}


def test_a_study_without_a_sure_patient_still_has_its_series_listed() -> None:
    cohort = build_cohort(petct("A", "20240310", ""))
    assert reasons(cohort) == {"A": "missing_patient_id"}
    assert {row["series_uid"] for row in cohort.series_rows} == {"A.pet", "A.ct"}
