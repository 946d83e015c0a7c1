"""Select an archive's SSR-PET/CT and liver MRI examinations and pair them; every study ends with a reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from liverpair.core.study import StudyPair
from liverpair.dicom.classification import classify_studies
from liverpair.dicom.cohort_rows import group_by_series, series_exclusions, series_row
from liverpair.dicom.cohort_settings import CohortSettings
from liverpair.dicom.examinations import Study
from liverpair.dicom.pair_stacks import StackReference, refer_to
from liverpair.dicom.patient_pairs import Ledger, kinds_of, pair_patient
from liverpair.dicom.patients import Patients, look_alikes, read_patient_map
from liverpair.dicom.records import Exclusion, SeriesRecord, Stack
from liverpair.dicom.tracer import TracerSettings

__all__ = ["Cohort", "CohortSettings", "GroupSelection", "build_cohort", "gather", "patient_rule", "select_groups"]

#: Reasons of examinations that found no partner: where a look-alike Patient ID is worth telling.
ALONE = frozenset({"no_mr", "no_pet", "mr_out_of_window", "pet_out_of_window"})
STRAY = "carries another Patient ID than the images of its study"
LOOK_ALIKE = (
    "; the archive holds a Patient ID that differs from this patient's only in case, zeros, punctuation or suffix: "
    "if both are one person, join them with cohort.patient_map"
)


@dataclass(frozen=True, slots=True, eq=False)
class GroupSelection:
    """What one group of studies (one patient, as a rule) gives: pairs with their stacks, exclusions, rows, numbers.

    ``owners``: the patient of every excluded study that is known, by Study Instance UID. ``patients``: all patients.
    """

    pairs: tuple[tuple[StudyPair, Mapping[str, StackReference]], ...]
    exclusions: tuple[Exclusion, ...]
    series_rows: tuple[dict[str, Any], ...]
    flow: Mapping[str, int]
    owners: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Pairs, what was left out and why, one row per series, and references to the chosen stacks (pair_id → role → …).

    Roles of ``stacks``: "pet-ac", "ct" where there is one, and the MR roles present. ``flow`` counts examinations:
    studies = pet + mr + other − hybrid; each of pet and mr = paired + excluded (a hybrid PET/MR study is both).
    """

    pairs: tuple[StudyPair, ...]
    exclusions: tuple[Exclusion, ...]
    series_rows: list[dict[str, Any]]
    stacks: Mapping[str, Mapping[str, StackReference]]
    flow: Mapping[str, int] = field(default_factory=dict)


def patient_rule(settings: CohortSettings) -> Patients:
    """The rule by which series belong to patients; reads the map of changed IDs. Raises ConfigError."""
    return Patients(read_patient_map(settings.patient_map) if settings.patient_map else {}, settings.join_issuers)


def build_cohort(series: Iterable[SeriesRecord], settings: CohortSettings = CohortSettings()) -> Cohort:
    """The cohort of series that are all in memory; their order is irrelevant."""
    rule = patient_rule(settings)
    return gather(select_groups(_connected(series, rule.person), settings, rule))


def select_groups(
    groups: Iterable[Sequence[SeriesRecord]], settings: CohortSettings, rule: Patients
) -> Iterator[GroupSelection]:
    """The selection of each group, one after another: memory holds the headers of one group at a time.

    A group holds all studies of the patients it names (``Catalogue.groups(rule.person)``).
    """
    for group in groups:
        ordered = sorted(group, key=lambda s: (s.patient_id, s.study_uid, s.series_uid))
        yield _select(ordered, settings, rule)


