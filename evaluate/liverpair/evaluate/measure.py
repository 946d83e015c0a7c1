"""Measure delineated regions: RECIST axes, diameters, volume and uptake, for PET, MR and any labelled image.

MR sizes are taken on the 50 % contour between local background and lesion core in the upsampled image, not on
the voxel mask (contour_size.py). Below ``psf_below_mm`` the blurred-sphere fit gives the best diameter and,
stretched as the image shows it (shape_fit.py), the axes. Sizes of PET regions are those of the delineated mask;
under about 15 mm they mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.errors import Refusal
from liverpair.core.lesion import Measurement, ReferenceRegion
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.contour_size import MeasureSettings, contour_levels, contour_measurement, equivalent_diameter
from liverpair.evaluate.psf_fit import SphereFit, blurred_sphere, effective_sigma, fit_sphere
from liverpair.evaluate.shape import axial_axis, caliper, mesh_of, planar_axes
from liverpair.evaluate.shape_fit import fit_axes
from liverpair.evaluate.suv_stats import suv_peak

__all__ = ["MeasureSettings", "measure_mr", "measure_mr_lesions", "measure_pet"]

#: PET diameters below this are dominated by the resolution (spec registration.md) and are flagged.
PET_DIAMETER_FLOOR_MM = 15.0


def _require(image: Volume, mask: Mask) -> None:
    if not image.grid.matches(mask.grid):
        raise Refusal("grid_mismatch", "the mask is not on the image's grid; resample it to the image first")
    if mask.is_empty:
        raise Refusal("empty_mask", "the region holds no voxel, so nothing can be measured; check the label")


def _cut_by_border(mask: NDArray[np.bool_]) -> bool:
    """Whether the region touches the first or last voxel along any axis that has more than one."""
    faces = [np.take(mask, edge, axis=axis).any() for axis in range(3) if mask.shape[axis] > 1 for edge in (0, -1)]
    return bool(any(faces))


def _crop(image: Volume, mask: Mask, margin_mm: float) -> tuple[Volume, Mask, tuple[slice, ...]]:
    start, stop = mask.bounds(margin_mm)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return image.cropped(start, stop), Mask(mask.values[window], image.grid.cropped(start, stop)), window


def measure_pet(suv: Volume, mask: Mask, reference: ReferenceRegion | None) -> Measurement:
    """Uptake and size of one PET region.

    ``suv`` in SUVbw and ``mask`` on the same grid. ``tlr`` is SUVmax over the reference region's mean (None
    without one). Diameters are those of the delineated mask. Raises Refusal for an empty mask or another
    grid.
    """
    _require(suv, mask)
    values = suv.values[mask.values]
    if not np.all(np.isfinite(values)):
        raise Refusal("not_finite", "the region holds voxels without a number; check the conversion to SUV")
    grid = suv.grid
    _, region, _ = _crop(suv, mask, 0.0)
    axes = planar_axes(region.values, grid.spacing, axial_axis(grid))
    vertices, _ = mesh_of(region.values, grid.spacing)
    volume = mask.volume_ml
    flags: tuple[str, ...] = ("cut_by_field_of_view",) if _cut_by_border(mask.values) else ()
    equivalent = equivalent_diameter(volume * 1000.0)
    if equivalent < PET_DIAMETER_FLOOR_MM:
        flags += ("diameter_below_resolution",)
    maximum = float(values.max())
    return Measurement(
        long_axis_mm=axes.long_mm,
        short_axis_mm=axes.short_mm,
        max_3d_diameter_mm=caliper(vertices),
        equivalent_diameter_mm=equivalent,
        diameter_mm=axes.long_mm,
        volume_ml=volume,
        suv_max=maximum,
        suv_mean=float(values.mean()),
        suv_peak=suv_peak(suv, mask),
        tlr=maximum / reference.mean if reference is not None else None,
        flags=flags,
    )


def measure_mr(
    image: Volume,
    mask: Mask,
    contrast: tuple[float, float] | None = None,
    sigma_mm: NDArray[np.float64] | None = None,
    exclude: Mask | None = None,
    settings: MeasureSettings | None = None,
) -> Measurement:
    """Size of one MR lesion; ``image`` and ``mask`` on one grid.

    ``contrast`` (mean, SD, image units) is what the patient's larger lesions show and is used below
    ``contrast_known_below_mm``; ``sigma_mm`` (3,) the effective Gaussian σ along the grid axes (default: from
    the voxel size). ``exclude`` marks voxels of other lesions. Raises Refusal for an empty mask or another
    grid.
    """
    settings = settings or MeasureSettings()
    _require(image, mask)
    local, region, window = _crop(image, mask, settings.shell_outer_mm + 4.0)
    others = np.zeros(region.values.shape, dtype=bool) if exclude is None else exclude.values[window] & ~region.values
    result = contour_measurement(local, region, others, settings)
    size = min(value for value in (result.long_axis_mm, result.equivalent_diameter_mm) if value is not None)
    if size < settings.psf_below_mm + 2.0:
        sigma = _default_sigma(image, settings) if sigma_mm is None else sigma_mm
        fit = fit_sphere(local, region, sigma, None, others, settings.fit)
        if fit is not None and contrast is not None and fit.diameter_mm < settings.contrast_known_below_mm:
            fit = fit_sphere(local, region, sigma, contrast, others, settings.fit)
        result = _with_fit(result, fit, local, region, others, sigma, settings)
    if _cut_by_border(mask.values):
        result = replace(result, flags=(*result.flags, "cut_by_field_of_view"))
    return result


def _default_sigma(image: Volume, settings: MeasureSettings) -> NDArray[np.float64]:
    return effective_sigma(image.grid.spacing, settings.psf_fwhm_voxels * image.grid.spacing)


def _edge_level(diameter_mm: float, sigma: NDArray[np.float64], axis: int) -> float:
    """Value of a blurred ball at its true in-plane edge as a fraction of its peak: the unbiased contour
    level.

    A ball in thick slices reads less than 50 % at its edge, so that the 50 % contour is too small.
    """
    radius = diameter_mm / 2
    edges = [radius * np.eye(3)[other] for other in range(3) if other != axis]
    values = blurred_sphere(np.array([np.zeros(3), *edges]), np.zeros(3), radius, sigma)
    return float(np.clip(values[1:].mean() / max(values[0], 1e-9), 0.25, 0.9))


def _with_fit(
    result: Measurement,
    fit: SphereFit | None,
    image: Volume,
    mask: Mask,
    exclude: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    settings: MeasureSettings,
) -> Measurement:
    """Take the fitted ball where it explains the neighbourhood, and the RECIST axes at the level it predicts.

    Below ``psf_below_mm`` diameter, equivalent diameter and volume are the ball's own, and the axes those of the ball
    as the image stretches it (shape_fit.py); the contour's stand where it is stretched too far for that.
    """
    if fit is None or fit.diameter_mm >= settings.psf_below_mm + 2.0:
        return result
    if fit.snr < settings.least_snr and fit.diameter_ci_mm[1] > settings.largest_doubt * fit.diameter_mm:
        size = result.equivalent_diameter_mm or settings.psf_below_mm
        plane = axial_axis(image.grid)
        if size >= settings.psf_below_mm or fit_axes(image, mask, fit, sigma, plane, exclude, settings.fit) is None:
            return result
        return _with_axes(result, replace(fit, diameter_mm=size), image, mask, exclude, sigma, settings)
    # Noise only lengthens a longest axis: smooth by the point spread itself, and take the level that belongs to it.
    quiet = replace(image, values=gaussian_filter(image.values, sigma / image.grid.spacing, mode="nearest"))
    level = _edge_level(fit.diameter_mm, sigma * np.sqrt(2.0), axial_axis(image.grid))
    result = contour_measurement(quiet, mask, exclude, settings, level)
    if fit.diameter_mm >= settings.psf_below_mm:
        return result
    known = fit.contrast_known or fit.diameter_mm >= settings.contrast_known_below_mm
    return replace(
        _with_axes(result, fit, image, mask, exclude, sigma, settings),
        diameter_mm=fit.diameter_mm,
        equivalent_diameter_mm=fit.diameter_mm,
        volume_ml=np.pi * fit.diameter_mm**3 / 6000.0,
        diameter_ci_mm=fit.diameter_ci_mm,
        flags=(*result.flags, "psf_fit" if known else "psf_fit_contrast_free"),
    )


def _with_axes(
    result: Measurement,
    fit: SphereFit,
    image: Volume,
    mask: Mask,
    exclude: NDArray[np.bool_],
    sigma: NDArray[np.float64],
    settings: MeasureSettings,
) -> Measurement:
    """The axes of ``fit``'s ball as the image stretches it; the contour's, of which noise makes more, where it cannot.

    The best single diameter of a measurement that is not the ball's follows its long axis.
    """
    axes = fit_axes(image, mask, fit, sigma, axial_axis(image.grid), exclude, settings.fit)
    if axes is None:
        return result
    low, high = result.diameter_ci_mm or (axes.axial_long_mm, axes.axial_long_mm)
    return replace(
        result,
        long_axis_mm=axes.axial_long_mm,
        short_axis_mm=axes.axial_short_mm,
        max_3d_diameter_mm=axes.longest_mm,
        diameter_mm=axes.axial_long_mm,
        diameter_ci_mm=(min(low, axes.axial_long_mm), max(high, axes.axial_long_mm)),
    )


def measure_mr_lesions(
    image: Volume,
    labels: LabelMap,
    settings: MeasureSettings | None = None,
    alike: Mapping[int, str] | None = None,
) -> dict[int, Measurement]:
    """Measure every label of one examination, the small ones with the contrast that the larger ones show.

    ``alike`` maps a label to its kind (e.g. the nature): only lesions of the same kind lend their contrast.
    Returns {label: Measurement}. Labels are measured largest first; without any lesion of
    ``reference_lesion_mm`` the contrast of the small ones stays free, and their interval is wide.
    """
    settings = settings or MeasureSettings()
    if not image.grid.matches(labels.grid):
        raise Refusal("grid_mismatch", "the label map is not on the image's grid; resample it to the image first")
    numbers, counts = np.unique(labels.values[labels.values > 0], return_counts=True)
    order = [int(numbers[i]) for i in np.argsort(-counts, kind="stable")]
    everything = Mask(labels.values > 0, labels.grid)
    known: dict[str, list[float]] = {}
    results: dict[int, Measurement] = {}
    for number in order:
        kind = "" if alike is None else alike.get(number, "")
        mask = labels.mask(number)
        prior = _shared_contrast(known.get(kind, []), settings)
        result = measure_mr(image, mask, prior, None, everything, settings)
        results[number] = result
        if (
            result.short_axis_mm or 0.0
        ) >= settings.reference_lesion_mm and "no_contrast_mask_measured" not in result.flags:
            known.setdefault(kind, []).append(_core_contrast(image, mask, everything, settings))
    return dict(sorted(results.items()))


def _core_contrast(image: Volume, mask: Mask, everything: Mask, settings: MeasureSettings) -> float:
    """Core minus local background of a lesion, image units."""
    local, region, window = _crop(image, mask, settings.shell_outer_mm + 4.0)
    background, core = contour_levels(local, region, everything.values[window] & ~region.values, settings)
    return core - background


def _shared_contrast(contrasts: list[float], settings: MeasureSettings) -> tuple[float, float] | None:
    """Prior (mean, SD) on a small lesion's contrast from the larger lesions'; None without any."""
    if not contrasts:
        return None
    centre = float(np.median(contrasts))
    spread = float(np.std(contrasts)) if len(contrasts) > 1 else 0.0
    return centre, max(spread, settings.contrast_sd_fraction * abs(centre))
