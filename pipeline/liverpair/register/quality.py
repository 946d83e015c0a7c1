"""Judge a registration from its own evidence: overlap, correlation against chance, deformation, folding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.register.deformable import Cost, FreeForm
from liverpair.register.local_ncc import sample
from liverpair.register.settings import QualitySettings

__all__ = ["QualitySettings", "decide", "deforms_credibly", "jacobian", "measure_quality"]

#: The images are laid this far beside each other to see what chance gives: beyond a window's width, so that no
#: structure is compared with itself, yet inside the same tissue.
CHANCE_SHIFT_MM = 12.0
#: Both ways along each axis, mm.
BESIDE: tuple[tuple[float, float, float], ...] = tuple(
    (sign * CHANCE_SHIFT_MM * (axis == 0), sign * CHANCE_SHIFT_MM * (axis == 1), sign * CHANCE_SHIFT_MM * (axis == 2))
    for axis in range(3)
    for sign in (1.0, -1.0)
)
#: Slabs in which the Jacobian is computed: its nine derivatives of a whole box would be the peak of the memory.
JACOBIAN_SLAB = 16
#: The liver's inside is judged block by block, about a window wide, so that each speaks for itself: what all people
#: have in common (the hilum, the great veins) fills a few blocks of two patients, and their own vessels fill the rest.
BLOCK_MM = 16.0
#: A block of which less than this is inside the liver says nothing of its own.
LEAST_BLOCK = 0.25
#: Correlations below this are none; their logarithm would say more than they do.
LEAST_CORRELATION = 1e-4
#: Squared stretches below this are folds; their logarithm would say more than they do.
LEAST_SQUARED_STRETCH = 1e-3

#: Below this a map folds or nearly so.
LEAST_JACOBIAN = 0.05
#: No two examinations of one liver agree to better than this: that little strain is found proves nothing more.
LEAST_STRAIN = 0.08


def jacobian(field: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Determinant of the gradient of x + field(x), shape (n0, n1, n2); ≤ 0 is a fold."""
    count = int(field.shape[1])
    out = np.empty((count, *field.shape[2:]), dtype=np.float32)
    for first in range(0, count, JACOBIAN_SLAB):
        last = min(first + JACOBIAN_SLAB, count)
        low, high = max(first - 1, 0), min(last + 1, count)  # one neighbour on each side for the differences
        out[first:last] = _determinants(field[:, low:high], spacing)[first - low : last - low]
    return out


