"""The audit of labels: its sample, its weighted accuracy, and sensitivity and specificity without label errors."""

from __future__ import annotations

import random

import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.labels.audit import AuditSettings, audit_labels, draw_audit_sheet, wilson
from liverpair.evaluate.labels.audit_correction import LabelError, correct_accuracy, label_error


def population(**sizes: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Reports and labels: keys such as MR_present=90."""
    reports: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    for key, size in sizes.items():
        modality, status = key.split("_", 1)
        for k in range(size):
            reports.append({"report_id": f"{key}-{k}", "modality": modality, "text": f"text of {key} {k}"})
            labels.append({"report_id": f"{key}-{k}", "status": status, "largest_mm": 10.0})
    return reports, labels


REPORTS, LABELS = population(MR_present=60, MR_absent=30, PT_present=5, PT_uncertain=5)


def test_every_stratum_is_drawn_and_the_rest_is_proportional() -> None:
    sheet = draw_audit_sheet(REPORTS, LABELS, 30)
    drawn = {key: sum(str(r["report_id"]).startswith(key) for r in sheet) for key in ("MR_p", "MR_a", "PT_p", "PT_u")}
    # Floors of 5; the other 10 by what is left: 55 and 25 of 80.
    assert drawn == {"MR_p": 12, "MR_a": 8, "PT_p": 5, "PT_u": 5}


def test_the_sheet_shows_no_label_and_depends_on_no_order() -> None:
    sheet = draw_audit_sheet(REPORTS, LABELS, 20)
    shuffled, others = list(REPORTS), list(LABELS)
    random.Random(1).shuffle(shuffled)
    random.Random(2).shuffle(others)
    assert draw_audit_sheet(shuffled, others, 20) == sheet
    assert all(row["true_status"] == "" and "status" not in row and "evidence" not in row for row in sheet)
    assert draw_audit_sheet(REPORTS, LABELS, 20, AuditSettings(seed=1)) != sheet


def test_a_sample_too_small_for_its_strata_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 8"):
        draw_audit_sheet(REPORTS, LABELS, 7)


def test_an_audit_of_more_than_all_reports_takes_all() -> None:
    assert len(draw_audit_sheet(REPORTS, LABELS, 1000)) == 100


def test_a_text_is_no_formula() -> None:
    sheet = draw_audit_sheet([{"report_id": "a", "text": "=1+1"}], [{"report_id": "a", "status": "absent"}], 5)
    assert sheet[0]["text"] == "'=1+1"


def answered(wrong: dict[str, str]) -> list[dict[str, object]]:
    """Ten answers for each of two strata; ``wrong`` overrides the truth of single reports."""
    ids = [f"MR_present-{k}" for k in range(10)] + [f"MR_absent-{k}" for k in range(10)]
    return [{"report_id": i, "true_status": wrong.get(i, i.split("_")[1].split("-")[0])} for i in ids]


def test_the_accuracy_is_weighted_by_the_strata() -> None:
    reports, labels = population(MR_present=900, MR_absent=100)
    audit = audit_labels(answered({f"MR_absent-{k}": "present" for k in range(5)}), reports, labels)
    assert audit.accuracy == pytest.approx(0.9 * 1.0 + 0.1 * 0.5)
    assert audit.confusion["present"] == pytest.approx(
        {"present": 0.9, "absent": 0.05, "uncertain": 0, "not_mentioned": 0}
    )
    assert audit.confusion["absent"]["absent"] == pytest.approx(0.05)
    assert audit.interval[0] < audit.accuracy < audit.interval[1]
    assert audit.interval[1] < 1.0


def test_one_stratum_of_a_large_population_gives_the_textbook_interval() -> None:
    reports, labels = population(MR_present=1_000_000 // 100)
    sheet = [{"report_id": f"MR_present-{k}", "true_status": "present" if k < 90 else "absent"} for k in range(100)]
    audit = audit_labels(sheet, reports, labels)
    assert audit.strata[0].clopper_pearson == pytest.approx((0.823777, 0.950995), abs=1e-6)  # R binom.test(90, 100)
    assert audit.strata[0].wilson == pytest.approx((0.825634, 0.944770), abs=1e-6)  # Wilson (1927) by hand
    assert audit.effective_n == pytest.approx(100, rel=0.02)


def test_wilson_at_its_edges() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10) == pytest.approx((1 / (1 + 1.959964**2 / 10), 1.0), abs=1e-6)


def test_a_census_has_no_sampling_error() -> None:
    reports, labels = population(MR_present=10, MR_absent=10)
    audit = audit_labels(answered({"MR_present-0": "absent"}), reports, labels)
    assert audit.interval == (0.95, 0.95)


def test_all_right_does_not_claim_certainty() -> None:
    reports, labels = population(MR_present=900, MR_absent=100)
    audit = audit_labels(answered({}), reports, labels)
    assert audit.accuracy == 1.0
    assert audit.interval[0] < 0.85


def test_blank_answers_and_unseen_strata_are_told() -> None:
    reports, labels = population(MR_present=60, MR_absent=20, PT_present=20)
    sheet = [*answered({})[:19], {"report_id": "MR_absent-9", "true_status": ""}]
    audit = audit_labels(sheet, reports, labels)
    assert (audit.unanswered, audit.uncovered) == (1, pytest.approx(0.2))


def test_sizes_are_compared_where_the_status_is_right() -> None:
    reports, labels = population(MR_present=10, MR_absent=10)
    sheet = answered({})
    sheet[0]["true_largest_mm"], sheet[1]["true_largest_mm"], sheet[2]["true_largest_mm"] = "10,5", "12 mm", 10
    audit = audit_labels(sheet, reports, labels)
    assert (audit.size_right, audit.size_compared) == (2, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"report_id": "MR_present-0", "true_status": "ja"}, "row 2: true_status"),
        ({"report_id": "nobody", "true_status": "present"}, "row 2: this report_id"),
        ({"report_id": "MR_present-0", "true_status": "present", "true_largest_mm": "big"}, "row 2: a size"),
        ({"report_id": "MR_present-0", "true_status": ""}, "no answer"),
    ],
)
def test_unreadable_sheets_are_refused_with_their_row(row: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        audit_labels([row], *population(MR_present=10))


#: The published table (2383 pairs) as if each pair were a patient, scaled so that expected cells are whole enough.
SE, SP, PREVALENCE = 0.97, 0.977, 1685 / 2383


def observed(rate: float, pairs: int = 10**9) -> tuple[int, int, int, int]:
    """Cells seen when reference labels are right with probability ``rate`` and index labels always."""
    true = {(1, 1): PREVALENCE * SE, (1, 0): PREVALENCE * (1 - SE), (0, 0): (1 - PREVALENCE) * SP}
    true[0, 1] = (1 - PREVALENCE) * (1 - SP)
    cell = {(r, i): rate * true[r, i] + (1 - rate) * true[1 - r, i] for r in (0, 1) for i in (0, 1)}
    return tuple(round(pairs * cell[key]) for key in ((1, 1), (0, 1), (1, 0), (0, 0)))  # type: ignore[return-value] # four


def errors_of(rate: float) -> LabelError:
    """The audit that a label with sensitivity = specificity = ``rate`` leads to, without sampling noise."""
    positive = PREVALENCE * rate + (1 - PREVALENCE) * (1 - rate)
    ppv, missed = PREVALENCE * rate / positive, PREVALENCE * (1 - rate) / (1 - positive)
    n = 10**8
    return LabelError(round(ppv * n), n, round(missed * n), n, positive)


def test_labels_right_in_97_percent_hide_the_truth_and_the_correction_finds_it() -> None:
    # statistics.md: 97.0/97.7 % become 95.8/91.1 %.
    found = correct_accuracy([observed(0.97)], errors_of(0.97), None, replicates=50)
    assert found.observed_sensitivity == pytest.approx(0.958, abs=5e-4)
    assert found.observed_specificity == pytest.approx(0.911, abs=5e-4)
    assert found.sensitivity == pytest.approx(SE, abs=1e-6)
    assert found.specificity == pytest.approx(SP, abs=1e-6)


def test_perfect_labels_change_nothing() -> None:
    perfect = LabelError(100, 100, 0, 100, 0.5)
    found = correct_accuracy([(90, 5, 10, 95)], perfect, perfect, replicates=50)
    assert (found.sensitivity, found.specificity) == pytest.approx((0.9, 0.95))


def test_the_interval_widens_with_the_uncertainty_of_the_audit_and_is_seeded() -> None:
    patients = [(9, 1, 1, 9)] * 20 + [(10, 0, 0, 10)] * 30 + [(8, 0, 2, 10)] * 10
    large, small = LabelError(970, 1000, 30, 1000, 0.5), LabelError(29, 30, 1, 30, 0.5)
    wide, narrow = (correct_accuracy(patients, error, error, seed=3) for error in (small, large))
    assert wide.sensitivity_interval is not None
    assert narrow.sensitivity_interval is not None
    width = [i[1] - i[0] for i in (wide.sensitivity_interval, narrow.sensitivity_interval)]
    assert width[0] > 1.3 * width[1]
    assert narrow == correct_accuracy(patients[::-1], large, large, seed=3)


def test_labels_no_better_than_chance_allow_no_correction() -> None:
    useless = LabelError(50, 100, 50, 100, 0.5)
    found = correct_accuracy([(90, 5, 10, 95)], useless, None, replicates=50)
    assert found.sensitivity is None
    assert "chance" in found.note


def test_the_errors_of_a_modality_come_from_its_strata() -> None:
    reports, labels = population(MR_present=900, MR_absent=100)
    audit = audit_labels(answered({"MR_absent-0": "present", "MR_absent-1": "uncertain"}), reports, labels)
    assert label_error(audit, "MR") == LabelError(10, 10, 1, 9, 0.9)
    with pytest.raises(UsageError, match="no PT report"):
        label_error(audit, "PT")
