"""A pair of examinations and the phases it goes through; the phase is in the type, so stages cannot be misordered.

StudyPair → AlignedPair → SegmentedPair → MatchedPair
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from liverpair.core.lesion import Detection, Lesion, ReferenceRegion
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume

__all__ = ["AlignedPair", "Images", "MatchedPair", "SegmentedPair", "StudyPair"]


@dataclass(frozen=True, slots=True)
class StudyPair:
    """A PET/CT and its MRI, chosen from headers alone; the fields are the columns of pairs.csv."""

    pair_id: str
    patient_id: str
    pet_study_uid: str
    ct_series_uid: str
    pet_series_uid: str
    mr_study_uid: str
    mr_hbp_series_uid: str
    mr_t2_series_uid: str
    mr_dwi_series_uid: str
    pet_date: date
    mr_date: date
    tracer: str
    status: str = "included"
    reason: str = ""

    @property
    def interval_days(self) -> int:
        """MRI date minus PET date in days."""
        return (self.mr_date - self.pet_date).days


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The volumes of a pair. ``mr`` maps a role ("mr-hbp", "mr-t2", "mr-dwi", "mr-adc", ...) to its volume.

    ``pet`` is in SUVbw, ``ct`` in HU. A volume that could not be read or quantified is None (or absent from ``mr``)
    and ``refusals`` maps its role to (reason code, detail).
    """

    pair: StudyPair
    pet: Volume | None
    ct: Volume | None
    mr: dict[str, Volume]
    refusals: dict[str, tuple[str, str]]
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPair:
    """Images with livers found and the MRI registered to the PET/CT.

    ``transform`` is None where the registration failed; ``verdict`` is usable | rigid_only | failed.
    ``uncertainty`` holds the registration's local 95 % bound in mm on a coarse grid in the PET/CT frame. ``pet_shift``
    (LPS mm): how far the liver lies from its place in the CT in the PET as acquired; ``images.pet`` has been put back
    by it, (0, 0, 0) where nothing was to correct.
    """

    images: Images
    ct_liver: Mask | None
    mr_liver: Mask | None
    transform: SpatialTransform | None
    verdict: str
    uncertainty: Volume | None
    quality: dict[str, Any]
    pet_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedPair:
    """An aligned pair with the foci of both examinations."""

    aligned: AlignedPair
    reference: ReferenceRegion | None
    pet: Detection | None
    mr: Detection | None


@dataclass(frozen=True, slots=True, eq=False)
class MatchedPair:
    """A segmented pair whose foci are measured lesions, matched across the examinations."""

    segmented: SegmentedPair
    lesions: tuple[Lesion, ...]
    facts: dict[str, Any]
