"""Every table of the report as flat rows, for CSV, JSON and Parquet: fractions, full precision, no identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["report_tables"]

Row = dict[str, Any]
CELLS = ("tp", "fp", "fn", "tn", "indeterminate", "not_evaluable")
#: Parts of concordance.json that are lists of flat rows already, by the table's name.
FLAT = (
    "flag_odds",
    "flag_odds_false_positive",
    "tolerance_sweep",
    "consensus_trail",
    "subgroup_tests",
    "predictive_values",
)


def _intervals(found: Mapping[str, Any]) -> Row:
    """<method>_low and <method>_high of every interval."""
    row: Row = {}
    for method, interval in sorted(found.items()):
        row[f"{method}_low"], row[f"{method}_high"] = interval if interval else (None, None)
    return row


def _estimate(e: Mapping[str, Any]) -> Row:
    keys = ("k", "n", "value", "clusters", "design_effect", "intracluster_correlation")
    return {key: e.get(key) for key in keys} | _intervals(e["intervals"])


def _measures(estimates: Mapping[str, Any]) -> Row:
    """Value, k, n and headline-independent intervals of sensitivity and specificity in one row."""
    row: Row = {}
    for name in ("sensitivity", "specificity"):
        row |= {f"{name}_{key}": value for key, value in _estimate(estimates[name]).items()}
    return row


def _spread(row: Mapping[str, Any], *intervals: str) -> Row:
    """The row with two-element intervals in two columns and lists as text."""
    out: Row = {}
    for key, value in row.items():
        if key in intervals:
            out[f"{key}_low"], out[f"{key}_high"] = value if value else (None, None)
        elif isinstance(value, list | tuple):
            out[key] = ";".join(str(v) for v in value)
        elif not isinstance(value, Mapping):
            out[key] = value
    return out


def _accuracy(c: Mapping[str, Any]) -> dict[str, list[Row]]:
    tables = {
        "counts": [{"unit": c["unit"], **{cell: c["counts"][cell] for cell in CELLS}}],
        "estimates": [{"measure": name, **_estimate(e)} for name, e in c["estimates"].items()],
        "ratios": [
            {"measure": name, "value": r["value"], **_intervals(r["intervals"])}
            for name, r in (c.get("ratios") or {}).items()
        ],
        "cross_table": [
            {"reference": reference, "index": index, "pairs": n}
            for reference, row in (c.get("two_by_three") or {}).items()
            for index, n in row.items()
        ],
        "bounds": [
            {"rule": rule, "measure": name, **ends}
            for rule, found in (c.get("bounds") or {}).items()
            for name, ends in found.items()
        ],
        "subgroups": [
            {"by": g["by"], "level": g["level"], "pairs": g["pairs"], "patients": g["patients"]}
            | {cell: g["counts"][cell] for cell in CELLS}
            | _measures(g["estimates"])
            | {"kappa": g["kappa"], "kappa_se": g["kappa_se"]}
            for g in c.get("subgroups") or ()
        ],
        "agreement": [
            {
                "kappa": c["kappa"],
                "kappa_se": c.get("kappa_se"),
                "pabak": c["pabak"],
                "mcnemar_exact_p": c["mcnemar_exact_p"],
                "obuchowski_chi2": (c.get("mcnemar_clustered") or {}).get("chi2"),
                "obuchowski_p": (c.get("mcnemar_clustered") or {}).get("p"),
            }
        ],
        "units": [
            {"unit": unit, **{cell: part["counts"][cell] for cell in CELLS}, **_measures(part["estimates"])}
            for unit, part in (("study_pair", c), *(c.get("patient_level") or {}).items())
        ],
        "precision": list((c.get("precision") or {}).get("needed", ())),
        "sources": [{"source": s["source"], **s["counts"], **_measures(s)} for s in c.get("sources") or ()],
        "contradictions": list((c.get("images_against_reports") or {}).get("disagreements", ())),
        "images_against_reports": [
            {"examination": name, **_spread(a, "clopper_pearson")}
            for name, a in ((c.get("images_against_reports") or {}).get("agreement") or {}).items()
        ],
        "threshold_sweep": [
            _spread(r, "sensitivity_interval", "specificity_interval") for r in c.get("threshold_sweep") or ()
        ],
        "size_sweep": [_spread(r, "clopper_pearson") for r in c.get("size_sweep") or ()],
        "causes": [
            {"outcome": outcome, "primary_cause": cause, "pairs": n}
            for outcome, key in (("FN", "false_negative_causes"), ("FP", "false_positive_causes"))
            for cause, n in (c.get(key) or {}).items()
        ],
    }
    return tables | {name: [_spread(r) for r in c.get(name) or ()] for name in FLAT}


#: The coefficients of agreement between readers, as concordance.json names them.
COEFFICIENTS = ("kappa", "kappa_weighted", "pabak", "ac1", "fleiss_kappa", "fleiss_kappa_weighted")


def _coefficients(found: Mapping[str, Any]) -> Row:
    """Every coefficient of a comparison with its standard error and intervals."""
    row: Row = {}
    for name in COEFFICIENTS:
        if name in found:
            row |= {name: found[name]["value"], f"{name}_se": found[name]["standard_error"]}
            row |= {f"{name}_{key}": v for key, v in _intervals(found[name]["intervals"]).items()}
    return row


def _readers(c: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Agreement between readers, one row a comparison: two readers, one reader twice, a reader and a source."""
    r = c.get("readers") or {}
    who = {
        "two_readers": ("reader_a", "reader_b"),
        "repeated": ("reader", "reader"),
        "against_sources": ("reader", "source"),
    }
    rows: list[Row] = []
    for kind, (a, b) in who.items():
        for x in r.get(kind, ()):
            own = {"kind": kind, "examination": x["examination"], "first": x[a], "second": x[b]}
            own |= {"not_evaluable": x["not_evaluable"], "categories": ";".join(x["categories"])}
            own |= {"table": ";".join(str(n) for row in x["table"] for n in row)}
            rows.append(own | {f"agreement_{k}": v for k, v in _estimate(x["agreement"]).items()} | _coefficients(x))
    several = [
        {key: x[key] for key in ("examination", "readers", "pairs", "read_by_all", "patients", "ratings")}
        | {"categories": ";".join(x["categories"]), "agreement": x["agreement"]["value"]}
        | {f"agreement_{key}": v for key, v in _intervals(x["agreement"]["intervals"]).items()}
        | _coefficients(x)
        for x in r.get("all_readers", ())
    ]
    accuracy = [{"reader": x["reader"], **x["counts"], **_measures(x)} for x in r.get("accuracy", ())]
    return {
        "readers": list(r.get("readers", ())),
        "reader_agreement": rows,
        "reader_agreement_all": several,
        "reader_accuracy": accuracy,
    }


