"""The commands that work on a whole study: demo, analyze and its stages. The work is imported when one is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liverpair.core.errors import UsageError
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import Archives, Config, Jobs, Json, Verbose, command
from liverpair.flow.outputs import check_file, check_folder

if TYPE_CHECKING:
    from liverpair.evaluate.labels.endpoint import EndpointSettings

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
        help="Reports: CSV or XLSX with report_id, text [, modality, patient_id, accession_number, study_date]; or a "
        "folder of DOCX and TXT.",
    ),
]
ClinicalTable = Annotated[
    Path | None,
    typer.Option(
        "--clinical",
        metavar="PATIENTS.csv",
        help="What is known of patients: patient_id [, sex, age, grade, ki67, primary, therapy, therapy_date].",
    ),
]
Only = Annotated[str | None, typer.Option("--only", metavar="PAIR_ID", help="Process this pair alone.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, tcp://host:port.")
]


@command
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where the sample archive and the results go.")] = Path(
        "liverpair-demo"
    ),
    jobs: Jobs = 0,
    as_json: Json = False,
) -> Answer:
    """Simulate a small DICOM archive, run the whole study on it, and end with the report's path.

    The sample holds true and false positives and negatives, a pair that cannot be evaluated, a second pair of one
    patient, a study out of the window, an FDG-PET and the litter of archives. Its truth is OUT/archive/truth.json.
    """
    from liverpair.flow import run

    check_folder(out)
    return run.demo(out, jobs)


@command
def analyze(
    archives: Archives,
    out: Out,
    reports: Reports = None,
    config: Config = None,
    jobs: Jobs = 0,
    scheduler: Scheduler = None,
    only: Only = None,
    clinical: ClinicalTable = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> Answer:
    """Run the whole study: index, pair, label, process, evaluate. Run it again and it goes on where it stopped.

    Example: liverpair analyze /data/export -o study --reports reports.csv

    Exit codes: 0 done, 1 finished but some pairs failed (they are listed), 2 bad input, 130 interrupted.
    """
    from liverpair.flow import run

    return run.analyze(archives, out, reports, config, run.Run(jobs, scheduler, only, verbose), clinical)


@command
def index(
    archives: Archives,
    out: Out,
    config: Config = None,
    jobs: Jobs = 0,
    verbose: Verbose = False,
    as_json: Json = False,
) -> Answer:
    """Read the headers of every file into the workspace's catalogue; a second run reads only what changed."""
    from liverpair.flow import run

    return run.index(archives, out, config, run.Run(jobs, verbose=verbose))


@command
def pair(ws: Existing, config: Config = None, as_json: Json = False) -> Answer:
    """Select SSR-PET/CT and liver MRI from the headers and pair them: the closest in time first, within 92 days.

    Equal intervals: the MRI with a hepatobiliary phase, then with more kinds of sequences, then with more images; the
    PET with its own CT, then the earlier; the earlier MRI; the smaller Study Instance UID. Every examination serves
    once. Every other study is in exclusions.csv with its reason.

    Settings, in the section cohort of the file given by --config: window_days, days_before, days_after, mr_reuse (one
    MRI may serve several PETs), join_issuers, patient_map (a CSV old_id,new_id of patients whose ID has changed).
    """
    from liverpair.flow import run

    return run.pair(ws, config)


