"""Measure delineated regions: RECIST axes, diameters, volume and uptake, for PET, MR and any labelled image.

MR sizes are taken on the 50 % contour between local background and lesion core in the upsampled image, not on
the voxel mask (a mask's caliper is 1 mm short, spec registration.md). Below ``psf_below_mm`` the
blurred-sphere fit gives the best diameter. Sizes of PET regions are those of the delineated mask; under about
15 mm they mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
    map_coordinates,
)

from liverpair.core.errors import Refusal
from liverpair.core.lesion import Measurement, ReferenceRegion
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.psf_fit import PsfFitSettings, SphereFit, blurred_sphere, effective_sigma, fit_sphere
from liverpair.evaluate.shape import (
    axial_axis,
    caliper,
    mesh_of,
    mesh_volume,
    planar_axes,
)
from liverpair.evaluate.suv_stats import suv_peak

__all__ = ["MeasureSettings", "measure_mr", "measure_mr_lesions", "measure_pet"]

#: PET diameters below this are dominated by the resolution (spec registration.md) and are flagged.
PET_DIAMETER_FLOOR_MM = 15.0


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """Settings of the MR measurement.

    ``psf_fwhm_voxels``: an unfiltered Fourier-encoded image has a sinc point spread of FWHM 1.2 acquired
    voxels; used where the patient's larger lesions do not show the resolution themselves.
    ``contrast_sd_fraction``: spread of contrast between the lesions of one patient. ``contour_sd_voxels``:
    standard deviation of a contour's long axis in in-plane voxels (spec table: 0.12-0.28 mm at 1.2 mm, bias
    −0.3 mm).
    """

    psf_below_mm: float = 10.0
    contrast_known_below_mm: float = 8.0
    reference_lesion_mm: float = 10.0
    psf_fwhm_voxels: float = 1.2
    contrast_sd_fraction: float = 0.15
    contour_sd_voxels: float = 0.3
    least_snr: float = 5.0
    shell_inner_mm: float = 2.0
    shell_outer_mm: float = 6.0
    fine_step_mm: float = 0.5
    largest_fine_voxels: int = 3_000_000
    fit: PsfFitSettings = field(default_factory=PsfFitSettings)


def _require(image: Volume, mask: Mask) -> None:
    if not image.grid.matches(mask.grid):
        raise Refusal("grid_mismatch", "the mask is not on the image's grid; resample it to the image first")
    if mask.is_empty:
        raise Refusal("empty_mask", "the region holds no voxel, so nothing can be measured; check the label")


def _cut_by_border(mask: NDArray[np.bool_]) -> bool:
    """Whether the region touches the first or last voxel along any axis that has more than one."""
    faces = [np.take(mask, edge, axis=axis).any() for axis in range(3) if mask.shape[axis] > 1 for edge in (0, -1)]
    return bool(any(faces))


def _equivalent(volume_mm3: float) -> float:
    """Diameter in mm of the sphere of that volume."""
    return float((6.0 * volume_mm3 / np.pi) ** (1 / 3))


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
    equivalent = _equivalent(volume * 1000.0)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Contour:
    """The 50 % region on the fine grid: field ≥ 0.5 inside, and the levels it came from."""

    field: NDArray[np.float32]
    spacing: NDArray[np.float64]
    background: float
    core: float


def _levels(image: Volume, mask: Mask, exclude: NDArray[np.bool_], settings: MeasureSettings) -> tuple[float, float]:
    """Local background (median of a shell around the region) and the lesion's core value.

    The core of a region wider than 6 mm is the median 3 mm below its surface; of a smaller one its extreme
    value.
    """
    spacing = image.grid.spacing
    outside = distance_transform_edt(~mask.values, sampling=spacing)
    shell = (outside > settings.shell_inner_mm) & (outside <= settings.shell_outer_mm) & ~exclude
    if np.count_nonzero(shell) < 20:
        shell = (outside > 0) & (outside <= 2 * settings.shell_outer_mm) & ~exclude
    background = float(np.median(image.values[shell])) if shell.any() else float(np.median(image.values))
    inside = image.values[mask.values]
    depth = distance_transform_edt(np.pad(mask.values, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    core = image.values[depth > 3.0 + spacing.min() / 2]
    if len(core) >= 8:
        return background, float(np.median(core))
    return background, float(inside.max() if inside.mean() >= background else inside.min())


def _contour(
    image: Volume, mask: Mask, exclude: NDArray[np.bool_], settings: MeasureSettings, level: float = 0.5
) -> _Contour | None:
    """Upsample the crop and keep the region above ``level`` that holds the mask; None without contrast.

    The field is rescaled so that the surface lies at 0.5 whatever the level.
    """
    background, core = _levels(image, mask, exclude, settings)
    if core == background:
        return None
    spacing = image.grid.spacing
    extent = np.asarray(image.grid.shape) * spacing
    step = max(settings.fine_step_mm, float((np.prod(extent) / settings.largest_fine_voxels) ** (1 / 3)))
    factor = np.maximum(np.round(spacing / step).astype(int), 1)
    axes = [(np.arange(n * f) + 0.5) / f - 0.5 for n, f in zip(image.grid.shape, factor, strict=True)]
    at = np.meshgrid(*axes, indexing="ij")
    relative = (image.values.astype(np.float64) - background) / (core - background)
    fine = map_coordinates(relative, at, order=3, mode="nearest").astype(np.float32)
    if fine.max() > 1.0 and not _has_core(mask, spacing):
        fine /= _peak_inside(fine, mask, factor)  # the extreme of a small lesion lies between the voxels
    fine *= np.float32(0.5 / level)
    near = binary_dilation(mask.values, iterations=1)
    allowed = np.kron((near & ~exclude).astype(np.uint8), np.ones(factor, dtype=np.uint8)).astype(bool)
    seeds = np.kron(mask.values.astype(np.uint8), np.ones(factor, dtype=np.uint8)).astype(bool)
    components, count = label((fine >= 0.5) & allowed)
    if count == 0:
        return None
    overlap = np.bincount(components[seeds], minlength=count + 1)
    overlap[0] = 0
    if overlap.max() == 0:
        return None
    region = components == int(np.argmax(overlap))
    fringe = binary_dilation(region, iterations=1) & ~(components > 0)
    holes = binary_fill_holes(region) & ~region
    field_values = np.where(region | (fringe & ~holes), np.clip(fine, 0.0, None), 0.0).astype(np.float32)
    field_values[holes] = 1.0
    return _Contour(field_values, spacing / factor, background, core)


def _has_core(mask: Mask, spacing: NDArray[np.float64]) -> bool:
    depth = distance_transform_edt(np.pad(mask.values, 1), sampling=spacing)
    return bool(np.count_nonzero(depth > 3.0 + spacing.min() / 2) >= 8)


def _peak_inside(fine: NDArray[np.float32], mask: Mask, factor: NDArray[np.int64]) -> float:
    seeds = np.kron(mask.values.astype(np.uint8), np.ones(factor, dtype=np.uint8)).astype(bool)
    return float(max(fine[seeds].max(), 1.0))


def _contour_measurement(
    image: Volume,
    mask: Mask,
    exclude: NDArray[np.bool_],
    settings: MeasureSettings,
    level: float = 0.5,
) -> Measurement:
    """Sizes from the contour at ``level``; from the mask itself, flagged, where the image shows no
    contrast.
    """
    contour = _contour(image, mask, exclude, settings, level)
    axis = axial_axis(image.grid)
    flags: tuple[str, ...] = ()
    if contour is None:
        values, spacing = mask.values.astype(np.float32), image.grid.spacing
        flags = ("no_contrast_mask_measured",)
    else:
        values, spacing = contour.field, contour.spacing
    axes = planar_axes(values, spacing, axis)
    vertices, faces = mesh_of(values, spacing)
    volume = mesh_volume(vertices, faces)
    half = 1.96 * settings.contour_sd_voxels * float(np.delete(image.grid.spacing, axis).max())
    return Measurement(
        long_axis_mm=axes.long_mm,
        short_axis_mm=axes.short_mm,
        max_3d_diameter_mm=caliper(vertices),
        equivalent_diameter_mm=_equivalent(volume),
        diameter_mm=axes.long_mm,
        diameter_ci_mm=(max(axes.long_mm - half, 0.0), axes.long_mm + half),
        volume_ml=volume / 1000.0,
        flags=flags,
    )


def measure_mr(
    image: Volume,
    mask: Mask,
    contrast: tuple[float, float] | None = None,
    sigma_mm: NDArray[np.float64] | None = None,
    exclude: Mask | None = None,
    settings: MeasureSettings = MeasureSettings(),
) -> Measurement:
    """Size of one MR lesion; ``image`` and ``mask`` on one grid.

    ``contrast`` (mean, SD, image units) is what the patient's larger lesions show and is used below
    ``contrast_known_below_mm``; ``sigma_mm`` (3,) the effective Gaussian σ along the grid axes (default: from
    the voxel size). ``exclude`` marks voxels of other lesions. Raises Refusal for an empty mask or another
    grid.
    """
    _require(image, mask)
    local, region, window = _crop(image, mask, settings.shell_outer_mm + 4.0)
    others = np.zeros(region.values.shape, dtype=bool) if exclude is None else exclude.values[window] & ~region.values
    result = _contour_measurement(local, region, others, settings)
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

    Below ``psf_below_mm`` diameter, equivalent diameter and volume are the ball's own.
    """
    if fit is None or fit.diameter_mm >= settings.psf_below_mm + 2.0 or fit.snr < settings.least_snr:
        return result
    # Noise only lengthens a longest axis: smooth by the point spread itself, and take the level that belongs to it.
    quiet = replace(image, values=gaussian_filter(image.values, sigma / image.grid.spacing, mode="nearest"))
    level = _edge_level(fit.diameter_mm, sigma * np.sqrt(2.0), axial_axis(image.grid))
    result = _contour_measurement(quiet, mask, exclude, settings, level)
    if fit.diameter_mm >= settings.psf_below_mm:
        return result
    known = fit.contrast_known or fit.diameter_mm >= settings.contrast_known_below_mm
    return replace(
        result,
        diameter_mm=fit.diameter_mm,
        equivalent_diameter_mm=fit.diameter_mm,
        volume_ml=np.pi * fit.diameter_mm**3 / 6000.0,
        diameter_ci_mm=fit.diameter_ci_mm,
        flags=(*result.flags, "psf_fit" if known else "psf_fit_contrast_free"),
    )


def measure_mr_lesions(
    image: Volume,
    labels: LabelMap,
    settings: MeasureSettings = MeasureSettings(),
    alike: Mapping[int, str] | None = None,
) -> dict[int, Measurement]:
    """Measure every label of one examination, the small ones with the contrast that the larger ones show.

    ``alike`` maps a label to its kind (e.g. the nature): only lesions of the same kind lend their contrast.
    Returns {label: Measurement}. Labels are measured largest first; without any lesion of
    ``reference_lesion_mm`` the contrast of the small ones stays free, and their interval is wide.
    """
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
    background, core = _levels(local, region, everything.values[window] & ~region.values, settings)
    return core - background


def _shared_contrast(contrasts: list[float], settings: MeasureSettings) -> tuple[float, float] | None:
    """Prior (mean, SD) on a small lesion's contrast from the larger lesions'; None without any."""
    if not contrasts:
        return None
    centre = float(np.median(contrasts))
    spread = float(np.std(contrasts)) if len(contrasts) > 1 else 0.0
    return centre, max(spread, settings.contrast_sd_fraction * abs(centre))
