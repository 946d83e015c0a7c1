"""Cut a report's tokens into sentences that know their section and the organ of their heading.

Sentences end at full stops (not behind abbreviations, ordinals or in numbers), at question marks, at
bullets, blank lines and at line ends that are not mere wrapping. Sections on the question, technique,
comparison and recommendation are marked "skip".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import Token

__all__ = ["Sentence", "split_sentences"]

MAX_HEADING_WORDS = 6
# A line is wrapped, not ended, if the next word would have reached this share of the longest line.
WRAP_SHARE = 0.85
# Texts whose longest line is shorter than this are staccato: their line ends are ends.
MIN_WRAP_WIDTH = 50
# No sentence is longer; text without stops (a broken export) is cut, for reading costs the square of the length.
MAX_SENTENCE_TOKENS = 150
# Sections that are not read, and the provisional mark of the lines below their first.
OPEN = {"skip": "skip?", "comparison": "comparison?"}


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """Tokens of a sentence; ``section``: findings, impression, skip; ``heading``: liver, other or ""."""

    tokens: tuple[Token, ...]
    section: str
    heading: str
    block: int  # changes with each heading and blank line: nothing is carried across
    question: bool

    @property
    def span(self) -> tuple[int, int]:
        """[start, end) in the original text."""
        return self.tokens[0].start, self.tokens[-1].end

    @property
    def words(self) -> list[str]:
        """The tokens' texts."""
        return [token.text for token in self.tokens]


def split_sentences(tokens: Sequence[Token], text: str, rules: Rules) -> list[Sentence]:
    """All sentences in order, skipped sections included (marked)."""
    return _assign_sections(_cut(tokens, text, rules), rules)


@dataclass(frozen=True, slots=True)
class _Piece:
    tokens: tuple[Token, ...]
    after_blank: bool  # a blank line stands before it
    own_line: bool  # it starts a line
    ends_line: bool


def _cut(tokens: Sequence[Token], text: str, rules: Rules) -> list[_Piece]:
    width = max((len(line) for line in text.splitlines()), default=0)
    pieces: list[_Piece] = []
    current: list[Token] = []
    after_blank, own_line, depth = False, True, 0

    def close(ends_line: bool) -> None:
        nonlocal current, after_blank, own_line
        if any(token.kind in ("word", "number") for token in current):
            pieces.append(_Piece(tuple(current), after_blank, own_line, ends_line))
            after_blank = False
        current = []
        own_line = ends_line

    for index, token in enumerate(tokens):
        if token.kind == "newline":
            blank = index + 1 < len(tokens) and tokens[index + 1].kind == "newline"
            if blank or not _is_wrapped(tokens, index, text, width):
                close(ends_line=True)
                depth = 0
            after_blank = after_blank or blank
            continue
        current.append(token)
        depth = max(0, depth + (token.text in "([") - (token.text in ")]"))
        too_long = len(current) >= MAX_SENTENCE_TOKENS
        if too_long or (depth == 0 and _ends_sentence(tokens, index, text, rules)):
            close(ends_line=False)
            depth = 0
    close(ends_line=True)
    return pieces


def _ends_sentence(tokens: Sequence[Token], index: int, text: str, rules: Rules) -> bool:
    token = tokens[index]
    if token.text in ("?", "!"):
        return True
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    capital = following is not None and text[following.start].isupper()
    if token.text in rules.spoken_stops:
        return capital or following is None  # dictated: "Kein Aszites Punkt Milz normal Punkt"
    if token.kind == "word" and token.text.endswith("."):
        return token.text in rules.may_end and capital
    if token.text != "." or index == 0:
        return False
    before = tokens[index - 1]
    if before.text in rules.sides and following is not None:
        return capital and not rules.organs.find([following.text])
    if before.text in rules.may_end and following is not None:
        return capital
    if before.text in rules.never_end:
        return False
    if following is not None and following.glued and following.kind in ("word", "number") and not capital:
        return False
    # "3. Metastase": an ordinal or the number of a list, unless a unit or a size led up to it.
    started_line = index < 2 or tokens[index - 2].kind == "newline"
    return not (before.kind == "number" and len(before.text) <= 2 and started_line)


def _is_wrapped(tokens: Sequence[Token], index: int, text: str, width: int) -> bool:
    """Whether the line end at ``index`` is only wrapping."""
    if index == 0 or index + 1 >= len(tokens):
        return False
    before, after = tokens[index - 1], tokens[index + 1]
    if before.kind == "newline" or before.text in (":", ".", ";", "?", "!"):
        return False
    if after.text in ("-", "*", "+", ">", "#"):
        return False
    if after.kind == "number" and index + 2 < len(tokens) and tokens[index + 2].text in (".", ")"):
        beyond = tokens[index + 3] if index + 3 < len(tokens) else None
        if beyond is not None and not beyond.glued:
            return False  # a numbered list
    if before.text in (",", "/", "(") or before.hyphen or text[after.start].islower():
        return True
    if _line_is_heading(tokens, index + 1):
        return False
    line_start = text.rfind("\n", 0, before.end) + 1
    next_word_end = text.find(" ", after.end)
    word = (next_word_end if next_word_end > 0 else after.end) - after.start
    return width >= MIN_WRAP_WIDTH and before.end - line_start + 1 + word >= WRAP_SHARE * width


