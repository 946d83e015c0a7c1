"""Judge a liver mask: usable or failed, with the reasons a reader needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from liverpair.segment.liver_doubts import LeftOut, left_out
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, depth, dilate, opened
from liverpair.segment.liver_settings import QualityLimits
from liverpair.segment.liver_shape import elsewhere, grow

__all__ = ["DOUBT", "Judgement", "QualityLimits", "judge"]

#: The flag of a mask with thick parts that a stricter search leaves out.
DOUBT = "doubtful_parts"
#: A cross-section in the first or last slice larger than this: the field of view cuts the liver.
TRUNCATED_CM2 = 10.0
#: This far above or below its thickest part a liver has tapered off.
END_REACH_MM = 120.0
#: A stricter and a laxer search that a sure mask survives: share of the generous band; opening in mm, which for the
#: stricter one is a setting.
TIGHT, LOOSE = 0.75, (1.3, 4.0)
#: Arms that a ball of this radius (mm) cannot enter.
THIN_MM = 12.0
#: The layer (mm) around the liver that should not look like it.
SHELL_MM = (3.0, 9.0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict ("usable" or "failed"), its reasons (codes; flags where usable), the numbers behind.

    ``left_out``: what a stricter search leaves out, where that was tried.
    """

    verdict: str
    reasons: tuple[str, ...]
    facts: dict[str, Any]
    left_out: LeftOut | None = field(default=None, compare=False)


def judge(features: Features, mask: BoolArray, core: OrganCore, limits: QualityLimits, grown: BoolArray) -> Judgement:
    """Judge ``mask`` (work grid) against the limits; ``grown`` is the organ before its lesions were filled."""
    reasons: list[str] = []
    facts = _facts(features, mask, core)
    truncated = facts["fov_truncated"]
    if truncated:
        reasons.append("fov_truncated")
    failures = []
    parts: LeftOut | None = None
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
    if facts["cut_cm2"] > TRUNCATED_CM2:
        failures.append("cut_off")
    if core.sd > features.most_sd(core.mode):
        failures.append("not_one_organ")
    if facts["in_band_fraction"] < limits.least_in_band:
        failures.append("not_homogeneous")
    if not failures:  # doubts cost two more searches: a mask that has failed already needs none
        tight = grow(features, core, TIGHT, limits.tight_opening_mm)
        held = grown & mask if limits.thin_lobes else grown  # a gallbladder that has left the mask is no doubt in it
        parts = left_out(features, held, tight, core, limits.thin_lobes)
        facts |= _doubts(features, mask, core, grown, tight | parts.sound, parts)
        if facts["shell_alike"] > limits.most_alike_around:
            failures.append("no_border")
        if facts["doubtful_ml"] > limits.most_doubtful_ml:
            (failures if limits.doubt_fails else reasons).append(DOUBT)
        agreements = (facts["agreement_tight"], facts["agreement_loose"])
        if agreements[0] < limits.least_agreement_tight or agreements[1] < limits.least_agreement_loose:
            failures.append("unstable")
    return Judgement("failed" if failures else "usable", (*failures, *reasons), facts, parts)


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
        "cut_cm2": _cut(features, mask) * cm2,
        "components": int(ndimage.label(mask)[1]),
        "mode": core.mode,
        "sd": core.sd,
    }


def _cut(features: Features, mask: BoolArray) -> int:
    """Voxels of the mask in the last slices that the search allowed within the field of view: none of a liver's."""
    slices = np.flatnonzero(features.allowed.any(axis=(0, 1)))
    ends = [int(k) for k in slices[[0, -1]] if 0 < k < mask.shape[2] - 1] if len(slices) else []
    return max((int(mask[:, :, k].sum()) for k in ends), default=0)


def _doubts(
    features: Features, mask: BoolArray, core: OrganCore, grown: BoolArray, tight: BoolArray, parts: LeftOut
) -> dict[str, float]:
    """What a wrong mask shows without any truth: it changes with the search's settings, has arms, has no border."""
    spacing = features.grid.spacing
    loose = grow(features, core, *LOOSE)
    shell = dilate(mask, SHELL_MM[1], spacing) & ~dilate(mask, SHELL_MM[0], spacing) & features.body.tissue
    width = 3 * max(core.sd, features.least_sd(core.mode))
    alike = np.abs(features.smooth - core.mode) <= width
    return {
        "doubtful_ml": float(parts.doubtful.sum()) * features.grid.voxel_volume_mm3 / 1000,
        "agreement_tight": _dice(grown, tight),
        "agreement_loose": _dice(grown, loose),
        "thin_fraction": 1 - float(opened(mask, THIN_MM, spacing).sum()) / max(1, int(mask.sum())),
        "shell_alike": float((shell & alike).sum()) / max(1, int(shell.sum())),
        "filled_fraction": 1 - float((grown & mask).sum()) / max(1, int(mask.sum())),
        "mask_alike": float((mask & alike).sum()) / max(1, int(mask.sum())),
    }


def _dice(a: BoolArray, b: BoolArray) -> float:
    return float(2 * (a & b).sum() / max(1, int(a.sum()) + int(b.sum())))
