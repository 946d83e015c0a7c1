"""Write one row of series.csv per series: what it is for, why, and what its stacks are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

from liverpair.dicom.roles import SeriesRole
from liverpair.dicom.selection import Classified

__all__ = ["group_by_series", "series_row"]

#: Which stack speaks for a series of several: the most useful one.
_SPEAKER = {
    role: rank
    for rank, role in enumerate(
        (SeriesRole.PET_AC, SeriesRole.CT, SeriesRole.MR_HBP, SeriesRole.MR_DWI, SeriesRole.MR_T2, SeriesRole.MR_ADC,
         SeriesRole.MR_PORTAL, SeriesRole.MR_ARTERIAL, SeriesRole.MR_T1_NATIVE, SeriesRole.PET_NAC)
    )
}  # fmt: skip


def group_by_series(items: Sequence[Classified]) -> list[list[Classified]]:
    """The stacks of each series, the most useful first."""
    groups: dict[str, list[Classified]] = defaultdict(list)
    for item in items:
        groups[item.uid].append(item)
    return [sorted(group, key=lambda c: _SPEAKER.get(c.role, len(_SPEAKER))) for group in groups.values()]


def series_row(group: Sequence[Classified], study_uid: str, patient: str, day: date | None) -> dict[str, Any]:
    """One row of series.csv: the series' most useful stack speaks, ``stacks`` lists them all."""
    first = group[0]
    stack = first.stack
    several = (
        {json.dumps(dict(c.stack.key), default=str, sort_keys=True): c.role.value for c in group}
        if len(group) > 1
        else {}
    )
    return {
        "series_uid": first.uid,
        "study_uid": study_uid,
        "patient_id": patient,
        "accession_number": str(stack.first("AccessionNumber", "")),
        "modality": str(stack.first("Modality", "")),
        "role": first.role.value,
        "reason": first.reason,
        "covers_liver": first.covers,
        "coverage_reason": first.coverage_reason,
        "tracer": first.tracer.name if first.tracer is not None else "",
        "tracer_reason": first.tracer.reason if first.tracer is not None else "",
        "tracer_flags": " ".join(first.tracer.flags) if first.tracer is not None else "",
        "date": day.isoformat() if day is not None else "",
        "description": str(stack.first("SeriesDescription", "")),
        "manufacturer": str(stack.first("Manufacturer", "")),
        "n_frames": sum(len(c.stack.instances) for c in group),
        "n_stacks": len(group),
        "stacks": json.dumps(several) if several else "",
    }
