"""Lesions as the unit: detection by size bin, with the sensitivity to rounding of sizes, and false foci.

A reference lesion is detected when any index focus lies within its tolerance (several may share one focus):
true positives are counted on reference lesions, false positives on index foci. Overlap measures across
modalities are not used: PET and MRI do not draw the same outline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import ConfigError, UsageError
from liverpair.evaluate.bootstrap import percentile_intervals
from liverpair.evaluate.clustered import ClusterSums, cluster_sums
from liverpair.evaluate.estimates import as_json, estimate
from liverpair.evaluate.records import LesionOutcome
from liverpair.evaluate.size_curve import size_curve

__all__ = [
    "LesionLevelSettings",
    "bin_edges",
    "detected_within",
    "lesion_level",
    "size_bins",
    "tolerance_sweep",
]


@dataclass(frozen=True, slots=True)
class LesionLevelSettings:
    """``size_edges_mm`` part left-closed bins [0, e₁) [e₁, e₂) … [eₙ, ∞); ``rounding_mm`` is the shift of
    sizes for the sensitivity analysis (report sizes are rounded to the millimetre or worse)."""

    size_edges_mm: tuple[float, ...] = (6.0, 10.0, 20.0)
    rounding_mm: float = 1.0
    confidence_level: float = 0.95
    bootstrap_replicates: int = 10_000
    seed: int = 20230404

    def __post_init__(self) -> None:
        edges = self.size_edges_mm
        if any(e <= 0 for e in edges) or list(edges) != sorted(set(edges)):
            raise ConfigError(f"size edges must be positive and rising, got {edges}")


def bin_edges(settings: LesionLevelSettings) -> list[tuple[float, float]]:
    """The left-closed bins [low, high) in mm; the last reaches to infinity."""
    edges = [0.0, *settings.size_edges_mm, math.inf]
    return list(pairwise(edges))


def detected_within(
    reference_lps: NDArray[np.float64],
    reference_radius_mm: NDArray[np.float64],
    index_lps: NDArray[np.float64],
    tolerance_mm: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which reference lesions (n,) are hit and which index foci (k,) hit one, the reference dilated by a
    tolerance.

    Centres are (n, 3) and (k, 3) LPS mm in one frame; a focus hits when its centre lies within the reference
    lesion's radius plus ``tolerance_mm``. Many-to-one is allowed.
    """
    if tolerance_mm < 0:
        raise UsageError(f"a tolerance cannot be negative, got {tolerance_mm} mm")
    if len(reference_lps) == 0 or len(index_lps) == 0:
        return np.zeros(len(reference_lps), dtype=bool), np.zeros(len(index_lps), dtype=bool)
    distance = np.linalg.norm(reference_lps[:, None] - index_lps[None], axis=2)
    hit = distance <= reference_radius_mm[:, None] + tolerance_mm
    return hit.any(axis=1), hit.any(axis=0)


def tolerance_sweep(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]],
    tolerances_mm: Sequence[float],
) -> list[dict[str, Any]]:
    """Detection and false foci at each tolerance; a pair is (reference_lps, reference_radius_mm, index_lps)."""
    rows = []
    for tolerance in tolerances_mm:
        hits = [detected_within(*pair, tolerance) for pair in pairs]
        found = int(sum(r.sum() for r, _ in hits))
        lesions = sum(len(r) for r, _ in hits)
        rows.append(
            {
                "tolerance_mm": float(tolerance),
                "k": found,
                "n": lesions,
                "sensitivity": found / lesions if lesions else None,
                "false_foci": int(sum((~i).sum() for _, i in hits)),
            }
        )
    return rows


def _judged(lesions: Sequence[LesionOutcome]) -> list[LesionOutcome]:
    return [x for x in lesions if x.detected is not None]


def _sums(lesions: Sequence[LesionOutcome]) -> ClusterSums:
    return cluster_sums([bool(x.detected) for x in lesions], np.array([x.patient_id for x in lesions], dtype=str))


def _estimate(lesions: Sequence[LesionOutcome], settings: LesionLevelSettings) -> dict[str, Any]:
    sums = _sums(lesions)
    cells = np.column_stack([sums.x, 0 * sums.x, sums.n - sums.x, 0 * sums.x]).astype(np.int64)
    intervals, notes = percentile_intervals(
        cells, settings.bootstrap_replicates, settings.seed, settings.confidence_level
    )
    value = estimate(sums, settings.confidence_level, intervals["sensitivity"], notes.get("sensitivity", ""))
    return dict(as_json(value))


def size_bins(
    lesions: Sequence[LesionOutcome], settings: LesionLevelSettings | None = None, shift_mm: float = 0.0
) -> list[dict[str, Any]]:
    """Detected of judged lesions per bin, sizes shifted by ``shift_mm``; those without a size left out."""
    settings = settings or LesionLevelSettings()
    sized = [x for x in _judged(lesions) if x.size_mm is not None]
    rows = []
    for low, high in bin_edges(settings):
        inside = [x for x in sized if low <= max(float(x.size_mm or 0) + shift_mm, 0.0) < high]
        label = f"[{low:g}, {'∞' if math.isinf(high) else f'{high:g}'}) mm"
        row = {"low_mm": low, "high_mm": None if math.isinf(high) else high, "label": label}
        found = _estimate(inside, settings)
        rows.append(row | found | {"interval": found["intervals"]["clopper_pearson"]})
    return rows


def lesion_level(
    lesions: Sequence[LesionOutcome],
    settings: LesionLevelSettings | None = None,
    false_foci: int | None = None,
    pairs: int | None = None,
) -> dict[str, Any]:
    """Everything with the lesion as its unit: sensitivity, size bins, ± rounding, size curve, false foci a
    pair.

    ``false_foci`` counts index foci on no reference lesion over ``pairs`` judged pairs, where images exist.
    """
    settings = settings or LesionLevelSettings()
    judged = _judged(lesions)
    sized = sum(x.size_mm is not None for x in judged)
    shifts = {f"{s:+g} mm": size_bins(lesions, settings, s) for s in (-settings.rounding_mm, settings.rounding_mm)}
    return {
        "lesions": len(lesions),
        "not_evaluable": len(lesions) - len(judged),
        "without_size": len(judged) - sized,
        "sensitivity": _estimate(judged, settings),
        "size_bins": size_bins(lesions, settings),
        "size_bins_shifted": shifts,
        "size_curve": size_curve(lesions, settings.confidence_level),
        "false_foci": false_foci,
        "false_foci_per_pair": false_foci / pairs if false_foci is not None and pairs else None,
    }
