"""Join and order the paths under which the index keeps files: bytes, as names need not be text."""

# Names on disk are bytes here, as they need not be text; pathlib refuses bytes.
# ruff: noqa: PTH118
from __future__ import annotations

import os

from liverpair.dicom.sources import MEMBER_SEPARATOR

__all__ = ["locator", "locator_bytes"]


def locator_bytes(folder: bytes, name: bytes, member: bytes | None = None) -> bytes:
    """Where a file, or a member of an archive, is; an empty name stands for the folder itself."""
    path = os.path.join(folder, name) if name else folder
    return path if member is None else path + os.fsencode(MEMBER_SEPARATOR) + member


def locator(folder: bytes, name: bytes, member: bytes | None = None) -> str:
    """The same as text that opens the file."""
    return os.fsdecode(locator_bytes(folder, name, member))
