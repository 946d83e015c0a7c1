"""Registration beside its peers, on the same simulated pairs in one run: errors, folding, time and memory.

python -m benchmarks.registration [SEED...] [--methods liverpair,greedy,...]

The peers come with the dependency group `bench` (uv pip install --group bench). Every method gets the same images, the
same automatic liver masks and a process of its own. Truth is the simulator's own motion. A pair that a method cannot
register counts as failed and is left out of its errors; the table says how many.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask
from liverpair.dicom.nifti import write_nifti
from liverpair.segment.liver import segment_liver
from liverpair.simulate import SimulatedPair, simulate_pair
from numpy.typing import NDArray

#: The module that a method needs; ours and the centroids need none.
NEEDS: Final = {
    "liverpair": "",
    "centroids": "",
    "simpleitk": "",
    "elastix": "itk",
    "greedy": "picsl_greedy",
    "ants": "ants",
}
#: The methods that deform: "best peer" means the best of these.
DEFORMABLE: Final = ("simpleitk", "elastix", "greedy", "ants")
#: Seeds that no setting was chosen on.
SEEDS: Final = (9101, 9102, 9103)
#: Where the package `benchmarks` is; the methods run in their scratch folder, since some leave files where they run.
ROOT: Final = Path(__file__).resolve().parent.parent
#: Step of the lattice on which the Jacobian and the overlap are measured, mm.
LATTICE_MM: Final = 3.0


@dataclass
class Score:
    """What one method did on the pairs so far."""

    errors: list[NDArray[np.float64]] = field(default_factory=list)
    lesion_errors: list[NDArray[np.float64]] = field(default_factory=list)
    dice: list[float] = field(default_factory=list)
    jacobian: list[NDArray[np.float64]] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    failed: int = 0


def _lattice(liver: Mask) -> Grid:
    """A regular lattice along LPS over the liver and 6 mm around it."""
    start, stop = liver.bounds(6.0)
    corners = liver.grid.cropped(start, stop).corners()
    low, high = corners.min(axis=0), corners.max(axis=0)
    shape = np.ceil((high - low) / LATTICE_MM).astype(int) + 1
    affine = np.diag([LATTICE_MM, LATTICE_MM, LATTICE_MM, 1.0])
    affine[:3, 3] = low
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, liver.grid.frame_of_reference)


def _inside(mask: Mask, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    index = np.rint(mask.grid.to_index(points)).astype(np.int64)
    seen = np.all((index >= 0) & (index < mask.grid.shape), axis=1)
    out = np.zeros(len(points), dtype=np.bool_)
    out[seen] = mask.values[tuple(index[seen].T)]
    return out


def _prepare(pair: SimulatedPair, folder: Path) -> tuple[NDArray[np.float64], Grid] | None:
    """Write what every method gets; the points are landmarks, lesions and the lattice, in this order."""
    ct_liver = segment_liver(pair.ct, "ct", pet=pair.pet).mask
    mr_liver = segment_liver(pair.mr["mr-hbp"], "mr-hbp").mask
    if ct_liver is None or mr_liver is None:
        return None
    for name, image in (("ct", pair.ct), ("mr", pair.mr["mr-hbp"]), ("liver_ct", ct_liver), ("liver_mr", mr_liver)):
        write_nifti(image, folder / f"{name}.nii.gz")
    lattice = _lattice(pair.ct_liver)
    grid_points = lattice.to_world(np.moveaxis(np.indices(lattice.shape), 0, -1)).reshape(-1, 3)
    lesions = np.array([lesion.pet_lps for lesion in pair.lesions]).reshape(-1, 3)
    points = np.concatenate([pair.landmarks_pet, lesions, grid_points])
    np.save(folder / "points.npy", points)
    return points, lattice


def _run(method: str, folder: Path) -> tuple[float, float, float] | None:
    """Wall seconds of the registration, CPU seconds and peak MB of the whole process; None if it failed."""
    threads = {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "2", "OMP_NUM_THREADS": "2"}
    with (folder / f"{method}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.registration_peers", method, str(folder)],
            stdout=log, stderr=log, cwd=folder, env=os.environ | threads | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    if status != 0:
        return None
    spent = json.loads((folder / f"{method}.json").read_text())
    return float(spent["wall_s"]), usage.ru_utime + usage.ru_stime, float(spent["peak_mb"])


def _jacobians(mapped: NDArray[np.float64], lattice: Grid) -> NDArray[np.float64]:
    """Determinants of the map's Jacobian on the lattice, by central differences."""
    field_ = mapped.reshape(*lattice.shape, 3)
    slopes = [np.gradient(field_, LATTICE_MM, axis=a) for a in range(3)]
    return np.asarray(np.linalg.det(np.stack(slopes, axis=-1)))


