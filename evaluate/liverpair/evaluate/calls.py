"""From lesions and reports to the verdict of an examination, and from two verdicts to the outcome of a pair.

MRI is the reference standard and PET the index test. Neither verdict looks at the other examination: an MR
focus does not become credible because PET shows it, else the comparison would confirm itself (incorporation
bias).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.lesion import Lesion, Modality, Nature
from liverpair.evaluate.records import CALLS

__all__ = [
    "CallSettings",
    "ChosenCall",
    "ImageCall",
    "choose_call",
    "has_flag",
    "image_call",
    "is_countable",
    "outcome",
]

SOURCES = ("image", "report")


@dataclass(frozen=True, slots=True)
class CallSettings:
    """When an examination counts as positive, and which source speaks for it.

    ``present_confidence``: a focus at or above it is called. A pair has dozens of places where a false focus can arise
    and one is enough, so a single focus must be surer than even odds.
    ``uncertain_confidence``: a focus between the two leaves the examination uncertain.
    ``uncertain_flags``: a focus with one of these flags cannot call an examination positive alone: a known
    mimic. ``reference_source``, ``index_source``: image | report, used where there is no consensus reading.
    """

    present_confidence: float = 0.7
    uncertain_confidence: float = 0.5
    uncertain_flags: tuple[str, ...] = ("spill_in",)
    reference_source: str = "image"
    index_source: str = "image"

    def __post_init__(self) -> None:
        if not 0 <= self.uncertain_confidence <= self.present_confidence <= 1:
            raise ConfigError("call thresholds need 0 ≤ uncertain_confidence ≤ present_confidence ≤ 1")
        for source in (self.reference_source, self.index_source):
            if source not in SOURCES:
                raise ConfigError(f"a call's source is one of {', '.join(SOURCES)}, got {source!r}")


@dataclass(frozen=True, slots=True)
class ImageCall:
    """The verdict the images give, why, and which lesions carried it."""

    status: str
    reason: str
    lesion_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenCall:
    """The verdict that counts for an examination and its source: consensus | image | report | none."""

    status: str
    source: str
    overridden: tuple[str, ...] = ()


def has_flag(flags: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether any flag is one of ``wanted`` or a kind of it ("spill_in:gallbladder" is a "spill_in")."""
    return any(flag == name or flag.startswith((name + ":", name + "_")) for flag in flags for name in wanted)


def is_countable(lesion: Lesion, settings: CallSettings | None = None) -> bool:
    """Whether this focus alone makes its examination positive: not benign, confident, no known mimic."""
    settings = settings or CallSettings()
    return (
        lesion.nature is Nature.METASTASIS
        and lesion.confidence >= settings.present_confidence
        and not has_flag(lesion.flags, settings.uncertain_flags)
    )


def image_call(
    lesions: Sequence[Lesion],
    modality: Modality,
    refusal: str | None = None,
    settings: CallSettings | None = None,
) -> ImageCall:
    """The image verdict of one examination from its foci.

    ``refusal`` is the reason why the examination cannot be judged at all (no liver found, no SUV, liver
    outside the field of view), or None. Lesions of the other modality in ``lesions`` are ignored.
    """
    settings = settings or CallSettings()
    if refusal:
        return ImageCall("not_evaluable", refusal)
    foci = [x for x in lesions if x.modality is modality and x.nature is Nature.METASTASIS]
    called = tuple(x.lesion_id for x in foci if is_countable(x, settings))
    if called:
        return ImageCall("present", f"{len(called)} focus/foci at confidence ≥ {settings.present_confidence}", called)
    mimics = tuple(
        x.lesion_id
        for x in foci
        if x.confidence >= settings.present_confidence and has_flag(x.flags, settings.uncertain_flags)
    )
    if mimics:
        return ImageCall("uncertain", "every confident focus is flagged as a possible mimic", mimics)
    doubtful = tuple(x.lesion_id for x in foci if x.confidence >= settings.uncertain_confidence)
    if doubtful:
        return ImageCall("uncertain", f"best focus below the call threshold {settings.present_confidence}", doubtful)
    benign = sum(x.modality is modality and x.nature is not Nature.METASTASIS for x in lesions)
    return ImageCall("absent", f"no focus reaches the threshold ({benign} benign)" if benign else "no focus found")


def choose_call(consensus: str, image: str, report: str, source: str = "image") -> ChosenCall:
    """The verdict that counts: the consensus reading where there is one, else the configured source.

    A source that is silent ("") yields to nothing: the verdict is then not_evaluable, not borrowed from
    elsewhere. ``overridden`` names the sources that said something different.
    """
    said: Mapping[str, str] = {"consensus": consensus, "image": image, "report": report}
    for name, status in said.items():
        if status not in CALLS:
            raise UsageError(f"{name} call {status!r} is not one of {', '.join(c for c in CALLS if c)}")
    if source not in SOURCES:
        raise UsageError(f"a call's source is one of {', '.join(SOURCES)}, got {source!r}")
    chosen = "consensus" if consensus else source
    status = said[chosen]
    overridden = tuple(n for n, s in said.items() if n != chosen and s and s != status)
    return ChosenCall(status, chosen, overridden) if status else ChosenCall("not_evaluable", "none", overridden)


def outcome(reference: str, index: str) -> str:
    """TP | FP | FN | TN | indeterminate | not_evaluable of a pair's two verdicts.

    A verdict that is missing or not evaluable makes the pair not_evaluable; an uncertain one, or a report
    that does not mention the liver's metastases, makes it indeterminate: silence is not taken for absence.
    """
    for status in (reference, index):
        if status not in CALLS:
            raise UsageError(f"a call is one of {', '.join(c for c in CALLS if c)}, got {status!r}")
    if {"", "not_evaluable"} & {reference, index}:
        return "not_evaluable"
    if {"uncertain", "not_mentioned"} & {reference, index}:
        return "indeterminate"
    if reference == "present":
        return "TP" if index == "present" else "FN"
    return "FP" if index == "present" else "TN"
