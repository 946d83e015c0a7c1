"""A whole body's CT costs no more than its liver's part: what lies elsewhere is not looked at, and changes nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.segment.liver_border import refine_border
from liverpair.segment.liver_ct import ABOVE_BASE_MM, BELOW_LUNG_MM, prepare_ct
from liverpair.segment.liver_grid import sample
from numpy.typing import NDArray

LENGTH_MM, LUNG_FROM_MM, LUNG_TO_MM = 1500.0, 1000.0, 1250.0


def _grid(shape: tuple[int, int, int], spacing: tuple[float, float, float], low: float = 0.0) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[2, 3] = low
    return Grid(shape, affine)


def _noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.floats(0.4, 4.0)] * 3), st.tuples(*[st.floats(-20.0, 40.0)] * 3), st.sampled_from([None, 0.0, 7.0])
)
def test_a_part_of_a_target_reads_what_the_whole_target_does(
    step: tuple[float, float, float], corner: tuple[float, float, float], fill: float | None
) -> None:
    image = Volume(_noise((23, 19, 17)), _grid((23, 19, 17), (1.1, 0.9, 1.6)))
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = corner
    whole = Grid((12, 11, 10), affine)
    part = whole.cropped([3, 2, 4], [9, 10, 7])
    assert np.allclose(sample(image, part, fill), sample(image, whole, fill)[3:9, 2:10, 4:7], atol=1e-5)


def _ball(grid: Grid, centre: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre
    return np.asarray(np.linalg.norm(points, axis=-1) <= radius_mm)


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 3.0), (0.9, 0.9, 2.0)])
def test_a_border_is_placed_alike_on_a_longer_image(spacing: tuple[float, float, float]) -> None:
    size = tuple(round(90 / s) for s in spacing)
    cut = _grid((size[0], size[1], size[2]), spacing)
    values = 100 * _ball(cut, (44.0, 45.0, 43.0), 28.0) + 5 * _noise(cut.shape)
    below, above = 3 * size[2], 2 * size[2]
    long = _grid((size[0], size[1], size[2] + below + above), spacing, -below * spacing[2])
    longer = np.pad(values, ((0, 0), (0, 0), (below, above)), mode="edge")
    work = _grid((30, 30, 30), (3.0, 3.0, 3.0))
    start = _ball(work, (44.0, 45.0, 43.0), 27.0)
    one = refine_border(Volume(values.astype(np.float32), cut), start, work)
    other = refine_border(Volume(longer.astype(np.float32), long), start, work)
    assert other.sum() == one.sum() > 1000
    assert np.array_equal(other[:, :, below : below + size[2]], one)


def _body(spacing: tuple[float, float, float]) -> Volume:
    """A trunk as long as a body, two lungs in it; legs below and a head above are one column."""
    shape = tuple(round(e / s) for e, s in zip((400.0, 300.0, LENGTH_MM), spacing, strict=True))
    grid = _grid((shape[0], shape[1], shape[2]), spacing)
    x, y, z = (grid.affine[a, 3] + np.arange(n) * grid.spacing[a] for a, n in enumerate(grid.shape))
    flat = ((x[:, None] - 200) / 170) ** 2 + ((y[None] - 150) / 110) ** 2 < 1
    values = np.full(grid.shape, -1000.0, dtype=np.float32)
    values[flat] = 50.0
    for side in (110.0, 290.0):
        lung = ((x[:, None] - side) / 70) ** 2 + ((y[None] - 150) / 80) ** 2 < 1
        there = (z >= LUNG_FROM_MM) & (z <= LUNG_TO_MM)
        values[np.ix_(np.arange(len(x)), np.arange(len(y)), np.flatnonzero(there))] = np.where(
            lung[..., None], np.float32(-850.0), values[:, :, there]
        )
    return Volume(values, grid, Unit.HOUNSFIELD)


def test_of_a_whole_body_only_the_slices_near_the_lung_are_searched() -> None:
    features = prepare_ct(_body((3.0, 3.0, 5.0)), 3.0)
    assert features is not None
    low, high = features.grid.corners()[:, 2].min(), features.grid.corners()[:, 2].max()
    assert high - low < BELOW_LUNG_MM + ABOVE_BASE_MM + 70
    heights = features.grid.affine[2, 3] + 3.0 * np.flatnonzero(features.allowed.any(axis=(0, 1)))
    assert heights.min() == pytest.approx(LUNG_FROM_MM - BELOW_LUNG_MM, abs=6)
    assert heights.max() == pytest.approx(LUNG_FROM_MM + ABOVE_BASE_MM, abs=6)
    assert low < heights.min() - 20
    assert high > heights.max() + 20


def test_a_border_in_a_whole_body_copies_no_whole_body() -> None:
    body = _body((1.6, 1.6, 2.5))
    work = _grid((50, 50, 50), (3.0, 3.0, 3.0), 700.0)
    start = _ball(work, (75.0, 75.0, 775.0), 40.0)
    tracemalloc.start()
    refine_border(body, start, work)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.0 * body.values.nbytes
