"""Find, measure and match the lesions of an aligned pair, and measure the PET at every MRI lesion's place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal
from liverpair.core.lesion import Candidate, Detection, Lesion, Measurement, Modality, Nature
from liverpair.core.study import AlignedPair, MatchedPair, SegmentedPair
from liverpair.core.transform import interpolate
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.calls import is_countable
from liverpair.evaluate.confluence import Confluence, confluence, contact_flags
from liverpair.evaluate.evidence import pet_evidence
from liverpair.evaluate.location import LiverLocation, locate
from liverpair.evaluate.match import lesion_diameter_mm, match_lesions
from liverpair.evaluate.measure import measure_mr_lesions, measure_pet
from liverpair.flow.config import Settings
from liverpair.register.resample import resample_mask
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference

__all__ = ["find_lesions", "measure_and_match", "why_not_evaluable"]

#: An examination that shows less of the liver than this says nothing about the rest.
LEAST_LIVER_SHOWN = 0.9
#: How well a PET focus' place is known in its CT's liver, mm (1 SD): breathing up to what is left uncorrected (5 mm).
PET_PLACE_SD_MM = 3.0


def _shown_share(liver: Mask, volume: Volume) -> float:
    """The share of the liver's voxels that lie in the volume's field of view."""
    points = liver.grid.to_world(np.argwhere(liver.values)[::7])  # every 7th voxel is plenty for a share
    return float(volume.grid.contains(points).mean()) if len(points) else 0.0


def find_lesions(aligned: AlignedPair, settings: Settings) -> SegmentedPair:
    """Detect the foci of both examinations; one that cannot be searched is None and says why in ``quality``.

    Neither detector sees the other examination: MRI is the reference standard, PET the index test.
    """
    images, quality = aligned.images, aligned.quality
    reference, pet_found, mr_found = None, None, None
    if images.pet is not None and aligned.ct_liver is not None:
        liver = resample_mask(aligned.ct_liver, images.pet.grid)
        quality["pet_liver_shown"] = _shown_share(aligned.ct_liver, images.pet)
        try:
            reference = liver_reference(images.pet, liver, settings.reference)
            pet_found = detect_pet(images.pet, liver, reference, settings.pet)
        except Refusal as refusal:
            images.refusals["pet-detection"] = (refusal.reason, refusal.detail)
    if aligned.mr_liver is not None:
        try:
            mr_found = detect_mr(images.mr, aligned.mr_liver, settings.mr)
        except Refusal as refusal:
            images.refusals["mr-detection"] = (refusal.reason, refusal.detail)
    return SegmentedPair(aligned, reference, pet_found, mr_found)


def why_not_evaluable(segmented: SegmentedPair, modality: Modality) -> str | None:
    """The reason code why an examination cannot be judged from its images, or None where it can."""
    aligned = segmented.aligned
    refusals = aligned.images.refusals
    if modality is Modality.PET:
        if "pet-ac" in refusals:
            return refusals["pet-ac"][0]
        if aligned.images.pet is None:
            return "no_pet"
        if aligned.images.ct is None:
            return refusals["ct"][0] if "ct" in refusals else "no_ct"
        if aligned.ct_liver is None:
            return "no_liver_on_ct"
        if "pet-detection" in refusals:
            return refusals["pet-detection"][0]
        if aligned.quality.get("pet_liver_shown", 1.0) < LEAST_LIVER_SHOWN:
            return "liver_outside_pet"
        return None
    if aligned.quality.get("main_sequence") is None:
        return "no_mr_sequence"
    if aligned.mr_liver is None:
        return "no_liver_on_mr"
    return refusals["mr-detection"][0] if "mr-detection" in refusals else None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """One candidate with what was measured of it."""

    candidate: Candidate
    measurement: Measurement


def _with_contact(measured: Measurement, together: Confluence | None, label: int) -> Measurement:
    """The measurement with its contact's flag: a shared border was drawn by a watershed, not by the lesion."""
    return replace(measured, flags=(*measured.flags, *contact_flags(together, label)))


def _measured_pet(segmented: SegmentedPair, together: Confluence | None) -> list[_Found]:
    pet, detection = segmented.aligned.images.pet, segmented.pet
    if pet is None or detection is None:
        return []
    return [
        _Found(
            c,
            _with_contact(measure_pet(pet, detection.labels.mask(c.label), segmented.reference), together, c.label),
        )
        for c in detection.candidates
    ]


def _measured_mr(segmented: SegmentedPair, together: Confluence | None) -> list[_Found]:
    detection = segmented.mr
    if detection is None:
        return []
    image = _image_of(segmented, detection)
    alike = {c.label: c.nature.value for c in detection.candidates}
    sizes = measure_mr_lesions(image, detection.labels, alike=alike)
    return [
        _Found(c, _with_contact(sizes[c.label], together, c.label)) for c in detection.candidates if c.label in sizes
    ]


def _image_of(segmented: SegmentedPair, detection: Detection) -> Volume:
    """The sequence whose grid the MRI's label map is on."""
    for volume in segmented.aligned.images.mr.values():
        if volume.grid.matches(detection.labels.grid):
            return volume
    raise Refusal("grid_mismatch", "no sequence has the grid of the lesions' label map")