def gather(selections: Iterable[GroupSelection], keep_rows: Callable[[dict[str, Any]], None] | None = None) -> Cohort:
    """One cohort of all groups' selections; ``keep_rows`` takes the series rows where memory should not."""
    pairs: list[tuple[StudyPair, Mapping[str, StackReference]]] = []
    exclusions: list[Exclusion] = []
    rows: list[dict[str, Any]] = []
    owners: dict[str, str] = {}
    patients: set[str] = set()
    flow: Counter[str] = Counter()
    for selection in selections:
        pairs += selection.pairs
        exclusions += selection.exclusions
        owners.update(selection.owners)
        patients.update(row["patient_id"] for row in selection.series_rows)
        flow.update(selection.flow)
        for row in selection.series_rows:
            (keep_rows or rows.append)(row)
    pairs.sort(key=lambda item: item[0].pair_id)
    rows.sort(key=lambda row: (row["patient_id"], row["study_uid"], row["series_uid"]))
    alike = look_alikes(patients - {""})
    told = [_with_look_alike(e, owners, alike) for e in exclusions]
    told.sort(key=lambda e: (e.level, e.id, e.reason))
    return Cohort(tuple(p for p, _ in pairs), tuple(told), rows, {p.pair_id: s for p, s in pairs}, dict(flow))


def _with_look_alike(exclusion: Exclusion, owners: Mapping[str, str], alike: frozenset[str]) -> Exclusion:
    if exclusion.level == "study" and exclusion.reason in ALONE and owners.get(exclusion.id) in alike:
        return replace(exclusion, detail=exclusion.detail + LOOK_ALIKE)
    return exclusion


def _connected(series: Iterable[SeriesRecord], person: Callable[[str], str]) -> list[list[SeriesRecord]]:
    """Groups of series that share a person or a study, directly or through others."""
    leader: dict[str, str] = {}

    def find(node: str) -> str:
        while leader.setdefault(node, node) != node:
            node = leader[node] = leader[leader[node]]
        return node

    records = sorted(series, key=lambda s: (s.patient_id, s.study_uid, s.series_uid))
    for record in records:
        name = person(record.patient_id)
        if name:
            leader[find(f"study {record.study_uid}")] = find(f"person {name}")
    groups: dict[str, list[SeriesRecord]] = defaultdict(list)
    for record in records:
        groups[find(f"study {record.study_uid}")].append(record)
    return list(groups.values())


# --- one group -----------------------------------------------------------------------------------------------------


def _select(series: Sequence[SeriesRecord], settings: CohortSettings, rule: Patients) -> GroupSelection:
    """Classify a group's series, choose each examination's images, pair PET with MRI patient by patient."""
    owners = rule.owners(series)
    ledger = Ledger()
    studies, strays = classify_studies(series, owners, TracerSettings(settings.ssr_nuclides_without_ligand))
    stray_series = [c.uid for study in strays for c in study.items]
    ledger.counts["studies"] += len(studies)
    by_patient: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        owner = owners[study.uid]
        if owner.reason:
            ledger.counts["other"] += 1
            ledger.exclude("other", study.uid, owner.reason, owner.detail)
        else:
            by_patient[study.patient].append(study)
    pairs: list[tuple[StudyPair, dict[str, Stack]]] = []
    for patient in sorted(by_patient):
        pairs += pair_patient(patient, by_patient[patient], settings, ledger)
    return GroupSelection(
        tuple((pair, {role: refer_to(stack) for role, stack in stacks.items()}) for pair, stacks in pairs),
        (
            *_exclusions(studies, [stacks for _, stacks in pairs], ledger),
            *(Exclusion("series", uid, "patient_id_conflict", STRAY) for uid in dict.fromkeys(stray_series)),
        ),
        tuple(series_row(group, study) for study in (*studies, *strays) for group in group_by_series(study.items)),
        dict(ledger.counts),
        {study.uid: study.patient for study in studies if study.patient and study.uid in ledger.ends},
    )


def _exclusions(studies: Sequence[Study], paired: Sequence[Mapping[str, Stack]], ledger: Ledger) -> Iterator[Exclusion]:
    """Every study that names no pair, and every series that serves in none, each exactly once.

    A study is excluded as a whole only if no half of it (PET, MRI of a hybrid) is paired.
    """
    served = {stack.series.series_uid for stacks in paired for stack in stacks.values()}
    for study in studies:
        ends = ledger.ends.get(study.uid, [])
        whole = bool(ends) and (not study.patient or len(ends) == len(kinds_of(study)))
        if whole:
            yield Exclusion("study", study.uid, ends[0].reason, "; ".join(dict.fromkeys(why.detail for why in ends)))
        serving = not whole or any(c.uid in served for c in study.items)
        yield from series_exclusions(study, served, serving)
