"""Find what a sentence says about lesions: each mention with its organ, and whether it is affirmed.

Organ gate: a mention belongs to the nearest organ of its sentence (coordinated organs count together), to
the organ of the heading, to the organ of the sentence before, or to the examined region, in this order.
Cues ("kein", "no evidence of", "cannot be excluded") act within their clause only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from liverpair.evaluate.labels.rules import Hit, Rules
from liverpair.evaluate.labels.sentences import Sentence
from liverpair.evaluate.labels.text import Token

__all__ = ["Mention", "Reading", "read_sentence"]

# Word distances at which a comma, a clause end, or a heading's organ count when organs compete for a mention.
COMMA_COST = 3
CLAUSE_COST = 10
HEADING_COST = 7

LIVER, OTHER, NONE = "liver", "other", ""
FOLLOW_UP = ("followed", "known")


@dataclass(frozen=True, slots=True, eq=False)
class Mention:
    """One lesion term. ``organ``: liver, other or "" (not said); ``polarity``: see `Reading`."""

    kind: str  # metastasis, lesion, uptake, recurrence, benign
    start: int
    end: int
    organ: str
    organ_known: bool  # named in the sentence or its heading, not carried over
    polarity: str  # present, uncertain, absent, no_new, neutral, benign, ignored
    singular: bool


@dataclass(slots=True, eq=False)
class Reading:
    """A sentence's mentions, and what it says of the liver as a whole."""

    sentence: Sentence
    words: list[str]
    mentions: list[Mention] = field(default_factory=list)
    organ_hits: list[Hit] = field(default_factory=list)
    cues: list[Hit] = field(default_factory=list)
    findings: list[Hit] = field(default_factory=list)
    clauses: list[int] = field(default_factory=list)
    liver_normal: bool = False
    names_liver: bool = False
    last_organ: str = NONE

    def has(self, category: str) -> bool:
        """Whether the sentence holds a cue of this category."""
        return any(cue.category == category for cue in self.cues)


def read_sentence(sentence: Sentence, rules: Rules, carried: str, default: str, is_pet: bool) -> Reading:
    """Read one sentence; ``carried``: organ of the sentence before, ``default``: that of the examination."""
    words = [rules.correct(t.text) if t.kind == "word" else t.text for t in sentence.tokens]
    reading = Reading(sentence, words)
    organs = rules.organs.find(words)
    reading.organ_hits = [hit for hit in organs if hit.category != "none"]
    reading.cues = rules.cues.find(words) + rules.features.find(words)
    reading.clauses = _clauses(sentence.tokens, words, reading.cues, rules)
    groups = _coordinated(reading.organ_hits, sentence.tokens, words, rules)
    findings = [hit for hit in rules.findings.find(words) if hit.category != "uptake" or is_pet]
    reading.findings = findings
    singular = {position for hit in rules.singular.find(words) for position in range(hit.start, hit.end)}
    for hit in findings:
        organ, known = _organ_of(hit, reading, groups, carried, default)
        polarity = _polarity(hit, organ, reading, findings, is_pet)
        reading.mentions.append(
            Mention(hit.category, hit.start, hit.end, organ, known, polarity, hit.end - 1 in singular)
        )
    reading.mentions = _share_doubt(reading.mentions)
    reading.names_liver = sentence.heading == LIVER or any(hit.category == LIVER for hit in organs)
    reading.liver_normal = _liver_is_normal(reading)
    reading.last_organ = _last_organ(reading, groups)
    return reading


def _share_doubt(mentions: list[Mention]) -> list[Mention]:
    """A lesion is as doubtful as the metastasis that its sentence makes of it."""
    doubted = any(m.kind == "metastasis" and m.polarity == "uncertain" for m in mentions)
    sure = any(m.kind == "metastasis" and m.polarity == "present" for m in mentions)
    if not doubted or sure:
        return mentions
    return [
        replace(m, polarity="uncertain") if m.polarity in ("present", "followed") and m.kind != "metastasis" else m
        for m in mentions
    ]


