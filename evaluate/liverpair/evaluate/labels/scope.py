"""Which cues of a sentence reach a mention: by direction, clause, comma and bracket."""

from __future__ import annotations

from liverpair.evaluate.labels.answers import ANSWERS_NO, answer
from liverpair.evaluate.labels.former import is_year, opens_with_then
from liverpair.evaluate.labels.parts import is_of_a_part
from liverpair.evaluate.labels.reading import Reading, distance
from liverpair.evaluate.labels.rules import Hit

__all__ = ["DENIERS", "covering_cues", "covers", "is_in_bracket_of_past"]


def covers(cue: Hit, mention: Hit, reading: Reading, forward: bool, backward: bool, over_comma: bool = True) -> bool:
    """Whether the cue's scope, within its clause, reaches the mention."""
    if cue.start < mention.end and mention.start < cue.end:
        return True
    clauses, words = reading.clauses, reading.words
    if words[cue.start] == "?" and mention.end <= cue.start and "(" in words[mention.end : cue.start - 1]:
        return False  # "four metastases (G3?)": the bracket asks something else
    if cue.end <= mention.start:
        if not forward or clauses[cue.end - 1] != clauses[mention.start]:
            return False
        return over_comma or "," not in words[cue.end : mention.start]
    if not backward or clauses[cue.start] != clauses[mention.end - 1]:
        return False
    return over_comma or "," not in words[mention.end : cue.start]


# (category, reaches forward, reaches backward, crosses commas), strongest reading first.
_SCOPES = (
    ("aside", False, False, False),
    ("deferred", True, True, True),
    ("hypothetical", True, False, False),
    ("indeterminate", True, True, True),
    ("resolved", True, True, True),
    ("no_other", True, False, True),
    ("no_new", True, False, True),
    ("negation_before", True, False, True),
    ("negation_after", False, True, True),
    ("refuted", False, True, True),
    ("historical", True, False, False),
    ("historical_after", False, True, True),
)


DENIERS = frozenset({"none", "no", "nothing", "kein", "keine", "keiner", "keines", "nichts", "neither"})


def covering_cues(hit: Hit, reading: Reading) -> dict[str, Hit]:
    """The scoped cues that reach the mention: of each category the nearest."""
    found: dict[str, Hit] = {}
    for category, forward, backward, over_comma in _SCOPES:
        for cue in reading.cues:
            if cue.category != category:
                continue
            ahead = forward or (category == "negation_after" and _opens_clause(cue, reading))
            backward_too = backward or (category == "negation_before" and _looks_back(cue, reading))
            judged = category == "indeterminate" and _judges_what_stands_before(cue, hit, reading)
            if category == "indeterminate" and _doubts_measure(cue, reading):
                continue
            if cue.end <= hit.start and _stays_in_bracket(cue, hit, reading):
                continue
            later = category in ("negation_after", "resolved", "historical_after") and cue.start >= hit.end
            if later and _has_own_place(cue, hit, reading):
                continue
            if category == "negation_before" and cue.start >= hit.end and _denies_elsewhere(cue, hit, reading):
                continue
            if category == "resolved" and is_of_a_part(reading.words, cue.start):
                continue  # "metastasis of 25 mm, half of it necrotic without enhancement"
            if category == "historical" and _returns_to_today(cue, hit, reading):
                continue
            if category == "resolved" and _resolves_behind_colon(cue, hit, reading):
                found[category] = cue
                continue
            if category == "negation_before" and _is_bare_not(cue, reading):
                over_comma = False  # "not usable on plain CT, metastasis possible"
            if category == "indeterminate" and _judges_another(cue, hit, reading):
                continue
            listed = category == "indeterminate" and _lists_diagnoses(cue, hit, reading)
            if not (judged or listed) and not covers(cue, hit, reading, ahead, backward_too, over_comma):
                continue
            if cue.start >= hit.end and category.startswith("negation") and _is_in_bracket(cue, hit, reading):
                continue
            if category == "negation_after" and cue.start >= hit.end and _has_own_lesion(cue, hit, reading):
                continue
            if category == "negation_after" and _concerns_other_study(cue, hit, reading):
                continue
            if category == "negation_after" and cue.start >= hit.end and _is_attribute(cue, reading):
                continue  # "8 mm spot, receptor-negative metastasis?"
            behind = reading.sentence.tokens[min(cue.end, hit.start)]
            if category == "historical" and behind.kind == "number" and not is_year(behind.text):
                continue  # "the formerly 45 mm metastasis now measures 26 mm"
            if category == "historical" and any(cue.end <= i < hit.start for i in reading.reopened):
                continue
            if judged and cue.start >= hit.end:
                found["judged"] = cue
            known = found.get(category)
            if known is None or distance(cue, hit, reading.words, reading.clauses) < distance(
                known, hit, reading.words, reading.clauses
            ):
                found[category] = cue
    if answer(hit, reading) in ANSWERS_NO:
        found["answered_no"] = Hit("answered_no", hit.end, hit.end + 1)
    return found


