"""Judge a liver mask: usable or failed, with the reasons a reader needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, depth
from liverpair.segment.liver_shape import elsewhere

__all__ = ["Judgement", "QualityLimits", "judge"]

#: A cross-section in the first or last slice larger than this: the field of view cuts the liver.
TRUNCATED_CM2 = 10.0
#: This far above or below its thickest part a liver has tapered off.
END_REACH_MM = 120.0


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Limits of a credible adult liver."""

    smallest_ml: float = 600.0  # below it only after major hepatectomy
    largest_ml: float = 3500.0  # above it only with massive metastatic or polycystic disease
    smallest_truncated_ml: float = 400.0  # visible part of a cut liver; less cannot drive a registration
    least_ball_mm: float = 30.0  # radius of the largest ball inside; spleens and kidneys stay below
    least_right_fraction: float = 0.5  # volume right of the midline
    most_misplaced: float = 0.04  # volume where only spleen, left kidney or back muscles lie
    most_far_end_cm2: float = 30.0  # cross-section still there at a far end of the field of view: a leak
    least_in_band: float = 0.55  # volume that has the liver's own intensity (lesions and vessels are the rest)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict ("usable" or "failed"), its reasons (codes; flags where usable), the numbers behind."""

    verdict: str
    reasons: tuple[str, ...]
    facts: dict[str, Any]


def judge(features: Features, mask: BoolArray, core: OrganCore, limits: QualityLimits) -> Judgement:
    """Judge ``mask`` (work grid) against the limits."""
    reasons: list[str] = []
    facts = _facts(features, mask, core)
    truncated = facts["fov_truncated"]
    if truncated:
        reasons.append("fov_truncated")
    failures = []
    least = limits.smallest_truncated_ml if truncated else limits.smallest_ml
    if facts["volume_ml"] < least:
        failures.append("too_small")
    if facts["volume_ml"] > limits.largest_ml:
        failures.append("too_large")
    if facts["ball_mm"] < limits.least_ball_mm:
        failures.append("not_compact")
    if facts["right_fraction"] < limits.least_right_fraction:
        failures.append("not_right_sided")
    if facts["misplaced_fraction"] > limits.most_misplaced:
        failures.append("leaks_to_the_left_or_back")
    if facts["far_end_cm2"] > limits.most_far_end_cm2:
        failures.append("reaches_the_far_end")
    if core.sd > features.most_sd(core.mode):
        failures.append("not_one_organ")
    if facts["in_band_fraction"] < limits.least_in_band:
        failures.append("not_homogeneous")
    return Judgement("failed" if failures else "usable", (*failures, *reasons), facts)


def _facts(features: Features, mask: BoolArray, core: OrganCore) -> dict[str, Any]:
    total = max(1, int(mask.sum()))
    lateral = features.body.lateral()
    weight = mask.sum(axis=1)
    right = float((weight * (lateral[:, 0, :] < 0)).sum()) / total
    inner = depth(mask, features.grid.spacing)
    width = features.drift(core.mode) + 3 * max(core.sd, features.least_sd(core.mode))
    band = np.abs(features.smooth - core.mode) <= width
    cm2 = float(features.grid.spacing[0] * features.grid.spacing[1]) / 100
    ends = [float(mask[:, :, 0].sum()) * cm2, float(mask[:, :, -1].sum()) * cm2]
    reach = [core.centre[2], mask.shape[2] - 1 - core.centre[2]]
    far = [area for area, n in zip(ends, reach, strict=True) if n * features.grid.spacing[2] > END_REACH_MM]
    return {
        "volume_ml": total * features.grid.voxel_volume_mm3 / 1000,
        "ball_mm": float(inner.max()),
        "right_fraction": right,
        "misplaced_fraction": float((mask & elsewhere(features, core, mask)).sum()) / total,
        "in_band_fraction": float((mask & band).sum()) / total,
        "fov_truncated": max(ends) > TRUNCATED_CM2,
        "far_end_cm2": max(far, default=0.0),
        "components": int(ndimage.label(mask)[1]),
        "mode": core.mode,
        "sd": core.sd,
    }
