"""Find what a sentence says about lesions: each mention with its organ, and whether it is affirmed.

Organ gate: a mention belongs to the nearest organ of its sentence (coordinated organs count together), to
the organ of the heading, to the organ of the sentence before, or to the examined region, in this order.
Cues ("kein", "no evidence of", "cannot be excluded") act within their clause only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from liverpair.evaluate.labels.answers import ANSWERS_NO, ANSWERS_OPEN, ANSWERS_YES
from liverpair.evaluate.labels.clauses import clauses_of
from liverpair.evaluate.labels.frames import in_bracket_of_history, told_by_others
from liverpair.evaluate.labels.liver import (
    PLUS,
    holds_several,
    is_answered,
    is_measured_focus,
    is_normal_except,
    liver_is_doubted,
    liver_is_marked,
    liver_is_normal,
    tells_course_of_liver,
)
from liverpair.evaluate.labels.organs import Context, coordinated, organ_of, without_landmarks, without_vertebrae
from liverpair.evaluate.labels.parallels import sharing_verdicts, weighing
from liverpair.evaluate.labels.polarity import polarity
from liverpair.evaluate.labels.reading import (
    LIVER,
    NONE,
    OTHER,
    Mention,
    Reading,
)
from liverpair.evaluate.labels.rivals import joins_no_diagnoses
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sections import Sentence
from liverpair.evaluate.labels.text import Token

__all__ = ["Context", "Mention", "Reading", "read_sentence"]


def read_sentence(sentence: Sentence, rules: Rules, context: Context) -> Reading:
    """Read one sentence in its context."""
    is_pet = context.is_pet
    words = [rules.correct(t.text) if t.kind == "word" else t.text for t in sentence.tokens]
    words = ["," if word in rules.spoken_commas else word for word in words]
    reading = Reading(sentence, words, is_pet, after_ablation=context.after_ablation)
    organs = without_vertebrae(rules.organs.find(words), words)
    if context.lobes_elsewhere:
        organs = [hit._replace(category=OTHER) if hit.category == LIVER else hit for hit in organs]
    reading.organ_hits = without_landmarks([hit for hit in organs if hit.category != "none"], words, sentence, rules)
    if history := in_bracket_of_history(words):
        reading.organ_hits = [hit for hit in reading.organ_hits if hit.start not in history]
    reading.cues = [cue for cue in rules.cues.find(words) if not _between_numbers(cue, sentence.tokens, words, rules)]
    reading.cues += rules.features.find(words)
    reading.reopened = [hit.start for hit in rules.reopens.find(words)]
    reading.told = told_by_others(words, reading.cues, rules)
    if len(reading.told) < len(words):  # what another calls suspicious is no suspicion of this reader
        reading.cues = [cue for cue in reading.cues if cue.start not in reading.told]
    reading.clauses = clauses_of(sentence.tokens, words, reading.cues, rules)
    groups = coordinated(reading.organ_hits, sentence.tokens, words, rules)
    found = [hit for hit in rules.findings.find(words) if hit.category != "no_finding"]  # "Metastasensuche"
    found = [hit for hit in found if hit.category != "uptake" or is_pet]
    reading.other_tumour = any(hit.category == "other_tumour" for hit in found)
    findings = [hit._replace(category="benign") if hit.category == "other_tumour" else hit for hit in found]
    findings = [_treated_or_not(hit, reading, context.after_ablation) for hit in _behind_arrow(findings, words)]
    findings = [hit for hit in _without_places(findings, words) if not _is_texture(hit, words)]
    reading.findings = findings
    reading.cues = [cue for cue in reading.cues if not joins_no_diagnoses(cue, findings, reading)]
    singular = {position for hit in rules.singular.find(words) for position in range(hit.start, hit.end)}
    for hit in findings:
        organ, known = organ_of(hit, reading, groups, context)
        said = polarity(hit, organ, reading, findings, is_pet)
        reading.mentions.append(Mention(hit.category, hit.start, hit.end, organ, known, said, hit.end - 1 in singular))
    reading.mentions += _elided(reading)
    reading.mentions = sharing_verdicts(_excepted(_relative(reading.mentions, words), reading), reading)
    reading.mentions = _share_doubt(weighing(reading.mentions, reading))
    if _liver_is_denied(reading):
        reading.mentions = [m if m.organ != LIVER else replace(m, polarity="absent") for m in reading.mentions]
    reading.names_liver = sentence.heading == LIVER or any(hit.category == LIVER for hit in organs)
    reading.liver_positive = (
        (is_pet and liver_is_marked(reading, PLUS))
        or is_answered(reading, ANSWERS_YES)
        or holds_several(reading, rules)
        or is_measured_focus(reading, rules)
    )
    named = [m for m in reading.mentions if m.kind != "benign" or m.polarity != "ignored"]
    reading.liver_doubted = not named and (
        liver_is_doubted(reading) or liver_is_marked(reading, ANSWERS_OPEN) or is_answered(reading, ANSWERS_OPEN)
    )
    reading.liver_course = tells_course_of_liver(reading)
    if reading.liver_course and {"hedge", "suspicion", "indeterminate"} & {cue.category for cue in reading.cues}:
        reading.liver_course, reading.liver_doubted = False, True
    if is_pet and is_normal_except(reading, rules):
        reading.cues.append(Hit("study_normal", 0, 1))
    normal_study = (is_pet or context.default == LIVER) and reading.has("study_normal")
    reading.liver_normal = not reading.liver_positive and (normal_study or liver_is_normal(reading))
    reading.last_organ, reading.last_is_lesion = _last_organ(reading, groups)
    return reading


def _between_numbers(cue: Hit, tokens: Sequence[Token], words: Sequence[str], rules: Rules) -> bool:
    """ "Seven rather than four lesions", "15 statt 18 mm" compare numbers; they neither deny nor doubt."""
    if words[cue.start : cue.end] == ["no"] and words[cue.end : cue.end + 1] == ["."]:
        return cue.end + 1 < len(words) and tokens[cue.end + 1].kind == "number"  # "lesion no. 3"
    sides = (cue.start - 1, cue.end + (words[cue.end : cue.end + 1] == ["."]))
    following = sides[1] < len(words) and (
        tokens[sides[1]].kind in ("number", "date") or bool(rules.sizes.find([words[sides[1]]]))
    )
    if words[cue.start] in ("vs", "versus") and following:
        return True  # "vs 2/2015: progression", "stable vs prior"
    if cue.category == "negation_before" and words[cue.start] in _INSTEAD and following:
        return True  # "statt 3,3 mm muss es 3,3 cm heißen"
    return cue.category == "negation_before" and all(
        0 <= i < len(words) and (tokens[i].kind == "number" or words[i] in rules.numbers) for i in sides
    )


_INSTEAD = frozenset({"statt", "anstelle", "anstatt", "instead", "rather"})
# What a treatment leaves behind.
_ALIVE = ("enhanc", "anreicher", "suspic", "suspek", "hyperint")
_REMAINS: tuple[str, ...] = (
    "defekt",
    "defect",
    "areal",
    "hoehle",
    "cavity",
    "zone",
    "area",
    "hypodensity",
    "hypodensitaet",
)
_REMAINS += ("defekte", "defekten", "defects", "areale", "hoehlen", "cavities", "zones", "zonen", "areas")


def _treated_or_not(hit: Hit, reading: Reading, after_ablation: bool) -> Hit:
    """ "Z.n. RFA, Defekt 30 mm": behind a treatment a defect is what it left, no lesion."""
    remains = hit.category == "lesion" and reading.words[hit.end - 1].endswith(_REMAINS)
    if remains and after_ablation and not _is_alive_in_its_part(hit, reading):
        return hit._replace(category="treated")
    if reading.has("malignant") or any(word.startswith(_ALIVE) for word in reading.words[hit.start : hit.end]):
        return hit  # "at the edge of the ablation zone an enhancing area"
    told = any(cue.category == "historical" and reading.words[cue.start] != "dort" for cue in reading.cues)
    return hit._replace(category="treated") if remains and told else hit  # "dort eine 7 mm kleine Hypodensität"


def _is_alive_in_its_part(hit: Hit, reading: Reading) -> bool:
    """ "Defect 38 mm, at its edge a new enhancing nodule": what another part tells is not said of the defect."""
    words = reading.words
    start = next((i + 1 for i in range(hit.start - 1, -1, -1) if words[i] in (",", ";", ":")), 0)
    end = next((i for i in range(hit.end, len(words)) if words[i] in (",", ";")), len(words))
    features = any(cue.category == "malignant" and start <= cue.start < end for cue in reading.cues)
    return features or any(word.startswith(_ALIVE) for word in words[start:end])


_EDGES = ("rand", "edge", "margin", "rim", "border", "saum", "peripher")
# Words from the edge to what it is the edge of: "edge of the scar".
EDGE_REACH = 3


def _without_places(findings: list[Hit], words: Sequence[str]) -> list[Hit]:
    """ "At the edge of the scar a 9 mm nodule": what only tells where a lesion lies is not what it is."""
    lesions = any(hit.category in ("lesion", "metastasis", "recurrence") for hit in findings)
    return [
        hit
        for hit in findings
        if not lesions
        or hit.category != "benign"
        or not any(word.startswith(_EDGES) for word in words[max(0, hit.start - EDGE_REACH) : hit.start])
    ]


_CYSTIC = ("zystisch", "cystic", "fatty", "verkalk", "calcif", "kalk", "kalzif", "einblut")
_TEXTURES: tuple[str, ...] = (
    "nekro",
    "necro",
    "zentral",
    "central",
    "teil",
    "part",
    "degener",
    "einge",
    "solid",
    "focally",
)
_TEXTURES += ("transform", "umwandl")
_TEXTURES += ("anteil", "komponent", "component", "portion", "intern", "kern", "core")
# "Enthält kleine Verkalkungen", "contains coarse calcifications".
_HOLDING = ("enthaelt", "enthalten", "contain", "harbour", "harbor")
HOLDING_REACH = 5


def _is_texture(hit: Hit, words: Sequence[str]) -> bool:
    """ "62 mm, centrally cystic and necrotic": how a lesion looks inside, not what it is."""
    if hit.category != "benign" or not words[hit.start].startswith(_CYSTIC):
        return False
    beside = [*words[max(0, hit.start - 1) : hit.start], *words[hit.end : hit.end + 2]]
    held = any(word.startswith(_HOLDING) for word in words[max(0, hit.start - HOLDING_REACH) : hit.start])
    return held or any(word.startswith(_TEXTURES) for word in beside)


def _behind_arrow(findings: Sequence[Hit], words: Sequence[str]) -> list[Hit]:
    """ "V.a. Metastase im CT -> Hämangiom": what stands behind the arrow replaces the diagnosis before it."""
    arrow = next((i for i in range(1, len(words)) if words[i - 1] in ("-", "=") and words[i] == ">"), len(words))
    diagnosed = any(hit.start > arrow and hit.category in ("benign", "metastasis") for hit in findings)
    return [hit for hit in findings if not (diagnosed and hit.category == "metastasis" and hit.end < arrow)]


_ENDS = frozenset({")", ",", ";", ".", "|", "/", "und", "and"})


def _liver_is_denied(reading: Reading) -> bool:
    """ "Metastasen: hepatisch (keine), ossär (BWK 4)": the answer stands in brackets behind the organ."""
    words = reading.words
    # "Liver: no change" denies nothing.
    courses = {cue.start for cue in reading.cues if cue.category in ("pseudo", "no_new", "no_other")}
    return any(
        hit.category == LIVER
        and hit.end + 1 < len(words)
        # "S2: 17 mm, S5: 14 mm, S8: none": only the last segment's
        and not (words[hit.start][0] == "s" and {"mm", "cm"} & set(words[: hit.start]))
        and (
            (
                words[hit.end] in ("(", ":", "=")
                and words[hit.end + 1] in ANSWERS_NO
                and (words[hit.end] != "(" or hit.end + 2 == len(words) or words[hit.end + 2] in _ENDS)
                and hit.end + 1 not in courses
            )
            or (words[hit.end] == "-" and words[hit.end + 1] in _ENDS and ":" in words[: hit.start])
        )
        for hit in reading.organ_hits
    )


_EXCEPT = frozenset({"ausser", "except", "apart", "outside", "ausserhalb", "other", "aside", "besides", "save"})
_EXCEPT |= {"abgesehen", "ausnahme", "bis", "excepting", "excluding", "barring"}
_LEADING_TO_ORGAN = frozenset({"in", "der", "the", "from", "for", "die", "im", "than", "of", "to", "auf", "bei", "von"})
_LEADING_TO_ORGAN |= {"those", "denen", "innerhalb", "within", "jene", "jenen"}


def _excepted(mentions: list[Mention], reading: Reading) -> list[Mention]:
    """ "Außer in der Leber keine Metastasen" affirms, "metastases everywhere except the liver" denies the liver's."""
    words = reading.words
    for hit in reading.organ_hits:
        before = hit.start - 1
        while before >= 0 and words[before] in _LEADING_TO_ORGAN:
            before -= 1
        inside = any(m.start < hit.end and hit.start < m.end for m in mentions)
        if hit.category != LIVER or inside or before < 0 or words[before] not in _EXCEPT:
            continue
        swap = {"absent": "present", "present": "absent"}
        return [
            replace(m, organ=LIVER, organ_known=True, polarity=swap[m.polarity])
            if m.kind == "metastasis" and m.polarity in swap
            else m
            for m in mentions
        ]
    return mentions


