"""What the livers held and how well their images were brought together, over all pairs, for the report's reader."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from liverpair.flow.tables import Row

__all__ = ["disease_rows", "other_findings", "processing_rows", "uptake_rows"]

Record = Mapping[str, Any]
#: Numbers of metastases that studies group by; the last is open.
GROUPS = ((1, 1), (2, 5), (6, 10), (11, None))


def _spread(values: Sequence[float], digits: int = 0) -> str:
    """Median, quartiles and range in words."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    ends = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
    return f"median {middle:.{digits}f} (quartiles {low:.{digits}f} and {high:.{digits}f}; range {ends})"


def _metastases(record: Record, kind: str) -> list[str]:
    """Lesions of one examination ("M" or "P") that count."""
    return [x for x, facts in record["lesion_facts"].items() if x.startswith(kind) and facts["countable"]]


def _shared(numbers: Sequence[int]) -> str:
    parts = []
    for low, high in GROUPS:
        n = sum(low <= x and (high is None or x <= high) for x in numbers)
        name = f"{low}" if low == high else f"> {low - 1}" if high is None else f"{low}–{high}"
        parts.append(f"{name}: {n}")
    return ", ".join(parts)


def disease_rows(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Severity on MRI (STARD 21a): how many metastases, how large, how much of the liver, in which lobes."""
    ill = [r for r in records if _metastases(r, "M")]
    if not ill:
        return []
    numbers = [len(_metastases(r, "M")) for r in ill]
    sizes = [f["diameter_mm"] for r in ill for x, f in r["lesion_facts"].items() if x in _metastases(r, "M")]
    measured = [float(s) for s in sizes if s]
    rows = [
        ("Pairs with metastases on the MRI's images", str(len(ill))),
        ("Metastases a pair", f"{_spread(numbers)}; {_shared(numbers)}"),
    ]
    if measured:
        rows.append(("Longest diameter of every metastasis, mm", _spread(measured, 1)))
    burdens = [b for r in ill if (b := ((r.get("burden") or {}).get("mr") or {}))]
    volumes = [float(b["burden_ml"]) for b in burdens if b.get("burden_ml") is not None]
    shares = [100 * float(b["burden_fraction"]) for b in burdens if b.get("burden_fraction") is not None]
    if volumes:
        rows.append(("Volume of all metastases, mL", _spread(volumes, 1)))
    if shares:
        rows.append(("Share of the liver, %", _spread(shares, 1)))
    lobes = Counter(_lobes(r) for r in ill)
    named = [f"{name}: {lobes[name]}" for name in ("right only", "left only", "both") if lobes[name]]
    if named:
        rows.append(("Lobes with metastases (pairs)", ", ".join(named)))
    return rows


def _lobes(record: Record) -> str:
    """Which lobes hold metastases; "" where a place is not known."""
    places = record.get("location") or {}
    found = {str((places.get(x) or {}).get("lobe") or "") for x in _metastases(record, "M")}
    if "" in found:
        return ""
    return "both" if {"right", "left"} <= found else f"{found.pop()} only" if len(found) == 1 else ""


def other_findings(records: Sequence[Record], calls: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Focal findings on MRI that are no metastases (STARD 21b): kind, number, pairs by what the MRI says."""
    found: Counter[str] = Counter()
    pairs: dict[str, dict[str, set[str]]] = {}
    for record in records:
        reference = str(calls[record["pair_id"]]["reference"])
        for lesion, facts in record["lesion_facts"].items():
            nature = str(facts["nature"])
            if lesion.startswith("M") and nature != "metastasis":
                found[nature] += 1
                pairs.setdefault(nature, {}).setdefault(reference, set()).add(record["pair_id"])
    return [
        {
            "finding": nature.replace("_", " "),
            "number": n,
            "pairs_mri_negative": len(pairs[nature].get("absent", ())),
            "pairs_mri_positive": len(pairs[nature].get("present", ())),
        }
        for nature, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def uptake_rows(records: Sequence[Record], tracers: Mapping[str, str]) -> list[Row]:
    """Uptake of the liver and of the PET foci that count, by tracer: medians and ranges."""
    rows: list[Row] = []
    for tracer in sorted({tracers[r["pair_id"]] for r in records}):
        own = [r for r in records if tracers[r["pair_id"]] == tracer and r["reference"]]
        foci = [x for r in own for x in r["lesions"] if x["lesion_id"] in _metastases(r, "P")]
        if own:
            rows.append(
                {
                    "tracer": tracer,
                    "pairs": len(own),
                    "liver_suv_mean": _short([r["reference"]["mean"] for r in own], 1),
                    "liver_cov": _short([r["reference"]["sd"] / r["reference"]["mean"] for r in own], 3),
                    "foci": len(foci),
                    "suv_max": _short([x["suv_max"] for x in foci], 1),
                    "tumour_to_liver": _short([x["tlr"] for x in foci], 1),
                }
            )
    return rows


def _short(values: Sequence[float | None], digits: int) -> str:
    known = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not known:
        return "–"
    return f"{np.median(known):.{digits}f} ({min(known):.{digits}f}–{max(known):.{digits}f})"


def _volume(liver: Mapping[str, Any]) -> float:
    """A liver's volume in mL after the two examinations were compared, else as it was found; 0 where there is none."""
    return float(liver.get("refined_volume_ml") or liver.get("volume_ml") or 0.0)


def processing_rows(records: Sequence[Record]) -> list[tuple[str, str]]:
    """How well the images were found, measured and brought together: one row a step."""
    if not records:
        return []
    verdicts = Counter(str(r["registration"]) for r in records)
    names = {"usable": "usable", "rigid_only": "doubtful", "failed": "failed"}
    rows = [("Registration of MRI to PET/CT (pairs)", ", ".join(f"{t}: {verdicts[v]}" for v, t in names.items()))]
    usable = [r["quality"].get("registration") or {} for r in records if r["registration"] == "usable"]
    errors = [float(q["uncertainty_median_mm"]) for q in usable if q.get("uncertainty_median_mm") is not None]
    if errors:
        rows.append(("Bound of its local error (95 %), a pair's median, mm", _spread(errors, 1)))
    overlaps = [float(q["liver_dice"]) for q in usable if q.get("liver_dice") is not None]
    if overlaps:
        rows.append(("Overlap of the two livers after it (Dice)", _spread(overlaps, 3)))
    for key, name in (("liver_ct", "Liver on CT, mL"), ("liver_mr", "Liver on MRI, mL")):
        volumes = [v for r in records if (v := _volume(r["quality"].get(key) or {}))]
        if volumes:
            missing = len(records) - len(volumes)
            rows.append((name, _spread(volumes) + (f"; not found: {missing}" if missing else "")))
    shifts = [m["shift_mm"] for r in records if (m := r["quality"].get("pet_ct_motion")) and m.get("shift_mm")]
    if shifts:
        rows.append(("Motion of the liver between PET and CT, mm", _spread([math.hypot(*s) for s in shifts], 1)))
    widths = [float(r["scanner"]["fwhm_mm"]) for r in records if r["scanner"]]
    if widths:
        rows.append(("Resolution of the PET, mm FWHM", _spread(widths, 1)))
    return rows
