"""Label one report: hepatic metastases present, absent, uncertain or not mentioned; size, number, evidence.

Within the findings, and within the impression, present outweighs uncertain outweighs absent. The impression
decides where the two disagree; a sweeping "no metastases" there does not undo a metastasis of the liver
that the findings name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liverpair.evaluate.labels.background import is_background
from liverpair.evaluate.labels.columns import Table, read_table
from liverpair.evaluate.labels.decision import decide
from liverpair.evaluate.labels.extent import (
    counted_sizes,
    sizes_at_place,
    sizes_near,
    sizes_told,
    sizes_unnamed,
)
from liverpair.evaluate.labels.facts import Fact, facts_of
from liverpair.evaluate.labels.markup import plain_text, repaired_text
from liverpair.evaluate.labels.mentions import Context, Reading, read_sentence
from liverpair.evaluate.labels.organs import lobes_are_elsewhere, sacrum_is_examined
from liverpair.evaluate.labels.region import examined_elsewhere, only_what_was_seen, without_reason
from liverpair.evaluate.labels.rules import LANGUAGES, Rules, load_rules
from liverpair.evaluate.labels.sentences import split_sentences
from liverpair.evaluate.labels.tenses import present_of, without_past
from liverpair.evaluate.labels.text import Token, tokenise
from liverpair.evaluate.labels.totals import count_lesions
from liverpair.evaluate.labels.treated import owns_no_size
from liverpair.evaluate.labels.verdicts import is_benign_verdict, judged_benign

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


def label_report(text: str, modality: str | None = None) -> ReportLabel:
    """Label one free text; ``modality`` (MR, PT, ...) helps where the text does not name its region."""
    original, (text, origin) = text, plain_text(text)
    rules = load_rules(_language(tokenise(text)))
    text, origin = repaired_text(text, origin, rules)
    tokens = tokenise(text)
    readings = _read(text, tokens, rules, modality)
    every, facts = readings, facts_of(readings, rules)
    for body in (without_reason(readings, text, rules), without_past(readings, rules)):
        if len(body) < len(readings) and (told := facts_of(body, rules, every)):
            readings, facts = body, told
    status, deciding = decide(facts, readings)
    if deciding is not None and is_background(deciding, readings):
        status, deciding = "not_mentioned", None
    is_pet = _is_pet([token.text for token in tokens], rules, modality)
    table = read_table(text, rules, "other" if is_pet else "liver")
    if table.sizes and _is_of_targets(status, deciding, tokens, timed=table.timed):
        # "1;Leber;28;24" in a table of target lesions says so without a word
        row = text[slice(*table.spans[0])].strip()
        quoted = _line_quote(original, text, origin, table.spans[0])
        doubted = any(hit.category in ("indeterminate", "hedge") for hit in rules.cues.find(_words(row)))
        named = "uncertain" if doubted else "present"
        return ReportLabel(named, max(table.sizes), _rows_counted(table, every), rules.language, quoted)
    apart = deciding is not None and not table.holds(*deciding.reading.sentence.span)
    if table.gone and not table.sizes and not (deciding and apart and deciding.strong and status == "present"):
        return ReportLabel("absent", None, None, rules.language, _line_quote(original, text, origin, table.spans[0]))
    if status not in ("present", "uncertain"):
        evidence = _quote(original, origin, deciding)
        return ReportLabel(status, None, None, rules.language, evidence)
    mentions = _counted_mentions(facts, readings, status, rules)
    outside = [reading for reading in readings if not table.holds(*reading.sentence.span)]
    sizes = [*table.sizes, *counted_sizes(outside, mentions, rules)]
    if not sizes and not _speaks_of_several(facts, status):
        # "7 mm lesion with restricted diffusion. Impression: metastasis cannot be excluded": one lesion, two verdicts.
        mentions |= _counted_mentions(facts, readings, "present", rules) | _counted_mentions(
            facts, readings, "uncertain", rules
        )
        sizes = counted_sizes(outside, mentions, rules)
    decider = deciding.reading if deciding else None
    sizes = (
        sizes
        or sizes_near(readings, decider, rules, doubted=status == "uncertain")
        or sizes_at_place(readings, decider, rules)
        or sizes_unnamed(every, rules)
        or sizes_told(every, rules)
    )
    return ReportLabel(
        status,
        max(sizes, default=None),
        count_lesions(outside, mentions, rules) or _rows_counted(table, every),
        rules.language,
        _quote(original, origin, deciding),
    )


# "Other liver lesions: mixed", "weitere Leberherde": the rows are not all lesions.
_OTHERS = (
    "other",
    "weiter",
    "further",
    "additional",
    "uebrig",
    "multip",
    "several",
    "numer",
    "scatter",
    "zahlr",
    "mehrere",
)


# "Tiny lesions S2: present, unmeasured" below the table. ("Smaller" tells a course.)
_SMALL = frozenset(
    {
        "tiny",
        "small",
        "minute",
        "punctate",
        "subcentimetre",
        "subcentimeter",
        "kleine",
        "kleinen",
        "kleinste",
        "kleinsten",
    }
) | {"winzige", "winzigen", "punktfoermige", "punktfoermigen"}


def _rows_counted(table: Table, readings: Sequence[Reading]) -> int | None:
    """The table's lesions of the liver, None where the report speaks of others beside them."""
    told = ("no_new", "no_other", "absent", "ignored", "benign")
    others = any(
        any(word.startswith(_OTHERS) or word in _SMALL for word in reading.words)
        and (reading.names_liver or any(m.organ == "liver" for m in reading.mentions))
        and not any(m.polarity in told for m in reading.mentions)
        and not table.holds(*reading.sentence.span)
        for reading in readings
    )
    return None if others else (table.lesions or None)


