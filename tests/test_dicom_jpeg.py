"""JPEG streams written sample by sample here come back exactly; what is damaged in them is refused in bounded time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.errors import Refusal
from liverpair.dicom.jpeg import ZIGZAG, decode_jpeg
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

ROWS, COLUMNS = 11, 13


class _Bits:
    """A stream of bits with JPEG's byte stuffing; filled up with ones at a marker (T.81 F.1.2.3)."""

    def __init__(self) -> None:
        self.content, self.bits = bytearray(), ""

    def add(self, value: int, count: int) -> None:
        if count:
            self.bits += f"{value:0{count}b}"[-count:]

    def marker(self, code: int) -> None:
        self.flush()
        self.content += bytes((0xFF, code))

    def flush(self) -> None:
        self.bits += "1" * (-len(self.bits) % 8)
        for at in range(0, len(self.bits), 8):
            byte = int(self.bits[at : at + 8], 2)
            self.content += bytes((byte, 0)) if byte == 0xFF else bytes((byte,))
        self.bits = ""


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _table(number: int, symbols: Iterable[int], length: int) -> bytes:
    """A Huffman table in which every symbol has ``length`` bits: its code is its rank."""
    listed = bytes(symbols)
    counts = [len(listed) if n == length else 0 for n in range(1, 17)]
    return _segment(0xC4, bytes((number, *counts)) + listed)


def _magnitude(bits: _Bits, value: int, size: int) -> None:
    bits.add(value if value > 0 else value + (1 << size) - 1, size)


def _predicted(values: NDArray[Any], y: int, x: int, first: int, kind: int, start: int) -> int:
    if y == first:
        return start if x == 0 else int(values[y, x - 1])
    above = int(values[y - 1, x])
    if x == 0:
        return above
    left, corner = int(values[y, x - 1]), int(values[y - 1, x - 1])
    formulas = (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
    )
    return (*formulas, (left + above) >> 1)[kind - 1]


def _lossless(values: NDArray[Any], precision: int, kind: int = 1, shift: int = 0, rows_a_restart: int = 0) -> bytes:
    """``values`` [row, column], below 2**precision, as JPEG lossless (T.81 Annex H)."""
    rows, columns = values.shape
    small, bits, first = values >> shift, _Bits(), 0
    for y in range(rows):
        if rows_a_restart and y and y % rows_a_restart == 0:
            bits.marker(0xD0 + (y // rows_a_restart - 1) % 8)
            first = y
        for x in range(columns):
            start = 1 << (precision - shift - 1)
            difference = (int(small[y, x]) - _predicted(small, y, x, first, kind, start) + 32768) % 65536 - 32768
            size = 16 if difference == -32768 else abs(difference).bit_length()
            bits.add(size, 5)
            if size < 16:
                _magnitude(bits, difference, size)
    bits.flush()
    shape = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, bytes((precision,)) + shape + b"\x01\x01\x11\x00"),
            _table(0, range(17), 5),
            _segment(0xDD, (rows_a_restart * columns).to_bytes(2, "big")) if rows_a_restart else b"",
            _segment(0xDA, bytes((1, 1, 0, kind, 0, shift))),
            bytes(bits.content),
            b"\xff\xd9",
        )
    )


def _noise(precision: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 1 << precision, (ROWS, COLUMNS))


@settings(max_examples=60)
@given(
    precision=st.integers(2, 16),
    kind=st.integers(1, 7),
    shift=st.integers(0, 3),
    rows_a_restart=st.sampled_from((0, 1, 3)),
    seed=st.integers(0, 1000),
)
def test_every_predictor_precision_and_restart_gives_the_samples_back(
    precision: int, kind: int, shift: int, rows_a_restart: int, seed: int
) -> None:
    shift = min(shift, precision - 1)
    values = _noise(precision, seed) >> shift << shift
    content = _lossless(values, precision, kind, shift, rows_a_restart)
    assert np.array_equal(decode_jpeg(content, ROWS, COLUMNS, 16, signed=False), values)


@pytest.mark.parametrize("precision", [8, 12, 16])
def test_signed_samples_are_in_twos_complement_of_the_streams_precision(precision: int) -> None:
    values = _noise(precision) - (1 << (precision - 1))
    content = _lossless(values % (1 << precision), precision)
    assert np.array_equal(decode_jpeg(content, ROWS, COLUMNS, 16, signed=True), values)


