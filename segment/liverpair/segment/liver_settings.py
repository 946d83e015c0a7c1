"""Settings of the liver search, of the limits of a credible liver, and of comparing two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liverpair.segment.liver_features import Features
    from liverpair.segment.liver_morphology import BoolArray

__all__ = ["AgreementSettings", "LiverSettings", "QualityLimits"]


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
    most_alike_around: float = 0.2  # share of the tissue just outside that looks like liver; T2 leaks had 0.34 and more
    least_agreement_tight: float = 0.9  # Dice with a stricter search; sound masks had 0.94 and more
    least_agreement_loose: float = 0.8  # Dice with a laxer one; sound masks had 0.87 and more
    most_doubtful_ml: float = 25.0  # thick parts that a stricter search leaves out: flagged, since they may be a leak
    doubt_fails: bool = False  # whether such parts fail the mask
    tight_opening_mm: float = 7.0  # opening of the stricter search
    thin_lobes: bool = False  # whether the image gives the liver an intensity by which its thin lobes are known

    def too_small(self, features: Features, mask: BoolArray) -> bool:
        """Whether a mask on the work grid is smaller than any whole liver."""
        return int(mask.sum()) * features.grid.voxel_volume_mm3 / 1000 < self.smallest_ml


@dataclass(frozen=True, slots=True)
class LiverSettings:
    """Settings of the liver search."""

    work_spacing_mm: float = 3.0
    use_pet: bool = True
    most_cores: int = 3  # organs tried in turn until one passes for a liver
    quality: QualityLimits = field(default_factory=QualityLimits)


@dataclass(frozen=True, slots=True)
class AgreementSettings:
    """What counts as a difference of two livers.

    ``apart_mm``: the masks' borders and the registration differ by this much anyway. ``thick_mm``: a part holds a ball
    of this radius. ``least_ml``: smaller parts are left as they are. ``largest_ml``, ``largest_share``: no gallbladder
    is larger than the first; a part that is more than the second of the larger liver is no slip of a mask's border:
    one liver was resected, or one mask is wrong as a whole (a left lateral section is 15–20 %).
    """

    work_spacing_mm: float = 3.0
    apart_mm: float = 3.0
    thick_mm: float = 5.0
    least_ml: float = 5.0
    largest_ml: float = 150.0
    largest_share: float = 0.12
