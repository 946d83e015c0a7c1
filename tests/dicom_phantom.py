"""Small DICOM objects with exactly known geometry and values, made in memory for the tests of the dicom room."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage

STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def make_slice(pixels: NDArray[Any], position: Sequence[float], number: int = 1, **attributes: Any) -> Dataset:
    """One classic image: ``pixels`` [row, column] of an integer type, everything else overridable by keyword."""
    modality = attributes.pop("Modality", "CT")
    dataset = Dataset()
    dataset.SOPClassUID = STORAGE[modality]
    dataset.StudyInstanceUID = "1.2.3.1"
    dataset.SeriesInstanceUID = "1.2.3.1.1"
    dataset.SOPInstanceUID = f"1.2.3.1.1.{number}"
    dataset.FrameOfReferenceUID = "1.2.3.9"
    dataset.PatientID = "P1"
    dataset.Modality = modality
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number
    dataset.SeriesDescription = "phantom"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient = [float(value) for value in position]
    dataset.ImageOrientationPatient = list(AXIAL)
    dataset.PixelSpacing = [2.0, 1.5]
    dataset.SliceThickness = 7.0
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope, dataset.RescaleIntercept = 1.0, 0.0
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def as_bytes(dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, preamble: bool = True) -> bytes:
    """The object as a file's content, with preamble and meta information unless told otherwise."""
    stream = io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    if preamble:
        dataset.save_as(stream, enforce_file_format=True)
    else:
        del dataset.file_meta
        dataset.save_as(stream, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return stream.getvalue()


def write(dataset: Dataset, path: Path, **options: Any) -> Path:
    """Write the object to ``path``; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(dataset, **options))
    return path


def numbered_pixels(k: int, rows: int = 4, columns: int = 5) -> NDArray[np.int16]:
    """Pixels [row, column] that say where they are: 100·k + 10·row + column."""
    row, column = np.mgrid[:rows, :columns]
    return np.asarray(100 * k + 10 * row + column, dtype=np.int16)


def axial_slices(n: int, step: float = 5.0, first: int = 1, **attributes: Any) -> list[Dataset]:
    """``n`` axial slices of ``numbered_pixels``, ``step`` mm apart, numbered from ``first``."""
    return [make_slice(numbered_pixels(k), (-10.0, -20.0, 30.0 + k * step), first + k, **attributes) for k in range(n)]


def write_all(datasets: Sequence[Dataset], folder: Path) -> Path:
    """Write objects under names that tell nothing of their order."""
    for number, dataset in enumerate(datasets):
        write(dataset, folder / f"{(number * 7919) % 10007:05d}")
    return folder
