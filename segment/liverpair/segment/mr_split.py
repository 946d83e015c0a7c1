"""Part two lesions that one delineation ran together: where a neck joins them, each keeps its own side of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from skimage.segmentation import watershed

__all__ = ["split_at_neck"]

#: A neck thinner than this share of the thinner lesion joins two lesions; a lobulated one is wider than that.
NECK_SHARE = 0.7
#: How far (mm) around a seed its lesion's deepest voxel is looked for: seeds sit a voxel or two off the middle.
SEED_REACH_MM = 5.0

_Index = tuple[int, int, int]


def _deepest(depth: NDArray[np.float64], seed: _Index, spacing: NDArray[np.float64]) -> _Index:
    """The voxel of greatest depth within SEED_REACH_MM of the seed."""
    reach = np.maximum(np.round(SEED_REACH_MM / spacing).astype(int), 1)
    low = np.maximum(np.asarray(seed) - reach, 0)
    window = tuple(slice(int(a), int(s + r + 1)) for a, s, r in zip(low, seed, reach, strict=True))
    at = np.unravel_index(int(np.argmax(depth[window])), depth[window].shape)
    return int(low[0] + at[0]), int(low[1] + at[1]), int(low[2] + at[2])


def _neck(depth: NDArray[np.float64], one: _Index, other: _Index) -> float:
    """The greatest depth at which the two voxels are still connected (mm)."""
    low, high = 0.0, float(min(depth[one], depth[other]))
    while high - low > 0.1:
        middle = (low + high) / 2
        parts, _ = label(depth >= middle)
        low, high = (middle, high) if parts[one] == parts[other] else (low, middle)
    return low


def split_at_neck(
    region: NDArray[np.bool_], one: _Index, other: _Index, spacing: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """The part of ``region`` [i, j, k] that belongs to ``other``'s side of the neck; None where there is no neck.

    ``one`` and ``other`` are seeds inside the region, ``spacing`` the voxel steps in mm.
    """
    filled = np.argwhere(region)
    if not len(filled):
        return None
    low, high = filled.min(axis=0), filled.max(axis=0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    part = _split(region[box], _shifted(one, low), _shifted(other, low), spacing)
    if part is None:
        return None
    result = np.zeros_like(region)
    result[box] = part
    return result


def _shifted(index: _Index, low: NDArray[np.int64]) -> _Index:
    i, j, k = (int(n - a) for n, a in zip(index, low, strict=True))
    return i, j, k


def _split(
    region: NDArray[np.bool_], one: _Index, other: _Index, spacing: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """split_at_neck within the region's box."""
    depth = distance_transform_edt(np.pad(region, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    first, second = _deepest(depth, one, spacing), _deepest(depth, other, spacing)
    thinner = float(min(depth[first], depth[second]))
    if first == second or thinner <= float(spacing.min()) or _neck(depth, first, second) >= NECK_SHARE * thinner:
        return None
    markers = np.zeros(region.shape, dtype=np.int32)
    markers[first], markers[second] = 1, 2
    return np.asarray(watershed(-depth, markers, mask=region) == 2)
