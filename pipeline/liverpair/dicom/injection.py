"""Find when the contrast of an examination was given: stated, from named phases, or from the rhythm of the volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from liverpair.core.errors import GeometryRefusal
from liverpair.dicom import vocabulary as say
from liverpair.dicom.dates import parse_time
from liverpair.dicom.delays import Agent, Moment, agent_of, has_contrast
from liverpair.dicom.geometry import has_plane, orientation, slice_normal
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import SeriesRole
from liverpair.dicom.words import described, number, says, values_of

__all__ = ["Dated", "injected_at", "is_dynamic_kind", "is_enhanced", "kind_of", "order_of"]

#: A T1 volume, its moment, the phase and the delay that its name tells.
Dated = tuple[Stack, Moment, SeriesRole | None, timedelta | None]

#: Usual delays of a labelled phase, from which the injection is inferred where its time is absent.
ARTERIAL_DELAY: Final = timedelta(seconds=25)
PORTAL_DELAY: Final = timedelta(seconds=70)
#: A stated injection is believed if named arterial and portal phases follow it within this.
BELIEVABLE: Final = timedelta(minutes=4)
#: Stated moments of one injection (its start in several series) agree within this.
SAME_INJECTION: Final = timedelta(minutes=1)
#: From the arterial phase to the portal one, and from there to the next, at most.
TO_PORTAL: Final = timedelta(seconds=75)
TO_NEXT: Final = timedelta(seconds=210)
#: Within this after the first, three volumes are a dynamic series whatever their rhythm.
DYNAMIC_GAP: Final = timedelta(minutes=6)
#: Fewer volumes are no dynamic series.
LEAST_PHASES: Final = 3
#: Volumes in quicker succession than this are a perfusion series, started with the injection.
FAST: Final = timedelta(seconds=15)
#: A series orders its phases by these, in this order.
ORDERING: Final = (
    "TemporalPositionIdentifier", "InstanceOrder", "TriggerTime", "AcquisitionNumber", "SeriesNumber", "InstanceNumber",
)  # fmt: skip


def order_of(stack: Stack, moment: Moment) -> tuple[datetime, tuple[float, ...], str]:
    """Time, then what orders phases of one series: temporal position, acquisition and instance number."""
    keys = []
    for keyword in ORDERING:
        value = stack.key.get(keyword, stack.first(keyword))
        try:
            keys.append(float(value) if value is not None else 0.0)
        except (TypeError, ValueError):
            keys.append(0.0)
    if moment.at is None:  # without a clock the series count before what orders phases within one
        keys.insert(0, keys[4])
    return moment.at or datetime.max, tuple(keys), stack.series.series_uid


def kind_of(stack: Stack) -> tuple[Any, ...]:
    """What volumes of one dynamic acquisition share: matrix, timing, plane."""
    numbers = tuple(round(number(stack, k) or 0.0, 1) for k in ("RepetitionTime", "EchoTime", "FlipAngle"))
    return (stack.first("Rows"), stack.first("Columns"), *numbers, _plane(stack))


def _plane(stack: Stack) -> int:
    """The axis along which the slices are stacked; -1 where it is not known."""
    for instance in stack.instances:
        if has_plane(instance):
            try:
                return int(np.argmax(np.abs(slice_normal(orientation(instance)))))
            except GeometryRefusal:
                return -1
    return -1


def injected_at(volumes: Sequence[Dated]) -> datetime | None:
    """When the contrast was given, of volumes in the order of their acquisition; None where nothing tells.

    Stated (Contrast/Bolus Start Time) unless named phases contradict it; a usual delay before the first named phase;
    the rhythm of a dynamic series.
    """
    stated = _stated(volumes)
    if stated is not None and not _contradicted(stated, volumes):
        return stated
    named = _from_names(volumes)
    if named is not None:
        return named
    if any(phase in (SeriesRole.MR_ARTERIAL, SeriesRole.MR_PORTAL) for _, _, phase, _ in volumes):
        return None  # a labelled phase without a clock says nothing about the others
    return _from_rhythm(volumes) or _from_minutes(volumes)


def _stated(volumes: Sequence[Dated]) -> datetime | None:
    """Contrast/Bolus Start Time, where it is one moment; some exports write each volume's own start there."""
    found: list[datetime] = []
    for stack, moment, _, _ in volumes:
        clock = parse_time(stack.first("ContrastBolusStartTime"))
        if clock is None or moment.at is None:
            continue
        injected = datetime.combine(moment.at.date(), clock)
        # an injection "later" than the volume by most of a day happened before midnight, and the reverse
        if abs(injected - moment.at) > timedelta(hours=12):
            injected += timedelta(days=1 if injected < moment.at else -1)
        if injected not in found:
            found.append(injected)
    if found and max(found) - min(found) > SAME_INJECTION:
        return None
    return found[0] if found else None


