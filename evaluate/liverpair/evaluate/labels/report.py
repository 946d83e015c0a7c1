"""Label one report: hepatic metastases present, absent, uncertain or not mentioned; size, number, evidence.

Within the findings, and within the impression, present outweighs uncertain outweighs absent. The impression
decides where the two disagree; a sweeping "no metastases" there does not undo a metastasis of the liver
that the findings name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from liverpair.evaluate.labels.columns import read_table
from liverpair.evaluate.labels.extent import count_lesions, counted_sizes, sizes_near
from liverpair.evaluate.labels.markup import plain_text, repaired_text
from liverpair.evaluate.labels.mentions import Context, Mention, Reading, read_sentence
from liverpair.evaluate.labels.rules import LANGUAGES, Rules, load_rules
from liverpair.evaluate.labels.sentences import split_sentences
from liverpair.evaluate.labels.text import Token, tokenise

__all__ = ["STATUSES", "ReportLabel", "label_report"]

STATUSES = ("present", "absent", "uncertain", "not_mentioned")
# Fewer markers ahead than this, and the languages' terms are counted too.
CLEAR_LEAD = 2
PET_MODALITIES = frozenset({"PT", "PET", "NM", "PET/CT", "PETCT", "PT/CT", "PET-CT", "PET/MR"})


@dataclass(frozen=True, slots=True)
class ReportLabel:
    """What a report says of hepatic metastases.

    ``status``: one of `STATUSES`. ``largest_mm``: the largest current size of a (possible) hepatic
    metastasis in mm. ``count``: their number if stated; None for "multiple". ``language``: de or en.
    ``evidence``: the sentence that decided, verbatim from the report ("" if none).
    """

    status: str
    largest_mm: float | None
    count: int | None
    language: str
    evidence: str


@dataclass(frozen=True, slots=True, eq=False)
class _Fact:
    """One reading of the liver: rank orders certainty, ``explicit`` says that the liver was named."""

    status: str  # present, uncertain, absent
    reading: Reading
    mention: Mention | None
    section: str
    explicit: bool
    strong: bool  # a metastasis by name, not a lesion by its features


def label_report(text: str, modality: str | None = None) -> ReportLabel:
    """Label one free text; ``modality`` (MR, PT, ...) helps where the text does not name its region."""
    original, (text, origin) = text, plain_text(text)
    rules = load_rules(_language(tokenise(text)))
    text, origin = repaired_text(text, origin, rules)
    tokens = tokenise(text)
    readings = _read(text, tokens, rules, modality)
    facts = _facts(readings, rules)
    status, deciding = _decide(facts, readings)
    is_pet = _is_pet([token.text for token in tokens], rules, modality)
    table = read_table(text, rules, "other" if is_pet else "liver")
    if table.sizes and _is_of_targets(status, deciding, tokens):
        # "1;Leber;28;24" in a table of target lesions says so without a word
        row = text[slice(*table.spans[0])].strip()
        quoted = (
            row if origin is None else original[origin[text.index(row)] : origin[text.index(row) + len(row) - 1] + 1]
        )
        return ReportLabel("present", max(table.sizes), table.lesions, rules.language, quoted)
    if status not in ("present", "uncertain"):
        evidence = _quote(original, origin, deciding)
        return ReportLabel(status, None, None, rules.language, evidence)
    mentions = _counted_mentions(facts, readings, status)
    outside = [reading for reading in readings if not table.holds(*reading.sentence.span)]
    sizes = [*table.sizes, *counted_sizes(outside, mentions, rules)]
    if not sizes and not _speaks_of_several(facts, status):
        # "7 mm lesion with restricted diffusion. Impression: metastasis cannot be excluded": one lesion, two verdicts.
        mentions |= _counted_mentions(facts, readings, "present") | _counted_mentions(facts, readings, "uncertain")
        sizes = counted_sizes(outside, mentions, rules)
    near = sizes_near(readings, deciding.reading if deciding else None, rules, doubted=status == "uncertain")
    return ReportLabel(
        status,
        max(sizes or near, default=None),
        count_lesions(outside, mentions, rules) or (table.lesions or None),
        rules.language,
        _quote(original, origin, deciding),
    )


_TARGETS = ("target", "ziell", "recist")


def _is_of_targets(status: str, deciding: _Fact | None, tokens: Sequence[Token]) -> bool:
    """Whether a table of the liver's lesions is all that there is, or one of target lesions, which are metastases."""
    undecided = deciding is not None and deciding.mention is not None and deciding.mention.polarity == "neutral"
    return status == "not_mentioned" or (undecided and any(token.text.startswith(_TARGETS) for token in tokens))


