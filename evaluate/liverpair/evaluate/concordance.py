"""Concordance of the index test (PET) with the reference standard (MRI) over a cohort, as concordance.json
holds it.

The unit of the headline is the study pair (Grawe et al., Cancer Imaging 2023); patients and lesions stand
beside it. Nothing here looks at an image: rows of verdicts go in, plain numbers come out. Degenerate cohorts
give null and a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.provenance import fingerprint, plain, version
from liverpair.evaluate import intervals as exact
from liverpair.evaluate.bootstrap import percentile_intervals
from liverpair.evaluate.calls import outcome
from liverpair.evaluate.clustered import ClusterSums, obuchowski_mcnemar
from liverpair.evaluate.cross_table import bounds, counts, two_by_three
from liverpair.evaluate.estimates import as_json, estimate
from liverpair.evaluate.heterogeneity import differs
from liverpair.evaluate.lesion_level import LesionLevelSettings, lesion_level
from liverpair.evaluate.precision import precision, predictive_values
from liverpair.evaluate.records import LesionOutcome, PairCall
from liverpair.evaluate.subgroups import SubgroupSettings, split_by, subgroup_names

__all__ = ["ConcordanceSettings", "concordance", "first_pairs", "patient_calls"]

#: Which cells (tp, fp, fn, tn) are the successes and the trials of each measure.
CELLS = {
    "sensitivity": ((0,), (0, 2)),
    "specificity": ((3,), (3, 1)),
    "ppv": ((0,), (0, 1)),
    "npv": ((3,), (3, 2)),
    "accuracy": ((0, 3), (0, 1, 2, 3)),
}
#: A call of the patient: the strongest of its pairs' calls comes first.
STRENGTH = ("present", "uncertain", "not_mentioned", "absent")


@dataclass(frozen=True, slots=True)
class ConcordanceSettings:
    """What is estimated and how. ``headline`` names the interval a report leads with (statistics.md:
    cluster-robust).

    ``seed`` starts the bootstrap; ``bootstrap_replicates`` of 10 000 fix a percentile bound to about 0.0005.
    """

    confidence_level: float = 0.95
    bootstrap_replicates: int = 10_000
    seed: int = 20230404
    headline: str = "korn_graubard"
    subgroups: SubgroupSettings = field(default_factory=SubgroupSettings)
    lesions: LesionLevelSettings = field(default_factory=LesionLevelSettings)

    def __post_init__(self) -> None:
        if not 0 < self.confidence_level < 1:
            raise ConfigError(f"confidence_level lies between 0 and 1, got {self.confidence_level}")
        if self.bootstrap_replicates < 100:
            raise ConfigError("bootstrap_replicates below 100 cannot place a percentile")
        if self.headline not in ("clopper_pearson", "ratio_logit", "korn_graubard", "gee", "bootstrap"):
            raise ConfigError(f"headline names an interval method, got {self.headline!r}")


def _cells_by_patient(calls: Sequence[PairCall]) -> NDArray[np.int64]:
    """Each patient's (tp, fp, fn, tn), shape (patients, 4), in order of ID; patients without any left out."""
    column = {"TP": 0, "FP": 1, "FN": 2, "TN": 3}
    rows: dict[str, list[int]] = {}
    for call in calls:
        cell = column.get(outcome(call.reference, call.index))
        if cell is not None:
            rows.setdefault(call.patient_id, [0, 0, 0, 0])[cell] += 1
    return np.array([rows[p] for p in sorted(rows)], dtype=np.int64).reshape(-1, 4)


def _ratio(value: tuple[float, exact.Interval] | None, boot: exact.Interval | None, note: str) -> dict[str, Any]:
    """A ratio with its log-method and bootstrap intervals, or the reason why there is none."""
    if value is None:
        return {
            "value": None,
            "intervals": {"log": None, "bootstrap": None},
            "notes": {"value": "an empty cell"},
        }
    notes = {"bootstrap": note} if note else {}
    methods = {"log": list(value[1]), "bootstrap": None if boot is None else list(boot)}
    return {"value": value[0], "intervals": methods, "notes": notes}


def _table_estimates(calls: Sequence[PairCall], settings: ConcordanceSettings) -> dict[str, Any]:
    """Counts, estimates, agreement and tests of one set of pairs."""
    level = settings.confidence_level
    cells = _cells_by_patient(calls)
    tp, fp, fn, tn = (int(v) for v in cells.sum(axis=0))
    table = exact.Table(tp, fp, fn, tn)
    boot, why = percentile_intervals(cells, settings.bootstrap_replicates, settings.seed, level)
    estimates = {}
    for name, (success, trials) in CELLS.items():
        sums = ClusterSums(cells[:, success].sum(axis=1), cells[:, trials].sum(axis=1))
        estimates[name] = as_json(estimate(sums, level, boot[name], why.get(name, "")))
    agreement = exact.kappa(table)
    notes = {} if agreement else {"kappa": "one verdict only: agreement beyond chance is not defined"}
    clustered = obuchowski_mcnemar(cells[:, 2] - cells[:, 1])
    if clustered is None:
        notes["mcnemar_clustered"] = "no discordant pair, or only one patient"
    ratios = {
        "lr_positive": exact.likelihood_ratio_positive(table, level),
        "lr_negative": exact.likelihood_ratio_negative(table, level),
        "diagnostic_odds_ratio": exact.diagnostic_odds_ratio(table, level),
    }
    z = exact.clopper_pearson(tp + fn, table.total, level) if table.total else None
    kappa_bootstrap = boot["kappa"]
    return {
        "counts": counts(calls),
        "pairs": len(calls),
        "patients": len({c.patient_id for c in calls}),
        "estimates": estimates,
        "ratios": {name: _ratio(value, boot[name], why.get(name, "")) for name, value in ratios.items()},
        "prevalence": {"k": tp + fn, "n": table.total, "clopper_pearson": None if z is None else list(z)},
        "kappa": agreement[0] if agreement else None,
        "kappa_se": agreement[1] if agreement else None,
        "kappa_bootstrap": None if kappa_bootstrap is None else list(kappa_bootstrap),
        "pabak": exact.pabak(table),
        "mcnemar_exact_p": exact.mcnemar_exact(fn, fp),
        "mcnemar_clustered": None if clustered is None else {"chi2": clustered[0], "p": clustered[1]},
        "notes": notes,
    }


