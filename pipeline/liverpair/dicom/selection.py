"""Choose, within an examination, the stack that serves each role best; every choice has a stated order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from liverpair.dicom import vocabulary as say
from liverpair.dicom.coverage import bounding_box, covers_liver, is_axial
from liverpair.dicom.phases import acquired_at
from liverpair.dicom.records import Stack
from liverpair.dicom.roles import RoleDecision, SeriesRole
from liverpair.dicom.roles_mr import b_value
from liverpair.dicom.tracer import TracerDecision
from liverpair.dicom.words import described, has_word, image_types, number, says, values_of

__all__ = ["MR_ROLES", "Classified", "choose_ct", "choose_mr", "choose_pet"]

#: MR roles a pair may hold; a liver MRI needs at least one of them besides the ADC map.
MR_ROLES = (
    SeriesRole.MR_HBP, SeriesRole.MR_PORTAL, SeriesRole.MR_ARTERIAL, SeriesRole.MR_T1_NATIVE,
    SeriesRole.MR_T2, SeriesRole.MR_DWI, SeriesRole.MR_ADC,
)  # fmt: skip
#: b-value at which liver metastases are read, s/mm² (spec issue 2: DWI b800).
PREFERRED_B = 800.0
#: A CT of the session shows at least this share of the PET's (or its own) height.
LEAST_OVERLAP = 0.5
#: PET and its CT begin within this of each other.
SESSION_HOURS = 6.0
#: Siemens kernels (B30f, I30f, Br40d) are sharp from 50 on, Canon's (FC13) from 30 on (bone FC30, lung FC50).
LEAST_SHARP = 50
LEAST_SHARP_FC = 30
SHARP_KERNELS = ("LUNG", "BONE", "BONEPLUS", "EDGE", "DETAIL", "YB", "YC", "YD", "L", "D")


@dataclass(frozen=True, slots=True)
class Classified:
    """A stack with everything selection asks of it; ``tracer`` only for PET."""

    stack: Stack
    role: SeriesRole
    reason: str
    covers: bool
    coverage_reason: str
    tracer: TracerDecision | None

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return self.stack.series.series_uid


def classified(stack: Stack, decision: RoleDecision, tracer: TracerDecision | None) -> Classified:
    """Add coverage to a role decision."""
    coverage = covers_liver(stack)
    return Classified(stack, decision.role, decision.reason, coverage.covers, coverage.reason, tracer)


def _last(stack: Stack) -> tuple[Any, ...]:
    """What decides between equals: series number, UID, stack key; the same in every run."""
    return number(stack, "SeriesNumber") or 0.0, stack.series.series_uid, str(sorted(stack.key.items(), key=str))


def _best(items: Iterable[Classified], rank: Callable[[Classified], tuple[Any, ...]]) -> Classified | None:
    ordered = sorted(items, key=lambda c: (*rank(c), *_last(c.stack)))
    return ordered[0] if ordered else None


def _is_derived(stack: Stack) -> bool:
    types = image_types(stack)
    return "DERIVED" in types or "SECONDARY" in types


def _height_mm(stack: Stack) -> float:
    box = bounding_box(stack)
    return float(box.size[2]) if box is not None else 0.0


def choose_pet(candidates: Sequence[Classified]) -> Classified | None:
    """The AC PET of an examination: axial, original, quantitative units, the highest field of view, the first in time.

    The first: a delayed second pass has another uptake time than the protocol's.
    """

    def rank(c: Classified) -> tuple[Any, ...]:
        units = str(c.stack.first("Units", "")).upper()
        quantitative = units in ("BQML", "GML", "CNTS", "CM2ML")
        height = -round(_height_mm(c.stack) / 50)  # beds differ by centimetres; less is no reason to prefer one
        moment = acquired_at(c.stack) or datetime.max
        return not is_axial(c.stack), not quantitative, _is_derived(c.stack), height, moment

    return _best(candidates, rank)


def choose_ct(pet: Stack, candidates: Sequence[Classified]) -> Classified | None:
    """The CT of the PET's session: same frame of reference, else overlapping in space; soft kernel, most coverage."""
    frame = pet.first("FrameOfReferenceUID")
    started = acquired_at(pet)

    def usable(c: Classified) -> bool:
        own = c.stack.first("FrameOfReferenceUID")
        same_study = c.stack.series.study_uid == pet.series.study_uid
        near = _hours_apart(started, acquired_at(c.stack)) <= SESSION_HOURS
        related = (frame is not None and own == frame) or same_study or near
        return related and is_axial(c.stack) and _overlap(pet, c.stack) >= LEAST_OVERLAP

    def rank(c: Classified) -> tuple[Any, ...]:
        own = c.stack.first("FrameOfReferenceUID")
        same_study = c.stack.series.study_uid == pet.series.study_uid
        covered = -round(_overlap(pet, c.stack, of_pet=True), 1)
        hours = round(_hours_apart(started, acquired_at(c.stack)), 2)
        return own != frame, not same_study, _is_sharp(c.stack), covered, _is_derived(c.stack), hours

    return _best([c for c in candidates if c.role is SeriesRole.CT and usable(c)], rank)