def _clauses(tokens: Sequence[Token], words: Sequence[str], cues: Sequence[Hit], rules: Rules) -> list[int]:
    """Clause number of every token; clauses begin at adversatives, semicolons, and where a list restarts."""
    starts = {cue.start for cue in cues if cue.category == "terminator"}
    restarts = {hit.start for hit in rules.restart.find(words)}
    numbers = {
        i
        for i, token in enumerate(tokens)
        if (token.kind == "number" and i + 1 < len(tokens)) or words[i] in rules.numbers
    }
    for i, word in enumerate(words):
        joins = word in (",", "und", "and", "sowie", "-", "/")
        if joins and (i + 1 in restarts or (i + 1 in numbers and word == ",")):
            starts.add(i + 1)
        if word == ";" or (word == ":" and i > 0):
            starts.add(i + 1)
    clause, out = 0, []
    for i in range(len(words)):
        clause += i in starts
        out.append(clause)
    return out


def _coordinated(organs: Sequence[Hit], tokens: Sequence[Token], words: Sequence[str], rules: Rules) -> dict[int, str]:
    """Organ of each organ hit (by start), "liver" if it stands in one list with the liver."""
    group = list(range(len(organs)))
    for i in range(1, len(organs)):
        between = words[organs[i - 1].end : organs[i].start]
        left_is_compound = not tokens[organs[i - 1].end - 1].hyphen and _is_compound(organs[i - 1], words, rules)
        if not left_is_compound and all(word in rules.joiners for word in between):
            group[i] = group[i - 1]
    with_liver = {group[i] for i, hit in enumerate(organs) if hit.category == LIVER}
    return {hit.start: LIVER if group[i] in with_liver else OTHER for i, hit in enumerate(organs)}


def _is_compound(hit: Hit, words: Sequence[str], rules: Rules) -> bool:
    """Whether the organ's word is itself a lesion ("Knochenmetastasen"): no further organ belongs to it."""
    return bool(rules.findings.find(words[hit.start : hit.end]))


def _organ_of(mention: Hit, reading: Reading, groups: dict[int, str], carried: str, default: str) -> tuple[str, bool]:
    best, best_cost = NONE, float("inf")
    for organ in reading.organ_hits:
        cost = _distance(mention, organ, reading.words, reading.clauses)
        if cost < best_cost:
            best, best_cost = groups[organ.start], cost
    if best and best_cost < HEADING_COST:
        return best, True
    if reading.sentence.heading:
        return reading.sentence.heading, True
    if best:
        return best, True
    if carried:
        return carried, False
    return default, False


def _distance(a: Hit, b: Hit, words: Sequence[str], clauses: Sequence[int]) -> float:
    """Words between two hits, with surcharges for commas and clause ends; what overlaps is at 0."""
    if a.start < b.end and b.start < a.end:
        return 0.0
    first, second = (a, b) if a.end <= b.start else (b, a)
    cost = 0.5
    for word in words[first.end : second.start]:
        cost += COMMA_COST if word == "," else CLAUSE_COST if word == ";" else 1
    if clauses[first.end - 1] != clauses[second.start]:
        cost += COMMA_COST
    return cost


def _covers(cue: Hit, mention: Hit, reading: Reading, forward: bool, backward: bool, over_comma: bool = True) -> bool:
    """Whether the cue's scope, within its clause, reaches the mention."""
    if cue.start < mention.end and mention.start < cue.end:
        return True
    clauses, words = reading.clauses, reading.words
    if cue.end <= mention.start:
        if not forward or clauses[cue.end - 1] != clauses[mention.start]:
            return False
        return over_comma or "," not in words[cue.end : mention.start]
    if not backward or clauses[cue.start] != clauses[mention.end - 1]:
        return False
    return over_comma or "," not in words[mention.end : cue.start]


# (category, reaches forward, reaches backward, crosses commas), strongest reading first.
_SCOPES = (
    ("hypothetical", True, False, False),
    ("indeterminate", True, True, True),
    ("resolved", True, True, True),
    ("no_other", True, False, True),
    ("no_new", True, False, True),
    ("negation_before", True, False, True),
    ("negation_after", False, True, True),
    ("historical", True, False, False),
)


_DENYING = frozenset({"negation_before", "negation_after", "answered_no"})


def _polarity(hit: Hit, organ: str, reading: Reading, findings: Sequence[Hit], is_pet: bool) -> str:
    """What the sentence says of this mention."""
    covering = _covering(hit, reading)
    if hit.category == "benign":
        return "ignored" if (_DENYING | {"hypothetical"}) & covering.keys() else "benign"
    if "hypothetical" in covering or _is_open_question(reading):
        return "ignored"
    denials = [covering[category] for category in _DENYING & covering.keys()]
    if denials and _followed_in_its_own_part(hit, reading):
        denials = []
    if "indeterminate" in covering and not _denial_prevails(denials, covering["indeterminate"], hit, reading):
        return "uncertain"
    negated = bool(denials)
    if "resolved" in covering:
        return "absent"
    if "no_other" in covering:
        return "no_other"
    if "no_new" in covering:
        return "present" if _known_ones_behind(hit, reading) else "no_new"
    if negated:
        return "absent"
    if "historical" in covering:
        return "ignored"
    return _affirmed(hit, reading, findings, is_pet, organ)