# Words from the adversative to the organ: "but hepatic ones", "wohl aber in der Leber".
ELLIPSIS_REACH = 3
_BUT = frozenset({"but", "aber", "sondern", "jedoch", "dafuer"})


def _elided(reading: Reading) -> list[Mention]:
    """ "No peritoneal metastases, but hepatic ones": the liver's, whose noun is left out."""
    denied = [m for m in reading.mentions if m.kind == "metastasis" and m.organ == OTHER and m.polarity == "absent"]
    for hit in reading.organ_hits:
        named = any(f.start >= hit.start for f in reading.findings)
        behind = bool(denied) and hit.category == LIVER and hit.start >= denied[-1].end and not named
        if behind and _BUT & set(reading.words[max(denied[-1].end, hit.start - ELLIPSIS_REACH) : hit.start]):
            return [Mention("metastasis", hit.start, hit.end, LIVER, True, "present", False)]
    return []


_RELATIVE = frozenset({"die", "der", "das", "welche", "welcher", "welches", "that", "which"})


def _relative(mentions: list[Mention], words: Sequence[str]) -> list[Mention]:
    """ "Kein Herd, der an eine Metastase denken lässt": what a denied lesion would be is denied with it."""
    out = list(mentions)
    for i in range(1, len(out)):
        before, named = out[i - 1], out[i]
        between = words[before.end : named.start]
        comma = next((at for at, word in enumerate(between[:3]) if word == ","), -1)
        related = between[:1] == ["that"] or (0 <= comma < len(between) - 1 and between[comma + 1] in _RELATIVE)
        if before.kind == "lesion" and before.polarity == "absent" and named.kind == "metastasis" and related:
            out[i] = replace(named, polarity="absent")
    return out


def _share_doubt(mentions: list[Mention]) -> list[Mention]:
    """A lesion is as doubtful as the metastasis that its sentence makes of it."""
    doubted = any(m.kind in ("metastasis", "recurrence") and m.polarity == "uncertain" for m in mentions)
    sure = any(m.kind == "metastasis" and m.polarity == "present" for m in mentions)
    if not doubted or sure:
        return mentions
    return [
        replace(m, polarity="uncertain") if m.polarity in ("present", "followed") and m.kind != "metastasis" else m
        for m in mentions
    ]


def _last_organ(reading: Reading, groups: dict[int, str]) -> tuple[str, bool]:
    """The organ that the next sentence speaks of if it names none, and whether a lesion was described there."""
    lesions = [m for m in reading.mentions if m.organ and m.kind != "recurrence"]
    if lesions:
        organ = LIVER if any(m.organ == LIVER for m in lesions) else OTHER
        secondary = [m for m in lesions if not any(w.startswith("prim") for w in reading.words[m.start : m.end])]
        return organ, any(m.polarity not in ("absent", "ignored", "benign") for m in secondary)
    if groups:
        return groups[max(groups)], False
    return NONE, False
