"""Pair the examinations of one patient and enter every study that serves in no pair, with its reason, into a ledger."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from liverpair.core.study import StudyPair
from liverpair.dicom.cohort_settings import CohortSettings
from liverpair.dicom.examinations import MrExam, NoExam, PetExam, Study, as_mr, as_pet, dates_disagree, mr_stacks
from liverpair.dicom.pairing import Dated, pair_nearest
from liverpair.dicom.records import Stack
from liverpair.dicom.roles import SeriesRole
from liverpair.dicom.sessions import mr_copies, mr_rank, pet_copies, pet_rank, unite_sessions

__all__ = ["Ledger", "kinds_of", "pair_patient"]

#: The reason of a study that serves in another study's examination: its PET's CT, or a part of its MRI.
COUNTED_WITH = "counted_with_examination"

Chosen = tuple[StudyPair, dict[str, Stack]]


@dataclass(slots=True)
class Ledger:
    """Where the examinations of a group ended: paired or excluded, exactly once per kind."""

    counts: Counter[str] = field(default_factory=Counter)
    ends: dict[str, list[NoExam]] = field(default_factory=lambda: defaultdict(list))

    def exclude(self, kind: str, uid: str, reason: str, detail: str) -> None:
        """Enter a study that serves in no pair as this kind of examination."""
        self.counts[f"{kind}_excluded"] += 1
        self.ends[uid].append(NoExam(reason, detail))


def kinds_of(study: Study) -> list[str]:
    """What examinations a study counts as: "pet", "mr", both for a hybrid, "other" for neither.

    The MR of a hybrid scanner that only corrects attenuation is no MRI examination of its own.
    """
    is_pet = "PT" in study.modalities
    is_mr = "MR" in study.modalities and not (is_pet and not mr_stacks(study))
    return [kind for kind, holds in (("pet", is_pet), ("mr", is_mr)) if holds] or ["other"]


def pair_patient(patient: str, studies: Sequence[Study], settings: CohortSettings, ledger: Ledger) -> list[Chosen]:
    """The patient's pairs with their stacks by role."""
    kinds = {study.uid: kinds_of(study) for study in studies}
    for found in kinds.values():
        ledger.counts.update(found)
        ledger.counts["hybrid"] += len(found) - 1
    pets = _pets([s for s in studies if "pet" in kinds[s.uid]], studies, ledger)
    mris = _mris([s for s in studies if "mr" in kinds[s.uid]], ledger)
    matches = _matched(pets, mris, settings, ledger)
    pairs = [_pair(patient, pets[i], mris[j]) for i, j in matches]
    _account_for_others([s for s in studies if kinds[s.uid] == ["other"]], [stacks for _, stacks in pairs], ledger)
    return pairs


def _pets(studies: Sequence[Study], siblings: Sequence[Study], ledger: Ledger) -> list[PetExam]:
    """The SSR-PETs of these studies, each delivery once."""
    found = []
    for study in studies:
        exam = as_pet(study, siblings)
        if isinstance(exam, NoExam):
            ledger.exclude("pet", study.uid, exam.reason, exam.detail)
        else:
            found.append(exam)
    copies = pet_copies(found)
    for uid, original in sorted(copies.items()):
        ledger.exclude("pet", uid, "duplicate_study", f"the same acquisition as study {original}")
    return [exam for exam in found if exam.study.uid not in copies]


def _mris(studies: Sequence[Study], ledger: Ledger) -> list[MrExam]:
    """The liver MRIs of these studies, each delivery once, split ones united."""
    exams = {study.uid: as_mr(study) for study in studies}
    found = [exam for exam in exams.values() if isinstance(exam, MrExam)]
    copies = mr_copies(found)
    for uid, original in sorted(copies.items()):
        ledger.exclude("mr", uid, "duplicate_study", f"the same acquisitions as study {original}")
    united = unite_sessions(
        [e for e in found if e.study.uid not in copies], [s for s in studies if s.uid not in copies]
    )
    parts = {part.uid: exam.study.uid for exam in united for part in exam.parts}
    for uid, exam in exams.items():
        if uid in parts:
            detail = f"a part of the same MRI session as study {parts[uid]}, in which its sequences serve"
            ledger.exclude("mr", uid, COUNTED_WITH, detail)
        elif isinstance(exam, NoExam):
            ledger.exclude("mr", uid, exam.reason, exam.detail)
    return united


