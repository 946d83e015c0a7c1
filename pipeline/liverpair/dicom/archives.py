"""Open ZIP and tar archives and hand out their members, each in memory or in an unnamed temporary file."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import suppress
from typing import IO, BinaryIO, Final, cast

from liverpair.core.errors import Refusal

__all__ = ["START_BYTES", "Archive", "archive_kind", "is_litter", "may_be_archive"]

#: The largest real DICOM objects (whole-slide, tomosynthesis) stay below; more is a bomb or no medical image.
MAX_MEMBER_BYTES: Final = 4 * 2**30
#: DEFLATE cannot reach more than 1032:1; empty images come close to it, so the ratio counts only for big
#: members.
MAX_RATIO: Final = 200
RATIO_COUNTS_FROM_BYTES: Final = 256 * 2**20
#: What is unpacked is kept in memory up to this size and in an unnamed temporary file above it; a few archives
#: are open at once.
SPOOL_BYTES: Final = 32 * 2**20
#: A compressed tar of a whole archive may unpack to this.
MAX_TAR_BYTES: Final = 64 * 2**30
#: Litter of operating systems and viewers: never images.
LITTER_NAMES: Final = frozenset((".DS_Store", "Thumbs.db", "desktop.ini", ".directory"))
LITTER_PREFIX: Final = "._"
LITTER_FOLDERS: Final = frozenset(("__MACOSX", "$RECYCLE.BIN", "System Volume Information", ".Trashes"))
#: Every kind of archive shows itself within these bytes (a tar at 257).
START_BYTES: Final = 512
#: A local file header, or the end record of an empty ZIP.
ZIP_MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")
GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
#: Archives that Python cannot open: what to call them, by their first bytes.
FOREIGN_MAGICS: Final = {
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\x07": "RAR archive",
    b"PK\x07\x08": "ZIP in several parts",
    b"MSCF": "cabinet archive",
    b"\x28\xb5\x2f\xfd": "zstd file",
    b"\x04\x22\x4d\x18": "lz4 file",
    b"\x1f\x9d": "compress (.Z) file",
}
#: ISO 9660 §6.2: the volume descriptors follow 16 sectors that hold nothing or a boot record.
ISO_MARK: Final = (32769, b"CD001")
BOOT_MARK: Final = b"\x55\xaa"
FIRST_BYTES: Final = (*ZIP_MAGICS, GZIP, BZIP2, XZ, *FOREIGN_MAGICS)
ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    OSError,
    EOFError,
    zlib.error,
    RuntimeError,
    ValueError,
    KeyError,
)


def is_litter(name: str) -> bool:
    """Whether the file only serves an operating system."""
    parts = name.replace("\\", "/").split("/")
    return parts[-1] in LITTER_NAMES or parts[-1].startswith(LITTER_PREFIX) or not LITTER_FOLDERS.isdisjoint(parts[:-1])


def may_be_archive(start: bytes) -> bool:
    """Whether a file's first ``START_BYTES`` allow it to be an archive; DICOM and most other files do not."""
    if start[128:132] == b"DICM":
        return False
    return start.startswith(FIRST_BYTES) or start[257:262] == b"ustar" or _may_be_disc(start)


def _may_be_disc(start: bytes) -> bool:
    return len(start) == START_BYTES and (start[510:] == BOOT_MARK or not any(start))


def archive_kind(stream: BinaryIO) -> str:
    """ "zip", "tar", "packed" (one compressed DICOM file) or "" by content; the stream is left at its start.

    Raises Refusal ``unsupported_archive`` for archives that cannot be opened here.
    """
    stream.seek(0)
    start = stream.read(START_BYTES)
    try:
        return _kind(stream, start) if may_be_archive(start) else ""
    finally:
        stream.seek(0)


def _kind(stream: BinaryIO, start: bytes) -> str:
    if start.startswith(ZIP_MAGICS):
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    foreign = next((name for magic, name in FOREIGN_MAGICS.items() if start.startswith(magic)), "")
    if not foreign and _may_be_disc(start):
        stream.seek(ISO_MARK[0])
        foreign = "disc image (ISO 9660)" if stream.read(len(ISO_MARK[1])) == ISO_MARK[1] else ""
    if foreign:
        raise Refusal("unsupported_archive", f"a {foreign}, which is not opened here; unpack it and index the folder")
    return _compressed_kind(stream, start)


