"""The single-purpose commands: one image in, one answer out."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from liverpair.core.errors import SuvRefusal, UsageError
from liverpair.core.lesion import Candidate, Lesion, Modality, Nature, ReferenceRegion
from liverpair.core.provenance import canonical_json, plain
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.dicom.load import load_image, load_labels, load_mask, load_stack
from liverpair.dicom.nifti import write_nifti
from liverpair.dicom.read import read_headers
from liverpair.dicom.suv import suv_factors
from liverpair.evaluate.measure import measure_labels, measure_mr, measure_pet
from liverpair.flow.commands.shared import BAD_INPUT, Config, Json, answer, command
from liverpair.flow.config import load_settings
from liverpair.flow.images import read_suv
from liverpair.flow.progress import console
from liverpair.flow.record import lesion_row
from liverpair.flow.tables import COLUMNS, format_table
from liverpair.flow.workspace import Workspace, write_text
from liverpair.register.align import register as register_volumes
from liverpair.register.resample import resample
from liverpair.register.transform_io import read_transform, write_transform
from liverpair.segment.liver import segment_liver
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference

__all__ = ["add_to"]

VERBS = "Single-purpose verbs"
MR_ROLES = ("mr-hbp", "mr-t1-native", "mr-arterial", "mr-portal", "mr-t2", "mr-dwi")

Image = Annotated[Path, typer.Argument(help="A DICOM folder, file or ZIP, or a NIfTI file.")]
Series = Annotated[Path, typer.Argument(metavar="SERIES", help="One DICOM series: a folder, file or ZIP.")]
Choice = Annotated[
    str | None, typer.Option("--series", metavar="UID", help="Which series, where the input holds several.")
]


@command
def suv(series: Series, which: Choice = None, config: Config = None, as_json: Json = False) -> int:
    """The SUVbw factor of a PET series, with every candidate of the reference time; or why there is none.

    SUV = (rescaled pixel value) x factor, slice by slice. A refusal is an answer: exit code 2 and a reason code.
    """
    settings = load_settings(config)
    result = suv_factors(read_headers(load_stack(series, series=which)), settings.suv)
    if result.status == "ok":
        low, high = min(result.factor), max(result.factor)
        span = f"{low:.9g}" if np.isclose(low, high, rtol=1e-9) else f"{low:.9g} to {high:.9g}"
        sentence = f"SUVbw factor {span} per {result.units}; decay correction {result.decay_correction}."
        sentence += "".join(f"\nwarning: {warning}" for warning in result.warnings)
    else:
        sentence = f"refused ({result.reason}): {result.detail}"
    answer(result.as_json(), as_json, sentence)
    return 0 if result.status == "ok" else BAD_INPUT


@command
def convert(
    series: Series,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.nii.gz", help="The NIfTI file to write.")],
    which: Choice = None,
    stored: Annotated[bool, typer.Option("--no-suv", help="PET: keep the stored unit (Bq/mL, counts).")] = False,
    config: Config = None,
) -> None:
    """A DICOM series as NIfTI in the right place: HU for CT, SUVbw for PET, stored intensities for MR."""
    _check_nifti_name(output)
    stack = load_stack(series, series=which)
    if stack.first("Modality") == "PT" and not stored:
        volume, _ = read_suv(stack, load_settings(config).suv)
    else:
        volume = load_image(series, series=which)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(volume, output)
    shape = " x ".join(str(n) for n in volume.grid.shape)
    step = " x ".join(f"{s:.4g}" for s in volume.grid.spacing)
    answer(None, False, f"{output}: {shape} voxels of {step} mm, in {volume.unit.value}.")


def _check_nifti_name(path: Path) -> None:
    if not path.name.endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path.name}: the output must end in .nii or .nii.gz.")


def _read_points(path: Path) -> NDArray[np.float64]:
    """Points from a CSV with the columns x,y,z (LPS mm), shape (n, 3)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        return np.asarray([[float(row[axis]) for axis in "xyz"] for row in rows], dtype=np.float64).reshape(-1, 3)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path.name} must have the columns x,y,z with numbers (LPS mm) in every row.") from error


def _write_points(path: Path, points: NDArray[np.float64]) -> None:
    write_text(path, format_table(("x", "y", "z"), [dict(zip("xyz", map(float, p), strict=True)) for p in points]))


