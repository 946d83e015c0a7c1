"""What explains a contradiction between sources: the software's own findings, the report's label, the acquisition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.evaluate.labels.audit import LabelAudit
from liverpair.evaluate.sources import ImageFacts, label_correction
from liverpair.evaluate.threshold_sweep import Focus
from liverpair.flow.config import Settings
from liverpair.flow.tables import Row
from liverpair.flow.workspace import Workspace

__all__ = ["correction", "foci_of_pairs", "image_facts", "said_of", "suv_facts"]


def suv_facts(workspace: Workspace, pair_id: str) -> Mapping[str, Any]:
    """Injected activity and uptake time of a pair's PET, from its provenance."""
    path = workspace.case(pair_id) / "provenance.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8")).get("images", {}).get("suv") or {}
    return {key: found.get(key) for key in ("dose_bq", "uptake_minutes", "half_life_s")}


def image_facts(records: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[tuple[str, str], ImageFacts]:
    """What the software saw in each examination, for the reader of a contradiction."""
    found = {}
    for pair_id, record in records.items():
        facts = record["lesion_facts"]
        for key, modality in (("mr", "MR"), ("pet", "PET")):
            own = [(facts[r["lesion_id"]], r["confidence"]) for r in record["lesions"] if r["modality"] == modality]
            called = [(f, c) for f, c in own if f["countable"]]
            found[(pair_id, key)] = ImageFacts(
                called=len(called),
                largest_called_mm=max((f["diameter_mm"] for f, _ in called if f["diameter_mm"]), default=None),
                best_called=max((c for _, c in called), default=None),
                best_below=max((c for f, c in own if f["is_metastasis"] and not f["countable"]), default=None),
                benign=sum(not f["is_metastasis"] for f, _ in own),
                threshold=settings.calls.present_confidence,
            )
    return found


def foci_of_pairs(records: Mapping[str, Mapping[str, Any]]) -> list[tuple[list[Focus], list[Focus]]]:
    """(MRI, PET) foci of every pair that can be judged on both sides, for the sweep of the call threshold."""
    found = []
    for record in records.values():
        if any(record["calls"][key]["status"] == "not_evaluable" for key in ("mr", "pet")):
            continue
        facts = record["lesion_facts"]
        both: dict[str, list[Focus]] = {"MR": [], "PET": []}
        for row in record["lesions"]:
            if facts[row["lesion_id"]]["is_metastasis"]:
                both[row["modality"]].append(Focus(row["confidence"], tuple(row["flags"])))
        found.append((both["MR"], both["PET"]))
    return found


def said_of(pairs: Mapping[str, Mapping[str, str]], reports: Mapping[str, Row]) -> dict[tuple[str, str], Row]:
    """The report's label of each pair's examinations."""
    return {
        (pair_id, key): reports[pair[f"{key}_study_uid"]]
        for pair_id, pair in pairs.items()
        for key in ("mr", "pet")
        if pair[f"{key}_study_uid"] in reports
    }


def correction(calls: Sequence[Row], audit: LabelAudit | None, settings: Settings) -> dict[str, Any] | None:
    """The accuracy from reports without the labels' errors, where a human has audited the labels."""
    if audit is None:
        return None
    s = settings.concordance
    try:
        return label_correction(calls, audit, s.bootstrap_replicates, s.seed, s.confidence_level)
    except UsageError as reason:
        return {"note": str(reason)}
