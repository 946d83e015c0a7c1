"""Decode grey JPEG streams that pydicom's decoders leave out: lossless (process 14) and sequential of 12 bits.

Written for damaged input too: the time is bounded by the number of samples, and a stream that ends early, holds a
code that does not exist or does not end where the image does is refused rather than filled up (ITU-T T.81).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal

__all__ = ["decode_jpeg"]

SOI, EOI, SOS, DQT, DRI, DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xC4
#: Start of frame: baseline, extended sequential, lossless; all with Huffman codes.
SEQUENTIAL: Final = (0xC0, 0xC1)
LOSSLESS: Final = 0xC3
#: Every other start of frame: progressive, hierarchical or arithmetic (T.81 table B.1).
OTHER_FRAMES: Final = (0xC2, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
#: Natural place of the k-th coefficient of the zigzag order (T.81 figure A.6).
ZIGZAG: Final = np.array(
    sorted(range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8)), dtype=np.int64
)
#: Rows of the 8-point inverse cosine transform (T.81 A.3.3): sample = BASIS.T @ coefficients.
BASIS: Final = np.array(
    [[(np.sqrt(0.125) if u == 0 else 0.5) * np.cos((2 * x + 1) * u * np.pi / 16) for x in range(8)] for u in range(8)]
)


@dataclass(slots=True)
class _Stream:
    """What the marker segments before the scan say."""

    kind: int = 0
    precision: int = 0
    rows: int = 0
    columns: int = 0
    restart: int = 0
    selector: int = 0
    transform: int = 0
    dc_table: int = 0
    ac_table: int = 0
    quantizer: int = 0
    tables: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    quantizers: dict[int, NDArray[np.int64]] = field(default_factory=dict)


def _damaged(what: str) -> Refusal:
    return Refusal("undecodable_pixels", f"the JPEG stream {what}; export the image again")


def _segments(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(marker, payload, place after it) from the start to the first scan."""
    if content[:2] != b"\xff\xd8":
        raise _damaged("does not start like one")
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            raise _damaged("lost a marker")
        marker = content[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == EOI or length < 2 or place + 2 + length > len(content):
            break
        yield marker, content[place + 4 : place + 2 + length], place + 2 + length
        place += 2 + length
    raise _damaged("ends before its pixels")


def _huffman_tables(payload: bytes) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """(class << 4 | number, table of 65536 entries: length << 8 | symbol, 0 where no code fits)."""
    while payload:
        counts = payload[1:17]
        symbols = payload[17 : 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise _damaged("holds a broken Huffman table")
        table = np.zeros(65536, dtype=np.int32)
        place = used = 0
        for length, count in enumerate(counts, start=1):
            for symbol in symbols[used : used + count]:
                width = 1 << (16 - length)
                if place + width > 65536:
                    raise _damaged("holds a broken Huffman table")
                table[place : place + width] = length << 8 | symbol
                place += width
            used += count
        yield payload[0], table
        payload = payload[17 + used :]


def _quantizers(payload: bytes) -> Iterator[tuple[int, NDArray[np.int64]]]:
    while payload:
        width = 2 if payload[0] >> 4 else 1
        raw = payload[1 : 1 + 64 * width]
        if len(raw) < 64 * width:
            raise _damaged("holds a broken quantization table")
        steps = np.zeros(64, dtype=np.int64)
        steps[ZIGZAG] = np.frombuffer(raw, ">u2" if width == 2 else "u1")
        yield payload[0] & 15, steps
        payload = payload[1 + 64 * width :]


def _read_frame(stream: _Stream, marker: int, payload: bytes) -> None:
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
        raise _damaged("holds a broken frame header")
    stream.kind, stream.precision = marker, payload[0]
    stream.rows, stream.columns = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
    if payload[5] != 1:
        raise Refusal("colour_image", f"the JPEG stream holds {payload[5]} components, which are no measured values")
    stream.quantizer = payload[8]


def _read_scan(stream: _Stream, payload: bytes) -> None:
    if len(payload) < 6 or payload[0] != 1:
        raise _damaged("holds a broken scan header")
    stream.dc_table, stream.ac_table = payload[2] >> 4, 0x10 | payload[2] & 15
    stream.selector, stream.transform = payload[3], payload[5] & 15


def _parsed(content: bytes) -> tuple[_Stream, int]:
    """The headers, and where the entropy-coded data start."""
    stream = _Stream()
    for marker, payload, place in _segments(content):
        if marker == DHT:
            stream.tables.update(_huffman_tables(payload))
        elif marker == DQT:
            stream.quantizers.update(_quantizers(payload))
        elif marker == DRI:
            stream.restart = int.from_bytes(payload[:2], "big")
        elif marker in (*SEQUENTIAL, LOSSLESS):
            _read_frame(stream, marker, payload)
        elif marker in OTHER_FRAMES:
            raise Refusal("no_decoder", "a progressive or arithmetic JPEG; have the archive send it uncompressed")
        elif marker == SOS:
            _read_scan(stream, payload)
            return stream, place
    raise _damaged("holds no scan")


def _check(stream: _Stream, rows: int, columns: int, bits: int) -> None:
    """Refuse before anything is allocated what does not fit the DICOM header."""
    if (stream.rows, stream.columns) != (rows, columns):
        found = f"{stream.rows} × {stream.columns} pixels where the header says {rows} × {columns}"
        raise Refusal("bad_pixels", f"the JPEG stream holds {found}; export the image again")
    if not 2 <= stream.precision <= bits:
        raise Refusal("bad_pixels", f"the JPEG stream has {stream.precision} bits a pixel, the header {bits}")
    if stream.dc_table not in stream.tables:
        raise _damaged("lacks its Huffman table")


def _end(answer: int) -> None:
    """Refuse a kernel's answer that is no place in the data."""
    if answer < 0:
        words = {-1: "ends before its image does", -2: "holds a code that does not exist"}
        raise _damaged(words.get(answer, "goes on after its image"))


def _lossless(stream: _Stream, scan: NDArray[np.uint8]) -> NDArray[np.uint16]:
    from liverpair.dicom.jpeg_kernels import decode_lossless  # compiled: not worth loading for other syntaxes

    if not 1 <= stream.selector <= 7 or stream.transform >= stream.precision:
        raise _damaged("names no predictor")
    if stream.restart % stream.columns:
        raise _damaged("restarts within a row")
    values = np.zeros((stream.rows, stream.columns), dtype=np.int32)
    start = 1 << (stream.precision - stream.transform - 1)
    table = stream.tables[stream.dc_table]
    _end(decode_lossless(scan, table, stream.selector, start, stream.restart, values))
    return (values << stream.transform).astype(np.uint16)


def _sequential(stream: _Stream, scan: NDArray[np.uint8]) -> NDArray[np.uint16]:
    from liverpair.dicom.jpeg_kernels import decode_blocks  # compiled: not worth loading for other syntaxes

    if stream.ac_table not in stream.tables or stream.quantizer not in stream.quantizers:
        raise _damaged("lacks a table")
    down, across = -(-stream.rows // 8), -(-stream.columns // 8)
    blocks = np.zeros((down * across, 64), dtype=np.int64)
    tables = np.stack([stream.tables[stream.dc_table], stream.tables[stream.ac_table]])
    _end(decode_blocks(scan, tables, ZIGZAG, stream.restart, blocks))
    coefficients = (blocks * stream.quantizers[stream.quantizer]).reshape(-1, 8, 8).astype(np.float64)
    samples = np.rint(BASIS.T @ coefficients @ BASIS) + (1 << (stream.precision - 1))
    clipped = np.clip(samples, 0, (1 << stream.precision) - 1).astype(np.uint16)
    image = clipped.reshape(down, across, 8, 8).swapaxes(1, 2).reshape(down * 8, across * 8)
    return np.ascontiguousarray(image[: stream.rows, : stream.columns])


def decode_jpeg(content: bytes, rows: int, columns: int, bits: int, *, signed: bool) -> NDArray[Any]:
    """Stored pixel values [row, column] of one frame, uint16 or int16.

    ``rows``, ``columns``, ``bits`` (allocated) and ``signed`` are the DICOM header's; a signed sample is in two's
    complement of the stream's own precision. Raises Refusal: undecodable_pixels, bad_pixels, colour_image,
    no_decoder.
    """
    stream, place = _parsed(content)
    _check(stream, rows, columns, bits)
    scan = np.frombuffer(content, np.uint8)[place:]
    values = _lossless(stream, scan) if stream.kind == LOSSLESS else _sequential(stream, scan)
    if not signed:
        return values
    sign = 1 << (stream.precision - 1)
    return ((values.astype(np.int32) ^ sign) - sign).astype(np.int16)
