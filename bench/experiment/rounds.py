"""The later rounds of an experiment that grows, while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from bench.experiment.growth import Growth, grown
from bench.experiment.looks_log import keep_log
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.run.events import Decided, Ended, Event
from bench.run.worker import Job

StartRound = Callable[[Plan, Sequence[Trial]], Sequence[Job]]
"""Puts a grown plan and its new trials on record; returns the jobs of those that are to be run."""


class Rounds:
    """Jobs of one round after the other: `bench.run.runner.JobSource`.

    A round begins once every trial of the one before has ended, those of other runs too.

    Args:
        plan: with the first round.
        growth: decides what comes next.
        store: where the trials' records are.
        begin: called with every further round.
        waiting_for: trials of the first round that have not ended.
    """

    def __init__(
        self,
        plan: Plan,
        growth: Growth,
        store: Store,
        begin: StartRound,
        waiting_for: Iterable[str],
    ) -> None:
        self._plan, self._growth, self._store, self._begin = plan, growth, store, begin
        self._running = set(waiting_for)
        self._jobs: deque[Job] = deque()
        self._over = False

    def observing(self, observe: Callable[[Event], None]) -> Callable[[Event], None]:
        """`observe`, which is told what every round decides, too; for `bench.run.runner.run`."""
        self._tell = observe

        def observed(event: Event) -> None:
            observe(event)
            if isinstance(event, Ended):
                self._running.discard(event.trial)

        return observed

    def next(self) -> Job | None:
        """The next trial of this round, or once all have ended the first of the next."""
        if not (self._jobs or self._running or self._over):
            self._begin_round()
        return self._jobs.popleft() if self._jobs else None

    def over(self) -> bool:
        """Whether nothing comes next."""
        return self._over and not self._jobs

    def stop(self) -> None:
        """There will be no more rounds."""
        self._over = True
        self._jobs.clear()

    def _begin_round(self) -> None:
        plan, decided = grown(self._plan, self._growth, self._store)
        changed = keep_log(self._store, plan.experiment, decided.log)
        self._tell(Decided((*changed, *decided.lines), decided.summary))
        new = plan.trials[len(self._plan.trials) :]
        self._plan = plan
        self._jobs.extend(self._begin(plan, new) if new else ())
        self._running = {job.trial.id for job in self._jobs}
        self._over = not self._jobs
