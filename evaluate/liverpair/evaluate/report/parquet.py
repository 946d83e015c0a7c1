"""Write a table as Apache Parquet: one row group, plain encoding, uncompressed, every column optional.

The part of the format that a table of a report needs is small (parquet-format 2.x, Thrift compact protocol), and a
library for it would be fifty times the size of everything else here. Read back with pyarrow, DuckDB, R's arrow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["parquet_bytes"]

MAGIC: Final = b"PAR1"
#: Physical types (parquet.thrift, enum Type).
BOOLEAN, INT64, DOUBLE, BYTE_ARRAY = 0, 2, 5, 6
#: Compact protocol: types of fields.
I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
PLAIN, RLE, OPTIONAL, UTF8, UNCOMPRESSED, DATA_PAGE = 0, 3, 1, 0, 0, 0


@dataclass(frozen=True, slots=True)
class _Typed:
    """A Thrift value that is no struct: its compact type and its bytes."""

    kind: int
    data: bytes


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63))


def _i32(value: int) -> _Typed:
    return _Typed(I32, _zigzag(value))


def _i64(value: int) -> _Typed:
    return _Typed(I64, _zigzag(value))


def _text(value: str) -> _Typed:
    raw = value.encode("utf-8")
    return _Typed(BINARY, _varint(len(raw)) + raw)


def _list(values: Sequence[_Typed], kind: int) -> _Typed:
    size = len(values)
    head = bytes([(size << 4) | kind]) if size < 15 else bytes([0xF0 | kind]) + _varint(size)
    return _Typed(LIST, head + b"".join(v.data for v in values))


def _struct(fields: Mapping[int, _Typed]) -> _Typed:
    """Fields by number, in order; each header holds the step from the field before."""
    out, last = bytearray(), 0
    for number, value in sorted(fields.items()):
        out += bytes([((number - last) << 4) | value.kind]) + value.data
        last = number
    return _Typed(STRUCT, bytes(out) + b"\x00")


def _kind_of(values: Sequence[Any]) -> int:
    """The narrowest physical type that holds every value; a column of mixed kinds becomes text."""
    there = [v for v in values if v is not None]
    if there and all(isinstance(v, bool) for v in there):
        return BOOLEAN
    if there and all(isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**63 for v in there):
        return INT64
    if there and all(isinstance(v, int | float) and not isinstance(v, bool) for v in there):
        return DOUBLE
    return BYTE_ARRAY


def _bits(flags: Sequence[bool]) -> bytes:
    out = bytearray((len(flags) + 7) // 8)
    for position, flag in enumerate(flags):
        out[position // 8] |= flag << (position % 8)
    return bytes(out)


def _values(values: Sequence[Any], kind: int) -> bytes:
    """The values that are there in PLAIN encoding."""
    if kind == BOOLEAN:
        return _bits([bool(v) for v in values])
    if kind == INT64:
        return struct.pack(f"<{len(values)}q", *values)
    if kind == DOUBLE:
        return struct.pack(f"<{len(values)}d", *(float(v) for v in values))
    raw = [str(v).encode("utf-8") for v in values]
    return b"".join(struct.pack("<I", len(r)) + r for r in raw)


def _page(values: Sequence[Any], kind: int) -> bytes:
    """A data page: definition levels (1 where a value is there) in one bit-packed run, then the values."""
    there = [v is not None for v in values]
    packed = _bits(there)
    levels = _varint((len(packed) << 1) | 1) + packed if values else b""
    body = struct.pack("<I", len(levels)) + levels + _values([v for v in values if v is not None], kind)
    of_data = _struct({1: _i32(len(values)), 2: _i32(PLAIN), 3: _i32(RLE), 4: _i32(RLE)})
    header = _struct({1: _i32(DATA_PAGE), 2: _i32(len(body)), 3: _i32(len(body)), 5: of_data})
    return header.data + body


def _element(name: str, kind: int) -> _Typed:
    fields = {1: _i32(kind), 3: _i32(OPTIONAL), 4: _text(name)}
    return _struct(fields | ({6: _i32(UTF8)} if kind == BYTE_ARRAY else {}))


def parquet_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The file of a table; cells are None, bool, int, float or text. The same rows give the same bytes."""
    out = bytearray(MAGIC)
    schema = [_struct({4: _text("table"), 5: _i32(len(columns))})]
    chunks = []
    for name in columns:
        values = [row.get(name) for row in rows]
        kind = _kind_of(values)
        page, offset = _page(values, kind), len(out)
        out += page
        schema.append(_element(name, kind))
        about = _struct(
            {
                1: _i32(kind),
                2: _list([_i32(PLAIN), _i32(RLE)], I32),
                3: _list([_text(name)], BINARY),
                4: _i32(UNCOMPRESSED),
                5: _i64(len(rows)),
                6: _i64(len(page)),
                7: _i64(len(page)),
                9: _i64(offset),
            }
        )
        chunks.append(_struct({2: _i64(offset), 3: about}))
    group = _struct({1: _list(chunks, STRUCT), 2: _i64(len(out) - len(MAGIC)), 3: _i64(len(rows))})
    footer = _struct(
        {
            1: _i32(1),
            2: _list(schema, STRUCT),
            3: _i64(len(rows)),
            4: _list([group], STRUCT),
            6: _text("liverpair"),
        }
    ).data
    return bytes(out) + footer + struct.pack("<I", len(footer)) + MAGIC
