"""Give the T1-weighted volumes of one examination their contrast phase from words, agent, clock and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from liverpair.dicom import vocabulary as say
from liverpair.dicom.delays import Agent, Moment, acquired_at, agent_of, has_contrast, moment_of, spoken_delay
from liverpair.dicom.injection import injected_at, is_dynamic_kind, is_enhanced, kind_of, order_of
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import RoleDecision, SeriesRole
from liverpair.dicom.words import described, says, without

__all__ = ["T1Stack", "acquired_at", "contrast_phases"]

#: From when on hepatocytes show the agent. Gadoxetate: protocols wait 10–20 min (ESGAR consensus 2016). Gadobenate:
#: 1–3 h, so less than 40 min is not it. Unknown agent: the extracellular ones are followed for 10 min at the most, and
#: gadoxetate is mostly read at 15–20 min.
HEPATOBILIARY_AFTER: Final = {
    Agent.GADOXETATE: timedelta(minutes=9, seconds=30), Agent.GADOBENATE: timedelta(minutes=40),
    Agent.UNKNOWN: timedelta(minutes=13), Agent.EXTRACELLULAR: timedelta.max,
}  # fmt: skip
#: A dynamic series ends its arterial phase by 45 s and its portal-venous phase by 2 min after the injection.
BEFORE_ARRIVAL: Final = timedelta(seconds=5)
ARTERIAL_UNTIL: Final = timedelta(seconds=45)
PORTAL_UNTIL: Final = timedelta(seconds=120)
#: Volumes further apart than this lie on both sides of the wait for the hepatobiliary phase.
PAUSE: Final = timedelta(minutes=7)
#: Phases of a dynamic acquisition of which only the order is known: so many are read by their rank.
RANKED: Final = range(3, 7)


@dataclass(frozen=True, slots=True)
class T1Stack:
    """A T1-weighted volume and its place in the caller's list."""

    index: int
    stack: Stack


@dataclass(frozen=True, slots=True)
class _Volume:
    """A T1 volume with what is known of it: its moment, its phase by name, its delay by name."""

    index: int
    stack: Stack
    moment: Moment
    named: SeriesRole | None
    delay: timedelta | None
    text: str


def contrast_phases(volumes: Sequence[T1Stack]) -> list[RoleDecision]:
    """The role of each T1-weighted volume of one examination, in the order given.

    Words of its own description decide; then the time since the injection; then the order within the examination.
    """
    moments = _believable([moment_of(v.stack) for v in volumes])
    known = sorted(map(_volume, volumes, moments), key=lambda v: order_of(v.stack, v.moment))
    agent = agent_of([v.stack for v in known])
    injected = injected_at([(v.stack, v.moment, v.named, v.delay) for v in known])
    decided = {v.index: _named(v, agent) or _timed(v, known, injected, agent) for v in known}
    return [decided[v.index] for v in volumes]


def _believable(moments: Sequence[Moment]) -> list[Moment]:
    """The moments as they are, or none of them where an anonymiser wrote one clock into all."""
    blank = len(moments) > 1 and len({m.at for m in moments}) == 1 and all(m.timed for m in moments)
    return [Moment(None, timed=False)] * len(moments) if blank else list(moments)


def _volume(volume: T1Stack, moment: Moment) -> _Volume:
    stack = volume.stack
    text = _own_text(stack)
    raw = " ".join(str(stack.first(k, "")) for k in ("SeriesDescription", "ImageComments"))
    seconds = spoken_delay(raw if raw.strip() else str(stack.first("ProtocolName", "")))
    delay = timedelta(seconds=seconds) if seconds is not None else None
    return _Volume(volume.index, stack, moment, _named_phase(text, delay), delay, text)


def _own_text(stack: Stack) -> str:
    """The words of this very series: its description, else its protocol."""
    own = described(stack, "SeriesDescription", "ImageComments")
    return own if own.strip() else described(stack, "ProtocolName")


# --- words -------------------------------------------------------------------------------------------------------


