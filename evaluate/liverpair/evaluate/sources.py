"""The same pairs judged from images, from reports and with consensus readings: accuracy of each, and contradictions.

Rows are those of calls.csv. What the images alone say and what the reports alone say stands side by side, so that a
reader sees how much of the result hangs on the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from liverpair.evaluate.calls import outcome
from liverpair.evaluate.clustered import ClusterSums
from liverpair.evaluate.estimates import as_json, estimate

if TYPE_CHECKING:
    from liverpair.evaluate.labels.audit import LabelAudit

__all__ = ["ImageFacts", "accuracy_by_source", "accuracy_of", "consensus_trail", "contradictions", "label_correction"]

Row = Mapping[str, Any]
EXAMINATIONS = (("MRI", "mr"), ("PET", "pet"))
#: A focus this close to the call threshold could as well have fallen on the other side.
NARROW = 0.1
#: Lesions below this are missed by readers and by software alike, and reports round them away (statistics.md: bins).
SMALL_MM = 10.0
OUTCOMES = {"TP": 0, "FP": 1, "FN": 2, "TN": 3}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the software saw in one examination: foci that called it, the best that did not, benign ones."""

    called: int = 0
    largest_called_mm: float | None = None
    best_called: float | None = None
    best_below: float | None = None
    benign: int = 0
    threshold: float = 0.7


def _verdicts(row: Row, source: str) -> tuple[str, str]:
    """(MRI, PET) of one source; with "+consensus" the readers' verdict where there is one."""
    base, _, settled = source.partition("+")
    found = []
    for _, key in EXAMINATIONS:
        own = str(row.get(f"{key}_{base}") or "")
        found.append(str(row.get(f"{key}_consensus") or "") or own if settled else own)
    return found[0], found[1]


def _cells(judged: Iterable[tuple[str, str, str]]) -> dict[str, list[int]]:
    """Each patient's (tp, fp, fn, tn) from (patient, MRI's verdict, PET's verdict)."""
    cells: dict[str, list[int]] = {}
    for patient, mr, pet in judged:
        cell = OUTCOMES.get(outcome(mr, pet))
        if cell is not None:
            cells.setdefault(patient, [0, 0, 0, 0])[cell] += 1
    return cells


def _judged(rows: Sequence[Row], source: str) -> list[tuple[str, str, str]]:
    return [(str(row["patient_id"]), *_verdicts(row, source)) for row in rows]


def accuracy_of(judged: Sequence[tuple[str, str, str]], level: float = 0.95) -> dict[str, Any]:
    """Counts, sensitivity and specificity of pairs given as (patient, MRI's verdict, PET's verdict)."""
    cells = np.array(list(_cells(judged).values()), dtype=np.float64).reshape(-1, 4)
    tp, fp, fn, tn = (int(v) for v in cells.sum(axis=0))
    return {
        "counts": {"tp": tp, "fp": fp, "fn": fn, "tn": tn, "open": len(judged) - tp - fp - fn - tn},
        "sensitivity": as_json(estimate(ClusterSums(cells[:, 0], cells[:, 0] + cells[:, 2]), level)),
        "specificity": as_json(estimate(ClusterSums(cells[:, 3], cells[:, 3] + cells[:, 1]), level)),
    }


def accuracy_by_source(rows: Sequence[Row], level: float = 0.95) -> list[dict[str, Any]]:
    """Counts, sensitivity and specificity by source; a source that judges no pair is left out."""
    consensus = any(row.get("mr_consensus") or row.get("pet_consensus") for row in rows)
    names = {"image": "images", "report": "reports"}
    if consensus:
        names |= {"image+consensus": "images and consensus", "report+consensus": "reports and consensus"}
    found = [{"source": name, **accuracy_of(_judged(rows, source), level)} for source, name in names.items()]
    return [s for s in found if s["counts"]["open"] < len(rows)]


