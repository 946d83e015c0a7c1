"""Matched filter for small balls in one MR sequence, whitened by the liver's own spectrum.

What hides a lesion of a few millimetres is noise, texture and vessels. Their power spectrum is measured inside the
liver, and a blurred ball's template is divided by it: the best linear detector of a known shape in a stationary
background. Its answer is in robust SDs of itself over the liver, so that thresholds mean the same at any noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.ndimage import distance_transform_edt, gaussian_filter

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import within
from liverpair.segment.scale_space import robust_sd

__all__ = ["SMALL_MM", "Matched", "match_balls"]

#: Diameters (mm) that are matched. Larger foci have enough voxels for their curvature to tell.
SMALL_MM = (3.0, 4.0, 5.6)
#: The point spread per axis in voxels as acquired (FWHM): a sinc's width in the plane; across slices the slice's box,
#: which the template has anyway, and little more.
PSF_VOXELS, PSF_SLICE_VOXELS = 1.2, 0.6
#: Slices are at least this much thicker than the in-plane voxel.
SLICE_RATIO = 1.3
#: Contrast beyond this many SDs is cut: a large lesion would ring over its whole neighbourhood; and for the spectrum,
#: which is to be that of noise and vessels.
MOST_CONTRAST, MOST_CLUTTER = 15.0, 3.0
#: The spectrum is smoothed over structures of this length (mm): an average over many independent frequencies.
SPECTRUM_MM = 100.0
#: Share of the mean power that every frequency is given: interpolated images hold nothing at high ones, and dividing
#: by nothing would answer to rounding. A noise floor under many vessels lies at a quarter.
LEAST_POWER = 0.1
#: A frequency is part of what was acquired where its power exceeds this share of the low frequencies' median.
BAND_SHARE = 0.1
#: What is over the first (SDs, of either sign) as far as a ball of the second's radius (mm) fits in is too large to be
#: a small focus, and rings in a whitened filter: it is taken out with a border as wide as the third (mm, blur).
LARGE_SDS, LARGE_RADIUS_MM, LARGE_BORDER_MM = 4.0, 5.0, 2.0
#: Padding (mm) that keeps the filter from wrapping around.
PAD_MM = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Answers of one sequence: ``z[n]`` [i, j, k] in robust SDs for ``SMALL_MM[n]``; ``gains[n]`` is the answer to a
    ball of contrast 1 at its centre.
    """

    z: tuple[NDArray[np.float32], ...]
    gains: tuple[float, ...]


def match_balls(
    contrast: NDArray[np.float32], liver: NDArray[np.bool_], spacing: NDArray[np.float64], noise: float
) -> Matched:
    """Filter a contrast image (lesions positive, liver 0) whose voxels in ``liver`` have the robust SD ``noise``."""
    shape = tuple(
        next_fast_len(n + math.ceil(PAD_MM / h), real=True) for n, h in zip(contrast.shape, spacing, strict=True)
    )
    power = _spectrum(contrast, liver, spacing, shape, noise)
    squares = _squared_frequencies(shape, spacing)
    blur = _transfer(squares, spacing, _acquired_voxel(power, shape, spacing))
    limit = MOST_CONTRAST * noise
    data = rfftn(np.clip(contrast, -limit, limit), shape)
    small = _without_large(contrast, spacing, noise)
    asked = data if small is contrast else rfftn(np.clip(small, -limit, limit), shape)
    radial = np.sqrt(squares[0] + squares[1] + squares[2])
    answers, gains = [], []
    for diameter in SMALL_MM:
        template = _ball(radial, diameter) * blur / float(np.prod(spacing))
        weight = template / power
        crop = tuple(slice(0, n) for n in contrast.shape)
        answer = irfftn(data * weight, shape)[crop]
        middle, sd = robust_sd(answer[liver])  # of all that is there: what is taken out would make the rest seem quiet
        sd = max(sd, 1e-12)
        if asked is not data:
            answer = irfftn(asked * weight, shape)[crop]
        answers.append(np.asarray((answer - middle) / sd, dtype=np.float32))
        gains.append(_at_origin(template * weight, shape) / sd)
    return Matched(tuple(answers), tuple(gains))


