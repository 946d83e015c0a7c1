"""Find the liver on both examinations and put the MRI onto the PET/CT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.study import AlignedPair, Images
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume
from liverpair.flow.config import Settings
from liverpair.flow.liver_settling import Livers, register_livers
from liverpair.flow.livers import find_liver
from liverpair.register.pet_motion import PetMotion, pet_motion
from liverpair.register.sequences import align_sequence
from liverpair.segment.liver import LiverSegmentation

__all__ = ["MAIN_ROLES", "WEAK_ROLES", "align_pair", "beside_ct", "main_role"]

#: The sequence that carries the MRI's geometry and lesion sizes: the first of these that the examination has.
MAIN_ROLES = ("mr-hbp", "mr-portal", "mr-t1-native", "mr-arterial", "mr-t2", "mr-dwi")

#: Sequences in which the liver's own outline is hard to find.
WEAK_ROLES = ("mr-t2", "mr-dwi")

#: What a backend says about itself that belongs in a case's record.
BACKEND_FACTS = ("backend", "detail", "task", "model", "models", "weights_sha256", "versions")


def main_role(mr: dict[str, Volume]) -> str | None:
    """The role of the examination's main sequence, or None where no usable sequence is there."""
    return next((role for role in MAIN_ROLES if role in mr), None)


def _placed(volume: Volume, transform: SpatialTransform) -> Volume:
    """The same voxels put where a rigid map main → sequence says: only the grid moves, no value is resampled."""
    affine = np.linalg.inv(transform.affine) @ volume.grid.affine
    return replace(volume, grid=Grid(volume.grid.shape, affine, volume.grid.frame_of_reference))


def align_sequences(mr: dict[str, Volume], main: str, liver: Mask | None) -> tuple[dict[str, Volume], dict[str, Any]]:
    """Bring the MRI's sequences onto its main one: patients breathe differently in every sequence.

    The ADC map moves with the diffusion series that it was computed from.
    """
    placed = {main: mr[main]}
    moved_mm: dict[str, Any] = {}
    centre = (liver.centroid() if liver is not None and not liver.is_empty else mr[main].grid.to_world(
        (np.asarray(mr[main].grid.shape) - 1) / 2
    ))  # fmt: skip
    for role in sorted(set(mr) - {main, "mr-adc"}):
        transform = align_sequence(mr[main], mr[role], liver)
        placed[role] = _placed(mr[role], transform)
        moved_mm[role] = float(np.linalg.norm(transform.to_moving(centre)[0] - centre))
        if role == "mr-dwi" and "mr-adc" in mr:
            placed["mr-adc"] = _placed(mr["mr-adc"], transform)
    if "mr-adc" in mr:
        placed.setdefault("mr-adc", mr["mr-adc"])
    return placed, moved_mm


def _liver_facts(segmentation: LiverSegmentation | None) -> dict[str, Any]:
    if segmentation is None:
        return {"verdict": "absent", "reasons": []}
    return {
        "verdict": segmentation.verdict,
        "reasons": list(segmentation.reasons),
        "volume_ml": segmentation.volume_ml,
        **{key: segmentation.facts[key] for key in BACKEND_FACTS if key in segmentation.facts},
    }


def _usable(segmentation: LiverSegmentation | None) -> Mask | None:
    if segmentation is None or segmentation.verdict != "usable":
        return None
    return segmentation.mask


def _find(images: Images, image: Volume, role: str, settings: Settings, pet: Volume | None = None) -> LiverSegmentation:
    """The liver by the backend that the settings name for this role."""
    series_uid = images.provenance.get("series_uids", {}).get(role, "")
    return find_liver(image, role, series_uid, settings.liver, settings.backend, pet)


def _put_back(pet: Volume, shift: NDArray[np.float64]) -> Volume:
    """The same PET voxels where the CT has their tissue."""
    affine = pet.grid.affine.copy()
    affine[:3, 3] -= shift
    return replace(pet, grid=Grid(pet.grid.shape, affine, pet.grid.frame_of_reference))


