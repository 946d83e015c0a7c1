"""What one pair costs: CPU seconds, wall seconds and peak memory of every stage, on simulated pairs of given seeds.

python -m benchmarks.case [SEED...]
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import numpy as np
from liverpair.core.study import Images, StudyPair
from liverpair.flow.alignment import align_pair
from liverpair.flow.config import Settings
from liverpair.flow.engine import start_worker
from liverpair.flow.lesions import find_lesions, measure_and_match
from liverpair.simulate import simulate_pair

_T = TypeVar("_T")


@dataclass
class Clock:
    """CPU and wall seconds by stage."""

    cpu: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[[], _T]) -> _T:
        """Run a stage and note what it took."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu[stage] = time.process_time() - cpu
        self.wall[stage] = time.perf_counter() - wall
        return result


def run(seed: int) -> None:
    """One simulated pair through the flow; one line a stage."""
    settings, clock = Settings(), Clock()
    simulated = clock.time("simulate", lambda: simulate_pair(seed))
    pair = StudyPair(f"S{seed}", "", "", "", "", "", "", "", "", date(2020, 1, 1), date(2020, 1, 8), "68Ga-DOTATATE")
    images = Images(pair, simulated.pet, simulated.ct, simulated.mr, {}, {})
    aligned = clock.time("livers and registration", lambda: align_pair(images, settings))
    segmented = clock.time("detection", lambda: find_lesions(aligned, settings))
    matched = clock.time("measurement and matching", lambda: measure_and_match(segmented, settings))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"seed {seed}: {len(matched.lesions)} lesions, registration {aligned.verdict}, peak memory {peak:.0f} MB")
    if aligned.transform is not None:
        error = np.linalg.norm(aligned.transform.to_moving(simulated.landmarks_pet) - simulated.landmarks_mr, axis=1)
        print(f"  target registration error: median {np.median(error):.2f} mm, p95 {np.percentile(error, 95):.2f} mm")
    for stage, cpu in clock.cpu.items():
        print(f"  {stage:26s} {cpu:6.1f} s CPU {clock.wall[stage]:6.1f} s wall")


if __name__ == "__main__":
    start_worker()
    for argument in sys.argv[1:] or ["1", "2"]:
        run(int(argument))
