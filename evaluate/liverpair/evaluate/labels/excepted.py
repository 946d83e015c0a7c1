"""Whether a denial of new, other or further lesions names known ones that it excepts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["all_but_some", "beside_known", "but_for_others", "known_ones_behind"]

# "L1" numbers a lesion.
_LABEL = re.compile(r"[lt]\d{1,2}")
_BUT_FOR = tuple(
    tuple(words.split())
    for words in (
        *("apart from", "other than", "aside from", "besides", "beyond", "except for", "except", "in addition to"),
        *("bis auf", "abgesehen von", "ausser", "neben"),
    )
)
# Words from the exception to the organ that it may name: "no lesion apart from those in the lung".
EXCEPTION_REACH = 8


def but_for_others(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "No liver lesions apart from L1-L3": what is excepted are lesions, neither cysts nor another organ's."""
    words = reading.words
    rest = words[hit.end : hit.end + 3]
    at = next((i for i in range(len(rest)) for e in _BUT_FOR if tuple(words[hit.end + i :][: len(e)]) == e), -1)
    if at < 0 or "," in rest[:at] or ";" in rest[:at]:
        return False
    behind = range(hit.end + at, hit.end + at + EXCEPTION_REACH)
    benign = any(f.category in ("benign", "treated") and f.start in behind for f in findings)
    return not benign and not any(
        o.start in behind and not _LABEL.fullmatch(words[o.start]) for o in reading.organ_hits
    )


def known_ones_behind(hit: Hit, reading: Reading) -> bool:
    """ "Keine neuen Lebermetastasen, die bekannten unverändert": the known ones are metastases too."""
    if any(cue.category == "known" and 0 <= hit.start - cue.end <= 1 for cue in reading.cues):
        return hit.category == "metastasis"  # "no new lesions or change of the known hepatic metastases"
    return any(cue.category == "known" and cue.start >= hit.end for cue in reading.cues) and not any(
        finding.start >= hit.end for finding in reading.findings
    )


_BESIDE = frozenset(
    {"neben", "ausser", "besides", "beside", "beyond", "than", "als", "addition", "zusaetzlich", "apart"}
)
# "No other metastases beyond those already known": words to the preposition, and from it to the known ones.
BESIDE_WITHIN, KNOWN_WITHIN = 3, 5


def beside_known(hit: Hit, reading: Reading) -> bool:
    """Whether a denial of others names the known ones, which then are metastases of the same organ."""
    words = reading.words
    at = next((i for i in range(hit.end, min(len(words), hit.end + BESIDE_WITHIN)) if words[i] in _BESIDE), -1)
    near = range(at, at + KNOWN_WITHIN)
    return at >= 0 and any(cue.category == "known" and cue.start in near for cue in reading.cues)


_ALL_BUT: tuple[tuple[str, ...], ...] = (
    ("except",), ("except", "for"), ("apart", "from"), ("all", "but"), ("bar",), ("save", "for"), ("but", "for"),
    ("bis", "auf"), ("ausser",), ("ausgenommen",), ("mit", "ausnahme"), ("excepting",),
)  # fmt: skip
_SOME = frozenset({"one", "two", "three", "four", "those", "that", "2", "3", "4"})
_SOME |= {"eine", "einen", "einer", "eines", "zwei", "drei", "vier", "jene", "jener"}


def all_but_some(hit: Hit, reading: Reading) -> bool:
    """ "The metastases were resected except one in segment 1": some are left, as many as the exception names."""
    words = reading.words
    for at in range(hit.end, len(words)):
        forms = [form for form in _ALL_BUT if tuple(words[at : at + len(form)]) == form]
        behind = max((at + len(form) for form in forms), default=len(words))
        if forms and behind + 1 < len(words) and words[behind + (words[behind] == "the")] in _SOME:
            return not any(f.category in ("benign", "treated") and f.start >= behind for f in reading.findings)
    return False
