"""Read lesion sizes from a table inside a report: a header line names the columns, a row stands for a lesion.

"Leberläsion | Segment | aktuell (mm) | VU (mm)" above "1 | VIII | 36 | 33" says 36 mm. Cells are divided by a bar, a
tab, a semicolon or two blanks. Of several size columns the one called current counts, else that of the latest date,
else the first that is not of the past. Rows of another organ, of a benign lesion or of a sum do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from liverpair.evaluate.labels.lexicon import Hit
from liverpair.evaluate.labels.rules import Rules
from liverpair.evaluate.labels.segments import ROMAN
from liverpair.evaluate.labels.text import tokenise

__all__ = ["Table", "divided", "names_time", "read_table"]

DIVIDERS = ("|", "\t", ";")
_BLANKS = re.compile(r" {2,}|\t")
# A header has at least the lesion and its size.
FEWEST_CELLS = 2
# Columns set with blanks need three: two blanks may stand anywhere.
FEWEST_BLANK_CELLS = 3
_UNIT = re.compile(r"(?:\b|_)(mm|cm)\b", re.IGNORECASE)
# "                 Prior 11-Jan      Current 19-Jul": two columns and no name over the rows.
_TWO_COLUMNS = re.compile(r"\s{8,}\S.*\S\s{3,}\S")
_NUMBER = r"\d{1,3}(?:[.,]\d+)?"
_SIZE = re.compile(
    rf"^\s*(?:<|ca\.?|bis|max\.?)?\s*(?P<first>{_NUMBER})(?:\s*[x×*]\s*{_NUMBER})*\s*(?P<unit>mm|cm)?\s*(?:[/(].*|[,;]\s*[^\W\d].*)?$",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "m[aä]r|mae", "apr", "ma[iy]", "jun", "jul", "aug", "sep", "o[ck]t", "nov", "de[cz]")
_NAMED_MONTH = re.compile(
    r"\b(?P<name>" + "|".join(_MONTHS) + r")[a-zä]*\.?[\s\-/]*(?P<year>(?:19|20)?\d\d)\b", re.IGNORECASE
)
_NUMBERED = re.compile(
    r"\b(?:\d{1,2}[./])?(?P<month>\d{1,2})[./](?P<year>(?:19|20)?\d\d)\b|\b(?P<alone>(?:19|20)\d\d)\b"
)


_ZERO = re.compile(r"^\s*0(?:[.,]0)?\s*(?:mm|cm)?\s*$", re.IGNORECASE)
_VISIT_COLUMN = re.compile(r"^(?:visite?|date|datum|time ?point|zeitpunkt|scan|study|untersuchung)$", re.IGNORECASE)
# A diameter in mm as trials write it.
_TRIAL_MM = re.compile(r"(?:[5-9]|[1-9]\d|1\d\d)(?:\.0)?|[-–]|0|[-+]\s?\d+\s?%?|n\.?[ae]\.?")
_SEGMENT = re.compile(rf"(?:s|seg\.?|segment)?\s?(?:{ROMAN}|[1-8][ab]?)(?:\s?[/-]\s?(?:{ROMAN}|[1-8]))?", re.IGNORECASE)
_LABEL = re.compile(r"^(?:L|T|TL|NT|N)\s?\d{1,2}$", re.IGNORECASE)


# "FU2", "Visite 6", "cycle 3": a later number is a later study.
_VISIT = re.compile(
    r"^(?:fu|follow[- ]?up|visite?|cycle|zyklus|c|v|t|tp|tag|day|d|w|wk|wo|week|woche|m|mo|month|monat|y|scan|staging"
    r"|kontrolle|mr[it]|pet)[ .#]{0,2}(?P<visit>\d{1,3})$",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"^(?:(?:0?[1-9]|1[0-2])[./](?:19|20)\d\d|0[1-9]/\d\d|\d{1,2}[./]\d{1,2}[./](?:\d\d){1,2}|(?:19|20)\d\d)$"
)


class Table(NamedTuple):
    """``sizes``: current, of the liver, in mm; ``lesions``: their rows; ``gone``: rows of the liver without a
    lesion any more; ``spans``: [start, end) of the lines; ``timed``: several columns name a time each."""

    sizes: tuple[float, ...]
    lesions: int
    gone: int
    spans: tuple[tuple[int, int], ...]
    timed: bool = False

    def holds(self, start: int, end: int) -> bool:
        """Whether [start, end) of the text lies in a line of the table."""
        return any(first <= start and end <= last for first, last in self.spans)


class _Line(NamedTuple):
    start: int
    end: int
    cells: list[str]


def divided(line: str) -> list[str]:
    """The cells of a line; one cell where nothing divides it."""
    bare = line.strip().strip("|")
    divider = max(DIVIDERS, key=bare.count)
    cells = bare.split(divider) if divider in bare else [bare]
    by_blanks = _BLANKS.split(bare)
    many = len(cells) < FEWEST_BLANK_CELLS <= len(by_blanks) and "|" not in bare
    if many or (len(cells) < FEWEST_CELLS and _TWO_COLUMNS.match(line)):
        cells = by_blanks
    return [cell.strip() for cell in cells]


def read_table(text: str, rules: Rules, default: str) -> Table:
    """The liver's lesions of all tables; ``default``: organ of rows and headers that name none."""
    sizes: list[float] = []
    spans: list[tuple[int, int]] = []
    lesions = gone = 0
    timed = False
    visit = ""
    header: _Line | None = None
    above = ""
    for line in _lines(text):
        if len(line.cells) < FEWEST_CELLS:
            header, above = None, " ".join(line.cells)
            continue
        by_segment = _sizes_by_segment(line.cells, header.cells if header else (), rules)
        if by_segment:
            sizes += by_segment
            lesions += len(by_segment)
            spans.append((line.start, line.end))
            continue
        if _is_header(line.cells, rules) or _lists_segments(line.cells):
            # "vor PRRT | nach 2 Zyklen" below the dates explains them
            explains = header is not None and header.end == line.start and len(line.cells) == len(header.cells)
            header = header if explains and header and _has_dates(header.cells, rules) else line
            continue
        if header is None or not -1 <= len(line.cells) - len(header.cells) <= _names_left_out(header.cells, rules):
            header = None
            continue
        missing = len(line.cells) - len(header.cells)  # "          Feb-20   Aug-21" has no name over its rows
        names = [*[""] * max(0, missing), *header.cells][: len(line.cells)]
        if _VISIT_COLUMN.match(names[0]) and line.cells[0] != visit:
            # a row for each visit: the last one counts
            visit, sizes, lesions, gone = line.cells[0], [], 0, 0
        column = _size_column(names, line.cells, above if _UNIT.search(above) else text, rules)
        if column is None:
            continue
        spans.append((line.start, line.end))
        timed = timed or sum(_time(name, rules) is not None for name in names) > 1
        size = _size(line.cells[column], " ".join([names[column], above if missing > 0 else ""]))
        own = _without_neighbours(names, line.cells)
        if _organ(own, [*names, above], rules, default) != "liver" or _is_other_row(line.cells, rules):
            continue
        if size:
            sizes.append(size)
            lesions += 1
        elif _ZERO.match(line.cells[column]):
            gone += 1
    return Table(tuple(sizes), lesions, gone, tuple(spans) if sizes or gone else (), timed)


