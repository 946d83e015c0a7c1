"""What else lies in an archive: localizers, a MIP, a dose report, junk, a truncated object, a duplicate."""

from __future__ import annotations

import shutil
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.simulate.mr_dicom import MR_STORAGE
from liverpair.simulate.objects import (
    Examination,
    FileNames,
    base_dataset,
    code,
    ds,
    place_slice,
    save,
    set_pixels,
)
from liverpair.simulate.pet_dicom import CT_STORAGE

__all__ = [
    "write_ct_localizer",
    "write_dose_report",
    "write_junk",
    "write_mip",
    "write_mr_localizer",
    "write_truncated",
    "zip_folder",
]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RADIATION_DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
LOCALIZER_PIXELS = 128
LOCALIZER_STEP_MM = 2.8
#: Members of a ZIP carry this time, so that the same seed gives the same bytes.
FILE_DATE = (2021, 6, 30, 12, 0, 0)


def write_mr_localizer(exam: Examination, image: Volume, names: FileNames) -> str:
    """Three orthogonal slices through the middle of ``image`` in one series."""
    data = base_dataset(exam, MR_STORAGE, "MR", "localizer", 1, "localizer", exam.start)
    data.ImageType, data.ScanningSequence, data.SequenceVariant = ["ORIGINAL", "PRIMARY", "M"], "GR", "SP"
    data.RepetitionTime, data.EchoTime, data.SliceThickness = ds(7.0), ds(3.2), ds(6.0)
    data.MRAcquisitionType, data.ScanOptions = "2D", ""
    centre = image.grid.to_world((np.asarray(image.grid.shape) - 1) / 2)
    planes = (
        (np.array([1.0, 0, 0]), np.array([0, 1.0, 0])),
        (np.array([1.0, 0, 0]), np.array([0, 0, -1.0])),
        (np.array([0, 1.0, 0]), np.array([0, 0, -1.0])),
    )
    for n, (row, column) in enumerate(planes):
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack([row, column, np.cross(row, column)]) * [
            LOCALIZER_STEP_MM,
            LOCALIZER_STEP_MM,
            6.0,
        ]
        affine[:3, 3] = centre - affine[:3, :2] @ np.full(2, (LOCALIZER_PIXELS - 1) / 2)
        grid = Grid((LOCALIZER_PIXELS, LOCALIZER_PIXELS, 1), affine)
        index = np.stack(np.meshgrid(*[np.arange(s) for s in grid.shape], indexing="ij"), axis=-1)
        points = image.grid.to_index(grid.to_world(index[:, :, 0]))
        plane = ndimage.map_coordinates(image.values, np.moveaxis(points, -1, 0), order=1, cval=0.0)
        place_slice(data, grid, 0, exam.frame_uid)
        data.InstanceNumber = n + 1
        set_pixels(data, np.clip(plane.T, 0, 4095).astype(np.uint16), signed=False, bits_stored=12)
        save(data, names.next("localizer"), (exam.key, "localizer", n), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_ct_localizer(exam: Examination, ct: Volume, names: FileNames) -> str:
    """A coronal topogram: the CT's mean along the back-front direction."""
    data = base_dataset(exam, CT_STORAGE, "CT", "topogram", 1, "Topogram 0.6 T20s", exam.start)
    data.ImageType, data.KVP, data.SliceThickness = ["ORIGINAL", "PRIMARY", "LOCALIZER"], ds(120), ds(0.6)
    plane = ct.values.mean(axis=1)[:, ::-1].T
    spacing = ct.grid.spacing
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([[spacing[0], 0, 0], [0, 0, -spacing[2]], [0, 1.0, 0]])
    affine[:3, 3] = ct.grid.to_world((0, ct.grid.shape[1] // 2, ct.grid.shape[2] - 1))
    place_slice(data, Grid((plane.shape[1], plane.shape[0], 1), affine), 0, exam.frame_uid)
    data.InstanceNumber, data.RescaleIntercept, data.RescaleSlope = 1, ds(-1024), ds(1)
    set_pixels(data, np.clip(plane + 1024, 0, 4095).astype(np.uint16), signed=False, bits_stored=12)
    save(data, names.next("topogram"), (exam.key, "topogram", 0), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_mip(exam: Examination, suv: Volume, names: FileNames) -> str:
    """A maximum intensity projection as a secondary capture, with annotation burned in."""
    data = base_dataset(exam, SECONDARY_CAPTURE, "PT", "mip", 900, "MIP", exam.start + timedelta(minutes=40))
    data.ImageType, data.ConversionType = ["DERIVED", "SECONDARY", "MIP"], "WSD"
    data.BurnedInAnnotation, data.InstanceNumber = "YES", 1
    plane = suv.values.max(axis=1)[:, ::-1].T
    set_pixels(data, np.clip(4095 * (1 - plane / 15.0), 0, 4095).astype(np.uint16), signed=False, bits_stored=12)
    save(data, names.next("mip"), (exam.key, "mip", 0), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_dose_report(exam: Examination, names: FileNames) -> str:
    """A CT radiation dose structured report with one measured value."""
    data = base_dataset(exam, RADIATION_DOSE_SR, "SR", "dose", 990, "Dose Report", exam.start)
    data.InstanceNumber, data.CompletionFlag, data.VerificationFlag = 1, "COMPLETE", "UNVERIFIED"
    data.ContentDate, data.ContentTime = data.SeriesDate, data.SeriesTime
    data.ValueType, data.ContinuityOfContent = "CONTAINER", "SEPARATE"
    data.ConceptNameCodeSequence = [code("113701", "DCM", "X-Ray Radiation Dose Report")]
    measured, value = Dataset(), Dataset()
    value.NumericValue = ds(312.5)
    value.MeasurementUnitsCodeSequence = [code("mGy.cm", "UCUM", "mGy.cm")]
    measured.RelationshipType, measured.ValueType = "CONTAINS", "NUM"
    measured.ConceptNameCodeSequence = [code("113813", "DCM", "CT Dose Length Product Total")]
    measured.MeasuredValueSequence = [value]
    data.ContentSequence = [measured]
    save(data, names.next("dose"), (exam.key, "dose", 0), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)


def write_truncated(exam: Examination, names: FileNames, when: datetime) -> Path:
    """A CT object whose transfer broke off in the middle of its pixel data; returns its path."""
    data = base_dataset(exam, CT_STORAGE, "CT", "broken", 7, "Abd 3.0 B30f", when)
    data.ImageType, data.InstanceNumber, data.SliceThickness = ["ORIGINAL", "PRIMARY", "AXIAL"], 1, ds(3)
    data.RescaleIntercept, data.RescaleSlope = ds(-1024), ds(1)
    place_slice(data, Grid((64, 64, 1), np.diag([2.0, 2.0, 3.0, 1.0])), 0, exam.frame_uid)
    set_pixels(data, np.full((64, 64), 1024, dtype=np.uint16), signed=False, bits_stored=12)
    path = names.next("broken")
    save(data, path, (exam.key, "broken", 0))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 5000])
    return path


def write_junk(root: Path) -> list[Path]:
    """Files that are no DICOM: a viewer's readme, system droppings, an empty file, a text named .dcm."""
    contents = {
        "README.TXT": b"This disc contains medical images. Start VIEWER.EXE to view them.\r\n",
        "Thumbs.db": bytes(range(256)) * 4,
        ".DS_Store": b"\x00\x00\x00\x01Bud1" + b"\x00" * 500,
        "empty.dcm": b"",
        "notes.dcm": b"Bitte Voraufnahmen anfordern!\n",
        "VIEWER/autorun.inf": b"[autorun]\r\nopen=viewer.exe\r\n",
    }
    paths = []
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return paths


def zip_folder(folder: Path, target: Path) -> None:
    """Pack a folder into an uncompressed ZIP with fixed times, then remove it."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = zipfile.ZipInfo(str(path.relative_to(folder)), FILE_DATE)
                archive.writestr(info, path.read_bytes())
    shutil.rmtree(folder)
