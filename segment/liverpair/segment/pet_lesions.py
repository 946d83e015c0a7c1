"""Find avid foci in the liver on PET: the threshold is solved from the false-positive rate that noise may
cause.

Steps: smooth liver background without foci; residuals as z at a few smoothing widths; local maxima over t;
maxima without a valley between them merged; foci that belong to a hot neighbour organ flagged; foci whose shape is
that of one lesion joined, of two parted; watershed basins; background-corrected threshold iterated with the measured
diameter. Published alternatives by name stand behind the same interface (pet_methods.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Candidate, Detection, ReferenceRegion
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.segment.noise import expected_false_clusters, threshold_for
from liverpair.segment.pet_delineate import delineate_foci
from liverpair.segment.pet_field import PetField, prepare_field
from liverpair.segment.pet_joining import join_foci
from liverpair.segment.pet_methods import foci_above, liver_level
from liverpair.segment.pet_neighbours import HotNeighbour, hot_neighbours
from liverpair.segment.pet_parting import part_foci
from liverpair.segment.pet_seeds import find_seeds
from liverpair.segment.pet_settings import PetDetectionSettings

__all__ = ["PetDetectionSettings", "detect_pet"]


def detect_pet(
    suv: Volume,
    liver: Mask,
    reference: ReferenceRegion,
    settings: PetDetectionSettings | None = None,
) -> Detection:
    """Detect and delineate avid foci.

    ``suv`` in SUVbw and ``liver`` on the same grid; ``reference`` gives the noise's FWHM and a lower bound of
    its SD. Candidates are numbered by falling z (by falling SUVmax for a method that sets one level); ``z`` is that
    of the strongest width, and its own signal's for a lesion that only the focus' shape tells from another. Flags:
    spill_in (belongs to a hot neighbour outside the liver), beside_<organ> (within the reach of such an organ's blur
    and breathing; the name is a guess from its place), neighbour (another focus within two resolution widths),
    high_burden. Raises Refusal for an empty liver, another grid or an image that is not finite there.
    """
    settings = settings or PetDetectionSettings()
    if not suv.grid.matches(liver.grid):
        raise Refusal("grid_mismatch", "the liver mask is not on the PET grid; resample it to the PET first")
    if liver.is_empty:
        raise Refusal("empty_mask", "the liver mask is empty, so there is nowhere to search; give a liver mask")
    start, stop = liver.bounds(settings.neighbourhood_mm)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    field = prepare_field(suv.values[window], liver.values[window], suv.grid.spacing, reference, settings)
    volume = liver.volume_ml * 1000.0
    t = threshold_for(settings.false_foci, volume, field.noise_fwhm_mm)
    level = liver_level(settings, reference)
    found: dict[str, Any] = {"method": settings.method, "threshold_z": t, "expected_false_foci": settings.false_foci}
    if level is not None:
        seeds, spill, labels = foci_above(field, level)
        heights = field.z[tuple(seeds.T)]
        found |= {"level_suv": level, "resolution_fwhm_mm": settings.resolution_fwhm_mm, "threshold_fractions": []}
    else:
        along = int(np.argmax(np.abs(suv.grid.direction[2])))
        parted = part_foci(field, *join_foci(field, *find_seeds(field, t, settings), settings), along, settings)
        seeds, spill, heights = parted.seeds, parted.spill, parted.z
        outlined = delineate_foci(field, seeds, spill, settings, reference.mean, parted.pairs)
        labels = outlined.labels
        found |= {
            "resolution_fwhm_mm": outlined.fwhm_mm,
            "edge_fwhm_mm": outlined.sharp_mm,
            "threshold_fractions": outlined.fractions,
            "parted_foci": len(parted.pairs),
        }
    grid = suv.grid.cropped(start, stop)
    fwhm = max(settings.resolution_fwhm_mm, field.noise_fwhm_mm)
    organs = hot_neighbours(field.suv, field.liver, field.domain, grid, reference.mean, reference.sd, fwhm)
    candidates = _candidates(field, seeds, heights, spill, organs, labels, grid, volume, settings)
    whole = np.zeros(suv.grid.shape, dtype=np.uint16)
    whole[window] = labels
    facts = found | {
        "noise_sd_suv": field.noise.sd,
        "noise_skew": field.noise.skew,
        "noise_fwhm_mm": field.noise_fwhm_mm,
        "search_fwhm_mm": [width for width, _ in field.searched],
        "search_cov": [noise.sd for _, noise in field.searched],
        "search_skew": [noise.skew for _, noise in field.searched],
        "place_noise": field.place_noise,
        "place_spread": field.place_spread,
        "background_sigma_mm": settings.background_sigma_mm,
        "liver_volume_ml": liver.volume_ml,
        "hot_neighbours": [organ.name for organ in organs],
        "burden_fraction": float(np.count_nonzero((labels > 0) & field.liver) / np.count_nonzero(field.liver)),
    }
    return Detection(LabelMap(whole, suv.grid), candidates, facts)


def _candidates(
    field: PetField,
    seeds: NDArray[np.int64],
    heights: NDArray[np.floating],
    spill: list[bool],
    organs: list[HotNeighbour],
    labels: NDArray[np.uint16],
    grid: Grid,
    volume_mm3: float,
    settings: PetDetectionSettings,
) -> tuple[Candidate, ...]:
    burden = np.count_nonzero((labels > 0) & field.liver) / np.count_nonzero(field.liver)
    found = []
    for number, seed in enumerate(seeds, start=1):
        region = np.argwhere(labels == number)
        weights = field.suv[labels == number].astype(np.float64)
        centre = (region * weights[:, None]).sum(axis=0) / weights.sum() if len(region) else seed
        z = float(heights[number - 1])
        others = np.delete(seeds, number - 1, axis=0)
        gap = np.linalg.norm((others - seed) * field.spacing, axis=1).min() if len(others) else math.inf
        flags = [
            name
            for name, set_ in (
                ("spill_in", spill[number - 1]),
                ("neighbour", gap < 2 * settings.resolution_fwhm_mm),
                ("high_burden", burden > settings.largest_burden),
            )
            if set_
        ]
        flags += sorted({f"beside_{organ.name}" for organ in organs if organ.zone[tuple(seed)]})
        false = expected_false_clusters(max(z, 2.0), volume_mm3, field.noise_fwhm_mm) * len(settings.smoothing_fwhm)
        confidence = 1.0 / (1.0 + false / settings.expected_foci)
        reason = ""
        if spill[number - 1]:
            confidence *= 0.1  # most of it lies outside the liver: nine in ten are the neighbour's own uptake
            reason = "More than half of the focus lies outside the liver: uptake of a neighbouring organ is likelier."
        found.append(Candidate(number, grid.to_world(centre), z, confidence, flags=tuple(flags), reason=reason))
    return tuple(found)
