"""Decode the pixels of one object, whatever its transfer syntax."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from liverpair.core.errors import Refusal
from liverpair.dicom.gdcm_decoder import GDCM_SYNTAXES, decode_with_gdcm

__all__ = ["decode"]

#: What to install where pydicom finds no decoder (all of it comes with liverpair).
DECODERS: Final = {
    JPEGBaseline8Bit: "pillow",
    JPEG2000Lossless: "pylibjpeg-openjpeg",
    JPEG2000: "pylibjpeg-openjpeg",
    RLELossless: "pylibjpeg-rle",
}
JPEG_LS: Final = (JPEGLSLossless, JPEGLSNearLossless)
#: How CharLS 2 refuses the streams of older encoders, which GDCM's CharLS reads.
OLD_JPEG_LS: Final = "leading start byte"
PIXEL_KEYWORDS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def _with_syntax(dataset: Dataset) -> None:
    """Say the transfer syntax of a file that was stored without meta information, as it was read."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _refuse_unmeasurable(dataset: Dataset) -> None:
    """Refuse what has no pixels, or pixels that are no measured values."""
    if not any(word in dataset for word in PIXEL_KEYWORDS):
        raise Refusal("no_pixels", "the object holds a header but no pixels; export the images too")
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise Refusal("colour_image", "a colour picture (screenshot or fusion) has no measurable values")
    if dataset.get("ModalityLUTSequence"):
        raise Refusal("modality_lut", "values are defined by a look-up table, which is not applied here")


def decode(dataset: Dataset) -> NDArray[Any]:
    """Stored pixel values [frame, row, column] of a grey-level object, in the stored integer (or float) type.

    Raises Refusal: no_pixels, colour_image, modality_lut, no_decoder, undecodable_pixels.
    """
    try:
        _refuse_unmeasurable(dataset)
        _with_syntax(dataset)
        pixels = np.asarray(dataset.pixel_array)
    except (KeyboardInterrupt, SystemExit, Refusal):
        raise
    except BaseException as error:  # damaged bytes raise anything; the Rust decoder's panic is no Exception
        if _gdcm_may_know(dataset, error):
            return decode_with_gdcm(dataset)
        raise _decoding_refusal(dataset, error) from error
    return pixels[None] if pixels.ndim == 2 else pixels


def _gdcm_may_know(dataset: Dataset, error: BaseException) -> bool:
    """Whether GDCM can decode what pydicom's decoders cannot; asked sparingly, for damage keeps it busy for long."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    return syntax in GDCM_SYNTAXES or (syntax in JPEG_LS and OLD_JPEG_LS in str(error))


def _decoding_refusal(dataset: Dataset, error: BaseException) -> Refusal:
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    name = getattr(syntax, "name", "an unknown transfer syntax")
    text = str(error).lower()
    unknown = isinstance(error, NotImplementedError) and "transfer syntax" in text
    if unknown or "missing dependencies" in text or "no pixel data decoders" in text:
        package = DECODERS.get(syntax) if syntax is not None else None
        advice = f"pip install {package}" if package else "have the archive send it in another transfer syntax"
        return Refusal("no_decoder", f"no decoder is installed for {name}; {advice}")
    return Refusal(
        "undecodable_pixels",
        f"the pixels ({name}) cannot be decoded ({type(error).__name__}); export it again",
    )
