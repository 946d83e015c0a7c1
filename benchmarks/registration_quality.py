"""Where a registration must fail, or must at least be honest: cases over seeds, and how its stated bound holds.

python -m benchmarks.registration_quality [SEED...] [--cases NAME,...]

Every case is a simulated pair with something wrong: another patient, a mirrored image, a liver resected between the two
examinations, half a field of view, no mask. The livers are segmented again wherever the images changed. "wrong" counts
registrations called usable whose median error exceeds 5 mm or whose 95th percentile exceeds 10 mm, or which had no
truth to find: it must be 0. Errors are those of 2000 places of the liver that both images show; "held" is the
share of them within the stated 95 % bound, over usable and rigid-only results.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.transform import interpolate
from liverpair.core.volume import Mask, Volume
from liverpair.register.align import Registration, register
from liverpair.segment.liver import segment_liver
from liverpair.simulate import PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.mr import MrProtocol
from numpy.typing import NDArray
from scipy import ndimage

#: Seeds that no setting was chosen on.
SEEDS: Final = (9201, 9202, 9203)
#: A usable registration with a larger median or 95th percentile of its errors is wrong, mm.
WRONG_MEDIAN_MM: Final = 5.0
WRONG_P95_MM: Final = 10.0
#: Places at which a registration is judged, at least this deep in the liver.
PLACES: Final = 2000
DEPTH_MM: Final = 4.0
#: Fluid and fat as the edits paint them: HU, and shares of the liver's hepatobiliary signal.
FLUID: Final = (10.0, 0.18)
FAT: Final = (-98.0, 0.19)
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """Two images and their livers as a registration gets them.

    ``truth`` maps fixed points to moving ones, None where there is nothing right to find. ``ct_true`` and ``mr_true``
    are the livers that exist, for choosing the places.
    """

    ct: Volume
    mr: Volume
    ct_liver: Mask | None
    mr_liver: Mask | None
    truth: Callable[[Points], Points] | None
    ct_true: Mask
    mr_true: Mask


@dataclass(frozen=True, eq=False)
class Bench:
    """One seed's pair, segmented once; the cases start from it."""

    seed: int
    pair: SimulatedPair
    ct_liver: Mask | None
    mr_liver: Mask | None

    def trial(self) -> Trial:
        """The pair as it is."""
        pair = self.pair
        return Trial(
            pair.ct, pair.mr["mr-hbp"], self.ct_liver, self.mr_liver, pair.to_moving, pair.ct_liver, pair.mr_liver
        )


def find_ct(ct: Volume, pet: Volume | None) -> Mask | None:
    """The CT's liver where the segmenter vouches for it."""
    found = segment_liver(ct, "ct", pet=pet)
    return found.mask if found.verdict == "usable" else None


def find_mr(mr: Volume, role: str = "mr-hbp") -> Mask | None:
    """The MRI's liver where the segmenter vouches for it."""
    found = segment_liver(mr, role)
    return found.mask if found.verdict == "usable" else None


def _simulated(seed: int, settings: PairSettings) -> Bench:
    pair = simulate_pair(seed, replace(settings, sequences=settings.sequences or ("mr-hbp",)))
    return Bench(seed, pair, find_ct(pair.ct, pair.pet), find_mr(pair.mr["mr-hbp"]))


def prepare(seed: int) -> Bench:
    """The seed's ordinary pair; all sequences lie where the hepatobiliary one does: one truth serves them all."""
    still = MrProtocol(between_sequences_mm=0.0, between_sequences_deg=0.0)
    return _simulated(seed, PairSettings(sequences=("mr-hbp", "mr-t2", "mr-dwi", "mr-portal"), mr_protocol=still))


def _sequence(role: str) -> Callable[[Bench], Trial]:
    def build(bench: Bench) -> Trial:
        mr = bench.pair.mr[role]
        return replace(bench.trial(), mr=mr, mr_liver=find_mr(mr, role))

    return build


def _resimulated(settings: PairSettings) -> Callable[[Bench], Trial]:
    return lambda bench: _simulated(bench.seed, settings).trial()


def _other_patient(bench: Bench) -> Trial:
    other = _simulated(bench.seed + 5000, PairSettings(sequences=("mr-hbp",)))
    trial = other.trial()
    return replace(bench.trial(), mr=trial.mr, mr_liver=trial.mr_liver, mr_true=trial.mr_true, truth=None)


