"""Units of voxel values and the few physical constants every room shares."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FWHM_PER_SIGMA", "Unit"]

#: Full width at half maximum of a Gaussian per standard deviation, 2·sqrt(2·ln 2).
FWHM_PER_SIGMA = 2.3548200450309493


class Unit(StrEnum):
    """What a voxel's value means."""

    SUVBW = "SUVbw g/mL"
    HOUNSFIELD = "HU"
    BECQUEREL_PER_ML = "Bq/mL"
    COUNTS = "counts"
    DIFFUSIVITY = "ADC"
    MILLIMETRE = "mm"
    ARBITRARY = "1"
