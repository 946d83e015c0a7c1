"""Lesions: what a detector proposes, what was measured of it, and how the two examinations match."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.volume import LabelMap

__all__ = ["Candidate", "Detection", "Lesion", "Measurement", "Modality", "Nature", "ReferenceRegion"]


class Modality(StrEnum):
    """Which examination shows the lesion, spelled as in lesions.csv."""

    PET = "PET"
    MR = "MR"


class Nature(StrEnum):
    """What a detected focus is taken for."""

    METASTASIS = "metastasis"
    CYST = "cyst"
    HAEMANGIOMA = "haemangioma"
    OTHER_BENIGN = "other_benign"


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceRegion:
    """The liver's background: where it was measured and the noise a detector has to beat.

    ``mean`` and ``sd`` are voxel values' (SUV for PET); ``cov`` = sd/mean; ``noise_fwhm_mm`` is the noise's
    autocorrelation width (isotropic equivalent); ``method`` names the fallback that was used.
    """

    centre_lps: NDArray[np.float64]
    radius_mm: float
    mean: float
    sd: float
    noise_fwhm_mm: float
    method: str
    flags: tuple[str, ...] = ()

    @property
    def cov(self) -> float:
        """Coefficient of variation, sd / mean."""
        return self.sd / self.mean


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One detected focus; ``label`` is its number in the detection's label map.

    ``centre_lps`` (3,) is in the frame of the image it was found in, LPS mm. ``z`` is the peak's contrast in
    standard deviations of the liver's noise, ``confidence`` in [0, 1] the probability that it is a real
    metastasis, ``reason`` the sentence for a reader where the nature is benign or a flag is set.
    """

    label: int
    centre_lps: NDArray[np.float64]
    z: float
    confidence: float
    nature: Nature = Nature.METASTASIS
    flags: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """Everything a detector found in one image: delineated regions, their candidates, and what it used.

    ``facts`` holds the numbers a methods section needs (threshold t, expected false foci, scales, FWHM ...).
    """

    labels: LabelMap
    candidates: tuple[Candidate, ...]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Size and uptake of one region; absent numbers are None, never 0.

    Lengths in mm, volume in mL, SUV in g/mL. ``diameter_ci_mm`` is the 95 % interval of ``diameter_mm``, the best
    single diameter (PSF fit below 10 mm, long axis above).
    """

    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    max_3d_diameter_mm: float | None = None
    equivalent_diameter_mm: float | None = None
    diameter_mm: float | None = None
    diameter_ci_mm: tuple[float, float] | None = None
    volume_ml: float | None = None
    suv_max: float | None = None
    suv_mean: float | None = None
    suv_peak: float | None = None
    tlr: float | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One lesion of one examination of a pair.

    ``centre_lps`` (3,) is in the PET/CT frame (None where no usable registration exists for an MR lesion),
    ``native_lps`` (3,) in the frame of the image that shows it. ``matched`` holds the lesion_ids of the other
    modality. ``uncertainty_mm`` is the registration's local uncertainty there.
    """

    lesion_id: str
    modality: Modality
    native_lps: NDArray[np.float64]
    centre_lps: NDArray[np.float64] | None
    measurement: Measurement
    z: float
    confidence: float
    nature: Nature = Nature.METASTASIS
    matched: tuple[str, ...] = ()
    match_distance_mm: float | None = None
    uncertainty_mm: float | None = None
    flags: tuple[str, ...] = ()
    reason: str = ""
