"""Who was examined, and how: age, sex and scanner from headers, what the user knows of patients from a table.

The table (tables/clinical.csv, given with --clinical) has a row for each patient and therapy: patient_id, then any of
sex, age, grade, ki67, primary (described in the report), therapy and therapy_date (a cause, statistics.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from liverpair.core.errors import UsageError
from liverpair.core.study import StudyPair
from liverpair.dicom.age import AGE, OLDEST
from liverpair.dicom.records import SeriesRecord
from liverpair.evaluate.attribution import AttributionSettings
from liverpair.evaluate.pair_evidence import Treatment, is_recent
from liverpair.evaluate.plain_tables import plain_rows
from liverpair.evaluate.report.wording import counted
from liverpair.flow.protocols import manufacturer_name
from liverpair.flow.tables import Row, format_table, parse_table
from liverpair.flow.user_tables import read_user_table
from liverpair.flow.workspace import Workspace, write_text

__all__ = [
    "Clinical",
    "Headers",
    "acquisition_rows",
    "baseline_rows",
    "check_clinical",
    "examination_rows",
    "interventions",
    "keep_clinical",
    "note_headers",
    "read_clinical",
    "treatments",
    "write_examinations",
]

COLUMNS = ("pair_id", "sex", "age", "age_source", "age_differs_by", "pet_model", "mr_model", "mr_vendor",
           "field_strength_t")  # fmt: skip
#: What is noted of a header.
HEADER_WORDS = ("PatientSex", "PatientAge", AGE, "ManufacturerModelName", "Manufacturer", "MagneticFieldStrength")
#: Baseline columns of the clinical table with their names in the report.
BASELINE = {"sex": "Sex", "age": "Age, years", "grade": "Grade", "ki67": "Ki-67", "primary": "Primary tumour"}
#: PatientAge is a number and a unit (PS3.5 section 6.2, AS).
AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 1 / 52.18, "D": 1 / 365.25}
#: Patient's Age and birth date may differ by a birthday and by rounding; beyond this many years one of them is wrong.
AGES_AGREE_YEARS = 1
Headers = dict[str, Mapping[str, Any]]


def note_headers(groups: Iterable[Sequence[SeriesRecord]], found: Headers) -> Iterator[Sequence[SeriesRecord]]:
    """The same groups; of each PET and MRI series that passes, the headers' facts go to ``found`` by series UID."""
    for group in groups:
        for series in group:
            if series.first("Modality") in ("PT", "MR"):
                found[series.series_uid] = {word: series.first(word, "") for word in HEADER_WORDS}
        yield group


def _years(text: Any) -> float | None:
    """PatientAge ("063Y"; "63Y" is met, too) in years; zero and ages nobody reaches are an anonymiser's filling."""
    match = re.fullmatch(r"(\d{1,3})([YMWD])", str(text or "").strip().upper())
    years = int(match[1]) * AGE_UNITS[match[2]] if match else 0.0
    return years if 0 < years <= OLDEST else None


def _age(pet: Mapping[str, Any], mr: Mapping[str, Any]) -> Row:
    """Age at the PET in years, where it was read, and by how much a birth date says otherwise (only if by over a year).

    Patient's Age (the PET's before the MRI's) goes before the age that the index took from the birth date.
    """
    stated = next((years for header in (pet, mr) if (years := _years(header.get("PatientAge"))) is not None), None)
    born = next((header[AGE] for header in (pet, mr) if header.get(AGE) not in (None, "")), None)
    age = stated if stated is not None else born
    source = "" if age is None else "PatientAge" if stated is not None else "PatientBirthDate"
    apart = born - stated if stated is not None and born is not None else 0
    return {"age": age, "age_source": source, "age_differs_by": apart if abs(apart) > AGES_AGREE_YEARS else None}


