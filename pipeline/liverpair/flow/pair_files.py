"""Write and read what the pair stage leaves for the process stage: the pairs and the stacks that serve in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import fingerprint, plain
from liverpair.core.study import StudyPair
from liverpair.dicom.cohort_settings import CohortSettings
from liverpair.dicom.pair_stacks import StackReference
from liverpair.flow.tables import COLUMNS
from liverpair.flow.workspace import Workspace

__all__ = ["read_pair_stacks", "read_pairs", "write_pair_stacks"]

AGAIN = "run `liverpair pair WS` again."


def write_pair_stacks(
    workspace: Workspace, stacks: Mapping[str, Mapping[str, StackReference]], settings: CohortSettings
) -> None:
    """Write tables/pair_stacks.json: for every pair the stack of every role, and the settings it was chosen by."""
    text = {"cohort_settings_sha256": fingerprint(settings), "pairs": plain(stacks)}
    workspace.write_json(workspace.tables / "pair_stacks.json", text)


def read_pair_stacks(workspace: Workspace, settings: CohortSettings) -> dict[str, dict[str, StackReference]]:
    """The stacks of every pair. Raises UsageError where there are none, or where other settings chose them."""
    path = workspace.tables / "pair_stacks.json"
    if not path.exists():
        raise UsageError(f"{path} is missing; run `liverpair pair WS` first.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_with, pairs = found["cohort_settings_sha256"], found["pairs"]
        stacks = {pair: {role: StackReference(**ref) for role, ref in roles.items()} for pair, roles in pairs.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}); {AGAIN}") from error
    if made_with != fingerprint(settings):
        raise UsageError(f"the pairs were made with other settings in [cohort]; {AGAIN}")
    return stacks


def read_pairs(workspace: Workspace) -> dict[str, StudyPair]:
    """The pairs of pairs.csv by pair_id."""
    words = [column for column in COLUMNS["pairs"] if column not in ("pet_date", "mr_date", "interval_days")]
    pairs = {}
    for row in workspace.read_table("pairs"):
        values: dict[str, Any] = {key: row[key] for key in words}
        try:
            values |= {key: date.fromisoformat(row[key]) for key in ("pet_date", "mr_date")}
        except ValueError as error:
            raise UsageError(f"pairs.csv holds a date that is none; {AGAIN}") from error
        pairs[row["pair_id"]] = StudyPair(**values)
    return pairs
