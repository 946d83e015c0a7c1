"""A second image of the fixed examination is heard where the first is noise, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.flow.alignment import beside_ct
from liverpair.register.align import RegisterSettings, register
from liverpair.register.deformable import Cost, DeformSettings
from liverpair.register.pet_motion import PetMotion
from liverpair.register.prepare import Scene
from liverpair.register.second_channel import SecondSettings, block_means, second_channel, second_share
from scipy import ndimage

SHAPE = (34, 32, 30)
GRID = Grid(SHAPE, np.diag([4.0, 4.0, 4.0, 1.0]), "")


def _texture(seed: int) -> np.ndarray:
    values = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    return (values / values.std()).astype(np.float32)


def _depth() -> np.ndarray:
    i = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    return np.clip(50 - 4 * np.linalg.norm(i, axis=-1), -15, 15).astype(np.float32)


def _scene(noise: float, grid: Grid = GRID) -> Scene:
    depth = _depth()
    weights = (depth > -4).astype(np.float32)
    moving = np.pad(_texture(2), 2)
    return Scene(
        grid, float(grid.spacing[0]), _texture(1), moving, 2, weights, depth, None, weights, (noise, 0.05)
    )  # fmt: skip


def test_a_quiet_image_needs_no_second_one_and_a_noisy_one_gets_the_whole_share() -> None:
    settings = SecondSettings()
    assert second_share(_scene(0.30), settings) == 0
    assert second_share(_scene(0.38), settings) == pytest.approx(settings.share / 2)
    assert second_share(_scene(0.9), settings) == settings.share
    pet = Volume(np.exp(_texture(3)), GRID, Unit.SUVBW)
    assert second_channel(pet, _scene(0.30), settings, 0.05) is None
    assert second_channel(pet, _scene(0.45), settings, 0.05) is not None


def test_blocks_of_voxels_are_compared_by_their_means_and_the_rest_of_a_box_is_left_out() -> None:
    values = np.arange(5 * 4 * 7, dtype=np.float32).reshape(5, 4, 7)
    means = block_means(values, 2)
    assert means.shape == (2, 2, 3)
    assert means[1, 0, 2] == values[2:4, 0:2, 4:6].mean()
    pet = Volume(np.exp(_texture(3)), Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]), ""), Unit.SUVBW)
    channel = second_channel(pet, _scene(0.5, pet.grid), SecondSettings(), 0.05)
    assert channel is not None
    one_more = np.pad(_texture(2), ((0, 1), (0, 1), (0, 1)), mode="edge")
    similarity, gradient = channel.evaluate(one_more)
    assert similarity == channel.evaluate(_texture(2))[0]
    assert gradient.shape == one_more.shape
    assert not gradient[-1].any()


def test_a_second_image_without_uptake_or_elsewhere_is_not_heard() -> None:
    cold = Volume(np.zeros(SHAPE, dtype=np.float32), GRID, Unit.SUVBW)
    assert second_channel(cold, _scene(0.5), SecondSettings(), 0.05) is None
    far = GRID.affine.copy()
    far[:3, 3] = 900
    away = Volume(np.ones(SHAPE, dtype=np.float32), Grid(SHAPE, far, ""), Unit.SUVBW)
    assert second_channel(away, _scene(0.5), SecondSettings(), 0.05) is None


@pytest.mark.parametrize("uptake", [3.0, 15.0])
def test_a_hot_lesion_looks_as_large_on_the_second_image_as_it_is_however_hot(uptake: float) -> None:
    grid = Grid(SHAPE, np.diag([3.0, 3.0, 3.0, 1.0]), "")
    away = np.linalg.norm(3.0 * (np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2), axis=-1)

    def ball(radius_mm: float) -> np.ndarray:
        return np.asarray(np.clip((radius_mm - away) / 3.0 + 0.5, 0, 1), dtype=np.float32)

    blurred = ndimage.gaussian_filter(1 + (uptake - 1) * ball(21.0), 1.0)  # 7 mm at half maximum
    channel = second_channel(Volume(blurred, grid, Unit.SUVBW), _scene(0.5, grid), SecondSettings(), 0.05)
    assert channel is not None
    radii = np.arange(15.0, 28.0, 0.5)
    alike = [channel.evaluate(800 - 400 * ndimage.gaussian_filter(ball(radius), 0.5))[0] for radius in radii]
    assert radii[int(np.argmax(alike))] == pytest.approx(21.0, abs=1.0)


@pytest.mark.parametrize("spacing", [4.0, 2.0])  # voxel by voxel; in blocks of two
def test_the_cost_with_a_second_image_has_an_exact_gradient(spacing: float) -> None:
    grid = Grid(SHAPE, np.diag([spacing, spacing, spacing, 1.0]), "")
    pet = Volume(np.exp(_texture(2) * 0.5), grid, Unit.SUVBW)
    cost = Cost.of(_scene(0.5, grid), DeformSettings(), pet)
    assert cost.second is not None
    assert cost.second.block == round(4.0 / spacing)
    rng = np.random.default_rng(5)
    field = ndimage.gaussian_filter(rng.normal(size=(3, *SHAPE)), (0, 4, 4, 4)).astype(np.float32) * 20 + 0.7
    # a shift along one axis: trilinear interpolation is differentiable almost everywhere, so the step is small
    direction = np.zeros_like(field)
    direction[1] = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    direction /= np.abs(direction).max()
    h = np.float32(0.02)
    slope = (cost(field + h * direction)[0] - cost(field - h * direction)[0]) / (2 * float(h))
    assert float((cost(field)[1] * direction).sum()) == pytest.approx(slope, rel=0.05)


def _pair(noise_hu: float) -> tuple[Volume, Volume, Volume, Mask, Mask, SpatialTransform]:
    """A CT that is noise inside the liver, a PET that shows what the MRI shows, and the MRI 6 mm away."""
    shape = (80, 76, 60)
    grid = Grid(shape, np.diag([2.5, 2.5, 3.0, 1.0]), "")
    i = (np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2) * [2.5, 2.5, 3.0]
    inside = np.linalg.norm(i / [1.0, 1.0, 0.85], axis=-1) < 68  # a ball: its surface says nothing about turns
    rng = np.random.default_rng(3)
    texture = ndimage.gaussian_filter(rng.normal(size=shape), 2.4)
    texture /= texture.std()
    noise = ndimage.gaussian_filter(rng.normal(size=shape), 0.7)
    ct = np.where(inside, 55 + noise_hu * noise / noise.std(), -100).astype(np.float32)
    pet = np.where(inside, 5 + 1.2 * ndimage.gaussian_filter(texture, 0.8), 0.5).astype(np.float32)
    mr = np.where(inside, 800 - 120 * texture + 10 * rng.normal(size=shape), 150).astype(np.float32)
    turn = np.deg2rad(6.0)
    matrix = np.eye(4)
    matrix[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    centre = grid.to_world((np.array(shape) - 1) / 2)
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + [6.0, -3.0, 4.0]
    moved = Grid(shape, matrix @ grid.affine, "")
    return (
        Volume(ct, grid, Unit.HOUNSFIELD), Volume(pet, grid, Unit.SUVBW), Volume(mr, moved),
        Mask(inside, grid), Mask(inside, moved), SpatialTransform(matrix),
    )  # fmt: skip


@pytest.mark.slow
def test_pet_holds_a_registration_whose_ct_shows_nothing() -> None:
    ct, pet, mr, fixed, moving, truth = _pair(25.0)
    points = fixed.grid.to_world(np.argwhere(fixed.values)[::97])
    lenient = RegisterSettings()
    lenient = replace(lenient, quality=replace(lenient.quality, failed_score=-9.0, usable_score=-9.0))
    errors = []
    for second in (None, pet):
        result = register(ct, mr, fixed, moving, lenient, second)
        assert result.transform is not None
        assert (result.quality["second_image_share"] > 0) == (second is not None)
        errors.append(np.linalg.norm(result.transform.to_moving(points) - truth.to_moving(points), axis=1))
    assert np.median(errors[1]) < 1.0
    assert np.median(errors[1]) < 0.5 * np.median(errors[0])


def test_a_pet_is_put_back_along_the_directions_of_breathing_only() -> None:
    pet = Volume(np.ones(SHAPE, dtype=np.float32), GRID, Unit.SUVBW)
    small = PetMotion(np.array([2.0, 1.0, 4.0]), np.ones(3), 0.9, 0.8, corrected=False)
    placed = beside_ct(pet, small)
    assert placed is not None
    assert placed.grid.affine[:3, 3] == pytest.approx([0.0, -1.0, -4.0])
    assert beside_ct(pet, replace(small, corrected=True)) is pet
    assert beside_ct(pet, None) is None