@command
def label(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="WS|REPORTS", help="A workspace, or reports: CSV, XLSX, DOCX, TXT, DICOM reports, or a folder."
        ),
    ],
    reports: Reports = None,
    dicom: Annotated[
        bool, typer.Option("--dicom/--no-dicom", help="With a workspace: also the DICOM reports of its archive.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="Where the labels, the sheet or its result go.")
    ] = None,
    files: Annotated[
        Path | None,
        typer.Option(
            "--files", metavar="FILES.csv", help="Also say which document each report_id is (names may tell)."
        ),
    ] = None,
    audit: Annotated[
        int | None, typer.Option("--audit", metavar="N", help="Draw a stratified sheet of N reports to adjudicate.")
    ] = None,
    audit_answers: Annotated[
        Path | None,
        typer.Option("--audit-answers", metavar="SHEET.csv", help="Read the filled sheet: how right we are."),
    ] = None,
    model_url: Annotated[
        str | None,
        typer.Option("--model-url", metavar="URL", help="Ask a language model at http://127.0.0.1:PORT/v1 instead."),
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model's name on that server.")] = "",
    allow_other_host: Annotated[
        bool, typer.Option("--allow-other-host", help="Let reports leave this machine for the host of --model-url.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Label German and English reports for hepatic metastases: status, largest size, count, language and evidence.

    Example: liverpair label reports.csv -o labels.csv. A workspace needs no -o; structured reports and CDA or text
    documents that its archive holds are labelled with those given by --reports.

    How right the labels are on your own reports a human must say: liverpair label reports.csv --audit 200 -o sheet.csv,
    fill the sheet, then --audit-answers sheet.csv. In a workspace its answers also correct the report's accuracy.

    --model-url asks a language model (OpenAI's interface; off unless given) in place of the rules. Reports do not leave
    this machine unless --allow-other-host says so; an answer without verbatim evidence is dropped for the rules' label.
    """
    from liverpair.flow import label_files, labelling, run
    from liverpair.flow.workspace import Workspace

    endpoint = _endpoint(model_url, model, allow_other_host)
    is_workspace = Workspace(source).settings_file.exists()
    if not is_workspace and (audit is None and audit_answers is None):
        if output is not None:
            check_file(output)
            return label_files.label_file(source, output, files, endpoint)
        raise UsageError("say where the labels go: liverpair label reports.csv -o labels.csv (or give a workspace).")
    if output is not None and audit is None and audit_answers is None:
        raise UsageError("a workspace's labels stay in its tables/labels.csv; leave out -o.")
    found = labelling.gather_reports(source, reports, dicom)
    if audit_answers is not None:
        if output is None and is_workspace:
            output = Workspace(source).tables / label_files.AUDIT_FILE
        return label_files.audit_answers(found, audit_answers, output)
    if audit is not None:
        if output is None:
            raise UsageError("say where the sheet goes: liverpair label reports.csv --audit 200 -o sheet.csv")
        return label_files.audit_sheet(found, output, audit)
    return run.label(source, found, endpoint)


def _endpoint(url: str | None, model: str, allow_other_host: bool) -> EndpointSettings | None:
    """The language model that the user asked for, its address checked; None where none was."""
    if url is None:
        if model or allow_other_host:
            raise UsageError("--model and --allow-other-host go with --model-url; without it no model is asked.")
        return None
    from liverpair.evaluate.labels.endpoint import EndpointSettings, check_address

    endpoint = EndpointSettings(url, model, allow_other_host)
    check_address(endpoint)
    return endpoint


@command
def process(
    ws: Existing,
    config: Config = None,
    jobs: Jobs = 0,
    scheduler: Scheduler = None,
    only: Only = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> Answer:
    """Take every pair from its images to matched lesions; pairs that are done already are kept."""
    from liverpair.flow import run

    return run.process(ws, config, run.Run(jobs, scheduler, only, verbose))


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
    readings: Annotated[
        Path | None,
        typer.Option(
            "--readings",
            help="Independent readings for the agreement between readers, with a workspace or bare tables: CSV of "
            "pair_id, reader, mr, pet (present, absent, uncertain, not_evaluable) [, read_at; patient_id where the "
            "readings stand alone]. They change no verdict; a consensus does (tables/consensus.csv).",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="With --calls, --lesions or --readings.")
    ] = None,
    clinical: ClinicalTable = None,
    config: Config = None,
    as_json: Json = False,
) -> Answer:
    """Concordance with intervals, causes of false negatives, and the report: from a workspace, or from bare tables.

    Example without images: liverpair evaluate --calls calls.csv --readings readings.csv -o results
    """
    if calls is not None or lesions is not None or (readings is not None and ws is None):
        if ws is not None:
            raise UsageError("bare tables and a workspace cannot be evaluated together; leave out one of the two.")
        if output is None:
            raise UsageError("say where the results go: liverpair evaluate --calls calls.csv -o results")
        if clinical is not None:
            raise UsageError("--clinical goes with a workspace; give sex, age, grade as columns of the calls table.")
        check_folder(output)
        from liverpair.flow import config as settings
        from liverpair.flow import tabular

        return tabular.evaluate_tables(calls, lesions, output, settings.load_settings(config), readings)
    if ws is None:
        raise UsageError("give a workspace, or --calls CALLS.csv -o DIR.")
    if output is not None and output.resolve() != ws.resolve():
        raise UsageError("a workspace's results stay in the workspace; leave out -o, or copy its report folder.")
    from liverpair.flow import run

    return run.evaluate(ws, config, clinical, readings)


def add_to(app: typer.Typer) -> None:
    """Register these commands, grouped in --help."""
    grouped: dict[str, tuple[Callable[..., None], ...]] = {
        STUDY: (demo, analyze),
        STAGES: (index, pair, label, process, evaluate),
    }
    for panel, functions in grouped.items():
        for function in functions:
            app.command(rich_help_panel=panel)(function)
