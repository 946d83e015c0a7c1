"""The shape of avid foci: what of a PET shows it, how well bodies explain it, weighed by the image's own noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.delineate import connected_above, within
from liverpair.segment.pet_bodies import Fit, Patch, fit_ellipsoid, painted
from liverpair.segment.pet_field import PetField
from liverpair.segment.pet_settings import PetDetectionSettings

__all__ = ["BETTER_SD", "START_MM", "Place", "better", "light_image", "one_body", "own_z", "place_of"]

#: A focus is followed down to this share of its height, where its own blur ends and a warm neighbour's begins ...
FOOT = 0.05
#: ... but not into the noise: so many of its SDs.
FOOT_SD = 2.5
#: Nothing further than this from its seed is looked at: lesions that a model describes reach about so far.
REACH_MM = 45.0
#: Diameter (mm) of a sphere from which the fits start: of what is read as one blurred spot.
START_MM = 12.0
#: One explanation is better than another by this many SDs of what noise does to the comparison: one in 20 by chance.
BETTER_SD = 1.64


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A focus cut out, the voxel of the field that is the patch's first, and the light image there."""

    patch: Patch
    low: NDArray[np.int64]
    light: NDArray[np.float32]

    @property
    def window(self) -> tuple[slice, ...]:
        return tuple(slice(int(a), int(a) + n) for a, n in zip(self.low, self.light.shape, strict=True))

    def holds(self, voxel: NDArray[np.int64]) -> bool:
        """Whether a voxel of the field lies in the box."""
        return bool(np.all(voxel >= self.low) and np.all(voxel < self.low + np.array(self.light.shape)))


def light_image(field: PetField) -> NDArray[np.float32]:
    """The image smoothed by half the noise's own width: single voxels are calmed, edges hardly move."""
    sigma = 0.5 * field.noise_fwhm_mm / FWHM_PER_SIGMA / field.spacing
    return np.asarray(gaussian_filter(field.suv, sigma, mode="nearest"))


def place_of(
    field: PetField,
    light: NDArray[np.float32],
    basins: NDArray[np.int32],
    seed: NDArray[np.int64],
    numbers: tuple[int, ...],
    settings: PetDetectionSettings,
    largest_ml: float,
) -> Place | None:
    """The focus at ``seed`` whose basins are ``numbers``, with the liver around it and without other foci.

    None where it is too faint to have a shape, or holds more than ``largest_ml``.
    """
    reach = np.ceil(REACH_MM / field.spacing).astype(int)
    low, high = np.maximum(seed - reach, 0), np.minimum(seed + reach + 1, light.shape)
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    background = float(field.background[tuple(seed)])
    height = float(light[tuple(seed)]) - background
    foot = max(FOOT * height, FOOT_SD * field.searched[0][1].sd * background)
    if foot > 0.5 * height:
        return None
    values, basin = light[window], basins[window]
    own = np.isin(basin, numbers)
    at = (int(seed[0] - low[0]), int(seed[1] - low[1]), int(seed[2] - low[2]))
    region = connected_above(values, background + foot, at, own & field.domain[window])
    if not 0 < np.count_nonzero(region) * float(np.prod(field.spacing)) / 1000.0 <= largest_ml:
        return None
    fwhm = max(settings.resolution_fwhm_mm, field.noise_fwhm_mm)
    inner = ~within(~field.liver[window], field.spacing, 0.5 * fwhm)  # the liver's border is blurred, too
    others = (basin > 0) & ~own & (values > background + foot)
    mask = within(region, field.spacing, 0.75 * fwhm) & (inner | region) & ~others
    return _cut(field, light, mask, low, background, fwhm)


def _cut(
    field: PetField,
    light: NDArray[np.float32],
    mask: NDArray[np.bool_],
    low: NDArray[np.int64],
    background: float,
    fwhm_mm: float,
) -> Place:
    """The box around ``mask``, which lies at ``low`` of the field."""
    box = np.argwhere(mask)
    # one voxel around it: a model in frequency space comes in again at the other side of its box
    first, last = np.maximum(box.min(axis=0) - 1, 0), np.minimum(box.max(axis=0) + 2, mask.shape)
    inner = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    there = tuple(slice(int(o + a), int(o + b)) for o, a, b in zip(low, first, last, strict=True))
    around = field.background[there].astype(np.float64)
    # noise, and what a lesion's own unevenness does to a model, grow with the uptake
    weight = 1.0 / (field.searched[0][1].sd * np.maximum(np.maximum(light[there], around), 1e-6))
    excess = field.suv[there].astype(np.float64) - around
    return Place(Patch(excess, background, weight, mask[inner], field.spacing, fwhm_mm), low + first, light[there])


def one_body(place: Place) -> tuple[Fit, Fit]:
    """The focus as one ellipsoid: filled, and with a core of its own uptake."""
    centre, spread = _moments(place)
    filled, found = fit_ellipsoid(place.patch, centre, spread)
    return filled, fit_ellipsoid(place.patch, filled.centres[0], found, hollow=True)[0]


def _moments(place: Place) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (3,) mm of the focus, and the lower triangle (3, 3) mm of the ellipsoid with its second moments."""
    patch = place.patch
    points = patch.points()
    # what is over a sixth of the focus: the liver around it has no part in its shape
    high = np.maximum(place.light[patch.mask] - patch.background, 0.0)
    weight = np.maximum(high - high.max() / 6.0, 1e-9)
    centre = np.average(points, axis=0, weights=weight)
    off = points - centre
    moments = (off * weight[:, None]).T @ off / weight.sum() + np.diag(patch.spacing**2 / 12.0)
    return centre, np.asarray(np.linalg.cholesky(5.0 * moments))  # a ball's moment is a fifth of its radius squared


def _blurred(field: PetField, patch: Patch, template: NDArray[np.float64]) -> float:
    """Variance of the sum of ``template`` (m,) times noise of SD 1 and of the image's correlation."""
    box = np.zeros(patch.mask.shape)
    box[patch.mask] = template
    sigma = field.noise_fwhm_mm / FWHM_PER_SIGMA / patch.spacing  # of the noise; of its correlation √2 times that
    grain = float(np.prod(np.maximum(math.sqrt(4.0 * math.pi) * sigma, 1.0)))
    return max(float((box * gaussian_filter(box, math.sqrt(2.0) * sigma, mode="constant")).sum()) * grain, 1e-9)


def better(field: PetField, patch: Patch, this: Fit, other: Fit) -> float:
    """How much better ``this`` explains the focus, in SDs of what noise does to the difference of both misfits."""
    return (other.misfit - this.misfit) / (2.0 * math.sqrt(_blurred(field, patch, other.model - this.model)))


def own_z(field: PetField, patch: Patch, spheres: Fit) -> list[float]:
    """Each sphere's own signal in SDs of the noise."""
    weight = patch.weight[patch.mask]
    found = []
    for body, height in zip(painted(patch, spheres), spheres.heights, strict=True):
        template = height * body[patch.mask] * weight
        found.append(float(template @ template) / math.sqrt(_blurred(field, patch, template)))
    return found
