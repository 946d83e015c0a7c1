"""Find what a sentence says about lesions: each mention with its organ, and whether it is affirmed.

Organ gate: a mention belongs to the nearest organ of its sentence (coordinated organs count together), to
the organ of the heading, to the organ of the sentence before, or to the examined region, in this order.
Cues ("kein", "no evidence of", "cannot be excluded") act within their clause only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from liverpair.evaluate.labels.answers import ANSWERS_NO, ANSWERS_OPEN, ANSWERS_YES
from liverpair.evaluate.labels.polarity import polarity
from liverpair.evaluate.labels.reading import (
    CLAUSE_COST,
    HEADING_COST,
    LIVER,
    NONE,
    OTHER,
    Mention,
    Reading,
    distance,
)
from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sections import Sentence
from liverpair.evaluate.labels.text import Token

__all__ = ["Context", "Mention", "Reading", "read_sentence"]


class Context(NamedTuple):
    """What a sentence that names no organ speaks of."""

    carried: str  # organ of the sentence before
    by_lesion: bool  # a lesion of that organ was described there
    default: str  # organ of the examination
    is_pet: bool


def read_sentence(sentence: Sentence, rules: Rules, context: Context) -> Reading:
    """Read one sentence in its context."""
    is_pet = context.is_pet
    words = [rules.correct(t.text) if t.kind == "word" else t.text for t in sentence.tokens]
    words = ["," if word in rules.spoken_commas else word for word in words]
    reading = Reading(sentence, words, is_pet)
    organs = rules.organs.find(words)
    reading.organ_hits = _without_landmarks([hit for hit in organs if hit.category != "none"], words, sentence, rules)
    reading.cues = [cue for cue in rules.cues.find(words) if not _between_numbers(cue, sentence.tokens, words, rules)]
    reading.cues += rules.features.find(words)
    reading.reopened = [hit.start for hit in rules.reopens.find(words)]
    reading.clauses = _clauses(sentence.tokens, words, reading.cues, rules)
    groups = _coordinated(reading.organ_hits, sentence.tokens, words, rules)
    found = [hit for hit in rules.findings.find(words) if hit.category != "no_finding"]  # "Metastasensuche"
    found = [hit for hit in found if hit.category != "uptake" or is_pet]
    reading.other_tumour = any(hit.category == "other_tumour" for hit in found)
    findings = [hit._replace(category="benign") if hit.category == "other_tumour" else hit for hit in found]
    findings = [_treated_or_not(hit, reading) for hit in _behind_arrow(findings, words)]
    reading.findings = findings
    singular = {position for hit in rules.singular.find(words) for position in range(hit.start, hit.end)}
    for hit in findings:
        organ, known = _organ_of(hit, reading, groups, context)
        said = polarity(hit, organ, reading, findings, is_pet)
        reading.mentions.append(Mention(hit.category, hit.start, hit.end, organ, known, said, hit.end - 1 in singular))
    reading.mentions += _elided(reading)
    reading.mentions = _share_doubt(_excepted(_relative(reading.mentions, words), reading))
    if _liver_is_denied(reading):
        reading.mentions = [m if m.organ != LIVER else replace(m, polarity="absent") for m in reading.mentions]
    reading.names_liver = sentence.heading == LIVER or any(hit.category == LIVER for hit in organs)
    reading.liver_positive = (is_pet and _liver_is_marked(reading, _PLUS)) or _is_answered(reading, ANSWERS_YES)
    reading.liver_doubted = not reading.mentions and (
        _liver_is_doubted(reading) or _liver_is_marked(reading, ANSWERS_OPEN) or _is_answered(reading, ANSWERS_OPEN)
    )
    reading.liver_course = _tells_course_of_liver(reading)
    if reading.liver_course and {"hedge", "suspicion", "indeterminate"} & {cue.category for cue in reading.cues}:
        reading.liver_course, reading.liver_doubted = False, True
    if is_pet and _is_normal_except(reading, rules):
        reading.cues.append(Hit("study_normal", 0, 1))
    normal_study = (is_pet or context.default == LIVER) and reading.has("study_normal")
    reading.liver_normal = not reading.liver_positive and (normal_study or _liver_is_normal(reading))
    reading.last_organ, reading.last_is_lesion = _last_organ(reading, groups)
    return reading


def _without_landmarks(organs: list[Hit], words: Sequence[str], sentence: Sentence, rules: Rules) -> list[Hit]:
    """ "Segment V near the gallbladder": beside the liver, an organ behind such a word only tells where."""
    if sentence.heading != LIVER and not any(hit.category == LIVER for hit in organs):
        return organs
    behind = {hit.end for hit in rules.landmarks.find(words)}
    return [hit for hit in organs if hit.category == LIVER or not behind & {hit.start, hit.start - 1}]


def _between_numbers(cue: Hit, tokens: Sequence[Token], words: Sequence[str], rules: Rules) -> bool:
    """ "Seven rather than four lesions", "15 statt 18 mm" compare numbers; they neither deny nor doubt."""
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
_REMAINS = ("defekt", "defect", "areal", "hoehle", "cavity", "zone", "area")


def _treated_or_not(hit: Hit, reading: Reading) -> Hit:
    """ "Z.n. RFA, Defekt 30 mm": behind a treatment a defect is what it left, no lesion."""
    remains = hit.category == "lesion" and reading.words[hit.end - 1].endswith(_REMAINS)
    if reading.has("malignant") or any(word.startswith(_ALIVE) for word in reading.words[hit.start : hit.end]):
        return hit  # "at the edge of the ablation zone an enhancing area"
    return hit._replace(category="treated") if remains and reading.has("historical") else hit


def _behind_arrow(findings: Sequence[Hit], words: Sequence[str]) -> list[Hit]:
    """ "V.a. Metastase im CT -> Hämangiom": what stands behind the arrow replaces the diagnosis before it."""
    arrow = next((i for i in range(1, len(words)) if words[i - 1] in ("-", "=") and words[i] == ">"), len(words))
    diagnosed = any(hit.start > arrow and hit.category in ("benign", "metastasis") for hit in findings)
    return [hit for hit in findings if not (diagnosed and hit.category == "metastasis" and hit.end < arrow)]


_ENDS = frozenset({")", ",", ";", ".", "|", "/", "und", "and"})


def _liver_is_denied(reading: Reading) -> bool:
    """ "Metastasen: hepatisch (keine), ossär (BWK 4)": the answer stands in brackets behind the organ."""
    words = reading.words
    return any(
        hit.category == LIVER
        and hit.end + 1 < len(words)
        and words[hit.end] in ("(", ":", "=")
        and words[hit.end + 1] in ANSWERS_NO
        and (words[hit.end] != "(" or hit.end + 2 == len(words) or words[hit.end + 2] in _ENDS)
        for hit in reading.organ_hits
    )


_EXCEPT = frozenset({"ausser", "except", "except for", "apart", "outside", "ausserhalb"})
_LEADING_TO_ORGAN = frozenset({"in", "der", "the", "from", "for", "die", "im", "than", "of", "to", "auf", "bei"})


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


_BUT = frozenset({"but", "aber", "sondern", "jedoch", "dafuer"})


def _elided(reading: Reading) -> list[Mention]:
    """ "No peritoneal metastases, but hepatic ones": the liver's, whose noun is left out."""
    denied = [m for m in reading.mentions if m.kind == "metastasis" and m.organ == OTHER and m.polarity == "absent"]
    for hit in reading.organ_hits:
        named = any(f.start >= hit.start for f in reading.findings)
        if denied and hit.category == LIVER and hit.start >= denied[-1].end and not named:
            if _BUT & set(reading.words[max(denied[-1].end, hit.start - 3) : hit.start]):
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


