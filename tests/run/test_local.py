"""Real workers in real processes."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.errors import StoreError
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import TrialFiles
from bench.run.events import Ended
from bench.run.executors import local
from bench.run.executors.local import LocalExecutor
from bench.run.processes import worker_context
from bench.run.runner import run
from bench.run.worker import Job, WorkerResources
from bench.states import Failure, Status
from tests.builders.training import Silent, make_trial
from tests.run.executor_conformance import ExecutorConformance, Executors, files, job, run_on


def local_executor(workers: int = 1, **options: Any) -> LocalExecutor:
    return LocalExecutor([WorkerResources(1, "")] * workers, **options)


class TestLocal(ExecutorConformance):
    @pytest.fixture
    def executors(self) -> Executors:
        return Executors(lambda workers, limits: local_executor(workers, limits=limits))


def send_imports(job: Job, connection: Connection) -> None:
    """In a worker: train, and tell which modules that has imported."""
    before = set(sys.modules)
    from bench.train.session import train_trial

    train_trial(job.trial, job.recorder, Silent())
    connection.send(sorted(set(sys.modules) - before))


def test_a_trial_says_how_many_share_its_device(tmp_path: Path) -> None:
    good = job(tmp_path, train={"epochs": 1})
    run([good], LocalExecutor([WorkerResources(1, "", trials_per_device=3)]), lambda _: None)
    assert files(good).environment()["trials_per_device"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": [{"elastic": {}}, {"hflip": {}}], "train": {"epochs": 1, "ema": 0.9}},
        {"model": {"name": "encoder_unet", "encoder": "resnet18"}, "train": {"epochs": 1}},
    ],
)
def test_the_fork_server_has_imported_what_a_trial_needs(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    context: Any = worker_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=send_imports, args=(job(tmp_path, **changes), theirs))
    process.start()
    theirs.close()
    # what writes the records is the caller's, and quick to import once NumPy is there
    assert [name for name in ours.recv() if not name.startswith("bench.record.")] == []
    process.join()


def test_what_the_system_killed_for_want_of_memory_is_no_kill(tmp_path: Path) -> None:
    counts = iter([3, 4, 4])  # at the start and after each of two kills: the system's, another's
    bad = [job(tmp_path / name, "Killed") for name in ("a", "b")]
    seen = run_on(local_executor(count_oom_kills=lambda: next(counts)), *bad)
    ended = [event for event in seen if isinstance(event, Ended)]
    assert [event.failure for event in ended] == [Failure.OUT_OF_MEMORY, Failure.KILLED]
    assert "ran out of memory" in str(ended[0].message)


def test_where_the_system_does_not_count_them_a_kill_is_a_kill(tmp_path: Path) -> None:
    seen = run_on(local_executor(count_oom_kills=lambda: None), job(tmp_path, "Killed"))
    assert seen[-1].failure is Failure.KILLED


def test_while_bench_itself_is_stopped_no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.5, 100_000.5, 100_001.5])
    monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=lambda: next(times)))
    clock = local._Clock()
    found = []
    for _ in range(3):
        clock.tick()
        found.append(clock.now)
    assert found == [0.5, 0.5 + local.LONGEST_PAUSE, 1.5 + local.LONGEST_PAUSE]


def test_a_failure_that_a_worker_cannot_record_is_left_to_the_parent(tmp_path: Path) -> None:
    bad = job(tmp_path, "Crashing")
    recorder = Unwritable(**vars(bad.recorder))
    seen = run_on(local_executor(), Job(bad.trial, recorder, bad.log))
    assert isinstance(seen[-1], Ended)
    assert not seen[-1].recorded
    assert files(bad).status().failure is Failure.CRASH


class Unwritable(TrialRecorder):
    """As on a disk that is full, but for the process that made it."""

    def stop(self, *how: Any) -> None:
        if multiprocessing.parent_process() is not None:
            raise StoreError("no space left")
        super().stop(*how)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


PARENT = """
import os, sys
from pathlib import Path
from bench.run.events import EpochDone
from bench.run.executors.local import LocalExecutor
from bench.run.worker import WorkerResources
from tests.run.executor_conformance import job

if __name__ == "__main__":
    executor = LocalExecutor([WorkerResources(1, "")])
    executor.start(job(Path(sys.argv[1]), "Slow", train={"epochs": 500}))
    while not any(isinstance(event, EpochDone) for event in executor.events(0.2)):
        pass
    os._exit(1)  # as if killed: nothing is said to the worker
"""


def test_a_worker_whose_parent_is_gone_ends_at_once(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, str(script), str(tmp_path)], cwd=root, check=False,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"}, timeout=60,
    )  # fmt: skip
    trial: Trial = make_trial(model={"target": "tests.run.parts:Slow"}, train={"epochs": 500})
    left = TrialFiles(tmp_path / trial.id)
    pid = left.status().pid
    assert pid is not None
    wait_for(lambda: not psutil.pid_exists(pid))
    assert len(left.history()) >= 1
    # nobody holds the experiment, so everyone takes this for interrupted
    assert left.status().status is Status.RUNNING
