"""How many pairs a study needs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from liverpair.core.errors import UsageError
from liverpair.evaluate.clustered import ClusterSums, korn_graubard
from liverpair.evaluate.intervals import clopper_pearson
from liverpair.evaluate.power import Design, design_effect_of, expected_interval, study_size, units_needed
from liverpair.flow.cli import app
from liverpair.flow.verbs.planning import design_of_pilot
from typer.testing import CliRunner


def test_independent_pairs_need_what_clopper_and_pearson_say() -> None:
    design = Design(width=0.04)
    n = units_needed(0.97, design)
    low, high = clopper_pearson(0.97 * n, n)
    assert high - low <= 0.04
    low, high = clopper_pearson(0.97 * (n - 1), n - 1)
    assert high - low > 0.04


@pytest.mark.parametrize(
    ("size", "cv", "icc", "effect"), [(1, 0, 0.5, 1.0), (3, 0, 0.5, 2.0), (2, 1, 0.25, 1.75), (2.4, 0.5, 0, 1)]
)
def test_the_design_effect_is_eldridges(size: float, cv: float, icc: float, effect: float) -> None:
    assert design_effect_of(size, cv, icc) == pytest.approx(effect)


def test_copies_of_one_pair_are_worth_one_pair() -> None:
    alone = units_needed(0.9, Design(width=0.1))
    copied = units_needed(0.9, Design(width=0.1, pairs_per_patient=4, icc=1.0))
    assert copied == pytest.approx(4 * alone, rel=0.02)


def test_what_is_planned_is_what_a_clustered_study_then_finds() -> None:
    """Beta-binomial patients with 1 to 5 pairs: the report's own interval has the planned width on average."""
    rng = np.random.default_rng(5)
    icc, truth = 0.3, 0.9
    sizes = rng.integers(1, 6, 20000)
    design = Design(
        width=0.08, pairs_per_patient=float(sizes.mean()), size_cv=float(sizes.std() / sizes.mean()), icc=icc
    )
    patients = round(units_needed(truth, design) / design.pairs_per_patient)
    scale = (1 - icc) / icc
    widths, covered = [], 0
    for _ in range(300):
        n = rng.integers(1, 6, patients)
        x = rng.binomial(n, rng.beta(truth * scale, (1 - truth) * scale, patients))
        low, high = korn_graubard(ClusterSums(x, n))
        widths.append(high - low)
        covered += low <= truth <= high
    assert np.mean(widths) == pytest.approx(0.08, rel=0.08)
    assert covered >= 0.91 * 300


def test_both_estimates_get_their_pairs() -> None:
    design = Design(prevalence=0.75, pairs_per_patient=2.4, icc=0.4, width=0.05)
    size = study_size(design)
    assert size.pairs == max(size.sensitivity.pairs, size.specificity.pairs)
    assert size.specificity.pairs >= size.specificity.units / 0.25
    for need, expected in ((size.sensitivity, 0.95), (size.specificity, 0.95)):
        low, high = expected_interval(expected, need.units, design)
        assert need.interval == (low, high)
        assert high - low <= 0.05


@pytest.mark.parametrize(
    "wrong", [{"sensitivity": 97.0}, {"prevalence": 0.0}, {"icc": 1.2}, {"width": 0.0}, {"pairs_per_patient": 0.5}]
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Design(**wrong)


def test_a_width_that_no_study_reaches_is_refused() -> None:
    with pytest.raises(UsageError, match="wider"):
        units_needed(0.5, Design(width=1e-6))


def test_a_pilot_says_how_its_patients_cluster(tmp_path: Path) -> None:
    """30 patients with two positive pairs that always agree, 30 with one negative pair."""
    lines = ["patient_id,pair_id,reference,index"]
    for patient in range(30):
        call = "absent" if patient < 6 else "present"
        lines += [f"A{patient},A{patient}-{pair},present,{call}" for pair in range(2)]
    lines += [f"B{patient},B{patient},absent,absent" for patient in range(30)]
    table = tmp_path / "calls.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    design = design_of_pilot(table, Design())
    assert design.prevalence == pytest.approx(2 / 3)
    assert design.pairs_per_patient == pytest.approx(1.5)
    assert design.icc == pytest.approx(1.0)
    result = CliRunner().invoke(app, ["power", "--pilot", str(table), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["pairs"] == study_size(design).pairs


def test_the_command_explains_a_number_that_cannot_be() -> None:
    result = CliRunner().invoke(app, ["power", "--sensitivity", "97"])
    assert result.exit_code == 2
