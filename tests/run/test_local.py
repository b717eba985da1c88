"""Real workers in real processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import TrialFiles
from bench.run.events import Ended, EpochDone, Event, Started
from bench.run.executors.local import LocalExecutor, worker_context
from bench.run.runner import run
from bench.run.worker import Job, Share
from bench.states import Failure, Status
from tests.making import Silent, make_trial, results

METRICS: Any = {"loss": "min", "dice": "max", "iou": "max"}


def job(folder: Path, target: str | None = None, **changes: Any) -> Job:
    model = {"model": {"target": f"tests.run.parts:{target}"}} if target else {}
    trial = make_trial(**model, **changes)
    files = TrialFiles(folder / trial.id)
    files.write_config({"id": trial.id})
    return Job(trial, TrialRecorder(files, "val/dice", METRICS, {"params": 7}), files.log)


def files(job: Job) -> TrialFiles:
    return TrialFiles(job.log.parent)


def send_imports(job: Job, connection: Connection) -> None:
    """In a worker: train, and tell which modules that has imported."""
    before = set(sys.modules)
    from bench.train.session import train_trial

    train_trial(job.trial, job.recorder, Silent())
    connection.send(sorted(set(sys.modules) - before))


def go(*jobs: Job, workers: int = 1) -> list[Event]:
    seen: list[Event] = []
    run(jobs, LocalExecutor([Share(1, "")] * workers), seen.append)
    return seen


def test_side_by_side_or_alone_gives_the_same_bits(tmp_path: Path) -> None:
    changes: Any = [{"seed": seed, "train": {"epochs": 2}} for seed in (0, 1)]
    pairs = [[job(tmp_path / name, **c) for c in changes] for name in ("a", "b", "alone")]
    go(*pairs[0], workers=2)
    go(*pairs[1], workers=2)
    go(*pairs[2])
    for k in range(2):
        histories = [results(files(pair[k]).history()) for pair in pairs]
        assert histories[0] == histories[1] == histories[2]
        assert len(histories[0]) == 2


def test_events_and_files_of_a_good_trial(tmp_path: Path) -> None:
    good = job(tmp_path)
    seen = go(good)
    assert isinstance(seen[0], Started)
    assert [e.row["epoch"] for e in seen if isinstance(e, EpochDone)] == [1, 2, 3]
    assert seen[-1] == Ended(good.trial.id, Status.DONE)
    assert files(good).status().status is Status.DONE
    assert files(good).summary()["params"] == 7
    assert files(good).environment()["trials_per_device"] == 1


def test_a_trial_says_how_many_are_beside_it(tmp_path: Path) -> None:
    good = job(tmp_path, train={"epochs": 1})
    run([good], LocalExecutor([Share(1, "", beside=3)]), lambda _: None)
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
    assert ours.recv() == []
    process.join()


@pytest.mark.parametrize(
    ("target", "failure", "message"),
    [
        ("Crashing", Failure.CRASH, "RuntimeError: the model broke"),
        ("OutOfMainMemory", Failure.OUT_OF_MEMORY, "can't allocate memory"),
        ("OutOfMemory", Failure.OUT_OF_MEMORY, "CUDA out of memory. Tried to allocate 8 GiB."),
        ("Missing", Failure.CRASH, "cannot be imported"),
    ],
)
def test_a_failing_trial_says_how_and_the_next_one_runs(
    tmp_path: Path, target: str, failure: Failure, message: str
) -> None:
    bad, good = job(tmp_path, target), job(tmp_path)
    ended = [event for event in go(bad, good) if isinstance(event, Ended)]
    assert (ended[0].status, ended[0].failure) == (Status.FAILED, failure)
    assert message in str(ended[0].message)
    assert ended[1].status is Status.DONE
    status = files(bad).status()
    assert (status.status, status.failure) == (Status.FAILED, failure)
    assert message in str(status.message)
    assert files(bad).summary()["params"] == 7  # what was known before is kept


def test_a_crash_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    bad = job(tmp_path, "Crashing")
    go(bad)
    log = bad.log.read_text()
    assert "Traceback" in log
    assert "over two lines" in log


def test_a_killed_worker_is_told_of(tmp_path: Path) -> None:
    bad, good = job(tmp_path, "Killed"), job(tmp_path)
    ended = [event for event in go(bad, good) if isinstance(event, Ended)]
    assert ended[0].failure is Failure.KILLED
    assert "SIGKILL" in str(ended[0].message)
    assert ended[1].status is Status.DONE


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def test_a_worker_asked_to_stop_stays_resumable(tmp_path: Path) -> None:
    slow = job(tmp_path, "Slow", train={"epochs": 500})
    executor = LocalExecutor([Share(1, "")])
    executor.start(slow)
    seen: list[Event] = []
    while not any(isinstance(event, EpochDone) for event in seen):
        seen += executor.events(0.2)
    executor.ask_to_stop()
    while executor.busy:
        seen += executor.events(0.2)
    assert seen[-1] == Ended(slow.trial.id, Status.INTERRUPTED)
    assert files(slow).status().status is Status.INTERRUPTED
    assert files(slow).last.exists()
    assert "one step" in slow.log.read_text()
    assert executor.free == 1


PARENT = """
import os, sys
from pathlib import Path
from bench.run.events import EpochDone
from bench.run.executors.local import LocalExecutor
from bench.run.worker import Share
from tests.run.test_local import job

if __name__ == "__main__":
    executor = LocalExecutor([Share(1, "")])
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
