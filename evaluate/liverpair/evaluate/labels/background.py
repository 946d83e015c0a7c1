"""Whether all that a report says of the liver's metastases is who the patient is, in a report about something else.

"Her liver deposits are being considered for lutetium; the scan shows a focus in the breast" tells of metastases, but
not that this study shows them. A study that describes other organs of the abdomen has seen the liver, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.facts import Fact
from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.reading import LIVER, OTHER

__all__ = ["is_background"]

# What lies beside the liver in any study that shows it.
_ABDOMINAL: tuple[str, ...] = (
    *(
        "pan",
        "milz",
        "spleen",
        "splen",
        "nier",
        "kidney",
        "renal",
        "adren",
        "nebenn",
        "mesent",
        "darm",
        "bowel",
        "gall",
    ),
    *("bile", "bili", "duct", "magen", "stomach", "gastr", "asz", "ascit", "perit", "perih", "perip", "retro", "abdom"),
    *("ile", "jej", "duod", "kolon", "colon", "portal", "pfort", "coel", "zoel", "celiac", "whip", "app"),
)
# A patient or a tumour with metastases, before the word or behind it.
_OF_PATIENT = frozenset(
    {"with", "mit", "bei", "for", "wegen", "known", "given", "because", "due", "her", "his", "their", "ihren", "ihrer"}
)
_OF_PATIENT |= {
    "seinen",
    "seiner",
    "bekannte",
    "bekannten",
    "bekannter",
    "bekanntem",
    "patient",
    "patientin",
    "pat",
    "pt",
}
_OF_PATIENT |= {"metastatic", "metastasiert", "metastasiertem", "metastasierten", "metastasierter", "metastasiertes"}
# Words before the mention in which they stand.
PATIENT_REACH = 7
# What a study shows: then the sentence is a finding.
_SHOWN = (
    "followed",
    "course",
    "remains",
    "quantity",
    "malignant",
    "focal",
    "affirm",
    "confirmed",
    "no_new",
    "resolved",
)


def is_background(chosen: Fact, readings: Sequence[Reading]) -> bool:
    """Whether this fact, a metastasis by name, only tells the patient's history."""
    reading, mention = chosen.reading, chosen.mention
    if chosen.status != "present" or mention is None or mention.kind != "metastasis":
        return False
    if any(reading.has(category) for category in _SHOWN) or {"mm", "cm"} & set(reading.words):
        return False
    before = reading.words[max(0, mention.start - PATIENT_REACH) : mention.end]
    if not _OF_PATIENT & set(before):
        return False
    others = [other for other in readings if other is not reading]
    if any(_speaks_of_liver(other) for other in others):
        return False
    organs = [(other, hit) for other in others for hit in other.organ_hits if hit.category == OTHER]
    described = [hit for other, hit in organs if not other.words[hit.start].startswith(_ABDOMINAL)]
    return bool(described) and len(described) == len(organs)


def _speaks_of_liver(reading: Reading) -> bool:
    liver = reading.names_liver or reading.liver_normal or reading.liver_positive or reading.liver_course
    return liver or any(m.organ == LIVER and m.polarity != "ignored" for m in reading.mentions)
