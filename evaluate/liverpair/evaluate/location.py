"""Where in the liver a lesion lies: its depth under the capsule and its height between the lower edge and the dome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from liverpair.core.volume import Mask

__all__ = ["LiverLocation", "locate"]

#: The liver's extent is read from percentiles: one stray voxel of the mask must not move the dome.
EXTENT_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class LiverLocation:
    """``capsule_mm``: distance to the liver's surface (0 outside); ``height``: 0 at the lower edge, 1 at the dome."""

    capsule_mm: float
    height: float


def locate(liver: Mask, points: Sequence[NDArray[np.float64]]) -> list[LiverLocation]:
    """The location of each LPS mm point (3,) in the liver; refused (GeometryRefusal) for an empty mask."""
    start, stop = liver.bounds(margin_mm=2 * float(liver.grid.spacing.max()))
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    depth = distance_transform_edt(np.pad(liver.values[window], 1), sampling=liver.grid.spacing)
    low, high = np.percentile(liver.grid.to_world(np.argwhere(liver.values))[:, 2], EXTENT_PERCENTILES)
    found = []
    for point in points:
        index = np.rint(liver.grid.to_index(point)).astype(int) - start + 1
        inside = bool(np.all((index >= 0) & (index < depth.shape)))
        height = float(np.clip((point[2] - low) / max(float(high - low), 1e-6), 0.0, 1.0))
        found.append(LiverLocation(float(depth[tuple(index)]) if inside else 0.0, height))
    return found
