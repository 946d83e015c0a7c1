"""Do two things at once, on two threads: work in loops that release the interpreter (numba, most of scipy).

What is done must not depend on which comes first; then the bits are the same on one processor and on many.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["both"]

A = TypeVar("A")
B = TypeVar("B")


class _Helper:
    """One thread beside the caller's, which whoever finds it free may use."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew; a forked process has none of its parent's threads."""
        self.free = threading.Lock()
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="liverpair-register")


_HELPER: Final = _Helper()
if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_HELPER.renew)


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """The results of ``first`` and ``second``: at once, or one after the other where the helper is busy (nested calls).

    An error of either is raised when both have ended.
    """
    helper = _HELPER
    if not helper.free.acquire(blocking=False):
        return first(), second()
    try:
        waiting = helper.pool.submit(second)
        try:
            one = first()
        finally:
            waiting.exception()  # whatever it is: nothing goes on behind the caller's back
        return one, waiting.result()
    finally:
        helper.free.release()
