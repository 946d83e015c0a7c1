"""Regions loaded from a file: masks and names by number, on one grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import LabelMap, Mask

__all__ = ["Labels"]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Regions that were loaded: a mask and a name by number, all on one grid."""

    grid: Grid
    masks: Mapping[int, Mask]
    names: Mapping[int, str]

    def label_map(self) -> LabelMap:
        """All regions in one map; Refusal("overlapping_regions") where a voxel belongs to two."""
        values = np.zeros(self.grid.shape, dtype=np.uint16)
        for number, mask in self.masks.items():
            if np.any(values[mask.values]):
                raise Refusal(
                    "overlapping_regions",
                    "two regions share voxels, which one label map cannot say; choose one by number",
                )
            values[mask.values] = number
        return LabelMap(values, self.grid)
