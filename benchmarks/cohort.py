"""What selecting and pairing costs at scale: CPU per image and peak memory for studies of growing size.

python -m benchmarks.cohort [--pairs N N ...]

The catalogue is synthetic (a PET/CT and a liver MRI a patient, 678 images) and goes through the real way of storing;
each size is paired in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.indexing import MEMBER_BITS, Batch, Part, Task
from liverpair.dicom.listing import Entry, Folder
from liverpair.dicom.packing import Packer
from liverpair.dicom.records import InstanceRecord
from liverpair.flow.config import Settings
from liverpair.flow.stages import pair_stage
from liverpair.flow.workspace import Workspace

BATCH: Final = 128
AXIAL: Final = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
INJECTION: Final = {
    "Radiopharmaceutical": "68Ga-DOTATATE",
    "RadionuclideHalfLife": 4057.74,
    "RadionuclideTotalDose": 1.5e8,
}
PT: Final = {
    "Modality": "PT", "Units": "BQML", "CorrectedImage": ["NORM", "ATTN", "SCAT", "DECY"], "Rows": 200, "Columns": 200,
    "PixelSpacing": [4.07, 4.07], "RadiopharmaceuticalInformationSequence": [INJECTION], "AcquisitionTime": "100000",
    "SeriesDescription": "PET WB AC",
}  # fmt: skip
CT: Final = {
    "Modality": "CT", "Rows": 512, "Columns": 512, "PixelSpacing": [0.98, 0.98], "AcquisitionTime": "095500",
    "SeriesDescription": "CT WB 3.0 B31f",
}  # fmt: skip
MR: Final = {"Modality": "MR", "Rows": 256, "Columns": 320, "PixelSpacing": [1.25, 1.25], "BodyPartExamined": "LIVER"}
T1: Final = {
    **MR, "ScanningSequence": ["GR"], "RepetitionTime": 3.4, "EchoTime": 1.3, "FlipAngle": 9, "MRAcquisitionType": "3D",
    "AcquisitionTime": "092200", "SeriesDescription": "t1_vibe_fs_tra_20min",
}  # fmt: skip
T2: Final = {
    **MR, "ScanningSequence": ["SE"], "RepetitionTime": 3200.0, "EchoTime": 84.0, "EchoTrainLength": 17,
    "AcquisitionTime": "083000", "SeriesDescription": "t2_tse_fs_tra",
}  # fmt: skip
DWI: Final = {
    **MR, "ScanningSequence": ["EP"], "RepetitionTime": 6000.0, "EchoTime": 56.0, "DiffusionBValue": 800.0,
    "AcquisitionTime": "083500", "SeriesDescription": "ep2d_diff_b800",
}  # fmt: skip
#: The series of one patient: study number, header, images, step in mm, first position (LPS mm).
SERIES: Final = (
    (1, PT, 260, 4.0, (-405.0, -405.0, -500.0)),
    (1, CT, 260, 4.0, (-250.0, -250.0, -500.0)),
    (2, T1, 72, 3.0, (-200.0, -160.0, -100.0)),
    (2, T2, 43, 5.0, (-200.0, -160.0, -100.0)),
    (2, DWI, 43, 5.0, (-200.0, -160.0, -100.0)),
)
IMAGES: Final = sum(count for _, _, count, _, _ in SERIES)


def _place(offset: int) -> tuple[int, int]:
    """The series and the slice of a patient's image."""
    for series, (_, _, count, _, _) in enumerate(SERIES):
        if offset < count:
            return series, offset
        offset -= count
    raise IndexError(offset)


def _header(index: int) -> dict[str, Any]:
    patient, offset = divmod(index, IMAGES)
    series, k = _place(offset)
    study, kind, _, step, (x, y, z) = SERIES[series]
    uid = f"1.2.3.{patient}.{study}.{series}"
    shared = {f"Private{n}": f"value {n} of series {series}" for n in range(40)}
    return {
        **shared,
        **kind,
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "PatientID": f"PAT{patient:07d}",
        "StudyInstanceUID": f"1.2.3.{patient}.{study}",
        "SeriesInstanceUID": uid,
        "SOPInstanceUID": f"{uid}.{k}",
        "FrameOfReferenceUID": f"1.2.3.{patient}.{study}.99",
        "StudyDate": f"202001{study * 10}",
        "InstanceNumber": k + 1,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "ImageOrientationPatient": AXIAL,
        "ImagePositionPatient": [x, y, z + step * k],
        "SliceThickness": step,
    }


def _folders(pairs: int) -> Iterator[Folder]:
    for patient in range(pairs):
        entries = [Entry(b"IM%05d.dcm" % k, 200_000, 1_600_000_000_000_000_000 + k) for k in range(IMAGES)]
        yield Folder(f"/archive/{patient:07d}".encode(), iter(entries))


def _read(tasks: Iterator[Task], expected: int) -> Generator[Batch, None, None]:
    """Stands in for opening and scanning: what a worker would send."""
    del expected
    packer, batch = Packer(), Batch()
    for task in tasks:
        record = InstanceRecord(task.source.locator, None, _header(task.number - 1))
        batch.add(task.number << MEMBER_BITS, packer.pack([record]))
        batch.parts.append(Part(task, 1, 1))
        if len(batch.parts) == BATCH:
            yield batch
            batch = Batch()
    yield batch


def _fill(workspace: Workspace, pairs: int) -> None:
    with Catalogue.open(workspace.catalogue) as catalogue:
        catalogue.update_from(_folders(pairs), _read)


def _pair(workspace: Workspace, pairs: int) -> None:
    started = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = pair_stage(workspace, Settings()).numbers["pairs"]
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    images = pairs * IMAGES
    print(
        f"{pairs} pairs, {images} images: {found} pairs found, {1e6 * seconds / images:.0f} us CPU an image,", end=" "
    )
    print(f"peak memory {peak:.0f} MB ({before:.0f} MB before the first image)")


def main() -> None:
    """Fill and pair catalogues of the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[20, 200, 2000])
    parser.add_argument("--step", choices=("fill", "pair"), help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step is not None:
        workspace = Workspace.create(arguments.workspace)
        {"fill": _fill, "pair": _pair}[arguments.step](workspace, arguments.pairs[0])
        return
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("fill", "pair"):
                own = ["--step", step, "--workspace", folder, "--pairs", str(pairs)]
                subprocess.run([sys.executable, "-m", "benchmarks.cohort", *own], check=True)


if __name__ == "__main__":
    main()
