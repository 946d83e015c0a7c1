"""The header scanner says what pydicom says, or leaves the file to pydicom; it never says anything else."""

from __future__ import annotations

import io
import random
import struct
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from liverpair.core.errors import Refusal
from liverpair.dicom.bvalue import private_b_value
from liverpair.dicom.header import FIRST_READ, Scanner
from liverpair.dicom.header_runs import B_VALUE_READS
from liverpair.dicom.plain import KEYWORD_OF_TAG
from liverpair.dicom.scan import looks_like_dicom, scan, scan_through_pydicom, with_uids
from pydicom.data import get_testdata_files
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.dicom_phantom import as_bytes, make_slice, numbered_pixels
from tests.test_dicom_scan import _enhanced

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def _quick(content: bytes, scanner: Scanner) -> dict[str, Any] | None:
    stream = io.BytesIO(content)
    return scanner.read(stream, stream.read(FIRST_READ))


def _through_pydicom(content: bytes) -> list[dict[str, Any]] | str:
    try:
        return [dict(record.header) for record in scan_through_pydicom("x", io.BytesIO(content))]
    except Refusal as refusal:
        return refusal.reason


def _agrees(content: bytes, scanner: Scanner) -> bool:
    """Whether the scanner answered; fails where its answer, or the order in it, is not pydicom's."""
    found = _quick(content, scanner)
    if found is None or not looks_like_dicom(content):
        return False
    expected = _through_pydicom(content)
    if expected == "truncated":  # the stump of an image is refused by what completes either answer
        with pytest.raises(Refusal, match="within its header"):
            with_uids(found, "x")
        return True
    assert isinstance(expected, list), f"refused by pydicom as {expected}"
    assert len(expected) == 1
    assert repr(with_uids(found, "x")) == repr(expected[0])
    return True


def _slice(**attributes: Any) -> Dataset:
    dataset = make_slice(numbered_pixels(0), (1.0, 2.0, 3.0), **attributes)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    return dataset


# --- files that others made ------------------------------------------------------------------------------------


def test_every_file_of_pydicoms_own_test_set_reads_the_same_or_is_left_to_pydicom() -> None:
    scanner, answered, readable = Scanner(), 0, 0
    for name in get_testdata_files():
        path = Path(name)
        content = path.read_bytes() if path.is_file() else b""
        if looks_like_dicom(content):
            answered += _agrees(content, scanner)
            readable += isinstance(_through_pydicom(content), list)
    assert readable > 50
    assert answered > 0.95 * readable