def _compressed_kind(stream: BinaryIO, start: bytes) -> str:
    if not start.startswith((GZIP, BZIP2, XZ)):
        return ""
    stream.seek(0)
    inner = b""
    with suppress(*ARCHIVE_ERRORS):
        inner = _decompressor(stream, start).read(START_BYTES)
    if inner[257:262] == b"ustar":
        return "tar"
    return "packed" if inner[128:132] == b"DICM" else ""


class Archive:
    """An opened ZIP, tar or compressed single file: its members by name, each readable.

    A name that occurs twice is told apart by "#2", "#3": both members may be images. ``problems`` are members
    that are not read, each with (reason code, sentence).
    """

    def __init__(self, stream: BinaryIO, kind: str, name: str = "") -> None:
        self._zip: zipfile.ZipFile | None = None
        self._tar: tarfile.TarFile | None = None
        self._packed: BinaryIO | None = None
        self._packed_bytes = 0
        self._entries: dict[str, zipfile.ZipInfo | tarfile.TarInfo | None] = {}
        self.problems: dict[str, tuple[str, str]] = {}
        try:
            self._open(stream, kind, name)
        except ARCHIVE_ERRORS as error:
            raise _refusal("unreadable_archive", f"the {kind} archive is damaged", error) from error
        self._names = sorted(self._entries)

    def _open(self, stream: BinaryIO, kind: str, name: str) -> None:
        if kind == "packed":
            self._packed = stream
            self._packed_bytes = _length(stream)
            base = name.replace("\\", "/").rsplit("/", 1)[-1]
            self._entries[base.rsplit(".", 1)[0] or base] = None
        elif kind == "zip":
            self._zip = zipfile.ZipFile(stream)
            for entry in self._zip.infolist():
                if not entry.is_dir():
                    self._add(entry.filename, entry)
        else:
            self._tar = tarfile.open(fileobj=_unpacked(stream), mode="r:")  # noqa: SIM115 - lives as long as the cache
            for member in self._tar:
                if not member.isdir():
                    self._add(member.name, member)

    def _add(self, name: str, entry: zipfile.ZipInfo | tarfile.TarInfo) -> None:
        unique, number = name, 1
        while unique in self._entries or unique in self.problems:
            number += 1
            unique = f"{name}#{number}"
        if is_litter(name):
            self.problems[unique] = ("system_file", "litter of an operating system or a viewer; it is not read")
        elif isinstance(entry, zipfile.ZipInfo) or entry.isfile():
            self._entries[unique] = entry
        elif entry.issym() or entry.islnk():
            if self._dangles(entry):
                self.problems[unique] = (
                    "broken_link",
                    "a link to a file that the archive does not hold; it is not read",
                )
        else:
            self.problems[unique] = ("not_a_file", "a device, socket or pipe; only regular files are read")

    def _dangles(self, entry: tarfile.TarInfo) -> bool:
        """Whether a tar's link leads to no member of it; the member it leads to is read under its own name."""
        assert self._tar is not None
        try:
            self._tar._find_link_target(entry)  # type: ignore[attr-defined] # the only way to follow tar's own rules
        except (KeyError, RecursionError):
            return True
        return False

    def names(self) -> list[str]:
        """Members that can be read, sorted."""
        return self._names

    def size(self, name: str) -> int:
        """Bytes the member announces; 0 where only unpacking tells."""
        entry = self._entries[name]
        if entry is None:
            return 0
        return entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def start(self, name: str) -> bytes:
        """The member's first bytes; empty where it cannot be unpacked."""
        entry = self._entries[name]
        try:
            if isinstance(entry, zipfile.ZipInfo) and self._zip is not None and not entry.flag_bits & 0x1:
                with self._zip.open(entry) as packed:
                    return packed.read(START_BYTES)
            if isinstance(entry, tarfile.TarInfo) and self._tar is not None:
                content = self._tar.extractfile(entry)
                return content.read(START_BYTES) if content is not None else b""
        except (*ARCHIVE_ERRORS, NotImplementedError):
            return b""
        return b""

    def read(self, name: str) -> BinaryIO:
        """The member's bytes; refuses bombs, encryption and damage."""
        entry = self._entries[name]
        if entry is not None:
            self._refuse_bomb(entry)
        try:
            return self._unpack(entry)
        except NotImplementedError as error:
            detail = "the archive's member is packed by a method that is not known here (Deflate64?); unpack it by hand"
            raise Refusal("unreadable_member", detail) from error
        except ARCHIVE_ERRORS as error:
            raise _refusal("unreadable_member", "the archive's member is damaged", error) from error

    def _unpack(self, entry: zipfile.ZipInfo | tarfile.TarInfo | None) -> BinaryIO:
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
        if self._packed is not None:
            self._packed.seek(0)
            start = self._packed.read(len(XZ))
            self._packed.seek(0)
            with _decompressor(self._packed, start) as unpacked:
                return _spooled(unpacked, _believable(self._packed_bytes, MAX_MEMBER_BYTES), sure=False)
        raise Refusal("unreadable_member", "the archive's member is not a regular file")

    @staticmethod
    def _refuse_bomb(entry: zipfile.ZipInfo | tarfile.TarInfo) -> None:
        size = entry.file_size if isinstance(entry, zipfile.ZipInfo) else entry.size
        packed = entry.compress_size if isinstance(entry, zipfile.ZipInfo) else size
        if size > MAX_MEMBER_BYTES or (size > RATIO_COUNTS_FROM_BYTES and size > MAX_RATIO * max(1, packed)):
            raise Refusal("archive_bomb", f"the archive's member claims {size} bytes from {packed}; it is not unpacked")


