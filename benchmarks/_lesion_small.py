"""Livers with many small metastases, for bins that a cohort's few would leave empty; and what detection costs alone."""

from __future__ import annotations

import multiprocessing
import resource
import time
from pathlib import Path
from typing import Final

import numpy as np
from liverpair.core.volume import Mask, Volume
from liverpair.register.resample import resample_mask
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference
from liverpair.simulate import PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.lesions import LesionRequest

__all__ = ["detection_cost", "small_pair"]

#: Small metastases a liver, the range of their diameters (mm) and uptakes, and where they may lie.
SMALL_COUNT, DIAMETERS_MM, UPTAKES = 12, (3.0, 6.0), (1.5, 6.0)
PLACES: Final = ("anywhere", "anywhere", "deep", "capsule", "dome", "vessel")
#: Lesions beside them, which a detector must not confuse them with: diameter (mm), uptake, nature.
OTHERS: Final = ((14.0, 3.0, "metastasis"), (8.0, 3.0, "metastasis"), (6.0, 0.1, "cyst"), (10.0, 0.75, "haemangioma"))
#: The seed's stream for requests, apart from the simulator's own.
STREAM = 33


def small_pair(seed: int) -> SimulatedPair:
    """A pair with SMALL_COUNT metastases of 3-6 mm of varied contrast, two larger ones, a cyst and a haemangioma."""
    rng = np.random.default_rng([seed, STREAM])
    small = [
        LesionRequest(
            float(rng.uniform(*DIAMETERS_MM)), float(rng.uniform(*UPTAKES)), "metastasis", str(rng.choice(PLACES)),
            float(rng.uniform(0.75, 1.15)),
        )
        for _ in range(SMALL_COUNT)
    ]  # fmt: skip
    others = [LesionRequest(*other) for other in OTHERS]
    return simulate_pair(seed, PairSettings(lesions=(*small, *others)))


def _peak_mb() -> float:
    """Largest resident memory of this process (MB). getrusage's is inherited over fork and exec, VmHWM is not."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _work(mr: dict[str, Volume], mr_liver: Mask, pet: Volume, ct_liver: Mask) -> tuple[float, float, float]:
    before = _peak_mb()
    started = time.process_time()
    detect_mr(mr, mr_liver)
    liver = resample_mask(ct_liver, pet.grid)
    detect_pet(pet, liver, liver_reference(pet, liver))
    return time.process_time() - started, before, _peak_mb()


def detection_cost(pair: SimulatedPair) -> tuple[float, float, float]:
    """CPU seconds, and memory (MB) before and at the peak, of finding all lesions of a pair in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_work, (dict(pair.mr), pair.mr_liver, pair.pet, pair.ct_liver))