def _named_phase(text: str, delay: timedelta | None) -> SeriesRole | None:
    """The phase that words alone tell. Two phases in one name tell nothing; minutes of 10 and more outweigh the rest.

    The names of phases outweigh "hepatobiliary", which protocols write in front of every series.
    """
    phases = [
        role
        for role, vocabulary in (
            (SeriesRole.MR_T1_NATIVE, say.NATIVE), (SeriesRole.MR_ARTERIAL, say.ARTERIAL),
            (SeriesRole.MR_PORTAL, say.PORTAL),
        )
        if says(text, vocabulary)
    ]  # fmt: skip
    if len(phases) > 1:
        return None
    if delay is not None and delay >= HEPATOBILIARY_AFTER[Agent.GADOXETATE]:
        return SeriesRole.MR_HBP
    if says(text, say.TRANSITIONAL) or (delay is not None and delay >= PORTAL_UNTIL):
        return SeriesRole.OTHER
    if phases == [SeriesRole.MR_T1_NATIVE] and says(without(text, say.NATIVE), say.POST):
        return None  # "pre and post": the whole dynamic series
    if phases:
        return phases[0]
    if says(text, say.HEPATOBILIARY):
        return SeriesRole.MR_HBP
    if delay is not None and delay >= BEFORE_ARRIVAL:
        return SeriesRole.MR_ARTERIAL if delay <= ARTERIAL_UNTIL else SeriesRole.MR_PORTAL
    return None


def _named(volume: _Volume, agent: Agent) -> RoleDecision | None:
    """The decision that the name alone allows."""
    phase, delay = volume.named, volume.delay
    if phase is SeriesRole.MR_HBP and agent is Agent.EXTRACELLULAR:
        return RoleDecision(SeriesRole.OTHER, "called late, but the contrast agent does not enter hepatocytes")
    if phase is SeriesRole.MR_HBP and delay is not None and not says(volume.text, say.HEPATOBILIARY):
        if delay < HEPATOBILIARY_AFTER[agent]:
            return RoleDecision(
                SeriesRole.OTHER,
                f"{_minutes(delay)} after the injection by its name, too early for an agent {agent.value}",
            )
        return RoleDecision(phase, f"T1-weighted volume {_minutes(delay)} after the injection by its name")
    if phase is SeriesRole.OTHER:
        return RoleDecision(phase, "a transitional or equilibrium T1 phase by its description")
    if phase is None:
        return None
    return RoleDecision(phase, f"T1-weighted volume called {phase.value.removeprefix('mr-')} by its description")


# --- clock and order ---------------------------------------------------------------------------------------------


def _timed(volume: _Volume, known: Sequence[_Volume], injected: datetime | None, agent: Agent) -> RoleDecision:
    moment = volume.moment
    post = says(volume.text, say.POST)
    if injected is not None and moment.timed and moment.at is not None:
        decided = _by_delay(moment.at - injected, agent)
        alone = len(volume.stack.instances) == len(volume.stack.series.instances)
        if not (post and alone and decided.role is SeriesRole.MR_T1_NATIVE and not says(volume.text, say.NATIVE)):
            return decided
    ranked = _by_rank(volume, known, agent)
    if ranked is not None:
        return ranked
    given = post or has_contrast(volume.stack)
    late = says(volume.text, say.LATE)
    if agent is Agent.GADOXETATE and (late or _is_last_group(volume, known, given)):
        return RoleDecision(
            SeriesRole.MR_HBP, "the last or a late T1 volume with a hepatocyte-specific agent and no clock against it"
        )
    if late or post or (given and not _is_first_group(volume, known)):
        return RoleDecision(SeriesRole.OTHER, "T1-weighted volume after contrast, at a delay that nothing tells")
    return RoleDecision(SeriesRole.MR_T1_NATIVE, "T1-weighted volume; nothing says that contrast was given before it")


