"""The report: its numbers are the tables', it needs nothing else, and text from outside stays text."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.evaluate.report.build import CaseView, FlowStep, ReportData, build_report, report_figures
from liverpair.evaluate.report.overview import Contour, Label, Panel, draw_overview
from liverpair.evaluate.report.wording import chance, days, noted, number, p_value, plain_bounds, unbroken
from liverpair.evaluate.tables import attribution_row, evaluate_tables, parse_lesions
from PIL import Image

QUICK = ConcordanceSettings(bootstrap_replicates=200)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }} $\\frac$"
VERDICTS = {
    "TP": ("present", "present"),
    "FP": ("absent", "present"),
    "FN": ("present", "absent"),
    "TN": ("absent", "absent"),
    "open": ("uncertain", "present"),
    "none": ("present", "not_evaluable"),
}


class _Page(HTMLParser):
    """What a browser would make of the page: visible text, tags, ids, links and everything that could load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent += tag in ("script", "style")
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name == "href" and tag == "a" and value:
                self.links.append(value)
            if name == "src" or (name == "href" and tag == "link"):
                self.loads.append(str(value))
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def _calls(**numbers: int) -> list[dict[str, str]]:
    """Pairs of each kind, three to a patient, in a table as a user gives it."""
    rows = []
    for kind, n in numbers.items():
        for _ in range(n):
            k = len(rows)
            reference, index = VERDICTS[kind]
            days_between = str((37 * k) % 180 - 90)
            tracer = ("68Ga-DOTATOC", "64Cu-DOTATATE")[k % 2]
            row = {
                "patient_id": f"SECRET{k // 3:04d}",
                "pair_id": f"pair{k:04d}",
                "reference": reference,
                "index": index,
            }
            row |= {"tracer": tracer, "interval_days": days_between, "pet_date": f"{2010 + k % 9}-05-17"}
            rows.append(row | {"largest_mm": f"{3 + k % 20}" if reference == "present" else ""})
    return rows


def _data(calls: list[dict[str, str]], lesions: list[dict[str, str]] | None = None, **more: Any) -> ReportData:
    found = evaluate_tables(calls, lesions, QUICK)
    causes = {a.pair_id: attribution_row(a) for a in found.attribution}
    by_id = {row["pair_id"]: row for row in calls}
    cases = []
    for call in found.calls:
        row = by_id[call["pair_id"]]
        pair = {key: row.get(key, "") for key in ("pair_id", "patient_id", "tracer", "interval_days", "pet_date")}
        pair |= {"mr_date": row.get("pet_date", ""), "largest_mm": row.get("largest_mm") or None}
        sources = {"mr_image": call["reference"], "pet_image": call["index"], "mr_report": "", "pet_report": ""}
        cases.append(CaseView(pair, {**call, **sources}, causes.get(call["pair_id"]), (), None, ()))
    sizes = [(x.size_mm, x.detected) for x in parse_lesions(lesions or []) if x.size_mm and x.detected is not None]
    given: dict[str, Any] = {
        "title": "A study",
        "version": "0",
        "settings_toml": "[a]\nb = 1\n",
        "flow": [FlowStep("Pairs in the table", len(calls), "pairs")],
        "cases": cases,
        "sizes": sizes,
        "methods": ["By tables."],
        "odds": found.concordance["flag_odds"],
    }
    return ReportData(concordance=found.concordance, **(given | more))


def _changed(data: ReportData, **more: Any) -> ReportData:
    return dataclasses.replace(data, **more)


def _lesions(calls: list[dict[str, str]]) -> list[dict[str, str]]:
    rows = []
    for k, call in enumerate(c for c in calls if c["reference"] == "present"):
        size = float(call["largest_mm"])
        row = {
            "patient_id": call["patient_id"],
            "pair_id": call["pair_id"],
            "lesion_id": "L1",
            "long_axis_mm": str(size),
        }
        rows.append(row | {"detected": "true" if size + 5 * (k % 3) > 12 else "false"})
    return rows


