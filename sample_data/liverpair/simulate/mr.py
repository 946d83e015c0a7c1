"""The MRI: oblique sampling through the true motion, point spread, bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    dwi: MrSequence = MrSequence((2.5, 2.5, 6.0), 5.0, 3.6, 6.5, 0.12)
    extent_mm: tuple[float, float, float] = (372.0, 276.0, 222.0)
    obliquity_deg: float = 6.0
    between_sequences_mm: float = 2.5
    between_sequences_deg: float = 0.8

    def sequence(self, role: str) -> MrSequence:
        """The protocol of a role; all T1 phases share one."""
        if role in ("mr-dwi", "mr-adc"):
            return self.dwi
        return self.t2 if role == "mr-t2" else self.t1


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


def anatomy_points(
    grid: Grid, motion: Motion, shake: Rigid, offset: NDArray[np.float64]
) -> tuple[Array, Array, Array]:
    """Anatomical coordinates of every voxel centre of an MR grid, three arrays of its shape."""
    axes = [np.arange(n, dtype=np.float64) for n in grid.shape]
    return mapped_lattice(
        grid, axes, lambda p: motion.backward(shake.backward(p - offset)), INVERSE_LATTICE_MM
    )


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


def _sampled(
    image: Array,
    anatomy: Anatomy,
    grid: Grid,
    sequence: MrSequence,
    motion: Motion,
    shake: Rigid,
    offset: NDArray[np.float64],
) -> Array:
    """Sample the canonical image; thick slices are the mean of sub-slices spread over their thickness."""
    count = max(1, int(round(sequence.thickness_mm / 2.5)))
    total = np.zeros(grid.shape, dtype=np.float32)
    for part in (np.arange(count) + 0.5) / count - 0.5:
        affine = grid.affine.copy()
        affine[:3, 3] += grid.direction[:, 2] * part * sequence.thickness_mm
        points = anatomy_points(Grid(grid.shape, affine), motion, shake, offset)
        total += sample_points(image, anatomy, points, 0.0)
    return total / np.float32(count)


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
    share one motion (they are one acquisition).
    """
    inside = np.argwhere(anatomy.depth > 2.0)[::499]
    points = np.column_stack(
        [axis[inside[:, n]] for n, axis in enumerate((anatomy.space.x, anatomy.space.y, anatomy.space.z))]
    )
    centre = motion.forward(points).mean(axis=0)
    centre = np.array([0.1 * centre[0], 0.0, centre[2]])  # technicians centre the body, not the liver
    direction = rotation_matrix(rng.uniform(-1, 1, 3) * protocol.obliquity_deg)
    shakes = {"mr-dwi": _shake(rng, protocol, centre, False), "mr-t2": _shake(rng, protocol, centre, False)}
    still = _shake(rng, protocol, centre, True)
    images: dict[str, Volume] = {}
    liver: Mask | None = None
    for role in values:
        shake = shakes.get("mr-dwi" if role == "mr-adc" else role, still)
        sequence = protocol.sequence(role)
        grid = _grid(sequence, protocol.extent_mm, centre + offset, direction, frame)
        images[role] = _one_image(
            rng,
            anatomy,
            role,
            values[role],
            lesions[role],
            grid,
            sequence,
            motion,
            shake,
            offset,
            heterogeneity,
        )
        if liver is None:
            fraction = sample_points(anatomy.liver, anatomy, anatomy_points(grid, motion, shake, offset), 0.0)
            liver = Mask(fraction >= 0.5, grid)
    assert liver is not None
    return images, liver


def _one_image(
    rng: np.random.Generator,
    anatomy: Anatomy,
    role: str,
    values: Mapping[str, float],
    lesions: Lesions,
    grid: Grid,
    sequence: MrSequence,
    motion: Motion,
    shake: Rigid,
    offset: NDArray[np.float64],
    heterogeneity: float,
) -> Volume:
    canonical = compose(anatomy, values, values["air"], heterogeneity)
    image = _sampled(canonical, anatomy, grid, sequence, motion, shake, offset)
    placed = [
        (lesion, shake.forward(motion.forward(lesion.centre))[0] + offset, value) for lesion, value in lesions
    ]

    def to_anatomy(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return motion.backward(shake.backward(points - offset))

    paint_lesions(image, grid, to_anatomy, placed)
    for axis in range(2):
        image = ndimage.gaussian_filter1d(
            image, sequence.fwhm_mm / FWHM_PER_SIGMA / float(grid.spacing[axis]), axis=axis
        )
    if role == "mr-adc":
        return Volume(_noisy_adc(rng, image, sequence), grid, Unit.DIFFUSIVITY)
    image *= _bias(rng, grid.shape, sequence.bias)
    noise = rng.standard_normal((2, *grid.shape), dtype=np.float32) * np.float32(sequence.noise)
    return Volume(np.hypot(image + noise[0], noise[1]), grid, Unit.ARBITRARY)


def _noisy_adc(rng: np.random.Generator, image: Array, sequence: MrSequence) -> Array:
    """ADC noise: relative, larger where there is little signal (air, fat) and clipped at zero as scanners do."""
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    spread = np.float32(70.0) + np.float32(420.0) * np.exp(-image / np.float32(250.0))
    return np.maximum(image + noise * spread, 0)
