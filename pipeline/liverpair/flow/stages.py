"""The stages of a study on a workspace: index, pair, label, process, evaluate. Each reads what the one before wrote."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import plain
from liverpair.core.study import StudyPair
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.cohort import gather, patient_rule, select_groups
from liverpair.dicom.pair_stacks import StackReference, load_stacks
from liverpair.dicom.records import SeriesRecord
from liverpair.evaluate.labels import ReportSource
from liverpair.evaluate.labels.endpoint import EndpointSettings
from liverpair.flow.case import CaseTask, PreparedCase, case_key, process_case, record_failure
from liverpair.flow.config import Settings, dump_settings
from liverpair.flow.engine import run_many
from liverpair.flow.evaluation import evaluate_workspace
from liverpair.flow.label_files import problems_table
from liverpair.flow.labelling import label_columns, labels_of
from liverpair.flow.livers import prepare_backends
from liverpair.flow.pair_files import read_pair_stacks, read_pairs, write_pair_stacks
from liverpair.flow.participants import Headers, keep_clinical, note_headers, write_examinations
from liverpair.flow.progress import Tick
from liverpair.flow.protocols import Protocols, note_protocols, write_protocols
from liverpair.flow.report_texts import LINKS, note_reports, write_report_objects
from liverpair.flow.study_reports import keep_readings
from liverpair.flow.tables import COLUMNS, Row, format_table
from liverpair.flow.workspace import Workspace, write_text

__all__ = ["StageResult", "evaluate_stage", "index_stage", "label_stage", "pair_stage", "process_stage"]

log = logging.getLogger(__name__)


def no_tick(done: int, total: int | None) -> None:
    """Progress that nobody watches."""


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
        why = Counter(e.reason for e in catalogue.exclusions()) if summary.objects == 0 else Counter()
    numbers = plain(summary)
    log.info("index: %s", numbers)
    if summary.objects == 0:
        told = ", ".join(f"{n} {reason}" for reason, n in why.most_common()) or "no file at all"
        raise UsageError(
            f"no DICOM object was found in {', '.join(map(str, archives))} ({told}). Give the folder, file or ZIP that "
            "holds the DICOM; docs/reasons.md tells what the reasons mean."
        )
    return StageResult(
        f"Indexed {numbers['objects']} objects in {numbers['series']} series ({numbers['excluded']} files set aside).",
        numbers,
    )


def pair_row(pair: StudyPair) -> Row:
    """The row of pairs.csv."""
    return {column: getattr(pair, column) for column in COLUMNS["pairs"]}


def pair_stage(workspace: Workspace, settings: Settings, tick: Tick = no_tick) -> StageResult:
    """Select the SSR-PET/CT and liver MRI examinations from headers and pair them within the window.

    One patient is in memory at a time; what the pairs' stacks are is kept by reference in tables/pair_stacks.json.
    """
    if not workspace.catalogue.exists():
        raise UsageError("the workspace has no index yet; run `liverpair index ARCHIVE... -o WS` first.")
    with Catalogue.open(workspace.catalogue) as catalogue:
        complete = catalogue.is_complete()
        rule = patient_rule(settings.cohort)
        reports: list[Row] = []
        headers: Headers = {}
        protocols: Protocols = {}
        passing = note_reports(_counted(catalogue.groups(rule.person), tick), reports)
        passing = note_protocols(note_headers(passing, headers), protocols)
        selections = select_groups(passing, settings.cohort, rule)
        cohort = gather(selections)
        set_aside = [plain(row) for row in catalogue.exclusions()]
    workspace.write_table("series", cohort.series_rows)
    workspace.write_table("pairs", [pair_row(pair) for pair in cohort.pairs])
    workspace.write_table("exclusions", [*set_aside, *(plain(row) for row in cohort.exclusions)])
    write_pair_stacks(workspace, cohort.stacks, settings.cohort)
    write_report_objects(workspace, reports)
    write_examinations(workspace, cohort.pairs, headers)
    write_protocols(workspace, cohort.pairs, protocols)
    numbers = {
        "pairs": len(cohort.pairs),
        "index_complete": complete,
        "exclusions": len(cohort.exclusions) + len(set_aside),
        "series": len(cohort.series_rows),
        "examinations": dict(sorted(cohort.flow.items())),
        "excluded_studies": dict(sorted(Counter(e.reason for e in cohort.exclusions if e.level == "study").items())),
    }
    log.info("pair: %s", numbers)
    sentence = f"Found {numbers['pairs']} pairs; every other study is in exclusions.csv with its reason."
    if not complete:
        sentence += " The index is not complete (`liverpair index` runs or was interrupted): index and pair again."
    return StageResult(sentence, numbers)


def _counted(groups: Iterable[Sequence[SeriesRecord]], tick: Tick) -> Iterator[Sequence[SeriesRecord]]:
    """The same groups; ``tick`` is told how many have passed."""
    for number, group in enumerate(groups, start=1):
        yield group
        tick(number, None)


def label_stage(
    workspace: Workspace, source: ReportSource, endpoint: EndpointSettings | None = None, tick: Tick = no_tick
) -> StageResult:
    """Label every report for hepatic metastases; the labelled table keeps what links a report to its study.

    What cannot be read is listed in tables/report_problems.csv. Only a report that a user gave counts as failed: an
    archive's PDF reports are nobody's mistake.
    """
    labels = labels_of(source, endpoint, tick)
    write_text(workspace.tables / "labels.csv", format_table(label_columns(endpoint), labels))
    links = [{key: str(row.get(key, "") or "") for key in LINKS} for row in source.rows]
    workspace.write_json(workspace.tables / "report_links.json", links)
    counts = {status: sum(row["status"] == status for row in labels) for status in ("present", "absent", "uncertain")}
    in_dicom = sum(row.get("origin") == "dicom" for row in source.rows)
    log.info("label: %d reports (%d from DICOM), %s", len(labels), in_dicom, counts)
    sentence = f"Labelled {len(labels)} reports" + (f", {in_dicom} of them from DICOM objects." if in_dicom else ".")
    problems = workspace.tables / "report_problems.csv"
    if source.broken:
        write_text(problems, problems_table(source))
        sentence += f" {len(source.broken)} could not be read: tables/report_problems.csv."
    else:
        problems.unlink(missing_ok=True)
    numbers = {"reports": len(labels), "from_dicom": in_dicom, "broken": len(source.broken), **counts}
    return StageResult(sentence, numbers, len(source.broken))


def process_stage(
    workspace: Workspace,
    settings: Settings,
    jobs: int,
    tick: Tick,
    only: str | None = None,
    scheduler: str | None = None,
) -> StageResult:
    """Run every pair from images to matched lesions; a pair done before with the same input and settings is kept."""
    pairs, references = read_pairs(workspace), read_pair_stacks(workspace, settings.cohort)
    if set(references) != set(pairs):
        raise UsageError("pairs.csv and pair_stacks.json do not belong together; run `liverpair pair WS` again.")
    if only is not None and only not in pairs:
        raise UsageError(f"there is no pair {only}; pairs.csv lists the {len(pairs)} that exist.")
    wanted = [only] if only is not None else sorted(pairs)
    prepare_backends(settings.backend)
    tasks = [_task(workspace, pairs[pair_id], references[pair_id], settings) for pair_id in wanted]
    todo = [task for task in tasks if not _is_done(workspace, task)]
    tick(len(tasks) - len(todo), len(tasks))
    done, failed = len(tasks) - len(todo), []
    with Catalogue.open(workspace.catalogue) as catalogue:

        def prepare(task: CaseTask) -> PreparedCase:
            return PreparedCase(task, load_stacks(task.references, catalogue.one_series))

        for task, outcome in run_many(process_case, todo, jobs, scheduler, prepare):
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


def _task(
    workspace: Workspace, pair: StudyPair, references: Mapping[str, StackReference], settings: Settings
) -> CaseTask:
    return CaseTask(workspace.root, pair, references, settings, case_key(pair, references, settings))


def _is_done(workspace: Workspace, task: CaseTask) -> bool:
    record = workspace.read_case(task.pair.pair_id)
    return record is not None and record["key"] == task.key and record["status"] == "done"


def evaluate_stage(
    workspace: Workspace, settings: Settings, clinical: Path | None = None, readings: Path | None = None
) -> StageResult:
    """Calls, concordance, causes and the report, from the processed cases, the labels and what is known of patients."""
    if clinical is not None:
        keep_clinical(workspace, clinical)
    if readings is not None:
        keep_readings(workspace, readings)
    numbers = evaluate_workspace(workspace, settings)
    log.info("evaluate: %s", numbers)
    return StageResult(f"Report: {workspace.report / 'index.html'}", numbers, int(numbers["failed_cases"]))