def _flipped(axis: int) -> Callable[[Bench], Trial]:
    """The MRI's voxels in reverse order along one axis: what a reader of broken headers would make of it."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()

        def turn(mask: Mask) -> Mask:
            return Mask(np.ascontiguousarray(np.flip(mask.values, axis)), mask.grid)

        mr = replace(trial.mr, values=np.ascontiguousarray(np.flip(trial.mr.values, axis)))
        found = None if trial.mr_liver is None else turn(trial.mr_liver)
        return replace(trial, mr=mr, mr_liver=found, mr_true=turn(trial.mr_true), truth=None)

    return build


def _wrong_organ(bench: Bench) -> Trial:
    """Stomach, spleen and what lies around them, offered as the liver."""
    trial = bench.trial()
    centre = trial.mr_true.centroid() + np.array([130.0, 20.0, 0.0])
    ball = Mask(np.linalg.norm(_world(trial.mr.grid) - centre, axis=-1) < 68.0, trial.mr.grid)
    return replace(trial, mr_liver=ball, mr_true=ball, truth=None)


def _without_liver(bench: Bench) -> Trial:
    """An MRI of the patient's left side only, in which no liver is found."""
    trial = bench.trial()
    first = int(trial.mr.grid.to_index(trial.mr_true.centroid() + np.array([95.0, 0.0, 0.0]))[0])
    mr = _part(trial.mr, (first, 0, 0), trial.mr.grid.shape)
    nothing = Mask(np.zeros(mr.grid.shape, dtype=np.bool_), mr.grid)
    return replace(trial, mr=mr, mr_liver=None, mr_true=nothing, truth=None)


def _part(image: Volume, start: Sequence[int], stop: Sequence[int]) -> Volume:
    return image.cropped(np.asarray(start, dtype=np.int64), np.asarray(stop, dtype=np.int64))


def _mask_part(mask: Mask, start: Sequence[int], stop: Sequence[int]) -> Mask:
    window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    grid = mask.grid.cropped(np.asarray(start, dtype=np.int64), np.asarray(stop, dtype=np.int64))
    return Mask(np.ascontiguousarray(mask.values[window]), grid)


def _world(grid: Grid) -> Points:
    return grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))


def _painted(image: Volume, region: NDArray[np.bool_], value: float, noise: float, seed: int) -> Volume:
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(image.grid.shape), 0.7)
    share = ndimage.gaussian_filter(region.astype(np.float32), 0.7)
    paint = value + noise * grain / grain.std()
    return replace(image, values=(image.values * (1 - share) + paint * share).astype(np.float32))


def _level(image: Volume, liver: Mask, levels: tuple[float, float], is_ct: bool) -> tuple[float, float]:
    """What to paint and its noise."""
    signal = float(np.median(image.values[liver.values]))
    return (levels[0], 11.0) if is_ct else (levels[1] * signal, 0.04 * signal)


def _resected(on_ct: bool, right: bool) -> Callable[[Bench], Trial]:
    """Half the liver is gone on one examination; fat and bowel fill its place."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        image, true = (trial.ct, trial.ct_true) if on_ct else (trial.mr, trial.mr_true)
        x = _world(image.grid)[..., 0] - true.centroid()[0]
        gone = true.values & ((x < 5.0) if right else (x > 5.0))
        image = _painted(image, gone, *_level(image, true, FAT, on_ct), bench.seed)
        true = Mask(true.values & ~gone, true.grid)
        if on_ct:
            return replace(trial, ct=image, ct_true=true, ct_liver=find_ct(image, None))
        return replace(trial, mr=image, mr_true=true, mr_liver=find_mr(image))

    return build


def _ascites(on_ct: bool) -> Callable[[Bench], Trial]:
    """15 mm of fluid around the liver on one examination."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        image, true = (trial.ct, trial.ct_true) if on_ct else (trial.mr, trial.mr_true)
        away = ndimage.distance_transform_edt(~true.values, sampling=image.grid.spacing)
        air = image.values < (-300.0 if on_ct else 0.06 * float(np.median(image.values[true.values])))
        rim = (away > 0) & (away < 15.0) & ~ndimage.binary_opening(air, iterations=2)
        image = _painted(image, rim, *_level(image, true, FLUID, on_ct), bench.seed)
        if on_ct:
            return replace(trial, ct=image, ct_liver=find_ct(image, bench.pair.pet))
        return replace(trial, mr=image, mr_liver=find_mr(image))

    return build


