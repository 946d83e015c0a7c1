"""Prepare a PET for the search of foci: liver background without foci, and residuals as z of the liver's noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from liverpair.core.errors import Refusal
from liverpair.core.lesion import ReferenceRegion
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import within
from liverpair.segment.noise import NoiseModel, equivalent_z, fit_noise
from liverpair.segment.pet_settings import PetDetectionSettings
from liverpair.segment.pet_unevenness import local_noise_ratio
from liverpair.segment.scale_space import local_background, robust_sd

__all__ = ["PetField", "prepare_field"]

#: Skewness of multiplicative noise in the noisiest livers that are still read (COV about 25 %).
LARGEST_SKEW = 0.25
#: Relative SD of the noisiest PET that is still read (COV 25 %), doubled; more is tumour in a tight mask, not noise.
LARGEST_COV = 0.5
#: Gallbladder, cysts and leakage are less than a quarter of any mask that is worth being called a liver.
LEAST_WARM = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class PetField:
    """The cropped problem: SUV, liver, search domain, background, z (maximum over widths) and the noise.

    ``searched``: for each extra smoothing width in mm (0 first) the noise of the relative residuals there.
    ``place_noise``, ``place_spread``: mean and relative SD over the liver's places of (local noise ratio × local
    background / reference), by which a lesion's contrast is divided before it is compared with that noise.
    """

    suv: NDArray[np.float32]
    liver: NDArray[np.bool_]
    domain: NDArray[np.bool_]
    background: NDArray[np.float32]
    z: NDArray[np.float32]
    noise: NoiseModel
    spacing: NDArray[np.float64]
    noise_fwhm_mm: float
    searched: tuple[tuple[float, NoiseModel], ...]
    place_noise: float = 1.0
    place_spread: float = 0.0


def _closed(mask: NDArray[np.bool_], spacing: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Morphological closing by a ball of ``radius_mm`` (through distances, so anisotropic voxels are
    right).
    """
    pad = np.ceil(radius_mm / spacing).astype(int) + 1
    padded = np.pad(mask, [(int(p), int(p)) for p in pad])
    grown = within(padded, spacing, radius_mm)
    closed = distance_transform_edt(grown, sampling=spacing) > radius_mm
    inner = tuple(slice(int(p), -int(p)) for p in pad)
    return np.asarray((closed | padded)[inner])


def prepare_field(
    suv: NDArray[np.float32],
    liver: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    reference: ReferenceRegion,
    settings: PetDetectionSettings,
) -> PetField:
    if not np.all(np.isfinite(suv[liver])):
        raise Refusal("not_finite", "the PET holds voxels without a number in the liver; check the conversion")
    suv = np.nan_to_num(suv)
    # Foci stand far above the noise, cold spots do not: more is rejected above than below.
    warm = _parenchyma(suv, liver, spacing, reference, settings)
    background = local_background(suv, warm, spacing, settings.background_sigma_mm, reject=(4.0, 2.5))
    closed = _closed(liver, spacing, 2 * settings.border_mm)
    domain = within(closed, spacing, settings.border_mm)
    interior = distance_transform_edt(warm, sampling=spacing) > settings.resolution_fwhm_mm
    if np.count_nonzero(interior) < 500:
        interior = warm
    # Noise grows with activity: residuals are taken relative to the background.
    floor = max(0.05 * reference.mean, 1e-6)
    relative = ((suv - background) / np.maximum(background, floor)).astype(np.float32)
    fwhm = max(reference.noise_fwhm_mm, float(spacing.min()))
    clean = interior & ~_hot(relative, interior, spacing, settings)
    if np.count_nonzero(clean) < 500:
        clean = interior
    mean = _noise(relative[clean], reference.cov)
    ratio = local_noise_ratio(relative, clean, spacing, mean.centre, mean.sd)
    relative /= ratio
    harder = ratio[clean] * background[clean] / np.float32(reference.mean)
    del ratio
    first = _noise(relative[clean], reference.cov)
    z = first.z(relative)
    searched = [(0.0, first)]
    for width in settings.smoothing_fwhm:
        extra = width * settings.resolution_fwhm_mm
        smooth = gaussian_filter(relative, extra / FWHM_PER_SIGMA / spacing, mode="nearest")
        searched.append((extra, _noise(smooth[clean], 0.0)))
        z = np.maximum(z, equivalent_z(searched[-1][1].z(smooth), math.hypot(fwhm, extra), fwhm))
    local_noise = NoiseModel(first.centre, first.sd * reference.mean, first.skew)
    place, spread = float(harder.mean(dtype=np.float64)), float(harder.std(dtype=np.float64))
    return PetField(
        suv, liver, domain, background, z, local_noise, spacing, fwhm, tuple(searched), place, spread / max(place, 1e-9)
    )


def _parenchyma(
    suv: NDArray[np.float32],
    liver: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    reference: ReferenceRegion,
    settings: PetDetectionSettings,
) -> NDArray[np.bool_]:
    """The mask without what takes up far less than liver: gallbladder, cysts, leakage into fat or lung.

    A cold region pulls the local background down, and the parenchyma around it would then stand out as a focus.
    """
    smooth = gaussian_filter(suv, settings.resolution_fwhm_mm / FWHM_PER_SIGMA / spacing, mode="nearest")
    warm = liver & (smooth > settings.cold_fraction * reference.mean)
    # where most of the mask is colder than the reference, the reference is no parenchyma (a tight mask around tumours)
    return warm if np.count_nonzero(warm) > LEAST_WARM * np.count_nonzero(liver) else liver


def _noise(residual: NDArray[np.float32], least_sd: float) -> NoiseModel:
    """Noise of the relative residuals; the reference region is the liver's quietest place, so its COV is the
    least.

    The skewness is at most the relative SD: that is purely multiplicative (log-normal) noise, the limit for
    iterative reconstruction; more would be tissue, not noise, and so would more than LARGEST_SKEW.
    """
    noise = fit_noise(residual)
    sd = min(max(noise.sd, least_sd), LARGEST_COV)
    return NoiseModel(noise.centre, sd, min(noise.skew, sd, LARGEST_SKEW))


def _hot(
    relative: NDArray[np.float32],
    interior: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    settings: PetDetectionSettings,
) -> NDArray[np.bool_]:
    """Surroundings of likely foci, which must not be taken for the noise's skewness."""
    sigma = 0.7 * settings.resolution_fwhm_mm / FWHM_PER_SIGMA / spacing
    smooth = gaussian_filter(relative, sigma, mode="nearest")
    centre, sd = robust_sd(smooth[interior])
    return within(smooth > centre + 4.0 * sd, spacing, 1.5 * settings.resolution_fwhm_mm)
