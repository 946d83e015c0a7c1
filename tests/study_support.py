"""Helpers of the tests that run a whole study: the command line as a user calls it, and a workspace's digest."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["digest", "liverpair", "rows", "truth_pairs"]


def liverpair(*arguments: str | Path, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run the installed console script and keep what it says."""
    script = Path(sys.executable).parent / "liverpair"
    command = [str(script), *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def rows(workspace: Path, table: str) -> list[dict[str, str]]:
    """A table of a workspace."""
    with (workspace / "tables" / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def truth_pairs(archive: Path, paired: bool = True) -> dict[str, dict[str, Any]]:
    """The simulator's true pairs by pair_id; with ``paired`` False those that must not become one."""
    truth = json.loads((archive / "truth.json").read_text(encoding="utf-8"))
    return {p["pair_id"]: p for p in truth["pairs"] if (p["expected"] != "not_paired") == paired}


def digest(workspace: Path) -> dict[str, str]:
    """SHA-256 of everything that must not depend on when or how often a study was run."""
    found = {}
    for folder in ("tables", "cases", "report"):
        for path in sorted((workspace / folder).rglob("*")):
            if path.is_file():
                found[str(path.relative_to(workspace))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
