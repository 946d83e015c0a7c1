"""Turn a study's classified stacks into the PET and MRI examinations it holds, or say why it holds none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from liverpair.dicom.dates import parse_date
from liverpair.dicom.phases import acquired_at
from liverpair.dicom.records import Stack
from liverpair.dicom.roles import SeriesRole
from liverpair.dicom.selection import MR_ROLES, Classified, choose_ct, choose_mr, choose_pet

__all__ = [
    "MrExam",
    "NoExam",
    "PetExam",
    "Study",
    "acquisition_print",
    "as_mr",
    "as_pet",
    "day_of",
    "modality_of",
    "mr_stacks",
]

#: Dates that systems write where none is known: zero dates of DICOM libraries, SQL, Excel, Unix, VMS.
PLACEHOLDER_DAYS = frozenset(
    date(*ymd)
    for ymd in ((1, 1, 1), (1753, 1, 1), (1800, 1, 1), (1858, 11, 17), (1899, 12, 30), (1899, 12, 31), (1900, 1, 1),
                (1901, 1, 1), (1970, 1, 1), (9999, 12, 31))
)  # fmt: skip
#: Where the day of an examination is written, the most official first.
DAY_KEYWORDS = ("StudyDate", "AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "ContentDate")
#: Days between Study Date and Acquisition Date that midnight explains.
MIDNIGHT_DAYS = 1
#: Places agree when they differ by less than rounding in a header, in mm.
PLACE_DECIMALS = 1


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study of a known patient ("" where nobody can be named) with its classified stacks."""

    patient: str
    uid: str
    items: tuple[Classified, ...]

    def with_role(self, *roles: SeriesRole) -> list[Classified]:
        """The stacks of these roles."""
        return [c for c in self.items if c.role in roles]

    @property
    def modalities(self) -> set[str]:
        """The modalities of its series, upper-case."""
        return {modality_of(c.stack) for c in self.items}

    @property
    def sex(self) -> str:
        """Patient's Sex where the study states one (M or F), else ""."""
        found = {str(c.stack.first("PatientSex", "")).strip().upper() for c in self.items} & {"M", "F"}
        return found.pop() if len(found) == 1 else ""


@dataclass(frozen=True, slots=True)
class NoExam:
    """Why a study is no examination of the kind asked for: reason code and sentence."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class PetExam:
    """An SSR-PET with the stack that is used and the CT of its session."""

    study: Study
    day: date
    chosen: Classified
    ct: Classified | None


@dataclass(frozen=True, slots=True, eq=False)
class MrExam:
    """A liver MRI: its stacks by role value; ``parts`` are further studies of the same session that serve in it."""

    study: Study
    day: date
    stacks: Mapping[str, Stack]
    parts: tuple[Study, ...] = ()


def modality_of(stack: Stack) -> str:
    """The stack's modality, upper-case."""
    return str(stack.first("Modality", "")).strip().upper()


def _written_days(stacks: Iterable[Stack], keyword: str) -> list[date]:
    days = (parse_date(str(stack.first(keyword, ""))[:8]) for stack in stacks)
    return [day for day in days if day is not None]


def day_of(study: Study, chosen: Iterable[Stack]) -> date | NoExam:
    """Study Date of the chosen images; without a believable one their Acquisition, Series or Content Date.

    Study Dates days apart under one Study Instance UID are several studies that an export has run together: refused.

    Placeholders (19000101 and the like) are no dates; neither are those of a study that says that its dates were
    removed (Longitudinal Temporal Information Modified, PS3.15 E.3.6). Dates shifted by de-identification, also into
    the future, keep their intervals and are used.
    """
    stacks = list(chosen)
    stated = [day for day in _written_days(stacks, "StudyDate") if day not in PLACEHOLDER_DAYS]
    if stated and (max(stated) - min(stated)).days > MIDNIGHT_DAYS:
        apart = (max(stated) - min(stated)).days
        return NoExam("study_date_conflict", f"one Study Instance UID holds images {apart} days apart: several studies")
    if any(str(s.first("LongitudinalTemporalInformationModified", "")).upper() == "REMOVED" for s in stacks):
        return NoExam(
            "missing_date", "the header says that dates were removed by de-identification; nothing to pair by"
        )
    written = [day for keyword in DAY_KEYWORDS for day in sorted(_written_days(stacks, keyword))]
    written += sorted(_written_days((c.stack for c in study.items), "StudyDate"))
    believable = [day for day in written if day not in PLACEHOLDER_DAYS]
    if believable:
        return believable[0]
    if written:
        return NoExam(
            "implausible_date", f"the only date is the placeholder {written[0].isoformat()}; nothing to pair by"
        )
    return NoExam("missing_date", "no study, acquisition, series or content date; nothing to pair by")


