"""Find lesions that a liver's mask leaves out at the capsule: what T2 and diffusion weighting show bright in its bays.

A mask made of one image follows the liver's own signal, and a metastasis that bulges at the capsule has none: half of
it, or all, may lie outside. Bright on T2 and on diffusion weighting at once are besides it kidneys, the spleen, bowel
and nodes; of these the liver touches a side, while it holds a lesion of its own in a bay.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, map_coordinates

from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.core.volume import Mask, Volume
from liverpair.segment.delineate import within
from liverpair.segment.mr_evidence import mask_on_grid
from liverpair.segment.scale_space import local_background

__all__ = ["lesions_beyond"]

#: The least contrast I/liver − 1 of a part on each sequence that must show it; partial volume and noise take some of a
#: metastasis' 1.0 and 1.5. Where a hepatobiliary phase is there, the part has no hepatocytes: at most this.
BRIGHT, DARK = {"mr-t2": 0.3, "mr-dwi": 0.3}, ("mr-hbp", -0.2)
#: How far (mm) beyond the mask is looked: a lesion of 60 mm may lie outside but for its skin, and must be seen to end.
MARGIN_MM = 45.0
#: Voxels are worked at about this size (mm): whole parts are meant, not their outline.
STEP_MM = 2.4
#: Parts are what a ball of this radius (mm) fits in; the closing of the mask sees to thinner ones.
THICK_MM = 2.5
#: What is bright on T2 alone within a closing of this radius (mm) is fluid in a necrotic lesion's rim; the rim alone
#: is thin, and touches little of the liver.
NECROSIS_MM = 8.0
#: A part begins this near to the mask (mm) ...
NEAR_MM = 5.0
#: ... and the mask is this share of what lies around it within CONTACT_MM. In 57 examinations of four simulators 13
#: parts of lesions had 0.30-0.90, all else (kidneys, spleens, bowel) 0.13 and less.
LEAST_CONTACT, CONTACT_MM = 0.25, 3.2
#: No part is smaller (mL): what the sequences' shifts leave at the border.
LEAST_ML = 0.1
#: Width (mm) of the local background, as the detector's: coil sensitivity varies more slowly.
BACKGROUND_MM = 20.0


def lesions_beyond(images: Mapping[str, Volume], liver: Mask, grid: Grid) -> Mask | None:
    """The parts of lesions outside ``liver``, on a coarser copy of ``grid``; None where there are none.

    ``images`` by role, in one frame. Nothing is found without both T2 and diffusion weighting.
    """
    if any(role not in images for role in BRIGHT):
        return None
    on_grid = mask_on_grid(liver, grid)
    if not on_grid.any():
        return None
    start, stop = Mask(on_grid, grid).bounds(MARGIN_MM)
    step = np.maximum(np.round(STEP_MM / grid.spacing), 1).astype(int)
    window = tuple(slice(int(a), int(b), int(s)) for a, b, s in zip(start, stop, step, strict=True))
    inside = np.ascontiguousarray(on_grid[window])
    coarse = _coarser(grid, start, step, inside.shape)
    fluid = ~inside & (_contrast(images["mr-t2"], inside, coarse) >= BRIGHT["mr-t2"])
    if DARK[0] in images:
        fluid &= _contrast(images[DARK[0]], inside, coarse) <= DARK[1]
    bright = fluid & (_contrast(images["mr-dwi"], inside, coarse) >= BRIGHT["mr-dwi"])
    bright |= fluid & _closed(bright, coarse.spacing, NECROSIS_MM)
    found = _held(bright, fluid, inside, coarse)
    return Mask(found, coarse) if found.any() else None


def _coarser(grid: Grid, start: NDArray[np.int64], step: NDArray[np.int64], shape: tuple[int, ...]) -> Grid:
    """Every ``step``-th voxel of ``grid`` from ``start`` on."""
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world(start)
    affine[:3, :3] = grid.affine[:3, :3] * step
    return Grid((shape[0], shape[1], shape[2]), affine, grid.frame_of_reference)


def _contrast(image: Volume, inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """The image on ``grid`` against the liver's level there − 1; 0 outside its field."""
    far = np.asarray(grid.to_world(np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T))
    corners = np.asarray(image.grid.to_index(far))
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, np.asarray(image.grid.shape) - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, low + 1, image.grid.shape)
    local = image.cropped(low, high)
    values = np.nan_to_num(local.values).astype(np.float32)
    finer = np.sqrt(np.maximum(grid.spacing**2 - local.grid.spacing**2, 0.0)) / 2 / FWHM_PER_SIGMA  # against aliasing
    values = gaussian_filter(values, finer / local.grid.spacing)
    points = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    index = np.asarray(local.grid.to_index(grid.to_world(points))).T
    sampled = map_coordinates(values, index, order=1, mode="constant", cval=np.nan).reshape(grid.shape)
    seen = np.isfinite(sampled)
    shown = np.where(seen, sampled, 0).astype(np.float32)
    background = local_background(shown, inside & seen, grid.spacing, BACKGROUND_MM)
    least = max(0.1 * float(np.median(background[inside])), 1e-9)
    return np.where(seen, shown / np.maximum(background, least) - 1, 0)


def _held(
    bright: NDArray[np.bool_], fluid: NDArray[np.bool_], inside: NDArray[np.bool_], grid: Grid
) -> NDArray[np.bool_]:
    """The thick parts of ``bright`` that begin at the liver, end within the box and lie in a bay of the liver, each
    with the ``fluid`` (necrosis) that it and the liver enclose.
    """
    spacing = grid.spacing
    core = distance_transform_edt(bright, sampling=spacing) > THICK_MM
    parts, count = label(bright & within(core, spacing, THICK_MM))
    result = np.zeros_like(bright)
    reach = np.ceil(max(NEAR_MM, CONTACT_MM) / spacing).astype(int) + 1
    for number in range(1, count + 1):
        index = np.argwhere(parts == number)
        low, high = index.min(axis=0), index.max(axis=0) + 1
        ends = bool((low > 0).all() and (high < bright.shape).all())
        if not ends or len(index) * grid.voxel_volume_mm3 < 1000 * LEAST_ML:
            continue
        box = tuple(slice(max(int(a - r), 0), int(b + r)) for a, b, r in zip(low, high, reach, strict=True))
        part, beside = parts[box] == number, inside[box]
        away = distance_transform_edt(~part, sampling=spacing)
        around = (away <= CONTACT_MM) & ~part
        if (beside & (away <= NEAR_MM)).any() and np.mean(beside[around]) >= LEAST_CONTACT:
            result |= parts == number
            result |= fluid & _enclosed(parts == number, inside, grid)
    return result


def _enclosed(part: NDArray[np.bool_], inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    """What a closing of the part and the liver takes in, by a ball of half the part's diameter."""
    radius = 0.5 * float(np.cbrt(6 / np.pi * np.count_nonzero(part) * grid.voxel_volume_mm3))
    near = within(part, grid.spacing, 2 * radius)
    return near & _closed((part | inside) & near, grid.spacing, radius)


def _closed(part: NDArray[np.bool_], spacing: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Closing by a ball; the box is wide enough for what it may hold."""
    depth = distance_transform_edt(within(part, spacing, radius_mm), sampling=spacing)
    return np.asarray(depth > radius_mm)
