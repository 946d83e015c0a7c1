"""Bring a user's table of calls or lesions into one form: names of columns, verdicts, numbers and dates.

Tables come from spreadsheets: other capitals and blanks in the header, German names, decimal commas, dates as
12.03.2019. What has one meaning only is brought into the names and forms of docs/tables.md; what has several is refused
with its row (the header is row 1). No cell is dropped silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from liverpair.core.errors import UsageError

__all__ = ["NO_VALUE", "cell_date", "cell_number", "need_columns", "own_words", "plain_rows", "verdict"]

#: What stands for an empty cell.
NO_VALUE = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "–", "k.a.", "k. a."})
#: Other names of columns, as `_column` writes them. Only translations and spellings: a column called "mri" may be the
#: reference or not, so the roles must be named.
COLUMN_NAMES = {
    "patient": "patient_id", "patientid": "patient_id", "patienten_id": "patient_id", "patienten_nr": "patient_id",
    "pat_id": "patient_id", "patientennummer": "patient_id", "pair": "pair_id", "pairid": "pair_id",
    "paar": "pair_id", "paar_id": "pair_id", "referenz": "reference", "referenzstandard": "reference",
    "reference_standard": "reference", "indextest": "index", "index_test": "index", "lesion": "lesion_id",
    "lesionid": "lesion_id", "laesion": "lesion_id", "laesion_id": "lesion_id", "laesions_id": "lesion_id",
    "long_axis": "long_axis_mm", "longest_diameter_mm": "long_axis_mm", "laengste_achse_mm": "long_axis_mm",
    "durchmesser_mm": "long_axis_mm", "groesse_mm": "long_axis_mm", "size_mm": "long_axis_mm",
    "erkannt": "detected", "detektiert": "detected", "intervall_tage": "interval_days", "interval": "interval_days",
    "pet_datum": "pet_date", "mrt_datum": "mr_date", "mri_date": "mr_date", "groesste_mm": "largest_mm",
    "hersteller": "vendor", "standort": "site", "zentrum": "site", "therapie": "therapy",
    "therapiedatum": "therapy_date", "therapie_datum": "therapy_date", "anzahl": "count", "geschlecht": "sex",
    "alter": "age",
}  # fmt: skip
#: What a column holds, for whoever has to add it.
MEANING = {
    "patient_id": "the same for all pairs of one patient",
    "pair_id": "one for each pair of examinations",
    "reference": "the verdict of the reference standard (liver MRI)",
    "index": "the verdict of the index test (SSR-PET/CT)",
    "lesion_id": "one for each lesion of a pair",
    "long_axis_mm": "the size on MRI in mm",
    "detected": "whether PET/CT showed the lesion: true, false or empty",
}
#: The cells of a 2×2 table are not verdicts.
OUTCOME_WORDS = "an outcome: TP is present on both, FN on the reference only, FP on the index test only, TN on neither"
OUTCOMES = frozenset({"tp", "fp", "fn", "tn", "rp", "rn"})
#: More foreign words than these are only counted: a column of free text is no column of verdicts.
WORDS_TOLD = 6
VERDICTS = ("present", "absent", "uncertain", "not_evaluable", "not_mentioned")
#: What else tables say. Not taken over silently: whether a "positive" report is a present metastasis is for its author
#: to say; the complaint names the word to write.
MEANT = {
    "positive": "present", "positiv": "present", "pos": "present", "vorhanden": "present", "yes": "present",
    "ja": "present", "true": "present", "1": "present", "negative": "absent", "negativ": "absent", "neg": "absent",
    "no": "absent", "nein": "absent", "false": "absent", "0": "absent", "indeterminate": "uncertain",
    "equivocal": "uncertain", "unclear": "uncertain", "unklar": "uncertain", "fraglich": "uncertain",
    "unsicher": "uncertain", "nicht_beurteilbar": "not_evaluable", "nicht_auswertbar": "not_evaluable",
    "not_assessable": "not_evaluable", "non_diagnostic": "not_evaluable", "nicht_erwaehnt": "not_mentioned",
}  # fmt: skip
NUMBERS = ("interval_days", "largest_mm", "long_axis_mm", "tlr", "liver_hu", "count", "therapy_days_before_pet", "age")
DATES = ("pet_date", "mr_date", "therapy_date", "study_date", "date")


@lru_cache(maxsize=1024)  # the same few words stand in every row
def _column(name: str) -> str:
    """A column's name without capitals, marks and blanks: "Größe (mm)" is groesse_mm."""
    text = name.strip("\ufeff \t\r\n").casefold()
    for umlaut, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        text = text.replace(umlaut, plain)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9]+", "_", text).strip("_")
    return COLUMN_NAMES.get(text, text)


def verdict(value: Any, column: str, at: int, table: str) -> str:
    """One of the calls ("" for an empty cell); UsageError for a word that is none."""
    text = str(value if value is not None else "").strip()
    if text.casefold() in NO_VALUE:
        return ""
    word = _column(text)
    if word in VERDICTS:
        return word
    hint = f" ({MEANT[word]}?)" if word in MEANT else ""
    if word in OUTCOMES:
        hint = f" (not a verdict but {OUTCOME_WORDS})"
    raise UsageError(f"{table} table, row {at}: {column} is {text[:40]!r}{hint}. Use one of {', '.join(VERDICTS)}.")