def _refusal(reason: str, what: str, error: Exception) -> Refusal:
    """What went wrong and what to do; a lack of room is not the archive's fault."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = "the temporary folder has no room to unpack the archive"
        return Refusal("no_room_to_unpack", f"{where}; set TMPDIR to a larger disk and index again")
    return Refusal(reason, f"{what} ({type(error).__name__}); export it again")


def _spooled(content: IO[bytes], announced: int, *, sure: bool = True) -> BinaryIO:
    """A seekable copy of ``content``, refused when it holds more than it announced or any image does.

    Where the announced size is not ``sure`` but a limit, the copy begins in memory.
    """
    # A spooled file that starts on the disk: growing one in memory would copy it once more.
    limit = 1 if sure and announced > SPOOL_BYTES else SPOOL_BYTES
    target: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=limit)  # noqa: SIM115 - the caller closes it
    total = 0
    while chunk := content.read(1 << 20):
        total += len(chunk)
        if total > min(MAX_MEMBER_BYTES, announced + (1 << 20)):
            target.close()
            raise Refusal("archive_bomb", "the archive's member unpacks to more than it announces; it is not read")
        target.write(chunk)
    target.seek(0)
    return cast("BinaryIO", target)


def _length(stream: BinaryIO) -> int:
    """Bytes in the stream, which is left at its start."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return length


def _believable(packed: int, limit: int) -> int:
    """The most that so many compressed bytes may unpack to before they are taken for a bomb."""
    return min(limit, max(RATIO_COUNTS_FROM_BYTES, MAX_RATIO * packed))


def _decompressor(stream: BinaryIO, start: bytes) -> IO[bytes]:
    """A reader of the compressed ``stream``, which begins with ``start``."""
    if start.startswith(GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream, mode="rb"))
    return bz2.BZ2File(stream) if start.startswith(BZIP2) else lzma.LZMAFile(stream)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """The plain tar inside ``stream``, unpacked once if compressed, so that members can be reached."""
    start = stream.read(len(XZ))
    stream.seek(0)
    if not start.startswith((GZIP, BZIP2, XZ)):
        return stream
    limit = _believable(_length(stream), MAX_TAR_BYTES)
    target = cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115 - lives with the tar
    total = 0
    with _decompressor(stream, start) as content:
        while chunk := content.read(1 << 20):
            total += len(chunk)
            if total > limit:
                target.close()
                raise Refusal(
                    "archive_bomb", f"the compressed tar unpacks to more than {limit} bytes; unpack it by hand"
                )
            target.write(chunk)
    target.seek(0)
    return target
