"""Find every file below the given paths, inside ZIP and tar archives too, and open any of them read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from liverpair.core.errors import Refusal, UsageError
from liverpair.dicom.archives import LITTER_FOLDERS, Archive, archive_kind, is_litter

__all__ = ["MEMBER_SEPARATOR", "Source", "files", "members", "open_source", "walk"]

MEMBER_SEPARATOR: Final = "!"
#: Archives inside archives deeper than this are a trap, not an export.
MAX_DEPTH: Final = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a member of an archive.

    ``locator`` opens it (``open_source``); ``size`` in bytes; ``mtime_ns`` of the file on disk that holds it.
    Where something could not be looked into, ``problem`` is (reason code, sentence) and the rest is best
    effort.
    """

    locator: str
    size: int
    mtime_ns: int
    problem: tuple[str, str] | None = None


def _file(path: Path) -> Source:
    try:
        facts = path.stat()
    except OSError as error:
        return Source(str(path), 0, 0, ("unreadable_file", f"the file cannot be looked at ({type(error).__name__})"))
    if not path.is_file():
        return Source(str(path), 0, 0, ("not_a_file", "a device, socket or pipe; only regular files are read"))
    return Source(str(path), facts.st_size, facts.st_mtime_ns)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as listing:
        return sorted(listing, key=lambda entry: entry.name)


def _below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Source]:
    """Files below ``folder`` in name order; a folder inside itself through a link is not entered again."""
    try:
        facts = folder.stat()
        here = (facts.st_dev, facts.st_ino)
        if here in above:
            return
        entries = _entries(folder)
    except OSError as error:
        yield Source(str(folder), 0, 0, ("unreadable_folder", f"the folder cannot be listed ({type(error).__name__})"))
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name in LITTER_FOLDERS or is_litter(entry.name):
            continue
        if path.is_dir():
            yield from _below(path, above | {here})
        else:
            yield _file(path)


def files(paths: Sequence[Path]) -> Iterator[Source]:
    """Files on disk below ``paths`` in a stable order, each once; links are followed, loops survived.

    Raises UsageError for a path that does not exist.
    """
    seen: set[str] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; give a folder, a file or an archive")
        for source in _below(path, frozenset()) if path.is_dir() else iter((_file(path),)):
            real = os.path.realpath(source.locator)
            if real not in seen:
                seen.add(real)
                yield source


@lru_cache(maxsize=4)
def _archive_at(chain: tuple[str, ...], stamp: tuple[int, int]) -> Archive | None:
    """The archive reached by a file path and member names; None where it is a plain file.

    ``stamp`` (size, mtime) of the file on disk keys the cache, so a replaced archive is opened anew.
    """
    if len(chain) == 1:
        stream: BinaryIO = Path(chain[0]).open("rb")  # noqa: SIM115 - an archive stays open as long as it is cached
    else:
        outer = _archive_at(chain[:-1], stamp)
        if outer is None or chain[-1] not in outer:
            return None
        stream = outer.read(chain[-1])
    kind = archive_kind(stream)
    if not kind:
        stream.close()
        return None
    return Archive(stream, kind)


def _stamp(path: str) -> tuple[int, int]:
    facts = Path(path).stat()
    return facts.st_size, facts.st_mtime_ns


def _resolve(locator: str) -> tuple[tuple[str, ...], tuple[int, int]]:
    """A locator as (file on disk, member, member of that member, ...), whatever characters the names hold."""
    if Path(locator).is_file():
        return (locator,), _stamp(locator)
    parts = locator.split(MEMBER_SEPARATOR)
    for used in range(1, len(parts)):
        path = MEMBER_SEPARATOR.join(parts[:used])
        if Path(path).is_file():
            stamp = _stamp(path)
            chain = _resolve_members((path,), parts[used:], stamp)
            if chain:
                return chain, stamp
    raise Refusal("missing_file", "the file is no longer there; index the archive again")


def _resolve_members(chain: tuple[str, ...], rest: list[str], stamp: tuple[int, int]) -> tuple[str, ...] | None:
    archive = _archive_at(chain, stamp)
    if archive is None:
        return None
    for used in range(len(rest), 0, -1):
        name = MEMBER_SEPARATOR.join(rest[:used])
        if name in archive:
            if used == len(rest):
                return (*chain, name)
            deeper = _resolve_members((*chain, name), rest[used:], stamp)
            if deeper:
                return deeper
    return None


def open_source(locator: str) -> BinaryIO:
    """Open a file or an archive's member for reading, seekable, at its start.

    Raises Refusal: missing_file, unreadable_file, unreadable_archive, unreadable_member, encrypted_member,
    archive_bomb.
    """
    try:
        chain, stamp = _resolve(locator)
        if len(chain) == 1:
            return Path(chain[0]).open("rb")
        archive = _archive_at(chain[:-1], stamp)
    except OSError as error:
        raise Refusal("unreadable_file", f"the file cannot be opened ({type(error).__name__})") from error
    if archive is None:
        raise Refusal("missing_file", "the archive no longer holds this member; index it again")
    return archive.read(chain[-1])


def members(file: Source) -> Iterator[Source]:
    """What a file on disk stands for: itself, or every member of the archive it is, nested ones unpacked."""
    try:
        yield from _members((file.locator,), file)
    except OSError as error:
        problem = ("unreadable_file", f"the file cannot be opened ({type(error).__name__})")
        yield Source(file.locator, file.size, file.mtime_ns, problem)


def _members(chain: tuple[str, ...], file: Source) -> Iterator[Source]:
    stamp = (file.size, file.mtime_ns)
    locator = MEMBER_SEPARATOR.join(chain)
    try:
        archive = _archive_at(chain, stamp)
    except Refusal as refusal:
        yield Source(locator, file.size, file.mtime_ns, (refusal.reason, refusal.detail))
        return
    if archive is None:
        yield Source(locator, file.size, file.mtime_ns)
        return
    if len(chain) > MAX_DEPTH:
        problem = ("nested_too_deep", f"archives inside archives deeper than {MAX_DEPTH} are not opened")
        yield Source(locator, file.size, file.mtime_ns, problem)
        return
    for name in archive.repeated:
        problem = ("repeated_member", "the archive holds two members of this name; only the first is read")
        yield Source(locator + MEMBER_SEPARATOR + name, 0, file.mtime_ns, problem)
    for name in archive.names():
        if _may_be_archive(name):
            yield from _members((*chain, name), file)
        else:
            yield Source(locator + MEMBER_SEPARATOR + name, archive.size(name), file.mtime_ns)


def _may_be_archive(name: str) -> bool:
    """Whether a member is worth opening as an archive: by name, since opening all images twice is slow."""
    return name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz"))


def walk(paths: Sequence[Path]) -> Iterator[Source]:
    """Every file and archive member below ``paths`` in a stable order, each file on disk once.

    What cannot be looked into is yielded too, with its ``problem``. Raises UsageError for a path that is not
    there.
    """
    for source in files(paths):
        if source.problem:
            yield source
        else:
            yield from members(source)
