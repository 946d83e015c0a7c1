"""Painting organs: each part keeps only the samples it touches; a later part covers an earlier one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.simulate.space import Array, Space, coverage, ellipsoid, tube
from liverpair.simulate.texture import SmoothField

__all__ = ["Box", "Painter", "Part"]

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One painted tissue: the flat indices of the samples it touches and the fraction it covers of each.

    A tissue that is the same on every slice has ``index`` None and a fraction of shape (nx, ny, 1).
    """

    tissue: str
    index: NDArray[np.int64] | None
    fraction: Array


class Painter:
    """Collects parts; each is drawn only in the index box where its organ can be."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.parts: list[Part] = []

    def paint(self, tissue: str, distance: Array, box: Box | None = None) -> None:
        """Add a tissue by its distance on the whole space or on an index box."""
        fraction = coverage(distance, self.space.step)
        if box is None and distance.shape[2] == 1:
            self.parts.append(Part(tissue, None, fraction))
            return
        starts = (0, 0, 0) if box is None else tuple(b.start for b in box)
        local = np.nonzero(fraction)
        where = [n + start for n, start in zip(local, starts, strict=True)]
        index = np.ravel_multi_index((where[0], where[1], where[2]), self.space.shape)
        self.parts.append(Part(tissue, index, fraction[local]))

    def ellipsoid(
        self,
        tissue: str,
        centre: NDArray[np.float64],
        radii: NDArray[np.float64],
        degrees: tuple[float, float, float] = (0, 0, 0),
        limit: Array | None = None,
        wobble: SmoothField | None = None,
    ) -> None:
        """Add an ellipsoid, kept inside ``limit`` (a distance), optionally wobbling by 2 mm."""
        reach = float(np.max(radii)) + 6
        box = self.space.window(centre - reach, centre + reach)
        sub = self.space.sub(box)
        distance = ellipsoid(sub, centre, radii, degrees)
        if wobble is not None:
            distance = distance + np.float32(2.0) * wobble.on(sub)
        if limit is not None:
            inside = limit[tuple(b if n > 1 else slice(None) for b, n in zip(box, limit.shape, strict=True))]
            distance = np.maximum(distance, inside)
        self.paint(tissue, distance, box)

    def tube(self, tissue: str, path: NDArray[np.float64], radius: float, limit: Array | None = None) -> None:
        """Add a bent tube along ``path`` (n, 3)."""
        box = self.space.window(path.min(axis=0) - radius - 4, path.max(axis=0) + radius + 4)
        distance = tube(self.space.sub(box), path, radius)
        if limit is not None:
            inside = limit[tuple(b if n > 1 else slice(None) for b, n in zip(box, limit.shape, strict=True))]
            distance = np.maximum(distance, inside)
        self.paint(tissue, distance, box)
