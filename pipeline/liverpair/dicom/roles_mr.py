"""Recognise MR sequences by their physics and Dixon part; words help where the numbers are missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from liverpair.dicom.phases import T1Stack, contrast_phases
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import RoleDecision, SeriesRole
from liverpair.dicom.words import described, has_word, image_types, number, values_of

__all__ = ["b_value", "classify_mr"]

#: b below this weights perfusion, not diffusion: such an image shows lesions as a T2-weighted EPI does.
LEAST_B = 200.0
#: T2 weighting of the liver (T2 about 45 ms at 1.5 T, lesions 60–120 ms) needs an echo later than this, in ms ...
LEAST_T2_ECHO_MS = 50.0
#: ... and beyond this only fluid is left (MR cholangiography).
FLUID_ECHO_MS = 250.0
LEAST_T2_REPETITION_MS = 800.0
#: Spoiled gradient echoes for T1: short echo, short repetition (3D volumes) or at most a breath-hold multislice one.
T1_ECHO_MS = 8.0
T1_3D_REPETITION_MS = 20.0
T1_REPETITION_MS = 900.0
#: Spin echoes are T1-weighted below this echo time.
T1_SPIN_ECHO_MS = 30.0

HELPER_WORDS = (
    "mrac|mr ac |umap|u ?map|mu ?map|attenuation|calib|asset|sense ref|ref ?scan|reference scan|coil|prescan|"
    "shim|field ?map|"
    "b1 ?map|b0 ?map|noise|phantom|testbol|test bol|care ?bolus|bolus ?track|smartprep|smart prep|blisstrak|"
    "fluoro ?trigger|"
    "navigator|resp ?trig ?scout|elasto|mre |stiffness|liverlab|fat ?frac|pdff|r2 ?star|r2 ?map|t2 ?star|"
    "t2\\*|t1 ?map|t2 ?map|"
    "molli|ideal ?iq|mdixon ?quant|q ?dixon|spectro|perfusion map|ivim|phase contrast|flow|4 ?d flow|angio|tof "
)
ADC_WORDS = "adc|dadc|apparent diff|coefficient de diff|diffusionskoef|diffusion coef|cda |isotropic ?adc|average dc"
EXPONENTIAL_WORDS = "eadc|e adc|exp adc|exponential|exp app"
DIFFUSION_WORDS = (
    "dwi|diff|dw |dwibs|resolve|zoomit|zoom ?it|reveal|b[1-9]\\d{1,3} |trace ?w|tracew|ep2 ?d ?diff|"
    "epi diff|isotropic image"
)
DIFFUSION_MAPS = frozenset({"FA", "COLFA", "EXPADC", "EADC", "EXP", "TENSOR", "TENSOR_B0", "IVIM", "RA", "VR"})
FLUID_WORDS = "mrcp|cholang|radial ?slab|thick ?slab"
BALANCED_WORDS = "trufi|true ?fisp|truefisp|fiesta|b ?ffe|btfe|balanced|bssfp|true ?ssfp"
T1_WORDS = (
    "t1|vibe|starvibe|lava|e ?thrive|thrive|quick ?3 ?d|tigre|fl2 ?d|fl3 ?d|flash|fspgr|spgr|fastspgr|mdixon|"
    "disco|twist|fame|"
    "cdt ?vibe|dyn |dyn$|dynam"
)
T2_WORDS = "t2|haste|ssfse|ss ?fse|sst2|single ?shot|blade|propeller|multivane|fase|rare|frfse|trig tse|stir|tirm"
#: Dixon parts: Image Type values, and words of descriptions.
DIXON_TYPES = {
    "water": frozenset({"W", "WATER"}),
    "fat": frozenset({"F", "FAT"}),
    "in phase": frozenset({"IP", "IN_PHASE", "INPHASE", "IN"}),
    "opposed phase": frozenset({"OP", "OPP_PHASE", "OUT_PHASE", "OUTPHASE", "OPPOSED_PHASE", "OPP"}),
}
DIXON_WORDS = {
    "opposed phase": "opp |opposed|out ?of ?phase|outphase|out ?phase|oop |gegenphase|opposition|op ",
    "in phase": "in ?phase|inphase|ip |en phase|in$|in $",
    "fat": "fat |fat$|f$|f $|graisse|fett(?!ge|sat)",
    "water": "water|wasser|eau|w$|w $",
}
NOT_MAGNITUDE = frozenset(
    {"P", "PHASE", "PHASE MAP", "VELOCITY", "REAL", "IMAGINARY", "R", "I", "R_SE", "R_FFE", "I_FFE"}
)


@dataclass(frozen=True, slots=True)
class _Physics:
    """The numbers that make the contrast; ms and degrees, None where absent."""

    echo: float | None
    repetition: float | None
    inversion: float | None
    flip: float | None
    sequence: frozenset[str]
    variant: frozenset[str]
    volume: bool
    train: float


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
    """The stack's b-value in s/mm²: the attribute, else the largest "b800" of the description or sequence name."""
    stated = [float(v) for v in values_of(stack, "DiffusionBValue") if _is_number(v)]
    if len(stated) == 1:
        return stated[0]
    if "DiffusionBValue" in stack.key and _is_number(stack.key["DiffusionBValue"]):
        return float(stack.key["DiffusionBValue"])
    if stated:
        return max(stated)
    for keyword in ("SequenceName", "SeriesDescription", "ImageComments"):
        written = _B_VALUES.findall(str(stack.first(keyword, "")).lower().replace("_", " "))
        if len(written) == 1 and written[0][0] and not written[0][1].strip():
            return float(written[0][0])
    return None


