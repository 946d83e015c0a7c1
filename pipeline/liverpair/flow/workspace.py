"""A workspace: the one folder a study is computed in, and how files get into it whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError
from liverpair.core.provenance import canonical_json
from liverpair.flow.tables import COLUMNS, format_table, parse_table

__all__ = ["Workspace", "write_bytes", "write_text"]


def write_bytes(path: Path, data: bytes, flush: bool = True) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk, then rename it.

    ``flush`` False leaves the flush to the system, for the many files that are made again from others at any time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            if flush:
                os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


class Workspace:
    """The paths of a workspace (see the contract in docs/workspace.md) and its writers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.catalogue = root / "catalogue.sqlite"
        self.settings_file = root / "liverpair.toml"
        self.tables = root / "tables"
        self.cases = root / "cases"
        self.report = root / "report"
        self.logs = root / "logs"

    @classmethod
    def create(cls, root: Path) -> Workspace:
        """Open a workspace, making its folders; refuse a folder that holds something else."""
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file; the workspace (-o) must be a folder.")
        workspace = cls(root)
        ours = {"catalogue.sqlite", "liverpair.toml", "tables", "cases", "report", "logs"}
        if root.is_dir() and not workspace.settings_file.exists():
            foreign = [p.name for p in root.iterdir() if p.name not in ours and not p.name.startswith("catalogue.")]
            if foreign:
                raise UsageError(
                    f"{root} is not empty and is no liverpair workspace (it holds {len(foreign)} other entries). "
                    "Choose a new folder for -o, so that nothing of yours is mixed with results."
                )
        try:
            for folder in (workspace.tables, workspace.cases, workspace.report, workspace.logs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the workspace {root} cannot be made: {error.strerror}.") from error
        return workspace

    @classmethod
    def existing(cls, root: Path) -> Workspace:
        """Open a workspace that an earlier stage made."""
        workspace = cls(root)
        if not workspace.settings_file.exists():
            raise UsageError(f"{root} is no liverpair workspace yet; run `liverpair index ARCHIVE... -o {root}` first.")
        return workspace

    def case(self, pair_id: str) -> Path:
        """The folder of one pair."""
        return self.cases / pair_id

    def write_table(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        """Write one of the contract's tables, whole or not at all."""
        path = self.tables / f"{name}.csv"
        write_text(path, format_table(COLUMNS[name], rows))
        return path

    def read_table(self, name: str) -> list[dict[str, str]]:
        """Read one of the contract's tables as text cells."""
        path = self.tables / f"{name}.csv"
        if not path.exists():
            raise UsageError(f"{path} is missing; run the stage that writes it (`liverpair analyze` runs all).")
        return parse_table(path, COLUMNS[name])

    def write_json(self, path: Path, value: Any) -> None:
        """Write canonical JSON (sorted keys), whole or not at all."""
        write_text(path, canonical_json(value, indent=1) + "\n")

    @contextmanager
    def building(self, pair_id: str) -> Iterator[Path]:
        """A temporary folder that becomes the case's folder when the block ends without an error."""
        temporary = self.cases / f".{pair_id}.building"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        final = self.case(pair_id)
        shutil.rmtree(final, ignore_errors=True)
        temporary.replace(final)

    def read_case(self, pair_id: str) -> dict[str, Any] | None:
        """The case's record, or None where the pair was never processed to its end."""
        path = self.case(pair_id) / "case.json"
        if not path.exists():
            return None
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return loaded

    def start_log(self, verbose: bool) -> None:
        """Send this process's log to WS/logs/liverpair.log (appending)."""
        handler = logging.FileHandler(self.logs / "liverpair.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("liverpair")
        for old in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
            logger.removeHandler(old)
            old.close()
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
