"""Read DICOM dates and times (VR DA, TM, DT) as written by scanners, anonymisers and archives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

__all__ = ["Stamp", "parse_date", "parse_datetime", "parse_offset", "parse_time"]

#: PS3.5 6.2: zones lie between -1200 and +1400.
EARLIEST_ZONE = timedelta(hours=-12)
LATEST_ZONE = timedelta(hours=14)
_TIME = re.compile(r"^(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d+))?$")
_DATETIME = re.compile(r"^(\d{8})(\d{2,6}(?:\.\d+)?)?([+-]\d{4})?$")
_OFFSET = re.compile(r"^([+-])(\d{2})(\d{2})$")


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant as written: local clock, and its offset from UTC where the value carries one."""

    local: datetime
    offset: timedelta | None = None


def parse_date(text: object) -> date | None:
    """A DA value (also the retired yyyy.mm.dd); None where it is not a date."""
    digits = _clean(text).replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def parse_time(text: object) -> time | None:
    """A TM value (also the retired hh:mm:ss); a leap second counts as :59; None where it is not a time."""
    match = _TIME.match(_clean(text)) or _TIME.match(_spaced(_clean(text)))
    if not match:
        return None
    hour, minute, second, fraction = match.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        return time(int(hour), int(minute or 0), min(59, int(second or 0)), micro)
    except ValueError:
        return None


def _spaced(digits: str) -> str:
    """hhmmss.f → hh:mm:ss.f, so that one pattern reads both spellings."""
    whole, _, fraction = digits.partition(".")
    return ":".join(whole[i : i + 2] for i in range(0, len(whole), 2)) + (f".{fraction}" if fraction else "")


def parse_datetime(text: object) -> Stamp | None:
    """A DT value with at least a full date; a bare date has no time of day and is None."""
    match = _DATETIME.match(_clean(text))
    if not match:
        return None
    day, clock = parse_date(match.group(1)), parse_time(match.group(2) or "")
    if day is None or clock is None:
        return None
    return Stamp(datetime.combine(day, clock), parse_offset(match.group(3)))


def parse_offset(text: object) -> timedelta | None:
    """An offset from UTC written ±HHMM (Timezone Offset From UTC, or the end of a DT value); None for no such zone."""
    match = _OFFSET.match(_clean(text))
    if not match:
        return None
    sign = -1 if match.group(1) == "-" else 1
    offset = sign * timedelta(hours=int(match.group(2)), minutes=int(match.group(3)))
    return offset if EARLIEST_ZONE <= offset <= LATEST_ZONE else None


def _clean(text: object) -> str:
    """A string without the padding that DICOM (space, NUL) and private writers (bytes) add."""
    if text is None:
        return ""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return str(text).strip().strip("\0").strip()