def _denial_prevails(denials: Sequence[Hit], doubt: Hit, hit: Hit, reading: Reading) -> bool:
    """Of a denial and a doubt the nearer one holds; a denied doubt ("keine unklaren Herde") is a denial."""
    for denial in denials:
        if denial.end <= doubt.start and doubt.end <= hit.start:
            return True
        near, far = (_distance(cue, hit, reading.words, reading.clauses) for cue in (denial, doubt))
        if near <= far:
            return True
    return False


def _covering(hit: Hit, reading: Reading) -> dict[str, Hit]:
    """The scoped cues that reach the mention: of each category the nearest."""
    found: dict[str, Hit] = {}
    for category, forward, backward, over_comma in _SCOPES:
        for cue in reading.cues:
            if cue.category != category:
                continue
            backward_too = backward or (category == "negation_before" and _looks_back(cue, reading))
            if not _covers(cue, hit, reading, forward, backward_too, over_comma):
                continue
            known = found.get(category)
            if known is None or _distance(cue, hit, reading.words, reading.clauses) < _distance(
                known, hit, reading.words, reading.clauses
            ):
                found[category] = cue
    if _answered_no(hit, reading):
        found["answered_no"] = Hit("answered_no", hit.end, hit.end + 1)
    return found


def _ends_clause(cue: Hit, reading: Reading) -> bool:
    """ "Metastasierung der Leber fraglich": at most a verb stands behind the cue in its clause."""
    words = [
        i
        for i in range(cue.end, len(reading.words))
        if reading.clauses[i] == reading.clauses[cue.start] and reading.sentence.tokens[i].kind == "word"
    ]
    return len(words) <= 1


def _known_ones_behind(hit: Hit, reading: Reading) -> bool:
    """ "Keine neuen Lebermetastasen, die bekannten unverändert": the known ones are metastases too."""
    return any(cue.category == "known" and cue.start >= hit.end for cue in reading.cues) and not any(
        finding.start >= hit.end for finding in reading.findings
    )


def _looks_back(cue: Hit, reading: Reading) -> bool:
    """ "Für Lebermetastasen besteht kein Anhalt": a denial with nothing behind it to deny."""
    return cue.end - cue.start > 1 and not any(
        hit.start >= cue.end and reading.clauses[hit.start] == reading.clauses[cue.start] for hit in reading.findings
    )


def _is_open_question(reading: Reading) -> bool:
    """A sentence that only asks ("Lebermetastasen?") and describes nothing."""
    return reading.sentence.question and not any(token.kind == "number" for token in reading.sentence.tokens)


def _answered_no(hit: Hit, reading: Reading) -> bool:
    """ "Lebermetastasen: nein", "Liver metastases: none"."""
    words = [word for word in reading.words[hit.end :] if word != "."]
    return (
        len(words) >= 2
        and words[0] == ":"
        and words[1] in {"nein", "keine", "kein", "none", "no", "nil", "negativ", "negative", "nicht"}
    )


def _followed_in_its_own_part(hit: Hit, reading: Reading) -> bool:
    """ "Kein Aszites, Lebermetastasen unverändert": a follow-up word in its own part rescues the mention."""
    words = reading.words
    commas = [i for i, word in enumerate(words[: hit.start]) if word == ","]
    if not commas or any(cue.category.startswith("neg") and commas[-1] < cue.start < hit.start for cue in reading.cues):
        return False
    next_comma = next((i for i in range(hit.end, len(words)) if words[i] == ","), len(words))
    return any(cue.category in FOLLOW_UP and commas[-1] < cue.start < next_comma for cue in reading.cues)


