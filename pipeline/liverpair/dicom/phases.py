"""Give the T1-weighted volumes of one examination their contrast phase from words, agent and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from liverpair.dicom.dates import parse_date, parse_time
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import RoleDecision, SeriesRole
from liverpair.dicom.words import described, has_word, values_of, words

__all__ = ["T1Stack", "acquired_at", "contrast_phases"]

#: Hepatocytes take gadoxetate up visibly from 10 min; protocols wait 10–20 min (ESGAR consensus 2016).
HEPATOBILIARY_AFTER = timedelta(minutes=10)
#: A dynamic series ends its arterial phase by 45 s and its portal-venous phase by 2 min after the injection.
ARTERIAL_UNTIL = timedelta(seconds=45)
PORTAL_UNTIL = timedelta(seconds=120)
#: Usual delays of a labelled phase, from which the injection is inferred where its time is absent.
ARTERIAL_DELAY = timedelta(seconds=25)
PORTAL_DELAY = timedelta(seconds=70)
#: Within this after the first repeat, three or more volumes are a dynamic series.
DYNAMIC_GAP = timedelta(minutes=6)

LIVER_AGENTS = "gadoxet|primovist|eovist|eob|gd eob|gadobenat|multihance|bopta|gd bopta|mangafod|teslascan"
OTHER_AGENTS = (
    "gadobutr|gadovist|gadavist|dotarem|gadoter|clariscan|dotagraf|cyclolux|prohance|gadotarid|magnevist|"
    "gadopent|omniscan|"
    "gadodiam|gadopic|vueway|elucirem|optimark|artirem"
)
HEPATOBILIARY_WORDS = (
    "hepato ?spe[cz]|post ?(?:10|15|20|25|30)(?!\\d)|"
    "hbp|hepatobil|hepato ?bil|hepatobiliar|hepatobiliaire|hep$|hep |hepatocyt|hepatozyt|lebersp|hb ?phase|"
    "hb |biliary|biliar|"
    "spatphase|spate? |spaet|spat$|late hep|phase tardive|tardi[fv]e?|primo ?spat"
)
LATE_WORDS = "late|delay|verzogert|retard|post late|del "
MINUTES = r"(?:1\d|2\d|30|40|45|60) ?(?:min|mn|m |')"
EARLY_MINUTES = r"[1-9] ?(?:min|mn)"
POST_WORDS = "post|nach ?km|km |km$|\\+ ?c|c\\+|\\+ ?gd|gd |gado|gad |apres inj|inj |iv$|mit km|with contrast|kontrast"
ARTERIAL_WORDS = "(?:15|18|20|25|30|35) ?s(?:ec|ek)? |art|ha |hap |lap |eap |early art|arteri|bolus phase"
PORTAL_WORDS = "port|pv |pvp |pven|ven |ven$|venos|venous|veino|veineu|pvphase|60 ?s|70 ?s|65 ?s|75 ?s"
TRANSITIONAL_WORDS = "equi|aequi|transit|late ven|lv phase|spatven|interstit|gleichgewicht"
NATIVE_WORDS = (
    "nativ|native|pre |pre$|precontrast|pre ?km|pre ?gd|pre ?contrast|vor km|vor ?kontrast|ohne km|"
    "ohne kontrast|sans|"
    "unenhanced|plain|non ?contrast|non ?enh|noncon|basal|w o |without|avant|mask"
)


@dataclass(frozen=True, slots=True)
class T1Stack:
    """A T1-weighted volume and its place in the caller's list."""

    index: int
    stack: Stack


def acquired_at(stack: Stack) -> datetime | None:
    """When the stack's first frame was acquired (Acquisition Time, else Series or Content Time)."""
    for day, clock in (
        ("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"), ("ContentDate", "ContentTime"),
    ):  # fmt: skip
        date_ = parse_date(stack.first(day)) or parse_date(stack.first("StudyDate"))
        times = [t for t in map(parse_time, values_of(stack, clock)) if t is not None]
        if times:
            return datetime.combine(date_ or datetime(1900, 1, 1).date(), min(times))
    return None


