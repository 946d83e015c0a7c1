"""Touching lesions, confluent disease, and burden where a count means little."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import LabelMap, Mask
from liverpair.evaluate.confluence import confluence, contact_flags

GRID = Grid((30, 10, 10), np.diag([2.0, 2.0, 5.0, 1.0]))  # voxels of 20 mm³
LIVER = Mask(np.ones(GRID.shape, dtype=bool), GRID)


def bars(*spans: tuple[int, int]) -> LabelMap:
    values = np.zeros(GRID.shape, dtype=np.uint16)
    for number, (first, last) in enumerate(spans, start=1):
        values[first:last] = number
    return LabelMap(values, GRID)


def test_lesions_apart_are_counted() -> None:
    found = confluence(bars((0, 2), (4, 6), (8, 10)), LIVER)
    assert (found.touching, found.clusters, found.countable, found.said) == ((), (), True, "")
    assert found.burden_ml == pytest.approx(6 * 100 * 0.02)
    assert found.burden_fraction == pytest.approx(0.2)


def test_two_that_touch_are_flagged_and_still_counted() -> None:
    found = confluence(bars((0, 2), (2, 6), (8, 10)), LIVER)
    assert found.touching == (1, 2)
    assert contact_flags(found, 2) == ("touching",)
    assert contact_flags(None, 2) == ()
    assert found.countable


def test_a_chain_of_three_is_confluent_and_said_to_be() -> None:
    found = confluence(bars((0, 2), (2, 4), (4, 6), (8, 10)), LIVER)
    assert found.clusters == ((1, 2, 3),)
    assert [contact_flags(found, n) for n in (1, 4)] == [("confluent",), ()]
    assert not found.countable
    assert "3 lesions run into one another" in found.said
    assert "16 mL, 27 % of the liver" in found.said


def test_diffuse_disease_is_no_count_even_of_one_lesion() -> None:
    found = confluence(bars((0, 16)), LIVER)
    assert not found.countable
    assert "more than half" in found.said


def test_corners_do_not_touch_and_what_lies_outside_the_liver_is_no_burden() -> None:
    values = np.zeros(GRID.shape, dtype=np.uint16)
    values[0:2, 0:2, 0:2] = 1
    values[2:4, 2:4, 2:4] = 2
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[0:2] = True
    found = confluence(LabelMap(values, GRID), Mask(inside, GRID))
    assert found.touching == ()
    assert found.burden_ml == pytest.approx(8 * 0.02)


def test_nothing_and_a_foreign_liver() -> None:
    empty = confluence(bars(), LIVER)
    assert (empty.burden_ml, empty.countable) == (0.0, True)
    assert confluence(bars((0, 2))).burden_fraction is None
    other = Grid((30, 10, 10), np.diag([2.0, 2.0, 4.0, 1.0]))
    with pytest.raises(Refusal, match="grid_mismatch"):
        confluence(bars((0, 2)), Mask(np.ones(other.shape, dtype=bool), other))