def write_examinations(workspace: Workspace, pairs: Sequence[StudyPair], headers: Headers) -> None:
    """tables/examinations.csv: what the headers of each pair's PET and MRI say of the patient and the scanner."""
    rows = []
    for pair in pairs:
        pet = headers.get(pair.pet_series_uid or "", {})
        mr = next((headers[u] for u in (pair.mr_hbp_series_uid, pair.mr_t2_series_uid, pair.mr_dwi_series_uid)
                   if u and u in headers), {})  # fmt: skip
        sex = str(pet.get("PatientSex") or mr.get("PatientSex") or "").strip().upper()
        rows.append(
            {
                "pair_id": pair.pair_id,
                "sex": sex if sex in ("M", "F", "O") else "",
                **_age(pet, mr),
                "pet_model": str(pet.get("ManufacturerModelName") or "").strip(),
                "mr_model": str(mr.get("ManufacturerModelName") or "").strip(),
                "mr_vendor": str(mr.get("Manufacturer") or "").strip(),
                "field_strength_t": mr.get("MagneticFieldStrength") or None,
            }
        )
    write_text(workspace.tables / "examinations.csv", format_table(COLUMNS, rows))


def examination_rows(workspace: Workspace) -> dict[str, dict[str, str]]:
    """tables/examinations.csv by pair_id; empty where an older run paired."""
    path = workspace.tables / "examinations.csv"
    return {row["pair_id"]: row for row in parse_table(path, ("pair_id",))} if path.exists() else {}


# --- what the user knows --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clinical:
    """``baseline``: values by patient_id; ``therapies``: (kind, ISO date) by patient_id."""

    baseline: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    therapies: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


def _parsed(path: Path) -> Clinical:
    baseline: dict[str, dict[str, Any]] = {}
    therapies: dict[str, list[tuple[str, str]]] = {}
    for at, row in plain_rows(read_user_table(path), "clinical"):
        patient = row.get("patient_id")
        if not patient:
            raise UsageError(f"{path.name}, row {at}: patient_id is empty or its column is missing.")
        own = baseline.setdefault(patient, {})
        for key in BASELINE:
            value = row.get(key)
            if value in (None, ""):
                continue
            if own.setdefault(key, value) != value:
                raise UsageError(f"{path.name}, row {at}: {key} differs from the patient's earlier row. Correct one.")
        if row.get("therapy"):
            if not row.get("therapy_date"):
                raise UsageError(f"{path.name}, row {at}: a therapy without therapy_date cannot be placed in time.")
            therapies.setdefault(patient, []).append((str(row["therapy"]), str(row["therapy_date"])))
    return Clinical(baseline, therapies)


def check_clinical(path: Path) -> None:
    """UsageError where a clinical table cannot be read."""
    _parsed(path)


def keep_clinical(workspace: Workspace, path: Path) -> None:
    """Put the user's clinical table into the workspace, after a look whether it can be read."""
    parsed = _parsed(path)
    known = {row["patient_id"] for row in workspace.read_table("pairs")}
    if parsed.baseline and not known & set(parsed.baseline):
        raise UsageError(f"{path.name} names no patient of this study; patient_id is the Patient ID of the archive.")
    rows: list[Row] = [{"patient_id": p, **values} for p, values in sorted(parsed.baseline.items())]
    rows += [
        {"patient_id": p, "therapy": kind, "therapy_date": day}
        for p, given in sorted(parsed.therapies.items())
        for kind, day in given
    ]
    columns = ("patient_id", *BASELINE, "therapy", "therapy_date")
    write_text(workspace.tables / "clinical.csv", format_table(columns, rows))


def read_clinical(workspace: Workspace) -> Clinical:
    """tables/clinical.csv, where the user gave one."""
    path = workspace.tables / "clinical.csv"
    return _parsed(path) if path.exists() else Clinical()


def treatments(pair: Mapping[str, str], clinical: Clinical) -> tuple[Treatment, ...]:
    """A patient's therapies as days before each examination of a pair (negative: after it)."""
    pet, mr = (date.fromisoformat(pair[f"{name}_date"]) for name in ("pet", "mr"))
    return tuple(
        Treatment(kind, (pet - date.fromisoformat(day)).days, (mr - date.fromisoformat(day)).days)
        for kind, day in clinical.therapies.get(pair["patient_id"], ())
    )


