"""What the report tells beyond the results: the flow of studies, missing data, refusals, diameters compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from liverpair.core.provenance import canonical_json
from liverpair.evaluate.agreement import bland_altman
from liverpair.evaluate.lesion_level import tolerance_sweep
from liverpair.evaluate.report.build import FlowStep, ReportData, build_report, exported_tables, report_figures
from liverpair.evaluate.report.figures import Chart
from liverpair.evaluate.report.parquet import parquet_bytes
from liverpair.flow.tables import Row, format_table
from liverpair.flow.workspace import Workspace, write_bytes, write_text

__all__ = [
    "case_notes",
    "diameters",
    "exclusion_rows",
    "flow_steps",
    "level_counts",
    "missing_rows",
    "refusal_rows",
    "sweep_tolerance",
    "write_report",
]

Record = Mapping[str, Any]
#: Tolerances of the lesion level's sweep in mm: from none to the far end of what registrations in the liver reach.
TOLERANCES_MM = (0.0, 2.5, 5.0, 10.0, 15.0, 20.0)
MODALITIES = (("mr", "MRI"), ("pet", "PET"))
#: What is said of a part in which the two livers differed, after its volume.
CORRECTIONS = {
    "fluid": "of fluid on CT (gallbladder, bile) was taken out of the MRI's liver",
    "lost_on_ct": "of liver that the CT's mask had lost was given back from the MRI",
    "lost_on_mr": "of liver that the MRI's mask had lost was given back from the CT",
    "leak_on_ct": "that MRI tells from liver was taken out of the CT's",
    "leak_on_mr": "that CT tells from liver was taken out of the MRI's",
    "unexplained": "is liver to one examination only: look at the overlay",
}
SERIES = (
    ("ct_series_uid", "CT of the PET/CT"),
    ("pet_series_uid", "attenuation-corrected PET"),
    ("mr_hbp_series_uid", "hepatobiliary T1"),
    ("mr_t2_series_uid", "T2"),
    ("mr_dwi_series_uid", "diffusion-weighted MRI"),
)


def _counted(rows: Sequence[Mapping[str, str]], level: str) -> tuple[tuple[str, int], ...]:
    """Exclusions of a level by reason, the most frequent first."""
    found = Counter(row["reason"] for row in rows if row["level"] == level)
    return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _unexplained(total: int, named: tuple[tuple[str, int], ...], kept: int, why: str) -> tuple[tuple[str, int], ...]:
    """The named exclusions, with the rest that no row names, so that a step's numbers add up."""
    rest = total - kept - sum(n for _, n in named)
    return (*named, (why, rest)) if rest > 0 else named


def flow_steps(workspace: Workspace, calls: Sequence[Row]) -> list[FlowStep]:
    """The flow diagram: files, studies, pairs, judged pairs; each step's exclusions by reason."""
    series, excluded, pairs = (workspace.read_table(name) for name in ("series", "exclusions", "pairs"))
    files = _counted(excluded, "file")
    frames = sum(int(row["n_frames"] or 0) for row in series)
    studies = {row["study_uid"] for row in series}
    paired = {pair[key] for pair in pairs for key in ("pet_study_uid", "mr_study_uid")}
    patients, with_pair = {row["patient_id"] for row in series}, {pair["patient_id"] for pair in pairs}
    left = studies - paired
    named = {r["id"]: r["reason"] for r in excluded if r["level"] == "study" and r["id"] in left}
    by_reason = tuple(sorted(Counter(named.values()).items(), key=lambda item: (-item[1], item[0])))
    out = _unexplained(len(studies), by_reason, len(studies) - len(left), "in no pair")
    judged = [c for c in calls if c["outcome"] in ("TP", "FP", "FN", "TN")]
    open_ones = Counter(c["outcome"] for c in calls if c not in judged)
    pet, mr = ({pair[f"{name}_study_uid"] for pair in pairs} for name in ("pet", "mr"))
    return [
        FlowStep("Archive", frames, "images read", f"{len(series)} series", files, "Other files set aside"),
        FlowStep("Studies in the archive", len(studies), "studies", f"{len(patients)} patients", out),
        FlowStep(
            "Studies in a pair", len(studies) - len(left), "studies", f"{len(pet)} SSR-PET/CT, {len(mr)} liver MRI"
        ),
        FlowStep(
            "Pairs of SSR-PET/CT and liver MRI",
            len(pairs),
            "pairs",
            f"{len(with_pair)} patients",
            tuple(sorted(open_ones.items())),
        ),
        FlowStep("Pairs that were judged", len(judged), "pairs", f"{len({c['patient_id'] for c in judged})} patients"),
    ]


