"""The MRI: oblique sampling through the true motion, point spread, bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.geometry import Grid
from liverpair.core.units import FWHM_PER_SIGMA, Unit
from liverpair.core.volume import Mask, Volume
from liverpair.simulate.anatomy import Anatomy
from liverpair.simulate.lesions import PlacedLesion
from liverpair.simulate.motion import Motion, Rigid
from liverpair.simulate.render import compose, mapped_lattice, paint_lesions, sample_points
from liverpair.simulate.space import Array, Space, rotation_matrix
from liverpair.simulate.texture import SmoothField

__all__ = ["MrProtocol", "MrSequence", "acquire_mr"]

#: The inverse of the motion is computed on this lattice (mm) and interpolated: 0.02 mm for bumps of 35 mm and more.
INVERSE_LATTICE_MM = 8.0
#: A thick slice is averaged from sub-slices about this far apart.
SUBSLICE_MM = 2.5
Lesions = Sequence[tuple[PlacedLesion, float]]


@dataclass(frozen=True, slots=True)
class MrSequence:
    """One sequence: voxel (mm), slice thickness (≤ slice step), in-plane PSF (mm), noise sd, bias strength."""

    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    fwhm_mm: float
    noise: float
    bias: float = 0.18


@dataclass(frozen=True, slots=True)
class MrProtocol:
    """Geometry and noise of the MRI's sequences, by class of role."""

    t1: MrSequence = MrSequence((1.2, 1.2, 3.0), 3.0, 1.5, 20.0)
    t2: MrSequence = MrSequence((1.4, 1.4, 6.0), 5.0, 1.7, 9.0)
    dwi: MrSequence = MrSequence((2.5, 2.5, 6.0), 5.0, 3.6, 8.0, 0.12)
    extent_mm: tuple[float, float, float] = (372.0, 276.0, 222.0)
    obliquity_deg: float = 6.0
    between_sequences_mm: float = 2.5
    between_sequences_deg: float = 0.8
    fold_mm: float = 0.0  # cut from the field of view at the belly and at the back: it folds over to the other side

    def acquisition(self, role: str) -> str:
        """Which acquisition makes a role's image: t1 (all phases), t2 or dwi (with its ADC)."""
        return {"mr-dwi": "dwi", "mr-adc": "dwi", "mr-t2": "t2"}.get(role, "t1")

    def sequence(self, role: str) -> MrSequence:
        """The geometry and noise of a role's image."""
        return {"t1": self.t1, "t2": self.t2, "dwi": self.dwi}[self.acquisition(role)]