def _denies_elsewhere(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Liver recurrence up to 24 mm, nothing outside the liver": the denial's own part names another organ."""
    between = reading.words[hit.end : cue.start]
    if "," not in between:
        return False
    comma = cue.start - 1 - between[::-1].index(",")
    return any(organ.category == "other" and comma < organ.start < cue.start for organ in reading.organ_hits)


_AFTER = frozenset({"post", "after", "following"})
_COMPLEMENTS = frozenset({"of", "for", "to", "in", "from", "with", "and", "at", "within", "both", "all", "on", "by"})


def _returns_to_today(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Post TACE the metastasis measures 40 mm": behind the treatment an article opens the subject of today."""
    words = reading.words
    if words[cue.start] not in _AFTER:
        return False
    return any(words[i] == "the" and words[i - 1] not in _COMPLEMENTS for i in range(cue.end + 1, hit.start))


_FORMER = ("vorbefund", "vorbericht", "vorunters", "voraufnahm", "previous", "prior", "preceding", "earlier")


_STUDY = frozenset(
    {"report", "study", "scan", "mri", "ct", "pet", "exam", "examination", "mrt", "befund", "untersuchung"}
)


def is_in_bracket_of_past(hit: Hit, reading: Reading) -> bool:
    """ "Unlike the previous report (suspected metastasis)": the bracket quotes it."""
    words = reading.words
    opening = next((i for i in range(hit.start - 1, -1, -1) if words[i] in ("(", ")")), -1)
    if opening < 1 or words[opening] != "(":
        return False
    if opens_with_then(opening, words):
        return not any(cue.category == "remains" and cue.start > hit.end for cue in reading.cues)
    named = words[opening - 2] if words[opening - 1] in _STUDY and opening > 1 else words[opening - 1]
    return named.startswith(_FORMER) or _explains_past(opening, hit, reading)


def _explains_past(opening: int, hit: Hit, reading: Reading) -> bool:
    """ "After transplantation for metastases (explant: 30 metastases)": the bracket tells of what was removed."""
    explained = next((f for f in reading.findings if f.end == opening and f.end <= hit.start), None)
    if explained is None or not reading.has("historical"):
        return False
    return any(
        cue.category == "historical" and covers(cue, explained, reading, forward=True, backward=False, over_comma=False)
        for cue in reading.cues
    )


# What is measured: a doubt in a part of the sentence that opens with it is one of the measure.
_MEASURES: tuple[str, ...] = (
    "number",
    "anzahl",
    "zahl",
    "count",
    "size",
    "groess",
    "diameter",
    "durchm",
    "ausdehn",
    "extent",
)
_MEASURES += ("growth", "wachstum", "progres", "zunahme", "increase", "volum", "suvmax")
# "Therefore the number of metastases": words before the measure.
MEASURE_WITHIN = 4


def _doubts_measure(cue: Hit, reading: Reading) -> bool:
    """ "Their number cannot be determined": what is in doubt is how many they are, not what they are."""
    words = reading.words
    start = next((i + 1 for i in range(cue.start - 1, -1, -1) if words[i] in (",", ";", "(", ":")), 0)
    opening = words[start : min(cue.start, start + MEASURE_WITHIN)]
    if _CAUSES & set(opening):
        return False  # "because of its size not to be characterised"
    return any(word.startswith(_MEASURES) for word in opening) and not _DIAGNOSES & {
        f.category for f in reading.findings if f.start >= cue.end
    }


_CAUSES = frozenset({"aufgrund", "wegen", "bei", "because", "due", "given", "owing", "dieser", "such", "this", "mit"})
_DIAGNOSES = frozenset({"metastasis", "benign"})


def _judges_another(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Stable liver metastases, segment 2 focus needs follow-up": the judgement is on the lesion of its own part."""
    between = reading.words[hit.end : cue.start]
    if "," not in between or hit.end > cue.start:
        return False
    comma = cue.start - 1 - between[::-1].index(",")
    own = [f for f in reading.findings if comma < f.start and f.end <= cue.start and f.category == "lesion"]
    return bool(own) and hit.category == "metastasis" and not any(word in _JOINED for word in between)


_DIFFERENTIAL = ("differen", "dd", "d.d.", "ddx", "possibilities", "considerations")


def _lists_diagnoses(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "The differential includes an adenoma, a haemangioma and a metastasis": all of the list are in doubt."""
    named = any(word.startswith(_DIFFERENTIAL) for word in reading.words[cue.start : cue.end])
    return named and cue.end <= hit.start and ";" not in reading.words[cue.end : hit.start]


def _is_bare_not(cue: Hit, reading: Reading) -> bool:
    """ "Nicht", "not" alone deny the words next to them, no list."""
    return cue.end - cue.start == 1 and reading.words[cue.start] in ("nicht", "not")


def _stays_in_bracket(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Unlike the last report (no metastases) there are now two": said in a bracket that closes before the mention."""
    between = reading.words[cue.end : hit.start]
    if ")" not in between or (between and between[0] == ")"):
        return False
    return "(" not in between[: between.index(")")]


def _is_in_bracket(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Three foci in the liver: dome (7 mm), segment 2 (no CT correlate)": a remark on what stands right before it."""
    words = reading.words
    opening = next((i for i in range(cue.start - 1, hit.end - 1, -1) if words[i] in ("(", ")")), -1)
    return opening > hit.end + 1 and words[opening] == "("


_JOINED = frozenset({"und", "oder", "noch", "sowie", "bzw", "and", "or", "nor", "/"})


def _has_own_lesion(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Diffuse Metastasierung, Einzelherde nicht abgrenzbar": the denial's own part names what it denies."""
    between = reading.words[hit.end : cue.start]
    if "," not in between or _JOINED & set(between):
        return False
    comma = cue.start - 1 - between[::-1].index(",")
    return any(comma < finding.start and finding.end <= cue.start for finding in reading.findings)


# "Metastases: one 9 mm, the other no longer seen", "..., the formerly 22 mm one not detectable".
_ANOTHER = frozenset(
    {"other", "others", "another", "second", "third", "former", "formerly", "rest", "remaining", "two"}
)
_ANOTHER |= {
    "andere",
    "anderen",
    "zweite",
    "dritte",
    "ehemals",
    "vormals",
    "ehemalige",
    "uebrigen",
    "restlichen",
    "zwei",
}


def _has_own_place(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Metastases: S2 16 mm, S6 10 mm, S7 no longer seen": what is gone is the one of the last place."""
    between = reading.words[hit.end : cue.start]
    if "," not in between:
        return False
    comma = cue.start - 1 - between[::-1].index(",")
    own = any(organ.category == "liver" and comma < organ.start < cue.start for organ in reading.organ_hits)
    part = reading.words[comma + 1 : cue.start]
    bracketed = ")" in part and "(" not in part[: part.index(")")]  # "(now 46 mm, formerly 50 mm) no longer enhances"
    own = (own or bool(_ANOTHER & set(part))) and not bracketed
    return own and bool({"mm", "cm"} & set(reading.words[hit.end : comma]))


# A denial in its own part of the sentence that names another method: "metastases, on CT not visible".
_SEQUENCES = ("phase", "sequen", "spaetphase", "fruehphase")
_CT = (*_SEQUENCES, "ct", "lowdose", "computertomo", "sono", "ultras", "us", "szinti", "fdg", "nativ", "morpholog")
_PET = ("pet", "dota", "sstr", "ssr", "rezeptor", "receptor")
_MR = ("mr", "kernspin", "magnet")


def _concerns_other_study(cue: Hit, hit: Hit, reading: Reading) -> bool:
    between = reading.words[hit.end : cue.start]
    parted = max((i for i, word in enumerate(between) if word in (",", "(", "-", ";")), default=-1)
    own, other = (_PET, (*_CT, *_MR)) if reading.is_pet else (_MR, (*_CT, *_PET))
    part = [*between[parted + 1 :], *reading.words[cue.end : cue.end + METHOD_REACH]]
    named = any(word.startswith(other) for word in part)
    if parted >= 0 and named and not any(word.startswith(own) for word in part):
        return True
    behind = reading.words[cue.end : cue.end + STUDY_REACH]
    at = next((i for i, word in enumerate(behind) if word.startswith(other)), 0)
    clause = reading.words[hit.end : cue.end + STUDY_REACH]
    # "metastases not visible on the recent outside PET", of an MRI's report
    return (
        at > 0 and behind[0] in _ON and not {",", ";"} & set(behind[:at]) and not any(w.startswith(own) for w in clause)
    )


# Words from the denial to the method: "not visible on CT"; "not seen on the recent outside PET".
METHOD_REACH, STUDY_REACH = 3, 6
_ON = frozenset({"on", "in", "by", "at", "with", "im", "auf", "mittels"})


def _is_attribute(cue: Hit, reading: Reading) -> bool:
    """One word right before a lesion is its attribute and says nothing of what stands before."""
    return cue.end - cue.start == 1 and any(finding.start == cue.end for finding in reading.findings)


def _resolves_behind_colon(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Lebermetastasen nach SIRT: avitale Residuen": what stands behind the colon is said of them."""
    between = reading.words[hit.end : cue.start]
    later = any(
        f.start >= hit.end and f.category in ("metastasis", "lesion") and f.end <= cue.start for f in reading.findings
    )
    return ":" in between and ";" not in between and "." not in between and not later


def _judges_what_stands_before(cue: Hit, hit: Hit, reading: Reading) -> bool:
    """ "8 mm Herd in S3, ohne Diffusionsrestriktion, nicht einzuordnen": a judgement in a clause of its own."""
    clause = reading.clauses[cue.start]
    own = [f for f in reading.findings if reading.clauses[f.start] == clause and f.category != "benign"]
    organs = {organ.category for organ in reading.organ_hits if reading.clauses[organ.start] == clause}
    if own or organs == {"other"} or hit.end > cue.start:
        return False
    before = [f for f in reading.findings if f.end <= cue.start and f.category != "benign"]
    return hit.category == "benign" or (bool(before) and before[-1] == hit)


def _looks_back(cue: Hit, reading: Reading) -> bool:
    """ "Für Lebermetastasen besteht kein Anhalt": a denial with nothing behind it to deny."""
    last = cue.end - cue.start == 1 and reading.words[cue.start] in DENIERS and _closes_part(cue, reading)
    return (cue.end - cue.start > 1 or last) and not any(
        hit.start >= cue.end and reading.clauses[hit.start] == reading.clauses[cue.start] for hit in reading.findings
    )


def _closes_part(cue: Hit, reading: Reading) -> bool:
    """ "Metastasen der Leber finden sich keine": nothing but a stop stands behind it."""
    return cue.end == len(reading.words) or reading.words[cue.end] in (".", ",", ";")


def _opens_clause(cue: Hit, reading: Reading) -> bool:
    """ "Ohne Nachweis von Metastasen": nothing stands before it in its clause that it could deny."""
    clause = reading.clauses[cue.start]
    several = cue.end - cue.start > 1  # "negative liver metastases" are not denied
    return several and not any(f.start < cue.end and reading.clauses[f.start] == clause for f in reading.findings)
