"""The single-purpose commands: one image in, one answer out. The work is imported when a command is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liverpair.core.errors import UsageError
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import Json, OneConfig, command
from liverpair.flow.outputs import check_file, check_folder

__all__ = ["add_to"]

VERBS = "Single tools"
MR_ROLES = ("mr-hbp", "mr-t1-native", "mr-arterial", "mr-portal", "mr-t2", "mr-dwi")
#: Roles of an image that a liver is sought in, and of one that lesions are.
LIVER_ROLES = ("ct", *MR_ROLES, "mr-adc")
LESION_ROLES = ("pet", *MR_ROLES)

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="A DICOM folder, file or ZIP, or a NIfTI file.")]
Series = Annotated[Path, typer.Argument(metavar="SERIES", help="One DICOM series: a folder, file or ZIP.")]
Processed = Annotated[Path, typer.Argument(metavar="WS", help="The workspace of a processed study.")]
PairId = Annotated[str, typer.Argument(metavar="PAIR_ID", help="The pair, as tables/pairs.csv names it.")]
ResultFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the results; made if it is not there.")
]
Choice = Annotated[
    str | None, typer.Option("--series", metavar="UID", help="Which series, where the input holds several.")
]


def _check_role(option: str, role: str, known: tuple[str, ...]) -> None:
    """UsageError for an unknown role, before an image is read."""
    if role not in known:
        raise UsageError(f"{option} must be one of {', '.join(known)}, not {role!r}.")


@command
def suv(series: Series, which: Choice = None, config: OneConfig = None, as_json: Json = False) -> Answer:
    """The SUVbw factor of a PET series, with every candidate of the reference time; or why there is none.

    SUV = (rescaled pixel value) x factor, slice by slice. A refusal is an answer: exit code 2 and a reason code.
    """
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import images

    return images.suv(series, which, load_settings(config))


@command
def convert(
    series: Series,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.nii.gz", help="The NIfTI file to write.")],
    which: Choice = None,
    stored: Annotated[bool, typer.Option("--no-suv", help="PET: keep the stored unit (Bq/mL, counts).")] = False,
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """A DICOM series as NIfTI in the right place: HU for CT, SUVbw for PET, stored intensities for MR."""
    check_file(output)
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import images

    return images.convert(series, output, which, stored, load_settings(config))


@command
def measure(
    image: Image,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="NIfTI label map, DICOM SEG or RTSTRUCT.")],
    which: Choice = None,
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """Size and intensity of every region of a mask, by the definitions of the IBSI. PET is measured in SUVbw."""
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import images

    return images.measure(image, mask, which, load_settings(config))


@command
def register(
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="The CT of the PET/CT (DICOM or NIfTI).")],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="The MRI (DICOM or NIfTI).")],
    output: ResultFolder,
    fixed_mask: Annotated[
        Path | None, typer.Option("--fixed-mask", help="The liver on FIXED; found here if not given.")
    ] = None,
    moving_mask: Annotated[
        Path | None, typer.Option("--moving-mask", help="The liver on MOVING; found here if not given.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option("--points", help="CSV x,y,z (LPS mm in FIXED) to map into MOVING.")
    ] = None,
    moving_role: Annotated[str, typer.Option("--moving-role", help=", ".join(MR_ROLES) + ".")] = "mr-hbp",
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """Put a liver MRI onto the CT of a PET/CT; says itself whether the result may be used.

    Writes moved.nii.gz, transform.h5 (ITK, maps FIXED to MOVING), transform_inverse.h5, jacobian.nii.gz, quality.json
    and, with --points, points_moving.csv.
    A failed registration ends with exit code 1 and writes no transform.
    """
    check_folder(output)
    _check_role("--moving-role", moving_role, MR_ROLES)
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import registration

    masks = (fixed_mask, moving_mask)
    return registration.register(fixed, moving, output, masks, points, moving_role, load_settings(config))


@command
def transform_points(
    ws: Processed,
    pair_id: PairId,
    points: Annotated[Path, typer.Argument(metavar="POINTS.csv", help="x,y,z in LPS mm.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.csv", help="The points that result: x,y,z.")],
    to: Annotated[
        str, typer.Option("--to", help="mr: from the PET/CT to the MRI; pet: from the MRI to the PET/CT.")
    ] = "mr",
    as_json: Json = False,
) -> Answer:
    """Map points between the PET/CT and the MRI of a processed pair through its stored transform."""
    check_file(output)
    from liverpair.flow.verbs import registration

    return registration.transform_points(ws, pair_id, points, output, to)


@command
def motion_field(
    ws: Processed,
    pair_id: PairId,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.png", help="The picture to write.")],
    as_json: Json = False,
) -> Answer:
    """Draw how the liver deformed between PET/CT and MRI of a processed pair, and the bound of the error."""
    check_file(output)
    from liverpair.flow.verbs import motion

    return motion.motion_field(ws, pair_id, output)


@command
def segment(
    image: Image,
    role: Annotated[str, typer.Option("--role", help=f"What the image is: {', '.join(LIVER_ROLES)}.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="liver.nii.gz", help="The mask to write.")],
    which: Choice = None,
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """Find the liver; says itself when it failed (exit code 1, and no mask is written)."""
    check_file(output)
    _check_role("--role", role, LIVER_ROLES)
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import lesions

    return lesions.segment(image, role, output, which, load_settings(config))


@command
def detect(
    image: Image,
    role: Annotated[str, typer.Option("--role", help=f"What the image is: {', '.join(LESION_ROLES)}.")],
    output: ResultFolder,
    liver: Annotated[
        Path | None, typer.Option("--liver", help="Liver mask (NIfTI, SEG, RTSTRUCT); on MRI found here if not given.")
    ] = None,
    which: Choice = None,
    config: OneConfig = None,
    as_json: Json = False,
) -> Answer:
    """Detect and measure the lesions of one image: lesions.csv and the label map lesions.nii.gz.

    PET is taken in SUVbw: DICOM is converted here; a NIfTI must already be in SUV (`liverpair convert` writes it so).
    """
    check_folder(output)
    _check_role("--role", role, LESION_ROLES)
    from liverpair.flow.config import load_settings
    from liverpair.flow.verbs import lesions

    return lesions.detect(image, role, output, liver, which, load_settings(config))


@command
def power(
    sensitivity: Annotated[float, typer.Option(help="The sensitivity that you expect, as a share.")] = 0.95,
    specificity: Annotated[float, typer.Option(help="The specificity that you expect, as a share.")] = 0.95,
    width: Annotated[float, typer.Option(help="The widest interval that you accept: 0.05 is ± 2.5 points.")] = 0.05,
    prevalence: Annotated[float, typer.Option(help="Share of pairs with metastases by the reference.")] = 0.7,
    pairs_per_patient: Annotated[float, typer.Option(help="Pairs that one patient brings, on average.")] = 1.0,
    size_cv: Annotated[float, typer.Option(help="Standard deviation of that number over its mean.")] = 0.0,
    icc: Annotated[float, typer.Option(help="Correlation of two pairs of one patient, 0 to 1.")] = 0.3,
    level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    pilot: Annotated[
        Path | None,
        typer.Option("--pilot", metavar="CALLS.csv", help="Prevalence, pairs per patient and ICC from these calls."),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """How many pairs and patients a study needs for intervals of a given width, with several pairs per patient.

    Several pairs of one patient say less than as many of different patients; by how much is the design effect.
    CALLS.csv is what `evaluate --calls` takes: patient_id, pair_id, reference, index.
    """
    from liverpair.evaluate.power import Design
    from liverpair.flow.verbs import planning

    design = Design(sensitivity, specificity, prevalence, pairs_per_patient, size_cv, icc, width, level)
    return planning.power(design, pilot)


def add_to(app: typer.Typer) -> None:
    """Register these commands, grouped in --help."""
    for function in (suv, convert, register, detect, segment, measure, power):
        app.command(rich_help_panel=VERBS)(function)
    app.command("transform-points", rich_help_panel=VERBS)(transform_points)
    app.command("motion-field", rich_help_panel=VERBS)(motion_field)
