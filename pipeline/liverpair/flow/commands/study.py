"""The commands that work on a whole study: demo, analyze and its stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from liverpair.core.errors import UsageError
from liverpair.core.provenance import plain
from liverpair.flow import stages
from liverpair.flow.commands.shared import (
    FAILED_CASES,
    Archives,
    Config,
    Jobs,
    Json,
    Verbose,
    answer,
    command,
)
from liverpair.flow.config import Settings, dump_settings, load_settings
from liverpair.flow.progress import bar, console
from liverpair.flow.stages import StageResult
from liverpair.flow.tabular import evaluate_tables, label_file
from liverpair.flow.workspace import Workspace, write_text

__all__ = ["add_to"]

STUDY = "The study"
STAGES = "Its stages, one by one"

Out = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="WS", help="The workspace: a new folder, or one to go on with."),
]
Existing = Annotated[Path, typer.Argument(metavar="WS", help="The workspace of an earlier stage.")]
Reports = Annotated[
    Path | None,
    typer.Option(
        "--reports",
        help="CSV of reports: report_id, text [, modality, patient_id, accession_number, study_date].",
    ),
]
Only = Annotated[str | None, typer.Option("--only", metavar="PAIR_ID", help="Process this pair alone.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port.")
]


def _settings(workspace: Workspace, config: Path | None) -> Settings:
    """The settings given now, else those that the workspace was made with; the resolved ones are written down."""
    if config is None and workspace.settings_file.exists():
        return load_settings(workspace.settings_file)
    settings = load_settings(config)
    write_text(workspace.settings_file, dump_settings(settings))
    return settings


def _run_all(
    workspace: Workspace,
    archives: list[Path],
    reports: Path | None,
    settings: Settings,
    jobs: int,
    only: str | None,
    scheduler: str | None,
) -> tuple[StageResult, dict[str, object]]:
    """All stages; each says in one line what it did."""
    numbers: dict[str, object] = {}
    with bar("Reading headers") as tick:
        result = stages.index_stage(workspace, archives, settings, jobs, tick)
    console.print(result.sentence)
    numbers["index"] = plain(result.numbers)
    result = stages.pair_stage(workspace, settings)
    console.print(result.sentence)
    numbers["pair"] = plain(result.numbers)
    if reports is not None:
        result = stages.label_stage(workspace, reports)
        console.print(result.sentence)
        numbers["label"] = plain(result.numbers)
    with bar("Processing pairs") as tick:
        result = stages.process_stage(workspace, settings, jobs, tick, only, scheduler)
    console.print(result.sentence)
    numbers["process"] = plain(result.numbers)
    with console.status("Concordance and report"):
        result = stages.evaluate_stage(workspace, settings)
    numbers["evaluate"] = plain(result.numbers)
    return result, numbers


@command
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the sample archive and the results go.")] = Path(
        "liverpair-demo"
    ),
    jobs: Jobs = 1,
    as_json: Json = False,
) -> int:
    """Simulate a small DICOM archive, run the whole study on it, and end with the report's path.

    The sample holds true and false positives and negatives, a pair that cannot be evaluated, a second pair of one
    patient, a study out of the window, an FDG-PET and the litter of archives. Its truth is OUT/archive/truth.json.
    """
    from liverpair.simulate.cohort import DEMO_SEED, write_cohort

    archive = out / "archive"
    if not (archive / "truth.json").exists():
        with bar("Simulating the sample archive") as tick:
            write_cohort(archive, DEMO_SEED, progress=tick)
    workspace = Workspace.create(out / "workspace")
    workspace.start_log(verbose=False)
    settings = _settings(workspace, None)
    result, numbers = _run_all(workspace, [archive], archive / "reports.csv", settings, jobs, None, None)
    answer({**numbers, "report": str(workspace.report / "index.html")}, as_json, result.sentence)
    return FAILED_CASES if result.failed else 0


@command
def analyze(
    archives: Archives,
    out: Out,
    reports: Reports = None,
    config: Config = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    only: Only = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> int:
    """Run the whole study: index, pair, label, process, evaluate. Run it again and it goes on where it stopped.

    Example: liverpair analyze /data/export -o study --reports reports.csv

    Exit codes: 0 done, 1 finished but some pairs failed (they are listed), 2 bad input, 130 interrupted.
    """
    workspace = Workspace.create(out)
    workspace.start_log(verbose)
    settings = _settings(workspace, config)
    result, numbers = _run_all(workspace, archives, reports, settings, jobs, only, scheduler)
    answer({**numbers, "report": str(workspace.report / "index.html")}, as_json, result.sentence)
    return FAILED_CASES if result.failed else 0


@command
def index(
    archives: Archives,
    out: Out,
    config: Config = None,
    jobs: Jobs = 1,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Read the headers of every file into the workspace's catalogue; a second run reads only what changed."""
    workspace = Workspace.create(out)
    workspace.start_log(verbose)
    with bar("Reading headers") as tick:
        result = stages.index_stage(workspace, archives, _settings(workspace, config), jobs, tick)
    answer(result.numbers, as_json, result.sentence)


