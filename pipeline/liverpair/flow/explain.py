"""From the records of a cohort's cases to the evidence that attribution and the lesion level work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from liverpair.evaluate.calls import outcome
from liverpair.evaluate.detectability import Avidity, Scanner, estimate_avidity, pool_avidity, predict
from liverpair.evaluate.pair_evidence import FocusEvidence, LesionEvidence, PairEvidence
from liverpair.evaluate.records import LesionOutcome
from liverpair.flow.scanner import scanner_from
from liverpair.flow.tables import Row

__all__ = ["CohortFacts", "cohort_facts", "lesion_outcomes", "pair_evidence"]

Record = Mapping[str, Any]


def _by_id(record: Record) -> dict[str, Row]:
    return {row["lesion_id"]: row for row in record["lesions"]}


def _reference_lesions(record: Record) -> list[Row]:
    """The MRI foci that count as metastases."""
    facts = record["lesion_facts"]
    return [r for r in record["lesions"] if r["modality"] == "MR" and facts[r["lesion_id"]]["countable"]]


def _detected(record: Record, lesion: Row) -> bool | None:
    """Whether PET shows this MRI lesion; None where its place in the PET could not be judged."""
    facts = record["lesion_facts"]
    if any(facts[partner]["countable"] for partner in lesion["matched_lesion_id"]):
        return True
    place = record["evidence"].get(lesion["lesion_id"])
    return None if place is None or place["not_evaluable"] else False


def lesion_outcomes(record: Record, patient_id: str) -> list[LesionOutcome]:
    """The reference lesions of a case for the lesion level and the size curve."""
    facts = record["lesion_facts"]
    return [
        LesionOutcome(
            record["pair_id"],
            patient_id,
            r["lesion_id"],
            facts[r["lesion_id"]]["diameter_mm"],
            _detected(record, r),
        )
        for r in _reference_lesions(record)
    ]


def _seen(record: Record) -> list[tuple[float, float]]:
    """(tumour-to-liver ratio on PET, diameter on MRI) of the lesions that both examinations show."""
    rows, facts = _by_id(record), record["lesion_facts"]
    found = []
    for lesion in _reference_lesions(record):
        partners = [rows[p] for p in lesion["matched_lesion_id"] if facts[p]["countable"] and rows[p]["tlr"]]
        diameter = facts[lesion["lesion_id"]]["diameter_mm"]
        if partners and diameter:
            found.append((max(p["tlr"] for p in partners), diameter))
    return found


@dataclass(frozen=True, slots=True)
class CohortFacts:
    """What one pair's explanation takes from the others: avidity, and each tracer's liver uptake (mean, SD)."""

    avidity: Avidity | None
    liver_suv: Mapping[str, tuple[float, float]]


def cohort_facts(records: Sequence[Record], tracers: Mapping[str, str]) -> CohortFacts:
    """Avidity over all seen lesions and the liver's SUV by tracer (three pairs at least make a spread)."""
    seen = [
        (ratio, size, scanner) for r in records if (scanner := scanner_from(r["scanner"])) for ratio, size in _seen(r)
    ]
    uptake: dict[str, list[float]] = {}
    for record in records:
        if record["reference"] is not None:
            uptake.setdefault(tracers[record["pair_id"]], []).append(record["reference"]["mean"])
    spread = {t: (float(np.mean(v)), float(np.std(v, ddof=1))) for t, v in uptake.items() if len(v) >= 3}
    return CohortFacts(pool_avidity(seen), spread)


def _lesion_evidence(
    record: Record, lesion: Row, scanner: Scanner | None, avidity: Avidity | None, loose: Sequence[Row]
) -> LesionEvidence:
    lesion_id = lesion["lesion_id"]
    facts, place = record["lesion_facts"][lesion_id], record["evidence"].get(lesion_id)
    location = record["location"].get(lesion_id)
    z_obs = place["z_obs"] if place else None
    hidden = place["not_evaluable"] if place else "the PET could not be searched"
    nearest = None
    if lesion["x_mm"] is not None and loose:
        here = np.array([lesion["x_mm"], lesion["y_mm"], lesion["z_mm"]])
        nearest = float(min(np.linalg.norm(here - [f["x_mm"], f["y_mm"], f["z_mm"]]) for f in loose))
    return LesionEvidence(
        lesion_id,
        facts["diameter_mm"],
        _detected(record, lesion),
        predict(facts["diameter_mm"], scanner, avidity, z_obs, hidden),
        z_obs,
        tlr=place["tlr_corrected"] if place else None,
        nearest_focus_mm=nearest,
        gate_mm=None
        if facts["uncertainty_mm"] is None
        else max(10.0, (facts["diameter_mm"] or 0.0) / 2) + facts["uncertainty_mm"],
        capsule_mm=location["capsule_mm"] if location else None,
        height=location["height"] if location else None,
    )


def _focus_evidence(record: Record, focus: Row) -> FocusEvidence:
    """A PET focus that counts and matches no metastasis on MRI."""
    facts, rows = record["lesion_facts"], _by_id(record)
    benign = [facts[m]["nature"] for m in focus["matched_lesion_id"] if not facts[m]["is_metastasis"]]
    unseen = [
        r
        for r in record["lesions"]
        if r["modality"] == "MR"
        and facts[r["lesion_id"]]["is_credible"]
        and not r["matched_lesion_id"]
        and r["x_mm"] is not None
    ]
    here = np.array([focus["x_mm"], focus["y_mm"], focus["z_mm"]])
    distances = [float(np.linalg.norm(here - [r["x_mm"], r["y_mm"], r["z_mm"]])) for r in unseen]
    row = rows[focus["lesion_id"]]
    return FocusEvidence(
        focus["lesion_id"],
        facts[focus["lesion_id"]]["diameter_mm"],
        row["tlr"],
        row["z"],
        row["confidence"],
        min(distances, default=None),
        benign[0] if benign else "",
        tuple(row["flags"]),
    )


def pair_evidence(
    record: Record, pair: Mapping[str, str], call: Row, cohort: CohortFacts, report: Row | None
) -> PairEvidence:
    """Everything attribution may use of one pair. ``report`` is the MRI's label (largest_mm, count) or None."""
    facts = record["lesion_facts"]
    scanner = scanner_from(record["scanner"])
    avidity = estimate_avidity(_seen(record), scanner, cohort.avidity) if scanner else cohort.avidity
    foci = [r for r in record["lesions"] if r["modality"] == "PET" and facts[r["lesion_id"]]["countable"]]
    loose = [f for f in foci if not any(facts[m]["is_metastasis"] for m in f["matched_lesion_id"])]
    reference = record["reference"]
    return PairEvidence(
        pair["pair_id"],
        pair["patient_id"],
        outcome(call["reference"], call["index"]),
        tuple(_lesion_evidence(record, r, scanner, avidity, loose) for r in _reference_lesions(record)),
        tuple(_focus_evidence(record, f) for f in loose),
        largest_mm=report["largest_mm"] if report else None,
        count=report["count"] if report else None,
        registration_verdict=record["registration"],
        liver_suv_mean=reference["mean"] if reference else None,
        liver_suv_cohort=cohort.liver_suv.get(pair["tracer"]),
        liver_hu=record["liver_hu"],
        interval_days=int(pair["interval_days"]),
        tracer=pair["tracer"],
        mr_image=call["mr_image"],
        pet_image=call["pet_image"],
        mr_report=call["mr_report"],
        pet_report=call["pet_report"],
        consensus=bool(call["mr_consensus"] or call["pet_consensus"]),
        scanner=scanner,
        avidity=avidity,
    )
