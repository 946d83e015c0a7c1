"""The simulated archive is valid DICOM that says what the truth says: geometry, activity, b-values, reports."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.volume import Volume
from liverpair.simulate import DEFAULT_CASES, Case, LesionRequest, SimulatedPair, Truth, random_cases, simulate_pair
from liverpair.simulate.cases import WINDOW_DAYS
from liverpair.simulate.cohort import _examinations, _settings, write_cohort
from liverpair.simulate.mr_dicom import b_value_images
from liverpair.simulate.mr_enhanced import write_enhanced_mr
from liverpair.simulate.objects import FileNames
from liverpair.simulate.space import rotation_matrix
from pydicom.errors import InvalidDicomError

SEED = 77
LESION = (LesionRequest(22, 5.0, "metastasis", "deep"),)
#: Every vendor's way to state activity; only the first has an MRI, the rest are PET/CT alone to be quick.
CASES = (
    Case("siemens", 1, "TP", LESION, traps=("midnight",), anatomy=1),
    Case(
        "ge-private",
        2,
        "TP",
        LESION,
        pet_vendor="ge",
        tracer="64Cu-DOTATATE",
        traps=("late_series_time", "private_reference", "dose_in_mbq"),
        with_mr=False,
    ),
    Case("philips-none", 3, "TP", LESION, pet_vendor="philips", traps=("decay_none",), with_mr=False, language="en"),
    Case("philips-suv", 4, "TP", LESION, pet_vendor="philips", traps=("philips_suv_factor", "zipped"), with_mr=False),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A small archive, written once."""
    out = tmp_path_factory.mktemp("cohort")
    truth = write_cohort(out, SEED, CASES, jobs=1)
    for packed in out.glob("*.zip"):
        shutil.unpack_archive(packed, out / f"{packed.stem}-unpacked")
    return out, truth


@pytest.fixture(scope="module")
def series(cohort: tuple[Path, Truth]) -> dict[str, list[pydicom.Dataset]]:
    """Every readable object by Series Instance UID, in order along the slice normal."""
    found: dict[str, dict[str, pydicom.Dataset]] = defaultdict(dict)
    for path in sorted(p for p in cohort[0].rglob("*") if p.is_file()):
        try:
            data = pydicom.dcmread(path)
        except InvalidDicomError:
            continue
        found[data.SeriesInstanceUID][data.SOPInstanceUID] = data
    return {uid: sorted(items.values(), key=_position) for uid, items in found.items()}


def _position(data: pydicom.Dataset) -> float:
    if "ImageOrientationPatient" not in data:
        return 0.0
    axes = np.asarray(data.ImageOrientationPatient, dtype=float)
    return float(np.cross(axes[:3], axes[3:]) @ np.asarray(data.ImagePositionPatient, dtype=float))


@functools.cache
def _simulated(number: int) -> SimulatedPair:
    return simulate_pair(SEED * 10007 + number, _settings(CASES[number], SEED))


def _stack(items: list[pydicom.Dataset]) -> np.ndarray:
    return np.stack(
        [d.pixel_array.T * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0)) for d in items],
        axis=-1,
    )


def _moment(date: str, time: str) -> datetime:
    return datetime.strptime(date + time, "%Y%m%d%H%M%S.%f")


