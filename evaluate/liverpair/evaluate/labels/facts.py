"""What each sentence of a report says of the liver: present, uncertain or absent, and how certainly it names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from liverpair.evaluate.labels.benign import qualified
from liverpair.evaluate.labels.mentions import Mention, Reading
from liverpair.evaluate.labels.places import place_of
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sizes import read_sizes
from liverpair.evaluate.labels.treated import is_dead, owns_no_size
from liverpair.evaluate.labels.verdicts import judged_benign

__all__ = ["Fact", "facts_of", "is_left_open"]


@dataclass(frozen=True, slots=True, eq=False)
class Fact:
    """One reading of the liver: rank orders certainty, ``explicit`` says that the liver was named."""

    status: str  # present, uncertain, absent
    reading: Reading
    mention: Mention | None
    section: str
    explicit: bool
    strong: bool  # a metastasis by name, not a lesion by its features


def facts_of(readings: Sequence[Reading], rules: Rules, every: Sequence[Reading] = ()) -> list[Fact]:
    """The facts of these sentences; ``every``: all of the report's, those of the past among them."""
    facts = []
    another_region = bool(readings) and _is_of_another_region(readings[0], rules)
    judged = judged_benign(readings)
    for number, reading in enumerate(readings):
        following = readings[number + 1] if number + 1 < len(readings) else None
        if reading.has("known") and not reading.is_pet and another_region:
            continue  # "MRI of the cervical spine. Known NET with liver metastases."
        doubted, verdict = _doubted_next(reading, following), _verdict_next(reading, following)
        for mention in reading.mentions:
            fact = _fact(reading, mention, readings)
            if fact is None and _described_next(mention, following, reading):
                fact = Fact("present", reading, mention, reading.sentence.section, mention.organ_known, False)
            if fact is None and mention.polarity == "neutral" and _is_under_head(mention, reading, readings):
                fact = Fact("present", reading, mention, reading.sentence.section, mention.organ_known, False)
            if fact is None and verdict == "absent" and mention.organ == "liver" and mention.kind == "metastasis":
                fact = Fact("absent", reading, mention, reading.sentence.section, mention.organ_known, True)
            lesion = mention.polarity == "neutral" and mention.organ == "liver" and mention.kind == "lesion"
            if fact is None and lesion and is_left_open(following, reading):
                # "One lesion, 16 mm. I cannot say what it is."
                fact = Fact("uncertain", reading, mention, reading.sentence.section, mention.organ_known, False)
            strong = fact is not None and fact.status == "present" and mention.kind == "metastasis"
            if fact is not None and strong and is_dead(reading, mention, rules):
                fact = replace(fact, status="absent")
            if fact is not None:
                left_open = fact.status == "present" and is_left_open(following, reading)
                left_open = left_open or (mention.polarity == "non_avid" and is_left_open(following, reading))
                fact = replace(fact, status="uncertain") if left_open else fact
                fact = _after_verdict(fact, verdict)
                if fact.status == "uncertain" and not fact.strong and _is_benign_next(reading, following):
                    fact = replace(fact, status="absent")
                if id(reading) in judged and mention.kind == "lesion" and mention.singular:
                    fact = replace(fact, status="absent")
                if doubted and fact.status == "present" and not fact.strong:
                    fact = replace(fact, status="uncertain")
                facts.append(fact)
        if (
            reading.liver_positive and not _called_benign_below(readings[number + 1 :], reading)
        ) or reading.liver_course:
            facts.append(Fact("present", reading, None, reading.sentence.section, True, False))
        if reading.liver_doubted:
            facts.append(Fact("uncertain", reading, None, reading.sentence.section, True, False))
        if reading.names_liver and rules.free.find(reading.words) and not _tells_of_disease(reading):
            facts.append(Fact("absent", reading, None, reading.sentence.section, True, True))
        if _measures_known(reading, every or readings, rules):
            facts.append(Fact("present", reading, None, reading.sentence.section, True, False))
        if reading.liver_normal:
            gone = reading.has("resolved") and not reading.mentions  # "Hepatische Komplettremission"
            facts.append(Fact("absent", reading, None, reading.sentence.section, gone, False))
    return facts


