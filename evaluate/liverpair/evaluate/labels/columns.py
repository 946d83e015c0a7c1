"""Read lesion sizes from a table inside a report: a header line names the columns, a row stands for a lesion.

"Leberläsion | Segment | aktuell (mm) | VU (mm)" above "1 | VIII | 36 | 33" says 36 mm. Cells are divided by a bar, a
tab or a semicolon. Of several size columns the one called current counts, else the first that is not of the past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.text import tokenise

__all__ = ["read_table_sizes"]

DIVIDERS = ("|", "\t", ";")
# A header has at least the lesion and its size.
FEWEST_CELLS = 2
_UNIT = re.compile(r"\b(mm|cm)\b")
_NUMBER = re.compile(r"^\s*(\d{1,3}(?:[.,]\d+)?)(?:\s*[x×*]\s*\d{1,3}(?:[.,]\d+)?)*\s*(?:mm|cm)?\s*$", re.IGNORECASE)


def read_table_sizes(text: str, rules: Rules, default: str) -> list[float]:
    """Current sizes in mm of the liver's rows; ``default``: organ of rows and headers that name none."""
    sizes: list[float] = []
    header: list[list[str]] | None = None
    for cells in _lines_of_cells(text):
        words = [[token.text for token in tokenise(cell)] for cell in cells]
        if _size_column(words, rules) is not None and not any(_NUMBER.match(cell) for cell in cells):
            header = words
        elif header is not None and len(cells) == len(header):
            column = _size_column(header, rules)
            found = _NUMBER.match(cells[column]) if column is not None else None
            if found and column is not None and _organ(words, header, rules, default) == "liver":
                factor = 10.0 if "cm" in header[column] else 1.0
                numbers = re.findall(r"\d{1,3}(?:[.,]\d+)?", cells[column])
                sizes.append(round(factor * max(float(n.replace(",", ".")) for n in numbers), 3))
        else:
            header = None
    return [size for size in sizes if size > 0]


def _lines_of_cells(text: str) -> Iterator[list[str]]:
    """The cells of every line; a line without dividers is one cell."""
    for line in text.splitlines():
        divider = max(DIVIDERS, key=line.count)
        cells = [cell.strip() for cell in line.strip().strip("|").split(divider)] if divider in line else [line]
        if any(cell and not set(cell) <= set("-=+: ") for cell in cells):
            yield cells


def _size_column(header: Sequence[Sequence[str]], rules: Rules) -> int | None:
    """Index of the column with current sizes, None if the line is no such header."""
    if len(header) < FEWEST_CELLS:
        return None
    current, plain = None, None
    for index, words in enumerate(header):
        if not _UNIT.search(" ".join(words)):
            continue
        categories = {hit.category for hit in rules.sizes.find(words)}
        if "current" in categories and current is None:
            current = index
        if not categories & {"previous", "comparing", "not_a_size"} and plain is None:
            plain = index
    return current if current is not None else plain


def _organ(row: Sequence[Sequence[str]], header: Sequence[Sequence[str]], rules: Rules, default: str) -> str:
    for cells in (row, header):
        organs = {hit.category for words in cells for hit in rules.organs.find(words)} - {"none"}
        if organs:
            return "liver" if "liver" in organs else "other"
    return default
