"""The index under real processes: killed at any moment, two at once, read beside a writer, no room, no rights."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from liverpair.core.errors import UsageError
from liverpair.dicom import catalogue_file, catalogue_store, indexing
from liverpair.dicom.catalogue import Catalogue, IndexSummary

from tests.dicom_phantom import as_bytes, axial_slices, write_all

#: Indexes argv[2:] into argv[1] in tiny steps and says each of them, so that a test can stop it anywhere.
INDEXER = """
import sys
from pathlib import Path
from liverpair.dicom import catalogue_copies, catalogue_file, catalogue_store, catalogue_walk, indexing
from liverpair.dicom.catalogue import Catalogue
indexing.BATCH, indexing.POOL_PAYS_FROM = 3, 1
catalogue_walk.FLUSH, catalogue_walk.TOLD = 5, 1
catalogue_store.COMMIT_ROWS, catalogue_copies.SLICE = 4, 2
jobs, index, *archives = sys.argv[1:]
def say(*words):
    print(*words, flush=True)
say("ready")
with Catalogue.open(Path(index)) as catalogue:
    summary = catalogue.update([Path(a) for a in archives], int(jobs), say)
say("objects", summary.objects)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series, copies, conflicts, a ZIP and files that are no images."""
    folder = tmp_path_factory.mktemp("archive")
    write_all(axial_slices(20), folder / "one")
    write_all(axial_slices(12, first=50, SeriesInstanceUID="1.2.3.1.2", Modality="MR"), folder / "two")
    write_all(axial_slices(6), folder / "one again")
    write_all(axial_slices(5, SliceThickness=3.0), folder / "conflict")
    with zipfile.ZipFile(folder / "more.zip", "w") as packed:
        for number, dataset in enumerate(axial_slices(14, first=90, SeriesInstanceUID="1.2.3.1.3")):
            packed.writestr(f"i/{number}", as_bytes(dataset))
    for number in range(7):
        (folder / f"note {number}").write_text("no image " * 20)
    return folder


def _content(path: Path) -> tuple[Any, ...]:
    with Catalogue.open(path) as catalogue:
        assert catalogue.is_complete()
        series = [
            (
                s.patient_id,
                s.study_uid,
                s.series_uid,
                [(i.locator, i.frame, sorted(i.header.items())) for i in s.instances],
            )
            for s in catalogue.series()
        ]
        return series, catalogue.exclusions()


def _update(path: Path, *archives: Path, jobs: int = 1) -> IndexSummary:
    with Catalogue.open(path) as catalogue:
        return catalogue.update(archives, jobs)


@pytest.fixture(scope="module")
def expected(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    path = tmp_path_factory.mktemp("fresh") / "index"
    summary = _update(path, archive)
    assert (summary.objects, summary.series, summary.excluded) == (46, 3, 18)
    return _content(path)


def _start(jobs: int, index: Path, *archives: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", INDEXER, str(jobs), str(index), *map(str, archives)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _kill_after(process: subprocess.Popen[str], lines: int, seconds: float) -> bool:
    """Kill the indexer after it has said so many lines; whether it was still at work."""
    assert process.stdout is not None
    for _ in range(lines):
        if not process.stdout.readline():
            break
    time.sleep(seconds)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


def _check_killed(archive: Path, index: Path, expected: tuple[Any, ...], moments: list[tuple[int, float]]) -> int:
    """Kill indexers at some moments and let a last one finish; returns how many were killed while they worked."""
    killed = 0
    for number, (lines, seconds) in enumerate(moments):
        killed += _kill_after(_start(1 + number % 2, index, archive), lines, seconds)
        with sqlite3.connect(index) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert _update(index, archive).files == 51
    assert _content(index) == expected
    return killed


def test_a_killed_indexer_loses_nothing(archive: Path, tmp_path: Path, expected: tuple[Any, ...]) -> None:
    moments = [(6, 0.0), (9, 0.002), (12, 0.001), (18, 0.0)]
    assert _check_killed(archive, tmp_path / "index", expected, moments) > 1


@pytest.mark.slow
def test_an_indexer_killed_at_random_moments_loses_nothing(
    archive: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    draw = random.Random(7)
    killed = 0
    for attempt in range(5):
        moments = [(draw.randint(1, 25), draw.random() * 0.02) for _ in range(draw.randint(1, 5))]
        killed += _check_killed(archive, tmp_path / f"index{attempt}", expected, moments)
    assert killed > 4


def test_a_changed_archive_after_a_kill_is_as_if_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    paths = sorted(write_all(axial_slices(30), folder).iterdir())
    process = _start(1, tmp_path / "index", folder)
    assert _kill_after(process, 8, 0)
    paths[0].unlink()
    paths[1].write_text("no image now " * 20)
    paths[2].rename(folder / "moved")
    _update(tmp_path / "index", folder)
    _update(tmp_path / "fresh", folder)
    assert _content(tmp_path / "index") == _content(tmp_path / "fresh")


def test_killed_workers_do_not_stay_behind(archive: Path, tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc to see processes")
    process = _start(2, tmp_path / "index", archive)
    assert _kill_after(process, 9, 0)
    mark = str(tmp_path / "index").encode()
    until = time.monotonic() + 20

    def left() -> list[bytes]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                found.append(path.read_bytes())
            except OSError:
                continue
        return [line for line in found if mark in line]

    while left() and time.monotonic() < until:
        time.sleep(0.1)
    assert not left()


def test_two_indexers_at_once_end_with_one_right_index(
    archive: Path, tmp_path: Path, expected: tuple[Any, ...]
) -> None:
    both = [_start(jobs, tmp_path / "index", archive) for jobs in (1, 2)]
    for process in both:
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert said.splitlines()[-1] == "objects 46"
    assert _content(tmp_path / "index") == expected


def test_an_indexer_that_waits_too_long_says_why(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_file, "WRITER_WAIT_S", 0.3)
    _update(tmp_path / "index", archive)
    before = _content(tmp_path / "index")
    with (
        catalogue_file.sole_writer(tmp_path / "index", lambda: None),
        pytest.raises(UsageError, match="another liverpair is indexing"),
    ):
        _update(tmp_path / "index", archive)
    assert _content(tmp_path / "index") == before


def test_the_index_can_be_read_while_it_is_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 3)
    monkeypatch.setattr(catalogue_store, "COMMIT_ROWS", 1)
    seen: list[int] = []

    def look(done: int, total: int | None) -> None:
        with Catalogue.open(tmp_path / "index") as other:
            if total:
                assert not other.is_complete()
            seen.append(sum(len(series.instances) for series in other.series()))
            assert len(other.exclusions()) <= 18

    with Catalogue.open(tmp_path / "index") as catalogue:
        assert not catalogue.is_complete()
        catalogue.update([archive], 1, look)
        assert catalogue.is_complete()
    assert len(set(seen)) > 5


def test_a_reader_keeps_what_it_began_to_read(tmp_path: Path) -> None:
    for number, patient in enumerate("ABC"):
        own = {"PatientID": patient, "StudyInstanceUID": f"1.{number}", "SeriesInstanceUID": f"1.{number}.1"}
        write_all(axial_slices(3, first=10 * number, **own), tmp_path / "archive" / patient)
    with Catalogue.open(tmp_path / "index") as catalogue:
        catalogue.update([tmp_path / "archive"])
        groups = catalogue.groups()
        seen = [next(groups)]
        for patient in "BC":
            for path in (tmp_path / "archive" / patient).iterdir():
                path.unlink()
        catalogue.update([tmp_path / "archive"])
        seen += groups
        assert [(group[0].patient_id, len(group[0].instances)) for group in seen] == [("A", 3), ("B", 3), ("C", 3)]
        assert [series.patient_id for series in catalogue.series()] == ["A"]


# --- no room, no rights ------------------------------------------------------------------------------------------


def test_a_full_disk_is_said_and_what_was_read_is_kept(
    archive: Path, tmp_path: Path, expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 3)
    monkeypatch.setattr(catalogue_store, "COMMIT_ROWS", 1)
    with Catalogue.open(tmp_path / "index") as catalogue:
        pages = catalogue._db.execute("PRAGMA page_count").fetchone()[0]
        catalogue._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UsageError, match="is full; make room"):
            catalogue.update([archive])
    _update(tmp_path / "index", archive)
    assert _content(tmp_path / "index") == expected


READER = """
import os, sys
from pathlib import Path
from liverpair.core.errors import UsageError
from liverpair.dicom.catalogue import Catalogue
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with Catalogue.open(Path(sys.argv[1])) as catalogue:
        print("read", sum(len(s.instances) for s in catalogue.series()), len(catalogue.exclusions()), flush=True)
        catalogue.update([Path(sys.argv[2])])
