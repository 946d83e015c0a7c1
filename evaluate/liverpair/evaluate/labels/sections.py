"""Give every sentence its section (findings, impression, skip) and the organ of its heading.

Question, technique and advice are skipped. Many reports head those and leave their findings unheaded: then the
question and the technique end with their line, their paragraph, or where sentences begin to describe an organ.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import Token

__all__ = ["Piece", "Sentence", "assign_sections"]

MAX_HEADING_WORDS = 6
# "Die Leber gilt damit als metastasenfrei": words before the one that draws the conclusion.
LATEST_CONCLUDING = 3
# An addendum tells in its heading when and why it was added.
LONGEST_ADDENDUM_HEADING = 24
# Sections that are read; all others are skipped while they last.
_READ = frozenset({"findings", "impression", "addendum", "consensus", "organ"})
# "Abdomen: ..." ends the organ of the heading before it ("Thorax: ...") and names none itself.
_TRUNK = ("abdom", "oberbauch")
# Sections that say nothing of today's findings but may be followed by findings without a heading.
_OPENING = frozenset({"question", "technique"})


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """Tokens of a sentence; ``section``: findings, impression, addendum, skip; ``heading``: liver, other or ""."""

    tokens: tuple[Token, ...]
    section: str
    heading: str
    block: int  # changes with each heading and blank line: nothing is carried across
    question: bool
    kind: str = ""  # the category of its heading

    @property
    def span(self) -> tuple[int, int]:
        """[start, end) in the original text."""
        return self.tokens[0].start, self.tokens[-1].end

    @property
    def words(self) -> list[str]:
        """The tokens' texts."""
        return [token.text for token in self.tokens]


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands between two stops."""

    tokens: tuple[Token, ...]
    after_blank: bool  # a blank line stands before it
    own_line: bool  # it starts a line
    ends_line: bool
    capitals: int = 0  # words in capitals that it begins with, before others that are not


@dataclass(frozen=True, slots=True)
class _Placed:
    """A sentence with its place in the run of sentences under one heading."""

    sentence: Sentence
    kind: str  # the heading's category, "" before the first heading
    run: int
    number: int  # sentences of the run before it
    line: int  # lines of the run before its own
    paragraph: int  # blank lines of the run before it


def assign_sections(pieces: Sequence[Piece], rules: Rules) -> list[Sentence]:
    """All sentences in order, skipped sections included (marked "skip")."""
    placed = _without_ambiguous(_place(pieces, rules))
    sentences = [
        replace(one.sentence, section=_section(i, placed, rules), kind=one.kind) for i, one in enumerate(placed)
    ]
    if sentences and all(sentence.section == "skip" for sentence in sentences):
        # "Clinical: pain. Liver normal.": all on one line; only the first sentence is the question.
        sentences[1:] = [
            replace(sentence, section="findings" if one.number or len(sentences) == 1 else "skip")
            for sentence, one in zip(sentences[1:], placed[1:], strict=True)
        ]
    return _concluding(sentences, rules)


def _place(pieces: Sequence[Piece], rules: Rules) -> list[_Placed]:
    placed: list[_Placed] = []
    kind, heading = "", ""
    run = block = number = line = paragraph = 0
    asked: tuple[Token, ...] = ()  # a question whose answer follows
    for piece in pieces:
        tokens = piece.tokens
        if piece.after_blank:
            block += 1
            heading = ""
        if number:  # the run has content already
            line += piece.own_line
            paragraph += piece.after_blank
        found, organ, used = _heading(piece, rules)
        if found == "answer":
            asked = _question_answered(tokens[:used], placed)
            found, used = ("impression", used) if asked else ("", 0)
        while used:
            block += 1
            if found == "region":
                found = "" if kind in _READ else "organ"
            if found or (organ and kind not in _READ):
                kind, run, number, line, paragraph = found or "organ", run + 1, 0, 0, 0
            heading = organ
            rest = tokens[used:]
            if not any(token.kind in ("word", "number") or token.text in "+-" for token in rest):
                # "Vergleich MRT 2/18:" has named its study: what follows on the next line is compared with it.
                told = any(t.kind in ("number", "date") for t in tokens) or len(tokens) > MAX_HEADING_WORDS
                line += kind == "comparison" and told
                break
            if not organ:
                tokens = rest
            # A second heading may follow at once: "Befund: Leber: ..." ("FINDINGS: Compared with ..." has none)
            piece = replace(piece, tokens=rest, capitals=max(0, piece.capitals - used))
            found, organ, used = ("", "", 0) if organ else _heading(piece, rules)
        else:
            sentence = Sentence((*asked, *tokens), "", heading, block, tokens[-1].text == "?")
            asked = ()
            placed.append(_Placed(sentence, kind, run, number, line, paragraph))
            number += 1
    return placed


def _question_answered(heading: Sequence[Token], placed: Sequence[_Placed]) -> tuple[Token, ...]:
    """The question with the number that the answer's heading names ("Answer to 2:"), else the one right before."""
    number = next((int(token.text) for token in heading if token.text.isdigit()), 0)
    questions = [one.sentence.tokens for one in placed if one.sentence.question and one.kind == "question"]
    if 0 < number <= len(questions):
        return questions[number - 1]
    return placed[-1].sentence.tokens if placed and placed[-1].sentence.question else ()


