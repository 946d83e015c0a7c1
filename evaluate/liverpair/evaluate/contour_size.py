"""Sizes of a region on the contour half way between its background and its core, in the upsampled image.

A mask's caliper is 1 mm short (spec registration.md): the contour runs between the voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, distance_transform_edt, label, map_coordinates

from liverpair.core.lesion import Measurement
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.psf_fit import PsfFitSettings
from liverpair.evaluate.shape import axial_axis, caliper, mesh_of, mesh_volume, planar_axes

__all__ = ["MeasureSettings", "contour_levels", "contour_measurement", "equivalent_diameter"]


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """Settings of the MR measurement.

    ``psf_fwhm_voxels``: an unfiltered Fourier-encoded image has a sinc point spread of FWHM 1.2 acquired
    voxels; used where the patient's larger lesions do not show the resolution themselves.
    ``contrast_sd_fraction``: spread of contrast between the lesions of one patient. ``contour_sd_voxels``:
    standard deviation of a contour's long axis in in-plane voxels (spec table: 0.12-0.28 mm at 1.2 mm, bias
    −0.3 mm). ``least_snr``: a fitted ball is taken from this signal-to-noise ratio on; below it where its
    interval ends under ``largest_doubt`` times its diameter, so that the image still tells its size.
    """

    psf_below_mm: float = 10.0
    contrast_known_below_mm: float = 8.0
    reference_lesion_mm: float = 10.0
    psf_fwhm_voxels: float = 1.2
    contrast_sd_fraction: float = 0.15
    contour_sd_voxels: float = 0.3
    least_snr: float = 5.0
    largest_doubt: float = 2.0
    shell_inner_mm: float = 2.0
    shell_outer_mm: float = 6.0
    fine_step_mm: float = 0.5
    largest_fine_voxels: int = 3_000_000
    fit: PsfFitSettings = field(default_factory=PsfFitSettings)


def equivalent_diameter(volume_mm3: float) -> float:
    """Diameter in mm of the sphere of that volume."""
    return float((6.0 * volume_mm3 / np.pi) ** (1 / 3))


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """The 50 % region on the fine grid: field ≥ 0.5 inside, and the levels it came from."""

    field: NDArray[np.float32]
    spacing: NDArray[np.float64]
    background: float
    core: float


def contour_levels(
    image: Volume, mask: Mask, exclude: NDArray[np.bool_], settings: MeasureSettings
) -> tuple[float, float]:
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
) -> Contour | None:
    """Upsample the crop and keep the region above ``level`` that holds the mask; None without contrast.

    The field is rescaled so that the surface lies at 0.5 whatever the level.
    """
    background, core = contour_levels(image, mask, exclude, settings)
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
    return Contour(field_values, spacing / factor, background, core)


def _has_core(mask: Mask, spacing: NDArray[np.float64]) -> bool:
    depth = distance_transform_edt(np.pad(mask.values, 1), sampling=spacing)
    return bool(np.count_nonzero(depth > 3.0 + spacing.min() / 2) >= 8)


def _peak_inside(fine: NDArray[np.float32], mask: Mask, factor: NDArray[np.int64]) -> float:
    seeds = np.kron(mask.values.astype(np.uint8), np.ones(factor, dtype=np.uint8)).astype(bool)
    return float(max(fine[seeds].max(), 1.0))


def contour_measurement(
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
        equivalent_diameter_mm=equivalent_diameter(volume),
        diameter_mm=axes.long_mm,
        diameter_ci_mm=(max(axes.long_mm - half, 0.0), axes.long_mm + half),
        volume_ml=volume / 1000.0,
        flags=flags,
    )