def _hours_apart(a: datetime | None, b: datetime | None) -> float:
    return abs((a - b).total_seconds()) / 3600 if a and b else float("inf")


def _overlap(pet: Stack, ct: Stack, of_pet: bool = False) -> float:
    """Shared height over the smaller one's (or the PET's); 0 where the stacks lie beside each other."""
    first, second = bounding_box(pet), bounding_box(ct)
    if first is None or second is None:
        return 0.0
    shared = [min(first.high[k], second.high[k]) - max(first.low[k], second.low[k]) for k in range(3)]
    if min(shared) <= 0:
        return 0.0
    height = first.size[2] if of_pet else min(first.size[2], second.size[2])
    return float(shared[2] / height) if height > 0 else 0.0


def _is_sharp(stack: Stack) -> bool:
    """A lung or bone kernel: its noise hides the liver."""
    kernel = next((str(v).strip().upper() for v in values_of(stack, "ConvolutionKernel")), "")
    numbered = re.match(r"(FC|[BIJHUDT][A-Z]?)(\d{1,2})", kernel)
    by_number = numbered is not None and int(numbered.group(2)) >= (
        LEAST_SHARP_FC if numbered.group(1) == "FC" else LEAST_SHARP
    )
    return (
        kernel in SHARP_KERNELS
        or by_number
        or "SHARP" in kernel
        or says(described(stack, "SeriesDescription"), say.SHARP)
    )


def choose_mr(items: Sequence[Classified]) -> Mapping[str, Stack]:
    """The best liver-covering stack of every MR role in an examination, keyed by role value."""
    chosen = {}
    for role in MR_ROLES:
        rank = {SeriesRole.MR_DWI: _rank_dwi, SeriesRole.MR_T2: _rank_t2}.get(role, _rank_t1)
        best = _best([c for c in items if c.role is role and c.covers], rank)
        if best is not None:
            chosen[role.value] = best.stack
    return chosen


def _rank_t1(c: Classified) -> tuple[Any, ...]:
    """Axial, thin slices, the latest: the hepatobiliary phase grows, a repeated phase repairs the first."""
    thickness = number(c.stack, "SpacingBetweenSlices") or number(c.stack, "SliceThickness") or 99.0
    moment = acquired_at(c.stack)
    return (
        not is_axial(c.stack),
        _is_reformat(c.stack),
        round(thickness),
        -((moment - datetime.min).total_seconds() if moment else 0.0),
    )


def _rank_t2(c: Classified) -> tuple[Any, ...]:
    """Axial, more slices (a whole liver), fat-suppressed first: lesions stand out there."""
    options = str(c.stack.first("ScanOptions", "")).upper()
    text = described(c.stack, "SeriesDescription", "ProtocolName")
    fat_suppressed = "FS" in options or has_word(text, "fs |fs$|fat ?sat|spair|spir|stir|tirm|fatsat")
    height = -round(_height_mm(c.stack) / 50)
    return not is_axial(c.stack), _is_reformat(c.stack), height, not fat_suppressed


def _rank_dwi(c: Classified) -> tuple[Any, ...]:
    """Axial, measured rather than calculated, the b-value nearest to 800 s/mm², trace before single directions."""
    b = b_value(c.stack)
    directional = "DiffusionGradientOrientation" in c.stack.key
    distance = abs(b - PREFERRED_B) if b is not None else PREFERRED_B
    order = c.stack.key.get("InstanceOrder", 0)  # b-values are acquired in ascending order: the last is the highest
    return not is_axial(c.stack), _is_reformat(c.stack), distance, directional, -order


def _is_reformat(stack: Stack) -> bool:
    """Whether another image was made into this one: calculated b-values, reformations, filtered copies (SECONDARY)."""
    text = described(stack, "SeriesDescription")
    made = {"MPR", "REFORMATTED", "CALC_BVALUE", "SECONDARY"}
    return bool(image_types(stack) & made) or has_word(text, "mpr |calc|comp ?b")
