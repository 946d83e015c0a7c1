"""Which subgroup a pair belongs to: tracer, vendor, interval, era, size, or any column of the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from liverpair.core.errors import ConfigError
from liverpair.evaluate.records import PairCall

__all__ = ["SubgroupSettings", "number", "split_by", "subgroup_names"]


@dataclass(frozen=True, slots=True)
class SubgroupSettings:
    """``columns`` are taken as they are; interval, era and size are formed from interval_days, pet_date,
    largest_mm.

    ``interval_edges_days`` part |interval| into 0–30, 31–60, 61–92 days; ``era_years`` is the width of an
    era; ``max_levels``: a column with more distinct values is an identifier, not a subgroup.
    """

    columns: tuple[str, ...] = ("tracer", "vendor", "mr_vendor", "site")
    interval_edges_days: tuple[int, ...] = (30, 60, 92)
    era_years: int = 5
    size_edges_mm: tuple[float, ...] = (6.0, 10.0, 20.0)
    max_levels: int = 12

    def __post_init__(self) -> None:
        if self.era_years < 1 or self.max_levels < 2:
            raise ConfigError("era_years must be at least 1 and max_levels at least 2")


def number(value: Any) -> float | None:
    """The value as a finite number, or None where it is absent or no number."""
    try:
        x = float(value)
    except (TypeError, ValueError):
        return None
    return x if math.isfinite(x) else None


def _interval(call: PairCall, settings: SubgroupSettings) -> str | None:
    days = number(call.attributes.get("interval_days"))
    if days is None:
        return None
    low = 0
    for high in settings.interval_edges_days:
        if abs(days) <= high:
            return f"{low}–{high} days"
        low = high + 1
    return f"> {settings.interval_edges_days[-1]} days"


def _order(call: PairCall) -> str | None:
    days = number(call.attributes.get("interval_days"))
    if days is None:
        return None
    return "same day" if days == 0 else "MRI after PET" if days > 0 else "MRI before PET"


def _era(call: PairCall, settings: SubgroupSettings) -> str | None:
    text = str(call.attributes.get("pet_date") or call.attributes.get("study_date") or "")
    year = number(text[:4])
    if year is None or not 1970 <= year <= 2200:
        return None
    first = int(year) // settings.era_years * settings.era_years
    return f"{first}–{first + settings.era_years - 1}"


def _size(call: PairCall, settings: SubgroupSettings) -> str | None:
    largest = number(call.attributes.get("largest_mm"))
    if largest is None:
        return None
    edges = [0.0, *settings.size_edges_mm, math.inf]
    for low, high in pairwise(edges):
        if low <= largest < high:
            return f"≥ {low:g} mm" if math.isinf(high) else f"[{low:g}, {high:g}) mm"
    return None


def subgroup_names(settings: SubgroupSettings) -> tuple[str, ...]:
    """Every grouping that is tried, in the order of the report."""
    return (*settings.columns, "interval", "order", "era", "size")


def split_by(calls: Sequence[PairCall], name: str, settings: SubgroupSettings) -> dict[str, list[PairCall]]:
    """Pairs by level of one grouping, levels sorted; empty where the column is absent or has one level."""
    groups: dict[str, list[PairCall]] = {}
    for call in calls:
        if name == "interval":
            level = _interval(call, settings)
        elif name == "order":
            level = _order(call)
        elif name == "era":
            level = _era(call, settings)
        elif name == "size":
            level = _size(call, settings)
        else:
            level = str(call.attributes.get(name) or "").strip() or None
        if level is not None:
            groups.setdefault(level, []).append(call)
    if not 2 <= len(groups) <= settings.max_levels:
        return {}

    def rank(label: str) -> tuple[float, str]:
        digits = "".join(ch if ch.isdigit() or ch == "." else " " for ch in label).split()
        return (number(digits[0]) or 0.0 if digits else -1.0, label)

    return {level: groups[level] for level in sorted(groups, key=rank)}
