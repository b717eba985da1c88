"""What every executor must do, in real processes.

A new one is tested by a subclass of `ExecutorConformance` with a fixture `executors`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.record.recorder import TrialRecorder
from bench.record.store import TrialFiles
from bench.run.events import Ended, EpochDone, Event, Retried, Started
from bench.run.executors.base import Executor
from bench.run.limits import Limits
from bench.run.runner import run
from bench.run.worker import Job
from bench.states import Failure, Status
from tests.builders.training import make_trial, results

METRICS: Any = {"loss": "min", "dice": "max", "iou": "max"}


def job(folder: Path, target: str | None = None, **changes: Any) -> Job:
    model = {"model": {"target": f"tests.run.parts:{target}"}} if target else {}
    trial = make_trial(**model, **changes)
    files = TrialFiles(folder / trial.id)
    files.write_config({"id": trial.id})
    return Job(trial, TrialRecorder(files, "val/dice", METRICS, {"params": 7}), files.log)


def files(job: Job) -> TrialFiles:
    return TrialFiles(job.log.parent)


def run_on(executor: Executor, *jobs: Job, retries: int = 0) -> list[Event]:
    """Run the jobs and keep record of what happens to them as `bench run` does."""
    recorders = {job.trial.id: job.recorder for job in jobs}
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Retried):
            recorders[event.trial].retry(event.message)
        if isinstance(event, Ended) and not event.recorded:
            recorders[event.trial].stop(event.status, event.failure, event.message)

    run(jobs, executor, observe, retries=retries)
    return seen


@dataclass(frozen=True)
class Executors:
    """Makes executors of the kind that is tested: `make(workers, limits)`."""

    make: Callable[[int, Limits | None], Executor]

    def go(
        self, *jobs: Job, workers: int = 1, retries: int = 0, limits: Limits | None = None
    ) -> list[Event]:
        return run_on(self.make(workers, limits), *jobs, retries=retries)


class ExecutorConformance:
    def test_side_by_side_or_alone_gives_the_same_bits(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        changes: Any = [{"seed": seed, "train": {"epochs": 2}} for seed in (0, 1)]
        pairs = [[job(tmp_path / name, **c) for c in changes] for name in ("a", "b", "alone")]
        executors.go(*pairs[0], workers=2)
        executors.go(*pairs[1], workers=2)
        executors.go(*pairs[2])
        for k in range(2):
            histories = [results(files(pair[k]).history()) for pair in pairs]
            assert histories[0] == histories[1] == histories[2]
            assert len(histories[0]) == 2

    def test_events_and_files_of_a_good_trial(self, executors: Executors, tmp_path: Path) -> None:
        good = job(tmp_path)
        seen = executors.go(good)
        assert isinstance(seen[0], Started)
        assert [e.row["epoch"] for e in seen if isinstance(e, EpochDone)] == [1, 2, 3]
        assert seen[-1] == Ended(good.trial.id, Status.DONE)
        assert files(good).status().status is Status.DONE
        assert files(good).summary()["params"] == 7
        assert files(good).environment()["trials_per_device"] == 1

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
        self, executors: Executors, tmp_path: Path, target: str, failure: Failure, message: str
    ) -> None:
        bad, good = job(tmp_path, target), job(tmp_path)
        ended = [event for event in executors.go(bad, good) if isinstance(event, Ended)]
        assert (ended[0].status, ended[0].failure) == (Status.FAILED, failure)
        assert message in str(ended[0].message)
        assert ended[1].status is Status.DONE
        status = files(bad).status()
        assert (status.status, status.failure) == (Status.FAILED, failure)
        assert message in str(status.message)
        assert files(bad).summary()["params"] == 7  # what was known before is kept

    def test_a_crash_leaves_its_traceback_in_the_log(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "Crashing")
        executors.go(bad)
        log = bad.log.read_text()
        assert "Traceback" in log
        assert "over two lines" in log

    def test_a_crash_leaves_no_password_anywhere(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "NamingAServer")
        executors.go(bad)
        assert "https://***@store.example/weights.pt" in bad.log.read_text()
        assert "https://***@store.example/weights.pt" in str(files(bad).status().message)
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or b"hunter2" not in path.read_bytes(), path

    def test_a_message_that_is_no_text_is_not_lost(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "NamingNoText")
        ended = executors.go(bad)[-1]
        assert isinstance(ended, Ended)
        assert ended.recorded
        assert (files(bad).status().message or "").startswith(
            "RuntimeError: cannot read \\udcff.png ("
        )
        assert "reading \\udcff.png\n" in bad.log.read_text()

    def test_a_segmentation_fault_leaves_its_place_in_the_log(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "Segfaulting")
        executors.go(bad)
        assert "Segmentation fault" in bad.log.read_text()
        assert "parts.py" in bad.log.read_text()

    @pytest.mark.parametrize("target", ["Killed", "KilledWithAChild"])
    def test_a_killed_worker_is_reported(
        self, executors: Executors, tmp_path: Path, target: str
    ) -> None:
        bad, good = job(tmp_path, target), job(tmp_path)
        started = time.monotonic()
        ended = [event for event in executors.go(bad, good) if isinstance(event, Ended)]
        assert time.monotonic() - started < 15  # the child holds the line for 20 s
        assert ended[0].failure is Failure.KILLED
        assert str(ended[0].message).startswith("the worker process was ended by SIGKILL")
        assert files(bad).status().failure is Failure.KILLED
        assert ended[1].status is Status.DONE

    def test_a_killed_trial_goes_on_by_itself_to_the_same_end(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        marker = str(tmp_path / "marker")
        model = {"target": "tests.run.parts:KilledOnce", "marker": marker}
        cut, whole = (job(tmp_path / name, model=model) for name in ("cut", "whole"))
        seen = executors.go(cut, retries=2)
        (retried,) = [event for event in seen if isinstance(event, Retried)]
        assert (retried.trial, retried.retry, retried.most) == (cut.trial.id, 1, 2)
        assert retried.message.startswith("the worker process was ended by SIGKILL")
        assert seen[-1] == Ended(cut.trial.id, Status.DONE)
        assert files(cut).status().retries == 1
        executors.go(whole)
        assert files(whole).status().retries == 0
        assert results(files(cut).history()) == results(files(whole).history())

    def test_a_trial_that_is_always_killed_has_failed_after_its_retries(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "Killed")
        seen = executors.go(bad, retries=2)
        assert [event.retry for event in seen if isinstance(event, Retried)] == [1, 2]
        assert seen[-1].failure is Failure.KILLED
        assert (files(bad).status().failure, files(bad).status().retries) == (Failure.KILLED, 2)

    def test_a_worker_that_hangs_is_ended_and_a_slow_one_is_not(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        bad = job(tmp_path, "Hanging")
        slow = job(tmp_path, "Slow", train={"epochs": 16})  # 3 s without a tick
        seen = executors.go(bad, slow, workers=2, retries=2, limits=Limits(hung_after=2.0))
        ended = {event.trial: event for event in seen if isinstance(event, Ended)}
        assert ended[slow.trial.id].status is Status.DONE
        assert ended[bad.trial.id].failure is Failure.TIMEOUT
        assert "made no progress for 2s (--hung-after)" in str(files(bad).status().message)

    def test_a_trial_that_takes_too_long_is_ended_and_can_go_on(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        slow = job(tmp_path, "Slow", train={"epochs": 500})
        seen = executors.go(slow, limits=Limits(timeout=2.0))
        assert seen[-1].failure is Failure.TIMEOUT
        assert "not done after 2s (--timeout)" in str(files(slow).status().message)
        done = len(files(slow).history())
        assert done >= 1
        assert files(slow).last.exists()
        executors.go(slow, limits=Limits(timeout=2.0))
        assert len(files(slow).history()) > done

    def test_a_worker_asked_to_stop_stays_resumable(
        self, executors: Executors, tmp_path: Path
    ) -> None:
        slow = job(tmp_path, "Slow", train={"epochs": 500})
        executor = executors.make(1, None)
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
