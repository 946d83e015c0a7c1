"""Open any file or archive member by its locator, and list what a file on disk stands for."""

# Names on disk are bytes here, as they need not be text; pathlib refuses bytes.
# ruff: noqa: PTH118
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from liverpair.core.errors import Refusal
from liverpair.dicom.archives import START_BYTES, Archive, archive_kind, may_be_archive
from liverpair.dicom.dicomdir import MISSING_FILE, find_listed, listed_files
from liverpair.dicom.listing import folders

__all__ = ["MEMBER_SEPARATOR", "Source", "files", "members", "open_file", "open_source", "walk"]

MEMBER_SEPARATOR: Final = "!"
#: Archives inside archives deeper than this are a trap, not an export.
MAX_DEPTH: Final = 4
EMPTY_ARCHIVE: Final = ("empty_archive", "the archive holds no file; export it again if it should")
GONE: Final = "the file is no longer there; index the archive again"


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


def files(paths: Sequence[Path]) -> Iterator[Source]:
    """Files on disk below ``paths`` in a stable order, each once; links are followed, loops survived.

    Raises UsageError for a path that does not exist.
    """
    for folder in folders(paths):
        for entry in folder.entries:
            locator = os.path.join(folder.path, entry.name) if entry.name else folder.path
            yield Source(os.fsdecode(locator), max(0, entry.size), entry.mtime_ns, entry.problem)


def open_file(path: str | bytes) -> BinaryIO:
    """Open a regular file on disk, unbuffered, with one look at it; a pipe that took its place does not block.

    Raises Refusal: missing_file, unreadable_file, not_a_file.
    """
    try:
        stream = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Refusal("missing_file", GONE) from error
    except IsADirectoryError as error:
        raise Refusal("not_a_file", "a folder has taken the file's place; index the archive again") from error
    except (OSError, ValueError) as error:
        raise Refusal("unreadable_file", f"the file cannot be opened ({type(error).__name__})") from error
    return stream