def _order(volume: T1Stack) -> tuple[datetime, tuple[float, ...]]:
    """Time, then what orders phases of one series: temporal position, acquisition and instance number."""
    stack = volume.stack
    keys = []
    for keyword in (
        "TemporalPositionIdentifier",
        "InstanceOrder",
        "TriggerTime",
        "AcquisitionNumber",
        "SeriesNumber",
        "InstanceNumber",
    ):
        value = stack.key.get(keyword, stack.first(keyword))
        try:
            keys.append(float(value) if value is not None else 0.0)
        except (TypeError, ValueError):
            keys.append(0.0)
    return acquired_at(stack) or datetime.max, tuple(keys)


def _named_phase(text: str) -> SeriesRole | None:
    """The phase that words alone tell; minutes of 10 and more mean the hepatobiliary phase."""
    if has_word(text, HEPATOBILIARY_WORDS) or has_word(text, MINUTES):
        return SeriesRole.MR_HBP
    if has_word(text, TRANSITIONAL_WORDS) or has_word(text, EARLY_MINUTES):
        return SeriesRole.OTHER
    if has_word(text, NATIVE_WORDS):
        return SeriesRole.MR_T1_NATIVE
    portal, arterial = has_word(text, PORTAL_WORDS), has_word(text, ARTERIAL_WORDS)
    if portal != arterial:
        return SeriesRole.MR_PORTAL if portal else SeriesRole.MR_ARTERIAL
    return None


def _injected_at(ordered: Sequence[T1Stack], named: Sequence[SeriesRole | None]) -> datetime | None:
    """When the contrast was given: stated, or a usual delay before the first labelled phase."""
    for volume in ordered:
        clock = parse_time(volume.stack.first("ContrastBolusStartTime"))
        moment = acquired_at(volume.stack)
        if clock is not None and moment is not None:
            injected = datetime.combine(moment.date(), clock)
            # an injection "later" than every volume by most of a day happened before midnight
            return injected - timedelta(days=1) if injected - moment > timedelta(hours=12) else injected
    for role, delay in ((SeriesRole.MR_ARTERIAL, ARTERIAL_DELAY), (SeriesRole.MR_PORTAL, PORTAL_DELAY)):
        for volume, phase in zip(ordered, named, strict=True):
            moment = acquired_at(volume.stack)
            if phase is role and moment is not None:
                return moment - delay
    return None


def _agent(ordered: Sequence[T1Stack]) -> str:
    """ "liver", "other" or "" from contrast agent attributes and the words of study and protocol."""
    text = "".join(
        described(v.stack, "ContrastBolusAgent", "ProtocolName", "SeriesDescription", "StudyDescription")
        + words(str(v.stack.first("ContrastBolusAgentSequence") or ""))
        for v in ordered
    )
    if has_word(text, LIVER_AGENTS):
        return "liver"
    return "other" if has_word(text, OTHER_AGENTS) else ""


def contrast_phases(volumes: Sequence[T1Stack]) -> list[RoleDecision]:
    """The role of each T1-weighted volume of one examination, in the order given.

    Words of its own description decide; then the time since the injection; then the order within the examination.
    """
    ordered = sorted(volumes, key=_order)
    named = [_named_phase(_own_text(v.stack)) for v in ordered]
    agent = _agent(ordered)
    injected = _injected_at(ordered, named)
    if injected is None:
        injected = _injected_by_order(ordered, named)
    decided: dict[int, RoleDecision] = {}
    for volume, phase in zip(ordered, named, strict=True):
        decided[volume.index] = _named(phase, agent) if phase is not None else _timed(volume, ordered, injected, agent)
    return [decided[v.index] for v in volumes]


def _own_text(stack: Stack) -> str:
    """The words of this very series: its description, else its protocol."""
    own = described(stack, "SeriesDescription", "ImageComments")
    return own if own.strip() else described(stack, "ProtocolName")


