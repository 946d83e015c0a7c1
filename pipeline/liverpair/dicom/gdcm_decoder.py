"""Decode JPEG processes that pydicom's decoders leave out, with the GDCM that SimpleITK carries."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)
from pydicom.uid import (
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage as SecondaryCapture,
)

from liverpair.core.errors import Refusal

__all__ = ["GDCM_SYNTAXES", "decode_with_gdcm"]

#: JPEG Lossless and 12-bit JPEG have no other decoder among our dependencies.
GDCM_SYNTAXES: Final = (JPEGLossless, JPEGLosslessSV1, JPEGExtended12Bit)
IMAGE_PIXEL: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)


def _bare(dataset: Dataset) -> Dataset:
    """An object with the same pixels and nothing else: no rescale, no patient."""
    bare = Dataset()
    bare.SOPClassUID = SecondaryCapture
    bare.SOPInstanceUID = bare.StudyInstanceUID = bare.SeriesInstanceUID = "2.25.1"
    bare.Modality = "OT"
    for keyword in IMAGE_PIXEL:
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    return bare


def decode_with_gdcm(dataset: Dataset) -> NDArray[Any]:
    """Stored pixel values [frame, row, column] of a compressed grey-level object.

    The pixels go through a file in the system's temporary folder, which GDCM insists on. Raises
    Refusal("undecodable_pixels").
    """
    with tempfile.TemporaryDirectory(prefix="liverpair-") as folder:
        path = Path(folder) / "pixels.dcm"
        try:
            _bare(dataset).save_as(path, enforce_file_format=True)
            reader = SimpleITK.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(str(path))
            pixels = np.asarray(SimpleITK.GetArrayFromImage(reader.Execute()))
        except Exception as error:  # ITK raises RuntimeError, pydicom whatever damaged bytes provoke
            raise Refusal(
                "undecodable_pixels",
                f"the pixels cannot be decoded ({type(error).__name__}); export it again",
            ) from error
    return pixels[None] if pixels.ndim == 2 else pixels
