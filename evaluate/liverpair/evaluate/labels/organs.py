"""Give every lesion its organ: named by its word, in a list with the liver, by the heading, or carried over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from liverpair.evaluate.labels.answers import ANSWERS_NO
from liverpair.evaluate.labels.reading import CLAUSE_COST, HEADING_COST, LIVER, NONE, OTHER, Reading, distance
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sections import Sentence
from liverpair.evaluate.labels.text import Token

__all__ = [
    "Context",
    "coordinated",
    "lobes_are_elsewhere",
    "organ_of",
    "sacrum_is_examined",
    "without_landmarks",
    "without_vertebrae",
]


class Context(NamedTuple):
    """What a sentence that names no organ speaks of."""

    carried: str  # organ of the sentence before
    by_lesion: bool  # a lesion of that organ was described there
    default: str  # organ of the examination
    is_pet: bool
    after_ablation: bool = False  # the report tells of an ablation: a defect is what it left
    lobes_elsewhere: bool = False  # of a thyroid's lobes, or of a sacrum's "S1", the report speaks, and of no liver


# "Left lobe": of the liver, unless the report is about another organ with lobes.
_LOBES = ("lob", "lappen", "linke", "rechte", "left", "right", "both", "either")
_LOBED = ("thyr", "schilddr", "struma", "goit", "isthm")


def lobes_are_elsewhere(told: Sequence[str], sentences: Sequence[Sentence], rules: Rules) -> bool:
    """Whether a thyroid is spoken of, and no more of the liver than "left lobe"; ``told``: all words of the report."""
    if not any(word.startswith(_LOBED) for word in told):
        return False
    liver = [
        words_of[hit.start]
        for words_of in (sentence.words for sentence in sentences)
        for hit in rules.organs.find(words_of)
        if hit.category == LIVER
    ]
    return all(word.startswith(_LOBES) for word in liver)


# Words of a title that speak of the spine or the pelvis; a trunk beside them has a liver.
_SPINAL = (
    "spin",
    "wirbel",
    "sacr",
    "sakr",
    "kreuzb",
    "lumb",
    "becken",
    "pelvi",
    "iliosakr",
    "hws",
    "bws",
    "lws",
    "vertebr",
)
_TRUNK = ("abd", "oberbauch", "leber", "liver", "hep", "whole", "ganzk", "thora", "rumpf", "trunk", "body", "pet")
# Sentences in which the title stands.
TITLE_SENTENCES = 2


def sacrum_is_examined(sentences: Sequence[Sentence], told: Sequence[Sentence], rules: Rules) -> bool:
    """Whether the title names spine or pelvis, and what is told names no more of the liver than "S1" to "S5"."""
    title = [word for sentence in sentences[:TITLE_SENTENCES] for word in sentence.words]
    spinal = [word for word in title if word.startswith(_SPINAL)]
    if not spinal or (any(word.startswith(_TRUNK) for word in title) and "spine" not in title):
        return False
    named = [
        " ".join(sentence.words[hit.start : hit.end])
        for sentence in told
        for hit in rules.organs.find(sentence.words)
        if hit.category == LIVER
    ]
    return bool(named) and all(_VERTEBRA.fullmatch(name) for name in named)


# "S1" is a vertebra beside other bones.
_VERTEBRA = re.compile(r"s[ .]?[1-5]")
_BONES: tuple[str, ...] = (
    "sacr",
    "sakr",
    "kreuzb",
    "lwk",
    "lws",
    "bwk",
    "vertebr",
    "wirb",
    "spin",
    "lumb",
    "skelet",
    "bone",
    "oss",
)
_BONES += ("knoch", "ili", "ischi", "femur", "rib", "rippe", "disc", "bandscheib", "nerv", "l1", "l2", "l3", "l4", "l5")


def without_vertebrae(organs: list[Hit], words: Sequence[str]) -> list[Hit]:
    """ "Sacrum at the level of S1", "L5/S1": no segment of the liver, which nothing else in the sentence names."""
    if not any(word.startswith(_BONES) for word in words):
        return organs
    vertebrae = [hit for hit in organs if _VERTEBRA.fullmatch(" ".join(words[hit.start : hit.end]))]
    if any(hit.category == LIVER and hit not in vertebrae for hit in organs):
        return organs
    return [hit._replace(category=OTHER) if hit in vertebrae else hit for hit in organs]


def without_landmarks(organs: list[Hit], words: Sequence[str], sentence: Sentence, rules: Rules) -> list[Hit]:
    """ "Segment V near the gallbladder": beside the liver, an organ behind such a word only tells where."""
    if sentence.heading != LIVER and not any(hit.category == LIVER for hit in organs):
        return organs
    behind = {hit.end for hit in rules.landmarks.find(words)}
    return [hit for hit in organs if hit.category == LIVER or not behind & {hit.start, hit.start - 1}]


def coordinated(organs: Sequence[Hit], tokens: Sequence[Token], words: Sequence[str], rules: Rules) -> dict[int, str]:
    """Organ of each organ hit (by start), "liver" if it stands in one list with the liver."""
    group = list(range(len(organs)))
    named = {hit.start for hit in rules.findings.find(words) if hit.category == "lesion"}
    for i in range(1, len(organs)):
        between = _outside_brackets(words[organs[i - 1].end : organs[i].start])
        if "(" in words[organs[i - 1].end : organs[i].start] and organs[i].end in named:
            continue  # "liver S6 (14 mm), mesenteric mass (36 mm)": what the adjective stands before is its own
        if not between and _is_compound(organs[i], words, rules):
            continue  # "foci in the left lobe lymphknotenmetastase 40 mm", dictated: two things
        left_is_compound = not tokens[organs[i - 1].end - 1].hyphen and _is_compound(organs[i - 1], words, rules)
        if not left_is_compound and all(word in rules.joiners for word in between):
            group[i] = group[i - 1]
    with_liver = {group[i] for i, hit in enumerate(organs) if hit.category == LIVER}
    return {hit.start: LIVER if group[i] in with_liver else OTHER for i, hit in enumerate(organs)}


def _outside_brackets(words: Sequence[str]) -> list[str]:
    """ "mediastinum (31 mm) and liver": what a bracket says of an organ does not part the list."""
    depth, out = 0, []
    for word in words:
        depth += word in ("(", "[")
        if not depth:
            out.append(word)
        depth -= word in (")", "]") and depth > 0
    return out


# Words from a lesion to the list of its organs: "Metastasierung eines NET des Ileums (Leber, Mesenterium)".
LIST_REACH = 6


def _heads_list_with_liver(mention: Hit, reading: Reading) -> bool:
    """ "Metastasen: Knochen, Leber", "Metastasierung (Leber bis 12 mm, Peritoneum)": nothing denies the liver's."""
    words = reading.words
    opening = next(
        (i for i in range(mention.end - 1, min(len(words), mention.end + LIST_REACH)) if words[i] in (":", "(")), -1
    )
    if opening < 0 or any(mention.end <= f.start < opening for f in reading.findings):
        return False
    closing = (
        next((i for i in range(opening, len(words)) if words[i] == ")"), len(words))
        if words[opening] == "("
        else len(words)
    )
    inside = [hit for hit in reading.organ_hits if opening < hit.start < closing]
    if len({hit.category for hit in inside}) < 2 or any(
        f.start > opening and f.end <= closing for f in reading.findings
    ):
        return False
    for hit in inside:
        end = next((i for i in range(hit.end, closing) if words[i] in (",", ";")), closing)
        start = next((i + 1 for i in range(hit.start, opening, -1) if words[i] in (",", ";")), opening)
        denied = words[hit.end : hit.end + 1] in (["-"], ["0"], ["neg"], ["negative"], ["negativ"]) or any(
            start <= cue.start < end and cue.category in _DENIES for cue in reading.cues
        )
        if hit.category == LIVER and not denied and not ANSWERS_NO & set(words[hit.start : end]):
            return True
    return False