def level_counts(workspace: Workspace, calls: Sequence[Row]) -> list[tuple[str, int, list[tuple[str, int]]]]:
    """Patients, studies and pairs: how many came in, and how many were set aside at each step."""
    series, pairs = workspace.read_table("series"), workspace.read_table("pairs")
    judged = {c["pair_id"] for c in calls if c["outcome"] in ("TP", "FP", "FN", "TN")}
    patients = {row["patient_id"] for row in series}
    studies = {row["study_uid"] for row in series}
    paired, used = ({p["patient_id"] for p in rows} for rows in (pairs, [p for p in pairs if p["pair_id"] in judged]))
    in_pair, in_judged = (
        {p[key] for p in rows for key in ("pet_study_uid", "mr_study_uid")}
        for rows in (pairs, [p for p in pairs if p["pair_id"] in judged])
    )
    why = ("in no pair", "in no judged pair")
    return [
        ("Patients", len(patients), list(zip(why, (len(patients - paired), len(paired - used)), strict=True))),
        ("Studies", len(studies), list(zip(why, (len(studies - in_pair), len(in_pair - in_judged)), strict=True))),
        ("Pairs", len(pairs), [("not evaluable or indeterminate", len(pairs) - len(judged))]),
    ]


def exclusion_rows(workspace: Workspace) -> list[Row]:
    """Every exclusion of the archive counted by level and reason."""
    excluded = workspace.read_table("exclusions")
    return [
        {"level": level, "reason": reason, "n": n}
        for level in ("file", "series", "study", "patient", "pair")
        for reason, n in _counted(excluded, level)
    ]


def missing_rows(pairs: Sequence[Mapping[str, str]], calls: Sequence[Row]) -> list[Row]:
    """How many pairs lack each series and each report."""
    rows = [{"what": name, "missing": sum(not p[key] for p in pairs), "of": len(pairs)} for key, name in SERIES]
    for key, name in (("mr_report", "MRI report with a statement"), ("pet_report", "PET/CT report with a statement")):
        rows.append({"what": name, "missing": sum(not c[key] for c in calls), "of": len(calls)})
    return rows


def refusal_rows(records: Sequence[Record]) -> list[Row]:
    """Series that were refused, and cases that broke, by reason."""
    found: Counter[tuple[str, str]] = Counter()
    for record in records:
        if record["status"] != "done":
            found[("whole pair", record["error"]["type"])] += 1
            continue
        found.update((role, refusal["reason"]) for role, refusal in record["refusals"].items())
    return [{"series": role, "reason": reason, "n": n} for (role, reason), n in sorted(found.items())]


def case_notes(record: Record | None) -> list[str]:
    """What a reader must know of a pair besides its verdicts: refusals, failed registration, unjudged images."""
    if record is None:
        return ["This pair was not processed."]
    if record["status"] != "done":
        return [f"Processing failed ({record['error']['type']}): {record['error']['detail']}"]
    notes = [f"{role}: {r['detail']} ({r['reason']})" for role, r in sorted(record["refusals"].items())]
    refused = {r["reason"] for r in record["refusals"].values()}
    for name, label in MODALITIES:
        call = record["calls"][name]
        if call["status"] in ("not_evaluable", "uncertain") and call["reason"] not in refused:
            notes.append(f"{label} {call['status'].replace('_', ' ')}: {call['reason'].replace('_', ' ')}")
    if record["registration"] != "usable":
        reasons = ", ".join(record["quality"]["registration"]["reasons"]).replace("_", " ")
        matched = {
            "rigid_only": "only larger lesions are matched by place",
            "failed": "lesions are not matched by place",
        }[record["registration"]]
        notes.append(f"Registration {record['registration'].replace('_', ' ')} ({reasons}): {matched}.")
    return notes + _liver_notes(record) + _burden_notes(record)


