"""The command line `liverpair`."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from liverpair.core.provenance import version
from liverpair.flow.commands import detectability, single, study

__all__ = ["app", "main"]

#: Garbage is looked for this rarely: Python's default of 700 new objects walks everything that was imported again and
#: again, a tenth of a short command's time. Volumes are freed by their reference counts.
COLLECT_AFTER = (20_000, 50, 100)

app = typer.Typer(
    name="liverpair",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a traceback must not print what a DICOM header holds
    help="Compares liver MRI with somatostatin-receptor PET/CT over a whole DICOM archive.",
    epilog="Start with `liverpair demo`: it runs the whole study on a simulated archive in about three minutes.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"liverpair {version()}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Nothing to do before a command."""


study.add_to(app)
single.add_to(app)
detectability.add_to(app)


def main() -> None:
    """Entry point of the console script."""
    gc.set_threshold(*COLLECT_AFTER)
    app()