def _cut_mr(upper: bool) -> Callable[[Bench], Trial]:
    """The MRI shows only the upper or lower half of the liver."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        middle = int(round(float(trial.mr.grid.to_index(trial.mr_true.centroid())[2])))
        count = trial.mr.grid.shape
        start, stop = ((0, 0, middle), count) if upper else ((0, 0, 0), (count[0], count[1], middle))
        mr = _part(trial.mr, start, stop)
        return replace(trial, mr=mr, mr_true=_mask_part(trial.mr_true, start, stop), mr_liver=find_mr(mr))

    return build


def _cut_ct(bench: Bench) -> Trial:
    """The CT ends 40 mm below the dome."""
    trial = bench.trial()
    _, stop = trial.ct_true.bounds()
    top = int(stop[2] - 40.0 / trial.ct.grid.spacing[2])
    end = (trial.ct.grid.shape[0], trial.ct.grid.shape[1], top)
    ct = _part(trial.ct, (0, 0, 0), end)
    return replace(
        trial, ct=ct, ct_true=_mask_part(trial.ct_true, (0, 0, 0), end), ct_liver=find_ct(ct, bench.pair.pet)
    )


def _unmasked(ct: bool, mr: bool) -> Callable[[Bench], Trial]:
    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        return replace(trial, ct_liver=None if ct else trial.ct_liver, mr_liver=None if mr else trial.mr_liver)

    return build


def _shaded(bench: Bench) -> Trial:
    """A coil that sees one side and end of the liver five times as bright as the other."""
    trial = bench.trial()
    u = [np.linspace(-1, 1, n) for n in trial.mr.grid.shape]
    bias = np.exp(0.55 * u[0][:, None, None] - 0.4 * u[1][None, :, None] ** 2 - 0.35 * u[2][None, None, :])
    mr = replace(trial.mr, values=(trial.mr.values * bias).astype(np.float32))
    return replace(trial, mr=mr, mr_liver=find_mr(mr))


CASES: Final[dict[str, Callable[[Bench], Trial]]] = {
    "plain": Bench.trial,
    "t2": _sequence("mr-t2"),
    "dwi": _sequence("mr-dwi"),
    "portal MR": _sequence("mr-portal"),
    "arterial CT": _resimulated(PairSettings(sequences=("mr-hbp",), ct_phase="arterial")),
    "portal CT": _resimulated(PairSettings(sequences=("mr-hbp",), ct_phase="portal")),
    "CT noise 25 HU": _resimulated(PairSettings(sequences=("mr-hbp",), ct_noise_hu=25.0)),
    "bias field": _shaded,
    "no CT mask": _unmasked(True, False),
    "no MR mask": _unmasked(False, True),
    "no masks": _unmasked(True, True),
    "breathing 40 mm": _resimulated(PairSettings(sequences=("mr-hbp",), breathing_mm=40.0)),
    "shift 40 mm": _resimulated(PairSettings(sequences=("mr-hbp",), shift_mm=40.0)),
    "MR upper half": _cut_mr(True),
    "MR lower half": _cut_mr(False),
    "CT cut at dome": _cut_ct,
    "ascites on MR": _ascites(False),
    "ascites on CT": _ascites(True),
    "right gone on MR": _resected(False, True),
    "left gone on MR": _resected(False, False),
    "right gone on CT": _resected(True, True),
    "left gone on CT": _resected(True, False),
    "other patient": _other_patient,
    "upside down": _flipped(2),
    "mirrored": _flipped(0),
    "back to front": _flipped(1),
    "wrong organ": _wrong_organ,
    "no liver in MR": _without_liver,
}


def _inside(mask: Mask, points: Points) -> NDArray[np.bool_]:
    index = np.rint(mask.grid.to_index(points)).astype(np.int64)
    seen = np.all((index >= 0) & (index < mask.grid.shape), axis=1)
    out = np.zeros(len(points), dtype=np.bool_)
    out[seen] = mask.values[tuple(index[seen].T)]
    return out


def judge(trial: Trial, result: Registration) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors (mm) and stated bounds (mm) at the places that exist on both images; empty where nothing is to be said."""
    nothing = np.zeros(0), np.zeros(0)
    if trial.truth is None or result.transform is None or result.uncertainty is None:
        return nothing
    deep = ndimage.distance_transform_edt(trial.ct_true.values, sampling=trial.ct.grid.spacing) > DEPTH_MM
    at = np.argwhere(deep)
    places = trial.ct.grid.to_world(at[np.random.default_rng(0).integers(0, len(at), PLACES)])
    truth = trial.truth(places)
    there = _inside(trial.mr_true, truth)
    if not there.any():
        return nothing
    errors = np.linalg.norm(result.transform.to_moving(places[there]) - truth[there], axis=1)
    return errors, interpolate(result.uncertainty.values, result.uncertainty.grid, places[there])


