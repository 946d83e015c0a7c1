"""Measure how right the labels are: draw a stratified sample for a human, read the filled sheet, weigh the answers.

Strata are modality × label status, so that rare labels are seen too; each stratum then counts with its share of all
reports. The sheet shows neither label nor evidence: who sees the machine's answer tends to agree with it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.evaluate.distributions import normal_quantile
from liverpair.evaluate.intervals import Interval, clopper_pearson
from liverpair.evaluate.labels.assign import modality_family
from liverpair.evaluate.labels.report import STATUSES

__all__ = [
    "SHEET_COLUMNS",
    "AuditSettings",
    "LabelAudit",
    "Stratum",
    "audit_from_json",
    "audit_labels",
    "draw_audit_sheet",
    "wilson",
]

SHEET_COLUMNS = ("report_id", "modality", "text", "true_status", "true_largest_mm", "comment")
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """``least_per_stratum``: fewer answers bound a stratum's accuracy too loosely to be of use.

    ``excerpt``: characters of text in the sheet (Excel shows 32 767 in a cell). ``size_tolerance_mm``: report sizes are
    rounded to a millimetre.
    """

    seed: int = 20230101
    least_per_stratum: int = 5
    excerpt: int = 30_000
    size_tolerance_mm: float = 1.0
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Stratum:
    """Reports of one modality and label: how many there are, were adjudicated, and had this true status."""

    modality: str
    label: str
    size: int
    adjudicated: int
    truth: Mapping[str, int]
    accuracy: float | None
    clopper_pearson: Interval
    wilson: Interval

    @property
    def right(self) -> int:
        """Adjudicated reports whose label is the true status."""
        return self.truth.get(self.label, 0)


@dataclass(frozen=True, slots=True)
class LabelAudit:
    """The labels' own accuracy. ``confusion``: true status → label → estimated share of all reports.

    ``accuracy`` is weighted by the strata's sizes; its interval is Clopper–Pearson at the effective sample size.
    ``uncovered``: share of reports in strata without any answer, which no estimate speaks for.
    """

    strata: tuple[Stratum, ...]
    accuracy: float
    interval: Interval
    effective_n: float
    confusion: Mapping[str, Mapping[str, float]]
    size_right: int
    size_compared: int
    size_interval: Interval
    unanswered: int
    uncovered: float


def draw_audit_sheet(
    reports: Sequence[Row], labels: Sequence[Row], n: int, settings: AuditSettings | None = None
) -> list[dict[str, str]]:
    """Rows of `SHEET_COLUMNS` for ``n`` reports, in an order that does not betray their strata.

    ``reports``: report_id, text, modality; ``labels``: report_id, status. The same input gives the same sheet whatever
    its order. UsageError if ``n`` cannot give every stratum two reports.
    """
    settings = settings or AuditSettings()
    status = {str(row["report_id"]).strip(): str(row["status"]) for row in labels}
    by_id = {str(row["report_id"]).strip(): row for row in reports}
    groups: dict[tuple[str, str], list[str]] = {}
    for report_id in by_id:
        if report_id in status:
            groups.setdefault((_modality(by_id[report_id]), status[report_id]), []).append(report_id)
    sizes = {key: len(ids) for key, ids in sorted(groups.items())}
    wanted = _allocate(sizes, n, settings.least_per_stratum)
    drawn = [i for key, ids in groups.items() for i in sorted(ids, key=_shuffle(settings.seed))[: wanted[key]]]
    return [_sheet_row(by_id[i], i, settings.excerpt) for i in sorted(drawn, key=_shuffle(settings.seed + 1))]


def audit_labels(
    sheet: Sequence[Row], reports: Sequence[Row], labels: Sequence[Row], settings: AuditSettings | None = None
) -> LabelAudit:
    """The labels' accuracy from a filled sheet; rows without true_status are left out and counted.

    UsageError names the row (the header is row 1) with an unknown status, an unreadable size or an unknown report_id,
    and a sheet without any answer.
    """
    settings = settings or AuditSettings()
    label = {str(row["report_id"]).strip(): row for row in labels}
    modality = {str(row["report_id"]).strip(): _modality(row) for row in reports}
    population = Counter((modality.get(i, ""), str(row["status"])) for i, row in label.items())
    truth: dict[tuple[str, str], Counter[str]] = {}
    sizes_right: list[bool] = []
    unanswered = 0
    seen: set[str] = set()
    for number, row in enumerate(sheet, start=2):
        report_id = str(row.get("report_id", "")).strip()
        true = _true_status(row, number)
        if report_id not in label or report_id in seen:
            raise UsageError(f"audit sheet, row {number}: this report_id is repeated or not among the labels.")
        seen.add(report_id)
        if not true:
            unanswered += 1
            continue
        given = str(label[report_id]["status"])
        truth.setdefault((modality.get(report_id, ""), given), Counter())[true] += 1
        size = _number(row.get("true_largest_mm"), number)
        if size is not None and given == true:
            found = _number(label[report_id].get("largest_mm"), number)
            sizes_right.append(found is not None and abs(found - size) <= settings.size_tolerance_mm)
    if not truth:
        raise UsageError("the audit sheet holds no answer: fill in the column true_status.")
    strata = tuple(_stratum(key, size, truth.get(key, Counter()), settings) for key, size in sorted(population.items()))
    accuracy, effective = _weighted(strata)
    covered = [s for s in strata if s.adjudicated]
    return LabelAudit(
        strata=strata,
        accuracy=accuracy,
        interval=_at_effective_size(accuracy, effective, settings.level),
        effective_n=effective,
        confusion=_confusion(covered),
        size_right=sum(sizes_right),
        size_compared=len(sizes_right),
        size_interval=clopper_pearson(sum(sizes_right), len(sizes_right), settings.level),
        unanswered=unanswered,
        uncovered=1 - sum(s.size for s in covered) / sum(s.size for s in strata),
    )


def audit_from_json(value: Mapping[str, Any]) -> LabelAudit:
    """The audit whose fields were written as JSON; KeyError, TypeError or ValueError where it is damaged."""
    low, high = value["interval"]
    size_low, size_high = value["size_interval"]
    return LabelAudit(
        strata=tuple(
            Stratum(**{**s, "clopper_pearson": tuple(s["clopper_pearson"]), "wilson": tuple(s["wilson"])})
            for s in value["strata"]
        ),
        accuracy=float(value["accuracy"]),
        interval=(float(low), float(high)),
        effective_n=float("inf") if value["effective_n"] is None else float(value["effective_n"]),
        confusion=value["confusion"],
        size_right=int(value["size_right"]),
        size_compared=int(value["size_compared"]),
        size_interval=(float(size_low), float(size_high)),
        unanswered=int(value["unanswered"]),
        uncovered=float(value["uncovered"]),
    )


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval of k successes in n trials; (0, 1) where n = 0."""
    if n <= 0:
        return 0.0, 1.0
    z = normal_quantile(0.5 + level / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * sqrt(k * (n - k) / n + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def _modality(row: Row) -> str:
    return "/".join(sorted(modality_family(str(row.get("modality") or ""))))


def _shuffle(seed: int) -> Callable[[str], str]:
    return lambda report_id: hashlib.sha256(f"{seed}:{report_id}".encode()).hexdigest()


def _allocate(sizes: Mapping[tuple[str, str], int], n: int, least: int) -> dict[tuple[str, str], int]:
    """Reports per stratum: a floor for each, the rest in proportion to what is left (largest remainders)."""
    if not sizes:
        raise UsageError("no report has a label, so there is nothing to draw an audit from.")
    total = sum(sizes.values())
    if n >= total:
        return dict(sizes)
    needed = sum(min(size, 2) for size in sizes.values())
    if n < needed:
        raise UsageError(f"an audit of {n} reports is too small for {len(sizes)} strata; take at least {needed}.")
    floor = min(least, max(2, n // len(sizes)))
    wanted = {key: min(size, floor) for key, size in sizes.items()}
    while sum(wanted.values()) > n:  # strata smaller than the floor made room, or there are many of them
        largest = max(wanted, key=lambda key: (wanted[key], key))
        wanted[largest] -= 1
    rest, room = n - sum(wanted.values()), {key: sizes[key] - wanted[key] for key in sizes}
    shares = {key: rest * room[key] / max(1, sum(room.values())) for key in sizes}
    for key, share in shares.items():
        wanted[key] += int(share)
    left = n - sum(wanted.values())
    for key in sorted(sizes, key=lambda key: (int(shares[key]) - shares[key], key))[:left]:
        wanted[key] += 1
    return wanted


def _sheet_row(report: Row, report_id: str, excerpt: int) -> dict[str, str]:
    text = str(report.get("text") or "")
    text = text if len(text) <= excerpt else text[:excerpt] + " […]"
    if text[:1] in ("=", "+", "-", "@"):
        text = "'" + text  # a spreadsheet would take it for a formula
    blank = dict.fromkeys(SHEET_COLUMNS, "")
    return blank | {"report_id": report_id, "modality": str(report.get("modality") or ""), "text": text}


def _true_status(row: Row, number: int) -> str:
    text = str(row.get("true_status") or "").strip().lower().replace(" ", "_")
    if text and text not in STATUSES:
        raise UsageError(f"audit sheet, row {number}: true_status must be one of {', '.join(STATUSES)} or blank.")
    return text


def _number(value: object, number: int) -> float | None:
    text = str(value if value is not None else "").strip().replace(",", ".").removesuffix("mm").strip()
    if not text:
        return None
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size < 1000:
        raise UsageError(f"audit sheet, row {number}: a size must be a number of millimetres, for example 12,5.")
    return size


def _stratum(key: tuple[str, str], size: int, truth: Counter[str], settings: AuditSettings) -> Stratum:
    n, right = sum(truth.values()), truth[key[1]]
    return Stratum(
        modality=key[0],
        label=key[1],
        size=size,
        adjudicated=n,
        truth=dict(sorted(truth.items())),
        accuracy=right / n if n else None,
        clopper_pearson=clopper_pearson(right, n, settings.level),
        wilson=wilson(right, n, settings.level),
    )


def _weighted(strata: Sequence[Stratum]) -> tuple[float, float]:
    """Weighted accuracy and the effective sample size of its design.

    The variance uses (k+1)/(n+2) in each stratum: with k/n a stratum in which all were right would claim certainty.
    """
    covered = [s for s in strata if s.adjudicated]
    total = sum(s.size for s in covered)
    accuracy = smooth = variance = 0.0
    for s in covered:
        weight, n = s.size / total, s.adjudicated
        p = (s.right + 1) / (n + 2)
        accuracy += weight * s.right / n
        smooth += weight * p
        variance += weight**2 * (1 - n / s.size) * p * (1 - p) / n
    return accuracy, smooth * (1 - smooth) / variance if variance > 0 else float("inf")


def _at_effective_size(accuracy: float, effective: float, level: float) -> Interval:
    """Clopper–Pearson at the effective size (Korn & Graubard 1998); a full census has no sampling error."""
    return (
        (accuracy, accuracy) if effective == float("inf") else clopper_pearson(accuracy * effective, effective, level)
    )


def _confusion(covered: Sequence[Stratum]) -> dict[str, dict[str, float]]:
    total = sum(s.size for s in covered)
    shares = {true: dict.fromkeys(STATUSES, 0.0) for true in STATUSES}
    for s in covered:
        for true, count in s.truth.items():
            shares[true][s.label] += s.size / total * count / s.adjudicated
    return shares
