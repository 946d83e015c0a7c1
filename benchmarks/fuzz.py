"""Damage many files in many ways and read them all: no crash, no hang, no memory, no exception but refusals.

python -m benchmarks.fuzz --files 50000 --seed 1 [--jobs 2]
python -m benchmarks.fuzz --seed 1 --one 4711 --keep /tmp/case

Workers read under a watchdog: one that takes too much time or memory is ended and the file is a finding. Limits hold
for one file: 2 s of processor time (a busy machine's clock on the wall says little; a second limit there catches what
waits for ever), and 500 MB above what the process held before. Exits 1 on any finding.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from liverpair.dicom.catalogue import Catalogue

from benchmarks.fuzz_chain import Outcome, exercise
from benchmarks.fuzz_damage import Damage, damaged, suffix
from benchmarks.fuzz_seeds import Seed, all_seeds

__all__ = ["case", "main", "run", "sound_files"]

CPU_LIMIT_S: Final = 2.0
#: The watchdog ends a worker only beyond these, so that the time a slow file really takes can be seen.
KILL_CPU_S: Final = 20.0
KILL_WALL_S: Final = 120.0
MEMORY_LIMIT_MB: Final = 500
#: Address space a worker may take above what it starts with: the machine must survive the run.
ADDRESS_SPACE: Final = 6 * 2**30
#: Headers are what the index reads and cost little; pixels, regions and containers cost more.
SHARES: Final = {"header": 0.40, "image": 0.36, "regions": 0.12, "nifti": 0.05, "archive": 0.07}
POLL_S: Final = 0.5
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Result:
    """One file's outcome, with processor seconds and MB above the baseline."""

    number: int
    outcome: Outcome
    cpu: float
    memory: float


@dataclass
class Tally:
    """What the table shows."""

    files: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    damage: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[float, int] = (0.0, -1)

    def add(self, result: Result) -> None:
        """Count one file."""
        self.files += 1
        self.codes.update(set(result.outcome.codes))
        self.slowest = max(self.slowest, (result.cpu, result.number))
        self.largest = max(self.largest, (result.memory, result.number))
        self.findings += [(result.number, text) for text in result.outcome.findings]


def case(seeds: tuple[Seed, ...], draw: int, number: int) -> tuple[Seed, Damage]:
    """The ``number``-th damaged file of a draw."""
    rng = random.Random(f"{draw}:{number}")
    kinds = [kind for kind in SHARES if any(seed.kind == kind for seed in seeds)]
    kind = rng.choices(kinds, [SHARES[kind] for kind in kinds])[0]
    seed = rng.choice([seed for seed in seeds if seed.kind == kind])
    return seed, damaged(seed, rng)


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _memory(field_name: str) -> float:
    """VmRSS or VmHWM of this process in MB."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        for line in status:
            if line.startswith(field_name):
                return int(line.split()[1]) / 1024
    return 0.0


def _forget_peak() -> None:
    """Let VmHWM start again from what the process holds now (Linux, proc(5))."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _may_exist(seed: Seed, damage: Damage) -> bool:
    """Whether a volume may come of the file: not if it was cut before its last pixel."""
    if damage.cut < 0:
        return True
    return seed.kind != "nifti" and damage.cut >= seed.pixel_end


def read_case(seeds: tuple[Seed, ...], draw: int, number: int, folder: Path, catalogue: Catalogue) -> Result:
    """Write one damaged file, read it in every way, take the file away."""
    seed, damage = case(seeds, draw, number)
    path = folder / f"case{damage.suffix}"
    path.write_bytes(damage.content)
    _forget_peak()
    memory, cpu = _memory("VmRSS"), _cpu()
    outcome = exercise(path, catalogue, may_exist=_may_exist(seed, damage))
    result = Result(number, outcome, _cpu() - cpu, _memory("VmHWM") - memory)
    path.unlink()
    if result.cpu > CPU_LIMIT_S:
        outcome.finding(f"slow: {result.cpu:.1f} s of processor time")
    if result.memory > MEMORY_LIMIT_MB:
        outcome.finding(f"memory: {result.memory:.0f} MB above the baseline")
    return result


def _work(pipe: Connection, seeds: tuple[Seed, ...], draw: int, folder: Path) -> None:
    """A worker: reads the cases it is sent until told to stop. What decoders shout goes nowhere."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    faulthandler.disable()  # a test runner's handler, inherited, would report a deliberate crash as its own
    warnings.simplefilter("ignore")
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, size + ADDRESS_SPACE))
    with Catalogue.open(folder / "index.sqlite") as catalogue:
        while (number := pipe.recv()) is not None:
            pipe.send(read_case(seeds, draw, number, folder, catalogue))


class Worker:
    """A process that reads, and what the watchdog knows of it."""

    def __init__(self, seeds: tuple[Seed, ...], draw: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, seeds, draw, folder), daemon=True)
        self.process.start()
        theirs.close()
        self.number = -1
        self.started = self.cpu = 0.0

    def give(self, number: int) -> None:
        """Let it read a case."""
        self.number, self.started, self.cpu = number, time.monotonic(), self._cpu()
        self.pipe.send(number)

    def _cpu(self) -> float:
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def overdue(self) -> str:
        """Why it must be ended, or nothing."""
        if self.number < 0:
            return ""
        if self._cpu() - self.cpu > KILL_CPU_S:
            return f"hang: ended after {KILL_CPU_S:.0f} s of processor time"
        return f"hang: ended after {KILL_WALL_S:.0f} s" if time.monotonic() - self.started > KILL_WALL_S else ""

    def end(self) -> str:
        """Kill it and say how it ended."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


