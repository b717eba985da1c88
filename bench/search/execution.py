"""Where the trials of a search run: trying points, and training again what was chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from bench.experiment import changed_data
from bench.experiment.mirroring import behind, mirrored
from bench.experiment.recording import observer
from bench.experiment.shared_trials import SETUP, SharedTrials
from bench.experiment.surveys import keep_surveys
from bench.metric_columns import MetricKind, on_test
from bench.plan.plan import Plan
from bench.plan.pretrained import fetch_weights
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.store import TrialFiles
from bench.run.backend import Backend, opened_backend
from bench.run.events import Ended, Event
from bench.run.executors.buffering import BufferingExecutor
from bench.run.progress import Display, display
from bench.run.runner import JobSource, Outcome, run
from bench.run.worker import Job
from bench.search.context import SearchContext
from bench.search.trial_factory import SearchTrialFactory
from bench.states import Failure, Status
from bench.tasks.settings import SUPPORT

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from bench.search.outcome import Confirmation
    from bench.search.study import SharedStudy

_POINT_FAILURES = (Failure.DIVERGED, Failure.OUT_OF_MEMORY)
"""Failures that say something of a point, not of the machine or the program."""


class SearchExecution:
    """The workers of one search, and what its trials share.

    Attributes:
        worked: whether there was anything to train.
        broken: whether a trial failed by no fault of its point.
        late: whether the time for new points is over.
    """

    def __init__(self, context: SearchContext, study: SharedStudy) -> None:
        self._context, self._study = context, study
        self.worked = self.broken = self.late = False
        self._ready = False
        self._executor: BufferingExecutor | None = None
        self._claims = SharedTrials(context.leases, {}, {}, {})
        about = {"name": context.experiment, "storage": study.study_storage.name}
        self._factory = SearchTrialFactory(
            context.request.space,
            context.store,
            context.resolve,
            about,
            self._claims,
            self,
            keep_last=context.options.keep_last,
        )

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask a trial's worker to stop at its next step."""
        if self._executor is not None:
            self._executor.ask_to_stop(trial)

    def try_points(self) -> Outcome:
        """Until there are as many as were asked for, or the time is over."""
        from bench.search.driver import Driver, SearchGoal
        from bench.search.pruning import make_pruning_policy

        context, request, study = self._context, self._context.request, self._study
        search = request.space.search
        seconds = context.options.timeout or search.timeout
        several = len(request.objectives) > 1
        policy = make_pruning_policy(
            search.pruner, request.curve, several=several, others=study.trials
        )
        driver = Driver(
            request.space,
            study,
            SearchGoal(request.objectives, request.curve, policy),
            self._factory,
            context.say,
            until=None if seconds is None else time.monotonic() + seconds,
            retry_failed=context.options.retry_failed,
        )
        total = study.unfinished() * len(search.seeds)
        with self._workers(total) as (executor, observe):

            def follow(event: Event) -> None:
                event = driver.interpret(event)
                observe(event)
                if (
                    not study.study_storage.retry_policy.gave_up
                ):  # workers stop; the study learns it later
                    driver.handle_event(event)

            try:
                outcome = self._run(executor, follow, driver)
            finally:
                with suppress(Exception):  # whoever comes next finds out that we are gone
                    driver.close()
        self.late = driver.late
        return outcome

    def confirm(self, chosen: Sequence[FrozenTrial]) -> tuple[Outcome, list[Confirmation]]:
        """Train what was chosen with fresh seeds, and score it on the test split."""
        from bench.search.outcome import Confirmation
        from bench.search.points import point_of

        context, seeds = self._context, self._context.request.space.search.confirm_seeds
        points = {found.number: self._factory.trials(point_of(found), seeds) for found in chosen}
        left = [(t, number) for number, trials in points.items() for t in trials if self._left(t)]
        outcome = Outcome()
        if left:
            what = "point" if len(points) == 1 else f"{len(points)} points"
            context.say(
                f"Confirming the chosen {what} with fresh seeds: {', '.join(map(str, seeds))}."
            )
            with self._workers(len(left)) as (executor, observe):
                outcome = self._run(executor, observe, _ConfirmationJobs(iter(left), self._factory))
        found = [
            Confirmation(number, trials, self._confirmed_values(trials))
            for number, trials in points.items()
            if trials
        ]
        return outcome, found

    def replan(self) -> None:
        """Put every trial of the study that is on record into the plan, others' too."""
        from bench.search.points import TRIALS, point_of

        space = self._context.request.space
        seeds = (*space.search.seeds, *space.search.confirm_seeds)
        tried = [found for found in self._study.trials() if found.user_attrs.get(TRIALS)]
        trials = [
            trial for found in tried for trial in self._factory.trials(point_of(found), seeds)
        ]
        there = [trial for trial in trials if self._factory.files(trial).config_path.is_file()]
        if there:
            self._factory.plan(there)

    def _run(
        self, executor: BufferingExecutor, observe: Callable[[Event], None], source: JobSource
    ) -> Outcome:
        retries = self._context.options.retries
        return run((), executor, observe, claims=self._claims, source=source, retries=retries)

    @contextmanager
    def _workers(self, total: int) -> Iterator[tuple[BufferingExecutor, Callable[[Event], None]]]:
        """Workers for so many trials, everything prepared, and what is done about each event."""
        context, self.worked = self._context, True
        samples, options = context.samples, context.options
        backend_opened = opened_backend(
            options.executor,
            samples.machine,
            samples.trials,
            max(1, total),
            options.jobs,
            context.say,
            shared=context.leases.own_file,
        )
        select = context.samples.select.metric
        shown_on = display(context.console, self._factory.epochs, select, total)
        self._factory.epochs.clear()
        with (
            backend_opened as backend,
            shown_on as shown,
            mirrored(context.store, context.experiment, context.say) as changed,
        ):
            self._factory.backend = backend
            self._prepare(shown, backend)
            for files in behind(context.store, context.experiment):
                changed(files)
            self._executor = BufferingExecutor(backend.executor(options.limits))
            self._study.study_storage.retry_policy.wait = self._executor.wait
            record = observer(self._factory.recorders, changed, shown.observe)

            def observe(event: Event) -> None:
                if isinstance(event, Ended) and event.status is Status.FAILED:
                    self.broken |= event.failure not in _POINT_FAILURES
                record(event)

            try:
                yield self._executor, observe
            finally:
                self._study.study_storage.retry_policy.wait = time.sleep

    def _prepare(self, shown: Display, backend: Backend) -> None:
        """What all trials need, before the first of them; once."""
        if self._ready:
            return
        context = self._context
        samples = context.samples
        with ExitStack() as setup:
            starting = "waiting for {}, which is starting this experiment, too"
            setup.enter_context(
                context.leases.hold(SETUP, lambda who: context.say(starting.format(who)))
            )
            fetch_weights(samples.trials)
            prepared = backend.prepare(samples.trials, shown.preparing)
            self._factory.add_prepared(samples.trials, prepared)
            self.replan()
            known = Plan(samples.spec, {}, (*samples.trials, *self._factory.planned))
            changed_data.refuse_changed_data(known, prepared.fingerprints, context.store)
        lines = keep_surveys(context.store, samples, prepared.surveys, search=True)
        for note in (*prepared.placements, *prepared.notes, *lines):
            context.say(note)
        for caution in samples.warnings:
            context.say(f"Warning: {caution}.")
        self._ready = True

    def _left(self, trial: Trial) -> bool:
        status = verified_status(self._factory.files(trial)).status
        retry = self._context.options.retry_failed
        return status is not Status.DONE and (retry or status is not Status.FAILED)

    def _confirmed_values(self, trials: Sequence[Trial]) -> dict[int, Mapping[str, float]]:
        """By seed: the objectives and the test split's figures of those that are done."""
        metrics = {objective.metric for objective in self._context.request.objectives}
        counts = {on_test(name) for name in SUPPORT}  # no figures, but what they are means of
        found: dict[int, Mapping[str, float]] = {}
        for trial in trials:
            files: TrialFiles = self._factory.files(trial)
            if verified_status(files).status is Status.DONE:
                found[trial.seed] = {
                    name: float(value)
                    for name, value in files.summary().items()
                    if (name in metrics or name.startswith(MetricKind.TEST))
                    and name not in counts
                    and value is not None
                }
        return found


class _ConfirmationJobs:
    """Trials that confirm points, one after the other: `bench.run.runner.JobSource`."""

    def __init__(self, left: Iterator[tuple[Trial, int]], factory: SearchTrialFactory) -> None:
        self._left, self._factory = left, factory
        self._over = False

    def next(self) -> Job | None:
        """The next one."""
        for trial, number in () if self._over else self._left:
            before = verified_status(self._factory.files(trial))
            if before.status is not Status.DONE:  # by another process meanwhile
                return self._factory.job(trial, number, before, test=True)
        self._over = True
        return None

    def over(self) -> bool:
        """Whether that was all."""
        return self._over

    def stop(self) -> None:
        """No more."""
        self._over = True
