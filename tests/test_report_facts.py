"""What the report is told of a workspace: flows that add up, missing series, refusals, diameters, pictures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Candidate, Detection, Lesion, Measurement, Modality
from liverpair.core.study import AlignedPair, Images, MatchedPair, SegmentedPair
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.flow.pictures import draw_case
from liverpair.flow.report_facts import (
    case_notes,
    diameters,
    exclusion_rows,
    flow_steps,
    level_counts,
    missing_rows,
    refusal_rows,
    sweep_tolerance,
)
from liverpair.flow.workspace import Workspace
from PIL import Image

PAIRS = [
    {"pair_id": "P1", "patient_id": "A", "pet_study_uid": "1", "mr_study_uid": "2", "mr_dwi_series_uid": ""},
    {"pair_id": "P2", "patient_id": "B", "pet_study_uid": "3", "mr_study_uid": "4", "mr_dwi_series_uid": "4.1"},
]
CALLS = [
    {"pair_id": "P1", "patient_id": "A", "outcome": "TP", "mr_report": "present", "pet_report": ""},
    {"pair_id": "P2", "patient_id": "B", "outcome": "not_evaluable", "mr_report": "", "pet_report": ""},
]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace.create(tmp_path / "ws")
    rows = [{"series_uid": f"{n}.1", "study_uid": str(n), "n_frames": 10} for n in range(1, 8)]
    patients = "AABBCDD"
    ws.write_table("series", [row | {"patient_id": p} for row, p in zip(rows, patients, strict=True)])
    ws.write_table("pairs", PAIRS)
    named = [("file", "a.txt", "not_dicom"), ("file", "b.txt", "not_dicom"), ("study", "5", "not_ssr_tracer")]
    twice = [("study", "5", "no_ct"), ("study", "2", "copy_of_another"), ("study", "6", "mr_out_of_window")]
    ws.write_table("exclusions", [{"level": a, "id": b, "reason": c} for a, b, c in named + twice])
    return ws


def test_every_step_of_the_flow_less_its_exclusions_is_the_next_step(workspace: Workspace) -> None:
    steps = flow_steps(workspace, CALLS)
    for step, following in pairwise(steps):
        if step.unit == following.unit:
            assert step.count - sum(n for _, n in step.excluded) == following.count
    assert [s.count for s in steps] == [70, 7, 4, 2, 1]
    assert sum(step.unit == following.unit for step, following in pairwise(steps)) == 2


def test_a_study_without_a_named_reason_is_not_lost(workspace: Workspace) -> None:
    excluded = dict(flow_steps(workspace, CALLS)[1].excluded)
    assert excluded["in no pair"] == 1  # study 7 stands in no exclusion
    assert sum(excluded.values()) == 3  # 5 has two reasons and counts once; 2 is in a pair


def test_patients_studies_and_pairs_are_counted_each_in_its_unit(workspace: Workspace) -> None:
    levels = {unit: (start, dict(aside)) for unit, start, aside in level_counts(workspace, CALLS)}
    assert levels["Patients"] == (4, {"in no pair": 2, "in no judged pair": 1})
    assert levels["Studies"] == (7, {"in no pair": 3, "in no judged pair": 2})
    assert levels["Pairs"] == (2, {"not evaluable or indeterminate": 1})


def test_exclusions_are_counted_by_level_and_reason(workspace: Workspace) -> None:
    rows = exclusion_rows(workspace)
    assert rows[0] == {"level": "file", "reason": "not_dicom", "n": 2}
    assert sum(row["n"] for row in rows) == 6


def test_missing_series_and_reports_are_counted() -> None:
    keys = ("ct_series_uid", "pet_series_uid", "mr_hbp_series_uid", "mr_t2_series_uid")
    rows = {r["what"]: r["missing"] for r in missing_rows([p | dict.fromkeys(keys, "x") for p in PAIRS], CALLS)}
    assert rows["diffusion-weighted MRI"] == 1
    assert rows["T2"] == 0
    assert rows["MRI report with a statement"] == 1
    assert rows["PET/CT report with a statement"] == 2


def test_refusals_and_failures_are_counted_by_reason() -> None:
    refused = {"status": "done", "refusals": {"pet-ac": {"reason": "weight_missing", "detail": ""}}}
    failed = {"status": "failed", "error": {"type": "ValueError", "detail": ""}}
    rows = refusal_rows([refused, refused, failed])
    assert {"series": "pet-ac", "reason": "weight_missing", "n": 2} in rows
    assert {"series": "whole pair", "reason": "ValueError", "n": 1} in rows


def test_the_notes_say_what_a_weak_registration_means() -> None:
    call = {"status": "present", "reason": ""}
    record = {
        "status": "done",
        "refusals": {"mr-t2": {"reason": "uneven_steps", "detail": "gaps"}},
        "calls": {"mr": {"status": "not_evaluable", "reason": "no_liver"}, "pet": call},
        "quality": {"registration": {"reasons": ["low_overlap"]}},
    }
    rigid = case_notes(record | {"registration": "rigid_only"})
    assert rigid[:2] == ["mr-t2: gaps (uneven_steps)", "MRI not evaluable: no liver"]
    assert rigid[2] == "Registration rigid only (low overlap): only larger lesions are matched by place."
    assert "not matched" in case_notes(record | {"registration": "failed"})[2]
    assert len(case_notes(record | {"registration": "usable"})) == 2
    assert case_notes(None) == ["This pair was not processed."]


def _record(sizes: dict[str, float], places: dict[str, float], **more: Any) -> dict[str, Any]:
    facts = {name: {"diameter_mm": size, "countable": True} for name, size in sizes.items()}
    lesions = [
        {"lesion_id": n, "modality": "MR" if n.startswith("M") else "PET", "x_mm": x, "y_mm": 0.0, "z_mm": 0.0}
        for n, x in places.items()
    ]
    return {"lesion_facts": facts, "lesions": lesions, "registration": "usable", "reference": {"mean": 5.0}} | more


def test_the_largest_diameters_of_images_and_reports_are_compared() -> None:
    records = {"P1": _record({"M01": 12.0, "M02": 8.0, "P01": 40.0}, {}), "P2": _record({"M01": 20.0}, {})}
    reports = {"2": {"largest_mm": 11.0}, "4": {"largest_mm": 22.0}}
    points, found = diameters(records, {p["pair_id"]: p for p in PAIRS}, reports)
    assert points == [(12.0, 11.0), (20.0, 22.0)]
    assert found is not None
    assert found["bias"] == pytest.approx(-0.5)


def test_without_sizes_in_reports_there_is_nothing_to_compare() -> None:
    assert diameters({"P1": _record({"M01": 12.0}, {})}, {"P1": PAIRS[0]}, {}) == ([], None)


def test_the_tolerance_sweep_counts_foci_within_radius_and_tolerance() -> None:
    record = _record({"M01": 10.0, "P01": 9.0}, {"M01": 0.0, "P01": 12.0})
    found = {row["tolerance_mm"]: (row["k"], row["false_foci"]) for row in sweep_tolerance([record])}
    assert found[5.0] == (0, 1)
    assert found[10.0] == (1, 0)
    assert sweep_tolerance([record | {"registration": "failed"}]) == []


def _matched(transform: SpatialTransform | None) -> MatchedPair:
    grid = Grid((40, 36, 20), np.diag([4.0, 4.0, 6.0, 1.0]))
    middle = np.array([80.0, 72.0, 60.0])
    places = grid.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    far = np.linalg.norm(places - middle, axis=-1)
    image = Volume((far < 50).astype(np.float32) * 100 + 5, grid, "HU")
    liver, spot = Mask(far < 50, grid), (far < 10).astype(np.uint16)
    detection = Detection(LabelMap(spot, grid), (Candidate(1, middle, 9.0, 0.9),))
    lesions = tuple(
        Lesion(name, modality, middle, middle, Measurement(long_axis_mm=20.0), 9.0, 0.9)
        for name, modality in (("P01", Modality.PET), ("M01", Modality.MR))
    )
    images = Images(None, image, image, {"mr-hbp": image}, {}, {})  # type: ignore[arg-type]  # a picture needs no pair
    verdict = "usable" if transform is not None else "failed"
    aligned = AlignedPair(images, liver, liver, transform, verdict, None, {"main_sequence": "mr-hbp"})
    return MatchedPair(SegmentedPair(aligned, None, detection, detection), lesions, {})


def test_a_pair_is_drawn_registered_or_not_and_always_the_same(tmp_path: Path) -> None:
    sizes = []
    for transform in (SpatialTransform(np.eye(4)), None):
        for name in ("a.png", "b.png"):
            draw_case(_matched(transform), "pair", tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        with Image.open(tmp_path / "a.png") as picture:
            sizes.append(picture.size)
    assert min(*sizes[0], *sizes[1]) > 400


def test_every_lesion_has_a_row_of_close_ups(tmp_path: Path) -> None:
    sizes = {}
    for name, transform in (("together", SpatialTransform(np.eye(4))), ("apart", None)):
        (tmp_path / name).mkdir()
        draw_case(_matched(transform), "pair", tmp_path / name / "overview.png")
        with Image.open(tmp_path / name / "lesions.png") as sheet:
            sizes[name] = sheet.size
    # two unmatched lesions are two rows; registered, each is on PET/CT, PET and MRI; else on its own images only
    assert sizes["together"][1] == sizes["apart"][1]
    assert 2 * sizes["together"][0] == 3 * sizes["apart"][0]


def test_a_pair_without_any_image_has_no_picture(tmp_path: Path) -> None:
    images = Images(None, None, None, {}, {}, {})  # type: ignore[arg-type]  # a picture needs no pair
    aligned = AlignedPair(images, None, None, None, "failed", None, {})
    draw_case(MatchedPair(SegmentedPair(aligned, None, None, None), (), {}), "pair", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_the_notes_say_what_the_examinations_corrected_of_each_others_liver_and_that_a_count_means_little() -> None:
    call = {"status": "present", "reason": ""}
    parts = [
        {"only_in": "mr", "volume_ml": 36.7, "cause": "fluid"},
        {"only_in": "ct", "volume_ml": 112.2, "cause": "lost_on_mr"},
    ]
    record = {
        "status": "done",
        "refusals": {},
        "calls": {"mr": call, "pet": call},
        "registration": "usable",
        "quality": {"registration": {"reasons": []}, "liver_agreement": {"parts": parts, "unexplained_share": 0.0}},
        "burden": {"mr": {"said": "Confluent disease: a count means little."}, "pet": None},
    }
    assert case_notes(record) == [
        "37 mL of fluid on CT (gallbladder, bile) was taken out of the MRI's liver.",
        "112 mL of liver that the MRI's mask had lost was given back from the CT.",
        "MRI: Confluent disease: a count means little.",
    ]
    carried = record | {"quality": {"registration": {"reasons": []}, "liver_agreement": {"carried": "ct_to_mr"}}}
    assert case_notes(carried)[0] == "The liver on MRI was carried over from the CT and placed on the MRI's own edges."