def _without_ambiguous(placed: Sequence[_Placed]) -> list[_Placed]:
    """ "Ergebnis" and "Diagnosis" head the impression behind findings; else the findings, and the question."""
    kinds = {one.kind for one in placed}
    second_opinion = "own" in kinds
    out: list[_Placed] = []
    described = False
    for i, one in enumerate(placed):
        kind = one.kind
        if kind == "own":
            kind = "impression"
        elif kind == "original":
            kind = "comparison" if second_opinion else "findings"
        elif kind == "diagnosis":
            alone = not any(later.run != one.run for later in placed[i:])
            kind = "impression" if described or alone else "question"
        elif kind == "result":
            asked_later = any(later.kind in _OPENING for later in placed[i:])
            kind = "impression" if described or "findings" in kinds or asked_later else "findings"
        unheaded = kind in _OPENING and bool(one.line or one.paragraph) and not one.sentence.question
        described = described or unheaded or kind in ("", "findings", "organ")
        out.append(replace(one, kind=kind))
    return out


def _section(index: int, placed: Sequence[_Placed], rules: Rules) -> str:
    one = placed[index]
    if one.kind in ("", *_READ):
        if one.kind == "consensus":
            return "addendum"
        return one.kind if one.kind in ("impression", "addendum") else "findings"
    if one.kind == "advice":
        return "skip"
    if one.kind == "technique" and _measures_lesion(one.sentence.words, rules):
        return "findings"  # "Contrast CT: 12 mm hypodense area"
    later = {other.kind for other in placed[index + 1 :] if other.run != one.run}
    if one.kind == "comparison":
        told = any(_tells_present(other, rules) for other in placed[: index + 1] if other.run == one.run)
        lasts = one.line == 0 or "findings" in later
        return "skip" if lasts and not told else "findings"
    begun = one.paragraph > 0 and _measures_lesion(one.sentence.words, rules) and _describes(one, rules)
    if later & {"findings", *_OPENING} and not (begun and not later & {"findings", "question"}):
        return "skip"  # "KM extrazellulär" behind the first lesions heads no technique that the question lasts to
    return "findings" if _has_left(one, index, placed, rules) else "skip"


def _measures_lesion(words: Sequence[str], rules: Rules) -> bool:
    measured = any(cue.category.startswith("unit") for cue in rules.sizes.find(words))
    lesions = any(hit.category in ("lesion", "metastasis") for hit in rules.findings.find(words))
    return measured and lesions and not rules.technical.find(words)