def _clauses(tokens: Sequence[Token], words: Sequence[str], cues: Sequence[Hit], rules: Rules) -> list[int]:
    """Clause number of every token; clauses begin at adversatives, semicolons, and where a list restarts."""
    starts = {_part_start(cue, words, rules) for cue in cues if cue.category == "terminator"}
    restarts = {hit.start for hit in rules.restart.find(words)}
    numbers = {
        i
        for i, token in enumerate(tokens)
        if (token.kind == "number" and i + 1 < len(tokens)) or words[i] in rules.numbers
    }
    # "DD: Hämangiom, Metastase": what follows the colon is what the cue speaks of.
    introducing = {cue.end for cue in cues if cue.category in ("indeterminate", "hedge", "affirm", "no_other")}
    for i, word in enumerate(words):
        joins = word in (",", "und", "and", "sowie", "-", "/")
        if joins and (i + 1 in restarts or (i + 1 in numbers and word == ",")):
            starts.add(i + 1)
        if word in (";", "|") or words[i - 1 : i + 1] == ["=", ">"] or (word == ":" and i > 0 and i not in introducing):
            starts.add(i + 1)
    resumed, behind = _resumptions(cues, words, rules), _behind_appositions(words, rules)
    clause, latest, before, out = 0, 0, 0, []
    for i in range(len(words)):
        if i in starts:
            before, latest = clause, latest + 1
            clause = latest
        if i in resumed:
            clause = before
        if i in behind:
            clause = out[behind[i]]
        out.append(clause)
    return out


