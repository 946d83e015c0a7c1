"""Say when a T1 volume was acquired, which agent was given, and how long the words say that one waited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from liverpair.dicom import vocabulary as say
from liverpair.dicom.dates import parse_date, parse_datetime, parse_time
from liverpair.dicom.records import InstanceRecord, Stack
from liverpair.dicom.words import described, number, raw_text, says, values_of, words

__all__ = ["Agent", "Moment", "acquired_at", "agent_of", "has_contrast", "moment_of", "spoken_delay"]

#: Dates and clocks of a frame, the truest first.
CLOCKS: Final = (
    ("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"), ("ContentDate", "ContentTime"),
)  # fmt: skip
#: Two clocks of one series closer than this do not tell phases apart: they tell when pixels were written.
LEAST_PHASE_SECONDS: Final = 2.0
#: What a header says where no agent was given.
NO_AGENT: Final = frozenset(
    {"", "no", "none", "n", "ohne", "sans", "sin", "senza", "keine", "kein", "aucun", "0", "n a", "na"}
)
#: Seconds and units of a delay in a description.
SPOKEN: Final = re.compile(
    r"(?<![\d.,a-z])(?<!tt=)(?<!te )(?<!tr )(\d{1,4}(?:[.,]\d+)?) ?[-_]?"
    r"(?:(hours?|hrs?|h|std|stunden?|heures?|horas?|ore|uur|saat)|"
    r"(minutes?|minuten|minutos?|minuti|minuut|mins?|mn|m|dk|dakika|['’′](?!['’′]))|"
    r"(seconds?|sekunden?|secondes?|segundos?|secs?|seks?|seg|sn|s|\"|''))(?![a-z0-9])"
)
#: "20 s" beside "bh" is how long the breath is held.
HELD: Final = re.compile(r"(?:bh|breath ?hold|apnoe|apnee) ?$")
HOLDING: Final = re.compile(r"[ _-]?(?:bh|breath|apn)")
#: "post20", "post 20": minutes after the injection where no unit follows.
POST_MINUTES: Final = re.compile(r"(?:post|p\.?i\.?|hbp|nach)[ _-]?(10|15|20|25|30|40|45|60|90|120)(?![\d.,]| ?[a-z])")


class Agent(StrEnum):
    """What hepatocytes do with the contrast agent."""

    GADOXETATE = "taken up within 20 min"
    GADOBENATE = "taken up after an hour"
    EXTRACELLULAR = "never taken up"
    UNKNOWN = "not said"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a stack was acquired; ``timed`` is False where its phases share one clock and only their order is known."""

    at: datetime | None
    timed: bool


def acquired_at(stack: Stack) -> datetime | None:
    """When the stack's first frame was acquired (Acquisition Time or DateTime, else Series or Content Time)."""
    for day, clock in CLOCKS:
        times = [t for t in map(parse_time, values_of(stack, clock)) if t is not None]
        if times:
            return datetime.combine(_day(stack, day), min(times))
        stamps = [s.local for s in map(parse_datetime, values_of(stack, day + "Time")) if s is not None]
        if stamps:
            return min(stamps)
    return None


def _day(stack: Stack, keyword: str) -> date:
    """The clock's own date, else the nearest one that the header knows."""
    for word in (keyword, *(day for day, _ in CLOCKS), "StudyDate"):
        day = parse_date(stack.first(word))
        if day is not None:
            return day
    return date(1900, 1, 1)


def moment_of(stack: Stack) -> Moment:
    """When this very phase was acquired; several phases under one Acquisition Time are told apart by another clock.

    Trigger Time and Temporal Resolution are in ms (PS3.3 C.7.6.16.2.2.6, C.8.3.1).
    """
    start = acquired_at(stack)
    if start is None or len(stack.instances) == len(stack.series.instances):
        return Moment(start, timed=start is not None)
    if _clocks(stack.instances, "AcquisitionTime") != _clocks(stack.series.instances, "AcquisitionTime"):
        return Moment(start, timed=True)
    if not stack.key:
        return Moment(start, timed=True)
    trigger, first_trigger = _least(stack.instances, "TriggerTime"), _least(stack.series.instances, "TriggerTime")
    if "TriggerTime" in stack.key or (trigger or 0) != (first_trigger or 0):
        return Moment(start + timedelta(milliseconds=(trigger or 0) - (first_trigger or 0)), timed=True)
    written, first_written = _clock(stack.instances, "ContentTime"), _clock(stack.series.instances, "ContentTime")
    if _tells(stack, "ContentTime") and written is not None and first_written is not None:
        return Moment(start + (written - first_written), timed=True)
    position, step = stack.key.get("TemporalPositionIdentifier"), number(stack, "TemporalResolution")
    if isinstance(position, (int, float)) and step:
        return Moment(start + timedelta(milliseconds=(position - 1) * step), timed=True)
    return Moment(start, timed=not _is_a_phase(stack))


