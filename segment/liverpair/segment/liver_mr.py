"""Prepare an MR image for the liver search: coil shading removed, noise reduced, lung and air excluded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.volume import Volume
from liverpair.segment.liver_body import body_of_mr
from liverpair.segment.liver_features import Features, smooth_within
from liverpair.segment.liver_grid import anatomical_grid, part_of, sample
from liverpair.segment.liver_morphology import BoolArray
from liverpair.segment.liver_shading import shading

__all__ = ["UNSHADED", "prepare_mr", "remove_bias"]

#: N4 sees every sixth work voxel (18 mm): shading is smoother than 50 mm.
N4_SHRINK = 6
#: Fitting levels; the finest B-spline knots lie an eighth of the field of view apart. A coil that makes a liver vary
#: by 25 % takes four levels of 50 (to 4 %; three of 20 left 22 %), and no stop before.
N4_ITERATIONS = (50, 50, 50, 50)
N4_CONVERGED = 1e-5
SMOOTH_MM = 2.0
#: Brighter than this many times the liver's highest possible intensity is clipped, so that fluid does not spread
#: into its neighbours; clipped any lower, bile and kidneys beside a bright liver would look like it.
CLIPPED_AT = 2.0
#: Shading that N4 leaves across a liver, and the least and most sd of normal liver (fractions).
TOLERANCES = (0.30, 0.06, 0.15)
#: In T2 bowel and fat come near to the liver's intensity, which N4's sharpening levels out: there the shading is read
#: inside the tissues (``liver_shading``), which leaves livers of four simulators an sd of 2–6 % and halves within 4 %
#: (N4: 3–29 %, 16 %). N4 and its tolerances let in fat of 0.85 of the liver's intensity (Dice 0.64 instead of 0.96).
UNSHADED = frozenset({"mr-t2"})
TOLERANCES_UNSHADED = (0.06, 0.02, 0.12)
#: The darkest the liver can be: (percentile of the trunk, factor on it). On hepatobiliary, portal and
#: diffusion-weighted images it is brighter than half of the trunk; on the others (fat may be bright, iron may
#: darken the liver) it is only required to be well above lung and air.
LOWEST = {"mr-hbp": (50, 1.0), "mr-portal": (50, 1.0), "mr-dwi": (50, 1.0)}
LOWEST_ELSE = (25, 0.5)


def remove_bias(
    values: NDArray[np.float32],
    body: BoolArray,
    spacing: NDArray[np.float64],
    iterations: tuple[int, ...] = N4_ITERATIONS,
) -> NDArray[np.float32]:
    """``values`` without their multiplicative shading (N4 in the body, on a coarse grid); same median."""
    import SimpleITK as sitk  # noqa: N813 - its documentation's name; here, since statistics alone never need it

    image = sitk.GetImageFromArray(np.maximum(values, 1e-3 * float(values[body].mean())))
    image.SetSpacing([float(s) for s in spacing[::-1]])
    mask = sitk.GetImageFromArray(body.astype(np.uint8))
    mask.CopyInformation(image)
    factor = [max(1, min(N4_SHRINK, size // 8)) for size in image.GetSize()]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(list(iterations))
    n4.SetConvergenceThreshold(N4_CONVERGED)
    n4.Execute(sitk.Shrink(image, factor), sitk.Shrink(mask, factor))
    field = np.exp(np.clip(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)), -2.0, 2.0))
    field = field / float(np.median(field[body]))
    return np.asarray(values / field, dtype=np.float32)


def prepare_mr(image: Volume, role: str, spacing_mm: float, by_tissues: bool = False) -> Features | None:
    """Features of an MR image of contrast ``role`` on the work grid; None where nothing rises above noise.

    ``by_tissues``: its shading is read inside the tissues, as that of ``UNSHADED`` contrasts always is.
    """
    grid = anatomical_grid(image.grid, spacing_mm)
    values = sample(image, grid, fill=None)
    values = np.maximum(values, 0)
    body = body_of_mr(values, grid.spacing)
    if body is None or not body.tissue.any():
        return None
    log: NDArray[np.float32] | None = None
    if role in UNSHADED or by_tissues:
        log = shading(values, body.tissue, grid.spacing)
        flat = np.asarray(values / np.exp(log), dtype=np.float32)
    else:
        flat = remove_bias(values, body.tissue, grid.spacing)
    top = float(np.percentile(flat[body.inside], 99.5))
    window = body.window(grid.spacing)
    grid, body, flat = part_of(grid, window), body.cropped(window), flat[window]
    log = None if log is None else log[window]
    quiet = ndimage.median_filter(np.minimum(flat, CLIPPED_AT * top), size=3)
    smooth = smooth_within(quiet, body.tissue, SMOOTH_MM, grid.spacing)
    quantile, factor = LOWEST.get(role, LOWEST_ELSE)
    low = factor * float(np.percentile(smooth[body.tissue], quantile))
    allowed = np.ones(flat.shape, dtype=bool)
    tolerances = TOLERANCES_UNSHADED if role in UNSHADED else TOLERANCES
    return Features(grid, flat, smooth, body, allowed, (low, top), tolerances, (0.0, 0.0, 0.0), log)
