"""Read which files a media directory (DICOMDIR, PS3.10 §8) lists, and find them whatever became of their names."""

# Names on disk are bytes here, as they need not be text; pathlib refuses bytes.
# ruff: noqa: PTH116, PTH118, PTH123, PTH208
from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import BinaryIO, Final

import pydicom

__all__ = ["MISSING_FILE", "find_listed", "is_media_directory", "listed_files", "on_disk"]

MEDIA_STORAGE: Final = b"1.2.840.10008.1.3.10"
#: The file meta information, which names the storage class, lies within.
START_BYTES: Final = 512
MISSING_FILE: Final = (
    "missing_file",
    "the DICOMDIR lists this file and it is not there; the copy of the medium is incomplete, copy it again",
)
#: A record that its writer has deleted (PS3.3 F.3.2.2, Record In-use Flag).
NOT_IN_USE: Final = 0
#: ISO 9660 appends a version to names, and drivers change their case.
VERSION: Final = re.compile(r";\d+$")


def is_media_directory(path: bytes) -> bool:
    """Whether the file is a DICOMDIR, whatever its name; False where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(START_BYTES)
    except OSError:
        return False
    return start[128:132] == b"DICM" and MEDIA_STORAGE in start


def listed_files(source: bytes | BinaryIO) -> list[tuple[str, ...]]:
    """The Referenced File IDs of a DICOMDIR, each as folder names and file name; none where it is damaged."""
    found: dict[tuple[str, ...], None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stream = os.fsdecode(source) if isinstance(source, bytes) else source
            dataset = pydicom.dcmread(stream, force=True)
            for record in dataset.get("DirectoryRecordSequence") or ():
                if record.get("RecordInUseFlag") == NOT_IN_USE:
                    continue
                value = record.get("ReferencedFileID")
                components = _components([value] if isinstance(value, str) else value or ())
                if components:
                    found[components] = None
        except Exception:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke; what was read before counts
            return list(found)
    return list(found)


def _components(values: Iterable[object]) -> tuple[str, ...]:
    """Names below the DICOMDIR's folder; empty where they lead out of it."""
    parts = [part.strip() for value in values for part in re.split(r"[\\/]", str(value)) if part.strip()]
    return () if ".." in parts or "\0" in "".join(parts) else tuple(part for part in parts if part != ".")


def _key(name: str) -> str:
    """A name without what copying a medium changes: case, ISO 9660 version."""
    return VERSION.sub("", name).casefold().rstrip(".")


def _stem(name: str) -> str:
    return _key(name).rsplit(".", 1)[0]


@lru_cache(maxsize=64)
def _names(folder: bytes, mtime_ns: int) -> dict[str, bytes]:
    """Names in a folder by key, then by stem; ``mtime_ns`` makes a changed folder be listed anew."""
    del mtime_ns
    listed = sorted(os.listdir(folder))
    by_stem = {_stem(os.fsdecode(name)): name for name in listed}
    return by_stem | {_key(os.fsdecode(name)): name for name in listed}


def on_disk(folder: bytes, components: tuple[str, ...]) -> bytes | None:
    """The listed file below the DICOMDIR's ``folder``; None where it is missing.

    Names may differ in case, in an ISO 9660 version or in an extension that was added.
    """
    exact = os.path.join(folder, *map(os.fsencode, components))
    if os.path.lexists(exact):
        return exact
    path = folder
    for component in components:
        try:
            names = _names(path, os.stat(path).st_mtime_ns)
        except OSError:
            return None
        name = names.get(_key(component))
        if name is None:
            return None
        path = os.path.join(path, name)
    return path


def find_listed(names: Iterable[str], folder: str, listed: Iterable[tuple[str, ...]]) -> list[str]:
    """The listed files that an archive's members do not hold, as member names below ``folder``."""
    held = set()
    for name in names:
        parts = name.replace("\\", "/").split("/")
        held.add("/".join(map(_key, parts)))
        held.add("/".join([*map(_key, parts[:-1]), _stem(parts[-1])]))
    prefix = f"{folder}/" if folder else ""
    return [
        prefix + "/".join(parts)
        for parts in listed
        if "/".join(map(_key, [*prefix.split("/")[:-1], *parts])) not in held
    ]
