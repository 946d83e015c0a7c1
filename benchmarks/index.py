"""What indexing costs per file, side by side: the disk's limit, pydicom, our header scanner, the whole index.

python -m benchmarks.index [--files 20000] [--jobs 2 4] [--rounds 3] [--instances 1000000] [--folder /scratch]

The archive is made up (``_synthetic_archive``), written below ``--folder`` (default: the system's temporary folder)
and deleted at the end. Every measurement runs in a process of its own, so it starts without memory of earlier files and
its peak memory is its own; the measurements alternate, ``--rounds`` times, over files that the first pass has
brought into the cache, and the fastest round counts. With ``--instances`` a catalogue of that many synthetic
records is filled as well (``benchmarks.catalogue``).
"""

from __future__ import annotations

import argparse
import functools
import importlib
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.scan import SCANNED_TAGS, scan
from liverpair.dicom.sources import open_source

from benchmarks._synthetic_archive import ArchiveSize, write_archive

#: What the physical limit reads of each file: enough for most headers.
PEEK_BYTES: Final = 8192
#: Files a process takes at a time.
CHUNK: Final = 256
#: Files given to one call of a program of its own, such as dcmdump.
PROGRAM_FILES: Final = 500
FORK: Final = "fork"

Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the clock and of all processors together, and the largest process in MB."""

    wall: float
    cpu: float
    peak_mb: float

    def best(self, other: Cost | None) -> Cost:
        """The faster of two rounds; memory is the larger."""
        if other is None:
            return self
        return Cost(min(self.wall, other.wall), min(self.cpu, other.cpu), max(self.peak_mb, other.peak_mb))


def _usage() -> tuple[float, float]:
    spent, peak = 0.0, 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        spent += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss / 1024)
    return spent, peak


def _timed(work: Work, answer: multiprocessing.SimpleQueue[Cost]) -> None:
    wall, cpu = time.perf_counter(), _usage()[0]
    work()
    spent, peak = _usage()
    answer.put(Cost(time.perf_counter() - wall, spent - cpu, peak))


def _cost(work: Work) -> Cost:
    """What ``work`` costs in a process of its own."""
    context = multiprocessing.get_context(FORK)
    answer: multiprocessing.SimpleQueue[Cost] = context.SimpleQueue()
    process = context.Process(target=_timed, args=(work, answer))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the measurement ended with exit code {process.exitcode}")
    return answer.get()


def _peek(paths: Sequence[str]) -> None:
    for path in paths:
        number = os.open(path, os.O_RDONLY)
        os.read(number, PEEK_BYTES)
        os.close(number)


def _pydicom_wanted(paths: Sequence[str]) -> None:
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True, specific_tags=SCANNED_TAGS)


def _pydicom_all(paths: Sequence[str]) -> None:
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True)


def _scan(paths: Sequence[str]) -> None:
    for path in paths:
        with open_source(path) as stream:
            scan(path, stream)


def _scan_shuffled(paths: Sequence[str]) -> None:
    mixed = list(paths)
    random.Random(1).shuffle(mixed)
    _scan(mixed)


def _scan_in(jobs: int, paths: Sequence[str]) -> None:
    chunks = [paths[first : first + CHUNK] for first in range(0, len(paths), CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(FORK)) as pool:
        for _ in pool.map(_scan, chunks):
            pass


def _dcmdump(program: str, paths: Sequence[str]) -> None:
    tags = [word for tag in ("0008,0060", "0020,000e", "0020,0032", "0028,0030") for word in ("+P", tag)]
    for first in range(0, len(paths), PROGRAM_FILES):
        command = [program, "-q", *tags, *paths[first : first + PROGRAM_FILES]]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _gdcm(paths: Sequence[str]) -> None:
    gdcm = importlib.import_module("gdcm")
    for path in paths:
        reader = gdcm.Reader()
        reader.SetFileName(path)
        reader.ReadUpToTag(gdcm.Tag(0x7FE0, 0x0010))


def _peers() -> Iterator[tuple[str, Callable[[Sequence[str]], None]]]:
    """Other readers, as far as they are installed."""
    program = shutil.which("dcmdump")
    if program:
        yield "dcmdump, 4 tags", functools.partial(_dcmdump, program)
    try:
        importlib.import_module("gdcm")
    except ImportError:
        return
    yield "gdcm ReadUpToTag", _gdcm


def _update(index: Path, archive: Path, jobs: int) -> None:
    with Catalogue.open(index) as catalogue:
        catalogue.update([archive], jobs)


def _update_anew(index: Path, archive: Path, jobs: int) -> None:
    for old in index.parent.glob(f"{index.name}*"):
        old.unlink()
    _update(index, archive, jobs)


def _walk(folder: str) -> None:
    """List every folder and look at every file: the least that a second run can do."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path)
            else:
                entry.stat()


