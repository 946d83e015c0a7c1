"""Every file and member of an archive is an object of the index or an exclusion with a reason: the numbers add up."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import os
import socket
import tarfile
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import Refusal
from liverpair.dicom import indexing
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.sources import open_source
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tests.dicom_phantom import as_bytes, axial_slices, make_slice, numbered_pixels

IMAGES = [as_bytes(dataset) for dataset in axial_slices(12)]
OTHERS = (
    b"",
    b"no image",
    b"PK\x03\x04 broken",
    b"7z\xbc\xaf\x27\x1c....",
    b"Rar!\x1a\x07\x01",
    IMAGES[0][:-4],
    bytes(600),
)
NAMES = ("a", "A", "b.dcm", "DOE^JANE 19500101", "c\nd", "e!f", "ü", ".DS_Store", "x.zip", "1.2.840")


def _zip(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _index(path: Path, *archives: Path, jobs: int = 1) -> tuple[dict[str, str], Counter[str]]:
    """Locators of the objects (with SOP Instance UID), and of the exclusions by reason."""
    with Catalogue.open(path) as catalogue:
        summary = catalogue.update(archives, jobs)
        objects = {i.locator: i.get("SOPInstanceUID") for s in catalogue.series() for i in s.instances}
        exclusions = catalogue.exclusions()
        assert summary.objects == len(objects)
        assert summary.excluded == len(exclusions)
        for exclusion in exclusions:
            assert exclusion.detail.count(" ") > 3, "a reason is a sentence"
            for secret in ("DOE", "JANE", "1950", str(path.parent)):
                assert secret not in exclusion.detail
    assert len({e.id for e in exclusions} | objects.keys()) == len(exclusions) + len(objects)
    return objects, Counter(e.reason for e in exclusions)


def _reasons(path: Path, *archives: Path) -> dict[str, str]:
    with Catalogue.open(path) as catalogue:
        catalogue.update(archives)
        return {e.id.removeprefix(f"{archives[0]}/"): e.reason for e in catalogue.exclusions()}


LEAVES = st.tuples(st.sampled_from(NAMES), st.sampled_from([*IMAGES, *OTHERS]))
TREES = st.recursive(
    st.lists(LEAVES, max_size=5).map(lambda leaves: ("files", leaves)),
    lambda inner: st.tuples(
        st.sampled_from(["folder", "zip", "tar", "tgz"]), st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=4)
    ),
    max_leaves=6,
)


def _write(folder: Path, tree: Any) -> int:
    """Make the tree on disk; returns how many files and members hold no further ones."""
    kind, parts = tree
    folder.mkdir(exist_ok=True)
    count = 0
    for number, (name, content) in enumerate(parts):
        path = folder / f"{name}~{number}" if name != ".DS_Store" else folder / name
        if kind == "files":
            count += not path.exists()
            path.write_bytes(content)
        elif kind == "folder":
            count += _write(folder / f"{number}", content)
        else:
            packed, leaves = _packed(kind, content)
            path = folder / f"{number}{name}"
            path.write_bytes(packed)
            count += leaves
    return count


def _packed(kind: str, tree: Any) -> tuple[bytes, int]:
    """An archive of the tree, and how many leaves it has (an empty archive is one)."""
    inner, parts = tree
    members, count = [], 0
    for number, (name, content) in enumerate(parts):
        if inner == "files":
            members.append((f"{number}/{name}", content))
            count += 1
        else:
            packed, leaves = _packed("zip" if inner == "folder" else inner, content)
            members.append((f"{number}{name}", packed))
            count += leaves
    content = _zip(members) if kind == "zip" else _tar(members)
    return (gzip.compress(content, 1) if kind == "tgz" else content), max(1, count)


@settings(max_examples=40)
@given(TREES)
def test_every_file_and_member_is_an_object_or_an_exclusion(tree: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "archive"
        leaves = _write(archive, tree)
        objects, reasons = _index(Path(scratch) / "index", archive)
        assert len(objects) + reasons.total() == leaves
        assert len(set(objects.values())) == len(objects)


def test_strange_names_reach_the_index_and_open_again(tmp_path: Path) -> None:
    archive = os.fsencode(tmp_path / "archive")
    os.mkdir(archive)  # noqa: PTH102 - bytes, which Path refuses
    names = [b"new\nline", b"not utf-8 \xff\xfe", b"a!b", b"x" * 255, b" ", "combining u\u0308".encode(), b"*?'\";--"]
    for name, content in zip(names, IMAGES, strict=False):
        Path(os.fsdecode(archive + b"/" + name)).write_bytes(content)
    deep = tmp_path / "archive"
    for _ in range(16):
        deep = deep / ("d" * 200)
        deep.mkdir()
    (deep / "image").write_bytes(IMAGES[11])
    objects, reasons = _index(tmp_path / "index", tmp_path / "archive")
    assert len(objects) == len(names) + 1
    assert not reasons
    for locator in objects:
        with open_source(locator) as stream:
            assert stream.read() in IMAGES


def test_what_is_no_file_or_leads_nowhere_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    os.mkfifo(archive / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        # A short name: a socket's path is limited to 108 bytes.
        here = Path.cwd()
        os.chdir(archive)
        try:
            bound.bind("s")
        finally:
            os.chdir(here)
    (archive / "nowhere").symlink_to("gone")
    (archive / "empty").touch()
    (archive / "image").write_bytes(IMAGES[0])
    (archive / "link").symlink_to("image")
    os.link(archive / "image", archive / "zz_hard_link")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other").write_bytes(IMAGES[1])
    (archive / "way out").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (archive / "file out").symlink_to(tmp_path / "elsewhere" / "other")
    assert _reasons(tmp_path / "index", archive) == {
        "pipe": "not_a_file",
        "s": "not_a_file",
        "nowhere": "broken_link",
        "empty": "empty_file",
        "zz_hard_link": "duplicate_instance",
        "way out/other": "duplicate_instance",
    }


def test_a_file_that_vanishes_or_is_replaced_by_a_pipe_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for name, content in zip("abcd", IMAGES, strict=False):
        (archive / name).write_bytes(content)

    def spoil(done: int, total: int | None) -> None:
        if total and not done:
            (archive / "b").unlink()
            (archive / "c").unlink()
            os.mkfifo(archive / "c")

    with Catalogue.open(tmp_path / "index") as catalogue:
        summary = catalogue.update([archive], 1, spoil)
        assert (summary.objects, summary.excluded) == (2, 2)
        assert [e.reason for e in catalogue.exclusions()] == ["missing_file", "not_a_file"]
    objects, reasons = _index(tmp_path / "index", archive)
    assert (len(objects), reasons) == (2, Counter({"not_a_file": 1}))


def test_archives_of_every_kind_are_opened_or_say_what_to_do(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "one.dcm.gz").write_bytes(gzip.compress(IMAGES[0]))
    (archive / "two").write_bytes(bz2.compress(IMAGES[1]))
    (archive / "in.zip").write_bytes(
        _zip([("a/three.gz", gzip.compress(IMAGES[2])), ("nested", _zip([("x", IMAGES[3])]))])
    )
    (archive / "t.gz").write_bytes(gzip.compress(b"text"))
    (archive / "a.7z").write_bytes(OTHERS[3])
    (archive / "b.rar").write_bytes(OTHERS[4])
    (archive / "c.iso").write_bytes(bytes(32769) + b"CD001" + bytes(2000))
    (archive / "zeros").write_bytes(bytes(40000))
    (archive / "none.zip").write_bytes(_zip([]))
    objects, _ = _index(tmp_path / "index", archive)
    assert sorted(place.removeprefix(f"{archive}/") for place in objects) == [
        "in.zip!a/three.gz!three",
        "in.zip!nested!x",
        "one.dcm.gz!one.dcm",
        "two!two",
    ]
    assert _reasons(tmp_path / "index", archive) == {
        "a.7z": "unsupported_archive",
        "b.rar": "unsupported_archive",
        "c.iso": "unsupported_archive",
        "none.zip": "empty_archive",
        "t.gz": "not_dicom",
        "zeros": "not_dicom",
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_outside_and_members_of_one_name_are_all_read(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    names = ["../../outside", "/etc/absolute", "IM1", "im1", "IM1", "a\\b"]
    (archive / "z.zip").write_bytes(_zip(list(zip(names, IMAGES, strict=False))))
    (archive / "z.tar").write_bytes(_tar(list(zip(names, IMAGES[6:], strict=False))))
    objects, reasons = _index(tmp_path / "index", archive)
    assert (len(objects), reasons.total()) == (12, 0)
    assert f"{archive}/z.zip!IM1#2" in objects
    for locator in objects:
        with open_source(locator) as stream:
            assert stream.read() in IMAGES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["archive", "index", "index.lock"]


def test_an_archive_beside_its_unpacked_folder_counts_once(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "b_folder").mkdir(parents=True)
    for number, content in enumerate(IMAGES):
        (archive / "b_folder" / str(number)).write_bytes(content)
    changed = as_bytes(make_slice(numbered_pixels(50), (0, 0, 0), 1))
    (archive / "a.zip").write_bytes(_zip([(str(n), c) for n, c in enumerate([changed, *IMAGES[1:]])]))
    objects, reasons = _index(tmp_path / "index", archive)
    assert all("b_folder" in place for place in objects)
    assert reasons == Counter(duplicate_instance=11, conflicting_instance=1)


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    content = bytearray(_zip([("secret", IMAGES[0])]))
    content[6] |= 1
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "z.zip").write_bytes(content)
    assert _reasons(tmp_path / "index", tmp_path / "archive") == {"z.zip!secret": "encrypted_member"}


def test_a_reader_that_dies_takes_one_file_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = indexing.scan

    def dies(locator: str, stream: Any) -> Any:
        if locator.endswith("7"):
            os._exit(9)
        return scan(locator, stream)

    monkeypatch.setattr(indexing, "scan", dies)
    monkeypatch.setattr(indexing, "POOL_PAYS_FROM", 1)
    monkeypatch.setattr(indexing, "BATCH", 5)
    (tmp_path / "archive").mkdir()
    for number, content in enumerate(IMAGES):
        (tmp_path / "archive" / f"{number:02d}").write_bytes(content)
    objects, reasons = _index(tmp_path / "index", tmp_path / "archive", jobs=2)
    assert (len(objects), reasons) == (11, Counter(reader_crashed=1))


def test_a_file_that_could_not_be_read_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").mkdir()
    for number, content in enumerate(IMAGES):
        (tmp_path / "archive" / str(number)).write_bytes(content)
    (tmp_path / "archive" / "text").write_text("no image " * 30)
    opened = indexing.open_file
    tried: list[str] = []

    def denied(path: str) -> Any:
        tried.append(Path(path).name)
        if path.endswith("3"):
            raise Refusal("unreadable_file", "the file cannot be opened (PermissionError)")
        return opened(path)

    monkeypatch.setattr(indexing, "open_file", denied)
    _, reasons = _index(tmp_path / "index", tmp_path / "archive")
    assert reasons == Counter(unreadable_file=1, not_dicom=1)
    tried.clear()
    _index(tmp_path / "index", tmp_path / "archive")
    assert tried == ["3"]
    monkeypatch.undo()
    objects, reasons = _index(tmp_path / "index", tmp_path / "archive")
    assert (len(objects), reasons) == (12, Counter(not_dicom=1))


def test_an_archive_without_room_to_unpack_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.zip").write_bytes(_zip([("image", IMAGES[0])]))

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", no_room)
    assert _reasons(tmp_path / "index", tmp_path / "archive") == {"a.zip!image": "no_room_to_unpack"}
    monkeypatch.undo()
    assert _reasons(tmp_path / "index", tmp_path / "archive") == {}


# --- media directories -------------------------------------------------------------------------------------------


def _media_directory(listed: list[list[str]]) -> bytes:
    records = []
    for path in listed:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.RecordInUseFlag = 0xFFFF
        record.ReferencedFileID = path
        records.append(record)
    dataset = Dataset()
    dataset.FileSetID = "DISC"
    dataset.DirectoryRecordSequence = Sequence(records)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.99"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


LISTED = [["IMAGES", "IM0"], ["IMAGES", "IM1"], ["IMAGES", "IM2"], ["GONE", "IM3"], ["..", "..", "ETC", "PASSWD"]]


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_media_directory_names_what_is_missing_now(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "images").mkdir(parents=True)
    (archive / "DICOMDIR").write_bytes(_media_directory(LISTED))
    for number in range(2):
        (archive / "images" / f"im{number}.dcm").write_bytes(IMAGES[number])
    assert _reasons(tmp_path / "index", archive) == {
        "DICOMDIR": "dicomdir",
        "IMAGES/IM2": "missing_file",
        "GONE/IM3": "missing_file",
    }
    (archive / "images" / "IM2").write_bytes(IMAGES[2])
    (archive / "images" / "im0.dcm").unlink()
    assert _reasons(tmp_path / "index", archive) == {
        "DICOMDIR": "dicomdir",
        "IMAGES/IM0": "missing_file",
        "GONE/IM3": "missing_file",
    }


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_media_directory_given_alone_stands_for_its_files(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "IMAGES").mkdir(parents=True)
    (archive / "DICOMDIR").write_bytes(_media_directory(LISTED))
    (archive / "unlisted").write_bytes(IMAGES[5])
    for number in range(3):
        (archive / "IMAGES" / f"IM{number}").write_bytes(IMAGES[number])
    objects, reasons = _index(tmp_path / "index", archive / "DICOMDIR")
    assert [Path(place).name for place in sorted(objects)] == ["IM0", "IM1", "IM2"]
    assert reasons == Counter(dicomdir=1, missing_file=1)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_media_directory_inside_an_archive_names_what_the_archive_lacks(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    members = [("cd/DICOMDIR", _media_directory(LISTED)), ("cd/IMAGES/IM0", IMAGES[0]), ("cd/images/im1", IMAGES[1])]
    (tmp_path / "archive" / "cd.zip").write_bytes(_zip(members))
    assert _reasons(tmp_path / "index", tmp_path / "archive") == {
        "cd.zip!cd/DICOMDIR": "dicomdir",
        "cd.zip!cd/IMAGES/IM2": "missing_file",
        "cd.zip!cd/GONE/IM3": "missing_file",
    }


def test_a_real_media_directory_lists_files_that_are_there(tmp_path: Path) -> None:
    path = get_testdata_file("DICOMDIR")
    assert isinstance(path, str)
    objects, reasons = _index(tmp_path / "index", Path(path))
    assert len(objects) == 31
    assert reasons == Counter(dicomdir=1)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_a_damaged_media_directory_lists_nothing(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "DICOMDIR").write_bytes(_media_directory(LISTED)[:700])
    assert set(_reasons(tmp_path / "index", tmp_path / "archive")) >= {"DICOMDIR"}
