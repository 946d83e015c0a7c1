"""The report's charts as SVG text: forest plots, size curve, size sweep, Bland–Altman, interval histogram."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from liverpair.evaluate.report.wording import ESTIMATE_NAMES, METHOD_NAMES, percent, size_range

__all__ = ["Chart", "agreement_plot", "forest_plot", "interval_histogram", "size_curve", "size_sweep", "subgroup_plot"]

#: Okabe and Ito's blue and vermilion: apart for every kind of colour vision and in grey.
BLUE, ORANGE, GREY, INK = "#0072b2", "#d55e00", "#667085", "#000000"
#: Above this many lesions single marks merge: their numbers are drawn as bars instead.
SINGLE_MARKS = 300
#: Journals ask for 300 dots an inch and more.
PNG_DPI = 300
#: The axis of sizes goes a little beyond the largest lesion.
AXIS_REACH = 1.03
#: ``parse_math`` off: a dollar sign in a tracer's or a site's name is text.
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.parse_math": False,
}


class Chart(Markup):
    """A figure as an SVG element, and on demand as PNG; both are the same bytes for the same data."""

    figure: Figure

    @classmethod
    def of(cls, svg: str, figure: Figure) -> Chart:
        """A chart of its SVG text and the figure that it was drawn from."""
        chart = cls(svg)
        chart.figure = figure
        return chart

    def png(self) -> bytes:
        """The figure at ``PNG_DPI``: what journals ask for where they take no vectors."""
        FigureCanvasAgg(self.figure)
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.figure.savefig(
                buffer, format="png", dpi=PNG_DPI, bbox_inches="tight", facecolor="white", metadata={"Software": None}
            )
        return buffer.getvalue()


def _svg(figure: Figure, name: str, label: str) -> Chart:
    """The figure as an SVG element; the same figure gives the same bytes (salted ids, no date)."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    with mpl.rc_context({"svg.hashsalt": name, **STYLE}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing, bbox_inches="tight")
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return Chart.of(text, figure)


def _axes(figure: Figure, *place: int) -> Any:
    axes = figure.add_subplot(*place)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def _floor(values: Sequence[float]) -> float:
    """The lower end of a percent axis: the next ten below everything shown."""
    return max(0.0, 10 * math.floor(100 * min(values, default=0.0) / 10 - 0.2))


def _whisker(axes: Any, row: float, value: float, interval: Sequence[float] | None, **style: Any) -> None:
    """A point with its interval, in percent."""
    if interval and None not in interval:
        axes.plot([100 * b for b in interval], [row, row], color=style["color"], linewidth=style.get("linewidth", 2.0))
    axes.plot(100 * value, row, style["marker"], color=style["color"], markersize=5, label=style.get("label"))


def forest_plot(estimates: Mapping[str, Mapping[str, Any]], headline: str) -> Chart:
    """Every estimate with the headline interval and the one of published tables (Clopper–Pearson)."""
    shown = [name for name in ESTIMATE_NAMES if estimates.get(name, {}).get("value") is not None]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 0.9 + 0.46 * max(len(shown), 1)))
        axes = _axes(figure)
        ends = [b for n in shown for i in estimates[n]["intervals"].values() if i for b in i if b is not None]
        for row, name in enumerate(reversed(shown)):
            e = estimates[name]
            methods = [(0.15, headline, BLUE, "o"), (-0.15, "clopper_pearson", GREY, "s")]
            for offset, method, colour, marker in methods[: 1 if headline == "clopper_pearson" else 2]:
                label = METHOD_NAMES.get(method, method) if row == 0 else None
                interval = e["intervals"].get(method)
                _whisker(axes, row + offset, e["value"], interval, color=colour, marker=marker, label=label)
        axes.set_yticks(range(len(shown)), [ESTIMATE_NAMES[name] for name in reversed(shown)])
        axes.set_xlim(_floor(ends) - 0.5, 100.5)
        axes.set_ylim(-0.6, max(len(shown) - 0.4, 0.6))
        axes.set_xlabel("value and interval, %")
        axes.grid(axis="x", color="#e4e7ec", linewidth=0.8)
        if shown:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8.5)
        return _svg(figure, "forest", "Forest plot of the estimates")


