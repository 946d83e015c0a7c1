"""The stages of a study on a workspace: index, pair, label, process, evaluate. Each reads what the one before wrote."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import plain
from liverpair.core.study import StudyPair
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.cohort import Cohort, build_cohort
from liverpair.dicom.records import Stack
from liverpair.evaluate.labels import label_table, read_reports
from liverpair.flow.case import CaseTask, case_key, process_case, record_failure
from liverpair.flow.config import Settings, dump_settings
from liverpair.flow.engine import run_many
from liverpair.flow.evaluation import evaluate_workspace
from liverpair.flow.progress import Tick
from liverpair.flow.tables import COLUMNS, Row, parse_table
from liverpair.flow.workspace import Workspace, write_text

__all__ = ["StageResult", "evaluate_stage", "index_stage", "label_stage", "pair_stage", "process_stage"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage did: a sentence for the reader, numbers for programs, and how many cases failed."""

    sentence: str
    numbers: Mapping[str, Any]
    failed: int = 0


def index_stage(
    workspace: Workspace, archives: Sequence[Path], settings: Settings, jobs: int, tick: Tick
) -> StageResult:
    """Read the headers of every file that is new or has changed into the catalogue."""
    for archive in archives:
        if not archive.exists():
            raise UsageError(f"{archive} does not exist. Give the folder, file or ZIP that holds the DICOM.")
    write_text(workspace.settings_file, dump_settings(settings))
    with Catalogue.open(workspace.catalogue) as catalogue:
        summary = catalogue.update(archives, jobs, tick)
    numbers = plain(summary)
    log.info("index: %s", numbers)
    return StageResult(
        f"Indexed {numbers['objects']} objects in {numbers['series']} series ({numbers['excluded']} files set aside).",
        numbers,
    )


def _cohort(workspace: Workspace, settings: Settings) -> tuple[Cohort, list[Row]]:
    if not workspace.catalogue.exists():
        raise UsageError("the workspace has no index yet; run `liverpair index ARCHIVE... -o WS` first.")
    with Catalogue.open(workspace.catalogue) as catalogue:
        cohort = build_cohort(catalogue.series(), settings.cohort)
        set_aside = [plain(row) for row in catalogue.exclusions()]
    return cohort, set_aside


def pair_row(pair: StudyPair) -> Row:
    """The row of pairs.csv."""
    return {column: getattr(pair, column) for column in COLUMNS["pairs"]}


def pair_stage(workspace: Workspace, settings: Settings) -> StageResult:
    """Select the SSR-PET/CT and liver MRI examinations from headers and pair them within the window."""
    cohort, set_aside = _cohort(workspace, settings)
    workspace.write_table("series", cohort.series_rows)
    workspace.write_table("pairs", [pair_row(pair) for pair in cohort.pairs])
    workspace.write_table("exclusions", [*set_aside, *(plain(row) for row in cohort.exclusions)])
    numbers = {"pairs": len(cohort.pairs), "exclusions": len(cohort.exclusions) + len(set_aside)}
    log.info("pair: %s", numbers)
    return StageResult(
        f"Found {numbers['pairs']} pairs; every other study is in exclusions.csv with its reason.", numbers
    )


def label_stage(workspace: Workspace, reports: Path) -> StageResult:
    """Label every report for hepatic metastases; the labelled table keeps what links a report to its study."""
    rows = read_reports(reports)
    labels = label_table(rows)
    workspace.write_table("labels", [{c: row.get(c) for c in COLUMNS["labels"]} for row in labels])
    links = ("report_id", "modality", "patient_id", "accession_number", "study_date")
    text = [{key: str(row.get(key, "") or "") for key in links} for row in rows]
    workspace.write_json(workspace.tables / "report_links.json", text)
    counts = {status: sum(row["status"] == status for row in labels) for status in ("present", "absent", "uncertain")}
    log.info("label: %d reports, %s", len(labels), counts)
    return StageResult(f"Labelled {len(labels)} reports.", {"reports": len(labels), **counts})


def process_stage(
    workspace: Workspace,
    settings: Settings,
    jobs: int,
    tick: Tick,
    only: str | None = None,
    scheduler: str | None = None,
) -> StageResult:
    """Run every pair from images to matched lesions; a pair done before with the same input and settings is kept."""
    cohort, _ = _cohort(workspace, settings)
    pairs = {pair.pair_id: pair for pair in cohort.pairs}
    known = {row["pair_id"] for row in workspace.read_table("pairs")}
    if known != set(pairs):
        raise UsageError("pairs.csv does not belong to this index; run `liverpair pair WS` again.")
    if only is not None and only not in pairs:
        raise UsageError(f"there is no pair {only}; pairs.csv lists the {len(pairs)} that exist.")
    wanted = [only] if only is not None else sorted(pairs)
    tasks = [_task(workspace, pairs[pair_id], cohort.stacks[pair_id], settings) for pair_id in wanted]
    todo = [task for task in tasks if not _is_done(workspace, task)]
    tick(len(tasks) - len(todo), len(tasks))
    done, failed = len(tasks) - len(todo), []
    for task, outcome in run_many(process_case, todo, jobs, scheduler):
        if isinstance(outcome, Exception):
            log.error("case %s failed: %s", task.pair.pair_id, type(outcome).__name__, exc_info=outcome)
            record_failure(workspace, task, outcome)
            failed.append(task.pair.pair_id)
        else:
            log.info("case %s: %s", task.pair.pair_id, outcome)
        done += 1
        tick(done, len(tasks))
    numbers = {"cases": len(tasks), "kept": len(tasks) - len(todo), "failed": sorted(failed)}
    sentence = f"Processed {len(todo)} pairs ({numbers['kept']} were done before)."
    if failed:
        sentence += f" {len(failed)} failed: {', '.join(sorted(failed))}; the reason is in cases/<pair_id>/case.json."
    return StageResult(sentence, numbers, len(failed))


def _task(workspace: Workspace, pair: StudyPair, stacks: Mapping[str, Stack], settings: Settings) -> CaseTask:
    return CaseTask(workspace.root, pair, dict(stacks), settings, case_key(pair, stacks, settings))


def _is_done(workspace: Workspace, task: CaseTask) -> bool:
    record = workspace.read_case(task.pair.pair_id)
    return record is not None and record["key"] == task.key and record["status"] == "done"


def evaluate_stage(workspace: Workspace, settings: Settings) -> StageResult:
    """Calls, concordance, causes and the report, from the processed cases and the labels."""
    numbers = evaluate_workspace(workspace, settings)
    log.info("evaluate: %s", numbers)
    return StageResult(f"Report: {workspace.report / 'index.html'}", numbers, int(numbers["failed_cases"]))


def read_calls(path: Path) -> list[dict[str, str]]:
    """A bare table of calls (for studies without images)."""
    return parse_table(path, ("patient_id", "pair_id", "reference", "index"))