def _when(call: PairCall, row: int) -> tuple[str, int]:
    """Sort key of a patient's pairs: date where the table has one, else the order of the rows."""
    date = call.attributes.get("pet_date") or call.attributes.get("study_date") or call.attributes.get("date")
    return str(date or ""), row


def first_pairs(calls: Sequence[PairCall]) -> list[PairCall]:
    """Each patient's first pair by PET date (else by row), whatever its verdicts."""
    first: dict[str, tuple[tuple[str, int], PairCall]] = {}
    for row, call in enumerate(calls):
        key = _when(call, row)
        if call.patient_id not in first or key < first[call.patient_id][0]:
            first[call.patient_id] = (key, call)
    return [call for _, call in first.values()]


def patient_calls(calls: Sequence[PairCall]) -> list[PairCall]:
    """One call per patient: positive when any pair is. Only pairs evaluable on both sides speak."""
    pairs: dict[str, list[PairCall]] = {}
    for call in calls:
        pairs.setdefault(call.patient_id, []).append(call)
    merged = []
    for patient, own in pairs.items():
        judged = [c for c in own if outcome(c.reference, c.index) != "not_evaluable"]
        if not judged:
            merged.append(PairCall(patient, patient, "not_evaluable", "not_evaluable"))
            continue
        reference = min((c.reference for c in judged), key=STRENGTH.index)
        index = min((c.index for c in judged), key=STRENGTH.index)
        merged.append(PairCall(patient, patient, reference, index))
    return merged


def _subgroups(calls: Sequence[PairCall], settings: ConcordanceSettings) -> list[dict[str, Any]]:
    rows = []
    for name in subgroup_names(settings.subgroups):
        for level, members in split_by(calls, name, settings.subgroups).items():
            part = _table_estimates(members, settings)
            kept = ("counts", "pairs", "patients", "estimates", "kappa", "kappa_se")
            rows.append({"by": name, "level": level} | {key: part[key] for key in kept})
    return rows


def _subgroup_tests(calls: Sequence[PairCall], settings: ConcordanceSettings) -> list[dict[str, Any]]:
    """For every grouping, whether sensitivity and specificity differ between its levels (exploratory)."""
    rows = []
    for name in subgroup_names(settings.subgroups):
        levels = list(split_by(calls, name, settings.subgroups).values())
        for measure, kind in (("sensitivity", "present"), ("specificity", "absent")) if levels else ():
            found = differs([_right_of(members, kind) for members in levels])
            rows.append({"by": name, "measure": measure, **asdict(found)})
    return rows


def _right_of(calls: Sequence[PairCall], kind: str) -> dict[str, tuple[int, int]]:
    """Each patient's (agreeing, all) judged pairs whose reference is ``kind``."""
    found: dict[str, tuple[int, int]] = {}
    for call in calls:
        if call.reference == kind and call.index in ("present", "absent"):
            right, total = found.get(call.patient_id, (0, 0))
            found[call.patient_id] = right + (call.index == kind), total + 1
    return found


def _check(calls: Sequence[PairCall]) -> None:
    ids = [c.pair_id for c in calls]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise UsageError(f"pair_id {twice!r} occurs more than once; every pair needs its own")


def concordance(
    calls: Sequence[PairCall],
    settings: ConcordanceSettings | None = None,
    lesions: Sequence[LesionOutcome] = (),
    *,
    false_foci: int | None = None,
    config_sha256: str | None = None,
) -> dict[str, Any]:
    """The whole of concordance.json from calls and, where there are any, lesions.

    ``false_foci`` counts index foci on no reference lesion, where images tell. ``config_sha256`` is the
    fingerprint of the run's settings; without one, that of ``settings``. Every value is a JSON type;
    undetermined ones are None and explained in a ``notes`` mapping beside them. Raises UsageError for a
    repeated pair_id or an unknown verdict.
    """
    settings = settings or ConcordanceSettings()
    _check(calls)
    main = _table_estimates(calls, settings)
    judged = sum(main["counts"][c] for c in ("tp", "fp", "fn", "tn"))
    lesion = lesion_level(lesions, settings.lesions, false_foci, judged or None)
    level = {
        "first_pair": _table_estimates(first_pairs(calls), settings),
        "any_positive": _table_estimates(patient_calls(calls), settings),
    }
    result = {
        "unit": "study_pair",
        **main,
        "headline_interval": settings.headline,
        "confidence_level": settings.confidence_level,
        "two_by_three": two_by_three(calls),
        "bounds": bounds(calls),
        "patient_level": level,
        "lesion_level": lesion,
        "size_curve": lesion["size_curve"],
        "size_bins": lesion["size_bins"],
        "subgroups": _subgroups(calls, settings),
        "subgroup_tests": _subgroup_tests(calls, settings),
        "precision": precision(calls, main["estimates"], settings.confidence_level),
        "predictive_values": predictive_values(main["estimates"]),
        "config_sha256": config_sha256 or fingerprint(settings),
        "version": version(),
        "seed": settings.seed,
        "bootstrap_replicates": settings.bootstrap_replicates,
    }
    return dict(plain(result))
