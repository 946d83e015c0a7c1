"""The liver of one image, and its lesions."""

from __future__ import annotations

from pathlib import Path

from liverpair.core.errors import UsageError
from liverpair.core.lesion import Candidate, Detection, Lesion, Measurement, Modality, Nature, ReferenceRegion
from liverpair.core.provenance import plain
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.load import load_image, load_mask
from liverpair.dicom.nifti import write_nifti
from liverpair.evaluate.confluence import Confluence, confluence, contact_flags
from liverpair.evaluate.measure import measure_mr_lesions, measure_pet
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import FAILED_CASES
from liverpair.flow.config import Settings
from liverpair.flow.livers import find_liver
from liverpair.flow.record import lesion_row
from liverpair.flow.tables import COLUMNS, format_table
from liverpair.flow.verbs.images import check_nifti_name, quantified
from liverpair.flow.workspace import write_text
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference

__all__ = ["detect", "segment"]


def segment(image: Path, role: str, output: Path, which: str | None, settings: Settings) -> Answer:
    """Find the liver and write its mask; a failed one is said (exit code 1) and not written."""
    check_nifti_name(output)
    found = find_liver(load_image(image, series=which), role, "", settings.liver, settings.backend)
    facts = {"verdict": found.verdict, "reasons": found.reasons, "volume_ml": found.volume_ml, "facts": found.facts}
    if found.verdict != "usable" or found.mask is None:
        return Answer(facts, f"No usable liver: {'; '.join(found.reasons)}. No mask is written.", FAILED_CASES)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(found.mask, output)
    return Answer(facts, f"{output}: liver of {found.volume_ml:.0f} mL.")


def detect(image: Path, role: str, output: Path, liver: Path | None, which: str | None, settings: Settings) -> Answer:
    """Detect and measure the lesions of one image; writes lesions.csv and lesions.nii.gz."""
    volume = quantified(image, which, settings)
    mask = _liver_mask(volume, role, liver, settings)
    reference = None
    if role == "pet":
        reference = liver_reference(volume, mask, settings.reference)
        found = detect_pet(volume, mask, reference, settings.pet)
    else:
        found = detect_mr({role: volume}, mask, settings.mr)
    together = confluence(found.labels, mask)
    measured = _measured(volume, found, reference)
    lesions = [
        _as_lesion(c, measured[c.label], reference is not None, together)
        for c in found.candidates
        if c.label in measured
    ]
    rows = [lesion_row("", lesion) for lesion in lesions]
    output.mkdir(parents=True, exist_ok=True)
    write_nifti(found.labels, output / "lesions.nii.gz")
    write_text(output / "lesions.csv", format_table(COLUMNS["lesions"], rows))
    facts = {"lesions": rows, "facts": found.facts, "reference": plain(reference), "burden": plain(together)}
    said = f"{len(rows)} lesions; see {output / 'lesions.csv'}."
    return Answer(facts, f"{said} {together.said}".rstrip())


def _liver_mask(volume: Volume, role: str, liver: Path | None, settings: Settings) -> Mask:
    if liver is not None:
        return load_mask(liver, volume.grid)
    if role == "pet":
        raise UsageError("PET alone does not show where the liver ends: give --liver MASK (e.g. of its CT).")
    found = find_liver(volume, role, "", settings.liver, settings.backend)
    if found.verdict != "usable" or found.mask is None:
        raise UsageError(f"no usable liver was found ({'; '.join(found.reasons)}); give --liver MASK.")
    return found.mask


def _measured(volume: Volume, found: Detection, reference: ReferenceRegion | None) -> dict[int, Measurement]:
    """Every region measured, by label; on MRI the small ones with the contrast that the larger ones show."""
    if reference is not None:
        return {c.label: measure_pet(volume, found.labels.mask(c.label), reference) for c in found.candidates}
    if not found.labels.grid.matches(volume.grid):
        raise UsageError("the regions are not on the image's grid")
    return measure_mr_lesions(volume, found.labels, alike={c.label: c.nature.value for c in found.candidates})


def _as_lesion(candidate: Candidate, measured: Measurement, on_pet: bool, together: Confluence) -> Lesion:
    """One candidate with its measurement; a benign nature and a shared border become flags."""
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
        flags=tuple(
            dict.fromkeys((*nature, *candidate.flags, *measured.flags, *contact_flags(together, candidate.label)))
        ),
        reason=candidate.reason,
    )