def _score(
    score: Score, pair: SimulatedPair, lattice: Grid, points: NDArray[np.float64], folder: Path, method: str
) -> None:
    """Add one pair's answers to a method's score."""
    mapped = np.load(folder / f"{method}.npy")
    marks, lesions = len(pair.landmarks_pet), len(pair.lesions)
    score.errors.append(np.linalg.norm(mapped[:marks] - pair.landmarks_mr, axis=1))
    truth = np.array([lesion.mr_lps for lesion in pair.lesions]).reshape(-1, 3)
    score.lesion_errors.append(np.linalg.norm(mapped[marks : marks + lesions] - truth, axis=1))
    fixed = _inside(pair.ct_liver, points[marks + lesions :])
    moved = _inside(pair.mr_liver, mapped[marks + lesions :])
    score.dice.append(2 * float((fixed & moved).sum()) / float(fixed.sum() + moved.sum()))
    score.jacobian.append(_jacobians(mapped[marks + lesions :], lattice).ravel()[fixed])


def _warm_up(folder: Path) -> None:
    """Compile our kernels once into their cache, as an installation does at its first pair."""
    _run("liverpair", folder)


def measure(seeds: Sequence[int], methods: Sequence[str]) -> dict[str, Score]:
    """Run every method on every pair."""
    scores = {method: Score() for method in methods}
    for number, seed in enumerate(seeds):
        with tempfile.TemporaryDirectory(prefix="liverpair-bench-") as name:
            folder = Path(name)
            pair = simulate_pair(seed)
            prepared = _prepare(pair, folder)
            if prepared is None:
                print(f"seed {seed}: no automatic liver mask, the pair is left out")
                continue
            if number == 0 and "liverpair" in methods:
                _warm_up(folder)
            for method in methods:
                started = time.perf_counter()
                spent = _run(method, folder)
                if spent is None:
                    scores[method].failed += 1
                    last = (folder / f"{method}.log").read_text().strip().splitlines()[-1:]
                    print(f"seed {seed}: {method} failed after {time.perf_counter() - started:.0f} s: {''.join(last)}")
                    continue
                scores[method].wall.append(spent[0])
                scores[method].cpu.append(spent[1])
                scores[method].peak_mb.append(spent[2])
                _score(scores[method], pair, prepared[1], prepared[0], folder, method)
    return scores


def _rows(scores: dict[str, Score]) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    for method, score in scores.items():
        if not score.errors:
            continue
        errors, jacobian = np.concatenate(score.errors), np.concatenate(score.jacobian)
        lesions = np.concatenate(score.lesion_errors)
        rows.append(
            {
                "method": method, "pairs": len(score.errors), "failed": score.failed,
                "TRE med": float(np.median(errors)), "TRE p95": float(np.percentile(errors, 95)),
                "lesion mean": float(lesions.mean()), "lesion max": float(lesions.max()),
                "Dice": float(np.mean(score.dice)), "min Jac": float(jacobian.min()),
                "folded %": 100 * float((jacobian <= 0).mean()), "wall s": float(np.mean(score.wall)),
                "CPU s": float(np.mean(score.cpu)), "peak MB": float(np.max(score.peak_mb)),
            }
        )  # fmt: skip
    return rows


def _print(rows: list[dict[str, float | str]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    print("  ".join(f"{name:>11s}" for name in names))
    for row in rows:
        cells = [f"{v:>11s}" if isinstance(v, str) else f"{v:11.3g}" for v in row.values()]
        print("  ".join(cells))


def _print_ratios(rows: list[dict[str, float | str]]) -> None:
    """Ours over the best deformable peer, column by column; below 1 is better."""
    by_name = {str(row["method"]): row for row in rows}
    peers = [by_name[m] for m in DEFORMABLE if m in by_name]
    if "liverpair" not in by_name or not peers:
        return
    print("\nliverpair / best deformable peer (below 1: ours is smaller)")
    for column in ("TRE med", "TRE p95", "lesion mean", "lesion max", "wall s", "CPU s", "peak MB"):
        best = min(peers, key=lambda row: float(row[column]))
        ratio = float(by_name["liverpair"][column]) / float(best[column])
        print(f"  {column:12s} {ratio:5.2f}  (best: {best['method']})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--methods", default=",".join(NEEDS))
    arguments = parser.parse_args()
    methods = []
    for method in arguments.methods.split(","):
        if method not in NEEDS:
            parser.error(f"there is no method {method!r}; known are {', '.join(NEEDS)}")
        if NEEDS[method] and importlib.util.find_spec(NEEDS[method]) is None:
            print(f"{method} is not installed (uv pip install --group bench); it is left out")
        else:
            methods.append(method)
    rows = _rows(measure(arguments.seeds, methods))
    _print(rows)
    _print_ratios(rows)


if __name__ == "__main__":
    main()
