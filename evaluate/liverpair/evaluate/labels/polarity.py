"""Whether a sentence affirms, doubts or denies a mention: scoped cues ("kein", "no evidence of") keep to a clause."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.answers import ANSWERS_OPEN, ANSWERS_YES, answer
from liverpair.evaluate.labels.benign import (
    DENYING,
    called_benign,
    guessed,
    is_benign_in_its_part,
    is_likened,
    metastasis_affirmed,
    most_likely_benign,
    qualified,
)
from liverpair.evaluate.labels.excepted import all_but_some, beside_known, but_for_others, known_ones_behind
from liverpair.evaluate.labels.other_method import shown_by_other_method
from liverpair.evaluate.labels.processes import concerns_process
from liverpair.evaluate.labels.questions import advises_only, is_open_question
from liverpair.evaluate.labels.reading import FOLLOW_UP, LIVER, Reading, distance
from liverpair.evaluate.labels.rivals import grade, is_one_of_two, is_taken_back, was_called
from liverpair.evaluate.labels.rules import Hit
from liverpair.evaluate.labels.scope import DENIERS, covering_cues, covers, is_in_bracket_of_past
from liverpair.evaluate.labels.settled import settled
from liverpair.evaluate.labels.uptake import FAINT_REACH, is_of_whole_organ, uptake_status

__all__ = ["polarity"]


# "No lesion remains": words between the denial and what would be left.
REMAINS_REACH = 4


_GONE = frozenset({"resolved", "historical", "historical_after"})


def polarity(hit: Hit, organ: str, reading: Reading, findings: Sequence[Hit], is_pet: bool) -> str:
    """What the sentence says of this mention."""
    covering = covering_cues(hit, reading)
    if hit.start in reading.told or is_in_bracket_of_past(hit, reading):
        return "ignored"
    dispelled = _dispelled(hit, reading)
    if hit.category not in ("benign", "treated") and dispelled:
        return dispelled
    if hit.category == "benign" and is_likened(hit, reading):
        return "benign"
    if hit.category == "benign" and was_called(hit, reading):
        return "ignored"  # "formerly regarded as a haemangioma, has grown"
    if hit.category == "benign" and any(
        cue.category == "indeterminate" and cue.start < hit.start < cue.end for cue in reading.cues
    ):
        return "ignored"  # "not definitely benign"
    if hit.category in ("benign", "treated"):
        return "ignored" if (DENYING | {"hypothetical", "aside", "deferred", "judged"}) & covering.keys() else "benign"
    asked = covering.get("hypothetical")
    if asked and reading.words[asked.start] in ("ob", "whether", "if") and reading.has("indeterminate"):
        return "uncertain"  # "Cannot say whether metastasis"
    beside = {"aside", "hypothetical", "deferred"} & covering.keys()
    if beside == {"hypothetical"} and reading.has("confirmed") and not reading.has("pseudo"):
        beside = set()  # "the clinically suspected metastasis is confirmed"
    if beside or is_open_question(hit, reading):
        return "ignored"
    if hit.category in ("metastasis", "lesion") and is_taken_back(hit, findings, reading):
        return "ignored" if hit.category == "metastasis" else "benign"
    if verdict := settled(hit, findings, reading):
        return verdict
    graded = grade(hit, reading)
    if graded:
        return graded
    if answer(hit, reading) in ANSWERS_OPEN:
        return "uncertain"
    if hit.category == "metastasis" and answer(hit, reading) in ANSWERS_YES:
        return "present"
    denials = [covering[category] for category in DENYING & covering.keys()]
    if not denials and hit.category == "metastasis" and is_one_of_two(hit, findings, reading):
        return "uncertain"
    overlapping = any(denial.start < hit.end and hit.start < denial.end for denial in denials)
    if denials and not overlapping and _stands_in_its_own_part(hit, reading):
        denials = []
    if hit.category in ("lesion", "uptake") and most_likely_benign(hit, reading, findings):
        return "benign"
    if hit.category == "uptake" and "indeterminate" in covering and _is_nonspecific(covering["indeterminate"], reading):
        return "ignored"
    doubt = covering.get("indeterminate")
    if doubt and concerns_process(doubt, hit, reading):
        doubt = None  # "progression of the liver metastases cannot be excluded"
    if doubt and advises_only(doubt, findings, reading):
        return "ignored"
    if doubt and not _denial_prevails(denials, doubt, hit, reading):
        return "uncertain"
    negated = bool(denials)
    if negated and _up_to_a_size(hit, reading):
        return "bounded"
    if hit.category == "metastasis" and _GONE & covering.keys() and all_but_some(hit, reading):
        return "present"
    if "resolved" in covering and _some_remain(covering["resolved"], hit, reading):
        return "followed" if hit.category == "lesion" else "present"
    if "resolved" in covering:
        return "absent"
    if "no_other" in covering and hit.category == "lesion" and but_for_others(hit, reading, findings):
        return "followed"  # "no further liver foci besides #1-#3"
    if "no_other" in covering:
        return "present" if hit.category == "metastasis" and beside_known(hit, reading) else "no_other"
    if "no_new" in covering:
        return "present" if known_ones_behind(hit, reading) else "no_new"
    if negated and hit.category in ("lesion", "metastasis") and but_for_others(hit, reading, findings):
        return "followed" if hit.category == "lesion" else "present"
    if negated and hit.category == "lesion" and shown_by_other_method(hit, reading):
        return "uncertain" if reading.has("indeterminate") else "non_avid"
    if negated:
        return "absent"
    former = covering.get("historical")
    alone = not any(f is not hit and f.category == "metastasis" for f in findings)
    if former and alone and hit.category == "metastasis" and _some_remain(former, hit, reading):
        return "present"  # "Of the former four metastases only one remains"
    if former and hit.category == "lesion" and _some_remain(former, hit, reading):
        return "followed"
    if former or "historical_after" in covering:
        return "ignored"
    return _affirmed(hit, reading, findings, is_pet, organ)


def _is_nonspecific(cue: Hit, reading: Reading) -> bool:
    """ "Slightly heterogeneous uptake, most likely nonspecific": no lesion, unless a check is advised."""
    named = reading.words[cue.start].startswith(("unspez", "nonspec", "non"))
    return named and reading.has("affirm") and not reading.has("recheck")


def _dispelled(hit: Hit, reading: Reading) -> str:
    """ "The fear that this might be a metastasis can be dispelled" refutes it, "cannot be dispelled" leaves it open."""
    for cue in reading.cues:
        if cue.category == "dispelled" and hit.end <= cue.start:
            denied = _DENIED_VERB & set(reading.words[max(0, cue.start - 2) : cue.start])
            return "uncertain" if denied else "absent"
    return ""


_DENIED_VERB = frozenset({"nicht", "not", "cannot", "never", "nie"})


def _some_remain(gone: Hit, hit: Hit, reading: Reading) -> bool:
    """ "Most metastases have gone, a handful are left": what is left counts, unless another lesion is what is left."""
    if reading.words[gone.start] in DENIERS:
        return False  # "None of the lesions is still visible"
    for left in reading.cues:
        denied = any(
            cue.category in ("negation_before", "resolved")
            and cue.start <= left.start
            and left.start - cue.end < REMAINS_REACH
            for cue in reading.cues
            if cue is not gone
        )
        scarred = any(cue.category == "trace" and cue.start > left.start for cue in reading.cues) or any(
            f.category in ("benign", "treated") and f.start > left.start for f in reading.findings
        )
        if left.category != "remains" or denied or scarred or (left.start < gone.end and gone.start < left.end):
            continue
        between = sorted((gone.start, left.start))
        parted = any(
            f is not hit and f.category == hit.category and between[0] < f.start < between[1] for f in reading.findings
        )
        nearer = distance(left, hit, reading.words, reading.clauses) < distance(
            gone, hit, reading.words, reading.clauses
        )
        if nearer or not parted:
            return True
    return False


def _denial_prevails(denials: Sequence[Hit], doubt: Hit, hit: Hit, reading: Reading) -> bool:
    """Of a denial and a doubt the nearer one holds; a denied doubt ("keine unklaren Herde") is a denial."""
    for denial in denials:
        if denial.end <= doubt.start and doubt.end <= hit.start:
            return True
        near, far = (distance(cue, hit, reading.words, reading.clauses) for cue in (denial, doubt))
        if near <= far:
            return True
    return False


def _ends_clause(cue: Hit, reading: Reading) -> bool:
    """ "Metastasierung der Leber fraglich": at most a verb stands behind the cue in its clause."""
    end = next((i for i in range(cue.end, len(reading.words)) if reading.words[i] == ","), len(reading.words))
    words = [
        i
        for i in range(cue.end, end)
        if reading.clauses[i] == reading.clauses[cue.start] and reading.sentence.tokens[i].kind == "word"
    ]
    return len(words) <= 1


# "Kein Herd > 12 mm", "no lesion larger than 1 cm": words between the lesion and the size.
_LARGER = frozenset({">", "ueber", "groesser", "oberhalb", "larger", "greater", "above", "over", "exceeding", "bigger"})


def _up_to_a_size(hit: Hit, reading: Reading) -> bool:
    """The denial concerns lesions above a size only, which says nothing of smaller ones."""
    following = reading.words[hit.end : hit.end + 4]
    tokens = reading.sentence.tokens[hit.end : hit.end + 4]
    at = next((i for i, word in enumerate(following) if word in _LARGER), -1)
    return at >= 0 and "," not in following[:at] and any(token.kind == "number" for token in tokens[at:])


# What shows that a part behind a comma is no item of the list that a denial opened.
_OWN_CUES = (*FOLLOW_UP, "hedge_after", "indeterminate")


def _stands_in_its_own_part(hit: Hit, reading: Reading) -> bool:
    """ "Kein Aszites, Lebermetastasen unverändert": a follow-up word, a doubt or a size in its own part rescues it."""
    words = reading.words
    commas = [i for i, word in enumerate(words[: hit.start]) if word == ","]
    if not commas or any(cue.category.startswith("neg") and commas[-1] < cue.start < hit.start for cue in reading.cues):
        return False
    next_comma = next((i for i in range(hit.end, len(words)) if words[i] == ","), len(words))
    sized = hit.category == "metastasis" and bool({"mm", "cm"} & set(words[commas[-1] : next_comma]))
    return sized or any(cue.category in _OWN_CUES and commas[-1] < cue.start < next_comma for cue in reading.cues)


_DOUBTS = frozenset({"hedge", "hedge_after", "suspicion"})


def _affirmed(hit: Hit, reading: Reading, findings: Sequence[Hit], is_pet: bool, organ: str) -> str:
    """Present, uncertain, benign or neutral for a mention that nothing denies."""
    cues = [cue for cue in reading.cues if cue.category not in _DOUBTS or not concerns_process(cue, hit, reading)]
    same_clause = [cue for cue in cues if reading.clauses[cue.start] == reading.clauses[hit.start]]
    hedged = any(
        (cue.category == "hedge" and covers(cue, hit, reading, forward=True, backward=False, over_comma=False))
        or (cue.category == "hedge" and _ends_clause(cue, reading) and covers(cue, hit, reading, True, True, False))
        or (cue.category == "hedge_after" and covers(cue, hit, reading, True, True, False))
        for cue in cues
    )
    hedged = hedged or _called_possible(hit, reading)
    if any(cue.category in ("affirm", "confirmed") for cue in same_clause):
        hedged = False
    if hit.category == "metastasis":
        if hedged:
            return "uncertain"
        suspected = any(
            cue.category == "suspicion"
            and (covers(cue, hit, reading, True, False) or cue.start == hit.end)  # "als Metastasen verdächtig"
            and not _is_named_behind(cue, hit, reading, findings)
            for cue in cues
        )
        return "present" if not suspected or _has_affirm(cues) else "uncertain"
    if hit.category == "recurrence":
        suspected = any(cue.category == "suspicion" and covers(cue, hit, reading, True, False) for cue in cues)
        if is_pet and any(cue.category == "non_avid" for cue in cues):
            return "non_avid"  # "an 8 mm residual with activity below that of the liver"
        return "uncertain" if hedged or (suspected and not _has_affirm(cues)) else "present"
    if hit.category == "lesion" and _lives_in_its_part(hit, reading, findings):
        return "followed"
    if called_benign(reading, findings, hit) or is_benign_in_its_part(hit, reading, findings):
        return "benign"
    if is_pet and any(cue.category == "non_avid" for cue in cues):
        return "uncertain" if reading.has("indeterminate") and hit.category == "lesion" else "non_avid"
    hedged = hedged or any(f.category == "benign" and guessed(f, reading) for f in findings)
    if hit.category == "uptake" and is_of_whole_organ(hit, reading):
        return "ignored"
    if hit.category == "uptake":
        faint = any(cue.category == "faint" and 0 <= hit.start - cue.end <= FAINT_REACH for cue in cues)
        return uptake_status(same_clause, hedged or faint, organ, reading)
    avid = is_pet and organ == LIVER and _is_measured_uptake(reading)
    if (
        (avid and not hedged)
        or (organ == LIVER and any(cue.category == "affected" for cue in same_clause))
        or qualified(reading, hit, "malignant")
        or (reading.has("suspicion") and _has_affirm(cues))
    ):
        doubted = (
            hedged
            or reading.has("recheck")
            or _quality_doubted(reading)
            or (reading.has("suspicion") and not _has_affirm(cues))
        )
        return "uncertain" if doubted else "present"
    if metastasis_affirmed(reading, findings):
        return "uncertain" if hedged else "neutral"
    if hedged or reading.has("suspicion"):
        return "uncertain"
    if any(cue.category in (*FOLLOW_UP, "remains") for cue in cues):
        return "followed"
    focal = is_pet and organ == LIVER and reading.words[hit.start].startswith(_FOCI)
    return "present" if focal and not reading.sentence.question else "neutral"


_NAMING = ("sinne", "i.s.", "entsprech", "entspricht", "vereinbar", "represent", "consistent", "compatible", "keeping")


def _is_named_behind(suspicion: Hit, hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "A suspicious lesion representing a metastasis": what looked suspicious is called by its name."""
    lesion = next((f for f in findings if f.category == "lesion" and suspicion.end <= f.start < hit.start), None)
    return lesion is not None and any(word.startswith(_NAMING) for word in reading.words[lesion.end : hit.start])


