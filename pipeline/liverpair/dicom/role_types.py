"""The roles a stack of images can have in the study, spelled as in series.csv."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RoleDecision", "SeriesRole"]


class SeriesRole(StrEnum):
    """What a stack is used for; the values are those of series.csv."""

    PET_AC = "pet-ac"
    PET_NAC = "pet-nac"
    CT = "ct"
    MR_HBP = "mr-hbp"
    MR_T1_NATIVE = "mr-t1-native"
    MR_ARTERIAL = "mr-arterial"
    MR_PORTAL = "mr-portal"
    MR_T2 = "mr-t2"
    MR_DWI = "mr-dwi"
    MR_ADC = "mr-adc"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    SECONDARY = "secondary"
    REPORT = "report"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class RoleDecision:
    """A role and the sentence that says from which facts it follows."""

    role: SeriesRole
    reason: str
