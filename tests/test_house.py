"""The house keeps its own rules: floors, types, style, namespace, and a help text for every command."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_ROOTS = ("pipeline", "segment", "evaluate", "sample_data")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    scripts = Path(sys.executable).parent
    program = scripts / command[0]
    if not program.exists():
        pytest.fail(f"{command[0]} is not installed; install requirements-dev.lock")
    return subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_finds_nothing_to_mend() -> None:
    result = _run("ruff", "check", ".")
    assert result.returncode == 0, result.stdout


def test_every_file_is_formatted() -> None:
    result = _run("ruff", "format", "--check", ".")
    assert result.returncode == 0, result.stdout


def test_mypy_strict_accepts_every_package() -> None:
    result = _run("mypy", "-p", "liverpair")
    assert result.returncode == 0, result.stdout


def test_no_room_reaches_into_another() -> None:
    result = _run("lint-imports")
    assert result.returncode == 0, result.stdout


def test_the_namespace_has_no_init_file_of_its_own() -> None:
    for root in SOURCE_ROOTS:
        assert not (ROOT / root / "liverpair" / "__init__.py").exists(), "a namespace package must stay without one"


def test_every_subpackage_says_that_it_is_typed() -> None:
    for root in SOURCE_ROOTS:
        for package in (ROOT / root / "liverpair").iterdir():
            if package.is_dir() and package.name != "__pycache__":
                assert (package / "py.typed").exists(), f"{package.name} lacks py.typed"


def test_the_default_install_has_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [d for d in project["dependencies"] if "torch" in d.lower()]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    assert "\ntorch==" not in locked
    assert "nvidia" not in locked


def test_the_lock_holds_every_dependency_and_no_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    for dependency in project["dependencies"]:
        name = dependency.split(">")[0].lower()
        assert f"{name}==" in locked, f"{name} is not locked: run the command in docs/development.md"
    assert "://" not in locked