def _named(phase: SeriesRole, agent: str) -> RoleDecision:
    if phase is SeriesRole.MR_HBP and agent == "other":
        return RoleDecision(SeriesRole.OTHER, "called late, but the contrast agent does not enter hepatocytes")
    if phase is SeriesRole.OTHER:
        return RoleDecision(phase, "a transitional or equilibrium T1 phase by its description")
    return RoleDecision(phase, f"T1-weighted volume called {phase.value.removeprefix('mr-')} by its description")


def _timed(volume: T1Stack, ordered: Sequence[T1Stack], injected: datetime | None, agent: str) -> RoleDecision:
    moment = acquired_at(volume.stack)
    if injected is not None and moment is not None:
        return _by_delay(moment - injected, agent)
    text = _own_text(volume.stack)
    contrast = _has_contrast(volume.stack) or has_word(text, POST_WORDS)
    late = has_word(text, LATE_WORDS)
    if agent == "liver" and (late or (contrast and volume is ordered[-1] and not _is_multiphase(ordered))):
        return RoleDecision(
            SeriesRole.MR_HBP, "the last or a late T1 volume with a hepatocyte-specific agent and no clock against it"
        )
    if late or (contrast and not _first_of_several(volume, ordered)):
        return RoleDecision(SeriesRole.OTHER, "T1-weighted volume after contrast, at a delay that nothing tells")
    return RoleDecision(SeriesRole.MR_T1_NATIVE, "T1-weighted volume; nothing says that contrast was given before it")


def _has_contrast(stack: Stack) -> bool:
    return described(stack, "ContrastBolusAgent").strip() not in ("", "no", "none", "n", "ohne", "sans")


def _first_of_several(volume: T1Stack, ordered: Sequence[T1Stack]) -> bool:
    """Whether the agent is stated for the whole examination (all volumes carry it) and this is its first volume."""
    return len(ordered) > 1 and volume is ordered[0] and all(_has_contrast(v.stack) for v in ordered)


def _by_delay(delay: timedelta, agent: str) -> RoleDecision:
    seconds = delay.total_seconds()
    if seconds < 5:
        return RoleDecision(SeriesRole.MR_T1_NATIVE, f"T1-weighted volume {-seconds:.0f} s before the contrast arrives")
    if delay <= ARTERIAL_UNTIL:
        return RoleDecision(SeriesRole.MR_ARTERIAL, f"T1-weighted volume {seconds:.0f} s after the injection")
    if delay <= PORTAL_UNTIL:
        return RoleDecision(SeriesRole.MR_PORTAL, f"T1-weighted volume {seconds:.0f} s after the injection")
    if delay < HEPATOBILIARY_AFTER or agent == "other":
        return RoleDecision(
            SeriesRole.OTHER, f"T1-weighted volume {seconds / 60:.0f} min after the injection: no phase of its own"
        )
    return RoleDecision(SeriesRole.MR_HBP, f"T1-weighted volume {seconds / 60:.0f} min after the injection")


def _is_multiphase(ordered: Sequence[T1Stack]) -> bool:
    """Whether three or more volumes of one kind were acquired in quick succession."""
    times = [t for t in (acquired_at(v.stack) for v in ordered) if t is not None]
    return any(later - earlier <= DYNAMIC_GAP for earlier, later in zip(times, times[2:], strict=False))


def _injected_by_order(ordered: Sequence[T1Stack], named: Sequence[SeriesRole | None]) -> datetime | None:
    """A dynamic series without any time of injection: its first volume is native, the second arterial.

    Only where at least three volumes follow each other quickly; otherwise nothing is inferred.
    """
    if any(phase in (SeriesRole.MR_ARTERIAL, SeriesRole.MR_PORTAL) for phase in named):
        return None  # a labelled phase without a clock says nothing about the others
    times = [acquired_at(v.stack) for v in ordered]
    for index in range(len(times) - 2):
        first, second, third = times[index : index + 3]
        if first is None or second is None or third is None:
            continue
        if timedelta(0) < third - second and third - first <= DYNAMIC_GAP and third > first:
            return second - ARTERIAL_DELAY
    return None
