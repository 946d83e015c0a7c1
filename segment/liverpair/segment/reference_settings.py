"""Settings of the reference VOI."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ReferenceSettings"]


@dataclass(frozen=True, slots=True)
class ReferenceSettings:
    """Settings of the reference VOI; lengths in mm."""

    erosion_mm: float = 12.0  # beyond PET resolution and breathing blur from the liver's border
    neighbourhood_mm: float = 40.0  # diameter over which the local COV is minimised
    diameter_mm: float = 30.0  # of the VOI (PERCIST's liver sphere)
    right_share: float = 0.6  # share of the liver's volume, from its right end, taken as the right lobe
    reject_mad: float = 3.0  # a VOI this many MADs above the liver's mode is tumour
    lesion_sd: float = 3.0  # voxels this far above the mode count as tumour burden ...
    most_burden: float = 0.5  # ... and beyond this share liver statistics are no longer the liver's
    noise_radius_mm: float = 35.0  # the noise is measured in the quiet liver this near to the VOI