def _contradicted(injected: datetime, volumes: Sequence[Dated]) -> bool:
    for _, moment, phase, _ in volumes:
        if phase in (SeriesRole.MR_ARTERIAL, SeriesRole.MR_PORTAL) and moment.timed and moment.at is not None:
            return not timedelta(0) <= moment.at - injected <= BELIEVABLE
    return False


def _from_names(volumes: Sequence[Dated]) -> datetime | None:
    """A usual delay before the first named arterial, then portal phase."""
    for role, usual in ((SeriesRole.MR_ARTERIAL, ARTERIAL_DELAY), (SeriesRole.MR_PORTAL, PORTAL_DELAY)):
        for _, moment, phase, delay in volumes:
            if phase is role and moment.timed and moment.at is not None:
                return moment.at - (delay or usual)
    return None


def _from_minutes(volumes: Sequence[Dated]) -> datetime | None:
    """So long before a volume as its name says ("20min"): rough, as protocols are run late."""
    for _, moment, phase, delay in volumes:
        if phase in (SeriesRole.MR_HBP, SeriesRole.OTHER) and delay is not None and moment.timed and moment.at:
            return moment.at - delay
    return None


def _from_rhythm(volumes: Sequence[Dated]) -> datetime | None:
    """A dynamic series without any time of injection: native, then arterial and portal volumes in quick order.

    The first volume for which an agent is stated is the arterial one where earlier ones lack it. Only volumes of one
    kind are compared, and only where three of them follow each other quickly; otherwise nothing is inferred.
    """
    run = _run(volumes)
    times = [at for _, at in run]
    switch = next((k for k in range(1, len(run)) if has_contrast(run[k][0])), None)
    if switch is not None and not any(has_contrast(stack) for stack, _ in run[:switch]):
        if switch + 1 < len(run) and timedelta(0) < times[switch + 1] - times[switch] <= TO_NEXT:
            return times[switch] - ARTERIAL_DELAY
        return None
    for k in range(len(times) - 2):
        to_portal, to_next = times[k + 1] - times[k], times[k + 2] - times[k + 1]
        if timedelta(0) < to_portal <= TO_PORTAL and timedelta(0) < to_next <= TO_NEXT:
            return times[k] - ARTERIAL_DELAY if k > 0 else _after_the_first(times[0], times[1])
    for k in range(len(times) - 2):
        if times[k] < times[k + 1] < times[k + 2] and times[k + 2] - times[k] <= DYNAMIC_GAP:
            return times[k + 1] - ARTERIAL_DELAY
    return None


def _run(volumes: Sequence[Dated]) -> list[tuple[Stack, datetime]]:
    """The volumes of the most frequent kind, if there are three of it; all volumes otherwise.

    Without any word of contrast, volumes of a dynamic series also share their name and are one more: a native
    examination has T1 volumes under other names, or repeats one that moved.
    """
    timed = [
        (stack, m.at)
        for stack, m, phase, _ in volumes
        if m.timed and m.at is not None and phase is not SeriesRole.MR_HBP
    ]
    enhanced = agent_of([v[0] for v in volumes]) is not Agent.UNKNOWN or any(
        has_contrast(stack) or says(described(stack, "SeriesDescription"), say.POST) for stack, *_ in volumes
    )

    def likeness(stack: Stack) -> tuple[Any, ...]:
        name = "".join(c for c in described(stack, "SeriesDescription") if not c.isdigit())
        return kind_of(stack) if enhanced else (*kind_of(stack), " ".join(name.split()))

    kinds = Counter(likeness(stack) for stack, _ in timed)
    usual, count = max(kinds.items(), key=lambda item: (item[1], str(item[0])), default=((), 0))
    if count >= (LEAST_PHASES if enhanced else LEAST_PHASES + 1):
        return [(stack, at) for stack, at in timed if likeness(stack) == usual]
    return timed if enhanced else []


def is_dynamic_kind(stack: Stack) -> bool:
    """Whether the sequence can follow a bolus: gradient echoes do, a spin echo takes minutes."""
    return "SE" not in {str(code).upper() for code in values_of(stack, "ScanningSequence")}


def is_enhanced(stacks: Sequence[Stack]) -> bool:
    """Whether anything in the headers says that contrast was given in this examination."""
    return agent_of(stacks) is not Agent.UNKNOWN or any(
        has_contrast(stack) or says(described(stack, "SeriesDescription"), say.POST) for stack in stacks
    )


def _after_the_first(native: datetime, second: datetime) -> datetime:
    """The injection between a native and an arterial volume; with volumes every few seconds, at their beginning."""
    return native if second - native <= FAST else max(native, second - ARTERIAL_DELAY)
