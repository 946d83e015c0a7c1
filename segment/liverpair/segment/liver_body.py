"""Find the body and its air, and where a voxel lies in it: the frame for the liver's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from liverpair.segment.liver_morphology import BoolArray, box_of, depth, dilate, fill_slices, largest, opened

__all__ = ["AIR_MM", "Body", "body_of_ct", "body_of_mr"]

#: Between lung (−850 HU) and fat (−100 HU): above it there is tissue.
TISSUE_HU = -300.0
#: A ball of this radius does not fit into a table top or a gown's fold, but into any trunk.
TABLE_OPENING_MM = 10.0
#: Air pockets smaller than this are bowel gas, larger ones may be a lung.
LUNG_ML = 150.0
#: Air that is kept around the trunk (mm): more than any closing reaches, to which an array's border is no edge.
AIR_MM = 30.0
#: A chest's wall that is thinner than the opening's ball lies within this of its lung (mm). Room air under a strap or
#: beside an arm is darker than the median of any lung; a hollow table top lies behind the trunk.
WALL_MM, ROOM_AIR_HU = 25.0, -960.0
#: The right dome lies between these half widths (heart and body wall are beyond) and this near to the coronal plane
#: through the body's middle (half depths); this share (%) of the lung's base there lies below its summit.
DOME_LATERAL, DOME_DORSAL, DOME_SHARE = (-0.75, -0.3), 0.5, 95


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The trunk on the work grid (axes +i left, +j posterior, +k cranial).

    ``inside`` is the body with its air, ``tissue`` without. ``skin_mm`` is the distance to the skin.
    ``lung`` holds big air pockets inside. ``midline`` (nk,), ``half_width`` (nk,), ``middle`` (nk,) and
    ``half_depth`` (nk,) are in voxels per axial slice: centre and half extents along i and j. ``aerated``: whether
    ``lung`` is known to be air (CT); in MRI it is whatever is dark, and may be open to the outside.
    """

    inside: BoolArray
    tissue: BoolArray
    lung: BoolArray
    skin_mm: NDArray[np.float32]
    midline: NDArray[np.float64]
    half_width: NDArray[np.float64]
    middle: NDArray[np.float64]
    half_depth: NDArray[np.float64]
    aerated: bool = False

    def lateral(self) -> NDArray[np.float64]:
        """−1 at the patient's right skin, 0 in the midline, +1 at the left, shape (ni, 1, nk)."""
        i = np.arange(self.inside.shape[0])[:, None]
        return ((i - self.midline) / self.half_width)[:, None, :]

    def right_dome(self) -> int | None:
        """The slice (k) of the right diaphragm's summit, from the lung on it; None where no air shows a lung there."""
        seen = self.lung.any(axis=2)
        if not self.aerated or not seen.any():
            return None
        base = self.lung.argmax(axis=2)
        k = int(np.median(base[seen]))
        lateral, dorsal = self.lateral()[:, :, k], self.dorsal()[:, :, k]
        under = base[seen & (lateral > DOME_LATERAL[0]) & (lateral < DOME_LATERAL[1]) & (np.abs(dorsal) < DOME_DORSAL)]
        return int(np.percentile(under, DOME_SHARE)) if len(under) else None

    def cropped(self, window: tuple[slice, slice, slice]) -> Body:
        """The same body on the part of the grid inside an index window, without holding on to the rest."""
        first = [w.start or 0 for w in window]
        return Body(
            inside=self.inside[window].copy(),
            tissue=self.tissue[window].copy(),
            lung=self.lung[window].copy(),
            skin_mm=self.skin_mm[window].copy(),
            midline=self.midline[window[2]] - first[0],
            half_width=self.half_width[window[2]],
            middle=self.middle[window[2]] - first[1],
            half_depth=self.half_depth[window[2]],
            aerated=self.aerated,
        )

    def window(self, spacing: NDArray[np.float64]) -> tuple[slice, slice, slice]:
        """The trunk's index box with a margin of air, whole along k: all that a search needs to look at."""
        i, j, _ = box_of(self.inside, int(np.ceil(AIR_MM / float(spacing.min()))))
        return i, j, slice(0, self.inside.shape[2])

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


def _describe(inside: BoolArray, air: BoolArray, spacing: NDArray[np.float64], aerated: bool) -> Body | None:
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
        aerated=aerated,
    )


def body_of_ct(hu: NDArray[Any], spacing: NDArray[np.float64]) -> Body | None:
    """The trunk in a CT (HU on the work grid): the largest thing that no table top can be; None if empty."""
    tissue = hu > TISSUE_HU
    core = largest(opened(tissue, TABLE_OPENING_MM, spacing))
    inside = _with_thin_chest(fill_slices(core), tissue, hu, spacing)
    return _describe(inside, inside & ~tissue, spacing, aerated=True)


def _with_thin_chest(inside: BoolArray, tissue: BoolArray, hu: NDArray[Any], spacing: NDArray[np.float64]) -> BoolArray:
    """The trunk with the lungs (and their wall) that its opening left open: a slender chest's wall holds no ball."""
    if not inside.any():
        return inside
    labels, count = ndimage.label(fill_slices(largest(tissue)) & ~tissue & ~inside)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * float(np.prod(spacing)) / 1000
    back = int(np.flatnonzero(inside.any(axis=(0, 2)))[-1])
    out = inside
    for n in np.flatnonzero(sizes >= LUNG_ML):
        air = labels == n
        if n == 0 or float(np.median(hu[air])) < ROOM_AIR_HU or np.median(np.nonzero(air)[1]) > back:
            continue
        out = out | air | (dilate(air, WALL_MM, spacing) & tissue)
    return out if out is inside else fill_slices(out)


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
    return _describe(inside, inside & ~tissue, spacing, aerated=False)