# Lesions that a trial measures are metastases.
_TARGETS = ("target", "ziell")


def _is_benign_next(reading: Reading, following: Reading | None) -> bool:
    """ "The questionable lesion was reviewed. Compared with 2016 it is stable and represents a haemangioma."""
    if following is None or following.sentence.block != reading.sentence.block or not following.mentions:
        return False
    benign = all(m.kind == "benign" and m.polarity == "benign" for m in following.mentions)
    doubted = following.has("indeterminate") or following.has("hedge")
    doubted = doubted or any(_only_disturbs(mention, following) for mention in following.mentions)
    return benign and not doubted and bool(_IT & set(following.words[:BENIGN_WITHIN]))


# Words of the sentence in which its pronoun stands.
BENIGN_WITHIN = 8


def _is_under_head(mention: Mention, reading: Reading, readings: Sequence[Reading]) -> bool:
    """ "Avid disease:" above "(a) liver - 5 lesions, 8-31 mm": an item of a list of what was found."""
    if mention.organ != "liver" or mention.kind != "lesion":
        return False
    earlier = [other for other in readings[: readings.index(reading)] if other.sentence.block == reading.sentence.block]
    head = next((other for other in reversed(earlier) if other.words[-1] == ":"), None)
    return head is not None and any(m.polarity == "present" and m.kind != "benign" for m in head.mentions)


def _measures_known(reading: Reading, readings: Sequence[Reading], rules: Rules) -> bool:
    """ "The one in S4a is 37 mm, that in S6 16 mm": places and sizes of metastases that were named before."""
    told = [m for m in reading.mentions if m.polarity not in ("no_new", "no_other", "ignored", "neutral", "followed")]
    if told or reading.sentence.section == "addendum" or reading.liver_normal or not place_of(reading):
        return False
    if owns_no_size(reading, None, rules) or reading.has("resolved") or reading.has("negation_before"):
        return False
    sizes = [size for size in read_sizes(reading, rules) if not size.foreign]
    earlier = readings[: readings.index(reading)]
    return bool(sizes) and any(
        m.organ == "liver"
        and (
            (m.kind == "metastasis" and m.polarity == "present")
            or r.words[m.start].startswith(_TARGETS)
            or r.words[m.end - 1].startswith(_TARGETS)
        )
        for r in earlier
        for m in r.mentions
    )


def _called_benign_below(later: Sequence[Reading], reading: Reading) -> bool:
    """ "Lesions: yes" above "Nature: benign (cysts)" in one block of a form."""
    block = [other for other in later if other.sentence.block == reading.sentence.block]
    mentions = [mention for other in block for mention in other.mentions]
    return bool(mentions) and all(m.kind == "benign" and m.polarity == "benign" for m in mentions)


def _tells_of_disease(reading: Reading) -> bool:
    """The same sentence affirms or doubts a lesion of the liver."""
    told = ("present", "uncertain", "followed", "neutral")
    return any(m.organ == "liver" and m.kind != "benign" and m.polarity in told for m in reading.mentions)


# A title has no more words than this.
LONGEST_TITLE = 8


def _is_of_another_region(title: Reading, rules: Rules) -> bool:
    """ "MRT Knie links", "MRI of the cervical spine"."""
    named = {hit.category for hit in title.organ_hits}
    return named == {"other"} and len(title.words) <= LONGEST_TITLE and bool(rules.modalities.find(title.words))


def _doubted_next(reading: Reading, following: Reading | None) -> bool:
    """Whether the next sentence, which names no organ of its own, takes this one's finding back into doubt."""
    return (
        following is not None
        and following.sentence.block == reading.sentence.block
        and all(any(f.start < o.end and o.start < f.end for f in following.findings) for o in following.organ_hits)
        and any(
            m.polarity == "uncertain" and (m.kind == "metastasis" or following.has("indeterminate"))
            for m in following.mentions
        )
    )


