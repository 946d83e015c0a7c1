"""A thin layer of fat between liver and muscle is no liver, however dark the muscle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.segment.liver_body import body_of_mr
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_layers import darker_tissue, without_thin_layers
from liverpair.segment.liver_mode import OrganCore
from numpy.typing import NDArray
from scipy import ndimage

LIVER, FAT, MUSCLE = 100.0, 75.0, 40.0
SHAPE = (80, 70, 40)
SPACING = 3.0


def _grid(spacing: float) -> Grid:
    size = tuple(int(n * SPACING / spacing) for n in SHAPE)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (spacing - SPACING) / 2
    return Grid((size[0], size[1], size[2]), affine)


def _distance(grid: Grid) -> NDArray[np.float64]:
    """Distance (mm) from the liver's surface, a ball of 40 mm; negative inside."""
    index = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3)
    centre = np.asarray(SHAPE) * SPACING / 2
    return np.asarray((np.linalg.norm(grid.to_world(index) - centre, axis=1) - 40).reshape(grid.shape))


def _image(grid: Grid, layer_mm: float, noise: float = 0.0) -> NDArray[np.float32]:
    far = _distance(grid)
    body = ndimage.distance_transform_edt(np.pad(np.ones(grid.shape, bool), 1))[1:-1, 1:-1, 1:-1] * grid.spacing[0]
    values = np.select([far < 0, far < layer_mm, body < 15, body < 30], [LIVER, FAT, 1.0, FAT], MUSCLE)
    return (values + np.random.default_rng(3).normal(0, noise, grid.shape)).astype(np.float32)


def _case(layer_mm: float, noise: float = 0.0) -> tuple[Volume, NDArray[np.bool_], Features, OrganCore]:
    """The fine image, a mask that holds half of the fat's layer, the features and the liver's core."""
    work, fine = _grid(SPACING), _grid(1.5)
    values = _image(work, layer_mm)
    body = body_of_mr(values, work.spacing)
    assert body is not None
    none = np.zeros(work.shape, dtype=np.float32)
    all_ = np.ones(work.shape, dtype=bool)
    features = Features(work, values, values, body, all_, (10.0, 200.0), (0.08, 0.025, 0.12), (0.0, 0.0, 0.0), none)
    core = OrganCore((40, 35, 20), 40.0, LIVER, 2.0, _distance(work) < -10)
    return Volume(_image(fine, layer_mm, noise), fine), _distance(fine) < min(layer_mm, 2.5), features, core


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("noise", [0.0, 6.0])
def test_a_layer_of_fat_before_muscle_leaves_the_mask(noise: float) -> None:
    image, mask, features, core = _case(3.0, noise)
    true = _distance(image.grid) < 0
    found = without_thin_layers(image, mask, _distance(features.grid) < 0, features, core)
    assert _dice(mask, true) < 0.92
    assert _dice(found, true) > 0.985


def test_the_image_s_shading_is_taken_out_first() -> None:
    image, mask, features, core = _case(3.0)
    ramp = np.broadcast_to(np.linspace(-0.3, 0.3, SHAPE[0], dtype=np.float32)[:, None, None], SHAPE)
    fine = np.linspace(-0.3, 0.3, SHAPE[0] * 2)[:, None, None]
    shaded = replace(image, values=(image.values * np.exp(fine)).astype(np.float32))
    known = replace(features, shading=np.ascontiguousarray(ramp))
    true = _distance(image.grid) < 0
    assert _dice(without_thin_layers(shaded, mask, _distance(features.grid) < 0, known, core), true) > 0.985


def test_dark_vessels_and_lesions_inside_stay() -> None:
    image, _, features, core = _case(3.0)
    true = _distance(image.grid) < 0
    values = image.values.copy()
    lesion = true & (_distance(image.grid) < -6) & (_distance(image.grid) > -14)
    values[lesion] = FAT
    found = without_thin_layers(replace(image, values=values), true, _distance(features.grid) < 0, features, core)
    assert found[lesion].all()


def test_noise_as_large_as_the_step_moves_no_border() -> None:
    image, mask, features, core = _case(3.0, noise=40.0)
    assert (without_thin_layers(image, mask, _distance(features.grid) < 0, features, core) == mask).all()


def test_the_next_darker_tissue_is_fat_not_muscle() -> None:
    _, _, features, core = _case(3.0)
    assert darker_tissue(features, _distance(features.grid) < 0, core) == pytest.approx(FAT, abs=2)


def test_a_liver_that_is_the_darkest_tissue_has_no_layer() -> None:
    image, mask, features, core = _case(3.0)
    dark = replace(core, mode=MUSCLE - 20)
    assert darker_tissue(features, _distance(features.grid) < 0, dark) is None or not mask.all()
    assert (without_thin_layers(image, mask, mask[::2, ::2, ::2], features, dark) == mask).all()


def test_dark_fat_is_below_the_half_level_to_air_and_hides_nothing() -> None:
    image, mask, features, core = _case(3.0)
    dim = {False: image.values, True: features.smooth}
    darker = {work: np.where(values == FAT, 45.0, values).astype(np.float32) for work, values in dim.items()}
    shown, known = replace(image, values=darker[False]), replace(features, smooth=darker[True])
    coarse = _distance(features.grid) < 0
    assert darker_tissue(known, coarse, core) == pytest.approx(45, abs=6)
    assert (without_thin_layers(shown, mask, coarse, known, core) == mask).all()
