"""Find every file below the given paths, inside ZIP and tar archives too, and open any of them read-only."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from liverpair.core.errors import Refusal, UsageError

__all__ = ["MEMBER_SEPARATOR", "Source", "files", "is_archive", "members", "open_source", "walk"]

MEMBER_SEPARATOR: Final = "!"
#: Archives inside archives deeper than this are a trap, not an export.
MAX_DEPTH: Final = 4
#: The largest real DICOM objects (whole-slide, tomosynthesis) stay below; more is a bomb or no medical image.
MAX_MEMBER_BYTES: Final = 4 * 2**30
#: DEFLATE cannot reach more than 1032:1; empty images come close to it, so the ratio counts only for big members.
MAX_RATIO: Final = 200
RATIO_COUNTS_FROM_BYTES: Final = 256 * 2**20
#: Unpacked nested archives are kept in memory up to this size and in an unnamed temporary file above it.
SPOOL_BYTES: Final = 128 * 2**20
#: Litter of operating systems and viewers: never images, not worth a line among the exclusions.
LITTER_NAMES: Final = frozenset((".DS_Store", "Thumbs.db", "desktop.ini", ".directory"))
LITTER_FOLDERS: Final = frozenset(("__MACOSX", "$RECYCLE.BIN", "System Volume Information", ".Trashes"))
#: A local file header, or the end record of an empty ZIP.
ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
ARCHIVE_ERRORS: Final = (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a member of an archive.

    ``locator`` opens it (``open_source``); ``size`` in bytes; ``mtime_ns`` of the file on disk that holds it.
    Where something could not be looked into, ``problem`` is (reason code, sentence) and the rest is best effort.
    """

    locator: str
    size: int
    mtime_ns: int
    problem: tuple[str, str] | None = None