def _tells_present(one: _Placed, rules: Rules) -> bool:
    """ "Vorbefund 5/2023: 1 Metastase. Jetzt nur noch ...": behind the first sentence the present has begun.

    So it has where the reader speaks in the first person: 'First reader: "cysts". We do not agree: ...'.
    """
    words = one.sentence.words
    current = any(hit.category == "current" and words[hit.start] not in _LINKS for hit in rules.sizes.find(words))
    judged = bool(_OWN_VOICE & set(words)) and any(word.startswith(_JUDGING) for word in words)
    return one.number > 0 and (current or judged) and _speaks_of_findings(words, rules)


_LINKS = frozenset({"auf", "to"})
_OWN_VOICE = frozenset({"wir", "unseres", "unserer", "we", "our"})
_JUDGING: tuple[str, ...] = (
    "halten",
    "sehen",
    "werten",
    "bewerten",
    "deuten",
    "erachten",
    "meinung",
    "sicht",
    "schaetz",
)
_JUDGING += ("agree", "disagree", "regard", "think", "believe", "consider", "opinion", "view", "favo", "interpret")


def _speaks_of_findings(words: Sequence[str], rules: Rules) -> bool:
    named = any(hit.category != "none" for hit in rules.organs.find(words))
    return named or bool(rules.findings.find(words))


def _has_left(one: _Placed, index: int, placed: Sequence[_Placed], rules: Rules) -> bool:
    """Whether the unheaded findings have begun behind the last question or technique."""
    if one.paragraph > 0:
        return True
    own = [other for other in placed[: index + 1] if other.run == one.run and other.number > 0]
    if one.line > 0:
        # Several lines without a blank one may all belong to the question: the first that describes ends it.
        return any(other.line > 0 and not other.sentence.question for other in own)
    return any(_describes(other, rules) for other in own)


def _describes(one: _Placed, rules: Rules) -> bool:
    """A sentence that describes an organ or a lesion, rather than a question, a history or a technique."""
    words = one.sentence.words
    if one.sentence.question or rules.technical.find(words):
        return False
    cues = {cue.category for cue in rules.cues.find(words)}
    features = {cue.category for cue in rules.features.find(words)}
    if cues & {"historical", "historical_after", "hypothetical"}:
        return False
    named = any(hit.category != "none" for hit in rules.organs.find(words)) or bool(rules.findings.find(words))
    if one.kind == "technique":
        return named
    measured = any(cue.category.startswith("unit") for cue in rules.sizes.find(words))
    return named and (measured or "negation_before" in cues or bool(features & {"normal", "malignant"}))


_NUMBERED_STUDIES = ("study", "untersuchung", "exam", "scan")
_ORDINAL = re.compile(r"\d|i{1,3}|iv|v|[a-d]")


