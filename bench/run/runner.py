"""What to do next: which trials are left, starting them, and what happens when one ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.run.events import Ended, Event
from bench.run.executors.base import Executor
from bench.run.worker import Job
from bench.states import Failure, Status

POLL_SECONDS = 0.2
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Choice:
    """Which trials to run, by what is known of them."""

    todo: tuple[str, ...]
    finished: tuple[str, ...]
    failed_before: tuple[str, ...]


def choose(
    statuses: Mapping[str, Status], *, retry_failed: bool = False, force: bool = False
) -> Choice:
    """Finished trials are skipped and failed ones left, unless asked otherwise."""
    todo, finished, failed = [], [], []
    for trial, status in statuses.items():
        if status is Status.DONE and not force:
            finished.append(trial)
        elif status is Status.FAILED and not (retry_failed or force):
            failed.append(trial)
        else:
            todo.append(trial)
    return Choice(tuple(todo), tuple(finished), tuple(failed))


@dataclass
class Outcome:
    """How the trials of one `run` ended."""

    ended: list[Ended] = field(default_factory=list)
    interrupted: bool = False

    def count(self, status: Status) -> int:
        """How many ended so."""
        return sum(event.status is status for event in self.ended)


def run(
    jobs: Iterable[Job],
    executor: Executor,
    observe: Callable[[Event], None],
    *,
    fail_fast: bool = False,
) -> Outcome:
    """Run every job, as many at a time as the executor takes.

    A failed trial is passed over, or with `fail_fast` ends the run. KeyboardInterrupt stops every
    worker at its next step, resumable; a second one kills them.
    """
    outcome = Outcome()
    try:
        _run(deque(jobs), executor, observe, outcome, fail_fast)
    except KeyboardInterrupt:
        outcome.interrupted = True
        _wind_down(executor, observe, outcome)
    finally:
        executor.close()
    return outcome


def _run(
    pending: deque[Job],
    executor: Executor,
    observe: Callable[[Event], None],
    outcome: Outcome,
    fail_fast: bool,
) -> None:
    while pending or executor.busy:
        while pending and executor.free:
            executor.start(pending.popleft())
        ended = _pass_on(executor.events(POLL_SECONDS), observe)
        outcome.ended += ended
        if fail_fast and any(event.status is Status.FAILED for event in ended):
            pending.clear()
            executor.ask_to_stop()


def _wind_down(executor: Executor, observe: Callable[[Event], None], outcome: Outcome) -> None:
    """Let the workers stop by themselves, for a while."""
    executor.ask_to_stop()
    try:
        for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
            if not executor.busy:
                return
            events = [_unless_killed(event) for event in executor.events(POLL_SECONDS)]
            outcome.ended += _pass_on(events, observe)
    except KeyboardInterrupt:
        return


def _unless_killed(event: Event) -> Event:
    """While everything is being stopped, a worker that was killed was interrupted, too."""
    if isinstance(event, Ended) and event.failure is Failure.KILLED:
        return Ended(event.trial, Status.INTERRUPTED, recorded=False)
    return event


def _pass_on(events: Sequence[Event], observe: Callable[[Event], None]) -> list[Ended]:
    for event in events:
        observe(event)
    return [event for event in events if isinstance(event, Ended)]
