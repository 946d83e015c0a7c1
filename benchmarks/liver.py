"""The liver search against the truth, by role and by what makes it hard.

python -m benchmarks.liver [SEED...] [--hard NAME,...] [--roles ROLE,...]

Per case: Dice, the 95th percentile of the surface distance, the volume's error, the verdict and its reasons, CPU
seconds and the memory that the search added. The last lines hold the verdicts against the truth: among masks called
usable, how many have a Dice below 0.9. Roles: those of the MR sequences, ``ct`` (alone), ``ct+pet``, and ``ct+mr``
(with the PET and the warped liver of the hepatobiliary MRI; the true map stands for the registration).
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver import LiverSegmentation, refine_liver, segment_liver
from liverpair.simulate import PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.disease import LiverDisease
from liverpair.simulate.lesions import LesionRequest
from liverpair.simulate.mr import MrProtocol
from numpy.typing import NDArray
from scipy import ndimage

#: Seeds that no setting was chosen on.
SEEDS: Final = (9201, 9202)
ROLES: Final = ("mr-hbp", "mr-portal", "mr-t1-native", "mr-arterial", "mr-t2", "mr-dwi", "ct", "ct+pet", "ct+mr")
#: A usable mask must be at least this good; the verdict is wrong below it.
LEAST_DICE: Final = 0.9

_BIG = (LesionRequest(70.0, 6.0, place="deep"), LesionRequest(45.0, 5.0), LesionRequest(20.0, 4.0))
_COLD = tuple(replace(lesion, tlr=0.3) for lesion in _BIG)
_PLAIN = MrProtocol()
HARD: Final[dict[str, PairSettings]] = {
    "plain": PairSettings(),
    "bare": PairSettings(lesions=()),
    "hot": PairSettings(lesions=_BIG),
    "cold": PairSettings(lesions=_COLD),
    "steatosis": PairSettings(steatosis=0.9),
    "ascites": PairSettings(disease=LiverDisease(ascites_mm=8.0)),
    "cirrhosis": PairSettings(disease=LiverDisease(cirrhosis=1.0), liver_ml=1100.0, heterogeneity=0.05),
    "left resected": PairSettings(disease=LiverDisease(resected="left"), liver_ml=1000.0),
    "right resected": PairSettings(disease=LiverDisease(resected="right"), liver_ml=750.0),
    "alike": PairSettings(disease=LiverDisease(alike=True)),
    "bias": PairSettings(mr_protocol=replace(_PLAIN, t1=replace(_PLAIN.t1, bias=0.45), t2=replace(_PLAIN.t2, bias=0.45),
                                             dwi=replace(_PLAIN.dwi, bias=0.35))),
    "fold-over": PairSettings(mr_protocol=replace(_PLAIN, fold_mm=36.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What one search did."""

    dice: float
    hd95_mm: float
    volume_error: float
    found: LiverSegmentation
    cpu_s: float
    added_mb: float


def _true_liver(pair: SimulatedPair, role: str) -> Mask:
    """The liver's truth on the grid of the image of ``role``."""
    if role.startswith("ct"):
        return pair.ct_liver
    grid = pair.mr[role].grid
    if grid.shape == pair.mr_liver.grid.shape and np.allclose(grid.affine, pair.mr_liver.grid.affine):
        return pair.mr_liver
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Mask(_taken_from(pair.mr_liver, points) >= 0.5, grid)


def _taken_from(image: Mask | Volume, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """The image (a mask: its coverage) at points (…, 3) in LPS mm, by linear interpolation."""
    index = np.moveaxis(image.grid.to_index(points.reshape(-1, 3)), -1, 0)
    values = ndimage.map_coordinates(image.values.astype(np.float32), index, order=1, mode="nearest")
    return np.asarray(values.reshape(points.shape[:-1]))


def _search(pair: SimulatedPair, role: str) -> LiverSegmentation:
    if not role.startswith("ct"):
        return segment_liver(pair.mr[role], role)
    found = segment_liver(pair.ct, "ct", pet=None if role == "ct" else pair.pet)
    if role != "ct+mr" or found.mask is None or found.verdict != "usable":
        return found
    other = segment_liver(pair.mr["mr-hbp"], "mr-hbp")
    if other.mask is None or other.verdict != "usable":
        return found
    grid = pair.ct.grid
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)).reshape(-1, 3)
    near = ndimage.binary_dilation(found.mask.values, iterations=12).reshape(-1)
    outline, moved = (np.zeros(near.shape, dtype=np.float32) for _ in range(2))
    there = pair.to_moving(points[near])
    outline[near], moved[near] = _taken_from(other.mask, there), _taken_from(pair.mr["mr-hbp"], there)
    warped = Mask(outline.reshape(grid.shape) >= 0.5, grid)
    return replace(found, mask=refine_liver(pair.ct, found.mask, warped, Volume(moved.reshape(grid.shape), grid)))