@pytest.fixture(scope="module")
def study() -> tuple[ReportData, str]:
    calls = _calls(TP=40, FP=3, FN=9, TN=25, open=2, none=4)
    data = _data(calls, _lesions(calls))
    return data, build_report(data)


def test_the_numbers_shown_are_those_of_the_table(study: tuple[ReportData, str]) -> None:
    data, html = study
    shown = _Page(html).words
    c = data.concordance
    for name, label in (("sensitivity", "Sensitivity"), ("specificity", "Specificity"), ("npv", "NPV")):
        e = c["estimates"][name]
        low, high = e["intervals"]["korn_graubard"]
        assert f"{label} {e['k']} / {e['n']} {100 * e['value']:.1f} % {100 * low:.1f}–{100 * high:.1f}" in shown
    assert "PET positive 40 true positive 3 false positive 43" in shown
    assert "PET negative 9 false negative 25 true negative 34" in shown
    assert "PET positive 40 3 2 0" in shown  # indeterminate MRI
    assert "PET not evaluable 4 0 0 0" in shown
    bound = c["bounds"]["indeterminate_and_not_evaluable"]["sensitivity"]
    assert f"{100 * bound['worst']:.1f} % to {100 * bound['best']:.1f} %" in shown
    assert f"κ {c['kappa']:.3f}" in shown


def test_every_false_pair_has_a_card_and_every_pair_a_row(study: tuple[ReportData, str]) -> None:
    data, html = study
    page = _Page(html)
    cards = [i for i in page.ids if i.startswith("case-")]
    assert len(cards) == 12
    for case in data.cases:
        assert f">{case.pair['pair_id']}<" in html


def test_every_link_has_its_target_and_ids_are_unique(
    study: tuple[ReportData, str],
) -> None:
    page = _Page(study[1])
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)
    ours = [
        i
        for i in page.ids
        if not re.match(r"(figure|axes|patch|line2d|text|matplotlib|xtick|ytick|legend|m[0-9a-f])", i)
    ]
    own = [i for i in ours if i.startswith("case-") or i in ("top", "flow", "estimates", "stard", "methods", "limits")]
    assert len(own) == len(set(own))


def test_the_page_loads_nothing(study: tuple[ReportData, str]) -> None:
    html = study[1]
    page = _Page(html)
    assert page.loads == []
    assert page.handlers == []
    outside = re.findall(r"https?://[^\"'\s<)]+", html)
    assert {u for u in outside if not u.startswith("http://www.w3.org/")} == set()  # names of XML vocabularies
    assert "url(http" not in html
    assert "@import" not in html


def test_no_patient_id_is_shown_unless_asked_for() -> None:
    calls = _calls(TP=4, FN=2)
    html = build_report(_data(calls))
    assert "SECRET" not in html
    assert "-05-17" not in html
    assert "SECRET0000" in build_report(_data(calls, show_patient_ids=True))


def test_stand_ins_tell_patients_apart_and_depend_on_the_whole_cohort() -> None:
    from liverpair.evaluate.report.cohort_tables import stand_ins

    small = stand_ins([{"patient_id": "1", "pair_id": "a"}, {"patient_id": "2", "pair_id": "b"}])
    large = stand_ins([{"patient_id": "1", "pair_id": "a"}, {"patient_id": "3", "pair_id": "c"}])
    assert small["1"] != small["2"]
    assert small["1"] != large["1"]


