"""Register a moving image (MRI) to a fixed one (CT) in the liver, and say whether the result can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, wraps
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform, interpolate
from liverpair.core.volume import Mask, Volume
from liverpair.register.deformable import (
    Cost,
    FreeForm,
    bending_weight,
    minimise,
    spline_space,
    window_radius,
)
from liverpair.register.prepare import Level, Scene, mask_box, scene
from liverpair.register.quality import decide, deforms_credibly, measure_quality
from liverpair.register.second_channel import at_first, heard_with
from liverpair.register.settings import DeformSettings, QualitySettings, RegisterSettings
from liverpair.register.side_by_side import both
from liverpair.register.start import (
    Start,
    mask_starts,
    maskless_starts,
    refine_affine,
)
from liverpair.register.start_along import starts_along
from liverpair.register.uncertainty import Handed, error_bound, resolution

__all__ = ["RegisterSettings", "Registration", "register"]

#: The displacement is handed over on this step: between its samples a 15 mm spline strays by < 0.05 mm.
FIELD_STEP_MM = 4.0
#: What the working box shows around the liver: the comparison's margin, its window and two more voxels.
BOX_MARGIN_MM = 14.0


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where each point of the fixed image lies in the moving one, and how far that can be trusted.

    ``transform`` maps fixed LPS mm to moving LPS mm; None exactly when ``verdict`` is "failed".
    "rigid_only" means that no place is to be trusted beyond its bound, as if there were the rigid start only; what is
    returned is still the best that is known: the deformation with a bound that doubts it, and where the map folds or no
    liver mask was given the affine start. ``uncertainty``: mm (95 % bound of the error) on a coarse grid in the fixed
    frame. ``quality``: plain numbers; ``reasons``: sentences for a reader.
    """

    transform: SpatialTransform | None
    verdict: str
    uncertainty: Volume | None
    quality: dict[str, Any]
    reasons: tuple[str, ...]


def _single_threaded(function: Callable[..., Registration]) -> Callable[..., Registration]:
    """Run with one BLAS thread: splitting a product changes its rounding, and so every later bit."""

    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Registration:
        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited


def _failed(reason: str, quality: dict[str, Any] | None = None) -> Registration:
    return Registration(None, "failed", None, quality or {}, (reason,))


@_single_threaded
def register(
    fixed: Volume,
    moving: Volume,
    fixed_liver: Mask | None,
    moving_liver: Mask | None,
    settings: RegisterSettings = RegisterSettings(),
    second: Volume | None = None,
) -> Registration:
    """Register ``moving`` to ``fixed`` inside the liver.

    The headers' frames of reference are not trusted: with both livers given their masks start the search,
    without them the bodies do. ``second``: another image of the fixed examination (a PET whose motion against its
    CT is undone), heard only where ``fixed`` is too noisy to guide alone. Never raises for an image pair that does
    not fit: the verdict says "failed".
    """
    fixed_liver, moving_liver = _usable(fixed_liver), _usable(moving_liver)
    start = _best_start(fixed, moving, fixed_liver, moving_liver, settings, second)
    if start is None:
        return _failed("the two fields of view share nothing to compare at any start")
    box = _box(fixed, moving, fixed_liver, moving_liver, start.affine)
    masked = fixed_liver is not None or moving_liver is not None
    if not masked:
        settings = replace(settings, deform=_without_finest(settings.deform))
    levels = _deform(fixed, moving, fixed_liver, moving_liver, start, box, settings, second)
    if levels is None:
        return _failed("the two fields of view share no part of the liver")
    coarse, final, results = levels
    voxels_mm = resolution(fixed.grid.spacing, moving.grid.spacing)
    return _judged(start, coarse, final, results, voxels_mm, settings)


def _usable(mask: Mask | None) -> Mask | None:
    return None if mask is None or mask.is_empty else mask


def _without_finest(settings: DeformSettings) -> DeformSettings:
    """The same pyramid without its last level: over a whole body that costs most, and is not to be trusted."""
    keep = max(1, len(settings.spacings_mm) - 1)
    return replace(
        settings,
        spacings_mm=settings.spacings_mm[:keep], knots_mm=settings.knots_mm[:keep],
        blurs_mm=settings.blurs_mm[:keep], iterations=settings.iterations[:keep],
    )  # fmt: skip