except UsageError as error:
    print("refused", error)
"""


def _as_nobody(*arguments: Path) -> subprocess.CompletedProcess[str]:
    """Open, read and update an index without root's rights."""
    command = [sys.executable, "-c", READER, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may enter, below folders that only their owner may."""
    shut = [
        p for p in (tmp_path, *tmp_path.parents) if p.stat().st_uid == os.geteuid() and not p.stat().st_mode & 0o001
    ]
    for path in shut:
        path.chmod(path.stat().st_mode | 0o005)
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)
    for path in shut:
        path.chmod(path.stat().st_mode & ~0o005)


def test_a_workspace_without_write_permission_is_read_and_not_written(archive: Path, open_folder: Path) -> None:
    _update(open_folder / "index", archive)
    assert sorted(p.name for p in open_folder.iterdir()) == ["index", "index.lock"]
    open_folder.chmod(0o555)
    result = _as_nobody(open_folder / "index", archive)
    assert result.stderr == ""
    read, refused = result.stdout.splitlines()
    assert read == "read 46 18"
    assert refused.startswith("refused")
    assert "name a workspace" in refused


def test_a_workspace_that_cannot_be_made_is_said(archive: Path, open_folder: Path) -> None:
    open_folder.chmod(0o555)
    result = _as_nobody(open_folder / "new" / "index", archive)
    assert result.stdout.startswith("refused")
    assert "name a workspace" in result.stdout
    with pytest.raises(UsageError, match="is not a file"):
        Catalogue.open(open_folder)


def test_a_workspace_on_a_network_file_system_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/home {tmp_path}/far nfs4 rw 0 0\n")
    monkeypatch.setattr(catalogue_file, "MOUNTS", mounts)
    with pytest.raises(UsageError, match="network file system"):
        Catalogue.open(tmp_path / "far" / "away" / "index")
    Catalogue.open(tmp_path / "farther" / "index").close()


def test_an_index_of_another_version_is_kept_until_it_is_built_anew(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    before = _content(tmp_path / "index")
    with sqlite3.connect(tmp_path / "index") as connection:
        connection.execute("UPDATE meta SET value = 'older' WHERE key = 'content'")
    connection.close()
    with Catalogue.open(tmp_path / "index") as catalogue:
        for read in (catalogue.series, catalogue.exclusions, catalogue.is_complete):
            with pytest.raises(UsageError, match="another version"):
                read()
    assert _update(tmp_path / "index", archive).read == 51
    assert _content(tmp_path / "index") == before


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE files (mine TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another program"):
        Catalogue.open(path)
    assert path.read_bytes() == before