def beside_ct(pet: Volume | None, motion: PetMotion | None) -> Volume | None:
    """The PET as a second image for the registration: put back also where its motion is too small to be corrected.

    4 mm of breathing left in it would cost 1–2 mm. Its left-right estimate (no direction of breathing) is not used:
    the stomach's wall biases it by up to 2 mm. None where the motion is unknown.
    """
    if pet is None or motion is None:
        return None
    return pet if motion.corrected else _put_back(pet, motion.shift * np.array([0.0, 1.0, 1.0]))


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """The PET/CT of a pair: its PET where the CT's liver is, that liver, and what was found on the way."""

    pet: Volume | None
    found: LiverSegmentation | None
    motion: PetMotion | None


def _pet_ct(images: Images, settings: Settings) -> _Session:
    """The CT's liver, and the PET put back where breathing moved it by more than the settings tolerate.

    A displaced PET has misled the CT's segmentation: after a correction both are done once more.
    """
    if images.ct is None:
        return _Session(images.pet, None, None)
    found = _find(images, images.ct, "ct", settings, images.pet)
    liver = _usable(found)
    motion = (
        pet_motion(images.pet, liver, settings.pet_motion) if images.pet is not None and liver is not None else None
    )
    if images.pet is None or motion is None or not motion.corrected:
        return _Session(images.pet, found, motion)
    if settings.backend.ct != "classical":  # no other backend looks at the PET
        return _Session(_put_back(images.pet, motion.shift), found, motion)
    again = _find(images, images.ct, "ct", settings, _put_back(images.pet, motion.shift))
    liver = _usable(again)
    better = pet_motion(images.pet, liver, settings.pet_motion) if liver is not None else None
    if better is None or not better.corrected or better.agreement < motion.agreement:
        return _Session(_put_back(images.pet, motion.shift), found, motion)
    return _Session(_put_back(images.pet, better.shift), again, better)


def _motion_facts(motion: PetMotion | None) -> dict[str, Any]:
    if motion is None:
        return {"verdict": "unknown"}
    return {
        "verdict": "corrected" if motion.corrected else "tolerated",
        "shift_mm": motion.shift.tolist(),
        "sd_mm": motion.sd_mm.tolist(),
        "agreement": motion.agreement,
        "agreement_before": motion.before,
    }


def align_pair(images: Images, settings: Settings) -> AlignedPair:
    """Livers, sequence alignment and the registration of the MRI to the CT of the PET/CT.

    Without a CT or a usable MRI sequence the pair stays unaligned (verdict "failed", with the reason).
    """
    main = main_role(images.mr)
    session = _pet_ct(images, settings)
    images, ct_found = replace(images, pet=session.pet), session.found
    shift = session.motion.shift if session.motion is not None and session.motion.corrected else np.zeros(3)
    pet_shift = (float(shift[0]), float(shift[1]), float(shift[2]))
    mr_found = _find(images, images.mr[main], main, settings) if main is not None else None
    ct_liver, mr_liver = _usable(ct_found), _usable(mr_found)
    quality: dict[str, Any] = {
        "main_sequence": main,
        "liver_ct": _liver_facts(ct_found),
        "liver_mr": _liver_facts(mr_found),
        "pet_ct_motion": _motion_facts(session.motion),
    }
    if main is not None:
        placed, quality["sequence_motion_mm"] = align_sequences(images.mr, main, mr_liver)
        images = replace(images, mr=placed)
    if images.ct is None or main is None:
        missing = "no_ct" if images.ct is None else "no_mr_sequence"
        quality["registration"] = {"verdict": "failed", "reasons": [missing]}
        return AlignedPair(images, ct_liver, mr_liver, None, "failed", None, quality, pet_shift)
    second = beside_ct(session.pet, session.motion)
    own = settings.backend.ct == "classical", settings.backend.mr == "classical"
    livers = Livers(ct_liver, mr_liver, *own, mr_weak=main in WEAK_ROLES)
    together = register_livers(images.ct, images.mr[main], livers, settings.register, settings.agreement, second)
    found = together.registration
    quality["registration"] = {"verdict": found.verdict, "reasons": list(found.reasons), **found.quality}
    quality["liver_agreement"] = together.facts
    for name, before, after in (("ct", ct_liver, together.livers.ct), ("mr", mr_liver, together.livers.mr)):
        if after is not None and after is not before:
            quality[f"liver_{name}"]["refined_volume_ml"] = after.volume_ml
    ct_liver, mr_liver = together.livers.ct, together.livers.mr
    return AlignedPair(
        images, ct_liver, mr_liver, found.transform, found.verdict, found.uncertainty, quality, pet_shift
    )