#: "b800", "b=50", and a list ("b50 400 800"), whose further numbers are the second group.
_B_VALUES = re.compile(r"(?<![a-z0-9])b *=? *(\d{1,4})(?!\d)((?: *[ ,/+-] *\d{2,4}(?!\d))*)")


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _physics(stack: Stack) -> _Physics:
    def codes(keyword: str) -> frozenset[str]:
        return frozenset(p.strip().upper() for v in values_of(stack, keyword) for p in str(v).split("\\"))

    return _Physics(
        number(stack, "EchoTime"), number(stack, "RepetitionTime"), number(stack, "InversionTime"),
        number(stack, "FlipAngle"), codes("ScanningSequence"), codes("SequenceVariant"),
        str(stack.first("MRAcquisitionType", "")).upper() == "3D", number(stack, "EchoTrainLength") or 1.0,
    )  # fmt: skip


def _single(stack: Stack) -> RoleDecision | None:
    """The role of everything but a T1-weighted volume, which is None here and waits for its phase."""
    types = image_types(stack)
    text = described(stack, "SeriesDescription", "ProtocolName")
    own = described(stack, "SeriesDescription")
    own = own if own.strip() else text
    physics = _physics(stack)
    if has_word(own, HELPER_WORDS) and not has_word(own, ADC_WORDS):
        return RoleDecision(SeriesRole.OTHER, "a calibration, map or flow series by its description")
    diffusion = _diffusion(stack, types, own, text, physics)
    if diffusion is not None:
        return diffusion
    if types & NOT_MAGNITUDE and not types & {"M", "MAGNITUDE", "M_FFE", "M_SE"} and not _dixon_part(types, own):
        return RoleDecision(SeriesRole.OTHER, "a phase, real or imaginary image by its Image Type")
    if has_word(own, FLUID_WORDS) or (physics.echo or 0) > FLUID_ECHO_MS:
        return RoleDecision(SeriesRole.OTHER, "MR cholangiography: only fluid is left at this echo time")
    if has_word(own, BALANCED_WORDS) or _is_balanced(physics):
        return RoleDecision(SeriesRole.OTHER, "a balanced steady-state sequence, neither T1 nor T2")
    weighting = _weighting(physics, own) or _weighting(physics, text)
    if weighting == "t2":
        return RoleDecision(
            SeriesRole.MR_T2,
            f"spin echo with a late echo (TE {physics.echo or '?'}, TR {physics.repetition or '?'} ms)",
        )
    if weighting != "t1":
        return RoleDecision(
            SeriesRole.OTHER, f"neither T1 nor T2 by timing (TE {physics.echo}, TR {physics.repetition} ms) or words"
        )
    part = _dixon_part(types, own)
    if part not in ("", "water"):
        return RoleDecision(SeriesRole.OTHER, f"the {part} image of a Dixon or dual-echo acquisition")
    return None


