"""Find the study that each report describes: by study_uid, accession number, or patient, modality and exact date.

A report is given to a study only if exactly one fits; otherwise the reason is stated and nothing is assigned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

__all__ = ["ReportAssignment", "StudyKey", "assign_reports", "modality_family"]

_FAMILIES = {
    "MR": ("MR", "MRI", "MRT"),
    "PT": ("PT", "PET", "NM", "PETCT", "SPECT"),
}


@dataclass(frozen=True, slots=True)
class StudyKey:
    """What identifies a study; several modalities are joined by ``\\`` or ``/``, the date is ISO or DICOM."""

    study_uid: str
    patient_id: str
    modality: str
    accession_number: str
    study_date: str


@dataclass(frozen=True, slots=True)
class ReportAssignment:
    """``study_uid`` is "" where nothing fits exactly; ``reason`` then says why.

    ``matched_by``: study_uid, accession_number, patient_modality_date or "". Reasons: no_identifiers, no_study,
    ambiguous_accession_number, accession_number_of_another_patient, ambiguous_date, unreadable_date.
    """

    report_id: str
    study_uid: str
    matched_by: str
    reason: str


def assign_reports(rows: Iterable[Mapping[str, str]], studies: Sequence[StudyKey]) -> list[ReportAssignment]:
    """One assignment per report row, in order. Several reports (an addendum) may go to one study."""
    return [_assign(row, studies) for row in rows]


def _assign(row: Mapping[str, str], studies: Sequence[StudyKey]) -> ReportAssignment:
    uid = _value(row, "study_uid")
    if uid and any(s.study_uid == uid for s in studies):
        return ReportAssignment(_value(row, "report_id"), uid, "study_uid", "")  # a DICOM report lies in its study
    report_id, accession = _value(row, "report_id"), _value(row, "accession_number")
    by_number = [s for s in studies if accession and s.accession_number.strip() == accession]
    if by_number:
        return _by_accession(report_id, row, by_number)
    return _by_date(report_id, row, studies)


def _by_accession(report_id: str, row: Mapping[str, str], found: Sequence[StudyKey]) -> ReportAssignment:
    patient = _value(row, "patient_id")
    own = [s for s in found if not patient or s.patient_id.strip() == patient]
    if not own:
        return ReportAssignment(report_id, "", "", "accession_number_of_another_patient")
    uids = _distinct(own)
    if len(uids) > 1:
        # A PET/CT and an MRI ordered together may share their number: the modality decides.
        uids = _distinct([s for s in own if _fits(s.modality, _value(row, "modality"))])
    if len(uids) != 1:
        return ReportAssignment(report_id, "", "", "ambiguous_accession_number")
    return ReportAssignment(report_id, uids[0], "accession_number", "")


def _by_date(report_id: str, row: Mapping[str, str], studies: Sequence[StudyKey]) -> ReportAssignment:
    patient, when = _value(row, "patient_id"), _value(row, "study_date")
    if not patient or not when:
        return ReportAssignment(report_id, "", "", "no_identifiers")
    day = _iso(when)
    if day is None:
        return ReportAssignment(report_id, "", "", "unreadable_date")
    modality = _value(row, "modality")
    fitting = _distinct(
        [
            s
            for s in studies
            if s.patient_id.strip() == patient
            and _iso(s.study_date) == day
            and (not modality or _fits(s.modality, modality))
        ]
    )
    if not fitting:
        return ReportAssignment(report_id, "", "", "no_study")
    if len(fitting) > 1:
        return ReportAssignment(report_id, "", "", "ambiguous_date")
    return ReportAssignment(report_id, fitting[0], "patient_modality_date", "")


def modality_family(text: str) -> frozenset[str]:
    """The families (MR, PT) or plain modalities that a text such as "PET/CT", "PT\\CT" or "MRT" names."""
    names = {name for name in re.split(r"[\\/,;+\s-]+", text.upper()) if name}
    families = {family for family, aliases in _FAMILIES.items() if names & set(aliases)}
    others = names - {alias for aliases in _FAMILIES.values() for alias in aliases}
    return frozenset(families or others)


def _fits(study_modality: str, report_modality: str) -> bool:
    return bool(modality_family(study_modality) & modality_family(report_modality))


def _distinct(studies: Iterable[StudyKey]) -> list[str]:
    return list(dict.fromkeys(study.study_uid for study in studies))


def _value(row: Mapping[str, str], column: str) -> str:
    return (row.get(column) or "").strip()


def _iso(text: str) -> date | None:
    """A date written 20190312, 2019-03-12 or 12.03.2019; 3/12/2019 is refused, as its order is not known."""
    text = text.strip()
    for pattern, order in (
        (r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ].*)?", (1, 2, 3)),
        (r"(\d{1,2})\.(\d{1,2})\.(\d{4})", (3, 2, 1)),
    ):
        match = re.fullmatch(pattern, text)
        if match:
            try:
                return date(*(int(match.group(i)) for i in order))
            except ValueError:
                return None
    return None
