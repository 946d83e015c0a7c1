"""Names that the report gives to patients and pairs, so that no identity is in it unless asked for."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ReportSettings", "pair_names", "renamed", "stand_ins"]

#: A patient's ID of so many letters does not stand in a pair's by chance.
LONG_ID = 4


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """``show_patient_ids``: print the archive's patient IDs and full dates instead of stand-ins and years."""

    show_patient_ids: bool = False


def stand_ins(pairs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A short stable stand-in for every patient's ID.

    The hash is salted with every ID and study UID of the cohort: an ID alone, which often has few digits, could be
    found again by trying all of them.
    """
    everything = sorted(
        "|".join(str(pair.get(key) or "") for key in ("patient_id", "pair_id", "pet_study_uid", "mr_study_uid"))
        for pair in pairs
    )
    salt = hashlib.sha256("\n".join(everything).encode()).hexdigest()
    patients = {str(pair["patient_id"]) for pair in pairs}
    return {p: hashlib.sha256(f"liverpair|{salt}|{p}".encode()).hexdigest()[:8] for p in sorted(patients)}


def pair_names(pairs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """pair_id → the name that a report may show: another one where a user built the pair's ID from the patient's.

    That is the patient's stand-in and the pair's number among the patient's pairs, in the order of their dates and IDs.
    """
    names, told = stand_ins(pairs), {}
    number: Counter[str] = Counter()
    for pair in sorted(pairs, key=lambda p: (str(p.get("pet_date") or ""), str(p["pair_id"]))):
        pair_id, patient = str(pair["pair_id"]), str(pair["patient_id"])
        number[patient] += 1
        told[pair_id] = f"{names[patient]}-{number[patient]}" if _tells(pair_id, patient) else pair_id
    return told


def _tells(pair_id: str, patient: str) -> bool:
    """Whether a pair's ID holds its patient's: as one of its parts, or anywhere if it is too long for chance."""
    pair_id, patient = pair_id.casefold(), patient.strip().casefold()
    return patient in re.split(r"[^a-z0-9]+", pair_id) or (len(patient) >= LONG_ID and patient in pair_id)


def renamed(concordance: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The concordance with the names that the report shows in place of pairs' IDs."""

    def rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "pair_id": names.get(row["pair_id"], row["pair_id"])} for row in found]

    told = dict(concordance)
    if told.get("consensus_trail"):
        told["consensus_trail"] = rows(told["consensus_trail"])
    against = told.get("images_against_reports")
    if against:
        told["images_against_reports"] = {**against, "disagreements": rows(against["disagreements"])}
    return told
