"""Evaluate bare tables of calls and lesions, for studies without images.

Rows are mappings of column name to text, as csv.DictReader gives them; plain_tables.py brings names, verdicts, numbers
and dates into one form. Only the named columns are needed; any other column is kept as an attribute (tracer, vendor,
interval_days, pet_date, largest_mm ... then form subgroups). Every complaint names the row as a spreadsheet counts it
(the header is row 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import plain
from liverpair.evaluate.agreement import report_validation
from liverpair.evaluate.attribution import Attribution, AttributionSettings, attribute
from liverpair.evaluate.calls import outcome
from liverpair.evaluate.concordance import ConcordanceSettings, concordance
from liverpair.evaluate.flag_odds import cause_counts, flag_odds, size_sweep
from liverpair.evaluate.pair_evidence import LesionEvidence, PairEvidence, Treatment
from liverpair.evaluate.plain_tables import NO_VALUE, need_columns, own_words, plain_rows, verdict
from liverpair.evaluate.reader_agreement import reader_agreement, reader_settings
from liverpair.evaluate.readings import parse_readings
from liverpair.evaluate.records import LesionOutcome, PairCall
from liverpair.evaluate.sources import accuracy_by_source, consensus_trail, contradictions
from liverpair.evaluate.subgroups import number

__all__ = ["TableEvaluation", "attribution_row", "evaluate_tables", "parse_calls", "parse_lesions"]

Rows = Sequence[Mapping[str, Any]]
CALL_COLUMNS = ("patient_id", "pair_id", "reference", "index")
LESION_COLUMNS = ("patient_id", "pair_id", "lesion_id", "long_axis_mm", "detected")
TRUE = frozenset({"true", "1", "yes", "y", "ja", "wahr"})
FALSE = frozenset({"false", "0", "no", "n", "nein", "falsch"})
UNKNOWN = NO_VALUE | {"not_evaluable"}
SOURCE_COLUMNS = ("mr_image", "pet_image", "mr_report", "pet_report", "mr_consensus", "pet_consensus")


@dataclass(frozen=True, slots=True, eq=False)
class TableEvaluation:
    """``concordance`` as concordance.json, ``calls`` with outcomes, ``attribution`` of every FN and FP.

    ``pairs`` and ``lesions``: the rows as they were read.
    """

    concordance: dict[str, Any]
    calls: tuple[dict[str, Any], ...]
    attribution: tuple[Attribution, ...]
    pairs: tuple[PairCall, ...]
    lesions: tuple[LesionOutcome, ...]


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "" if value is None else str(value).strip()


Numbered = Sequence[tuple[int, Mapping[str, Any]]]


def _plain(rows: Rows, columns: Sequence[str], table: str) -> Numbered:
    """Numbered rows in one form, with all the columns that are needed."""
    plain = plain_rows(rows, table)
    if plain:
        need_columns(rows, plain[0][1], columns, table)
    return plain


def _identity(row: Mapping[str, Any], column: str, at: int, table: str) -> str:
    value = _text(row, column)
    if not value:
        raise UsageError(f"{table} table, row {at}: {column} is empty. Fill it in; it decides what counts together.")
    return value


def _size(row: Mapping[str, Any], column: str, at: int, table: str) -> float | None:
    """A size in mm, None where the cell is empty."""
    value = row.get(column)
    if value is not None and value < 0:
        raise UsageError(f"{table} table, row {at}: {column} is {value:g}. Give a size in mm or leave it empty.")
    return None if value is None else float(value)


def _interval(row: Mapping[str, Any], at: int) -> dict[str, float]:
    """The interval in days (MRI minus PET) from the two dates; refused where the table's own is another one."""
    pet, mr = (_iso(row.get(c)) for c in ("pet_date", "mr_date"))
    if pet is None or mr is None:
        return {}
    days, own = (mr - pet).days, row.get("interval_days")
    if own is not None and own != days:
        raise UsageError(
            f"calls table, row {at}: interval_days is {own:g}, but mr_date less pet_date is {days}. The interval is "
            "MRI minus PET, negative where MRI came first. Correct one, or leave interval_days empty."
        )
    return {"interval_days": float(days)}


