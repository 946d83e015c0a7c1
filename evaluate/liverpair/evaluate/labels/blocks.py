"""Write the blocks of a form as sentences: a lesion's lines under its heading, and questions with their answers.

"LESION 2", "Size: 42 mm", "Assessment: haemangioma", a line each, become one line; "Q3 Maximum diameter? 16 mm"
becomes "Maximum diameter: 16 mm".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["block_edits"]

Edit = tuple[int, int, str]  # [start, end) is replaced by these characters

_HEADING = re.compile(
    r"^[ \t*•-]*(?:(?:hepatic|liver|leber|target|index)[ -]?)?(?:lesion|observation|nodule|herd|läsion|laesion|knoten)"
    r"[ ]?(?:no\.?|nr\.?|#)?[ ]?(?:\d{1,2}|[A-H])(?P<colon>[ ]?:)?[ \t\r]*$",
    re.IGNORECASE,
)
# "Size: 3.0 x 2.5 cm": a key of few words and its value.
_LINE = re.compile(r"^[ \t*•-]*[^\W\d][^:\n|]{0,30}(?P<colon>:)[ \t]*\S[^\n|]*$")
FEWEST_LINES = 2
# "Q2 How many? 2", "3. Size? 16 mm": the question, and a short answer on its line.
_QUESTION = re.compile(
    r"^[ \t*•-]*(?P<number>Q?\d{0,2}[.:)]?[ \t]*)(?P<ask>[^\n?:|]{4,60})"
    r"(?P<mark>[ ]?\?)[ \t]+(?P<answer>[^\n?]{1,60})$",
    re.MULTILINE | re.IGNORECASE,
)
FEWEST_QUESTIONS = 3
_SHORT_ANSWERS = {"y": "yes", "n": "no", "j": "ja"}


def block_edits(text: str) -> Iterator[Edit]:
    """Edits from left to right."""
    questions = list(_QUESTION.finditer(text))
    if len(questions) >= FEWEST_QUESTIONS:
        for found in questions:
            yield found.start("number"), found.end("number"), ""
            yield found.start("mark"), found.end("mark"), ":"
            short = _SHORT_ANSWERS.get(found["answer"].strip().lower())
            if short:
                yield found.start("answer"), found.end("answer"), short
        return
    yield from _lesion_blocks(text)


def _lesion_blocks(text: str) -> Iterator[Edit]:
    """The lines of each block behind its heading, parted by commas: a form has two such blocks or more."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    heads = [i for i, line in enumerate(lines) if _HEADING.match(line.rstrip("\n"))]
    blocks = []
    for head in heads:
        end = head + 1
        while end < len(lines) and _LINE.match(lines[end].rstrip()) and end not in heads:
            end += 1
        if end - head > FEWEST_LINES:
            blocks.append((head, end))
    for head, end in blocks if len(blocks) > 1 else []:
        for i in range(head, end):
            body = lines[i].rstrip()
            behind = starts[i] + len(body)
            found = _LINE.match(body) if i > head else None
            if found:
                yield starts[i] + found.start("colon"), starts[i] + found.end("colon"), ""
            gap = ": " if i == head else ", "
            if i + 1 < end:
                indent = len(lines[i + 1]) - len(lines[i + 1].lstrip(" \t*•-"))
                heading = _HEADING.match(body)
                colon = bool(heading and heading["colon"])
                yield behind, starts[i + 1] + indent, " " if colon else gap
