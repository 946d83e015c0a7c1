"""Measure the liver's background in a PET: a quiet VOI in the right lobe, its noise's sd and smoothness.

Method: shared spec `lesions.md` (reference VOI); noise by a variogram fit (Chilès & Delfiner, Geostatistics),
whose differences are blind to the VOI's mean, so that a small VOI does not shorten sd and smoothness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.errors import Refusal
from liverpair.core.lesion import ReferenceRegion
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver_grid import sample
from liverpair.segment.liver_mode import robust_mode
from liverpair.segment.liver_morphology import BoolArray, depth, dilate, largest
from liverpair.segment.reference_noise import NoiseFit, fit_noise
from liverpair.segment.reference_settings import ReferenceSettings

__all__ = ["ReferenceSettings", "liver_reference"]


#: Smoothed voxels this far from the mode are lesions or vessels; noise that is cut off sooner would look too quiet.
ODD_SD = 4.0
#: sd of a normal distribution per median absolute deviation.
MAD_TO_SD = 1.4826


#: A liver's depth takes up what its rim does; a core this much hotter is a tumour in a tight mask.
CORE_OVER_WHOLE = 1.8


@dataclass(frozen=True, slots=True, eq=False)
class _Liver:
    """SUV in the liver: ``inner`` is eroded and free of excluded voxels; mode, MAD (of the side without tumour)."""

    values: NDArray[np.float64]
    spacing: NDArray[np.float64]
    mask: BoolArray
    inner: BoolArray
    mode: float
    mad: float
    burden: float


def _describe(suv: Volume, liver: Mask, exclude: Mask | None, settings: ReferenceSettings) -> _Liver:
    mask = liver.values if liver.grid.matches(suv.grid) else sample(liver, suv.grid) >= 0.5
    if not mask.any():
        raise Refusal("no_liver_in_pet", "the liver mask does not overlap the PET; check that both share one frame")
    spacing = suv.grid.spacing
    values = suv.values.astype(np.float64)
    reach = depth(mask, spacing)
    inner = reach > settings.erosion_mm
    if int(inner.sum()) < 30:  # a remnant thinner than twice the erosion: half of its own depth
        inner = reach > 0.5 * float(reach.max())
    if exclude is not None:
        out = exclude.values if exclude.grid.matches(suv.grid) else sample(exclude, suv.grid) >= 0.5
        left = inner & ~dilate(np.asarray(out, dtype=bool), 8.0, spacing)
        inner = left if int(left.sum()) >= 30 else inner
    mode, mad, burden = _background_level(values[inner], settings)
    counted = mask & (values > 0)  # a generous mask reaches where nothing was counted: that is no liver
    if counted.any():
        whole = _background_level(values[counted], settings)
        if not mode > 0 or mode > CORE_OVER_WHOLE * whole[0]:  # a core hotter than its surroundings is tumour
            inner, (mode, mad, burden) = counted, whole
    if not mode > 0:
        raise Refusal("no_uptake_in_liver", "the liver's PET signal is not positive; check mask, frame and SUV")
    return _Liver(values, spacing, np.asarray(mask), inner, mode, mad, burden)


def _background_level(sampled: NDArray[np.float64], settings: ReferenceSettings) -> tuple[float, float, float]:
    """(mode, MAD of the side without tumour, tumour burden) of the eroded liver's values.

    Where hot tumour fills more than half, the mode is the tumour's: a second, lower peak that holds at least
    a tenth of the liver is then taken for the liver, since normal liver never exceeds its metastases' uptake.
    """
    mode, sd = robust_mode(sampled.astype(np.float32))
    for _ in range(2):
        low = sampled[sampled < mode - 4 * sd]
        if len(low) < 0.1 * len(sampled):
            break
        second, second_sd = robust_mode(low.astype(np.float32))
        if second > 0.8 * mode or second < 0.1 * mode:
            break
        mode, sd = second, second_sd
    sd = max(sd, 1e-3 * abs(mode))
    burden = float(np.mean(sampled > mode + settings.lesion_sd * sd))
    return mode, sd / MAD_TO_SD, burden


def _local_moments(liver: _Liver, diameter_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sd of the liver's voxels around each voxel (Gaussian with a ball's second moment)."""
    sigma = diameter_mm / 2 / np.sqrt(5.0) / liver.spacing
    weight = liver.mask.astype(np.float64)

    def blur(values: NDArray[Any]) -> NDArray[np.float64]:
        return ndimage.gaussian_filter(values, sigma, truncate=2.5)

    total = np.maximum(blur(weight), 1e-6)
    centred = (liver.values - liver.mode) * weight
    mean = blur(centred) / total
    square = blur(centred**2) / total
    return mean + liver.mode, np.sqrt(np.maximum(square - mean**2, 0))


