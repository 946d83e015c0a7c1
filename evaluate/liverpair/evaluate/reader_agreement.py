"""Agreement between readers, of each reader with himself, and of each reader with every source of the verdicts.

Three answers are kept apart: absent, indeterminate (uncertain; a report's silence) and present. kappa takes
"indeterminate" as a category of its own, the weighted kappa as the middle of the scale. A pair that either side could
not evaluate is in no coefficient and is counted. Intervals heed that pairs of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.provenance import plain
from liverpair.evaluate.bootstrap import percentile_intervals
from liverpair.evaluate.calls import outcome
from liverpair.evaluate.clustered import LEAST_SE, ClusterSums
from liverpair.evaluate.distributions import normal_quantile
from liverpair.evaluate.estimates import as_json, estimate
from liverpair.evaluate.intervals import Interval
from liverpair.evaluate.kappa import cohen_kappa, linear_weights, rater_sums, several_raters, two_raters
from liverpair.evaluate.reader_words import sentences
from liverpair.evaluate.readings import EXAMINATIONS, Reading
from liverpair.evaluate.sources import accuracy_of

__all__ = ["Coefficient", "ReaderSettings", "reader_agreement", "reader_settings"]

#: The scale of one examination in its order, and the outcomes that a pair's two verdicts make.
SCALE = ("absent", "indeterminate", "present")
OUTCOMES = ("TN", "FN", "FP", "TP", "indeterminate")
PAIR = "pair outcome"
#: Coefficients from this many readers on; for two, Cohen's says more.
SEVERAL = 3
Said = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Level, replicates and seed of the intervals, as the study's."""

    level: float = 0.95
    replicates: int = 10_000
    seed: int = 20230404


def reader_settings(concordance: Mapping[str, Any]) -> ReaderSettings:
    """The level, replicates and seed that concordance.json was made with."""
    keys = ("confidence_level", "bootstrap_replicates", "seed")
    return ReaderSettings(*(concordance[key] for key in keys))


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of agreement with its intervals by method; None where the readings do not define it.

    ``n`` pairs of ``clusters`` patients. ``asymptotic`` treats pairs as independent, ``bootstrap`` draws patients.
    """

    name: str
    value: float | None
    n: int
    clusters: int
    standard_error: float | None
    intervals: Mapping[str, Interval | None]
    notes: Mapping[str, str]


def _category(said: str) -> str | None:
    """A verdict on the scale; None for one that says nothing of the liver."""
    if said in ("uncertain", "not_mentioned"):
        return "indeterminate"
    return said if said in ("present", "absent") else None


def _used(scale: Sequence[str], answers: Sequence[Sequence[str]]) -> tuple[list[str], NDArray[np.float64]]:
    """The categories that occur, at least two, in the scale's order, and their weights on the whole scale."""
    there = {a for row in answers for a in row}
    kept = [c for c in scale if c in there]
    spare = [c for c in ("present", "absent", "TP", "TN") if c in scale and c not in kept]
    kept = sorted([*kept, *spare[: max(2 - len(kept), 0)]], key=list(scale).index)
    whole = linear_weights(len(scale)) if tuple(scale) == SCALE else np.eye(len(scale))
    at = [scale.index(c) for c in kept]
    return kept, whole[np.ix_(at, at)]


def _by_patient(values: NDArray[Any], patients: Sequence[str]) -> NDArray[Any]:
    """Rows of units summed within patients, in the order of their IDs."""
    _, index = np.unique(np.array(patients), return_inverse=True)
    summed = np.zeros((int(index.max()) + 1 if len(index) else 0, values.shape[1]), dtype=values.dtype)
    np.add.at(summed, index, values)
    return summed


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _compared(first: Said, second: Said, scale: Sequence[str], patients: Said, s: ReaderSettings) -> dict[str, Any]:
    """Two series of answers by pair: table, agreement and coefficients over the pairs that both answered."""
    shared = sorted(first.keys() & second.keys())
    both = [p for p in shared if first[p] in scale and second[p] in scale]
    answers = [(first[p], second[p]) for p in both]
    categories, weights = _used(scale, answers)
    q, own = len(categories), [patients[p] for p in both]
    units = np.zeros((len(both), q * q), dtype=np.int64)
    for row, (a, b) in enumerate(answers):
        units[row, categories.index(a) * q + categories.index(b)] = 1
    cells = _by_patient(units, own)
    table = cells.sum(axis=0)
    boot, why = percentile_intervals(cells, s.replicates, s.seed, s.level, lambda c: two_raters(c, weights))
    values = two_raters(table, weights)
    agreeing = cells[:, [i * (q + 1) for i in range(q)]].sum(axis=1)
    agreement = estimate(ClusterSums(agreeing, cells.sum(axis=1)), s.level, boot["agreement"], why.get("agreement", ""))
    errors = {"kappa": cohen_kappa(table.reshape(q, q)), "kappa_weighted": cohen_kappa(table.reshape(q, q), weights)}
    ordered = tuple(scale) == SCALE
    names = ("kappa", *(("kappa_weighted",) if ordered else ()), "pabak", "ac1")
    found = [_coefficient(n, values[n], errors.get(n), boot[n], why.get(n, ""), cells, s.level) for n in names]
    return {
        "pairs": len(both),
        "patients": len(cells),
        "not_evaluable": len(shared) - len(both),
        "categories": categories,
        "table": table.reshape(q, q).tolist(),
        "agreement": as_json(agreement),
        **{c.name: _without_name(c) for c in found},
    }


