"""Agreement between readers: published tables, readings as they come in tables, and what the study makes of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import UsageError
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.evaluate.kappa import cohen_kappa, linear_weights, rater_sums, several_raters, two_raters
from liverpair.evaluate.reader_agreement import ReaderSettings, reader_agreement
from liverpair.evaluate.reader_words import strength
from liverpair.evaluate.readings import parse_readings
from liverpair.flow.cli import app
from liverpair.flow.config import Settings
from liverpair.flow.study_reports import keep_readings, read_consensus, readers_of_study
from liverpair.flow.tables import COLUMNS
from liverpair.flow.tabular import evaluate_tables
from liverpair.flow.workspace import Workspace
from typer.testing import CliRunner

QUICK = ReaderSettings(replicates=400)
QUICK_STUDY = Settings(concordance=ConcordanceSettings(bootstrap_replicates=200))
#: Fleiss 1971, table 1: 30 patients, six psychiatrists each; depression, personality disorder, schizophrenia, neurosis,
#: other.
FLEISS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
#: Krippendorff's four observers as in irrCAC (cac.raw4raters); "-" is not rated.
FOUR = "11-1 2232 3333 3333 2222 1234 4444 1121 2222 -555 --11 --3-"
WORDS = ("absent", "uncertain", "present", "not_evaluable")


def _several(ratings: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    found = several_raters(rater_sums(ratings, weights).sum(axis=0), weights)
    return {name: float(value) for name, value in found.items()}


# --- published tables -----------------------------------------------------------------------------------------------


def test_cohens_own_table_of_1960_has_his_kappa() -> None:
    found = cohen_kappa([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert found is not None
    assert found[0] == pytest.approx(0.492, abs=5e-4)


def test_the_variances_of_fleiss_cohen_and_everitt_1969_are_met() -> None:
    table = [[106, 10, 4], [22, 28, 10], [2, 12, 6]]
    plain, weighted = cohen_kappa(table), cohen_kappa(table, [[1, 0, 4 / 9], [0, 1, 6 / 9], [4 / 9, 6 / 9, 1]])
    assert plain is not None
    assert weighted is not None
    assert (plain[0], plain[1] ** 2) == pytest.approx((0.429, 0.002885), abs=5e-4)
    assert plain[1] ** 2 == pytest.approx(0.002885, abs=5e-7)
    assert weighted[0] == pytest.approx(0.507, abs=5e-4)
    assert weighted[1] ** 2 == pytest.approx(0.003248, abs=5e-7)


def test_equal_spacing_weights_are_those_of_rs_vcd() -> None:
    table = [[7, 7, 2, 3], [2, 8, 3, 7], [1, 5, 4, 9], [2, 8, 9, 14]]  # SexualFun
    assert cohen_kappa(table) == pytest.approx((0.1293, 0.06860), abs=5e-5)
    assert cohen_kappa(table, linear_weights(4)) == pytest.approx((0.2374, 0.07832), abs=5e-5)


def test_fleiss_psychiatrists_have_his_kappa() -> None:
    ratings = np.array([[int(c) for c in patient] for patient in FLEISS.split()])
    assert ratings.sum(axis=0).tolist() == [26, 26, 30, 55, 43]
    found = _several(ratings, np.eye(5))
    assert found["fleiss_kappa"] == pytest.approx(0.430, abs=5e-4)
    assert found["agreement"] == pytest.approx(0.556, abs=5e-4)


def test_units_that_some_did_not_rate_count_as_in_irrcac() -> None:
    ratings = np.array([[unit.count(str(c)) for c in range(1, 6)] for unit in FOUR.split()])
    found = _several(ratings, linear_weights(5))
    assert found["agreement"] == pytest.approx(0.81818, abs=5e-6)
    assert found["fleiss_kappa"] == pytest.approx(0.76117, abs=5e-6)
    assert found["ac1"] == pytest.approx(0.77544, abs=5e-6)


# --- properties -----------------------------------------------------------------------------------------------------

tables = st.integers(2, 4).flatmap(
    lambda q: st.lists(st.integers(0, 30), min_size=q * q, max_size=q * q).map(lambda v: np.array(v).reshape(q, q))
)


@settings(max_examples=40, deadline=None)
@given(tables)
def test_who_comes_first_does_not_matter_and_no_coefficient_exceeds_one(table: np.ndarray) -> None:
    w = linear_weights(len(table))
    one, other = (two_raters(t.ravel(), w) for t in (table, table.T))
    for name, value in one.items():
        assert np.isnan(value) == np.isnan(other[name])
        if not np.isnan(value):
            assert value == pytest.approx(float(other[name]), abs=1e-9)
            assert value <= 1 + 1e-9


@settings(max_examples=40, deadline=None)
@given(tables)
def test_the_table_and_the_rows_of_replicates_give_one_kappa(table: np.ndarray) -> None:
    w = linear_weights(len(table))
    for name, weights in (("kappa", None), ("kappa_weighted", w)):
        found, row = cohen_kappa(table, weights), float(two_raters(table.ravel(), w)[name])
        assert (found is None) == np.isnan(row)
        assert found is None or found[0] == pytest.approx(row, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(tables)
def test_two_raters_of_several_are_scotts_pi_with_the_same_agreement_and_ac1(table: np.ndarray) -> None:
    q, w = len(table), linear_weights(len(table))
    units = [(i, j) for i in range(q) for j in range(q) for _ in range(int(table[i, j]))]
    ratings = np.array([[(i == c) + (j == c) for c in range(q)] for i, j in units]).reshape(-1, q)
    several, two = _several(ratings, w), two_raters(table.ravel(), w)
    for name in ("agreement", "ac1"):
        assert several[name] == pytest.approx(float(two[name]), abs=1e-9, nan_ok=True)
    if units and not np.isnan(several["fleiss_kappa"]):
        half = ratings.sum(axis=0) / ratings.sum()
        agreed, chance = float(np.trace(table)) / len(units), float((half**2).sum())
        assert several["fleiss_kappa"] == pytest.approx((agreed - chance) / (1 - chance), abs=1e-9)


# --- readings -------------------------------------------------------------------------------------------------------


def _row(pair: str, reader: str, mr: str, pet: str, read_at: str = "", **more: str) -> dict[str, str]:
    return {"pair_id": pair, "reader": reader, "mr": mr, "pet": pet, "read_at": read_at, **more}


PATIENTS = {f"p{n}": f"s{n // 2}" for n in range(40)}


def _noisy(readers: str, seed: int = 5) -> list[dict[str, str]]:
    """Readers of 40 pairs of 20 patients who mostly say the truth."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, pair in enumerate(PATIENTS):
        share = [0.05, 0.05, 0.88, 0.02] if n % 2 else [0.88, 0.05, 0.05, 0.02]
        rows += [_row(pair, r, *(str(rng.choice(WORDS, p=share)) for _ in "mp"), "2024-02-01") for r in readers]
    return rows


