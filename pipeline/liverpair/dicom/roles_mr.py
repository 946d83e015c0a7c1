"""Recognise MR sequences by their physics, diffusion and Dixon part, one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverpair.dicom import vocabulary as say
from liverpair.dicom.phases import T1Stack, contrast_phases
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import RoleDecision, SeriesRole
from liverpair.dicom.weighting import FLUID_ECHO_MS, Physics, echoes, is_balanced, physics_of, weighting
from liverpair.dicom.words import described, image_types, says, values_of

__all__ = ["b_value", "classify_mr"]

#: b below this weights perfusion, not diffusion: such an image shows lesions as a T2-weighted EPI does.
LEAST_B = 200.0
#: GE marks the encoding by adding 10⁹ (older releases 10⁶) to the b-value.
GE_OFFSET = 1_000_000
#: From so many echo times on a series measures decay (T2*, R2*, fat fraction) and weights nothing.
RELAXOMETRY_ECHOES = 3
DIFFUSION_MAPS = frozenset({"FA", "COLFA", "EXPADC", "EADC", "EXP", "TENSOR", "TENSOR_B0", "IVIM", "RA", "VR"})
#: Image Types of a measured (or calculated) diffusion-weighted image.
DIFFUSION_TYPES = frozenset({"DIFFUSION", "TRACEW", "DWI", "CALC_BVALUE"})
#: Image Types of parametric maps that no role serves.
MAP_TYPES = frozenset(
    {"T2_STAR", "R2_STAR", "T2_STAR_MAP", "R2_STAR_MAP", "T1 MAP", "T2 MAP", "T1_MAP", "T2_MAP", "R2 MAP", "FF",
     "FAT_FRACTION",
     "PDFF", "B0 MAP", "B1 MAP", "FIELD_MAP", "WATER_FRACTION", "SWI", "MRE", "STIFFNESS", "ELASTOGRAM"}
)  # fmt: skip
#: Dixon parts by Image Type.
DIXON_TYPES = {
    "opposed phase": frozenset({"OP", "OPP_PHASE", "OUT_PHASE", "OUTPHASE", "OPPOSED_PHASE", "OPP", "OUT_OF_PHASE"}),
    "in phase": frozenset({"IP", "IN_PHASE", "INPHASE", "IN"}),
    "fat": frozenset({"F", "FAT"}),
    "water": frozenset({"W", "WATER"}),
}
NOT_MAGNITUDE = frozenset(
    {
        "P",
        "PHASE",
        "PHASE MAP",
        "VELOCITY",
        "REAL",
        "IMAGINARY",
        "R",
        "I",
        "R_SE",
        "R_FFE",
        "I_FFE",
        "R_IR",
        "P_SE",
        "P_FFE",
    }
)
MAGNITUDE = frozenset({"M", "MAGNITUDE", "M_FFE", "M_SE", "M_IR"})


def classify_mr(stacks: Sequence[Stack]) -> tuple[RoleDecision, ...]:
    """Roles of the MR stacks of one study; T1 volumes get their contrast phase from all of them together."""
    decisions: list[RoleDecision | None] = []
    volumes: list[T1Stack] = []
    for index, stack in enumerate(stacks):
        decision = _single(stack)
        decisions.append(decision)
        if decision is None:
            volumes.append(T1Stack(index, stack))
    for volume, phase in zip(volumes, contrast_phases(volumes), strict=True):
        decisions[volume.index] = phase
    return tuple(d for d in decisions if d is not None)


def b_value(stack: Stack) -> float | None:
    """The stack's b-value in s/mm²: the attribute, else the "b800" of sequence name, description or comment."""
    stated = [float(v) % GE_OFFSET for v in values_of(stack, "DiffusionBValue") if _is_number(v)]
    if len(stated) == 1:
        return stated[0]
    if stated:
        return max(stated)
    if "DiffusionBValue" in stack.key and any(i.get("DiffusionBValue") for i in stack.series.instances):
        return 0.0  # Philips and others write no b-value on the reference image of a series that has them
    for keyword in ("SequenceName", "SeriesDescription", "ImageComments"):
        written = _written_b_values(str(stack.first(keyword, "")))
        if len(written) == 1:
            return written[0]
        rank = stack.key.get("InstanceOrder")
        if len(written) > 1 and isinstance(rank, int) and _stacks_alike(stack) == len(written):
            return written[rank - 1]  # nothing but their order tells the b-values apart, and the name lists them
    return None


#: "b800", "b=50", "DWIb800", and a list ("b50 400 800"), whose further numbers are the second group.
_B_VALUES = re.compile(r"(?:(?<![a-z0-9])|(?<=dwi))b *=? *(\d{1,4})(?!\d)((?: *[ ,/+-] *\d{2,4}(?!\d))*)")


def _written_b_values(text: str) -> list[float]:
    """The b-values that a name lists, in its order."""
    found = []
    for first, further in _B_VALUES.findall(text.lower().replace("_", " ")):
        found += [float(first), *(float(n) for n in re.findall(r"\d+", further))]
    return found