def test_hostile_text_stays_text() -> None:
    calls = _calls(TP=2, FN=2, FP=1)
    for call in calls:
        call["pair_id"] += HOSTILE
        call["tracer"] = HOSTILE + call["tracer"]
    odd = {"levels": [(HOSTILE, 3, [(HOSTILE, 1)])], "exclusions": [{"level": HOSTILE, "reason": HOSTILE, "n": 1}]}
    data = _data(
        calls,
        title=HOSTILE,
        settings_toml=HOSTILE,
        methods=[HOSTILE],
        flow=[FlowStep(HOSTILE, 5, HOSTILE, HOSTILE, ((HOSTILE, 2),))],
        missing=[{"what": HOSTILE, "missing": 1, "of": 2}],
        refusals=[{"series": HOSTILE, "reason": HOSTILE, "n": 1}],
        **odd,
    )
    notes = [CaseView(c.pair, c.call, c.attribution, [_lesion(HOSTILE)], None, [HOSTILE]) for c in data.cases]
    html = build_report(_changed(data, cases=notes))
    page = _Page(html)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert page.handlers == []
    assert "{{ 7*7 }}" in page.words
    assert "$\\frac$" in str(report_figures(data)["subgroups"])
    assert "<script>alert(1)</script>" in page.words


def test_hostile_text_stays_text_in_what_users_and_readers_write() -> None:
    data = _data(_calls(TP=3, FN=2, TN=2, FP=1))
    reading = dict.fromkeys(("pair_id", "examination", "image", "report", "consensus", "reader", "decided_at"), HOSTILE)
    trail = [{**reading, "reason": HOSTILE, "overrules": [HOSTILE], "counts": True}]
    against = {"agreement": {}, "disagreements": [{**reading, "matters": True, "why": HOSTILE}]}
    more = {"consensus_trail": trail, "images_against_reports": against, "label_correction": {"note": HOSTILE}}
    html = build_report(
        _changed(
            data,
            concordance={**data.concordance, **more},
            baseline=[(HOSTILE, HOSTILE)],
            acquisition=[(HOSTILE, HOSTILE)],
        )
    )
    assert html.count("alert(1)") >= 12
    page, plain = _Page(html), _Page(build_report(data))
    assert page.handlers == []
    assert page.tags.count("script") == plain.tags.count("script")
    assert page.loads == plain.loads


def _lesion(text: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("long_axis_mm", "short_axis_mm", "volume_ml", "suv_max", "tlr", "z", "confidence"), 1.0)
    words = {"lesion_id": text, "modality": "MR", "matched_lesion_id": [text], "flags": [text]}
    return {**numbers, **words, "diameter_ci_low_mm": None, "diameter_ci_high_mm": None, "match_distance_mm": None}


def test_the_same_study_gives_the_same_bytes(study: tuple[ReportData, str]) -> None:
    assert build_report(study[0]) == study[1]


def test_the_order_of_the_cases_does_not_matter(study: tuple[ReportData, str]) -> None:
    data = study[0]
    assert build_report(_changed(data, cases=list(reversed(data.cases)))) == study[1]


@pytest.mark.parametrize("kinds", [{"none": 2}, {"TP": 1}, {"TN": 3}, {"FN": 1}, {"open": 1}, {"TP": 5, "FN": 2}])
def test_small_and_one_sided_cohorts_have_a_report(kinds: dict[str, int]) -> None:
    html = build_report(_data(_calls(**kinds)))
    assert "STARD 2015" in html
    assert "nan" not in _Page(html).words.lower().split()


def test_a_cohort_without_any_pair_has_a_report() -> None:
    from liverpair.evaluate.concordance import concordance

    empty = concordance([], QUICK)
    html = build_report(ReportData("None", "0", "", empty, [FlowStep("Studies", 0, "studies")]))
    assert "No pair could be judged" in _Page(html).words


def test_lesions_alone_make_a_report_with_the_size_curve() -> None:
    lesions = _lesions(_calls(TP=30, FN=5))
    found = evaluate_tables(None, lesions, QUICK)
    sizes = [(x.size_mm or 0.0, bool(x.detected)) for x in parse_lesions(lesions)]
    data = ReportData("Lesions", "0", "", found.concordance, [], sizes=sizes)
    words = _Page(build_report(data)).words
    curve = found.concordance["size_curve"]
    assert f"50 % (d50) {curve['d50_mm']:.1f}" in words
    for b in found.concordance["size_bins"]:
        assert f"{b['label']} {b['k']} / {b['n']}" in words


