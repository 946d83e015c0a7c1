"""SUV, conversion and measurement of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from liverpair.core.errors import Refusal, SuvRefusal, UsageError
from liverpair.core.units import Unit
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.dicom.load import SeveralVolumesError, load_image, load_labels, load_stack
from liverpair.dicom.nifti import is_nifti, write_nifti
from liverpair.dicom.read import read_headers
from liverpair.dicom.suv import suv_factors
from liverpair.evaluate.measure_labels import measure_labels
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import BAD_INPUT
from liverpair.flow.config import Settings
from liverpair.flow.images import read_suv
from liverpair.flow.progress import console

__all__ = ["check_nifti_name", "convert", "measure", "quantified", "suv"]


def _no_factor(reason: str, detail: str) -> Answer:
    """A refusal before any header could be judged, in the form of every other one."""
    answer = {"status": "refused", "reason": reason, "detail": detail, "factor": [], "units": "", "reference_time": {}}
    return Answer({**answer, "warnings": []}, f"refused ({reason}): {detail}", BAD_INPUT)


def suv(series: Path, which: str | None, settings: Settings) -> Answer:
    """The SUVbw factor of a series, or the reason why there is none (exit code 2)."""
    try:
        headers = read_headers(load_stack(series, series=which))
    except SeveralVolumesError as error:
        return _no_factor("several_volumes", str(error))
    except Refusal as refusal:
        return _no_factor(refusal.reason, refusal.detail)
    result = suv_factors(headers, settings.suv)
    if result.status != "ok":
        return Answer(result.as_json(), f"refused ({result.reason}): {result.detail}", BAD_INPUT)
    low, high = min(result.factor), max(result.factor)
    span = f"{low:.9g}" if np.isclose(low, high, rtol=1e-9) else f"{low:.9g} to {high:.9g}"
    sentence = f"SUVbw factor {span} per {result.units}; decay correction {result.decay_correction}."
    sentence += "".join(f"\nwarning: {warning}" for warning in result.warnings)
    return Answer(result.as_json(), sentence)


def check_nifti_name(path: Path) -> None:
    """Refuse a name that no NIfTI reader would open."""
    if not path.name.endswith((".nii", ".nii.gz")):
        raise UsageError(f"{path.name}: the output must end in .nii or .nii.gz.")


def convert(series: Path, output: Path, which: str | None, stored: bool, settings: Settings) -> Answer:
    """A DICOM series as NIfTI; PET in SUVbw unless ``stored`` asks for the header's unit."""
    check_nifti_name(output)
    stack = load_stack(series, series=which)
    if stack.first("Modality") == "PT" and not stored:
        volume, _ = read_suv(stack, settings.suv)
    else:
        volume = load_image(series, series=which)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(volume, output)
    shape = " x ".join(str(n) for n in volume.grid.shape)
    step = " x ".join(f"{s:.4g}" for s in volume.grid.spacing)
    facts = {"shape": volume.grid.shape, "affine_lps": volume.grid.affine, "unit": volume.unit}
    return Answer(facts, f"{output}: {shape} voxels of {step} mm, in {volume.unit.value}.")


def quantified(image: Path, which: str | None, settings: Settings) -> Volume:
    """The image in the unit that detection needs: a DICOM PET becomes SUVbw or is refused."""
    if is_nifti(image):
        return load_image(image)
    stack = load_stack(image, series=which)
    if stack.first("Modality") == "PT":
        return read_suv(stack, settings.suv)[0]
    return load_image(image, series=which)


def _measurable(image: Path, which: str | None, settings: Settings) -> Volume:
    """As ``quantified``, but a PET without SUV is measured in its stored unit, and that is said."""
    try:
        return quantified(image, which, settings)
    except SuvRefusal as refusal:
        console.print(f"no SUV ({refusal.reason}); measuring in the stored unit")
        return load_image(image, series=which)


def measure(image: Path, mask: Path, which: str | None, settings: Settings) -> Answer:
    """Size and intensity of every region of a mask; regions of a SEG or RTSTRUCT may overlap."""
    volume = _measurable(image, which, settings)
    found = load_labels(mask, volume.grid)
    rows = [
        _measured(volume, found.masks[number], number, found.names.get(number, "")) for number in sorted(found.masks)
    ]
    unit = "SUV" if volume.unit is Unit.SUVBW else "max"
    lines = [f"{row['name']}: {row['mesh_volume_mm3'] / 1000:.2f} mL, {unit} max {row['max']:.4g}" for row in rows]
    return Answer({"labels": rows, "unit": volume.unit}, "\n".join(lines) or "the mask is empty")


def _measured(volume: Volume, region: Mask, number: int, name: str) -> dict[str, Any]:
    labels = LabelMap(np.where(region.values, np.uint16(number), np.uint16(0)), region.grid)
    return {**measure_labels(volume, labels)[0], "name": name or f"label {number}"}
