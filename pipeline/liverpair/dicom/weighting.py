"""Tell what makes an MR image's contrast from its physics; words only where the numbers are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from liverpair.dicom import vocabulary as say
from liverpair.dicom.records import Stack
from liverpair.dicom.words import has_word, number, says, values_of

__all__ = ["FLUID_ECHO_MS", "Physics", "echoes", "is_balanced", "physics_of", "weighting"]

#: T2 weighting of the liver (T2 about 45 ms at 1.5 T, lesions 60–120 ms) needs an echo later than this, in ms ...
LEAST_T2_ECHO_MS: Final = 50.0
#: ... and beyond this only fluid is left (MR cholangiography).
FLUID_ECHO_MS: Final = 250.0
LEAST_T2_REPETITION_MS: Final = 800.0
#: Spoiled gradient echoes for T1: short echo, short repetition (3D volumes) or at most a breath-hold multislice one.
T1_ECHO_MS: Final = 8.0
T1_REPETITION_MS: Final = 900.0
#: A 3D volume's repetition and the flip angles of its T1 weighting, in degrees: below the least one protons weight
#: (fat fraction, B1 maps), above the largest one a steady state is balanced.
T1_3D_REPETITION_MS: Final = 20.0
LEAST_T1_FLIP: Final = 6.0
LARGEST_T1_FLIP: Final = 35.0
#: Spin echoes are T1-weighted below this echo time.
T1_SPIN_ECHO_MS: Final = 30.0
#: Fat-suppressing inversion pulses of gradient echoes (GE SPECIAL, SPAIR) act within this many ms; a longer delay
#: is a preparation of the tissue.
FAT_INVERSION_MS: Final = 100.0
#: Acquisition Contrast (PS3.3 C.8.13.3.1.1) that is neither T1, T2 nor diffusion whatever the timing.
OTHER_CONTRASTS: Final = frozenset({"TOF", "FLOW_ENCODED", "TAGGING", "SPIN_TAGGING", "T2_STAR", "FLUID_ATTENUATED"})
#: Echo Pulse Sequence of enhanced objects in the codes of Scanning Sequence.
PULSES: Final = {"GRADIENT": ("GR",), "SPIN": ("SE",), "BOTH": ("SE", "GR")}


@dataclass(frozen=True, slots=True)
class Physics:
    """The numbers that make the contrast; ms and degrees, None where absent or a placeholder of 0."""

    echo: float | None
    repetition: float | None
    inversion: float | None
    flip: float | None
    sequence: frozenset[str]
    variant: frozenset[str]
    volume: bool
    contrast: str

    @property
    def gradient(self) -> bool:
        """Gradient echoes alone (GRASE, which has both, decays with T2)."""
        return "GR" in self.sequence and "SE" not in self.sequence

    @property
    def spin(self) -> bool:
        return "SE" in self.sequence

    @property
    def planar(self) -> bool:
        return "EP" in self.sequence


def physics_of(stack: Stack) -> Physics:
    """The contrast-making numbers of a stack's first frame that has them."""

    def codes(keyword: str) -> frozenset[str]:
        return frozenset(p.strip().upper() for v in values_of(stack, keyword) for p in str(v).split("\\"))

    def positive(keyword: str) -> float | None:
        value = number(stack, keyword)
        return value if value is not None and value > 0 else None

    sequence = codes("ScanningSequence")
    if not sequence & {"SE", "GR", "EP", "IR"}:
        sequence |= frozenset(PULSES.get(str(stack.first("EchoPulseSequence", "")).strip().upper(), ()))
    return Physics(
        positive("EchoTime"), positive("RepetitionTime"), positive("InversionTime"), positive("FlipAngle"), sequence,
        codes("SequenceVariant"), str(stack.first("MRAcquisitionType", "")).upper() == "3D",
        str(stack.first("AcquisitionContrast", "")).strip().upper(),
    )  # fmt: skip


def echoes(stack: Stack) -> int:
    """How many echo times the whole series of this stack holds at most in one kind of image."""
    found: dict[str, set[str]] = {}
    for instance in stack.series.instances:
        echo = instance.get("EchoTime")
        if echo:
            found.setdefault(str(instance.get("ImageType")), set()).add(f"{float(echo):.2f}")
    return max(map(len, found.values()), default=0)


def is_balanced(p: Physics) -> bool:
    """Steady state without spoiling at a large flip angle; T1 volumes are spoiled (SP) or flipped little."""
    return (
        p.gradient and "SS" in p.variant and "SP" not in p.variant
        and (p.flip or 0) >= LARGEST_T1_FLIP and (p.repetition or 0) < 10
    )  # fmt: skip


def weighting(p: Physics, text: str) -> str:
    """ "t1", "t2" or "": numbers first, then the contrast an enhanced object states, then words."""
    if p.contrast in OTHER_CONTRASTS or "TOF" in p.variant:
        return ""
    if p.echo is not None and p.repetition is not None:
        return _by_timing(p, p.echo, p.repetition, text)
    partial = _by_one_number(p)
    if partial:
        return partial
    if p.contrast in ("T1", "T2"):
        return p.contrast.lower()
    if says(text, say.T2) and not has_word(text, "t1"):
        return "t2"
    phase = any(says(text, v) for v in (say.HEPATOBILIARY, say.ARTERIAL, say.PORTAL))  # contrast is read on T1
    return "t1" if phase or says(text, say.T1) else ""


def _by_timing(p: Physics, echo: float, repetition: float, text: str) -> str:
    late = echo >= LEAST_T2_ECHO_MS and repetition >= LEAST_T2_REPETITION_MS
    if late:
        if p.planar:
            return ""  # an echo-planar image without a b-value: the reference of a diffusion or perfusion series
        return "t2" if not p.gradient or says(text, say.T2) else ""
    if p.spin:
        return "t1" if echo <= T1_SPIN_ECHO_MS and repetition <= T1_REPETITION_MS else ""
    if p.planar or echo > T1_ECHO_MS or repetition > T1_REPETITION_MS:
        return ""
    if (p.inversion or 0) >= FAT_INVERSION_MS and not has_word(text, "t1"):
        return ""
    return "" if (p.flip or LEAST_T1_FLIP) < LEAST_T1_FLIP else "t1"


def _by_one_number(p: Physics) -> str:
    """What an echo or a repetition time alone proves together with the kind of sequence."""
    if p.echo is not None and p.spin and not p.planar and p.echo >= LEAST_T2_ECHO_MS:
        return "t2"
    flipped = LEAST_T1_FLIP <= (p.flip or 0) < LARGEST_T1_FLIP
    if p.gradient and p.volume and flipped:
        short_echo = p.echo is not None and p.echo <= T1_ECHO_MS
        short_repetition = p.repetition is not None and p.repetition <= T1_3D_REPETITION_MS
        return "t1" if short_echo or short_repetition else ""
    return ""