def _open_without_waiting(path: str, flags: int) -> int:
    """An ``open`` that refuses what is no regular file (as a device would block or never end)."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError
    return descriptor


def open_source(locator: str) -> BinaryIO:
    """Open a file or an archive's member for reading, seekable, at its start.

    Raises Refusal: missing_file, unreadable_file, not_a_file, unreadable_archive, unsupported_archive,
    unreadable_member, encrypted_member, archive_bomb.
    """
    try:
        return open_file(locator)
    except Refusal as refusal:
        if refusal.reason != "missing_file" or MEMBER_SEPARATOR not in locator:
            raise
    try:
        chain, stamp = _resolve(locator)
        archive = _archive_at(chain[:-1], stamp)
    except OSError as error:
        raise Refusal("unreadable_file", f"the file cannot be opened ({type(error).__name__})") from error
    if archive is None:
        raise Refusal("missing_file", "the archive no longer holds this member; index it again")
    return archive.read(chain[-1])


# --- archives ----------------------------------------------------------------------------------------------------


def _archive_at(chain: tuple[str, ...], stamp: tuple[int, int]) -> Archive | None:
    """The archive reached by a file path and member names; None where it is a plain file.

    ``stamp`` (size, mtime) of the file on disk keys the cache, so a replaced archive is opened anew.
    """
    return _cached_archive(chain, stamp, os.getpid())


@lru_cache(maxsize=4)
def _cached_archive(chain: tuple[str, ...], stamp: tuple[int, int], process: int) -> Archive | None:
    """An archive opened by this process: forked ones would share one position in the file."""
    del process
    if len(chain) == 1:
        stream: BinaryIO = Path(chain[0]).open("rb")  # noqa: SIM115 - an archive stays open as long as it is cached
    else:
        outer = _archive_at(chain[:-1], stamp)
        if outer is None or chain[-1] not in outer:
            return None
        stream = outer.read(chain[-1])
    try:
        kind = archive_kind(stream)
        if kind:
            return Archive(stream, kind, chain[-1])
    except BaseException:
        stream.close()
        raise
    stream.close()
    return None


def _resolve(locator: str) -> tuple[tuple[str, ...], tuple[int, int]]:
    """A locator as (file on disk, member, member of that member, ...), whatever characters the names hold."""
    parts = locator.split(MEMBER_SEPARATOR)
    for used in range(1, len(parts)):
        path = Path(MEMBER_SEPARATOR.join(parts[:used]))
        if path.is_file():
            facts = path.stat()
            stamp = facts.st_size, facts.st_mtime_ns
            chain = _resolve_members((str(path),), parts[used:], stamp)
            if chain:
                return chain, stamp
    raise Refusal("missing_file", GONE)


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


def members(file: Source) -> tuple[Source, ...]:
    """What a file on disk stands for: itself, or every member of the archive it is, nested ones unpacked.

    In an order that is the same as long as the file is.
    """
    return _cached_members(file, os.getpid())


@lru_cache(maxsize=2)
def _cached_members(file: Source, process: int) -> tuple[Source, ...]:
    del process
    try:
        return tuple(_members((file.locator,), file))
    except OSError as error:
        problem = ("unreadable_file", f"the file cannot be opened ({type(error).__name__})")
        return (Source(file.locator, file.size, file.mtime_ns, problem),)


def _members(chain: tuple[str, ...], file: Source) -> Iterator[Source]:
    locator = MEMBER_SEPARATOR.join(chain)
    try:
        archive = _archive_at(chain, (file.size, file.mtime_ns))
    except Refusal as refusal:
        yield Source(locator, file.size, file.mtime_ns, (refusal.reason, refusal.detail))
        return
    if archive is None:
        yield Source(locator, file.size, file.mtime_ns)
    elif len(chain) > MAX_DEPTH:
        problem = ("nested_too_deep", f"archives inside archives deeper than {MAX_DEPTH} are not opened; unpack them")
        yield Source(locator, file.size, file.mtime_ns, problem)
    elif not archive.names() and not archive.problems:
        yield Source(locator, file.size, file.mtime_ns, EMPTY_ARCHIVE)
    else:
        yield from _contents(archive, chain, file)


def _contents(archive: Archive, chain: tuple[str, ...], file: Source) -> Iterator[Source]:
    prefix = MEMBER_SEPARATOR.join(chain) + MEMBER_SEPARATOR
    for name, problem in sorted(archive.problems.items()):
        yield Source(prefix + name, 0, file.mtime_ns, problem)
    for name in archive.names():
        if may_be_archive(archive.start(name)):
            yield from _members((*chain, name), file)
            continue
        yield Source(prefix + name, archive.size(name), file.mtime_ns)
        if name.replace("\\", "/").rsplit("/", 1)[-1].casefold() == "dicomdir":
            for missing in _missing_members(archive, name):
                yield Source(prefix + missing, 0, file.mtime_ns, MISSING_FILE)


def _missing_members(archive: Archive, name: str) -> list[str]:
    """What a DICOMDIR inside an archive lists and the archive does not hold."""
    folder = name.replace("\\", "/").rpartition("/")[0]
    try:
        with archive.read(name) as stream:
            return find_listed(archive.names(), folder, listed_files(stream))
    except Refusal:
        return []


def is_archive(path: str) -> bool:
    """Whether a file on disk may be an archive, by its first bytes. Raises Refusal like ``open_file``."""
    with open_file(path) as stream:
        return may_be_archive(stream.read(START_BYTES))


def walk(paths: Sequence[Path]) -> Iterator[Source]:
    """Every file and archive member below ``paths`` in a stable order, each file on disk once.

    What cannot be looked into is yielded too, with its ``problem``. Raises UsageError for a path that is not
    there.
    """
    for source in files(paths):
        if source.problem:
            yield source
            continue
        try:
            packed = is_archive(source.locator)
        except (Refusal, OSError):
            packed = False  # whoever opens it is told why
        yield from members(source) if packed else (source,)