def _names_left_out(cells: Sequence[str], rules: Rules) -> int:
    """How many columns at the left may have no name: the lesion, and its number too where all others are times."""
    times = len(cells) > 1 and all(_time(cell, rules) is not None for cell in cells)
    return 2 if times else 1


def _has_dates(cells: Sequence[str], rules: Rules) -> bool:
    return any(time is not None and time[0] == 0 and time[1] > 0 for time in (_time(cell, rules) for cell in cells))


# "Nearest vessel", "Abstand", "Lagebezug": columns that tell what lies beside the lesion.
_NEIGHBOURS = re.compile(
    r"nearest|closest|neighbou?r|adjacen|relation|distance|contact|proximit|vessel|margin|n[aä]chst|nachbar|lage(?:be|bez)"
    r"|abstand|kontakt|gef[aä](?:ss|ß)|bezug|topogra",
    re.IGNORECASE,
)


def _without_neighbours(names: Sequence[str], cells: Sequence[str]) -> list[str]:
    return [cell for name, cell in zip(names, cells, strict=True) if not _NEIGHBOURS.search(name)]


def _lists_segments(cells: Sequence[str]) -> bool:
    """ "Segment: I II III IVa": a header whose columns are the liver's segments."""
    named = len(cells) >= FEWEST_BLANK_CELLS and cells[0].lower().startswith("seg") and not _UNIT.search(cells[0])
    return named and all(_SEGMENT.fullmatch(word) for cell in cells[1:] for word in cell.split())