def hd95(a: Mask, b: Mask) -> float:
    """95th percentile (mm) of the distances of either surface's voxels to the other surface."""
    shells = [m.values & ~ndimage.binary_erosion(m.values, border_value=1) for m in (a, b)]
    step = a.grid.spacing
    far = [ndimage.distance_transform_edt(~shells[1 - n], sampling=step)[shells[n]] for n in (0, 1)]
    return float(np.percentile(np.concatenate(far), 95))


def _memory_mb(which: str) -> float:
    """A line of Linux' own account of this process: VmRSS (now) or VmHWM (peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1024
    return float("nan")


def measure(pair: SimulatedPair, role: str) -> Row:
    """Search, and compare with the truth."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far was the simulator's
    before, cpu = _memory_mb("VmRSS"), time.process_time()
    found = _search(pair, role)
    cpu = time.process_time() - cpu
    added = _memory_mb("VmHWM") - before
    if found.mask is None:
        return Row(0.0, np.inf, -1.0, found, cpu, added)
    truth = _true_liver(pair, role)
    mask = found.mask.values
    total = int(mask.sum()) + int(truth.values.sum())
    dice = 2 * int((mask & truth.values).sum()) / total
    error = int(mask.sum()) / max(1, int(truth.values.sum())) - 1
    return Row(dice, hd95(found.mask, truth), error, replace(found, mask=None), cpu, added)


def _in_own_process(pair: SimulatedPair, role: str) -> Row:
    """A process of its own: peak memory is one number per process."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(measure, (pair, role))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per case and the verdicts against the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--hard", default=",".join(HARD))
    parser.add_argument("--roles", default=",".join(ROLES))
    options = parser.parse_args(arguments)
    roles = options.roles.split(",")
    sequences = tuple(dict.fromkeys(["mr-hbp", *(role for role in roles if not role.startswith("ct"))]))
    rows: list[tuple[str, Row]] = []
    for name in options.hard.split(","):
        for seed in options.seeds:
            settings = HARD[name]
            # without the motion between sequences one truth serves them all
            still = replace(settings.mr_protocol, between_sequences_mm=0.0, between_sequences_deg=0.0)
            pair = simulate_pair(seed, replace(settings, sequences=sequences, mr_protocol=still))
            for role in roles:
                row = _in_own_process(pair, role)
                rows.append((role, row))
                print(
                    f"{name:15s} {seed:6d} {role:13s} Dice {row.dice:.3f} HD95 {row.hd95_mm:5.1f} mm "
                    f"volume {row.volume_error:+6.1%} {row.cpu_s:5.1f} s {row.added_mb:4.0f} MB "
                    f"{row.found.verdict} {','.join(row.found.reasons)}",
                    flush=True,
                )
    for role in roles:
        mine = [row for name, row in rows if name == role]
        usable = [row.dice for row in mine if row.found.verdict == "usable"]
        wrong, spurned = sum(d < LEAST_DICE for d in usable), sum(
            row.dice >= LEAST_DICE for row in mine if row.found.verdict != "usable"
        )  # fmt: skip
        middle = float(np.median(usable)) if usable else 0.0
        print(
            f"{role:13s} {len(usable)} of {len(mine)} usable, median Dice {middle:.3f}, lowest "
            f"{min(usable, default=0.0):.3f}; called usable below {LEAST_DICE}: {wrong}; refused above it: {spurned}"
        )


if __name__ == "__main__":
    main()
