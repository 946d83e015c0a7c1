"""The registration's parts: exact gradients, splines, resampling, ITK files, starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  # the name every ITK user knows
from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform, interpolate
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.register.bspline import BSplineSpace
from liverpair.register.deformable import Cost, DeformSettings, FreeForm, bending_weight
from liverpair.register.local_ncc import LocalCorrelation
from liverpair.register.prepare import DISTANCE_CLAMP_MM, Scene, signed_distance
from liverpair.register.quality import JACOBIAN_SLAB, QualitySettings, jacobian, strain
from liverpair.register.resample import covered, resample, resample_labels, resample_mask
from liverpair.register.start import StartSettings, mask_affine, mask_starts
from liverpair.register.transform_io import from_itk, read_transform, write_transform
from liverpair.register.uncertainty import Handed, UncertaintySettings, error_bound, local_strain, residual_pull
from liverpair.register.window_sums import box_sum, box_sum_in_place, reach
from numpy.typing import NDArray
from scipy import ndimage


def _smooth(shape: tuple[int, int, int], seed: int, sigma: float = 2.0) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return (noise / noise.std()).astype(np.float32)


def _grid(shape: tuple[int, int, int], step: float = 3.0) -> Grid:
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (-30.0, 12.0, 400.0)
    return Grid(shape, affine)


def test_window_sums_are_those_of_the_definition() -> None:
    a = np.random.default_rng(0).normal(size=(9, 7, 5)).astype(np.float32)
    for radius in (1, 2, 3):
        ones = np.ones(2 * radius + 1)
        expected = a.astype(np.float64)
        for axis in range(3):
            expected = ndimage.convolve1d(expected, ones, axis=axis, mode="constant")
        np.testing.assert_allclose(box_sum(a, radius), expected, rtol=0, atol=2e-4)


def test_window_sums_are_right_wherever_a_region_reads_them_and_nothing_else_is_touched() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(17, 16, 18)).astype(np.float32)
    region = np.zeros(a.shape, dtype=bool)
    region[5:9, 4:6, 7:12] = region[11, 12, 15] = True
    where = reach(region, 2)
    near = ndimage.maximum_filter(region, 5)
    held = np.zeros(a.shape, dtype=bool)
    for i, (j0, j1, k0, k1) in enumerate(where):
        held[i, j0:j1, k0:k1] = True
    assert held[near].all()
    assert not held[:3].any()  # slabs that no window reaches
    assert not held[14:].any()
    sums = a.copy()
    box_sum_in_place(sums, 2, where)
    np.testing.assert_allclose(sums[region], box_sum(a, 2)[region], rtol=0, atol=2e-4)
    np.testing.assert_array_equal(sums[~held], a[~held])
    only = np.where(region, a, np.float32(0))
    sums = only.copy()
    box_sum_in_place(sums, 2, where)
    np.testing.assert_allclose(sums[near], box_sum(only, 2)[near], rtol=0, atol=2e-4)


def test_the_squared_correlation_is_that_of_the_definition() -> None:
    fixed, moved = _smooth((12, 11, 10), 1), _smooth((12, 11, 10), 2)
    cc = LocalCorrelation.of(fixed, np.ones_like(fixed), 2, (0.0, 0.0)).evaluate(moved)[2]
    a, b = fixed[3:8, 4:9, 2:7].ravel(), moved[3:8, 4:9, 2:7].ravel()
    assert cc[5, 6, 4] == pytest.approx(np.corrcoef(a, b)[0, 1] ** 2, abs=1e-4)


def test_the_squared_correlation_ignores_scale_offset_and_sign() -> None:
    fixed = _smooth((14, 12, 13), 3)
    correlation = LocalCorrelation.of(fixed, np.ones_like(fixed), 2, (0.0, 0.0))
    assert correlation.evaluate(fixed)[0] == pytest.approx(1, abs=1e-3)
    assert correlation.evaluate(5 - 3 * fixed)[0] == pytest.approx(1, abs=1e-3)


def test_score_and_evaluate_agree() -> None:
    fixed, moved = _smooth((12, 11, 10), 1), _smooth((12, 11, 10), 2)
    correlation = LocalCorrelation.of(fixed, np.abs(_smooth((12, 11, 10), 3)), 2, (0.1, 0.2))
    assert correlation.evaluate(moved)[0] == pytest.approx(correlation.score(moved)[0], rel=1e-5)


def _scene(seed: int) -> Scene:
    shape, pad = (17, 15, 16), 4
    wide = tuple(n + 2 * pad for n in shape)
    distance = np.clip(20 - 4.0 * np.linalg.norm(np.moveaxis(np.indices(wide), 0, -1) - 12, axis=-1), -15, 15)
    weights = np.clip(_smooth(shape, seed + 2, 3) + 1, 0, 1)
    inner = tuple(slice(pad, -pad) for _ in range(3))
    return Scene(
        _grid(shape), 3.0, _smooth(shape, seed), _smooth(wide, seed + 1, 2.5), pad, weights,
        np.clip(distance[inner] + 3, -15, 15).astype(np.float32), distance.astype(np.float32),
        np.ones(shape, dtype=np.float32), (0.05, 0.02),
    )  # fmt: skip


def test_the_cost_gradient_agrees_with_finite_differences() -> None:
    # Displacements stay away from whole voxels, where the trilinear interpolant has kinks.
    view = _scene(4)
    cost = Cost.of(view, DeformSettings(surface=0.3))
    space = BSplineSpace.over(view.grid.shape, view.spacing, 20.0)
    rng = np.random.default_rng(7)
    point = 1.5 + 0.2 * rng.normal(size=space.controls)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, force, _ = cost(space.displacement(x))
        rough, pull = space.bending(x)
        return value + 100 * rough, space.transpose(force) + 100 * pull

    gradient = objective(point)[1]
    for seed in range(4):
        way = np.random.default_rng(seed).normal(size=space.controls)
        step = 2e-2
        slope = (objective(point + step * way)[0] - objective(point - step * way)[0]) / (2 * step)
        assert float((gradient * way).sum()) == pytest.approx(slope, rel=0.01, abs=2e-5)


def test_the_spline_transpose_is_the_adjoint() -> None:
    space = BSplineSpace.over((13, 10, 11), 3.0, 12.0)
    rng = np.random.default_rng(1)
    c, f = rng.normal(size=space.controls), rng.normal(size=(3, 13, 10, 11)).astype(np.float32)
    assert float((space.displacement(c) * f).sum()) == pytest.approx(float((space.transpose(f) * c).sum()), rel=1e-4)


def test_a_linear_displacement_does_not_bend_and_is_fitted_exactly() -> None:
    space = BSplineSpace.over((21, 18, 20), 2.0, 15.0)
    x = np.indices((21, 18, 20)).astype(np.float32)
    field = np.stack([0.1 * x[0] - 0.3 * x[2] + 1, 0.2 * x[1], -0.1 * x[0]]).astype(np.float32)
    coefficients = space.fit(field)
    np.testing.assert_allclose(space.displacement(coefficients), field, atol=0.01)
    assert space.bending(coefficients)[0] < 1e-9


def test_the_bending_of_a_parabola_is_its_second_derivative_squared() -> None:
    space = BSplineSpace.over((31, 20, 20), 2.0, 15.0)
    x = np.arange(31, dtype=np.float32)[:, None, None] * 2.0
    field = np.zeros((3, 31, 20, 20), dtype=np.float32)
    field[1] = 0.01 * x**2
    assert space.bending(space.fit(field))[0] == pytest.approx(0.02**2, rel=0.02)


def test_resampling_onto_itself_changes_nothing() -> None:
    image = Volume(_smooth((9, 8, 7), 1), _grid((9, 8, 7)))
    for order in (0, 1, 3):
        np.testing.assert_allclose(resample(image, image.grid, order=order).values, image.values, atol=1e-4)


def test_resampling_reproduces_a_ramp_through_any_affine_and_fills_outside() -> None:
    grid = _grid((20, 20, 20))
    ramp = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) @ np.array([0.3, -0.2, 0.5])
    image = Volume(ramp.astype(np.float32), grid)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    turn[:3, 3] = (4.0, -3.0, 2.0)
    target = _grid((12, 12, 12), 4.0)
    got = resample(image, target, SpatialTransform(turn), fill=-999).values
    points = SpatialTransform(turn).to_moving(target.to_world(np.argwhere(np.ones(target.shape))))
    expected = (points @ np.array([0.3, -0.2, 0.5])).reshape(target.shape)
    inside = grid.contains(points, 1.6).reshape(target.shape)
    np.testing.assert_allclose(got[inside], expected[inside], atol=2e-3)
    outside = ~grid.contains(points, -0.1).reshape(target.shape)
    assert inside.any()
    assert outside.any()
    assert (got[outside] == -999).all()


def _warp() -> SpatialTransform:
    grid = _grid((10, 9, 8), 8.0)
    field = np.stack([2 * _smooth(grid.shape, s) for s in range(3)], axis=-1)
    affine = np.eye(4)
    affine[:3, :3] = [[0.99, -0.1, 0.02], [0.1, 0.98, 0.05], [-0.03, -0.04, 1.03]]
    affine[:3, 3] = (12.0, -40.0, 900.0)
    return SpatialTransform(affine, field.astype(np.float32), grid)


def test_the_resampled_image_is_the_image_at_the_transformed_points() -> None:
    transform = _warp()
    target = _grid((16, 14, 12), 3.0)
    points = transform.to_moving(target.to_world(np.argwhere(np.ones(target.shape))))
    affine = np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = points.min(axis=0) - 5
    shape = np.ceil((np.ptp(points, axis=0) + 10) / (2.0, 2.5, 3.0)).astype(int) + 1
    image = Volume(_smooth(tuple(shape), 5), Grid(tuple(shape), affine))
    expected = interpolate(image.values, image.grid, points).reshape(target.shape)
    np.testing.assert_allclose(resample(image, target, transform).values, expected, atol=2e-3)


def test_labels_keep_their_numbers_and_masks_their_volume() -> None:
    grid = _grid((30, 30, 30), 2.0)
    radius = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - 14.5, axis=-1)
    labels = LabelMap(np.where(radius < 5, 7, np.where(radius < 10, 1000, 0)).astype(np.uint16), grid)
    fine = grid.with_spacing(1.3)
    assert set(np.unique(resample_labels(labels, fine).values)) == {0, 7, 1000}
    ball = Mask(radius < 10, grid)
    assert resample_mask(ball, fine).volume_ml == pytest.approx(ball.volume_ml, rel=0.02)


def test_an_itk_file_gives_the_same_points(tmp_path: Path) -> None:
    transform = _warp()
    write_transform(transform, tmp_path / "t.h5")
    itk = sitk.ReadTransform(str(tmp_path / "t.h5"))
    again = read_transform(tmp_path / "t.h5")
    assert transform.grid is not None
    index = np.random.default_rng(0).uniform(0.2, 0.8, (50, 3)) * (np.asarray(transform.grid.shape) - 1)
    points = transform.grid.to_world(index)
    expected = transform.to_moving(points)
    np.testing.assert_allclose([itk.TransformPoint(p.tolist()) for p in points], expected, atol=1e-3)
    np.testing.assert_allclose(again.to_moving(points), expected, atol=1e-3)
    np.testing.assert_allclose(again.to_fixed(expected), points, atol=0.05)


def test_an_affine_alone_is_written_as_text(tmp_path: Path) -> None:
    transform = SpatialTransform(_warp().affine)
    write_transform(transform, tmp_path / "t.tfm")
    np.testing.assert_allclose(read_transform(tmp_path / "t.tfm").affine, transform.affine, atol=1e-9)


def test_transforms_that_cannot_be_expressed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_transform(SpatialTransform.identity(), tmp_path / "t.nii")
    with pytest.raises(UsageError):
        read_transform(tmp_path / "absent.h5")
    (tmp_path / "broken.h5").write_bytes(b"not HDF5")
    with pytest.raises(UsageError):
        read_transform(tmp_path / "broken.h5")
    with pytest.raises(UsageError):
        from_itk(sitk.BSplineTransform(3))


def _ellipsoid(affine: np.ndarray, shape: tuple[int, int, int] = (70, 60, 60)) -> Mask:
    """A lopsided organ under ``affine`` (moving points to canonical ones)."""
    grid = Grid(shape, np.array([[3.0, 0, 0, -105], [0, 3.0, 0, -90], [0, 0, 3.0, -90], [0, 0, 0, 1]]))
    q = grid.to_world(np.moveaxis(np.indices(shape), 0, -1)) @ affine[:3, :3].T + affine[:3, 3]
    body = ((q / (70, 50, 55)) ** 2).sum(axis=-1) < 1
    lobe = (((q - (55, -15, 15)) / (38, 25, 25)) ** 2).sum(axis=-1) < 1
    return Mask(body | lobe, grid)


def test_the_mask_start_recovers_a_known_affine() -> None:
    angle = np.deg2rad(6)
    move = np.eye(4)
    move[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * 1.03
    move[:3, 3] = (5.0, -8.0, 12.0)
    fixed, moving = _ellipsoid(np.eye(4)), _ellipsoid(np.linalg.inv(move))
    found = mask_affine(fixed, moving)
    points = fixed.grid.to_world(np.argwhere(fixed.values)[::50])
    error = points @ (found - move)[:3, :3].T + (found - move)[:3, 3]
    assert np.linalg.norm(error, axis=1).mean() < 1.0


def test_unlike_liver_volumes_are_not_laid_over_by_their_surfaces() -> None:
    whole = _ellipsoid(np.eye(4))
    x = whole.grid.to_world(np.moveaxis(np.indices(whole.grid.shape), 0, -1))[..., 0]
    without_left = Mask(whole.values & (x < 5), whole.grid)
    starts = {s.name: s.affine for s in mask_starts(whole, without_left, StartSettings())}
    assert "mask surfaces" not in starts
    assert np.abs(starts["dome and right edge"][:3, 3]).max() < 4
    assert np.abs(starts["mask centroids"][:3, 3]).max() > 10


def test_a_field_of_view_that_cuts_the_liver_does_not_drag_the_start() -> None:
    whole = _ellipsoid(np.eye(4))
    cut = Mask(whole.values[:, :, :36], whole.grid.cropped((0, 0, 0), (70, 60, 36)))
    found = mask_affine(whole, cut)
    points = whole.grid.to_world(np.argwhere(whole.values)[::50])
    moved = points @ found[:3, :3].T + found[:3, 3]
    assert np.linalg.norm(moved - points, axis=1).mean() < 2.5


@pytest.mark.parametrize("step", [(2.0, 2.0, 2.0), (1.0, 2.0, 3.0)])
def test_signed_distances_are_those_of_a_full_distance_transform(step: tuple[float, float, float]) -> None:
    inside = _smooth((30, 28, 26), 5, 4.0) > 0.3
    grid = Grid(inside.shape, np.diag([*step, 1.0]))
    full = ndimage.distance_transform_edt(inside, step) - ndimage.distance_transform_edt(~inside, step)
    full -= np.where(inside, 0.5, -0.5) * min(step)
    expected = np.clip(full, -DISTANCE_CLAMP_MM, DISTANCE_CLAMP_MM)
    np.testing.assert_allclose(signed_distance(Mask(inside, grid), grid), expected, atol=1e-5)


def test_what_a_field_of_view_covers_is_what_its_voxels_contain() -> None:
    source, target = _grid((9, 10, 7)), _grid((20, 14, 12), 4.0)
    affine = _warp().affine.copy()
    affine[:3, 3] = (4.0, -6.0, 8.0)
    points = target.to_world(np.moveaxis(np.indices(target.shape), 0, -1)).reshape(-1, 3)
    index = source.to_index(points @ affine[:3, :3].T + affine[:3, 3])
    expected = np.all((index >= -0.5) & (index <= np.asarray(source.shape) - 0.5), axis=1).reshape(target.shape)
    got = covered(source, target, affine)
    assert 0 < got.sum() < got.size
    np.testing.assert_array_equal(got, expected)


def test_the_jacobian_is_the_same_in_slabs() -> None:
    field = np.stack([_smooth((2 * JACOBIAN_SLAB + 5, 9, 8), s) for s in range(3)])
    g = np.stack([np.stack(np.gradient(field[d], 3.0)) for d in range(3)]) + np.eye(3).reshape(3, 3, 1, 1, 1)
    expected = np.linalg.det(np.moveaxis(g, (0, 1), (-2, -1)))
    np.testing.assert_allclose(jacobian(field, 3.0), expected, atol=1e-4)


def test_evaluating_leaves_both_images_as_they_were() -> None:
    fixed, moved = _smooth((12, 11, 10), 1), _smooth((12, 11, 10), 2)
    kept = fixed.copy(), moved.copy()
    correlation = LocalCorrelation.of(fixed, np.ones_like(fixed), 2, (0.01, 0.01))
    correlation.evaluate(moved)
    correlation.score(moved)
    np.testing.assert_array_equal(fixed, kept[0])
    np.testing.assert_array_equal(moved, kept[1])


def test_a_rigid_motion_strains_nothing_and_a_stretch_its_logarithm() -> None:
    shape, inside = (9, 8, 7), np.ones((9, 8, 7), dtype=np.bool_)
    still = np.zeros((3, *shape), dtype=np.float32)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]
    turn[:3, 3] = (50.0, -20.0, 9.0)
    assert strain(turn, still, inside, 4.0) == pytest.approx(0, abs=1e-6)
    x = np.indices(shape).astype(np.float32) * 4.0
    stretched = np.stack([0.1 * x[0], 0 * x[1], -0.2 * x[2]])
    expected = np.hypot(np.log(1.1), np.log(0.8))
    assert strain(turn, stretched, inside, 4.0) == pytest.approx(expected, rel=1e-4)
    assert strain(turn @ np.diag([1.1, 1.0, 0.8, 1.0]), still, inside, 4.0) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(strain(turn, still, ~inside, 4.0))
    assert QualitySettings().failed_score < QualitySettings().usable_score


def _textured(seed: int, noise: float) -> Cost:
    """A scene whose moving image is the fixed one with this much noise of its own."""
    view = _scene(seed)
    inner = tuple(slice(view.pad, -view.pad) for _ in range(3))
    texture, grain = _smooth(view.moving.shape, seed, 1.5), _smooth(view.moving.shape, seed + 9, 0.7)
    weights = np.ones(view.fixed.shape, dtype=np.float32)
    moving = texture + np.float32(noise) * grain
    return Cost.of(replace(view, fixed=texture[inner].copy(), moving=moving, weights=weights), DeformSettings())


def test_less_to_be_seen_a_rougher_motion_and_a_displacement_that_is_not_trusted_widen_the_bound() -> None:
    still = np.zeros((3, *_scene(3).fixed.shape), dtype=np.float32)
    settings = UncertaintySettings()
    costs = _textured(3, 0.1), _textured(3, 1.5)
    shown = [float(cost.correlation_map(still).mean()) for cost in costs]
    assert shown[0] > shown[1]
    smooth = 1e-5
    bounds = [
        error_bound(cost, still, still, "deformation", settings, smooth, inner).values
        for cost, inner in zip(costs, shown, strict=True)
    ]
    assert (bounds[0] < bounds[1]).mean() > 0.9

    def of(coarsest: NDArray[np.float32], handed: Handed, bending: float = smooth) -> NDArray[np.float32]:
        return error_bound(costs[0], coarsest, still, handed, settings, bending, shown[0]).values

    moved = np.full_like(still, 3.0)
    drifted = of(moved, "deformation")
    assert drifted.min() > bounds[0].min()  # the levels disagree
    rough, rougher = of(moved, "deformation", 3 * smooth), of(moved, "deformation", 9 * smooth)
    assert rougher.min() > rough.min() > drifted.min()
    np.testing.assert_allclose(rough / drifted, 3**settings.bending_power, rtol=1e-4)
    assert of(moved, "doubtful").min() > rougher.min()
    found = still + np.float32(2.0)
    rigid = error_bound(costs[0], still, found, "affine", settings, smooth, shown[0]).values
    assert rigid.min() >= np.hypot(2.0, np.hypot(2.0, 2.0)) - 1e-3  # what was found is not used: it is error
    nothing = error_bound(costs[0], still, still, "deformation", settings, smooth, float("nan")).values
    assert (nothing > bounds[0]).all()  # no inside to be seen: as wide as it gets


def test_the_pull_finds_a_shift_that_is_left() -> None:
    cost = _textured(4, 0.05)
    still = np.zeros((3, *cost.scene.fixed.shape), dtype=np.float32)
    shifted = still.copy()
    shifted[0] = 1.5
    assert np.median(residual_pull(cost, still)) < 0.3
    assert np.median(residual_pull(cost, shifted)) == pytest.approx(1.5, abs=0.5)


def test_an_affine_displacement_strains_no_spline() -> None:
    x = np.indices((10, 9, 8)).astype(np.float32) * 4.0
    field = np.stack([0.1 * x[0] + 0.2 * x[2], 0.1 * x[1], -0.3 * x[0]]).astype(np.float32)
    weights = np.ones((10, 9, 8), dtype=np.float32)
    np.testing.assert_allclose(local_strain(field, weights, 4.0), 0, atol=1e-5)
    assert local_strain(field * field, weights, 4.0).max() > 0.1


def test_a_pair_that_bends_more_gets_a_weaker_prior_and_never_a_stronger_one() -> None:
    settings = DeformSettings(bending=300.0, expected_bending=1e-5, least_bending_share=0.2)

    def weight(*found: float) -> float:
        levels = [FreeForm(np.zeros((3, 2, 2, 2), dtype=np.float32), 0.0, bending, 1) for bending in found]
        return bending_weight(levels, settings)

    assert weight() == 300.0
    assert weight(1e-6) == 300.0
    assert weight(2e-5) == pytest.approx(150.0)
    assert weight(2e-5, 1e-5) == pytest.approx(150.0)
    assert weight(1.0) == pytest.approx(60.0)