def _sizes_by_segment(cells: Sequence[str], header: Sequence[str], rules: Rules) -> list[float]:
    """ "Metastasis (mm): - 6 - 10" below the segments: each number is a lesion's size."""
    if not header or not _lists_segments(header) or not _UNIT.search(cells[0]):
        return []
    found = {hit.category for hit in rules.findings.find(_words(cells[0]))}
    if "benign" in found or not found & {"metastasis", "lesion"}:
        return []
    sizes = [_size(part, cells[0]) for cell in cells[1:] for part in cell.split()]
    return [size for size in sizes if size]


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.splitlines(keepends=True):
        cells = divided(line)
        if any(cell and not set(cell) <= set("-=+: ") for cell in cells):
            yield _Line(start, start + len(line), cells)
        start += len(line)


def _words(cell: str) -> list[str]:
    return [token.text for token in tokenise(cell)]


def _is_header(cells: Sequence[str], rules: Rules) -> bool:
    """No cell is a number or a size, and one names a unit, a time or the size."""
    if any(_SIZE.match(cell) and not _DATED.match(cell) for cell in cells):
        return False
    return any(_UNIT.search(cell) or _time(cell, rules) is not None or _names_size(cell, rules) for cell in cells)


def _names_size(cell: str, rules: Rules) -> bool:
    return bool(_UNIT.search(cell)) or any(_is_size_name(hit, cell) for hit in rules.attributes.find(_words(cell)))


_SIZE_NAMES = ("groess", "gr", "durchm", "diam", "size", "max", "largest", "achse", "axis")


def _is_size_name(hit: Hit, cell: str) -> bool:
    return hit.category == "attribute" and _words(cell)[hit.start].startswith(_SIZE_NAMES)


# The studies that later ones are compared with, in trials' tables.
_FIRST_STUDIES = frozenset({"screening", "bl", "baseline", "basis", "nadir", "best", "ausgang", "start"})


def _time(cell: str, rules: Rules) -> tuple[int, int, int] | None:
    """Sortable time of a column: (1, 0, 0) what is called current, (0, year, month), (-1, 0, 0) what is called past."""
    if set(_words(cell)) & _FIRST_STUDIES:
        return -1, 0, 0
    categories = {hit.category for hit in rules.sizes.find(_words(cell))}
    if "current" in categories:
        return 1, 0, 0
    if categories & {"previous", "comparing"}:
        return -1, 0, 0
    named = _NAMED_MONTH.search(cell)
    if named:
        month = next(i for i, name in enumerate(_MONTHS, start=1) if re.match(name, named["name"], re.IGNORECASE))
        return 0, int(named["year"][-2:]), month
    visit = _VISIT.match(cell.strip())
    if visit:
        return 0, 0, int(visit["visit"])
    dated = _NUMBERED.search(cell)
    if dated:
        return 0, int((dated["year"] or dated["alone"])[-2:]), int(dated["month"] or 0)
    return None


def names_time(cell: str, rules: Rules) -> bool:
    """Whether the head of a column says when its sizes were measured."""
    return _time(cell, rules) is not None


