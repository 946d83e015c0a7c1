"""The truth of a cohort: pairs, lesions, landmarks and expected outcomes, as written to truth.json."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.core.provenance import plain
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.simulate.pair import SimulatedPair, TrueLesion

__all__ = [
    "ExpectedExclusion",
    "LesionTruth",
    "PairTruth",
    "Truth",
    "lesion_truth",
    "pair_id",
    "recovery_max",
]

#: z at which one false focus is expected in a 1.5 L liver (see ../shared/spec/lesions.md); ± the grey zone.
DETECTION_Z = 4.4
GREY_ZONE = 1.5


@dataclass(frozen=True, slots=True)
class LesionTruth:
    """One lesion: where it is in both frames (LPS mm), what it is and whether a PET should show it."""

    lesion_id: str
    nature: str
    diameter_mm: float
    long_axis_mm: float
    tlr: float
    pet_lps: tuple[float, float, float]
    mr_lps: tuple[float, float, float]
    depth_mm: float
    segment: str
    predicted_cnr: float
    visible_pet: str
    visible_mr: bool


@dataclass(frozen=True, slots=True)
class ExpectedExclusion:
    """Something that must not be used: level file | series | study, its UID or relative path, and why."""

    level: str
    id: str
    why: str


@dataclass(frozen=True, slots=True)
class PairTruth:
    """One PET/CT with its MRI; ``expected`` is TP | FP | FN | TN | not_evaluable | not_paired."""

    name: str
    pair_id: str
    patient_id: str
    pet_study_uid: str
    mr_study_uid: str
    pet_date: str
    mr_date: str
    interval_days: int
    series: dict[str, str]
    tracer: str
    pet_vendor: str
    mr_vendor: str
    traps: tuple[str, ...]
    expected: str
    fn_cause: str
    liver_suv: float
    pet_cov: float
    pet_fwhm_mm: float
    pet_respiration_mm: float
    weight_kg: float
    liver_ml: float
    lesions: tuple[LesionTruth, ...]
    landmarks_pet: tuple[tuple[float, ...], ...]
    landmarks_mr: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that is true of a cohort."""

    seed: int
    pairs: tuple[PairTruth, ...]
    exclusions: tuple[ExpectedExclusion, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        found: dict[str, Any] = plain(self)
        return found

    def write(self, path: Path) -> None:
        """Write as JSON with sorted keys."""
        path.write_text(json.dumps(self.as_json(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def pair_id(pet_study_uid: str, mr_study_uid: str) -> str:
    """The workspace's name of a pair: P and 12 hex digits of a hash of its two study UIDs."""
    return "P" + hashlib.sha256(f"{pet_study_uid}|{mr_study_uid}".encode()).hexdigest()[:12]


def recovery_max(diameter_mm: float, fwhm_mm: float) -> float:
    """Recovery coefficient at the centre of a ball under a Gaussian PSF: erf(a) − (2a/√π)·exp(−a²)."""
    a = diameter_mm / 2 / (math.sqrt(2) * fwhm_mm / FWHM_PER_SIGMA)
    return math.erf(a) - 2 * a / math.sqrt(math.pi) * math.exp(-a * a)


def _effective_fwhm(pair: SimulatedPair) -> float:
    """PSF, voxel and breathing combined to the isotropic width of equal volume, mm."""
    voxel = pair.pet.grid.spacing**2 / 12 * FWHM_PER_SIGMA**2
    breathing = (0.35 * pair.pet_respiration_mm * FWHM_PER_SIGMA) ** 2  # sd of cos⁴ is 0.35 of its amplitude
    widths = [math.sqrt(pair.pet_fwhm_mm**2 + float(v)) for v in voxel]
    widths[2] = math.sqrt(widths[2] ** 2 + breathing)
    return float(math.prod(widths) ** (1 / 3))


def _segment(lesion: TrueLesion, pair: SimulatedPair) -> str:
    """A rough Couinaud segment from the position relative to the liver's centre."""
    x, y, z = lesion.pet_lps - pair.ct_liver.centroid()
    if x > 45:
        return "II" if z > 25 else "III"
    if x > 10:
        return "IVa" if z > 10 else "IVb"
    if y < 5:
        return "VIII" if z > 0 else "V"
    return "VII" if z > 0 else "VI"


def lesion_truth(lesion: TrueLesion, pair: SimulatedPair) -> LesionTruth:
    """A lesion's truth with the expectation whether PET shows it: yes | borderline | no."""
    cnr = (lesion.tlr - 1) * recovery_max(lesion.diameter_mm, _effective_fwhm(pair)) / pair.pet_cov
    visible = "yes" if cnr > DETECTION_Z + GREY_ZONE else "no" if cnr < DETECTION_Z - GREY_ZONE else "borderline"
    pet = tuple(float(round(v, 4)) for v in lesion.pet_lps)
    mr = tuple(float(round(v, 4)) for v in lesion.mr_lps)
    return LesionTruth(
        lesion.lesion_id,
        lesion.nature,
        round(lesion.diameter_mm, 3),
        round(lesion.long_axis_mm, 3),
        round(lesion.tlr, 4),
        (pet[0], pet[1], pet[2]),
        (mr[0], mr[1], mr[2]),
        round(lesion.depth_mm, 2),
        _segment(lesion, pair),
        round(cnr, 3),
        visible,
        lesion.nature != "inflammation",
    )
