"""The flow diagram's shapes drawn once more for PNG: rectangles, texts and arrows at the same places as in the SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

__all__ = ["flow_picture"]

#: SVG units (CSS pixels) an inch; a text's point is 96/72 of them.
UNITS_PER_INCH = 96.0
POINTS_PER_UNIT = 72.0 / 96.0
FILLS = {"step": ("#eef6fb", "#4f9cc9"), "out": ("#f5f7fa", "#b8c0cc")}
INK, ARROW = "#1d2433", "#475467"
ANCHORS = {"middle": "center", "start": "left"}
SVG = "{http://www.w3.org/2000/svg}"


def _path_points(path: str) -> list[tuple[float, float]]:
    """The corners of a path made of M, H and V."""
    points: list[tuple[float, float]] = []
    words = path.replace("M", " M ").replace("H", " H ").replace("V", " V ").split()
    position = 0
    while position < len(words):
        command = words[position]
        if command == "M":
            points.append((float(words[position + 1]), float(words[position + 2])))
            position += 3
        else:
            value, last = float(words[position + 1]), points[-1]
            points.append((value, last[1]) if command == "H" else (last[0], value))
            position += 2
    return points


def _arrow(axes: Any, path: str, tip: bool) -> None:
    points = _path_points(path)
    axes.plot(*zip(*points, strict=True), color=ARROW, linewidth=1.1, solid_joinstyle="miter")
    if tip:
        axes.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": ARROW, "linewidth": 1.1})


def flow_picture(svg: str) -> Figure:
    """A figure of the same size and content as the flow diagram's SVG."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = (float(v) for v in str(root.get("viewBox")).split())
    figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for shape in root:
        kind = str(shape.get("class") or "")
        if shape.tag == f"{SVG}rect":
            x, y, w, h = (float(str(shape.get(k))) for k in ("x", "y", "width", "height"))
            fill, edge = FILLS[kind]
            box = FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=5", facecolor=fill, edgecolor=edge)
            axes.add_patch(box)
        elif shape.tag == f"{SVG}text":
            size = (13 if kind == "small" else 14) * POINTS_PER_UNIT
            weight = "bold" if kind == "count" else "normal"
            side: Any = ANCHORS[str(shape.get("text-anchor"))]
            place = float(str(shape.get("x"))), float(str(shape.get("y")))
            axes.text(*place, shape.text or "", fontsize=size, fontweight=weight, color=INK, ha=side, va="baseline")
        elif shape.tag == f"{SVG}path":
            _arrow(axes, str(shape.get("d")), shape.get("marker-end") is not None)
    return figure
