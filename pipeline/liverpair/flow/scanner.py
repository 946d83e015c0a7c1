"""What decides visibility in one PET, gathered from header, noise and detector for the detectability model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from liverpair.core.lesion import Detection, ReferenceRegion
from liverpair.core.volume import Volume
from liverpair.evaluate.detectability import Scanner
from liverpair.segment.pet_lesions import PetDetectionSettings

__all__ = ["ScannerSettings", "describe_scanner", "scanner_from"]


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """The resolution where nobody measured it.

    ``pet_fwhm_mm`` > 0 is the site's own phantom value and wins. Else a filter named in the header is added in
    quadrature to ``intrinsic_fwhm_mm`` (a modern scanner's reconstructed resolution before filtering, NEMA NU 2); else
    the noise's own width is a lower bound; else ``default_fwhm_mm``. ``lowest_mm``, ``highest_mm`` bound what is
    believed (lesions.md: 5–8 mm). ``breathing_mm`` is the cranio-caudal amplitude assumed in free breathing.
    """

    pet_fwhm_mm: float = 0.0
    intrinsic_fwhm_mm: float = 5.0
    default_fwhm_mm: float = 7.0
    lowest_mm: float = 5.0
    highest_mm: float = 8.0
    breathing_mm: float = 0.0


def _resolution(filter_mm: float | None, noise_mm: float, settings: ScannerSettings) -> tuple[float, str]:
    """FWHM in mm and where it comes from."""
    if settings.pet_fwhm_mm > 0:
        return settings.pet_fwhm_mm, "settings"
    if filter_mm is not None:
        total = float((settings.intrinsic_fwhm_mm**2 + filter_mm**2) ** 0.5)
        return min(max(total, settings.lowest_mm), settings.highest_mm), f"header's filter of {filter_mm:g} mm"
    if noise_mm > settings.default_fwhm_mm:
        return min(noise_mm, settings.highest_mm), "noise autocorrelation (a lower bound)"
    return settings.default_fwhm_mm, "default"


def describe_scanner(
    pet: Volume,
    reference: ReferenceRegion,
    detection: Detection,
    filter_mm: float | None,
    settings: ScannerSettings,
    search: PetDetectionSettings,
) -> dict[str, Any]:
    """The fields of a ``Scanner`` as plain values, for case.json; the detector's threshold is in SD of the noise."""
    fwhm, source = _resolution(filter_mm, reference.noise_fwhm_mm, settings)
    return {
        "fwhm_mm": fwhm,
        "cov": reference.cov,
        "threshold": float(detection.facts["threshold_z"]),
        "fwhm_source": source,
        "voxel_mm": float(pet.grid.spacing.max()),
        "breathing_mm": settings.breathing_mm,
        "noise_fwhm_mm": float(detection.facts["noise_fwhm_mm"]),
        "search_fwhm_mm": [width * search.resolution_fwhm_mm for width in search.smoothing_fwhm],
    }


def scanner_from(facts: dict[str, Any] | None) -> Scanner | None:
    """The ``Scanner`` of a processed case, or None where its PET could not be searched."""
    return None if facts is None else Scanner(**facts)
