"""Lesions of one patient: what is asked for, where it finds room in the liver, and its exact shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.simulate.anatomy import Anatomy
from liverpair.simulate.space import Array, rotation_matrix

__all__ = ["LesionRequest", "PlacedLesion", "lesion_distance", "place_lesions", "random_requests"]

#: Two lesions keep this much liver between them, so that truth stays one lesion per focus.
GAP_MM = 6.0
NATURES = ("metastasis", "cyst", "haemangioma", "inflammation")


@dataclass(frozen=True, slots=True)
class LesionRequest:
    """A lesion to place.

    ``diameter_mm`` is the equivalent-sphere diameter, ``tlr`` the true tumour-to-liver uptake ratio, ``place`` one of
    anywhere | deep | capsule | dome | vessel, ``contrast`` scales its deviation from liver on MR.
    """

    diameter_mm: float
    tlr: float
    nature: str = "metastasis"
    place: str = "anywhere"
    contrast: float = 1.0
    asphericity: float = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class PlacedLesion:
    """A lesion in the anatomical frame: an ellipsoid with semi-axes ``radii`` (3,) turned by ``turn`` (3, 3)."""

    request: LesionRequest
    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    turn: NDArray[np.float64]

    @property
    def reach(self) -> float:
        """Largest semi-axis in mm."""
        return float(self.radii.max())


def lesion_distance(lesion: PlacedLesion, points: tuple[Array, Array, Array]) -> Array:
    """Signed distance in mm (negative inside) of anatomical points (three arrays x, y, z) to the lesion's surface."""
    x, y, z = (p - np.float32(c) for p, c in zip(points, lesion.centre, strict=True))
    turn = lesion.turn.astype(np.float32)
    level = np.full(x.shape, 1e-9, dtype=np.float32)
    slope = np.full(x.shape, 1e-9, dtype=np.float32)
    for n in range(3):
        local = turn[0, n] * x + turn[1, n] * y + turn[2, n] * z
        level += (local / np.float32(lesion.radii[n])) ** 2
        slope += (local / np.float32(lesion.radii[n] ** 2)) ** 2
    root = np.sqrt(level)
    return np.where(root < 0.3, -np.float32(lesion.radii.min()), root * (root - 1) / np.sqrt(slope))


def random_requests(rng: np.random.Generator) -> tuple[LesionRequest, ...]:
    """A mixed bag: 6–12 metastases (3–40 mm, some not avid), 0–3 cysts, 0–2 haemangiomas."""
    requests = []
    for _ in range(int(rng.integers(6, 13))):
        diameter = float(np.clip(np.exp(rng.normal(np.log(11.0), 0.55)), 3.0, 40.0))
        tlr = (
            float(rng.uniform(0.9, 1.1))
            if rng.random() < 0.15
            else float(np.clip(np.exp(rng.normal(1.2, 0.5)), 1.3, 12))
        )
        place = str(rng.choice(["anywhere", "anywhere", "deep", "capsule", "dome", "vessel"]))
        requests.append(LesionRequest(diameter, tlr, "metastasis", place, float(rng.uniform(0.75, 1.15))))
    for _ in range(int(rng.integers(0, 4))):
        requests.append(LesionRequest(float(rng.uniform(4, 26)), 0.1, "cyst"))
    for _ in range(int(rng.integers(0, 3))):
        requests.append(LesionRequest(float(rng.uniform(7, 24)), 0.75, "haemangioma"))
    return tuple(requests)


def _score(anatomy: Anatomy, place: str, radius: float, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which candidate samples (n, 3) suit a wish for a place."""
    depth = anatomy.depth[tuple(index.T)]
    if place == "deep":
        return np.asarray(depth > radius + 12)
    if place == "capsule":
        return np.asarray((depth > radius + 0.5) & (depth < radius + 5))
    if place == "dome":
        height = anatomy.space.z[index[:, 2]]
        top = anatomy.space.z[anatomy.liver_box[2].stop - 1]
        return np.asarray((height > top - 30 - radius) & (depth > radius + 1))
    local = index - np.array([b.start for b in anatomy.liver_box])
    near = anatomy.vessel_distance[tuple(local.T)]
    if place == "vessel":
        return np.asarray((near > radius) & (near < radius + 3) & (depth > radius + 3))
    return np.asarray((depth > radius + 2) & (near > min(radius, 4.0)))


def _place(
    rng: np.random.Generator,
    anatomy: Anatomy,
    request: LesionRequest,
    placed: list[PlacedLesion],
    candidates: NDArray[np.int64],
) -> PlacedLesion | None:
    stretch = np.exp(rng.normal(0, request.asphericity, 3))
    radii = request.diameter_mm / 2 * stretch / np.cbrt(stretch.prod())
    for place in (request.place, "anywhere"):
        sample = candidates[rng.integers(0, len(candidates), 4000)]
        suited = sample[_score(anatomy, place, float(radii.max()), sample)]
        for index in suited[:400]:
            centre = np.array(
                [axis[n] for axis, n in zip((anatomy.space.x, anatomy.space.y, anatomy.space.z), index, strict=True)]
            )
            centre = centre + rng.uniform(-0.5, 0.5, 3) * anatomy.space.step
            if all(np.linalg.norm(centre - other.centre) > radii.max() + other.reach + GAP_MM for other in placed):
                return PlacedLesion(request, centre, radii, rotation_matrix(rng.uniform(0, 180, 3)))
    return None


def place_lesions(
    rng: np.random.Generator, anatomy: Anatomy, requests: Sequence[LesionRequest]
) -> tuple[PlacedLesion, ...]:
    """Place the requests, largest first; one that finds no room is left out (the truth lists what was placed)."""
    candidates = np.argwhere(anatomy.depth > 2.0)
    placed: list[PlacedLesion] = []
    for request in sorted(requests, key=lambda r: -r.diameter_mm):
        lesion = _place(rng, anatomy, request, placed, candidates)
        if lesion is not None:
            placed.append(lesion)
    return tuple(placed)
