"""The command `liverpair detectability`: what one PET can show. The work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liverpair.core.errors import UsageError
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import Json, OneConfig, command
from liverpair.flow.commands.single import VERBS, Choice
from liverpair.flow.outputs import check_folder

__all__ = ["add_to"]


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise UsageError(f"{option} takes numbers parted by commas, such as 4,6,8,10; not {text!r}.") from None


@command
def detectability(
    series: Annotated[
        Path,
        typer.Argument(
            metavar="SERIES", help="A PET: its DICOM folder or ZIP (best with its CT inside), or a NIfTI in SUV."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the results go.")] = Path(
        "detectability"
    ),
    liver: Annotated[
        Path | None,
        typer.Option("--liver", help="Liver mask (NIfTI, SEG, RTSTRUCT); else found on the CT in the same folder."),
    ] = None,
    diameters: Annotated[str, typer.Option(help="Diameters to insert, mm.")] = "4,5,6,7,8,10,12,15,20",
    ratios: Annotated[str, typer.Option(help="True tumour-to-liver ratios T to insert.")] = "1.5,2,3,5,10",
    places: Annotated[int, typer.Option(min=1, help="Lesions of every diameter and ratio, each elsewhere.")] = 30,
    breathing: Annotated[
        float, typer.Option(min=0.0, help="Cranio-caudal breathing amplitude that blurs the lesions, mm (10 is usual).")
    ] = 0.0,
    fwhm: Annotated[
        float | None, typer.Option(min=0.1, help="The PET's resolution, mm, where a phantom measured it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number puts the lesions elsewhere.")] = 20261122,
    which: Choice = None,
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """How small a lesion this PET can show: inserts synthetic lesions into its liver, lets the detector search.

    Blur takes contrast from lesions below the resolution, noise hides the rest: "PET-negative" means something else at
    5 mm than at 15. This measures where the line lies for one scanner, protocol and patient.

    Spheres of known diameter and true tumour-to-liver ratio T are blurred as this PET blurs (settings, header, noise or
    edges: the source is printed), optionally by breathing, given the noise of a brighter place, put at random places of
    the liver away from its own foci, and searched by the same detector and settings as in a study.

    Writes detectability.csv (found of inserted with its exact interval; beside it the closed form's contrast-to-noise
    and P(detect)), detectability.json (also d50 and d90, the sizes at which half and nine in ten are seen), and the
    curve as .png and .svg. By default 1350 lesions, a minute or two.

    Examples:

      liverpair detectability PETCT_FOLDER -o curve

      liverpair detectability suv.nii.gz --liver liver.nii.gz --breathing 10
    """
    check_folder(output)
    from dataclasses import replace

    from liverpair.evaluate.size_sensitivity import SensitivitySettings
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import detectability as verb

    settings = load_settings(config)
    if fwhm is not None:
        settings = replace(settings, scanner=replace(settings.scanner, pet_fwhm_mm=fwhm))
    trials = SensitivitySettings(
        _numbers(diameters, "--diameters"), _numbers(ratios, "--ratios"), places=places, seed=seed
    )
    request = verb.DetectabilityRequest(series, output, liver, which, breathing, trials)
    return verb.detectability(request, settings)


def add_to(app: typer.Typer) -> None:
    """Register the command, grouped with the other single-purpose ones in --help."""
    app.command(rich_help_panel=VERBS)(detectability)
