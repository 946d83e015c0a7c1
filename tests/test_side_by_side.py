"""Two things at once: the same results as one after the other, also nested, in error and after a fork."""

from __future__ import annotations

import multiprocessing
import sys
import threading

import numpy as np
import pytest
from liverpair.register import side_by_side
from liverpair.register.local_ncc import LocalCorrelation, mismatch_forces, sample
from liverpair.register.side_by_side import both


def _both_in_a_child(answers: multiprocessing.SimpleQueue[tuple[int, int]]) -> None:
    answers.put(both(lambda: 3, lambda: 4))


def test_two_results_come_back_in_their_own_order_from_two_threads() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def met(number: int) -> tuple[int, str]:
        meeting.wait()  # neither goes on before the other has come: they run at the same time
        return number, threading.current_thread().name

    (one, here), (two, there) = both(lambda: met(1), lambda: met(2))
    assert (one, two) == (1, 2)
    assert here != there


def test_nested_calls_end_and_keep_their_order() -> None:
    assert both(lambda: both(lambda: 1, lambda: 2), lambda: both(lambda: 3, lambda: 4)) == ((1, 2), (3, 4))


@pytest.mark.parametrize("which", [0, 1])
def test_an_error_of_either_is_raised_when_both_have_ended(which: int) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == which:
            raise ValueError(f"part {number}")
        done.append(number)

    with pytest.raises(ValueError, match=f"part {which}"):
        both(lambda: work(0), lambda: work(1))
    assert done == [1 - which]
    assert both(lambda: 5, lambda: 6) == (5, 6)  # and the helper is free again


@pytest.mark.skipif(sys.platform != "linux", reason="only where processes fork by default")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_helper_of_its_own() -> None:
    both(lambda: 1, lambda: 2)  # the parent's thread exists
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_both_in_a_child, args=(answers,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert answers.get() == (3, 4)


def _measured() -> list[bytes]:
    """Everything that two threads share in a registration's cost, on noise."""
    rng = np.random.default_rng(20261124)
    shape = (19, 17, 15)
    fixed, moved, metric = (rng.normal(size=shape).astype(np.float32) for _ in range(3))
    field = rng.normal(size=(3, *shape)).astype(np.float32)
    active, weights = rng.random(shape) < 0.8, rng.random(shape).astype(np.float32)
    correlation = LocalCorrelation.of(fixed, weights, 2, (0.1, 0.2), (rng.random(shape) < 0.9).astype(np.float32))
    similarity, gradient, squared = correlation.evaluate(moved)
    values, slope = np.empty(shape, np.float32), np.empty((3, *shape), np.float32)
    offset = np.array([2.0, 2.25, 1.5])
    wide = np.pad(moved, 4)
    sample(wide, offset, 2.0, field, active, values, slope)
    sampled = slope.copy()
    mismatch = mismatch_forces(fixed, wide, offset, 2.0, field, active, weights, 0.01, 0.5, metric, slope)
    numbers = np.array([similarity, mismatch])
    return [array.tobytes() for array in (numbers, gradient, squared, values, sampled, slope)]


def test_a_registrations_cost_has_the_same_bits_on_one_thread_and_on_two() -> None:
    on_two = _measured()
    with side_by_side._HELPER.free:  # busy: everything runs on this thread
        on_one = _measured()
    assert on_one == on_two