def _lesions(c: Mapping[str, Any]) -> dict[str, list[Row]]:
    curve = c.get("size_curve") or {}
    points = []
    for key in ("d50", "d90"):
        ends = curve.get(f"{key}_ci_mm") or {}
        fieller = ends.get("fieller")
        bounded = fieller if fieller and not isinstance(fieller, str) else (None, None)
        delta = ends.get("delta") or (None, None)
        points.append(
            {
                "point": key,
                "mm": curve.get(f"{key}_mm"),
                "delta_low": delta[0],
                "delta_high": delta[1],
                "fieller_low": bounded[0],
                "fieller_high": bounded[1],
                "fieller": fieller if isinstance(fieller, str) else "",
            }
        )
    bins = [{key: b[key] for key in ("low_mm", "high_mm", "label")} | _estimate(b) for b in c.get("size_bins") or ()]
    return {"size_curve": points if curve else [], "size_bins": bins}


def _cases(cases: Sequence[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Pairs and lesions as the report shows them: stand-ins for patients, years for dates."""
    pairs, lesions = [], []
    for case in cases:
        call, attribution = case["call"], case["attribution"] or {}
        sources = ("mr_image", "pet_image", "mr_report", "pet_report", "mr_consensus", "pet_consensus")
        pairs.append(
            {"pair_id": case["id"], "patient": case["patient"]}
            | {key: case["pair"].get(key) for key in ("tracer", "vendor", "interval_days")}
            | {"pet_date": case["pet_date"], "mr_date": case["mr_date"], "largest_mm": case["largest_mm"]}
            | {key: call.get(key) for key in (*sources, "reference", "index", "outcome")}
            | {
                key: attribution.get(key)
                for key in ("primary_cause", "largest_undetected_mm", "predicted_cnr", "p_detect", "t95", "explanation")
            }
            | {"flags": ";".join(attribution.get("flags") or ())}
        )
        lesions += [_spread(lesion) for lesion in case["lesions"]]
    return {"pairs": pairs, "lesions": lesions}


def report_tables(
    concordance: Mapping[str, Any], cases: Sequence[Mapping[str, Any]], lists: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, tuple[tuple[str, ...], list[Row]]]:
    """Name → (columns, rows) of every table that has rows. ``lists``: further tables as they are."""
    found = _accuracy(concordance) | _readers(concordance) | _lesions(concordance) | _cases(cases)
    found |= {name: [dict(row) for row in rows] for name, rows in lists.items()}
    return {
        name: (tuple(dict.fromkeys(key for row in rows for key in row)), rows) for name, rows in found.items() if rows
    }