# "Not resolved.", "Dignität unklar.": a doubt of so few words is one of what was said before.
SHORT_DOUBT = 7


def is_left_open(following: Reading | None, reading: Reading) -> bool:
    """Whether the next sentence, which names nothing, leaves open what this one's lesion is."""
    if following is None or following.sentence.block != reading.sentence.block or not following.has("indeterminate"):
        return False
    words = [token.text for token in following.sentence.tokens if token.kind == "word"]
    doubts = [cue for cue in following.cues if cue.category == "indeterminate"]
    other = any(  # "Portal hypertension cannot be excluded" doubts something else
        word.startswith(_EXCLUDED) and doubt.start > 0 and following.words[0] not in _SPEAKERS
        for doubt in doubts
        for word in following.words[doubt.start : doubt.end]
    )
    short = len(words) <= (SHORT_DOUBT if following.words[0] in _SPEAKERS else SHORTEST_DOUBT)
    return short and not other and not following.mentions and not following.organ_hits


# A sentence that names nothing may be longer where it opens with a pronoun: "I cannot say what it is."
SHORTEST_DOUBT = 4
_SPEAKERS = frozenset({"i", "we", "it", "this", "ich", "wir", "es", "dies", "das", "dieser", "its", "dignitaet"})
_EXCLUDED = ("exclu", "ruled", "ausz", "ausgeschl", "aussch")


_ALL_OF_THEM = frozenset(
    {"beide", "both", "diese", "they", "sie", "alle", "all", "these", "saemtliche", "none", "neither"}
)
# Words of the sentence in which the pronoun stands: "MRI today: both no longer seen".
PRONOUN_REACH = 6


# Words of the sentence in which it disagrees: "This view we do not share".
VERDICT_WITHIN = 7
_GONE = frozenset({"resolved", "negation_after"})
_NONE = frozenset({"none", "neither", "nothing", "kein", "keine", "keiner", "keines"})
_OF_THEM: tuple[tuple[str, ...], ...] = tuple(
    tuple(words.split())
    for words in (
        *("davon", "hiervon", "dieser herde", "keiner dieser", "keine dieser", "keine von ihnen", "keiner von ihnen"),
        *("one of them", "none of them", "any of them", "one of these", "none of these", "any of these"),
        *("none of those", "any of those"),
    )
)
_THEM = {first: tuple(them for them in _OF_THEM if them[0] == first) for first in {them[0] for them in _OF_THEM}}


_LATER = ("spaet", "delayed", "later", "repeat", "wiederhol", "zweit", "second")


def _fails_later(following: Reading) -> bool:
    """ "In der Spätaufnahme nicht mehr nachweisbar": an uptake that later images do not show is none of a lesion."""
    gone = following.has("resolved") or following.has("negation_after")
    late = any(word.startswith(_LATER) for word in following.words[:PRONOUN_REACH])
    return following.is_pet and gone and late and not following.organ_hits


def _names_them(words: Sequence[str]) -> bool:
    """ "One of them", "davon": the lesions of the sentence before."""
    return any(tuple(words[i : i + len(them)]) == them for i, word in enumerate(words) for them in _THEM.get(word, ()))