def _sequential(coefficients: NDArray[np.int64], steps: NDArray[np.int64], precision: int, columns: int) -> bytes:
    """Quantized blocks [block, 8, 8] of one row of blocks as a sequential DCT stream (T.81 Annex F)."""
    bits, before = _Bits(), 0
    for block in coefficients.reshape(-1, 64):
        ordered = block[ZIGZAG]
        size = abs(int(ordered[0]) - before).bit_length()
        bits.add(size, 5)
        _magnitude(bits, int(ordered[0]) - before, size)
        before, run = int(ordered[0]), 0
        last = int(np.flatnonzero(ordered)[-1]) if ordered.any() else 0
        for value in ordered[1 : last + 1].tolist():
            if value == 0:
                run += 1
                continue
            while run > 15:
                bits.add(0xF0, 8)
                run -= 16
            bits.add(run << 4 | abs(value).bit_length(), 8)
            _magnitude(bits, value, abs(value).bit_length())
            run = 0
        if last < 63:
            bits.add(0, 8)
    bits.flush()
    shape = (8).to_bytes(2, "big") + columns.to_bytes(2, "big")
    table = b"".join(int(step).to_bytes(2, "big") for step in steps.reshape(64)[ZIGZAG])
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xDB, b"\x10" + table),
            _segment(0xC1, bytes((precision,)) + shape + b"\x01\x01\x11\x00"),
            _table(0, range(17), 5) + _table(0x10, range(255), 8),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            bytes(bits.content),
            b"\xff\xd9",
        )
    )


@pytest.mark.parametrize("precision", [8, 12])
def test_the_cosine_transform_is_that_of_scipy(precision: int) -> None:
    rng = np.random.default_rng(precision)
    middle = 1 << (precision - 1)
    image = rng.integers(0, 2 * middle, (3, 8, 8)).astype(np.float64)
    steps = rng.integers(1, 20, (8, 8))
    quantized = np.rint(dctn(image - middle, axes=(1, 2), norm="ortho") / steps).astype(np.int64)
    expected = np.clip(idctn(quantized * steps, axes=(1, 2), norm="ortho") + middle, 0, 2 * middle - 1)
    content = _sequential(quantized, steps, precision, 21)
    decoded = decode_jpeg(content, 8, 21, 16, signed=False).astype(np.float64)
    assert np.abs(decoded - expected.transpose(1, 0, 2).reshape(8, 24)[:, :21]).max() <= 0.5 + 1e-6


def _reason(content: bytes, rows: int = ROWS, columns: int = COLUMNS, bits: int = 16) -> str:
    try:
        decode_jpeg(content, rows, columns, bits, signed=False)
    except Refusal as refusal:
        return refusal.reason
    return "read"


def test_a_stream_of_another_size_or_depth_than_the_header_is_refused() -> None:
    content = _lossless(_noise(12), 12)
    assert _reason(content) == "read"
    assert _reason(content, rows=ROWS + 1) == "bad_pixels"
    assert _reason(content, columns=60000, rows=60000) == "bad_pixels"
    assert _reason(content, bits=8) == "bad_pixels"


def test_a_stream_cut_anywhere_is_refused() -> None:
    content = _lossless(_noise(12), 12)
    end = len(content) - 2
    assert {_reason(content[:cut]) for cut in range(end)} == {"undecodable_pixels"}
    assert _reason(content[:end]) == "read", "only the end marker is missing: every sample is there"


def test_samples_left_over_after_the_image_are_refused() -> None:
    content = _lossless(np.vstack([_noise(12), _noise(12)]), 12)
    place = content.index(b"\xff\xc3") + 5
    shorter = content[:place] + ROWS.to_bytes(2, "big") + content[place + 2 :]
    assert _reason(shorter) == "undecodable_pixels"


def test_other_processes_and_colours_are_named_as_such() -> None:
    content = _lossless(_noise(12), 12)
    assert _reason(content.replace(b"\xff\xc3", b"\xff\xc2")) == "no_decoder"
    at = content.index(b"\xff\xc3")
    colour = content[:at] + _segment(0xC3, b"\x08\0\x0b\0\x0d\x03" + b"\x01\x11\0" * 3) + content[at + 13 :]
    assert _reason(colour) == "colour_image"


def test_a_lost_restart_marker_is_noticed() -> None:
    content = _lossless(_noise(12), 12, rows_a_restart=2)
    assert _reason(content) == "read"
    assert _reason(content.replace(b"\xff\xd1", b"\xff\xd4")) == "undecodable_pixels"


def test_damage_costs_no_time_and_never_another_exception() -> None:
    """GDCM broods over a damaged slice for up to 20 s; here the samples bound the work."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4096, (64, 64))
    content = _lossless(values, 12, kind=4)
    start, reasons = time.process_time(), set()
    for _ in range(400):
        data = bytearray(content)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 80, rng.integers(1, 6)):
            data[place] = rng.integers(256)
        reasons.add(_reason(bytes(data), 64, 64))
    assert time.process_time() - start < 10
    assert {"read", "undecodable_pixels", "bad_pixels"} <= reasons