def _account_for_others(studies: Sequence[Study], paired: Sequence[Mapping[str, Stack]], ledger: Ledger) -> None:
    """Studies without PET and MRI: the CT of a split session serves in its PET's pair, the others in nothing."""
    served = {s.series.study_uid: stacks[SeriesRole.PET_AC.value] for stacks in paired for s in stacks.values()}
    for study in studies:
        if study.uid in served:
            pet = served[study.uid].series.study_uid
            ledger.exclude("other", study.uid, COUNTED_WITH, f"its CT serves as that of the PET in study {pet}")
        else:
            found = ", ".join(sorted(m for m in study.modalities if m)) or "nothing"
            ledger.exclude("other", study.uid, "neither_pet_nor_mr", f"the study holds {found}")


def _matched(
    pets: Sequence[PetExam], mris: Sequence[MrExam], settings: CohortSettings, ledger: Ledger
) -> list[tuple[int, int]]:
    """Index pairs of examinations; those left alone are entered with the reason."""

    def one_person(i: int, j: int) -> bool:
        return {pets[i].study.sex, mris[j].study.sex} != {"M", "F"}

    dated_pets = [Dated(p.study.uid, p.day, pet_rank(p)) for p in pets]
    dated_mris = [Dated(m.study.uid, m.day, mr_rank(m)) for m in mris]
    matches = pair_nearest(dated_pets, dated_mris, settings.window, settings.mr_reuse, one_person)
    used_pets, used_mris = {i for i, _ in matches}, {j for _, j in matches}
    ledger.counts["pet_paired"] += len(used_pets)
    ledger.counts["mr_paired"] += len(used_mris)
    for i, pet in enumerate(pets):
        if i not in used_pets:
            near = [((m.day - pet.day).days, one_person(i, j)) for j, m in enumerate(mris)]
            ledger.exclude("pet", pet.study.uid, *_why_alone(near, settings, "mr", "MRI of the liver"))
    for j, mri in enumerate(mris):
        if j not in used_mris:
            near = [((mri.day - p.day).days, one_person(i, j)) for i, p in enumerate(pets)]
            ledger.exclude("mr", mri.study.uid, *_why_alone(near, settings, "pet", "SSR-PET"))
    return matches


def _why_alone(near: Sequence[tuple[int, bool]], settings: CohortSettings, other: str, words: str) -> tuple[str, str]:
    """Reason code and sentence of an examination left alone; ``near``: (MRI − PET in days, may be one person)."""
    if not near:
        return f"no_{other}", f"the patient has no usable {words} in the archive"
    inside = [possible for days, possible in near if settings.window.holds(days)]
    if not inside:
        nearest = min((days for days, _ in near), key=abs)
        detail = f"the nearest {words} is {abs(nearest)} days away, the window is {settings.window_words}"
        return f"{other}_out_of_window", detail
    if not any(inside):
        return "patient_sex_conflict", f"the {words} in the window states another Patient's Sex: not the same person"
    return f"{other}_already_paired", f"the {words} in the window is paired with an examination nearer in time"


def _pair(patient: str, pet: PetExam, mri: MrExam) -> Chosen:
    digest = hashlib.sha256(f"{pet.study.uid}|{mri.study.uid}".encode()).hexdigest()

    def uid(role: SeriesRole) -> str:
        return mri.stacks[role.value].series.series_uid if role.value in mri.stacks else ""

    stacks = {SeriesRole.PET_AC.value: pet.chosen.stack, **mri.stacks}
    if pet.ct is not None:
        stacks[SeriesRole.CT.value] = pet.ct.stack
    remarks = ["no_ct"] if pet.ct is None else []
    remarks += ["dates_disagree"] if dates_disagree(stacks.values()) else []
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
        tracer=pet.chosen.tracer.name if pet.chosen.tracer is not None else "",
        status="included",
        reason=";".join(remarks),
    )
    return pair, stacks
