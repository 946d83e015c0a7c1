"""The structured summary that opens the report (STARD 2015, item 2): design, participants, tests, results, limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from liverpair.evaluate.report.wording import bounds, cause, counted, method_words, number, percent

if TYPE_CHECKING:
    from liverpair.evaluate.report.build import ReportData

__all__ = ["summary"]


def summary(c: Mapping[str, Any], data: ReportData) -> list[tuple[str, str]]:
    """(Heading, text) of every part that this study has; empty without a judged pair."""
    judged = sum(c["counts"][cell] for cell in ("tp", "fp", "fn", "tn"))
    if not judged:
        return []
    parts = [
        ("Design", _design(c, data)),
        ("Participants", _participants(c, data)),
        ("Results", _results(c)),
        ("Causes", _causes(c)),
        ("Lesions", _lesions(c)),
        ("Readers", " ".join(((c.get("readers") or {}).get("said") or ())[:3])),
        ("Limits", "MRI is the reference, not the truth; only patients with both examinations are here. "
         f"Pairs in no estimate: {c['counts']['not_evaluable']} not evaluable, {c['counts']['indeterminate']} "
         "indeterminate."),
    ]  # fmt: skip
    return [(name, text) for name, text in parts if text]


def _design(c: Mapping[str, Any], data: ReportData) -> str:
    kind = "Study" if data.from_tables else "Retrospective study"
    method = method_words(c.get("headline_interval", ""))
    return (
        f"{kind} of diagnostic accuracy on paired examinations: index test SSR-PET/CT, reference standard liver MRI. "
        f"The unit is the pair; {method} intervals heed several pairs of one patient."
    )


def _participants(c: Mapping[str, Any], data: ReportData) -> str:
    years = sorted(str(case.pair.get("pet_date") or "")[:4] for case in data.cases if case.pair.get("pet_date"))
    when = f", PET/CT {years[0]}" + (f"–{years[-1]}" if years[-1] != years[0] else "") if years else ""
    tracers = Counter(str(case.pair.get("tracer")) for case in data.cases if case.pair.get("tracer"))
    by = f"; tracer {counted(tracers)}" if tracers else ""
    people = f" of {c['patients']:,} patients" if c.get("patients") else ""
    return f"{c.get('pairs', len(data.cases)):,} pairs{people}{when}{by}."


def _results(c: Mapping[str, Any]) -> str:
    said = []
    for key, name in (("ppv", "PPV"), ("npv", "NPV"), ("accuracy", "accuracy")):
        e = c["estimates"][key]
        if e["value"] is not None:
            interval = e["intervals"].get(c.get("headline_interval", "")) or e["intervals"].get("clopper_pearson")
            said.append(f"{name} {percent(e['value'])} ({bounds(interval)})")
    share = c.get("prevalence")
    if share and share["n"]:
        said.append(f"{share['k']} of {share['n']} judged pairs MRI positive")
    if c.get("kappa") is not None:
        said.append(f"κ between PET/CT and MRI {number(c['kappa'], 2)}")
    return "; ".join(said) + "." if said else ""


def _causes(c: Mapping[str, Any]) -> str:
    found = c.get("false_negative_causes") or {}
    if not c["counts"]["fn"]:
        return "No pair was false negative."
    return "False negatives: " + ", ".join(f"{cause(code)} {n}" for code, n in found.items()) + "." if found else ""


def _lesions(c: Mapping[str, Any]) -> str:
    level = c.get("lesion_level")
    if not level or not level["sensitivity"]["n"]:
        return ""
    s, curve = level["sensitivity"], c.get("size_curve") or {}
    text = f"PET/CT showed {s['k']} of {s['n']} lesions on MRI ({percent(s['value'])})"
    if curve.get("d50_mm") is not None and curve.get("d90_mm") is not None:
        text += f"; half are seen at {number(curve['d50_mm'])} mm, nine of ten at {number(curve['d90_mm'])} mm"
    return text + "."
