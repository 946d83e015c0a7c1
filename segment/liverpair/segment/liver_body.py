"""Find the body and its air, and where a voxel lies in it: the frame for the liver's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from liverpair.segment.liver_morphology import BoolArray, depth, fill_slices, largest, opened

__all__ = ["Body", "body_of_ct", "body_of_mr"]

#: Between lung (−850 HU) and fat (−100 HU): above it there is tissue.
TISSUE_HU = -300.0
#: A ball of this radius does not fit into a table top or a gown's fold, but into any trunk.
TABLE_OPENING_MM = 10.0
#: Air pockets smaller than this are bowel gas, larger ones may be a lung.
LUNG_ML = 150.0


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The trunk on the work grid (axes +i left, +j posterior, +k cranial).

    ``inside`` is the body with its air, ``tissue`` without. ``skin_mm`` is the distance to the skin.
    ``lung`` holds big air pockets inside. ``midline`` (nk,), ``half_width`` (nk,), ``middle`` (nk,) and
    ``half_depth`` (nk,) are in voxels per axial slice: centre and half extents along i and j.
    """

    inside: BoolArray
    tissue: BoolArray
    lung: BoolArray
    skin_mm: NDArray[np.float32]
    midline: NDArray[np.float64]
    half_width: NDArray[np.float64]
    middle: NDArray[np.float64]
    half_depth: NDArray[np.float64]

    def lateral(self) -> NDArray[np.float64]:
        """−1 at the patient's right skin, 0 in the midline, +1 at the left, shape (ni, 1, nk)."""
        i = np.arange(self.inside.shape[0])[:, None]
        return ((i - self.midline) / self.half_width)[:, None, :]

    def dorsal(self) -> NDArray[np.float64]:
        """−1 at the belly's skin, +1 at the back's, shape (1, nj, nk)."""
        j = np.arange(self.inside.shape[1])[:, None]
        return ((j - self.middle) / self.half_depth)[None, :, :]


def _extent(profile: BoolArray) -> tuple[float, float]:
    used = np.flatnonzero(profile)
    return (float(used[0]), float(used[-1])) if len(used) else (np.nan, np.nan)


def _smooth_fill(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fill slices without body from their neighbours and smooth over five slices (arms, folds)."""
    good = np.isfinite(values)
    index = np.arange(len(values))
    filled = np.interp(index, index[good], values[good])
    return np.asarray(ndimage.median_filter(filled, size=min(9, len(values)), mode="nearest"))


def _describe(inside: BoolArray, air: BoolArray, spacing: NDArray[np.float64]) -> Body | None:
    if not inside.any():
        return None
    ends = np.asarray(
        [
            [*_extent(np.asarray(inside[:, :, k].any(axis=1))), *_extent(np.asarray(inside[:, :, k].any(axis=0)))]
            for k in range(inside.shape[2])
        ]
    )
    left, right, front, back = (_smooth_fill(ends[:, c]) for c in range(4))
    labels, count = ndimage.label(air & inside)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(spacing)) / 1000
    keep = sizes >= LUNG_ML
    keep[0] = False
    return Body(
        inside=inside,
        tissue=inside & ~air,
        lung=keep[labels],
        skin_mm=depth(inside, spacing),
        midline=(left + right) / 2,
        half_width=np.maximum((right - left) / 2, 1),
        middle=(front + back) / 2,
        half_depth=np.maximum((back - front) / 2, 1),
    )


def body_of_ct(hu: NDArray[Any], spacing: NDArray[np.float64]) -> Body | None:
    """The trunk in a CT (HU on the work grid): the largest thing that no table top can be; None if empty."""
    tissue = hu > TISSUE_HU
    core = largest(opened(tissue, TABLE_OPENING_MM, spacing))
    inside = fill_slices(core)
    return _describe(inside, inside & ~tissue, spacing)


def body_of_mr(signal: NDArray[Any], spacing: NDArray[np.float64]) -> Body | None:
    """The trunk in an MR image (any contrast, on the work grid): what rises above the air's noise.

    Half of Otsu's threshold of the square-rooted signal keeps dark muscle; lungs and bowel gas fall below it.
    """
    top = float(np.percentile(signal, 99))
    if not top > 0:
        return None
    root = np.sqrt(np.clip(signal, 0, top))
    level = 0.6 * float(threshold_otsu(root))
    tissue = ndimage.gaussian_filter(root, 1.0) > level
    core = largest(opened(tissue, TABLE_OPENING_MM, spacing))
    inside = fill_slices(core)
    return _describe(inside, inside & ~tissue, spacing)
