"""What every command shares: how errors become exit codes, how answers are printed, and the common options."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.markup import escape
from threadpoolctl import threadpool_limits

from liverpair.core.errors import LiverpairError, Refusal
from liverpair.core.provenance import canonical_json
from liverpair.flow.answer import Answer
from liverpair.flow.progress import console

__all__ = [
    "BAD_INPUT",
    "FAILED_CASES",
    "INTERRUPTED",
    "Archives",
    "Config",
    "Jobs",
    "Json",
    "OneConfig",
    "Verbose",
    "command",
]

log = logging.getLogger(__name__)

FAILED_CASES = 1
BAD_INPUT = 2
INTERRUPTED = 130

_P = ParamSpec("_P")

Archives = Annotated[
    list[Path],
    typer.Argument(
        metavar="ARCHIVE",
        help="Folders, files, ZIP or tar archives that hold DICOM, nested and named anyhow.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings (TOML); the resolved ones are written to WS/liverpair.toml."),
]
OneConfig = Annotated[
    Path | None,
    typer.Option("--config", help="Settings (TOML), in the sections that a study's WS/liverpair.toml shows."),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=0, help="Processes side by side; 0 takes one a core, as memory allows.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more in the log.")]


def _said(error: OSError) -> str:
    """What the system refused, in a sentence; a file by its name alone, as its folders may be named after patients."""
    name = Path(str(error.filename)).name if error.filename else "a file"
    why = error.strerror or type(error).__name__
    return f"{name} could not be read or written: {why}. Check the paths, the permissions and the room on the disk."


def _filled(text: str) -> str:
    """A help text whose paragraphs are lines of their own, which the terminal breaks at its own width."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.startswith(" ") else " ".join(p.split("\n")) for p in paragraphs)


def command(function: Callable[_P, Answer]) -> Callable[_P, None]:
    """Print a command's answer and end with its exit code: 2 for a refusal or bad input, 130 when interrupted."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            with threadpool_limits(1):  # sums keep one order; cases are what runs side by side
                answer = function(*args, **kwargs)
        except Refusal as refusal:
            console.print(f"[bold red]refused[/] ({refusal.reason}): {escape(refusal.detail)}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None
        except LiverpairError as error:
            console.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None
        except OSError as error:  # a full disk, a share that went away, a folder without permission
            log.info("%s ended by %s: %s", function.__name__, type(error).__name__, error.strerror)
            console.print(f"[bold red]error:[/] {escape(_said(error))}", soft_wrap=True)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            console.print("interrupted; run the same command again to go on where it stopped")
            raise typer.Exit(INTERRUPTED) from None
        typer.echo(canonical_json(answer.value, indent=1) if kwargs.get("as_json") else answer.sentence)
        if answer.code:
            raise typer.Exit(answer.code)

    run.__doc__ = _filled(function.__doc__ or "")
    return run
