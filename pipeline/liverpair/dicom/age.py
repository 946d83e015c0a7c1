"""Turn a birth date into the whole years reached at the study, before anything of the header is kept.

Patient's Age (0010,1010) is optional (PS3.3 C.7.2.2), and most archives hold the birth date (0010,0030) alone. The
index keeps no birth date: as soon as a header has been read, ``AgeFromBirthDate`` (no keyword of DICOM) takes its
place, in whole years. Birth dates that anonymisers made up, or that the study's date denies, leave no age at all.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from liverpair.dicom.dates import parse_date

__all__ = ["AGE", "BIRTH_DATE", "OLDEST", "birth_date_to_age"]

BIRTH_DATE: Final = "PatientBirthDate"
AGE: Final = "AgeFromBirthDate"
#: When the examination was, the best statement first: Patient's Age, too, is that at the study.
STUDY_DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
#: Days from which computers and anonymisers count, or which they put in: the zero of OLE and of SQL Server, of Unix,
#: and dcm4che's dummy. A patient born on one of them has no age rather than many anonymised ones a wrong one.
PLACEHOLDERS: Final = frozenset(
    (date(1899, 12, 30), date(1899, 12, 31), date(1900, 1, 1), date(1970, 1, 1), date(1999, 11, 11))
)
#: Nobody older is examined by PET; made-up birth dates ("00010101", "18500101", "11111111") lie beyond.
OLDEST: Final = 110


def _years(born: date, examined: date) -> int:
    """Whole years between two days; somebody born on 29 February comes of age on 1 March."""
    return examined.year - born.year - ((examined.month, examined.day) < (born.month, born.day))


def _believable(header: dict[str, Any], born: date, examined: date) -> bool:
    """Whether both dates can be the patient's; those of examinations may have been shifted (PS3.3 C.7.3.1)."""
    shifted = str(header.get("LongitudinalTemporalInformationModified") or "UNMODIFIED").strip().upper() != "UNMODIFIED"
    return not shifted and born < examined and born not in PLACEHOLDERS and _years(born, examined) <= OLDEST


def birth_date_to_age(header: dict[str, Any]) -> dict[str, Any]:
    """``header`` itself, with the age in whole years in place of the birth date, or neither if that is not believed.

    Only a full birth date counts. On the day of birth itself, and before, there is no age.
    """
    born = parse_date(header.pop(BIRTH_DATE, None))
    examined = next((day for word in STUDY_DATES if (day := parse_date(header.get(word)))), None)
    if born is not None and examined is not None and _believable(header, born, examined):
        header[AGE] = _years(born, examined)
    return header
