"""List an archive folder by folder: every file on disk once, links and loops survived, nothing held in memory."""

# Names on disk are bytes here, as they need not be text; pathlib refuses bytes.
# ruff: noqa: PTH110, PTH112, PTH116, PTH118, PTH119, PTH120, PTH208
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from liverpair.core.errors import UsageError
from liverpair.dicom.archives import LITTER_FOLDERS, LITTER_NAMES, LITTER_PREFIX
from liverpair.dicom.dicomdir import is_media_directory, listed_files, on_disk

__all__ = ["Entry", "Folder", "folders"]

SEPARATOR: Final = os.fsencode(os.sep)
SYSTEM_FILE: Final = ("system_file", "litter of an operating system or a viewer, never an image; it is not read")
NOT_A_FILE: Final = ("not_a_file", "a device, socket or pipe; only regular files are read")
BROKEN_LINK: Final = ("broken_link", "a link that leads nowhere; copy what it should point to, or remove it")
LITTER_FOLDER_NAMES: Final = frozenset(map(os.fsencode, LITTER_FOLDERS))
LITTER_FILE_NAMES: Final = frozenset(map(os.fsencode, LITTER_NAMES))
LITTER_START: Final = os.fsencode(LITTER_PREFIX)
#: The size of an entry that cannot be read: no file has it, so its stamp never equals a file's.
NO_SIZE: Final = -1
#: Times after the year 2262 do not fit SQLite's integers; what remains still changes when the file does.
LARGEST_TIME: Final = 2**63 - 1


class Entry(NamedTuple):
    """A file in a folder: its name there ("" for the folder itself), its stamp, and why it is not read if so."""

    name: bytes
    size: int
    mtime_ns: int
    problem: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder and its files in byte order of their names, looked at while they are iterated (once).

    Names are bytes as the file system has them: they need not be text.
    """

    path: bytes
    entries: Iterator[Entry]


def problem_entry(name: bytes, problem: tuple[str, str]) -> Entry:
    """An entry that cannot be read; its stamp changes with the reason."""
    return Entry(name, NO_SIZE, crc32("\n".join(problem).encode()), problem)


def _file_entry(name: bytes, facts: os.stat_result) -> Entry:
    if not stat.S_ISREG(facts.st_mode):
        return problem_entry(name, NOT_A_FILE)
    return Entry(name, facts.st_size, facts.st_mtime_ns & LARGEST_TIME)


@dataclass(slots=True)
class _Walk:
    """Where the walk has been and where it still has to go; folders as (path shown, true path)."""

    #: True paths of the folders from which everything below is walked.
    roots: set[bytes] = field(default_factory=set)
    #: Folders behind links: entered last, so that a folder is found under its true path where it has one.
    behind_links: list[bytes] = field(default_factory=list)

    def covers(self, real: bytes) -> bool:
        """Whether the walk reaches the true path without this link."""
        if real in self.roots:
            return True
        while (above := os.path.dirname(real)) != real:
            if above in self.roots:
                return True
            real = above
        return False

    def link(self, path: bytes, name: bytes) -> Entry | None:
        """The file behind a link, unless the walk finds it elsewhere; a folder is put off."""
        try:
            facts = os.stat(path)
        except OSError:
            return problem_entry(name, BROKEN_LINK)
        if self.covers(os.path.realpath(path)):
            return None
        if stat.S_ISDIR(facts.st_mode):
            self.behind_links.append(path)
            return None
        return _file_entry(name, facts)

    def entries(self, shown: bytes, names: Sequence[bytes], below: list[bytes], *, litter: bool) -> Iterator[Entry]:
        """The files of a folder; the names of its folders are put into ``below``."""
        prefix = shown if shown.endswith(SEPARATOR) else shown + SEPARATOR
        for name in names:
            try:
                facts = os.lstat(prefix + name)
            except FileNotFoundError:
                continue  # it went away since the folder was listed
            except OSError as error:
                detail = f"the file cannot be looked at ({type(error).__name__})"
                yield problem_entry(name, ("unreadable_file", detail))
                continue
            if stat.S_ISDIR(facts.st_mode):
                below.append(name)
            elif litter or name in LITTER_FILE_NAMES or name.startswith(LITTER_START):
                yield problem_entry(name, SYSTEM_FILE)
            elif stat.S_ISREG(facts.st_mode):
                yield Entry(name, facts.st_size, facts.st_mtime_ns & LARGEST_TIME)
            elif stat.S_ISLNK(facts.st_mode):
                entry = self.link(prefix + name, name)
                if entry is not None:
                    yield entry
            else:
                yield problem_entry(name, NOT_A_FILE)

    def tree(self, top: bytes) -> Iterator[Folder]:
        """Every folder from ``top`` down, depth first in byte order."""
        waiting = [(top, os.path.realpath(top), False)]
        self.roots.add(waiting[0][1])
        while waiting:
            shown, real, litter = waiting.pop()
            try:
                names = sorted(os.listdir(shown))
            except FileNotFoundError:
                continue
            except OSError as error:
                detail = f"the folder cannot be listed ({type(error).__name__}); allow reading it and index again"
                yield Folder(shown, iter((problem_entry(b"", ("unreadable_folder", detail)),)))
                continue
            below: list[bytes] = []
            listing = self.entries(shown, names, below, litter=litter)
            yield Folder(shown, listing)
            for _ in listing:  # what the caller left: the folders below are known only then
                pass
            del names
            for name in reversed(below):
                inner = os.path.join(real, name)
                if inner not in self.roots:
                    waiting.append((os.path.join(shown, name), inner, litter or name in LITTER_FOLDER_NAMES))


def _given_files(paths: Sequence[bytes]) -> dict[bytes, set[bytes]]:
    """Single files by folder; a media directory (DICOMDIR) stands for the files it lists as well."""
    found: dict[bytes, set[bytes]] = {}
    for path in paths:
        found.setdefault(os.path.dirname(path), set()).add(os.path.basename(path))
        if is_media_directory(path):
            for components in listed_files(path):
                target = on_disk(os.path.dirname(path), components)
                if target is not None:
                    found.setdefault(os.path.dirname(target), set()).add(os.path.basename(target))
    return found


def _single(folder: bytes, names: set[bytes]) -> Iterator[Entry]:
    for name in sorted(names):
        try:
            yield _file_entry(name, os.stat(os.path.join(folder, name)))
        except OSError as error:
            detail = f"the file cannot be looked at ({type(error).__name__})"
            yield problem_entry(name, ("unreadable_file", detail))


def folders(paths: Sequence[Path]) -> Iterator[Folder]:
    """Every folder below ``paths``, and the folders of single files, each once and in an order that is stable.

    Links are followed; a file or folder that the walk reaches under its true path is not listed again under a
    link. Raises UsageError for a path that is not there.
    """
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path} does not exist or cannot be reached; give a folder, a file or an archive")
    given = sorted({os.fsencode(path) for path in paths}, key=lambda shown: (os.path.realpath(shown), shown))
    walk, tops = _Walk(), []
    for shown in given:
        if os.path.isdir(shown) and not walk.covers(os.path.realpath(shown)):
            walk.roots.add(os.path.realpath(shown))
            tops.append(shown)
    for top in tops:
        yield from walk.tree(top)
    singles = _given_files([shown for shown in given if not os.path.isdir(shown)])
    for folder in sorted(singles):
        if not walk.covers(os.path.realpath(folder)):
            yield Folder(folder, _single(folder, singles[folder]))
    while walk.behind_links:
        link = walk.behind_links.pop(0)
        if not walk.covers(os.path.realpath(link)):
            yield from walk.tree(link)
