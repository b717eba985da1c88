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
from bench.run.events import Ended, EpochDone, Event, Retried, Started
from bench.run.executors import local
from bench.run.executors.local import LocalExecutor
from bench.run.limits import Limits
from bench.run.processes import worker_context
from bench.run.runner import run
from bench.run.worker import Job, WorkerResources
from bench.states import Failure, Status
from tests.builders.training import Silent, make_trial, results

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


def go(*jobs: Job, workers: int = 1, retries: int = 0, **options: Any) -> list[Event]:
    """Run the jobs and keep record of what happens to them as `bench run` does."""
    recorders = {job.trial.id: job.recorder for job in jobs}
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Retried):
            recorders[event.trial].retry(event.message)
        if isinstance(event, Ended) and not event.recorded:
            recorders[event.trial].stop(event.status, event.failure, event.message)

    run(
        jobs, LocalExecutor([WorkerResources(1, "")] * workers, **options), observe, retries=retries
    )
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


@pytest.mark.parametrize(
    ("target", "failure", "message"),
    [
        ("Crashing", Failure.CRASH, "RuntimeError: the model broke"),
        ("OutOfMainMemory", Failure.OUT_OF_MEMORY, "can't allocate memory"),
        ("Segfaulting", Failure.CRASH, "ended by SIGSEGV (its log.txt says where)"),
        ("Exiting", Failure.CRASH, "ended with exit code 3"),
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


def test_a_crash_leaves_no_password_anywhere(tmp_path: Path) -> None:
    bad = job(tmp_path, "NamingAServer")
    go(bad)
    assert "https://***@store.example/weights.pt" in bad.log.read_text()
    assert "https://***@store.example/weights.pt" in str(files(bad).status().message)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


def test_a_message_that_is_no_text_is_not_lost(tmp_path: Path) -> None:
    bad = job(tmp_path, "NamingNoText")
    ended = go(bad)[-1]
    assert isinstance(ended, Ended)
    assert ended.recorded
    assert (files(bad).status().message or "").startswith("RuntimeError: cannot read \\udcff.png (")
    assert "reading \\udcff.png\n" in bad.log.read_text()


def test_a_segmentation_fault_leaves_its_place_in_the_log(tmp_path: Path) -> None:
    bad = job(tmp_path, "Segfaulting")
    go(bad)
    assert "Segmentation fault" in bad.log.read_text()
    assert "parts.py" in bad.log.read_text()


@pytest.mark.parametrize("target", ["Killed", "KilledWithAChild"])
def test_a_killed_worker_is_reported(tmp_path: Path, target: str) -> None:
    bad, good = job(tmp_path, target), job(tmp_path)
    started = time.monotonic()
    ended = [event for event in go(bad, good) if isinstance(event, Ended)]
    assert time.monotonic() - started < 15  # the child holds the line for 20 s
    assert ended[0].failure is Failure.KILLED
    assert ended[0].message == "the worker process was ended by SIGKILL"
    assert files(bad).status().failure is Failure.KILLED
    assert ended[1].status is Status.DONE


def test_a_killed_trial_goes_on_by_itself_to_the_same_end(tmp_path: Path) -> None:
    marker = str(tmp_path / "marker")
    model = {"target": "tests.run.parts:KilledOnce", "marker": marker}
    cut, whole = (job(tmp_path / name, model=model) for name in ("cut", "whole"))
    seen = go(cut, retries=2)
    retried = Retried(cut.trial.id, "the worker process was ended by SIGKILL", 1, 2)
    assert retried in seen
    assert seen[-1] == Ended(cut.trial.id, Status.DONE)
    assert files(cut).status().retries == 1
    go(whole)
    assert files(whole).status().retries == 0
    assert results(files(cut).history()) == results(files(whole).history())


def test_a_trial_that_is_always_killed_has_failed_after_its_retries(tmp_path: Path) -> None:
    bad = job(tmp_path, "Killed")
    seen = go(bad, retries=2)
    assert [event.retry for event in seen if isinstance(event, Retried)] == [1, 2]
    assert seen[-1].failure is Failure.KILLED
    assert (files(bad).status().failure, files(bad).status().retries) == (Failure.KILLED, 2)


def test_what_the_system_killed_for_want_of_memory_is_no_kill(tmp_path: Path) -> None:
    counts = iter([3, 4, 4])  # at the start and after each of two kills: the system's, another's
    bad = [job(tmp_path / name, "Killed") for name in ("a", "b")]
    seen = go(*bad, retries=0, count_oom_kills=lambda: next(counts))
    ended = [event for event in seen if isinstance(event, Ended)]
    assert [event.failure for event in ended] == [Failure.OUT_OF_MEMORY, Failure.KILLED]
    assert "ran out of memory" in str(ended[0].message)


def test_where_the_system_does_not_count_them_a_kill_is_a_kill(tmp_path: Path) -> None:
    seen = go(job(tmp_path, "Killed"), count_oom_kills=lambda: None)
    assert seen[-1].failure is Failure.KILLED


def test_a_worker_that_hangs_is_ended_and_a_slow_one_is_not(tmp_path: Path) -> None:
    bad = job(tmp_path, "Hanging")
    slow = job(tmp_path, "Slow", train={"epochs": 16})  # 3 s without a tick
    seen = go(bad, slow, workers=2, retries=2, limits=Limits(hung_after=2.0))
    ended = {event.trial: event for event in seen if isinstance(event, Ended)}
    assert ended[slow.trial.id].status is Status.DONE
    assert ended[bad.trial.id].failure is Failure.TIMEOUT
    assert "made no progress for 2s (--hung-after)" in str(files(bad).status().message)


def test_a_trial_that_takes_too_long_is_ended_and_can_go_on(tmp_path: Path) -> None:
    slow = job(tmp_path, "Slow", train={"epochs": 500})
    seen = go(slow, limits=Limits(timeout=2.0))
    assert seen[-1].failure is Failure.TIMEOUT
    assert "not done after 2s (--timeout)" in str(files(slow).status().message)
    done = len(files(slow).history())
    assert done >= 1
    assert files(slow).last.exists()
    go(slow, limits=Limits(timeout=2.0))
    assert len(files(slow).history()) > done


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
    seen = go(Job(bad.trial, recorder, bad.log))
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


def test_a_worker_asked_to_stop_stays_resumable(tmp_path: Path) -> None:
    slow = job(tmp_path, "Slow", train={"epochs": 500})
    executor = LocalExecutor([WorkerResources(1, "")])
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
from bench.run.worker import WorkerResources
from tests.run.test_local import job

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
