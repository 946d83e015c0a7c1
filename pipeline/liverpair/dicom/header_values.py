"""Read single attributes of a PET header as text or number, however they were written or damaged."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

__all__ = ["item_datasets", "number", "private_text", "text", "texts", "to_number", "value"]


def value(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, or None where it is absent, empty or not readable as its VR."""
    try:
        found = dataset.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts on access, and raises whatever damaged bytes provoke
        return None
    if found is None or (isinstance(found, str | bytes) and not found.strip()):
        return None
    return found


def text(dataset: Dataset, keyword: str) -> str:
    """The attribute as stripped text, "" where absent; the first of several values."""
    found = value(dataset, keyword)
    if found is None:
        return ""
    if is_list(found):
        items = list(found)
        found = items[0] if items else ""
    return decoded(found)


def decoded(found: Any) -> str:
    if isinstance(found, bytes):
        found = found.decode("latin-1")
    return str(found).strip().strip("\0").strip()


def is_list(found: Any) -> bool:
    return not isinstance(found, str | bytes | Dataset) and hasattr(found, "__iter__")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of a multi-valued attribute as stripped upper-case text."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    items = list(found) if is_list(found) else [found]
    return tuple(part for item in items for part in decoded(item).upper().split("\\") if part)


def number(dataset: Dataset, keyword: str) -> float | None:
    """The attribute as a finite number, None where absent or not a number."""
    return to_number(text(dataset, keyword))


def to_number(written: str) -> float | None:
    """A finite number; a decimal comma (German private tags) is read as a point."""
    try:
        found = float(written.replace(",", ".")) if written else None
    except ValueError:
        return None
    return found if found is not None and math.isfinite(found) else None


def private_text(dataset: Dataset, group: int, creator: str, element: int) -> str:
    """A private attribute by its creator; at block 0x10 where no creator claims that block (anonymisers drop them)."""
    wanted = creator.upper()
    reserved = [tag.element for tag in dataset.keys() if tag.group == group and 0x10 <= tag.element <= 0xFF]  # noqa: SIM118
    blocks = [b for b in reserved if _at(dataset, group, b).upper().startswith(wanted)]
    if not blocks and not _at(dataset, group, 0x10):
        blocks = [0x10]
    for block in blocks:
        found = _at(dataset, group, block << 8 | element)
        if found:
            return found
    return ""


def _at(dataset: Dataset, group: int, element: int) -> str:
    """A raw element as text, "" where absent or unreadable."""
    if (group, element) not in dataset:
        return ""
    try:
        found = dataset[group, element].value
    except (ValueError, TypeError, OverflowError, AttributeError, NotImplementedError):
        return ""
    return "" if found is None else decoded(found)


def item_datasets(dataset: Dataset, keyword: str) -> list[Dataset]:
    found = value(dataset, keyword)
    return [item for item in found if isinstance(item, Dataset)] if is_list(found) else []
