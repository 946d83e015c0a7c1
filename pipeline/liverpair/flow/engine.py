"""Run many cases: local processes, or a Dask cluster when a scheduler is named; a dead worker loses one case."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from liverpair.core.errors import UsageError

__all__ = ["WorkerDiedError", "default_jobs", "run_many"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

#: Tasks prepared for each process: one that runs and one that waits, so that no process idles.
AHEAD = 2
#: What one case needs at most, measured on the simulated cohort; more processes than fit would swap.
CASE_MEMORY_BYTES = 2 * 1024**3


class WorkerDiedError(Exception):
    """The process that ran this case was killed, by the system's memory guard most likely."""


def default_jobs() -> int:
    """One process a core, as far as the memory reaches."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return cores
    return max(1, min(cores, memory // CASE_MEMORY_BYTES))


def start_worker() -> None:
    """Give each process one thread: cases run side by side, and sums keep one order."""
    import numba
    import SimpleITK

    threadpool_limits(1)
    numba.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _as_it_is(task: Any) -> Any:
    return task


def run_many(
    work: Callable[[Any], _Result],
    tasks: Sequence[_Task],
    jobs: int,
    scheduler: str | None = None,
    prepare: Callable[[_Task], Any] = _as_it_is,
) -> Iterator[tuple[_Task, _Result | Exception]]:
    """Yield each task with its result, or the exception it ended in, as they finish.

    ``work`` gets ``prepare(task)``, which is made here, in the calling process, shortly before the task starts: memory
    holds what a few tasks need, however many there are.

    A worker that dies breaks the whole pool, and nobody knows by whose fault: the tasks that were under way are then
    run alone, one a pool, and the one that dies again is yielded with WorkerDiedError.
    """
    if scheduler is not None:
        yield from _on_cluster(work, tasks, scheduler, prepare)
        return
    suspects: list[_Task] = []
    queue = list(tasks)
    while queue:
        broken = yield from _in_pool(work, queue, jobs, prepare)
        suspects.extend(broken[:jobs])
        queue = broken[jobs:]
    for task in suspects:
        died = yield from _in_pool(work, [task], 1, prepare)
        if died:
            yield (
                task,
                WorkerDiedError("the worker process was killed; it may have run out of memory (try fewer --jobs)"),
            )


def _submitted(
    pool: ProcessPoolExecutor,
    work: Callable[[Any], _Result],
    tasks: Sequence[_Task],
    numbers: Iterable[int],
    prepare: Callable[[_Task], Any],
    futures: dict[Future[_Result], int],
) -> Iterator[tuple[int, Exception]]:
    """Give tasks to the pool and note them in ``futures``, until it breaks; yields those that cannot be prepared."""
    for number in numbers:
        try:
            futures[pool.submit(work, prepare(tasks[number]))] = number
        except BrokenProcessPool:
            return
        except Exception as error:  # noqa: BLE001 # what cannot be prepared fails alone
            yield number, error


def _in_pool(
    work: Callable[[Any], _Result], tasks: Sequence[_Task], jobs: int, prepare: Callable[[_Task], Any]
) -> Generator[tuple[_Task, _Result | Exception], None, list[_Task]]:
    """Run tasks in one pool; returns those that were unfinished when the pool broke, in their order."""
    # spawn: numba's and ITK's thread pools do not survive a fork
    context = multiprocessing.get_context("spawn")
    finished: set[int] = set()
    waiting = iter(range(len(tasks)))
    with ProcessPoolExecutor(max(1, min(jobs, len(tasks))), mp_context=context, initializer=start_worker) as pool:
        futures: dict[Future[_Result], int] = {}
        try:
            while True:
                next_ones = islice(waiting, AHEAD * jobs - len(futures))
                for number, error in _submitted(pool, work, tasks, next_ones, prepare, futures):
                    finished.add(number)
                    yield tasks[number], error
                if not futures:
                    break
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=lambda f: futures[f]):
                    number = futures.pop(future)
                    failure = future.exception()
                    if isinstance(failure, BrokenProcessPool):
                        continue
                    finished.add(number)
                    yield tasks[number], failure if isinstance(failure, Exception) else future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    return [task for n, task in enumerate(tasks) if n not in finished]


def _on_cluster(
    work: Callable[[Any], _Result], tasks: Sequence[_Task], scheduler: str, prepare: Callable[[_Task], Any]
) -> Iterator[tuple[_Task, _Result | Exception]]:
    """Run tasks on a Dask cluster whose workers see the same file system."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise UsageError("--scheduler needs Dask: install liverpair[cluster].") from error
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        threads = sum(client.nthreads().values())
        client.run(start_worker)
        waiting = iter(tasks)
        futures: dict[Any, _Task] = {}
        running = as_completed()
        while True:
            for task in islice(waiting, AHEAD * max(1, threads) - len(futures)):
                try:
                    future = client.submit(work, prepare(task), pure=False)
                except Exception as error:  # noqa: BLE001 # what cannot be prepared fails alone
                    yield task, error
                    continue
                futures[future] = task
                running.add(future)
            if not futures:
                break
            future = next(running)
            failure = future.exception()
            yield futures.pop(future), failure if isinstance(failure, Exception) else future.result()
