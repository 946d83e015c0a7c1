"""Blob evidence of one MR sequence: contrast to the liver, noise-normalised responses over scales,
candidates.

Every sequence is searched on its own grid, cropped to the liver, so that no interpolation smooths its noise.
What lies outside the liver is replaced by liver background, so that organs and fat beside it neither answer
nor mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.delineate import within
from liverpair.segment.scale_space import axis_sigma, blob_response, local_background, local_maxima, robust_sd

__all__ = ["Sequence", "SequencePeak", "mask_on_grid", "prepare_sequence", "sequence_peaks"]

#: Contrast of a metastasis against liver by role: −1 dark, +1 bright (hepatobiliary and T1 phases: no
#: hepatocytes).
SIGN = {
    "mr-hbp": -1,
    "mr-t1-native": -1,
    "mr-portal": -1,
    "mr-arterial": 1,
    "mr-t2": 1,
    "mr-dwi": 1,
    "mr-adc": -1,
}

#: Up to this diameter a scale's spread is that of vessels and noise, not of lesions.
CLUTTER_DIAMETER_MM = 11.3


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """One sequence, cropped to the liver.

    ``contrast`` [i, j, k] = sign·(I/background − 1): positive where a metastasis would differ from the liver,
    zero outside ``domain``. ``raw`` = I/background − 1 everywhere in the crop (for what lies beyond the
    liver). ``noise`` is the robust SD of voxels' contrast in the liver. ``responses[s]`` is the weakest
    curvature in units of its own robust SD for ``diameters[s]``, ``blobness[s]`` its λ₁/√(λ₂λ₃). ``darkness``: the
    liver's signal against an ordinary liver's where iron took some (mr_dark), else 1.
    """

    role: str
    sign: int
    grid: Grid
    domain: NDArray[np.bool_]
    liver: NDArray[np.bool_]
    contrast: NDArray[np.float32]
    raw: NDArray[np.float32]
    noise: float
    diameters: tuple[float, ...]
    responses: tuple[NDArray[np.float32], ...]
    blobness: tuple[NDArray[np.float32], ...]
    steps: tuple[tuple[int, int, int], ...]
    darkness: float = 1.0

    def sample(self, values: NDArray[np.float32], lps: NDArray[np.float64], order: int = 1) -> NDArray[np.float64]:
        """Values of an array on this grid at points (n, 3) LPS mm; 0 outside."""
        index = self.grid.to_index(lps).T
        return np.asarray(map_coordinates(values, index, order=order, mode="constant", cval=0.0))


@dataclass(frozen=True, slots=True, eq=False)
class SequencePeak:
    """A local maximum of a sequence's response: where (LPS mm), at which diameter, how strong."""

    role: str
    lps: NDArray[np.float64]
    diameter_mm: float
    z: float
    blobness: float


def mask_on_grid(mask: Mask, grid: Grid) -> NDArray[np.bool_]:
    """The mask's nearest-neighbour values at a grid's voxel centres; outside the mask's field False."""
    if mask.grid.matches(grid):
        return np.asarray(mask.values)
    affine = np.linalg.inv(mask.grid.affine) @ grid.affine
    result = np.zeros(grid.shape, dtype=bool)
    j, k = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    size = np.asarray(mask.grid.shape)
    for i in range(grid.shape[0]):  # slab by slab keeps the index arrays small
        points = np.stack([np.full(j.shape, i), j, k], axis=-1) @ affine[:3, :3].T + affine[:3, 3]
        index = np.rint(points).astype(np.int64)
        inside = np.all((index >= 0) & (index < size), axis=-1)
        kept = index[inside]
        result[i][inside] = mask.values[kept[:, 0], kept[:, 1], kept[:, 2]]
    return result


