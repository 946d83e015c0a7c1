"""Run a study's stages for a user: settings resolved, a bar for what is long, one line for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.core.errors import ConfigError
from liverpair.core.provenance import plain
from liverpair.evaluate.labels import ReportSource
from liverpair.evaluate.labels.endpoint import EndpointSettings
from liverpair.flow import stages
from liverpair.flow.answer import Answer
from liverpair.flow.config import Settings, dump_settings, load_settings
from liverpair.flow.engine import default_jobs
from liverpair.flow.labelling import merged
from liverpair.flow.livers import prepare_backends
from liverpair.flow.participants import check_clinical
from liverpair.flow.progress import bar, console
from liverpair.flow.report_texts import archive_reports, read_reports_anywhere
from liverpair.flow.stages import StageResult
from liverpair.flow.workspace import Workspace, write_text
from liverpair.simulate.cohort import DEMO_SEED, write_cohort

__all__ = ["Run", "analyze", "demo", "evaluate", "index", "label", "pair", "process"]

#: The exit code of a study that went through although some of its pairs failed.
FAILED_CASES = 1


@dataclass(frozen=True, slots=True)
class Run:
    """How a study is run: processes (0: one a core), cluster, one pair only, a talkative log."""

    jobs: int = 0
    scheduler: str | None = None
    only: str | None = None
    verbose: bool = False


def resolve_settings(workspace: Workspace, config: Path | None) -> Settings:
    """The settings given now, else those that the workspace was made with; the resolved ones are written down."""
    if config is None and workspace.settings_file.exists():
        try:
            return load_settings(workspace.settings_file)
        except ConfigError as error:
            hint = "another version of liverpair wrote these settings: give yours with --config, or delete that file."
            raise ConfigError(f"{workspace.settings_file}: {error} If you did not edit it, {hint}") from error
    settings = load_settings(config)
    write_text(workspace.settings_file, dump_settings(settings))
    return settings


def _opened(ws: Path, config: Path | None, verbose: bool = False) -> tuple[Workspace, Settings]:
    workspace = Workspace.existing(ws)
    workspace.start_log(verbose)
    return workspace, resolve_settings(workspace, config)


def _answer(result: StageResult) -> Answer:
    return Answer(plain(result.numbers), result.sentence, FAILED_CASES if result.failed else 0)


def analyze(
    archives: Sequence[Path],
    out: Path,
    reports: Path | None,
    config: Path | None,
    run: Run,
    clinical: Path | None = None,
) -> Answer:
    """All stages on a workspace; a stage that was done before keeps what still holds."""
    workspace = Workspace.create(out)
    workspace.start_log(run.verbose)
    settings = resolve_settings(workspace, config)
    # What is missing is said now, not after hours of reading headers and images.
    prepare_backends(settings.backend)
    given = read_reports_anywhere(reports) if reports is not None else None
    if clinical is not None:
        check_clinical(clinical)
    numbers: dict[str, Any] = {}

    def note(name: str, result: StageResult) -> StageResult:
        console.print(result.sentence, soft_wrap=True)
        numbers[name] = plain(result.numbers)
        return result

    with bar("Reading headers") as tick:
        result = stages.index_stage(workspace, archives, settings, run.jobs or default_jobs(), tick)
    note("index", result)
    with bar("Selecting and pairing patients") as tick:
        result = stages.pair_stage(workspace, settings, tick)
    note("pair", result)
    source = archive_reports(workspace)
    if given is not None:
        source = merged(given, source)
    if source.rows or source.broken:
        note("label", stages.label_stage(workspace, source))
    with bar("Processing pairs") as tick:
        processed = stages.process_stage(workspace, settings, run.jobs or default_jobs(), tick, run.only, run.scheduler)
    note("process", processed)
    with console.status("Concordance and report"):
        result = stages.evaluate_stage(workspace, settings, clinical)
    numbers["evaluate"] = plain(result.numbers)
    numbers["report"] = str(workspace.report / "index.html")
    return Answer(numbers, result.sentence, FAILED_CASES if processed.failed or result.failed else 0)


def demo(out: Path, jobs: int) -> Answer:
    """Simulate the sample archive (once), then run the whole study on it."""
    archive = out / "archive"
    if not (archive / "truth.json").exists():
        with bar("Simulating the sample archive") as tick:
            write_cohort(archive, DEMO_SEED, progress=tick)
    return analyze([archive], out / "workspace", archive / "reports.csv", None, Run(jobs))


def index(archives: Sequence[Path], out: Path, config: Path | None, run: Run) -> Answer:
    """Read headers into the catalogue."""
    workspace = Workspace.create(out)
    workspace.start_log(run.verbose)
    settings = resolve_settings(workspace, config)
    with bar("Reading headers") as tick:
        return _answer(stages.index_stage(workspace, archives, settings, run.jobs or default_jobs(), tick))


def pair(ws: Path, config: Path | None) -> Answer:
    """Select and pair."""
    workspace, settings = _opened(ws, config)
    with bar("Selecting and pairing patients") as tick:
        return _answer(stages.pair_stage(workspace, settings, tick))


def label(ws: Path, source: ReportSource, endpoint: EndpointSettings | None = None) -> Answer:
    """Label the reports of a workspace."""
    workspace, _ = _opened(ws, None)
    with bar("Asking the model" if endpoint else "Labelling reports") as tick:
        return _answer(stages.label_stage(workspace, source, endpoint, tick))


def process(ws: Path, config: Path | None, run: Run) -> Answer:
    """Process every pair."""
    workspace, settings = _opened(ws, config, run.verbose)
    with bar("Processing pairs") as tick:
        return _answer(
            stages.process_stage(workspace, settings, run.jobs or default_jobs(), tick, run.only, run.scheduler)
        )


def evaluate(ws: Path, config: Path | None, clinical: Path | None = None, readings: Path | None = None) -> Answer:
    """Tables and report."""
    return _answer(stages.evaluate_stage(*_opened(ws, config), clinical, readings))
