"""What the PET measures at an MRI lesion's registered place, within the registration's uncertainty.

The place is known only to the registration's 95 % bound, so the brightest voxel within it is taken. The
maximum over N independent looks at pure noise is positive by itself; without a correction every miss would
seem slightly avid. The signal c is bounded by P(max ≤ m | c) = Φ(m − c)·Φ(m)^(N−1) = 5 %, and ``z_obs`` is
that bound − 1.645, so that T₉₅ = 1 + (z_obs + 1.645)·COV/RC holds as lesions.md writes it; for one look z_obs
is the measured z itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import ConfigError
from liverpair.core.lesion import ReferenceRegion
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import Z95
from liverpair.evaluate.distributions import normal_log_cdf, normal_quantile

__all__ = [
    "EvidenceSettings",
    "PlaceEvidence",
    "debiased_z",
    "expected_maximum",
    "independent_looks",
    "pet_evidence",
]


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """``cranio_caudal_stretch``: breathing makes the place least certain along z (lesions.md: 1.5–2×).

    ``largest_uncertainty_mm``: beyond it the place is unknown and nothing is measured.
    ``least_free_share``: where other foci cover more of the search region than 1 − this, the lesion is
    hidden.
    """

    cranio_caudal_stretch: float = 1.75
    largest_uncertainty_mm: float = 15.0
    least_free_share: float = 0.25

    def __post_init__(self) -> None:
        if self.cranio_caudal_stretch < 1 or self.largest_uncertainty_mm <= 0 or not 0 < self.least_free_share <= 1:
            raise ConfigError("evidence: stretch ≥ 1, a positive largest uncertainty, a free share in (0, 1]")


@dataclass(frozen=True, slots=True)
class PlaceEvidence:
    """PET at one place; numbers are None where ``not_evaluable`` says why.

    ``suv_centre`` is the nearest voxel's value, ``suv_max`` the maximum within the search region, ``tlr`` its
    ratio to the liver and ``tlr_corrected`` that without what the best of ``looks`` noise samples adds by
    chance; ``z_centre`` and ``z_max`` are in standard deviations of the liver's voxel noise.
    """

    suv_centre: float | None
    suv_max: float | None
    tlr: float | None
    tlr_corrected: float | None
    z_centre: float | None
    z_max: float | None
    z_obs: float | None
    looks: float
    in_field_of_view: bool
    not_evaluable: str = ""


def independent_looks(volume_mm3: float, noise_fwhm_mm: float, voxel_volume_mm3: float) -> float:
    """Independent noise samples in a region: its volume over a noise grain's ((4/3)π(F/2)³), at least 1.

    Never more than the voxels: noise finer than a voxel is averaged by it.
    """
    grain = max(np.pi / 6 * noise_fwhm_mm**3, voxel_volume_mm3)
    return max(1.0, volume_mm3 / grain)


def debiased_z(z_max: float, looks: float) -> float:
    """z_obs: the 95 % upper bound of the signal behind a maximum over ``looks``, less 1.645."""
    chance = normal_log_cdf(z_max) * (looks - 1)
    tail = min(0.05 / max(float(np.exp(chance)), 0.1), 0.5)  # the bound never falls below the maximum itself
    return z_max - normal_quantile(tail) - Z95


def expected_maximum(looks: float) -> float:
    """Mean of the largest of ``looks`` standard normal samples (Blom's approximation), 0 for one."""
    return normal_quantile((looks - 0.375) / (looks + 0.25))


def _region(
    suv: Volume, place: NDArray[np.float64], radius_mm: float, stretch: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxels (n, 3) in the ellipsoid around a place, at least the nearest one, and their values (n,)."""
    semi = np.maximum(np.array([radius_mm, radius_mm, radius_mm * stretch]), 1e-6)
    box = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * semi + place
    corner = suv.grid.to_index(box)
    top = np.asarray(suv.grid.shape) - 1
    low = np.clip(np.ceil(corner.min(axis=0)).astype(np.int64), 0, top)
    high = np.clip(np.floor(corner.max(axis=0)).astype(np.int64), 0, top)
    index = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    index = index.reshape(-1, 3)
    distance = np.linalg.norm((suv.grid.to_world(index) - place) / semi, axis=1)
    index = index[distance <= 1]
    nearest = np.clip(np.rint(suv.grid.to_index(place)).astype(np.int64), 0, top)
    index = np.unique(np.vstack([index, nearest]), axis=0)
    return index, suv.values[index[:, 0], index[:, 1], index[:, 2]].astype(np.float64)


def _absent(reason: str, inside: bool) -> PlaceEvidence:
    return PlaceEvidence(None, None, None, None, None, None, None, 0.0, inside, reason)


def pet_evidence(
    suv: Volume,
    reference: ReferenceRegion,
    centre_lps: NDArray[np.float64] | None,
    diameter_mm: float | None,
    uncertainty_mm: float | None,
    occupied: Mask | None = None,
    settings: EvidenceSettings | None = None,
) -> PlaceEvidence:
    """Measure the PET (SUV, LPS mm frame) around an MR lesion's place in the PET/CT frame, shape (3,).

    ``uncertainty_mm`` is the registration's local 95 % bound; ``occupied`` marks the voxels of PET foci that
    belong to other lesions, which must not count for this one.
    """
    settings = settings or EvidenceSettings()
    if centre_lps is None:
        return _absent("no usable registration: the place in the PET is unknown", inside=False)
    place = np.asarray(centre_lps, dtype=np.float64)
    if not bool(suv.grid.contains(place, 0.0)):
        return _absent("the place lies outside the PET's field of view", inside=False)
    radius = float(uncertainty_mm or 0.0)
    if radius > settings.largest_uncertainty_mm:
        return _absent(f"the registration is uncertain by {radius:.0f} mm there", inside=True)
    reach = np.array([radius, radius, radius * settings.cranio_caudal_stretch]) + (diameter_mm or 0.0) / 2
    ends = place + np.diag(reach), place - np.diag(reach)
    if not bool(np.all(suv.grid.contains(np.vstack(ends)))):
        return _absent("the place is cut by the edge of the PET's field of view", inside=False)
    index, values = _region(suv, place, radius, settings.cranio_caudal_stretch)
    if occupied is not None:
        free = ~occupied.values[index[:, 0], index[:, 1], index[:, 2]]
        if free.mean() < settings.least_free_share:
            return _absent("another focus covers the place", inside=True)
        values = values[free]
    voxel = suv.grid.voxel_volume_mm3
    looks = independent_looks(len(values) * voxel, reference.noise_fwhm_mm, voxel)
    peak = float(values.max())
    nearest = np.rint(suv.grid.to_index(place)).astype(int)
    centre = float(suv.values[tuple(nearest)])
    z_max = (peak - reference.mean) / reference.sd
    return PlaceEvidence(
        suv_centre=centre,
        suv_max=peak,
        tlr=peak / reference.mean,
        tlr_corrected=(peak - expected_maximum(looks) * reference.sd) / reference.mean,
        z_centre=(centre - reference.mean) / reference.sd,
        z_max=z_max,
        z_obs=debiased_z(z_max, looks),
        looks=looks,
        in_field_of_view=True,
    )