def _diffusion(stack: Stack, types: frozenset[str], own: str, text: str, physics: _Physics) -> RoleDecision | None:
    if types & DIFFUSION_MAPS or has_word(own, EXPONENTIAL_WORDS):
        return RoleDecision(SeriesRole.DERIVED, "a diffusion map other than ADC")
    units = " ".join(str(v) for v in values_of(stack, "RescaleType")).lower().replace(" ", "")
    if any("ADC" in t for t in types) or has_word(own, ADC_WORDS) or "mm2/s" in units:
        return RoleDecision(SeriesRole.MR_ADC, "an ADC map by its Image Type, description or unit")
    b = b_value(stack)
    planar = "EP" in physics.sequence
    weighted = bool(types & {"DIFFUSION", "TRACEW", "DWI"}) or (b is not None and (planar or b >= LEAST_B))
    named = has_word(own, DIFFUSION_WORDS) or (planar and has_word(text, DIFFUSION_WORDS))
    if not weighted and not named:
        return None
    if b is not None and b < LEAST_B:
        return RoleDecision(SeriesRole.OTHER, f"the b {b:g} image of a diffusion series: hardly diffusion-weighted")
    return RoleDecision(SeriesRole.MR_DWI, f"diffusion-weighted, b {f'{b:g} s/mm²' if b is not None else 'not stated'}")


def _is_balanced(p: _Physics) -> bool:
    """Steady state without spoiling at a large flip angle; T1 volumes are spoiled (SP) or flipped little."""
    return (
        "GR" in p.sequence and "SS" in p.variant and "SP" not in p.variant
        and (p.flip or 0) >= 35 and (p.repetition or 0) < 10
    )  # fmt: skip


def _weighting(p: _Physics, text: str) -> str:
    """ "t1", "t2" or "": numbers first, then words."""
    if p.echo is not None and p.repetition is not None:
        gradient = "GR" in p.sequence or (not p.sequence & {"SE", "IR", "EP"} and p.train <= 2)
        if not gradient or ("SE" in p.sequence and "GR" not in p.sequence):
            if p.echo >= LEAST_T2_ECHO_MS and p.repetition >= LEAST_T2_REPETITION_MS:
                return "t2"
            if p.echo <= T1_SPIN_ECHO_MS and p.repetition <= T1_REPETITION_MS:
                return "t1"
            return ""
        if p.echo >= LEAST_T2_ECHO_MS and p.repetition >= LEAST_T2_REPETITION_MS and has_word(text, T2_WORDS):
            return "t2"
        if p.echo <= T1_ECHO_MS and p.repetition <= T1_REPETITION_MS and p.inversion is None:
            return "t1"
        return ""
    if has_word(text, T2_WORDS) and not has_word(text, "t1"):
        return "t2"
    return "t1" if has_word(text, T1_WORDS) else ""


def _dixon_part(types: frozenset[str], text: str) -> str:
    """Which image of a Dixon acquisition this is; "" where it is none or not said."""
    for part, known in DIXON_TYPES.items():
        if types & known:
            return part
    dixon = has_word(
        text,
        "dixon|mdixon|lava flex|flex|ideal|wfs|in ?phase|out ?phase|opp|oop|in ?opp|water|fat |wasser|vibe|lava|"
        "thrive|quick",
    )
    if dixon:
        tail = text.strip()
        for part, pattern in DIXON_WORDS.items():
            if re.search(rf"(?:^| )(?:{pattern.replace(' |', '(?: |$)|')})", tail + " "):
                return part
    return ""
