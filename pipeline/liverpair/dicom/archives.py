"""Open ZIP and tar archives and hand out their members, each in memory or in an unnamed temporary file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import suppress
from typing import IO, BinaryIO, Final, cast

from liverpair.core.errors import Refusal

__all__ = ["Archive", "archive_kind", "is_litter"]

#: The largest real DICOM objects (whole-slide, tomosynthesis) stay below; more is a bomb or no medical image.
MAX_MEMBER_BYTES: Final = 4 * 2**30
#: DEFLATE cannot reach more than 1032:1; empty images come close to it, so the ratio counts only for big
#: members.
MAX_RATIO: Final = 200
RATIO_COUNTS_FROM_BYTES: Final = 256 * 2**20
#: Unpacked nested archives are kept in memory up to this size and in an unnamed temporary file above it.
SPOOL_BYTES: Final = 128 * 2**20
#: Litter of operating systems and viewers: never images, not worth a line among the exclusions.
LITTER_NAMES: Final = frozenset((".DS_Store", "Thumbs.db", "desktop.ini", ".directory"))
LITTER_FOLDERS: Final = frozenset(("__MACOSX", "$RECYCLE.BIN", "System Volume Information", ".Trashes"))
#: A local file header, or the end record of an empty ZIP.
ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    ValueError,
)


def is_litter(name: str) -> bool:
    """Whether the file only serves an operating system."""
    parts = name.replace("\\", "/").split("/")
    return parts[-1] in LITTER_NAMES or parts[-1].startswith("._") or not LITTER_FOLDERS.isdisjoint(parts[:-1])


def archive_kind(stream: BinaryIO) -> str:
    """ "zip", "tar" or "" by the content's first bytes; the stream is left at its start."""
    stream.seek(0)
    start = stream.read(512)
    stream.seek(0)
    if start[:4] in ZIP_MAGICS:
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    if start[:2] == b"\x1f\x8b":
        with suppress(*ARCHIVE_ERRORS):
            inner = gzip.GzipFile(fileobj=stream, mode="rb").read(512)
            stream.seek(0)
            return "tar" if inner[257:262] == b"ustar" else ""
    if start[:3] == b"BZh" or start[:6] == b"\xfd7zXZ\x00":
        with suppress(*ARCHIVE_ERRORS), tarfile.open(fileobj=stream, mode="r:*"):
            stream.seek(0)
            return "tar"
    stream.seek(0)
    return ""


class Archive:
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
                "unreadable_archive",
                f"the {kind} archive is damaged ({type(error).__name__}); export it again",
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
            elif not is_litter(name):
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
    """A seekable copy of ``content``, refused when it holds more than it announced or any image does."""
    # A spooled file that starts on the disk: growing one in memory would copy it once more.
    limit = SPOOL_BYTES if announced <= SPOOL_BYTES else 1
    target: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=limit)  # noqa: SIM115 - the caller closes it
    total = 0
    while chunk := content.read(1 << 20):
        total += len(chunk)
        if total > min(MAX_MEMBER_BYTES, announced + (1 << 20)):
            raise Refusal("archive_bomb", "the archive's member unpacks to more than it announces; it is not read")
        target.write(chunk)
    target.seek(0)
    return cast("BinaryIO", target)


def _decompressor(stream: BinaryIO, start: bytes) -> IO[bytes]:
    """A reader of the compressed ``stream``, which begins with ``start``."""
    if start[:2] == b"\x1f\x8b":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream, mode="rb"))
    return bz2.BZ2File(stream) if start[:3] == b"BZh" else lzma.LZMAFile(stream)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """The plain tar inside ``stream``, unpacked once if compressed, so that members can be reached."""
    start = stream.read(6)
    stream.seek(0)
    if start[:2] != b"\x1f\x8b" and start[:3] != b"BZh" and start != b"\xfd7zXZ\x00":
        return stream
    target = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115 - lives with the tar
    total = 0
    with _decompressor(stream, start) as content:
        while chunk := content.read(1 << 20):
            total += len(chunk)
            if total > 16 * MAX_MEMBER_BYTES:
                raise Refusal("archive_bomb", "the compressed tar unpacks to more than 64 GiB; unpack it by hand")
            target.write(chunk)
    target.seek(0)
    return target
