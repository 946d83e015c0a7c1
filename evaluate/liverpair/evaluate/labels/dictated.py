"""Give dictation without punctuation its stops: before the organ that is spoken of next, and around the impression.

"pancreas normal kidneys normal no ascites conclusion liver metastases" holds no sentence that rules could keep to.
Only a long line that hardly has a mark is touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import normalise

__all__ = ["unpunctuated_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_WORD = re.compile(r"\w[\w'-]*(?:[.,]\d+)?")
_MARK = re.compile(r"[.,;:!?|=](?!\d)")
# Such a line is dictation: so many words, and no more than a mark for so many of them.
FEWEST_WORDS = 25
WORDS_A_MARK = 30
# Behind these an organ goes on with what was said, and opens nothing.
_CONNECTING = frozenset(
    {
        "in", "im", "der", "die", "das", "des", "dem", "den", "am", "an", "zur", "zum", "vom", "von", "bei",
        "mit", "aus", "auf", "neben", "hinter", "unter", "ueber", "um", "und", "oder", "sowie", "bzw", "bis",
        "ein", "eine", "einer", "einem", "einen", "kein", "nach", "zwischen", "entlang", "of", "the", "a", "from",
        "to", "near", "next", "at", "on", "within", "and", "or", "into", "behind", "between", "by", "for", "with",
        "under", "above", "below", "beside", "along", "adjacent", "known", "bekannte", "bekannter", "bekannten",
        "bekanntem", "primaer", "primary", "segment", "seg", "angrenzend"
    }
)  # fmt: skip
# These belong to the organ behind them: the stop stands before them.
_BELONGING = frozenset(
    {
        "no", "not", "without", "kein", "keine", "keinen", "ohne", "left", "right", "both", "linke", "linken",
        "linker", "rechte", "rechten", "rechter", "beide", "small", "large", "kleine", "grosse",
        "nebenbefundlich", "incidental", "the", "die", "der", "das"
    }
)  # fmt: skip
# Words of the impression's heading have more letters than this; shorter ones are said in sentences, too.
SHORTEST_HEADING = 5
# Words that "belong": no more than these are looked at before an organ.
MOST_BELONGING = 2


def unpunctuated_edits(text: str, rules: Rules) -> Iterator[Edit]:
    """Edits from left to right."""
    offset = 0
    for line in text.splitlines(keepends=True):
        words = list(_WORD.finditer(line))
        if len(words) >= FEWEST_WORDS and len(_MARK.findall(line)) * WORDS_A_MARK <= len(words):
            yield from ((offset + start, offset + end, new) for start, end, new in _stops(line, words, rules))
        offset += len(line)


def _stops(line: str, words: list[re.Match[str]], rules: Rules) -> Iterator[Edit]:
    plain = [normalise(word.group())[0] for word in words]
    headings = {i for i, word in enumerate(plain) if len(word) >= SHORTEST_HEADING and _heads_impression(word, rules)}
    organs = {i for i in _opening_organs(plain, rules) if not headings & {i, i - 1}}
    organs |= {i for i in _opening_lesions(plain, rules) if not headings & {i, i - 1}}
    for i in sorted(headings | organs):
        gap = (words[i - 1].end(), words[i].start()) if i else (0, 0)
        if line[gap[0] : gap[1]].strip():
            continue  # a mark stands there
        if i in headings:
            end = words[i].end()
            yield gap[0], gap[1], "\n" if i else ""
            yield end, end + (line[end : end + 1] == " "), ":\n"
        elif i:
            yield gap[0], gap[1], ". "


def _heads_impression(word: str, rules: Rules) -> bool:
    return any(hit.category == "impression" for hit in rules.sections.find([word]))


_UNITS = ("mm", "cm", "millim", "centim", "zentim")
# Behind a measured lesion these begin the next statement: a denial, another lesion, what was so before.
_OPENERS = frozenset(
    {
        "no", "kein", "keine", "keinen", "the", "a", "another", "an", "further", "two", "three", "der", "die", "das",
        "ein", "eine", "weitere", "weiterer", "zwei", "drei", "it", "they", "es", "er", "sie", "target", "ziellaesion",
        "zielherd", "known", "there", "multiple", "several", "mehrere", "linker", "rechter",
    }
)  # fmt: skip
_ARTICLES = frozenset({"der", "die", "das"})
_ON = frozenset({"on", "in", "at", "im", "bei", "vor"})
_WAS = frozenset({"was", "war", "were", "waren", "it", "es", "measured", "had"})
# "On the previous scan it was 38 millimetres": words from the preposition to the verb.
WAS_REACH = 6


def _opening_lesions(plain: list[str], rules: Rules) -> Iterator[int]:
    """Places behind a size at which the next statement begins."""
    measured = False
    for i, word in enumerate(plain):
        if i and plain[i - 1].startswith(_UNITS) and i + 1 < len(plain):
            measured = True
        if not measured or plain[i - 1] in _CONNECTING:
            continue
        behind = plain[i + 1 : i + 1 + WAS_REACH]
        unit = next((at for at, other in enumerate(behind) if other.startswith(_UNITS)), len(behind))
        then = any(cue.category == "previous" for cue in rules.sizes.find(plain[i : i + WAS_REACH]))
        compared = word in _ON and then and bool(_WAS & set(behind[:unit]))
        before = any(cue.category == "previous" and cue.start == 0 for cue in rules.sizes.find(plain[i : i + 2]))
        # "die größte", "das Hämangiom"; else the article may be a pronoun ("die ich nicht mehr sehe")
        subject = word not in _ARTICLES or bool(rules.findings.find(plain[i : i + 4])) or behind[:1] == ["groesste"]
        if (word in _OPENERS and subject) or compared or (before and behind[:1] != [] and behind[0] in _WAS):
            measured = False
            yield i


def _opening_organs(plain: list[str], rules: Rules) -> Iterator[int]:
    """Places before which a new organ is opened, in order."""
    last_end = 0
    for hit in rules.organs.find(plain):
        opens = hit.category == "other" or (hit.category == "liver" and plain[hit.start] in ("leber", "liver"))
        start = hit.start
        while start > last_end and hit.start - start < MOST_BELONGING and plain[start - 1] in _BELONGING:
            start -= 1
        # "liver foci", "Leber Filiae": the organ belongs to the lesion behind it.
        named = any(found.start <= hit.end - hit.start for found in rules.findings.find(plain[hit.start : hit.end + 1]))
        if opens and not named and start > last_end and plain[start - 1] not in _CONNECTING:
            yield start
        last_end = hit.end