def parse_calls(rows: Rows) -> list[PairCall]:
    """Calls with their extra columns as attributes; refuses repeated pairs and unknown words."""
    seen: dict[str, int] = {}
    calls = []
    plain = _plain(rows, CALL_COLUMNS, "calls")
    for column in ("reference", "index", *SOURCE_COLUMNS):
        own_words(plain, column, "calls")
    for at, row in plain:
        pair_id = _identity(row, "pair_id", at, "calls")
        if pair_id in seen:
            raise UsageError(f"calls table, row {at}: pair_id repeats row {seen[pair_id]}. Give each pair its own.")
        seen[pair_id] = at
        said = {column: verdict(row.get(column), column, at, "calls") for column in ("reference", "index")}
        extra = {k: v for k, v in row.items() if k not in CALL_COLUMNS}
        extra |= {k: verdict(extra[k], k, at, "calls") for k in SOURCE_COLUMNS if k in extra}
        if "largest_mm" in extra:
            extra["largest_mm"] = _size(extra, "largest_mm", at, "calls")
        extra |= _interval(extra, at)
        patient = _identity(row, "patient_id", at, "calls")
        calls.append(PairCall(pair_id, patient, said["reference"], said["index"], extra))
    return calls


def parse_lesions(rows: Rows) -> list[LesionOutcome]:
    """Reference lesions with their size and whether the index test showed them."""
    seen: dict[tuple[str, str], int] = {}
    patients: dict[str, str] = {}
    lesions = []
    for at, row in _plain(rows, LESION_COLUMNS, "lesions"):
        patient, pair, lesion = (_identity(row, c, at, "lesions") for c in ("patient_id", "pair_id", "lesion_id"))
        if (pair, lesion) in seen:
            raise UsageError(
                f"lesions table, row {at}: the lesion stands in row {seen[(pair, lesion)]} already. "
                "Give each lesion of a pair its own lesion_id."
            )
        seen[(pair, lesion)] = at
        if patients.setdefault(pair, patient) != patient:
            raise UsageError(
                f"lesions table, row {at}: its pair has another patient_id in an earlier row. Correct one."
            )
        word = _text(row, "detected").lower()
        if word not in TRUE | FALSE | UNKNOWN:
            raise UsageError(
                f"lesions table, row {at}: detected is {word[:40]!r}. Use true, false, or leave it empty: the lesion "
                "is on MRI, and PET/CT showed it or not."
            )
        detected = None if word in UNKNOWN else word in TRUE
        size = _size(row, "long_axis_mm", at, "lesions")
        if size == 0:
            raise UsageError(f"lesions table, row {at}: long_axis_mm is 0. Leave it empty where no size is known.")
        lesions.append(LesionOutcome(pair, patient, lesion, size, detected))
    return lesions


def _iso(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value or "").strip()[:10])
    except ValueError:
        return None


def _treatments(call: PairCall) -> tuple[Treatment, ...]:
    """A therapy from the columns therapy and therapy_date (with pet_date) or therapy_days_before_pet."""
    a = call.attributes
    kind = str(a.get("therapy") or "").strip()
    if not kind:
        return ()
    given, pet, mr = (_iso(a.get(c)) for c in ("therapy_date", "pet_date", "mr_date"))
    before_pet = (pet - given).days if given and pet else None
    before_mr = (mr - given).days if given and mr else None
    days, interval = number(a.get("therapy_days_before_pet")), number(a.get("interval_days"))
    if before_pet is None and days is not None:
        before_pet = round(days)
    if before_mr is None and before_pet is not None and interval is not None:
        before_mr = before_pet + round(interval)
    return (Treatment(kind, before_pet, before_mr),)


