"""Mistakes at the command line: what was found, why it is refused, what to do; exit code 2 and no traceback."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from liverpair.flow import tabular
from liverpair.flow.cli import app
from typer.testing import CliRunner

from tests.dicom_phantom import axial_slices, write_all


def _refused(*words: str | Path) -> str:
    """What a command says that must end with exit code 2, on one line."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    return " ".join(result.output.split())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), dtype=np.float32), np.eye(4)), path)
    return path


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.csv"
    path.write_text("patient_id,pair_id,reference,index\na,1,present,absent\n")
    return path


@pytest.mark.parametrize("command", ["register", "detect", "detectability", "evaluate", "demo", "segment", "label"])
def test_an_output_in_a_file_is_refused_before_any_work(tmp_path: Path, image: Path, calls: Path, command: str) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    given: dict[str, list[str | Path]] = {
        "register": [image, image, "-o", taken],
        "detect": [image, "--role", "pet", "-o", taken / "lesions"],
        "detectability": [image, "-o", taken],
        "evaluate": ["--calls", calls, "-o", taken],
        "demo": [taken],
        "segment": [image, "--role", "ct", "-o", taken / "liver.nii.gz"],
        "label": [calls, "-o", taken / "labels.csv"],
    }
    assert "is a file" in _refused(command, *given[command])
    assert taken.read_text() == "a file"


def test_a_folder_in_place_of_an_output_file_is_refused(tmp_path: Path, image: Path) -> None:
    folder = tmp_path / "liver.nii.gz"
    folder.mkdir()
    assert "is a folder; give the name of a file" in _refused("segment", image, "--role", "ct", "-o", folder)


def test_a_disk_that_fills_up_is_said_and_nothing_of_the_path(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/archive/MUELLER^HANS/report.html")

    monkeypatch.setattr(tabular, "evaluate_tables", full)
    told = _refused("evaluate", "--calls", calls, "-o", tmp_path / "out")
    assert "report.html could not be read or written: No space left on device" in told
    assert "MUELLER" not in told


def test_a_folder_without_dicom_is_told_from_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear colleague")
    for command in ("index", "analyze"):
        told = _refused(command, folder, "-o", tmp_path / command)
        assert "no DICOM object was found" in told
        assert "1 not_dicom" in told
    assert "holds no readable DICOM object" in _refused("suv", folder)
    assert "holds no readable DICOM object" in _refused("convert", folder, "-o", tmp_path / "x.nii.gz")


def test_a_series_without_a_place_and_a_nifti_file_are_said_to_be_what_they_are(tmp_path: Path, image: Path) -> None:
    placeless = axial_slices(2)
    for one in placeless:
        del one.ImagePositionPatient
    write_all(placeless, tmp_path / "placeless")
    assert "its DICOM series (1 of CT) hold none" in _refused("suv", tmp_path / "placeless")
    assert "this is a NIfTI file" in _refused("suv", image)


def test_a_nifti_file_whose_sides_nobody_knows_is_refused(tmp_path: Path) -> None:
    placeless = nibabel.Nifti1Image(np.ones((8, 8, 8), dtype=np.float32), None)
    nibabel.save(placeless, tmp_path / "placeless.nii.gz")
    told = _refused("segment", tmp_path / "placeless.nii.gz", "--role", "ct", "-o", tmp_path / "liver.nii.gz")
    assert "refused (no_position)" in told
    assert "save the image again with its affine" in told


def test_an_unknown_role_is_refused_with_the_roles_there_are(tmp_path: Path, image: Path) -> None:
    assert "--role must be one of ct, mr-hbp" in _refused("segment", image, "--role", "CT", "-o", tmp_path / "l.nii")
    assert "--role must be one of pet, mr-hbp" in _refused("detect", image, "--role", "ct", "-o", tmp_path / "d")
    assert "--moving-role must be one of mr-hbp" in _refused(
        "register", image, image, "-o", tmp_path / "r", "--moving-role", "t2"
    )


def test_reports_and_patients_that_are_not_there_are_said_before_an_archive_is_read(tmp_path: Path) -> None:
    archive, workspace = tmp_path / "archive", tmp_path / "workspace"
    write_all(axial_slices(2), archive)
    for option in ("--reports", "--clinical"):
        _refused("analyze", archive, "-o", workspace, option, tmp_path / "absent.csv")
        assert not (workspace / "catalogue.sqlite").exists()


def test_a_misspelt_setting_is_told_what_it_is_like(tmp_path: Path, image: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[pet]\nfalse_focis = 0.1\n")
    told = _refused("segment", image, "--role", "ct", "-o", tmp_path / "liver.nii", "--config", settings)
    assert "unknown setting pet.false_focis; known here:" in told
    assert "Did you mean false_foci?" in told
    settings.write_text("[pet]\npercent_of_max = 400\n")
    told = _refused("segment", image, "--role", "ct", "-o", tmp_path / "liver.nii", "--config", settings)
    assert "[pet] with percent_of_max = 400: percent_of_max lies between 0 and 100" in told


def test_tables_without_a_place_for_the_results_are_told_how_to_name_one(tmp_path: Path, calls: Path) -> None:
    assert "say where the results go" in _refused("evaluate", "--calls", calls)
    told = _refused("evaluate", "--calls", calls, "-o", tmp_path / "out", "--clinical", calls)
    assert "as columns of the calls table" in told, "patients' ages would be left out without a word"
    assert "leave out one of the two" in _refused("evaluate", tmp_path, "--calls", calls, "-o", tmp_path / "out")


def test_the_results_of_a_workspace_are_not_sent_elsewhere_without_a_word(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (workspace / "liverpair.toml").write_text("")
    told = _refused("evaluate", workspace, "-o", tmp_path / "elsewhere")
    assert "results stay in the workspace; leave out -o" in told
    assert "labels stay in its tables/labels.csv" in _refused("label", workspace, "-o", tmp_path / "labels.csv")


def test_every_argument_and_option_of_every_command_says_what_it_is() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group of commands
    assert len(commands) > 15
    for name, command in commands.items():
        silent = [p.name for p in command.params if not getattr(p, "help", None)]
        assert silent == [], f"{name}: {silent}"


def test_the_terminal_breaks_the_lines_of_a_help_text() -> None:
    shown = CliRunner().invoke(app, ["pair", "--help"], env={"COLUMNS": "70"}).output
    text = [line.strip() for line in shown.splitlines() if line.startswith(" ") and line.strip()]
    first = next(n for n, line in enumerate(text) if line.startswith("Equal intervals"))
    paragraph = text[first : first + 4]
    assert all(len(line) > 45 for line in paragraph), paragraph