class Supervisor:
    """Deals the cases out to workers and replaces those that fall."""

    def __init__(self, seeds: tuple[Seed, ...], draw: int, jobs: int, folder: Path) -> None:
        self.seeds, self.draw, self.folder = seeds, draw, folder
        self.tally = Tally()
        self.workers = [Worker(seeds, draw, folder / str(job)) for job in range(jobs)]

    def _fell(self, job: int, why: str) -> None:
        """Note a worker that crashed or was ended, and start another."""
        worker = self.workers[job]
        how = worker.end()
        outcome = Outcome(["fell"], [why or f"crash: the process ended ({how})"])
        self.tally.add(Result(worker.number, outcome, time.monotonic() - worker.started, 0.0))
        self.workers[job] = Worker(self.seeds, self.draw, self.folder / str(job))

    def _collect(self) -> None:
        ready: Any = wait([worker.pipe for worker in self.workers if worker.number >= 0], timeout=POLL_S)
        for job, worker in enumerate(self.workers):
            if worker.pipe in ready:
                try:
                    self.tally.add(worker.pipe.recv())
                    worker.number = -1
                except (EOFError, OSError):
                    self._fell(job, "")
            elif why := worker.overdue():
                self._fell(job, why)

    def run(self, numbers: range) -> Tally:
        """Read all cases."""
        waiting = iter(numbers)
        number = next(waiting, None)
        while number is not None or any(worker.number >= 0 for worker in self.workers):
            for worker in self.workers:
                if worker.number < 0 and number is not None:
                    worker.give(number)
                    number = next(waiting, None)
            self._collect()
        for worker in self.workers:
            worker.end()
        return self.tally


def sound_files(seeds: tuple[Seed, ...], folder: Path) -> list[tuple[str, Outcome]]:
    """Every seed as it is: the harness itself must not find anything in them. Also loads what is loaded late."""
    found = []
    with Catalogue.open(folder / "sound.sqlite") as catalogue:
        for seed in seeds:
            path = folder / f"sound{suffix(seed)}"
            path.write_bytes(seed.content)
            found.append((seed.name, exercise(path, catalogue)))
            path.unlink()
    return found


def run(files: int, draw: int, jobs: int, *, shared: bool = True, first: int = 0) -> Tally:
    """Read ``files`` damaged files from the ``first`` on."""
    seeds = all_seeds(shared=shared)
    folder = Path(tempfile.mkdtemp(prefix="liverpair-fuzz-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sound = sound_files(seeds, folder)
        gc.freeze()
        tally = Supervisor(seeds, draw, jobs, folder).run(range(first, first + files))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tally.findings += [(-1, f"{name} (undamaged): {text}") for name, outcome in sound for text in outcome.findings]
    return tally


def _print_table(tally: Tally, seconds: float) -> None:
    print(f"{tally.files} damaged files in {seconds:.0f} s")
    for code, count in sorted(tally.codes.items(), key=lambda item: (item[0].split(":")[0], -item[1], item[0])):
        print(f"  {code:52s} {count:7d}")
    print(f"slowest file: {tally.slowest[0]:.2f} s of processor time (--one {tally.slowest[1]})")
    print(f"largest memory: {tally.largest[0]:.0f} MB above the baseline (--one {tally.largest[1]})")
    print(f"findings: {len(tally.findings)}")
    grouped: dict[str, list[int]] = {}
    for number, text in tally.findings:
        grouped.setdefault(text, []).append(number)
    for text, numbers in sorted(grouped.items(), key=lambda item: -len(item[1])):
        print(f"  {len(numbers):5d} × {text}   (--one {', '.join(map(str, sorted(numbers)[:4]))})")


def _show_one(draw: int, number: int, keep: Path | None) -> int:
    """Read one case in this process and say everything about it."""
    seeds = all_seeds()
    seed, damage = case(seeds, draw, number)
    print(f"case {number}: {seed.name} ({seed.kind}, {len(seed.content)} bytes), {damage.what}")
    with tempfile.TemporaryDirectory(prefix="liverpair-fuzz-") as folder:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"case{number}{damage.suffix}").write_bytes(damage.content)
        with Catalogue.open(Path(folder) / "index.sqlite") as catalogue:
            result = read_case(seeds, draw, number, Path(folder), catalogue)
    print(f"{result.cpu:.2f} s of processor time, {result.memory:.0f} MB above the baseline")
    print("\n".join([*result.outcome.codes, *(f"FINDING {text}" for text in result.outcome.findings)]))
    print(result.outcome.trace)
    return 1 if result.outcome.findings else 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one", type=int, help="read this case alone and show what happens")
    parser.add_argument("--keep", type=Path, help="with --one: a folder to leave the damaged file in")
    given = parser.parse_args(arguments)
    if given.one is not None:
        return _show_one(given.seed, given.one, given.keep)
    start = time.monotonic()
    tally = run(given.files, given.seed, given.jobs, first=given.first)
    _print_table(tally, time.monotonic() - start)
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
