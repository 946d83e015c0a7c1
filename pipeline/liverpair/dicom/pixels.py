"""Decode the pixels of one object, whatever its transfer syntax, checked against the bytes that are really there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from liverpair.core.errors import Refusal
from liverpair.dicom.codestream import announced, ends_early
from liverpair.dicom.jpeg import decode_jpeg

__all__ = ["LOSSY_SYNTAXES", "decode"]

NATIVE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
#: Decoded here, sample by sample, since libjpeg takes any damage for an image and GDCM broods over it for long.
OWN_JPEG: Final = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
JPEG_LS: Final = (JPEGLSLossless, JPEGLSNearLossless)
JPEG_2000: Final = (JPEG2000Lossless, JPEG2000, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
#: pydicom's plugin for every other syntax: always the same, so that what else is installed changes no value.
PLUGINS: Final = {
    RLELossless: "pylibjpeg",
    **dict.fromkeys(JPEG_LS, "pyjpegls"),
    **dict.fromkeys(JPEG_2000, "pylibjpeg"),
}
#: Syntaxes that change values for certain; JPEG 2000 and HTJ2K of the general kind may or may not.
LOSSY_SYNTAXES: Final = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
PIXEL_BITS: Final = {"PixelData": (1, 8, 16, 32), "FloatPixelData": (32,), "DoubleFloatPixelData": (64,)}
#: Padding after uncompressed pixels: some writers fill up a sector. More, or anything but zeros, is another image size.
PADDING_BYTES: Final = 512
#: No codec packs a real image tighter (a blank JPEG 2000 frame comes to 3500:1) ...
MAX_RATIO: Final = 4096
#: ... and below this size it does not matter.
ALWAYS_ALLOWED_BYTES: Final = 64 * 2**20
#: How CharLS 2 refuses a stuffing byte before the end marker, which old encoders wrote.
STUFFED_JPEG_LS: Final = "leading start byte"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the header says the pixels lie: frames of rows × columns, ``bits`` allocated each."""

    keyword: str
    frames: int
    rows: int
    columns: int
    bits: int
    signed: bool

    @property
    def size(self) -> int:
        """Bytes of all frames, uncompressed."""
        return (self.frames * self.rows * self.columns * self.bits + 7) // 8


def _with_syntax(dataset: Dataset) -> UID:
    """The transfer syntax; of a file stored without meta information, as it was read."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None or not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return UID(dataset.file_meta.TransferSyntaxUID)


def _refuse_unmeasurable(dataset: Dataset) -> str:
    """The keyword of the pixels; refused where there are none, or where they are no measured values."""
    keywords = [word for word in PIXEL_BITS if word in dataset]
    if not keywords or not dataset[keywords[0]].value:
        raise Refusal("no_pixels", "the object holds a header but no pixels; export the images too")
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise Refusal("colour_image", "a colour picture (screenshot or fusion) has no measurable values")
    if str(dataset.get("PhotometricInterpretation") or "MONOCHROME2") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refusal("colour_image", "the pixels are colours or numbers of colours, not measured values")
    if dataset.get("ModalityLUTSequence"):
        raise Refusal("modality_lut", "values are defined by a look-up table, which is not applied here")
    return keywords[0]


def _whole(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = dataset.get(keyword)
    try:
        return int(default if value is None and default is not None else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refusal("bad_pixels", f"{keyword} is absent or no number; export the image again") from error


def _layout(dataset: Dataset, keyword: str) -> Layout:
    floating = keyword != "PixelData"
    layout = Layout(
        keyword,
        _whole(dataset, "NumberOfFrames", 1),
        _whole(dataset, "Rows"),
        _whole(dataset, "Columns"),
        PIXEL_BITS[keyword][0] if floating else _whole(dataset, "BitsAllocated"),
        not floating and _whole(dataset, "PixelRepresentation", 0) == 1,
    )
    stored = layout.bits if floating else _whole(dataset, "BitsStored", layout.bits)
    if min(layout.frames, layout.rows, layout.columns) < 1 or layout.bits not in PIXEL_BITS[keyword]:
        raise Refusal(
            "bad_pixels",
            f"{layout.frames} frames of {layout.rows} × {layout.columns} pixels of {layout.bits} bits cannot be; "
            "export the image again",
        )
    if not 1 <= stored <= layout.bits:
        raise Refusal("bad_pixels", f"{stored} of {layout.bits} bits cannot be stored; export the image again")
    return layout


def _refuse_other_size(layout: Layout, content: bytes) -> None:
    """Refuse uncompressed pixels that are fewer or more than the header says, before anything is allocated."""
    surplus = len(content) - layout.size
    least = layout.bits * min(layout.rows, layout.columns) // 8
    padding = surplus <= 1 or surplus < least or (surplus <= PADDING_BYTES and not any(content[layout.size :]))
    if surplus < 0 or not padding:
        raise Refusal(
            "bad_pixels",
            f"{len(content)} bytes of pixels where Rows, Columns, Bits Allocated and Number of Frames make "
            f"{layout.size}; export the image again",
        )


def _compressed_frames(dataset: Dataset, layout: Layout) -> list[bytes]:
    """The compressed frames, each of the size the header says."""
    content = dataset[layout.keyword].value
    if layout.size > max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * len(content)):
        raise Refusal("bad_pixels", f"{layout.size} bytes of image cannot come from {len(content)} compressed ones")
    if layout.frames > len(content) // 8:
        raise Refusal("bad_pixels", f"{layout.frames} frames cannot lie in {len(content)} bytes")
    frames = list(generate_frames(content, number_of_frames=layout.frames, extended_offsets=_offsets(dataset)))
    if len(frames) != layout.frames:
        raise Refusal("bad_pixels", f"{len(frames)} compressed frames where the header says {layout.frames}")
    return frames


def _offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    table, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return (table, lengths) if table and lengths else None


def _refuse_other_stream(layout: Layout, frame: bytes) -> None:
    """Refuse a stream whose own header gives another size than the object's, or that was cut."""
    found = announced(frame)
    if found is None or found[:2] != (layout.rows, layout.columns) or found[2] > layout.bits:
        what = "nothing that can be read" if found is None else f"{found[0]} × {found[1]} pixels of {found[2]} bits"
        said = f"{layout.rows} × {layout.columns} of {layout.bits}"
        raise Refusal("bad_pixels", f"a compressed frame holds {what} where the header says {said}")
    if ends_early(frame):
        raise Refusal("undecodable_pixels", "a compressed frame ends before its image does; export it again")