def _is_litter(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[-1] in LITTER_NAMES or parts[-1].startswith("._") or not LITTER_FOLDERS.isdisjoint(parts[:-1])


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
    """Files below ``folder`` in name order; a folder that contains itself through a link is not entered again."""
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
        if entry.name in LITTER_FOLDERS or _is_litter(entry.name):
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


def is_archive(stream: BinaryIO) -> str:
    """"zip", "tar" or "" by the content's first bytes; the stream is left at its start."""
    stream.seek(0)
    start = stream.read(512)
    stream.seek(0)
    if start[:4] in ZIP_MAGICS:
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    if start[:2] == b"\x1f\x8b":
        with suppress(*ARCHIVE_ERRORS):
            inner = gzip.GzipFile(fileobj=stream).read(512)
            stream.seek(0)
            return "tar" if inner[257:262] == b"ustar" else ""
    if start[:3] == b"BZh" or start[:6] == b"\xfd7zXZ\x00":
        with suppress(*ARCHIVE_ERRORS), tarfile.open(fileobj=stream, mode="r:*"):
            stream.seek(0)
            return "tar"
    stream.seek(0)
    return ""


class _Archive:
    """An opened ZIP or tar: its members by name, each readable into memory."""

    def __init__(self, stream: BinaryIO, kind: str) -> None:
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        self._entries: dict[str, zipfile.ZipInfo | tarfile.TarInfo] = {}
        self.repeated: list[str] = []
        try:
            self._open(stream, kind)
        except ARCHIVE_ERRORS as error:
            raise Refusal(
                "unreadable_archive", f"the {kind} archive is damaged ({type(error).__name__}); export it again"
            ) from error

    def _open(self, stream: BinaryIO, kind: str) -> None:
        entries: list[zipfile.ZipInfo | tarfile.TarInfo]
        if kind == "zip":
            self._zip = zipfile.ZipFile(stream)
            entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
        else:
            self._tar = tarfile.open(fileobj=_unpacked(stream), mode="r:")  # noqa: SIM115 - lives as long as the cache
            entries = [entry for entry in self._tar if entry.isfile()]
        for entry in entries:
            name = entry.filename if isinstance(entry, zipfile.ZipInfo) else entry.name
            if name in self._entries:
                self.repeated.append(name)
            elif not _is_litter(name):
                self._entries[name] = entry

    def names(self) -> list[str]:
        return sorted(self._entries)

    def size(self, name: str) -> int:
        entry = self._entries[name]
        return entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> BinaryIO:
        """The member's bytes; refuses bombs, encryption and damage."""
        entry = self._entries[name]
        self._refuse_bomb(entry)
        try:
            if isinstance(entry, zipfile.ZipInfo) and self._zip is not None:
                if entry.flag_bits & 0x1:
                    raise Refusal("encrypted_member", "the archive's member is encrypted; unpack it with its password")
                with self._zip.open(entry) as packed:
                    return _spooled(packed, entry.file_size)
            if isinstance(entry, tarfile.TarInfo) and self._tar is not None:
                content = self._tar.extractfile(entry)
                if content is not None:
                    with content:
                        return _spooled(content, entry.size)
        except (*ARCHIVE_ERRORS, NotImplementedError) as error:
            raise Refusal(
                "unreadable_member", f"the archive's member cannot be unpacked ({type(error).__name__})"
            ) from error
        raise Refusal("unreadable_member", "the archive's member is not a regular file")

    @staticmethod
    def _refuse_bomb(entry: zipfile.ZipInfo | tarfile.TarInfo) -> None:
        size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size
        packed = entry.compress_size if isinstance(entry, zipfile.ZipInfo) else size
        if size > MAX_MEMBER_BYTES or (size > RATIO_COUNTS_FROM_BYTES and size > MAX_RATIO * max(1, packed)):
            raise Refusal("archive_bomb", f"the archive's member claims {size} bytes from {packed}; it is not unpacked")


def _spooled(content: IO[bytes], announced: int) -> BinaryIO:
    """A seekable copy of ``content``, refused when it holds more than it announced (or than any image does)."""
    target: IO[bytes] = io.BytesIO() if announced <= SPOOL_BYTES else tempfile.SpooledTemporaryFile(max_size=1)
    total = 0
    while chunk := content.read(1 << 20):
        total += len(chunk)
        if total > min(MAX_MEMBER_BYTES, announced + (1 << 20)):
            raise Refusal("archive_bomb", "the archive's member unpacks to more than it announces; it is not read")
        target.write(chunk)
    target.seek(0)
    return cast("BinaryIO", target)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """The plain tar inside ``stream``, which may be compressed: unpacked once, so that members can be reached."""
    start = stream.read(6)
    stream.seek(0)
    if start[:2] != b"\x1f\x8b" and start[:3] != b"BZh" and start != b"\xfd7zXZ\x00":
        return stream
    import bz2
    import lzma

    opener = {b"\x1f": gzip.open, b"B": bz2.open, b"\xfd": lzma.open}[start[:1]]
    target = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115 - lives with the tar
    total = 0
    with opener(stream) as content:
        while chunk := content.read(1 << 20):
            total += len(chunk)
            if total > 16 * MAX_MEMBER_BYTES:
                raise Refusal("archive_bomb", "the compressed tar unpacks to more than 64 GiB; unpack it by hand")
            target.write(chunk)
    target.seek(0)
    return target


@lru_cache(maxsize=4)
def _archive_at(chain: tuple[str, ...], stamp: tuple[int, int]) -> _Archive | None:
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
    kind = is_archive(stream)
    if not kind:
        stream.close()
        return None
    return _Archive(stream, kind)


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


def _resolve_members(
    chain: tuple[str, ...], rest: list[str], stamp: tuple[int, int]
) -> tuple[str, ...] | None:
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
    """Whether a member is worth opening as an archive: by its name, since opening every image twice is slow."""
    return name.lower().endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz"))


def walk(paths: Sequence[Path]) -> Iterator[Source]:
    """Every file and archive member below ``paths`` in a stable order, each file on disk once.

    What cannot be looked into is yielded too, with its ``problem``. Raises UsageError for a path that is not there.
    """
    for source in files(paths):
        if source.problem:
            yield source
        else:
            yield from members(source)
