"""Find avid foci in the liver on PET: the threshold is solved from the false-positive rate that noise may
cause.

Steps: smooth liver background without foci; residuals as z at a few smoothing widths; local maxima over t;
maxima without a valley between them merged; foci that belong to a hot neighbour organ flagged; watershed
basins; background-corrected threshold iterated with the measured diameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from liverpair.core.errors import Refusal
from liverpair.core.lesion import Candidate, Detection, ReferenceRegion
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.segment.delineate import (
    ball_fraction,
    connected_above,
    instance_basins,
    shell_background,
    within,
)
from liverpair.segment.noise import NoiseModel, equivalent_z, expected_false_clusters, fit_noise, threshold_for
from liverpair.segment.scale_space import local_background, local_maxima, robust_sd

__all__ = ["PetDetectionSettings", "detect_pet"]

#: Skewness of multiplicative noise in the noisiest livers that are still read (COV about 25 %).
LARGEST_SKEW = 0.25
#: Relative SD of the noisiest PET that is still read (COV 25 %), doubled; more is tumour in a tight mask, not noise.
LARGEST_COV = 0.5
#: Gallbladder, cysts and leakage are less than a quarter of any mask that is worth being called a liver.
LEAST_WARM = 0.75


@dataclass(frozen=True, slots=True)
class PetDetectionSettings:
    """Settings of the PET detector.

    ``false_foci``: foci that noise alone may cause per liver; 0.05 keeps 95 % of livers without disease
    clean. ``resolution_fwhm_mm``: scanner resolution for the delineation (7 mm where nothing better is
    known). ``smoothing_fwhm``: extra smoothing widths in units of the resolution at which foci are searched:
    larger foci of low contrast only show against the noise when smoothed. ``background_sigma_mm``: liver
    heterogeneity wider than this is background. ``valley``: two maxima are one focus when the valley between
    them is shallower than this fraction of the lower one's height, and than ``valley_sd`` noise standard
    deviations. ``cold_fraction``: what takes up less than this share of the reference is no parenchyma; half way
    between a liver and a cold neighbour lies at 0.5, noise of a smoothed liver well above 0.7.
    ``expected_foci``: true foci in a liver in which any may be expected, the prior odds of the
    confidence.
    """

    false_foci: float = 0.1
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


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """The cropped problem: SUV, liver, search domain, background, z (maximum over widths) and the noise."""

    suv: NDArray[np.float32]
    liver: NDArray[np.bool_]
    domain: NDArray[np.bool_]
    background: NDArray[np.float32]
    z: NDArray[np.float32]
    noise: NoiseModel
    spacing: NDArray[np.float64]
    noise_fwhm_mm: float


def detect_pet(
    suv: Volume,
    liver: Mask,
    reference: ReferenceRegion,
    settings: PetDetectionSettings = PetDetectionSettings(),
) -> Detection:
    """Detect and delineate avid foci.

    ``suv`` in SUVbw and ``liver`` on the same grid; ``reference`` gives the noise's FWHM and a lower bound of
    its SD. Candidates are numbered by falling z; ``z`` is that of the strongest width. Flags: spill_in
    (belongs to a hot neighbour outside the liver), neighbour (another focus within one resolution width),
    high_burden. Raises Refusal for an empty liver, another grid or an image that is not finite there.
    """
    if not suv.grid.matches(liver.grid):
        raise Refusal("grid_mismatch", "the liver mask is not on the PET grid; resample it to the PET first")
    if liver.is_empty:
        raise Refusal("empty_mask", "the liver mask is empty, so there is nowhere to search; give a liver mask")
    start, stop = liver.bounds(settings.neighbourhood_mm)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    field = _prepare(suv.values[window], liver.values[window], suv.grid.spacing, reference, settings)
    volume = liver.volume_ml * 1000.0
    t = threshold_for(settings.false_foci, volume, field.noise_fwhm_mm)
    seeds, spill = _seeds(field, t, settings)
    labels, fractions = _delineate(field, seeds, settings)
    candidates = _candidates(field, seeds, spill, labels, suv, start, volume, settings)
    whole = np.zeros(suv.grid.shape, dtype=np.uint16)
    whole[window] = labels
    facts = {
        "method": "noise",
        "threshold_z": t,
        "expected_false_foci": settings.false_foci,
        "noise_sd_suv": field.noise.sd,
        "noise_skew": field.noise.skew,
        "noise_fwhm_mm": field.noise_fwhm_mm,
        "resolution_fwhm_mm": settings.resolution_fwhm_mm,
        "liver_volume_ml": liver.volume_ml,
        "threshold_fractions": fractions,
        "burden_fraction": float(np.count_nonzero((labels > 0) & field.liver) / np.count_nonzero(field.liver)),
    }
    return Detection(LabelMap(whole, suv.grid), candidates, facts)


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


def _prepare(
    suv: NDArray[np.float32],
    liver: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    reference: ReferenceRegion,
    settings: PetDetectionSettings,
) -> _Field:
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
    first = _noise(relative[clean], reference.cov)
    z = first.z(relative)
    for width in settings.smoothing_fwhm:
        extra = width * settings.resolution_fwhm_mm
        smooth = gaussian_filter(relative, extra / FWHM_PER_SIGMA / spacing, mode="nearest")
        smoothed_z = _noise(smooth[clean], 0.0).z(smooth)
        z = np.maximum(z, equivalent_z(smoothed_z, math.hypot(fwhm, extra), fwhm))
    local_noise = NoiseModel(first.centre, first.sd * reference.mean, first.skew)
    return _Field(suv, liver, domain, background, z, local_noise, spacing, fwhm)


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


def _seeds(field: _Field, t: float, settings: PetDetectionSettings) -> tuple[NDArray[np.int64], list[bool]]:
    """Peaks (n, 3) of distinct foci, strongest first, and whether each belongs to a hot neighbour."""
    reach = np.maximum(np.round(0.5 * settings.resolution_fwhm_mm / field.spacing).astype(int), 1)
    peaks = local_maxima(field.z, field.domain, t, (int(reach[0]), int(reach[1]), int(reach[2])))
    light = gaussian_filter(field.suv, 0.5 * field.noise_fwhm_mm / FWHM_PER_SIGMA / field.spacing, mode="nearest")
    kept: list[NDArray[np.int64]] = []
    spill: list[bool] = []
    for peak in peaks:
        verdict = _verdict(field, light, peak, np.array(kept, dtype=np.int64).reshape(-1, 3), settings)
        if verdict == "part":
            continue
        top = _climb(light, peak, field.domain)
        if field.z[tuple(top)] < t:
            continue  # a broad rise without a place of its own that stands out is heterogeneity, not a focus
        kept.append(top)
        spill.append(verdict == "spill_in")
    return np.array(kept, dtype=np.int64).reshape(-1, 3), spill


def _climb(values: NDArray[np.float32], peak: NDArray[np.int64], domain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The highest voxel within one voxel of ``peak`` inside the domain."""
    low, high = np.maximum(peak - 1, 0), np.minimum(peak + 2, values.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    inside = np.where(domain[window], values[window], -np.inf)
    return low + np.asarray(np.unravel_index(int(np.argmax(inside)), inside.shape))


def _verdict(
    field: _Field,
    light: NDArray[np.float32],
    peak: NDArray[np.int64],
    kept: NDArray[np.int64],
    settings: PetDetectionSettings,
) -> str:
    """ "focus", "part" of a stronger maximum (no valley between), or "spill_in" of something outside the
    liver.
    """
    reach = np.ceil(settings.neighbourhood_mm / field.spacing).astype(int)
    low, high = np.maximum(peak - reach, 0), np.minimum(peak + reach + 1, light.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values = light[window]
    here = (int(peak[0] - low[0]), int(peak[1] - low[1]), int(peak[2] - low[2]))
    background = float(field.background[tuple(peak)])
    height = float(values[here]) - background
    depth = max(settings.valley * height, min(settings.valley_sd * field.noise.sd, 0.5 * height))
    hill = connected_above(values, float(values[here]) - depth, here, np.ones(values.shape, dtype=bool))
    domain = field.domain[window]
    hotter_outside = hill & ~domain & (values > values[here])
    if hotter_outside.any():
        return "part"  # the way uphill leaves the liver: the slope of a hot neighbour, not a focus of its own
    for other in kept:
        at = other - low
        if np.all(at >= 0) and np.all(at < values.shape) and hill[tuple(at)]:
            return "part"
    # Half-height region: what lies mostly outside the liver belongs to a neighbour.
    body = connected_above(values, background + 0.5 * height, here, np.ones(values.shape, dtype=bool))
    inside = int(np.count_nonzero(body & field.liver[window])) / max(int(np.count_nonzero(body)), 1)
    return "spill_in" if inside < 0.5 else "focus"


def _delineate(
    field: _Field, seeds: NDArray[np.int64], settings: PetDetectionSettings
) -> tuple[NDArray[np.uint16], list[float]]:
    """Label map of the foci (label = seed number + 1) and the threshold fractions used."""
    labels = np.zeros(field.suv.shape, dtype=np.uint16)
    fractions: list[float] = []
    if len(seeds) == 0:
        return labels, fractions
    near = within(field.liver, field.spacing, settings.border_mm + settings.resolution_fwhm_mm)
    elevated = near & (field.suv > field.background + 0.25 * field.noise.sd)
    for seed in seeds:
        elevated[tuple(seed)] = True
    basins = instance_basins(field.suv, seeds, elevated)
    usable = field.liver & (field.z < 3.0)
    voxel = float(np.prod(field.spacing))
    reach = np.ceil(60.0 / field.spacing).astype(int)
    for number, seed in enumerate(seeds, start=1):
        low, high = np.maximum(seed - reach, 0), np.minimum(seed + reach + 1, field.suv.shape)
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        values, basin = field.suv[window], basins[window] == number
        at = tuple(int(x) for x in seed - low)
        top = np.where(basin & within(_point(values.shape, at), field.spacing, 6.0), values, -np.inf)
        at = tuple(int(x) for x in np.unravel_index(int(np.argmax(top)), top.shape))
        background = float(field.background[tuple(seed)])
        for _ in range(2):
            region, fraction = ball_fraction(
                values, (at[0], at[1], at[2]), background, basin, voxel, settings.resolution_fwhm_mm
            )
            shell = shell_background(values, region, field.spacing, usable[window])
            if shell is None:
                break
            background = shell
        target = labels[window]
        target[region & (target == 0)] = number
        fractions.append(fraction)
    return labels, fractions


def _point(shape: tuple[int, ...], at: tuple[int, ...]) -> NDArray[np.bool_]:
    point = np.zeros(shape, dtype=bool)
    point[at] = True
    return point


def _candidates(
    field: _Field,
    seeds: NDArray[np.int64],
    spill: list[bool],
    labels: NDArray[np.uint16],
    suv: Volume,
    start: NDArray[np.int64],
    volume_mm3: float,
    settings: PetDetectionSettings,
) -> tuple[Candidate, ...]:
    burden = np.count_nonzero((labels > 0) & field.liver) / np.count_nonzero(field.liver)
    found = []
    for number, seed in enumerate(seeds, start=1):
        region = np.argwhere(labels == number)
        weights = field.suv[labels == number].astype(np.float64)
        centre = (region * weights[:, None]).sum(axis=0) / weights.sum() if len(region) else seed
        z = float(field.z[tuple(seed)])
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
        false = expected_false_clusters(max(z, 2.0), volume_mm3, field.noise_fwhm_mm) * len(settings.smoothing_fwhm)
        confidence = 1.0 / (1.0 + false / settings.expected_foci)
        reason = ""
        if spill[number - 1]:
            confidence *= 0.1  # most of it lies outside the liver: nine in ten are the neighbour's own uptake
            reason = "More than half of the focus lies outside the liver: uptake of a neighbouring organ is likelier."
        found.append(
            Candidate(number, suv.grid.to_world(centre + start), z, confidence, flags=tuple(flags), reason=reason)
        )
    return tuple(found)