def own_words(rows: Sequence[tuple[int, Mapping[str, Any]]], column: str, table: str) -> None:
    """Refuse a column that says its verdicts in other words, all of them at once: a user replaces them in one go."""
    first: dict[str, int] = {}
    number: Counter[str] = Counter()
    for at, row in rows:
        text = str(row.get(column) if row.get(column) is not None else "").strip()
        if text.casefold() not in NO_VALUE and _column(text) not in VERDICTS:
            first.setdefault(text, at)
            number[text] += 1
    if len(first) < 2:
        return  # a single foreign word is told by ``verdict`` with its row
    try:
        told = min(first, key=first.__getitem__)
        verdict(told, column, first[told], table)
    except UsageError as error:
        words = [f"{t[:40]!r} in {number[t]} rows" + (f" ({MEANT[_column(t)]}?)" if _column(t) in MEANT else "")
                 for t, _ in number.most_common(WORDS_TOLD)]  # fmt: skip
        more = f" and {len(first) - WORDS_TOLD} more" if len(first) > WORDS_TOLD else ""
        raise UsageError(f"{error} The column's words that are none of them: {', '.join(words)}{more}.") from None


def need_columns(rows: Sequence[Mapping[str, Any]], there: Collection[str], needed: Sequence[str], table: str) -> None:
    """Refuse a table that lacks a column, telling what it has and what the missing one must hold."""
    missing = [c for c in needed if c not in there]
    if not missing:
        return
    found = [str(c) for c in rows[0]]
    hints = [f"{c} is {MEANING[c]}" for c in missing if c in MEANING]
    if len(found) == 1:
        hints.append("one column only was found: the first line must name the columns, divided by comma, semicolon or "
                     "tab, and of a workbook only the first sheet is read")  # fmt: skip
    elif {"outcome", "ergebnis"} & {_column(c) for c in found}:
        hints.append(OUTCOME_WORDS)
    told = f" ({'; '.join(hints)})" if hints else ""
    lacks, has = ", ".join(missing), ", ".join(found)
    raise UsageError(f"the {table} table lacks the column(s) {lacks}; it has {has}. Rename or add them{told}.")


def cell_number(value: Any, column: str, at: int, table: str) -> float | None:
    """A number with a decimal point or comma; None for an empty cell; UsageError for anything else."""
    text = str(value if value is not None else "").strip().replace("\u2212", "-").replace("\u2013", "-")
    if text.casefold() in NO_VALUE:
        return None
    if re.fullmatch(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?", text):
        return float(text.replace(",", "."))
    raise UsageError(
        f"{table} table, row {at}: {column} is {text[:40]!r}, which is no number. Give one without unit and without "
        "signs between thousands, or leave it empty."
    )


def cell_date(value: Any, column: str, at: int, table: str) -> str:
    """An ISO date from 2019-03-12, 20190312 or 12.03.2019; "" for an empty cell.

    UsageError for anything else: 3/12/2019 is December in Europe and March in America.
    """
    text = str(value if value is not None else "").strip()
    if text.casefold() in NO_VALUE:
        return ""
    for pattern, order in (
        (r"(\d{4})-(\d\d?)-(\d\d?)(?:[T ].*)?", (1, 2, 3)),
        (r"(\d{4})(\d\d)(\d\d)", (1, 2, 3)),
        (r"(\d\d?)\.(\d\d?)\.(\d{4})(?: .*)?", (3, 2, 1)),
    ):
        match = re.fullmatch(pattern, text)
        if match:
            try:
                return date(*(int(match.group(i)) for i in order)).isoformat()
            except ValueError:
                break
    raise UsageError(
        f"{table} table, row {at}: {column} is {text[:40]!r}, which is no date with one reading only. Write 2019-03-12."
    )


def plain_rows(rows: Sequence[Mapping[str, Any]], table: str) -> list[tuple[int, dict[str, Any]]]:
    """(Row number, row) with our names of columns; numbers as float or None, dates in ISO or "", other cells stripped.

    Empty lines are left out; the header is row 1.

    UsageError where two columns mean the same, or a number or date cannot be read.
    """
    names: dict[str, str] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        own = _column(str(name)) if name is not None else ""
        if own and own in names.values():
            raise UsageError(f"the {table} table has two columns for {own}. Remove or rename one.")
        if own:
            names[name] = own
    found = []
    for at, row in enumerate(rows, start=2):
        plain: dict[str, Any] = {own: _stripped(row.get(name)) for name, own in names.items()}
        if not any(value not in ("", None) for value in plain.values()):
            continue  # an empty line at a sheet's end is no row
        for column in NUMBERS:
            if column in plain:
                plain[column] = cell_number(plain[column], column, at, table)
        for column in DATES:
            if column in plain:
                plain[column] = cell_date(plain[column], column, at, table)
        found.append((at, plain))
    return found


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