def _without_large(contrast: NDArray[np.float32], spacing: NDArray[np.float64], noise: float) -> NDArray[np.float32]:
    """The contrast, 0 in and beside what is too large to be a small focus."""
    core = distance_transform_edt(np.abs(contrast) > LARGE_SDS * noise, sampling=spacing) > LARGE_RADIUS_MM
    if not core.any():
        return contrast
    return np.where(within(core, spacing, LARGE_RADIUS_MM + LARGE_BORDER_MM), np.float32(0), contrast)


def _spectrum(
    contrast: NDArray[np.float32],
    liver: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    shape: tuple[int, ...],
    noise: float,
) -> NDArray[np.float32]:
    """Power of noise and vessels in the liver by frequency (half spectrum), mean 1 where nothing is floored."""
    limit = MOST_CLUTTER * noise
    inside = np.clip(contrast, -limit, limit) * liver
    inside -= float(inside.sum()) / max(int(np.count_nonzero(liver)), 1) * liver
    raw = np.square(np.abs(rfftn(inside, shape)), dtype=np.float32)
    width = [n * h / SPECTRUM_MM for n, h in zip(shape, spacing, strict=True)]
    power = gaussian_filter(raw, width, mode=("wrap", "wrap", "nearest"), truncate=2.0)
    mean = float(power.mean())
    if mean <= 0:
        return np.ones_like(power)
    return np.maximum(power / mean, LEAST_POWER).astype(np.float32)


def _squared_frequencies(shape: tuple[int, ...], spacing: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """f² per axis (cycles/mm)², shaped for broadcasting over the half spectrum."""
    lines = [np.fft.fftfreq(shape[0], spacing[0]), np.fft.fftfreq(shape[1], spacing[1])]
    lines.append(np.fft.rfftfreq(shape[2], spacing[2]))
    return [
        np.square(line).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, line in enumerate(lines)
    ]


def _acquired_voxel(
    power: NDArray[np.float32], shape: tuple[int, ...], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Voxel size (mm) as acquired: interpolation leaves an empty band of high frequencies along an axis."""
    voxel = np.array(spacing, dtype=np.float64)
    for axis in range(3):
        along = power.mean(axis=tuple(a for a in range(3) if a != axis))
        half = along[: shape[axis] // 2 + 1]
        full = np.flatnonzero(half > max(BAND_SHARE * float(np.median(half[: len(half) // 2 + 1])), 1.01 * LEAST_POWER))
        edge = (int(full[-1]) + 1) / len(half) if len(full) else 1.0
        voxel[axis] /= max(edge, 0.25)
    return voxel


def _transfer(
    squares: list[NDArray[np.float32]], spacing: NDArray[np.float64], voxel: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Transfer function of voxel box and point spread; thick slices have little more than their box."""
    result = np.ones((1, 1, 1), dtype=np.float32)
    thinnest = float(spacing.min())
    for square, step, size in zip(squares, spacing, voxel, strict=True):
        factor = PSF_SLICE_VOXELS if step > SLICE_RATIO * thinnest else PSF_VOXELS
        sigma = factor * size / FWHM_PER_SIGMA
        gauss = np.exp(-2 * math.pi**2 * sigma**2 * square) * np.sinc(np.sqrt(square) * size)
        result = result * gauss.astype(np.float32)
    return result


def _ball(radial: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Fourier transform of a ball of ``diameter`` mm (its volume at frequency 0) over |f| in cycles/mm."""
    x = np.maximum(np.pi * diameter * radial, 1e-2)  # below it the series' next term is 1e-5
    return np.asarray(4 * np.pi * (diameter / 2) ** 3 * (np.sin(x) - x * np.cos(x)) / x**3, dtype=np.float32)


def _at_origin(half: NDArray[np.float32], shape: tuple[int, ...]) -> float:
    """The inverse transform's value at the origin of a real, even half spectrum."""
    total = 2 * float(half.sum()) - float(half[..., 0].sum())
    if shape[2] % 2 == 0:
        total -= float(half[..., -1].sum())
    return total / math.prod(shape)