def _line_is_heading(tokens: Sequence[Token], start: int) -> bool:
    """A colon within the first words of the line."""
    for token in tokens[start : start + MAX_HEADING_WORDS]:
        if token.kind == "newline":
            return False
        if token.text == ":":
            return True
    return False


def _assign_sections(pieces: Sequence[_Piece], rules: Rules) -> list[Sentence]:
    sentences: list[Sentence] = []
    section, heading, block = "findings", "", 0
    named = -1  # number of sentences before the last findings or impression heading
    for piece in pieces:
        tokens = piece.tokens
        continued = piece.own_line
        if piece.after_blank:
            block += 1
            heading = ""
        kind, organ, used = _heading(piece, rules)
        while used:
            block += 1
            continued = False
            named = len(sentences) if kind in ("findings", "impression") else named
            section = kind or ("findings" if section in OPEN and organ else section)
            heading = organ
            rest = tokens[used:]
            if not any(token.kind in ("word", "number") for token in rest):
                break
            if not organ:
                tokens = rest
            # A second heading may follow at once: "Befund: Leber: ..."
            kind, organ, used = ("", "", 0) if organ else _heading(replace(piece, tokens=rest), rules)
        else:
            question = tokens[-1].text == "?"
            own = section
            if section in OPEN:
                goes_on = continued or (bool(sentences) and sentences[-1].section == OPEN[section])
                own = OPEN[section] if goes_on and named < 0 else "skip"
            sentences.append(Sentence(tuple(tokens), own, heading, block, question))
    return _concluding(_close_open_sections(sentences, named), rules)


def _heading(piece: _Piece, rules: Rules) -> tuple[str, str, int]:
    """(section kind or "", organ of the heading or "", tokens used); 0 tokens if there is no heading."""
    words = [token.text for token in piece.tokens]
    start = 0
    while start < len(words) and (words[start] in "-*+#>.)(" or piece.tokens[start].kind == "number"):
        start += 1
    colon = next((i for i in range(start, min(len(words), start + 2 * MAX_HEADING_WORDS)) if words[i] == ":"), -1)
    if colon < 0:
        return _bare_heading(piece, words, start, rules)
    head = words[start:colon]
    if not head or sum(1 for t in piece.tokens[start:colon] if t.kind == "word") > MAX_HEADING_WORDS:
        return "", "", 0
    sections = rules.sections.find(head)
    kind = sections[0].category if sections and sections[0].start == 0 else ""
    organs = {hit.category for hit in rules.organs.find(head)} - {"none"}
    findings = rules.findings.find(head)
    if kind == "comparison" and _is_adverbial(piece.tokens[start:], colon - start):
        return "", "", 0
    if not kind and rules.attributes.find(head):
        return "", "", 0
    if not kind and (not organs or findings or any(t.kind == "number" for t in piece.tokens[start:colon])):
        return "", "", 0
    if kind in OPEN and organs and sections[0].end != len(head):
        organs = set()
    organ = "" if findings else "liver" if "liver" in organs else "other" if organs else ""
    return kind, organ, colon + 1


def _is_adverbial(tokens: Sequence[Token], colon: int) -> bool:
    """ "Compared with 1/11/22: ..." opens a sentence of findings; "Comparison: 1/11/22" names a study."""
    dated = any(token.kind == "date" for token in tokens[:colon])
    return dated and sum(token.kind == "word" for token in tokens[colon + 1 :]) > MAX_HEADING_WORDS


def _bare_heading(piece: _Piece, words: list[str], start: int, rules: Rules) -> tuple[str, str, int]:
    """A heading without a colon fills its line: "FINDINGS", "Beurteilung"."""
    if not (piece.own_line and piece.ends_line) or len(words) - start > MAX_HEADING_WORDS:
        return "", "", 0
    for hit in rules.sections.find(words[start:]):
        if hit.start == 0 and start + hit.end == len(words):
            return hit.category, "", len(words)
    return "", "", 0


def _concluding(sentences: list[Sentence], rules: Rules) -> list[Sentence]:
    """Without a heading for it, what opens with "Somit ..." or "In summary ..." is the impression."""
    if any(sentence.section == "impression" for sentence in sentences):
        return sentences
    return [
        replace(sentence, section="impression")
        if sentence.section == "findings" and any(hit.start == 0 for hit in rules.concluding.find(sentence.words))
        else sentence
        for sentence in sentences
    ]


def _close_open_sections(sentences: Sequence[Sentence], named: int) -> list[Sentence]:
    """Decide which lines below the first of a skipped section belong to it.

    Many short reports open with "Fragestellung: ..." or "Vergleich MRT 2018:" and go on with findings that have no
    heading. A question lasts until another section begins, a comparison only if a findings heading comes later; else
    both end with their line. ``named``: index of the sentence behind the last findings or impression heading.
    """
    skipping = {*OPEN.values(), "skip"}
    last_closed = max((i for i, s in enumerate(sentences) if s.section not in skipping), default=-1)
    out = []
    for index, sentence in enumerate(sentences):
        section = sentence.section
        if section in OPEN.values():
            ended_by = last_closed if section == OPEN["skip"] else named - 1
            section = "skip" if index <= ended_by else "findings"
        out.append(replace(sentence, section=section))
    if out and all(sentence.section == "skip" for sentence in out):
        # "Clinical: pain. Liver normal.": all on one line; only the first sentence is the question.
        out[1:] = [replace(sentence, section="findings") for sentence in out[1:]]
    return out
