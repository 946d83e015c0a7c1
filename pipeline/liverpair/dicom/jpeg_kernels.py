"""Decode the entropy-coded part of a grey JPEG scan, bit by bit, compiled (ITU-T T.81, Annexes F and H)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BAD_CODE", "ENDED", "SURPLUS", "decode_blocks", "decode_lossless"]

#: What a kernel answers instead of the place where the scan ended.
ENDED: Final = -1
BAD_CODE: Final = -2
SURPLUS: Final = -3
#: Stuffing some encoders leave between the last sample and the end marker; more is a scan that lost its step.
TOLERATED_SURPLUS_BYTES: Final = 16
#: Bits the accumulator may hold: a code (16) and its extra bits (16) come from one filling.
FULL: Final = 40


@njit(cache=True, nogil=True)
def _filled(
    data: NDArray[np.uint8], state: NDArray[np.int64]
) -> None:  # state: next byte, accumulator, bits in it, bits made up after the end
    place, accumulator, bits, made_up = state[0], state[1], state[2], state[3]
    while bits <= FULL:
        byte = np.int64(0)
        if place < data.size and (data[place] != 0xFF or (place + 1 < data.size and data[place + 1] == 0)):
            byte = np.int64(data[place])
            place += 2 if byte == 0xFF else 1
        else:
            made_up += 8
        accumulator = (accumulator << 8) | byte
        bits += 8
    state[0], state[1], state[2], state[3] = place, accumulator, bits, made_up


@njit(cache=True, nogil=True)
def _take(state: NDArray[np.int64], count: int) -> int:
    """The next ``count`` bits; the accumulator must hold them."""
    state[2] -= count
    value = state[1] >> state[2]
    state[1] &= (np.int64(1) << state[2]) - 1
    return int(value)


@njit(cache=True, nogil=True)
def _symbol(data: NDArray[np.uint8], state: NDArray[np.int64], table: NDArray[np.int32]) -> int:
    """The next Huffman symbol; BAD_CODE where no code fits, ENDED after the last bit."""
    _filled(data, state)
    entry = table[(state[1] >> (state[2] - 16)) & 0xFFFF]
    if entry == 0:
        return BAD_CODE if state[2] - state[3] >= 16 else ENDED
    _take(state, entry >> 8)
    return int(entry & 0xFF)


@njit(cache=True, nogil=True)
def _extended(state: NDArray[np.int64], size: int) -> int:
    """A signed number of ``size`` bits (T.81 F.2.2.1, EXTEND)."""
    if size == 0:
        return 0
    value = _take(state, size)
    return value if value >> (size - 1) else value - (1 << size) + 1


@njit(cache=True, nogil=True)
def _restarted(data: NDArray[np.uint8], state: NDArray[np.int64], expected: int) -> bool:
    """Step over the restart marker RSTn; False where there is none."""
    place = state[0]
    while place < data.size and data[place] == 0xFF and place + 1 < data.size and data[place + 1] == 0xFF:
        place += 1
    if state[2] - state[3] >= 8 or place + 1 >= data.size:
        return False
    if data[place] != 0xFF or data[place + 1] != 0xD0 + expected:
        return False
    state[0], state[1], state[2], state[3] = place + 2, 0, 0, 0
    return True


@njit(cache=True, nogil=True)
def _ended(data: NDArray[np.uint8], state: NDArray[np.int64]) -> int:
    """Where the scan ended: right before a marker, or ENDED or SURPLUS."""
    if state[2] < state[3]:
        return ENDED
    surplus = (state[2] - state[3]) // 8
    place = state[0]
    while place + 1 < data.size and not (data[place] == 0xFF and data[place + 1] != 0):
        place += 1
        surplus += 1
    return int(place) if surplus <= TOLERATED_SURPLUS_BYTES else SURPLUS


@njit(cache=True, nogil=True)
def _prediction(values: NDArray[np.int32], row: int, column: int, first_row: int, kind: int, start: int) -> int:
    """The predicted sample (T.81 H.1.2.1); ``first_row`` is the row the scan or restart interval began in."""
    if row == first_row:
        return start if column == 0 else int(values[row, column - 1])
    above = int(values[row - 1, column])
    if column == 0:
        return above
    left, corner = int(values[row, column - 1]), int(values[row - 1, column - 1])
    if kind == 1:
        return left
    if kind == 2:
        return above
    if kind == 3:
        return corner
    if kind == 4:
        return left + above - corner
    if kind == 5:
        return left + ((above - corner) >> 1)
    if kind == 6:
        return above + ((left - corner) >> 1)
    return (left + above) >> 1


@njit(cache=True, nogil=True)
def decode_lossless(
    data: NDArray[np.uint8], table: NDArray[np.int32], kind: int, start: int, restart: int, values: NDArray[np.int32]
) -> int:
    """Fill ``values`` [row, column] from a lossless scan; the place where it ended in ``data``, or what is wrong.

    ``table`` maps 16 bits to (length << 8 | symbol), ``kind`` is the predictor 1 to 7, ``start`` the first
    prediction, ``restart`` the restart interval in samples (whole rows) or 0.
    """
    state = np.zeros(4, dtype=np.int64)
    first_row = 0
    for row in range(values.shape[0]):
        if restart and row and row * values.shape[1] % restart == 0:
            if not _restarted(data, state, (row * values.shape[1] // restart - 1) % 8):
                return ENDED
            first_row = row
        for column in range(values.shape[1]):
            size = _symbol(data, state, table)
            if size < 0:
                return size
            if size > 16:
                return BAD_CODE
            difference = 32768 if size == 16 else _extended(state, size)
            values[row, column] = (_prediction(values, row, column, first_row, kind, start) + difference) & 0xFFFF
        if state[2] < state[3]:
            return ENDED
    return _ended(data, state)


@njit(cache=True, nogil=True)
def _block(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    tables: NDArray[np.int32],
    zigzag: NDArray[np.int64],
    block: NDArray[np.int64],
) -> int:
    """One block's coefficients but for the DC prediction; a negative number where the codes are wrong."""
    block[:] = 0
    size = _symbol(data, state, tables[0])
    if size < 0 or size > 15:
        return min(size, BAD_CODE) if size > 15 else size
    block[0] = _extended(state, size)
    k = 1
    while k < 64:
        symbol = _symbol(data, state, tables[1])
        if symbol < 0:
            return symbol
        run, size = symbol >> 4, symbol & 15
        if size == 0:
            if run != 15:
                break
            k += 16
            continue
        k += run
        if k > 63:
            return BAD_CODE
        block[zigzag[k]] = _extended(state, size)
        k += 1
    return 0


@njit(cache=True, nogil=True)
def decode_blocks(
    data: NDArray[np.uint8],
    tables: NDArray[np.int32],
    zigzag: NDArray[np.int64],
    restart: int,
    blocks: NDArray[np.int64],
) -> int:
    """Fill ``blocks`` [block, 64] with the quantized coefficients of a sequential DCT scan, in natural order.

    ``tables`` holds the DC and the AC table like ``decode_lossless``; ``restart`` counts blocks. Answers like it.
    """
    state = np.zeros(4, dtype=np.int64)
    dc = 0
    for number in range(blocks.shape[0]):
        if restart and number and number % restart == 0:
            if not _restarted(data, state, (number // restart - 1) % 8):
                return ENDED
            dc = 0
        failed = _block(data, state, tables, zigzag, blocks[number])
        if failed:
            return failed
        dc += blocks[number, 0]
        blocks[number, 0] = dc
        if state[2] < state[3]:
            return ENDED
    return _ended(data, state)