def _grid(
    sequence: MrSequence,
    extent_mm: tuple[float, float, float],
    centre: NDArray[np.float64],
    direction: NDArray[np.float64],
    frame: str,
) -> Grid:
    shape = tuple(max(1, int(round(e / s))) for e, s in zip(extent_mm, sequence.spacing_mm, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = direction * np.asarray(sequence.spacing_mm)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine, frame)


def _bias(rng: np.random.Generator, shape: tuple[int, int, int], strength: float) -> Array:
    """Multiplicative coil shading exp(strength·field), one smooth field over the whole image."""
    axes = [np.linspace(-1, 1, max(n, 2))[:n] for n in shape]
    field = SmoothField.drawn(rng, Space(*axes), 0.9)
    return np.exp(np.float32(strength) * field.on(Space(*axes)))


def _shake(rng: np.random.Generator, protocol: MrProtocol, pivot: NDArray[np.float64], still: bool) -> Rigid:
    """The small motion between sequences; the hepatobiliary image is the reference and has none."""
    turn, shift = rng.standard_normal(3), rng.standard_normal(3)
    size = 0.0 if still else float(rng.uniform(0.3, 1.0))
    return Rigid.turning(
        size * protocol.between_sequences_deg * turn / np.linalg.norm(turn),
        size * protocol.between_sequences_mm * shift / np.linalg.norm(shift),
        pivot,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """One acquisition: its grid, the patient's position during it, and where its voxels lie in the anatomy.

    ``points`` has one set of coordinates, or several sub-slices spread over a thick slice.
    """

    sequence: MrSequence
    grid: Grid
    motion: Motion
    shake: Rigid
    offset: NDArray[np.float64]
    points: tuple[tuple[Array, Array, Array], ...]

    def to_anatomy(self, lps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Anatomical points of LPS points (n, 3) of this acquisition."""
        return self.motion.backward(self.shake.backward(lps - self.offset))

    def from_anatomy(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS position (3,) of one anatomical point (3,) in this acquisition."""
        return np.asarray(self.shake.forward(self.motion.forward(point))[0] + self.offset)


def _scan(sequence: MrSequence, grid: Grid, motion: Motion, shake: Rigid, offset: NDArray[np.float64]) -> _Scan:
    scan = _Scan(sequence, grid, motion, shake, offset, ())
    count = max(1, int(round(sequence.thickness_mm / SUBSLICE_MM)))
    axes = [np.arange(n, dtype=np.float64) for n in grid.shape]
    points = []
    for part in (np.arange(count) + 0.5) / count - 0.5:
        affine = grid.affine.copy()
        affine[:3, 3] += grid.direction[:, 2] * part * sequence.thickness_mm
        points.append(mapped_lattice(Grid(grid.shape, affine), axes, scan.to_anatomy, INVERSE_LATTICE_MM))
    return replace(scan, points=tuple(points))


def acquire_mr(
    rng: np.random.Generator,
    anatomy: Anatomy,
    values: Mapping[str, Mapping[str, float]],
    lesions: Mapping[str, Lesions],
    motion: Motion,
    offset: NDArray[np.float64],
    frame: str,
    protocol: MrProtocol,
    heterogeneity: float,
) -> tuple[dict[str, Volume], Mask]:
    """The MR images by role and the liver's true mask on the first image's grid.

    ``values`` and ``lesions`` hold, per role, the tissue table and the lesions with their value there. DWI and ADC
    share one motion (they are one acquisition), and so do the T1 phases.
    """
    inside = np.argwhere(anatomy.depth > 2.0)[::499]
    axes = (anatomy.space.x, anatomy.space.y, anatomy.space.z)
    liver = motion.forward(np.column_stack([axis[inside[:, n]] for n, axis in enumerate(axes)])).mean(axis=0)
    centre = np.array([0.1 * liver[0], 0.0, liver[2]])  # technicians centre the body, not the liver
    direction = rotation_matrix(rng.uniform(-1, 1, 3) * protocol.obliquity_deg)
    shakes = {name: _shake(rng, protocol, centre, name == "t1") for name in ("t1", "t2", "dwi")}
    scans: dict[str, _Scan] = {}
    images: dict[str, Volume] = {}
    for role in values:
        name = protocol.acquisition(role)
        if name not in scans:
            sequence = protocol.sequence(role)
            grid = _grid(sequence, protocol.extent_mm, centre + offset, direction, frame)
            scans[name] = _scan(sequence, grid, motion, shakes[name], offset)
        image = _one_image(rng, anatomy, role, values[role], lesions[role], scans[name], heterogeneity)
        images[role] = _folded_over(image, protocol.fold_mm)
    first = scans[protocol.acquisition(next(iter(values)))]
    fraction = sample_points(anatomy.liver, anatomy, first.points[0])
    kept = images[next(iter(values))].grid
    cut = (first.grid.shape[1] - kept.shape[1]) // 2
    return images, Mask(fraction[:, cut : cut + kept.shape[1]] >= 0.5, kept)


def _folded_over(image: Volume, fold_mm: float) -> Volume:
    """The image with ``fold_mm`` less field of view at both ends of the second axis, whose signal lands opposite."""
    cut = int(round(fold_mm / float(image.grid.spacing[1])))
    if cut == 0:
        return image
    ni, nj, nk = image.grid.shape
    values = image.values[:, cut : nj - cut].copy()
    values[:, -cut:] += image.values[:, :cut]
    values[:, :cut] += image.values[:, nj - cut :]
    return replace(image, values=values, grid=image.grid.cropped([0, cut, 0], [ni, nj - cut, nk]))


def _one_image(
    rng: np.random.Generator,
    anatomy: Anatomy,
    role: str,
    values: Mapping[str, float],
    lesions: Lesions,
    scan: _Scan,
    heterogeneity: float,
) -> Volume:
    """Paint, sample, blur and disturb one image."""
    canonical = compose(anatomy, values, values["air"], heterogeneity)
    image = np.zeros(scan.grid.shape, dtype=np.float32)
    for points in scan.points:
        image += sample_points(canonical, anatomy, points) / np.float32(len(scan.points))
    placed = [(lesion, scan.from_anatomy(lesion.centre), value) for lesion, value in lesions]
    paint_lesions(image, scan.grid, scan.to_anatomy, placed)
    for axis in range(2):
        sigma = scan.sequence.fwhm_mm / FWHM_PER_SIGMA / float(scan.grid.spacing[axis])
        image = ndimage.gaussian_filter1d(image, sigma, axis=axis, truncate=3.0)
    if role == "mr-adc":
        return Volume(_noisy_adc(rng, image), scan.grid, Unit.DIFFUSIVITY)
    image *= _bias(rng, scan.grid.shape, scan.sequence.bias)
    noise = np.float32(scan.sequence.noise)
    image += noise * rng.standard_normal(image.shape, dtype=np.float32)
    np.hypot(image, noise * rng.standard_normal(image.shape, dtype=np.float32), out=image)
    return Volume(image, scan.grid, Unit.ARBITRARY)


def _noisy_adc(rng: np.random.Generator, image: Array) -> Array:
    """ADC noise: relative, larger where there is little signal (air, fat) and clipped at zero as scanners do."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    spread = np.float32(120.0) + np.float32(420.0) * np.exp(-image / np.float32(250.0))
    return np.maximum(image + noise * spread, 0)
