"""The liver search's morphology against the slow definitions that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from liverpair.segment.edge_distance import edge_distance
from liverpair.segment.liver_morphology import box_of, fill_holes, surround
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
SPACING = st.tuples(*[st.floats(0.5, 8.0)] * 3).map(np.array)


def masks(share: float = 0.6) -> st.SearchStrategy[Mask]:
    """Random masks, blocky enough to hold holes, clefts and full lines."""
    shapes = st.tuples(*[st.integers(1, 12)] * 3)
    return shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32))).map(
        lambda values: np.asarray(values < share)
    )


@settings(max_examples=150, deadline=None)
@given(masks(0.9), SPACING)
def test_the_distance_to_the_edge_is_the_exact_one(mask: Mask, spacing: NDArray[np.float64]) -> None:
    if mask.all():
        assert np.isinf(edge_distance(mask, spacing)).all()
        return
    exact = ndimage.distance_transform_edt(mask, sampling=spacing)
    np.testing.assert_allclose(edge_distance(mask, spacing), exact, rtol=1e-6)


def test_the_distance_in_a_ball_falls_from_its_radius_to_nothing() -> None:
    spacing = np.array([3.0, 3.0, 5.0])
    at = np.stack(np.meshgrid(*[np.arange(n) for n in (41, 41, 25)], indexing="ij"), axis=-1) * spacing
    away = np.linalg.norm(at - at[20, 20, 12], axis=-1)
    found = edge_distance(away <= 50.0, spacing)
    assert found[20, 20, 12] == pytest.approx(away[away > 50.0].min())  # the nearest voxel outside the ball
    assert np.all(found[away > 50.0] == 0)
    inside = away <= 50.0
    assert np.abs(found[inside] - (50.0 - away[inside])).max() < 5.0  # a voxel's length


@settings(max_examples=100, deadline=None)
@given(masks(0.1), st.integers(0, 3), st.sampled_from(["C", "F", "view"]))
def test_the_box_of_a_mask_is_the_same_in_any_memory_order(mask: Mask, margin: int, order: str) -> None:
    mask = mask.copy()
    mask[0, -1, 0] = True
    stored = np.pad(mask, 2)[2:-2, 2:-2, 2:-2] if order == "view" else np.asarray(mask, order=order)  # type: ignore[call-overload]
    where = np.argwhere(mask)
    low, high = np.maximum(where.min(axis=0) - margin, 0), np.minimum(where.max(axis=0) + 1 + margin, mask.shape)
    assert [(part.start, part.stop) for part in box_of(stored, margin)] == [
        (int(a), int(b)) for a, b in zip(low, high, strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(masks(0.7))
def test_holes_are_what_no_path_connects_to_the_arrays_border(mask: Mask) -> None:
    """A hole is background that touches none of the array's faces; a flat array has no other place than its faces."""
    labels, count = ndimage.label(~mask)
    border = np.zeros(mask.shape, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            np.moveaxis(border, axis, 0)[end] = True
    open_ones = set(np.unique(labels[border]).tolist())
    holes = np.isin(labels, [n for n in range(1, count + 1) if n not in open_ones])
    np.testing.assert_array_equal(fill_holes(mask), mask | holes)
    small = np.isin(labels, [n for n in range(1, count + 1) if n not in open_ones and np.sum(labels == n) < 3])
    np.testing.assert_array_equal(fill_holes(mask, 3), mask | small)


@settings(max_examples=100, deadline=None)
@given(masks(0.3), masks(0.5))
def test_what_surrounds_a_piece_is_counted_face_by_face(piece: Mask, mask: Mask) -> None:
    shape = np.minimum(piece.shape, mask.shape)
    cut = tuple(slice(int(n)) for n in shape)
    piece, mask = piece[cut], mask[cut]
    touching = total = 0
    for at in np.argwhere(piece):
        for axis in range(3):
            for step in (-1, 1):
                to = at.copy()
                to[axis] += step
                if np.all((to >= 0) & (to < shape)) and not piece[tuple(to)]:
                    total += 1
                    touching += bool(mask[tuple(to)])
    assert surround(piece, mask) == (touching / total if total else 0.0)