@command
def register(
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="The CT of the PET/CT (DICOM or NIfTI).")],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="The MRI (DICOM or NIfTI).")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR")],
    fixed_mask: Annotated[
        Path | None, typer.Option("--fixed-mask", help="The liver on FIXED; found here if not given.")
    ] = None,
    moving_mask: Annotated[
        Path | None, typer.Option("--moving-mask", help="The liver on MOVING; found here if not given.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option("--points", help="CSV x,y,z (LPS mm in FIXED) to map into MOVING.")
    ] = None,
    moving_role: Annotated[
        str, typer.Option("--moving-role", help="mr-hbp, mr-t1-native, mr-portal, mr-t2 or mr-dwi.")
    ] = "mr-hbp",
    config: Config = None,
    as_json: Json = False,
) -> int:
    """Put a liver MRI onto the CT of a PET/CT; says itself whether the result may be used.

    Writes moved.nii.gz, transform.h5 (ITK, maps FIXED to MOVING), quality.json and, with --points, points_moving.csv.
    """
    settings = load_settings(config)
    ct, mr = load_image(fixed), load_image(moving)
    ct_liver = load_mask(fixed_mask, ct.grid) if fixed_mask else segment_liver(ct, "ct", settings.liver).mask
    mr_liver = load_mask(moving_mask, mr.grid) if moving_mask else segment_liver(mr, moving_role, settings.liver).mask
    found = register_volumes(ct, mr, ct_liver, mr_liver, settings.register)
    output.mkdir(parents=True, exist_ok=True)
    quality = {"verdict": found.verdict, "reasons": list(found.reasons), **found.quality}
    write_text(output / "quality.json", canonical_json(quality, indent=1) + "\n")
    if found.transform is None:
        answer(quality, as_json, f"Registration failed ({', '.join(found.reasons)}); no transform is written.")
        return 1
    write_nifti(resample(mr, ct.grid, found.transform), output / "moved.nii.gz")
    write_transform(found.transform, output / "transform.h5")
    if points is not None:
        _write_points(output / "points_moving.csv", found.transform.to_moving(_read_points(points)))
    answer(quality, as_json, f"Registration {found.verdict}; see {output / 'quality.json'}.")
    return 0


@command
def transform_points(
    ws: Annotated[Path, typer.Argument(metavar="WS")],
    pair_id: Annotated[str, typer.Argument(metavar="PAIR_ID")],
    points: Annotated[Path, typer.Argument(metavar="POINTS.csv", help="x,y,z in LPS mm.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.csv")],
    to: Annotated[
        str, typer.Option("--to", help="mr: from the PET/CT to the MRI; pet: from the MRI to the PET/CT.")
    ] = "mr",
) -> None:
    """Map points between the PET/CT and the MRI of a processed pair through its stored transform."""
    if to not in ("mr", "pet"):
        raise UsageError(f"--to must be mr or pet, not {to!r}.")
    folder = Workspace.existing(ws).case(pair_id)
    stored = folder / "transform.h5"
    if not stored.exists():
        why = "its registration failed" if folder.exists() else "it is not a processed pair"
        raise UsageError(f"{pair_id} has no transform: {why}.")
    transform: SpatialTransform = read_transform(stored)
    given = _read_points(points)
    _write_points(output, transform.to_moving(given) if to == "mr" else transform.to_fixed(given))
    answer(None, False, f"{output}: {len(given)} points.")


@command
def segment(
    image: Image,
    role: Annotated[str, typer.Option("--role", help="ct or one of " + ", ".join(MR_ROLES) + ".")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="liver.nii.gz")],
    which: Choice = None,
    config: Config = None,
    as_json: Json = False,
) -> int:
    """Find the liver; says itself when it failed (exit code 1, and no mask is written)."""
    _check_nifti_name(output)
    found = segment_liver(load_image(image, series=which), role, load_settings(config).liver)
    facts = {
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "volume_ml": found.volume_ml,
        "facts": found.facts,
    }
    if found.verdict != "usable" or found.mask is None:
        answer(facts, as_json, f"No usable liver: {'; '.join(found.reasons)}. No mask is written.")
        return 1
    output.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(found.mask, output)
    answer(facts, as_json, f"{output}: liver of {found.volume_ml:.0f} mL.")
    return 0


