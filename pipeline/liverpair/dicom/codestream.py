"""What a compressed frame says of itself before it is decoded: its size, and whether its end is there."""

from __future__ import annotations

from typing import Final

__all__ = ["announced_size", "ends_early"]

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


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF or marker in ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in STARTS_OF_FRAME:
            return int.from_bytes(frame[place + 5 : place + 7], "big"), int.from_bytes(
                frame[place + 7 : place + 9], "big"
            )
        place += 2 + max(2, int.from_bytes(frame[place + 2 : place + 4], "big"))
    return None


def _numbers(frame: bytes, start: int, count: int) -> list[int]:
    return [int.from_bytes(frame[start + 4 * n : start + 4 * n + 4], "big") for n in range(count)]


def announced_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) a JPEG, JPEG-LS or JPEG 2000 stream says it holds; None where it says nothing."""
    if frame[:3] == JPEG_START:
        return _jpeg_size(frame)
    start = frame.find(J2K_START, 0, BOXES)
    if start < 0 or len(frame) < start + 40:
        return None
    width, height, left, top = _numbers(frame, start + 8, 4)
    return height - top, width - left


def ends_early(frame: bytes) -> bool:
    """Whether a JPEG 2000 stream is shorter than its tile-parts say (decoders fill it up without a word)."""
    place = frame.find(J2K_START, 0, BOXES) + 2
    while 2 <= place <= len(frame) - 4 and frame[place] == 0xFF:
        length = int.from_bytes(frame[place + 2 : place + 4], "big")
        if frame[place : place + 2] == J2K_END:
            return False
        if frame[place : place + 2] == TILE_PART:
            # Psot counts from the marker; 0 says that the tile-part goes on to the end (T.800 A.4.2).
            length = int.from_bytes(frame[place + 6 : place + 10], "big")
            if length == 0:
                return False
            place += max(length, 12)
        else:
            place += 2 + length
    return place > len(frame)
