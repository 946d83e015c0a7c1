"""Blank the times that HDF5 writes into its object headers: the same transform must give the same bytes.

HDF5 file format, IV.A.1.b: a version 2 object header is "OHDR", version, flags, four times where bit 5 of the flags is
set, attribute limits where bit 4 is, the size of the messages, the messages, and a checksum (Jenkins' lookup3).
"""

from __future__ import annotations

__all__ = ["lookup3", "without_times"]

SIGNATURE = b"OHDR\x02"
HAS_TIMES, HAS_LIMITS = 0x20, 0x10
WORD = 0xFFFFFFFF


def _rotated(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for k in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & WORD) ^ _rotated(c, k)
        c = (c + b) & WORD
        a, b, c = b, c, a
    return a, b, c


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hashlittle with an initial value of 0, as HDF5 uses it for its metadata."""
    a = b = c = (0xDEADBEEF + len(data)) & WORD
    while len(data) > 12:
        a, b, c = ((x + int.from_bytes(data[n : n + 4], "little")) & WORD for x, n in ((a, 0), (b, 4), (c, 8)))
        a, b, c = _mixed(a, b, c)
        data = data[12:]
    if not data:
        return c
    data = data.ljust(12, b"\0")
    a, b, c = ((x + int.from_bytes(data[n : n + 4], "little")) & WORD for x, n in ((a, 0), (b, 4), (c, 8)))
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotated(b, k)) & WORD
        a, b, c = b, c, a
    return b


def without_times(content: bytes) -> bytes:
    """The file with every object header's times set to 0 and its checksum made right again."""
    out = bytearray(content)
    at = content.find(SIGNATURE)
    while at >= 0:
        flags = content[at + 5]
        if flags & HAS_TIMES:
            size_at = at + 22 + (4 if flags & HAS_LIMITS else 0)
            width = 1 << (flags & 3)
            end = size_at + width + int.from_bytes(content[size_at : size_at + width], "little")
            if int.from_bytes(content[end : end + 4], "little") == lookup3(content[at:end]):  # else no header
                out[at + 6 : at + 22] = bytes(16)
                out[end : end + 4] = lookup3(bytes(out[at:end])).to_bytes(4, "little")
        at = content.find(SIGNATURE, at + 1)
    return bytes(out)
