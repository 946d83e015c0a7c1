"""Settings of the MR detector."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MrDetectionSettings"]


@dataclass(frozen=True, slots=True)
class MrDetectionSettings:
    """Settings of the MR detector.

    ``diameters_mm``: a factor √2 apart, from the smallest lesion of interest to beyond 40 mm. ``threshold_z``
    (SDs of the response in this liver) and ``blobness`` gate proposals (spec lesions.md: z > 5, B > 0.45 at
    CNR 3; the fusion may start lower). ``closing_mm`` takes in capsule lesions that the liver mask leaves
    out. ``shift_mm``: residual motion between sequences of one examination. ``confidence_floor``: foci less
    likely (of ten such, nine are none) are not reported; nor is what looks benign, less likely than ``benign_floor``:
    a reader looks at a doubtful metastasis, not at a doubtful cyst.
    """

    diameters_mm: tuple[float, ...] = (4.0, 5.6, 8.0, 11.3, 16.0, 22.6, 32.0, 45.0)
    threshold_z: float = 4.0
    blobness: float = 0.35
    background_sigma_mm: float = 20.0
    closing_mm: float = 6.0
    margin_mm: float = 12.0
    shift_mm: float = 4.0
    confidence_floor: float = 0.1
    benign_floor: float = 0.3
    most_foci: int = 400