def dates_disagree(stacks: Iterable[Stack]) -> bool:
    """Whether Study Date and Acquisition Date differ by more than midnight explains."""
    for stack in stacks:
        study, acquired = _written_days([stack], "StudyDate"), _written_days([stack], "AcquisitionDate")
        if study and acquired and abs((study[0] - acquired[0]).days) > MIDNIGHT_DAYS:
            return True
    return False


def acquisition_print(stack: Stack) -> tuple[str, ...]:
    """What two deliveries of one acquisition share whatever their UIDs: its moment, its frames' places and number.

    Also the injected activity for PET. Another acquisition lies elsewhere or was made at another time.
    """
    moment: datetime | str | None = acquired_at(stack) or stack.first("StudyDate")
    injections = stack.first("RadiopharmaceuticalInformationSequence")
    dose = injections[0].get("RadionuclideTotalDose") if isinstance(injections, list) and injections else None
    places = sorted(_place(instance.get("ImagePositionPatient")) for instance in stack.instances)
    kind = str(sorted((k, str(v)) for k, v in stack.key.items() if k in ("DiffusionBValue", "EchoTime", "ImageType")))
    return (
        modality_of(stack),
        str(moment),
        str(len(stack.instances)),
        str(places[:1]),
        str(places[-1:]),
        str(dose),
        kind,
    )


def _place(position: object) -> tuple[float, ...]:
    if not isinstance(position, Sequence) or isinstance(position, str):
        return ()
    return tuple(round(float(x), PLACE_DECIMALS) for x in position)


def as_pet(study: Study, siblings: Sequence[Study]) -> PetExam | NoExam:
    """The study's SSR-PET, with the CT of its session from the study itself or a sibling study."""
    corrected = study.with_role(SeriesRole.PET_AC)
    any_pet = study.with_role(SeriesRole.PET_AC, SeriesRole.PET_NAC) or [c for c in study.items if c.tracer is not None]
    tracers = {c.tracer.name: c.tracer for c in any_pet if c.tracer is not None}
    ssr = [c for c in corrected if c.tracer is not None and c.tracer.is_ssr]
    if not any(t.is_ssr for t in tracers.values()):
        unknown = [t for t in tracers.values() if t.name == "unknown"]
        reason = "tracer_unknown" if unknown or not tracers else "not_ssr_tracer"
        detail = "; ".join(f"{t.name}: {t.reason}" for t in tracers.values()) or "no tracer in any header"
        return NoExam(reason, detail)
    if not ssr:
        why = sorted({c.reason for c in any_pet if c.tracer and c.tracer.is_ssr})
        return NoExam("no_ac_pet", f"no attenuation-corrected SSR-PET volume: {'; '.join(why)}")
    covering = [c for c in ssr if c.covers]
    if not covering:
        return NoExam("pet_without_liver", "; ".join(sorted({c.coverage_reason for c in ssr})))
    together = day_of(study, [c.stack for c in covering])
    chosen = choose_pet(covering)
    assert chosen is not None  # covering is not empty
    day = together if isinstance(together, NoExam) else day_of(study, [chosen.stack])
    if isinstance(day, NoExam):
        return day
    return PetExam(study, day, chosen, choose_ct(chosen.stack, _session_cts(study, siblings, day)))


def _session_cts(study: Study, siblings: Sequence[Study], day: date) -> list[Classified]:
    """CTs of the study, and of the patient's other studies of the same or a neighbouring day (split studies)."""
    found = list(study.with_role(SeriesRole.CT))
    for other in siblings:
        if other.uid == study.uid:
            continue
        for candidate in other.with_role(SeriesRole.CT):
            own = day_of(other, [candidate.stack])
            if isinstance(own, date) and abs((own - day).days) <= MIDNIGHT_DAYS:
                found.append(candidate)
    return found


def mr_stacks(study: Study) -> Mapping[str, Stack]:
    """The liver MRI's stacks by role value; empty where the study shows no liver on MRI."""
    return choose_mr(study.items)


def as_mr(study: Study) -> MrExam | NoExam:
    """The study's liver MRI: at least one T1, T2 or diffusion-weighted volume of the liver (not just an ADC map)."""
    stacks = mr_stacks(study)
    if not set(stacks) - {SeriesRole.MR_ADC.value}:
        wanted = study.with_role(*MR_ROLES)
        why = sorted({c.coverage_reason for c in wanted if not c.covers}) or ["no T1, T2 or diffusion-weighted volume"]
        return NoExam("not_liver_mr", "; ".join(why))
    together = day_of(study, [c.stack for c in study.with_role(*MR_ROLES) if c.covers])
    day = together if isinstance(together, NoExam) else day_of(study, stacks.values())
    return day if isinstance(day, NoExam) else MrExam(study, day, stacks)
