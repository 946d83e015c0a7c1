"""The whole study from a DICOM archive to the report, on a simulated cohort, as a user runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from liverpair.flow.tables import COLUMNS
from liverpair.simulate.cohort import write_cohort

from tests.study_support import digest, liverpair, rows, truth_pairs

SEED = 31
#: A found lesion lies this near to the true one: half a PET resolution element, or within the lesion.
NEAR_MM = 5.0


@dataclass(frozen=True)
class Study:
    archive: Path
    workspace: Path
    said: str


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("study")
    write_cohort(root / "archive", SEED)
    result = liverpair("analyze", root / "archive", "-o", root / "ws", "--reports", root / "archive" / "reports.csv")
    assert result.returncode == 0, result.stderr
    return Study(root / "archive", root / "ws", result.stdout + result.stderr)


def test_the_pairs_are_exactly_those_that_were_simulated(study: Study) -> None:
    found = {(r["pet_study_uid"], r["mr_study_uid"], r["tracer"]) for r in rows(study.workspace, "pairs")}
    assert found == {(p["pet_study_uid"], p["mr_study_uid"], p["tracer"]) for p in truth_pairs(study.archive).values()}


def test_the_series_of_each_pair_are_those_that_were_simulated(study: Study) -> None:
    truth = truth_pairs(study.archive)
    columns = {"ct": "ct_series_uid", "pet-ac": "pet_series_uid", "mr-hbp": "mr_hbp_series_uid"}
    columns |= {"mr-t2": "mr_t2_series_uid", "mr-dwi": "mr_dwi_series_uid"}
    for row in rows(study.workspace, "pairs"):
        series = truth[row["pair_id"]]["series"]
        for role, column in columns.items():
            if role in series:
                assert row[column] == series[role], (truth[row["pair_id"]]["name"], role)


def test_what_must_not_be_paired_is_excluded_with_a_reason(study: Study) -> None:
    excluded = {r["id"]: r["reason"] for r in rows(study.workspace, "exclusions") if r["level"] == "study"}
    for pair in truth_pairs(study.archive, paired=False).values():
        assert pair["pet_study_uid"] in excluded, pair["name"]


def test_every_outcome_is_the_simulated_one(study: Study) -> None:
    truth = truth_pairs(study.archive)
    found = {truth[r["pair_id"]]["name"]: r["outcome"] for r in rows(study.workspace, "calls")}
    assert found == {p["name"]: p["expected"] for p in truth.values()}


def test_every_false_negative_gets_its_true_cause(study: Study) -> None:
    cause = {r["pair_id"]: r["primary_cause"] for r in rows(study.workspace, "attribution")}
    expected = {"size": "size", "low_ssr": "low_ssr_expression"}
    for pair_id, pair in truth_pairs(study.archive).items():
        if pair["expected"] == "FN":
            assert cause[pair_id] == expected[pair["fn_cause"]], pair["name"]


def _distances(truth: dict[str, Any], found: list[dict[str, str]], place: str) -> np.ndarray[Any, Any]:
    """Distance of each true lesion (rows) to each found one (columns) in mm."""
    true = np.array([x[place] for x in truth["lesions"]], dtype=float).reshape(-1, 3)
    here = np.array([[float(r[f"native_{a}_mm"]) for a in "xyz"] for r in found], dtype=float).reshape(-1, 3)
    return np.linalg.norm(true[:, None] - here[None], axis=2)


def _counted(study: Study, pair_id: str, modality: str) -> list[dict[str, str]]:
    benign = {"cyst", "haemangioma", "other_benign"}
    return [
        r
        for r in rows(study.workspace, "lesions")
        if r["pair_id"] == pair_id
        and r["modality"] == modality
        and float(r["confidence"]) >= 0.5
        and not benign & set(r["flags"].split(";"))
    ]


def test_mri_metastases_of_six_millimetres_and_more_are_found(study: Study) -> None:
    for pair_id, truth in truth_pairs(study.archive).items():
        found = _counted(study, pair_id, "MR")
        distance = _distances(truth, found, "mr_lps")
        for lesion, gaps in zip(truth["lesions"], distance, strict=True):
            if lesion["nature"] == "metastasis" and lesion["diameter_mm"] >= 6:
                near = min(gaps, default=np.inf)
                assert near <= max(NEAR_MM, lesion["diameter_mm"] / 2), (truth["name"], lesion["diameter_mm"], near)


def test_no_cyst_and_no_haemangioma_is_called_a_metastasis(study: Study) -> None:
    for pair_id, truth in truth_pairs(study.archive).items():
        found = _counted(study, pair_id, "MR")
        distance = _distances(truth, found, "mr_lps")
        for column in range(len(found)):
            nearest = truth["lesions"][int(np.argmin(distance[:, column]))] if len(truth["lesions"]) else None
            if nearest and distance[:, column].min() <= nearest["diameter_mm"] / 2:
                assert nearest["nature"] not in ("cyst", "haemangioma"), truth["name"]


def test_matched_lesions_are_the_same_lesion_in_truth(study: Study) -> None:
    wrong, all_links = 0, 0
    for pair_id, truth in truth_pairs(study.archive).items():
        lesions = {r["lesion_id"]: r for r in rows(study.workspace, "lesions") if r["pair_id"] == pair_id}
        for row in lesions.values():
            if row["modality"] == "MR" and row["matched_lesion_id"] and truth["lesions"]:
                partner = lesions[row["matched_lesion_id"].split(";")[0]]
                on_mr = int(np.argmin(_distances(truth, [row], "mr_lps")[:, 0]))
                on_pet = int(np.argmin(_distances(truth, [partner], "pet_lps")[:, 0]))
                all_links += 1
                wrong += on_mr != on_pet
    assert all_links >= 8
    assert wrong <= 0.1 * all_links


def test_the_workspace_keeps_the_contract(study: Study) -> None:
    for name, columns in COLUMNS.items():
        header = (study.workspace / "tables" / f"{name}.csv").read_text(encoding="utf-8").splitlines()[0]
        assert header.split(",") == list(columns)
    checker = Path(__file__).resolve().parents[2] / "shared" / "tools" / "check_workspace.py"
    if checker.exists():
        result = subprocess.run([sys.executable, str(checker), str(study.workspace)], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout


CASE_FILES = {
    "case.json", "provenance.json", "overview.png", "ct.nii.gz", "mr_hbp.nii.gz", "mr_t2.nii.gz", "mr_dwi.nii.gz",
    "mr_adc.nii.gz", "liver_ct.nii.gz", "liver_mr.nii.gz", "lesions_mr.nii.gz", "transform.h5",
    "transform_inverse.h5", "jacobian.nii.gz",
    "registration_uncertainty_mm.nii.gz",
}  # fmt: skip


def test_every_file_of_a_case_is_there(study: Study) -> None:
    for pair_id, truth in truth_pairs(study.archive).items():
        files = {p.name for p in (study.workspace / "cases" / pair_id).iterdir()}
        missing = CASE_FILES - files
        assert not missing, (truth["name"], missing)


def test_every_lesion_is_placed_in_its_liver(study: Study) -> None:
    placed = {(row["pair_id"], row["lesion_id"]): row for row in rows(study.workspace, "locations")}
    found = {(row["pair_id"], row["lesion_id"]) for row in rows(study.workspace, "lesions")}
    assert set(placed) == found
    assert all(row["text"] and 0 <= float(row["sector_probability"]) <= 1 for row in placed.values())


def test_the_flow_adds_up(study: Study) -> None:
    counts = json.loads((study.workspace / "tables" / "concordance.json").read_text())["counts"]
    assert sum(counts[k] for k in ("tp", "fp", "fn", "tn", "indeterminate", "not_evaluable")) == len(
        rows(study.workspace, "pairs")
    )
    paired = {r[c] for r in rows(study.workspace, "pairs") for c in ("pet_study_uid", "mr_study_uid")}
    excluded = {r["id"] for r in rows(study.workspace, "exclusions") if r["level"] == "study"}
    everything = {r["study_uid"] for r in rows(study.workspace, "series")}
    assert everything <= paired | excluded


def test_no_patient_identity_leaves_the_tables(study: Study) -> None:
    patients = {r["patient_id"] for r in rows(study.workspace, "pairs")}
    texts = [study.said]
    for folder in ("report", "logs", "cases"):
        for path in (study.workspace / folder).rglob("*"):
            assert not any(p in path.name for p in patients)
            if path.suffix in (".json", ".html", ".log"):
                texts.append(path.read_text(encoding="utf-8"))
    for text in texts:
        assert not any(p in text for p in patients)
        assert "Simulated^" not in text


def test_the_report_names_every_pair_and_needs_no_network(study: Study) -> None:
    text = (study.workspace / "report" / "index.html").read_text(encoding="utf-8")
    pairs = rows(study.workspace, "pairs")
    assert all(row["pair_id"] in text for row in pairs)
    assert text.count('<article class="case"') == len(pairs)
    sheets = len(list((study.workspace / "cases").glob("*/lesions.png")))
    assert sheets > 0
    assert text.count('src="data:image/jpeg;base64,') == len(pairs) + sheets
    loads = re.findall(r'(?:src|href)="(?!#|data:)([^"]+)"', text)
    assert not loads, loads


def test_a_second_run_keeps_every_case_and_gives_the_same_bytes(study: Study) -> None:
    before = digest(study.workspace)
    result = liverpair(
        "analyze", study.archive, "-o", study.workspace, "--reports", study.archive / "reports.csv", "--json"
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["process"]["kept"] == said["process"]["cases"]
    assert digest(study.workspace) == before


def test_points_go_to_the_mri_and_back_through_the_stored_transform(study: Study, tmp_path: Path) -> None:
    done = {r["pair_id"]: r for r in rows(study.workspace, "calls")}
    pair_id, truth = next((k, v) for k, v in truth_pairs(study.archive).items() if done[k]["outcome"] == "TP")
    landmarks = np.array(truth["landmarks_pet"])
    np.savetxt(tmp_path / "p.csv", landmarks, delimiter=",", header="x,y,z", comments="")
    there = liverpair("transform-points", study.workspace, pair_id, tmp_path / "p.csv", "-o", tmp_path / "m.csv")
    back = liverpair(
        "transform-points", study.workspace, pair_id, tmp_path / "m.csv", "-o", tmp_path / "b.csv", "--to", "pet"
    )
    assert there.returncode == back.returncode == 0
    moved = np.loadtxt(tmp_path / "m.csv", delimiter=",", skiprows=1)
    returned = np.loadtxt(tmp_path / "b.csv", delimiter=",", skiprows=1)
    assert np.abs(returned - landmarks).max() < 0.05
    assert np.median(np.linalg.norm(moved - truth["landmarks_mr"], axis=1)) < 2.0


def test_an_unknown_pair_is_refused_by_name(study: Study) -> None:
    result = liverpair("process", study.workspace, "--only", "Pnone")
    assert result.returncode == 2
    assert "no pair Pnone" in result.stderr


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(study: Study, tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "liverpair"
    arguments = ["analyze", str(study.archive), "-o", str(tmp_path / "ws"), "--jobs", "1"]
    arguments += ["--reports", str(study.archive / "reports.csv")]
    process = subprocess.Popen([str(script), *arguments], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not list((tmp_path / "ws" / "cases").glob("P*/case.json")):
        time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    result = liverpair(*arguments)
    assert result.returncode == 0, result.stderr
    assert digest(tmp_path / "ws") == digest(study.workspace)