def is_wrong(trial: Trial, result: Registration, errors: NDArray[np.float64]) -> bool:
    """Called usable, and not so."""
    if result.verdict != "usable":
        return False
    if len(errors) == 0:
        return True
    return bool(np.median(errors) > WRONG_MEDIAN_MM or np.quantile(errors, 0.95) > WRONG_P95_MM)


@dataclass
class Tally:
    """One case over the seeds."""

    verdicts: list[str] = field(default_factory=list)
    wrong: int = 0
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    bounds: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, trial: Trial, result: Registration) -> None:
        """Count one pair."""
        errors, bounds = judge(trial, result)
        self.verdicts.append(result.verdict)
        self.wrong += is_wrong(trial, result, errors)
        self.errors.append(errors)
        self.bounds.append(bounds)

    def row(self) -> str:
        """Counts of the verdicts, of the wrong ones, errors and how the bound held."""
        counts = "  ".join(f"{self.verdicts.count(v):6d}" for v in ("usable", "rigid_only", "failed"))
        errors, bounds = np.concatenate(self.errors), np.concatenate(self.bounds)
        if len(errors) == 0:
            return f"{counts}  {self.wrong:5d}"
        return (
            f"{counts}  {self.wrong:5d}  {np.median(errors):6.2f}  {np.quantile(errors, 0.95):6.2f}"
            f"  {100 * float((errors <= bounds).mean()):6.1f}  {np.median(bounds):6.2f}"
        )


def measure(seeds: Sequence[int], names: Sequence[str]) -> dict[str, Tally]:
    """Run the cases."""
    tallies = {name: Tally() for name in names}
    for seed in seeds:
        bench = prepare(seed)
        for name in names:
            trial = CASES[name](bench)
            tallies[name].add(trial, register(trial.ct, trial.mr, trial.ct_liver, trial.mr_liver))
    return tallies


def held_by_bound(tallies: dict[str, Tally], edges: Sequence[float] = (0, 2, 2.5, 3, 4, 6, 10, 41)) -> list[str]:
    """How often the error stays within the bound, binned by the bound itself: local calibration."""
    errors = np.concatenate([e for tally in tallies.values() for e in tally.errors])
    bounds = np.concatenate([b for tally in tallies.values() for b in tally.bounds])
    rows = []
    for low, high in itertools.pairwise(edges):
        here = (bounds >= low) & (bounds < high)
        if here.any():
            e, b = errors[here], bounds[here]
            share, p95 = 100 * float((e <= b).mean()), float(np.quantile(e, 0.95))
            rows.append(
                f"  {low:4.1f}-{high:4.1f} mm: {here.sum():6d} places, held {share:5.1f} %, error p95 {p95:.2f}"
            )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--cases", default=",".join(CASES))
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    for name in names:
        if name not in CASES:
            parser.error(f"there is no case {name!r}; known are {', '.join(CASES)}")
    tallies = measure(arguments.seeds, names)
    print(f"{'case':18s}  usable  rigid  failed  wrong  median     p95    held   bound")
    for name, tally in tallies.items():
        print(f"{name:18s}  {tally.row()}")
    print(f"usable and wrong: {sum(tally.wrong for tally in tallies.values())}")
    print("\n".join(held_by_bound(tallies)))


if __name__ == "__main__":
    main()