def _measure(works: dict[str, Work], rounds: int) -> dict[str, Cost]:
    found: dict[str, Cost] = {}
    for _ in range(rounds):
        for name, work in works.items():
            found[name] = _cost(work).best(found.get(name))
    return found


def _print_table(costs: dict[str, Cost], files: int, peer: str, limit: str) -> None:
    """Ratios by processor time do not suffer from what else the machine does; those by the clock show processes."""
    print(f"{'':36s} {'files/s':>8s} {'CPU µs':>8s} {'x pydicom':>17s} {'of the limit':>17s} {'peak':>6s}")
    print(f"{'':36s} {'clock':>8s} {'a file':>8s} {'CPU':>8s} {'clock':>8s} {'CPU':>8s} {'clock':>8s} {'MB':>6s}")
    for name, cost in costs.items():
        ratios = (
            costs[peer].cpu / cost.cpu,
            costs[peer].wall / cost.wall,
            costs[limit].cpu / cost.cpu,
            costs[limit].wall / cost.wall,
        )
        print(f"{name:36s} {files / cost.wall:8.0f} {cost.cpu / files * 1e6:8.1f}", end=" ")
        print(f"{ratios[0]:8.2f} {ratios[1]:8.2f} {ratios[2]:8.1%} {ratios[3]:8.1%} {cost.peak_mb:6.0f}", flush=True)


def _works(paths: Sequence[str], archive: Path, scratch: Path, jobs: Sequence[int]) -> dict[str, Work]:
    one = functools.partial
    works: dict[str, Work] = {
        "open + read 8 KB (the limit)": one(_peek, paths),
        "pydicom, specific_tags": one(_pydicom_wanted, paths),
        "pydicom, stop_before_pixels": one(_pydicom_all, paths),
        "scan, one process": one(_scan, paths),
        "scan, one process, files shuffled": one(_scan_shuffled, paths),
    }
    works |= {name: one(work, paths) for name, work in _peers()}
    works |= {f"scan, {n} processes": one(_scan_in, n, paths) for n in jobs}
    works |= {f"index from nothing, {n} processes": one(_update_anew, scratch / "i", archive, n) for n in (1, *jobs)}
    works["index again, nothing changed"] = one(_update, scratch / "i", archive, 1)
    works["bare walk (scandir + stat)"] = one(_walk, str(archive))
    return works


def main() -> None:
    """Make the archive, measure, print, clean up."""
    parser = argparse.ArgumentParser(description="What indexing costs per file")
    parser.add_argument("--files", type=int, default=ArchiveSize().files)
    parser.add_argument("--jobs", type=int, nargs="*", default=[2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instances", type=int, default=0, help="synthetic records for a catalogue without files")
    parser.add_argument("--folder", type=Path, default=None, help="where to make the archive")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        archive, scratch = Path(folder) / "archive", Path(folder) / "index"
        scratch.mkdir()
        paths = [str(path) for path in write_archive(archive, ArchiveSize(files=chosen.files))]
        size = sum(Path(path).stat().st_size for path in paths) / len(paths)
        print(
            f"{len(paths)} files of {size / 1000:.1f} KB on {os.cpu_count()} processors, warm, best of {chosen.rounds}"
        )
        works = _works(paths, archive, scratch, chosen.jobs)
        limit, peer = list(works)[:2]
        _print_table(_measure(works, chosen.rounds), len(paths), peer, limit)
        if chosen.instances:
            catalogue = importlib.import_module("benchmarks.catalogue")
            cost = _cost(functools.partial(catalogue.fill, scratch / "large", chosen.instances))
            print(f"catalogue of {chosen.instances} records: {cost.wall:.0f} s, peak {cost.peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
