"""Decide between what the sentences of a report say: addendum over impression over findings."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.facts import Fact, is_left_open
from liverpair.evaluate.labels.mentions import Reading
from liverpair.evaluate.labels.unjudged import leaves_liver_unjudged

__all__ = ["decide"]


def decide(facts: Sequence[Fact], readings: Sequence[Reading]) -> tuple[str, Fact | None]:
    impression = _strongest([fact for fact in facts if fact.section == "impression"])
    findings = _strongest([fact for fact in facts if fact.section == "findings"])
    added = _strongest([fact for fact in facts if fact.section == "addendum"])
    if added is not None and _outranks(added, impression or findings):
        return added.status, added
    if impression is None and findings is not None and findings.status == "absent" and leaves_liver_unjudged(readings):
        return "not_mentioned", None  # "No gross lesion. Impression: liver metastases cannot be assessed"
    if impression is None or findings is None:
        chosen = impression or findings
    elif impression.status == "absent" and findings.status == "present" and findings.strong:
        chosen = impression if impression.explicit and impression.strong else findings
    elif (
        impression.status == "absent"
        and findings.status != "absent"
        and impression.mention is None
        and not impression.strong
    ):
        chosen = findings  # "liver unremarkable" as an afterthought
    elif impression.status == "uncertain" and impression.mention is None and findings.strong:
        chosen = findings if findings.status == "present" else impression  # "SD; ?minimal PD": the course is doubted
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
        and not (concluded and (followed.status == "uncertain" or _explained(chosen, facts)))
        and (chosen is None or (chosen.status == "absent" and not chosen.explicit))
    ):
        return followed.status, followed
    if chosen is None:
        status, fact = _only_no_new(readings)
        return (status, fact) if fact is not None else _denied_everywhere(readings)
    return chosen.status, chosen


def _explained(chosen: Fact | None, facts: Sequence[Fact]) -> bool:
    """ "Three focal nodular hyperplasias. No evidence of metastases.": the lesions that were followed are those."""
    return (
        chosen is not None
        and chosen.strong
        and any(
            fact.section == chosen.section and fact.mention is not None and fact.mention.polarity == "benign"
            for fact in facts
        )
    )


def _outranks(added: Fact, earlier: Fact | None) -> bool:
    """What was added later holds, but a benign lesion or a sweeping denial does not undo a metastasis by name."""
    if earlier is None or added.status != "absent" or added.strong or added.reading.sentence.kind == "consensus":
        return True
    return earlier.status != "present" or not earlier.strong


def _strongest(facts: Sequence[Fact]) -> Fact | None:
    """The fact that outweighs: a metastasis by name, one in doubt, a lesion by its features, a doubtful one, none."""

    def weight(fact: Fact) -> float:
        named = fact.mention is not None and fact.mention.kind in ("metastasis", "recurrence")
        return {"present": 5 if named else 3, "uncertain": 4 if named else 2, "absent": 1}[fact.status]

    return max(facts, key=lambda f: (weight(f), f.explicit, f.strong), default=None)


def _followed_lesion(readings: Sequence[Reading]) -> Fact | None:
    """A liver lesion without diagnosis: present if followed ("known lesions unchanged"), else uncertain."""
    neutral = None
    for number, reading in enumerate(readings):
        following = readings[number + 1] if number + 1 < len(readings) else None
        course = following is not None and (_tells_only_the_course(following) or _lists_uptake(following))
        course = course or any(_tells_only_the_course(r) for r in readings if r.sentence.section == "impression")
        for mention in reading.mentions:
            if mention.organ != "liver" or mention.kind not in ("lesion", "metastasis"):
                continue
            benign = _is_benign_later(readings[number + 1 :], reading) or _is_title_of_benign(
                readings[number + 1 :], reading
            )
            if mention.polarity == "followed" and is_left_open(following, reading):
                return Fact("uncertain", reading, mention, reading.sentence.section, mention.organ_known, False)
            if mention.polarity == "followed" or (mention.polarity == "neutral" and course and not benign):
                return Fact("present", reading, mention, reading.sentence.section, mention.organ_known, False)
            if mention.polarity == "neutral" and neutral is None and not benign:
                neutral = Fact("uncertain", reading, mention, reading.sentence.section, mention.organ_known, False)
    return neutral


# "Liver observations": words of a line that only heads others.
LONGEST_TITLE = 3


def _is_title_of_benign(later: Sequence[Reading], reading: Reading) -> bool:
    """ "LIVER OBSERVATIONS" above nothing but cysts and haemangiomas."""
    words = [token for token in reading.sentence.tokens if token.kind == "word"]
    below = [mention for other in later for mention in other.mentions if mention.organ == "liver"]
    benign = [mention for mention in below if mention.polarity == "benign"]
    others = [m for m in below if m.polarity not in ("benign", "absent", "ignored")]
    return len(words) <= LONGEST_TITLE and bool(benign) and not others


def _is_benign_later(later: Sequence[Reading], reading: Reading) -> bool:
    """ "18 mm lesion. No uptake. On MRI: haemangioma": a diagnosis in a sentence that names no organ."""
    return any(
        all(any(o.start < f.end and f.start < o.end for f in other.findings) for o in other.organ_hits)
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


_GROWING = ("progredient", "groessenprogred", "enlarging", "growing", "progressive", "groesser", "larger")


def _only_no_new(readings: Sequence[Reading]) -> tuple[str, Fact | None]:
    """A report that says no more than "no new" or "no other": present if something is followed up, else absent."""
    for reading in readings:
        for mention in reading.mentions:
            if mention.polarity == "no_new" and (mention.organ == "liver" or not mention.organ):
                grows = any(word.startswith(_GROWING) for word in reading.words)  # "no new or enlarging ones"
                stable = grows or any(
                    (r.has("followed") or r.has("known")) or r.has("pseudo") for r in readings if r is not reading
                )
                status = "present" if stable and mention.organ == "liver" else "absent"
                return status, Fact(status, reading, mention, reading.sentence.section, False, False)
    for reading in readings:
        former = [
            m for m in reading.mentions if m.polarity == "ignored" and m.kind == "metastasis" and m.organ == "liver"
        ]
        if former and reading.has("no_new"):  # "Liver metastases were resected; no new ones"
            return "absent", Fact("absent", reading, former[0], reading.sentence.section, True, False)
    for reading in readings:
        for mention in reading.mentions:
            if mention.polarity == "no_other" and mention.organ == "liver" and mention.organ_known:
                return "absent", Fact("absent", reading, mention, reading.sentence.section, True, False)
    return "not_mentioned", None


# What can be confined to one organ.
_DISEASE: tuple[str, ...] = (
    "disease",
    "tumo",
    "erkrank",
    "befall",
    "manifest",
    "prim",
    "malign",
    "net",
    "avid",
    "rezeptor",
    "receptor",
)
_DISEASE += ("metast", "uptake", "anreich", "speicher", "site", "positiv", "karzin", "carcin", "expres")


def _denied_everywhere(readings: Sequence[Reading]) -> tuple[str, Fact | None]:
    """ "Kein Nachweis SSTR-positiver Läsionen": a PET that denies them anywhere denies them in the liver."""
    if any(reading.has("limited") for reading in readings):
        return "not_mentioned", None
    for reading in readings:
        if not reading.is_pet or reading.sentence.heading == "other":
            continue
        named = bool(reading.findings) or any(word.startswith(_DISEASE) for word in reading.words)
        if named and reading.has("exclusive") and any(hit.category == "other" for hit in reading.organ_hits):
            # "The ileal primary is the only site of disease"
            return "absent", Fact("absent", reading, None, reading.sentence.section, False, False)
        for mention in reading.mentions:
            denied = mention.polarity == "absent" or (mention.polarity == "no_other" and mention.kind != "benign")
            elsewhere = any(hit.category == "other" for hit in reading.organ_hits) and mention.polarity == "absent"
            denials = [cue.start for cue in reading.cues if cue.category == "no_other"]
            besides = bool(denials) and all(hit.end <= denials[0] for hit in reading.organ_hits)
            if denied and not elsewhere and (besides or not mention.organ_known) and mention.kind != "benign":
                return "absent", Fact("absent", reading, mention, reading.sentence.section, False, False)
    return "not_mentioned", None
