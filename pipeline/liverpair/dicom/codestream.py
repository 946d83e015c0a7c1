"""What a compressed frame says of itself before it is decoded: its size, and whether its end is there."""

from __future__ import annotations

from typing import Final

__all__ = ["announced", "ends_early"]

#: Start of frame in JPEG (T.81 table B.1, without DHT C4, JPG C8 and DAC CC) and JPEG-LS (T.87: F7).
STARTS_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
#: JPEG markers that stand alone, without a length.
ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
JPEG_START: Final = b"\xff\xd8\xff"
#: JPEG 2000 SOC and SIZ; a file-format box may come before (T.800 Annexes A and I).
J2K_START: Final = b"\xff\x4f\xff\x51"
#: Boxes before a JPEG 2000 codestream are a few hundred bytes.
BOXES: Final = 4096
TILE_PART: Final = b"\xff\x90"
J2K_END: Final = b"\xff\xd9"


def _number(frame: bytes, start: int, width: int) -> int:
    return int.from_bytes(frame[start : start + width], "big")


def _jpeg(frame: bytes) -> tuple[int, int, int] | None:
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF or marker in ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in STARTS_OF_FRAME:
            return _number(frame, place + 5, 2), _number(frame, place + 7, 2), frame[place + 4]
        place += 2 + max(2, _number(frame, place + 2, 2))
    return None


def announced(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, bits) a JPEG, JPEG-LS or JPEG 2000 stream says it holds; None where it says nothing."""
    if frame[:3] == JPEG_START:
        return _jpeg(frame)
    start = frame.find(J2K_START, 0, BOXES)
    if start < 0 or len(frame) < start + 43:
        return None
    width, height, left, top = (_number(frame, start + place, 4) for place in (8, 12, 16, 20))
    return height - top, width - left, (frame[start + 42] & 0x7F) + 1


def ends_early(frame: bytes) -> bool:
    """Whether a JPEG 2000 stream is shorter than its tile-parts say (decoders fill it up without a word)."""
    start = frame.find(J2K_START, 0, BOXES)
    place, tiles = start + 2, 0
    while start >= 0 and place <= len(frame) - 4 and frame[place] == 0xFF:
        length = _number(frame, place + 2, 2)
        if frame[place : place + 2] == J2K_END:
            return False
        if frame[place : place + 2] == TILE_PART:
            # Psot counts from the marker; 0 says that the tile-part goes on to the end (T.800 A.4.2).
            length = _number(frame, place + 6, 4)
            if place + 12 > len(frame):
                return True
            if length == 0:
                return False
            place, tiles = place + max(length, 12), tiles + 1
        else:
            place += 2 + length
    rest = frame[place:].rstrip(b"\0")
    return start >= 0 and (not tiles or place > len(frame) or (0 < len(rest) < 4 and rest[:2] != J2K_END))
