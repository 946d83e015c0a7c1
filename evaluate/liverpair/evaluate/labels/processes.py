"""Whether a doubt concerns what happens to metastases (growth, necrosis), which takes for granted that they exist.

"Suspected progression of the liver metastases" doubts the progression; "suspected recurrence of a liver metastasis" and
"possible development of liver metastases" doubt the metastases.
"""

from __future__ import annotations

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["concerns_process"]

# What only befalls a metastasis that is there. Not recurrence, presence or development, which bring it about.
_PROCESSES: tuple[str, ...] = (
    *("progress", "progred", "groessenprogr", "wachstum", "*zunahme", "*abnahme", "vergroesserung", "verkleinerung"),
    *("regress", "regred", "rueckgang", "ansprechen", "*nekrose", "nekrotisierung", "*blutung", "dedifferenz"),
    *("entdifferenz", "verlust", "transformation", "therapieansprechen", "pseudoprogre", "schrumpfung", "resistenz"),
    *("growth", "increase", "decrease", "enlargement", "shrinkage", "response", "necro", "haemorrhage", "hemorrhage"),
    *("bleeding", "dedifferent", "loss", "transform", "pseudoprog", "reduction", "stabili", "resistance", "ruptur"),
)
_STARTS = tuple(form for form in _PROCESSES if form[0] != "*")
_ENDS = tuple(form[1:] for form in _PROCESSES if form[0] == "*")
# Right behind the process these lead to what undergoes it: "progression of", "Nekrose der", "bleeding into".
_LEADING = frozenset(
    {"of", "in", "within", "into", "inside", "among", "der", "des", "einer", "von", "innerhalb", "bei"}
)
# Words from the process to the metastasis: "loss of expression in some of the known liver metastases".
PROCESS_REACH = 12
# What follows these is another thing, or one that is new.
_OTHERS = frozenset({",", ";", ":", "(", ")", "mit", "with", "durch", "due", "oder", "or", "by", "and", "und", "sowie"})
_NEW = ("neu", "new", "erst")


def concerns_process(doubt: Hit, hit: Hit, reading: Reading) -> bool:
    """Whether the doubt stands outside a phrase that says what happens to the metastasis."""
    if hit.category != "metastasis":
        return False
    start = _process_before(hit, reading)
    return start >= 0 and (doubt.end <= start or doubt.start >= hit.end)


def _process_before(hit: Hit, reading: Reading) -> int:
    """The word of the process whose complement the metastasis is, -1 if none."""
    words, tokens = reading.words, reading.sentence.tokens
    for at in range(hit.start - 1, max(-1, hit.start - 1 - PROCESS_REACH), -1):
        coordinated = words[at] in ("und", "and") and tokens[at - 1].hyphen  # "der Knochen- und Lebermetastasen"
        if (words[at] in _OTHERS and not coordinated) or words[at].startswith(_NEW):
            return -1
        if words[at].startswith(_STARTS) or words[at].endswith(_ENDS):
            complement = words[at + 1 : hit.start]
            return at if _LEADING & set(complement) and not _is_nested(complement) else -1
    return -1


_TUMOURS: tuple[str, ...] = ("prim", "tumor", "tumour", "net", "nen", "disease", "erkrank", "grund", "karzin", "carcin")
_TUMOURS += ("krank", "form", "gestalt", "sinne", "shape", "sense")


def _is_nested(complement: list[str]) -> bool:
    """ "Progression of the NET to liver metastases", "in form of metastases": something else undergoes it."""
    return any(word.startswith(_TUMOURS) for word in complement)
