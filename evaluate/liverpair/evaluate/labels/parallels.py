"""A part of a sentence that only repeats the verdict before it: "haemangioma possible, metastasis likewise"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from liverpair.evaluate.labels.reading import Mention, Reading

__all__ = ["sharing_verdicts", "weighing"]

_LIKEWISE = frozenset(
    {"ebenfalls", "ebenso", "auch", "gleichermassen", "genauso", "gleichfalls", "desgleichen", "likewise", "equally"}
)
_LIKEWISE |= {"too", "also", "similarly"}
# "... , as is a metastasis"
_AS = frozenset({"is", "are", "was", "were", "would", "could"})
# "FNH cannot be excluded, nor can a metastasis"
_NOR = frozenset({"nor", "neither"})
_BUT = frozenset({"but", "aber", "jedoch", "sondern", "allerdings", "doch", "hingegen"})
# A part of more words says something of its own.
LONGEST_REPEAT = 8
_DOUBTS = frozenset({"hedge", "hedge_after", "indeterminate", "suspicion"})
_DENIALS = frozenset({"negation_before", "negation_after", "refuted", "resolved"})
# What is said of a lesion itself, beside these no verdict is repeated.
_ATTRIBUTES = frozenset(
    {"non_avid", "quantity", "focal", "known", "benign", "normal", "trace", "faint", "terminator", "pseudo"}
)


def sharing_verdicts(mentions: list[Mention], reading: Reading) -> list[Mention]:
    """The mentions, with metastases that are "likewise" so doubted or denied as what stands before their comma."""
    words = reading.words
    out = list(mentions)
    for number, mention in enumerate(mentions):
        if mention.kind != "metastasis" or mention.polarity not in ("present", "neutral", "followed", "absent"):
            continue
        comma = next((i for i in range(mention.start - 1, -1, -1) if words[i] in (",", ";")), -1)
        end = next((i for i in range(mention.end, len(words)) if words[i] in (",", ";", ".", "(")), len(words))
        if mention.polarity == "absent" and words[comma + 1] not in _NOR:
            continue
        if _BUT & set(words[comma + 1 : mention.start]):
            continue  # "questionable nodal metastases, but also liver metastases"
        if comma > 0 and _only_repeats(reading, comma + 1, end):
            verdict = _verdict(reading, mentions[:number], comma)
            out[number] = replace(mention, polarity=verdict) if verdict else mention
    return out


_FOR = frozenset({"pro", "fuer", "for", "favour", "favouring", "favor", "favoring", "supports", "supporting"})
_AGAINST = frozenset({"gegen", "dagegen", "wider", "against", "contra", "kontra"})
_SPEAKS = (
    "spricht",
    "sprech",
    "spraech",
    "speak",
    "argu",
    "point",
    "favour",
    "favor",
    "support",
    "suggest",
    "pro",
    "contra",
)
# Words from "for", "against" to the metastasis: "gegen eine hepatische Metastase".
WEIGHT_REACH = 3


def weighing(mentions: list[Mention], reading: Reading) -> list[Mention]:
    """The mentions, with metastases left open where the sentence says what speaks for one and what against one."""
    if sum(m.kind == "metastasis" for m in mentions) < 2:
        return mentions
    words = reading.words
    scales = [(set(words[max(0, m.start - WEIGHT_REACH) : m.start]), m) for m in mentions if m.kind == "metastasis"]
    pro = any(before & _FOR and m.polarity in ("present", "uncertain") for before, m in scales)
    speaks = any(word.startswith(_SPEAKS) for word in words)
    weighed = speaks and pro and any(before & _AGAINST for before, _ in scales)
    both = {id(m) for before, m in scales if before & (_FOR | _AGAINST)} if weighed else set()
    return [replace(m, polarity="uncertain") if id(m) in both else m for m in mentions]


def _only_repeats(reading: Reading, start: int, end: int) -> bool:
    part = reading.words[start:end]
    nor = part[0] in _NOR
    like = nor or bool(_LIKEWISE & set(part)) or (part[0] in ("as", "so") and bool(_AS & set(part[1:2])))
    own = any(start + nor <= cue.start < end and cue.category not in _ATTRIBUTES for cue in reading.cues)
    return like and not own and len(part) <= LONGEST_REPEAT and not any(word[:1].isdigit() for word in part)


def _verdict(reading: Reading, before: Sequence[Mention], comma: int) -> str:
    """uncertain or absent where the part that ends at ``comma`` doubts or denies a lesion, else ""."""
    words = reading.words
    start = next((i + 1 for i in range(comma - 1, -1, -1) if words[i] in (",", ";", ":")), 0)
    spoken = [m for m in before if start <= m.start < comma]
    if not spoken:
        return ""
    said = {cue.category for cue in reading.cues if start <= cue.start < comma}
    if said & _DENIALS and any(m.polarity == "absent" for m in spoken):
        return "absent"
    doubted = said & _DOUBTS and not any(m.polarity == "present" for m in spoken)
    return "uncertain" if doubted else ""
