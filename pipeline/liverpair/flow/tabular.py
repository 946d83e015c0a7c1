"""Studies without images: concordance and report from bare tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from liverpair.core.provenance import canonical_json, version
from liverpair.evaluate.report.build import CaseView, FlowStep, ReportData, shown_names
from liverpair.evaluate.tables import TableEvaluation, attribution_row
from liverpair.evaluate.tables import evaluate_tables as evaluate_rows
from liverpair.flow.answer import Answer
from liverpair.flow.config import Settings, dump_settings
from liverpair.flow.methods import TITLE, statistics_paragraph
from liverpair.flow.participants import BASELINE, Clinical, baseline_rows
from liverpair.flow.report_facts import write_report
from liverpair.flow.tables import COLUMNS, Row, format_table
from liverpair.flow.user_tables import read_user_table
from liverpair.flow.workspace import write_text

__all__ = ["evaluate_tables"]

#: ``pair_in_report`` differs from the ID where that would tell the patient's.
CALLS = ("patient_id", "pair_id", "reference", "index", "outcome", "pair_in_report")
SOURCES = ("mr_image", "pet_image", "mr_report", "pet_report", "mr_consensus", "pet_consensus")


def _case_view(call: Row, attribution: Row | None, extra: Mapping[str, Any]) -> CaseView:
    """A pair of a bare table as the report shows it: no images, no lesions."""
    pair = {"pair_id": call["pair_id"], "patient_id": call["patient_id"]}
    pair |= {key: extra.get(key) or "" for key in ("tracer", "vendor", "pet_date", "mr_date")}
    pair |= {key: extra.get(key) for key in ("interval_days", "largest_mm")}
    sources = {key: extra.get(key) or "" for key in SOURCES}
    return CaseView(pair, {**call, **sources}, attribution, (), None, ())


def _judged(calls: Sequence[Row]) -> list[Row]:
    return [c for c in calls if c["outcome"] in ("TP", "FP", "FN", "TN")]


def _patients(calls: Sequence[Row]) -> str:
    return f"{len({c['patient_id'] for c in calls}):,} patients"


def _levels(calls: Sequence[Row]) -> list[tuple[str, int, list[tuple[str, int]]]]:
    """Patients and pairs of the table, and how many of them have no judged pair."""
    judged = _judged(calls)
    patients, used = ({c["patient_id"] for c in rows} for rows in (calls, judged))
    return [
        ("Patients", len(patients), [("in no judged pair", len(patients - used))]),
        ("Pairs", len(calls), [("not evaluable or indeterminate", len(calls) - len(judged))]),
    ] if calls else []  # fmt: skip


def _baseline(calls: Sequence[Row], extras: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Patients' characteristics, where the table has columns of that name: the first value that a patient has."""
    known: dict[str, dict[str, Any]] = {}
    pairs = {}
    for call in calls:
        own = known.setdefault(call["patient_id"], {})
        for key in BASELINE:
            value = extras[call["pair_id"]].get(key)
            if value not in (None, ""):
                own.setdefault(key, value)
        day = str(extras[call["pair_id"]].get("pet_date") or "")
        pairs[call["pair_id"]] = {"patient_id": call["patient_id"], "pet_date": day}
    return baseline_rows(pairs, {}, Clinical(known))


def _flow(calls: Sequence[Row]) -> list[FlowStep]:
    """The flow diagram of a table: its pairs, and those that were judged."""
    judged = _judged(calls)
    left = [(o.replace("_", " "), sum(c["outcome"] == o for c in calls)) for o in ("indeterminate", "not_evaluable")]
    return [
        FlowStep("Pairs in the table", len(calls), "pairs", _patients(calls), tuple(x for x in left if x[1])),
        FlowStep("Pairs that were judged", len(judged), "pairs", _patients(judged)),
    ]


def _report_data(found: TableEvaluation, attributions: Mapping[str, Row], settings: Settings) -> ReportData:
    """What the report shows of bare tables."""
    extras = {call.pair_id: call.attributes for call in found.pairs}
    return ReportData(
        title=f"{TITLE}, from tables",
        version=version(),
        settings_toml=dump_settings(settings),
        concordance=found.concordance,
        flow=_flow(found.calls),
        cases=[_case_view(dict(c), attributions.get(c["pair_id"]), extras[c["pair_id"]]) for c in found.calls],
        sizes=[(x.size_mm, x.detected) for x in found.lesions if x.size_mm is not None and x.detected is not None],
        methods=[
            "Selection. Verdicts and lesions were taken from tables; no image was read. How the pairs were chosen and "
            "read is for the manuscript.",
            statistics_paragraph(found.concordance),
        ],
        odds=found.concordance["flag_odds"],
        levels=_levels(found.calls),
        baseline=_baseline(found.calls, extras),
        from_tables=True,
        show_patient_ids=settings.report.show_patient_ids,
    )


def evaluate_tables(
    calls: Path | None, lesions: Path | None, output: Path, settings: Settings, readings: Path | None = None
) -> Answer:
    """Concordance, causes, agreement between readers and report of plain tables, written to ``output``."""
    call_rows, lesion_rows, reading_rows = (
        read_user_table(path) if path is not None else None for path in (calls, lesions, readings)
    )
    found = evaluate_rows(call_rows, lesion_rows, settings.concordance, settings.attribution, reading_rows)
    attributions = {a.pair_id: attribution_row(a) for a in found.attribution}
    data = _report_data(found, attributions, settings)
    names = shown_names(data)
    rows = [{**c, "pair_in_report": names[c["pair_id"]]} for c in found.calls]
    explained = [attributions[pair_id] for pair_id in sorted(attributions)]
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "calls.csv", format_table(CALLS, rows))
    write_text(output / "attribution.csv", format_table(COLUMNS["attribution"], explained))
    write_text(output / "concordance.json", canonical_json(found.concordance, indent=1) + "\n")
    write_report(output / "index.html", data)
    return Answer(found.concordance, f"Report: {output / 'index.html'}")
