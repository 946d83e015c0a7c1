"""Take out of a text what is form, not words: HTML and RTF leftovers, and the boxes of a form that are not ticked.

"Lebermetastasen: [ ] ja [x] nein" reads "Lebermetastasen: nein"; ``<br>`` and ``\\par`` are line ends. Every
character that stays knows its place in the original, so that evidence is still quoted verbatim.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from liverpair.evaluate.labels.axes import axes_edits
from liverpair.evaluate.labels.blocks import block_edits
from liverpair.evaluate.labels.columns import names_time
from liverpair.evaluate.labels.dictated import unpunctuated_edits
from liverpair.evaluate.labels.forms import dictation_edits, form_edits, item_edits, json_edits, spaced_edits, xml_edits
from liverpair.evaluate.labels.lists import list_edits
from liverpair.evaluate.labels.ocr import ocr_edits
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.segments import segment_edits
from liverpair.evaluate.labels.umlauts import encoding_edits, umlaut_edits

__all__ = ["plain_text", "repaired_text"]

_RTF = re.compile(r"\s*\{\\rtf")
_RTF_PART = re.compile(
    r"\\'(?P<byte>[0-9a-fA-F]{2})"
    r"|\\u(?P<code>\d{1,5}) ?\??"
    r"|\\(?P<ending>par|line|row|cell|page)\b ?"
    r"|\{\\(?:\*|fonttbl|colortbl|stylesheet|info)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}"
    r"|\\[a-zA-Z]{1,32}-?\d* ?"
    r"|\\(?P<escaped>[\\{}])"
    r"|[{}]"
)
_HTML_PART = re.compile(
    r"<(?P<ending>/?(?:br|p|div|li|tr|h[1-6]|ul|ol|table))\b[^<>]{0,200}>"
    r"|</?[a-z][a-z0-9]{0,15}(?:\s[^<>]{0,200})?/?>"
    r"|&(?P<entity>[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,5});",
    re.IGNORECASE,
)
# "(Y) / N": a circle, typed as brackets.
_ANSWER = r"(?:yes|no|ja|nein|pos|neg|[YNJ])"
_CIRCLED = re.compile(
    rf"[(\[](?P<first>{_ANSWER})[)\]]\s*/\s*{_ANSWER}\b|\b{_ANSWER}\s*/\s*[(\[](?P<second>{_ANSWER})[)\]]",
    re.IGNORECASE,
)
_WRITTEN_OUT = {"y": "yes", "n": "no", "j": "ja"}
# "O ja   X nein", "x ja o nein": letters as boxes, where both stand before answers on one line.
_LETTER_BOX = re.compile(
    r"(?<!\w)(?P<sign>[xXoO0])(?=[ \t]+(?:ja|nein|yes|no|unklar|unclear|pos|neg)\b)", re.IGNORECASE
)
_BOX = re.compile(r"(?P<ticked>\[ ?[xX✓✔] ?\]|\( ?[xX✓✔] ?\)|[☒☑■✘🗹])|\[ ?\]|\( ?\)|[☐□]")

# "JA [x] NEIN [ ] Anzahl: 1": the word before the first box is an option.
_ANSWERED = re.compile(r"\b(?:ja|nein|yes|no|pos|neg|unklar|unclear|j|y|n)\s*:?\s*$", re.IGNORECASE)
# "[ ] unclear --> LUNG": the arrow ends the option.
_OPTION_END = re.compile(
    r"\||[-=]+>"
    r"|[ \t]+(?=(?:anzahl|zahl|number|count|n\s*=|gr[oö](?:ss|ß)|max|largest|size|segm|lok|loc|site)[^\n]*[:=])"
    r"|(?<=nein)[ \t]{2,}(?=\w)|(?<=\bja)[ \t]{2,}(?=\w)|(?<=\bno)[ \t]{2,}(?=\w)|(?<=yes)[ \t]{2,}(?=\w)",
    re.IGNORECASE,
)

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters


def plain_text(text: str) -> tuple[str, list[int] | None]:
    """The text without markup and unticked options; for each character its index in ``text`` (None: unchanged)."""
    plain, origin = _rewrite(text, None, encoding_edits(text))
    if _RTF.match(plain):
        plain, origin = _rewrite(plain, origin, (_rtf(part) for part in _RTF_PART.finditer(plain)))
    if "<" in plain or "&" in plain:
        plain, origin = _rewrite(plain, origin, xml_edits(plain))
        plain, origin = _rewrite(plain, origin, (_html(part) for part in _HTML_PART.finditer(plain)))
    plain, origin = _rewrite(plain, origin, _letter_boxes(plain))
    plain, origin = _rewrite(plain, origin, _encircled(plain))
    if _BOX.search(plain):
        plain, origin = _rewrite(plain, origin, _unticked(plain))
    for edits in (spaced_edits, json_edits, block_edits, form_edits, dictation_edits, item_edits):
        plain, origin = _rewrite(plain, origin, edits(plain))
    return plain, origin


def repaired_text(text: str, origin: list[int] | None, rules: Rules) -> tuple[str, list[int] | None]:
    """`plain_text`, and what a scan misread set right; needs to know the language."""
    text, origin = _rewrite(text, origin, umlaut_edits(text, rules))
    text, origin = _rewrite(text, origin, ocr_edits(text, rules))
    text, origin = _rewrite(text, origin, unpunctuated_edits(text, rules))
    text, origin = _rewrite(text, origin, segment_edits(text))
    text, origin = _rewrite(text, origin, axes_edits(text))
    return _rewrite(text, origin, list_edits(text, lambda words: names_time(words, rules)))


def _rewrite(text: str, origin: list[int] | None, edits: Iterable[Edit]) -> tuple[str, list[int] | None]:
    """Apply edits from left to right; without any, nothing changes."""
    out: list[str] = []
    places: list[int] = []
    last, changed = 0, False
    for start, end, new in edits:
        changed = True
        out.append(text[last:start] + new)
        places.extend(range(last, start))
        places.extend([start] * len(new))
        last = end
    if not changed:
        return text, origin
    out.append(text[last:])
    places.extend(range(last, len(text)))
    return "".join(out), places if origin is None else [origin[place] for place in places]


def _rtf(part: re.Match[str]) -> Edit:
    new = ""
    if part["byte"]:
        new = bytes([int(part["byte"], 16)]).decode("cp1252", errors="replace")
    elif part["code"]:
        code = int(part["code"])
        new = chr(code) if not 0xD800 <= code <= 0xDFFF else "?"
    elif part["ending"]:
        new = "\n"
    elif part["escaped"]:
        new = part["escaped"]
    return part.start(), part.end(), new


def _html(part: re.Match[str]) -> Edit:
    new = "\n" if part["ending"] else ""
    if part["entity"]:
        decoded = html.unescape(part.group())
        new = decoded if len(decoded) == 1 else part.group()
    return part.start(), part.end(), new


def _encircled(text: str) -> Iterable[Edit]:
    """The answer that a circle, typed as brackets, marks: "(Y) / N"."""
    for pair in _CIRCLED.finditer(text):
        chosen = (pair["first"] or pair["second"]).lower()
        rest = text[pair.end() :].split("\n", 1)[0].strip()
        yield pair.start(), pair.end(), _WRITTEN_OUT.get(chosen, chosen) + (".\n" if rest else "")


def _letter_boxes(text: str) -> Iterable[Edit]:
    """Boxes in place of the letters that stand for them."""
    offset = 0
    for line in text.splitlines(keepends=True):
        signs = list(_LETTER_BOX.finditer(line))
        ticked = sum(sign["sign"] in "xX" for sign in signs)
        if len(signs) > 1 and ticked == 1:
            for sign in signs:
                yield offset + sign.start(), offset + sign.end(), "[x]" if sign["sign"] in "xX" else "[ ]"
        offset += len(line)


def _unticked(text: str) -> list[Edit]:
    """The boxes, and with those that are not ticked their options, line by line."""
    edits: list[Edit] = []
    offset = 0
    checklist = any(box["ticked"] for box in _BOX.finditer(text))
    for line in text.splitlines(keepends=True):
        boxes = list(_BOX.finditer(line))
        if checklist and len(boxes) == 1 and not boxes[0]["ticked"] and not line[: boxes[0].start()].strip(" -*"):
            edits.append((offset, offset + len(line.rstrip()), ""))  # "[ ] Liver: metastases" among ticked lines
        elif any(box["ticked"] for box in boxes):
            content = line.rstrip()
            behind = not content[boxes[-1].end() :].strip(" .;|")  # "ja [ ] nein [x]": the box follows its option
            behind = behind or _ANSWERED.search(line[: boxes[0].start()]) is not None
            edits.extend(_behind(line, boxes, offset) if behind else _before(content, boxes, offset))
        offset += len(line)
    return edits


def _before(line: str, boxes: list[re.Match[str]], offset: int) -> list[Edit]:
    edits = []
    for number, box in enumerate(boxes):
        following = boxes[number + 1].start() if number + 1 < len(boxes) else len(line)
        stop = _OPTION_END.search(line, box.end(), following)
        option_end = stop.start() if stop else following
        end = box.end() if box["ticked"] else option_end
        edits.append((offset + box.start(), offset + end, "" if box["ticked"] else " "))
        if stop and not stop.group().strip() and ":" in line[option_end:]:
            edits.append((offset + option_end, offset + stop.end(), "\n"))  # "Number: 3" on a line of its own
    return edits


def _behind(line: str, boxes: list[re.Match[str]], offset: int) -> list[Edit]:
    edits = []
    for box in boxes:
        option = re.search(r"[^\s:\]\)☒☐]+\s*$", line[: box.start()])
        start = box.start() if box["ticked"] or option is None else option.start()
        edits.append((offset + start, offset + box.end(), " "))
    return edits
