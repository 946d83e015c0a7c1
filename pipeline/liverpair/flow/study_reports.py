"""What readers said of each study of a workspace: labels of reports, consensus readings, the audit of the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.evaluate.labels import StudyKey, assign_reports
from liverpair.evaluate.labels.audit import LabelAudit, audit_from_json
from liverpair.evaluate.plain_tables import verdict
from liverpair.evaluate.reader_agreement import reader_agreement, reader_settings
from liverpair.evaluate.readings import parse_readings, readings_of_consensus
from liverpair.flow.label_files import AUDIT_FILE
from liverpair.flow.tables import Row, format_table
from liverpair.flow.user_tables import read_user_table
from liverpair.flow.workspace import Workspace, write_text

__all__ = ["Consensus", "keep_readings", "read_audit", "read_consensus", "readers_of_study", "reports_by_study"]

READINGS_FILE = "readings.csv"
#: Of several reports on one study the strongest statement counts.
STRENGTH = ("present", "uncertain", "absent", "not_mentioned")


def _study_keys(workspace: Workspace) -> list[StudyKey]:
    keys: dict[str, StudyKey] = {}
    for row in workspace.read_table("series"):
        if row["modality"] in ("PT", "MR"):
            key = StudyKey(row["study_uid"], row["patient_id"], row["modality"], row["accession_number"], row["date"])
            keys.setdefault(row["study_uid"], key)
    return list(keys.values())


def _rank(link: Mapping[str, str]) -> tuple[bool, bool]:
    """A report that the user gave comes before one found in the archive, a final one before a preliminary one."""
    return link.get("origin", "") == "dicom", "PARTIAL" in link.get("flags", "").split(";")


def reports_by_study(workspace: Workspace) -> dict[str, Row]:
    """The label of each study's report, by Study Instance UID.

    Of several reports those that the user gave come before the archive's, final ones before preliminary ones; among
    equals (an addendum) the strongest statement counts.
    """
    links_file = workspace.tables / "report_links.json"
    if not links_file.exists():
        return {}
    labels = workspace.read_table("labels")
    links = json.loads(links_file.read_text(encoding="utf-8"))
    if [row["report_id"] for row in labels] != [link["report_id"].strip() for link in links]:
        raise UsageError("labels.csv and report_links.json do not belong together; run `liverpair label WS` again.")
    found: dict[str, tuple[tuple[Any, ...], Row]] = {}
    for link, label, place in zip(links, labels, assign_reports(links, _study_keys(workspace)), strict=True):
        if not place.study_uid:
            continue
        order = (*_rank(link), STRENGTH.index(label["status"]))
        known = found.get(place.study_uid)
        if known is None or order < known[0]:
            row = {
                "status": label["status"],
                "largest_mm": float(label["largest_mm"]) if label["largest_mm"] else None,
                "count": int(label["count"]) if label["count"] else None,
            }
            found[place.study_uid] = order, row
    return {study: row for study, (_, row) in found.items()}


@dataclass(frozen=True, slots=True)
class Consensus:
    """``of_pair``: what counts for each pair; ``readings``: every reading in order, for the trail."""

    of_pair: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    readings: Sequence[Mapping[str, str]] = ()


def read_consensus(workspace: Workspace, pair_ids: Sequence[str]) -> Consensus:
    """tables/consensus.csv of readers: pair_id, mr_consensus, pet_consensus [, reader, decided_at, reason].

    UsageError for an unknown pair or word; of several readings of a pair the last verdict on each examination counts.
    """
    path = workspace.tables / "consensus.csv"
    if not path.exists():
        return Consensus()
    counting: dict[str, dict[str, str]] = {}
    readings = []
    for at, row in enumerate(read_user_table(path), start=2):
        if not any(row.values()):
            continue
        missing = [c for c in ("pair_id", "mr_consensus", "pet_consensus") if c not in row]
        if missing:
            raise UsageError(f"consensus.csv lacks the column {', '.join(missing)} (it has {', '.join(row)}).")
        if row["pair_id"] not in pair_ids:
            raise UsageError(f"consensus.csv, row {at}: there is no pair {row['pair_id'][:40]!r} in pairs.csv.")
        said = {c: verdict(row[c], c, at, "consensus") for c in ("mr_consensus", "pet_consensus")}
        readings.append({**row, **said})
        counting.setdefault(row["pair_id"], {}).update({c: v for c, v in said.items() if v})
    return Consensus(counting, readings)


def keep_readings(workspace: Workspace, path: Path) -> None:
    """Put the user's table of independent readings into the workspace, after a look whether it can be read."""
    rows = read_user_table(path)
    parse_readings(rows, {row["pair_id"]: row["patient_id"] for row in workspace.read_table("pairs")})
    write_text(workspace.tables / READINGS_FILE, format_table(tuple(rows[0]), rows))


def readers_of_study(
    workspace: Workspace, calls: Sequence[Row], consensus: Consensus, concordance: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Agreement between the readers of tables/readings.csv; without it, between named readers of consensus.csv.

    None where there is neither.
    """
    patients = {str(call["pair_id"]): str(call["patient_id"]) for call in calls}
    path = workspace.tables / READINGS_FILE
    if path.exists():
        return reader_agreement(parse_readings(read_user_table(path), patients), calls, reader_settings(concordance))
    found = readings_of_consensus(consensus.readings, patients)
    if len({r.reader for r in found}) < 2:
        return None
    return reader_agreement(found, calls, reader_settings(concordance), independent=False)


def read_audit(workspace: Workspace) -> LabelAudit | None:
    """What a human said of the labels (tables/label_audit.json), where that was asked."""
    path = workspace.tables / AUDIT_FILE
    if not path.exists():
        return None
    try:
        return audit_from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"tables/{AUDIT_FILE} is damaged; write it again with label WS --audit-answers.") from error