def _by_delay(delay: timedelta, agent: Agent) -> RoleDecision:
    seconds = delay.total_seconds()
    if delay < BEFORE_ARRIVAL:
        return RoleDecision(SeriesRole.MR_T1_NATIVE, f"T1-weighted volume {-seconds:.0f} s before the contrast arrives")
    if delay <= ARTERIAL_UNTIL:
        return RoleDecision(SeriesRole.MR_ARTERIAL, f"T1-weighted volume {seconds:.0f} s after the injection")
    if delay < PORTAL_UNTIL:
        return RoleDecision(SeriesRole.MR_PORTAL, f"T1-weighted volume {seconds:.0f} s after the injection")
    if delay < HEPATOBILIARY_AFTER[agent]:
        return RoleDecision(
            SeriesRole.OTHER, f"T1-weighted volume {_minutes(delay)} after the injection: no phase of its own"
        )
    return RoleDecision(SeriesRole.MR_HBP, f"T1-weighted volume {_minutes(delay)} after the injection")


def _minutes(delay: timedelta) -> str:
    return f"{delay.total_seconds() / 60:.0f} min"


def _by_rank(volume: _Volume, known: Sequence[_Volume], agent: Agent) -> RoleDecision | None:
    """Phases of which only the order is known: those of one series under one clock, or all where there is no clock."""
    if not is_dynamic_kind(volume.stack):
        return None
    if volume.moment.at is None:
        if not is_enhanced([v.stack for v in known]):
            return None
        group = [v for v in known if v.named is None and kind_of(v.stack) == kind_of(volume.stack)]
        if len(group) < 4 or any(v.moment.at is not None for v in known):
            return None
        if agent is Agent.GADOXETATE and volume is group[-1]:
            return RoleDecision(SeriesRole.MR_HBP, "the last of the T1 volumes with a hepatocyte-specific agent")
        before = False
    elif not volume.moment.timed:
        group = [v for v in known if v.stack.series is volume.stack.series]
        before = any(_is_before(v, group[0]) for v in known)
    else:
        return None
    if len(group) not in RANKED and not (before and len(group) == 2):
        return RoleDecision(SeriesRole.OTHER, f"one of {len(group)} volumes of one series whose times are not told")
    rank = group.index(volume) + (1 if before else 0)
    role = (SeriesRole.MR_T1_NATIVE, SeriesRole.MR_ARTERIAL, SeriesRole.MR_PORTAL, SeriesRole.OTHER)[min(rank, 3)]
    return RoleDecision(
        role, f"volume {group.index(volume) + 1} of {len(group)} of a dynamic acquisition, by its order"
    )


def _is_before(volume: _Volume, first: _Volume) -> bool:
    """Whether a native volume precedes a dynamic series that therefore begins with the arterial phase."""
    if volume.stack.series is first.stack.series or volume.named not in (None, SeriesRole.MR_T1_NATIVE):
        return False
    return volume.moment.at is not None and first.moment.at is not None and volume.moment.at < first.moment.at


def _groups(known: Sequence[_Volume]) -> list[list[_Volume]]:
    """Volumes between two pauses belong together; all do where no clock is known."""
    groups: list[list[_Volume]] = []
    for volume in known:
        here, last = volume.moment.at, groups[-1][-1].moment.at if groups else None
        if not groups or (here is not None and last is not None and here - last > PAUSE):
            groups.append([])
        groups[-1].append(volume)
    return groups


def _is_last_group(volume: _Volume, known: Sequence[_Volume], given: bool) -> bool:
    """After the last pause; without any pause only one or two volumes for which an agent is stated (no native one)."""
    groups = _groups(known)
    if len(groups) > 1:
        return volume in groups[-1]
    if not given or any(v.named is not None for v in known):
        return given and volume is known[-1] and all(v.named in (None, SeriesRole.MR_T1_NATIVE) for v in known)
    kinds = {kind_of(v.stack) for v in known}
    return volume is known[-1] or (len(known) == len(kinds) and all(has_contrast(v.stack) for v in known))


def _is_first_group(volume: _Volume, known: Sequence[_Volume]) -> bool:
    """Whether the agent is stated for the whole examination (all carry it) and this belongs to its beginning."""
    everywhere = len(known) > 1 and all(has_contrast(v.stack) for v in known)
    groups = _groups(known)
    first = groups[0] if len(groups) > 1 else known[:1]
    return everywhere and volume in first