def _language(tokens: Sequence[Token]) -> str:
    """The language whose markers occur more often; where they leave doubt, the one with more known terms."""
    words = [token.text for token in tokens if token.kind == "word"]
    scores = {language: sum(map(load_rules(language).markers.__contains__, words)) for language in LANGUAGES}
    ranked = sorted(LANGUAGES, key=lambda language: -scores[language])
    if scores[ranked[0]] - scores[ranked[1]] > CLEAR_LEAD:
        return ranked[0]
    for language in LANGUAGES:
        rules = load_rules(language)
        scores[language] += sum(
            rules.findings.knows(w) + rules.cues.knows(w) + rules.organs.knows(w) for w in dict.fromkeys(words)
        )
    return max(LANGUAGES, key=lambda language: scores[language])


def _read(text: str, tokens: Sequence[Token], rules: Rules, modality: str | None) -> list[Reading]:
    words = [token.text for token in tokens]
    is_pet = _is_pet(words, rules, modality)
    sentences = split_sentences(tokens, text, rules)
    told = [
        sentence.words for sentence in sentences if not (sentence.section == "skip" and sentence.kind != "technique")
    ]
    organs = {hit.category for sentence in told for hit in rules.organs.find(sentence)}
    # An MRI in a study of the liver is one of the liver, unless it only names other organs.
    only_liver = "liver" in organs and "other" not in organs  # all that a PET report speaks of
    default = "liver" if only_liver or (not is_pet and (organs & {"liver", "none"} or "other" not in organs)) else ""
    readings = []
    carried, by_lesion, block = "", False, -1
    for sentence in sentences:
        if sentence.section == "skip":
            continue
        if sentence.block != block:
            carried, by_lesion, block = "", False, sentence.block
        reading = read_sentence(sentence, rules, Context(carried, by_lesion, default, is_pet))
        if reading.last_organ:
            carried, by_lesion = reading.last_organ, reading.last_is_lesion
        readings.append(reading)
    return [] if _was_not_done(readings, rules) else readings


def _was_not_done(readings: Sequence[Reading], rules: Rules) -> bool:
    """ "Patient did not attend": a note in place of a report; what it names was only planned or asked for."""
    if not any(rules.not_done.find(reading.words) for reading in readings):
        return False
    measured = any(cue.category.startswith("unit") for reading in readings for cue in rules.sizes.find(reading.words))
    headed = any(reading.sentence.kind in ("findings", "impression") for reading in readings)
    denied = any(m.polarity == "absent" and m.organ == "liver" and m.organ_known for r in readings for m in r.mentions)
    return not measured and not headed and not denied


def _is_pet(words: Sequence[str], rules: Rules, modality: str | None) -> bool:
    if modality and modality.strip():
        return modality.strip().upper() in PET_MODALITIES or modality.strip().upper().startswith(("PET", "PT"))
    found = [hit.category for hit in rules.modalities.find(words)]
    return found.count("pet") > found.count("mr")


def _facts(readings: Sequence[Reading], rules: Rules) -> list[_Fact]:
    facts = []
    another_region = bool(readings) and _is_of_another_region(readings[0], rules)
    for number, reading in enumerate(readings):
        following = readings[number + 1] if number + 1 < len(readings) else None
        if reading.has("known") and not reading.is_pet and another_region:
            continue  # "MRI of the cervical spine. Known NET with liver metastases."
        doubted, verdict = _doubted_next(reading, following), _verdict_next(reading, following)
        for mention in reading.mentions:
            fact = _fact(reading, mention, readings)
            if fact is None and verdict == "absent" and mention.organ == "liver" and mention.kind == "metastasis":
                fact = _Fact("absent", reading, mention, reading.sentence.section, mention.organ_known, True)
            if fact is not None:
                left_open = fact.status == "present" and _is_left_open(following, reading)
                fact = replace(fact, status="uncertain") if left_open else fact
                fact = _after_verdict(fact, verdict)
                if doubted and fact.status == "present" and not fact.strong:
                    fact = replace(fact, status="uncertain")
                facts.append(fact)
        if reading.liver_positive or reading.liver_course:
            facts.append(_Fact("present", reading, None, reading.sentence.section, True, False))
        if reading.liver_doubted:
            facts.append(_Fact("uncertain", reading, None, reading.sentence.section, True, False))
        if reading.liver_normal:
            gone = reading.has("resolved") and not reading.mentions  # "Hepatische Komplettremission"
            facts.append(_Fact("absent", reading, None, reading.sentence.section, gone, False))
    return facts


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
SHORT_DOUBT = 4


