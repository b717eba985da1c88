"""What a run does about trials that other runs of the experiment have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.run import runner
from bench.run.events import Ended, Event, Lost, Retried, Started, Waiting
from bench.run.runner import run
from bench.run.worker import Job
from bench.states import Failure, Status

KILLED = (Status.FAILED, Failure.KILLED, "gone")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_OTHERS_SECONDS", 0.0)


def job(name: str) -> Job:
    trial: Any = SimpleNamespace(id=name)
    recorder: Any = None
    return Job(trial, recorder, Path("log.txt"))


class Workers:
    """Trials that start, and end in the next call; each as `ends` says, else well."""

    def __init__(self, slots: int = 1, **ends: list[tuple[Any, ...]]) -> None:
        self.slots, self.ends = slots, ends
        self.running: list[str] = []
        self.news: list[str] = []
        self.started: list[str] = []
        self.stopped: list[str | None] = []

    @property
    def free(self) -> int:
        return self.slots - len(self.running)

    @property
    def busy(self) -> int:
        return len(self.running)

    def start(self, job: Job) -> None:
        self.started.append(job.trial.id)
        self.running.append(job.trial.id)
        self.news.append(job.trial.id)

    def events(self, timeout: float) -> Sequence[Event]:
        if self.news:
            return [Started(self.news.pop())]
        if not self.running:
            return []
        name = self.running.pop(0)
        ends = self.ends.get(name)
        return [Ended(name, *(ends.pop(0) if ends else (Status.DONE,)))]

    def ask_to_stop(self, trial: str | None = None) -> None:
        self.stopped.append(trial)

    def close(self) -> None:
        pass


class Theirs:
    """Claims that fail as `answers` tell, one after the other, and then succeed."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers: dict[str, Iterator[Any]] = {k: iter(v) for k, v in answers.items()}
        self.claimed: list[str] = []
        self.released: list[str] = []
        self.lost: set[str] = set()

    def claim(self, trial: str) -> Ended | str | None:
        self.claimed.append(trial)
        found: Ended | str | None = next(self.answers.get(trial, iter(())), None)
        return found

    def keeps(self, trial: str) -> bool:
        return trial not in self.lost

    def release(self, trial: str) -> None:
        self.released.append(trial)


def go(
    names: str, executor: Workers, claims: Theirs, observe: Callable[[Event], None] | None = None,
    **options: Any,
) -> tuple[list[Event], list[Ended]]:  # fmt: skip
    seen: list[Event] = []
    observe = observe or seen.append
    outcome = run([job(n) for n in names], executor, observe, claims=claims, **options)
    return seen, outcome.ended


def test_what_others_have_is_put_aside_and_waited_for() -> None:
    over = Ended("a", Status.DONE, elsewhere=True)
    claims = Theirs(a=["process 7 on x"] * 4 + [over])
    executor = Workers()
    seen, ended = go("abc", executor, claims)
    assert executor.started == ["b", "c"]
    assert claims.released == ["b", "c"]  # and not a, which never was ours
    assert {event.trial for event in ended} == {"a", "b", "c"}
    assert seen[-2:] == [Waiting("1 trial of process 7 on x"), over]


def test_what_others_give_up_or_leave_behind_is_ours() -> None:
    claims, executor = Theirs(a=["process 7 on x"] * 6), Workers(slots=2)
    _, ended = go("ab", executor, claims)
    assert executor.started == ["b", "a"]
    assert [event.trial for event in ended] == ["b", "a"]


def test_whom_it_waits_for_is_said_once_and_again_when_it_changes() -> None:
    x, y = "process 7 on x", "process 8 on y"
    claims = Theirs(a=[x] * 5, b=[x] * 3 + [y] * 3)
    seen, _ = go("ab", Workers(), claims)
    waits = [event.what for event in seen if isinstance(event, Waiting)]
    assert waits == [f"2 trials of {x}", f"1 trial of {x}, 1 trial of {y}", f"1 trial of {y}"]


def test_a_trial_that_was_lost_is_stopped_dropped_and_waited_for() -> None:
    """We were stopped for too long: another run has taken it over, and fails."""
    over = Ended("a", Status.FAILED, Failure.CRASH, "boom", elsewhere=True)
    claims = Theirs(a=[None, "process 7 on x", over])
    executor = Workers()
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if event == Started("a"):
            claims.lost = {"a"}

    _, ended = go("a", executor, claims, observe)
    assert executor.stopped == ["a"]
    assert seen == [Started("a"), Lost("a"), Waiting("1 trial of process 7 on x"), over]
    assert ended == [over]


def test_a_killed_trial_keeps_its_lease_while_it_starts_again() -> None:
    claims, executor = Theirs(), Workers(a=[KILLED, (Status.DONE,)])
    seen, ended = go("ab", executor, claims)
    assert executor.started == ["a", "a", "b"]
    assert Retried("a", "gone", 1, 2) in seen
    assert claims.released == ["a", "b"]
    assert [event.status for event in ended] == [Status.DONE, Status.DONE]


def test_a_killed_trial_that_was_lost_does_not_start_again() -> None:
    claims = Theirs(a=[None, Ended("a", Status.DONE, elsewhere=True)])
    executor = Workers(a=[KILLED])

    def observe(event: Event) -> None:
        claims.lost = {"a"}

    _, ended = go("a", executor, claims, observe)
    assert executor.started == ["a"]
    assert [event.status for event in ended] == [Status.DONE]


def test_fail_fast_minds_the_failures_of_others() -> None:
    over = Ended("a", Status.FAILED, Failure.CRASH, "boom", elsewhere=True)
    claims, executor = Theirs(a=[over]), Workers()
    _, ended = go("ab", executor, claims, fail_fast=True)
    assert executor.started == []
    assert ended == [over]


def test_ctrl_c_while_waiting_ends_the_waiting() -> None:
    claims = Theirs(a=["process 7 on x"] * 1000)

    def observe(event: Event) -> None:
        if isinstance(event, Waiting):
            raise KeyboardInterrupt

    outcome = run([job("a")], Workers(), observe, claims=claims)
    assert outcome.interrupted
    assert outcome.ended == []
