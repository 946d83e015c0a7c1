"""Tables of the lesion benchmark: found by size at a rate of false foci, errors of diameters, promises against kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from liverpair.evaluate.labels.audit import wilson
from liverpair.segment.mr_lesions import MrDetectionSettings
from liverpair.simulate import TrueLesion

__all__ = ["Curve", "print_curves", "print_reliability", "print_sizes"]

#: Size bins in mm, left-closed (statistics.md).
BINS: Final = ((0.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 99.0))


@dataclass
class Curve:
    """What one detector answered on all pairs: per pair its scored foci as (score, lesion number or −1 for false)."""

    pairs: list[list[tuple[float, int]]] = field(default_factory=list)
    truth: list[list[TrueLesion]] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def threshold_at(self, false_a_pair: float) -> float:
        """The lowest score at which no more false foci a pair remain."""
        false = sorted((s for pair in self.pairs for s, n in pair if n == -1), reverse=True)
        allowed = int(false_a_pair * len(self.pairs))
        return float(np.nextafter(false[allowed], np.inf)) if len(false) > allowed else -np.inf

    def found(self, threshold: float) -> list[tuple[TrueLesion, bool]]:
        """Every true lesion, and whether it was found at the threshold."""
        rows = []
        for pair, truth in zip(self.pairs, self.truth, strict=True):
            hit = {n for s, n in pair if s >= threshold}
            rows += [(lesion, number in hit) for number, lesion in enumerate(truth)]
        return rows

    def false_a_pair(self, threshold: float) -> float:
        """False foci a pair at the threshold."""
        return sum(n == -1 and s >= threshold for pair in self.pairs for s, n in pair) / max(len(self.pairs), 1)


def print_curves(title: str, curves: dict[str, Curve], rate: float) -> None:
    print(f"\n{title}: found by size (mm) at ≤ {rate:g} false foci a pair, and over false foci a pair")
    marks = (0.25, 0.5, 1.0, 2.0)
    names = [f"{a:.0f}-{b:.0f}" if b < 99 else f">{a:.0f}" for a, b in BINS]
    print(f"{'':16s}" + "".join(f"{n:>9s}" for n in [*names, "all", *(f"@{m:g}" for m in marks), "false", "CPU s"]))
    floor = MrDetectionSettings().confidence_floor
    ours = [(f"liverpair ≥ {least:g}", curves["liverpair"], least) for least in (floor, 0.5)]
    peers = [(name, curve, -np.inf) for name, curve in curves.items() if name != "liverpair"]
    for name, curve, least in (*ours, *peers):
        threshold = max(curve.threshold_at(rate), least)
        rows = curve.found(threshold)
        cells = []
        for low, high in (*BINS, (0.0, 99.0)):
            hits = [hit for lesion, hit in rows if low <= lesion.diameter_mm < high]
            cells.append(f"{sum(hits)}/{len(hits)}")
        for mark in marks:
            hits = [hit for _, hit in curve.found(curve.threshold_at(mark))]
            cells.append(f"{np.mean(hits):.2f}")
        cells += [f"{curve.false_a_pair(threshold):.2f}", f"{np.mean(curve.cpu_s):.1f}"]
        print(f"{name:16s}" + "".join(f"{c:>9s}" for c in cells))


def print_sizes(sizes: list[tuple[float, dict[str, float]]]) -> None:
    print("\ndiameters on MRI: mean ± SD and mean absolute error (mm), each against its own of the true shape")
    methods = list(dict.fromkeys(name for _, row in sizes for name in row))
    print(f"{'mm':>8s} {'n':>4s}" + "".join(f"{m:>24s}" for m in methods))
    for low, high in ((3.0, 6.0), (6.0, 10.0), (3.0, 10.0), (10.0, 99.0)):
        rows = [row for d, row in sizes if low <= d < high]
        cells = []
        for method in methods:
            errors = np.array([row[method] for row in rows if method in row])
            stated = f"{errors.mean():+.2f} ± {errors.std():.2f}, {np.abs(errors).mean():.2f}" if len(errors) else "-"
            cells.append(f"{stated:>24s}")
        print(f"{low:.0f}-{high:.0f}".rjust(8) + f" {len(rows):4d}" + "".join(cells))


def print_reliability(title: str, rows: list[tuple[float, bool]]) -> None:
    """Promised against kept with its 95 % Wilson interval, by tenths of the promise."""
    print(f"\n{title}")
    promised, kept = np.array([p for p, _ in rows]), np.array([k for _, k in rows], dtype=float)
    for n in range(10):
        chosen = (promised >= n / 10) & ((promised < (n + 1) / 10) | (n == 9))
        if chosen.any():
            p, count, hits = promised[chosen].mean(), int(chosen.sum()), int(kept[chosen].sum())
            low, high = wilson(hits, count)
            band = f"{n / 10:.1f}-{(n + 1) / 10:.1f}"
            print(f"  {band}: promised {p:.2f}, kept {hits / count:.2f} ({low:.2f}-{high:.2f}), n {count}")