def _verdict_next(reading: Reading, following: Reading | None) -> str:
    """Whether the next sentence, which names no lesion, confirms or refutes this one's ("this is not confirmed")."""
    if following is None or following.sentence.block != reading.sentence.block:
        return ""
    opening = any(cue.category == "refuted" and cue.start < VERDICT_WITHIN for cue in following.cues)
    named = any(m.kind == "metastasis" and m.polarity in ("present", "uncertain") for m in following.mentions)
    if opening and not named:
        return "absent"  # "We do not share this view: it is focal fat, no diffusion abnormality"
    gone = any(
        cue.category in _GONE or (cue.category == "negation_before" and following.words[cue.start] in _NONE)
        for cue in following.cues
    )
    if (
        gone
        and _names_them(following.words)
        and all(m.polarity in ("absent", "ignored", "benign", "no_new") for m in following.mentions)
    ):
        return "absent" if not following.has("remains") else ""  # "Davon ist kein Herd mehr abgrenzbar"
    if any(mention.kind != "benign" for mention in following.mentions):
        return ""
    if following.has("refuted") or _fails_later(following):
        return "absent"
    if following.has("resolved") and not following.organ_hits and _ALL_OF_THEM & set(following.words[:PRONOUN_REACH]):
        return "absent"  # "Metastases S2 and S5. Both no longer seen."
    return "present" if following.has("confirmed") else ""


_IT = _ALL_OF_THEM | {"it", "es", "er", "dieser", "dieses", "this", "each", "jeweils", "saemtlich"}


def _described_next(mention: Mention, following: Reading | None, reading: Reading) -> bool:
    """ "Two lesions in the liver. Both show restricted diffusion.": features in a sentence of its own."""
    if mention.polarity != "neutral" or mention.kind != "lesion" or mention.organ != "liver" or following is None:
        return False
    hits = [hit for hit in reading.findings if hit.start == mention.start]
    return (
        following.sentence.block == reading.sentence.block
        and following.words[0] in _IT
        and not any(hit.category == "other" for hit in following.organ_hits)
        and all(m.kind == "uptake" for m in following.mentions)
        and not following.has("hedge")
        and not following.has("indeterminate")
        and bool(hits)
        and qualified(following, hits[0], "malignant")
    )


def _after_verdict(fact: Fact, verdict: str) -> Fact:
    return replace(fact, status=verdict) if verdict and fact.status in ("present", "uncertain") else fact


# What disturbs an image is no benign lesion unless it explains one.
_DISTURBING = ("artef", "artif", "breathing", "noise", "rauschen", "bildrauschen", "bewegung", "misreg", "atemversch")


def _only_disturbs(mention: Mention, reading: Reading) -> bool:
    disturbs = any(
        word.startswith(_DISTURBING) or "artef" in word for word in reading.words[mention.start : mention.end]
    )
    return disturbs and not any(hit.category in ("lesion", "metastasis", "uptake") for hit in reading.findings)


def _fact(reading: Reading, mention: Mention, readings: Sequence[Reading]) -> Fact | None:
    """What this mention says of the liver, or None if it says nothing."""
    polarity, organ, section = mention.polarity, mention.organ, reading.sentence.section
    polarity = "absent" if polarity == "non_avid" else polarity  # its size counts if metastases are named elsewhere
    strong = mention.kind == "metastasis"
    if polarity == "absent":
        if organ == "other" and mention.organ_known:
            return None
        elsewhere = not reading.is_pet and any(hit.category == "other" for r in readings for hit in r.organ_hits)
        if organ != "liver" and (not strong or elsewhere) and not any(r.names_liver for r in readings):
            return None  # "No metastasis" of an MRI of the spine
        return Fact("absent", reading, mention, section, organ == "liver" and mention.organ_known, strong)
    if organ != "liver":
        return None
    if polarity == "benign" and _only_disturbs(mention, reading):
        return None
    if polarity == "benign":
        return Fact("absent", reading, mention, section, False, False)
    if mention.kind == "recurrence" and not mention.organ_known and not reading.after_ablation:
        return None
    if polarity == "followed" and section == "impression" and any(cue.category == "course" for cue in reading.cues):
        return Fact(
            "present", reading, mention, section, mention.organ_known, False
        )  # "PD hepatisch (5 vitale Läsionen)"
    if polarity in ("present", "uncertain"):
        return Fact(polarity, reading, mention, section, mention.organ_known, strong)
    return None
