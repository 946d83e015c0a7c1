"""Estimate a PET's or SPECT's resolution from how steep the edges of its strong foci are.

A ball of diameter D under a Gaussian of width F has, at half of its height h, the diameter W and the mean slope S
between 0.3 h and 0.7 h. q = W·S/h depends on D/F alone: 1.30 for a point, 0.9·D/F for a large ball. So W and q give
F of a focus: the mean of ln F over the D/F that q allows, since up to D = 1.5 F the slope hardly depends on D.
Noise makes edges look a little steeper; an uneven or moving focus looks wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import connected_above

__all__ = ["LEAST_SNR", "edge_fwhm", "image_fwhm", "sharpest_fwhm"]

#: The part of an edge whose slope is taken, between background (0) and peak (1).
EDGE = (0.3, 0.7)
#: A focus lower than this many SDs of the noise has edges that are noise's.
LEAST_SNR = 15.0
#: No PET or SPECT in clinical use resolves less (high-energy SPECT, 20 mm; breathing included).
WIDEST_MM = 25.0
#: q is read to about this (relative): voxels on an edge are few, and lesions are no balls.
SLOPE_ERROR = 0.06
#: Foci whose edges are worth reading measure this many resolution widths; all their logarithms are equally likely.
RATIOS = (0.5, 8.0)
#: So many strong foci make a quartile of their edges an upper bound of the resolution; one or two may be noise.
FEWEST_SHARP = 3
#: Fewer voxels on the edge give no mean slope.
LEAST_VOXELS = 12


def _profile(r: NDArray[np.float64], radius: float, sigma: float) -> NDArray[np.float64]:
    """A blurred ball's profile (spec lesions.md, partial volume)."""
    near, far = (radius - r) / (math.sqrt(2) * sigma), (radius + r) / (math.sqrt(2) * sigma)
    tail = sigma / (r * math.sqrt(2 * math.pi)) * (np.exp(-(near**2)) - np.exp(-(far**2)))
    return np.asarray(0.5 * (erf(near) + erf(far)) - tail)


@cache
def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """q = W·S/h and W/F over D/F, in equal steps of its logarithm."""
    slope, width = [], []
    for ratio in np.geomspace(*RATIOS, 60):
        r = np.linspace(1e-3, ratio / 2 + 3.0, 4000)
        values = _profile(r, float(ratio) / 2, 1.0 / FWHM_PER_SIGMA)
        height = float(values[0])
        w = 2.0 * float(r[np.argmax(values < 0.5 * height)])
        edge = (values > EDGE[0] * height) & (values < EDGE[1] * height)
        steep = float(np.average(-np.gradient(values, r)[edge], weights=r[edge] ** 2))
        slope.append(w * steep / height)
        width.append(w)
    return np.maximum.accumulate(np.asarray(slope)), np.asarray(width)


def edge_fwhm(
    values: NDArray[np.floating],
    top: tuple[int, int, int],
    background: float,
    basin: NDArray[np.bool_],
    spacing: NDArray[np.float64],
) -> float | None:
    """F (mm) of one focus from the mean slope of its edge; None where the edge has too few voxels.

    ``top`` is its hottest voxel, ``basin`` what is not another focus'. The steps of central differences (2 voxels)
    are taken off in quadrature.
    """
    height = float(values[top]) - background
    if height <= 0:
        return None
    half = connected_above(values, background + 0.5 * height, top, basin)
    foot = connected_above(values, background + EDGE[0] * height, top, basin)
    edge = foot & (values < background + EDGE[1] * height)
    if np.count_nonzero(edge) < LEAST_VOXELS:
        return None
    squares = [np.gradient(values.astype(np.float64), float(h), axis=a)[edge] ** 2 for a, h in enumerate(spacing)]
    steep = float(np.mean(np.sqrt(np.sum(squares, axis=0))))
    width = (6.0 * np.count_nonzero(half) * float(np.prod(spacing)) / math.pi) ** (1 / 3)
    slope, widths = _tables()
    likely = np.exp(-0.5 * (np.log(width * steep / height / slope) / SLOPE_ERROR) ** 2) + 1e-12
    f = width / math.exp(float(np.average(np.log(widths), weights=likely)))
    step = float(np.mean((2.0 * spacing) ** 2)) / 12.0 * FWHM_PER_SIGMA**2
    return math.sqrt(max(f * f - step, 0.0))


def image_fwhm(foci: Sequence[tuple[float | None, float]], least_mm: float) -> float:
    """F (mm) of an image from (F, height in noise SDs) of its foci: the median over the strong ones.

    Never below ``least_mm``, which stands where no focus is strong enough: a focus cannot be sharper than the
    scanner, and what makes it look so is noise.
    """
    strong = [f for f, snr in foci if f is not None and snr >= LEAST_SNR]
    if not strong:
        return least_mm
    return float(np.clip(np.median(strong), least_mm, max(WIDEST_MM, least_mm)))


def sharpest_fwhm(foci: Sequence[tuple[float | None, float]]) -> float | None:
    """The lower quartile (mm, voxels included) of the F that strong foci show; None with fewer than three.

    Uneven or moving foci look wider than the scanner blurs, none sharper: the image's resolution is no worse.
    """
    strong = [f for f, snr in foci if f is not None and snr >= LEAST_SNR]
    return float(np.percentile(strong, 25)) if len(strong) >= FEWEST_SHARP else None