def _liver_notes(record: Record) -> list[str]:
    """What the two examinations corrected of each other's liver."""
    found = record["quality"].get("liver_agreement") or {}
    notes = []
    if "carried" in found:
        other, image = ("CT", "MRI") if found["carried"] == "ct_to_mr" else ("MRI", "CT")
        notes.append(f"The liver on {image} was carried over from the {other} and placed on the {image}'s own edges.")
    for part in found.get("parts", ()):
        if part["cause"] in CORRECTIONS:
            notes.append(f"{part['volume_ml']:.0f} mL {CORRECTIONS[part['cause']]}.")
    return notes


def _burden_notes(record: Record) -> list[str]:
    """Where disease is confluent, a count of lesions means little."""
    found = record.get("burden") or {}
    return [f"{label}: {found[name]['said']}" for name, label in MODALITIES if found.get(name) and found[name]["said"]]


def diameters(
    records: Mapping[str, Record], pairs: Mapping[str, Mapping[str, str]], reports: Mapping[str, Row]
) -> tuple[list[tuple[float, float]], dict[str, Any] | None]:
    """(On the images, in the report) in mm of each pair's largest MRI lesion, and their Bland–Altman summary."""
    points, patients = [], []
    for pair_id, record in sorted(records.items()):
        said = reports.get(pairs[pair_id]["mr_study_uid"], {}).get("largest_mm")
        facts = record["lesion_facts"]
        sizes = [
            f["diameter_mm"] for x, f in facts.items() if x.startswith("M") and f["countable"] and f["diameter_mm"]
        ]
        if said and sizes:
            points.append((float(max(sizes)), float(said)))
            patients.append(pairs[pair_id]["patient_id"])
    found = bland_altman([image - report for image, report in points], patients) if points else None
    if found is None:
        return points, None
    return points, {
        "n": found.n,
        "clusters": found.clusters,
        "bias": found.bias,
        "bias_interval": list(found.bias_interval) if found.bias_interval else None,
        "sd": found.sd,
        "limits": list(found.limits),
    }


def sweep_tolerance(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Lesion detection by distance alone at several tolerances, over pairs whose registration may be used."""
    triples = []
    for record in records:
        if record["registration"] == "failed" or record["reference"] is None:
            continue
        facts = record["lesion_facts"]
        placed = [r for r in record["lesions"] if facts[r["lesion_id"]]["countable"] and r["x_mm"] is not None]
        mr, pet = ([r for r in placed if r["modality"] == name] for name in ("MR", "PET"))
        places = [
            np.array([[r[f"{a}_mm"] for a in "xyz"] for r in rows], dtype=np.float64).reshape(-1, 3)
            for rows in (mr, pet)
        ]
        radius = np.array([(facts[r["lesion_id"]]["diameter_mm"] or 0.0) / 2 for r in mr], dtype=np.float64)
        triples.append((places[0], radius, places[1]))
    swept = tolerance_sweep(triples, TOLERANCES_MM)
    return swept if any(row["n"] for row in swept) else []


def write_report(page: Path, data: ReportData) -> None:
    """The report's page, and beside it figures/ (SVG, PNG) and tables/ (CSV, JSON, Parquet).

    Files of an earlier run that this one lacks are removed.
    """
    drawn = report_figures(data)
    write_text(page, build_report(data, drawn))
    _write_figures(page.parent / "figures", drawn)
    _write_tables(page.parent / "tables", exported_tables(data, drawn))


def _write_figures(folder: Path, drawn: Mapping[str, Chart]) -> None:
    _clear(folder, drawn, (".svg", ".png"))
    for name, figure in drawn.items():
        svg = f'<?xml version="1.0" encoding="utf-8"?>\n{figure}\n'
        write_bytes(folder / f"{name}.svg", svg.encode("utf-8"), flush=False)
        write_bytes(folder / f"{name}.png", figure.png(), flush=False)


def _write_tables(folder: Path, tables: Mapping[str, tuple[tuple[str, ...], list[Row]]]) -> None:
    _clear(folder, tables, (".csv", ".json", ".parquet"))
    for name, (columns, rows) in tables.items():
        json_text = canonical_json(rows, indent=1) + "\n"
        write_bytes(folder / f"{name}.csv", format_table(columns, rows).encode("utf-8"), flush=False)
        write_bytes(folder / f"{name}.json", json_text.encode("utf-8"), flush=False)
        write_bytes(folder / f"{name}.parquet", parquet_bytes(columns, rows), flush=False)


def _clear(folder: Path, wanted: Collection[str], endings: tuple[str, ...]) -> None:
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.suffix in endings and old.stem not in wanted:
            old.unlink()
