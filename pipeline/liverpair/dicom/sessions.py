"""Find the studies that are one examination: a second delivery under new UIDs, and an MRI split over two studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from liverpair.dicom.examinations import MrExam, PetExam, Study, acquisition_print, mr_stacks
from liverpair.dicom.phases import acquired_at
from liverpair.dicom.records import Stack
from liverpair.dicom.roles import SeriesRole

__all__ = ["mr_copies", "mr_rank", "pet_copies", "pet_rank", "same_session", "unite_sessions"]

#: A hepatobiliary phase follows up to 2 h after the injection (gadobenate); longer gaps are another examination.
SESSION_GAP = timedelta(hours=3)
#: What one scanner writes into all of its images.
SCANNER = ("Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "StationName")


def pet_rank(pet: PetExam) -> tuple[int, ...]:
    """Among PETs equally near: with a CT of its own study, of another one, without; then the earlier in the day,
    then the one with more images (a delivery may be incomplete).
    """
    moment = acquired_at(pet.chosen.stack)
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second if moment else 86400
    ct = 2 if pet.ct is None else int(pet.ct.stack.series.study_uid != pet.study.uid)
    return ct, seconds, -len(pet.chosen.stack.instances)


def mr_rank(exam: MrExam) -> tuple[int, ...]:
    """Among MRIs equally near: with a hepatobiliary phase first, then with more roles, then with more images."""
    images = sum(len(stack.instances) for stack in exam.stacks.values())
    return int(SeriesRole.MR_HBP.value not in exam.stacks), -len(exam.stacks), -images


def pet_copies(pets: Sequence[PetExam]) -> dict[str, str]:
    """Study UID → the study it repeats: the same acquisition of the same injection delivered under other UIDs."""
    kept: dict[tuple[str, ...], str] = {}
    copies = {}
    for pet in sorted(pets, key=lambda p: (pet_rank(p), -len(p.study.items), p.study.uid)):
        own = acquisition_print(pet.chosen.stack)
        if own in kept:
            copies[pet.study.uid] = kept[own]
        else:
            kept[own] = pet.study.uid
    return copies


def mr_copies(exams: Sequence[MrExam]) -> dict[str, str]:
    """Study UID → the study that holds all of its acquisitions already, delivered under other UIDs."""
    copies: dict[str, str] = {}
    prints = {e.study.uid: {acquisition_print(c.stack) for c in e.study.items} for e in exams}
    kept: list[str] = []
    for exam in sorted(exams, key=lambda e: (mr_rank(e), -len(prints[e.study.uid]), e.study.uid)):
        own = {acquisition_print(stack) for stack in exam.stacks.values()}
        original = next((uid for uid in kept if own <= prints[uid]), None)
        if original is None:
            kept.append(exam.study.uid)
        else:
            copies[exam.study.uid] = original
    return copies


def unite_sessions(exams: Sequence[MrExam], studies: Sequence[Study]) -> list[MrExam]:
    """MRIs with the roles they lack filled from other studies of the same patient, day, scanner and session.

    An archive may hold the hepatobiliary phase under one Study Instance UID and T2 and diffusion under another; a
    reader opens both. The examination is named by its best study (``mr_rank``); a study that serves in it is no
    examination of its own any more. Studies of another scanner, or more than 3 h apart in another frame of reference,
    stay apart.
    """
    united: list[MrExam] = []
    used: set[str] = set()
    ordered = sorted(exams, key=lambda e: (e.day, mr_rank(e), e.study.uid))
    days = {e.study.uid: e.day for e in exams}
    offers = {study.uid: mr_stacks(study) for study in studies} if len(studies) > 1 else {}
    others = sorted((s for s in studies if offers.get(s.uid)), key=lambda s: (-len(offers[s.uid]), s.uid))
    for exam in ordered:
        if exam.study.uid in used:
            continue
        for other in others:
            stacks = offers[other.uid]
            missing = {role: stack for role, stack in stacks.items() if role not in exam.stacks}
            apart = other.uid in used or other.uid == exam.study.uid or days.get(other.uid, exam.day) != exam.day
            if missing and not apart and same_session(list(exam.stacks.values()), list(stacks.values())):
                exam = replace(exam, stacks={**exam.stacks, **missing}, parts=(*exam.parts, other))
                used.add(other.uid)
        used.add(exam.study.uid)
        united.append(exam)
    return united


def same_session(first: Sequence[Stack], second: Sequence[Stack]) -> bool:
    """Whether two groups of stacks of one patient were made in one visit: same scanner, day, and place or time."""
    for keyword in SCANNER:
        one, two = (
            {str(s.first(keyword)).strip().upper() for s in side if s.first(keyword)} for side in (first, second)
        )
        if one and two and not one & two:
            return False
    days = [{str(s.first("StudyDate") or s.first("AcquisitionDate")) for s in stacks} for stacks in (first, second)]
    if not days[0] & days[1]:
        return False
    frames = [{s.first("FrameOfReferenceUID") for s in stacks} - {None} for stacks in (first, second)]
    return bool(frames[0] & frames[1]) or _gap(first, second) <= SESSION_GAP


def _gap(first: Sequence[Stack], second: Sequence[Stack]) -> timedelta:
    """Time between the nearest acquisitions of two groups; nothing where times are not told."""
    one, two = ([t for t in map(acquired_at, stacks) if t is not None] for stacks in (first, second))
    if not one or not two:
        return timedelta(0)
    return min((abs(a - b) for a in _ends(one) for b in _ends(two)), default=timedelta(0))


def _ends(times: Sequence[datetime]) -> Sequence[datetime]:
    return min(times), max(times)