def _size_column(names: Sequence[str], cells: Sequence[str], above: str, rules: Rules) -> int | None:
    """Index of the column with current sizes, None if there is none."""
    times = [_time(name, rules) for name in names]
    told = [bool({h.category for h in rules.sizes.find(_words(n))} & {"not_a_size", "sum"}) for n in names]
    fits = [bool(_SIZE.match(cell)) for cell in cells]
    by_name = [i for i, name in enumerate(names) if _names_size(name, rules) and not told[i]]
    in_cell = [i for i, cell in enumerate(cells) if fits[i] and _UNIT.search(cell)]
    # Trials measure in mm and hardly write it: several studies beside each other, with numbers that fit.
    of_trial = sum(time is not None for time in times) > 1 and all(
        _TRIAL_MM.fullmatch(cell) for cell, time in zip(cells, times, strict=True) if time is not None
    )
    unit_known = of_trial or bool(_UNIT.search(" ".join([*names, above])))
    by_time = [i for i, time in enumerate(times) if time is not None and (i in in_cell or unit_known)]
    candidates = [i for i in sorted({*by_time, *by_name}) if fits[i]] or in_cell
    if not candidates:
        return None
    dated = [i for i in candidates if times[i] is not None]
    plain = [i for i in candidates if times[i] is None]
    current = [i for i in dated if times[i] == (1, 0, 0)]
    if current:
        return current[0]
    if plain and all(times[i] == (-1, 0, 0) for i in dated):
        return plain[0]
    return max(dated, key=lambda i: times[i] or (0, 0, 0)) if dated else candidates[0]


def _own_part(cell: str, header: str) -> str:
    """Of "44 / 6.2 cm" below "SUVmax/size" the second: the part with a unit, else the one that the header calls so."""
    parts = cell.split("/")
    if len(parts) != 2 or not all(re.search(r"\d", part) for part in parts):
        return cell
    for part, other in (parts, parts[::-1]):
        if _UNIT.search(part) and not _UNIT.search(other):
            return part
    named = [bool(_UNIT.search(name) or _NAMES_SIZE.search(name)) for name in header.split("/")]
    return parts[1] if named == [False, True] and _NAMES_SUV.search(header.split("/")[0]) else cell


_NAMES_SIZE = re.compile(r"size|gr[oö](?:ss|ß)|diam|durchm|\bct\b|max\.? ?d", re.IGNORECASE)
_NAMES_SUV = re.compile(r"suv|sul|krenning|uptake|anreich|speicher", re.IGNORECASE)


def _size(cell: str, header: str) -> float | None:
    cell = _own_part(cell, header)
    found = _SIZE.match(cell)
    if found is None:
        return None
    unit = (found["unit"] or "").lower() or ("cm" if re.search(r"\bcm\b", header, re.IGNORECASE) else "mm")
    axes = re.findall(_NUMBER, re.split(r"[/(]", cell)[0])
    value = round((10.0 if unit == "cm" else 1.0) * max(float(axis.replace(",", ".")) for axis in axes), 3)
    return value if value > 0 else None


def _organ(row: Sequence[str], header: Sequence[str], rules: Rules, default: str) -> str:
    if _LABEL.match(row[0]):
        row = row[1:]  # "L1" numbers a lesion here and is no vertebra
    for cells in (row, header):
        organs = {hit.category for cell in cells for hit in rules.organs.find(_words(cell))} - {"none"}
        if organs:
            return "liver" if "liver" in organs else "other"
    return default


def _is_other_row(cells: Sequence[str], rules: Rules) -> bool:
    """A benign lesion's row, or one with the sum of the rows above."""
    found = {hit.category for cell in cells for hit in rules.findings.find(_words(cell))}
    summed = any(hit.category == "sum" for hit in rules.sizes.find(_words(cells[0])))
    treated = {hit.category for cell in cells for hit in rules.treatment.find(_words(cell))}
    lifeless = bool(treated & {"local", "dead"}) and "alive" not in treated
    return summed or lifeless or bool(found & {"benign", "treated"} and "metastasis" not in found)