def test_an_unbounded_interval_is_called_so() -> None:
    lesions = _lesions(_calls(TP=12, FN=3))
    concordance = evaluate_tables(None, lesions, QUICK).concordance
    curve = {**concordance["size_curve"], "d50_ci_mm": {"delta": [1.0, 9.0], "fieller": "unbounded"}, "d50_mm": 5.0}
    data = ReportData("x", "0", "", {**concordance, "size_curve": curve}, [], sizes=[(5.0, True), (4.0, False)])
    assert "1.0–9.0 unbounded" in _Page(build_report(data)).words


def test_every_stard_item_is_answered_or_left_to_the_manuscript(study: tuple[ReportData, str]) -> None:
    words = _Page(study[1]).words
    items = [str(n) for n in range(1, 31) if n not in (10, 12, 13, 21)]
    for item in [*items, "10a", "10b", "12a", "12b", "13a", "13b", "21a", "21b"]:
        assert re.search(rf" {item} [A-Z]", words), item


def test_figures_are_standalone_svg(study: tuple[ReportData, str]) -> None:
    drawn = report_figures(study[0])
    assert {"flow", "forest", "subgroups", "size", "sweep", "interval"} <= set(drawn)
    for name, figure in drawn.items():
        root = ElementTree.fromstring(str(figure))
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name


def test_the_flow_diagram_ends_in_the_table() -> None:
    step = FlowStep("Pairs", 10, "pairs", excluded=(("not_dicom", 3),))
    data = _data(_calls(TP=2, FN=1, TN=4), flow=[step])
    figure = str(report_figures(data)["flow"])
    for text in ("Set aside: n = 3", "not a DICOM file: 3", "MRI positive: 2 (true positive)", "PET/CT negative"):
        assert text in figure


def test_thousands_of_pairs_stay_a_small_page() -> None:
    html = build_report(_data(_calls(TP=1634, FP=16, FN=51, TN=682)))
    assert len(html) < 3_000_000
    assert len([i for i in _Page(html).ids if i.startswith("case-")]) == 67
    assert "sensitivity 97.0 %" in html
    assert "specificity 97.7 %" in html


def test_numbers_are_worded_with_a_proper_minus_and_without_false_certainty() -> None:
    assert number(-1.25) == "−1.2"
    assert days(-20) == "−20"
    assert days(0) == "0"
    assert days(5) == "+5"
    assert chance(0.999) == "> 99 %"
    assert chance(0.004) == "< 1 %"
    assert plain_bounds([0.0236, 1365.7]) == "0.0236 to 1,366"


def _panel(**more: Any) -> Panel:
    image = np.random.default_rng(0).random((60, 80)).astype(np.float32)
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 30:50] = True
    contours = tuple(Contour(mask, kind) for kind in ("liver", "liver on MRI", "MR", "PET", "benign"))
    return Panel("CT $x_1$", image, (0.0, 1.0), contours, cross=(40.0, 30.0), sides=("R", "L"), pixel_mm=1.5, **more)