def _resumptions(cues: Sequence[Hit], words: Sequence[str], rules: Rules) -> set[int]:
    """Where a clause goes on behind an exception between commas: "no lesion, apart from a cyst, that suggests"."""
    places = set()
    for cue in cues:
        if (
            cue.category == "terminator"
            and words[cue.start] in rules.exceptions
            and cue.start
            and words[cue.start - 1] == ","
        ):
            comma = next((i for i in range(cue.end, len(words)) if words[i] == ","), len(words))
            places.add(comma + 1)
    return places


def _behind_appositions(words: Sequence[str], rules: Rules) -> dict[int, int]:
    """Verbs behind an apposition, each with a word of the part that they belong to: "the lesions, once 5 cm, are gone"."""
    commas = [i for i, word in enumerate(words) if word == ","]
    return {
        second + 1: first - 1
        for first, second in pairwise(commas)
        if first and second + 1 < len(words) and words[second + 1] in rules.verbs
    }


def _part_start(cue: Hit, words: Sequence[str], rules: Rules) -> int:
    """Where the part that an adversative opens begins: "eine Filia ist aber denkbar" opens before its subject."""
    particle = cue.start > 0 and cue.end - cue.start == 1 and words[cue.start] in rules.particles
    if particle and words[cue.start - 1] in rules.verbs:
        return next((i + 1 for i in range(cue.start - 1, -1, -1) if words[i] in (",", ";")), 0)
    return cue.start


def _coordinated(organs: Sequence[Hit], tokens: Sequence[Token], words: Sequence[str], rules: Rules) -> dict[int, str]:
    """Organ of each organ hit (by start), "liver" if it stands in one list with the liver."""
    group = list(range(len(organs)))
    for i in range(1, len(organs)):
        between = _outside_brackets(words[organs[i - 1].end : organs[i].start])
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
        denied = any(start <= cue.start < end and cue.category in _DENIES for cue in reading.cues)
        if hit.category == LIVER and not denied and not ANSWERS_NO & set(words[hit.start : end]):
            return True
    return False


_DENIES = frozenset({"negation_before", "negation_after", "normal", "resolved", "physiological"})


def _is_compound(hit: Hit, words: Sequence[str], rules: Rules) -> bool:
    """Whether the organ's word is itself a lesion ("Knochenmetastasen"): no further organ belongs to it."""
    return bool(rules.findings.find(words[hit.start : hit.end]))


def _organ_of(mention: Hit, reading: Reading, groups: dict[int, str], context: Context) -> tuple[str, bool]:
    if mention.category in ("metastasis", "lesion") and _heads_list_with_liver(mention, reading):
        return LIVER, True
    best, best_cost = NONE, float("inf")
    if _is_distant(mention, reading) and not any(organ.category == LIVER for organ in reading.organ_hits):
        return NONE, False
    for organ in reading.organ_hits:
        itself = organ.start < mention.end and mention.start < organ.end
        if itself and mention.category == "recurrence" and len(reading.organ_hits) > 1:
            continue  # "local recurrence" at the site that the sentence names
        cost = distance(mention, organ, reading.words, reading.clauses)
        if cost < best_cost:
            best, best_cost = groups[organ.start], cost
    if best and best_cost < HEADING_COST:
        return best, True
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


_DISTANT = ("fernmeta", "fernfilia", "distant", "remote", "systemic")


def _is_distant(mention: Hit, reading: Reading) -> bool:
    """ "No nodal involvement or distant metastasis": of any organ, the liver among them."""
    words = reading.words
    return words[mention.start].startswith(_DISTANT) or words[max(0, mention.start - 1)].startswith(_DISTANT)


def _liver_is_normal(reading: Reading) -> bool:
    if not reading.names_liver:
        return False
    if reading.sentence.heading == LIVER and _only_denies(reading.words):
        return True
    if _liver_is_marked(reading, _MINUS) or _names_nothing_there(reading):
        return True
    liver_clauses = {reading.clauses[hit.start] for hit in reading.organ_hits if hit.category == LIVER}
    if all(organ.category == LIVER for organ in reading.organ_hits) and all(
        mention.polarity in ("ignored", "absent") for mention in reading.mentions
    ):
        # "The liver, which had five metastases in 2018, shows normal uptake today"
        liver_clauses |= {
            reading.clauses[cue.start] for cue in reading.cues if cue.category in ("normal", "physiological")
        }
    gone = {"resolved"} if not reading.mentions else set()
    return any(
        cue.category in {"normal", "physiological", *gone}
        and (reading.sentence.heading == LIVER or reading.clauses[cue.end - 1] in liver_clauses)
        for cue in reading.cues
    )


