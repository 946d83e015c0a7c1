"""The index remembers what it read, reads only what changed, and says the same in every order of work."""

from __future__ import annotations

import io
import os
import pickle
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from liverpair.core.errors import UsageError
from liverpair.dicom import indexing
from liverpair.dicom.catalogue import Catalogue, IndexSummary
from liverpair.dicom.scan import scan
from liverpair.dicom.sources import open_source

from tests.dicom_phantom import as_bytes, axial_slices, make_slice, numbered_pixels, write, write_all

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    write_all(axial_slices(6), folder / "one")
    write_all(axial_slices(4, first=20, SeriesInstanceUID="1.2.3.1.2", Modality="MR"), folder / "two")
    (folder / "notes.txt").write_text("no image " * 40)
    return folder


def _update(path: Path, *archives: Path, jobs: int = 1) -> IndexSummary:
    with Catalogue.open(path) as catalogue:
        return catalogue.update(archives, jobs)


def _content(path: Path) -> tuple[Any, ...]:
    with Catalogue.open(path) as catalogue:
        series = [
            (s.patient_id, s.study_uid, s.series_uid, [(i.locator, i.frame, dict(i.header)) for i in s.instances])
            for s in catalogue.series()
        ]
        return series, [(e.level, e.id, e.reason) for e in catalogue.exclusions()]


def test_series_come_out_whole_and_in_order(archive: Path, tmp_path: Path) -> None:
    summary = _update(tmp_path / "index", archive)
    assert (summary.files, summary.read, summary.objects, summary.series, summary.excluded) == (11, 11, 10, 2, 1)
    with Catalogue.open(tmp_path / "index") as catalogue:
        one, two = catalogue.series()
        assert [i.get("InstanceNumber") for i in one.instances] == [1, 2, 3, 4, 5, 6]
        assert [i.get("ImagePositionPatient")[2] for i in two.instances] == [30, 35, 40, 45]
        assert two.first("Modality") == "MR"
        assert one.patient_id == "P1"
        assert [e.reason for e in catalogue.exclusions()] == ["not_dicom"]


