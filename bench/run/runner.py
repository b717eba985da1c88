"""What to do next: which trials are left, starting them, and what happens when one ends."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bench.errors import UnwritableError, WorkerStartError
from bench.run.events import Ended, Event, Lost, Retried, Waiting
from bench.run.executors.base import Executor
from bench.run.retries import RETRIES, Retries
from bench.run.worker import Job
from bench.states import Failure, Status

POLL_SECONDS = 0.2
STOP_SECONDS = 60.0
POLL_OTHERS_SECONDS = 1.0
"""Between two looks at what other runs have."""


@dataclass(frozen=True)
class TrialSelection:
    """Which trials to run, by what is known of them."""

    todo: tuple[str, ...]
    finished: tuple[str, ...]
    failed_before: tuple[str, ...]


def select_trials(
    statuses: Mapping[str, Status], *, retry_failed: bool = False, force: bool = False
) -> TrialSelection:
    """Finished trials are skipped and failed ones left, unless asked otherwise."""
    todo, finished, failed = [], [], []
    for trial, status in statuses.items():
        if status is Status.DONE and not force:
            finished.append(trial)
        elif status is Status.FAILED and not (retry_failed or force):
            failed.append(trial)
        else:
            todo.append(trial)
    return TrialSelection(tuple(todo), tuple(finished), tuple(failed))


@dataclass
class Outcome:
    """How the trials of one `run` ended."""

    ended: list[Ended] = field(default_factory=list)
    interrupted: bool = False
    reason: str | None = None
    """Why it was interrupted, if not by a person."""
    left: int = 0
    """Trials that were left to others, who run them."""

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(event.status is status for event in self.ended)


class Claims(Protocol):
    """Who runs which trial, where several runs share an experiment."""

    def claim(self, trial: str) -> Ended | str | None:
        """None: ours, from now on or already. Else who runs it now, or how others ended it."""
        ...

    def keeps(self, trial: str) -> bool:
        """Whether a trial of ours still is: who is silent for too long is taken for dead."""
        ...

    def release(self, trial: str) -> None:
        """We have done with a trial."""
        ...

    def in_good_hands(self, trials: Collection[str]) -> bool:
        """Whether others have each of these, and are alive for certain. May take a minute."""
        ...


class JobSource(Protocol):
    """Jobs that are decided on one after the other, whenever a worker is free."""

    def next(self) -> Job | None:
        """One more job; None: none just now."""
        ...

    def over(self) -> bool:
        """Whether there will be no more."""
        ...

    def stop(self) -> None:
        """There will be no more, whatever was asked for."""
        ...


class NoJobs:
    """No further jobs."""

    def next(self) -> None:
        """None."""

    def over(self) -> bool:
        """From the beginning."""
        return True

    def stop(self) -> None:
        """It has stopped."""


class NoOtherRuns:
    """No other run has anything to do with these trials."""

    def claim(self, _trial: str) -> None:
        """Ours."""

    def keeps(self, _trial: str) -> bool:
        """Always."""
        return True

    def release(self, _trial: str) -> None:
        """Nobody waits for it."""

    def in_good_hands(self, _trials: Collection[str]) -> bool:
        """They are ours."""
        return False


def run(
    jobs: Iterable[Job],
    executor: Executor,
    observe: Callable[[Event], None],
    *,
    claims: Claims | None = None,
    source: JobSource | None = None,
    fail_fast: bool = False,
    retries: int = RETRIES,
    waits: bool = True,
) -> Outcome:
    """Run every job, and those of `source`, as many at a time as the executor takes.

    A trial that another run has is put aside, and waited for in the end: when that run ends it,
    its end is told like one of ours; when it gives it up or dies, the trial is ours. Without
    `waits` this one ends, once there is nothing else and those others are known to be alive.

    A trial whose worker was killed starts again, `retries` times at most: that is reported as a
    `Retried`. A failed trial is passed over, or with `fail_fast` ends the run. KeyboardInterrupt
    stops every worker at its next step, resumable; a second one kills them. So does a disk on which
    nothing can be recorded any more.
    """
    more = source or NoJobs()
    work = _RunState(
        deque(jobs), more, executor, observe, claims or NoOtherRuns(), Retries(retries), fail_fast,
        waits,
    )  # fmt: skip
    try:
        work.run_all()
    except KeyboardInterrupt:
        work.outcome.interrupted = True
        work.wind_down()
    except UnwritableError as error:
        work.outcome.interrupted, work.outcome.reason = True, unrecordable(error)
        work.wind_down()
    except WorkerStartError as error:
        work.outcome.interrupted, work.outcome.reason = True, str(error)
        work.wind_down()
    finally:
        executor.close()
    return work.outcome


@dataclass
class _RunState:
    """A run's trials: `pending` are to be started, `ours` run; what ended is in `outcome`."""

    pending: deque[Job]
    source: JobSource
    executor: Executor
    observe: Callable[[Event], None]
    claims: Claims
    retries: Retries
    fail_fast: bool
    waits: bool = True
    outcome: Outcome = field(default_factory=Outcome)
    ours: dict[str, Job] = field(default_factory=dict)
    stopping: bool = False
    last_message: str = ""
    last_look: float = -POLL_OTHERS_SECONDS
    last_check: float = 0.0

    def run_all(self) -> None:
        """Until every trial has ended."""
        while self.pending or self.executor.busy or not self.source.over():
            self._start()
            self._process_events(self.executor.events(POLL_SECONDS))
            self._check()

    def wind_down(self) -> None:
        """Let the workers stop by themselves, for a while."""
        self._stop()
        try:
            for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
                if not self.executor.busy:
                    return
                self._process_events(
                    [_unless_killed(e) for e in self.executor.events(POLL_SECONDS)]
                )
        except (KeyboardInterrupt, UnwritableError):
            return

    def _start(self) -> None:
        """Fill the executor. If all that is left is others', look again only after a while."""
        if time.monotonic() >= self.last_look + POLL_OTHERS_SECONDS:
            self._claim_pending()
        while self.executor.free and (job := self.source.next()) is not None:
            self._claim(job)

    def _claim_pending(self) -> None:
        """Start what is pending, as far as others do not have it."""
        holders: Counter[str] = Counter()
        for _ in range(len(self.pending)):
            if not (self.pending and self.executor.free):
                return
            if (who := self._claim(self.pending.popleft())) is not None:
                holders[who] += 1
        if holders:
            self.last_look = time.monotonic()
            if not self.waits and not self.executor.busy:
                self._leave_to_others()
            self._announce_waiting(holders)

    def _claim(self, job: Job) -> str | None:
        """Start a job if it is ours; else who has it, or None where others have ended it."""
        found = self.claims.claim(job.trial.id)
        if found is None:
            self.ours[job.trial.id] = job
            self.executor.start(job)
            self.last_message = ""
        elif isinstance(found, Ended):
            self._end(found)
        else:
            self.pending.append(job)
            return found
        return None

    def _leave_to_others(self) -> None:
        """End, where others have all that is left."""
        if self.claims.in_good_hands([job.trial.id for job in self.pending]):
            self.outcome.left = len(self.pending)
            self.pending.clear()
            self.source.stop()

    def _announce_waiting(self, holders: Counter[str]) -> None:
        """Say whom we wait for, once there is nothing else to do."""
        waiting = ", ".join(f"{_trials(count)} of {who}" for who, count in holders.items())
        if waiting != self.last_message and not self.executor.busy:
            self.last_message = waiting
            self.observe(Waiting(waiting))

    def _process_events(self, events: Iterable[Event]) -> None:
        for event in map(self.retries.instead_of, events):
            if isinstance(event, Ended | Retried) and not self.claims.keeps(event.trial):
                self._give_up_lost(event.trial)
            elif isinstance(event, Ended):
                self._end(event)
            else:
                self.observe(event)
            if isinstance(event, Retried) and event.trial in self.ours:
                self.pending.appendleft(self.ours[event.trial])
                self.last_look = -POLL_OTHERS_SECONDS

    def _end(self, event: Ended) -> None:
        """Tell it, and give the trial back once that is on record."""
        self.outcome.ended.append(event)
        self.observe(event)
        if self.ours.pop(event.trial, None):
            self.claims.release(event.trial)
        if self.fail_fast and event.status is Status.FAILED:
            self._stop()
        if event.status is Status.INTERRUPTED and event.message and not event.elsewhere:
            self.outcome.interrupted, self.outcome.reason = True, unrecordable(event.message)
            self._stop()

    def _stop(self) -> None:
        """Start nothing more, and ask what runs to stop."""
        self.stopping = True
        self.pending.clear()
        self.source.stop()
        self.retries.stop()
        self.executor.ask_to_stop()

    def _check(self) -> None:
        """Every now and then: stop the workers of trials that others have taken over."""
        if time.monotonic() < self.last_check + POLL_OTHERS_SECONDS:
            return
        self.last_check = time.monotonic()
        for trial in self.ours:
            if not self.claims.keeps(trial):
                self.executor.ask_to_stop(trial)

    def _give_up_lost(self, trial: str) -> None:
        """Another run has it: what ours did no longer counts."""
        self.claims.release(trial)
        job = self.ours.pop(trial)
        self.observe(Lost(trial))
        if not self.stopping:
            self.pending.append(job)


def unrecordable(reason: object) -> str:
    """Why a run stops on a disk that takes nothing more."""
    return f"nothing can be recorded any more: {reason}"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _unless_killed(event: Event) -> Event:
    """While everything is being stopped, a worker that was killed was interrupted, too."""
    if isinstance(event, Ended) and event.failure is Failure.KILLED:
        return Ended(event.trial, Status.INTERRUPTED, recorded=False)
    return event
