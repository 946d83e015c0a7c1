"""Part regions of neighbours of different kinds: what both claim goes to the nearer one, in units of its diameter.

A cyst, a haemangioma or the gallbladder beside a metastasis is as dark in the hepatobiliary phase, so that the region
of either may hold both; painted as one they would be called by one name, and a metastasis be lost in a cyst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.segment.mr_regions import MrRegion

__all__ = ["Claim", "part_kinds"]

#: Two foci lie apart from this share of the larger one's diameter on; nearer, one is a part (or the core) of the other.
APART = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A focus' region, its centre (LPS mm) and diameter (mm), and what it is taken for."""

    region: MrRegion
    lps: NDArray[np.float64]
    diameter_mm: float
    kind: str


def part_kinds(claims: Sequence[Claim], grid: Grid) -> list[MrRegion]:
    """The regions (on ``grid``, in the order of the claims), each without what belongs to a neighbour of another kind.

    A region of which nothing would be left stays as it is.
    """
    return [_parted(claim, [other for other in claims if _contest(claim, other)], grid) for claim in claims]


def _parted(claim: Claim, others: list[Claim], grid: Grid) -> MrRegion:
    voxels = claim.region.voxels
    if not others:
        return claim.region
    index = np.argwhere(voxels)
    places = np.asarray(grid.to_world((index + claim.region.low).astype(np.float64)))
    own = _distances(claim, places)
    nearest = np.all([own <= _distances(other, places) for other in others], axis=0)
    kept = np.zeros_like(voxels)
    kept[tuple(index[nearest].T)] = True
    return replace(claim.region, voxels=kept if kept.any() else voxels, kind=claim.kind)


def _distances(claim: Claim, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n,) of places (n, 3) LPS mm from the claim's centre, in its diameters."""
    return np.asarray(np.linalg.norm(places - claim.lps, axis=1) / claim.diameter_mm)


def _contest(one: Claim, other: Claim) -> bool:
    """Whether two foci of different kinds lie apart and both claim a voxel."""
    return other.kind != one.kind and _apart(one, other) and _meet(one.region, other.region)


def _apart(one: Claim, other: Claim) -> bool:
    gap = float(np.linalg.norm(one.lps - other.lps))
    return gap >= APART * max(one.diameter_mm, other.diameter_mm)


def _meet(one: MrRegion, other: MrRegion) -> bool:
    """Whether the two regions share a voxel."""
    low = np.maximum(one.low, other.low)
    high = np.minimum(one.low + one.voxels.shape, other.low + other.voxels.shape)
    if np.any(high <= low):
        return False
    parts = []
    for region in (one, other):
        window = tuple(slice(int(a), int(b)) for a, b in zip(low - region.low, high - region.low, strict=True))
        parts.append(region.voxels[window])
    return bool(np.any(parts[0] & parts[1]))