def subgroup_plot(overall: Mapping[str, Any], subgroups: Sequence[Mapping[str, Any]], headline: str) -> Chart | None:
    """Sensitivity and specificity by subgroup with the headline interval; None where no grouping has two levels."""
    if not subgroups:
        return None
    rows: list[tuple[str, Mapping[str, Any] | None, bool]] = [("All pairs", overall, False)]
    last = ""
    for group in subgroups:
        if group["by"] != last:
            last = group["by"]
            rows.append((last.replace("_", " ").capitalize(), None, True))
        rows.append((size_range(str(group["level"])), group["estimates"], False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 0.8 + 0.23 * len(rows)))
        for column, name in enumerate(("sensitivity", "specificity"), start=1):
            axes = _axes(figure, 1, 2, column)
            place = axes.get_yaxis_transform()
            for y, (_, estimates, _) in enumerate(reversed(rows)):
                e = estimates[name] if estimates else None
                if e is None:
                    continue
                text = f"{e['k']}/{e['n']} = {percent(e['value'])}" if e["n"] else "no pairs"
                axes.text(1.03, y, text, transform=place, va="center", fontsize=8.5, color=INK if e["n"] else GREY)
                if e["value"] is not None:
                    marker = "D" if y == len(rows) - 1 else "o"
                    _whisker(
                        axes, y, e["value"], e["intervals"].get(headline), color=BLUE, marker=marker, linewidth=1.6
                    )
            if overall[name]["value"] is not None:
                axes.axvline(100 * overall[name]["value"], color=GREY, linestyle=":", linewidth=1)
            labels = [label for label, _, _ in reversed(rows)] if column == 1 else []
            axes.set_yticks(range(len(rows)) if column == 1 else [], labels)
            for tick, (_, _, heading) in zip(axes.get_yticklabels(), reversed(rows), strict=False):
                tick.set_fontweight("bold" if heading else "normal")
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(-0.7, len(rows) - 0.3)
            ends = [
                bound
                for _, e, _ in rows
                if e
                for bound in e[name]["intervals"].get(headline) or ()
                if bound is not None
            ]
            floor = _floor(ends)
            margin = (100 - floor) / 50
            axes.set_xlim(floor - margin, 100 + margin)
            axes.set_title(ESTIMATE_NAMES[name] + ", %", fontsize=10)
            axes.grid(axis="x", color="#e4e7ec", linewidth=0.8)
        figure.subplots_adjust(wspace=0.5)
        return _svg(figure, "subgroups", "Sensitivity and specificity by subgroup")


def _lesion_marks(axes: Any, sizes: Sequence[tuple[float, bool]], largest: float) -> None:
    """Seen lesions at the top, missed ones at the bottom: single marks, or bars of their numbers."""
    for wanted, base, way, colour, marker in ((True, 104, 1, BLUE, "o"), (False, -4, -1, ORANGE, "x")):
        own = [size for size, seen in sizes if seen is wanted]
        if len(sizes) <= SINGLE_MARKS:
            axes.plot(own, [base] * len(own), linestyle="none", marker=marker, color=colour, markersize=5, alpha=0.7)
            continue
        edges = np.arange(0, largest + 1.0, 1.0)
        number, _ = np.histogram(own, edges)
        most = max(np.histogram([s for s, _ in sizes], edges)[0].max(), 1)
        axes.bar(edges[:-1] + 0.5, way * 16 * number / most, 0.9, bottom=base - 2 * way, color=colour, alpha=0.75)


def _limits_of_detection(axes: Any, curve: Mapping[str, Any], largest: float) -> None:
    """d50 and d90 on the curve, with Fieller's interval where it is bounded."""
    for key, level, marker in (("d50", 50, "s"), ("d90", 90, "^")):
        value, end = curve.get(f"{key}_mm"), largest * AXIS_REACH
        if value is None or value > end:
            continue
        interval = (curve.get(f"{key}_ci_mm") or {}).get("fieller")
        if isinstance(interval, Sequence) and not isinstance(interval, str) and None not in interval:
            axes.plot(interval, [level, level], color="black", linewidth=2.4, solid_capstyle="butt")
            if interval[1] > end:  # it goes on beyond the axis
                axes.plot(end, level, ">", color="black", markersize=7, clip_on=False)
        axes.plot(value, level, marker, color="black", markersize=6, label=f"{key} = {value:.1f} mm")


