"""What every liver backend answers to, and the one way in which a mask made elsewhere becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver import LiverSegmentation
from liverpair.segment.liver_quality import TRUNCATED_CM2, QualityLimits

__all__ = ["LiverBackend", "finished", "implausible"]

#: A model's mask that loses more than this when only its largest piece is kept is worth a look.
STRAY_FRACTION = 0.01
#: The largest inscribed ball is measured on a grid no finer than this: its limit is tens of millimetres.
BALL_STEP_MM = 3.0


class LiverBackend(Protocol):
    """Anything that finds the liver in an image; the answer's mask lies on the image's grid."""

    @property
    def name(self) -> str:
        """The backend's name in settings and provenance."""
        ...

    def prepare(self, role: str) -> None:
        """Check that all is there for images of ``role``, before the first case; UsageError says what is missing."""
        ...

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver in ``image`` of role "ct" or "mr-…"; ``pet`` (SUVbw) may help where a backend can use it."""
        ...


def _largest_piece(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(values, structure=np.ones((3, 3, 3)))
    if count <= 1:
        return values
    sizes = np.bincount(labels.ravel())
    return np.asarray(labels == 1 + int(np.argmax(sizes[1:])))


def finished(
    values: NDArray[np.bool_], image: Volume, limits: QualityLimits, facts: Mapping[str, Any]
) -> LiverSegmentation:
    """The answer made of a model's liver voxels ``values`` (bool, on the image's grid).

    Only the largest piece stays (flag "pieces_removed" where that takes more than 1 %), and what it encloses on
    all sides belongs to it: models leave metastases and vessels out, and a lesion outside the mask is never
    looked for. Failed: nothing_found, or what ``implausible`` says.
    """
    found = int(np.count_nonzero(values))
    if found == 0:
        return LiverSegmentation(None, "failed", ("nothing_found",), 0.0, dict(facts))
    kept = _largest_piece(values)
    stray = 1 - int(np.count_nonzero(kept)) / found
    full = np.asarray(ndimage.binary_fill_holes(kept))
    mask = Mask(full, image.grid)
    failures, flags = implausible(mask, limits)
    if stray > STRAY_FRACTION:
        flags = (*flags, "pieces_removed")
    numbers = {
        "stray_fraction": stray,
        "enclosed_ml": (int(full.sum()) - int(kept.sum())) * image.grid.voxel_volume_mm3 / 1000,
    }
    verdict = "failed" if failures else "usable"
    return LiverSegmentation(mask, verdict, (*failures, *flags), mask.volume_ml, {**facts, **numbers})


def implausible(mask: Mask, limits: QualityLimits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why this mask can be no whole liver (codes), and its flags, from its size and thickness alone."""
    truncated = _cut_off(mask)
    failures = []
    if mask.volume_ml < (limits.smallest_truncated_ml if truncated else limits.smallest_ml):
        failures.append("too_small")
    if mask.volume_ml > limits.largest_ml:
        failures.append("too_large")
    if _ball_mm(mask) < limits.least_ball_mm:
        failures.append("not_compact")
    return tuple(failures), ("fov_truncated",) if truncated else ()


def _cut_off(mask: Mask) -> bool:
    """Whether the field of view cuts the mask at its head or foot end, whichever array axis that is."""
    axis = int(np.argmax(np.abs(mask.grid.direction[2])))
    area = mask.grid.voxel_volume_mm3 / float(mask.grid.spacing[axis]) / 100
    ends = (np.take(mask.values, end, axis=axis).sum() * area for end in (0, -1))
    return max(float(end) for end in ends) > TRUNCATED_CM2


def _ball_mm(mask: Mask) -> float:
    """Radius of the largest ball inside, to a grid step: the field of view's border counts as outside."""
    start, stop = mask.bounds()
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    every = np.maximum(1, np.floor(BALL_STEP_MM / mask.grid.spacing)).astype(int)
    coarse = mask.values[window][:: every[0], :: every[1], :: every[2]]
    return float(ndimage.distance_transform_edt(np.pad(coarse, 1), sampling=mask.grid.spacing * every).max())
