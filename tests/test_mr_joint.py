"""The joint map: what several sequences say faintly of one place adds up, and residual motion is allowed for."""

from __future__ import annotations

import numpy as np
from liverpair.core.geometry import Grid
from liverpair.segment.mr_joint import SHIFT_MM, joint_map
from numpy.typing import NDArray

GRID = Grid((40, 40, 20), np.diag([1.5, 1.5, 3.0, 1.0]))
THICK = Grid((30, 30, 10), np.diag([2.0, 2.0, 6.0, 1.0]))


def _noise(seed: int, grid: Grid = GRID) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(grid.shape).astype(np.float32)


def _with(z: NDArray[np.float32], grid: Grid, lps: tuple[float, float, float], answer: float) -> NDArray[np.float32]:
    at = np.rint(grid.to_index(np.array(lps))).astype(int)
    z[tuple(at)] = answer
    return z


def test_a_focus_too_faint_for_each_sequence_alone_leads_the_joint_map() -> None:
    place = (30.0, 27.0, 30.0)
    main = _with(_noise(1), GRID, place, 3.4)
    others = [(_with(_noise(n, THICK), THICK, place, 3.4), THICK, 3.4, 1.0, SHIFT_MM) for n in (2, 3)]
    assert float(np.sort(main.ravel())[-3]) > 3.4  # noise alone reaches more
    joint = joint_map(main, GRID, others)
    best = np.unravel_index(int(np.argmax(joint)), joint.shape)
    assert float(np.linalg.norm(GRID.to_world(np.array(best)) - np.array(place))) < 1.0


def test_a_focus_that_moved_between_sequences_still_adds_up_and_less_the_farther_it_moved() -> None:
    place = (30.0, 27.0, 30.0)
    heard = []
    for moved in (0.0, 2.0, 4.0, 12.0):
        quiet = np.zeros(THICK.shape, dtype=np.float32)
        other = _with(quiet, THICK, (30.0 + moved, 27.0, 30.0), 3.5)
        main = _with(np.zeros(GRID.shape, dtype=np.float32), GRID, place, 5.0)
        joint = joint_map(main, GRID, [(other, THICK, 5.0, 1.0, SHIFT_MM)])
        heard.append(float(joint[tuple(np.rint(GRID.to_index(np.array(place))).astype(int))]))
    assert heard[0] >= heard[1] > heard[2] > heard[3]


def test_a_sequence_says_nothing_where_its_field_ends() -> None:
    half = Grid((30, 30, 4), np.diag([2.0, 2.0, 6.0, 1.0]))
    joint = joint_map(np.full(GRID.shape, 4.0, dtype=np.float32), GRID, [(_noise(4, half), half, 5.0, 1.0, SHIFT_MM)])
    assert np.allclose(joint[..., 12:], 0.7 * 4.0)
    assert not np.allclose(joint[..., :5], 0.7 * 4.0)
