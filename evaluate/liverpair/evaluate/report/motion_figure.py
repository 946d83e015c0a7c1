"""Draw how the liver deformed between two examinations, and how far the registration can be off, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

__all__ = ["MotionPlane", "draw_motion"]

#: Arrows in a plane stand this many pixels apart: fewer hide the folds, more cannot be told apart.
ARROW_STEP = 9
PANEL_INCHES = 4.2
#: Arrows are drawn this many times as long as the motion: millimetres would not be seen.
ARROW_FACTOR = 5


@dataclass(frozen=True, slots=True, eq=False)
class MotionPlane:
    """One plane of the fixed image with what moves in it; all arrays are (rows, columns) with square pixels.

    ``along`` (rows, columns, 2): displacement in mm along columns and rows of the picture; ``length``: of the whole
    displacement in mm; ``bound``: the 95 % bound of the registration's error in mm, None where there is none.
    """

    title: str
    image: NDArray[np.float32]
    window: tuple[float, float]
    liver: NDArray[np.bool_]
    along: NDArray[np.float32]
    length: NDArray[np.float32]
    bound: NDArray[np.float32] | None
    pixel_mm: float


def _base(axes: Any, plane: MotionPlane, title: str) -> None:
    low, high = plane.window
    axes.imshow(plane.image, cmap="gray", vmin=low, vmax=high)
    if plane.liver.any() and not plane.liver.all():
        axes.contour(plane.liver.astype(np.float32), levels=[0.5], colors="#f0e442", linewidths=1.0)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _heat(figure: Figure, axes: Any, plane: MotionPlane, values: NDArray[np.float32], top: float, label: str) -> None:
    shown = np.ma.masked_array(values, ~plane.liver)
    drawn = axes.imshow(shown, cmap="cividis", vmin=0, vmax=top, alpha=0.6)
    figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02).set_label(label, fontsize=8)


def _arrows(axes: Any, plane: MotionPlane) -> None:
    rows, columns = np.nonzero(plane.liver)
    on = (rows % ARROW_STEP == 0) & (columns % ARROW_STEP == 0)
    rows, columns = rows[on], columns[on]
    step = ARROW_FACTOR * plane.along[rows, columns] / plane.pixel_mm
    axes.quiver(
        columns, rows, step[:, 0], step[:, 1], angles="xy", scale_units="xy", scale=1, width=0.004, color="white"
    )


def draw_motion(planes: Sequence[MotionPlane], caption: str, path: Path) -> None:
    """Write a PNG: for each plane the deformation with its arrows, and beside it the error's bound.

    The colour scales are common to all planes. The same planes give the same bytes.
    """
    longest = max([1.0, *(float(p.length[p.liver].max()) for p in planes if p.liver.any())])
    bounds = [float(p.bound[p.liver].max()) for p in planes if p.bound is not None and p.liver.any()]
    with mpl.rc_context({"text.parse_math": False}):
        height = PANEL_INCHES * len(planes) + 0.5
        figure = Figure(figsize=(2.3 * PANEL_INCHES, height), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(planes), 2, squeeze=False)
        for (left, right), plane in zip(grid, planes, strict=True):
            _base(left, plane, f"{plane.title}: deformation, arrows {ARROW_FACTOR} times as long")
            _heat(figure, left, plane, plane.length, longest, "mm")
            _arrows(left, plane)
            _base(right, plane, f"{plane.title}: 95 % bound of the registration's error")
            if plane.bound is not None:
                _heat(figure, right, plane, plane.bound, max([1.0, *bounds]), "mm")
        figure.suptitle(caption, fontsize=10)
        figure.savefig(path, metadata={"Software": None})