def _closed(mask: NDArray[np.bool_], spacing: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Closing by a ball of ``radius_mm``, through distances."""
    pad = np.ceil(radius_mm / spacing).astype(int) + 1
    padded = np.pad(mask, [(int(p), int(p)) for p in pad])
    closed = distance_transform_edt(within(padded, spacing, radius_mm), sampling=spacing) > radius_mm
    inner = tuple(slice(int(p), -int(p)) for p in pad)
    return np.asarray((closed | padded)[inner])


def prepare_sequence(
    role: str,
    image: Volume,
    liver: Mask,
    diameters: tuple[float, ...],
    background_sigma_mm: float,
    closing_mm: float,
    margin_mm: float,
    beyond: Mask | None = None,
) -> Sequence | None:
    """Crop, normalise and filter one sequence; None where it does not cover the liver.

    ``liver`` may be on another grid of the same frame. ``closing_mm`` restores lesions at the capsule that a
    liver mask leaves out; ``beyond`` is searched, too, but says nothing of the liver.
    """
    on_grid = mask_on_grid(liver, image.grid)
    if np.count_nonzero(on_grid) < 200:
        return None
    searched = on_grid if beyond is None else on_grid | mask_on_grid(beyond, image.grid)
    start, stop = Mask(searched, image.grid).bounds(margin_mm)
    crop = image.cropped(start, stop)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    inside = np.ascontiguousarray(on_grid[window])
    values = np.nan_to_num(crop.values)
    spacing = crop.grid.spacing
    background = local_background(values, inside, spacing, background_sigma_mm)
    level = float(np.median(background[inside]))
    if level <= 0:
        return None
    raw = values / np.maximum(background, 0.1 * level) - 1
    domain = _closed(np.ascontiguousarray(searched[window]), spacing, closing_mm)
    sign = SIGN.get(role, 1)
    contrast = np.where(domain, sign * raw, 0).astype(np.float32)
    _, noise = robust_sd(contrast[inside])
    responses, blobs, steps, spread = [], [], [], math.inf
    for diameter in diameters:
        step = _block(diameter, spacing)
        response, blob = _response(contrast, spacing, diameter, step)
        reached = inside[tuple(slice(s // 2, None, s) for s in step)]
        reached = reached[tuple(slice(0, n) for n in response.shape)]
        _, sd = robust_sd(response[: reached.shape[0], : reached.shape[1], : reached.shape[2]][reached])
        # A scale has few independent places in a liver: where lesions fill them its own spread is theirs, so
        # it may not exceed that of the finer scales, which is vessels and noise.
        spread = sd if diameter <= CLUTTER_DIAMETER_MM else min(spread, sd)
        responses.append(np.asarray(response / max(spread, 1e-12), dtype=np.float32))
        blobs.append(blob)
        steps.append(step)
    return Sequence(
        role,
        sign,
        crop.grid,
        domain,
        inside,
        contrast,
        raw.astype(np.float32),
        noise,
        diameters,
        tuple(responses),
        tuple(blobs),
        tuple(steps),
    )


def _block(diameter_mm: float, spacing: NDArray[np.float64]) -> tuple[int, int, int]:
    """Block size per axis at which a scale is worked: at least 2.5 samples per σ are kept."""
    sigma = diameter_mm / (2.0 * math.sqrt(3.0))
    a, b, c = (int(max(1, math.floor(sigma / 2.5 / h))) for h in spacing)
    return a, b, c


def _response(
    contrast: NDArray[np.float32],
    spacing: NDArray[np.float64],
    diameter_mm: float,
    step: tuple[int, int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """blob_response on block means; only whole blocks are kept."""
    if step == (1, 1, 1):
        return blob_response(contrast, spacing, diameter_mm, 1)
    whole = tuple(max(n // s, 1) * s for n, s in zip(contrast.shape, step, strict=True))
    padded = np.pad(contrast, [(0, max(w - n, 0)) for w, n in zip(whole, contrast.shape, strict=True)])
    part = padded[: whole[0], : whole[1], : whole[2]]
    shape = [x for n, s in zip(part.shape, step, strict=True) for x in (n // s, s)]
    coarse = np.asarray(part.reshape(shape).mean(axis=(1, 3, 5)), dtype=np.float32)
    return blob_response(coarse, spacing * np.asarray(step), diameter_mm, 1)


def sequence_peaks(sequence: Sequence, threshold: float, blobness: float) -> list[SequencePeak]:
    """Local maxima of every scale over ``threshold`` (SDs) and ``blobness`` whose centre is in the domain."""
    found = []
    for diameter, response, blob, step in zip(
        sequence.diameters, sequence.responses, sequence.blobness, sequence.steps, strict=True
    ):
        region = np.zeros(response.shape, dtype=bool)
        picked = sequence.domain[tuple(slice(s // 2, None, s) for s in step)]
        picked = picked[tuple(slice(0, n) for n in response.shape)]
        region[tuple(slice(0, n) for n in picked.shape)] = picked
        for peak in local_maxima(response, region & (blob > blobness), threshold):
            index = _refine(response, peak) * step + (np.asarray(step) - 1) / 2
            at = tuple(peak)
            found.append(
                SequencePeak(
                    sequence.role,
                    sequence.grid.to_world(index),
                    diameter,
                    float(response[at]),
                    float(blob[at]),
                )
            )
    return found


def _refine(response: NDArray[np.float32], peak: NDArray[np.int64]) -> NDArray[np.float64]:
    """Maximum of a parabola through the neighbours along each axis, within half a sample."""
    result = peak.astype(np.float64)
    for axis in range(3):
        if not 0 < peak[axis] < response.shape[axis] - 1:
            continue
        step = np.eye(3, dtype=np.int64)[axis]
        before, here, after = (float(response[tuple(peak + s * step)]) for s in (-1, 0, 1))
        curvature = before - 2 * here + after
        if curvature < 0:
            result[axis] += float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))
    return result


def smoothed_contrast(sequence: Sequence, sigma_mm: float) -> NDArray[np.float32]:
    """The contrast lightly smoothed (floored per axis), for delineation and valleys."""
    return np.asarray(gaussian_filter(sequence.contrast, axis_sigma(sigma_mm, sequence.grid.spacing) * 0.999))