def _is_left_open(following: Reading | None, reading: Reading) -> bool:
    return (
        following is not None
        and following.sentence.block == reading.sentence.block
        and following.has("indeterminate")
        and not following.mentions
        and not following.organ_hits
        and sum(token.kind == "word" for token in following.sentence.tokens) <= SHORT_DOUBT
    )


def _verdict_next(reading: Reading, following: Reading | None) -> str:
    """Whether the next sentence, which names no lesion, confirms or refutes this one's ("this is not confirmed")."""
    if following is None or following.sentence.block != reading.sentence.block or following.mentions:
        return ""
    if following.has("refuted"):
        return "absent"
    return "present" if following.has("confirmed") else ""


def _after_verdict(fact: _Fact, verdict: str) -> _Fact:
    return replace(fact, status=verdict) if verdict and fact.status in ("present", "uncertain") else fact


def _fact(reading: Reading, mention: Mention, readings: Sequence[Reading]) -> _Fact | None:
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
        return _Fact("absent", reading, mention, section, organ == "liver" and mention.organ_known, strong)
    if organ != "liver":
        return None
    if polarity == "benign":
        return _Fact("absent", reading, mention, section, False, False)
    if mention.kind == "recurrence" and not mention.organ_known:
        return None
    if polarity in ("present", "uncertain"):
        return _Fact(polarity, reading, mention, section, mention.organ_known, strong)
    return None


def _decide(facts: Sequence[_Fact], readings: Sequence[Reading]) -> tuple[str, _Fact | None]:
    impression = _strongest([fact for fact in facts if fact.section == "impression"])
    findings = _strongest([fact for fact in facts if fact.section == "findings"])
    added = _strongest([fact for fact in facts if fact.section == "addendum"])
    if added is not None and _outranks(added, impression or findings):
        return added.status, added
    if impression is None or findings is None:
        chosen = impression or findings
    elif impression.status == "absent" and findings.status == "present" and findings.strong:
        chosen = impression if impression.explicit and impression.strong else findings
    elif impression.status == "absent" and findings.status != "absent" and impression.mention is None:
        chosen = findings  # "liver unremarkable" as an afterthought
    elif impression.status == "absent" and findings.status != "absent" and not impression.strong:
        chosen = impression if impression.explicit else findings
    else:
        chosen = impression
    followed = _followed_lesion(readings)
    concluded = (
        chosen is not None
        and chosen.section == "impression"
        and chosen.mention is not None
        and (chosen.strong or chosen.mention.kind == "benign")
    )
    if (
        followed is not None
        and not (concluded and followed.status == "uncertain")
        and (chosen is None or (chosen.status == "absent" and not chosen.explicit))
    ):
        return followed.status, followed
    if chosen is None:
        status, fact = _only_no_new(readings)
        return (status, fact) if fact is not None else _denied_everywhere(readings)
    return chosen.status, chosen


def _outranks(added: _Fact, earlier: _Fact | None) -> bool:
    """What was added later holds, but a benign lesion or a sweeping denial does not undo a metastasis by name."""
    if earlier is None or added.status != "absent" or added.strong or added.reading.sentence.kind == "consensus":
        return True
    return earlier.status != "present" or not earlier.strong


def _strongest(facts: Sequence[_Fact]) -> _Fact | None:
    order = {"present": 3, "uncertain": 2, "absent": 1}
    return max(facts, key=lambda f: (order[f.status], f.explicit, f.strong), default=None)


def _followed_lesion(readings: Sequence[Reading]) -> _Fact | None:
    """A liver lesion without diagnosis: present if followed ("known lesions unchanged"), else uncertain."""
    neutral = None
    for number, reading in enumerate(readings):
        following = readings[number + 1] if number + 1 < len(readings) else None
        course = following is not None and (_tells_only_the_course(following) or _lists_uptake(following))
        course = course or any(_tells_only_the_course(r) for r in readings if r.sentence.section == "impression")
        for mention in reading.mentions:
            if mention.organ != "liver" or mention.kind not in ("lesion", "metastasis"):
                continue
            if mention.polarity == "followed" or (mention.polarity == "neutral" and course):
                return _Fact("present", reading, mention, reading.sentence.section, mention.organ_known, False)
            if (
                mention.polarity == "neutral"
                and neutral is None
                and not _is_benign_later(readings[number + 1 :], reading)
            ):
                neutral = _Fact("uncertain", reading, mention, reading.sentence.section, mention.organ_known, False)
    return neutral


