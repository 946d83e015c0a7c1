"""Causes of false negatives and false positives, their precedence, sentences and odds; bare tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.errors import ConfigError, UsageError
from liverpair.evaluate.agreement import bland_altman, report_validation
from liverpair.evaluate.attribution import AttributionSettings, attribute, flags_of
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.evaluate.detectability import Avidity, Scanner, predict
from liverpair.evaluate.flag_odds import cause_counts, flag_odds, size_sweep
from liverpair.evaluate.pair_evidence import FocusEvidence, LesionEvidence, PairEvidence, Treatment
from liverpair.evaluate.sources import contradictions
from liverpair.evaluate.tables import evaluate_tables, parse_calls, parse_lesions

SCANNER = Scanner(fwhm_mm=7.0, cov=0.1, threshold=4.4)
AVID = Avidity(3.0, 2.2, 4.0, 5, "patient")
QUICK = ConcordanceSettings(bootstrap_replicates=200)


def lesion(mm: float, z: float = 0.3, tlr: float = 1.03, detected: bool = False, **more) -> LesionEvidence:
    return LesionEvidence(f"m{mm}", mm, detected, predict(mm, SCANNER, AVID, z), z, tlr, **more)


def missed(*lesions: LesionEvidence, **more) -> PairEvidence:
    return PairEvidence("p", "s", "FN", lesions, scanner=SCANNER, avidity=AVID, **more)


def cause(evidence: PairEvidence) -> str:
    return attribute(evidence).primary_cause


def test_a_lone_small_invisible_lesion_is_missed_by_size() -> None:
    row = attribute(missed(lesion(4.5)))
    assert row.primary_cause == "size"
    assert row.below_size_threshold is True
    assert row.largest_undetected_mm == 4.5
    assert {"size", "below_resolution", "expected_invisible"} <= set(row.flags)
    assert row.explanation.startswith("one lesion of 4.5 mm; predicted CNR 1.9, P(detect) < 1 %")
    assert row.explanation.endswith("expected invisible on this scanner")


def test_a_lesion_of_twelve_millimetres_as_dark_as_the_liver_is_not_avid() -> None:
    row = attribute(missed(lesion(12.0)))
    assert row.primary_cause == "low_ssr_expression"
    assert row.below_size_threshold is False
    assert "size does not explain the miss" in row.explanation


def test_a_dark_large_lesion_is_not_avid_even_where_the_model_expects_nothing_to_be_seen() -> None:
    faint = Avidity(1.3, 1.2, 1.4, 3, "patient")
    blurred = LesionEvidence("m", 12.0, False, predict(12.0, SCANNER, faint, 2.0), 2.0, 1.1)
    assert cause(PairEvidence("p", "s", "FN", (blurred,), scanner=SCANNER, avidity=faint)) == "low_ssr_expression"


def test_the_largest_missed_lesion_decides() -> None:
    row = attribute(missed(lesion(3.0), lesion(4.8), lesion(12.0)))
    assert row.primary_cause == "low_ssr_expression"
    assert row.largest_undetected_mm == 12.0
    assert attribute(missed(lesion(3.0), lesion(4.8))).explanation.startswith("two lesions, largest 4.8 mm")


def test_size_yields_where_the_scanner_would_have_shown_it_and_the_bound_is_low() -> None:
    sharp = Scanner(fwhm_mm=4.0, cov=0.03, threshold=4.4)
    seen = LesionEvidence("m", 5.5, False, predict(5.5, sharp, AVID, 0.2), 0.2, 1.01)
    row = attribute(PairEvidence("p", "s", "FN", (seen,), scanner=sharp, avidity=AVID))
    assert {"size", "truly_non_avid"} <= set(row.flags)
    assert row.primary_cause == "low_ssr_expression"


def test_between_six_and_ten_millimetres_the_model_decides() -> None:
    noisy = Scanner(fwhm_mm=7.0, cov=0.3, threshold=4.4)
    weak = LesionEvidence("m", 7.5, False, predict(7.5, noisy, AVID, 1.0), 1.0, 1.2)
    assert cause(PairEvidence("p", "s", "FN", (weak,), scanner=noisy, avidity=AVID)) == "size"
    assert cause(missed(lesion(8.0))) == "low_ssr_expression"


def test_nothing_known_stays_unexplained() -> None:
    assert cause(PairEvidence("p", "s", "FN")) == "unexplained"
    assert cause(PairEvidence("p", "s", "FN", largest_mm=15.0)) == "unexplained"
    outside = predict(15.0, SCANNER, AVID, None, "the place lies outside the PET's field of view")
    row = attribute(missed(LesionEvidence("m", 15.0, False, outside)))
    assert row.primary_cause == "unexplained"
    assert "outside_pet" in row.flags
    assert "field of view" in row.explanation


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"mr_image": "present", "mr_report": "absent"}, "label_error"),
        ({"treatments": (Treatment("PRRT", 40, 60),)}, "interval_therapy"),
        ({"treatments": (Treatment("SIRT", -5, 20),)}, "interval_therapy"),
        ({"interval_days": -120}, "interval_therapy"),
        ({"foci": (FocusEvidence("f", 9.0),), "dome_offset_mm": 14.0}, "misregistration"),
    ],
)
def test_the_precedence_puts_examination_causes_before_size(facts: dict, expected: str) -> None:
    assert cause(replace(missed(lesion(4.5)), **facts)) == expected


@pytest.mark.parametrize(
    "facts",
    [
        {"mr_image": "present", "mr_report": "absent", "consensus": True},
        {"mr_image": "present", "mr_report": "uncertain"},
        {"treatments": (Treatment("octreotide", 5, 10),)},
        {"treatments": (Treatment("PRRT", 200, 230),)},
        {"treatments": (Treatment("TACE", -30, -10),)},
        {"interval_days": 92},
        {"dome_offset_mm": 14.0},
        {"liver_suv_mean": 9.0, "liver_suv_cohort": (5.0, 1.0)},
    ],
)
def test_facts_that_are_no_cause_leave_size_first(facts: dict) -> None:
    assert cause(replace(missed(lesion(4.5)), **facts)) == "size"


def test_a_focus_beyond_the_tolerance_but_near_is_misregistered() -> None:
    assert cause(missed(lesion(4.5, nearest_focus_mm=15.0, gate_mm=12.0))) == "misregistration"
    assert cause(missed(lesion(4.5, nearest_focus_mm=11.0, gate_mm=12.0))) == "size"
    assert cause(missed(lesion(4.5, nearest_focus_mm=21.0, gate_mm=12.0))) == "size"


def test_a_hot_liver_hides_what_nothing_else_explains() -> None:
    hidden = missed(LesionEvidence("m", 14.0, False), liver_suv_mean=9.0, liver_suv_cohort=(5.0, 1.0))
    assert cause(hidden) == "background"


def test_location_and_technique_are_flags_not_causes() -> None:
    row = attribute(missed(lesion(4.5, capsule_mm=6.0, height=0.9), technical=("short_uptake",), liver_hu=35.0))
    assert {"subcapsular", "dome", "technical_short_uptake", "steatosis"} <= set(row.flags)
    assert row.primary_cause == "size"


def test_thresholds_and_precedence_are_configuration() -> None:
    strict = AttributionSettings(size_mm=4.0)
    assert attribute(missed(LesionEvidence("m", 4.5, False)), strict).primary_cause == "unexplained"
    swapped = AttributionSettings(fn_precedence=("size", "label_error", "unexplained"))
    told = missed(lesion(4.5), mr_image="present", mr_report="absent")
    assert attribute(told, swapped).primary_cause == "size"
    with pytest.raises(ConfigError):
        AttributionSettings(fn_precedence=("size", "bad_luck", "unexplained"))
    with pytest.raises(ConfigError):
        AttributionSettings(fn_precedence=("size",))


def false_positive(*foci: FocusEvidence, **more) -> PairEvidence:
    return PairEvidence("p", "s", "FP", foci=foci, scanner=SCANNER, **more)


@pytest.mark.parametrize(
    ("focus", "facts", "expected"),
    [
        (FocusEvidence("f", 9.0, 1.9, 7.0, flags=("spill_in:gallbladder",)), {}, "spill_in"),
        (FocusEvidence("f", 9.0, 1.9, 7.0, benign_match="haemangioma"), {}, "benign_on_mr"),
        (FocusEvidence("f", 9.0, 1.4, 4.6), {}, "noise"),
        (FocusEvidence("f", 9.0, 1.3, 7.0), {"liver_hu": 30.0}, "fatty_sparing"),
        (FocusEvidence("f", 9.0, 2.6, 12.0), {}, "mri_miss"),
        (FocusEvidence("f", 9.0, 2.6, 12.0, nearest_lesion_mm=14.0), {}, "misregistration"),
        (FocusEvidence("f", 9.0, 2.6, 12.0), {"mr_image": "absent", "mr_report": "present"}, "label_error"),
    ],
)
def test_causes_of_false_positives(focus: FocusEvidence, facts: dict, expected: str) -> None:
    row = attribute(false_positive(focus, **facts))
    assert row.primary_cause == expected
    assert row.explanation
    assert row.largest_undetected_mm is None


def test_the_focus_hardest_to_explain_away_decides() -> None:
    spill = FocusEvidence("a", 9.0, 4.0, 30.0, flags=("spill_in",))
    clear = FocusEvidence("b", 9.0, 2.0, 10.0)
    assert cause(false_positive(spill, clear)) == "mri_miss"
    assert cause(false_positive()) == "unexplained"


def test_true_positives_get_flags_but_no_cause() -> None:
    row = attribute(PairEvidence("p", "s", "TP", (lesion(4.0, detected=True), lesion(12.0, 15.0, 2.5, detected=True))))
    assert row.primary_cause == ""
    assert row.explanation == ""
    assert "size" not in row.flags
    assert attribute(PairEvidence("p", "s", "TN")).primary_cause == ""


def test_flag_odds_compare_misses_with_hits() -> None:
    rows = [attribute(missed(lesion(4.5))) for _ in range(8)] + [attribute(missed(lesion(12.0))) for _ in range(2)]
    hits = [replace(missed(lesion(d, 15.0, 2.5, detected=True)), outcome="TP") for d in [4.5] * 3 + [25.0] * 9]
    rows += [attribute(e) for e in hits]
    size = next(r for r in flag_odds(rows) if r["flag"] == "size")
    assert (size["fn_with"], size["fn"], size["tp_with"], size["tp"]) == (8, 10, 3, 12)
    assert size["odds_ratio"] == pytest.approx((8 / 2) / (3 / 9))
    assert cause_counts(rows, "FN") == {"size": 8, "low_ssr_expression": 2}
    sweep = size_sweep(rows, (5.0, 6.0, 12.0, 13.0))
    assert [(r["k"], r["n"]) for r in sweep] == [(8, 10), (8, 10), (8, 10), (10, 10)]


def test_flags_of_a_pair_do_not_depend_on_its_outcome_alone() -> None:
    assert "size" in flags_of(missed(lesion(4.5)))
    assert flags_of(PairEvidence("p", "s", "FN", largest_mm=4.0)) == ("size",)


def row(pair: str, reference: str, index: str, **more: str) -> dict[str, str]:
    return {"patient_id": f"s{pair}", "pair_id": pair, "reference": reference, "index": index, **more}


def test_bare_calls_give_the_table_the_causes_and_the_sweep() -> None:
    rows = [
        row("1", "present", "present", largest_mm="22", tracer="DOTATATE"),
        row("2", "present", "absent", largest_mm="4,8", tracer="DOTATOC", count="2"),
        row(
            "3", "Present", "Absent ", largest_mm="14", therapy="PRRT", therapy_days_before_pet="20", interval_days="10"
        ),
        row("4", "absent", "absent", largest_mm="", odd_column="kept"),
        row("5", "present", "absent", largest_mm="15", tlr="1.05"),
        row("6", "absent", "present"),
        row("7", "", "present"),
    ]
    result = evaluate_tables(rows, settings=QUICK)
    assert result.concordance["counts"] == {
        "tp": 1,
        "fp": 1,
        "fn": 3,
        "tn": 1,
        "indeterminate": 0,
        "not_evaluable": 1,
    }
    causes = {a.pair_id: a.primary_cause for a in result.attribution}
    assert causes == {"2": "size", "3": "interval_therapy", "5": "low_ssr_expression", "6": "unexplained"}
    assert [r["k"] for r in result.concordance["size_sweep"]] == [1, 1, 1]
    assert result.calls[3]["outcome"] == "TN"
    assert result.attribution[0].explanation.startswith("two lesions, largest 4.8 mm")


def test_bare_lesions_work_alone() -> None:
    rows = [
        {"patient_id": str(i // 3), "pair_id": str(i // 3), "lesion_id": str(i), "long_axis_mm": str(d), "detected": w}
        for i, (d, w) in enumerate([(3, "false"), (5, "no"), (8, "true"), (6, "TRUE"), (12, "1"), (4, "")])
    ]
    result = evaluate_tables(lesions=rows, settings=QUICK).concordance
    assert [b["n"] for b in result["size_bins"]] == [2, 2, 1, 0]
    assert result["lesion_level"]["not_evaluable"] == 1
    assert result["counts"]["tp"] == 0


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row("1", "positive", "absent")], "row 2: reference is 'positive'"),
        ([row("1", "absent", "absent"), row("1", "absent", "absent")], "row 3: pair_id repeats row 2"),
        ([{"pair_id": "1", "reference": "absent", "index": "absent"}], "lacks the column.s. patient_id"),
        ([{**row("1", "absent", "absent"), "patient_id": " "}], "row 2: patient_id is empty"),
        ([row("1", "absent", "absent", largest_mm="small")], "row 2: largest_mm is 'small'"),
        ([row("1", "absent", "absent", largest_mm="-3")], "row 2: largest_mm"),
    ],
)
def test_a_bad_row_is_named_with_what_to_do(rows: list[dict[str, str]], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_calls(rows)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"detected": "perhaps"}, "row 3: detected is 'perhaps'"),
        ({"lesion_id": "a"}, "row 3: the lesion stands in row 2"),
        ({"patient_id": "t"}, "row 3: its pair has another patient_id"),
        ({"long_axis_mm": "x"}, "row 3: long_axis_mm"),
    ],
)
def test_a_bad_lesion_row_is_named(change: dict[str, str], complaint: str) -> None:
    good = {"patient_id": "s", "pair_id": "1", "lesion_id": "a", "long_axis_mm": "5", "detected": "true"}
    with pytest.raises(UsageError, match=complaint):
        parse_lesions([good, {**good, "lesion_id": "b", **change}])


def test_nothing_to_evaluate_and_contradicting_tables_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to evaluate"):
        evaluate_tables()
    other = {"patient_id": "z", "pair_id": "1", "lesion_id": "a", "long_axis_mm": "5", "detected": "true"}
    with pytest.raises(UsageError, match="one patient_id"):
        evaluate_tables([row("1", "present", "present")], [other])


def test_disagreeing_sources_are_listed_and_say_whether_they_matter() -> None:
    calls = [
        {
            "pair_id": "1",
            "mr_image": "present",
            "mr_report": "absent",
            "pet_image": "absent",
            "pet_report": "absent",
            "reference": "present",
            "index": "absent",
        },
        {
            "pair_id": "2",
            "mr_image": "absent",
            "mr_report": "absent",
            "pet_image": "present",
            "pet_report": "absent",
            "pet_consensus": "absent",
            "reference": "absent",
            "index": "absent",
        },
        {"pair_id": "3", "mr_image": "uncertain", "mr_report": "present"},
    ]
    found = contradictions(calls, {}, {})
    assert [(d["pair_id"], d["examination"], d["matters"], d["resolved_by"]) for d in found] == [
        ("1", "MRI", True, ""),
        ("2", "PET", True, "consensus"),
    ]
    table = report_validation(calls)["PET"]
    assert (table["image_only"], table["both_absent"], table["not_comparable"]) == (1, 1, 1)


def test_bland_altman_with_one_lesion_per_patient_is_the_plain_one() -> None:
    d = np.random.default_rng(0).normal(1.0, 2.0, 200)
    found = bland_altman(d, np.arange(200))
    assert found is not None
    assert found.bias == pytest.approx(d.mean())
    assert found.limits == pytest.approx((d.mean() - 1.959964 * d.std(ddof=1), d.mean() + 1.959964 * d.std(ddof=1)))
    assert bland_altman([1.0], ["a"]) is None
    with pytest.raises(UsageError):
        bland_altman([1.0, float("nan")], ["a", "b"])


def test_bland_altman_recovers_both_variance_components() -> None:
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(1500), 4)
    d = 0.5 + rng.normal(0, 1.5, 1500)[patient] + rng.normal(0, 1.0, 6000)
    found = bland_altman(d, patient)
    assert found is not None
    assert found.sd_between == pytest.approx(1.5, abs=0.1)
    assert found.sd_within == pytest.approx(1.0, abs=0.05)
    assert found.sd == pytest.approx(np.hypot(1.5, 1.0), abs=0.1)
    assert found.bias_interval is not None
    assert found.bias_interval[0] < 0.5 < found.bias_interval[1]


def test_false_positives_are_compared_with_true_negatives_by_the_examinations_flags() -> None:
    table = [row(f"f{i}", "absent", "present", liver_hu="30") for i in range(4)]
    table += [row(f"n{i}", "absent", "absent", liver_hu="30" if i < 2 else "55") for i in range(8)]
    result = evaluate_tables(table, settings=QUICK).concordance["flag_odds_false_positive"]
    (steatosis,) = [r for r in result if r["flag"] == "steatosis"]
    assert (steatosis["fp_with"], steatosis["fp"], steatosis["tn_with"], steatosis["tn"]) == (4, 4, 2, 8)
    assert steatosis["odds_ratio"] > 1
    assert steatosis["corrected"]
