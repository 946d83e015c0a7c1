"""Write one row of series.csv per series, and account for every series that serves in no pair."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from liverpair.dicom.examinations import NoExam, Study, acquisition_print, day_of
from liverpair.dicom.records import Exclusion
from liverpair.dicom.roles import SeriesRole
from liverpair.dicom.selection import Classified

__all__ = ["group_by_series", "series_exclusions", "series_row"]

#: Which stack speaks for a series of several: the most useful one.
_SPEAKER = {
    role: rank
    for rank, role in enumerate(
        (SeriesRole.PET_AC, SeriesRole.CT, SeriesRole.MR_HBP, SeriesRole.MR_DWI, SeriesRole.MR_T2, SeriesRole.MR_ADC,
         SeriesRole.MR_PORTAL, SeriesRole.MR_ARTERIAL, SeriesRole.MR_T1_NATIVE, SeriesRole.PET_NAC)
    )
}  # fmt: skip
#: Why a series of this role is no candidate for a pair: its reason code in exclusions.csv.
SET_ASIDE = {
    "pet-nac": "not_attenuation_corrected",
    "localizer": "localizer",
    "derived": "derived_image",
    "secondary": "secondary_capture",
    "report": "report",
    "other": "role_not_used",
}


def group_by_series(items: Sequence[Classified]) -> list[list[Classified]]:
    """The stacks of each series, the most useful first."""
    groups: dict[str, list[Classified]] = defaultdict(list)
    for item in items:
        groups[item.uid].append(item)
    return [sorted(group, key=lambda c: _SPEAKER.get(c.role, len(_SPEAKER))) for group in groups.values()]


def series_row(group: Sequence[Classified], study: Study) -> dict[str, Any]:
    """One row of series.csv: the series' most useful stack speaks, ``stacks`` lists them all."""
    first = group[0]
    stack = first.stack
    day = day_of(study, [stack])
    several = (
        {json.dumps(dict(c.stack.key), default=str, sort_keys=True): c.role.value for c in group}
        if len(group) > 1
        else {}
    )
    return {
        "series_uid": first.uid,
        "study_uid": study.uid,
        "patient_id": study.patient,
        "accession_number": str(stack.first("AccessionNumber", "")),
        "modality": str(stack.first("Modality", "")),
        "role": first.role.value,
        "reason": first.reason,
        "covers_liver": first.covers,
        "coverage_reason": first.coverage_reason,
        "tracer": first.tracer.name if first.tracer is not None else "",
        "tracer_reason": first.tracer.reason if first.tracer is not None else "",
        "tracer_flags": " ".join(first.tracer.flags) if first.tracer is not None else "",
        "date": "" if isinstance(day, NoExam) else day.isoformat(),
        "description": str(stack.first("SeriesDescription", "")),
        "manufacturer": str(stack.first("Manufacturer", "")),
        "n_frames": sum(len(c.stack.instances) for c in group),
        "n_stacks": len(group),
        "stacks": json.dumps(several) if several else "",
    }


def series_exclusions(study: Study, served: Collection[str], paired: bool) -> list[Exclusion]:
    """The study's series that serve in no pair, each with its reason.

    ``served``: the UIDs of the series that serve. ``paired``: whether the study serves in a pair; the candidates of a
    study that does not are accounted for by the study's own exclusion.
    """
    prints = {acquisition_print(c.stack) for c in study.items if c.uid in served}
    found = []
    for group in group_by_series(study.items):
        first = group[0]
        if first.uid in served:
            continue
        if first.role.value in SET_ASIDE:
            found.append(Exclusion("series", first.uid, SET_ASIDE[first.role.value], first.reason))
        elif paired:
            found.append(Exclusion("series", first.uid, *_why_not_chosen(first, prints)))
    return found


def _why_not_chosen(item: Classified, prints: Collection[tuple[str, ...]]) -> tuple[str, str]:
    """Reason code and sentence of a candidate that another series was preferred to."""
    if item.tracer is not None and not item.tracer.is_ssr:
        return "not_ssr_tracer", f"{item.tracer.name}: {item.tracer.reason}"
    if not item.covers and item.role is not SeriesRole.CT:
        return "liver_not_covered", item.coverage_reason
    if acquisition_print(item.stack) in prints:
        return "duplicate_series", "the same acquisition as a series of this study that is used"
    return "not_chosen", f"{item.role.value}: another series serves this role better"
