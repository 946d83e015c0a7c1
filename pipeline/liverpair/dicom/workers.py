"""Work through lists of inputs in several processes: few at a time, none left behind, none taking others with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

__all__ = ["POOL_PAYS_FROM", "spread"]

#: Below this many files starting processes takes longer than reading.
POOL_PAYS_FROM: Final = 256
#: Lists in flight per process: bounds the memory of results that wait to be stored.
BACKLOG: Final = 4
#: How often a worker looks whether the process that started it still lives.
ORPHAN_CHECK_S: Final = 1.0

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_S)
    os._exit(1)


def _start_worker(parent: int) -> None:
    """End this worker when the process that started it is gone: a killed one cannot tell its workers."""
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Workers; forked where no thread could hold a lock (fast), spawned otherwise (safe)."""
    forkable = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if forkable else "spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))


def _here(
    work: Callable[[list[_In]], _Out],
    inputs: Iterable[list[_In]],
    rest: Callable[[_Out], Iterator[list[_In]]],
) -> Iterator[_Out]:
    for one in inputs:
        result = work(one)
        yield result
        for more in rest(result):
            yield work(more)


def spread(
    work: Callable[[list[_In]], _Out],
    inputs: Iterator[list[_In]],
    jobs: int,
    crashed: Callable[[list[_In]], _Out],
    rest: Callable[[_Out], Iterator[list[_In]]] = lambda result: iter(()),
) -> Generator[_Out, None, None]:
    """``work`` on every list of inputs in ``jobs`` processes, few at a time; ``rest`` tells what a result calls for.

    Inputs whose worker dies are tried once more, alone and in ever smaller lists; for a single one that kills
    its worker again ``crashed`` stands in.
    """
    if jobs <= 1:
        yield from _here(work, inputs, rest)
        return
    queued: list[Iterator[list[_In]]] = []
    while True:
        running: dict[Future[_Out], list[_In]] = {}
        pool = _pool(jobs)
        try:
            while len(running) < jobs * BACKLOG and (more := _next(queued, inputs)) is not None:
                running[pool.submit(work, more)] = more
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    result = future.result()
                    del running[future]
                    queued.append(rest(result))
                    yield result
                while len(running) < jobs * BACKLOG and (more := _next(queued, inputs)) is not None:
                    running[pool.submit(work, more)] = more
            pool.shutdown()
            return
        except BrokenProcessPool:
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        for suspect in running.values():
            for result in _alone(work, suspect, crashed):
                queued.append(rest(result))
                yield result


def _next(queued: list[Iterator[list[_In]]], inputs: Iterator[list[_In]]) -> list[_In] | None:
    """The next inputs: what results have called for comes first."""
    while queued:
        one = next(queued[-1], None)
        if one is not None:
            return one
        queued.pop()
    return next(inputs, None)


def _alone(
    work: Callable[[list[_In]], _Out], inputs: list[_In], crashed: Callable[[list[_In]], _Out]
) -> Iterator[_Out]:
    """The inputs in a process of their own; halved until what kills it is found."""
    with _pool(1) as pool:
        try:
            result = pool.submit(work, inputs).result()
        except BrokenProcessPool:
            result = None
    if result is not None:
        yield result
    elif len(inputs) == 1:
        yield crashed(inputs)
    else:
        middle = len(inputs) // 2
        yield from _alone(work, inputs[:middle], crashed)
        yield from _alone(work, inputs[middle:], crashed)
