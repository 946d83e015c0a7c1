"""What every command shares: how errors become exit codes, how answers are printed, and the common options."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.markup import escape
from threadpoolctl import threadpool_limits

from liverpair.core.errors import LiverpairError, Refusal
from liverpair.core.provenance import canonical_json
from liverpair.flow.engine import default_jobs
from liverpair.flow.progress import console

__all__ = [
    "BAD_INPUT",
    "FAILED_CASES",
    "INTERRUPTED",
    "Archives",
    "Config",
    "Jobs",
    "Json",
    "Verbose",
    "answer",
    "command",
]

FAILED_CASES = 1
BAD_INPUT = 2
INTERRUPTED = 130

_P = ParamSpec("_P")

Archives = Annotated[
    list[Path],
    typer.Argument(
        metavar="ARCHIVE...",
        help="Folders, files, ZIP or tar archives that hold DICOM, nested and named anyhow.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings (TOML); the resolved ones are written to WS/liverpair.toml."),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Processes side by side.",
        default_factory=default_jobs,
        show_default="one a core",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more in the log.")]


def command(function: Callable[_P, int | None]) -> Callable[_P, None]:
    """Turn a function's outcome into an exit code: its own, 2 for a refusal or bad input, 130 when interrupted."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            with threadpool_limits(1):  # sums keep one order; cases are what runs side by side
                code = function(*args, **kwargs)
        except Refusal as refusal:
            console.print(f"[bold red]refused[/] ({refusal.reason}): {escape(refusal.detail)}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None
        except LiverpairError as error:
            console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            console.print("interrupted; run the same command again to go on where it stopped")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            for handler in logging.getLogger("liverpair").handlers:
                handler.flush()
        if code:
            raise typer.Exit(code)

    return run


def answer(value: Any, as_json: bool, sentence: str) -> None:
    """Print a command's answer: canonical JSON for programs, a sentence for people."""
    if as_json:
        typer.echo(canonical_json(value, indent=1))
    else:
        typer.echo(sentence)