def _without_name(c: Coefficient) -> dict[str, Any]:
    return {key: value for key, value in asdict(c).items() if key != "name"}


def _coefficient(
    name: str,
    value: Any,
    error: tuple[float, float] | None,
    boot: Interval | None,
    why: str,
    cells: NDArray[Any],
    level: float,
) -> Coefficient:
    point, notes = _known(value), {"bootstrap": why} if why else {}
    if point is None:
        notes["value"] = "every answer is the same: agreement beyond chance is not defined" if len(cells) else "no pair"
    intervals: dict[str, Interval | None] = {"bootstrap": boot if point is not None else None}
    if point is not None and error is not None and error[1] > LEAST_SE:
        reach = normal_quantile(0.5 + level / 2) * error[1]
        intervals["asymptotic"] = point - reach, min(point + reach, 1.0)
    return Coefficient(name, point, int(cells.sum()), len(cells), error[1] if error else None, intervals, notes)


def _together(series: Mapping[str, Said], scale: Sequence[str], patients: Said, s: ReaderSettings) -> dict[str, Any]:
    """All readers at once; a pair counts for agreement when two or more of them answered it."""
    pairs = sorted({p for said in series.values() for p in said})
    answers = [[said[p] for said in series.values() if said.get(p) in scale] for p in pairs]
    kept = [(p, a) for p, a in zip(pairs, answers, strict=True) if a]
    categories, weights = _used(scale, [a for _, a in kept])
    ratings = np.array([[a.count(c) for c in categories] for _, a in kept], dtype=np.float64)
    ratings = ratings.reshape(-1, len(categories))
    sums = _by_patient(rater_sums(ratings, weights), [patients[p] for p, _ in kept])
    boot, why = percentile_intervals(sums, s.replicates, s.seed, s.level, lambda c: several_raters(c, weights))
    values = several_raters(sums.sum(axis=0), weights)
    ordered = tuple(scale) == SCALE
    names = ("agreement", "fleiss_kappa", *(("fleiss_kappa_weighted",) if ordered else ()), "ac1")
    several = int((ratings.sum(axis=1) >= 2).sum())
    found = [
        Coefficient(
            name,
            _known(values[name]),
            several,
            len(sums),
            None,
            {"bootstrap": boot[name]},
            {"bootstrap": why[name]} if name in why else {},
        )
        for name in names
    ]
    return {
        "readers": len(series),
        "pairs": several,
        "read_by_all": int((ratings.sum(axis=1) == len(series)).sum()),
        "patients": len(sums),
        "ratings": int(ratings.sum()),
        "categories": categories,
        **{c.name: _without_name(c) for c in found},
    }


def _series(readings: Sequence[Reading], turn: int) -> dict[str, dict[str, dict[str, str]]]:
    """Examination → reader → pair → answer, of each reader's first (0) or second (1) readings."""
    found: dict[str, dict[str, dict[str, str]]] = {name: {} for name in EXAMINATIONS}
    for r in readings:
        if r.turn == turn:
            found[r.examination].setdefault(r.reader, {})[r.pair_id] = r.verdict
    return found


def _scaled(said: Said) -> dict[str, str]:
    return {pair: _category(verdict) or "" for pair, verdict in said.items()}


def _outcomes(mr: Said, pet: Said) -> dict[str, str]:
    """The outcome that one reader's (or source's) verdicts give every pair read on both examinations."""
    return {pair: outcome(mr[pair], pet[pair]) for pair in sorted(mr.keys() & pet.keys())}


