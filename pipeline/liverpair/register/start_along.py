"""Starts where the liver of one image alone is known: it is laid on the other body at every height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.register.settings import AlongSettings
from liverpair.register.start import Start, translation

__all__ = ["AlongSettings", "starts_along"]

#: Every third voxel in plane and every second slice show a body well enough.
COARSE = (3, 3, 2)


def _body(image: Volume) -> NDArray[np.float64]:
    """LPS mm of places (n, 3) that are no air: over −300 HU, or over a tenth of the brightest elsewhere."""
    part = image.values[:: COARSE[0], :: COARSE[1], :: COARSE[2]]
    level = -300.0 if image.unit is Unit.HOUNSFIELD else 0.1 * float(np.quantile(part, 0.95))
    return image.grid.to_world(np.argwhere(part > level) * COARSE)


def _middle_at(body: NDArray[np.float64], height: float, half_mm: float) -> NDArray[np.float64]:
    """x and y (LPS mm) of the middle of the body within ``half_mm`` of a height; of the whole where it is not shown."""
    near = body[np.abs(body[:, 2] - height) <= half_mm]
    near = near if len(near) else body
    return np.asarray((np.quantile(near[:, :2], 0.02, axis=0) + np.quantile(near[:, :2], 0.98, axis=0)) / 2)


def starts_along(
    known: Volume, liver: Mask, other: Volume, known_is_fixed: bool, settings: AlongSettings
) -> list[Start]:
    """Shifts that lay the known liver's middle at every height of the other image, the bodies on each other.

    A whole-body CT is long and a liver MRI short, so that neither their middles nor the bodies' say where the liver of
    the other one lies. Heights are along the LPS z axis, ``step_mm`` apart. Empty where the other image shows no body.
    """
    here, there = _body(known), _body(other)
    if len(here) == 0 or len(there) == 0:
        return []
    start, stop = liver.bounds()
    corners = liver.grid.cropped(start, stop).corners()
    half = float(np.ptp(corners[:, 2])) / 2
    height = float(corners[:, 2].mean())
    origin = np.append(_middle_at(here, height, half), height)
    seen = other.grid.corners()[:, 2]
    reach = max(float(np.ptp(seen)) / 2 - half, 0.0) + settings.beyond_mm
    count = int(np.ceil(reach / settings.step_mm))
    starts = []
    for i in range(-count, count + 1):
        place = float(seen.mean()) + i * settings.step_mm
        shift = np.append(_middle_at(there, place, half), place) - origin
        name = f"body at {i * settings.step_mm:+.0f} mm"
        starts.append(Start(name, translation(shift if known_is_fixed else -shift)))
    return starts
