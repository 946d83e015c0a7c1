"""Accuracy by source, contradictions, the consensus trail, corrections; subgroup tests, precision, thresholds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
from liverpair.core.provenance import plain
from liverpair.evaluate.calls import CallSettings
from liverpair.evaluate.heterogeneity import differs
from liverpair.evaluate.labels.audit import audit_from_json, audit_labels
from liverpair.evaluate.precision import precision, predictive_values
from liverpair.evaluate.records import PairCall
from liverpair.evaluate.report.parquet import parquet_bytes
from liverpair.evaluate.sources import (
    ImageFacts,
    accuracy_by_source,
    consensus_trail,
    contradictions,
    label_correction,
)
from liverpair.evaluate.threshold_sweep import Focus, threshold_sweep

VERDICTS = ("mr_image", "pet_image", "mr_report", "pet_report", "mr_consensus", "pet_consensus")


def _row(number: int, *said: str) -> dict[str, str]:
    found = dict(zip(VERDICTS, (*said, *[""] * 6), strict=False))
    found = {key: {"+": "present", "-": "absent"}.get(v, v) for key, v in found.items()}
    return {"pair_id": f"p{number}", "patient_id": f"s{number}", **found} | {
        "reference": found["mr_image"],
        "index": found["pet_image"],
    }


ROWS = [
    _row(1, "+", "+", "+", "+"),
    _row(2, "+", "-", "-", "-", "-", ""),
    _row(3, "-", "-", "-", "-"),
    _row(4, "-", "+", "-", "-", "", "-"),
    _row(5, "+", "-", "", "-"),
]


def test_every_source_has_its_own_table() -> None:
    found = {s["source"]: s["counts"] for s in accuracy_by_source(ROWS)}
    assert found["images"] == {"tp": 1, "fp": 1, "fn": 2, "tn": 1, "open": 0}
    assert found["reports"] == {"tp": 1, "fp": 0, "fn": 0, "tn": 3, "open": 1}
    assert found["images and consensus"] == {"tp": 1, "fp": 0, "fn": 1, "tn": 3, "open": 0}
    assert [s["source"] for s in accuracy_by_source([_row(1, "+", "+")])] == ["images"]


def test_a_contradiction_says_what_both_sides_hold() -> None:
    facts = {("p2", "mr"): ImageFacts(1, 4.2, 0.95), ("p4", "pet"): ImageFacts(1, 15.0, 0.72)}
    found = contradictions(ROWS, facts, {})
    assert [(d["pair_id"], d["examination"], d["matters"]) for d in found] == [("p2", "MRI", True), ("p4", "PET", True)]
    assert "largest 4.2 mm" in found[0]["why"]
    assert "passed over" in found[0]["why"]
    assert "none clearly above the call threshold (best 0.72)" in found[1]["why"]
    (missed,) = contradictions([_row(1, "-", "-", "+", "-")], {("p1", "mr"): ImageFacts(best_below=0.4)}, {})
    assert "stayed below the call threshold (0.40 < 0.7)" in missed["why"]


def test_the_trail_keeps_every_reading_and_marks_the_one_that_counts() -> None:
    first = {"pair_id": "p2", "mr_consensus": "present", "pet_consensus": "", "reader": "A", "reason": "early"}
    second = {"pair_id": "p2", "mr_consensus": "absent", "pet_consensus": "", "reader": "B", "decided_at": "2026-01-02"}
    trail = consensus_trail(ROWS, [first, second])
    assert [(t["consensus"], t["counts"], t["reader"]) for t in trail] == [
        ("present", False, "A"),
        ("absent", True, "B"),
    ]
    assert trail[1]["overrules"] == ["image"]


def test_an_audit_survives_its_file_and_corrects_the_reports() -> None:
    reports = [{"report_id": f"r{i}", "modality": "MR" if i % 2 else "PT"} for i in range(80)]
    labels = [{"report_id": f"r{i}", "status": "present" if i % 4 < 2 else "absent"} for i in range(80)]
    sheet = [{"report_id": r["report_id"], "true_status": r["status"]} for r in labels]
    for wrong in (0, 1, 2, 3):
        sheet[wrong]["true_status"] = "absent" if labels[wrong]["status"] == "present" else "present"
    audit = audit_labels(sheet, reports, labels)
    assert audit_from_json(json.loads(json.dumps(plain(asdict(audit))))) == audit
    rows = [_row(i, "", "", *(("+", "+") if i % 2 else ("-", "-"))) for i in range(100)]
    rows += [_row(i, "", "", "+", "-") for i in range(100, 106)]
    found = label_correction(rows, audit, 500, 1)
    assert found["observed"]["sensitivity"] == pytest.approx(50 / 56)
    assert found["corrected"]["sensitivity"]["value"] > found["observed"]["sensitivity"]


def test_equal_subgroups_reject_at_their_level_and_clear_differences_are_seen() -> None:
    rng = np.random.default_rng(7)

    def level(p: float, patients: int) -> dict[str, tuple[int, int]]:
        found = {}
        for i in range(patients):
            n = int(rng.integers(1, 5))
            own = rng.beta(8 * p, 8 * (1 - p))
            found[f"{rng.integers(1 << 40)}{i}"] = (int(rng.binomial(n, own)), n)
        return found

    rejected = sum((differs([level(0.7, 80), level(0.7, 60), level(0.7, 70)]).p or 1) < 0.05 for _ in range(300))
    assert 5 <= rejected <= 32  # 15 expected; a binomial's 99.9 % range, with room for the small-sample excess
    clear = differs([level(0.5, 80), level(0.9, 80)])
    assert clear.p is not None
    assert clear.p < 1e-4
    assert differs([{"a": (1, 1)}]).p is None
    assert differs([{str(i): (1, 1) for i in range(9)}, {str(i): (i % 2, 1) for i in range(9)}]).note


def test_one_patient_in_two_subgroups_is_not_counted_as_two() -> None:
    """Identical outcomes in both levels differ by nothing, whatever the variance between patients."""
    level = {str(i): (i % 3 > 0, 1) for i in range(30)}
    other = dict(level) | {"0": (1, 1)}
    alone = {f"x{i}": v for i, v in other.items()}
    paired, apart = differs([level, other]), differs([level, alone])
    assert paired.chi2 is not None
    assert apart.chi2 is not None
    assert paired.chi2 > 5 * apart.chi2


def test_predictive_values_follow_bayes_and_precision_plans_by_what_was_seen() -> None:
    estimates = {"sensitivity": {"value": 0.9}, "specificity": {"value": 0.8}}
    half = next(r for r in predictive_values(estimates) if r["prevalence"] == 0.5)
    assert half["ppv"] == pytest.approx(0.9 / 1.1)
    assert half["npv"] == pytest.approx(0.8 / 0.9)
    kinds = [("present", "present")] * 9 + [("present", "absent")] + [("absent", "absent")] * 8
    kinds += [("absent", "present")] * 2
    calls = [PairCall(f"p{i}", f"s{i // 2}", *kind) for i, kind in enumerate(kinds)]
    found = precision(calls, estimates)
    assert found is not None
    assert [r["pairs"] for r in found["needed"]] == sorted(r["pairs"] for r in found["needed"])
    assert precision(calls, {"sensitivity": {"value": 1.0}, "specificity": {"value": 0.8}}) is None


def test_a_higher_threshold_calls_fewer_pairs_and_the_studys_own_is_marked() -> None:
    pairs = [([Focus(0.95)], [Focus(0.65)]), ([Focus(0.9)], [Focus(0.9, ("spill_in:gallbladder",))]), ([], [])]
    rows = threshold_sweep(pairs, CallSettings())
    assert [r["threshold"] for r in rows if r["applied"]] == [0.7]
    by = {r["threshold"]: r for r in rows}
    assert (by[0.6]["tp"], by[0.6]["indeterminate"], by[0.6]["tn"]) == (1, 1, 1)
    assert (by[0.7]["tp"], by[0.7]["indeterminate"]) == (0, 2)
    assert threshold_sweep([], CallSettings()) == []


def test_parquet_is_what_pyarrow_read_back() -> None:
    """The bytes of a table of every kind of column, as pyarrow 22 read it value for value (2026-11-22)."""
    rows = [
        {"a": i if i % 3 else None, "b": i / 7, "c": f"ü{i}", "d": bool(i % 2), "e": None, "f": 1 if i % 2 else 2.5}
        for i in range(37)
    ]
    data = parquet_bytes(list("abcdef"), rows)
    assert hashlib.sha256(data).hexdigest() == "272a4666c970acc603dd60b63277510704cb5166d3d2c0a48d50f04c0ab6775b"


def test_parquet_round_trips_where_pyarrow_is_installed() -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is no dependency; the digest above stands for it")
    pa = pytest.importorskip("pyarrow")
    rows = [{"n": None, "t": "a,b\n"}, {"n": 3, "t": None}]
    assert pq.read_table(pa.BufferReader(parquet_bytes(("n", "t"), rows))).to_pylist() == rows