def _evidence(call: PairCall, lesions: Sequence[LesionOutcome]) -> PairEvidence:
    a = call.attributes
    interval, hu, count = (number(a.get(c)) for c in ("interval_days", "liver_hu", "count"))
    said = {c: str(a.get(c) or "").strip().lower() for c in SOURCE_COLUMNS[:4]}
    tlr = number(a.get("tlr"))
    own = tuple(LesionEvidence(x.lesion_id, x.size_mm, x.detected, tlr=tlr) for x in lesions)
    if not own and tlr is not None and a.get("largest_mm") is not None:
        own = (LesionEvidence("", a["largest_mm"], False, tlr=tlr),)
    return PairEvidence(
        call.pair_id,
        call.patient_id,
        outcome(call.reference, call.index),
        own,
        largest_mm=a.get("largest_mm"),
        count=None if count is None else round(count),
        liver_hu=hu,
        interval_days=None if interval is None else round(interval),
        treatments=_treatments(call),
        tracer=str(a.get("tracer") or ""),
        consensus=bool(a.get("mr_consensus") or a.get("pet_consensus")),
        mr_image=said["mr_image"],
        pet_image=said["pet_image"],
        mr_report=said["mr_report"],
        pet_report=said["pet_report"],
    )


def _said(call: PairCall) -> dict[str, Any]:
    """A row as in calls.csv, with what each source said where the table has its column."""
    more = ("reader", "decided_at", "reason")
    return {
        "pair_id": call.pair_id,
        "patient_id": call.patient_id,
        "reference": call.reference,
        "index": call.index,
        **{key: str(call.attributes.get(key) or "") for key in (*SOURCE_COLUMNS, *more)},
    }


def attribution_row(value: Attribution) -> dict[str, Any]:
    """The row of attribution.csv."""
    return dict(plain(value))


def evaluate_tables(
    calls: Rows | None = None,
    lesions: Rows | None = None,
    settings: ConcordanceSettings | None = None,
    attribution: AttributionSettings | None = None,
    readings: Rows | None = None,
) -> TableEvaluation:
    """Everything that bare tables allow; any table may be absent, not all.

    The concordance gains ``false_negative_causes``, ``false_positive_causes``, ``flag_odds`` and ``size_sweep``, and
    with ``readings`` (readings.py) ``readers``.
    """
    if not calls and not lesions and not readings:
        raise UsageError(
            "there is nothing to evaluate: give a calls table, a lesions table, a readings table, or several, with "
            "rows in them"
        )
    attribution = attribution or AttributionSettings()
    pairs, foci = parse_calls(calls or []), parse_lesions(lesions or [])
    known = {c.pair_id: c.patient_id for c in pairs}
    for lesion in foci:
        if known.get(lesion.pair_id, lesion.patient_id) != lesion.patient_id:
            raise UsageError("a pair has one patient_id in the calls and another in the lesions table. Correct one.")
    of_pair: dict[str, list[LesionOutcome]] = {}
    for lesion in foci:
        of_pair.setdefault(lesion.pair_id, []).append(lesion)
    rows = [attribute(_evidence(c, of_pair.get(c.pair_id, [])), attribution) for c in pairs]
    result = concordance(pairs, settings, foci)
    result["false_negative_causes"] = cause_counts(rows, "FN")
    result["false_positive_causes"] = cause_counts(rows, "FP")
    result["flag_odds"] = plain(flag_odds(rows))
    result["flag_odds_false_positive"] = plain(flag_odds(rows, false="FP", true="TN"))
    result["size_sweep"] = plain(size_sweep(rows, attribution.size_sweep_mm))
    said = [_said(c) for c in pairs]
    if any(any(row[key] for key in SOURCE_COLUMNS) for row in said):
        result["sources"] = plain(accuracy_by_source(said, result["confidence_level"]))
        if any(row["mr_report"] or row["pet_report"] for row in said):
            contradicted = contradictions(said, {}, {})
            result["images_against_reports"] = plain(
                {"agreement": report_validation(said), "disagreements": contradicted}
            )
        settled = [row for row in said if row["mr_consensus"] or row["pet_consensus"]]
        result["consensus_trail"] = consensus_trail(said, settled)
    if readings is not None:
        found = parse_readings(readings, {x.pair_id: x.patient_id for x in foci} | known or None)
        result["readers"] = reader_agreement(found, said, reader_settings(result))
    answered = tuple(
        {
            "pair_id": c.pair_id,
            "patient_id": c.patient_id,
            "reference": c.reference,
            "index": c.index,
            "outcome": outcome(c.reference, c.index),
        }
        for c in pairs
    )
    discordant = tuple(r for r in rows if r.outcome in ("FN", "FP"))
    return TableEvaluation(result, answered, discordant, tuple(pairs), tuple(foci))
