"""Select an archive's SSR-PET/CT and liver MRI examinations and pair them; every study ends with a reason."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from liverpair.core.study import StudyPair
from liverpair.dicom.cohort_rows import group_by_series, series_row
from liverpair.dicom.dates import parse_date
from liverpair.dicom.pairing import Dated, pair_nearest
from liverpair.dicom.phases import acquired_at
from liverpair.dicom.records import Exclusion, SeriesRecord, Stack
from liverpair.dicom.roles import SeriesRole, classify_study
from liverpair.dicom.selection import MR_ROLES, Classified, choose_ct, choose_mr, choose_pet, classified
from liverpair.dicom.split import split
from liverpair.dicom.tracer import TracerSettings, identify_tracer

__all__ = ["Cohort", "CohortSettings", "build_cohort"]


#: Why a series of this role is no candidate for a pair: its reason code in exclusions.csv.
SET_ASIDE = {
    "pet-nac": "not_attenuation_corrected",
    "localizer": "localizer",
    "derived": "derived_image",
    "secondary": "secondary_capture",
    "report": "report",
    "other": "role_not_used",
}


@dataclass(frozen=True, slots=True)
class CohortSettings:
    """How examinations become pairs.

    ``window_days``: largest |MRI − PET| (92 days: three months, the published study's). ``mr_reuse``: whether one MRI
    may serve several PETs; by default every examination serves once, as pairs that share an MRI are not independent
    readings. ``join_issuers``: whether one Patient ID of two issuers is one patient. ``ssr_nuclides_without_ligand``:
    see TracerSettings.
    """

    window_days: int = 92
    mr_reuse: bool = False
    join_issuers: bool = False
    ssr_nuclides_without_ligand: tuple[str, ...] = ("177Lu",)


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Pairs, what was left out and why, one row per series, and the chosen stacks (pair_id → role → stack).

    Roles of ``stacks``: "pet-ac", "ct" where there is one, and the MR roles present. ``flow`` counts examinations:
    studies = pet + mr + other; each of pet and mr = paired + excluded (a hybrid PET/MR study counts as both).
    """

    pairs: tuple[StudyPair, ...]
    exclusions: tuple[Exclusion, ...]
    series_rows: list[dict[str, Any]]
    stacks: Mapping[str, Mapping[str, Stack]]
    flow: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    patient: str
    uid: str
    items: tuple[Classified, ...]

    def with_role(self, *roles: SeriesRole) -> list[Classified]:
        return [c for c in self.items if c.role in roles]

    @property
    def modalities(self) -> set[str]:
        return {str(c.stack.first("Modality", "")).upper() for c in self.items}


@dataclass(frozen=True, slots=True, eq=False)
class _Pet:
    study: _Study
    day: date
    chosen: Classified
    ct: Classified | None


@dataclass(frozen=True, slots=True, eq=False)
class _Mr:
    study: _Study
    day: date
    stacks: Mapping[str, Stack]


@dataclass(slots=True)
class _Ledger:
    """Where every examination ended: paired or excluded, exactly once per kind."""

    exclusions: list[Exclusion] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def exclude(self, kind: str, uid: str, reason: str, detail: str, level: str = "study") -> None:
        self.exclusions.append(Exclusion(level, uid, reason, detail))
        self.counts[f"{kind}_excluded"] += 1


def build_cohort(series: Sequence[SeriesRecord], settings: CohortSettings = CohortSettings()) -> Cohort:  # frozen
    """Classify all series, choose each examination's images, pair PET with MRI per patient.

    The order of ``series`` is irrelevant.
    """
    ledger = _Ledger()
    studies = _studies(sorted(series, key=lambda s: (s.patient_id, s.study_uid, s.series_uid)), settings, ledger)
    pets: dict[str, list[_Pet]] = defaultdict(list)
    mris: dict[str, list[_Mr]] = defaultdict(list)
    by_patient: dict[str, list[_Study]] = defaultdict(list)
    sure = [study for study in studies if study.patient]
    for study in sure:
        by_patient[study.patient].append(study)
    for study in sure:
        _sort_study(study, by_patient[study.patient], pets, mris, ledger)
    pairs: list[tuple[StudyPair, dict[str, Stack]]] = []
    for patient in sorted(by_patient):
        own = _without_copies(pets[patient], ledger)
        pairs += _pair_patient(patient, own, mris[patient], settings, ledger)
    pairs.sort(key=lambda item: item[0].pair_id)
    rows = [_series_row(group, study) for study in studies for group in group_by_series(study.items)]
    rows.sort(key=lambda row: (row["patient_id"], row["study_uid"], row["series_uid"]))
    ledger.exclusions += [
        Exclusion("series", row["series_uid"], SET_ASIDE[row["role"]], row["reason"])
        for row in rows
        if row["role"] in SET_ASIDE
    ]
    exclusions = tuple(sorted(ledger.exclusions, key=lambda e: (e.level, e.id, e.reason)))
    return Cohort(tuple(p for p, _ in pairs), exclusions, rows, {p.pair_id: s for p, s in pairs}, dict(ledger.counts))


# --- studies -----------------------------------------------------------------------------------------------------


def _studies(series: Sequence[SeriesRecord], settings: CohortSettings, ledger: _Ledger) -> list[_Study]:
    """Group the series into studies with classified stacks; without a sure patient a study is excluded and nameless."""
    groups: dict[str, list[SeriesRecord]] = defaultdict(list)
    for record in series:
        groups[record.study_uid].append(record)
    names = _patients(series, settings)
    studies = []
    for uid in sorted(groups):
        patients = {names[record.patient_id, _issuer(record)] for record in groups[uid]}
        ledger.counts["studies"] += 1
        if len(patients) > 1:
            ledger.exclude("other", uid, "patient_id_conflict", "series of this study carry different Patient IDs")
        elif patients == {""}:
            ledger.exclude("other", uid, "missing_patient_id", "no Patient ID: nothing says whose study this is")
        patient = patients.pop() if len(patients) == 1 else ""
        studies.append(_Study(patient, uid, _classified_study(groups[uid], settings)))
    return studies


def _issuer(record: SeriesRecord) -> str:
    return str(record.first("IssuerOfPatientID", "") or "").strip()


def _patients(series: Iterable[SeriesRecord], settings: CohortSettings) -> dict[tuple[str, str], str]:
    """Name of the patient of each (Patient ID, issuer). Issuers are kept apart unless joined by setting.

    A series without an issuer belongs to the only issuer that uses its ID; with two of them it stays apart.
    """
    issuers: dict[str, set[str]] = defaultdict(set)
    keys = {(record.patient_id, _issuer(record)) for record in series}
    for patient, issuer in keys:
        if issuer:
            issuers[patient].add(issuer)
    names = {}
    for patient, issuer in keys:
        several = len(issuers[patient]) > 1 and not settings.join_issuers
        names[patient, issuer] = f"{patient}@{issuer}" if several and issuer and patient else patient
    return names


def _classified_study(series: Sequence[SeriesRecord], settings: CohortSettings) -> tuple[Classified, ...]:
    stacks = [stack for record in series for stack in split(record)]
    tracer_settings = TracerSettings(settings.ssr_nuclides_without_ligand)
    items = []
    for stack, decision in zip(stacks, classify_study(stacks), strict=True):
        is_pet = str(stack.first("Modality", "")).upper() == "PT"
        items.append(classified(stack, decision, identify_tracer(stack, tracer_settings) if is_pet else None))
    return tuple(items)


def _day(study: _Study, chosen: Iterable[Stack]) -> date | None:
    """Study Date; without one the date of the chosen images (Acquisition, Series, Content Date)."""
    stacks = list(chosen)
    for keyword in ("StudyDate", "AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "ContentDate"):
        days = [parse_date(str(stack.first(keyword, ""))[:8]) for stack in stacks]
        known = [d for d in days if d is not None]
        if known:
            return min(known)
    others = [parse_date(c.stack.first("StudyDate")) for c in study.items]
    return min((d for d in others if d is not None), default=None)


def _series_row(group: Sequence[Classified], study: _Study) -> dict[str, Any]:
    return series_row(group, study.uid, study.patient, _day(study, [group[0].stack]))


# --- examinations ------------------------------------------------------------------------------------------------


def _sort_study(
    study: _Study, siblings: Sequence[_Study], pets: dict[str, list[_Pet]], mris: dict[str, list[_Mr]], ledger: _Ledger
) -> None:
    """Enter a study as PET, as MRI, as both (a hybrid) or as neither."""
    is_pet, is_mr = "PT" in study.modalities, "MR" in study.modalities
    if is_pet:
        ledger.counts["pet"] += 1
        pet = _as_pet(study, siblings, ledger)
        if pet is not None:
            pets[study.patient].append(pet)
    # the MR of a hybrid scanner that only corrects attenuation is no MRI examination of its own
    if is_mr and not (is_pet and not _mr_stacks(study)):
        ledger.counts["mr"] += 1
        mri = _as_mr(study, ledger)
        if mri is not None:
            mris[study.patient].append(mri)
    if not is_pet and not is_mr:
        found = ", ".join(sorted(m for m in study.modalities if m)) or "nothing"
        ledger.exclude("other", study.uid, "neither_pet_nor_mr", f"the study holds {found}; a CT may still serve a PET")


def _as_pet(study: _Study, siblings: Sequence[_Study], ledger: _Ledger) -> _Pet | None:
    corrected = study.with_role(SeriesRole.PET_AC)
    any_pet = corrected or study.with_role(SeriesRole.PET_NAC) or [c for c in study.items if c.tracer is not None]
    tracers = {c.tracer.name: c.tracer for c in any_pet if c.tracer is not None}
    ssr = [c for c in corrected if c.tracer is not None and c.tracer.is_ssr]
    if not any(t.is_ssr for t in tracers.values()):
        unknown = [t for t in tracers.values() if t.name == "unknown"]
        reason = "tracer_unknown" if unknown or not tracers else "not_ssr_tracer"
        detail = "; ".join(f"{t.name}: {t.reason}" for t in tracers.values()) or "no tracer in any header"
        ledger.exclude("pet", study.uid, reason, detail)
        return None
    if not ssr:
        detail = "; ".join(sorted({c.reason for c in any_pet if c.tracer and c.tracer.is_ssr}))
        ledger.exclude("pet", study.uid, "no_ac_pet", f"no attenuation-corrected SSR-PET volume: {detail}")
        return None
    covering = [c for c in ssr if c.covers]
    if not covering:
        ledger.exclude("pet", study.uid, "pet_without_liver", "; ".join(sorted({c.coverage_reason for c in ssr})))
        return None
    chosen = choose_pet(covering)
    assert chosen is not None  # covering is not empty
    day = _day(study, [chosen.stack])
    if day is None:
        ledger.exclude(
            "pet", study.uid, "missing_date", "no study, acquisition, series or content date; nothing to pair by"
        )
        return None
    return _Pet(study, day, chosen, choose_ct(chosen.stack, _session_cts(study, siblings, day)))


def _session_cts(study: _Study, siblings: Sequence[_Study], day: date) -> list[Classified]:
    """CTs of the study, and of the patient's other studies of the same or a neighbouring day (split studies)."""
    found = list(study.with_role(SeriesRole.CT))
    for other in siblings:
        if other.uid == study.uid:
            continue
        for candidate in other.with_role(SeriesRole.CT):
            own = _day(other, [candidate.stack])
            if own is not None and abs((own - day).days) <= 1:
                found.append(candidate)
    return found


def _mr_stacks(study: _Study) -> Mapping[str, Stack]:
    return choose_mr(study.items)


def _as_mr(study: _Study, ledger: _Ledger) -> _Mr | None:
    stacks = _mr_stacks(study)
    if not set(stacks) - {SeriesRole.MR_ADC.value}:
        wanted = study.with_role(*MR_ROLES)
        why = sorted({c.coverage_reason for c in wanted if not c.covers}) or ["no T1, T2 or diffusion-weighted volume"]
        ledger.exclude("mr", study.uid, "not_liver_mr", "; ".join(why))
        return None
    day = _day(study, stacks.values())
    if day is None:
        ledger.exclude(
            "mr", study.uid, "missing_date", "no study, acquisition, series or content date; nothing to pair by"
        )
        return None
    return _Mr(study, day, stacks)


def _without_copies(pets: Sequence[_Pet], ledger: _Ledger) -> list[_Pet]:
    """One examination delivered under two Study Instance UIDs counts once: same start to the second and same dose."""
    kept: list[_Pet] = []
    seen: dict[tuple[str, str, str], str] = {}
    for pet in sorted(pets, key=lambda p: p.study.uid):
        moment = acquired_at(pet.chosen.stack)
        injection = pet.chosen.stack.first("RadiopharmaceuticalInformationSequence") or [{}]
        key = (str(moment), str(injection[0].get("RadionuclideTotalDose")), str(len(pet.chosen.stack.instances)))
        if moment is not None and key in seen:
            ledger.exclude("pet", pet.study.uid, "duplicate_study", f"the same acquisition as study {seen[key]}")
            continue
        seen[key] = pet.study.uid
        kept.append(pet)
    return kept


# --- pairs -------------------------------------------------------------------------------------------------------


def _mr_ranks(mris: Sequence[_Mr]) -> list[int]:
    """Rank of each MRI among equals: hepatobiliary phase first, then the number of roles it offers."""
    wanted = [(SeriesRole.MR_HBP.value not in m.stacks, -len(m.stacks)) for m in mris]
    order = sorted(set(wanted))
    return [order.index(w) for w in wanted]


def _pair_patient(
    patient: str, pets: Sequence[_Pet], mris: Sequence[_Mr], settings: CohortSettings, ledger: _Ledger
) -> list[tuple[StudyPair, dict[str, Stack]]]:
    dated_pets = [Dated(p.study.uid, p.day) for p in pets]
    dated_mris = [Dated(m.study.uid, m.day, rank) for m, rank in zip(mris, _mr_ranks(mris), strict=True)]
    matches = pair_nearest(dated_pets, dated_mris, settings.window_days, settings.mr_reuse)
    used_pets, used_mris = {i for i, _ in matches}, {j for _, j in matches}
    ledger.counts["pet_paired"] += len(used_pets)
    ledger.counts["mr_paired"] += len(used_mris)
    for index, pet in enumerate(pets):
        if index not in used_pets:
            nearest = min((abs((m.day - pet.day).days) for m in mris), default=None)
            ledger.exclude("pet", pet.study.uid, *_why_alone(nearest, settings.window_days, "mr", "MRI of the liver"))
    for index, mri in enumerate(mris):
        if index not in used_mris:
            nearest = min((abs((mri.day - p.day).days) for p in pets), default=None)
            ledger.exclude("mr", mri.study.uid, *_why_alone(nearest, settings.window_days, "pet", "SSR-PET"))
    return [_pair(patient, pets[i], mris[j]) for i, j in matches]


def _why_alone(nearest: int | None, window: int, other: str, words: str) -> tuple[str, str]:
    """Reason code and sentence of an examination that found no partner."""
    if nearest is None:
        return f"no_{other}", f"the patient has no usable {words} in the archive"
    if nearest > window:
        return f"{other}_out_of_window", f"the nearest {words} is {nearest} days away, the window is {window}"
    return f"{other}_already_paired", f"the {words} in the window is paired with an examination nearer in time"


def _pair(patient: str, pet: _Pet, mri: _Mr) -> tuple[StudyPair, dict[str, Stack]]:
    digest = hashlib.sha256(f"{pet.study.uid}|{mri.study.uid}".encode()).hexdigest()

    def uid(role: SeriesRole) -> str:
        return mri.stacks[role.value].series.series_uid if role.value in mri.stacks else ""

    stacks = {SeriesRole.PET_AC.value: pet.chosen.stack, **mri.stacks}
    if pet.ct is not None:
        stacks[SeriesRole.CT.value] = pet.ct.stack
    tracer = pet.chosen.tracer.name if pet.chosen.tracer is not None else ""
    pair = StudyPair(
        pair_id="P" + digest[:12],
        patient_id=patient,
        pet_study_uid=pet.study.uid,
        ct_series_uid=pet.ct.uid if pet.ct is not None else "",
        pet_series_uid=pet.chosen.uid,
        mr_study_uid=mri.study.uid,
        mr_hbp_series_uid=uid(SeriesRole.MR_HBP),
        mr_t2_series_uid=uid(SeriesRole.MR_T2),
        mr_dwi_series_uid=uid(SeriesRole.MR_DWI),
        pet_date=pet.day,
        mr_date=mri.day,
        tracer=tracer,
        status="included",
        reason="" if pet.ct is not None else "no_ct",
    )
    return pair, stacks