def _suv_factor(data: pydicom.Dataset, weight_kg: float) -> float:
    """SUVbw per rescaled value, written here from the standard's text, independent of the dicom room."""
    item = data.RadiopharmaceuticalInformationSequence[0]
    dose, half_life = float(item.RadionuclideTotalDose), float(item.RadionuclideHalfLife)
    dose = dose * 1e6 if dose < 1e5 else dose
    acquired = _moment(data.AcquisitionDate, data.AcquisitionTime)
    injected = _moment(data.AcquisitionDate, item.RadiopharmaceuticalStartTime)
    injected = injected - timedelta(days=1) if injected > acquired else injected
    rate = np.log(2) / half_life
    if data.DecayCorrection == "NONE":
        frame = float(data.ActualFrameDuration) / 1000
        factor = rate * frame / (1 - np.exp(-rate * frame)) * np.exp(rate * (acquired - injected).total_seconds())
    else:
        reference = _moment(data.SeriesDate, data.SeriesTime)
        if (0x0009, 0x100D) in data:
            value = data[0x0009, 0x100D].value
            text = value.decode() if isinstance(value, bytes) else str(value)
            reference = datetime.strptime(text.strip(), "%Y%m%d%H%M%S.%f")
        factor = np.exp(rate * (reference - injected).total_seconds())
    if data.Units == "CNTS":
        factor *= float(data[0x7053, 0x1009].value)
    return float(factor * weight_kg * 1000 / dose)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_suv_formula_recovers_the_simulated_suv_within_quantisation(
    number: int, cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    pair, truth = _simulated(number), cohort[1].pairs[number]
    items = series[truth.series["pet-ac"]]
    slopes = np.array([float(d.RescaleSlope) for d in items])
    factors = np.array([_suv_factor(d, truth.weight_kg) for d in items])
    suv = _stack(items) * factors
    assert np.abs(suv - pair.pet.values).max() <= (0.51 * slopes * factors).max() + 1e-4 * pair.pet.values.max()
    assert len(np.unique(slopes)) > len(slopes) // 2


def test_the_philips_suv_factor_gives_the_same_suv_directly(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    items = series[cohort[1].pairs[3].series["pet-ac"]]
    direct = np.array([float(d[0x7053, 0x1000].value) for d in items])
    by_activity = np.array([_suv_factor(d, cohort[1].pairs[3].weight_kg) for d in items])
    np.testing.assert_allclose(direct, by_activity, rtol=1e-4)


def test_series_time_alone_would_mislead_where_the_reconstruction_is_late(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    first = series[cohort[1].pairs[1].series["pet-ac"]][0]
    assert _moment(first.SeriesDate, first.SeriesTime) > _moment(first.AcquisitionDate, first.AcquisitionTime)


@pytest.mark.parametrize("role", ["ct", "pet-ac", "mr-hbp", "mr-t2", "mr-adc"])
def test_geometry_and_values_survive_the_way_through_dicom(
    role: str, cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    pair = _simulated(0)
    volume = {"ct": pair.ct, "pet-ac": pair.pet}.get(role) or pair.mr[role]
    items = series[cohort[1].pairs[0].series[role]]
    rows, columns = (np.asarray(items[0].ImageOrientationPatient[a:b], dtype=float) for a, b in ((0, 3), (3, 6)))
    spacing = np.asarray(items[0].PixelSpacing, dtype=float)
    first, last = (np.asarray(items[n].ImagePositionPatient, dtype=float) for n in (0, -1))
    affine = np.eye(4)
    affine[:3] = np.column_stack([rows * spacing[1], columns * spacing[0], (last - first) / (len(items) - 1), first])
    np.testing.assert_allclose(affine, volume.grid.affine, atol=1e-4)
    if role != "pet-ac":
        lower, upper = (-1024, 3071) if role == "ct" else (0, 4095)
        assert np.abs(_stack(items) - np.clip(volume.values, lower, upper)).max() <= 0.501


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_dcm2niix_reads_the_same_geometry_and_values(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]], tmp_path: Path
) -> None:
    pair = _simulated(0)
    for role in ("ct", "mr-hbp"):
        source, target = tmp_path / f"{role}-in", tmp_path / role
        source.mkdir()
        target.mkdir()
        for n, data in enumerate(series[cohort[1].pairs[0].series[role]]):
            data.save_as(source / f"{n}.dcm")
        subprocess.run(
            ["dcm2niix", "-z", "n", "-f", "image", "-o", str(target), str(source)], check=True, capture_output=True
        )
        image = nibabel.load(next(target.glob("*.nii")))
        volume = pair.ct if role == "ct" else pair.mr[role]
        ours = nibabel.Nifti1Image(volume.values, lps_to_ras(volume.grid.affine))
        same = nibabel.as_closest_canonical(image)
        np.testing.assert_allclose(same.affine, nibabel.as_closest_canonical(ours).affine, atol=0.01)
        expected = nibabel.as_closest_canonical(ours).get_fdata()
        assert np.abs(same.get_fdata() - np.maximum(expected, -1024)).max() <= 0.51


def test_one_diffusion_series_holds_three_b_values_in_private_tags(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    pair, items = _simulated(0), series[cohort[1].pairs[0].series["mr-dwi"]]
    stated = [int(d[0x0019, 0x100C].value) for d in items]
    assert {b: stated.count(b) for b in set(stated)} == dict.fromkeys((50, 400, 800), len(items) // 3)
    assert all("DiffusionBValue" not in d for d in items)
    low = _stack([d for d, b in zip(items, stated, strict=True) if b == 50])
    expected = b_value_images(pair.mr["mr-dwi"], pair.mr["mr-adc"])[50].values
    assert np.abs(low - np.clip(expected, 0, 4095)).max() <= 0.501


def test_an_enhanced_object_holds_every_slice_at_its_place_though_out_of_order(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation_matrix((4.0, -3.0, 6.0)) * [1.4, 1.5, 6.0]
    affine[:3, 3] = (-120.0, -90.0, 33.0)
    values = np.random.default_rng(1).integers(0, 900, (12, 10, 7)).astype(np.float32)
    image = Volume(values, Grid(values.shape, affine))
    exam, _ = _examinations(CASES[0], SEED, 0, 70.0)
    write_enhanced_mr(exam, "philips", "mr-t2", image, 5.0, FileNames(tmp_path, np.random.default_rng(2)), 3)
    data = pydicom.dcmread(next(p for p in tmp_path.rglob("*") if p.is_file()))
    frames = data.pixel_array
    positions = [
        np.array(f.PlanePositionSequence[0].ImagePositionPatient, float) for f in data.PerFrameFunctionalGroupsSequence
    ]
    slices = [round(float(image.grid.to_index(p)[2])) for p in positions]
    assert sorted(slices) == list(range(7))
    assert slices != sorted(slices)
    for frame, k, position in zip(frames, slices, positions, strict=True):
        np.testing.assert_allclose(position, image.grid.to_world((0, 0, k)), atol=1e-3)
        assert np.array_equal(frame.T, values[:, :, k])


def test_the_archive_is_careless_like_a_real_one(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    out, truth = cohort
    kinds = {(e.level, e.why) for e in truth.exclusions}
    assert {
        ("file", "not_dicom"),
        ("file", "truncated"),
        ("file", "duplicate"),
        ("series", "not_corrected"),
        ("series", "localizer"),
        ("series", "report"),
        ("series", "secondary_capture"),
    } <= kinds
    for exclusion in truth.exclusions:
        if exclusion.level == "file":
            assert (out / exclusion.id).exists()
        elif exclusion.level == "series":
            assert exclusion.id in series
    names = sorted(p.name for p in out.rglob("I*") if p.is_file())
    positions = {d.SOPInstanceUID: d.InstanceNumber for items in series.values() for d in items}
    assert len(names) > 300
    assert len(positions) > 300
    used = {uid for pair in truth.pairs for uid in pair.series.values()}
    assert not used & {e.id for e in truth.exclusions}


def test_a_nac_series_says_that_it_is_not_corrected(
    cohort: tuple[Path, Truth], series: dict[str, list[pydicom.Dataset]]
) -> None:
    nac = next(e.id for e in cohort[1].exclusions if e.why == "not_corrected")
    corrected = cohort[1].pairs[0].series["pet-ac"]
    assert all("ATTN" not in d.CorrectedImage for d in series[nac])
    assert all("ATTN" in d.CorrectedImage for d in series[corrected])


def test_the_truth_file_holds_what_the_program_returns(cohort: tuple[Path, Truth]) -> None:
    out, truth = cohort
    stored = json.loads((out / "truth.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(truth.as_json()))
    pair = truth.pairs[0]
    assert pair.pair_id == "P" + hashlib.sha256(f"{pair.pet_study_uid}|{pair.mr_study_uid}".encode()).hexdigest()[:12]
    simulated = _simulated(0)
    np.testing.assert_allclose(simulated.to_moving(np.array(pair.landmarks_pet)), pair.landmarks_mr, atol=2e-3)
    for lesion in pair.lesions:
        np.testing.assert_allclose(simulated.to_moving([lesion.pet_lps])[0], lesion.mr_lps, atol=2e-3)


def test_reports_name_what_their_examination_shows(cohort: tuple[Path, Truth]) -> None:
    with (cohort[0] / "reports.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["modality"] for r in rows].count("PT") == len(CASES)
    assert [r["modality"] for r in rows].count("MR") == 1
    for row in rows:
        assert "etastas" in row["text"]
        datetime.strptime(row["study_date"], "%Y-%m-%d")
        assert "Simulated" not in row["text"]


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.mark.slow
def test_the_archive_is_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path) -> None:
    cases = (CASES[3], replace(CASES[2], tracer="18F-FDG", lesions=()))
    write_cohort(tmp_path / "one", 3, cases, jobs=1)
    write_cohort(tmp_path / "two", 3, cases, jobs=2)
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two")


def test_the_demo_holds_every_outcome_once_at_least() -> None:
    expected = [case.expected for case in DEFAULT_CASES]
    assert {"TP", "TN", "FN", "FP", "not_evaluable", "not_paired"} <= set(expected)
    assert {case.fn_cause for case in DEFAULT_CASES if case.expected == "FN"} == {"size", "low_ssr"}
    paired = [case for case in DEFAULT_CASES if case.with_mr and case.expected != "not_paired"]
    assert all(abs(case.interval_days) <= WINDOW_DAYS for case in paired)
    assert len({case.patient for case in paired}) < len(paired)
    assert any(case.tracer == "18F-FDG" for case in DEFAULT_CASES)
    assert any(abs(case.interval_days) > WINDOW_DAYS for case in DEFAULT_CASES)
    assert (
        {case.pet_vendor for case in DEFAULT_CASES}
        == {case.mr_vendor for case in DEFAULT_CASES}
        == {"siemens", "ge", "philips"}
    )


def test_random_cases_repeat_with_their_seed_and_stay_in_the_window() -> None:
    first, again, other = random_cases(40, 5), random_cases(40, 5), random_cases(40, 6)
    assert first == again
    assert first != other
    assert {case.expected for case in random_cases(10, 7)} == {case.expected for case in first}
    assert all(abs(case.interval_days) <= WINDOW_DAYS for case in first)
    assert {case.expected for case in first} == {"TP", "TN", "FN", "FP", "not_evaluable"}
    assert len({case.patient for case in first}) < 40


@pytest.mark.slow
def test_the_demo_cohorts_expectations_follow_from_physics(tmp_path: Path) -> None:
    truth = write_cohort(tmp_path, 2026)
    for pair in truth.pairs:
        seen = [le.visible_pet for le in pair.lesions if le.nature in ("metastasis", "inflammation")]
        malignant = [le for le in pair.lesions if le.nature == "metastasis"]
        if pair.expected == "TP":
            assert "yes" in seen
        if pair.expected == "FN":
            assert set(seen) == {"no"}
            assert all(le.diameter_mm < 6 for le in malignant) == (pair.fn_cause == "size")
        if pair.expected == "FP":
            assert seen == ["yes"]
            assert not malignant
        if pair.expected == "TN":
            assert not seen
