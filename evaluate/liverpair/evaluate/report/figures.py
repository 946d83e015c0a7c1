"""The report's figures as SVG text: flow diagram, forest plot, size curve, interval histogram."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["flow_diagram", "forest_plot", "interval_histogram", "size_curve"]

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#667085"
ESTIMATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
ESTIMATE_NAMES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "accuracy": "Accuracy",
}
METHOD_NAMES = {
    "clopper_pearson": "Clopper–Pearson (as if all pairs were independent)",
    "korn_graubard": "Korn–Graubard (clustered by patient)",
    "ratio_logit": "ratio estimator, logit-t (clustered)",
    "gee": "GEE, independence (clustered)",
    "bootstrap": "bootstrap by patient",
}


def _svg(figure: Figure, name: str) -> Markup:
    """The figure as an SVG element; the same figure gives the same bytes (salted ids, no date)."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = buffer.getvalue()
    return Markup(text[text.index("<svg") :])


def _plain_axes(figure: Figure) -> Any:
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def forest_plot(estimates: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Point estimates with the interval of the paper (Clopper–Pearson) and the one that heeds repeated patients."""
    figure = Figure(figsize=(7.2, 2.9))
    axes = _plain_axes(figure)
    shown = [name for name in ESTIMATES if estimates.get(name, {}).get("value") is not None]
    for row, name in enumerate(reversed(shown)):
        estimate = estimates[name]
        for offset, method, colour in ((0.14, "clopper_pearson", GREY), (-0.14, "korn_graubard", BLUE)):
            bounds = estimate["intervals"].get(method)
            if bounds and None not in bounds:
                axes.plot([100 * b for b in bounds], [row + offset] * 2, color=colour, linewidth=2.2)
            marker = "s" if method == "clopper_pearson" else "o"
            label = METHOD_NAMES[method] if row == 0 else None
            axes.plot(100 * estimate["value"], row + offset, marker, color=colour, markersize=5, label=label)
    axes.set_yticks(range(len(shown)), [ESTIMATE_NAMES[name] for name in reversed(shown)])
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.6, max(len(shown) - 0.4, 0.6))
    axes.set_xlabel("percent, with 95 % interval")
    axes.grid(axis="x", color="#e4e7ec", linewidth=0.8)
    axes.set_axisbelow(True)
    if shown:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=1, frameon=False, fontsize=8)
    return _svg(figure, "forest")


def size_curve(
    curve: Mapping[str, Any], bins: Sequence[Mapping[str, Any]], sizes: Sequence[tuple[float, bool]]
) -> Markup:
    """Detected or missed against lesion size, with the logistic curve on ln(size) where one could be fitted."""
    figure = Figure(figsize=(7.2, 3.1))
    axes = _plain_axes(figure)
    largest = max([size for size, _ in sizes], default=40.0)
    for size, detected in sizes:
        style = {"marker": "o", "color": BLUE} if detected else {"marker": "x", "color": ORANGE}
        axes.plot(size, 100.0 if detected else 0.0, linestyle="none", markersize=6, alpha=0.7, **style)
    coefficients = curve.get("coefficients")
    if coefficients and None not in coefficients:
        x = np.geomspace(2.0, max(largest, 12.0), 200)
        axes.plot(
            x,
            100 / (1 + np.exp(-(coefficients[0] + coefficients[1] * np.log(x)))),
            color="black",
            linewidth=1.4,
        )
        for key, name in (("d50_mm", "d50"), ("d90_mm", "d90")):
            if curve.get(key) and curve[key] <= largest * 1.2:
                axes.axvline(curve[key], color=GREY, linestyle=":", linewidth=1)
                axes.annotate(
                    f"{name} {curve[key]:.1f} mm",
                    (curve[key], 50),
                    rotation=90,
                    fontsize=8,
                    ha="right",
                    va="center",
                )
    axes.set_xlabel("longest diameter on MRI, mm")
    axes.set_ylabel("seen on PET, %")
    axes.set_ylim(-8, 108)
    axes.set_xlim(0, largest * 1.05)
    return _svg(figure, "size")


def interval_histogram(days: Sequence[int]) -> Markup:
    """How many days lie between the two examinations; negative where the MRI came first."""
    figure = Figure(figsize=(7.2, 2.1))
    axes = _plain_axes(figure)
    reach = max(92, max((abs(d) for d in days), default=92))
    axes.hist(days, bins=np.linspace(-reach, reach, 25), color=BLUE, edgecolor="white")
    axes.set_xlabel("MRI date minus PET date, days")
    axes.set_ylabel("pairs")
    axes.yaxis.get_major_locator().set_params(integer=True)
    return _svg(figure, "interval")


def flow_diagram(steps: Sequence[tuple[str, int, Sequence[tuple[str, int]]]]) -> Markup:
    """A STARD flow diagram: each step (title, count, exclusions to the right as (reason, count)), top to bottom."""
    width, box, line, gap = 720, 300, 17, 26
    parts, y = [], 4
    for number, (title, count, excluded) in enumerate(steps):
        rows = [f"{reason}: {n}" for reason, n in excluded]
        height = max(44, 12 + line * (len(rows) + 1)) if rows else 44
        if number:
            parts.append(f'<path d="M{box / 2} {y - gap} V{y - 5}" class="arrow" marker-end="url(#tip)"/>')
        parts.append(f'<rect x="1" y="{y}" width="{box}" height="44" rx="6" class="step"/>')
        parts.append(f'<text x="{box / 2}" y="{y + 19}" text-anchor="middle">{escape(title)}</text>')
        parts.append(f'<text x="{box / 2}" y="{y + 36}" text-anchor="middle" class="count">n = {count}</text>')
        if rows:
            parts.append(f'<path d="M{box + 1} {y + 22} H{box + 52}" class="arrow" marker-end="url(#tip)"/>')
            parts.append(
                f'<rect x="{box + 58}" y="{y}" width="{width - box - 60}" height="{height}" rx="6" class="out"/>'
            )
            total = sum(n for _, n in excluded)
            parts.append(f'<text x="{box + 70}" y="{y + 17}" class="count">set aside: {total}</text>')
            for k, text in enumerate(rows):
                parts.append(f'<text x="{box + 70}" y="{y + 17 + line * (k + 1)}" class="small">{escape(text)}</text>')
        y += height + gap
    marker = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
    tip = f'<defs><marker id="tip" {marker}><path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    label = "Flow of studies from the archive to the analysis"
    return Markup(
        f'<svg class="flow" viewBox="0 0 {width} {y - gap + 6}" role="img" aria-label="{label}">'
        f"{tip}{''.join(parts)}</svg>"
    )