def _is_benign_later(later: Sequence[Reading], reading: Reading) -> bool:
    """ "18 mm lesion. No uptake. On MRI: haemangioma": a diagnosis in a sentence that names no organ."""
    return any(
        not other.organ_hits
        and other.mentions
        and not other.has("indeterminate")
        and not other.has("hedge")
        and all(m.kind == "benign" and m.polarity == "benign" for m in other.mentions)
        for other in later
        if other.sentence.section == reading.sentence.section
    )


def _tells_only_the_course(reading: Reading) -> bool:
    """ "Progression." or "Stable disease." behind the sentence that describes the lesions."""
    return reading.has("followed") and not reading.mentions and not reading.organ_hits


def _lists_uptake(reading: Reading) -> bool:
    """ "- Seg. V: SUVmax 30" below "Leber: 3 Läsionen"."""
    other = any(hit.category == "other" for hit in reading.organ_hits)
    return not other and not reading.mentions and any(word.startswith("suv") for word in reading.words)


def _only_no_new(readings: Sequence[Reading]) -> tuple[str, _Fact | None]:
    """A report that says no more than "no new" or "no other": present if something is followed up, else absent."""
    for reading in readings:
        for mention in reading.mentions:
            if mention.polarity == "no_new" and (mention.organ == "liver" or not mention.organ):
                stable = any(
                    (r.has("followed") or r.has("known")) or r.has("pseudo") for r in readings if r is not reading
                )
                status = "present" if stable and mention.organ == "liver" else "absent"
                return status, _Fact(status, reading, mention, reading.sentence.section, False, False)
    for reading in readings:
        former = [
            m for m in reading.mentions if m.polarity == "ignored" and m.kind == "metastasis" and m.organ == "liver"
        ]
        if former and reading.has("no_new"):  # "Liver metastases were resected; no new ones"
            return "absent", _Fact("absent", reading, former[0], reading.sentence.section, True, False)
    for reading in readings:
        for mention in reading.mentions:
            if mention.polarity == "no_other" and mention.organ == "liver" and mention.organ_known:
                return "absent", _Fact("absent", reading, mention, reading.sentence.section, True, False)
    return "not_mentioned", None


def _denied_everywhere(readings: Sequence[Reading]) -> tuple[str, _Fact | None]:
    """ "Kein Nachweis SSTR-positiver Läsionen": a PET that denies them anywhere denies them in the liver."""
    if any(reading.has("limited") for reading in readings):
        return "not_mentioned", None
    for reading in readings:
        if not reading.is_pet or reading.sentence.heading == "other":
            continue
        if reading.has("exclusive") and any(hit.category == "other" for hit in reading.organ_hits):
            # "The ileal primary is the only site of disease"
            return "absent", _Fact("absent", reading, None, reading.sentence.section, False, False)
        for mention in reading.mentions:
            denied = mention.polarity == "absent" or (mention.polarity == "no_other" and mention.kind != "benign")
            elsewhere = any(hit.category == "other" for hit in reading.organ_hits) and mention.polarity == "absent"
            denials = [cue.start for cue in reading.cues if cue.category == "no_other"]
            besides = bool(denials) and all(hit.end <= denials[0] for hit in reading.organ_hits)
            if denied and not elsewhere and (besides or not mention.organ_known) and mention.kind != "benign":
                return "absent", _Fact("absent", reading, mention, reading.sentence.section, False, False)
    return "not_mentioned", None


def _counted_mentions(facts: Sequence[_Fact], readings: Sequence[Reading], status: str) -> set[int]:
    """Identities of the mentions whose sizes and numbers count for this status."""
    counted = {id(f.mention) for f in facts if f.status == status and f.mention is not None}
    for reading in readings:
        for mention in reading.mentions:
            if mention.organ == "liver" and mention.polarity in ("neutral", "followed", "non_avid", "bounded"):
                counted.add(id(mention))
    return counted


def _speaks_of_several(facts: Sequence[_Fact], status: str) -> bool:
    """Whether facts of this status and others stand in one section: then they concern different lesions."""
    same = [fact for fact in facts if fact.status == status]
    return any(
        f.status in ("present", "uncertain")
        and f.status != status
        and any(f.section == other.section and f.reading is not other.reading for other in same)
        and not any(f.reading is other.reading for other in same)
        for f in facts
    )


def _quote(text: str, origin: Sequence[int] | None, deciding: _Fact | None) -> str:
    """The deciding sentence in the original text; ``origin``: see `plain_text`."""
    if deciding is None:
        return ""
    start, end = deciding.reading.sentence.span
    if origin is not None:
        start, end = origin[start], origin[end - 1] + 1
    return text[start:end].strip()