def test_an_overview_is_the_same_bytes_every_time_and_survives_odd_text(tmp_path: Path) -> None:
    labels = (Label("M01", 50.0, 40.0, "MR"), Label("P01", 51.0, 41.0, "PET"), Label("out", 500.0, 3.0, "MR"))
    rows = [[_panel(labels=labels), _panel(inverted=True)], [_panel(overlay=np.ones((60, 80), dtype=np.float32))]]
    for name in ("a.png", "b.png"):
        draw_overview(rows, HOSTILE, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 600


def test_a_label_is_drawn_where_its_lesion_is(tmp_path: Path) -> None:
    for name, labels in (("with.png", (Label("M01", 50.0, 40.0, "MR"),)), ("without.png", ())):
        draw_overview([[_panel(labels=labels)]], "x", tmp_path / name)
    one, other = (np.asarray(Image.open(tmp_path / n).convert("L"), dtype=int) for n in ("with.png", "without.png"))
    rows, columns = np.nonzero(one != other)
    assert rows.size > 0
    assert columns.min() > 0.55 * one.shape[1]
    assert columns.max() < 0.85 * one.shape[1]


def test_pictures_are_embedded_and_the_alternative_text_names_the_pair(tmp_path: Path) -> None:
    draw_overview([[_panel()]], "x", tmp_path / "overview.png")
    data = _data(_calls(FN=1))
    case = data.cases[0]
    shown = CaseView(case.pair, case.call, case.attribution, (), tmp_path / "overview.png", ())
    page = _Page(build_report(_changed(data, cases=[shown])))
    assert len(page.loads) == 1
    assert page.loads[0].startswith("data:image/jpeg;base64,")


def test_every_header_cell_has_its_scope_and_every_table_its_caption(study: tuple[ReportData, str]) -> None:
    html = study[1]
    assert not re.search(r"<th(?![^>]*scope=)[ >]", html)
    assert html.count("<caption>") == html.count("<table")
    assert html.count("<figcaption>") == html.count("<figure>")
    head = html[html.index("<thead>") : html.index("</thead>")]
    assert head.count('scope="col"') == head.count("<th ")


def test_intervals_and_percentages_do_not_break_over_lines() -> None:
    assert unbroken("33 % (87.1–97.3), 12 mm, A–B") == "33\u00a0% (87.1\u2060–\u206097.3), 12\u00a0mm, A–B"
    assert plain_bounds([0.1, 0.2]) == "0.100 to 0.200"
    assert [p_value(p) for p in (0.0234, 0.0001, 1.0, None)] == ["p = 0.023", "p < 0.001", "p > 0.999", "p not stated"]
    assert noted("pet-ac: no weight") == "Attenuation-corrected PET: no weight"
    assert noted("MRI: x") == "MRI: x"


def test_a_kappa_without_a_margin_is_not_shown_as_no_agreement(study: tuple[ReportData, str]) -> None:
    data, html = study
    size = [g for g in data.concordance["subgroups"] if g["by"] == "size"]
    assert size
    assert all(g["estimates"]["specificity"]["n"] == 0 for g in size)
    words = _Page(html).words
    for g in size:
        counts = " ".join(str(g["counts"][cell]) for cell in ("tp", "fp", "fn", "tn"))
        assert re.search(rf"{g['pairs']} {g['patients']} {counts} .{{1,30}} – –", words), g["level"]


def test_the_interval_is_told_in_words() -> None:
    from liverpair.evaluate.report.cohort_tables import interval_sentence

    cases = [{"pair": {"interval_days": d}} for d in ("-20", 0, 4, "")]
    told = interval_sentence(cases)
    assert told.startswith("3 pairs: the examinations lie a median of 4 days apart (range 0 to 20)")
    assert "MRI came first in 1, PET/CT in 1, both on one day in 1. The interval of 1 pairs is not known." in told
    assert interval_sentence([]) == ""


def test_labels_that_would_cover_one_another_are_not_both_drawn(tmp_path: Path) -> None:
    image = np.zeros((120, 120), dtype=np.float32)
    right, left, apart = Label("M01", 99.0, 77.0, "MR"), Label("P02", 75.0, 79.0, "PET"), Label("M02", 20.0, 30.0, "MR")
    pictures = []
    for at, labels in enumerate(((right, apart), (right, left, apart), (right,))):
        path = tmp_path / f"{at}.png"
        draw_overview([[Panel("x", image, (0.0, 1.0), labels=labels)]], "t", path, panel_inches=(1.9, 1.9))
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]  # one stands to the left of its place, the other to the right: the same place
    assert pictures[0] != pictures[2]
