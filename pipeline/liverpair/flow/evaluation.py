"""From processed cases and labelled reports to the tables and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import plain, version
from liverpair.evaluate.agreement import report_validation
from liverpair.evaluate.attribution import Attribution, attribute, technical_flags
from liverpair.evaluate.calls import choose_call, outcome
from liverpair.evaluate.concordance import concordance
from liverpair.evaluate.flag_odds import cause_counts, flag_odds, size_sweep
from liverpair.evaluate.pair_evidence import PairEvidence
from liverpair.evaluate.records import LesionOutcome, PairCall
from liverpair.evaluate.report.build import CaseView, ReportData
from liverpair.evaluate.sources import accuracy_by_source, consensus_trail, contradictions
from liverpair.evaluate.tables import attribution_row
from liverpair.evaluate.threshold_sweep import threshold_sweep
from liverpair.flow.case import recipe
from liverpair.flow.config import Settings, dump_settings, settings_fingerprint
from liverpair.flow.disease import disease_rows, other_findings, processing_rows, uptake_rows
from liverpair.flow.explain import CohortFacts, cohort_facts, lesion_outcomes, pair_evidence
from liverpair.flow.locations import location_rows
from liverpair.flow.methods import TITLE, methods_paragraphs
from liverpair.flow.participants import (
    Clinical,
    acquisition_rows,
    baseline_rows,
    examination_rows,
    interventions,
    read_clinical,
    treatments,
)
from liverpair.flow.protocols import manufacturer_name, protocol_rows, read_protocols
from liverpair.flow.report_facts import (
    case_notes,
    diameters,
    exclusion_rows,
    flow_steps,
    level_counts,
    missing_rows,
    refusal_rows,
    sweep_tolerance,
    write_report,
)
from liverpair.flow.source_facts import correction, foci_of_pairs, image_facts, said_of, suv_facts
from liverpair.flow.study_reports import Consensus, read_audit, read_consensus, readers_of_study, reports_by_study
from liverpair.flow.tables import Row
from liverpair.flow.visibility import flagged_lesions, visibility_rows
from liverpair.flow.workspace import Workspace

__all__ = ["evaluate_workspace"]


def _call_row(
    pair: Mapping[str, str],
    record: Mapping[str, Any] | None,
    reports: Mapping[str, Row],
    consensus: Mapping[str, str],
    settings: Settings,
) -> Row:
    """The row of calls.csv: every source's verdict and the one that counts."""
    done = record is not None and record["status"] == "done"
    image = {name: record["calls"][name]["status"] if done and record else "not_evaluable" for name in ("mr", "pet")}
    report = {name: str(reports.get(pair[f"{name}_study_uid"], {}).get("status", "")) for name in ("mr", "pet")}
    agreed = {name: consensus.get(f"{name}_consensus", "") for name in ("mr", "pet")}
    reference = choose_call(agreed["mr"], image["mr"], report["mr"], settings.calls.reference_source)
    index = choose_call(agreed["pet"], image["pet"], report["pet"], settings.calls.index_source)
    return {
        "pair_id": pair["pair_id"],
        "patient_id": pair["patient_id"],
        **{f"{name}_image": image[name] for name in ("mr", "pet")},
        **{f"{name}_report": report[name] for name in ("mr", "pet")},
        **{f"{name}_consensus": agreed[name] for name in ("mr", "pet")},
        "reference": reference.status,
        "index": index.status,
        "outcome": outcome(reference.status, index.status),
    }


def _attributes(
    pair: Mapping[str, str], record: Mapping[str, Any] | None, vendors: Mapping[str, str]
) -> dict[str, Any]:
    """What subgroups are formed by."""
    sizes = [
        facts["diameter_mm"]
        for lesion, facts in (record or {}).get("lesion_facts", {}).items()
        if lesion.startswith("M") and facts["countable"] and facts["diameter_mm"]
    ]
    return {
        "tracer": pair["tracer"],
        "vendor": vendors.get(pair["pet_series_uid"], ""),
        "interval_days": int(pair["interval_days"]),
        "pet_date": pair["pet_date"],
        "largest_mm": max(sizes, default=None),
    }


def _case_views(
    workspace: Workspace,
    pairs: Mapping[str, Mapping[str, str]],
    records: Mapping[str, Mapping[str, Any]],
    calls: Sequence[Row],
    rows: Mapping[str, Row],
    vendors: Mapping[str, str],
) -> list[CaseView]:
    views = []
    for call in calls:
        pair_id = call["pair_id"]
        record = records.get(pair_id) or workspace.read_case(pair_id)
        picture, sheet = (workspace.case(pair_id) / f"{name}.png" for name in ("overview", "lesions"))
        views.append(
            CaseView(
                {**_attributes(pairs[pair_id], records.get(pair_id), vendors), **pairs[pair_id]},
                call,
                rows.get(pair_id),
                record.get("lesions", []) if record else [],
                picture if picture.exists() else None,
                case_notes(record),
                sheet if sheet.exists() else None,
            )
        )
    return views


