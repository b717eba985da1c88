"""What to do next, decided against an executor that does what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import UnwritableError
from bench.run.events import Ended, EpochDone, Event, Retried, Started
from bench.run.runner import NoOtherRuns, TrialSelection, run, select_trials
from bench.run.worker import Job
from bench.states import Failure, Status


def job(name: str) -> Job:
    trial: Any = SimpleNamespace(id=name)
    recorder: Any = None
    return Job(trial, recorder, Path("log.txt"))


class Scripted:
    """Each trial does what its script says, an event a call."""

    def __init__(self, scripts: dict[str, list[Any]], slots: int = 1) -> None:
        self.scripts = {name: deque(script) for name, script in scripts.items()}
        self.slots = slots
        self.running: list[str] = []
        self.started: list[str] = []
        self.most = 0
        self.asked = self.closed = False

    @property
    def free(self) -> int:
        return self.slots - len(self.running)

    @property
    def busy(self) -> int:
        return len(self.running)

    def start(self, job: Job) -> None:
        self.started.append(job.trial.id)
        self.running.append(job.trial.id)
        self.most = max(self.most, len(self.running))

    def events(self, timeout: float) -> Sequence[Event]:
        name = self.running[0]
        if self.asked:
            self.running.remove(name)
            return [Ended(name, Status.INTERRUPTED)]
        event = self.scripts[name].popleft()
        if event is KeyboardInterrupt:
            raise KeyboardInterrupt
        if isinstance(event, Ended):
            self.running.remove(name)
        return [event]

    def ask_to_stop(self) -> None:
        self.asked = True

    def close(self) -> None:
        self.closed = True


def done(name: str) -> list[Any]:
    return [Started(name), EpochDone(name, {"epoch": 1}), Ended(name, Status.DONE)]


def failed(name: str) -> list[Any]:
    return [Started(name), Ended(name, Status.FAILED, Failure.CRASH, "boom")]


def test_every_job_runs_in_order_and_events_pass_through() -> None:
    executor = Scripted({"a": done("a"), "b": done("b")})
    seen: list[Event] = []
    outcome = run([job("a"), job("b")], executor, seen.append)
    assert executor.started == ["a", "b"]
    assert executor.most == 1
    assert [event.trial for event in seen] == ["a"] * 3 + ["b"] * 3
    assert outcome.count(Status.DONE) == 2
    assert executor.closed


def test_as_many_at_a_time_as_there_are_slots() -> None:
    executor = Scripted({name: done(name) for name in "abcd"}, slots=3)
    run([job(name) for name in "abcd"], executor, lambda _: None)
    assert executor.most == 3


def test_a_failure_is_passed_over() -> None:
    executor = Scripted({"a": failed("a"), "b": done("b")})
    outcome = run([job("a"), job("b")], executor, lambda _: None)
    assert (outcome.count(Status.FAILED), outcome.count(Status.DONE)) == (1, 1)
    assert outcome.ended[0].message == "boom"


def test_fail_fast_stops_the_others() -> None:
    executor = Scripted({"a": failed("a"), "b": done("b"), "c": done("c")}, slots=2)
    outcome = run([job(n) for n in "abc"], executor, lambda _: None, fail_fast=True)
    assert executor.started == ["a", "b"]
    assert outcome.count(Status.INTERRUPTED) == 1


def killed(name: str) -> list[Any]:
    return [Started(name), Ended(name, Status.FAILED, Failure.KILLED, "gone", recorded=False)]


def test_a_killed_trial_starts_again_before_the_others() -> None:
    executor = Scripted({"a": killed("a") + done("a"), "b": done("b")})
    seen: list[Event] = []
    outcome = run([job("a"), job("b")], executor, seen.append)
    assert executor.started == ["a", "a", "b"]
    assert seen[1] == Retried("a", "gone", 1, 2)
    assert [event.status for event in outcome.ended] == [Status.DONE, Status.DONE]


@pytest.mark.parametrize(("retries", "starts"), [(0, 1), (2, 3)])
def test_retries_are_bounded(retries: int, starts: int) -> None:
    executor = Scripted({"a": killed("a") * 5, "b": done("b")})
    outcome = run([job("a"), job("b")], executor, lambda _: None, retries=retries)
    assert executor.started == ["a"] * starts + ["b"]
    assert outcome.ended[0].failure is Failure.KILLED


def test_other_failures_are_not_tried_again() -> None:
    executor = Scripted({"a": failed("a") * 2})
    run([job("a")], executor, lambda _: None)
    assert executor.started == ["a"]


def test_fail_fast_waits_for_the_retries_and_ends_them() -> None:
    executor = Scripted({"a": killed("a") + done("a"), "b": done("b")})
    outcome = run([job("a"), job("b")], executor, lambda _: None, fail_fast=True)
    assert outcome.count(Status.DONE) == 2
    executor = Scripted({"a": killed("a") * 3, "b": done("b")})
    outcome = run([job("a"), job("b")], executor, lambda _: None, fail_fast=True)
    assert executor.started == ["a"] * 3
    assert [event.failure for event in outcome.ended] == [Failure.KILLED]


class Together(Scripted):
    """Trials side by side whose workers take some calls to stop, and one of which is killed."""

    def __init__(self, last_words: dict[str, Event], calls: int = 3) -> None:
        super().__init__({}, slots=len(last_words))
        self.last_words, self.left = last_words, calls

    def events(self, timeout: float) -> Sequence[Event]:
        if not self.asked:
            self.running.remove("bad")
            return [Ended("bad", Status.FAILED, Failure.CRASH, "boom")]
        self.left -= 1
        if self.left or not self.running:
            return []
        found = [self.last_words[name] for name in self.running]
        self.running.clear()
        return found


def test_while_fail_fast_winds_down_a_killed_worker_is_not_started_again() -> None:
    """It may have been killed for the same reason; nothing starts any more."""
    words: dict[str, Event] = {
        "bad": Started("bad"),
        "killed": Ended("killed", Status.FAILED, Failure.KILLED, "gone", recorded=False),
        "slow": Ended("slow", Status.INTERRUPTED),
    }
    executor = Together(words)
    seen: list[Event] = []
    jobs = [job(name) for name in ("bad", "killed", "slow", "never")]
    outcome = run(jobs, executor, seen.append, fail_fast=True, retries=2)
    assert executor.started == ["bad", "killed", "slow"]
    assert not [event for event in seen if isinstance(event, Retried)]
    assert [(event.trial, event.status) for event in outcome.ended] == [
        ("bad", Status.FAILED), ("killed", Status.FAILED), ("slow", Status.INTERRUPTED),
    ]  # fmt: skip
    assert executor.closed


def test_a_retry_that_waits_when_fail_fast_stops_everything_is_not_started() -> None:
    """Killed before the failure, and put back: it is interrupted work, for the next run."""

    class Waiting(Scripted):
        def events(self, timeout: float) -> Sequence[Event]:
            if self.asked:
                return super().events(timeout)
            self.running.clear()
            return [*killed("a")[1:], *failed("b")[1:]]

    executor = Waiting({}, slots=2)
    seen: list[Event] = []
    run([job("a"), job("b"), job("c")], executor, seen.append, fail_fast=True)
    assert executor.started == ["a", "b"]
    assert Retried("a", "gone", 1, 2) in seen


class FullDisk(NoOtherRuns):
    """From the second trial on no claim can be written."""

    def claim(self, trial: str) -> None:
        if trial != "a":
            raise UnwritableError("full")


def test_a_claim_that_cannot_be_written_stops_all_resumably() -> None:
    executor = Scripted({"a": done("a"), "b": done("b")}, slots=2)
    outcome = run([job("a"), job("b")], executor, lambda _: None, claims=FullDisk())
    assert executor.started == ["a"]
    assert executor.asked
    assert executor.closed
    assert (outcome.interrupted, outcome.reason) == (
        True,
        "nothing can be recorded any more: full",
    )
    assert [event.status for event in outcome.ended] == [Status.INTERRUPTED]


def test_a_record_that_cannot_be_written_while_stopping_is_the_end() -> None:
    def observe(event: Event) -> None:
        if isinstance(event, Ended):
            raise UnwritableError("full")

    executor = Scripted({"a": done("a"), "b": done("b")}, slots=2)
    outcome = run([job("a"), job("b")], executor, observe)
    assert executor.closed
    assert (outcome.interrupted, outcome.reason) == (
        True,
        "nothing can be recorded any more: full",
    )


def test_ctrl_c_lets_workers_stop_by_themselves() -> None:
    executor = Scripted({"a": [Started("a"), KeyboardInterrupt], "b": done("b")})
    outcome = run([job("a"), job("b")], executor, lambda _: None)
    assert outcome.interrupted
    assert executor.asked
    assert executor.closed
    assert executor.started == ["a"]
    assert [event.status for event in outcome.ended] == [Status.INTERRUPTED]


def test_a_worker_killed_with_the_parent_was_interrupted() -> None:
    """SIGTERM or SIGKILL to the whole group: nothing of it is the trial's fault."""

    class Dying(Scripted):
        def events(self, timeout: float) -> Sequence[Event]:
            if not self.asked:
                raise KeyboardInterrupt
            name = self.running.pop()
            return [Ended(name, Status.FAILED, Failure.KILLED, "by SIGTERM", recorded=False)]

    outcome = run([job("a")], Dying({"a": []}), lambda _: None)
    assert outcome.ended == [Ended("a", Status.INTERRUPTED, recorded=False)]


STATUSES = {
    "new": Status.PLANNED,
    "stale": Status.RUNNING,
    "half": Status.INTERRUPTED,
    "good": Status.DONE,
    "bad": Status.FAILED,
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, TrialSelection(("new", "stale", "half"), ("good",), ("bad",))),
        ({"retry_failed": True}, TrialSelection(("new", "stale", "half", "bad"), ("good",), ())),
        ({"force": True}, TrialSelection(tuple(STATUSES), (), ())),
    ],
)
def test_choice(options: dict[str, bool], expected: TrialSelection) -> None:
    assert select_trials(STATUSES, **options) == expected