# A focus of a PET is one of uptake.
_FOCI = ("focus", "foci", "herd", "fokus", "leberherd", "hotspot", "hot")


_POSSIBLE = ("moeglich", "denkbar", "vorstellbar", "fraglich", "possible", "conceivable", "questionable")
_PLACES = frozenset({"in", "im", "at", "bei", "within", "segment"})
# "Metastase erscheint möglich in Segment VI": words from the noun to the adjective.
POSSIBLE_REACH = 3


def _called_possible(hit: Hit, reading: Reading) -> bool:
    """ "Metastasis possible in segment VI": the adjective right behind the noun, and only a place behind it."""
    words = reading.words
    at = next(
        (i for i in range(hit.end, min(len(words), hit.end + POSSIBLE_REACH)) if words[i].startswith(_POSSIBLE)), -1
    )
    if at < 0 or {",", ";", "("} & set(words[hit.end : at]):
        return False
    return at + 1 < len(words) and words[at + 1] in _PLACES


def _lives_in_its_part(hit: Hit, reading: Reading, findings: Sequence[Hit]) -> bool:
    """ "Two nonviable (scars 14 and 11 mm), the third in S7 still viable": what scars are named is another part."""
    words = reading.words
    start = next((i + 1 for i in range(hit.start - 1, -1, -1) if words[i] in (",", ";")), 0)
    end = next((i for i in range(hit.end, len(words)) if words[i] in (",", ";")), len(words))
    benign = [f.start for f in findings if f.category in ("benign", "treated")]
    left = any(
        cue.category == "remains"
        and start <= cue.start < end
        and any(word.startswith(_ALIVE) for word in words[cue.start : cue.end])
        for cue in reading.cues
    )
    return left and bool(benign) and not any(start <= at < end for at in benign)


_ALIVE = ("vital", "viab", "viable", "aktiv", "activ", "alive", "enhanc", "anreich", "speicher", "avid", "restrict")


def _is_measured_uptake(reading: Reading) -> bool:
    """ "Herd in S6 (SUVmax 14)": who states a lesion's SUV describes its uptake."""
    return any(word.startswith("suv") for word in reading.words)


def _quality_doubted(reading: Reading) -> bool:
    """ "Herd mit fraglicher SSTR-Expression": the hedge stands right before the feature."""
    hedges = [cue.end for cue in reading.cues if cue.category == "hedge"]
    return any(cue.start in hedges for cue in reading.cues if cue.category == "malignant")


def _has_affirm(cues: Sequence[Hit]) -> bool:
    return any(cue.category in ("affirm", "confirmed") for cue in cues)