def _affirmed(hit: Hit, reading: Reading, findings: Sequence[Hit], is_pet: bool, organ: str) -> str:
    """Present, uncertain, benign or neutral for a mention that nothing denies."""
    cues = reading.cues
    same_clause = [cue for cue in cues if reading.clauses[cue.start] == reading.clauses[hit.start]]
    hedged = any(
        (cue.category == "hedge" and _covers(cue, hit, reading, forward=True, backward=False, over_comma=False))
        or (cue.category == "hedge" and _ends_clause(cue, reading) and _covers(cue, hit, reading, True, True, False))
        or (cue.category == "hedge_after" and _covers(cue, hit, reading, True, True, False))
        for cue in cues
    )
    if any(cue.category == "affirm" for cue in same_clause):
        hedged = False
    if hit.category == "metastasis":
        if hedged:
            return "uncertain"
        suspected = any(cue.category == "suspicion" and _covers(cue, hit, reading, True, False) for cue in cues)
        return "present" if not suspected or _is_concrete(reading) or _has_affirm(cues) else "uncertain"
    if hit.category == "recurrence":
        return "uncertain" if hedged else "present"
    if _called_benign(reading, findings):
        return "benign"
    if is_pet and any(cue.category == "non_avid" for cue in cues):
        return "absent"
    if hit.category == "uptake":
        return _uptake(reading, same_clause, hedged, organ)
    if _qualified(reading, hit, "malignant") or (
        reading.has("suspicion") and (_is_concrete(reading) or _has_affirm(cues))
    ):
        return "uncertain" if hedged else "present"
    if _metastasis_affirmed(reading, findings):
        return "uncertain" if hedged else "neutral"
    if hedged or reading.has("suspicion"):
        return "uncertain"
    return "followed" if any(cue.category in FOLLOW_UP for cue in cues) else "neutral"


def _uptake(reading: Reading, clause: Sequence[Hit], hedged: bool, organ: str) -> str:
    """Uptake counts where it is focal or raised, and in the liver."""
    if any(cue.category == "physiological" for cue in clause) or organ != LIVER:
        return "ignored"
    if not any(cue.category in ("focal", "malignant") for cue in clause):
        return "ignored"
    return "uncertain" if hedged else "present"


def _has_affirm(cues: Sequence[Hit]) -> bool:
    return any(cue.category == "affirm" for cue in cues)


def _qualified(reading: Reading, hit: Hit, category: str) -> bool:
    """A qualifier of this category in the sentence that no negation reaches."""
    for cue in reading.cues:
        if cue.category != category:
            continue
        denied = any(
            other.category in ("negation_before", "non_avid")
            and other.end <= cue.start
            and reading.clauses[other.start] == reading.clauses[cue.start]
            and "," not in reading.words[other.end : cue.start]
            for other in reading.cues
        )
        if not denied:
            return True
    return False


def _called_benign(reading: Reading, findings: Sequence[Hit]) -> bool:
    """A benign diagnosis in the sentence that no competing metastasis stands beside."""
    benign = [hit for hit in findings if hit.category == "benign" and not _denied(hit, reading)]
    rivals = [hit for hit in findings if hit.category == "metastasis" and not _denied(hit, reading)]
    return bool(benign) and not rivals and not _qualified(reading, benign[0], "malignant")


def _metastasis_affirmed(reading: Reading, findings: Sequence[Hit]) -> bool:
    return any(hit.category == "metastasis" and not _denied(hit, reading) for hit in findings)


def _denied(hit: Hit, reading: Reading) -> bool:
    return bool((_DENYING | {"hypothetical"}) & _covering(hit, reading).keys())


def _is_concrete(reading: Reading) -> bool:
    """The sentence shows a finding rather than a thought: a size, a segment, a feature."""
    return (
        any(cue.category in ("malignant", *FOLLOW_UP) for cue in reading.cues)
        or any(token.kind == "number" for token in reading.sentence.tokens)
        or any(reading.words[hit.start].startswith("seg") for hit in reading.organ_hits)
    )


def _liver_is_normal(reading: Reading) -> bool:
    if not reading.names_liver:
        return False
    liver_clauses = {reading.clauses[hit.start] for hit in reading.organ_hits if hit.category == LIVER}
    return any(
        cue.category in ("normal", "physiological")
        and (reading.sentence.heading == LIVER or reading.clauses[cue.end - 1] in liver_clauses)
        for cue in reading.cues
    )


def _last_organ(reading: Reading, groups: dict[int, str]) -> str:
    """The organ that the next sentence speaks of if it names none."""
    lesions = [m for m in reading.mentions if m.organ and m.kind != "recurrence"]
    if lesions:
        return LIVER if any(m.organ == LIVER for m in lesions) else OTHER
    if groups:
        return groups[max(groups)]
    return NONE
