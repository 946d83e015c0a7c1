"""The table of what PET could show of every MRI lesion: predicted contrast and chance, still and breathing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from liverpair.evaluate.detectability import Prediction, Scanner, minimal_diameter, predict, recovery
from liverpair.evaluate.pair_evidence import LesionEvidence, PairEvidence
from liverpair.evaluate.visibility import pet_status, visibility_sentence
from liverpair.flow.config import Settings
from liverpair.flow.explain import CohortFacts, pair_evidence
from liverpair.flow.tables import COLUMNS, Row

__all__ = ["flagged_lesions", "visibility_rows"]


def visibility_rows(
    records: Mapping[str, Mapping[str, Any]],
    pairs: Mapping[str, Mapping[str, str]],
    calls: Sequence[Row],
    cohort: CohortFacts,
    settings: Settings,
) -> list[Row]:
    """The rows of visibility.csv: every MRI lesion that counts as a metastasis, of every processed pair."""
    rows: list[Row] = []
    for call in calls:
        record = records.get(call["pair_id"])
        if record is not None:
            evidence = pair_evidence(record, pairs[call["pair_id"]], call, cohort, None)
            rows += [_row(evidence, lesion, settings) for lesion in evidence.lesions]
    return rows


def _row(evidence: PairEvidence, lesion: LesionEvidence, settings: Settings) -> Row:
    scanner, usual, prediction = evidence.scanner, evidence.avidity, lesion.prediction
    judged = settings.attribution.detectability
    status = pet_status(lesion.detected, prediction)
    row: Row = dict.fromkeys(COLUMNS["visibility"])
    row |= {
        "pair_id": evidence.pair_id,
        "lesion_id": lesion.lesion_id,
        "diameter_mm": lesion.diameter_mm,
        "pet_status": status,
        "z_obs": lesion.z_obs,
        "text": visibility_sentence(status, prediction, usual, judged),
    }
    if usual is not None:
        row |= {f"t_{name}": value for name, value in asdict(usual).items()}
    if prediction is not None:
        row |= {"t95": prediction.t95, "predicted_cnr": prediction.predicted_cnr, "p_detect": prediction.p_detect}
    if scanner is None:
        return row
    row |= {"fwhm_mm": scanner.fwhm_mm, "fwhm_source": scanner.fwhm_source, "liver_cov": scanner.cov}
    if usual is not None:
        row["minimal_diameter_mm"] = minimal_diameter(usual.median, scanner, judged).mm
    if not lesion.diameter_mm:
        return row
    moving = _breathing(lesion, evidence, scanner, settings)
    return row | {
        "rc_max": recovery(lesion.diameter_mm, scanner),
        "breathing_mm": settings.scanner.free_breathing_mm,
        "predicted_cnr_breathing": moving.predicted_cnr,
        "p_detect_breathing": moving.p_detect,
    }


def _breathing(lesion: LesionEvidence, evidence: PairEvidence, scanner: Scanner, settings: Settings) -> Prediction:
    """The same prediction for a PET blurred by ordinary free breathing."""
    moving = replace(scanner, breathing_mm=settings.scanner.free_breathing_mm)
    return predict(lesion.diameter_mm, moving, evidence.avidity, lesion.z_obs)


def flagged_lesions(records: Mapping[str, Mapping[str, Any]], visibility: Sequence[Row]) -> list[Row]:
    """The rows of lesions.csv: a reference lesion without a partner carries why PET does not show it as a flag."""
    status = {(row["pair_id"], row["lesion_id"]): row["pet_status"] for row in visibility}
    rows = []
    for pair_id, record in records.items():
        for row in record["lesions"]:
            word = status.get((pair_id, row["lesion_id"]), "shown")
            rows.append(row if word == "shown" else {**row, "flags": [*row["flags"], f"pet_{word}"]})
    return rows
