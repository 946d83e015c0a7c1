"""Whether a sentence settles what its lesion is: "... and is therefore an FNH and not a metastasis".

The benign name and the denied malignant one stand side by side. Then what the sentence told of the lesion before, even
a feature of malignancy, counts no more. It is said of one lesion: the last that is named before the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["settled"]

# Words from one name to the other: "typical for FNH rather than for metastasis".
VERDICT_REACH = 8
# A sentence that names more is a list or a text without stops, and settles nothing of one lesion.
MOST_NAMES = 12
_DENIALS = frozenset({"not", "no", "nor", "kein", "keine", "keinen", "keiner", "keinem", "nicht", "ohne"})
_INSTEAD = (("rather", "than"), ("instead", "of"))
_AGAINST = frozenset({"against", "gegen"})
_CONTRASTS = frozenset({"but", "sondern", "rather"})
_STOPS = frozenset({";", ":", "(", ")", "or", "oder"})
# "Either an FNH or no lesion at all", "cannot be decided whether": nothing is settled.
_OPEN = ("whether", "either", "ob", "entweder", "uncl", "unkl", "cannot", "might", "may", "could", "koennte", "kann")
_MALIGNANT = ("tumor", "tumour", "malign", "neoplas")


def settled(hit: Hit, findings: Sequence[Hit], reading: Reading) -> str:
    """benign for the lesion that its sentence calls benign and no metastasis, absent for that name, else ""."""
    if len(findings) > MOST_NAMES:
        return ""
    names = [f for f in findings if f.category == "metastasis" or _is_malignant(f, reading)]
    for benign in (f for f in findings if f.category == "benign"):
        for name in (n for n in names if _is_denied_beside(benign, n, reading)):
            first = min(benign.start, name.start)
            opened = any(word.startswith(_OPEN) for word in reading.words[max(0, first - VERDICT_REACH) :])
            others = [n for n in names if n is not name and n.category == "metastasis" and not _is_called(n, reading)]
            if opened or others:
                continue
            if hit is name or (hit in names and _is_called(hit, reading)):
                return "absent"
            lesions = [f for f in findings if f.category in ("lesion", "uptake") and f.end <= first]
            if lesions and hit is max(lesions, key=lambda f: f.start):
                return "benign"
    return ""


def _is_called(hit: Hit, reading: Reading) -> bool:
    """ "Earlier discussed as metastasis", "als Metastase bezeichnet": what others said of the same lesion."""
    return bool({"as", "als"} & set(reading.words[max(0, hit.start - 2) : hit.start]))


def _is_malignant(hit: Hit, reading: Reading) -> bool:
    return hit.category == "lesion" and reading.words[hit.start].startswith(_MALIGNANT)


def _is_denied_beside(benign: Hit, name: Hit, reading: Reading) -> bool:
    """ "FNH and not a metastasis", "not a metastasis but an FNH", "speaks for a cyst and against a metastasis"."""
    words = reading.words
    if benign.end <= name.start:
        between = words[benign.end : name.start]
        said = bool((_DENIALS | _AGAINST) & set(between)) or any(pair in _INSTEAD for pair in pairwise(between))
        said = said or _follows_rather(benign, between, words)
        denied_itself = bool(_DENIALS & set(words[max(0, benign.start - 2) : benign.start]))
        return said and not denied_itself and len(between) <= VERDICT_REACH and not _STOPS & set(between)
    between = words[name.end : benign.start]
    denied = bool(_DENIALS & set(words[max(0, name.start - 2) : name.start]))
    return denied and bool(_CONTRASTS & set(between)) and len(between) <= VERDICT_REACH and not _STOPS & set(between)


def _follows_rather(benign: Hit, between: Sequence[str], words: Sequence[str]) -> bool:
    """ "Also eher FNH-artiges Knötchen als Metastase", "more an FNH than a metastasis"."""
    before = words[max(0, benign.start - 2) : benign.start]
    return ("als" in between and "eher" in before) or ("than" in between and "more" in before)