@command
def detect(
    image: Image,
    role: Annotated[str, typer.Option("--role", help="pet, mr-hbp, mr-t2 or mr-dwi.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR")],
    liver: Annotated[
        Path | None,
        typer.Option("--liver", help="Liver mask (NIfTI, SEG, RTSTRUCT); MR: found here if not given."),
    ] = None,
    which: Choice = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Detect and measure the lesions of one image: lesions.csv and the label map lesions.nii.gz.

    PET is taken in SUVbw: DICOM is converted here; a NIfTI must already be in SUV (`liverpair convert` writes it so).
    """
    if role != "pet" and role not in MR_ROLES:
        raise UsageError(f"--role must be pet or one of {', '.join(MR_ROLES)}, not {role!r}.")
    settings = load_settings(config)
    volume = _quantified(image, which, role, config)
    mask = _liver_mask(volume, role, liver, config)
    reference = None
    if role == "pet":
        reference = liver_reference(volume, mask, settings.reference)
        found = detect_pet(volume, mask, reference, settings.pet)
    else:
        found = detect_mr({role: volume}, mask, settings.mr)
    lesions = [_as_lesion(volume, found.labels.mask(c.label), c, reference) for c in found.candidates]
    rows = [lesion_row("", lesion) for lesion in lesions]
    output.mkdir(parents=True, exist_ok=True)
    write_nifti(found.labels, output / "lesions.nii.gz")
    write_text(output / "lesions.csv", format_table(COLUMNS["lesions"], rows))
    facts = {"lesions": rows, "facts": found.facts, "reference": plain(reference)}
    answer(facts, as_json, f"{len(rows)} lesions; see {output / 'lesions.csv'}.")


def _as_lesion(volume: Volume, region: Mask, candidate: Candidate, reference: ReferenceRegion | None) -> Lesion:
    """One candidate, measured; ``reference`` is there for PET only. A benign nature becomes a flag."""
    on_pet = reference is not None
    measured = measure_pet(volume, region, reference) if on_pet else measure_mr(volume, region)
    nature = () if candidate.nature is Nature.METASTASIS else (candidate.nature.value,)
    return Lesion(
        str(candidate.label),
        Modality.PET if on_pet else Modality.MR,
        candidate.centre_lps,
        candidate.centre_lps if on_pet else None,
        measured,
        candidate.z,
        candidate.confidence,
        candidate.nature,
        flags=tuple(dict.fromkeys((*nature, *candidate.flags, *measured.flags))),
        reason=candidate.reason,
    )


def _quantified(image: Path, which: str | None, role: str, config: Path | None) -> Volume:
    """The image in the unit that detection needs: a DICOM PET becomes SUVbw or is refused."""
    if role == "pet" and not image.name.endswith((".nii", ".nii.gz")):
        volume, _ = read_suv(load_stack(image, series=which), load_settings(config).suv)
        return volume
    volume = load_image(image, series=which)
    return Volume(volume.values, volume.grid, Unit.SUVBW) if role == "pet" else volume


def _liver_mask(volume: Volume, role: str, liver: Path | None, config: Path | None) -> Mask:
    if liver is not None:
        return load_mask(liver, volume.grid)
    if role == "pet":
        raise UsageError("PET alone does not show where the liver ends: give --liver MASK (e.g. of its CT).")
    found = segment_liver(volume, role, load_settings(config).liver)
    if found.verdict != "usable" or found.mask is None:
        raise UsageError(f"no usable liver was found ({'; '.join(found.reasons)}); give --liver MASK.")
    return found.mask


@command
def measure(
    image: Image,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="NIfTI label map, DICOM SEG or RTSTRUCT.")],
    which: Choice = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Size and intensity of every label of a mask, by the definitions of the IBSI. PET is measured in SUVbw."""
    volume = _measurable(image, which, config)
    found = load_labels(mask, volume.grid)
    rows = [row for number in sorted(found.masks) for row in _measured(volume, found.masks[number], number)]
    lines = [f"label {row['label']}: {row['mesh_volume_mm3'] / 1000:.2f} mL, max {row['max']:.4g}" for row in rows]
    answer({"labels": rows}, as_json, "\n".join(lines) or "the mask is empty")


def _measured(volume: Volume, region: Mask, number: int) -> list[dict[str, Any]]:
    """The row of one region; regions of a SEG or RTSTRUCT may overlap, so each is measured by itself."""
    labels = LabelMap(np.where(region.values, np.uint16(number), np.uint16(0)), region.grid)
    return measure_labels(volume, labels)


def _measurable(image: Path, which: str | None, config: Path | None) -> Volume:
    """PET DICOM in SUVbw where that can be stated, else in its stored unit with a warning."""
    if image.name.endswith((".nii", ".nii.gz")):
        return load_image(image)
    stack = load_stack(image, series=which)
    if stack.first("Modality") != "PT":
        return load_image(image, series=which)
    try:
        return read_suv(stack, load_settings(config).suv)[0]
    except SuvRefusal as refusal:
        console.print(f"no SUV ({refusal.reason}); measuring in the stored unit")
        return load_image(image, series=which)


def add_to(app: typer.Typer) -> None:
    """Register these commands, grouped in --help."""
    for function in (suv, convert, register, detect, segment, measure):
        app.command(rich_help_panel=VERBS)(function)
    app.command("transform-points", rich_help_panel=VERBS)(transform_points)
