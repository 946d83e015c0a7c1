"""Files are found wherever an archive hides them, and nothing they hold can hurt."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from liverpair.core.errors import Refusal, UsageError
from liverpair.dicom import archives
from liverpair.dicom.sources import open_source, walk


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _contents(folder: Path) -> dict[str, bytes]:
    found = {}
    for source in walk([folder]):
        assert source.problem is None, source
        with open_source(source.locator) as stream:
            found[source.locator.removeprefix(f"{folder}/")] = stream.read()
    return found


def test_members_of_nested_archives_are_found_and_opened(tmp_path: Path) -> None:
    inner = _zip({"deep/one": b"1", "two!with mark": b"2"})
    (tmp_path / "b.bin").write_bytes(_zip({"inner.zip": inner, "x.tar.gz": gzip.compress(_tar({"t": b"3"}))}))
    (tmp_path / "a!b").mkdir()
    (tmp_path / "a!b" / "plain").write_bytes(b"4")
    (tmp_path / "c.tar").write_bytes(_tar({"five": b"5"}))
    assert _contents(tmp_path) == {
        "a!b/plain": b"4",
        "b.bin!inner.zip!deep/one": b"1",
        "b.bin!inner.zip!two!with mark": b"2",
        "b.bin!x.tar.gz!t": b"3",
        "c.tar!five": b"5",
    }


def test_a_folder_inside_itself_ends_the_walk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "knot").symlink_to(tmp_path / "knot")
    found = list(walk([tmp_path, tmp_path / "a"]))
    assert [Path(s.locator).name for s in found if not s.problem] == ["file"]
    assert [s.problem[0] for s in found if s.problem] == ["broken_link"]


def test_litter_of_operating_systems_is_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "$RECYCLE.BIN" / "S-1").mkdir(parents=True)
    (tmp_path / "$RECYCLE.BIN" / "S-1" / "image").write_bytes(b"x")
    (tmp_path / "z.zip").write_bytes(_zip({"__MACOSX/._i": b"x", "i": b"y", "Thumbs.db": b"x"}))
    found = {s.locator.removeprefix(f"{tmp_path}/"): s.problem and s.problem[0] for s in walk([tmp_path])}
    assert found == {
        ".DS_Store": "system_file",
        "$RECYCLE.BIN/S-1/image": "system_file",
        "z.zip!__MACOSX/._i": "system_file",
        "z.zip!Thumbs.db": "system_file",
        "z.zip!i": None,
    }


def test_an_unreadable_folder_is_reported_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "open").write_bytes(b"x")
    listing = os.listdir

    def listdir(folder: bytes) -> list[bytes]:
        if folder.endswith(b"locked"):
            raise PermissionError
        return listing(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    found = list(walk([tmp_path]))
    assert sorted((Path(s.locator).name, s.problem and s.problem[0]) for s in found) == [
        ("locked", "unreadable_folder"),
        ("open", None),
    ]


def test_a_damaged_archive_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(_zip({"a": b"1" * 100})[:-30])
    (tmp_path / "bad.tgz").write_bytes(gzip.compress(_tar({"a": os.urandom(4000)}))[:-2000])
    reasons = [source.problem and source.problem[0] for source in walk([tmp_path])]
    assert reasons == ["unreadable_archive", "unreadable_archive"]


def test_a_member_that_does_not_unpack_is_refused(tmp_path: Path) -> None:
    content = bytearray(_zip({"a": os.urandom(1000)}))
    content[100] ^= 0xFF
    (tmp_path / "z.zip").write_bytes(content)
    with pytest.raises(Refusal, match="unreadable_member"):
        open_source(f"{tmp_path}/z.zip!a")


def test_an_archive_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_COUNTS_FROM_BYTES", 10_000)
    (tmp_path / "bomb.zip").write_bytes(_zip({"a": bytes(1_000_000)}))
    with pytest.raises(Refusal, match="archive_bomb"):
        open_source(f"{tmp_path}/bomb.zip!a")


def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_COUNTS_FROM_BYTES", 10_000)
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(3_000_000)))
    (tmp_path / "b.tgz").write_bytes(gzip.compress(_tar({"zeros": bytes(3_000_000)})))
    assert [source.problem and source.problem[0] for source in walk([tmp_path])] == [None, "archive_bomb"]
    with pytest.raises(Refusal, match="archive_bomb"):
        open_source(f"{tmp_path}/a.dcm.gz!a.dcm")


def test_archives_nested_without_end_are_left_alone(tmp_path: Path) -> None:
    content = _zip({"image": b"x"})
    for _ in range(6):
        content = _zip({"next.zip": content})
    (tmp_path / "matryoshka.zip").write_bytes(content)
    assert [source.problem and source.problem[0] for source in walk([tmp_path])] == ["nested_too_deep"]


def test_a_file_that_went_away_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="missing_file"):
        open_source(str(tmp_path / "gone"))
    with pytest.raises(UsageError):
        list(walk([tmp_path / "gone"]))


def test_a_replaced_archive_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(_zip({"a": b"old"}))
    assert open_source(f"{path}!a").read() == b"old"
    path.write_bytes(_zip({"a": b"newer"}))
    os.utime(path, ns=(1, 1))
    assert open_source(f"{path}!a").read() == b"newer"
