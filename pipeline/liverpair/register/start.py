"""Find where to start: candidate affines from masks or bodies, refined on the images, the best one kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.register.deformable import Cost
from liverpair.register.prepare import box_around, mask_box, signed_distance
from liverpair.register.resample import covered
from liverpair.register.settings import StartSettings
from liverpair.register.side_by_side import both

__all__ = [
    "Start",
    "StartSettings",
    "about",
    "linear_field",
    "linear_gradient",
    "mask_affine",
    "mask_starts",
    "maskless_starts",
    "refine_affine",
    "translation",
    "weighted_centre",
]

Matrix = NDArray[np.float64]
FieldArray = NDArray[np.float32]

#: A motion of one prior standard deviation costs as much as this loss of mean squared correlation.
PRIOR_SHARE = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A candidate: fixed LPS mm to moving LPS mm (4×4), where it came from, its correlation, and over how much.

    ``similarity``: weighted mean squared local correlation; ``compared``: the sum of its weights.
    """

    name: str
    affine: Matrix
    similarity: float = 0.0
    compared: float = 0.0


def translation(shift: NDArray[np.float64]) -> Matrix:
    """The 4×4 matrix of a shift."""
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


def about(centre: NDArray[np.float64], linear: Matrix, shift: NDArray[np.float64]) -> Matrix:
    """The 4×4 matrix of x → linear (x − centre) + centre + shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + shift - linear @ centre
    return matrix


def _interpolate(values: NDArray[np.float32], index: NDArray[np.float64]) -> NDArray[np.float64]:
    return ndimage.map_coordinates(values, index.T, order=1, mode="nearest", output=np.float64)


def mask_affine(fixed: Mask, moving: Mask, settings: StartSettings = StartSettings()) -> Matrix:
    """The affine that lays the moving liver's surface on the fixed one's.

    Least squares of the signed distances, clamped to ±15 mm, by Levenberg-Marquardt with a prior on
    rotation and scale; places outside the other image's field of view do not count. Returns 4×4, fixed LPS
    mm to moving.
    """
    step = settings.spacing_mm
    grid = box_around(mask_box(fixed, 12.0), step, "")
    far = box_around(mask_box(moving, 40.0), step, "")
    target, source = both(lambda: signed_distance(fixed, grid).ravel(), lambda: signed_distance(moving, far))
    slopes = [np.gradient(source, step, axis=a).astype(np.float32) for a in range(3)]
    seen = covered(moving.grid, far).astype(np.float32)
    use = (np.abs(target) < 14.5) & covered(fixed.grid, grid).ravel()
    points = grid.to_world(np.argwhere(use.reshape(grid.shape)))
    target = target[use].astype(np.float64)
    centre = fixed.centroid()
    arm = points - centre
    linear, shift = np.eye(3), moving.centroid() - centre
    # The prior's weight: the mean residual is compared with a surface error of 3 mm, one liver's worth of
    # evidence.
    prior = 3.0**2 / np.concatenate([np.full(9, settings.scale_sd**2), np.full(3, 1e8)]) / 200.0
    off = ~np.eye(3, dtype=bool).ravel()
    prior[:9][off] = 3.0**2 / np.deg2rad(settings.rotation_sd_deg) ** 2 / 200.0
    last, damping = np.inf, 1e-3
    state = np.concatenate([linear.ravel(), shift])
    rest = np.concatenate([np.eye(3).ravel(), np.zeros(3)])
    for _ in range(settings.iterations):
        index = far.to_index(arm @ state[:9].reshape(3, 3).T + centre + state[9:])
        weight = _interpolate(seen, index)
        residual = (_interpolate(source, index) - target) * weight
        slope = np.stack([_interpolate(s, index) for s in slopes], axis=1) * weight[:, None]
        jacobian = np.concatenate([(slope[:, :, None] * arm[:, None, :]).reshape(-1, 9), slope], axis=1)
        count = max(float(weight.sum()), 1.0)
        now = float(residual @ residual) / count + float(prior @ (state - rest) ** 2)
        normal = jacobian.T @ jacobian / count + np.diag(prior)
        pull = jacobian.T @ residual / count + prior * (state - rest)
        state = state - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), pull)
        if abs(last - now) < 1e-5 * max(now, 1e-9):
            break
        last = now
    return about(centre, state[:9].reshape(3, 3), state[9:])


def visible_volumes(fixed: Mask, moving: Mask, affine: Matrix) -> tuple[float, float]:
    """mL of each liver that lies inside the other image's field of view when laid over by ``affine``."""

    def seen(mask: Mask, other: Grid, matrix: Matrix) -> float:
        points = mask.grid.to_world(np.argwhere(mask.values)[::7])
        return float(other.contains(points @ matrix[:3, :3].T + matrix[:3, 3]).mean()) * mask.volume_ml

    back = np.asarray(np.linalg.inv(affine), dtype=np.float64)
    return both(lambda: seen(fixed, moving.grid, affine), lambda: seen(moving, fixed.grid, back))


def mask_starts(fixed: Mask, moving: Mask, settings: StartSettings) -> list[Start]:
    """Starts from two liver masks: centroids, and the surfaces' affine where the volumes are comparable."""
    centroids = translation(moving.centroid() - fixed.centroid())
    starts = [Start("mask centroids", centroids)]
    a, b = visible_volumes(fixed, moving, centroids)
    if min(a, b) > 0 and max(a / b, b / a) <= settings.volume_ratio:
        starts.append(Start("mask surfaces", mask_affine(fixed, moving, settings)))
    else:
        starts.append(Start("dome and right edge", _corner_start(fixed, moving)))
    return starts


