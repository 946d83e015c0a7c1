"""Measure the bile beside a focus: what the hepatobiliary phase shows brighter than the liver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liverpair.segment.mr_evidence import Sequence

__all__ = ["BESIDE_BILE", "BESIDE_BILE_SHARE", "lies_beside_bile"]

#: Bile that holds the contrast agent is brighter than the liver around it by this share, and by so many SDs of noise.
#: Shading, vessels' inflow and thin ducts beside metastases reach 0.3 on 235 mm³, and 0.5 on none (some 50 of them
#: below 10 mm, three simulators); the gap between a gallbladder's neck and the liver, called one, had 35 mm³ at 0.5.
BRIGHTER, OVER_NOISE = 0.5, 6.0
#: It counts within this distance (mm) of a focus' border, from this volume (mm³) on: a duct of 3 mm that passes there.
REACH_MM, LEAST_MM3 = 3.0, 15.0
#: Larger foci are told from bile by their own form.
LARGEST_MM = 10.0
#: The flag, and the share of its confidence that such a focus keeps: fluid beside it is as bright on T2 and on
#: diffusion-weighted images as cells are, and the fat between two bright things as dark as a lesion.
BESIDE_BILE, BESIDE_BILE_SHARE = "beside_bile", 0.5


def lies_beside_bile(sequences: dict[str, Sequence], centre_lps: NDArray[np.float64], diameter_mm: float) -> bool:
    """Whether a small focus (centre LPS mm, diameter mm) touches bile; False without a hepatobiliary phase."""
    sequence = sequences.get("mr-hbp")
    if sequence is None or diameter_mm >= LARGEST_MM:
        return False
    reach = diameter_mm / 2 + REACH_MM
    at, spacing = sequence.grid.to_index(centre_lps), sequence.grid.spacing
    low = np.maximum(np.floor(at - reach / spacing), 0).astype(int)
    high = np.maximum(np.ceil(at + reach / spacing).astype(int) + 1, low)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    part = sequence.raw[window]
    away = (np.moveaxis(np.indices(part.shape), 0, -1) + low - at) * spacing
    bright = (part > max(BRIGHTER, OVER_NOISE * sequence.noise)) & (np.linalg.norm(away, axis=-1) <= reach)
    return float(bright.sum()) * float(np.prod(spacing)) >= LEAST_MM3
