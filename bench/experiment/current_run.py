"""One `bench run` and its part in the experiment: its options, its plan, and how far that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from bench.errors import UnconfirmedError
from bench.experiment.budget import BudgetedJobs
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.confirmed_index import ConfirmedIndex
from bench.record.leases import Leases
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.run.events import EpochDone, Event
from bench.run.executor_options import ExecutorOptions
from bench.run.limits import Limits
from bench.run.progress import print_line
from bench.run.retries import RETRIES
from bench.run.runner import TrialSelection, select_trials
from bench.states import Status


@dataclass(frozen=True)
class RunOptions:
    """What the command line says besides the spec.

    Attributes:
        waits: for trials that others run; else the run ends when there are no others left, and
            the report is theirs.
        requeue: whether an interrupted Slurm job is put back into the queue.
        budget: seconds to be spent on whole repeats, from the command's start; None: no limit.
        command: the command line, to be shown to a person; empty: it was called from Python.
    """

    results: Path
    reports: Path
    jobs: int | None = None
    retry_failed: bool = False
    force: bool = False
    fail_fast: bool = False
    limits: Limits = field(default_factory=Limits)
    retries: int = RETRIES
    keep_last: bool = False
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)
    waits: bool = True
    requeue: bool = False
    budget: float | None = None
    command: str = ""


@dataclass
class JobProgress:
    """What decides whether the job that a run is of is put back into the queue.

    Attributes:
        stopped: whether a person or a scheduler stopped it.
        progressed: whether an epoch of any of its trials ended in it.
    """

    stopped: bool = False
    progressed: bool = False

    def observing(self, observe: Callable[[Event], None]) -> Callable[[Event], None]:
        """`observe`, noting epochs."""

        def noting(event: Event) -> None:
            self.progressed |= isinstance(event, EpochDone)
            observe(event)

        return noting


@dataclass
class CurrentRun:
    """One `run` and its part in the experiment.

    Attributes:
        plan: as far as it has grown.
        setup: closed once others may start, too.
        selection: which of the plan's trials are to be run, and which were done or failed before.
        refused: trials of which nothing that is recorded is counted.
        decided: of an experiment that grows, what its records decided at the start, in short.
        job: how far the scheduler's job is that it may be.
        begun: when the command began, by `time.monotonic`.
        budgeted: what is begun within a budget; None: there is none.
    """

    plan: Plan
    options: RunOptions
    console: Console
    store: Store
    leases: Leases
    setup: ExitStack
    selection: TrialSelection = field(default_factory=lambda: TrialSelection((), (), ()))
    refused: int = 0
    decided: str = ""
    job: JobProgress = field(default_factory=JobProgress)
    begun: float = field(default_factory=time.monotonic)
    budgeted: BudgetedJobs | None = None

    @cached_property
    def confirmed(self) -> ConfirmedIndex:
        """Which finished trials need not be read again."""
        return ConfirmedIndex(self.store.experiment(self.plan.experiment))

    @property
    def page(self) -> Path:
        """The report's."""
        return self.options.reports / self.plan.experiment / "report.html"

    def say(self, text: str) -> None:
        """A line for a person."""
        print_line(self.console, text)

    def files(self, trial: Trial) -> TrialFiles:
        """A trial's."""
        return self.store.trial(trial.experiment, trial.id)

    def verified_statuses(
        self, trials: Iterable[Trial]
    ) -> tuple[dict[str, TrialStatus], dict[str, UnconfirmedError]]:
        """By id: how far the trials are, and of some why nothing that is recorded is counted."""
        found: dict[str, TrialStatus] = {}
        refused: dict[str, UnconfirmedError] = {}
        for trial in trials:
            try:
                found[trial.id] = self.confirmed.verified_status(self.files(trial))
            except UnconfirmedError as error:
                refused[trial.id] = error
        self.confirmed.save()
        return found, refused

    def select(
        self, statuses: Mapping[str, Status], refused: Collection[str], *, force: bool = False
    ) -> TrialSelection:
        """Which of these trials are to be run, besides those selected before."""
        before, retry = self.selection, self.options.retry_failed
        new = select_trials(statuses, retry_failed=retry, force=force)
        self.selection = TrialSelection(
            (*before.todo, *new.todo),
            (*before.finished, *new.finished),
            (*before.failed_before, *new.failed_before),
        )
        self.refused += len(refused)
        return new