def _box(
    fixed: Volume,
    moving: Volume,
    fixed_liver: Mask | None,
    moving_liver: Mask | None,
    affine: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """LPS corners, in the fixed frame, of what is compared: the liver, else what both images show."""
    if fixed_liver is not None:
        return mask_box(fixed_liver, BOX_MARGIN_MM)
    inverse = np.linalg.inv(affine)
    if moving_liver is not None:
        start, stop = moving_liver.bounds(BOX_MARGIN_MM)
        corners = moving_liver.grid.cropped(start, stop).corners()
    else:
        corners = moving.grid.corners()
    corners = corners @ inverse[:3, :3].T + inverse[:3, 3]
    seen = fixed.grid.corners()
    low = np.maximum(corners.min(axis=0), seen.min(axis=0))
    return low, np.maximum(np.minimum(corners.max(axis=0), seen.max(axis=0)), low + 40.0)


def _scene(
    fixed: Volume, moving: Volume, fixed_liver: Mask | None, moving_liver: Mask | None, affine: NDArray[np.float64],
    box: tuple[NDArray[np.float64], NDArray[np.float64]], level: int, settings: DeformSettings,
) -> Scene | None:  # fmt: skip
    """The two images at one level of the pyramid (0 the coarsest); None if they never overlap."""
    spacing = settings.spacings_mm[level]
    fineness = Level(
        spacing=spacing,
        blur=settings.blurs_mm[level],
        margin=settings.margin_mm,
        radius=window_radius(settings.window_mm, spacing),
        pad=settings.pad_mm,
        noise_share=settings.noise_share,
        fluid=settings.fluid,
    )
    return scene(fixed, moving, fixed_liver, moving_liver, affine, box, fineness)


def _best_start(
    fixed: Volume,
    moving: Volume,
    fixed_liver: Mask | None,
    moving_liver: Mask | None,
    settings: RegisterSettings,
    second: Volume | None,
) -> Start | None:
    """Refine every candidate on the images and keep the one with the highest weighted local correlation.

    Without both livers many more places are tried, shortly at first.
    """
    deform = _unheard(settings.deform)

    def tried(candidate: Start, iterations: int) -> Start | None:
        box = _box(fixed, moving, fixed_liver, moving_liver, candidate.affine)
        view = _scene(fixed, moving, fixed_liver, moving_liver, candidate.affine, box, 0, deform)
        compared = 0.0 if view is None else float(view.weights.sum())
        if view is None or compared == 0:
            return None
        cost = Cost.of(view, deform, second)
        increment, similarity = refine_affine(cost, iterations, settings.start)
        return Start(candidate.name, candidate.affine @ increment, similarity, compared)

    if fixed_liver is not None and moving_liver is not None:
        found = _each(tried, mask_starts(fixed_liver, moving_liver, settings.start), settings.start.refine_iterations)
        return max(found, key=lambda start: start.similarity, default=None)
    candidates = maskless_starts(fixed, moving)
    if fixed_liver is not None:
        candidates += starts_along(fixed, fixed_liver, moving, True, settings.along)
    elif moving_liver is not None:
        candidates += starts_along(moving, moving_liver, fixed, False, settings.along)
    quick = _each(tried, candidates, settings.along.quick_iterations)
    best = sorted(quick, key=_credit, reverse=True)[: settings.along.kept]
    found = _each(tried, best, settings.start.refine_iterations)
    return max(found, key=_credit, default=None)


def _each(tried: Callable[[Start, int], Start | None], candidates: list[Start], iterations: int) -> list[Start]:
    """Those that show something to compare, refined, in the order of the candidates."""
    found: list[Start | None] = []
    for first, second in zip_longest(candidates[::2], candidates[1::2]):
        found += both(partial(tried, first, iterations), partial(tried, second, iterations) if second else _none)
    return [start for start in found if start is not None]


def _none() -> None:
    """Nothing to do beside a last candidate."""


def _credit(start: Start) -> float:
    """Correlation times how much is compared: a sliver of a liver can correlate with anything."""
    return start.similarity * start.compared


def _carry(values: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """A field (3, n0, n1, n2) on another grid, trilinear; beyond the source its edge goes on.

    Both grids lie along LPS, so that the axes can be carried one after the other.
    """
    out = values
    for axis in range(3):
        carried = np.tensordot(_linear_weights(source, target, axis), out, axes=(1, axis + 1))
        out = np.ascontiguousarray(np.moveaxis(carried, 0, axis + 1))
    return out


def _linear_weights(source: Grid, target: Grid, axis: int) -> NDArray[np.float32]:
    """Linear interpolation of one axis, (target's voxels, source's voxels)."""
    count, last = target.shape[axis], source.shape[axis] - 1
    along = np.zeros((count, 3))
    along[:, axis] = np.arange(count)
    at = np.clip(source.to_index(target.to_world(along))[:, axis], 0, last)
    low = np.minimum(at.astype(np.int64), max(last - 1, 0))
    weights = np.zeros((count, last + 1), dtype=np.float32)
    np.add.at(weights, (np.arange(count), low), 1 - (at - low))
    np.add.at(weights, (np.arange(count), np.minimum(low + 1, last)), at - low)
    return weights


def _deform(
    fixed: Volume, moving: Volume, fixed_liver: Mask | None, moving_liver: Mask | None, start: Start,
    box: tuple[NDArray[np.float64], NDArray[np.float64]], settings: RegisterSettings, second: Volume | None,
) -> tuple[Cost, Cost, list[FreeForm]] | None:  # fmt: skip
    """The pyramid, coarse to fine: the first level's cost, the last one's, and every level's result.

    It ends after the first level where that already shows that these are not two images of one liver.
    """
    deform = _unheard(settings.deform)
    results: list[FreeForm] = []
    coarse: Cost | None = None
    cost: Cost | None = None
    for level, (knot, iterations) in enumerate(zip(deform.knots_mm, deform.iterations, strict=True)):
        view = _scene(fixed, moving, fixed_liver, moving_liver, start.affine, box, level, deform)
        if view is None or float(view.weights.sum()) == 0:
            return None
        before = view.grid if cost is None else cost.scene.grid
        cost = None  # the previous level's arrays are no longer needed (the first one's are kept below)
        cost = Cost.of(view, deform, second)
        coarse = cost if coarse is None else coarse
        weight = bending_weight(results, deform)
        begin = spline_space(view, knot).fit(_carry(results[-1].field, before, view.grid)) if results else None
        results.append(minimise(cost, knot, iterations, weight, begin))
        if level == 0:
            first = measure_quality(start.affine, cost, cost, results, 0.0, settings.quality)
            if _hopeless(first, settings.quality):
                break
            deform = _heard(settings.deform, first["likeness"])
    return None if cost is None or coarse is None else (coarse, cost, results)


def _hopeless(first: dict[str, float], settings: QualitySettings) -> bool:
    """Whether the first level's numbers, on which identity rests, already say "failed"; finer ones cannot mend them."""
    unspoken = first | {"liver_overlap": float("nan")}  # the only ground for failing that finer levels may still remove
    return decide(unspoken, settings)[0] == "failed"


def _unheard(settings: DeformSettings) -> DeformSettings:
    """For the start and the first level, before it is known how much the fixed image itself can tell."""
    return settings if settings.second is None else replace(settings, second=at_first(settings.second))


def _heard(settings: DeformSettings, likeness: float) -> DeformSettings:
    """For the finer levels, after a first one of that ``likeness``."""
    return settings if settings.second is None else replace(settings, second=heard_with(likeness, settings.second))


def _judged(
    start: Start, coarse: Cost, final: Cost, results: list[FreeForm],
    resolution_mm: float, settings: RegisterSettings,
) -> Registration:  # fmt: skip
    """Judge the result and hand over what the verdict allows."""
    numbers = measure_quality(start.affine, coarse, final, results, resolution_mm, settings.quality)
    verdict, reasons = decide(numbers, settings.quality)
    quality: dict[str, Any] = {"start": start.name, **numbers}
    quality["second_image_share"] = final.second.share if final.second is not None else 0.0
    if verdict == "failed":
        return Registration(None, verdict, None, quality, reasons)
    field = _carry(results[-1].field, final.scene.grid, coarse.scene.grid)
    handed = _handed(verdict, numbers)
    shown = results[-1].bending, numbers["inner_correlation"]
    bound = error_bound(coarse, results[0].field, field, handed, settings.uncertainty, *shown)
    quality["uncertainty_median_mm"] = _median_inside(bound, coarse)
    quality["handed_over"] = handed
    if handed == "affine":
        return Registration(SpatialTransform(start.affine), verdict, bound, quality, reasons)
    grid = final.scene.grid.with_spacing(FIELD_STEP_MM)
    dense = np.moveaxis(_carry(results[-1].field, final.scene.grid, grid), 0, -1)
    transform = SpatialTransform(start.affine, np.ascontiguousarray(dense), grid)
    return Registration(transform, verdict, bound, quality, reasons)


def _handed(verdict: str, numbers: dict[str, float]) -> Handed:
    """What the verdict allows to be handed over."""
    if verdict == "usable":
        return "deformation"
    return "doubtful" if deforms_credibly(numbers) else "affine"


def _median_inside(bound: Volume, coarse: Cost) -> float:
    """Median bound (mm) over the compared region."""
    at = coarse.scene.grid.to_world(np.argwhere(coarse.scene.weights > 0.5)[::5])
    return float(np.median(interpolate(bound.values, bound.grid, at)))
