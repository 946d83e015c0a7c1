"""Draw how one PET's sensitivity grows with size: measured shares with intervals, and the closed form's curves."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["draw_sensitivity"]

#: Okabe and Ito's colours, in an order whose neighbours differ in grey too; markers tell them apart without colour.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Curves are drawn through this many diameters.
CURVE_POINTS = 120
#: Shares of several ratios at one diameter stand apart by this factor in diameter, so that no interval hides another.
APART = 1.012
#: Characters of the title that fit over the axes.
TITLE_WIDTH = 84
STYLE: Any = {"svg.fonttype": "none", "font.size": 9.5, "text.parse_math": False, "svg.hashsalt": "sensitivity"}


def draw_sensitivity(
    rows: Sequence[Mapping[str, Any]],
    model: Callable[[float, float], float],
    title: str,
    subtitle: str,
    paths: Sequence[Path],
) -> None:
    """Write the figure to every path (its ending names the format, .png or .svg).

    ``rows`` as ``sensitivity_rows`` gives them; ``model(ratio, diameter_mm)`` is the closed form's P(detect). The same
    rows give the same bytes.
    """
    ratios = sorted({row["ratio"] for row in rows})
    diameters = sorted({row["diameter_mm"] for row in rows})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 5.0), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        at = np.geomspace(diameters[0] * 0.93, diameters[-1] * 1.07, CURVE_POINTS)
        for number, ratio in enumerate(ratios):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            own = [row for row in rows if row["ratio"] == ratio]
            x = np.array([row["diameter_mm"] for row in own]) * APART ** (number - (len(ratios) - 1) / 2)
            y = 100 * np.array([row["sensitivity"] for row in own])
            low = y - 100 * np.array([row["ci_low"] for row in own])
            high = 100 * np.array([row["ci_high"] for row in own]) - y
            axes.errorbar(
                x, y, np.maximum([low, high], 0), fmt=marker, color=colour, markersize=5, elinewidth=0.7, capsize=1.5,
                label=f"T = {ratio:g}",
            )  # fmt: skip
            axes.plot(at, [100 * model(ratio, float(d)) for d in at], color=colour, linewidth=1.2, alpha=0.75)
        axes.axhline(50, color="#98a2b3", linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_xticks(diameters, [f"{d:g}" for d in diameters])
        axes.minorticks_off()
        axes.set_ylim(-3, 103)
        axes.set_xlabel("Diameter of the inserted lesion (mm)")
        axes.set_ylabel("Shown by the detector (%)")
        said = textwrap.fill(subtitle, TITLE_WIDTH)
        axes.set_title(f"{title}\n{said}", fontsize=9.5, loc="left")
        axes.legend(
            title="True tumour-to-liver ratio\n(marks: inserted, 95 % interval;\nlines: closed form)",
            loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
        )  # fmt: skip
        for path in paths:
            empty = {"Software": None} if path.suffix == ".png" else dict.fromkeys(("Date", "Creator"))
            figure.savefig(path, metadata=empty)
