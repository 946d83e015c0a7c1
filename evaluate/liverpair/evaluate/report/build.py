"""Build the self-contained HTML report: numbers come from the tables, text from outside is escaped."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from liverpair.evaluate.report import figures, wording

__all__ = ["CaseView", "ReportData", "build_report", "hashed_id"]

#: Above this, pictures of further concordant pairs are linked instead of embedded: the file must still open.
EMBEDDED_PICTURES = 80
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True, eq=False)
class CaseView:
    """One pair as the report shows it: ``call`` and ``pair`` are rows of their tables, ``lesions`` the pair's."""

    pair: Mapping[str, Any]
    call: Mapping[str, Any]
    attribution: Mapping[str, Any] | None
    lesions: Sequence[Mapping[str, Any]]
    picture: Path | None
    notes: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """Everything the report is made from.

    ``flow`` is the flow diagram's steps (title, count, exclusions); ``validation`` the agreement of images with
    reports by examination; ``sizes`` (diameter in mm, detected) of every reference lesion that could be judged.
    ``show_patient_ids`` prints the archive's patient IDs; off, they are hashed.
    """

    title: str
    version: str
    settings_toml: str
    concordance: Mapping[str, Any]
    flow: Sequence[tuple[str, int, Sequence[tuple[str, int]]]]
    cases: Sequence[CaseView] = ()
    sizes: Sequence[tuple[float, bool]] = ()
    validation: Sequence[Mapping[str, Any]] = ()
    methods: Sequence[str] = ()
    odds: Sequence[Mapping[str, Any]] = ()
    show_patient_ids: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


def hashed_id(value: str) -> str:
    """A short stable stand-in for a patient's ID."""
    return hashlib.sha256(f"liverpair:{value}".encode()).hexdigest()[:8]


def _picture_uri(path: Path) -> str:
    """The PNG as an embedded JPEG: a third of the size, indistinguishable at this scale."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _case_order(case: CaseView) -> tuple[int, str]:
    """Discordant pairs first: they are what is looked at."""
    order = ("FN", "FP", "not_evaluable", "indeterminate", "TP", "TN")
    return order.index(case.call["outcome"]), str(case.pair["pair_id"])


def _case_context(case: CaseView, data: ReportData, embed: bool) -> dict[str, Any]:
    patient = str(case.pair["patient_id"])
    picture = None
    if case.picture is not None:
        picture = _picture_uri(case.picture) if embed else f"../cases/{case.pair['pair_id']}/{case.picture.name}"
    return {
        "id": case.pair["pair_id"],
        "patient": patient if data.show_patient_ids else hashed_id(patient),
        "pair": case.pair,
        "call": case.call,
        "attribution": case.attribution,
        "lesions": case.lesions,
        "picture": picture,
        "notes": case.notes,
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("liverpair.evaluate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent,
        number=wording.number,
        bounds=wording.bounds,
        human=wording.human,
        cause=wording.cause,
    )
    return environment


def build_report(data: ReportData) -> str:
    """The report as one HTML file that needs nothing else (no network, no script from elsewhere)."""
    ordered = sorted(data.cases, key=_case_order)
    with_picture = [case for case in ordered if case.picture is not None][:EMBEDDED_PICTURES]
    embedded = {str(case.pair["pair_id"]) for case in with_picture}
    cases = [_case_context(case, data, str(case.pair["pair_id"]) in embedded) for case in ordered]
    concordance = data.concordance
    causes = Counter(
        str(c["attribution"]["primary_cause"]) for c in cases if c["call"]["outcome"] == "FN" and c["attribution"]
    )
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            cases=cases,
            counts=concordance["counts"],
            estimates=concordance["estimates"],
            headline=wording.headline(concordance),
            stard=wording.stard(bool(data.sizes)),
            causes=sorted(causes.items(), key=lambda item: (-item[1], item[0])),
            methods_of_intervals=figures.METHOD_NAMES,
            estimate_names=figures.ESTIMATE_NAMES,
            flow=figures.flow_diagram(data.flow),
            forest=figures.forest_plot(concordance["estimates"]),
            size_figure=figures.size_curve(concordance.get("size_curve") or {}, (), data.sizes) if data.sizes else None,
            histogram=figures.interval_histogram(
                [int(c["pair"]["interval_days"]) for c in cases if c["pair"].get("interval_days") not in (None, "")]
            ),
        )
    )
