"""Draw one pair side by side: the same place on PET/CT and MRI, with the liver's and the lesions' contours on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

__all__ = ["COLOURS", "Contour", "Panel", "draw_overview"]

#: Okabe and Ito's colours, told apart by readers with any colour vision; the line style repeats what colour says.
COLOURS = {"liver": "#f0e442", "MR": "#e69f00", "PET": "#56b4e9", "benign": "#cc79a7"}
STYLES = {"liver": "dotted", "MR": "solid", "PET": "dashed", "benign": "dashdot"}
NAMES = {"liver": "liver", "MR": "MRI lesion", "PET": "PET lesion", "benign": "benign on MRI"}


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """The outline of a region on a panel: ``mask`` (rows, columns), ``kind`` one of liver, MR, PET, benign."""

    mask: NDArray[np.bool_]
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One 2-D picture, ``image`` (rows, columns) with square pixels; ``window`` is (black, white).

    ``overlay`` (same shape) is drawn in colour on top with ``overlay_window``: PET over CT.
    """

    title: str
    image: NDArray[np.float32]
    window: tuple[float, float]
    contours: tuple[Contour, ...] = ()
    overlay: NDArray[np.float32] | None = None
    overlay_window: tuple[float, float] = (0.0, 1.0)
    inverted: bool = False
    marks: tuple[tuple[float, float], ...] = field(default_factory=tuple)


def _draw_panel(axes: Any, panel: Panel) -> None:
    low, high = panel.window
    axes.imshow(
        panel.image,
        cmap="gray_r" if panel.inverted else "gray",
        vmin=low,
        vmax=high,
        interpolation="bilinear",
    )
    if panel.overlay is not None:
        floor, top = panel.overlay_window
        # the weak end stays see-through, so that the CT's anatomy can be read under it
        strength = np.clip((panel.overlay - floor) / max(top - floor, 1e-6), 0, 1)
        axes.imshow(
            panel.overlay,
            cmap="inferno",
            vmin=floor,
            vmax=top,
            alpha=0.65 * strength**0.6,
            interpolation="bilinear",
        )
    for contour in panel.contours:
        if contour.mask.any() and not contour.mask.all():
            axes.contour(
                contour.mask.astype(np.float32),
                levels=[0.5],
                colors=COLOURS[contour.kind],
                linestyles=STYLES[contour.kind],
                linewidths=1.0 if contour.kind == "liver" else 1.4,
            )
    for column, row in panel.marks:
        axes.plot(column, row, marker="+", color="white", markersize=9, markeredgewidth=0.8)
    axes.set_title(panel.title, color="white", fontsize=9)
    axes.set_axis_off()


def draw_overview(rows: Sequence[Sequence[Panel]], caption: str, path: Path) -> None:
    """Write a PNG of the panels, row by row, with a caption and a legend of the contours that occur.

    The same panels give the same bytes: no date, no software version is written into the file.
    """
    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(3.1 * columns, 2.75 * len(rows) + 0.55), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            _draw_panel(figure.add_subplot(len(rows), columns, y * columns + x + 1), panel)
    kinds = [k for k in COLOURS if any(c.kind == k and c.mask.any() for row in rows for p in row for c in p.contours)]
    lines = [Line2D([], [], color=COLOURS[k], linestyle=STYLES[k], label=NAMES[k]) for k in kinds]
    if lines:
        legend = figure.legend(handles=lines, loc="lower center", ncols=len(lines), fontsize=8, frameon=False)
        for text in legend.get_texts():
            text.set_color("white")
    figure.suptitle(caption, color="white", fontsize=9.5, y=0.995)
    figure.subplots_adjust(
        left=0.005, right=0.995, top=1 - 0.48 / figure.get_figheight(), bottom=0.08, wspace=0.02, hspace=0.12
    )
    figure.savefig(path, metadata={"Software": None}, facecolor="black")
