"""Build the self-contained HTML report: numbers come from the tables, text from outside is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from liverpair.evaluate.report import cohort_tables, figures, wording
from liverpair.evaluate.report.embedded import picture_layout, picture_source
from liverpair.evaluate.report.exports import report_tables
from liverpair.evaluate.report.figures import Chart
from liverpair.evaluate.report.flow_diagram import FlowStep, flow_diagram
from liverpair.evaluate.report.flow_picture import flow_picture
from liverpair.evaluate.report.names import pair_names, renamed, stand_ins
from liverpair.evaluate.report.stard import stard
from liverpair.evaluate.report.summary import summary

__all__ = ["CaseView", "FlowStep", "ReportData", "build_report", "exported_tables", "report_figures", "shown_names"]

#: Above this, pictures of further pairs are linked instead of embedded: the file must still open and be sent.
EMBEDDED_PICTURES = 80
#: Pairs with a card of their own beyond the false ones, which always have one; the table lists all of them.
CARDS = 120
#: Parts of concordance.json that a study without images or reports does not have.
OPTIONAL = (
    "images_against_reports",
    "diameter_agreement",
    "tolerance_sweep",
    "size_sweep",
    "false_negative_causes",
    "sources",
    "label_correction",
    "consensus_trail",
    "threshold_sweep",
    "flag_odds_false_positive",
    "readers",
    "subgroup_tests",
    "precision",
    "predictive_values",
)


@dataclass(frozen=True, slots=True, eq=False)
class CaseView:
    """One pair as the report shows it: ``call`` and ``pair`` are rows of their tables, ``lesions`` the pair's.

    ``picture`` is the pair's overview, ``sheet`` its close-ups lesion by lesion. ``pair`` may also hold
    ``vendor`` (of the PET/CT) and ``largest_mm`` (the largest metastasis on MRI).
    """

    pair: Mapping[str, Any]
    call: Mapping[str, Any]
    attribution: Mapping[str, Any] | None
    lesions: Sequence[Mapping[str, Any]]
    picture: Path | None
    notes: Sequence[str]
    sheet: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """Everything the report is made from.

    ``concordance`` is concordance.json; ``flow`` the flow diagram's steps (FlowStep, or (title, count, exclusions));
    ``sizes`` (diameter in mm, detected) of every reference lesion that could be judged; ``odds`` its flag odds;
    ``diameters`` (on the images, in the report) in mm of the largest MRI lesion of each pair that has both;
    ``exclusions`` rows of level, reason, n; ``missing`` rows of what, missing, of; ``refusals`` rows of series,
    reason, n; ``baseline`` and ``acquisition`` (characteristic, value in words) of patients and of examinations;
    ``protocols`` rows of image, pairs, parameter, value; ``disease`` (characteristic, value) of the MRI-positive pairs,
    ``other_findings`` rows of finding, number and pairs; ``uptake`` rows by tracer; ``processing`` (step, value);
    ``levels`` (unit, how many came in, (why set aside, how many) in order); ``interventions`` a sentence on therapies
    between the examinations. ``from_tables``: verdicts are a user's table, no image was read. ``show_patient_ids``
    prints the archive's patient IDs and full dates; off, patients have stand-ins and dates are years.
    """

    title: str
    version: str
    settings_toml: str
    concordance: Mapping[str, Any]
    flow: Sequence[FlowStep | tuple[str, int, Sequence[tuple[str, int]]]]
    cases: Sequence[CaseView] = ()
    sizes: Sequence[tuple[float, bool]] = ()
    methods: Sequence[str] = ()
    odds: Sequence[Mapping[str, Any]] = ()
    diameters: Sequence[tuple[float, float]] = ()
    exclusions: Sequence[Mapping[str, Any]] = ()
    missing: Sequence[Mapping[str, Any]] = ()
    refusals: Sequence[Mapping[str, Any]] = ()
    levels: Sequence[tuple[str, int, Sequence[tuple[str, int]]]] = ()
    baseline: Sequence[tuple[str, str]] = ()
    acquisition: Sequence[tuple[str, str]] = ()
    protocols: Sequence[Mapping[str, Any]] = ()
    disease: Sequence[tuple[str, str]] = ()
    other_findings: Sequence[Mapping[str, Any]] = ()
    uptake: Sequence[Mapping[str, Any]] = ()
    processing: Sequence[tuple[str, str]] = ()
    interventions: str = ""
    from_tables: bool = False
    show_patient_ids: bool = False


def _case_order(case: CaseView) -> tuple[int, str]:
    """Discordant pairs first: they are what is looked at."""
    order = ("FN", "FP", "not_evaluable", "indeterminate", "TP", "TN")
    return order.index(case.call["outcome"]), str(case.pair["pair_id"])


def _has_card(case: CaseView, before: int) -> bool:
    """Whether a pair is shown at length: every false one, and others with something to show while there is room."""
    if case.call["outcome"] in ("FN", "FP"):
        return True
    return before < CARDS and bool(case.picture or case.lesions or case.notes)


def _alternative(case: CaseView) -> str:
    """What a picture's alternative text says: the verdicts and how many findings are outlined."""
    shown = ", ".join(
        f"{name} {wording.human(case.call[key])}" for name, key in (("MRI", "reference"), ("PET/CT", "index"))
    )
    n = len(case.lesions)
    return f"{shown}; the liver and {n} {'finding' if n == 1 else 'findings'} outlined"


