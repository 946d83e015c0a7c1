"""Bytes of a text file to text, whichever program wrote it."""

from __future__ import annotations

import codecs

__all__ = ["decode_text"]


def decode_text(data: bytes) -> str:
    """Text of UTF-8, UTF-16 (with mark, or told by its zero bytes) or Windows-1252 bytes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    start = data[:400]
    if len(start) > 1 and start.count(0) > len(start) // 4:
        # Every other byte of Latin text in UTF-16 is zero; which one tells the order.
        return data.decode("utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Excel in German Windows; its five undefined bytes become the replacement character.
        return data.decode("cp1252", errors="replace")
