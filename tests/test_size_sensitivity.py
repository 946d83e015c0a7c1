"""The size-sensitivity curve: counts, fits, the closed form beside them, and the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from liverpair.core.errors import ConfigError, Refusal, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.nifti import write_nifti
from liverpair.dicom.records import SeriesRecord, Stack
from liverpair.dicom.split import split
from liverpair.evaluate.detectability import Scanner, detection_margin
from liverpair.evaluate.insertion import InsertSettings
from liverpair.evaluate.size_sensitivity import (
    SensitivitySettings,
    Trial,
    half_sizes,
    sensitivity_rows,
    try_insertions,
)
from liverpair.flow.cli import app
from liverpair.flow.verbs.detectability import DetectabilityRequest, chosen_pet, ct_of
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from tests.vendor_headers import ct, pet

SCANNER = Scanner(fwhm_mm=7.0, cov=0.1, threshold=4.4)
STEP = 4.0


def organ(semi: float = 56.0, cov: float = 0.1, seed: int = 5) -> tuple[Volume, Mask]:
    """A round liver of SUV 5 in a body of 1 with noise of 5 mm."""
    n = int(2 * (semi + 24) / STEP)
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -STEP * (n - 1) / 2
    grid = Grid((n, n, n), affine)
    inside = np.linalg.norm(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), axis=-1) < semi
    image = gaussian_filter(np.where(inside, 5.0, 1.0), 6.0 / FWHM_PER_SIGMA / STEP)
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=grid.shape), 5.0 / FWHM_PER_SIGMA / STEP)
    return Volume((image * (1 + cov * noise / noise.std())).astype(np.float32), grid, Unit.SUVBW), Mask(inside, grid)


def hottest(level: float) -> Callable[[Volume], NDArray[np.float64]]:
    """A detector that shows every voxel over a level."""

    def find(image: Volume) -> NDArray[np.float64]:
        return image.grid.to_world(np.argwhere(image.values > level))

    return find


def test_every_size_and_ratio_is_inserted_as_often_as_asked_and_only_where_allowed() -> None:
    image, liver = organ(cov=0.0)
    asked = SensitivitySettings((6.0, 30.0), (2.0, 8.0), places=5)
    occupied = np.zeros(liver.grid.shape, dtype=bool)
    occupied[: liver.grid.shape[0] // 2] = True
    seen: list[NDArray[np.float64]] = []

    def find(changed: Volume) -> NDArray[np.float64]:
        seen.append(changed.grid.to_world(np.argwhere(np.abs(changed.values - image.values) > 1.5)))
        return np.zeros((0, 3))

    trials = try_insertions(image, liver, 5.0, find, InsertSettings(6.0), asked, Mask(occupied, liver.grid))
    assert len(trials) == 20
    assert sorted({(t.diameter_mm, t.ratio) for t in trials}) == [(6.0, 2.0), (6.0, 8.0), (30.0, 2.0), (30.0, 8.0)]
    assert not any(t.found for t in trials)
    # 20 mm from the focus, less the largest lesion's radius and half a voxel
    assert min(at[:, 0].min() for at in seen if len(at)) > 20 - 15 - 2 * STEP


def test_a_hot_lesion_is_found_and_a_faint_one_is_not_by_a_plain_level() -> None:
    image, liver = organ(cov=0.0)
    asked = SensitivitySettings((12.0,), (1.2, 5.0), places=8)
    trials = try_insertions(image, liver, 5.0, hottest(8.0), InsertSettings(6.0), asked)
    assert {t.found for t in trials if t.ratio == 5.0} == {True}
    assert {t.found for t in trials if t.ratio == 1.2} == {False}


def test_the_same_seed_gives_the_same_trials_and_another_does_not() -> None:
    image, liver = organ()
    runs = [
        try_insertions(
            image, liver, 5.0, hottest(7.5), InsertSettings(6.0), SensitivitySettings((8.0,), (2.5,), 12, seed=seed)
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[2]) == len(runs[0])


def test_a_liver_full_of_foci_is_refused() -> None:
    image, liver = organ()
    with pytest.raises(Refusal, match="no_place_in_liver"):
        try_insertions(image, liver, 5.0, hottest(8.0), InsertSettings(6.0), SensitivitySettings(), liver)


def test_rows_count_and_stand_beside_the_closed_form() -> None:
    trials = [Trial(8.0, 3.0, n < 7) for n in range(10)] + [Trial(6.0, 3.0, False)] * 4
    small, large = sensitivity_rows(trials, SCANNER)
    assert (small["found"], small["inserted"], large["found"], large["inserted"]) == (0, 4, 7, 10)
    assert large["ci_low"] == pytest.approx(0.3475, abs=1e-4)  # Clopper–Pearson 7/10
    assert large["ci_high"] == pytest.approx(0.9333, abs=1e-4)
    assert small["p_detect"] < large["p_detect"]


def test_d50_is_recovered_from_a_known_curve() -> None:
    rng = np.random.default_rng(7)
    sizes = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)
    trials = [
        Trial(d, 2.0, bool(rng.random() < 1 / (1 + np.exp(-12 * np.log(d / 7.0))))) for d in sizes for _ in range(60)
    ]
    (row,) = half_sizes(trials, SCANNER)
    assert row["d50_mm"] == pytest.approx(7.0, abs=0.25)
    assert row["d50_ci_mm"][0] < 7.0 < row["d50_ci_mm"][1]
    assert row["d90_mm"] == pytest.approx(7.0 * 9 ** (1 / 12), abs=0.4)


def test_what_the_trials_do_not_show_is_said_and_not_stated() -> None:
    all_found, none_found, parted = (
        half_sizes([Trial(d, 2.0, found(d)) for d in (6.0, 8.0, 10.0) for _ in range(5)], SCANNER)[0]
        for found in (lambda d: True, lambda d: False, lambda d: d > 7)
    )
    assert all_found["d50_mm"] is None
    assert "every size" in all_found["note"]
    assert "no size" in none_found["note"]
    assert 6 < parted["d50_mm"] < 8
    assert parted["d50_ci_mm"] is None
    assert "Firth" in parted["note"]


def test_the_closed_forms_sizes_solve_its_margin() -> None:
    (row,) = half_sizes([Trial(8.0, 3.0, True), Trial(6.0, 3.0, False)], SCANNER)
    assert detection_margin(3.0, row["model_d50_mm"], SCANNER) == pytest.approx(0, abs=0.01)
    assert detection_margin(3.0, row["model_d90_mm"], SCANNER) == pytest.approx(1.2816, abs=0.01)
    (never,) = half_sizes([Trial(8.0, 1.05, False)], SCANNER)
    assert never["model_d50_mm"] is None  # 0.05 of contrast stays under 4.4 SDs of 0.1 at any size


def test_settings_that_make_no_sense_are_an_error() -> None:
    with pytest.raises(ConfigError):
        SensitivitySettings(ratios=(0.5,))
    with pytest.raises(ConfigError):
        SensitivitySettings(places=0)


def test_the_command_writes_table_numbers_and_pictures_and_finds_large_lesions_only(tmp_path: Path) -> None:
    image, liver = organ()
    write_nifti(image, tmp_path / "suv.nii.gz")
    write_nifti(liver, tmp_path / "liver.nii.gz")
    arguments = [str(tmp_path / "suv.nii.gz"), "--liver", str(tmp_path / "liver.nii.gz"), "--diameters", "3,14"]
    arguments += ["--ratios", "3", "--places", "6", "--fwhm", "6"]
    found = CliRunner().invoke(app, ["detectability", *arguments, "-o", str(tmp_path / "a"), "--json"])
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["scanner"]["fwhm_source"] == "settings"
    assert answer["scanner"]["cov"] == pytest.approx(0.1, rel=0.2)
    rows = list(csv.DictReader((tmp_path / "a" / "detectability.csv").open(encoding="utf-8")))
    assert [(r["diameter_mm"], r["found"]) for r in rows] == [("3.0", "0"), ("14.0", "6")]
    assert [float(r["p_detect"]) for r in rows] == pytest.approx([0, 1], abs=0.01)
    assert (tmp_path / "a" / "detectability.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "a" / "detectability.svg").read_text(encoding="utf-8")
    again = CliRunner().invoke(app, ["detectability", *arguments, "-o", str(tmp_path / "b")])
    assert again.exit_code == 0, again.output
    for name in ("csv", "json", "png", "svg"):
        one, two = ((tmp_path / folder / f"detectability.{name}").read_bytes() for folder in "ab")
        assert one == two, f"detectability.{name} differs between two runs"


def test_a_pet_without_liver_or_ct_is_refused_with_what_to_do(tmp_path: Path) -> None:
    image, _ = organ(semi=40.0)
    write_nifti(image, tmp_path / "suv.nii.gz")
    found = CliRunner().invoke(app, ["detectability", str(tmp_path / "suv.nii.gz"), "-o", str(tmp_path / "out")])
    assert found.exit_code == 2
    assert "no_liver_for_pet" in found.stderr
    assert "--liver" in found.stderr
    assert not (tmp_path / "out").exists()


def test_sizes_that_are_no_numbers_are_bad_input(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["detectability", str(tmp_path), "--diameters", "small"])
    assert found.exit_code == 2
    assert "--diameters" in found.stderr


def stacks_of(*records: SeriesRecord) -> list[Stack]:
    return [stack for record in records for stack in split(record)]


def test_the_ct_of_the_pets_own_study_is_taken_and_the_corrected_pet() -> None:
    corrected = pet("1.1", study="1", CorrectedImage=["DECY", "ATTN"])
    raw = pet("1.2", study="1", CorrectedImage=["DECY"])
    own, other = ct("1.3", study="1"), ct("2.3", study="2")
    stacks = stacks_of(raw, corrected, own, other)
    chosen = chosen_pet(stacks, DetectabilityRequest(Path("study"), Path("out")))
    assert chosen.series.series_uid == "1.1"
    assert ct_of(stacks, chosen).series.series_uid == "1.3"  # type: ignore[union-attr]  # there is one
    assert ct_of(stacks_of(corrected, other), chosen) is None
    named = chosen_pet(stacks, DetectabilityRequest(Path("study"), Path("out"), which="1.2"))
    assert named.series.series_uid == "1.2"
    with pytest.raises(UsageError, match="several PET"):
        chosen_pet(
            [*stacks, *stacks_of(pet("1.9", study="1", CorrectedImage=["ATTN"]))],
            DetectabilityRequest(Path("study"), Path("out")),
        )
    with pytest.raises(UsageError, match="no PET"):
        chosen_pet(stacks_of(own), DetectabilityRequest(Path("study"), Path("out")))


@pytest.mark.slow
def test_a_real_pet_without_its_ct_is_refused(shared_data: Path, tmp_path: Path) -> None:
    series = str(shared_data / "lu177_dotatate" / "SCAN_001_image.zip")
    found = CliRunner().invoke(app, ["detectability", series, "-o", str(tmp_path / "out")])
    assert found.exit_code == 2
    assert "no_liver_for_pet" in found.stderr