_DENIES = frozenset({"negation_before", "negation_after", "normal", "resolved", "physiological"})


def _is_compound(hit: Hit, words: Sequence[str], rules: Rules) -> bool:
    """Whether the organ's word is itself a lesion ("Knochenmetastasen"): no further organ belongs to it."""
    return bool(rules.findings.find(words[hit.start : hit.end]))


def organ_of(mention: Hit, reading: Reading, groups: dict[int, str], context: Context) -> tuple[str, bool]:
    if mention.category in ("metastasis", "lesion") and _heads_list_with_liver(mention, reading):
        return LIVER, True
    if mention.category in ("metastasis", "lesion") and _is_named_again(mention, reading):
        return LIVER, True
    best, best_cost = NONE, float("inf")
    if _is_distant(mention, reading) and not any(organ.category == LIVER for organ in reading.organ_hits):
        return NONE, False
    for organ in reading.organ_hits:
        recurs = any(
            f.category == "recurrence" and organ.start < f.end and f.start < organ.end for f in reading.findings
        )
        several = len(reading.organ_hits) > 1
        if recurs and organ.category != LIVER and (several or (context.after_ablation and context.carried == LIVER)):
            continue  # "local recurrence" at the site that the sentence, or the one before, names
        of_liver = context.carried == LIVER or (
            context.carried == NONE and context.default == LIVER and _is_told_of_patient(organ, reading)
        )
        if mention.category == "metastasis" and of_liver and _is_primary_site(organ, mention, reading):
            continue  # "with her pancreatic neuroendocrine tumour a metastasis has to be ruled out"
        cost = distance(mention, organ, reading.words, reading.clauses)
        if cost < best_cost:
            best, best_cost = groups[organ.start], cost
    alone = best == LIVER and all(organ.category == LIVER for organ in reading.organ_hits)
    if best and (best_cost < HEADING_COST or (alone and reading.sentence.heading == OTHER)):
        return best, True  # below "Skelett: ..." a sentence that names no other organ than the liver
    if reading.sentence.heading:
        return reading.sentence.heading, True
    denied = any(
        cue.category == "negation_before" and reading.clauses[cue.start] == reading.clauses[mention.start]
        for cue in reading.cues
    )
    far = best == OTHER and best_cost >= CLAUSE_COST and mention.category == "metastasis" and denied
    if far and LIVER in (context.carried, context.default):
        return LIVER, False  # "A variant of the gastric vein; no metastases": the vein is not spoken of any more
    if best:
        return best, True
    # "Magen und Duodenum unauffällig. Mehrere Metastasen": metastases do not come from an organ that is well.
    if context.carried and (context.carried == LIVER or context.by_lesion or mention.category != "metastasis"):
        return context.carried, False
    return context.default, False