def shown_names(data: ReportData) -> dict[str, str]:
    """pair_id → the pair's name in the report: the ID of a workspace is a hash, that of a user's table may tell."""
    if data.show_patient_ids or not data.from_tables:
        return {str(c.pair["pair_id"]): str(c.pair["pair_id"]) for c in data.cases}
    return pair_names([c.pair for c in data.cases])


def _case_contexts(data: ReportData, pictures: bool = True) -> list[dict[str, Any]]:
    """Every pair as the templates take it, discordant ones first."""
    names, told = stand_ins([c.pair for c in data.cases]), shown_names(data)
    contexts: list[dict[str, Any]] = []
    cards = embedded = 0
    for position, case in enumerate(sorted(data.cases, key=_case_order), start=1):
        card = _has_card(case, cards)
        cards += card
        picture = None
        sheet = None
        if pictures and card and case.picture is not None:
            embed = embedded < EMBEDDED_PICTURES
            embedded += embed
            picture = picture_source(case.picture, case.pair["pair_id"], embed)
            sheet = picture_source(case.sheet, case.pair["pair_id"], embed) if case.sheet is not None else None
        patient, keep = str(case.pair["patient_id"]), 10 if data.show_patient_ids else 4
        contexts.append(
            {
                "id": told[str(case.pair["pair_id"])],
                "anchor": f"case-{position}" if card else "",
                "patient": patient if data.show_patient_ids else names[patient],
                "pair": case.pair,
                "pet_date": str(case.pair.get("pet_date") or "")[:keep],
                "mr_date": str(case.pair.get("mr_date") or "")[:keep],
                "call": case.call,
                "attribution": case.attribution,
                "lesions": case.lesions,
                "largest_mm": case.pair.get("largest_mm"),
                "picture": picture,
                "layout": picture_layout(case.picture) if picture and case.picture is not None else None,
                "sheet": sheet,
                "alt": _alternative(case),
                "notes": case.notes,
            }
        )
    return contexts


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("liverpair.evaluate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=lambda value, digits=1: wording.unbroken(wording.percent(value, digits)),
        unbroken=wording.unbroken,
        thousands="{:,}".format,
        noted=wording.noted,
        number=wording.number,
        bounds=wording.bounds,
        plain_bounds=wording.plain_bounds,
        significant=wording.significant,
        interval_mm=wording.interval_mm,
        p_value=lambda value: wording.p_value(value).replace(" ", "\u00a0"),
        days=wording.days,
        human=wording.human,
        cause=wording.cause,
        chance=wording.chance,
        ends=wording.ends,
        size_range=wording.size_range,
        words=wording.words,
    )
    return environment