def _determinants(field: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    g = np.stack([np.stack(np.gradient(field[d], spacing)) for d in range(3)])
    for d in range(3):
        g[d, d] += 1
    return np.asarray(
        g[0, 0] * (g[1, 1] * g[2, 2] - g[1, 2] * g[2, 1])
        - g[0, 1] * (g[1, 0] * g[2, 2] - g[1, 2] * g[2, 0])
        + g[0, 2] * (g[1, 0] * g[2, 1] - g[1, 1] * g[2, 0])
    )


def _overlap(cost: Cost, field: NDArray[np.float32]) -> tuple[float, float]:
    """Dice of the two livers, and their intersection over the smaller one, where both images see."""
    view = cost.scene
    if view.fixed_distance is None or view.moving_distance is None:
        return float("nan"), float("nan")
    values, slope = np.empty_like(view.fixed), np.empty_like(field)
    everywhere = np.ones(view.fixed.shape, dtype=np.bool_)
    sample(view.moving_distance, np.full(3, float(view.pad)), view.spacing, field, everywhere, values, slope)
    seen = view.distance_weights > 0.5
    a, b = (view.fixed_distance > 0) & seen, (values > 0) & seen
    both, smaller = int((a & b).sum()), int(min(a.sum(), b.sum()))
    return 2 * both / max(int(a.sum() + b.sum()), 1), both / max(smaller, 1)


def _inner_weights(cost: Cost, depth_mm: float) -> NDArray[np.float32]:
    """Weights of the windows that see no surface of the liver; all weights where no mask is known."""
    view = cost.scene
    if view.fixed_distance is not None:
        return np.asarray(view.weights * (view.fixed_distance > depth_mm))
    if view.moving_distance is not None:
        inner = tuple(slice(view.pad, view.pad + n) for n in view.fixed.shape)
        return np.asarray(view.weights * (view.moving_distance[inner] > depth_mm))
    return view.weights


@dataclass(frozen=True, slots=True)
class Likeness:
    """Mean squared correlation of the liver's inside as registered, that of the same two images laid beside each other,
    and the mean over blocks of the logarithm of their ratio; NaN where there is no inside."""

    matched: float
    chance: float
    log_ratio: float


def _against_chance(cost: Cost, field: NDArray[np.float32], depth_mm: float) -> Likeness:
    weights = _inner_weights(cost, depth_mm)
    block, count, voxels = _blocks(weights.shape, cost.scene.spacing)
    held = np.bincount(block, weights.ravel(), count)
    if held.sum() <= 0:
        return Likeness(float("nan"), float("nan"), float("nan"))

    def sums(shift: tuple[float, float, float]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(block, (cost.correlation_map(field, shift) * weights).ravel(), count))

    here = sums((0.0, 0.0, 0.0))
    beside = np.mean([sums(shift) for shift in BESIDE], axis=0)
    full = held > LEAST_BLOCK * voxels
    if not bool(full.any()):
        full = held > 0
    ratios = [np.log(np.maximum(part[full] / held[full], LEAST_CORRELATION)) for part in (here, beside)]
    total = float(held.sum())
    return Likeness(float(here.sum()) / total, float(beside.sum()) / total, float((ratios[0] - ratios[1]).mean()))


def _blocks(shape: tuple[int, ...], spacing: float) -> tuple[NDArray[np.int64], int, int]:
    """The number of every voxel's block (flat), how many blocks there are, and the voxels of a whole one."""
    edge = max(1, int(round(BLOCK_MM / spacing)))
    counts = [n // edge + 1 for n in shape]
    return np.ravel_multi_index(tuple(np.indices(shape) // edge), counts).ravel(), int(np.prod(counts)), edge**3


def strain(affine: NDArray[np.float64], field: NDArray[np.float32], inside: NDArray[np.bool_], spacing: float) -> float:
    """Root mean square over the region of the logarithmic (Hencky) strain of x → affine(x + field(x)); 0 if rigid.

    ``field`` (3, n0, n1, n2) in mm on a grid of ``spacing`` mm; ``inside`` (n0, n1, n2). NaN for an empty region.
    """
    if not bool(inside.any()):
        return float("nan")
    slopes = np.stack(
        [np.stack([g[inside] for g in np.gradient(field[d], spacing)], axis=-1) for d in range(3)], axis=1
    )
    map_slope = affine[:3, :3] @ (slopes.astype(np.float64) + np.eye(3))
    squared = np.linalg.eigvalsh(np.swapaxes(map_slope, 1, 2) @ map_slope)  # of the principal stretches
    logarithms = 0.5 * np.log(np.maximum(squared, LEAST_SQUARED_STRETCH))
    return float(np.sqrt((logarithms**2).sum(axis=1).mean()))


def _of_map(final: Cost, field: NDArray[np.float32]) -> dict[str, float]:
    """How well the livers overlap, before and after, and how the map grows, folds and moves what is compared."""
    view = final.scene
    inside = view.weights > 0.5
    volumes = jacobian(field, view.spacing)[inside]
    size = np.sqrt((field**2).sum(axis=0))[inside]
    dice_before, _ = _overlap(final, np.zeros_like(field))
    dice, smaller = _overlap(final, field)
    return {
        "liver_dice_affine": dice_before,
        "liver_dice": dice,
        "liver_overlap": smaller,
        "jacobian_min": float(volumes.min()) if volumes.size else float("nan"),
        "jacobian_max": float(volumes.max()) if volumes.size else float("nan"),
        "folded_fraction": float((volumes <= 0).mean()) if volumes.size else float("nan"),
        "displacement_mean_mm": float(size.mean()) if size.size else float("nan"),
        "displacement_max_mm": float(size.max()) if size.size else float("nan"),
        "compared_ml": float(view.weights.sum(dtype=np.float64)) * view.spacing**3 / 1000,
    }


def _of_start(affine: NDArray[np.float64]) -> dict[str, float]:
    """The largest stretch (or squeeze) of an affine (4, 4), and the angle of its nearest rotation."""
    linear = affine[:3, :3]
    stretches = np.linalg.svd(linear, compute_uv=False)
    u, _, v = np.linalg.svd(linear)
    turn = float(np.degrees(np.arccos(np.clip((np.trace(u @ v) - 1) / 2, -1, 1))))
    return {"stretch_max": float(max(stretches.max(), 1 / stretches.min())), "rotation_deg": turn}


def measure_quality(
    affine: NDArray[np.float64],
    coarse: Cost,
    final: Cost,
    results: list[FreeForm],
    resolution_mm: float,
    settings: QualitySettings,
) -> dict[str, float]:
    """The numbers a verdict rests on; those that need a mask that was not given are NaN.

    ``affine`` (4, 4) maps fixed to moving LPS mm; ``results`` are the levels', coarse to fine. ``coarse`` is the first
    level's cost: there the deformation has too few degrees of freedom to make up correlation from noise, so chance is
    judged there; and its smoothness has the same weight for every pair, so that their strains can be compared.
    """
    field, view = results[-1].field, final.scene
    likeness = _against_chance(coarse, results[0].field, settings.inner_depth_mm)
    rough = results[-1].bending > settings.largest_bending  # what a smooth map's finest level says is not asked for
    fine = _against_chance(final, field, settings.inner_depth_mm).log_ratio if rough else float("nan")
    strained = strain(affine, results[0].field, coarse.scene.weights > 0.5, coarse.scene.spacing)
    masked = view.fixed_distance is not None or view.moving_distance is not None
    strain_share = settings.strain_share if masked else settings.maskless_strain_share
    return {
        "similarity_before": coarse.correlation.evaluate(_plain(coarse))[0],
        "similarity_coarse": results[0].similarity,
        "similarity_after": results[-1].similarity,
        "inner_correlation": likeness.matched,
        "chance_correlation": likeness.chance,
        "chance_ratio": likeness.matched / max(likeness.chance, LEAST_CORRELATION),
        "likeness": likeness.log_ratio,
        "likeness_fine": fine,
        "strain": strained,
        "bending_per_mm2": results[-1].bending,
        "identity_score": likeness.log_ratio
        + strain_share * float(np.log(settings.strain_reference / max(strained, LEAST_STRAIN))),
        "resolution_mm": resolution_mm,
        "masked": float(masked),
        **_of_map(final, field),
        **_of_start(affine),
    }


def _plain(cost: Cost) -> NDArray[np.float32]:
    """The moving image as the start's affine alone lays it."""
    pad = cost.scene.pad
    return np.ascontiguousarray(cost.scene.moving[tuple(slice(pad, pad + n) for n in cost.scene.fixed.shape)])


def decide(q: dict[str, Any], settings: QualitySettings) -> tuple[str, tuple[str, ...]]:
    """The verdict, usable | rigid_only | failed, and the sentences that say why."""
    failed, doubts = [], []
    if not q["compared_ml"] >= settings.minimal_seen_ml:
        failed.append(f"both images show only {q['compared_ml']:.0f} mL of the region to be compared")
    if q["stretch_max"] > settings.largest_stretch or q["rotation_deg"] > settings.largest_rotation_deg:
        failed.append(
            f"the start turns by {q['rotation_deg']:.0f}° and stretches by {q['stretch_max']:.2f}, "
            "more than one patient's liver does"
        )
    if q["liver_overlap"] < settings.minimal_overlap:  # NaN without two masks: then it does not speak
        failed.append(f"the livers overlap by only {q['liver_overlap']:.2f} of the smaller one")
    masked = bool(q.get("masked", True))
    if not masked:
        doubts.append("no liver mask was given: the deformation cannot be judged inside the liver")
    least = _least_score(q["bending_per_mm2"], settings) if masked else settings.maskless_score
    if not (q["identity_score"] >= least and q["likeness"] >= settings.least_likeness):
        failed.append(_identity_sentence(q, "as between two different livers"))
    elif masked and q["identity_score"] < settings.usable_score:
        doubts.append(_identity_sentence(q, "too little to trust the deformation"))
    rougher = q["bending_per_mm2"] / settings.largest_bending
    if rougher > 1 and not q["likeness_fine"] >= settings.rough_likeness + settings.rough_step * np.log(rougher):
        doubts.append(
            f"the liver is bent by {q['bending_per_mm2'] * 1e5:.0f}e-5 per mm², rougher than images can show that "
            f"correlate {np.exp(q['likeness_fine']):.1f} times as well as by chance at the finest level"
        )
    if _folds(q):
        doubts.append(f"the deformation folds or nearly so (smallest Jacobian {q['jacobian_min']:.2f})")
    if failed:
        return "failed", tuple(failed + doubts)
    return ("rigid_only", tuple(doubts)) if doubts else ("usable", ())


def _least_score(bending: float, settings: QualitySettings) -> float:
    """The identity score below which a masked pair fails: the more the map bends, the more is asked."""
    bent = np.log(max(bending, settings.bent_from) / settings.bent_from)
    share = min(float(bent / np.log(settings.bent_wholly / settings.bent_from)), 1.0)
    return settings.failed_score + share * (settings.bent_score - settings.failed_score)


def _folds(q: dict[str, Any]) -> bool:
    return bool(q["folded_fraction"] > 0 or q["jacobian_min"] <= LEAST_JACOBIAN)


def deforms_credibly(q: dict[str, Any]) -> bool:
    """Whether a doubtful deformation says more than its affine start: judged inside a liver, and without folds."""
    return bool(q.get("masked", True)) and not _folds(q)


def _identity_sentence(q: dict[str, Any], conclusion: str) -> str:
    return (
        f"inside the liver the images correlate {np.exp(q['likeness']):.2f} times as well as by chance "
        f"and the liver is strained by {100 * q['strain']:.0f} % and bent by {1e5 * q['bending_per_mm2']:.1f}e-5 "
        f"per mm²: {conclusion} (score {q['identity_score']:.2f})"
    )