def size_curve(
    curve: Mapping[str, Any], bins: Sequence[Mapping[str, Any]], sizes: Sequence[tuple[float, bool]]
) -> Chart:
    """Share seen by size: bins with intervals, the logistic curve on ln(size), every lesion at the edges."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.6))
        axes = _axes(figure)
        # the largest few are left off the axis of a big cohort, which would else be mostly empty
        found = [size for size, _ in sizes]
        largest = float(np.quantile(found, 0.98) if len(found) > SINGLE_MARKS else max(found, default=30.0))
        largest = max(largest, 12.0)
        _lesion_marks(axes, sizes, largest)
        for b in bins:
            if b["n"]:
                inside = [size for size, _ in sizes if b["low_mm"] <= size < (b["high_mm"] or math.inf)]
                middle = float(np.mean(inside)) if inside else b["low_mm"]
                low, high = b["interval"]
                axes.plot([middle] * 2, [100 * low, 100 * high], color=BLUE, linewidth=1.4)
                axes.plot(middle, 100 * b["value"], "o", color="white", markeredgecolor=BLUE, markersize=6)
        coefficients = curve.get("coefficients")
        if coefficients and None not in coefficients:
            x = np.geomspace(1.0, largest, 300)
            chance = 1 / (1 + np.exp(-np.clip(coefficients[0] + coefficients[1] * np.log(x), -500, 500)))
            axes.plot(x, 100 * chance, color="black", linewidth=1.4, label="logistic on ln(size)")
            _limits_of_detection(axes, curve, largest)
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8.5)
        axes.set_xlabel("longest diameter on MRI, mm  (top edge: lesions seen; bottom edge: lesions missed)")
        axes.set_ylabel("seen on PET, %")
        axes.set_yticks(range(0, 101, 25))
        axes.set_ylim(-22, 124)
        axes.set_xlim(0, largest * AXIS_REACH)
        axes.grid(color="#eef0f4", linewidth=0.8)
        return _svg(figure, "size", "Share of lesions seen on PET against their size")


def size_sweep(rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Share of false negatives whose largest unseen lesion is below each limit; None without a measured one."""
    shown = [r for r in rows if r["value"] is not None]
    if not shown:
        return None
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.8 + 0.4 * len(shown)))
        axes = _axes(figure)
        for y, r in enumerate(reversed(shown)):
            axes.barh(y, 100 * r["value"], color=BLUE, alpha=0.35, height=0.6)
            _whisker(axes, y, r["value"], r["clopper_pearson"], color=BLUE, marker="o")
            axes.text(103, y, f"{r['k']}/{r['n']}", va="center", fontsize=8.5)
        axes.set_yticks(range(len(shown)), [f"< {r['limit_mm']:g} mm" for r in reversed(shown)])
        axes.set_xlim(0, 101)
        axes.set_xlabel("% of false negatives (95 % Clopper–Pearson)")
        return _svg(figure, "sweep", "False negatives by size limit")


def agreement_plot(points: Sequence[tuple[float, float]], summary: Mapping[str, Any] | None) -> Chart | None:
    """Bland–Altman: image minus report diameter against their mean; None below two pairs of sizes."""
    if summary is None or len(points) < 2:
        return None
    image, report = (np.array([p[k] for p in points], dtype=np.float64) for k in (0, 1))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.0))
        axes = _axes(figure)
        axes.plot((image + report) / 2, image - report, "o", color=BLUE, markersize=5, alpha=0.7)
        low, high = summary["limits"]
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
        lines = ((summary["bias"], "-", "bias"), (low, "--", "lower limit"), (high, "--", "upper limit"))
        for value, style, name in lines:
            axes.axhline(value, color=ORANGE, linestyle=style, linewidth=1.2)
            axes.text(
                1.01,
                value,
                f"{name} {value:+.1f} mm".replace("-", "−"),
                transform=axes.get_yaxis_transform(),
                va="center",
                fontsize=8.5,
            )
        axes.set_xlabel("mean of both, mm")
        axes.set_ylabel("image − report, mm")
        return _svg(figure, "agreement", "Bland–Altman plot of diameters on images and in reports")


def interval_histogram(days: Sequence[int]) -> Chart:
    """How many days lie between the two examinations; negative where the MRI came first."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 2.1))
        axes = _axes(figure)
        reach = max(92, max((abs(d) for d in days), default=92))
        axes.hist(days, bins=np.linspace(-reach, reach, 25), color=BLUE, edgecolor="white")
        axes.axvline(0, color=GREY, linewidth=1, linestyle=":")
        axes.set_xlabel("days from PET/CT to MRI (negative: MRI first)")
        axes.set_ylabel("pairs")
        axes.yaxis.get_major_locator().set_params(integer=True)
        return _svg(figure, "interval", "Interval between the examinations")
