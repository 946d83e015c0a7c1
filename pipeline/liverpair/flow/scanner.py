"""What decides visibility in one PET, gathered from header, noise and detector for the detectability model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from liverpair.core.lesion import Detection, ReferenceRegion
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import Volume
from liverpair.evaluate.detectability import Scanner

__all__ = ["ScannerSettings", "describe_scanner", "scanner_from"]


#: Below this a threshold in noise SDs would not be one: a published level may lie at or under the liver itself.
LEAST_THRESHOLD = 0.1


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """The resolution where nobody measured it.

    ``pet_fwhm_mm`` > 0 is the site's own phantom value and wins. Else a filter named in the header is added in
    quadrature to ``intrinsic_fwhm_mm`` (a modern scanner's reconstructed resolution before filtering, NEMA NU 2),
    within ``lowest_mm`` and ``highest_mm`` (lesions.md: 5–8 mm). Else ``default_fwhm_mm``, unless the image
    contradicts it: noise cannot be smoother than the image, so its width is a lower bound (a SPECT's may well be
    above ``highest_mm``); a focus cannot be sharper than the scanner, so the sharp edges of strong foci are an upper
    one. ``breathing_mm`` is the cranio-caudal amplitude that this PET is taken to have had;
    ``free_breathing_mm`` the one for which predictions are given beside it.
    """

    pet_fwhm_mm: float = 0.0
    intrinsic_fwhm_mm: float = 5.0
    default_fwhm_mm: float = 7.0
    lowest_mm: float = 5.0
    highest_mm: float = 8.0
    breathing_mm: float = 0.0
    free_breathing_mm: float = 10.0


def _resolution(
    filter_mm: float | None, noise_mm: float, edge_mm: float | None, voxel_mm: float, settings: ScannerSettings
) -> tuple[float, str]:
    """FWHM in mm without the voxels, and where it comes from; ``edge_mm`` contains the voxels."""
    if settings.pet_fwhm_mm > 0:
        return settings.pet_fwhm_mm, "settings"
    if filter_mm is not None:
        total = math.hypot(settings.intrinsic_fwhm_mm, filter_mm)
        return min(max(total, settings.lowest_mm), settings.highest_mm), f"header's filter of {filter_mm:g} mm"
    if noise_mm > settings.default_fwhm_mm:
        return noise_mm, "noise autocorrelation (a lower bound)"
    if edge_mm is not None:
        sharp = math.sqrt(max(edge_mm**2 - (voxel_mm * FWHM_PER_SIGMA) ** 2 / 12, 0.0))
        if sharp < settings.default_fwhm_mm:
            return max(sharp, settings.lowest_mm, noise_mm), "edges of this PET's strong foci (an upper bound)"
    return settings.default_fwhm_mm, "default"


def describe_scanner(
    pet: Volume,
    reference: ReferenceRegion,
    detection: Detection,
    filter_mm: float | None,
    settings: ScannerSettings,
) -> dict[str, Any]:
    """The fields of a ``Scanner`` as plain values, for case.json; the detector's threshold is in SD of the noise."""
    found = detection.facts
    voxel = float(np.sqrt(np.mean(pet.grid.spacing**2)))
    fwhm, source = _resolution(filter_mm, reference.noise_fwhm_mm, found.get("edge_fwhm_mm"), voxel, settings)
    facts: dict[str, Any] = {
        "fwhm_mm": fwhm,
        "cov": reference.cov,
        "threshold": float(found["threshold_z"]),
        "fwhm_source": source,
        "voxel_mm": voxel,
        "breathing_mm": settings.breathing_mm,
        "noise_fwhm_mm": float(found["noise_fwhm_mm"]),
    }
    if "level_suv" in found:  # a published level knows no noise: it is so many SDs above this liver
        over = (float(found["level_suv"]) - reference.mean) / reference.sd
        return facts | {"threshold": max(over, LEAST_THRESHOLD), "search_fwhm_mm": []}
    return facts | {
        "search_fwhm_mm": list(found["search_fwhm_mm"][1:]),
        "search_cov": list(found["search_cov"]),
        "search_skew": list(found["search_skew"]),
        "place_noise": float(found.get("place_noise", 1.0)),
        "place_spread": float(found.get("place_spread", 0.0)),
        "background_sigma_mm": float(found.get("background_sigma_mm", 0.0)),
    }


def scanner_from(facts: dict[str, Any] | None) -> Scanner | None:
    """The ``Scanner`` of a processed case, or None where its PET could not be searched."""
    return None if facts is None else Scanner(**facts)
