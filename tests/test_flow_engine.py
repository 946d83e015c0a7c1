"""The engine: results and errors come back, and a worker that dies loses one case."""

from __future__ import annotations

import os
import signal

import pytest
from liverpair.flow.engine import WorkerDiedError, default_jobs, run_many


def _work(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if task == 5:
        raise ValueError("five")
    return task * task


def test_a_killed_worker_loses_its_own_case_only() -> None:
    outcomes = dict(run_many(_work, list(range(7)), 2))
    assert set(outcomes) == set(range(7))
    assert isinstance(outcomes[3], WorkerDiedError)
    assert isinstance(outcomes[5], ValueError)
    assert {t: r for t, r in outcomes.items() if t not in (3, 5)} == {t: t * t for t in (0, 1, 2, 4, 6)}


def test_no_task_starts_no_process() -> None:
    assert list(run_many(_work, [], 2)) == []


def test_the_default_is_at_least_one_job() -> None:
    assert 1 <= default_jobs() <= (os.cpu_count() or 1)


def test_an_absent_scheduler_is_an_error_with_its_address() -> None:
    from liverpair.core.errors import UsageError

    with pytest.raises(UsageError, match=r"install liverpair|127\.0\.0\.1:1"):
        list(run_many(_work, [1], 1, "tcp://127.0.0.1:1"))


def test_a_cluster_answers_like_the_processes_do() -> None:
    distributed = pytest.importorskip("distributed", reason="Dask comes with liverpair[cluster]")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        outcomes = dict(run_many(_work, [1, 2, 5], 1, cluster.scheduler_address))
    assert outcomes[1] == 1
    assert outcomes[2] == 4
    assert isinstance(outcomes[5], ValueError)