def _heading(piece: Piece, rules: Rules) -> tuple[str, str, int]:
    """(section kind or "", organ of the heading or "", tokens used); 0 tokens if there is no heading."""
    words = [token.text for token in piece.tokens]
    start = 0
    while start < len(words) and (words[start] in "-*+#>.)(" or piece.tokens[start].kind == "number"):
        start += 1
    if piece.own_line:
        added = next((hit for hit in rules.sections.find(words[start:]) if hit.category == "addendum"), None)
        if added is not None and added.start == 0:
            # "Nachtrag vom 5.7. nach Eintreffen der Voraufnahmen:", "ADDENDUM 8/17: ..."
            end = next(
                (i + 1 for i in range(start, min(len(words), start + LONGEST_ADDENDUM_HEADING)) if words[i] == ":"), 0
            )
            return "addendum", "", end or start + added.end
    colon = next((i for i in range(start, min(len(words), start + 2 * MAX_HEADING_WORDS)) if words[i] == ":"), -1)
    if colon < 0:
        return _bare_heading(piece, words, start, rules)
    head = words[start:colon]
    head = head[:-1] if head[-1:] == ["."] else head  # "Anamn.:"
    if not head or sum(1 for t in piece.tokens[start:colon] if t.kind == "word") > MAX_HEADING_WORDS:
        return "", "", 0
    if len(head) > 1 and head[0].startswith(_NUMBERED_STUDIES) and _ORDINAL.fullmatch(head[1]):
        return "", "", 0  # "Study 2 (after 2 cycles): segment 6, 24 mm": one of several, with its findings
    sections = rules.sections.find(head)
    kind = sections[0].category if sections and sections[0].start == 0 else ""
    if kind and sections[0].end == 1 and len(head[0]) == 1 and len(head) > 1:
        kind = ""  # "F-18-SiTATE-PET/CT 07/2024:" is no "F:"
    named = {hit.category for hit in rules.organs.find(head)}
    organs = {"none", "liver"} & named if {"none", "other"} <= named else named - {"none"}  # "Abdomen/pelvis:"
    findings = rules.findings.find(head)
    if kind == "comparison" and _heads_series(piece.tokens[start:], colon - start):
        return "", "", 0
    if kind == "comparison" and head[0] in rules.comparing and _is_adverbial(piece.tokens[start:], colon - start):
        return "", "", 0
    if not kind and rules.attributes.find(head):
        return "", "", 0
    trunk = [word for word in head if word not in ("upper", "lower", "oberes", "unteres", "rest", "und", "and")]
    if not kind and named <= {"none"} and len(trunk) == 1 and trunk[0].startswith(_TRUNK):
        return "region", "", colon + 1
    if not kind and (not organs or findings or any(t.kind == "number" for t in piece.tokens[start:colon])):
        return "", "", 0
    if kind not in ("", *_READ) and organs and sections[0].end != len(head):
        organs = set()
    organ = "" if findings else "liver" if "liver" in organs else "other" if "other" in organs else ""
    return kind, organ, colon + 1


def _heads_series(tokens: Sequence[Token], colon: int) -> bool:
    """ "Comparison 2021 / 2022 / 2023: metastasis 20 / 25 / 30 mm": several dates, and as many sizes."""
    dates = sum(token.kind == "date" or _YEAR.fullmatch(token.text) is not None for token in tokens[:colon])
    slashes = sum(token.text == "/" for token in tokens[colon:])
    return dates > 1 and slashes >= dates - 1 and any(token.text in ("mm", "cm") for token in tokens[colon:])


_YEAR = re.compile(r"(?:19|20)\d\d")


def _is_adverbial(tokens: Sequence[Token], colon: int) -> bool:
    """ "Compared with 1/11/22: ..." opens a sentence of findings; "Comparison: 1/11/22" names a study."""
    dated = any(token.kind == "date" for token in tokens[:colon])
    return dated and sum(token.kind == "word" for token in tokens[colon + 1 :]) > MAX_HEADING_WORDS


def _bare_heading(piece: Piece, words: list[str], start: int, rules: Rules) -> tuple[str, str, int]:
    """A heading without a colon fills its line ("Beurteilung") or is in capitals ("FINDINGS The liver is ...")."""
    if piece.capitals:
        for hit in rules.sections.find(words[start:]):
            if hit.start == 0 and start + hit.end == piece.capitals:
                return hit.category, "", start + hit.end
    if not (piece.own_line and piece.ends_line) or len(words) - start > MAX_HEADING_WORDS:
        return "", "", 0
    for hit in rules.sections.find(words[start:]):
        if hit.start == 0 and start + hit.end == len(words):
            return hit.category, "", len(words)
    organs = [hit for hit in rules.organs.find(words[start:]) if hit.category != "none"]
    named = sum(hit.end - hit.start for hit in organs)
    if organs and start + named == len(words) and not rules.findings.find([rules.correct(w) for w in words]):
        return "", "liver" if organs[0].category == "liver" else "other", len(words)  # "LIVER" above its findings
    return "", "", 0


def _concluding(sentences: list[Sentence], rules: Rules) -> list[Sentence]:
    """Without a heading for it, what opens with "Somit ..." or "In summary ..." is the impression."""
    if any(sentence.section == "impression" for sentence in sentences):
        return sentences
    return [
        replace(sentence, section="impression")
        if sentence.section == "findings"
        and any(hit.start <= LATEST_CONCLUDING for hit in rules.concluding.find(sentence.words))
        else sentence
        for sentence in sentences
    ]
