"""Cases for registration_quality: simulated pairs with something wrong, and what there is to find in them.

Every case is built from one seed's ordinary pair. The livers are found again wherever an image changed, once per image:
what was segmented is remembered by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver import segment_liver
from liverpair.simulate import PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.mr import MrProtocol
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks._body_parts import body_part

__all__ = ["CASES", "MUST_FAIL", "Bench", "Trial", "prepare"]

#: Fluid and fat as the edits paint them: HU, and shares of the liver's hepatobiliary signal.
FLUID: Final = (10.0, 0.18)
FAT: Final = (-98.0, 0.19)
#: Other patients are simulated from the seed's own plus multiples of this.
OTHER_SEEDS: Final = 5000
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Finder:
    """Segments livers; the same image in the same role is segmented once."""

    memory: dict[str, Mask | None] = field(default_factory=dict)

    def ct(self, image: Volume, pet: Volume | None) -> Mask | None:
        """The CT's liver where the segmenter vouches for it."""
        return self._find(image, "ct", pet)

    def mr(self, image: Volume, role: str = "mr-hbp") -> Mask | None:
        """The MRI's liver where the segmenter vouches for it."""
        return self._find(image, role, None)

    def _find(self, image: Volume, role: str, pet: Volume | None) -> Mask | None:
        content = hashlib.sha256(role.encode())
        for volume in (image,) if pet is None else (image, pet):
            content.update(volume.grid.affine.tobytes() + np.ascontiguousarray(volume.values).tobytes())
        key = content.hexdigest()
        if key not in self.memory:
            found = segment_liver(image, role, pet=pet)
            self.memory[key] = found.mask if found.verdict == "usable" else None
        return self.memory[key]


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
    find: Finder

    def trial(self) -> Trial:
        """The pair as it is."""
        pair = self.pair
        return Trial(
            pair.ct, pair.mr["mr-hbp"], self.ct_liver, self.mr_liver, pair.to_moving, pair.ct_liver, pair.mr_liver
        )


def _simulated(seed: int, settings: PairSettings, find: Finder) -> Bench:
    pair = simulate_pair(seed, replace(settings, sequences=settings.sequences or ("mr-hbp",)))
    return Bench(seed, pair, find.ct(pair.ct, pair.pet), find.mr(pair.mr["mr-hbp"]), find)


def prepare(seed: int) -> Bench:
    """The seed's ordinary pair; all sequences lie where the hepatobiliary one does: one truth serves them all."""
    still = MrProtocol(between_sequences_mm=0.0, between_sequences_deg=0.0)
    settings = PairSettings(sequences=("mr-hbp", "mr-t2", "mr-dwi", "mr-portal"), mr_protocol=still)
    return _simulated(seed, settings, Finder())


def _sequence(role: str) -> Callable[[Bench], Trial]:
    def build(bench: Bench) -> Trial:
        mr = bench.pair.mr[role]
        return replace(bench.trial(), mr=mr, mr_liver=bench.find.mr(mr, role))

    return build


def _resimulated(settings: PairSettings) -> Callable[[Bench], Trial]:
    return lambda bench: _simulated(bench.seed, settings, bench.find).trial()


def _other_patient(number: int) -> Callable[[Bench], Trial]:
    """The MRI of somebody else; ``number`` says who."""

    def build(bench: Bench) -> Trial:
        seed = bench.seed + OTHER_SEEDS * number
        other = _simulated(seed, PairSettings(sequences=("mr-hbp",)), bench.find).trial()
        return replace(bench.trial(), mr=other.mr, mr_liver=other.mr_liver, mr_true=other.mr_true, truth=None)

    return build


def _other_body(on_ct: bool, part: str) -> Callable[[Bench], Trial]:
    """A head, a pelvis, a chest or a test object where a liver is expected; no liver can be found, or what is taken
    for one."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        image = body_part(part, trial.ct if on_ct else trial.mr, on_ct, bench.seed)
        nothing = Mask(np.zeros(image.grid.shape, dtype=np.bool_), image.grid)
        if on_ct:
            return replace(trial, ct=image, ct_liver=bench.find.ct(image, None), ct_true=nothing, truth=None)
        return replace(trial, mr=image, mr_liver=bench.find.mr(image), mr_true=nothing, truth=None)

    return build


def _false_mask(on_ct: bool, part: str) -> Callable[[Bench], Trial]:
    """The same, and a reader insists that its middle is the liver."""

    def build(bench: Bench) -> Trial:
        trial = _other_body(on_ct, part)(bench)
        image = trial.ct if on_ct else trial.mr
        middle = image.grid.to_world((np.asarray(image.grid.shape) - 1) / 2)
        ball = Mask(np.linalg.norm(_world(image.grid) - middle, axis=-1) < 68.0, image.grid)
        return replace(trial, ct_liver=ball) if on_ct else replace(trial, mr_liver=ball)

    return build


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
            return replace(trial, ct=image, ct_true=true, ct_liver=bench.find.ct(image, None))
        return replace(trial, mr=image, mr_true=true, mr_liver=bench.find.mr(image))

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
            return replace(trial, ct=image, ct_liver=bench.find.ct(image, bench.pair.pet))
        return replace(trial, mr=image, mr_liver=bench.find.mr(image))

    return build


def _cut_mr(upper: bool) -> Callable[[Bench], Trial]:
    """The MRI shows only the upper or lower half of the liver."""

    def build(bench: Bench) -> Trial:
        trial = bench.trial()
        middle = int(round(float(trial.mr.grid.to_index(trial.mr_true.centroid())[2])))
        count = trial.mr.grid.shape
        start, stop = ((0, 0, middle), count) if upper else ((0, 0, 0), (count[0], count[1], middle))
        mr = _part(trial.mr, start, stop)
        return replace(trial, mr=mr, mr_true=_mask_part(trial.mr_true, start, stop), mr_liver=bench.find.mr(mr))

    return build


def _cut_ct(bench: Bench) -> Trial:
    """The CT ends 40 mm below the dome."""
    trial = bench.trial()
    _, stop = trial.ct_true.bounds()
    top = int(stop[2] - 40.0 / trial.ct.grid.spacing[2])
    end = (trial.ct.grid.shape[0], trial.ct.grid.shape[1], top)
    ct = _part(trial.ct, (0, 0, 0), end)
    return replace(
        trial, ct=ct, ct_true=_mask_part(trial.ct_true, (0, 0, 0), end), ct_liver=bench.find.ct(ct, bench.pair.pet)
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
    return replace(trial, mr=mr, mr_liver=bench.find.mr(mr))


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
    "other patient 1": _other_patient(1),
    "other patient 2": _other_patient(2),
    "other patient 3": _other_patient(3),
    "upside down": _flipped(2),
    "mirrored": _flipped(0),
    "back to front": _flipped(1),
    "wrong organ": _wrong_organ,
    "no liver in MR": _without_liver,
    "head CT": _other_body(True, "head"),
    "pelvis CT": _other_body(True, "pelvis"),
    "chest CT": _other_body(True, "chest"),
    "noise CT": _other_body(True, "noise"),
    "head MR": _other_body(False, "head"),
    "noise MR": _other_body(False, "noise"),
    "masked pelvis CT": _false_mask(True, "pelvis"),
    "masked head MR": _false_mask(False, "head"),
    "masked noise MR": _false_mask(False, "noise"),
}
#: Nothing right can be found in these: only "failed" will do.
MUST_FAIL: Final = frozenset(list(CASES)[list(CASES).index("right gone on MR") :])
