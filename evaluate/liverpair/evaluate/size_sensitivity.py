"""How small a lesion one PET can show: insert lesions at random places of its liver, search, count by size and uptake.

The detector is given as a function, so that this is the sensitivity of what really runs, on this image's own noise
and unevenness. Beside every measured share stands the closed form of detectability.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.optimize import brentq

from liverpair.core.errors import ConfigError, Refusal
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import Scanner, detection_margin, p_detect, predicted_cnr, recovery
from liverpair.evaluate.distributions import normal_quantile
from liverpair.evaluate.insertion import Insert, InsertSettings, insert_lesions
from liverpair.evaluate.intervals import clopper_pearson
from liverpair.evaluate.size_curve import dose, fit_logistic, is_separated

__all__ = ["SensitivitySettings", "Trial", "half_sizes", "sensitivity_rows", "try_insertions"]

#: Diameters (mm) between which the closed form's d50 and d90 are looked for.
MODEL_RANGE_MM = (1.0, 80.0)


@dataclass(frozen=True, slots=True)
class SensitivitySettings:
    """What is inserted and how a hit is counted.

    ``places`` lesions of every diameter and ratio. ``apart_mm``: inserted lesions of one image are no nearer to one
    another, so that none is in another's background; ``clear_mm``: nor to a focus that the image shows by itself.
    ``per_image``: no more at once, else the liver's statistics would become the lesions'. ``reach_mm``: a focus
    this near to an inserted centre (or within its radius) is it: about one resolution width.
    ``depth_mm``: no centre lies nearer to the liver's surface, nor than the lesion's radius.
    """

    diameters_mm: tuple[float, ...] = (4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)
    ratios: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0, 10.0)
    places: int = 30
    apart_mm: float = 40.0
    clear_mm: float = 20.0
    per_image: int = 8
    reach_mm: float = 8.0
    depth_mm: float = 4.0
    seed: int = 20261122
    level: float = 0.95

    def __post_init__(self) -> None:
        if not self.diameters_mm or not self.ratios or min(self.diameters_mm) <= 0 or min(self.ratios) <= 1:
            raise ConfigError("sensitivity: diameters above 0 mm and tumour-to-liver ratios above 1 are needed")
        if self.places < 1 or self.per_image < 1:
            raise ConfigError("sensitivity: at least one place and one lesion an image are needed")


@dataclass(frozen=True, slots=True)
class Trial:
    """One inserted lesion, and whether the detector showed it."""

    diameter_mm: float
    ratio: float
    found: bool


def _places(
    liver: Mask, occupied: Mask | None, settings: SensitivitySettings
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxels (n, 3) where a lesion may be put, and the depth (n,) of each in mm below the liver's surface."""
    spacing = liver.grid.spacing
    depth = distance_transform_edt(np.pad(liver.values, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    free = depth >= max(settings.depth_mm, min(settings.diameters_mm) / 2)
    if occupied is not None and not occupied.is_empty:
        free &= distance_transform_edt(~occupied.values, sampling=spacing) >= settings.clear_mm
    index = np.argwhere(free)
    if len(index) == 0:
        raise Refusal(
            "no_place_in_liver",
            f"no place in the liver is {settings.clear_mm:g} mm away from every focus that this PET shows by itself; "
            "take a PET with fewer foci",
        )
    return index, depth[tuple(index.T)]


def _draw(
    waiting: list[tuple[float, float]],
    index: NDArray[np.int64],
    depth: NDArray[np.float64],
    liver: Mask,
    rng: np.random.Generator,
    settings: SensitivitySettings,
) -> list[Insert]:
    """Take lesions from the front of ``waiting`` and put them at random places apart from one another."""
    chosen: list[Insert] = []
    while waiting and len(chosen) < settings.per_image:
        diameter, ratio = waiting[0]
        deep = np.flatnonzero(depth >= min(diameter / 2, float(depth.max())))
        for n in rng.choice(deep, size=min(20, len(deep))):
            within = index[n] + rng.uniform(-0.5, 0.5, 3)  # anywhere between the voxels' centres
            place = liver.grid.to_world(within)
            if all(np.linalg.norm(place - other.centre_lps) >= settings.apart_mm for other in chosen):
                chosen.append(Insert(place, diameter, ratio))
                waiting.pop(0)
                break
        else:
            break  # the liver is full: the next image takes it
    return chosen


def try_insertions(
    suv: Volume,
    liver: Mask,
    liver_mean: float,
    find: Callable[[Volume], NDArray[np.float64]],
    blur: InsertSettings,
    settings: SensitivitySettings,
    occupied: Mask | None = None,
    tick: Callable[[int, int | None], None] = lambda done, total: None,
) -> list[Trial]:
    """Insert every diameter and ratio ``settings.places`` times and let ``find`` search each image.

    ``suv`` in SUVbw and ``liver``, ``occupied`` (foci that the PET shows by itself) on its grid; ``find`` gives the
    centres (n, 3) LPS mm of an image's foci. ``tick`` hears (done, total). The same seed gives the same trials.
    Raises Refusal("no_place_in_liver").
    """
    index, depth = _places(liver, occupied, settings)
    rng = np.random.default_rng(settings.seed)
    cells = [(d, t) for d in settings.diameters_mm for t in settings.ratios] * settings.places
    waiting = [cells[n] for n in rng.permutation(len(cells))]
    trials: list[Trial] = []
    tick(0, len(cells))
    while waiting:
        inserts = _draw(waiting, index, depth, liver, rng, settings)
        foci = find(insert_lesions(suv, liver_mean, inserts, blur)).reshape(-1, 3)
        for lesion in inserts:
            reach = max(settings.reach_mm, lesion.diameter_mm / 2)
            near = np.linalg.norm(foci - lesion.centre_lps, axis=1) <= reach
            trials.append(Trial(lesion.diameter_mm, lesion.ratio, bool(near.any())))
        tick(len(trials), len(cells))
    return trials


def sensitivity_rows(trials: Sequence[Trial], scanner: Scanner, level: float = 0.95) -> list[dict[str, Any]]:
    """One row for every ratio and diameter: found of inserted with its exact interval, and the closed form."""
    rows = []
    for ratio, diameter in sorted({(t.ratio, t.diameter_mm) for t in trials}):
        cell = [t.found for t in trials if t.ratio == ratio and t.diameter_mm == diameter]
        low, high = clopper_pearson(sum(cell), len(cell), level)
        rows.append(
            {
                "ratio": ratio,
                "diameter_mm": diameter,
                "inserted": len(cell),
                "found": sum(cell),
                "sensitivity": sum(cell) / len(cell),
                "ci_low": low,
                "ci_high": high,
                "rc_max": recovery(diameter, scanner),
                "predicted_cnr": predicted_cnr(ratio, diameter, scanner),
                "p_detect": p_detect(detection_margin(ratio, diameter, scanner), 0.0),
            }
        )
    return rows


def _model_size(ratio: float, probability: float, scanner: Scanner) -> float | None:
    """The diameter (mm) at which the closed form detects with this probability; None where none does."""
    wanted = normal_quantile(probability)

    def excess(diameter: float) -> float:
        return detection_margin(ratio, diameter, scanner) - wanted

    low, high = MODEL_RANGE_MM
    if excess(high) < 0:
        return None
    return low if excess(low) >= 0 else float(brentq(excess, low, high, xtol=1e-3))


def half_sizes(trials: Sequence[Trial], scanner: Scanner, level: float = 0.95) -> list[dict[str, Any]]:
    """d50 and d90 (mm) of every ratio: measured, by a logistic curve on ln(diameter), and of the closed form.

    What the trials do not determine is None and ``note`` says why; no size outside those inserted is stated. Trials
    that one diameter parts into found and missed have Firth's fit and no interval.
    """
    rows = []
    for ratio in sorted({t.ratio for t in trials}):
        own = [t for t in trials if t.ratio == ratio]
        row: dict[str, Any] = {"ratio": ratio, "d50_mm": None, "d50_ci_mm": None, "d90_mm": None, "d90_ci_mm": None}
        row |= {f"model_d{p}_mm": _model_size(ratio, p / 100, scanner) for p in (50, 90)}
        rows.append(row | _fitted(own, level))
    return rows


def _fitted(trials: Sequence[Trial], level: float) -> dict[str, Any]:
    y = np.array([float(t.found) for t in trials])
    ln = np.log([t.diameter_mm for t in trials])
    smallest, largest = float(np.exp(ln.min())), float(np.exp(ln.max()))
    if y.min() == y.max():
        said = f"every size was found, from {smallest:g} mm" if y[0] else f"no size was found, up to {largest:g} mm"
        return {"note": said}
    parted = is_separated(ln, y)
    fit = fit_logistic(np.column_stack([np.ones_like(ln), ln]), y, penalised=parted)
    intercept, slope = (float(b) for b in fit.coefficients)
    if slope <= 0 or not fit.converged:
        return {"note": "detection does not rise with size"}
    found: dict[str, Any] = {"note": "one size parts found from missed: Firth's fit, no interval" if parted else ""}
    for share in (50, 90):
        x, _, delta, _ = dose(intercept, slope, fit.covariance, share / 100, level)
        if not smallest <= np.exp(x) <= largest:
            found["note"] = f"{found['note']}; d{share} lies outside the sizes inserted".lstrip("; ")
            continue
        found[f"d{share}_mm"] = float(np.exp(x))
        found[f"d{share}_ci_mm"] = None if parted else [float(np.exp(v)) for v in delta]
    return found
