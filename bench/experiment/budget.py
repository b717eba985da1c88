"""`bench run --budget`: what a run's time is spent on, and what is left for another run.

A repeat is a seed (of cross-validation, a fold of one) in every arm that is to be trained: the
trials that verdicts pair. Repeats are begun in the plan's order, seeds first, and only those that
will be over in time, so that no arm has more seeds than another. The time decides, no result.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bench.durations import format_duration, rough_duration
from bench.errors import BenchError
from bench.plan.trial import Trial, repeat_name
from bench.run.events import Ended, Event
from bench.run.runner import JobSource, NoJobs
from bench.run.schedule import makespan
from bench.run.worker import Job
from bench.states import Status

MARGIN = 0.05
"""By which a trial may take longer than expected: epochs of the same trial vary by as much."""


def whole_repeats(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs of each repeat, in the order of the jobs."""
    return [list(repeat) for _, repeat in groupby(jobs, lambda job: _repeat(job.trial))]


class ExpectedSeconds:
    """How long trials take: as foreseen, corrected by those that have ended in this run.

    Args:
        foreseen: by trial id: of at least one.
        of_arms: by arm (`Trial.arm`), for trials that come later.
    """

    def __init__(
        self, foreseen: Mapping[str, float], of_arms: Mapping[str, float] | None = None
    ) -> None:
        self._foreseen, self._of_arms = dict(foreseen), of_arms or {}
        self._taken = self._of_taken = 0.0

    def __call__(self, trial: Trial) -> float:
        """Of one trial; of one that nothing is known of as of the longest."""
        known = self._foreseen.get(trial.id, self._of_arms.get(trial.arm))
        return (max(self._foreseen.values()) if known is None else known) * self.ratio

    @property
    def ratio(self) -> float:
        """By what trials took longer than foreseen."""
        return self._taken / self._of_taken if self._of_taken else 1.0

    def ended(self, trial: str, seconds: float) -> None:
        """A trial is done, which took so long."""
        if trial in self._foreseen:
            self._taken += seconds
            self._of_taken += self._foreseen[trial]