def _same_recipe(records: Sequence[Mapping[str, Any] | None], settings: Settings) -> None:
    """Refuse cases that other settings or another version of the program made: their numbers do not belong together."""
    wanted = recipe(settings)
    stale = sum(record is not None and record.get("recipe") != wanted for record in records)
    if stale:
        raise UsageError(
            f"{stale} of {len(records)} cases were processed with other settings or by another version of liverpair; "
            "run `liverpair process WS` (or `liverpair analyze`) first."
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """All that was found of a study, by pair_id. ``records`` are the cases that were processed to their end,
    ``all_records`` also the failed (and, as None, the missing) ones."""

    pairs: Mapping[str, Mapping[str, str]]
    all_records: Mapping[str, Mapping[str, Any] | None]
    records: Mapping[str, Mapping[str, Any]]
    reports: Mapping[str, Row]
    clinical: Clinical
    consensus: Consensus
    calls: Sequence[Row]
    vendors: Mapping[str, str]
    cohort: CohortFacts
    suv: Mapping[str, Mapping[str, Any]]
    lesions: Sequence[LesionOutcome]

    @property
    def done(self) -> list[Mapping[str, Any]]:
        """The records of the cases that were processed to their end."""
        return list(self.records.values())


def _gathered(workspace: Workspace, settings: Settings) -> _Study:
    """Read what the earlier stages wrote, and settle every pair's verdicts."""
    pairs = {row["pair_id"]: row for row in workspace.read_table("pairs")}
    all_records = {pair_id: workspace.read_case(pair_id) for pair_id in sorted(pairs)}
    _same_recipe(list(all_records.values()), settings)
    records = {pair_id: r for pair_id, r in all_records.items() if r is not None and r["status"] == "done"}
    reports, clinical = reports_by_study(workspace), read_clinical(workspace)
    consensus = read_consensus(workspace, list(pairs))
    settled = consensus.of_pair
    return _Study(
        pairs=pairs,
        all_records=all_records,
        records=records,
        reports=reports,
        clinical=clinical,
        consensus=consensus,
        calls=[_call_row(pairs[p], all_records[p], reports, settled.get(p, {}), settings) for p in sorted(pairs)],
        vendors={row["series_uid"]: manufacturer_name(row["manufacturer"]) for row in workspace.read_table("series")},
        cohort=cohort_facts(list(records.values()), {p: row["tracer"] for p, row in pairs.items()}),
        suv={pair_id: suv_facts(workspace, pair_id) for pair_id in records},
        lesions=[x for p, r in records.items() for x in lesion_outcomes(r, pairs[p]["patient_id"])],
    )


def _explanations(study: _Study, settings: Settings) -> list[Attribution]:
    """Flags of every judged pair; the primary cause of those that are false."""
    found = []
    for call in study.calls:
        record = study.records.get(call["pair_id"])
        if record is not None and call["outcome"] in ("FN", "FP", "TP", "TN"):
            pair = study.pairs[call["pair_id"]]
            seen = pair_evidence(record, pair, call, study.cohort, study.reports.get(pair["mr_study_uid"]))
            evidence: PairEvidence = replace(
                seen,
                treatments=treatments(pair, study.clinical),
                technical=technical_flags(study.suv.get(call["pair_id"], {}), settings.attribution),
            )
            found.append(attribute(evidence, settings.attribution))
    return found


def _result(
    workspace: Workspace, study: _Study, attributions: Sequence[Attribution], settings: Settings
) -> dict[str, Any]:
    """concordance.json: the estimates, the causes, and what images, reports and readers say of one another."""
    calls, records, pairs = study.calls, study.records, study.pairs
    level = settings.concordance.confidence_level
    result = _concordance(calls, pairs, records, study.vendors, study.lesions, settings)
    return result | {
        "false_negative_causes": cause_counts(attributions, "FN"),
        "false_positive_causes": cause_counts(attributions, "FP"),
        "flag_odds": plain(flag_odds(attributions)),
        "flag_odds_false_positive": plain(flag_odds(attributions, false="FP", true="TN")),
        "size_sweep": plain(size_sweep(attributions, settings.attribution.size_sweep_mm)),
        "images_against_reports": {
            "agreement": report_validation(calls),
            "disagreements": contradictions(calls, image_facts(records, settings), said_of(pairs, study.reports)),
        },
        "threshold_sweep": threshold_sweep(foci_of_pairs(records), settings.calls, level),
        "sources": accuracy_by_source(calls, level),
        "label_correction": correction(calls, read_audit(workspace), settings),
        "consensus_trail": consensus_trail(calls, study.consensus.readings),
        "readers": readers_of_study(workspace, calls, study.consensus, result),
        "diameter_agreement": diameters(records, pairs, study.reports)[1],
        "tolerance_sweep": sweep_tolerance(study.done),
    }


def _write_tables(
    workspace: Workspace, study: _Study, explained: Mapping[str, Row], result: dict[str, Any], settings: Settings
) -> None:
    """The workspace's tables of lesions, verdicts, causes and agreement."""
    visibility = visibility_rows(study.records, study.pairs, study.calls, study.cohort, settings)
    workspace.write_table("lesions", flagged_lesions(study.records, visibility))
    workspace.write_table("visibility", visibility)
    workspace.write_table("locations", location_rows(study.records))
    workspace.write_table("calls", study.calls)
    workspace.write_table("attribution", [explained[p] for p in sorted(explained)])
    workspace.write_json(workspace.tables / "concordance.json", result)


def _report_data(
    workspace: Workspace, study: _Study, explained: Mapping[str, Row], result: dict[str, Any], settings: Settings
) -> ReportData:
    """What the report shows of the study."""
    pairs, calls, done = study.pairs, study.calls, study.done
    shown = {p: r for p, r in study.all_records.items() if r}
    examinations = examination_rows(workspace)
    return ReportData(
        title=TITLE,
        version=version(),
        settings_toml=dump_settings(settings),
        concordance=result,
        flow=flow_steps(workspace, calls),
        cases=_case_views(workspace, pairs, shown, calls, explained, study.vendors),
        sizes=[(x.size_mm, x.detected) for x in study.lesions if x.size_mm is not None and x.detected is not None],
        levels=level_counts(workspace, calls),
        diameters=diameters(study.records, pairs, study.reports)[0],
        exclusions=exclusion_rows(workspace),
        missing=missing_rows(list(pairs.values()), calls),
        refusals=refusal_rows([r for r in study.all_records.values() if r is not None]),
        methods=methods_paragraphs(settings, result, study.records),
        odds=result["flag_odds"],
        baseline=baseline_rows(pairs, examinations, study.clinical),
        acquisition=acquisition_rows(examinations, list(study.suv.values())),
        protocols=protocol_rows(read_protocols(workspace)),
        disease=disease_rows(done),
        other_findings=other_findings(done, {c["pair_id"]: c for c in calls}),
        uptake=uptake_rows(done, {p: row["tracer"] for p, row in pairs.items()}),
        processing=processing_rows(done),
        show_patient_ids=settings.report.show_patient_ids,
        interventions=interventions(list(pairs.values()), study.clinical, settings.attribution),
    )


def evaluate_workspace(workspace: Workspace, settings: Settings) -> dict[str, Any]:
    """Write lesions, calls, attribution, concordance and the report; returns the numbers for the user."""
    study = _gathered(workspace, settings)
    attributions = _explanations(study, settings)
    result = _result(workspace, study, attributions, settings)
    explained = {a.pair_id: attribution_row(a) for a in attributions if a.outcome in ("FN", "FP")}
    _write_tables(workspace, study, explained, result, settings)
    write_report(workspace.report / "index.html", _report_data(workspace, study, explained, result, settings))
    failed = sum(r is None or r["status"] != "done" for r in study.all_records.values())
    return {"counts": result["counts"], "pairs": len(study.pairs), "failed_cases": failed}


def _concordance(
    calls: Sequence[Row],
    pairs: Mapping[str, Mapping[str, str]],
    records: Mapping[str, Mapping[str, Any]],
    vendors: Mapping[str, str],
    lesions: Sequence[LesionOutcome],
    settings: Settings,
) -> dict[str, Any]:
    """concordance.json from the calls that count."""
    judged = [
        PairCall(
            c["pair_id"],
            c["patient_id"],
            c["reference"],
            c["index"],
            _attributes(pairs[c["pair_id"]], records.get(c["pair_id"]), vendors),
        )
        for c in calls
    ]
    false_foci = sum(
        r["modality"] == "PET"
        and record["lesion_facts"][r["lesion_id"]]["countable"]
        and not any(record["lesion_facts"][m]["is_metastasis"] for m in r["matched_lesion_id"])
        for record in records.values()
        if record["registration"] != "failed"
        for r in record["lesions"]
    )
    return concordance(
        judged,
        settings.concordance,
        lesions,
        false_foci=false_foci,
        config_sha256=settings_fingerprint(settings),
    )
