"""Small tables of the report that are put together from the pairs: participants, patients, stand-ins for IDs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverpair.evaluate.intervals import Interval, clopper_pearson
from liverpair.evaluate.report.names import stand_ins
from liverpair.evaluate.report.wording import ESTIMATE_NAMES, METHOD_NAMES, counted, days

__all__ = [
    "abbreviations",
    "in_order",
    "interval_columns",
    "interval_sentence",
    "level_rows",
    "participants",
    "patient_rows",
    "published",
    "remarks",
    "stand_ins",
    "unknown",
]

#: Beginnings of the names of baseline rows, and what is missing without them.
WANTED = {
    "Sex": "sex", "Age": "age", "Grade": "grade", "Ki-67": "Ki-67", "Primary": "primary tumour",
    "Therapies": "therapies",
}  # fmt: skip
#: TP, FP, FN, TN of Grawe et al., Cancer Imaging 2023 (doi 10.1186/s40644-023-00556-9), pairs.
PUBLISHED_CELLS = (1634, 16, 51, 682)


ABBREVIATIONS = {
    "AC1": "Gwet's coefficient of agreement",
    "CI": "confidence interval",
    "d50, d90": "diameters at which 50 % and 90 % of the lesions are seen",
    "FN": "false negative", "FP": "false positive", "TN": "true negative", "TP": "true positive",
    "GEE": "generalised estimating equations",
    "k / n": "how many of how many",
    "κ": "Cohen's kappa",
    "MRI": "magnetic resonance imaging",
    "NPV": "negative predictive value", "PPV": "positive predictive value",
    "PABAK": "prevalence-adjusted and bias-adjusted kappa",
    "SD": "standard deviation", "SE": "standard error",
    "SSR-PET/CT": "somatostatin-receptor positron emission tomography with computed tomography",
    "STARD": "Standards for Reporting of Diagnostic Accuracy Studies",
}  # fmt: skip
IMAGE_ABBREVIATIONS = {
    "ADC": "apparent diffusion coefficient", "DWI": "diffusion-weighted imaging", "HBP": "hepatobiliary phase",
    "CNR": "contrast-to-noise ratio: the lesion's excess over the liver in standard deviations of the liver's noise",
    "FWHM": "full width at half maximum, the PET's resolution",
    "P(detect)": "modelled chance that PET/CT shows a lesion",
    "SUV": "standardised uptake value", "T1, T2": "relaxation times that weight the MRI's images",
    "T₉₅": "highest true tumour-to-liver ratio that the PET still allows (95 %)",
    "× liver": "SUVmax over the mean of the liver", "z": "excess over the background in standard deviations",
}  # fmt: skip


def interval_columns(estimates: Mapping[str, Mapping[str, Any]], headline: str) -> list[tuple[str, str]]:
    """(method, name) of every interval that any estimate has, the headline's first, the paper's last."""
    there = {name for e in estimates.values() for name, found in e["intervals"].items() if found}
    order = [headline, *(m for m in METHOD_NAMES if m != headline)]
    return [(m, METHOD_NAMES.get(m, m)) for m in order if m in there]


def published(
    estimates: Mapping[str, Mapping[str, Any]], level: float
) -> list[tuple[str, Mapping[str, Any], tuple[int, int], Interval]]:
    """(measure, this study's estimate, published k and n, their Clopper–Pearson interval), for the published ones."""
    tp, fp, fn, tn = PUBLISHED_CELLS
    cells = {"sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp), "ppv": (tp, tp + fp), "npv": (tn, tn + fn)}
    return [(m, estimates[m], (k, n), clopper_pearson(k, n, level)) for m, (k, n) in cells.items()]


def _share(values: Sequence[str]) -> str:
    """Levels with their counts, most frequent first: "68Ga-DOTATOC 12, 64Cu-DOTATATE 3"."""
    return counted(Counter(v or "not stated" for v in values))


def participants(cases: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What is known of the participants, as (characteristic, value)."""
    if not cases:
        return []
    per_patient = Counter(case["patient"] for case in cases)
    spread = Counter(per_patient.values())
    numbers = ", ".join(f"{n} pair{'s' if n > 1 else ''}: {spread[n]}" for n in sorted(spread))
    rows = [("Patients with a pair", f"{len(per_patient):,}"), ("Pairs", f"{len(cases):,}")]
    rows.append(("Patients by number of pairs", numbers))
    for key, name in (("tracer", "Tracer (pairs)"), ("vendor", "PET/CT vendor (pairs)")):
        values = [str(case["pair"].get(key) or "") for case in cases]
        if any(values):
            rows.append((name, _share(values)))
    years = sorted(case["pet_date"][:4] for case in cases if case["pet_date"])
    if years:
        rows.append(("Years of PET/CT", years[0] if years[0] == years[-1] else f"{years[0]}–{years[-1]}"))
    gaps = [float(c["pair"]["interval_days"]) for c in cases if c["pair"].get("interval_days") not in (None, "")]
    if gaps:
        low, middle, high = np.percentile(gaps, [25, 50, 75])
        quartiles, ends = f"{days(low)} and {days(high)}", f"{days(min(gaps))} to {days(max(gaps))}"
        text = f"median {days(middle)} (quartiles {quartiles}; range {ends})"
        rows.append(("Days from PET/CT to MRI", text))
    sizes = [float(c["largest_mm"]) for c in cases if c["largest_mm"] and c["call"]["outcome"] in ("TP", "FN")]
    if sizes:
        low, middle, high = np.percentile(sizes, [25, 50, 75])
        rows.append(
            ("Largest lesion of MRI-positive pairs, mm", f"median {middle:.1f} (quartiles {low:.1f} and {high:.1f})")
        )
    return rows


def in_order(baseline: Sequence[tuple[str, str]], described: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows of the table of participants: how many there are, who they are, what was done."""
    counts = [row for row in described if row[0].startswith(("Patients", "Pairs"))]
    return [*counts, *baseline, *(row for row in described if row not in counts)]


def unknown(baseline: Sequence[tuple[str, str]]) -> list[str]:
    """What a table of participants usually holds and this one does not."""
    names = [name for name, _ in baseline]
    return [word for start, word in WANTED.items() if not any(name.startswith(start) for name in names)]


def interval_sentence(cases: Sequence[Mapping[str, Any]]) -> str:
    """How many pairs have a known interval, its median and range, and which examination came first."""
    gaps = [float(c["pair"]["interval_days"]) for c in cases if c["pair"].get("interval_days") not in (None, "")]
    if not gaps:
        return ""
    first = sum(g < 0 for g in gaps), sum(g > 0 for g in gaps), sum(g == 0 for g in gaps)
    apart = [abs(g) for g in gaps]
    unknown = f" The interval of {len(cases) - len(gaps):,} pairs is not known." if len(gaps) < len(cases) else ""
    return (
        f"{len(gaps):,} pairs: the examinations lie a median of {np.median(apart):.0f} days apart (range "
        f"{min(apart):.0f} to {max(apart):.0f}); MRI came first in {first[0]:,}, PET/CT in {first[1]:,}, both on one "
        f"day in {first[2]:,}.{unknown}"
    )


def abbreviations(concordance: Mapping[str, Any], from_tables: bool) -> list[tuple[str, str]]:
    """(Abbreviation, meaning) of what this report uses, in alphabetical order; ``from_tables``: without images."""
    found = dict(ABBREVIATIONS) if from_tables else {**ABBREVIATIONS, **IMAGE_ABBREVIATIONS}
    if not concordance.get("readers"):
        found.pop("AC1")
    return sorted(found.items(), key=lambda item: item[0].casefold())


def patient_rows(concordance: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The three units side by side: every pair, each patient's first pair, the patient."""
    level = concordance.get("patient_level")
    if not level:
        return []
    return [
        ("Study pairs (primary)", concordance),
        ("Each patient's first pair", level["first_pair"]),
        ("Patients, positive when any pair is", level["any_positive"]),
    ]


def level_rows(
    levels: Sequence[tuple[str, int, Sequence[tuple[str, int]]]], concordance: Mapping[str, Any]
) -> list[tuple[str, int, str, int]]:
    """(unit, came in, set aside and why, judged) of every level; the last number is what is left."""
    rows = list(levels)
    lesion = concordance.get("lesion_level")
    if lesion and lesion["lesions"]:
        rows.append(("Lesions on MRI", lesion["lesions"], [("could not be judged on PET/CT", lesion["not_evaluable"])]))
    found = []
    for unit, start, out in rows:
        there = [(why, n) for why, n in out if n]
        text = "; ".join(f"{why}: {n:,}" for why, n in there) or "none"
        found.append((unit, start, text, start - sum(n for _, n in there)))
    return found


def remarks(estimates: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(what is said, of which intervals) for every note on an interval, equal notes together."""
    found: dict[str, list[str]] = {}
    for key, name in ESTIMATE_NAMES.items():
        for method, why in (estimates[key].get("notes") or {}).items():
            found.setdefault(why, []).append(f"{name}, {METHOD_NAMES.get(method, method)}")
    return [(why, "; ".join(where)) for why, where in found.items()]
