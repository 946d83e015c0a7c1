"""What is known of a pair when its outcome is to be explained: plain records, absent facts are None."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from liverpair.evaluate.detectability import Avidity, Prediction, Scanner

__all__ = ["FocusEvidence", "LesionEvidence", "PairEvidence", "Treatment", "is_recent"]


@dataclass(frozen=True, slots=True, eq=False)
class LesionEvidence:
    """One reference (MRI) lesion and what PET says of its place.

    ``tlr`` is the PET's maximum over the liver there, noise maximum removed (evidence.py);
    ``nearest_focus_mm`` the distance to the nearest PET focus that no lesion is matched to, ``gate_mm`` the
    tolerance that held there; ``capsule_mm`` the depth below the liver's surface; ``height`` the place in the
    liver, 0 caudal to 1 cranial.
    """

    lesion_id: str
    diameter_mm: float | None
    detected: bool | None
    prediction: Prediction | None = None
    z_obs: float | None = None
    tlr: float | None = None
    nearest_focus_mm: float | None = None
    gate_mm: float | None = None
    capsule_mm: float | None = None
    height: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FocusEvidence:
    """One index (PET) focus that matches no reference lesion.

    ``z`` in standard deviations of the liver's noise; ``nearest_lesion_mm`` to the nearest unmatched MRI
    finding of any confidence; ``benign_match`` where MRI shows something benign there; ``flags`` the
    detector's own.
    """

    lesion_id: str
    diameter_mm: float | None
    tlr: float | None = None
    z: float | None = None
    confidence: float | None = None
    nearest_lesion_mm: float | None = None
    benign_match: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Treatment:
    """A liver-directed or radionuclide therapy; days before each examination, negative after it."""

    kind: str
    days_before_pet: int | None
    days_before_mr: int | None


def is_recent(treatment: Treatment, therapies: Sequence[str], within_days: int) -> bool:
    """Whether a therapy fell between the examinations or at most ``within_days`` before the first of them.

    ``therapies`` are the kinds that count; any word of the treatment's may name one ("SIRT right lobe" is a SIRT).
    """
    words = re.split(r"[^A-Z0-9]+", treatment.kind.strip().upper())
    if not any(kind in words for kind in therapies):
        return False
    known = [d for d in (treatment.days_before_pet, treatment.days_before_mr) if d is not None]
    return bool(known) and max(known) >= 0 and min(known) <= within_days


@dataclass(frozen=True, slots=True, eq=False)
class PairEvidence:
    """All that attribution may use of one pair. ``largest_mm`` and ``count`` come from a report where no
    lesion was measured; ``liver_suv_cohort`` is (mean, SD) of the tracer's cohort; ``technical`` holds codes
    such as "short_uptake"; the four ``*_image``/``*_report`` calls are as in calls.csv; ``consensus`` tells
    that readers settled the pair."""

    pair_id: str
    patient_id: str
    outcome: str
    lesions: tuple[LesionEvidence, ...] = ()
    foci: tuple[FocusEvidence, ...] = ()
    largest_mm: float | None = None
    count: int | None = None
    registration_verdict: str = ""
    dome_offset_mm: float | None = None
    liver_suv_mean: float | None = None
    liver_suv_cohort: tuple[float, float] | None = None
    liver_hu: float | None = None
    interval_days: int | None = None
    treatments: tuple[Treatment, ...] = ()
    tracer: str = ""
    technical: tuple[str, ...] = ()
    mr_image: str = ""
    pet_image: str = ""
    mr_report: str = ""
    pet_report: str = ""
    consensus: bool = False
    scanner: Scanner | None = None
    avidity: Avidity | None = None
