"""The command line on real DICOM: SUV, detection, measurement, segmentation, and a pair of two people's anatomies."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from liverpair.core.volume import Mask
from liverpair.dicom.load import load_image, load_labels
from liverpair.dicom.nifti import write_nifti
from scipy.ndimage import distance_transform_edt

from tests.study_support import liverpair, rows

#: The two contoured lesions of the real patient: volume mL (tolerance), SUVmax, centroid LPS mm (README of the data).
CONTOURED = {
    "lesion 1": (107.1, 0.03, 29.05, (-77.7, -187.4, 1445.8)),
    "lesion 2": (2.86, 0.08, 29.42, (-51.5, -263.7, 1418.7)),
}


def _answer(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    result = liverpair(*arguments, "--json")
    assert result.returncode == code, result.stderr
    return dict(json.loads(result.stdout))


def test_the_real_patients_suv_factor_is_stated_with_its_rule(shared_data: Path) -> None:
    said = _answer("suv", shared_data / "lu177_dotatate" / "SCAN_001_image.zip")
    assert said["status"] == "ok"
    assert np.allclose(said["factor"], 1.2896187e-5, rtol=1e-5)
    assert "ADMIN" in json.dumps(said)


def test_the_real_patients_lesions_are_measured_from_the_structure_set(shared_data: Path) -> None:
    folder = shared_data / "lu177_dotatate"
    said = _answer("measure", folder / "SCAN_001_image.zip", folder / "SCAN_001_rtstruct.zip")
    found = sorted(said["labels"], key=lambda row: -row["mesh_volume_mm3"])
    for row, (volume_ml, tolerance, suv_max, _) in zip(found, CONTOURED.values(), strict=True):
        assert row["voxel_volume_mm3"] / 1000 == pytest.approx(volume_ml, rel=tolerance)
        assert row["max"] == pytest.approx(suv_max, abs=0.01)


@pytest.mark.parametrize("margin_mm", [20.0, 40.0])
def test_both_contoured_lesions_are_detected_in_the_converted_volume(
    shared_data: Path, tmp_path: Path, margin_mm: float
) -> None:
    folder = shared_data / "lu177_dotatate"
    image = tmp_path / "suv.nii.gz"
    assert liverpair("convert", folder / "SCAN_001_image.zip", "-o", image).returncode == 0
    grid = load_image(image).grid
    contours = load_labels(folder / "SCAN_001_rtstruct.zip", grid)
    inside = np.logical_or.reduce([m.values for m in contours.masks.values()])
    around = distance_transform_edt(~inside, sampling=grid.spacing) <= margin_mm
    write_nifti(Mask(around, grid), tmp_path / "liver.nii.gz")
    result = liverpair("detect", image, "--role", "pet", "--liver", tmp_path / "liver.nii.gz", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "lesions.csv").open(newline="") as stream:
        found = np.array([[float(r[f"native_{a}_mm"]) for a in "xyz"] for r in csv.DictReader(stream)])
    for name, (volume_ml, _, _, centre) in CONTOURED.items():
        radius = (volume_ml * 3000 / 4 / np.pi) ** (1 / 3)
        assert np.linalg.norm(found - centre, axis=1).min() < radius, name


def test_the_real_abdominal_ct_gets_its_liver_or_says_why_not(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "totalseg_ct"
    output = tmp_path / "liver.nii.gz"
    result = liverpair("segment", folder / "example_ct_dicom.zip", "--role", "ct", "-o", output, "--json")
    if result.returncode == 1:
        assert json.loads(result.stdout)["reasons"]
        assert not output.exists()
        return
    assert result.returncode == 0, result.stderr
    model = load_labels(folder / "example_seg_dicom.nii.gz", load_image(output).grid).masks[5].values
    ours = np.asanyarray(nibabel.load(output).dataobj) > 0
    dice = 2 * np.count_nonzero(ours & model) / (np.count_nonzero(ours) + np.count_nonzero(model))
    assert dice >= 0.85


def _series(archive: Path) -> list[pydicom.Dataset]:
    with zipfile.ZipFile(archive) as members:
        names = [n for n in members.namelist() if n.endswith(".dcm")]
        return [pydicom.dcmread(io.BytesIO(members.read(name))) for name in names]


def _assemble(shared_data: Path, out: Path) -> None:
    """One made-up patient from two real people's examinations, five days apart."""
    chosen = {
        "lu177_dotatate/SCAN_001_image.zip": "20181115",
        "liver_mri/SCAN_001_t2_image.zip": "20181120",
        "liver_mri/SCAN_001_adc_image.zip": "20181120",
    }
    for number, (path, day) in enumerate(chosen.items()):
        folder = out / f"S{number}"
        folder.mkdir(parents=True)
        for k, dataset in enumerate(_series(shared_data / path)):
            dataset.PatientID, dataset.PatientName = "TWO-PEOPLE", "Made^Up"
            if dataset.Modality == "MR":  # a PET's dates stay: its SUV hangs on them
                dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
            dataset.save_as(folder / f"{k:04d}")


def test_two_peoples_anatomies_are_never_silently_matched(shared_data: Path, tmp_path: Path) -> None:
    _assemble(shared_data, tmp_path / "archive")
    result = liverpair("analyze", tmp_path / "archive", "-o", tmp_path / "ws")
    assert result.returncode == 0, result.stderr
    (pair,) = rows(tmp_path / "ws", "pairs")
    record = json.loads((tmp_path / "ws" / "cases" / pair["pair_id"] / "case.json").read_text())
    assert record["registration"] == "failed"
    assert not [r for r in rows(tmp_path / "ws", "lesions") if r["matched_lesion_id"]]
    (call,) = rows(tmp_path / "ws", "calls")
    assert call["outcome"] == "not_evaluable"
    assert "TWO-PEOPLE" not in (tmp_path / "ws" / "report" / "index.html").read_text()