def _three(found: Mapping[str, Mapping[str, Said]]) -> list[tuple[str, tuple[str, ...], dict[str, dict[str, str]]]]:
    """(What is compared, its scale, reader → pair → answer) for MRI, PET/CT and the pair's outcome."""
    rows: list[tuple[str, tuple[str, ...], dict[str, dict[str, str]]]] = [
        (name, SCALE, {reader: _scaled(said) for reader, said in sorted(found[key].items())})
        for key, name in EXAMINATIONS.items()
    ]
    outcomes = {r: _outcomes(found["mr"][r], found["pet"][r]) for r in sorted(found["mr"].keys() & found["pet"].keys())}
    return [*rows, (PAIR, OUTCOMES, {r: o for r, o in outcomes.items() if o})]


def _sources(calls: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, str]]]:
    """Source → examination → pair → verdict, of every source that a row of calls names."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for source in ("image", "report", "consensus"):
        own = {
            key: {str(c["pair_id"]): str(c[f"{key}_{source}"]) for c in calls if c.get(f"{key}_{source}")}
            for key in EXAMINATIONS
        }
        if any(own.values()):
            found[f"{source}s" if source != "consensus" else source] = own
    return found


def _accuracy(found: Mapping[str, Mapping[str, Said]], patients: Said, s: ReaderSettings) -> list[dict[str, Any]]:
    """PET/CT against MRI as each reader read both."""
    rows = []
    for reader in sorted(found["mr"].keys() & found["pet"].keys()):
        mr, pet = found["mr"][reader], found["pet"][reader]
        own = [(patients[p], mr[p], pet[p]) for p in sorted(mr.keys() & pet.keys())]
        if own:
            rows.append({"reader": reader, "pairs": len(own), **accuracy_of(own, s.level)})
    return rows


def reader_agreement(
    readings: Sequence[Reading],
    calls: Sequence[Mapping[str, Any]] = (),
    settings: ReaderSettings | None = None,
    independent: bool = True,
) -> dict[str, Any] | None:
    """What concordance.json holds under "readers"; None without readings.

    ``calls``: rows of calls.csv, whose sources each reader is compared with. ``independent`` False: the readings were
    recorded as a consensus, so that a later reader may have known what an earlier one said.
    """
    if not readings:
        return None
    s = settings or ReaderSettings()
    patients = {r.pair_id: r.patient_id for r in readings}
    first, again = _series(readings, 0), _series(readings, 1)
    two, every, repeated, against = [], [], [], []
    sources = _sources(calls)
    for (what, scale, series), (_, _, later) in zip(_three(first), _three(again), strict=True):
        for a, b in combinations(series, 2):
            if series[a].keys() & series[b].keys():
                pair = _compared(series[a], series[b], scale, patients, s)
                two.append({"examination": what, "reader_a": a, "reader_b": b, **pair})
        if len(series) >= SEVERAL:
            every.append({"examination": what, **_together(series, scale, patients, s)})
        for reader in later:
            pair = _compared(series[reader], later[reader], scale, patients, s)
            repeated.append({"examination": what, "reader": reader, **pair})
        for source, own in sources.items():
            said = {w: x for w, _, x in _three({k: {source: v} for k, v in own.items()})}[what]
            for reader in series:
                if series[reader].keys() & said.get(source, {}).keys():
                    pair = _compared(series[reader], said[source], scale, patients, s)
                    against.append({"examination": what, "reader": reader, "source": source, **pair})
    result = {
        "independent": independent,
        "readers": _described(first, again),
        "pairs": len(patients),
        "patients": len(set(patients.values())),
        "two_readers": two,
        "all_readers": every,
        "repeated": repeated,
        "against_sources": against,
        "accuracy": _accuracy(first, patients, s),
    }
    return dict(plain(result | {"said": sentences(result, s.level)}))


def _described(
    first: Mapping[str, Mapping[str, Said]], again: Mapping[str, Mapping[str, Said]]
) -> list[dict[str, Any]]:
    """Each reader with the number of examinations read, read twice, and left open."""
    names = sorted({reader for own in first.values() for reader in own})
    rows = []
    for reader in names:
        row: dict[str, Any] = {"reader": reader}
        for key in EXAMINATIONS:
            own = first[key].get(reader, {})
            said = [_category(v) for v in own.values()]
            row |= {key: len(own), f"{key}_again": len(again[key].get(reader, {}))}
            row |= {f"{key}_present": said.count("present"), f"{key}_indeterminate": said.count("indeterminate")}
            row |= {f"{key}_not_evaluable": said.count(None)}
        rows.append(row)
    return rows