@command
def pair(ws: Existing, config: Config = None, as_json: Json = False) -> None:
    """Select SSR-PET/CT and liver MRI from the headers and pair them within the window (92 days by default)."""
    workspace = Workspace.existing(ws)
    workspace.start_log(verbose=False)
    result = stages.pair_stage(workspace, _settings(workspace, config))
    answer(result.numbers, as_json, result.sentence)


@command
def label(
    source: Annotated[
        Path,
        typer.Argument(metavar="WS|REPORTS.csv", help="A workspace (with --reports), or a table of reports (with -o)."),
    ],
    reports: Reports = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="LABELS.csv", help="Where the labels go.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Label German and English reports for hepatic metastases: status, largest size, count, language and evidence.

    Example: liverpair label reports.csv -o labels.csv
    """
    if source.is_dir():
        if reports is None:
            raise UsageError("say which reports: liverpair label WS --reports reports.csv")
        workspace = Workspace.existing(source)
        workspace.start_log(verbose=False)
        result = stages.label_stage(workspace, reports)
    else:
        if output is None:
            raise UsageError("say where the labels go: liverpair label reports.csv -o labels.csv")
        result = label_file(source, output)
    answer(result.numbers, as_json, result.sentence)


@command
def process(
    ws: Existing,
    config: Config = None,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    only: Only = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> int:
    """Take every pair from its images to matched lesions; pairs that are done already are kept."""
    workspace = Workspace.existing(ws)
    workspace.start_log(verbose)
    with bar("Processing pairs") as tick:
        result = stages.process_stage(workspace, _settings(workspace, config), jobs, tick, only, scheduler)
    answer(result.numbers, as_json, result.sentence)
    return FAILED_CASES if result.failed else 0


@command
def evaluate(
    ws: Annotated[Path | None, typer.Argument(metavar="[WS]", help="The workspace of a processed study.")] = None,
    calls: Annotated[
        Path | None,
        typer.Option(
            "--calls",
            help="Instead of a workspace: CSV of patient_id, pair_id, reference, index [, largest_mm].",
        ),
    ] = None,
    lesions: Annotated[
        Path | None,
        typer.Option("--lesions", help="CSV of patient_id, pair_id, lesion_id, long_axis_mm, detected."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="With --calls or --lesions.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> int:
    """Concordance with intervals, causes of false negatives, and the report: from a workspace, or from bare tables.

    Example without images: liverpair evaluate --calls calls.csv -o results
    """
    if calls is not None or lesions is not None:
        if ws is not None or output is None:
            raise UsageError("with --calls or --lesions give -o DIR and no workspace.")
        result = evaluate_tables(calls, lesions, output, load_settings(config))
    elif ws is None:
        raise UsageError("give a workspace, or --calls CALLS.csv -o DIR.")
    else:
        workspace = Workspace.existing(ws)
        workspace.start_log(verbose=False)
        result = stages.evaluate_stage(workspace, _settings(workspace, config))
    answer(result.numbers, as_json, result.sentence)
    return FAILED_CASES if result.failed else 0


def add_to(app: typer.Typer) -> None:
    """Register these commands, grouped in --help."""
    grouped: dict[str, tuple[Callable[..., None], ...]] = {
        STUDY: (demo, analyze),
        STAGES: (index, pair, label, process, evaluate),
    }
    for panel, functions in grouped.items():
        for function in functions:
            app.command(rich_help_panel=panel)(function)