def test_german_headers_and_several_forms_of_dates_are_understood() -> None:
    rows = [
        {"Paar": "p1", "Leser": "AB", "MRT": "present", "PET/CT": "absent", "Datum": "12.03.2024 14:05"},
        {"Paar": "p1", "Leser": "AB", "MRT": "absent", "PET/CT": "", "Datum": "12.3.2024 9:15"},
    ]
    found = parse_readings(rows, PATIENTS)
    assert [(r.examination, r.verdict, r.turn) for r in found] == [
        ("mr", "absent", 0),
        ("mr", "present", 1),
        ("pet", "absent", 0),
    ]


def test_mri_and_pet_of_one_reader_may_stand_in_rows_of_their_own() -> None:
    rows = [_row("p1", "A", "present", ""), _row("p1", "A", "", "absent"), _row("p1", "B", "present", "absent")]
    found = reader_agreement(parse_readings(rows, PATIENTS), settings=QUICK)
    assert found is not None
    assert [(x["examination"], x["agreement"]["k"]) for x in found["two_readers"]] == [
        ("MRI", 1),
        ("PET/CT", 1),
        ("pair outcome", 1),
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([_row("p1", "A", "positiv", "absent")], r"row 2: mr is 'positiv' \(present\?\)"),
        ([_row("p99", "A", "present", "absent")], "row 2: there is no pair 'p99'"),
        ([_row("p1", " ", "present", "absent")], "row 2: reader is empty"),
        ([_row("p1", "A", "not_mentioned", "absent")], "row 2: mr is 'not_mentioned'"),
        ([_row("p1", "A", "present", ""), _row("p2", "a ", "present", "")], "'A' in row 2 and 'a' in row 3"),
        ([_row("p1", "A", "present", ""), _row("p1", "A", "absent", "")], "read_at does not say which came first"),
        ([_row("p1", "A", "present", "", "2024-01-01")] * 2, "read_at does not say which came first"),
        ([_row("p1", "A", "present", "", "1/2/2024")], "no date with one reading only"),
        ([{"pair_id": "p1", "mr": "present"}], "lacks the column reader; it has pair_id, mr"),
        ([{"pair_id": "p1", "reader": "A", "verdict": "present"}], "lacks the column mr or pet"),
        ([{"pair_id": "p1", "reader": "A", "mr": "present", "MRT": "absent"}], "two columns for mr"),
        ([], "has no row"),
        ([_row("p1", "A", "present", "", patient_id="s9")], "row 2: patient_id is not that of this pair"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_what_was_found(rows: list[dict[str, str]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_readings(rows, PATIENTS)


def test_readings_alone_must_say_which_pairs_belong_to_one_patient() -> None:
    with pytest.raises(UsageError, match="patient_id is empty or missing"):
        parse_readings([_row("p1", "A", "present", "absent")])
    rows = [_row("p1", reader, "present", "", patient_id=p) for reader, p in (("A", "s1"), ("B", "s2"))]
    with pytest.raises(UsageError, match="another patient_id earlier"):
        parse_readings(rows)


# --- agreement ------------------------------------------------------------------------------------------------------


def test_an_uncertain_reading_is_a_category_and_one_not_evaluable_is_counted_and_left_out() -> None:
    said = [("present", "present"), ("uncertain", "present"), ("absent", "absent"), ("not_evaluable", "absent")]
    rows = [_row(f"p{n}", r, v, "") for n, both in enumerate(said) for r, v in zip("AB", both, strict=True)]
    found = reader_agreement(parse_readings(rows, PATIENTS), settings=QUICK)
    assert found is not None
    (mri,) = found["two_readers"]
    assert (mri["pairs"], mri["not_evaluable"]) == (3, 1)
    assert mri["categories"] == ["absent", "indeterminate", "present"]
    assert mri["table"] == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    assert (mri["agreement"]["k"], mri["agreement"]["n"], mri["agreement"]["clusters"]) == (2, 3, 2)
    assert mri["kappa"]["value"] == pytest.approx(0.5)
    assert mri["kappa_weighted"]["value"] == pytest.approx(2 / 3)  # the step to uncertain counts half
    assert found["readers"][0] == {
        "reader": "A", "mr": 4, "mr_again": 0, "mr_present": 1, "mr_indeterminate": 1, "mr_not_evaluable": 1,
        "pet": 0, "pet_again": 0, "pet_present": 0, "pet_indeterminate": 0, "pet_not_evaluable": 0,
    }  # fmt: skip


def test_readers_who_never_doubt_have_equal_kappas_and_the_pabak_of_two_answers() -> None:
    rows = [_row(f"p{n}", r, "present" if n < 4 + (r == "B") else "absent", "") for n in range(10) for r in "AB"]
    found = reader_agreement(parse_readings(rows, PATIENTS), settings=QUICK)
    assert found is not None
    (mri,) = found["two_readers"]
    assert mri["kappa"]["value"] == pytest.approx(mri["kappa_weighted"]["value"])
    assert mri["pabak"]["value"] == pytest.approx(2 * 0.9 - 1)


def test_readers_who_all_say_the_same_have_no_kappa_and_it_is_said_why() -> None:
    rows = [_row(f"p{n}", r, "present", "") for n in range(10) for r in "AB"]
    found = reader_agreement(parse_readings(rows, PATIENTS), settings=QUICK)
    assert found is not None
    (mri,) = found["two_readers"]
    assert mri["kappa"]["value"] is None
    assert mri["kappa"]["notes"]["value"].startswith("every answer is the same")
    assert mri["ac1"]["value"] == 1.0
    assert mri["agreement"]["intervals"]["clopper_pearson"][0] == pytest.approx(0.6915, abs=1e-4)
    assert "κ is not defined" in found["said"][0]


def test_complete_agreement_has_no_interval_of_no_width() -> None:
    rows = [_row(f"p{n}", r, "present" if n % 3 else "absent", "") for n in range(20) for r in "AB"]
    found = reader_agreement(parse_readings(rows, PATIENTS), settings=QUICK)
    assert found is not None
    kappa = found["two_readers"][0]["kappa"]
    assert (kappa["value"], kappa["intervals"]["bootstrap"]) == (1.0, None)
    assert "asymptotic" not in kappa["intervals"]


def test_the_interval_heeds_that_pairs_of_a_patient_are_alike() -> None:
    rng = np.random.default_rng(3)
    rows, patients = [], {}
    for s in range(40):  # five pairs of a patient on which both readers repeat themselves
        said = [str(rng.choice(("present", "absent"))) for _ in "AB"] if s % 3 == 0 else ["present", "present"]
        for n in range(5):
            patients[f"q{s}-{n}"] = f"s{s}"
            rows += [_row(f"q{s}-{n}", r, v, "") for r, v in zip("AB", said, strict=True)]
    found = reader_agreement(parse_readings(rows, patients), settings=ReaderSettings(replicates=2000))
    assert found is not None
    kappa = found["two_readers"][0]["kappa"]
    (low, high), (naive_low, naive_high) = kappa["intervals"]["bootstrap"], kappa["intervals"]["asymptotic"]
    assert high - low > 1.5 * (naive_high - naive_low)


def test_where_every_patient_has_one_pair_bootstrap_and_formula_agree() -> None:
    rng = np.random.default_rng(11)
    truth = rng.random(400) < 0.5
    rows = [
        _row(f"q{n}", r, "present" if truth[n] ^ (rng.random() < 0.1) else "absent", "")
        for n in range(400)
        for r in "AB"
    ]
    found = reader_agreement(parse_readings(rows, {f"q{n}": f"s{n}" for n in range(400)}))
    assert found is not None
    kappa = found["two_readers"][0]["kappa"]
    assert kappa["intervals"]["bootstrap"] == pytest.approx(kappa["intervals"]["asymptotic"], abs=0.01)


def test_a_second_reading_is_compared_with_the_first_and_changes_nothing_else() -> None:
    rows = _noisy("AB")
    again = [{**row, "read_at": "2024-06-01"} for row in rows if row["reader"] == "A"][:10]
    once, twice = (reader_agreement(parse_readings(r, PATIENTS), settings=QUICK) for r in (rows, rows + again))
    assert once is not None
    assert twice is not None
    assert twice["two_readers"] == once["two_readers"]
    assert [(r["examination"], r["reader"]) for r in twice["repeated"]] == [
        ("MRI", "A"), ("PET/CT", "A"), ("pair outcome", "A"),
    ]  # fmt: skip
    assert all(r["agreement"]["value"] == 1.0 for r in twice["repeated"])
    assert not once["repeated"]


def test_three_readers_have_fleiss_kappa_and_two_have_not() -> None:
    three = reader_agreement(parse_readings(_noisy("ABC"), PATIENTS), settings=QUICK)
    two = reader_agreement(parse_readings(_noisy("AB"), PATIENTS), settings=QUICK)
    assert three is not None
    assert two is not None
    assert (len(three["two_readers"]), len(three["all_readers"]), two["all_readers"]) == (9, 3, [])
    mri = three["all_readers"][0]
    low, high = mri["fleiss_kappa"]["intervals"]["bootstrap"]
    assert 0 < low < mri["fleiss_kappa"]["value"] < high < 1
    pairwise = [x["kappa"]["value"] for x in three["two_readers"] if x["examination"] == "MRI"]
    assert min(pairwise) - 0.02 < mri["fleiss_kappa"]["value"] < max(pairwise) + 0.02


def test_readers_are_compared_with_images_and_reports_and_judged_by_their_own_reference() -> None:
    rows = [_row("p0", "A", "present", "absent"), _row("p1", "A", "present", "present")]
    calls = [
        {
            "pair_id": "p0",
            "patient_id": "s0",
            "mr_image": "present",
            "pet_image": "present",
            "mr_report": "not_mentioned",
        },
        {"pair_id": "p1", "patient_id": "s0", "mr_image": "present", "pet_image": "present"},
    ]
    found = reader_agreement(parse_readings(rows, PATIENTS), calls, QUICK)
    assert found is not None
    said = {
        (x["examination"], x["source"]): (x["agreement"]["k"], x["agreement"]["n"]) for x in found["against_sources"]
    }
    assert said == {
        ("MRI", "images"): (2, 2),
        ("MRI", "reports"): (0, 1),
        ("PET/CT", "images"): (1, 2),
        ("pair outcome", "images"): (1, 2),
    }
    (own,) = found["accuracy"]
    assert (own["counts"]["tp"], own["counts"]["fn"], own["sensitivity"]["value"]) == (1, 1, 0.5)


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(random: object) -> None:
    rows = _noisy("AB")
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis' Random has no stub
    one, other = (reader_agreement(parse_readings(r, PATIENTS), settings=QUICK) for r in (rows, shuffled))
    assert json.dumps(one) == json.dumps(other)


def test_landis_and_kochs_words_are_bound_where_they_bound_them() -> None:
    said = {
        -0.1: "poor",
        0.0: "slight",
        0.2: "slight",
        0.21: "fair",
        0.6: "moderate",
        0.8: "substantial",
        0.81: "almost perfect",
    }
    assert {value: strength(value) for value in said} == said
    assert strength(None) == ""


# --- tables, workspace, command line --------------------------------------------------------------------------------


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_bare_tables_give_the_section_the_tables_and_the_json(tmp_path: Path) -> None:
    calls = [
        {"patient_id": s, "pair_id": p, "reference": "present" if int(p[1:]) % 2 else "absent", "index": "present"}
        for p, s in PATIENTS.items()
    ]
    readings = _noisy("AB")
    readings[0]["reader"] = readings[0]["reader"] + "<script>"
    given = [_write(tmp_path / f"{name}.csv", rows) for name, rows in (("calls", calls), ("readings", readings))]
    evaluate_tables(given[0], None, tmp_path / "out", QUICK_STUDY, given[1])
    found = json.loads((tmp_path / "out" / "concordance.json").read_text(encoding="utf-8"))["readers"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert '<h2 id="readers">' in page
    assert found["said"][0].replace("'", "&#39;") in page
    assert "A&lt;script&gt;" in page
    assert "Agreement between readers is of each reader" in page
    rows = json.loads((tmp_path / "out" / "tables" / "reader_agreement.json").read_text(encoding="utf-8"))
    assert [r["kappa"] for r in rows if r["kind"] == "two_readers"] == [
        x["kappa"]["value"] for x in found["two_readers"]
    ]
    evaluate_tables(given[0], None, tmp_path / "out", QUICK_STUDY)
    assert '<h2 id="readers">' not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "tables" / "reader_agreement.csv").exists()


def test_readings_alone_are_enough_and_the_page_leads_with_them(tmp_path: Path) -> None:
    rows = [{**row, "patient_id": PATIENTS[row["pair_id"]]} for row in _noisy("AB")]
    answer = evaluate_tables(None, None, tmp_path / "out", QUICK_STUDY, _write(tmp_path / "r.csv", rows))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert answer.value["readers"]["pairs"] == 40
    assert f'<p class="lead">{answer.value["readers"]["said"][0]}'.replace("'", "&#39;") in page


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "ws")
    made.write_table(
        "pairs", [{**dict.fromkeys(COLUMNS["pairs"], ""), "pair_id": p, "patient_id": s} for p, s in PATIENTS.items()]
    )
    return made


CONCORDANCE = {"confidence_level": 0.95, "bootstrap_replicates": 200, "seed": 1}
CALLS = [{"pair_id": p, "patient_id": s, "mr_image": "present"} for p, s in PATIENTS.items()]


def test_a_workspace_keeps_the_readings_it_was_given(workspace: Workspace, tmp_path: Path) -> None:
    assert readers_of_study(workspace, CALLS, read_consensus(workspace, list(PATIENTS)), CONCORDANCE) is None
    keep_readings(workspace, _write(tmp_path / "r.csv", _noisy("AB")))
    found = readers_of_study(workspace, CALLS, read_consensus(workspace, list(PATIENTS)), CONCORDANCE)
    assert found is not None
    assert (found["independent"], len(found["two_readers"])) == (True, 3)


def test_a_bad_table_is_not_kept(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pair"):
        keep_readings(workspace, _write(tmp_path / "r.csv", [_row("other", "A", "present", "absent")]))
    assert not (workspace.tables / "readings.csv").exists()


def test_named_readers_of_a_consensus_are_compared_with_a_warning(workspace: Workspace) -> None:
    rows = [{"pair_id": "p0", "mr_consensus": "present", "pet_consensus": "absent", "reader": r} for r in ("A", "B")]
    _write(workspace.tables / "consensus.csv", rows)
    found = readers_of_study(workspace, CALLS, read_consensus(workspace, list(PATIENTS)), CONCORDANCE)
    assert found is not None
    assert not found["independent"]
    _write(workspace.tables / "consensus.csv", rows[:1])
    assert readers_of_study(workspace, CALLS, read_consensus(workspace, list(PATIENTS)), CONCORDANCE) is None


def test_the_command_teaches_what_a_table_of_readings_holds() -> None:
    said = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "200"}).output
    assert "--readings" in said
    assert "pair_id, reader, mr, pet" in said