def _quietest(liver: _Liver, place: BoolArray, settings: ReferenceSettings) -> tuple[int, ...] | None:
    """Index with the least local COV in ``place`` whose level is the liver's own, or None."""
    if not place.any():
        return None
    mean, sd = _local_moments(liver, settings.neighbourhood_mm)
    near = np.abs(mean - liver.mode) <= settings.reject_mad * liver.mad
    place = place & near & (mean > 0)
    if not place.any():
        return None
    cov = np.where(place, sd / np.maximum(mean, 1e-9), np.inf)
    return tuple(int(i) for i in np.unravel_index(int(cov.argmin()), cov.shape))


def _ball(liver: _Liver, at: tuple[int, ...], radius_mm: float) -> BoolArray:
    point = np.zeros(liver.mask.shape, dtype=bool)
    point[at] = True
    return dilate(point, radius_mm, liver.spacing) & liver.mask


def _right_share(suv: Volume, inner: BoolArray, share: float) -> BoolArray:
    """The part of ``inner`` that holds its rightmost ``share`` (the patient's right is −x in LPS)."""
    index = np.argwhere(inner)
    x = suv.grid.to_world(index)[:, 0]
    keep = index[x <= np.quantile(x, share)]
    out = np.zeros(inner.shape, dtype=bool)
    out[tuple(keep.T)] = True
    return out


def liver_reference(
    suv: Volume,
    liver: Mask,
    settings: ReferenceSettings = ReferenceSettings(),
    exclude: Mask | None = None,
) -> ReferenceRegion:
    """The liver's background in ``suv`` (SUVbw); ``liver`` and ``exclude`` on any grids of its frame.

    ``method`` is right_lobe | left_lobe | liver_mode; flags: high_tumour_burden (over half of the liver
    is hot), no_quiet_region, small_noise_sample. Raises Refusal("no_liver_in_pet" | "no_uptake_in_liver").
    """
    region = _describe(suv, liver, exclude, settings)
    right = _right_share(suv, region.inner, settings.right_share)
    flags: list[str] = ["high_tumour_burden"] if region.burden > settings.most_burden else []
    for method, place in (("right_lobe", right), ("left_lobe", region.inner & ~right)):
        at = _quietest(region, place, settings)
        if at is None:
            continue
        voi = _ball(region, at, settings.diameter_mm / 2)
        mean = float(region.values[voi].mean())
        if mean <= region.mode + settings.reject_mad * region.mad:
            noise = _noise_near(region, at, settings)
            return _result(suv, at, settings.diameter_mm / 2, mean, noise, method, flags)
    flags.append("no_quiet_region")
    return _from_mode(suv, region, settings, flags)


def _noise_near(liver: _Liver, at: tuple[int, ...], settings: ReferenceSettings) -> NoiseFit:
    """Noise of the quiet liver around the VOI: lesions above the mode, and a margin around them, left out."""
    near = _ball(liver, at, settings.noise_radius_mm) & liver.inner
    sd = MAD_TO_SD * liver.mad
    smooth = ndimage.gaussian_filter(liver.values, 3.0 / liver.spacing)
    odd = (np.abs(smooth - liver.mode) > ODD_SD * sd) & liver.mask
    quiet = near & ~dilate(odd, 6.0, liver.spacing)
    least = int(np.prod(np.maximum(settings.diameter_mm / liver.spacing, 1)) * 0.25)
    if int(quiet.sum()) < least:
        quiet = near
    return fit_noise(liver.values, quiet, liver.spacing)


def _from_mode(suv: Volume, liver: _Liver, settings: ReferenceSettings, flags: list[str]) -> ReferenceRegion:
    """Fallback: the mode of the voxels that are liver by their value, wherever they lie."""
    sd = MAD_TO_SD * liver.mad
    similar = liver.mask & (np.abs(liver.values - liver.mode) <= 2.5 * sd)
    part = largest(similar)
    index = np.argwhere(part if part.any() else liver.mask)
    centre = index[int(np.abs(index - index.mean(axis=0)).sum(axis=1).argmin())]
    noise = fit_noise(liver.values, part, liver.spacing)
    # selecting by value cuts the noise's tails: its sd comes from the values below the mode
    noise = NoiseFit(max(sd, noise.sd), noise.fwhm_mm, noise.flags)
    return _result(suv, tuple(int(i) for i in centre), 0.0, liver.mode, noise, "liver_mode", flags)


def _result(
    suv: Volume,
    at: tuple[int, ...],
    radius: float,
    mean: float,
    noise: NoiseFit,
    method: str,
    flags: list[str],
) -> ReferenceRegion:
    return ReferenceRegion(
        centre_lps=suv.grid.to_world(at),
        radius_mm=radius,
        mean=mean,
        sd=noise.sd,
        noise_fwhm_mm=noise.fwhm_mm,
        method=method,
        flags=(*flags, *noise.flags),
    )
