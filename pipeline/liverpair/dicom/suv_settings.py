"""The settings of the SUV: what a user knows better than a header."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SuvSettings"]


@dataclass(frozen=True, slots=True)
class SuvSettings:
    """What the user knows better than the header. The defaults refuse whatever is ambiguous.

    ``dose_unit``: auto | Bq | kBq | MBq | GBq | mCi. ``weight_kg``: 0 takes the header's. ``half_life_s``: 0 takes the
    header's, then the table's for a coded nuclide.
    """

    dose_unit: str = "auto"
    weight_kg: float = 0.0
    half_life_s: float = 0.0
