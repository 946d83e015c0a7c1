"""Branching vessels: a tree that supplies random points of a territory, its calibre shrinking by Murray's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.simulate.space import Array, Space, capsule

__all__ = ["Segment", "grow_tree", "tree_distance"]

#: Murray: the cube of the calibre is conserved at a branching.
MURRAY_EXPONENT = 3.0
THINNEST_MM = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A straight piece of vessel, mm; the radius tapers from start to stop."""

    start: NDArray[np.float64]
    stop: NDArray[np.float64]
    radius_start: float
    radius_stop: float


def grow_tree(
    rng: np.random.Generator,
    root: NDArray[np.float64],
    targets: NDArray[np.float64],
    radius_mm: float,
) -> list[Segment]:
    """Grow a tree from ``root`` (3,) towards ``targets`` (n, 3): split the targets in two, walk half-way, repeat."""
    segments: list[Segment] = []
    pending = [(np.asarray(root, dtype=np.float64), targets, radius_mm)]
    while pending:
        node, group, radius = pending.pop()
        if radius < THINNEST_MM or len(group) == 0:
            continue
        share = 0.45 if len(group) > 1 else 0.9
        end = node + share * (group.mean(axis=0) - node)
        bend = (node + end) / 2 + rng.standard_normal(3) * 0.08 * np.linalg.norm(end - node)
        segments += [
            Segment(node, bend, radius, 0.97 * radius),
            Segment(bend, end, 0.97 * radius, 0.93 * radius),
        ]
        if len(group) < 2:
            continue
        spread = group - group.mean(axis=0)
        axis = np.linalg.svd(spread, full_matrices=False)[2][0]
        first = spread @ axis > np.median(spread @ axis) + rng.normal(0, 0.15) * spread.std()
        for half in (group[first], group[~first]):
            calibre = 0.93 * radius * max(len(half) / len(group), 0.05) ** (1 / MURRAY_EXPONENT)
            pending.append((end, half, calibre))
    return segments


def tree_distance(space: Space, segments: list[Segment]) -> Array:
    """Distance to a vessel tree, right within a few mm of it and large elsewhere."""
    result = np.full(space.shape, 1e3, dtype=np.float32)
    for piece in segments:
        reach = max(piece.radius_start, piece.radius_stop) + 2 * space.step
        box = space.window(np.minimum(piece.start, piece.stop) - reach, np.maximum(piece.start, piece.stop) + reach)
        distance = capsule(space.sub(box), piece.start, piece.stop, piece.radius_start, piece.radius_stop)
        result[box] = np.minimum(result[box], distance)
    return result