def _stacks_alike(stack: Stack) -> int:
    """How many stacks as large as this one its series holds."""
    return round(len(stack.series.instances) / max(1, len(stack.instances)))


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _single(stack: Stack) -> RoleDecision | None:
    """The role of everything but a T1-weighted volume, which is None here and waits for its phase."""
    types = image_types(stack)
    text = described(stack, "SeriesDescription", "ProtocolName")
    own = described(stack, "SeriesDescription")
    own = own if own.strip() else text
    physics = physics_of(stack)
    diffusion = _diffusion(stack, types, own, text, physics)
    if diffusion is not None:
        return diffusion
    unused = _unused(types, own, physics)
    if unused:
        return RoleDecision(SeriesRole.OTHER, unused)
    sequence = described(stack, "SequenceName", "PulseSequenceName")
    weight = weighting(physics, own) or weighting(physics, text) or weighting(physics, sequence)
    if weight == "t2":
        return RoleDecision(
            SeriesRole.MR_T2,
            f"spin echo with a late echo (TE {physics.echo or '?'}, TR {physics.repetition or '?'} ms)",
        )
    if weight != "t1":
        return RoleDecision(
            SeriesRole.OTHER, f"neither T1 nor T2 by timing (TE {physics.echo}, TR {physics.repetition} ms) or words"
        )
    part = _dixon_part(types, own)
    if part not in ("", "water"):
        return RoleDecision(SeriesRole.OTHER, f"the {part} image of a Dixon or dual-echo acquisition")
    if part == "" and physics.gradient and echoes(stack) >= RELAXOMETRY_ECHOES:
        return RoleDecision(SeriesRole.OTHER, "one of many echoes that measure decay or the fat fraction")
    if part == "" and physics.gradient and echoes(stack) == 2:
        return RoleDecision(SeriesRole.OTHER, "one echo of a dual-echo (in and opposed phase) acquisition")
    return None


def _unused(types: frozenset[str], own: str, physics: Physics) -> str:
    """Why an image serves no role whatever its weighting; "" where nothing speaks against it."""
    if says(own, say.HELPER) or types & MAP_TYPES:
        return "a calibration, map or flow series by its description or Image Type"
    if types & NOT_MAGNITUDE and not types & MAGNITUDE and not _dixon_part(types, own):
        return "a phase, real or imaginary image by its Image Type"
    if says(own, say.FLUID) or (physics.echo or 0) > FLUID_ECHO_MS:
        return "MR cholangiography: only fluid is left at this echo time"
    if says(own, say.BALANCED) or is_balanced(physics):
        return "a balanced steady-state sequence, neither T1 nor T2"
    return ""


def _diffusion(stack: Stack, types: frozenset[str], own: str, text: str, physics: Physics) -> RoleDecision | None:
    b = b_value(stack)
    if types & DIFFUSION_MAPS or says(own, say.EXPONENTIAL) or (b is None and says(own, say.DIFFUSION_MAP)):
        return RoleDecision(SeriesRole.DERIVED, "a diffusion map other than ADC")
    units = " ".join(str(v) for v in values_of(stack, "RescaleType")).lower().replace(" ", "")
    measured = "DiffusionBValue" in stack.key or bool(types & {"TRACEW", "DWI", "CALC_BVALUE"})
    if any("ADC" in t for t in types) or "mm2/s" in units or (says(own, say.ADC) and not measured):
        return RoleDecision(SeriesRole.MR_ADC, "an ADC map by its Image Type, description or unit")
    if physics.gradient and not physics.planar:
        return None  # a b-value of 0 or a name copied from the protocol: gradient echoes measure no diffusion here
    contrast = physics.contrast == "DIFFUSION"
    weighted = bool(types & DIFFUSION_TYPES) or contrast or (b is not None and (physics.planar or b >= LEAST_B))
    named = says(own, say.DIFFUSION) or (physics.planar and says(text, say.DIFFUSION))
    if not weighted and not named:
        return None
    if b is not None and b < LEAST_B:
        return RoleDecision(SeriesRole.OTHER, f"the b {b:g} image of a diffusion series: hardly diffusion-weighted")
    return RoleDecision(SeriesRole.MR_DWI, f"diffusion-weighted, b {f'{b:g} s/mm²' if b is not None else 'not stated'}")


def _dixon_part(types: frozenset[str], text: str) -> str:
    """Which image of a Dixon acquisition this is; "" where it is none or not said."""
    for part, known in DIXON_TYPES.items():
        if types & known:
            return part
    if says(text, say.DIXON):
        for part, vocabulary in (
            ("opposed phase", say.OPPOSED_PHASE), ("in phase", say.IN_PHASE), ("water", say.WATER), ("fat", say.FAT),
        ):  # fmt: skip
            if says(text, vocabulary):
                return part
    return ""