def interventions(pairs: Sequence[Mapping[str, str]], clinical: Clinical, settings: AttributionSettings) -> str:
    """Whether patients were treated between the examinations of a pair or shortly before (STARD 2015, item 22)."""
    if not clinical.therapies:
        return "Therapies between the examinations are not known: no table of them was given."
    treated = sum(
        any(is_recent(t, settings.therapies, settings.therapy_days) for t in treatments(pair, clinical))
        for pair in pairs
    )
    return (
        f"A therapy ({', '.join(settings.therapies)}) lay between the examinations, or up to {settings.therapy_days} "
        "days before the first, "
        f"in {treated:,} of {len(pairs):,} pairs, as far as the table of patients says."
    )


# --- tables of the report -------------------------------------------------------------------------------------------


def _spread(values: Sequence[float], digits: int = 0) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return (
        f"median {middle:.{digits}f} (quartiles {low:.{digits}f} and {high:.{digits}f}; "
        f"range {min(values):.{digits}f} to {max(values):.{digits}f})"
    )


def _levels(values: Sequence[Any]) -> str:
    found = Counter(str(v) for v in values)
    return counted(found)


def _described(name: str, values: Sequence[Any], of: int) -> tuple[str, str]:
    """A characteristic with its values in words; how many are not known is said."""
    numbers = [v for v in values if isinstance(v, int | float)]
    text = _spread([float(v) for v in numbers]) if numbers and len(numbers) == len(values) else _levels(values)
    missing = of - len(values)
    return name, text + (f"; not known: {missing}" if missing else "")


def _age_doubts(first: Mapping[str, str], examinations: Mapping[str, Mapping[str, str]]) -> str:
    """How many patients' headers contradict themselves about the age."""
    doubtful = sum(bool(examinations.get(pair_id, {}).get("age_differs_by")) for pair_id in first.values())
    return f"; in {doubtful} the birth date says otherwise by more than a year" if doubtful else ""


def baseline_rows(
    pairs: Mapping[str, Mapping[str, str]], examinations: Mapping[str, Mapping[str, str]], clinical: Clinical
) -> list[tuple[str, str]]:
    """Patients' characteristics at their first pair: the user's table first, then the headers."""
    first: dict[str, str] = {}
    for pair_id, pair in sorted(pairs.items(), key=lambda item: (item[1]["pet_date"], item[0])):
        first.setdefault(pair["patient_id"], pair_id)
    rows = []
    for key, name in BASELINE.items():
        values: list[Any] = []
        for patient, pair_id in first.items():
            value: Any = clinical.baseline.get(patient, {}).get(key)
            if value in (None, "") and key in ("sex", "age"):
                text = examinations.get(pair_id, {}).get(key, "")
                value = float(text) if key == "age" and text else text
            if value not in (None, ""):
                values.append(value)
        if values:
            described, text = _described(name, values, len(first))
            rows.append((described, text + (_age_doubts(first, examinations) if key == "age" else "")))
    treated = {p: given for p, given in clinical.therapies.items() if p in first}
    if treated:
        kinds = [kind for given in treated.values() for kind, _ in given]
        rows.append(("Therapies known", f"{_levels(kinds)} in {len(treated)} patients"))
    return rows


def _shown(key: str, value: str) -> str:
    """A cell of examinations.csv as the report shows it: one maker under one name, tesla with their unit."""
    return manufacturer_name(value) if key == "mr_vendor" else f"{value} T" if key == "field_strength_t" else value


def acquisition_rows(
    examinations: Mapping[str, Mapping[str, str]], suv: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Scanners, injected activity and uptake time over the pairs; ``suv``: the SUV facts of each pair's provenance."""
    rows = []
    for key, name in (
        ("pet_model", "PET/CT model (pairs)"),
        ("mr_vendor", "MRI vendor (pairs)"),
        ("mr_model", "MRI model (pairs)"),
        ("field_strength_t", "MRI field strength (pairs)"),
    ):
        values = [_shown(key, row[key]) for row in examinations.values() if row.get(key)]
        if values:
            rows.append(_described(name, values, len(examinations)))
    for key, name, factor in (
        ("dose_bq", "Injected activity, MBq", 1e-6),
        ("uptake_minutes", "Uptake time, minutes", 1.0),
    ):
        numbers = [float(s[key]) * factor for s in suv if s.get(key)]
        if numbers:
            rows.append(_described(name, numbers, len(suv)))
    return rows