def _real_objects(folder: Path, *, each: int) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as members:
                names = [name for name in sorted(members.namelist()) if not name.endswith("/")]
                for name in names[:: max(1, len(names) // each)]:
                    yield members.read(name)
        elif path.is_file():
            yield path.read_bytes()


def test_real_objects_read_the_same(shared_data: Path) -> None:
    scanner = Scanner()
    contents = [content for content in _real_objects(shared_data, each=5) if looks_like_dicom(content)]
    answers = [_agrees(content, scanner) for content in contents]
    assert sum(answers) > 0.95 * len(answers) > 50


@pytest.mark.slow
def test_all_real_objects_read_the_same(shared_data: Path) -> None:
    scanner = Scanner()
    answers = [
        _agrees(content, scanner) for content in _real_objects(shared_data, each=1_000_000) if looks_like_dicom(content)
    ]
    assert sum(answers) > 0.98 * len(answers) > 500


# --- random data sets ------------------------------------------------------------------------------------------

TEXT = st.text("ABCxyz 019^=+-.äéß", max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "CS": st.text("ABC_ 1", max_size=8),
    "LO": TEXT,
    "SH": TEXT,
    "ST": TEXT,
    "LT": TEXT,
    "UT": TEXT,
    "UC": TEXT,
    "AE": st.text("ABC_ 1", max_size=8),
    "AS": st.sampled_from(["012Y", "003M", ""]),
    "DA": st.sampled_from(["20260102", "", "2026.01.02"]),
    "TM": st.sampled_from(["010203", "010203.5", "", "01"]),
    "DT": st.sampled_from(["20260102010203.5+0100", "2026", ""]),
    "UI": st.sampled_from(["1.2.3", "1.2.840.10008.5.1.4.1.1.2", ""]),
    "DS": st.sampled_from([1.5, -0.001, 0.0, 1e-7, ""]),
    "IS": st.sampled_from([0, 7, -3, 2**31 - 1, ""]),
    "US": st.integers(0, 65535),
    "SS": st.integers(-32768, 32767),
    "UL": st.integers(0, 2**32 - 1),
    "SL": st.integers(-(2**31), 2**31 - 1),
    "FL": st.sampled_from([0.5, -1.25, float("nan")]),
    "FD": st.sampled_from([0.1, -2.5, float("inf"), 1e300]),
}
PLAIN_TAGS = sorted(tag for tag in KEYWORD_OF_TAG if dictionary_VR(tag) in VALUES and tag > 0x00080005)
SEQUENCE_TAGS = sorted(tag for tag in KEYWORD_OF_TAG if dictionary_VR(tag) == "SQ")
ITEM_TAGS = [0x00080100, 0x00080104, 0x00180031, 0x00181074, 0x00181078, 0x00409224, 0x00081155]
#: Written by the test itself, in every data set, or fixed by what makes a data set a single image.
KEPT = {0x00020010, 0x00280103, 0x00280008, 0x00280002, 0x00280100, 0x00280010, 0x00280011, 0x00080060}


def _value(draw: st.DrawFn, tag: int) -> Any:
    value = draw(VALUES[dictionary_VR(tag)])
    several = dictionary_VM(tag) != "1" and draw(st.booleans())
    return [value, value] if several and value != "" else value


@st.composite
def _items(draw: st.DrawFn, depth: int) -> list[Dataset]:
    items = []
    for _ in range(draw(st.integers(0, 2))):
        item = Dataset()
        for tag in draw(st.lists(st.sampled_from(ITEM_TAGS), unique=True, max_size=3)):
            item.add_new(tag, dictionary_VR(tag), _value(draw, tag))
        if depth and draw(st.booleans()):
            item.add_new(0x00540300, "SQ", draw(_items(depth - 1)))
        if draw(st.booleans()):
            item.add_new(0x00091001, "LO", "private")
        items.append(item)
    return items


@st.composite
def _datasets(draw: st.DrawFn) -> Dataset:
    dataset = _slice(Modality=draw(st.sampled_from(["CT", "MR", "PT"])))
    dataset.SpecificCharacterSet = draw(st.sampled_from(["ISO_IR 100", "ISO_IR 192"]))
    for tag in draw(st.lists(st.sampled_from(PLAIN_TAGS), unique=True, max_size=12)):
        if tag not in KEPT:
            dataset.add_new(tag, dictionary_VR(tag), _value(draw, tag))
    for tag in draw(st.lists(st.sampled_from([*SEQUENCE_TAGS, 0x00081140, 0x00400275]), unique=True, max_size=3)):
        dataset.add_new(tag, "SQ", draw(_items(2)))
        dataset[tag].is_undefined_length = draw(st.booleans())
        for item in dataset[tag].value:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    if draw(st.booleans()):
        dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x0019100C, "IS", draw(st.sampled_from(["0", "50", "800"])))
        dataset.add_new(0x00191099, "OB", draw(st.binary(max_size=300)))
    if draw(st.booleans()):
        dataset.PixelPaddingValue = draw(st.integers(0, 32767))
        dataset["PixelPaddingValue"].VR = "US" if draw(st.booleans()) else "SS"
    return dataset


@given(dataset=_datasets(), syntax=st.sampled_from(SYNTAXES), preamble=st.booleans())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_random_data_sets_read_the_same_in_every_encoding(dataset: Dataset, syntax: str, preamble: bool) -> None:
    scanner = Scanner()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in (1, 2, 3, 3, 44):
            dataset.InstanceNumber = number
            content = as_bytes(dataset, syntax, preamble=preamble)
            private = syntax == ExplicitVRBigEndian and "DiffusionBValue" not in dataset and 0x0019100C in dataset
            assert _agrees(content, scanner) or private


@pytest.mark.parametrize("group_lengths", [True, False])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_retired_group_lengths_are_stepped_over(syntax: str, group_lengths: bool) -> None:
    dataset = _slice()
    if group_lengths:
        for group in (0x0008, 0x0020, 0x0028):
            dataset.add_new((group, 0), "UL", 100)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SeriesDescription = "Leber spät"
    content = as_bytes(dataset, syntax)
    if group_lengths:  # pydicom's writer leaves them out
        content = _with_group_length(content, syntax)
    assert _agrees(content, Scanner())


def _with_group_length(content: bytes, syntax: str) -> bytes:
    """The content with (0008,0000) put in front of the data set."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return content
    length = {
        ImplicitVRLittleEndian: struct.pack("<HHLL", 8, 0, 4, 99),
        ExplicitVRLittleEndian: struct.pack("<HH2sHL", 8, 0, b"UL", 4, 99),
        ExplicitVRBigEndian: struct.pack(">HH2sHL", 8, 0, b"UL", 4, 99),
    }[syntax]
    start = 144 + int.from_bytes(content[140:144], "little")
    return content[:start] + length + content[start:]


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO_IR 100", "Ganzkörper äöü".encode("latin-1")),
        ("ISO_IR 192", "Ganzkörper – Œuvre".encode()),
        ("ISO_IR 144", "Печень".encode("iso8859_5")),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B"),
        ("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\xc8\xf1"),
        ("GB18030", "肝脏\\x".encode("gb18030")),
        ("ISO_IR 13", "ﾔﾏﾀﾞ".encode("shift_jis")),
        ("ISO-IR 100", b"misspelt \xe4"),
        ("no such set", b"\xe4"),
        ("", b"\xe4 without a set"),
    ],
)
def test_character_sets_are_pydicoms(charset: str, text: bytes) -> None:
    dataset = _slice()
    dataset.add_new(0x00080005, "CS", charset.split("\\"))
    content = as_bytes(dataset).replace(b"phantom ", text[:8].ljust(8))
    assert _agrees(content, Scanner())
    dataset["SeriesDescription"].VR = "UN"
    dataset["SeriesDescription"].value = text + b" " * (len(text) % 2)
    assert _agrees(as_bytes(dataset), Scanner())
    assert _through_pydicom(as_bytes(dataset))[0] == _quick(as_bytes(dataset), Scanner())


# --- damaged bytes ---------------------------------------------------------------------------------------------


def _samples() -> list[bytes]:
    dose, code = Dataset(), Dataset()
    code.CodeValue, code.CodeMeaning = "C-131A3", "68Ga"
    dose.RadionuclideTotalDose, dose.RadionuclideCodeSequence = 1.5e8, [code]
    dataset = _slice(Modality="PT", RadiopharmaceuticalInformationSequence=[dose], SpecificCharacterSet="ISO_IR 100")
    dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    dataset.add_new(0x0019100C, "IS", "800")
    dataset.ReferencedImageSequence = [code, code]
    undefined = _slice(Modality="PT", RadiopharmaceuticalInformationSequence=[dose], ReferencedImageSequence=[code])
    for tag in (0x00540016, 0x00081140):
        undefined[tag].is_undefined_length = True
        undefined[tag].value[0].is_undefined_length_sequence_item = True
    contents = [as_bytes(each, syntax) for each in (dataset, undefined) for syntax in SYNTAXES]
    return [*contents, as_bytes(undefined, preamble=False), as_bytes(_enhanced())]


def _damaged(content: bytes, rng: random.Random) -> bytes:
    """Bits flipped, bytes set to telling values, lengths blown up, a piece cut out or doubled, the end missing."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    kind = rng.randrange(6)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        del data[at : at + rng.randrange(1, 40)]
    elif kind == 2:
        data[at:at] = data[at : at + rng.randrange(1, 40)]
    elif kind == 3:
        data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"SQ\0\0", b"UN\0\0"))
    elif kind == 4:
        vr = rng.choice((b"SQ", b"UN", b"OB", b"US", b"DS", b"IS", b"UI", b"FD", b"LO", b"CS", b"AT", b"XX"))
        found = [i for i in range(len(data) - 1) if data[i : i + 2].isalpha() and data[i : i + 2].isupper()]
        if found:
            at = rng.choice(found)
            data[at : at + 2] = vr
    for _ in range(rng.randrange(0, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _survive(samples: list[bytes], rounds: int, seed: int) -> tuple[int, int]:
    """How many damaged files the scanner, which has learned the whole ones, answered and left to pydicom."""
    rng = random.Random(seed)
    scanner = Scanner()
    for content in samples * 4:
        _quick(content, scanner)
    answers = [_agrees(_damaged(content, rng), scanner) for content in samples for _ in range(rounds)]
    return sum(answers), len(answers)


def test_damaged_bytes_never_make_the_scanner_say_something_else() -> None:
    answered, asked = _survive(_samples(), 150, 20261122)
    assert 0.1 * asked < answered < asked


@pytest.mark.slow
def test_many_more_damaged_bytes_never_make_the_scanner_say_something_else(shared_data: Path) -> None:
    real = [content for content in _real_objects(shared_data, each=2) if looks_like_dicom(content)]
    whole = [content for content in real if len(content) < 300_000]
    answered, asked = _survive([*_samples() * 6, *whole], 200, 7)
    assert 0.1 * asked < answered < asked


def test_damage_within_a_learned_run_is_noticed() -> None:
    scanner = Scanner()
    content = as_bytes(_slice(SeriesDescription="T1 vibe"))
    for _ in range(3):
        assert (_quick(content, scanner) or {})["SeriesDescription"] == "T1 vibe"
    assert any(kind.runs for kind in scanner._kinds.values()), "nothing was learned"
    changed = content.replace(b"T1 vibe", b"T2 tse ")
    assert (_quick(changed, scanner) or {})["SeriesDescription"] == "T2 tse"


def test_lengths_of_gigabytes_take_no_memory() -> None:
    content = as_bytes(_slice(), syntax=ImplicitVRLittleEndian)
    scanner = Scanner()
    tracemalloc.start()
    try:
        for at in range(content.index(b"\x08\0\x60\0") + 4, len(content) - 60, 7):
            damaged = content[:at] + b"\xf0\xff\xff\x7f" + content[at + 4 :]
            _agrees(damaged, scanner)
            _through_pydicom(damaged)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_deflated_bomb_is_refused_before_it_fills_the_memory() -> None:
    content = as_bytes(_slice(), syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(content[140:144], "little")
    deflater = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = zlib.decompress(content[start:], -zlib.MAX_WBITS) + bytes(1 << 20)
    packed = deflater.compress(bomb) + b"".join(deflater.compress(bytes(1 << 20)) for _ in range(130))
    with pytest.raises(Refusal, match="unreadable_header"):
        scan("x", io.BytesIO(content[:start] + packed + deflater.flush()))


def test_sequences_nested_without_end_are_survived() -> None:
    start = as_bytes(_slice(PixelData=None))
    nested = struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    content = start + (nested + item) * 3000
    assert _quick(content, Scanner()) is None
    with pytest.raises(Refusal):
        scan("x", io.BytesIO(content))


# --- streams ---------------------------------------------------------------------------------------------------


class _Counting(io.BytesIO):
    """A stream that counts the bytes taken from it."""

    taken = 0

    def read(self, count: int | None = -1, /) -> bytes:
        content = super().read(count)
        self.taken += len(content)
        return content


def test_pixels_are_not_read() -> None:
    dataset = _slice()
    dataset.PixelData = bytes(5_000_000)
    stream = _Counting(as_bytes(dataset))
    scan("x", stream)
    assert stream.taken <= FIRST_READ


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("size", [8_000, 16_300, 16_384, 90_000])
def test_long_headers_are_read_on(syntax: str, size: int) -> None:
    """What lies on the borders of the parts that are read: private blobs, sequences, wanted values."""
    code = Dataset()
    code.CodeMeaning = "x" * 60
    for tag in (0x00081140, 0x00540016, 0x00400275):
        dataset = _slice(Modality="PT", ImageComments="y" * (size // 20))
        dataset.add_new(0x00091010, "OB", bytes(size))
        dataset.add_new(tag, "SQ", [code] * (size // 300))
        for undefined in (False, True):
            dataset[tag].is_undefined_length = undefined
            scanner = Scanner()
            content = as_bytes(dataset, syntax)
            assert all(_agrees(content, scanner) for _ in range(3))


def test_every_kind_of_stream_gives_the_same(tmp_path: Path) -> None:
    content = as_bytes(_slice(ImageComments="z" * 30_000))
    path = tmp_path / "x"
    path.write_bytes(content)
    expected = repr(scan("x", io.BytesIO(content)))
    for spool in (10, 10**9):
        with tempfile.SpooledTemporaryFile(max_size=spool) as spooled:
            spooled.write(content)
            spooled.seek(0)
            assert repr(scan("x", cast("BinaryIO", spooled))) == expected
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        assert repr(scan("x", buffered)) == expected
        assert repr(scan("x", cast("BinaryIO", raw))) == expected


def test_the_answer_does_not_depend_on_what_was_read_before() -> None:
    contents = [as_bytes(_slice(number=n, SeriesDescription=f"s{n % 3}", EchoTime=n % 2 + 1.0)) for n in range(40)]
    fresh = [repr(_quick(content, Scanner())) for content in contents]
    order = list(range(40)) * 3
    random.Random(3).shuffle(order)
    scanner = Scanner()
    assert all(repr(_quick(contents[n], scanner)) == fresh[n] for n in order)


def test_the_b_value_depends_on_nothing_that_is_not_remembered_with_it() -> None:
    class Watched(dict[str, Any]):
        read: set[str]

        def get(self, keyword: str, default: Any = None) -> Any:
            self.read.add(keyword)
            return super().get(keyword, default)

        def __getitem__(self, keyword: str) -> Any:
            self.read.add(keyword)
            return super().__getitem__(keyword)

    dataset = Dataset()
    for group, low, creator in ((0x0019, 0x0C, "SIEMENS MR HEADER"), (0x2001, 0x03, "Philips Imaging DD 001")):
        dataset.add_new((group, 0x10), "LO", creator)
        dataset.add_new((group, 0x1000 | low), "IS" if group == 0x0019 else "FL", 0)
    del dataset[0x0019100C]
    header = Watched(ScanningSequence=["EP"])
    header.read = set()
    private_b_value(dataset, header)
    assert header.read <= set(B_VALUE_READS)