def _own_jpeg(layout: Layout, frames: list[bytes]) -> Iterator[NDArray[Any]]:
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{layout.bits // 8}")
    for frame in frames:
        values = decode_jpeg(frame, layout.rows, layout.columns, layout.bits, signed=layout.signed)
        yield values.astype(kind)


def _plugin(dataset: Dataset, syntax: UID) -> Iterator[NDArray[Any]]:
    """Frames by pydicom's decoder."""
    decoder = get_decoder(syntax)
    return (np.asarray(values) for values, _ in decoder.iter_array(dataset, decoding_plugin=PLUGINS[syntax], raw=True))


def _without_stuffing(dataset: Dataset, frames: list[bytes]) -> Dataset:
    """The object with the stuffing byte before each JPEG-LS end marker taken out."""
    mended = Dataset()
    mended.update(dataset)
    mended.file_meta = dataset.file_meta
    mended.set_original_encoding(*dataset.original_encoding)
    ends = [frame.rstrip(b"\0").removesuffix(b"\xff\xd9") for frame in frames]
    mended.PixelData = encapsulate([end.removesuffix(b"\0") + b"\xff\xd9" for end in ends])
    return mended


def _gathered(layout: Layout, frames: Iterator[NDArray[Any]]) -> NDArray[Any]:
    """All frames in one array, which grows no faster than the frames are decoded."""
    values: NDArray[Any] | None = None
    count = 0
    for frame in frames:
        if frame.shape != (layout.rows, layout.columns) or count == layout.frames:
            raise Refusal("bad_pixels", "the decoded pixels do not fit Rows, Columns and Number of Frames")
        if values is None:
            values = np.empty((layout.frames, *frame.shape), frame.dtype)
        values[count] = frame
        count += 1
    if values is None or count != layout.frames:
        raise Refusal("bad_pixels", f"{count} frames were decoded where the header says {layout.frames}")
    return values


def _decompressed(dataset: Dataset, layout: Layout, syntax: UID) -> NDArray[Any]:
    frames = _compressed_frames(dataset, layout)
    if syntax != RLELossless:
        for frame in frames:
            _refuse_other_stream(layout, frame)
    if syntax in OWN_JPEG:
        return _gathered(layout, _own_jpeg(layout, frames))
    try:
        return _gathered(layout, _plugin(dataset, syntax))
    except Exception as error:
        if syntax in JPEG_LS and STUFFED_JPEG_LS in str(error):
            return _gathered(layout, _plugin(_without_stuffing(dataset, frames), syntax))
        raise


def _decoded(dataset: Dataset) -> NDArray[Any]:
    keyword = _refuse_unmeasurable(dataset)
    syntax = _with_syntax(dataset)
    layout = _layout(dataset, keyword)
    if syntax in OWN_JPEG or syntax in PLUGINS:
        return _decompressed(dataset, layout, syntax)
    if syntax not in NATIVE:
        raise Refusal(
            "no_decoder",
            f"no decoder is known for {syntax.name or 'an empty transfer syntax'}; "
            "have the archive send it in another transfer syntax",
        )
    _refuse_other_size(layout, dataset[keyword].value)
    pixels = np.asarray(dataset.pixel_array)
    return pixels.reshape(layout.frames, layout.rows, layout.columns)


def decode(dataset: Dataset) -> NDArray[Any]:
    """Stored pixel values [frame, row, column] of a grey-level object, in the stored integer (or float) type.

    The header's Rows, Columns, Bits Allocated and Number of Frames must agree with the bytes that are there
    (uncompressed: to the byte; compressed: with each frame's own header) before memory is taken for them. Raises
    Refusal: no_pixels, bad_pixels, colour_image, modality_lut, no_decoder, undecodable_pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values, a patient's among them
            return _decoded(dataset)
    except (KeyboardInterrupt, SystemExit, Refusal):
        raise
    except BaseException as error:  # damaged bytes raise anything; the Rust decoder's panic is no Exception
        raise Refusal(
            "undecodable_pixels",
            f"the pixels cannot be decoded ({type(error).__name__}); export the image again",
        ) from error
