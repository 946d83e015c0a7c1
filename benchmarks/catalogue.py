"""What the index costs at scale: time, size and peak memory of storing, walking again and reading millions of objects.

python -m benchmarks.catalogue [--instances N] [--files N]

The objects are synthetic headers that go through the real way of packing, storing and reading; ``--files`` real
(small) files are then walked, to compare a second run with the mere listing of their folders.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.indexing import MEMBER_BITS, Batch, Task
from liverpair.dicom.listing import Entry, Folder
from liverpair.dicom.packing import Packer
from liverpair.dicom.records import InstanceRecord

#: Images per series and series per patient of the synthetic archive.
SLICES: Final = 200
SERIES: Final = 5
BATCH: Final = 128


def _folders(instances: int) -> Iterator[Folder]:
    """One folder per series, as a PACS exports them."""
    for first in range(0, instances, SLICES):
        count = min(SLICES, instances - first)
        number = first // SLICES
        path = f"/archive/{number // SERIES:07d}/{number % SERIES}".encode()
        entries = [Entry(b"IM%08d.dcm" % k, 526_000, 1_600_000_000_000_000_000 + k) for k in range(count)]
        yield Folder(path, iter(entries))


def _header(index: int) -> dict[str, object]:
    """A header such as scanners write: most of it the same in a series, eleven attributes of each image's own."""
    series, k = divmod(index, SLICES)
    patient = series // SERIES
    root = f"1.2.840.113619.2.55.3.{604688119 + patient}.{971 + series % SERIES}"
    shared: dict[str, object] = {f"Private{n}": f"value {n} of series {series % SERIES}" for n in range(40)}
    shared |= {
        "SpecificCharacterSet": ["ISO_IR 100"],
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "PatientID": f"PAT{patient:07d}",
        "StudyInstanceUID": f"{root.rpartition('.')[0]}.1",
        "SeriesInstanceUID": root,
        "Modality": "CT",
        "StudyDate": "20200131",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [0.976562, 0.976562],
        "Rows": 512,
        "Columns": 512,
    }
    return shared | {
        "SOPInstanceUID": f"{root}.{1_580_000_000 + index}.{k + 1}",
        "InstanceNumber": k + 1,
        "AcquisitionNumber": 1,
        "AcquisitionTime": f"{91000 + k // 4}.{k * 4999 % 1_000_000:06d}",
        "ContentTime": f"{91500 + k // 4}.{k * 7919 % 1_000_000:06d}",
        "InstanceCreationTime": f"{91800 + k // 4}",
        "ImagePositionPatient": [-249.51171875, -433.01171875, -1205.5 + 1.25 * k],
        "SliceLocation": -1205.5 + 1.25 * k,
        "RescaleSlope": 1.0,
        "RescaleIntercept": -1024.0,
        "XRayTubeCurrent": 200 + k * 37 % 211,
    }


def _read(tasks: Iterator[Task], expected: int) -> Generator[Batch, None, None]:
    """Stands in for opening and scanning: what a worker would send."""
    del expected
    packer, batch = Packer(), Batch()
    for task in tasks:
        record = InstanceRecord(task.locator, None, _header(task.number - 1))
        batch.add(task.number << MEMBER_BITS, packer.pack([record]))
        batch.files.append(task.number)
        if len(batch.files) == BATCH:
            yield batch
            batch = Batch()
    yield batch


def fill(path: Path, instances: int) -> None:
    """Write an index of that many synthetic objects to ``path``."""
    with Catalogue.open(path) as catalogue:
        catalogue.update_from(_folders(instances), _read)


def _read_all(path: Path, instances: int) -> None:
    with Catalogue.open(path) as catalogue:
        found = sum(len(series.instances) for group in catalogue.groups() for series in group)
    assert found == instances


def _make_files(folder: Path, count: int) -> None:
    for number in range(count):
        place = folder / f"{number // 1000:05d}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"IM{number:08d}").write_bytes(b"no image")


def _list(folder: bytes) -> int:
    """The least that a second run can do: list every folder and look at every file."""
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += _list(entry.path)
            else:
                entry.stat(follow_symlinks=False)
                count += 1
    return count


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _walk_again(folder: Path, count: int) -> None:
    archive, index = folder / "files", folder / "walked.sqlite"
    _make_files(archive, count)

    def update() -> None:
        with Catalogue.open(index) as catalogue:
            summary = catalogue.update([archive])
            assert summary.files == count

    first = _seconds(update)
    again = min(_seconds(update) for _ in range(3))
    least = min(_seconds(lambda: _list(os.fsencode(archive))) for _ in range(3))
    print(f"{count} files (no images): first run {first[0]:.2f} s CPU; second run {again[0]:.3f} s CPU,")
    print(f"  {again[0] / least[0]:.2f} times the listing with os.scandir and stat ({least[0]:.3f} s)")


def _step(name: str, path: Path, instances: int) -> None:
    """One step in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", "benchmarks.catalogue", "--step", name, "--at", str(path), "--instances"]
    subprocess.run([*command, str(instances)], check=True)


def _do_step(name: str, path: Path, instances: int) -> None:
    work: dict[str, Callable[[], None]] = {
        "nothing": lambda: None,
        "store": lambda: fill(path, instances),
        "again": lambda: fill(path, instances),
        "read": lambda: _read_all(path, instances),
    }
    cpu, wall = _seconds(work[name])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {name:8s} {cpu:8.1f} s CPU {wall:8.1f} s wall   peak memory {peak:6.0f} MB", flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="What the index costs at scale.")
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--step", default="", help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, default=Path(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        _do_step(options.step, options.at, options.instances)
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "catalogue.sqlite"
        print(f"{options.instances} synthetic objects", flush=True)
        for name in ("nothing", "store", "again", "read"):
            _step(name, path, options.instances)
        size = path.stat().st_size
        print(f"  index {size / 2**20:.0f} MB, {size / options.instances:.0f} bytes an object")
        _walk_again(Path(scratch), options.files)


if __name__ == "__main__":
    main()