def report_figures(data: ReportData) -> dict[str, Chart]:
    """The report's figures as standalone SVG (``png()``: as pixels), by name; what cannot be shown is left out."""
    c = data.concordance
    headline = c.get("headline_interval", "korn_graubard")
    steps = [s if isinstance(s, FlowStep) else FlowStep(s[0], s[1], excluded=tuple(s[2])) for s in data.flow]
    days = [int(float(x.pair["interval_days"])) for x in data.cases if x.pair.get("interval_days") not in (None, "")]
    flow = flow_diagram(steps, c["counts"])
    drawn = {
        "flow": Chart.of(flow, flow_picture(str(flow))) if _about_pairs(c) else None,
        "forest": figures.forest_plot(c["estimates"], headline) if c.get("pairs", 1) else None,
        "subgroups": figures.subgroup_plot(c["estimates"], c.get("subgroups", ()), headline),
        "size": figures.size_curve(c.get("size_curve") or {}, c.get("size_bins", ()), data.sizes)
        if data.sizes
        else None,
        "sweep": figures.size_sweep(c.get("size_sweep") or ()),
        "agreement": figures.agreement_plot(data.diameters, c.get("diameter_agreement")),
        "interval": figures.interval_histogram(days) if days else None,
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _about_pairs(c: Mapping[str, Any]) -> bool:
    """Whether pairs are what the report is about; a table of lesions or readings alone has none."""
    lesions = (c.get("lesion_level") or {}).get("lesions")
    return any(c["counts"].values()) or not (lesions or c.get("readers"))


def _sections(data: ReportData, drawn: Mapping[str, Any]) -> dict[str, str]:
    """The sections that this report has, anchor → name, in their order."""
    c = data.concordance
    pairs = _about_pairs(c)
    every = (
        ("top", "Title and summary", True),
        ("flow", "Flow of studies", pairs),
        ("participants", "Participants", bool(data.cases)),
        ("disease", "Disease", bool(data.disease or data.other_findings)),
        ("crosstable", "Cross tables", pairs),
        ("estimates", "Estimates", pairs),
        ("precision", "Precision", bool(c.get("precision") or c.get("predictive_values"))),
        ("subgroups", "Subgroups", "subgroups" in drawn),
        ("patients", "Patients", pairs and "patient_level" in c),
        ("misses", "Causes", pairs),
        ("lesions", "Lesion size", bool(data.sizes)),
        ("validation", "Sources of the verdicts", bool(c.get("images_against_reports"))),
        ("readers", "Readers", bool(c.get("readers"))),
        ("interval", "Interval", "interval" in drawn),
        ("missing", "Missing data", pairs),
        ("pairs", "Pairs", bool(data.cases)),
        ("methods", "Methods", True),
        ("limits", "Limits", True),
        ("stard", "STARD", True),
        ("settings", "Settings", True),
    )
    return {anchor: name for anchor, name, there in every if there}


def exported_tables(
    data: ReportData, drawn: Mapping[str, Chart] | None = None
) -> dict[str, tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Name → (columns, rows) of every table that the report shows; patients have their stand-ins.

    ``drawn``: the figures of `report_figures`, where they have been drawn already.
    """
    drawn = report_figures(data) if drawn is None else drawn
    cases = _case_contexts(data, pictures=False)
    described = cohort_tables.participants(cases)
    return report_tables(
        renamed(data.concordance, shown_names(data)),
        cases,
        {
            "participants": [
                {"characteristic": name, "value": value}
                for name, value in (*cohort_tables.in_order(data.baseline, described), *data.acquisition)
            ],
            "flow": [
                {"level": unit, "came_in": start, "set_aside": aside, "judged": left}
                for unit, start, aside, left in cohort_tables.level_rows(data.levels, data.concordance)
            ],
            "disease": [{"characteristic": name, "value": value} for name, value in data.disease],
            "other_findings": data.other_findings,
            "uptake": data.uptake,
            "protocols": data.protocols,
            "processing": [{"step": name, "value": value} for name, value in data.processing],
            "exclusions": data.exclusions,
            "missing": data.missing,
            "refusals": data.refusals,
            "stard": [
                {"item": item, "topic": topic, "section": where}
                for item, topic, _, where in stard(_sections(data, drawn))
            ],
        },
    )


def _with_scopes(html: str) -> str:
    """The page with the scope of every header cell, which screen readers tell with each number of a table."""
    parts = re.split(r"(<thead>.*?</thead>)", html, flags=re.DOTALL)
    return "".join(
        re.sub(r"<th(?=[ >])", f'<th scope="{"col" if part.startswith("<thead>") else "row"}"', part) for part in parts
    )


def build_report(data: ReportData, drawn: Mapping[str, Chart] | None = None) -> str:
    """The report as one HTML file that needs nothing else (no network, no script from elsewhere).

    ``drawn``: the figures of `report_figures`, where they have been drawn already.
    """
    drawn = report_figures(data) if drawn is None else drawn
    cases = _case_contexts(data)
    sections = _sections(data, drawn)
    c = {**dict.fromkeys(OPTIONAL), **renamed(data.concordance, shown_names(data))}
    return _with_scopes(
        _environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            c=c,
            cases=cases,
            anchors={case["id"]: case["anchor"] for case in cases},
            level=f"{100 * c.get('confidence_level', 0.95):g} %",
            figures=drawn,
            sections=sections,
            about_pairs=_about_pairs(c),
            stard=stard(sections),
            headline=wording.headline(c),
            interval_names=cohort_tables.interval_columns(c["estimates"], c.get("headline_interval", "")),
            headline_method=wording.method_words(c.get("headline_interval", "")),
            estimate_names=wording.ESTIMATE_NAMES,
            ratio_names=wording.RATIO_NAMES,
            published=cohort_tables.published(c["estimates"], c.get("confidence_level", 0.95)),
            participants=cohort_tables.in_order(data.baseline, cohort_tables.participants(cases)),
            unknown=cohort_tables.unknown(data.baseline),
            summary=summary(c, data),
            judged=sum(c["counts"][cell] for cell in ("tp", "fp", "fn", "tn")),
            days=cohort_tables.interval_sentence(cases),
            abbreviations=cohort_tables.abbreviations(c, data.from_tables),
            patient_rows=cohort_tables.patient_rows(c),
            level_rows=cohort_tables.level_rows(data.levels, c),
            remarks=cohort_tables.remarks(c["estimates"]),
        )
    )
