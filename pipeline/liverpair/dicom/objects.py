"""Read one whole object from a stream, however its bytes lie: never more memory than the file holds."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import BinaryIO, Final

import pydicom
from pydicom.dataset import Dataset

from liverpair.core.errors import Refusal

__all__ = ["read_object"]

#: Deflated Explicit VR Little Endian, as it stands in the file meta information.
DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
#: File meta information ends well before this.
META_BYTES: Final = 4096
#: DEFLATE of real images stays far below the first; below the second a blank image may pack tighter.
MAX_RATIO: Final = 200
ALWAYS_ALLOWED_BYTES: Final = 64 * 2**20
STEP_BYTES: Final = 1 << 20


def _refuse_deflate_bomb(content: bytes) -> None:
    """Refuse a deflated data set that unpacks to far more than any image does, without unpacking it whole."""
    if DEFLATED not in content[:META_BYTES] or content[128:132] != b"DICM":
        return
    # (0002,0000) says how long the meta information is that follows it (PS3.10 §7.1).
    start = 144 + int.from_bytes(content[140:144], "little")
    limit = max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(content))
    inflater, rest, total = zlib.decompressobj(-zlib.MAX_WBITS), content[start:], 0
    while rest:
        total += len(inflater.decompress(rest, STEP_BYTES))
        rest = inflater.unconsumed_tail
        if total > limit:
            raise Refusal("archive_bomb", f"{len(content)} bytes unpack to more than {limit}; it is not read")


def read_object(stream: BinaryIO, *, pixels: bool = True) -> Dataset:
    """The data set in ``stream`` (at its start), with its pixels, still encoded, unless told otherwise.

    The file is taken into memory first: a length that points far beyond its end then asks for nothing. Raises
    Refusal("unreadable_file"), ("archive_bomb").
    """
    content = stream.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _refuse_deflate_bomb(content)
            return pydicom.dcmread(io.BytesIO(content), stop_before_pixels=not pixels, force=True)
        except Refusal:
            raise
        except Exception as error:  # pydicom raises whatever damaged bytes provoke, nesting without end included
            raise Refusal(
                "unreadable_file", f"an object cannot be read ({type(error).__name__}); export it again"
            ) from error
