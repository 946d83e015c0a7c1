"""Whether a sentence tells of a lesion that a treatment has left without life: a defect, a scar, a calcified rest.

"Segment VI (after MWA): 31 mm, no enhancement" and "calcified old lesions up to 43 mm" have sizes that are no
metastasis's; "Segment VII after SIRT: 22 mm, still enhancing" has one.
"""

from __future__ import annotations

from itertools import pairwise

from liverpair.evaluate.labels.clauses import part_around
from liverpair.evaluate.labels.parts import is_of_a_part
from liverpair.evaluate.labels.reading import Mention, Reading
from liverpair.evaluate.labels.rules import Hit, Rules

__all__ = ["is_dead", "owns_no_size"]

_DEATH = frozenset({"lifeless", "dead"})
# One sign of death may be said of a part of a lesion that lives; so many are not.
SIGNS_OF_DEATH = 2


def owns_no_size(reading: Reading, mention: Mention | None, rules: Rules, size: int = -1) -> bool:
    """Whether a size of this sentence (``size``: its first word), and of this mention, is that of a dead rest.

    What was treated locally is dead where no lesion is named; what was treated otherwise, or is named, must also look
    dead or be called so, and a metastasis by name must do so twice. Nothing in the sentence may live.
    """
    hits = [hit for hit in rules.treatment.find(reading.words) if not _only_tells_where(hit, reading)]
    told = _of_part(hits, reading, mention, size)
    said = [hit.category for hit in told if hit.category not in _DEATH or not is_of_a_part(reading.words, hit.start)]
    if any(hit.end == size and reading.words[hit.end - 1].endswith(_ENDS) for hit in hits):
        return True  # "treated lesion (ablation zone 30 mm)"
    if mention is None and _opens_with_rest(reading):
        said.append("local")
    if "alive" in said:
        return False
    if "dead" in said:
        return True
    treated = "local" in said or "other" in said
    if mention is not None and mention.polarity == "present":
        return treated and said.count("lifeless") >= SIGNS_OF_DEATH
    named = any(m.kind in ("metastasis", "lesion", "recurrence") for m in reading.mentions)
    return (treated and "lifeless" in said) or ("local" in said and not named)


_ENDS = ("zone", "zonen", "zones", "defekt", "defect", "cavity", "hoehle", "areal", "area", "narbe", "scar")
_RESTS = ("zone", "defe", "cavit", "hoehle", "areal", "area", "narbe", "scar")
# "The two former zones": words of the sentence in which what is left stands.
REST_WITHIN = 4


def _opens_with_rest(reading: Reading) -> bool:
    """ "The zones are smaller: S2 18 mm" behind a sentence on the ablation: what it left."""
    return reading.after_ablation and any(word.startswith(_RESTS) for word in reading.words[:REST_WITHIN])


_BESIDE = ("abut", "adjac", "next", "beside", "near", "touch", "border", "angrenz", "benachb", "neben", "nahe")
# "One abutting the large ablation zone": words from the preposition to the treated place.
BESIDE_REACH = 4


def _only_tells_where(hit: Hit, reading: Reading) -> bool:
    """ "One new metastasis abutting the ablation zone": what was treated is a landmark."""
    beside = any(word.startswith(_BESIDE) for word in reading.words[max(0, hit.start - BESIDE_REACH) : hit.start])
    return beside and any(m.kind == "metastasis" and m.end <= hit.start for m in reading.mentions)


def is_dead(reading: Reading, mention: Mention, rules: Rules) -> bool:
    """ "Treated metastasis in segment 6 (42 mm ablation zone), no residual tumour": the bracket tells what is left."""
    words = reading.words
    if "(" not in words:
        return False
    opening = next((i for i in range(mention.end, len(words)) if words[i] in ("(", ",", ";")), -1)
    if opening < 0 or words[opening] != "(":
        return False
    closing = next((i for i in range(opening, len(words)) if words[i] == ")"), len(words))
    end = part_around(words, closing, closing)[1]
    told = [hit for hit in rules.treatment.find(words[:end]) if hit.start >= mention.end]
    left = any(hit.category in ("dead", "local") and opening < hit.start < closing for hit in told)
    said = {hit.category for hit in told}
    return left and "lifeless" in said and "alive" not in said


def _of_part(hits: list[Hit], reading: Reading, mention: Mention | None, size: int) -> list[Hit]:
    """Those between the semicolons around the size, or, if there are none, around its lesion.

    "Untreated metastasis 21 mm; the ablated ones nonviable, up to 44 mm": two parts, two verdicts.
    """
    colon = reading.words.index(":") if ":" in reading.words else 0
    head = [hit for hit in hits if hit.end <= colon and ";" not in reading.words[:colon]]
    if head and mention is None:
        return head  # "the ablation areas are smaller: segment 4, 27 mm; segment 6, 22 mm"
    stops = [-1, *(i for i, word in enumerate(reading.words) if word == ";"), len(reading.words)]
    for at in (size, mention.start if mention is not None else -1):
        within = [h for a, b in pairwise(stops) if a < at < b for h in hits if a < h.start < b]
        if within:
            return within
    return hits if size < 0 else []
