"""The STARD flow diagram as SVG: what came in, what was set aside and why, and how the verdicts fell."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from liverpair.evaluate.report.wording import words

__all__ = ["FlowStep", "flow_diagram"]

WIDTH, BOX, LINE, GAP, PAD = 860, 350, 18, 30, 10
#: Letters that fit a side box's line at 13 px, counted on the widest common face.
LETTERS = 58
STYLE = """
.flow text { font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1d2433 }
.flow .count { font-weight: 600 } .flow .small { font-size: 13px }
.flow .step { fill: #eef6fb; stroke: #4f9cc9 } .flow .out { fill: #f5f7fa; stroke: #b8c0cc }
.flow .arrow { stroke: #475467; fill: none; stroke-width: 1.4 }
"""


@dataclass(frozen=True, slots=True, eq=False)
class FlowStep:
    """One box: ``count`` of ``unit``; ``excluded`` (reason, number) leave it to the right, under the words ``aside``.
    Where the next step has the same unit, ``count`` less all of ``excluded`` is the next step's count."""

    title: str
    count: int
    unit: str = ""
    detail: str = ""
    excluded: tuple[tuple[str, int], ...] = ()
    aside: str = "Set aside"


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _arrow(path: str) -> str:
    return f'<path d="{path}" class="arrow" marker-end="url(#tip)"/>'


def _side_lines(step: FlowStep) -> list[str]:
    lines = []
    for reason, number in step.excluded:
        lines += textwrap.wrap(f"{words(reason)}: {number}", LETTERS, subsequent_indent="   ") or [str(number)]
    return lines


def _step(step: FlowStep, y: float) -> tuple[list[str], float]:
    """The box of a step with its exclusions beside it, and its height."""
    texts = [(step.title, ""), (f"n = {step.count:,} {step.unit}".rstrip(), "count")]
    if step.detail:
        texts += [(line, "small") for line in textwrap.wrap(step.detail, LETTERS - 8)]
    side = _side_lines(step)
    own = 2 * PAD + LINE * len(texts)
    height = max(own, 2 * PAD + LINE * (len(side) + 1) if side else 0)
    parts = [_rect(1, y, BOX, height, "step")]
    top = y + (height - LINE * len(texts)) / 2 + 13
    parts += [_text(BOX / 2, top + LINE * k, text, kind) for k, (text, kind) in enumerate(texts)]
    if side:
        left = BOX + 46
        parts.append(_arrow(f"M{BOX + 1} {y + height / 2:g} H{left - 3}"))
        parts.append(_rect(left, y, WIDTH - left - 1, height, "out"))
        total = sum(n for _, n in step.excluded)
        parts.append(_text(left + 12, y + PAD + 13, f"{step.aside}: n = {total:,}", "count", "start"))
        for k, line in enumerate(side, start=1):
            parts.append(_text(left + 12, y + PAD + 13 + LINE * k, line, "small", "start"))
    return parts, height


def _verdicts(counts: Mapping[str, int], y: float) -> tuple[list[str], float]:
    """The last row: index-positive and index-negative pairs with what the reference said of each."""
    tp, fp, fn, tn = (counts[key] for key in ("tp", "fp", "fn", "tn"))
    arms = (
        (
            "PET/CT positive",
            tp + fp,
            (f"MRI positive: {tp:,} (true positive)", f"MRI negative: {fp:,} (false positive)"),
        ),
        (
            "PET/CT negative",
            fn + tn,
            (f"MRI positive: {fn:,} (false negative)", f"MRI negative: {tn:,} (true negative)"),
        ),
    )
    width, height = 300.0, 2 * PAD + 4 * LINE
    parts = [f'<path d="M{BOX / 2} {y - GAP} V{y - GAP / 2}" class="arrow"/>']
    for column, (title, number, lines) in enumerate(arms):
        x = 1 + column * (width + 30)
        middle = x + width / 2
        parts.append(_arrow(f"M{BOX / 2} {y - GAP / 2} H{middle:g} V{y - 3:g}"))
        parts.append(_rect(x, y, width, height, "step"))
        parts.append(_text(middle, y + PAD + 13, title))
        parts.append(_text(middle, y + PAD + 13 + LINE, f"n = {number:,}", "count"))
        parts += [_text(middle, y + PAD + 13 + LINE * (k + 2), line, "small") for k, line in enumerate(lines)]
    return parts, height


def flow_diagram(steps: Sequence[FlowStep], counts: Mapping[str, int] | None = None) -> Markup:
    """The diagram, top to bottom; with ``counts`` (keys tp, fp, fn, tn) it ends in the verdicts."""
    parts: list[str] = []
    y = 2.0
    for number, step in enumerate(steps):
        if number:
            parts.append(_arrow(f"M{BOX / 2} {y - GAP:g} V{y - 3:g}"))
        drawn, height = _step(step, y)
        parts += drawn
        y += height + GAP
    if counts is not None and steps:
        drawn, height = _verdicts(counts, y)
        parts += drawn
        y += height + GAP
    marker = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"'
    tip = f'<defs><marker id="tip" {marker}><path d="M0 0 L8 4 L0 8 z" fill="#475467"/></marker></defs>'
    bottom = max(y - GAP + 2, 10)
    return Markup(
        f'<svg class="flow" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}" role="img" '
        'aria-label="Flow diagram: what came in, what was set aside at each step, and how the verdicts fell">'
        f"<style>{STYLE}</style>{tip}{''.join(parts)}</svg>"
    )
