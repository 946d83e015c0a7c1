"""Whether a named metastasis is one of two diagnoses, a former diagnosis taken back, or graded on a scale."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["grade", "is_one_of_two", "is_taken_back", "joins_no_diagnoses", "was_called"]

# "Perfusion anomaly or small hypervascular metastasis": words from one diagnosis to its alternative.
ALTERNATIVE_REACH = 6
_OR = frozenset({"oder", "or", "bzw", "/", "vs", "versus", "gegen", "beziehungsweise", "?"})
_SEPARATORS = frozenset({",", ";", ":"})
_COPULAS = frozenset(
    {
        "revised",
        "revidieren",
        "revidiert",
        "herausgestellt",
        "erwiesen",
        "entpuppt",
        "entpuppte",
        "turned",
        "proven",
        "showed",
    }
    | {"is", "was", "are", "were", "represents", "represent", "corresponds", "proves", "proved", "appears", "turns"}
    | {"ist", "sind", "war", "waren", "entspricht", "entsprechen", "handelt", "stellt", "erweist", "erwies", "zeigt"}
)
_MAY = ("kann", "koenn", "could", "may", "might", "can", "moegl", "possib", "perhaps", "eventuell", "evtl")
_FURTHER = frozenset(
    {"further", "other", "others", "another", "additional", "weitere", "weiteren", "andere", "anderen"}
)
_CONTRASTS = frozenset({"but", "aber", "jedoch", "oder", "or", "dd", "versus", "vs"})
# "Likelihood of metastasis: 3 of 5": shares of the scale up to which the answer is no, and undecided.
GRADE_NO, GRADE_OPEN = 0.45, 0.75
# "Probability of metastasis below 5 %": shares at which a number says no, and yes.
PERCENT_NO, PERCENT_YES = 0.10, 0.90
_OF = frozenset({"of", "von", "/", "out"})
# Words from the scale's name to its number.
GRADE_REACH = 6


def is_one_of_two(hit: Hit, findings: Sequence[Hit], reading: Reading) -> bool:
    """ "Zysten oder Metastasen": the other of two diagnoses is benign."""
    clause = reading.clauses[hit.start]
    listed = [word for i, word in enumerate(reading.words) if i >= hit.end and reading.clauses[i] == clause]
    if _OR & set(listed) and any(cue.category == "indeterminate" for cue in reading.cues):
        return True  # "remains unexplained; metastasis, misregistration or noise"
    for other in findings:
        if other.category != "benign":
            continue
        low, high = (other.end, hit.start) if other.end <= hit.start else (hit.end, other.start)
        between = reading.words[low:high]
        if 0 < len(between) <= ALTERNATIVE_REACH and _OR & set(between) and not _SEPARATORS & set(between):
            return True
    return False


def is_taken_back(hit: Hit, findings: Sequence[Hit], reading: Reading) -> bool:
    """ "The lesion reported as a metastasis is a haemangioma", "die als Metastase gewertete Läsion ist eine Zyste"."""
    benign = [other for other in findings if other.category == "benign" and other.start >= hit.end]
    if not benign or not reading.has("reported"):
        return False
    told = [cue.start for cue in reading.cues if cue.category == "reported" and cue.start < benign[0].start]
    rivals = [other for other in findings if other.category == "metastasis" and other.start >= hit.end]
    behind = set(reading.words[hit.end :])
    between = reading.words[hit.end : benign[0].start]
    if any(word.startswith(_MAY) for word in between):
        return False  # "may also be an adenoma"
    if ";" in between or _FURTHER & set(between):
        return False  # "one suspected metastasis, two further lesions are cysts"
    if hit.category == "metastasis" and _is_called_formerly(hit, benign[0], reading):
        return False
    if hit.category == "lesion":  # "thought to be metastases, are haemangiomas": the former name lies between
        rivals = [other for other in rivals if other.start > benign[0].start]
    return bool(told) and not rivals and bool(_COPULAS & behind) and not _CONTRASTS & behind


# What befalls metastases: "no new metastases or growth of the known ones".
_COURSES: tuple[str, ...] = (
    "change",
    "aender",
    "veraender",
    "progress",
    "growth",
    "wachst",
    "smaller",
    "larger",
    "enlarg",
    "kleiner",
)
_COURSES += ("groesser", "zunahme", "increas", "decreas", "regress", "gone", "resolved", "unchanged", "stab")
_COURSES += ("new", "neu")
_PLURAL = ("metastases", "metastasen")
_THE = frozenset({"the", "des", "der", "dem", "known", "bekannt", "bekannten"})


def joins_no_diagnoses(cue: Hit, findings: Sequence[Hit], reading: Reading) -> bool:
    """ "No change in the liver metastases or the nodes": behind "or" stands another organ or a course, no diagnosis."""
    words = reading.words
    if cue.category != "indeterminate" or words[cue.end - 1] not in ("or", "oder"):
        return False
    end = min(len(words), cue.end + ALTERNATIVE_REACH)
    end = next((i for i in range(cue.end, end) if words[i] in (*_SEPARATORS, "(")), end)
    if any(f.category == "benign" and cue.end <= f.start < end for f in findings):
        return False
    known = words[cue.start] in _PLURAL or bool(_THE & set(words[cue.end : end]))
    organs = [hit for hit in reading.organ_hits if hit.category == "other" and cue.end <= hit.start < end]
    other = any(known or not words[hit.start].startswith("prim") for hit in organs)
    return other or any(word.startswith(_COURSES) for word in words[cue.end : end])


_AS = frozenset({"as", "to", "be", "for", "a", "an", "als", "ein", "eine", "einer", "benign", "the"})


def _is_called_formerly(hit: Hit, benign: Hit, reading: Reading) -> bool:
    """ "Three metastases, one of which was interpreted as a haemangioma": the benign name is the one taken back."""
    told = [cue for cue in reading.cues if cue.category == "reported" and hit.end <= cue.start < benign.start]
    between = reading.words[told[-1].end : benign.start] if told else []
    return bool(between) and all(word in _AS for word in between)


_FORMERLY: tuple[str, ...] = (
    *("former", "previous", "initial", "original", "hitherto", "until", "once", "earlier"),
    *("bislang", "bisher", "frueher", "vormals", "zuvor", "urspruenglich", "zunaechst", "vorher", "damals", "ehemals"),
)
_CALLED: tuple[str, ...] = (
    *(
        "regarded",
        "thought",
        "interpreted",
        "called",
        "classif",
        "considered",
        "label",
        "reported",
        "diagnosed",
        "read",
    ),
    *("described", "taken", "assumed", "characteri", "gewertet", "gedeutet", "eingestuft", "angesehen", "beschrieben"),
    *(
        "klassifiziert",
        "interpretiert",
        "bezeichnet",
        "eingeschaetzt",
        "angenommen",
        "befundet",
        "gehalten",
        "eingeordnet",
    ),
)
# What a lesion that is still called benign does not do.
_CONTRADICTS = frozenset({"malignant"})
_GROWN = ("grown", "growing", "enlarg", "gewachsen", "groessenprogred", "wachs", "progred", "zugenommen", "increas")
# Words from the adverb to the benign name, and from that to a verb behind it.
CALLED_REACH = 7


def was_called(hit: Hit, reading: Reading) -> bool:
    """ "The lesion formerly regarded as a haemangioma has grown": the benign name is the one that no longer holds."""
    words = reading.words
    near = words[max(0, hit.start - CALLED_REACH) : hit.start]
    if "," in near:
        near = near[len(near) - near[::-1].index(",") :]
    behind = words[hit.end : hit.end + 2]
    named = any(word.startswith(_CALLED) for word in (*near, *behind))
    if not named or not any(word.startswith(_FORMERLY) for word in near):
        return False
    grown = any(word.startswith(_GROWN) for i, word in enumerate(words) if i >= hit.end and not _is_denied(i, words))
    other = any(f.category == "metastasis" and f.start >= hit.end for f in reading.findings)
    return grown or other or any(cue.category in _CONTRADICTS and cue.start >= hit.end for cue in reading.cues)


# "Has not grown", "no increase": words between the denial and the growth.
DENIED_REACH = 3
_NO = frozenset({"not", "no", "nicht", "kein", "keine", "keinen", "ohne", "without"})


def _is_denied(at: int, words: Sequence[str]) -> bool:
    return bool(_NO & set(words[max(0, at - DENIED_REACH) : at]))


def grade(hit: Hit, reading: Reading) -> str:
    """absent, uncertain or present where a scale ("likelihood", "Wahrscheinlichkeit") grades the mention, else ""."""
    names = [cue for cue in reading.cues if cue.category == "scale"]
    if not names:
        return ""
    start = max([hit.end, *(cue.end for cue in names if cue.end <= hit.end + GRADE_REACH)])
    words, tokens = reading.words, reading.sentence.tokens
    percent = next((i for i in range(start, min(len(words) - 1, start + GRADE_REACH)) if words[i + 1] == "%"), None)
    if percent is not None and words[percent].replace(",", ".").replace(".", "", 1).isdigit():
        share = float(words[percent].replace(",", ".")) / 100
        return "absent" if share <= PERCENT_NO else "present" if share >= PERCENT_YES else "uncertain"
    for i in range(start, min(len(words) - 2, start + GRADE_REACH)):
        top = i + 2 + (words[i + 1 : i + 3] == ["out", "of"])
        if words[i].isdigit() and words[i + 1] in _OF and top < len(words) and tokens[top].kind == "number":
            if not words[top].isdigit() or int(words[top]) == 0:
                return ""
            share = int(words[i]) / int(words[top])
            return "absent" if share <= GRADE_NO else "uncertain" if share <= GRADE_OPEN else "present"
    return ""
