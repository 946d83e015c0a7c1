"""Pixels are decoded only where header and bytes agree; what they would take is known before it is taken."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from liverpair.core.errors import Refusal
from liverpair.dicom.codestream import announced, ends_early
from liverpair.dicom.load import find_stacks, load_image
from liverpair.dicom.objects import read_object
from liverpair.dicom.pixels import decode
from liverpair.dicom.read import read_stack, stack_warnings
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom_phantom import as_bytes, axial_slices, make_slice, numbered_pixels, write, write_all

PIXELS = numbered_pixels(3, rows=40, columns=36)


def _compressed(syntax: str, frames: int = 1) -> Dataset:
    dataset = make_slice(PIXELS, (0, 0, 0))
    if frames > 1:
        dataset.NumberOfFrames, dataset.PixelData = frames, dataset.PixelData * frames
    as_bytes(dataset)
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def _reason(dataset: Dataset) -> str:
    try:
        decode(dataset)
    except Refusal as refusal:
        return refusal.reason
    return "read"


def _plain(**attributes: Any) -> Dataset:
    return pydicom.dcmread(io.BytesIO(as_bytes(make_slice(PIXELS, (0, 0, 0), **attributes))))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("frames", [1, 3])
def test_lossless_syntaxes_give_the_pixels_back(syntax: str, frames: int) -> None:
    assert np.array_equal(decode(_compressed(syntax, frames)), np.stack([PIXELS] * frames))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_plain_syntaxes_give_the_pixels_back(syntax: str) -> None:
    dataset = read_object(io.BytesIO(as_bytes(make_slice(PIXELS, (0, 0, 0)), syntax=syntax)))
    assert np.array_equal(decode(dataset)[0], PIXELS)


def test_big_endian_gives_the_pixels_back() -> None:
    dataset = make_slice(PIXELS, (0, 0, 0), PixelData=PIXELS.astype(">i2").tobytes())
    assert np.array_equal(decode(read_object(io.BytesIO(as_bytes(dataset, ExplicitVRBigEndian))))[0], PIXELS)


@pytest.mark.parametrize(
    "change",
    [
        {"Rows": 41},
        {"Rows": 39},
        {"Columns": 65535, "Rows": 65535},
        {"NumberOfFrames": 2},
        {"NumberOfFrames": 2147483647},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"BitsAllocated": 12},
        {"BitsStored": 24},
        {"Rows": 0},
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_a_size_the_bytes_do_not_hold_is_refused_before_memory_is_taken(syntax: str, change: dict[str, int]) -> None:
    dataset = _plain() if syntax == ExplicitVRLittleEndian else _compressed(syntax)
    for keyword, value in change.items():
        setattr(dataset, keyword, value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _reason(dataset) in ("bad_pixels", "undecodable_pixels")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_sectors_zeros_after_the_pixels_are_padding_and_anything_else_is_not() -> None:
    content = PIXELS.tobytes()
    assert _reason(_plain(PixelData=content + bytes(192))) == "read"
    assert _reason(_plain(PixelData=content + b"\1" * 192)) == "bad_pixels"
    assert _reason(_plain(PixelData=content + bytes(4096))) == "bad_pixels"
    assert _reason(_plain(PixelData=content[:-2])) == "bad_pixels"


def test_colours_and_numbers_of_colours_are_no_values() -> None:
    assert _reason(_plain(PhotometricInterpretation="PALETTE COLOR")) == "colour_image"
    assert _reason(_plain(SamplesPerPixel=3)) == "colour_image"
    assert _reason(_plain(PhotometricInterpretation="MONOCHROME1")) == "read"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_frame_of_another_size_or_cut_short_is_refused(syntax: str) -> None:
    dataset = _compressed(syntax)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert announced(frame) == (*PIXELS.shape, 16)
    for cut in (len(frame) // 2, len(frame) - 20, 10):
        dataset.PixelData = encapsulate([frame[:cut]])
        assert _reason(dataset) in ("bad_pixels", "undecodable_pixels"), cut
    dataset.PixelData = encapsulate([frame])
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    assert _reason(dataset) == "bad_pixels"


def test_a_jpeg_2000_stream_says_where_it_ends() -> None:
    (frame,) = generate_frames(_compressed(JPEG2000Lossless).PixelData, number_of_frames=1)
    assert not ends_early(frame)
    assert all(ends_early(frame[:cut]) for cut in range(len(frame) // 2, len(frame.rstrip(b"\0")) - 3))


def test_a_stuffing_byte_before_the_end_of_jpeg_ls_is_taken_out() -> None:
    dataset = _compressed(JPEGLSLossless)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    stuffed = frame.rstrip(b"\0").removesuffix(b"\xff\xd9") + b"\0\xff\xd9"
    dataset.PixelData = encapsulate([stuffed])
    assert np.array_equal(decode(dataset)[0], PIXELS)


def test_a_deflate_bomb_is_refused_and_not_unpacked() -> None:
    content = as_bytes(make_slice(PIXELS, (0, 0, 0)), syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [packer.compress(bytes(1 << 24)) for _ in range(8)]
    bomb = content[:start] + b"".join(parts) + packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Refusal, match="archive_bomb"):
        read_object(io.BytesIO(bomb))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    content = as_bytes(make_slice(PIXELS, (0, 0, 0)))
    at = content.index(b"\xe0\x7f\x10\x00OW") + 8
    path = tmp_path / "x"
    path.write_bytes(content[:at] + struct.pack("<I", 0xFFFFFFF0) + content[at + 4 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with path.open("rb") as stream:
        dataset = read_object(stream)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
    assert "PixelData" not in dataset or _reason(dataset) in ("read", "bad_pixels")


def _nested(depth: int, *, undefined: bool) -> bytes:
    name, item = b"\x40\x00\x30\xa7SQ\0\0", b"\xfe\xff\x00\xe0"
    if undefined:
        opened = (name + b"\xff" * 4 + item + b"\xff" * 4) * depth
        return opened + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    return b"".join(
        name + struct.pack("<I", 8 + left * 20) + item + struct.pack("<I", left * 20)
        for left in range(depth - 1, -1, -1)
    )


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("depth", [10, 500, 5000])
def test_sequences_in_sequences_without_end_are_read_or_refused(depth: int, undefined: bool, tmp_path: Path) -> None:
    content = as_bytes(make_slice(PIXELS, (0, 0, 0)))
    at = content.index(b"\xe0\x7f\x10\x00OW")
    path = tmp_path / "x"
    path.write_bytes(content[:at] + _nested(depth, undefined=undefined) + content[at:])
    try:
        assert np.array_equal(read_stack(find_stacks(path)[0]).values[:, :, 0], PIXELS.T)
    except (Refusal, IndexError):
        assert depth > 100, "ten levels are an ordinary report"


@pytest.mark.parametrize(("slope", "intercept"), [(1e300, 0.0), (1.0, 1e39), (0.0, 0.0)])
def test_a_rescale_that_leaves_no_finite_number_is_refused(slope: float, intercept: float, tmp_path: Path) -> None:
    write(make_slice(PIXELS, (0, 0, 0), RescaleSlope=slope, RescaleIntercept=intercept), tmp_path / "x")
    with pytest.raises(Refusal, match=r"bad_values|bad_rescale"):
        load_image(tmp_path / "x")


def test_frames_that_nobody_gave_a_place_are_not_taken_for_one_slice(tmp_path: Path) -> None:
    dataset = make_slice(PIXELS, (0, 0, 0), NumberOfFrames=3, PixelData=PIXELS.tobytes() * 3)
    write(dataset, tmp_path / "x")
    with pytest.raises(Refusal):
        load_image(tmp_path / "x")


def test_lossy_compression_is_said_of_a_stack(tmp_path: Path) -> None:
    write_all(axial_slices(3), tmp_path / "a")
    write_all(axial_slices(3, LossyImageCompression="01", LossyImageCompressionRatio=[8.5]), tmp_path / "b")
    (plain,), (lossy,) = find_stacks(tmp_path / "a"), find_stacks(tmp_path / "b")
    assert stack_warnings(plain) == ()
    (sentence,) = stack_warnings(lossy)
    assert "loss" in sentence
    assert "8.5" in sentence
