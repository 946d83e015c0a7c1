"""Cut a report's tokens into sentences.

Sentences end at full stops (not behind abbreviations, ordinals or in numbers), at question marks, at
bullets, blank lines and at line ends that are not mere wrapping.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from liverpair.evaluate.labels.columns import divided
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.sections import MAX_HEADING_WORDS, Piece, Sentence, assign_sections
from liverpair.evaluate.labels.text import Token

__all__ = ["split_sentences"]

# A line is wrapped, not ended, if the next word would have reached this share of the longest line.
WRAP_SHARE = 0.85
# Texts whose longest line is shorter than this are staccato: their line ends are ends.
MIN_WRAP_WIDTH = 50
# "Nach dem 1. Zyklus".
_BEFORE_ORDINAL = frozenset({"dem", "der", "den", "des", "am", "zum", "zur", "vom", "beim"})
# A word of so few letters before a number is an abbreviation.
LONGEST_ABBREVIATION = 3
# "14.11.", a day without its year.
_DAY = re.compile(r"(?:0?[1-9]|[12]\d|3[01])\.(?:0?[1-9]|1[0-2])")
# Words of an organ's name at the start of a line.
LONGEST_ORGAN_NAME = 3
# Share of words with a capital above which a small letter behind a stop means that the stop ended nothing.
CAPITAL_SHARE = 0.2
# A word cut short ("unauff.", "Metast.") has no more letters than this.
LONGEST_SHORT_FORM = 7
# A line of so many cells is a row of a table.
FEWEST_TABLE_CELLS = 3
# No sentence is longer; text without stops (a broken export) is cut, for reading costs the square of the length.
MAX_SENTENCE_TOKENS = 150


def split_sentences(tokens: Sequence[Token], text: str, rules: Rules) -> list[Sentence]:
    """All sentences in order, skipped sections included (marked)."""
    return assign_sections(_cut(tokens, text, rules), rules)


def _uses_capitals(tokens: Sequence[Token], text: str) -> bool:
    """Whether sentences begin with capitals here: most words behind a stop do, or nouns are written so."""
    words = [token for token in tokens if token.kind == "word"]
    return sum(text[token.start].isupper() for token in words) >= CAPITAL_SHARE * len(words)


def _cut(tokens: Sequence[Token], text: str, rules: Rules) -> list[Piece]:
    capitals = _uses_capitals(tokens, text)
    width = max((len(line) for line in text.splitlines()), default=0)
    pieces: list[Piece] = []
    current: list[Token] = []
    after_blank, own_line, depth = False, True, 0

    def close(ends_line: bool) -> None:
        nonlocal current, after_blank, own_line
        if any(token.kind in ("word", "number") for token in current):
            pieces.append(Piece(tuple(current), after_blank, own_line, ends_line, _leading_capitals(current, text)))
            after_blank = False
        current = []
        own_line = ends_line

    for index, token in enumerate(tokens):
        if current and _opens_question(tokens, index, rules):
            close(ends_line=False)
        if token.kind == "newline":
            blank = index + 1 < len(tokens) and tokens[index + 1].kind == "newline"
            if blank or not _is_wrapped(tokens, index, text, width if capitals else -width, rules):
                close(ends_line=True)
                depth = 0
            after_blank = after_blank or blank
            continue
        current.append(token)
        depth = max(0, depth + (token.text in "([") - (token.text in ")]"))
        too_long = len(current) >= MAX_SENTENCE_TOKENS
        if too_long or (
            depth == 0
            and _ends_sentence(tokens, index, text, rules)
            and not (capitals and _abbreviates(tokens, index, text))
        ):
            close(ends_line=False)
            depth = 0
    close(ends_line=True)
    return pieces


def _opens_question(tokens: Sequence[Token], index: int, rules: Rules) -> bool:
    """ "dotatoc pet ct, klinik: net pankreas": a heading of the question inside the first line."""
    if index == 0 or tokens[index - 1].text not in (",", "/", "|", ";", "-") or tokens[index + 1 : index + 2] == []:
        return False
    if tokens[index + 1].text != ":" or tokens[index].kind != "word":
        return False
    return any(hit.category == "question" for hit in rules.sections.find([tokens[index].text]))


def _leading_capitals(tokens: Sequence[Token], text: str) -> int:
    """Tokens up to the last of the leading words in capitals; 0 if no word in small letters follows."""
    count = 0
    for index, token in enumerate(tokens):
        written = text[token.start : token.end]
        if token.kind == "word" and len(written) > 1 and not written.isupper():
            return count
        if token.kind == "word" and len(written) > 1:
            count = index + 1
    return 0


def _ends_sentence(tokens: Sequence[Token], index: int, text: str, rules: Rules) -> bool:
    token = tokens[index]
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    if token.text == "?" and following is not None and following.kind == "word" and following.glued:
        return token.glued and text[following.start].isupper()  # "6 mm ?met": the mark doubts what follows
    if token.text == "?" and not token.glued and following is not None and following.kind == "word":
        return False  # "S5 lesion ? metastasis"
    if token.text == "?" and following is not None and following.text in rules.answers:
        return False  # "Lebermetastasen? Nein."
    if token.text == "?" and any(later.text == "?" for later in tokens[index + 1 : index + 3]):
        return False  # "Filia? Zyste?"
    if token.text in ("?", "!"):
        return True
    capital = following is not None and text[following.start].isupper()
    if token.text in rules.spoken_stops:
        return capital or following is None  # dictated: "Kein Aszites Punkt Milz normal Punkt"
    if token.kind == "word" and token.text.endswith("."):
        return token.text in rules.may_end and capital
    if token.text != "." or index == 0:
        return False
    if following is not None and following.text == ":" and following.glued:
        return False  # "Anamn.: NET", "Bef.:"
    if following is not None and following.text in (",", ";", "/", "+", "&"):
        return False  # "bilobär multip., max. 25 mm", "kein Hw. auf Rez. / Meta."
    before = tokens[index - 1]
    if before.text in rules.sides and following is not None:
        return capital and not rules.organs.find([following.text])
    if before.text in rules.may_end and following is not None:
        attributive = before.text.startswith("path") and bool(rules.findings.find([following.text]))
        return capital and not attributive  # "ohne path. Mehrspeicherung"
    if before.text in rules.never_end:
        return capital and before.text == "min" and index >= 2 and tokens[index - 2].kind == "number"  # "20 min. Leber"
    if following is not None and following.glued and following.kind in ("word", "number") and not capital:
        return False
    if [later.text for later in tokens[index + 1 : index + 3]] in (["-", ">"], ["=", ">"], ["-", "-"]):
        return False  # "DWI pos., HBP def. -> Met"
    if before.kind == "word" and len(before.text) == 1:
        return False  # "Resektion b. Met."
    if _DAY.fullmatch(before.text) and following is not None and not capital:
        return False  # "im MRT vom 14.11. ohne Korrelat"
    written = text[before.start : before.end]
    short = before.kind == "word" and len(written) <= LONGEST_ABBREVIATION and not written.isupper()
    if short and following is not None and following.kind == "number":
        return False  # "LK mes. 25 mm"
    # "3. Metastase": an ordinal or the number of a list, unless a unit or a size led up to it.
    listed = index > 1 and tokens[index - 2].text == "/" and not before.glued  # "Baseline / 1. Kontrolle"
    listed = listed or (index > 1 and tokens[index - 2].text in _BEFORE_ORDINAL)
    started_line = index < 2 or tokens[index - 2].kind == "newline" or listed
    return not (before.kind == "number" and len(before.text) <= 2 and started_line)


def _abbreviates(tokens: Sequence[Token], index: int, text: str) -> bool:
    """ "Kein Hw. auf Met.": a stop behind a short word, with a small letter behind it on the same line."""
    if tokens[index].text != "." or index == 0 or index + 1 >= len(tokens):
        return False
    before, following = tokens[index - 1], tokens[index + 1]
    small = following.kind == "word" and text[following.start].islower()
    if before.text in ("mm", "cm"):
        return False
    return before.kind == "word" and len(before.text) <= LONGEST_SHORT_FORM and small


def _is_wrapped(tokens: Sequence[Token], index: int, text: str, width: int, rules: Rules) -> bool:
    """Whether the line end at ``index`` is only wrapping."""
    if index == 0 or index + 1 >= len(tokens):
        return False
    before, after = tokens[index - 1], tokens[index + 1]
    if len(divided(_line_of(text, before.start))) >= FEWEST_TABLE_CELLS:
        return False
    if before.kind == "newline" or before.text in (":", ".", ";", "?", "!"):
        return False
    if after.text in ("-", "*", "+", ">", "#"):
        return False
    if after.kind == "number" and index + 2 < len(tokens) and tokens[index + 2].text in (".", ")"):
        beyond = tokens[index + 3] if index + 3 < len(tokens) else None
        if beyond is not None and not beyond.glued:
            return False  # a numbered list
    if _line_is_heading(tokens, index + 1) and (
        _line_is_heading(tokens, _line_start(tokens, index)) or _line_is_heading(tokens, _next_line(tokens, index + 1))
    ):
        return False  # a form: "leber: suspekt" above "knochen: negativ"
    if _is_closed_item(tokens, index, text):
        return False  # "Segment VI: 18 mm (before 26 mm)" above "Known haemangioma"
    if _has_label(tokens, index + 1) and _has_label(tokens, _line_start(tokens, index)):
        return False  # "baseline - 9 lesions" above "post PRRT - 4 lesions"
    if before.text in (",", "/", "(") or before.hyphen:
        return True
    line = [token.text for token in tokens[_line_start(tokens, index) : index]]
    answered = before.text in rules.answers and bool(rules.findings.find(line))  # "Hepatic metastases: no"
    if before.text in rules.leading_on and not answered and not _line_is_heading(tokens, index + 1):
        return True  # "Abdomen: Keine" above "Lebermetastasen."
    if width > 0 and text[after.start].islower() and not _lists_organs(tokens, index, rules):
        return True
    if _line_is_heading(tokens, index + 1):
        return False
    line_start = text.rfind("\n", 0, before.end) + 1
    next_word_end = text.find(" ", after.end)
    word = (next_word_end if next_word_end > 0 else after.end) - after.start
    width = abs(width)
    return width >= MIN_WRAP_WIDTH and before.end - line_start + 1 + word >= WRAP_SHARE * width


def _is_closed_item(tokens: Sequence[Token], index: int, text: str) -> bool:
    """A line that opens with a name and a colon, a segment or "#", and ends with a size; the next has a capital."""
    before, after = tokens[index - 1], tokens[index + 1]
    if before.text not in ("mm", "cm", ")", "]") or not text[after.start].isupper():
        return False
    start = _line_start(tokens, index)
    return _line_is_heading(tokens, start) or tokens[start].text.startswith("seg") or tokens[start].text == "#"


def _lists_organs(tokens: Sequence[Token], index: int, rules: Rules) -> bool:
    """ "lung -" above "liver -": lines that begin with an organ each are a list, even without capitals."""
    starts = (_line_start(tokens, index), index + 1)
    for start in starts:
        words = [token.text for token in tokens[start : start + LONGEST_ORGAN_NAME] if token.kind == "word"]
        if not any(hit.start == 0 for hit in rules.organs.find(words)):
            return False
    return True


def _line_start(tokens: Sequence[Token], index: int) -> int:
    return next((i + 1 for i in range(index - 1, -1, -1) if tokens[i].kind == "newline"), 0)


def _next_line(tokens: Sequence[Token], start: int) -> int:
    return next((i + 1 for i in range(start, len(tokens)) if tokens[i].kind == "newline"), len(tokens))


def _line_of(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)]


# "post PRRT - 4 lesions": words before the dash.
LONGEST_LABEL = 4


def _has_label(tokens: Sequence[Token], start: int) -> bool:
    """A dash between blanks within the first words of the line, behind a word."""
    for at in range(start, min(len(tokens) - 1, start + LONGEST_LABEL + 1)):
        if tokens[at].kind == "newline":
            return False
        if tokens[at].text == "-" and at > start and not tokens[at].glued and not tokens[at + 1].glued:
            return True
    return False


def _line_is_heading(tokens: Sequence[Token], start: int) -> bool:
    """A colon within the first words of the line."""
    for token in tokens[start : start + MAX_HEADING_WORDS]:
        if token.kind == "newline":
            return False
        if token.text == ":":
            return True
    return False