def _is_a_phase(stack: Stack) -> bool:
    """Whether the stack is told from its siblings by what tells phases (and not by a Dixon part or an echo)."""
    return any(k in stack.key for k in ("InstanceOrder", "TemporalPositionIdentifier", "AcquisitionNumber"))


def _clocks(frames: Sequence[InstanceRecord], keyword: str) -> set[str]:
    return {str(frame.get(keyword)) for frame in frames}


def _clock(frames: Sequence[InstanceRecord], keyword: str) -> timedelta | None:
    times = [t for t in (parse_time(frame.get(keyword)) for frame in frames) if t is not None]
    first = min(times, default=None)
    if first is None:
        return None
    return timedelta(hours=first.hour, minutes=first.minute, seconds=first.second, microseconds=first.microsecond)


def _tells(stack: Stack, keyword: str) -> bool:
    """Whether the clock differs between this stack and the rest of its series by more than writing pixels takes."""
    own = {id(frame) for frame in stack.instances}
    rest = [frame for frame in stack.series.instances if id(frame) not in own]
    mine, theirs = _clock(stack.instances, keyword), _clock(rest, keyword)
    return mine is not None and theirs is not None and abs((mine - theirs).total_seconds()) >= LEAST_PHASE_SECONDS


def _least(frames: Sequence[InstanceRecord], keyword: str) -> float | None:
    found = [frame.get(keyword) for frame in frames]
    return min((float(v) for v in found if isinstance(v, (int, float))), default=None)


def has_contrast(stack: Stack) -> bool:
    """Whether the header names an intravenous agent for this stack."""
    stated = described(stack, "ContrastBolusAgent")
    return stated.strip() not in NO_AGENT and not says(stated, say.NO_CONTRAST)


def agent_of(stacks: Sequence[Stack]) -> Agent:
    """What the examination's agent does: the contrast attributes first, then the words of study and series."""
    stated = "".join(
        described(s, "ContrastBolusAgent", "ContrastBolusIngredient") + _coded(s.first("ContrastBolusAgentSequence"))
        for s in stacks
    )
    spoken = "".join(
        described(s, "ProtocolName", "SeriesDescription", "StudyDescription", "RequestedProcedureDescription")
        for s in stacks
    )
    for text in (stated, spoken):
        for vocabulary, agent in (
            (say.GADOXETATE, Agent.GADOXETATE), (say.GADOBENATE, Agent.GADOBENATE),
            (say.EXTRACELLULAR, Agent.EXTRACELLULAR),
        ):  # fmt: skip
            if says(text, vocabulary):
                return agent
    # a liver-specific agent without its name: the only one in use is gadoxetate
    return Agent.GADOXETATE if says(spoken, {"any": say.LIVER_AGENT_WORDS}) else Agent.UNKNOWN


def _coded(sequence: Any) -> str:
    return words(str(sequence)) if sequence else " "


def spoken_delay(text: str) -> float | None:
    """The delay after the injection in seconds that a description names ("20min", "70 s", "1h", "post20")."""
    plain = raw_text(text).replace("_", " ")
    for match in SPOKEN.finditer(plain):
        amount = float(match.group(1).replace(",", "."))
        if match.group(2):
            return amount * 3600
        if match.group(3):
            return amount * 60
        if not HELD.search(plain[: match.start()]) and not HOLDING.match(plain[match.end() :]):
            return amount
    found = POST_MINUTES.search(plain)
    return float(found.group(1)) * 60 if found else None