def _line_quote(original: str, text: str, origin: Sequence[int] | None, span: tuple[int, int]) -> str:
    """A line of the table in the original text; ``span`` is its place in ``text``."""
    row = text[slice(*span)].strip()
    start = text.index(row)
    return row if origin is None else original[origin[start] : origin[start + len(row) - 1] + 1]


def _words(text: str) -> list[str]:
    return [token.text for token in tokenise(text)]


_TARGETS = ("target", "ziell", "recist")


def _is_of_targets(status: str, deciding: Fact | None, tokens: Sequence[Token], *, timed: bool) -> bool:
    """Whether a table of the liver's lesions is all that there is, or one of target lesions, which are metastases.

    What is measured at several times has not gone where other lesions are denied ("New lesions: no").
    """
    mention = deciding.mention if deciding is not None else None
    if status == "absent" and timed and mention is not None and mention.kind == "lesion":
        return mention.polarity in ("absent", "non_avid")
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
    spinal = sacrum_is_examined(
        sentences, [s for s in sentences if s.section != "skip" or s.kind == "technique"], rules
    )
    organs = (organs - {"liver"}) | {"other"} if spinal else organs
    # An MRI in a study of the liver is one of the liver, unless it only names other organs.
    only_liver = "liver" in organs and "other" not in organs  # all that a PET report speaks of
    elsewhere = examined_elsewhere(sentences, rules)
    default = "liver" if only_liver or (not is_pet and (organs & {"liver", "none"} or "other" not in organs)) else ""
    ablated = any(word.startswith(_ABLATED) or "ablation" in word for word in words)
    lobes_elsewhere = spinal or lobes_are_elsewhere(words, sentences, rules)
    readings = []
    carried, by_lesion, block = "", False, -1
    spoken: set[str] = set()  # organs in which something was found
    for sentence in sentences:
        if sentence.section == "skip":
            continue
        if sentence.block != block:
            carried, by_lesion, block = "", False, sentence.block
        focus = "liver" if sentence.section != "findings" and spoken == {"liver"} else default
        reading = read_sentence(sentence, rules, Context(carried, by_lesion, focus, is_pet, ablated, lobes_elsewhere))
        spoken |= {m.organ for m in reading.mentions if m.organ and m.polarity not in ("absent", "ignored")}
        reading = only_what_was_seen(reading, rules) if elsewhere else reading
        if reading.last_organ:
            carried, by_lesion = reading.last_organ, reading.last_is_lesion
        readings.append(reading)
    return [] if _was_not_done(readings, rules) else readings


_ABLATED = ("rfa", "mwa", "ablat", "ablad", "microwave", "mikrowell", "radiofreq", "cryoabl", "kryoabl")


def _was_not_done(readings: Sequence[Reading], rules: Rules) -> bool:
    """ "Patient did not attend": a note in place of a report; what it names was only planned or asked for."""
    if not any(rules.not_done.find(reading.words) for reading in readings):
        return False
    measured = any(
        cue.category.startswith("unit") for reading in present_of(readings, rules) for cue in reading.size_hits(rules)
    )
    headed = any(reading.sentence.kind in ("findings", "impression") for reading in readings)
    reports = [r for r in readings if not rules.not_done.find(r.words) or _DENIALS & set(r.words)]
    denied = any(m.polarity == "absent" and m.organ == "liver" and m.organ_known for r in reports for m in r.mentions)
    return not measured and not headed and not denied


# "Did not attend" denies no lesion, "no lesion" does.
_DENIALS = frozenset({"kein", "keine", "keinen", "no", "without", "ohne"})


def _is_pet(words: Sequence[str], rules: Rules, modality: str | None) -> bool:
    if modality and modality.strip():
        return modality.strip().upper() in PET_MODALITIES or modality.strip().upper().startswith(("PET", "PT"))
    found = [hit.category for hit in rules.modalities.find(words)]
    return found.count("pet") > found.count("mr")


def _counted_mentions(facts: Sequence[Fact], readings: Sequence[Reading], status: str, rules: Rules) -> set[int]:
    """Identities of the mentions whose sizes and numbers count for this status."""
    counted = {id(f.mention) for f in facts if f.status == status and f.mention is not None}
    judged = judged_benign(readings)
    for reading, following in zip(readings, [*readings[1:], None], strict=True):
        called_benign = is_benign_verdict(following, reading)
        for mention in reading.mentions:
            if id(reading) in judged and mention.kind == "lesion" and mention.singular:
                counted.discard(id(mention))
                continue
            if called_benign and mention.singular and mention.polarity in ("neutral", "non_avid"):
                continue
            if mention.kind == "lesion" and mention.singular and owns_no_size(reading, mention, rules):
                continue  # "Treated segment 3 lesion without recurrence"
            if mention.organ == "liver" and mention.polarity in ("neutral", "followed", "non_avid", "bounded"):
                counted.add(id(mention))
    return counted


def _speaks_of_several(facts: Sequence[Fact], status: str) -> bool:
    """Whether facts of this status and others stand in one section: then they concern different lesions."""
    same = [fact for fact in facts if fact.status == status]
    return any(
        f.status in ("present", "uncertain")
        and f.status != status
        and (f.strong or status != "uncertain")
        and any(f.section == other.section and f.reading is not other.reading for other in same)
        and not any(f.reading is other.reading for other in same)
        for f in facts
    )


def _quote(text: str, origin: Sequence[int] | None, deciding: Fact | None) -> str:
    """The deciding sentence in the original text; ``origin``: see `plain_text`."""
    if deciding is None:
        return ""
    start, end = deciding.reading.sentence.span
    if origin is not None:
        start, end = origin[start], origin[end - 1] + 1
    return text[start:end].strip()
