"""Classify the stacks of a patient's studies: roles session by session, tracers, coverage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from liverpair.dicom.examinations import Study, acquisition_print, modality_of
from liverpair.dicom.patients import Owner
from liverpair.dicom.records import SeriesRecord, Stack
from liverpair.dicom.roles import classify_study
from liverpair.dicom.selection import Classified, classified
from liverpair.dicom.sessions import same_session
from liverpair.dicom.split import split
from liverpair.dicom.tracer import TracerSettings, identify_tracer

__all__ = ["classify_studies"]


def classify_studies(
    series: Sequence[SeriesRecord], owners: Mapping[str, Owner], tracers: TracerSettings
) -> tuple[list[Study], list[Study]]:
    """The studies with classified stacks, by UID; and apart what strays into one under another patient's ID.

    Contrast phases are told by their siblings: MR studies of one patient that are one session (an MRI split over two
    Study Instance UIDs) are classified together. A second delivery of the same acquisitions is not a sibling.
    """
    own: dict[str, list[Stack]] = defaultdict(list)
    apart: dict[str, list[Stack]] = defaultdict(list)
    for record in series:
        place = apart if record.series_uid in owners[record.study_uid].strays else own
        place[record.study_uid].extend(split(record))
    found: dict[str, tuple[Classified, ...]] = {}
    for session in _sessions({uid: own[uid] for uid in sorted(own)}, owners):
        together = [(uid, stack) for uid in session for stack in own[uid]]
        items = _classified([stack for _, stack in together], tracers)
        for uid in session:
            found[uid] = tuple(item for (home, _), item in zip(together, items, strict=True) if home == uid)
    studies = [Study(owners[uid].patient, uid, found[uid]) for uid in sorted(found)]
    strays = [Study("", uid, tuple(_classified(apart[uid], tracers))) for uid in sorted(apart)]
    return studies, strays


def _classified(stacks: Sequence[Stack], tracers: TracerSettings) -> list[Classified]:
    return [
        classified(stack, role, identify_tracer(stack, tracers) if modality_of(stack) == "PT" else None)
        for stack, role in zip(stacks, classify_study(stacks), strict=True)
    ]


def _sessions(studies: Mapping[str, Sequence[Stack]], owners: Mapping[str, Owner]) -> list[list[str]]:
    """Study UIDs in groups whose MR stacks are one session; every other study is a group of its own."""
    mr = {uid: [s for s in stacks if modality_of(s) == "MR"] for uid, stacks in studies.items()}
    sessions: list[list[str]] = []
    for uid in studies:
        home = next((s for s in sessions if mr[uid] and _belongs(uid, s, mr, owners)), None)
        if home is None:
            sessions.append([uid])
        else:
            home.append(uid)
    return sessions


def _belongs(uid: str, session: Sequence[str], mr: Mapping[str, Sequence[Stack]], owners: Mapping[str, Owner]) -> bool:
    patient = owners[uid].patient
    if not patient or any(owners[other].patient != patient or not mr[other] for other in session):
        return False
    others = [stack for other in session for stack in mr[other]]
    if not same_session(mr[uid], others):
        return False
    return not {acquisition_print(s) for s in mr[uid]} & {acquisition_print(s) for s in others}