@dataclass
class BudgetedJobs:
    """Jobs as long as whole repeats fit: `bench.run.runner.JobSource`.

    Attributes:
        repeats: those that are not begun.
        workers: how many trials run at a time.
        expected: how long each takes.
        until: when the budget is used up, by `clock`.
        more: what comes after them, in an experiment that grows.
        begun: called with the jobs of each repeat before the first of them.
        clock: seconds, never going back.
        used_up: whether there was more to do than the budget allowed.
    """

    repeats: deque[list[Job]]
    workers: int
    expected: ExpectedSeconds
    until: float
    more: JobSource = field(default_factory=NoJobs)
    begun: Callable[[Sequence[Job]], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic
    used_up: bool = False
    _current: deque[Job] = field(default_factory=deque)
    _running: dict[str, tuple[Trial, float]] = field(default_factory=dict)
    _stopped: bool = False

    def observing(self, observe: Callable[[Event], None]) -> Callable[[Event], None]:
        """`observe`, and what trials take is learnt from."""

        def observed(event: Event) -> None:
            observe(event)
            if not isinstance(event, Ended):
                return
            running = self._running.pop(event.trial, None)
            if running is not None and event.status is Status.DONE and not event.elsewhere:
                self.expected.ended(event.trial, self.clock() - running[1])

        return observed

    def next(self) -> Job | None:
        """The next trial of this repeat, or of the next one if that will be over in time."""
        if self.used_up or self._stopped or not (self._current or self._begin_repeat()):
            return None
        job, now = self._current[0], self.clock()
        if now + self.expected(job.trial) > self.until:
            self._use_up()  # the others took longer than was foreseen
            return None
        self._current.popleft()
        self._running[job.trial.id] = job.trial, now
        return job

    def over(self) -> bool:
        """Whether no more is begun."""
        if self.used_up or self._stopped:
            return True
        return not (self._current or self.repeats) and self.more.over()

    def stop(self) -> None:
        """Nothing more, whatever fits."""
        self._stopped = True
        self.more.stop()

    def _begin_repeat(self) -> bool:
        """Whether there is a repeat that will be over in time."""
        if not self.repeats:
            self.repeats.extend(whole_repeats(iter(self.more.next, None)))
        if not self.repeats:
            return False
        if not fits(self.repeats[0], self.workers, self.expected, self._left(), self._busy()):
            self._use_up()
            return False
        self._current.extend(self.repeats.popleft())
        self.begun(self._current)
        return True

    def _use_up(self) -> None:
        self.used_up = True
        self.more.stop()

    def _left(self) -> float:
        return self.until - self.clock()

    def _busy(self) -> list[float]:
        """Seconds until each trial that runs has ended."""
        now = self.clock()
        left = [max(0.0, at + self.expected(one) - now) for one, at in self._running.values()]
        return sorted(left, reverse=True)[: self.workers]


def fits(
    jobs: Sequence[Job],
    workers: int,
    expected: ExpectedSeconds,
    left: float,
    busy: Sequence[float] = (),
) -> bool:
    """Whether these trials will have ended in so many seconds, with a margin."""
    seconds = [expected(job.trial) * (1 + MARGIN) for job in jobs]
    return makespan(seconds, workers, busy) <= left


@dataclass(frozen=True)
class Outlook:
    """What fits into a budget.

    Attributes:
        fitting: the repeats that do.
        rest: those that do not.
        seconds: how long the former take.
    """

    fitting: Sequence[Sequence[Job]]
    rest: Sequence[Sequence[Job]]
    seconds: float

    def line(self, budget: float) -> str:
        """What will and will not be run."""
        count, left = (sum(map(len, repeats)) for repeats in (self.fitting, self.rest))
        about = f"about {rough_duration(self.seconds)}"
        if not left:
            return f"Budget of {format_duration(budget)}: all {_trials(count)} fit ({about})."
        return (
            f"Budget of {format_duration(budget)}: {count} of {count + left} trials fit "
            f"({_repeats(self.fitting)}; {about}); {left} are left for another run "
            f"({_repeats(self.rest)})."
        )


def outlook(
    repeats: Sequence[Sequence[Job]],
    workers: int,
    expected: ExpectedSeconds,
    left: float,
    budget: float,
) -> Outlook:
    """Which repeats fit into what is left of a budget.

    Raises:
        BenchError: not even the first does; what would.
    """
    begun: list[Job] = []
    count = 0
    for repeat in repeats:
        if not fits([*begun, *repeat], workers, expected, left):
            break
        begun += repeat
        count += 1
    seconds = makespan([expected(job.trial) for job in begun], workers)
    if repeats and not count:
        first = [expected(job.trial) * (1 + MARGIN) for job in repeats[0]]
        needed = makespan(first, workers)
        spent = budget - left
        raise BenchError(
            f"--budget {format_duration(budget)}: nothing was begun: {_repeats(repeats[:1])} in "
            f"{_arms(len(first))} takes about {rough_duration(needed)}, and "
            f"{rough_duration(max(0.0, left))} are left after preparing; "
            f"--budget {format_duration(_rounded_up(needed + spent))} would do"
        )
    return Outlook(repeats[:count], repeats[count:], seconds)


def stopped_note(budget: float, ended: int, planned: int) -> str:
    """What a report says of a run that its budget ended."""
    return (
        f"Stopped by its budget of {format_duration(budget)} with {ended} of {planned} trials "
        "finished. The time decided, not the results, and in which order trials are begun is fixed "
        "by the plan: stopping here is no look, and these verdicts need no correction for it. "
        "Going on because of what they say would be one."
    )


def left_line(budget: float, left: Sequence[Trial], command: str) -> str:
    """What a run has not begun, and what goes on."""
    repeats = [[trial] for trial in left]
    names = _names([_repeat(one) for (one,) in repeats])
    return (
        f"The budget of {format_duration(budget)} is used up: {_trials(len(left))} left "
        f"({names}). {command}"
    )


def _repeat(trial: Trial) -> tuple[int, int | None]:
    return trial.seed, trial.fold


def _repeats(repeats: Sequence[Sequence[Job]]) -> str:
    return _names([_repeat(repeat[0].trial) for repeat in repeats])


def _names(repeats: Sequence[tuple[int, int | None]]) -> str:
    """`seed 0`, `seeds 0 to 3`, of cross-validation `s0-f1 to s2-f4`."""
    distinct = sorted(set(repeats), key=lambda each: (each[0], each[1] or 0))
    first, last = distinct[0], distinct[-1]
    if first[1] is None:
        seeds = [seed for seed, _ in distinct]
        if len(seeds) > 2 and seeds != list(range(seeds[0], seeds[-1] + 1)):
            return f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
        joined = " and " if len(seeds) == 2 else " to "
        return f"seed {seeds[0]}" if first == last else f"seeds {seeds[0]}{joined}{seeds[-1]}"
    return (
        repeat_name(*first) if first == last else f"{repeat_name(*first)} to {repeat_name(*last)}"
    )


def _rounded_up(seconds: float) -> float:
    """To whole minutes, of more than an hour to five."""
    unit = 60 if seconds < 3600 else 300
    return unit * (seconds // unit + 1)


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _arms(count: int) -> str:
    return "its arm" if count == 1 else f"{count} arms"
