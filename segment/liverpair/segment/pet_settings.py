"""Settings of the PET detector, and the names of the methods that it knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

__all__ = ["PET_METHODS", "PetDetectionSettings", "PetMethod"]

PetMethod = Literal["noise-adaptive", "fixed-suv", "percent-max", "percist-like", "liver-quantile"]
PET_METHODS: Final[tuple[str, ...]] = get_args(PetMethod)


@dataclass(frozen=True, slots=True)
class PetDetectionSettings:
    """Settings of the PET detector.

    ``method``: how foci are found and delineated (pet_methods.py): noise-adaptive, or a published alternative by
    name; ``fixed_suv``, ``percent_of_max``, ``percist_factor``, ``percist_sd`` and ``liver_to_max`` are theirs.

    ``false_foci``: foci that noise alone may cause per liver at one search width; 0.02 keeps 98 % of livers without
    disease clean, as a specificity of 97.7 % (the published study) asks, and costs 2 of 115 lesions against
    0.1. ``resolution_fwhm_mm``: scanner resolution for the delineation (7 mm where nothing better is known).
    ``smoothing_fwhm``: extra smoothing widths in units of the resolution at which foci are searched:
    larger foci of low contrast only show against the noise when smoothed. ``background_sigma_mm``: liver
    heterogeneity wider than this is background. ``valley``: two maxima are one focus when the valley between
    them is shallower than this fraction of the lower one's height, and than ``valley_sd`` standard
    deviations of the noise in the image in which it is read. ``cold_fraction``: what takes up less than this share of
    the reference is no parenchyma; half way between a liver and a cold neighbour lies at 0.5, noise of a smoothed liver
    well above 0.7.
    ``expected_foci``: true foci in a liver in which any may be expected, the prior odds of the
    confidence.
    """

    method: PetMethod = "noise-adaptive"
    false_foci: float = 0.02
    resolution_fwhm_mm: float = 7.0
    smoothing_fwhm: tuple[float, ...] = (0.7, 1.4)
    background_sigma_mm: float = 15.0
    valley: float = 0.2
    valley_sd: float = 3.0
    cold_fraction: float = 0.7
    border_mm: float = 4.0
    neighbourhood_mm: float = 30.0
    expected_foci: float = 0.5
    largest_burden: float = 0.5
    fixed_suv: float = 10.0
    percent_of_max: float = 41.0
    percist_factor: float = 1.5
    percist_sd: float = 2.0
    liver_to_max: float = 0.25

    def __post_init__(self) -> None:
        if self.method not in PET_METHODS:
            raise ValueError(f"method {self.method!r} is not known; known are {', '.join(PET_METHODS)}")
        if not (0 < self.percent_of_max < 100 and 0 < self.liver_to_max < 1):
            raise ValueError("percent_of_max lies between 0 and 100, liver_to_max between 0 and 1")
        if not (self.fixed_suv > 0 and self.percist_factor > 0 and self.percist_sd >= 0):
            raise ValueError("fixed_suv and percist_factor are above 0, percist_sd is not below it")
