"""Say before the work begins, not after minutes of it, that its result could not be written."""

from __future__ import annotations

import os
from pathlib import Path

from liverpair.core.errors import UsageError

__all__ = ["check_file", "check_folder"]


def check_folder(folder: Path) -> None:
    """UsageError where results cannot be put into ``folder``, which need not exist yet; nothing is made here."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        is_it = "is" if nearest == folder else f"cannot be made: {nearest} is"
        raise UsageError(f"the output {folder} {is_it} a file; give a folder (-o).")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"the output {folder} cannot be made: no permission in {nearest}. Choose another place (-o).")


def check_file(path: Path) -> None:
    """UsageError where no file can be written at ``path``; its folder need not exist yet."""
    if path.is_dir():
        raise UsageError(f"the output {path} is a folder; give the name of a file (-o).")
    check_folder(path.parent)