def _pet_lesion(number: int, found: _Found, aligned: AlignedPair) -> Lesion:
    """A PET lesion; its native place is the one in the PET as acquired."""
    c = found.candidate
    flags = tuple(dict.fromkeys((*c.flags, *found.measurement.flags)))
    return Lesion(
        f"P{number:02d}",
        Modality.PET,
        c.centre_lps + np.asarray(aligned.pet_shift),
        c.centre_lps,
        found.measurement,
        c.z,
        c.confidence,
        c.nature,
        flags=flags,
        reason=c.reason,
    )


def _mr_lesion(number: int, found: _Found, aligned: AlignedPair) -> Lesion:
    """An MRI lesion, with its place in the PET/CT where a transform exists."""
    c = found.candidate
    place, uncertainty = None, None
    if aligned.transform is not None:
        place = aligned.transform.to_fixed(c.centre_lps)[0]
        if aligned.uncertainty is not None:
            uncertainty = float(interpolate(aligned.uncertainty.values, aligned.uncertainty.grid, place)[0])
    flags = tuple(dict.fromkeys((*c.flags, *found.measurement.flags)))
    return Lesion(
        f"M{number:02d}", Modality.MR, c.centre_lps, place, found.measurement, c.z, c.confidence, c.nature,
        uncertainty_mm=uncertainty, flags=flags, reason=c.reason,
    )  # fmt: skip


def measure_and_match(segmented: SegmentedPair, settings: Settings) -> MatchedPair:
    """Measured lesions of both examinations, matched where the registration allows it, with the PET's evidence."""
    aligned = segmented.aligned
    together = {"pet": _confluence(segmented, segmented.pet), "mr": _confluence(segmented, segmented.mr)}
    pet = [_pet_lesion(n, f, aligned) for n, f in enumerate(_measured_pet(segmented, together["pet"]), start=1)]
    mr = [_mr_lesion(n, f, aligned) for n, f in enumerate(_measured_mr(segmented, together["mr"]), start=1)]
    matching = match_lesions(pet, mr, aligned.verdict, settings.match)
    facts: dict[str, Any] = {
        "burden": together,
        "links": matching.links,
        "unmatched": dict(matching.unmatched),
        "evidence": _evidence(segmented, matching.lesions, settings),
        "location": _locations(segmented, matching.lesions),
    }
    return MatchedPair(segmented, tuple(_explained(x) for x in matching.lesions), facts)


def _confluence(segmented: SegmentedPair, detection: Detection | None) -> Confluence | None:
    """Contacts and burden of what one examination shows as disease (benign regions are none)."""
    if detection is None:
        return None
    ill = [c.label for c in detection.candidates if c.nature is Nature.METASTASIS]
    labels = LabelMap(
        np.where(np.isin(detection.labels.values, ill), detection.labels.values, 0), detection.labels.grid
    )
    liver = segmented.aligned.ct_liver if detection is segmented.pet else segmented.aligned.mr_liver
    return confluence(labels, None if liver is None else resample_mask(liver, labels.grid))


def _explained(lesion: Lesion) -> Lesion:
    """A benign lesion carries its nature as a flag, so that the table shows it."""
    if lesion.nature is Nature.METASTASIS or lesion.nature.value in lesion.flags:
        return lesion
    return replace(lesion, flags=(lesion.nature.value, *lesion.flags))


def _occupied(detection: Detection, lesions: tuple[Lesion, ...], mine: tuple[str, ...], settings: Settings) -> Mask:
    """Voxels of the PET foci that count as lesions and belong to others than this MRI lesion."""
    taken = [
        detection.candidates[number].label
        for number, lesion in enumerate(x for x in lesions if x.modality is Modality.PET)
        if lesion.lesion_id not in mine and is_countable(lesion, settings.calls)
    ]
    return Mask(np.isin(detection.labels.values, taken), detection.labels.grid)


def _evidence(segmented: SegmentedPair, lesions: tuple[Lesion, ...], settings: Settings) -> dict[str, Any]:
    """What the PET shows at every MRI lesion's registered place, matched or not, by lesion_id."""
    pet, reference, detection = segmented.aligned.images.pet, segmented.reference, segmented.pet
    if pet is None or reference is None or detection is None:
        return {}
    found = {}
    for lesion in lesions:
        if lesion.modality is Modality.MR:
            others = _occupied(detection, lesions, lesion.matched, settings)
            found[lesion.lesion_id] = pet_evidence(
                pet, reference, lesion.centre_lps, lesion_diameter_mm(lesion), lesion.uncertainty_mm, others
            )
    return found


def _locations(segmented: SegmentedPair, lesions: tuple[Lesion, ...]) -> dict[str, LiverLocation]:
    """Where in its examination's liver each lesion lies, by lesion_id (those whose liver is unknown are left out)."""
    aligned = segmented.aligned
    found: dict[str, LiverLocation] = {}
    examinations = ((Modality.MR, aligned.mr_liver, 0.0), (Modality.PET, aligned.ct_liver, PET_PLACE_SD_MM))
    for modality, liver, sd in examinations:
        here = [x for x in lesions if x.modality is modality]
        if liver is None or not here:
            continue
        places = locate(liver, [_place(x) for x in here], sd)
        found |= {x.lesion_id: place for x, place in zip(here, places, strict=True)}
    return found


def _place(lesion: Lesion) -> NDArray[np.float64]:
    """Where the lesion lies in the frame of its examination's liver (a PET's liver is the CT's)."""
    return lesion.native_lps if lesion.modality is Modality.MR or lesion.centre_lps is None else lesion.centre_lps