def test_a_second_update_reads_only_what_changed(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    _update(index, archive)
    opened: list[str] = []
    scan = indexing.scan
    monkeypatch.setattr(indexing, "scan", lambda locator, stream: opened.append(locator) or scan(locator, stream))
    assert _update(index, archive).read == 0
    assert opened == []
    changed = sorted((archive / "one").iterdir())[0]
    os.utime(changed, ns=(1, 1))
    added = write(make_slice(numbered_pixels(9), (0, 0, 90), 9), archive / "one" / "new")
    assert _update(index, archive).read == 2
    assert sorted(opened) == sorted([str(changed), str(added)])


def test_removed_files_disappear(archive: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    _update(index, archive)
    for path in (archive / "two").iterdir():
        path.unlink()
    summary = _update(index, archive)
    assert (summary.removed, summary.series) == (4, 1)


def test_an_incremental_index_equals_a_fresh_one(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "grown", archive)
    write_all(axial_slices(5, first=40, SeriesInstanceUID="1.2.3.1.3"), archive / "three")
    sorted((archive / "one").iterdir())[2].unlink()
    _update(tmp_path / "grown", archive)
    _update(tmp_path / "fresh", archive)
    assert _content(tmp_path / "grown") == _content(tmp_path / "fresh")


def test_several_processes_give_the_same_index(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "POOL_PAYS_FROM", 1)
    monkeypatch.setattr(indexing, "BATCH", 2)
    _update(tmp_path / "one", archive, jobs=1)
    _update(tmp_path / "two", archive, jobs=2)
    assert _content(tmp_path / "one") == _content(tmp_path / "two")


def test_an_interrupted_update_goes_on_where_it_stopped(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 3)
    seen: list[int] = []

    def interrupt(done: int, total: int | None) -> None:
        seen.append(done)
        if done >= 6:
            raise KeyboardInterrupt

    with Catalogue.open(tmp_path / "index") as catalogue, pytest.raises(KeyboardInterrupt):
        catalogue.update([archive], 1, interrupt)
    summary = _update(tmp_path / "index", archive)
    assert summary.read == summary.files - seen[-1]
    _update(tmp_path / "fresh", archive)
    assert _content(tmp_path / "index") == _content(tmp_path / "fresh")


def _zipped(n: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, dataset in enumerate(axial_slices(n)):
            archive.writestr(f"i/{number}", as_bytes(dataset))
    return stream.getvalue()


def test_a_large_zip_is_read_in_parts_and_only_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 4)
    path = tmp_path / "a" / "all.zip"
    path.parent.mkdir()
    path.write_bytes(_zipped(11))
    assert _update(tmp_path / "index", path.parent).objects == 11
    assert _update(tmp_path / "index", path.parent).read == 0
    path.write_bytes(_zipped(7))
    summary = _update(tmp_path / "index", path.parent)
    assert (summary.read, summary.objects) == (1, 7)


def test_a_copy_and_a_conflict_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    original = make_slice(numbered_pixels(0), (0, 0, 0))
    write(original, folder / "b_copy")
    write(original, folder / "a_first")
    write(make_slice(numbered_pixels(1), (0, 0, 0)), folder / "c_other")
    _update(tmp_path / "index", folder)
    series, exclusions = _content(tmp_path / "index")
    assert [locator for locator, _, _ in series[0][3]] == [str(folder / "a_first")]
    assert exclusions == [
        ("file", str(folder / "b_copy"), "duplicate_instance"),
        ("file", str(folder / "c_other"), "conflicting_instance"),
    ]


def test_when_the_first_of_two_copies_goes_the_other_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for name in ("a", "b"):
        write(make_slice(numbered_pixels(0), (0, 0, 0)), folder / name)
    _update(tmp_path / "index", folder)
    (folder / "a").unlink()
    _update(tmp_path / "index", folder)
    series, exclusions = _content(tmp_path / "index")
    assert [locator for locator, _, _ in series[0][3]] == [str(folder / "b")]
    assert exclusions == []


def test_progress_is_told_and_ends_at_the_total(archive: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with Catalogue.open(tmp_path / "index") as catalogue:
        catalogue.update([archive], 1, lambda done, total: told.append((done, total)))
    assert told[-1] == (11, 11)


def test_series_survive_the_trip_to_a_worker(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    with Catalogue.open(tmp_path / "index") as catalogue:
        series = catalogue.series()
    again = pickle.loads(pickle.dumps(series))
    assert [i.get("InstanceNumber") for i in again[0].instances] == [1, 2, 3, 4, 5, 6]


def test_no_message_holds_a_patient(tmp_path: Path) -> None:
    write(make_slice(numbered_pixels(0), (0, 0, 0), PatientID="SECRET7", PatientName="Doe^Jane"), tmp_path / "a" / "1")
    content = (tmp_path / "a" / "1").read_bytes()
    (tmp_path / "a" / "1").write_bytes(content[:-5])
    _update(tmp_path / "index", tmp_path / "a")
    with Catalogue.open(tmp_path / "index") as catalogue:
        (exclusion,) = catalogue.exclusions()
    assert exclusion.reason == "truncated"
    assert "SECRET7" not in exclusion.detail
    assert "Doe" not in exclusion.detail


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(b"my thesis" * 1000)
    with pytest.raises(UsageError):
        Catalogue.open(path)
    assert path.read_bytes() == b"my thesis" * 1000


def test_nothing_is_written_below_the_archive(archive: Path, tmp_path: Path) -> None:
    before = sorted((str(p), p.stat().st_mtime_ns) for p in archive.rglob("*"))
    _update(tmp_path / "index", archive)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in archive.rglob("*")) == before


def _study(folder: Path, patient: str | None, study: str) -> None:
    """Two slices of one series of a patient (None: without Patient ID)."""
    for number in range(2):
        series = f"{study}.{ord(patient or '0')}"
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "PatientID": patient or ""}
        uids["SOPInstanceUID"] = f"{series}.{number}"
        write(make_slice(numbered_pixels(number), (0, 0, number), number, **uids), folder / f"{study}{patient}{number}")


def test_what_shares_a_patient_or_a_study_comes_together(tmp_path: Path) -> None:
    studies = [
        ("A", "1.1"),
        ("B", "1.1"),
        ("B", "1.2"),
        ("C", "1.3"),
        ("D", "1.2"),
        (None, "1.4"),
        (None, "1.5"),
        (None, "1.3"),
    ]
    for patient, study in studies:
        _study(tmp_path / "a", patient, study)
    _update(tmp_path / "index", tmp_path / "a")
    with Catalogue.open(tmp_path / "index") as catalogue:
        groups = [[(s.patient_id, s.study_uid) for s in group] for group in catalogue.groups()]
        assert groups == [
            [("", "1.3"), ("C", "1.3")],
            [("", "1.4")],
            [("", "1.5")],
            [("A", "1.1"), ("B", "1.1"), ("B", "1.2"), ("D", "1.2")],
        ]
        assert catalogue.series() == [series for group in catalogue.groups() for series in group]


def test_patient_ids_of_one_identity_come_together(tmp_path: Path) -> None:
    for patient, study in (("A", "1.1"), ("B", "1.2"), ("C", "1.3"), ("old", "1.4")):
        _study(tmp_path / "a", patient[0], study)
    _update(tmp_path / "index", tmp_path / "a")
    names = {"A": "1", "B": "2", "C": "1", "o": "2"}
    with Catalogue.open(tmp_path / "index") as catalogue:
        groups = [[s.patient_id for s in group] for group in catalogue.groups(names.__getitem__)]
    assert groups == [["A", "C"], ["B", "o"]]


def test_one_series_is_read_again_as_it_was(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    with Catalogue.open(tmp_path / "index") as catalogue:
        for series in catalogue.series():
            assert catalogue.one_series(series.series_uid, series.study_uid, series.patient_id) == series
        with pytest.raises(UsageError, match="no longer holds"):
            catalogue.one_series("1", "2", "3")


def test_the_index_holds_what_the_scanner_said(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    with Catalogue.open(tmp_path / "index") as catalogue:
        records = [record for series in catalogue.series() for record in series.instances]
    for record in records:
        with open_source(record.locator) as stream:
            (scanned,) = scan(record.locator, stream)
        assert dict(record.header) == dict(scanned.header)
        assert list(map(repr, sorted(record.header.items()))) == list(map(repr, sorted(scanned.header.items())))


def test_what_a_series_shares_is_held_once(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    with Catalogue.open(tmp_path / "index") as catalogue:
        one, two = catalogue.series()
    for series in (one, two):
        assert len({id(record.header._shared) for record in series.instances}) == 1  # type: ignore[attr-defined] # its class


def test_a_second_update_writes_nothing(archive: Path, tmp_path: Path) -> None:
    _update(tmp_path / "index", archive)
    before = (tmp_path / "index").read_bytes()
    summary = _update(tmp_path / "index", archive)
    assert (summary.files, summary.read, summary.unchanged, summary.objects) == (11, 0, 11, 10)
    assert (tmp_path / "index").read_bytes() == before


def test_a_relative_path_names_the_same_files(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _update(tmp_path / "absolute", archive)
    monkeypatch.chdir(archive)
    _update(tmp_path / "relative", Path(), Path("one"), archive)
    assert _content(tmp_path / "relative") == _content(tmp_path / "absolute")


def test_many_files_that_are_no_images_share_one_reason(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for number in range(3000):
        (folder / str(number)).write_bytes(b"no image")
    summary = _update(tmp_path / "index", folder)
    assert (summary.excluded, summary.objects) == (3000, 0)
    with sqlite3.connect(tmp_path / "index") as connection:
        assert connection.execute("SELECT COUNT(*) FROM reasons").fetchone() == (1,)
    connection.close()
    assert (tmp_path / "index").stat().st_size / 3000 < 100


@pytest.mark.slow
def test_memory_and_size_stay_small_at_scale(tmp_path: Path) -> None:
    peaks = {}
    for instances in (1000, 200_000):
        command = [sys.executable, "-m", "benchmarks.catalogue", "--step", "store", "--instances", str(instances)]
        command += ["--at", str(tmp_path / str(instances))]
        said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        peaks[instances] = float(said.split("peak memory")[1].split()[0])
    assert peaks[200_000] - peaks[1000] < 60
    assert (tmp_path / "200000").stat().st_size / 200_000 < 400