def _is_named_again(mention: Hit, reading: Reading) -> bool:
    """ "Liver metastasis compressing the duct: metastasis 38 mm, duct 14 mm": behind the colon the same one."""
    words = reading.words
    colon = next((i for i in range(mention.start - 1, 0, -1) if words[i] in (":", ";")), -1)
    if colon < 0 or words[colon] != ":" or not any(m.kind == "metastasis" and m.end <= colon for m in reading.mentions):
        return False
    first = next(m for m in reading.mentions if m.kind == "metastasis")
    if {",", ";"} & set(words[first.end : colon]):
        return False  # "liver metastases unchanged; thyroid: nodule 12 mm"
    end = next((i for i in range(mention.end, len(words)) if words[i] in (",", ";")), len(words))
    own = any(colon < hit.start < end for hit in reading.organ_hits)
    return first.organ == LIVER and first.organ_known and not own


_NET = ("neuroend", "net", "nen", "carcinoid", "karzinoid", "primar")


def _is_primary_site(organ: Hit, mention: Hit, reading: Reading) -> bool:
    """An organ that names the primary tumour, which no metastasis is in."""
    apart = organ.end <= mention.start or organ.start >= mention.end
    near = [*reading.words[max(0, organ.start - 3) : organ.start], *reading.words[organ.end : organ.end + 2]]
    return organ.category == OTHER and apart and any(word.startswith(_NET) for word in near)


def _is_told_of_patient(organ: Hit, reading: Reading) -> bool:
    """ "V.a. Metastase bei bek. Rektum-NET", "metastasis in known ileal NET": the tumour that the patient has."""
    before = [word for word in reading.words[max(0, organ.start - 4) : organ.start] if word != "."]
    known = any(word.startswith(("bek", "known", "vorbek")) for word in before[-2:])
    return known and any(word in ("bei", "with", "in") for word in before)


_DISTANT = ("fernmeta", "fernfilia", "distant", "remote", "systemic")


def _is_distant(mention: Hit, reading: Reading) -> bool:
    """ "No nodal involvement or distant metastasis": of any organ, the liver among them."""
    words = reading.words
    return words[mention.start].startswith(_DISTANT) or words[max(0, mention.start - 1)].startswith(_DISTANT)