def _corner_start(fixed: Mask, moving: Mask) -> Matrix:
    """Lay the right-lateral, posterior and upper ends of the livers on each other.

    Unlike masks share their right lobe: what segmenters and fields of view lose is the left lobe and the
    lower tip. Ends are taken at the 2nd percentile of the voxels' positions, which a few stray voxels
    cannot move.
    """
    ends = []
    for mask in (fixed, moving):
        points = mask.grid.to_world(np.argwhere(mask.values)[::5])
        # LPS: the right side has the lowest x, posterior the highest y, the head the highest z.
        ends.append(np.array([np.quantile(points[:, 0], 0.02), *np.quantile(points[:, 1:], 0.98, axis=0)]))
    return translation(ends[1] - ends[0])


def weighted_centre(cost: Cost) -> NDArray[np.float64]:
    """LPS mm of the centre of gravity of a cost's weights."""
    weights, grid = cost.scene.weights, cost.scene.grid
    total = max(float(weights.sum(dtype=np.float64)), 1e-6)
    along = [weights.sum(axis=tuple(b for b in range(3) if b != a), dtype=np.float64) for a in range(3)]
    return grid.to_world([float(line @ np.arange(len(line))) / total for line in along])


def _arms(grid: Grid, centre: NDArray[np.float64]) -> list[NDArray[np.float32]]:
    """mm from the centre along each axis of a box along LPS, ready to broadcast over the box."""
    lines = [grid.origin[a] + np.arange(grid.shape[a]) * grid.spacing[a] - centre[a] for a in range(3)]
    return [x.astype(np.float32).reshape([-1 if b == a else 1 for b in range(3)]) for a, x in enumerate(lines)]


def linear_field(grid: Grid, centre: NDArray[np.float64], linear: Matrix, shift: NDArray[np.float64]) -> FieldArray:
    """The displacement linear (x − centre) + shift over a box along LPS, shape (3, n0, n1, n2), mm."""
    arms = _arms(grid, centre)
    field = np.empty((3, *grid.shape), dtype=np.float32)
    for d in range(3):
        field[d] = np.float32(shift[d])
        for a in range(3):
            field[d] += np.float32(linear[d, a]) * arms[a]
    return field


def linear_gradient(grid: Grid, centre: NDArray[np.float64], force: FieldArray) -> tuple[Matrix, NDArray[np.float64]]:
    """Gradients by ``linear`` (3, 3) and ``shift`` (3,) of ``linear_field`` from the one by the field."""
    arms = _arms(grid, centre)
    by_linear, by_shift = np.empty((3, 3)), np.empty(3)
    for d in range(3):
        for a in range(3):
            along = force[d].sum(axis=tuple(b for b in range(3) if b != a), dtype=np.float64)
            by_linear[d, a] = float(along @ arms[a].ravel().astype(np.float64))
        by_shift[d] = float(force[d].sum(dtype=np.float64))
    return by_linear, by_shift


def refine_affine(cost: Cost, iterations: int, settings: StartSettings) -> tuple[Matrix, float]:
    """Improve an affine on the images: 12 parameters, the same cost as the deformation, with a Gaussian prior.

    The cost's scene already holds the moving image carried by the start's affine A; returns the 4×4
    increment B (in the fixed frame, to be used as A @ B) and the weighted squared correlation reached.
    """
    grid, centre = cost.scene.grid, weighted_centre(cost)
    reach = 80.0  # mm; half a liver's width, so that all twelve parameters move the liver by comparable lengths
    turn = np.deg2rad(settings.rotation_sd_deg)
    sd = np.where(np.eye(3, dtype=bool), settings.scale_sd, turn).ravel() * reach
    prior = PRIOR_SHARE * np.concatenate([1 / sd**2, np.full(3, 1 / settings.shift_sd_mm**2)])

    def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, force, _ = cost(linear_field(grid, centre, (x[:9] / reach).reshape(3, 3), x[9:]))
        by_linear, by_shift = linear_gradient(grid, centre, force)
        gradient = np.concatenate([by_linear.ravel() / reach, by_shift])
        return value + float(prior @ x**2), gradient + 2 * prior * x

    result = optimize.minimize(
        objective, np.zeros(12), jac=True, method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": iterations + 10, "ftol": 1e-6},
    )  # fmt: skip
    x = np.asarray(result.x)
    linear = (x[:9] / reach).reshape(3, 3)
    return about(centre, np.eye(3) + linear, x[9:]), cost(linear_field(grid, centre, linear, x[9:]))[2]


def body_centroid(image: Volume) -> NDArray[np.float64]:
    """LPS mm centre of what is not air: over −300 HU, or over a tenth of the brightest decile elsewhere."""
    part = image.values[::3, ::3, ::2]
    level = -300.0 if image.unit is Unit.HOUNSFIELD else 0.1 * float(np.quantile(part, 0.95))
    inside = np.argwhere(part > level)
    if len(inside) == 0:
        return image.grid.to_world((np.asarray(image.grid.shape) - 1) / 2)
    return image.grid.to_world(inside.mean(axis=0) * (3, 3, 2))


def maskless_starts(fixed: Volume, moving: Volume) -> list[Start]:
    """Starts without two masks: body on body, centre on centre, and the headers' own positions if they overlap."""
    middle = [v.grid.to_world((np.asarray(v.grid.shape) - 1) / 2) for v in (fixed, moving)]
    starts = [
        Start("body centroids", translation(body_centroid(moving) - body_centroid(fixed))),
        Start("image centres", translation(middle[1] - middle[0])),
    ]
    if bool(moving.grid.contains(middle[0])) or bool(fixed.grid.contains(middle[1])):
        starts.append(Start("headers", np.eye(4)))
    return starts
