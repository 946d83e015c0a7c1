"""Draw one pair side by side: the same place on PET/CT and MRI, with the liver's and the lesions' contours on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

__all__ = ["COLOURS", "Contour", "Label", "Panel", "draw_overview", "panel_layout"]

#: Okabe and Ito's colours, told apart by readers with any colour vision; the line style repeats what colour says.
COLOURS = {"liver": "#f0e442", "liver on MRI": "#00c79a", "MR": "#ff9f1a", "PET": "#56b4e9", "benign": "#d99cc0"}
STYLES: dict[str, Any] = {
    "liver": "dotted",
    "liver on MRI": (0, (4, 3)),
    "MR": "solid",
    "PET": "dashed",
    "benign": "dashdot",
}
NAMES = {
    "liver": "liver, from CT",
    "liver on MRI": "liver, from MRI",
    "MR": "MRI lesion",
    "PET": "PET lesion",
    "benign": "benign",
}
PANEL_INCHES = (3.1, 2.75)
DPI = 100
#: Room for a line above a row.
ROW_TITLE_INCHES = 0.25
#: Margin at the sides as a share of the width; gaps as shares of a panel.
EDGE, COLUMN_GAP, ROW_GAP = 0.004, 0.02, 0.1
#: Room between lesion labels in pixels of a panel: a label that would cover another one is left out.
LABEL_APART = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """The outline of a region on a panel: ``mask`` (rows, columns), ``kind`` one of ``COLOURS``."""

    mask: NDArray[np.bool_]
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A lesion's name at its place (column, row) of a panel."""

    text: str
    column: float
    row: float
    kind: str


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One 2-D picture, ``image`` (rows, columns) with square pixels of ``pixel_mm``; ``window`` is (black, white).

    ``overlay`` (same shape) is drawn in colour on top with ``overlay_window``: PET over CT. ``cross`` (column, row)
    is the point that all panels of a pair show; ``sides`` the letters of the left and right edge (R, L).
    """

    title: str
    image: NDArray[np.float32]
    window: tuple[float, float]
    contours: tuple[Contour, ...] = ()
    overlay: NDArray[np.float32] | None = None
    overlay_window: tuple[float, float] = (0.0, 1.0)
    inverted: bool = False
    labels: tuple[Label, ...] = ()
    cross: tuple[float, float] | None = None
    sides: tuple[str, str] | None = None
    pixel_mm: float | None = None


def _draw_image(axes: Any, panel: Panel) -> None:
    low, high = panel.window
    grey = "gray_r" if panel.inverted else "gray"
    axes.imshow(panel.image, cmap=grey, vmin=low, vmax=high, interpolation="bilinear")
    if panel.overlay is None:
        return
    floor, top = panel.overlay_window
    # the weak end stays see-through, so that the anatomy can be read under it
    strength = np.clip((panel.overlay - floor) / max(top - floor, 1e-6), 0, 1)
    opacity = 0.65 * strength**0.6
    axes.imshow(panel.overlay, cmap="inferno", vmin=floor, vmax=top, alpha=opacity, interpolation="bilinear")


def _draw_contours(axes: Any, panel: Panel) -> None:
    for contour in panel.contours:
        if not contour.mask.any() or contour.mask.all():
            continue
        # a margin of one pixel closes outlines at the picture's edge
        mask = np.pad(contour.mask, 1).astype(np.float32)
        rows, columns = np.arange(mask.shape[0]) - 1, np.arange(mask.shape[1]) - 1
        width = 1.0 if contour.kind.startswith("liver") else 1.4
        colour, style = COLOURS[contour.kind], STYLES[contour.kind]
        axes.contour(columns, rows, mask, levels=[0.5], colors=colour, linestyles=[style], linewidths=width)


def _draw_labels(axes: Any, panel: Panel) -> None:
    """Lesion names beside their outlines; one that would cover an earlier one is left out."""
    placed: list[tuple[float, float]] = []
    rows, columns = panel.image.shape
    for label in panel.labels:
        if not (0 <= label.column < columns and 0 <= label.row < rows):
            continue
        left, low = label.column > 0.8 * columns, label.row < 0.1 * rows
        # about where the word's middle comes to lie: left or right of its place, below or above it
        x, y = label.column + LABEL_APART * (-1.3 if left else 1.3), label.row + LABEL_APART * (1.0 if low else -0.5)
        if any(abs(x - other) < 2 * LABEL_APART and abs(y - line) < LABEL_APART for other, line in placed):
            continue
        placed.append((x, y))
        axes.annotate(
            label.text,
            (label.column, label.row),
            xytext=(-7 if left else 7, -12 if low else 6),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=7.5,
            fontweight="bold",
            color=COLOURS[label.kind],
            bbox={"facecolor": "black", "alpha": 0.55, "pad": 0.8, "edgecolor": "none"},
        )


def _draw_cross(axes: Any, panel: Panel) -> None:
    """Ticks at the four edges that point at the common place, so that nothing is drawn over it."""
    if panel.cross is None:
        return
    rows, columns = panel.image.shape
    x, y = panel.cross
    colour = "black" if panel.inverted else "white"
    reach_x, reach_y = 0.06 * columns, 0.06 * rows
    for xs, ys in (
        ((0, reach_x), (y, y)),
        ((columns - 1 - reach_x, columns - 1), (y, y)),
        ((x, x), (0, reach_y)),
        ((x, x), (rows - 1 - reach_y, rows - 1)),
    ):
        axes.plot(xs, ys, color=colour, linewidth=1.2)


def _draw_orientation(axes: Any, panel: Panel) -> None:
    colour = "black" if panel.inverted else "white"
    rows, columns = panel.image.shape
    for letter, x, side in zip(panel.sides or (), (0.015, 0.985), ("left", "right"), strict=False):
        axes.text(
            x, 0.97, letter, transform=axes.transAxes, color=colour, fontsize=9, fontweight="bold", ha=side, va="top"
        )
    if panel.pixel_mm:
        length = 50.0 / panel.pixel_mm
        if length < 0.8 * columns:
            x, y = 0.03 * columns, 0.95 * rows
            axes.plot([x, x + length], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
            axes.text(x + length / 2, y - 0.02 * rows, "5 cm", color=colour, fontsize=7, ha="center", va="bottom")


def _draw_panel(axes: Any, panel: Panel) -> None:
    _draw_image(axes, panel)
    _draw_contours(axes, panel)
    _draw_cross(axes, panel)
    _draw_orientation(axes, panel)
    _draw_labels(axes, panel)
    rows, columns = panel.image.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_title(panel.title, color="white", fontsize=9, pad=3)
    axes.set_axis_off()


def draw_overview(
    rows: Sequence[Sequence[Panel]],
    caption: str,
    path: Path,
    row_titles: Sequence[str] = (),
    panel_inches: tuple[float, float] = PANEL_INCHES,
) -> None:
    """Write a PNG of the panels, row by row, with a caption and a legend of the contours that occur.

    ``row_titles``: a line above each row. The same panels give the same bytes: no date and no software
    version is written into the file.
    """
    # a dollar sign or a backslash in a description is text, not mathematics
    with mpl.rc_context({"text.parse_math": False}):
        _figure(rows, caption, row_titles, panel_inches).savefig(path, metadata={"Software": None}, facecolor="black")


def panel_layout(width: int, height: int) -> dict[str, float]:
    """Columns, rows and the fractions of an overview's width and height that its panels' grid takes, by its pixels."""
    inches = height / DPI
    return {
        "columns": max(1, round(width / DPI / PANEL_INCHES[0])),
        "rows": max(1, round((inches - 0.6) / PANEL_INCHES[1])),
        "top": 0.5 / inches,
        "bottom": 1 - 0.3 / inches,
        "left": EDGE,
        "right": 1 - EDGE,
        "wspace": COLUMN_GAP,
        "hspace": ROW_GAP,
    }


def _figure(
    rows: Sequence[Sequence[Panel]], caption: str, row_titles: Sequence[str], panel_inches: tuple[float, float]
) -> Figure:
    columns = max(len(row) for row in rows)
    each = panel_inches[1] + (ROW_TITLE_INCHES if row_titles else 0.0)
    width, height = panel_inches[0] * columns, each * len(rows) + 0.6
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="black")
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
    top, bottom = 1 - 0.5 / height - (ROW_TITLE_INCHES / height if row_titles else 0.0), 0.3 / height
    gap = ROW_GAP + (ROW_TITLE_INCHES / panel_inches[1] if row_titles else 0.0)
    figure.subplots_adjust(left=EDGE, right=1 - EDGE, top=top, bottom=bottom, wspace=COLUMN_GAP, hspace=gap)
    for y, title in enumerate(row_titles):
        row_top = figure.axes[sum(len(row) for row in rows[:y])].get_position(original=True).y1
        figure.text(0.006, row_top + 0.22 / height, title, color="white", fontsize=9, va="bottom", fontweight="bold")
    return figure