def _is_normal_except(reading: Reading, rules: Rules) -> bool:
    """ "PET: normal except for the known meningioma": of a whole study, with an exception elsewhere."""
    normal = [cue.end for cue in reading.cues if cue.category == "normal"]
    but = [
        cue.start
        for cue in reading.cues
        if cue.category == "terminator" and reading.words[cue.start] in rules.exceptions
    ]
    if not normal or not but or normal[0] > but[0] or not rules.modalities.find(reading.words[: normal[0]]):
        return False
    return all(organ.category == OTHER and organ.start > but[0] for organ in reading.organ_hits) and not any(
        mention.organ == LIVER and mention.kind != "benign" for mention in reading.mentions
    )


def _only_denies(words: Sequence[str]) -> bool:
    """ "Leber: keine": the line below the heading holds nothing but the answer."""
    content = words[words.index(":") + 1 :] if ":" in words else words
    return [word for word in content if word not in (".", ",")][:2] in [[word] for word in ANSWERS_NO]


def _liver_is_doubted(reading: Reading) -> bool:
    """ "Leber: unklar", "Leber S3 ungeklärt": a doubt about the liver in a sentence that names no lesion."""
    said = {cue.category for cue in reading.cues}
    if "indeterminate" not in said or said & {"deferred", "hypothetical", "negation_before", "normal", "physiological"}:
        return False
    if reading.sentence.question or any(hit.category == OTHER for hit in reading.organ_hits):
        return False
    named = any(hit.category == LIVER for hit in reading.organ_hits)
    return reading.sentence.heading == LIVER or (named and reading.sentence.section == "impression")


_PLUS, _MINUS = frozenset({"+", "pos", "positiv", "positive"}), frozenset({"-", "neg", "negativ", "negative"})


def _liver_is_marked(reading: Reading, marks: frozenset[str]) -> bool:
    """ "Leber pos.", "liver +", "Leber: -": the mark stands right behind the liver and nothing is counted by it."""
    words = reading.words
    for hit in reading.organ_hits:
        at = hit.end
        while at < len(words) and words[at] in (":", "(", ";", "|", "=", "\t"):
            at += 1
        if hit.category != LIVER or at >= len(words) or words[at] not in marks:
            continue
        behind = next((i for i in range(at + 1, len(words)) if words[i] not in ("+", "-", "ve", ")")), len(words))
        if words[at].isalpha() or behind == len(words) or words[behind] in (",", ";", "|", ".", "(", "/"):
            return True
    return False


def _is_answered(reading: Reading, answers: frozenset[str]) -> bool:
    """ "LEBER: ja", "leber befund: suspekt": a line of a form that holds nothing but the answer."""
    words = [word for word in reading.words if word not in (".", ",")]
    colon = words.index(":") if ":" in words else -1
    return reading.sentence.heading == LIVER and colon > 0 and colon + 2 == len(words) and words[-1] in answers


def _tells_course_of_liver(reading: Reading) -> bool:
    """ "Hepatischer Progress", "stable disease in the liver": what progresses or is stable is there."""
    if reading.mentions or reading.sentence.question:
        return False
    denied = {cue.category for cue in reading.cues} & {"negation_before", "negation_after", "pseudo", "hypothetical"}
    told = [cue for cue in reading.cues if cue.category in ("course", "affected")]
    return not denied and any(_speaks_of_liver(cue, reading) for cue in told)


def _speaks_of_liver(cue: Hit, reading: Reading) -> bool:
    """The organ nearest to the cue, or the one that heads its part ("Leber: PD, Knochen: SD"), is the liver."""
    before = [organ for organ in reading.organ_hits if organ.end <= cue.start]
    if before and ":" in reading.words[before[-1].end : cue.start]:
        return before[-1].category == LIVER
    clause = [o for o in reading.organ_hits if reading.clauses[o.start] == reading.clauses[cue.start]]
    return any(o.category == LIVER for o in clause) and not any(o.category == OTHER for o in clause)


_NOTHING = frozenset({"nil", "no", "none", "kein", "keine", "nichts"})


def _names_nothing_there(reading: Reading) -> bool:
    """ "Nil hepatic, nil nodal": a denial of the organ itself, with no lesion in its part of the sentence."""
    words = reading.words
    for hit in reading.organ_hits:
        before = hit.start - 1
        while before > 0 and words[before] in ("in", "der", "the", "an"):
            before -= 1
        if hit.category != LIVER or before < 0 or words[before] not in _NOTHING:
            continue
        if hit.end == len(words) or words[hit.end] in (",", ".", ";", "|", "or", "oder"):
            return not any(reading.clauses[f.start] == reading.clauses[hit.start] for f in reading.findings)
    return False


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
