"""Making DICOM objects: deterministic UIDs, patient and study attributes, files with nobody's names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from liverpair.core.geometry import Grid

__all__ = [
    "Equipment",
    "Examination",
    "FileNames",
    "base_dataset",
    "code",
    "ds",
    "place_slice",
    "save",
    "set_pixels",
    "uid",
]

#: Root of the simulator's implementation UID (a UUID-derived OID, PS3.5 B.2).
IMPLEMENTATION_UID = UID("2.25.127830469920462019342834957612540119")


def uid(*parts: object) -> str:
    """A UID that depends on nothing but ``parts`` (PS3.5 B.2 form)."""
    digest = hashlib.sha256("|".join(str(p) for p in parts).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') | (1 << 100)}"


def ds(value: float) -> DSfloat:
    """A decimal string of at most 16 characters."""
    return DSfloat(float(value), auto_format=True)


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@dataclass(frozen=True, slots=True)
class Equipment:
    """Who made the scanner, and the transfer syntax its console exports."""

    manufacturer: str
    model: str
    implicit_vr: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """The patient and study attributes that every object of one examination shares.

    Weight (kg) and size (m) are None where the header lacks them; ``key`` seeds its UIDs.
    """

    key: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    weight_kg: float | None
    size_m: float | None
    start: datetime
    accession: str
    description: str
    equipment: Equipment

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return uid(self.key, "study")

    @property
    def frame_uid(self) -> str:
        """Frame of Reference UID of the examination."""
        return uid(self.key, "frame")


class FileNames:
    """Hands out paths like a careless archive does: nested folders and names that say nothing."""

    def __init__(self, root: Path, rng: np.random.Generator, extension: str = "") -> None:
        self.root = root
        self.rng = rng
        self.extension = extension
        self.used: set[str] = set()
        self.folders: dict[str, Path] = {}

    def next(self, series_key: str) -> Path:
        """A new path for an instance of a series."""
        if series_key not in self.folders:
            folder = self.root / f"{self.rng.integers(0, 16**4):04X}" / f"{self.rng.integers(0, 16**6):06x}"
            folder.mkdir(parents=True, exist_ok=True)
            self.folders[series_key] = folder
        while True:
            name = f"I{self.rng.integers(0, 10**7):07d}{self.extension}"
            if name not in self.used:
                self.used.add(name)
                return self.folders[series_key] / name


def base_dataset(
    exam: Examination,
    sop_class: str,
    modality: str,
    series: str,
    number: int,
    description: str,
    when: datetime,
) -> Dataset:
    """A dataset with the attributes common to a series; ``series`` names it within the examination."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID = sop_class
    data.PatientName, data.PatientID = exam.patient_name, exam.patient_id
    data.PatientBirthDate, data.PatientSex = exam.birth_date, exam.sex
    if exam.weight_kg is not None:
        data.PatientWeight = ds(exam.weight_kg)
    if exam.size_m is not None:
        data.PatientSize = ds(exam.size_m)
    data.StudyInstanceUID, data.StudyID = exam.study_uid, "1"
    data.StudyDate, data.StudyTime = exam.start.strftime("%Y%m%d"), exam.start.strftime("%H%M%S")
    data.StudyDescription, data.AccessionNumber = exam.description, exam.accession
    data.ReferringPhysicianName = ""
    data.SeriesInstanceUID = uid(exam.key, series)
    data.SeriesNumber, data.Modality, data.SeriesDescription = number, modality, description
    data.SeriesDate, data.SeriesTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    data.Manufacturer, data.ManufacturerModelName = exam.equipment.manufacturer, exam.equipment.model
    data.InstitutionName = "liverpair simulator"
    return data


def place_slice(data: Dataset, grid: Grid, k: int, frame_uid: str) -> None:
    """Image plane attributes of slice ``k`` of a grid (PS3.3 C.7.6.2)."""
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = frame_uid, ""
    data.PatientPosition = "HFS"
    direction = grid.direction
    data.ImageOrientationPatient = [ds(v) for v in (*direction[:, 0], *direction[:, 1])]
    position = grid.to_world((0, 0, k))
    data.ImagePositionPatient = [ds(v) for v in position]
    data.PixelSpacing = [ds(grid.spacing[1]), ds(grid.spacing[0])]
    data.SliceLocation = ds(float(position @ direction[:, 2]))


def set_pixels(data: Dataset, plane: NDArray[np.generic], signed: bool, bits_stored: int = 16) -> None:
    """Pixel attributes of one monochrome slice, ``plane`` [row, column] of integers that fit 16 bits."""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = int(plane.shape[0]), int(plane.shape[1])
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits_stored, bits_stored - 1
    data.PixelRepresentation = int(signed)
    data.PixelData = np.ascontiguousarray(plane, dtype="<i2" if signed else "<u2").tobytes()


def save(data: Dataset, path: Path, instance_key: Sequence[Any], implicit_vr: bool = False) -> str:
    """Write an object with its file meta information; returns its SOP Instance UID."""
    identifier = UID(uid(*instance_key))
    data.SOPInstanceUID = identifier
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit_vr else ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, "LIVERPAIR_SIM"
    data.file_meta = meta
    data.save_as(path, enforce_file_format=True)
    return str(identifier)
