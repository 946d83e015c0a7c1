"""Settings: composed from TOML, strict about keys and types, the same after a round trip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from liverpair.core.errors import ConfigError
from liverpair.flow.config import Settings, dump_settings, load_settings, settings_fingerprint


def _load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_the_defaults_survive_writing_and_reading(tmp_path: Path) -> None:
    assert settings_fingerprint(_load(tmp_path, dump_settings(Settings()))) == settings_fingerprint(Settings())


def test_a_setting_of_one_stage_changes_that_stage_alone(tmp_path: Path) -> None:
    settings = _load(tmp_path, "[cohort]\nwindow_days = 30\n")
    assert settings.cohort.window_days == 30
    assert settings.calls == Settings().calls
    assert settings_fingerprint(settings) != settings_fingerprint(Settings())


def test_an_unknown_key_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.windw_days; known here: .*window_days"):
        _load(tmp_path, "[cohort]\nwindw_days = 30\n")


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting registr"):
        _load(tmp_path, "[registr]\nx = 1\n")


def test_a_value_of_the_wrong_type_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.window_days = 'soon'"):
        _load(tmp_path, "[cohort]\nwindow_days = 'soon'\n")


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(Path("/nonexistent/settings.toml"))


def test_settings_and_bare_tables_load_nothing_that_computes_on_images() -> None:
    """Each takes a tenth of a second to half a one, which a command that reads no image should not wait for."""
    heavy = {"numba", "pydicom", "nibabel", "SimpleITK", "skimage", "scipy.ndimage", "scipy.optimize"}
    program = "import sys, liverpair.flow.cli, liverpair.flow.tabular; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert "liverpair.flow.tabular" in loaded
    assert heavy & loaded == set()
    assert "liverpair.evaluate.labels" not in loaded, "the grammar of reports is compiled for labels alone"