def label_correction(
    rows: Sequence[Row], audit: LabelAudit, replicates: int, seed: int, level: float = 0.95
) -> dict[str, Any]:
    """Accuracy of the pairs judged from reports, as observed and without the labels' errors that an audit found.

    UsageError where the audit did not cover a label (label_error).
    """
    # The labels' room compiles the grammar of reports: a study whose labels nobody audited does without.
    from liverpair.evaluate.labels.audit_correction import correct_accuracy, label_error

    cells = [(c[0], c[1], c[2], c[3]) for _, c in sorted(_cells(_judged(rows, "report")).items())]
    found = correct_accuracy(
        cells, label_error(audit, "MR"), label_error(audit, "PT"), min(replicates, 2000), seed, level
    )
    return {
        "labels_right": audit.accuracy,
        "labels_right_interval": list(audit.interval),
        "observed": {"sensitivity": found.observed_sensitivity, "specificity": found.observed_specificity},
        "corrected": {
            "sensitivity": {"value": found.sensitivity, "interval": _listed(found.sensitivity_interval)},
            "specificity": {"value": found.specificity, "interval": _listed(found.specificity_interval)},
        },
        "assumptions": list(found.assumptions),
        "note": found.note,
    }


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def contradictions(
    rows: Sequence[Row], facts: Mapping[tuple[str, str], ImageFacts], reports: Mapping[tuple[str, str], Row]
) -> list[dict[str, Any]]:
    """Every pair and examination whose images and report contradict each other, with what explains it.

    ``facts`` and ``reports`` (label rows: largest_mm, count) by (pair_id, "mr" or "pet"). ``matters``: taking the other
    source for this examination would change the pair's outcome.
    """
    found = []
    for row in rows:
        for examination, key in EXAMINATIONS:
            image, report = str(row.get(f"{key}_image") or ""), str(row.get(f"{key}_report") or "")
            if {image, report} != {"present", "absent"}:
                continue
            other = str(row.get("index" if key == "mr" else "reference") or "")
            sides = [outcome(v, other) if key == "mr" else outcome(other, v) for v in (image, report)]
            place = str(row["pair_id"]), key
            consensus = str(row.get(f"{key}_consensus") or "")
            found.append(
                {
                    "pair_id": row["pair_id"],
                    "examination": examination,
                    "image": image,
                    "report": report,
                    "consensus": consensus,
                    "resolved_by": "consensus" if consensus else "",
                    "matters": sides[0] != sides[1],
                    "why": _why(image, facts.get(place), reports.get(place)),
                }
            )
    return found


def _why(image: str, seen: ImageFacts | None, report: Row | None) -> str:
    """What both sides hold, in words."""
    said = (report or {}).get("largest_mm")
    if image == "present":
        if seen is None or not seen.called:
            return "the report denies what the images were judged to show"
        size = f", largest {seen.largest_called_mm:.1f} mm" if seen.largest_called_mm is not None else ""
        text = f"{seen.called} {'focus' if seen.called == 1 else 'foci'} on the images{size}"
        if seen.best_called is not None and seen.best_called < seen.threshold + NARROW:
            return f"{text}, none clearly above the call threshold (best {seen.best_called:.2f})"
        if seen.largest_called_mm is not None and seen.largest_called_mm < SMALL_MM:
            return f"{text}: small enough to be passed over or left out of the report"
        return f"{text}, which the report does not take for metastases"
    size = f" of {float(said):g} mm" if said not in (None, "") else ""
    if seen is None:
        return f"the report states metastases{size}"
    if seen.best_below is not None:
        return f"the report states metastases{size}; the best focus on the images stayed below the call threshold" + (
            f" ({seen.best_below:.2f} < {seen.threshold:g})"
        )
    if seen.benign:
        return f"the report states metastases{size}; the images show {seen.benign} benign-looking only"
    if said not in (None, "") and float(said) < SMALL_MM:
        return f"the report states metastases{size}, below what can be told from noise on these images"
    return f"the report states metastases{size}; nothing was found on the images"


def consensus_trail(rows: Sequence[Row], readings: Sequence[Row]) -> list[dict[str, Any]]:
    """Every consensus reading in order: what it said, whether it counts, and which sources it overrules.

    ``readings``: pair_id, mr_consensus, pet_consensus and, where kept, reader, decided_at, reason; of several readings
    of one pair the last verdict on an examination counts.
    """
    calls = {str(row["pair_id"]): row for row in rows}
    trail = []
    for position, reading in enumerate(readings):
        pair_id = str(reading["pair_id"])
        call = calls.get(pair_id)
        for examination, key in EXAMINATIONS:
            said = str(reading.get(f"{key}_consensus") or "")
            if not said or call is None:
                continue
            later = any(r["pair_id"] == pair_id and r.get(f"{key}_consensus") for r in readings[position + 1 :])
            overruled = [s for s in ("image", "report") if call.get(f"{key}_{s}") and call[f"{key}_{s}"] != said]
            trail.append(
                {
                    "pair_id": pair_id,
                    "examination": examination,
                    "image": call.get(f"{key}_image") or "",
                    "report": call.get(f"{key}_report") or "",
                    "consensus": said,
                    "overrules": overruled,
                    "counts": not later,
                    "reader": str(reading.get("reader") or ""),
                    "decided_at": str(reading.get("decided_at") or ""),
                    "reason": str(reading.get("reason") or ""),
                }
            )
    return trail
