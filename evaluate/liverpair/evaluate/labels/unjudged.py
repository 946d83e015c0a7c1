"""Whether a conclusion says that the liver cannot be judged ("Aussage zu Lebermetastasen nicht möglich").

Then the examination denies nothing, whatever the findings could not make out on its images ("no gross lesion").
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.reading import LIVER, OTHER, Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["leaves_liver_unjudged"]

# Of what was put off or not examined, these say that the images allow no judgement.
_JUDGING = ("beurteil", "aussag", "auswert", "bewert", "assess", "evaluat", "statement", "comment", "interpret", "judg")
# Not the liver as a whole: its parts, small lesions, their course, other things that carry its name.
_PARTS = ("seg", "lobe", "lappen", "dome", "kuppel", "subdiaphragm", "margin", "rand", "tip", "spitze")
_SMALL = ("small", "tiny", "subcent", "klein", "mm", "cm", "millim", "below")
_COURSE = (
    "respon", "anspr", "verlauf", "vergleich", "progress", "progred", "dynamik", "growth", "interval", "compar",
    "change", "course", "further", "weiter", "previous", "prior", "vorbe", "voru",
)  # fmt: skip
_OF_THE_LIVER = (
    "steato", "fett", "fat", "iron", "eisen", "function", "funktion", "perfus", "vein", "vene", "arter", "pfort",
    "portal", "vascular", "gefaess", "phase", "phasig", "volum", "elast", "fibros", "zirrh", "cirrh", "bile", "gall",
)  # fmt: skip
_NARROWER = _PARTS + _SMALL + _COURSE + _OF_THE_LIVER


def leaves_liver_unjudged(readings: Sequence[Reading]) -> bool:
    """Whether a sentence of the impression says of the liver, or of metastases in it, that no judgement is possible."""
    return any(_is_unjudged(reading) for reading in readings if reading.sentence.section == "impression")


def _is_unjudged(reading: Reading) -> bool:
    judging = [cue for cue in reading.cues if cue.category == "deferred" and _tells_of_judgement(cue, reading.words)]
    if not judging or any(word.startswith(_NARROWER) for word in reading.words):
        return False
    if any(organ.category == OTHER for organ in reading.organ_hits):
        return False
    sought = any(m.kind == "metastasis" and m.organ == LIVER and m.polarity == "ignored" for m in reading.mentions)
    affirmed = any(m.polarity != "ignored" for m in reading.mentions)
    return (sought or reading.names_liver) and not affirmed


def _tells_of_judgement(cue: Hit, words: Sequence[str]) -> bool:
    return any(word.startswith(_JUDGING) for word in words[cue.start : cue.end])
